//! Threads: suspending themselves, ending, and being found.

use crate::message::Msg;
use crate::world::{Ret, World};
use abi::message::MsgOption;
use abi::mig::thread_act;
use abi::trap::{mach, tally};

#[test]
fn a_thread_that_suspends_itself_stops_until_it_is_resumed_as_often_as_it_was_suspended() {
    let mut w = World::new();
    let a = w.task();
    let other = w.thread(a);
    let name = w.trap(a, mach::THREAD_SELF, &[]).name();
    let suspend = Msg::copy_send(name).id(thread_act::SUSPEND);
    assert_eq!(w.send_with(a, &suspend, MsgOption::empty(), 0), Ret::Blocked);
    assert!(w.kernel.sched[a.thread].is_suspended());
    w.send(other, &Msg::copy_send(name).id(thread_act::SUSPEND)).unwrap();
    for suspensions in [2, 1] {
        assert_eq!((w.kernel.sched[a.thread].suspend_count(), w.state(a)), (suspensions, Ret::Blocked));
        w.send(other, &Msg::copy_send(name).id(thread_act::RESUME)).unwrap();
    }
    assert_eq!(w.kernel.sched[a.thread].suspend_count(), 0);
    assert!(w.kernel.sched[a.thread].can_go_on());
}

#[test]
fn the_registers_of_a_thread_are_found_as_long_as_it_lives() {
    let mut w = World::new();
    let a = w.task();
    let other = w.thread(a);
    assert!(w.kernel.frame_if_alive(other.thread).is_some());
    w.start_trap(other, tally::THREAD_EXIT, &[]);
    assert!(w.kernel.frame_if_alive(other.thread).is_none());
}
