//! A task that uses up what it may have costs others nothing (errata 4).

use super::tasks::{EXIT_PROGRAM, child};
use super::tests;
use crate::message::{Call, Message, mach_msg_at, port_with_send};
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::{check, time};
use abi::code::*;
use abi::debug::Memory;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::{ExitStatus, PAGE_SIZE};
use abi::{KernReturn, PortName};
use alloc::vec;
use alloc::vec::Vec;
use zerocopy::IntoBytes;

tests! { "exhaustion":
    tasks_that_use_up_their_budgets_leave_others_theirs.limit(120_000),
    a_notification_comes_while_others_use_up_their_budgets.limit(120_000).large(),
    a_port_on_its_way_costs_its_receiver_nothing.limit(60_000),
    a_share_is_there_beside_a_task_that_pins_pages.limit(240_000),
}

/// Tasks that use up their budgets at the same time.
const ATTACKERS: usize = 4;
/// Rights by which a stranger is attacked.
const RIGHTS: usize = 200;

/// A child: says hello, with a copy of a right if there is one.
fn hello(right: Option<PortName>) -> Message {
    let hello = Message::copy_send(task::bootstrap_port());
    right.map_or(hello.clone(), |right| hello.port(right, D::COPY_SEND))
}

/// A child: makes ports until its budget is used up, and stays.
pub(super) fn use_up_budget() {
    let to_parent = task::bootstrap_port();
    while port::allocate(MACH_PORT_RIGHT_RECEIVE).is_ok() {}
    // While its parent waits, a message needs no budget.
    while Message::copy_send(to_parent).send_within(0).is_err() {
        time::sleep(1);
    }
    time::sleep(1_000_000);
}

/// Starts tasks that use up their budgets, and waits until they have said so at `meeting`.
fn attackers(meeting: &Port, exit: &Port) -> Vec<PortName> {
    let start = |_| {
        let spawn = child("use-up-budget").bootstrap(meeting.name()).exit_port(exit.name());
        let task = spawn.start().expect("there is room for another task");
        Message::receive(meeting.name()).expect("its budget is used up").destroy();
        task
    };
    (0..ATTACKERS).map(start).collect()
}

fn end(tasks: Vec<PortName>, exit: &Port) {
    for task in tasks {
        task::terminate(task).expect("the task sleeps");
        task::wait_for_exit(exit.name()).expect("the task ends");
        port::deallocate(task).expect("the name exists");
    }
}

/// Sends a message of `size` bytes to a port of this task and receives it.
fn exchange(to: &Port, size: u32) -> Result<(), KernReturn> {
    let mut bytes = vec![0u64; (size as usize + MAX_TRAILER_SIZE).div_ceil(8)];
    let address = bytes.as_mut_ptr() as u64;
    let bits = msgh_bits(D::COPY_SEND, D::NONE, D::NONE, HeaderFlags::empty());
    let header = Header { msgh_bits: bits, msgh_remote_port: to.name(), ..Header::default() };
    bytes.as_mut_bytes()[..Header::SIZE].copy_from_slice(header.as_bytes());
    let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
    mach_msg_at(address, &Call { options, send_size: size, ..Call::default() }).ok()?;
    let (options, receive_size) = (MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT, 8 * bytes.len() as u32);
    mach_msg_at(address, &Call { options, receive_size, receive_name: to.name(), ..Call::default() }).ok()
}

/// Checks that this task can do what it could do before.
fn check_that_all_goes_on(port: &Port) {
    for size in [24, 280, 512, 4096, 16_384, 65_536] {
        check::equal("a message", exchange(port, size), Ok(()));
    }
    let exit = Port::new();
    let task = Spawn::image(&EXIT_PROGRAM).exit_port(exit.name()).start().expect("a task starts");
    let status = task::wait_for_exit(exit.name()).expect("the task ends");
    check::equal("its status", status, ExitStatus::exited(42));
    port::deallocate(task).expect("the name exists");
    let at = task::allocate(16 * PAGE_SIZE).expect("there is memory");
    task::deallocate(at, 16 * PAGE_SIZE).expect("the memory is there");
}

fn tasks_that_use_up_their_budgets_leave_others_theirs() {
    let (exit, port, meeting) = (Port::new(), port_with_send(), port_with_send());
    check_that_all_goes_on(&port);
    let before = task::counts();
    let tasks = attackers(&meeting, &exit);
    check_that_all_goes_on(&port);
    end(tasks, &exit);
    check_that_all_goes_on(&port);
    check::equal("the counts", task::counts(), before);
}

/// A child: asks its parent for a right and holds it.
pub(super) fn hold_right() {
    hello(None).rpc().expect("the right comes");
    time::sleep(1_000_000);
}

fn a_notification_comes_while_others_use_up_their_budgets() {
    let (meeting, reply, exit) = (port_with_send(), Port::new(), Port::new());
    let spawn = child("hold-right").bootstrap(meeting.name()).exit_port(exit.name());
    let holder = spawn.start().expect("the child starts");
    let asked = Message::receive(meeting.name()).expect("the child asks");
    Message::reply(&asked).port(reply.name(), D::MAKE_SEND_ONCE).send().expect("the child waits");
    let attacking = Port::new();
    let tasks = attackers(&meeting, &attacking);
    end(vec![holder], &exit);
    let message = Message::receive_within(reply.name(), 10_000).expect("the right has ended");
    check::equal("the message", message.message_id(), MACH_NOTIFY_SEND_ONCE);
    end(tasks, &attacking);
}

/// A child: shows its parent a port from which it does not receive, and says when asked whether it can make another.
pub(super) fn be_a_stranger() {
    let (service, orders) = (port_with_send(), port_with_send());
    hello(Some(service.name())).port(orders.name(), D::COPY_SEND).send().expect("the parent receives");
    loop {
        let order = Message::receive(orders.name()).expect("an order comes");
        let made = port::allocate(MACH_PORT_RIGHT_RECEIVE).map_or_else(|code| code, |_| KERN_SUCCESS);
        let queued = exchange(&orders, 1024).map_or_else(|code| code, |()| KERN_SUCCESS);
        Message::reply(&order).words(&[made.0 as u32, queued.0 as u32]).send().expect("the parent waits");
    }
}

fn a_port_on_its_way_costs_its_receiver_nothing() {
    let (meeting, exit) = (port_with_send(), Port::new());
    let spawn = child("be-a-stranger").bootstrap(meeting.name()).exit_port(exit.name());
    let stranger = spawn.start().expect("the child starts");
    let shown = Message::receive(meeting.name()).expect("the child shows its ports");
    let [service, orders] = [0, 1].map(|number| shown.descriptor(number).name);
    let ask = || {
        let answer = Message::copy_send(orders).rpc().expect("the stranger answers");
        [answer.word(0), answer.word(1)].map(|code| KernReturn(code as i32))
    };
    check::equal("before", ask(), [KERN_SUCCESS; 2]);
    let travelling = Port::new().into_name();
    let once: Vec<PortName> = (0..RIGHTS)
        .map(|_| {
            Message::copy_send(meeting.name()).port(travelling, D::MAKE_SEND_ONCE).send().expect("there is room");
            Message::receive(meeting.name()).expect("it is there").descriptor(0).name
        })
        .collect();
    Message::copy_send(service).port(travelling, D::MOVE_RECEIVE).send().expect("there is room");
    let mut sent = 0;
    for &right in &once {
        let mut large = vec![0u64; 65_536 / 8];
        let bits = msgh_bits(D::MOVE_SEND_ONCE, D::NONE, D::NONE, HeaderFlags::empty());
        let header = Header { msgh_bits: bits, msgh_remote_port: right, ..Header::default() };
        large.as_mut_bytes()[..Header::SIZE].copy_from_slice(header.as_bytes());
        let call = Call { options: MsgOption::SEND_MSG, send_size: 65_536, ..Call::default() };
        if mach_msg_at(large.as_mut_ptr() as u64, &call) != MACH_MSG_SUCCESS {
            break;
        }
        sent += 1;
    }
    check::that("messages are sent until the budget of this task is used up", (1..RIGHTS).contains(&sent));
    // A call needs a reply port, for which the last budget went.
    let names = once[sent..].iter();
    names.for_each(|&name| port::destroy_right(name, D::PORT_SEND_ONCE));
    check::equal("meanwhile", ask(), [KERN_SUCCESS; 2]);
    end(vec![stranger], &exit);
}

/// Sends a message of this many bytes by a send-once right, so that the queue has no limit.
fn send_sized(to: &Port, size: usize) -> Result<(), KernReturn> {
    static ZEROS: [u8; 2048] = [0; 2048];
    Message::to(to.name(), D::MAKE_SEND_ONCE).bytes(&ZEROS[..size]).send()
}

/// Messages of these sizes have buffers of different classes. Of each so many, which are more than a page has, one is kept.
const PINNED: [(usize, usize); 6] = [(200, 14), (300, 10), (400, 8), (600, 6), (720, 5), (900, 4)];

/// A child: uses up its budget with messages of one size after the other, keeps few of them, and stays.
pub(super) fn pin_pages() {
    let (kept, given) = (port_with_send(), port_with_send());
    for (size, every) in PINNED {
        let mut sent = 0usize;
        while send_sized(if sent.is_multiple_of(every) { &kept } else { &given }, size).is_ok() {
            sent += 1;
        }
        for _ in 0..sent - sent.div_ceil(every) {
            Message::receive(given.name()).expect("it is there").destroy();
        }
    }
    while Message::copy_send(task::bootstrap_port()).send_within(0).is_err() {
        time::sleep(1);
    }
    time::sleep(1_000_000);
}

/// A child: when it is asked, makes as many ports as it can, and says how many.
pub(super) fn use_share() {
    let orders = port_with_send();
    hello(Some(orders.name())).send().expect("the parent receives");
    let order = Message::receive(orders.name()).expect("an order comes");
    let mut made = 0;
    while port::allocate(MACH_PORT_RIGHT_RECEIVE).is_ok() {
        made += 1;
    }
    Message::reply(&order).words(&[made]).send().expect("the parent waits");
    time::sleep(1_000_000);
}

/// Bytes of holes between objects, and of short runs of pages, that are there at any time.
const HOLES: u64 = 512 << 10;

fn a_share_is_there_beside_a_task_that_pins_pages() {
    let share = |pins: bool| {
        let (meeting, exit) = (port_with_send(), Port::new());
        let with_share = |name, spawn: fn(Spawn) -> Spawn| {
            let spawn = spawn(child(name).bootstrap(meeting.name()).exit_port(exit.name()));
            let task = spawn.start().expect("the child starts");
            (task, Message::receive(meeting.name()).expect("the child is there"))
        };
        let (honest, hello) = with_share("use-share", Spawn::half);
        let mut tasks = vec![honest];
        if pins {
            tasks.push(with_share("pin-pages", Spawn::most).0);
            // Nobody is ready now, so that a round of compaction comes to its end.
            time::sleep(100);
        }
        let made = Message::copy_send(hello.descriptor(0).name).rpc().expect("the child answers").word(0);
        let Memory { free, largest, .. } = task::kernel_memory();
        check::that("what is free is not in holes", free - largest < HOLES);
        end(tasks, &exit);
        made
    };
    let alone = share(false);
    check::equal("ports", share(true), alone);
}
