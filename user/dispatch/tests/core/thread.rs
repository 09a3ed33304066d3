//! How a thread takes on priorities and vouchers (dispatch 1.9, 2.4).

use super::support::*;
use dispatch::activity::{ActivityMode, Parent, create_voucher};
use dispatch::qos::{Base, ItemPriority, Override, Priority, Qos, QueuePriority};
use dispatch::sys::SetSelf;
use dispatch::thread::{self, QosScope};
use dispatch::voucher::{self, Capture, Voucher, VoucherScope};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Returns a voucher that a message of the task to itself brought.
fn own_voucher(task: &Task) -> Arc<Voucher> {
    let (app, daemon) = (task, another(task, dispatch::sys::mock::TaskSpec::DAEMON));
    let port = daemon.port_of(app);
    daemon.run(|| daemon.send(port, None)).expect("it is sent");
    app.receive_voucher().expect("it has a voucher")
}

// covers dispatch AE-67
#[test]
fn adopting_what_the_thread_has_calls_nothing_and_drops_the_reference() {
    let app = app();
    let x = own_voucher(&app);
    voucher::replace(Some(x.clone()));
    let calls = app.mock.calls();
    let count = Arc::strong_count(&x);
    voucher::replace(Some(x.clone()));
    thread::set(Priority::NONE, Capture::Set(x.clone()));
    assert_eq!(app.mock.calls(), calls);
    assert_eq!(Arc::strong_count(&x), count);
    assert!(voucher::is_current(Some(&x)));
}

// covers dispatch AE-68
#[test]
fn an_activity_of_the_current_voucher_changes_nothing_in_the_kernel() {
    let app = app();
    voucher::replace(Some(own_voucher(&app)));
    let (calls, before) = (app.mock.calls(), app.mock.kernel_voucher());
    let activity = create_voucher(Parent::Current, ActivityMode::empty(), b"");
    let id = activity.identity().activity;
    voucher::replace(Some(activity));
    assert_eq!(app.mock.calls(), calls);
    assert_eq!(dispatch::activity::current().activity, id);
    assert_eq!(app.mock.kernel_voucher(), before);
    assert!(before.is_some());
}

// covers dispatch AE-69
#[test]
fn class_and_voucher_change_in_one_call() {
    let app = app();
    app.mock.start_at(BG);
    thread::set_base(Base::NONE.enter(&QueuePriority::root(Qos::DEFAULT)));
    let x = own_voucher(&app);
    let calls = app.mock.calls();
    thread::adopt(ItemPriority::plain(IN), Capture::Set(x.clone()));
    assert_eq!(app.mock.calls(), calls + 1);
    let both = SetSelf { priority: Some(IN), voucher: Some(x.kernel_name()) };
    assert_eq!(app.mock.this_thread().last_change, Some(both));
    assert_eq!(thread::requested(), IN);
}

// covers dispatch AE-70
#[test]
fn adopting_the_current_voucher_returns_it_with_one_more_reference() {
    let app = app();
    let x = own_voucher(&app);
    voucher::replace(Some(x.clone()));
    let (count, calls) = (Arc::strong_count(&x), app.mock.calls());
    let current = voucher::copy();
    assert!(current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &x)));
    assert_eq!(Arc::strong_count(&x), count + 1);
    assert!(voucher::is_current(Some(&x)), "the thread keeps it");
    assert_eq!(app.mock.calls(), calls);
    drop(current);
    assert_eq!(Arc::strong_count(&x), count);
}

// covers dispatch AE-71
#[test]
fn a_thread_that_ends_gives_its_voucher_up() {
    let app = app();
    let sender = another(&app, dispatch::sys::mock::TaskSpec::DAEMON);
    let port = sender.port_of(&app);
    sender.run(|| sender.send(port, None)).expect("it is sent");
    let before = app.counts();
    let weak = app.run(|| {
        let x = app.receive_voucher().expect("it has a voucher");
        let weak = Arc::downgrade(&x);
        voucher::replace(Some(x));
        assert!(app.mock.this_thread().has_voucher());
        weak
    });
    assert!(weak.upgrade().is_none());
    assert_eq!(app.counts(), before);
    assert_eq!(app.mock.vouchers(), 1, "the sender's default voucher is left");
}

#[test]
fn no_class_leaves_the_priority_and_flags_stay_with_the_thread() {
    let app = app();
    app.mock.start_at(UT.with_flags(Priority::OVERCOMMIT));
    thread::set(Priority::NONE, Capture::Keep);
    thread::set(UT, Capture::Keep);
    assert_eq!(app.mock.calls(), 0, "the thread type is no difference");
    thread::set(IN, Capture::Keep);
    assert_eq!(app.mock.this_thread().requested, IN.with_flags(Priority::OVERCOMMIT));
    assert_eq!(thread::requested(), IN.with_flags(Priority::OVERCOMMIT));
}

#[test]
fn a_thread_outside_of_qos_stays_outside() {
    let app = app();
    thread::set(IN, Capture::Keep);
    assert_eq!((app.mock.calls(), thread::requested()), (0, Priority::NONE));
    thread::set_qos_class_self(Qos::Utility, -3).expect("the class is valid");
    assert_eq!(thread::qos_class_self(), (Qos::Utility, -3));
    thread::set(IN, Capture::Keep);
    assert_eq!(thread::requested(), IN, "it is within now");
}

#[test]
fn the_public_call_refuses_what_is_out_of_range() {
    let app = app();
    app.mock.start_at(UT);
    for (class, relative) in [(Qos::Utility, -16), (Qos::Utility, 1), (Qos::Unspecified, 0)] {
        assert_eq!(thread::set_qos_class_self(class, relative), Err(thread::InvalidArgument));
    }
    assert_eq!((app.mock.calls(), thread::requested()), (0, UT));
}

#[test]
fn the_new_voucher_is_in_force_before_the_old_one_goes() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    app.run(|| {
        let x = create_voucher(Parent::None, ActivityMode::empty(), b"x");
        let y = create_voucher(Parent::None, ActivityMode::empty(), b"y");
        for voucher in [x, y] {
            app.send(port, Some(&voucher)).expect("it is sent");
        }
    });
    daemon.process.enter();
    voucher::replace(daemon.receive_voucher());
    assert_eq!(daemon.mock.boosts(), 2, "one held, one on its way");
    // Both vouchers hold the boosts of one pair. If the first went before the second came, they would end.
    voucher::replace(daemon.receive_voucher());
    assert_eq!(daemon.mock.boosts(), 2);
    voucher::replace(None);
    assert_eq!(daemon.mock.boosts(), 0, "all at once");
}

#[test]
fn parking_gives_voucher_and_kernel_voucher_up_in_one_call() {
    let app = app();
    let x = own_voucher(&app);
    voucher::replace(Some(x.clone()));
    let calls = app.mock.calls();
    thread::clear_for_park();
    assert_eq!(app.mock.calls(), calls + 1);
    assert!(voucher::copy().is_none() && !app.mock.this_thread().has_voucher());
    assert_eq!(Arc::strong_count(&x), 1);
    thread::clear_for_park();
    assert_eq!(app.mock.calls(), calls + 1, "there is nothing left to clear");
}

#[test]
fn an_activity_alone_has_no_voucher_in_the_kernel() {
    let app = app();
    voucher::replace(Some(own_voucher(&app)));
    voucher::replace(Some(create_voucher(Parent::None, ActivityMode::empty(), b"")));
    assert!(!app.mock.this_thread().has_voucher(), "not the default voucher either");
}

#[test]
fn a_scope_restores_class_and_voucher_in_one_call() {
    let app = app();
    app.mock.start_at(BG);
    let x = own_voucher(&app);
    let calls = app.mock.calls();
    {
        let _scope = QosScope::new(IN, Capture::Set(x.clone()));
        assert_eq!(app.mock.calls(), calls + 1);
        assert!(voucher::is_current(Some(&x)) && thread::requested() == IN);
        let _inner = QosScope::new(UT, Capture::Keep);
        assert!(voucher::is_current(Some(&x)) && thread::requested() == UT);
    }
    assert_eq!(app.mock.calls(), calls + 4);
    assert_eq!((thread::requested(), voucher::copy().is_none()), (BG, true));
}

#[test]
fn a_base_scope_restores_the_base_but_for_the_override() {
    let _app = app();
    let outer = thread::enter_base(&QueuePriority::root(Qos::Utility));
    let word = thread::base().word();
    {
        let _inner = thread::enter_base(&QueuePriority::of(IN));
        assert_eq!(thread::base().word().requested, IN);
        thread::set_base(thread::base().overridden(Override::Class(Qos::UserInitiated)));
    }
    assert_eq!(thread::base().word(), word);
    assert_eq!(thread::base().over, Override::Class(Qos::UserInitiated));
    drop(outer);
    assert!(!thread::base().is_draining());
}

#[test]
#[cfg(debug_assertions)]
fn scopes_that_end_in_the_wrong_order_are_noticed() {
    let _app = app();
    let first = VoucherScope::new(None);
    let second = VoucherScope::new(None);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(first))).is_err());
    std::mem::forget(second);
}

#[test]
fn a_started_thread_belongs_to_the_process_and_has_its_priority() {
    let app = app();
    let (sender, receiver) = std::sync::mpsc::channel();
    let process = app.process;
    let name = thread::start(process, "worker", UT, move || {
        let same = std::ptr::eq(dispatch::process::process(), process);
        sender.send((same, thread::requested(), process.kernel.thread_self())).expect("the test waits");
    });
    let (same, requested, own) = receiver.recv().expect("the thread answers");
    assert!(same);
    assert_eq!((requested, Ok(own)), (UT, name));
}
