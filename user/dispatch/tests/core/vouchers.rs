//! Voucher objects and vouchers in messages (dispatch 2.5 to 2.10).

use super::support::*;
use abi::PortName;
use abi::code::{MACH_SEND_INVALID_VOUCHER, MACH_SEND_TIMED_OUT};
use abi::message::{Header, MsgOption};
use abi::port::Disposition;
use abi::voucher::*;
use dispatch::activity::{ActivityMode, Parent, create_voucher};
use dispatch::persona;
use dispatch::sys::Kernel;
use dispatch::sys::mock::{Bank, TaskSpec};
use dispatch::voucher::{self, Attachment, MsgState, Voucher};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Returns a new activity without anything else.
fn activity() -> Arc<Voucher> {
    create_voucher(Parent::None, ActivityMode::empty(), b"")
}

/// Sends a message from one task to the other under each of these many new activities.
fn send_activities(from: &Task, to: &Task, count: usize) {
    let port = from.port_of(to);
    from.run(|| {
        for _ in 0..count {
            from.send(port, Some(&activity())).expect("it is sent");
        }
    });
}

/// Sends a message without a voucher from one task to the other.
fn send_plain(from: &Task, to: &Task) {
    let port = from.port_of(to);
    from.run(|| from.send(port, None)).expect("it is sent");
}

#[test]
fn equal_vouchers_are_one_object_until_it_is_gone() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let before = daemon.counts();
    for _ in 0..2 {
        send_plain(&app, &daemon);
    }
    let (first, second) = (daemon.receive_voucher().expect("one"), daemon.receive_voucher().expect("another"));
    assert!(Arc::ptr_eq(&first, &second));
    assert!(first.has_importance() && first.message_name() == first.kernel_name());
    assert_eq!(daemon.mock.references_to(first.kernel_name()), 1, "the second right was given up");
    drop((first, second));
    assert_eq!(daemon.counts(), before);
    assert!(!daemon.mock.is_boosted());
}

// covers dispatch AE-63
#[test]
fn different_activities_share_one_kernel_voucher_without_user_data() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let before = daemon.counts();
    send_activities(&app, &daemon, 2);
    let (first, second) = (daemon.receive_voucher().expect("one"), daemon.receive_voucher().expect("another"));
    assert!(!Arc::ptr_eq(&first, &second));
    assert_ne!(first.identity().activity, second.identity().activity);
    let name = first.kernel_name();
    assert_eq!(second.kernel_name(), name);
    assert_eq!(daemon.mock.content(name).user_data, None);
    assert_eq!((first.message_name(), second.message_name()), (PortName(0), PortName(0)), "not sent yet");
    drop(first);
    voucher::replace(Some(second.clone()));
    assert!(daemon.mock.this_thread().has_voucher(), "the name is still good");
    assert!(daemon.mock.is_boosted());
    voucher::replace(None);
    drop(second);
    assert_eq!(daemon.counts(), before);
}

// covers dispatch AE-64
#[test]
fn an_object_is_given_a_name_for_messages_by_its_first_send() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    send_activities(&app, &daemon, 1);
    let received = daemon.receive_voucher().expect("it has a voucher");
    let port = daemon.port_of(&app);
    let created = daemon.mock.created_vouchers();
    let names = [(); 2].map(|()| daemon.send(port, Some(&received)).expect("it is sent"));
    assert_eq!(daemon.mock.created_vouchers(), created + 1);
    assert_eq!(names, [received.message_name(); 2]);
    let content = daemon.mock.content(names[0]);
    assert_eq!(content.user_data.map(|data| data.len()), Some(32));
    assert_eq!(content.bank, daemon.mock.content(received.kernel_name()).bank);
}

// covers dispatch AE-65
#[test]
fn a_copy_without_importance_keeps_the_rest() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let before = daemon.counts();
    for sends_activity in [false, true] {
        if sends_activity {
            send_activities(&app, &daemon, 1)
        } else {
            send_plain(&app, &daemon)
        }
        let boosted = daemon.receive_voucher().expect("it has a voucher");
        voucher::replace(Some(boosted.clone()));
        let plain = voucher::copy_without_importance().expect("the rest is left");
        assert!(!Arc::ptr_eq(&plain, &boosted));
        assert_eq!((boosted.has_importance(), plain.has_importance()), (true, false));
        assert_eq!(plain.identity(), boosted.identity());
        assert_eq!(plain.identity().is_none(), !sends_activity);
        let (with, without) = (daemon.mock.content(boosted.kernel_name()), daemon.mock.content(plain.kernel_name()));
        assert_eq!((without.bank, without.importance), (with.bank, None));
        voucher::replace(Some(plain.clone()));
        let again = voucher::copy_without_importance().expect("the same");
        assert!(Arc::ptr_eq(&again, &plain));
        assert!(daemon.mock.is_boosted(), "the first object still holds the boost");
        voucher::replace(None);
        drop(boosted);
        assert!(!daemon.mock.is_boosted(), "the copy does not");
        drop((plain, again));
    }
    assert_eq!(daemon.counts(), before);
}

#[test]
fn a_copy_without_importance_of_a_voucher_that_was_sent_is_ready_to_be_sent() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    send_activities(&app, &daemon, 1);
    let boosted = daemon.receive_voucher().expect("it has a voucher");
    let port = daemon.port_of(&app);
    daemon.send(port, Some(&boosted)).expect("it is sent");
    voucher::replace(Some(boosted.clone()));
    let plain = voucher::copy_without_importance().expect("the rest is left");
    assert_eq!(plain.message_name(), plain.kernel_name());
    let again = voucher::copy_without_importance().expect("the rest is left");
    assert!(Arc::ptr_eq(&again, &plain), "the table finds it");
}

#[test]
fn without_memory_for_vouchers_a_copy_without_importance_has_the_activity_alone_or_is_none() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    send_activities(&app, &daemon, 1);
    send_plain(&app, &daemon);
    let (with, without) = (daemon.receive_voucher().expect("one"), daemon.receive_voucher().expect("another"));
    daemon.mock.refuse_vouchers(true);
    voucher::replace(Some(with.clone()));
    let copy = voucher::copy_without_importance().expect("the activity is left");
    assert_eq!((copy.kernel_name(), copy.identity()), (PortName(0), with.identity()));
    voucher::replace(Some(without));
    assert!(voucher::copy_without_importance().is_none());
}

// covers dispatch AE-73
#[test]
fn a_message_without_a_voucher_leaves_the_thread_as_it_is() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    send_plain(&app, &daemon);
    let x = daemon.receive_voucher();
    voucher::replace(x.clone());
    let mut message = empty_message(PortName(0));
    let state = voucher::mach_msg_adopt(&mut message);
    assert!(matches!(state, MsgState::Unchanged));
    assert!(voucher::is_current(x.as_ref()));
    voucher::mach_msg_revert(state);
    assert!(voucher::is_current(x.as_ref()));
}

#[test]
fn a_message_with_a_voucher_is_adopted_and_reverted() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let x = activity();
    voucher::replace(Some(x.clone()));
    send_plain(&app, &daemon);
    let mut message = daemon.receive();
    let state = voucher::mach_msg_adopt(&mut message);
    assert!(voucher::copy().is_some_and(|current| current.has_importance()));
    assert_eq!(header(&message).voucher(), Disposition::NONE, "the header owns nothing any more");
    assert_eq!(header(&message).msgh_bits & 0x2000_0000, 0, "nor does it say that it is boosted");
    voucher::mach_msg_revert(state);
    assert!(voucher::is_current(Some(&x)));
    assert!(!daemon.mock.is_boosted());
}

#[test]
fn a_thread_without_a_voucher_sends_the_default_one() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    send_plain(&app, &daemon);
    let received = daemon.receive_voucher().expect("V-5: there is always one");
    let bank = daemon.mock.content(received.kernel_name()).bank;
    assert_eq!(bank, Some(Bank::Account { originator: 0, proximate: 0, persona: 100 }));
}

#[test]
fn a_header_with_a_voucher_of_the_callers_choice_stays_as_it_is() {
    let app = app();
    let own = persona::of_self().expect("it is made");
    let mut message = empty_message(app.port);
    message[..4].copy_from_slice(&(19u32 | 19 << 16).to_le_bytes());
    message[16..20].copy_from_slice(own.name().as_bytes());
    let before = message.clone();
    let attachment = voucher::mach_msg_set(&mut message);
    assert!(!attachment.is_set());
    assert_eq!(message, before);
    voucher::mach_msg_clear(&mut message, attachment);
    assert_eq!(message, before, "and is not cleared");
}

#[test]
fn after_a_failed_send_the_right_that_came_back_is_released() {
    let (app, daemon) = app_and_daemon();
    app.process.enter();
    let port = app.port_of(&daemon);
    let activity = activity();
    app.send(port, Some(&activity)).expect("it is sent");
    app.send(port, None).expect("it is sent");
    let before = app.counts();
    for voucher in [None, Some(&activity)] {
        app.mock.fail_next_send(MACH_SEND_TIMED_OUT);
        assert_eq!(app.send(port, voucher), Err(MACH_SEND_TIMED_OUT));
        assert_eq!(app.counts(), before);
    }
}

#[test]
fn a_send_that_fails_before_its_rights_are_taken_leaves_nothing_behind() {
    let app = app();
    let mut message = empty_message(PortName(0x7703));
    let attachment = voucher::mach_msg_set(&mut message);
    voucher::detach(&mut message, attachment);
    let before = app.counts();
    let attachment = voucher::mach_msg_set(&mut message);
    assert!(attachment.is_set());
    assert!(!app.mock.send(&mut message, MsgOption::SEND_MSG, 0, 0).is_success());
    voucher::detach(&mut message, attachment);
    assert_eq!(header(&message).msgh_bits, Disposition::COPY_SEND.0.into());
    assert_eq!(app.counts(), before);
}

#[test]
fn without_memory_for_its_name_an_activity_is_not_attached_and_is_later() {
    let (app, daemon) = app_and_daemon();
    app.process.enter();
    let port = app.port_of(&daemon);
    app.send(port, None).expect("the default voucher is made");
    let activity = activity();
    app.mock.refuse_vouchers(true);
    assert_eq!(app.send(port, Some(&activity)), Ok(PortName(0)), "sent, but without a voucher");
    app.mock.refuse_vouchers(false);
    assert_ne!(app.send(port, Some(&activity)), Ok(PortName(0)));
}

#[test]
fn without_memory_a_received_voucher_keeps_its_user_data() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let before = daemon.counts();
    send_activities(&app, &daemon, 1);
    daemon.mock.refuse_vouchers(true);
    let received = daemon.receive_voucher().expect("it has a voucher");
    assert!(!received.identity().is_none());
    assert_eq!(received.message_name(), received.kernel_name());
    assert!(daemon.mock.content(received.kernel_name()).user_data.is_some());
    drop(received);
    assert_eq!(daemon.counts(), before);
}

#[test]
fn the_default_voucher_is_replaced_by_the_bank_of_the_current_one() {
    let (app, daemon) = app_and_daemon();
    let third = another(&app, TaskSpec::DAEMON);
    daemon.process.enter();
    let port = daemon.port_of(&third);
    let originator_seen = || {
        daemon.send(port, None).expect("it is sent");
        third.run(|| {
            let voucher = third.receive_voucher().expect("there is always one");
            let Some(Bank::Account { originator, .. }) = third.mock.content(voucher.kernel_name()).bank else {
                panic!("a message's bank value is an account");
            };
            originator
        })
    };
    assert_eq!(originator_seen(), 1);
    let before = daemon.counts();
    send_plain(&app, &daemon);
    voucher::replace(daemon.receive_voucher());
    voucher::replace_default();
    voucher::replace(None);
    assert!(!daemon.mock.is_boosted(), "the default voucher has no importance");
    assert_eq!(originator_seen(), 0, "the application that the daemon works for");
    voucher::replace_default();
    assert_eq!(originator_seen(), 1, "without a voucher, the daemon itself again");
    assert_eq!(daemon.counts(), before);
}

#[test]
fn an_attached_default_voucher_outlives_its_replacement() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let port = daemon.port_of(&app);
    send_plain(&app, &daemon);
    voucher::replace(daemon.receive_voucher());
    voucher::replace_default();
    voucher::replace(None);
    let mut message = empty_message(port);
    let attachment: Attachment = voucher::attach(&mut message, None);
    voucher::replace_default();
    assert!(daemon.mock.send(&mut message, MsgOption::SEND_MSG, 0, 0).is_success(), "the name is still good");
    voucher::detach(&mut message, attachment);
}

#[test]
fn an_accounting_voucher_says_only_who_pays() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    send_activities(&app, &daemon, 1);
    let received = daemon.receive_voucher().expect("it has a voucher");
    let account = voucher::accounting_only(Some(&received)).expect("somebody pays");
    assert!(account.identity().is_none() && !account.has_importance());
    assert_eq!(account.message_name(), account.kernel_name());
    let content = daemon.mock.content(account.kernel_name());
    assert_eq!((content.importance, content.user_data), (None, None));
    assert_eq!(content.bank, daemon.mock.content(received.kernel_name()).bank);
    let again = voucher::accounting_only(Some(&received)).expect("somebody pays");
    assert!(Arc::ptr_eq(&account, &again));
    assert!(voucher::accounting_only(None).is_none());
    assert!(voucher::accounting_only(Some(&activity())).is_none());
}

#[test]
fn a_persona_made_for_this_task_is_adopted_with_all_else_kept() {
    let (app, daemon) = app_and_daemon();
    let app = another(&app, TaskSpec { platform: true, ..TaskSpec::APP });
    let broker = another(&app, TaskSpec { broker: true, ..TaskSpec::DAEMON });
    app.process.enter();
    assert_eq!((persona::kernel_current(), persona::current()), (100, 100));
    send_activities(&another(&app, TaskSpec::APP), &app, 1);
    let received = app.receive_voucher().expect("it has a voucher");
    voucher::replace(Some(received.clone()));
    let own = persona::of_self().expect("it is made");
    let name = app.mock.share_voucher(own.name(), broker.mock);
    let pid = app.mock.unique_pid();
    let (made, refused) = broker.run(|| {
        let made = persona::for_originator(101, name, pid).expect("the broker may");
        let refused = persona::for_originator(101, name, pid + 1).err();
        (broker.mock.share_voucher(made.name(), app.mock), refused)
    });
    assert_eq!(refused, Some(abi::code::KERN_INVALID_CAPABILITY));
    let with_persona = voucher::with_persona(made).expect("it was made for this task").expect("it has attributes");
    assert_eq!(with_persona.identity(), received.identity());
    assert!(received.has_importance() && with_persona.has_importance(), "the flag is copied");
    voucher::replace(Some(with_persona));
    assert_eq!((persona::kernel_current(), persona::current()), (101, 101));
    let port = app.port_of(&daemon);
    app.send(port, voucher::copy().as_ref()).expect("it is sent");
    daemon.run(|| {
        voucher::replace(daemon.receive_voucher());
        assert_eq!((persona::current(), persona::originator().map(|p| p.unique_pid)), (101, Some(pid)));
    });
    let stolen = app.mock.share_voucher(made, daemon.mock);
    let code = daemon.run(|| voucher::with_persona(stolen).err()).expect("it was not made for the daemon");
    assert_eq!(code.0, abi::code::KERN_INVALID_CAPABILITY);
    assert!(voucher::is_current(voucher::with_persona(PortName(0)).expect("no change").as_ref()));
}

#[test]
fn user_data_that_are_no_activity_are_stripped_if_there_are_enough_of_them() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let port = app.port_of(&daemon);
    for size in [16, 32, 100, 4000] {
        app.run(|| send_with_user_data(&app, port, &vec![7; size]));
        let received = daemon.receive_voucher().expect("it has a voucher");
        assert!(received.identity().is_none());
        let left = daemon.mock.content(received.kernel_name()).user_data.map(|data| data.len());
        assert_eq!(left, (size < 32).then_some(size));
    }
}

/// Sends a message whose voucher has these bytes as user data.
pub fn send_with_user_data(from: &Task, port: PortName, data: &[u8]) {
    let store = RecipeHeader {
        key: MACH_VOUCHER_ATTR_KEY_USER_DATA,
        command: MACH_VOUCHER_ATTR_USER_DATA_STORE,
        previous_voucher: 0,
        content_size: data.len() as u32,
    };
    let pays = RecipeHeader {
        key: MACH_VOUCHER_ATTR_KEY_BANK,
        command: MACH_VOUCHER_ATTR_BANK_CREATE,
        ..RecipeHeader::default()
    };
    let recipes = [pays.as_bytes(), store.as_bytes(), data].concat();
    let name = from.mock.create_voucher(&recipes).expect("it is made");
    let header = Header {
        msgh_bits: u32::from(Disposition::COPY_SEND.0) | u32::from(Disposition::MOVE_SEND.0) << 16,
        msgh_size: Header::SIZE as u32,
        msgh_remote_port: port,
        msgh_voucher_port: name,
        ..Header::default()
    };
    let mut message = header.as_bytes().to_vec();
    let code = from.mock.send(&mut message, MsgOption::SEND_MSG, 0, 0);
    assert!(code != MACH_SEND_INVALID_VOUCHER && code.is_success());
}
