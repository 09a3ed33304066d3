//! Threads that serve sets with many members (importance 7.5, docs/deviations.md).

use crate::pushes::{LEGACY, base, post, request, serve};
use crate::world::World;
use abi::code::*;
use abi::message::*;
use abi::port::*;
use abi::qos::Qos;
use kernel::limits::SERVED_MEMBERS_MAX;

/// A receive that finds its message too large leaves it in the queue, and moves the member to the end of the order. Then
/// another member is among the first, whose messages raise the servicer.
#[test]
fn a_message_that_stays_because_it_is_too_large_lets_another_member_count() {
    let mut w = World::new();
    let a = w.task();
    request(&mut w, a, Qos::Legacy);
    let (set, other) = (w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap(), w.thread(a));
    serve(&mut w, a, set);
    for at in 0..=SERVED_MEMBERS_MAX {
        let port = w.port(a);
        w.insert_member(other, port, set).unwrap();
        let class = if at < SERVED_MEMBERS_MAX { Qos::Utility } else { Qos::UserInitiated };
        post(&mut w, other, port, class);
    }
    assert_eq!(base(&w, a), LEGACY, "the last member is one too many");
    let too_large = w.poll_with(a, set, MsgOption::RCV_LARGE, 0);
    assert_eq!(too_large.map(|_| ()), Err(MACH_RCV_TOO_LARGE));
    assert_eq!(base(&w, a), 37);
}
