//! One message, one boost (importance 10.1).

use super::*;
use crate::vouchers::{HELLO, USER_DATA, it, st};
use abi::code::*;
use abi::policy::{PolicyState, TASK_POLICY_STATE};
use abi::voucher::{MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_VOUCHER_ATTR_KEY_IMPORTANCE};
use voucher::Key;
use voucher::importance::Source;
use zerocopy::{FromBytes, IntoBytes};

/// A recipe for the importance of the calling task.
fn own_importance() -> Vec<u8> {
    it(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, b"")
}

/// Returns a world with A and B, B's port and A's name for it.
fn pair() -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    (w, a, b, port, to_b)
}

// covers importance E2 E3 E4
#[test]
fn a_message_boosts_its_receiver_until_the_voucher_is_gone() {
    let (mut w, a, b, port, to_b) = pair();
    assert_eq!((w.boosts(a), w.boosts(b)), (IDLE_APP, IDLE));
    w.ping(a, to_b);
    assert_eq!((w.boosts(b), w.on_port(b, port), w.element_refs(a)), (WAITED_FOR, 1, 2));
    assert!(w.element(b).is_boosted());
    let Receipt { raised, voucher, disposition } = w.take(b, port);
    assert!(raised && voucher.is_valid() && disposition == Disposition::PORT_SEND);
    let [inherit] = w.inherits(b)[..] else { panic!("one inherit") };
    assert_eq!((inherit.from(), inherit.depth().word()), (Source::Task(w.element_id(a)), 1));
    assert_eq!(counts_of(inherit), (1, 0, 1, 1, true));
    assert_eq!((w.boosts(b), w.on_port(b, port), w.transitions(b)), (AT_WORK, 0, 1), "never unboosted in between");
    w.deallocate(b, voucher).unwrap();
    assert_eq!((w.boosts(b), w.element_refs(a), w.element_refs(b)), (IDLE, 1, 1));
    assert_eq!(w.inherits(b).len(), 0);
}

// covers importance E5
#[test]
fn a_receive_without_a_voucher_ends_the_boost() {
    let (mut w, a, b, port, to_b) = pair();
    w.ping(a, to_b);
    w.take_plain(b, port);
    assert_eq!((w.boosts(b), w.on_port(b, port), w.element_refs(a), w.inherits(b).len()), (IDLE, 0, 1, 0));
}

// covers importance E6
#[test]
fn a_message_without_importance_boosts_nobody() {
    let (mut w, a, b, port, to_b) = pair();
    w.try_send_with(a, &Msg::copy_send(to_b), MsgOption::SEND_NOIMPORTANCE).unwrap();
    assert_eq!((w.boosts(b), w.element_refs(a)), (IDLE, 1));
    let receipt = w.take(b, port);
    assert_eq!((receipt.raised, receipt.disposition), (false, Disposition::NONE));
}

// covers importance E7
#[test]
fn the_attribute_has_no_effect_on_messages_that_are_queued_already() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let port = w.port(b);
    let to_b = w.give_send(b, port, a);
    w.ping(a, to_b);
    assert_eq!(w.on_port(b, port), 0);
    w.set_attributes(b, port, MACH_PORT_DENAP_RECEIVER, &[]).unwrap();
    assert_eq!((w.on_port(b, port), w.boosts(b)), (0, IDLE));
    assert!(!w.take(b, port).raised);
}

// covers importance E8
#[test]
fn a_task_that_never_donates_is_not_even_linked() {
    for app_type in [AppType::DaemonBackground, AppType::None] {
        let mut w = World::new();
        let (g, b) = (w.task_of(app_type, Role::Unspecified), w.adaptive());
        let (_, to_b) = w.donation_path(g, b);
        w.ping(g, to_b);
        assert_eq!((w.boosts(b), w.element_refs(g)), (IDLE, 1), "{app_type:?}");
    }
}

// covers importance E9
#[test]
fn an_unboosted_daemon_is_linked_and_does_not_boost() {
    let mut w = World::new();
    let (c, b) = (w.adaptive(), w.adaptive());
    let (port, to_b) = w.donation_path(c, b);
    w.ping(c, to_b);
    assert_eq!((w.boosts(b), w.element_refs(c), w.on_port(b, port)), (IDLE, 2, 0));
}

// covers importance E10
#[test]
fn a_task_that_receives_no_boosts_gets_no_voucher() {
    let mut w = World::new();
    let (a, s) = (w.app(), w.standard());
    let (port, to_s) = w.donation_path(a, s);
    w.ping(a, to_s);
    assert_eq!((w.boosts(s), w.on_port(s, port)), ((0, (0, 0), 31), 1));
    let receipt = w.take(s, port);
    assert_eq!((receipt.raised, receipt.disposition), (false, Disposition::NONE));
    assert_eq!((w.on_port(s, port), w.element_refs(a), w.inherits(s).len()), (0, 1, 0));
}

// covers importance E11 E12 E13
#[test]
fn all_boosts_of_a_sender_end_with_the_last_reference_to_the_voucher() {
    let (mut w, a, b, port, to_b) = pair();
    (0..3).for_each(|_| w.ping(a, to_b));
    assert_eq!((w.on_port(b, port), w.boosts(b), w.element_refs(a)), (3, (3, (0, 0), 31), 4));
    let vouchers: Vec<_> = (0..3).map(|_| w.take(b, port).voucher).collect();
    assert_eq!(vouchers, [vouchers[0]; 3]);
    assert_eq!(w.refs(b, vouchers[0]), 3);
    let [inherit] = w.inherits(b)[..] else { panic!("one inherit") };
    assert_eq!((counts_of(inherit), w.boosts(b), w.element_refs(a)), ((3, 0, 3, 1, true), (3, (3, 0), 31), 2));
    (0..2).for_each(|_| w.deallocate(b, vouchers[0]).unwrap());
    assert_eq!(w.boosts(b), (3, (3, 0), 31));
    // The registry gives back as many references as it has been given (vouchers 1.7).
    let importance = w.kernel.vouchers.system().registry.control(Key::IMPORTANCE).unwrap();
    assert_eq!(importance.values().map(|(_, value)| value.made()).collect::<Vec<_>>(), [3]);
    w.deallocate(b, vouchers[0]).unwrap();
    assert_eq!((w.boosts(b), w.element_refs(a)), (IDLE, 1));
}

// covers importance E14
#[test]
fn each_sender_has_a_voucher_of_its_own() {
    let (mut w, a, b, port, to_b) = pair();
    let x = w.app();
    let x_to_b = w.give_send(b, port, x);
    w.ping(a, to_b);
    w.ping(x, x_to_b);
    let (v1, v2) = (w.take(b, port).voucher, w.take(b, port).voucher);
    assert_ne!(v1, v2);
    assert_eq!((w.boosts(b), w.element_refs(b)), ((2, (2, 0), 31), 3));
    w.deallocate(b, v1).unwrap();
    assert_eq!(w.boosts(b), AT_WORK);
    w.deallocate(b, v2).unwrap();
    assert_eq!(w.boosts(b), IDLE);
}

// covers importance E15
#[test]
fn user_0_sees_the_counts_and_others_do_not() {
    let (mut w, a, b, port, to_b) = pair();
    w.ping(a, to_b);
    w.take(b, port);
    let ask = [TASK_POLICY_STATE, 16, 0];
    let reply = w.mig(b, b.self_port, abi::mig::task::POLICY_GET, &ask).unwrap();
    let state = PolicyState::read_from_bytes(reply[1..17].as_bytes()).unwrap();
    assert_eq!((state.imp_assertcnt, state.imp_externcnt, state.imp_transitions, state.flags), (1, 1, 1, 1));
    let args = abi::task::TaskSpawnArgs { uid: 7, ..crate::program::spawn_args() };
    let (other, _) = w.spawn(w.init, args).unwrap();
    assert_eq!(w.mig(other, other.self_port, abi::mig::task::POLICY_GET, &ask), Err(KERN_PROTECTION_FAILURE));
}

// covers importance E16
#[test]
fn a_voucher_with_ones_own_importance_boosts_nobody() {
    let mut w = World::new();
    let a = w.app();
    let made = |w: &World| (w.element(a).made(), w.element_refs(a));
    let first = w.make_voucher(a, &[own_importance()]).unwrap();
    assert_eq!((made(&w), w.boosts(a)), ((1, 2), IDLE_APP));
    assert_eq!(w.make_voucher(a, &[own_importance()]), Ok(first));
    assert_eq!((made(&w), w.boosts(a)), ((2, 2), IDLE_APP));
    w.deallocate(a, first).unwrap();
    w.deallocate(a, first).unwrap();
    assert_eq!(made(&w), (0, 1));
}

// covers importance E17 E18
#[test]
fn importance_in_a_header_voucher_is_replaced_or_stripped() {
    let (mut w, a, b, port, to_b) = pair();
    let own = w.make_voucher(a, &[own_importance()]).unwrap();
    let message = Msg::copy_send(to_b).voucher(own, Disposition::COPY_SEND);
    w.send(a, &message).unwrap();
    let receipt = w.take(b, port);
    assert!(receipt.raised);
    assert_eq!((w.boosts(b), w.inherits(b).len(), w.element(a).made()), (AT_WORK, 1, 1));
    w.deallocate(b, receipt.voucher).unwrap();
    w.try_send_with(a, &message, MsgOption::SEND_NOIMPORTANCE).unwrap();
    let empty = Receipt { raised: false, voucher: MACH_PORT_NULL, disposition: Disposition::PORT_SEND };
    assert_eq!(w.take(b, port), empty);
}

// covers importance E19
#[test]
fn the_other_attributes_of_a_header_voucher_stay() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let port = w.port(b);
    let to_b = w.give_send(b, port, a);
    let sent = w.make_voucher(a, &[own_importance(), st(USER_DATA, HELLO)]).unwrap();
    w.send(a, &Msg::copy_send(to_b).voucher(sent, Disposition::MOVE_SEND)).unwrap();
    let receipt = w.take(b, port);
    assert!(!receipt.raised);
    assert!(w.extract(b, receipt.voucher, USER_DATA, 300).unwrap().ends_with(HELLO));
    assert_eq!(w.extract(b, receipt.voucher, MACH_VOUCHER_ATTR_KEY_IMPORTANCE, 300), Ok(vec![]));
    assert_eq!(w.element(a).made(), 0);
}

#[test]
fn a_voucher_tells_where_its_importance_comes_from() {
    let (mut w, a, b, port, to_b) = pair();
    w.ping(a, to_b);
    let voucher = w.take(b, port).voucher;
    let content = |w: &mut World| {
        let (id, words) = (abi::mig::mach_voucher::EXTRACT_ATTR_CONTENT, [MACH_VOUCHER_ATTR_KEY_IMPORTANCE, 200]);
        String::from_utf8(crate::vouchers::routines::bytes(w, b, voucher, id, &words).unwrap()).unwrap()
    };
    let [pid_a, pid_b] = [a, b].map(|actor| w.kernel.tasks[actor.task].credentials.pid);
    let text = content(&mut w);
    let expected = format!("Importance for pid {pid_b} (1 of 1 boosts) donated from pid {pid_a}\0");
    assert!(text.ends_with(&expected), "{text:?}");
    w.end_task(a);
    let text = content(&mut w);
    assert!(text.ends_with("(1 of 1 boosts) linked from pid -1\0"), "{text:?}");
}

#[test]
fn a_donor_message_to_a_waiting_receiver_is_delivered_with_its_importance() {
    let (mut w, a, b, port, to_b) = pair();
    w.receive(b, port, MsgOption::RCV_VOUCHER);
    w.ping(a, to_b);
    let receipt = receipt(&w.received(b));
    assert!(receipt.raised && receipt.voucher.is_valid());
    assert_eq!((w.boosts(b), w.transitions(b)), (AT_WORK, 1));
    w.receive(b, port, MsgOption::empty());
    w.ping(a, to_b);
    // The boost began and ended, and the voucher is still held.
    assert_eq!((w.boosts(b), w.transitions(b)), (AT_WORK, 1));
    w.deallocate(b, receipt.voucher).unwrap();
    assert_eq!(w.boosts(b), IDLE);
}

/// The boost ends then, and the receiver gets the rest of the voucher if that costs nothing (errata 3).
#[test]
fn a_receiver_without_budget_gets_the_voucher_without_importance() {
    for has_the_rest in [true, false] {
        let mut w =
            World::with_limits(kernel::limits::Limits { kernel_bytes_per_task: 32 * 1024, ..Default::default() });
        let (a, b) = (w.app(), w.adaptive());
        let (port, to_b) = w.donation_path(a, b);
        let recipe = if has_the_rest { st(USER_DATA, HELLO) } else { own_importance() };
        let known = if has_the_rest { w.make_voucher(b, &[st(USER_DATA, HELLO)]).unwrap() } else { MACH_PORT_NULL };
        let sent = w.make_voucher(a, &[recipe]).unwrap();
        w.send(a, &Msg::copy_send(to_b).voucher(sent, Disposition::COPY_SEND)).unwrap();
        let own = w.port_with_send(b);
        w.set_qlimit(b, own, 1000).unwrap();
        for size in [1000, 0] {
            while w.try_send(b, &Msg::copy_send(own).body(&vec![0; size])).is_ok() {}
        }
        let expected = Receipt { raised: false, voucher: known, disposition: Disposition::PORT_SEND };
        assert_eq!(w.take(b, port), expected);
        assert_eq!((w.boosts(b), w.inherits(b).len(), w.transitions(b)), (IDLE, 0, 1));
    }
}

/// A plain call to a port without donation goes from thread to thread directly. This one boosts, though the boost ends
/// with its delivery.
#[test]
fn a_plain_call_to_a_port_with_donation_boosts() {
    let (mut w, a, b, port, to_b) = pair();
    w.receive(b, port, MsgOption::empty());
    let reply = w.port(a);
    let bytes = Msg::copy_send(to_b).reply_to(reply, Disposition::MAKE_SEND_ONCE).encode();
    w.put(a, crate::world::BUFFER, &bytes);
    let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
    let (send_size, receive_size) = (bytes.len() as u32, BUFFER_SIZE);
    let call = crate::message::MachMsg { options, send_size, receive_size, receive_name: reply, ..Default::default() };
    assert_eq!(w.mach_msg(a, &call), crate::world::Ret::Blocked);
    assert_eq!(w.state(b).code(), MACH_MSG_SUCCESS);
    assert_eq!((w.boosts(b), w.transitions(b), w.element_refs(a)), (IDLE, 1, 1));
}

#[test]
fn port_attributes_show_in_the_status_and_the_count_in_the_extended_information() {
    let (mut w, a, b, port, to_b) = pair();
    assert_eq!(w.status_flags(b, port), PortStatusFlags::IMP_DONATION);
    (0..2).for_each(|_| w.ping(a, to_b));
    let words = w.get_attributes(b, port, MACH_PORT_INFO_EXT, 17).unwrap();
    assert_eq!(words[10], 2);
    w.set_attributes(b, port, MACH_PORT_TEMPOWNER, &[]).unwrap();
    assert_eq!(w.status_flags(b, port), PortStatusFlags::IMP_DONATION | PortStatusFlags::TEMPOWNER);
    let bare = PortOptions { flags: ConstructFlags::TEMPOWNER.bits(), ..PortOptions::default() };
    let made = w.construct(b, bare, 0).unwrap();
    assert_eq!(w.status_flags(b, made), PortStatusFlags::IMP_DONATION | PortStatusFlags::TEMPOWNER);
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD] {
        assert_eq!(w.set_attributes(b, name, MACH_PORT_TEMPOWNER, &[]), Err(KERN_INVALID_RIGHT));
    }
    assert_eq!(w.set_attributes(a, to_b, MACH_PORT_TEMPOWNER, &[]), Err(KERN_INVALID_RIGHT));
    assert_eq!(w.set_attributes(a, PortName(0x7703), MACH_PORT_TEMPOWNER, &[]), Err(KERN_INVALID_NAME));
}

/// mach-ipc 3.10: the hook runs for a reply of the kernel, with the reply port as the destination.
#[test]
fn a_reply_of_the_kernel_donates_as_if_its_caller_had_sent_it() {
    let mut w = World::new();
    for (caller, boosts) in [(w.standard(), 1), (w.adaptive(), 0)] {
        let port = w.donation_port(caller);
        let request = Msg::copy_send(caller.self_port).id(1).reply_to(port, Disposition::MAKE_SEND_ONCE);
        w.send(caller, &request).unwrap();
        assert_eq!(w.on_port(caller, port), boosts);
        w.poll(caller, port).unwrap();
        assert_eq!(w.on_port(caller, port), 0);
    }
}

// covers mach-ipc G09
#[test]
fn the_option_by_which_the_kernel_boosts_is_ignored_in_a_programs_message() {
    let send_importance = MsgOption::from_bits_retain(0x0008_0000);
    let mut w = World::new();
    let (a, b) = (w.task(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    w.try_send_with(a, &Msg::copy_send(to_b), send_importance).unwrap();
    assert_eq!((w.boosts(b), w.on_port(b, port)), (IDLE, 0));
    assert!(!w.take(b, port).raised);
}
