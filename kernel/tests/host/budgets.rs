//! The budgets of kernel memory: which task is charged for an object, and until when (mach-ipc 8.1 S14, limits.rs).

use crate::calls::CHOSEN_NAME;
use crate::message::Msg;
use crate::program::spawn_args;
use crate::world::{Actor, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use kernel::heap::{footprint, footprint_of_part, footprint_of_single};
use kernel::ids::tag;
use kernel::ipc::message::{Descriptor, Message, NOTICE_COST, SmallBuffer};
use kernel::ipc::port::Port;
use kernel::ipc::port_set::{Membership, PortSet};
use kernel::ipc::request::Request;
use kernel::limits::{Limits, TASKS_MAX};
use kernel::sched::thread::Thread;
use kernel::step::WORK_COST;
use store::Arena;
use voucher::importance::MessageLink;

/// Creates a world in which the budget of each task is 32 KiB.
fn world_with_small_budget() -> World {
    World::with_limits(Limits { kernel_bytes_per_task: 32 * 1024, ..Limits::default() })
}

#[test]
fn receiving_a_message_returns_its_kernel_memory_to_the_budget() {
    let mut w = world_with_small_budget();
    let a = w.task();
    let port = w.port_with_send(a);
    let before = w.used(a.task);
    for size in [4, 400] {
        let message = Msg::copy_send(port).port(port, D::COPY_SEND).port(port, D::COPY_SEND).body(&vec![0; size]);
        for _ in 0..1000 {
            w.send(a, &message).unwrap();
            w.poll(a, port).unwrap();
            w.mod_refs(a, port, MACH_PORT_RIGHT_SEND, -2).unwrap();
        }
    }
    assert_eq!(w.used(a.task), before);
}

/// A notification needs no room in a queue. Without a charge, a task that drops send-once rights to its own port could
/// use up the kernel's memory (mach-ipc 8.1 S14). It pays when it makes the right.
#[test]
fn notifications_are_charged_to_the_task_that_receives_them() {
    let mut w = world_with_small_budget();
    let a = w.task();
    let port = w.port(a);
    w.warm_up(a, port);
    let (before, messages) = (w.used(a.task), w.counts().messages);
    let drop_send_once = |w: &mut World| {
        w.insert_right(a, CHOSEN_NAME, port, D::MAKE_SEND_ONCE)?;
        w.deallocate(a, CHOSEN_NAME)
    };
    let refused = (0..1000).find_map(|_| drop_send_once(&mut w).err());
    assert_eq!(refused, Some(KERN_RESOURCE_SHORTAGE));
    let queued = w.status(a, port).mps_msgcount;
    assert!((10..100).contains(&queued), "{queued}");
    assert_eq!(w.counts().messages, messages + u64::from(queued));
    (0..queued).for_each(|_| assert_eq!(w.notification(a, port, MACH_NOTIFY_SEND_ONCE), 0));
    assert_eq!(w.counts().messages, messages);
    assert!(w.used(a.task) <= before);
    drop_send_once(&mut w).unwrap();
    w.notification(a, port, MACH_NOTIFY_SEND_ONCE);
}

#[test]
fn a_chosen_name_beyond_the_budget_is_refused_without_a_charge() {
    let mut w = world_with_small_budget();
    let a = w.task();
    let port = w.port(a);
    let before = w.used(a.task);
    // A table with this index is larger than the whole budget.
    let far = PortName::new(5000, 3);
    assert_eq!(w.insert_right(a, far, port, D::MAKE_SEND_ONCE), Err(KERN_RESOURCE_SHORTAGE));
    w.notification(a, port, MACH_NOTIFY_SEND_ONCE);
    let allocate_name = abi::mig::mach_port::ALLOCATE_NAME;
    let words = [MACH_PORT_RIGHT_DEAD_NAME, far.0];
    assert_eq!(w.mig(a, a.self_port, allocate_name, &words), Err(KERN_RESOURCE_SHORTAGE));
    assert_eq!(w.used(a.task), before);
}

/// A table grows by so many entries.
const TABLE_GROWTH: u32 = 64;

/// A table that would have to grow more than once grows as far as it must or not at all.
#[test]
fn the_nearest_chosen_name_that_the_budget_does_not_allow_costs_nothing() {
    let allocate = |index: u32| {
        let mut w = world_with_small_budget();
        let a = w.task();
        let cost = |w: &World| w.used(a.task);
        let before = cost(&w);
        let words = [MACH_PORT_RIGHT_DEAD_NAME, PortName::new(index, 3).0];
        let made = w.mig(a, a.self_port, abi::mig::mach_port::ALLOCATE_NAME, &words).map(|_| ());
        (made, cost(&w) - before)
    };
    let mut cost_before = 0;
    for growths in 1.. {
        let (first, last) = (growths * TABLE_GROWTH, (growths + 1) * TABLE_GROWTH - 1);
        let ((made, cost), other) = (allocate(first), allocate(last));
        assert_eq!((made, cost), other, "the entries {first} and {last} need equally many");
        if made.is_err() {
            assert_eq!((made, cost), (Err(KERN_RESOURCE_SHORTAGE), 0), "entry {first}");
            assert!(growths > 2, "the table grew more than once");
            break;
        }
        assert!(cost > cost_before, "entry {first} needs one growth more than {}", first - 1);
        cost_before = cost;
    }
}

/// Registers a request on each of these names and cancels them all; returns the number of allocations for it.
fn allocations_for_requests(w: &mut World, a: Actor, names: &[PortName], notify: PortName) -> u64 {
    w.checked = false;
    store::failpoints::arm(None);
    for &name in names {
        w.request(a, name, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    }
    let allocations = store::failpoints::disarm();
    for &name in names {
        let previous = w.request(a, name, MACH_NOTIFY_DEAD_NAME, 0, (MACH_PORT_NULL, D::NONE)).unwrap();
        w.deallocate(a, previous).unwrap();
        w.notification(a, notify, MACH_NOTIFY_SEND_ONCE);
    }
    allocations
}

/// A port whose requests are cancelled keeps no memory for new ones, since no budget is charged for it any more: the
/// second round on the same port needs as many allocations as the first.
#[test]
fn a_port_keeps_no_memory_of_cancelled_requests() {
    let mut w = World::new();
    let a = w.task();
    let notify = w.port(a);
    let mut send_once_names = || -> Vec<PortName> {
        let port = w.port(a);
        let chosen = |n| PortName::new(400 + port.index() * 64 + n, 3);
        let insert = |n| w.insert_right(a, chosen(n), port, D::MAKE_SEND_ONCE).map(|()| chosen(n)).unwrap();
        (0..60).map(insert).collect()
    };
    let (first, second) = (send_once_names(), send_once_names());
    let _ = allocations_for_requests(&mut w, a, &first, notify);
    let fresh_port = allocations_for_requests(&mut w, a, &second, notify);
    assert_eq!(fresh_port, allocations_for_requests(&mut w, a, &second, notify));
}

/// A client that sends requests and never receives the replies uses up its own budget (mach-ipc 8.1 S10).
#[test]
fn replies_are_charged_to_the_client() {
    let mut w = world_with_small_budget();
    let (server, greedy, client) = (w.task(), w.task(), w.task());
    let (service, send_right) = w.connect(greedy, server);
    let other_send_right = w.give_send(server, service, client);
    let serve = |w: &mut World, who: Actor, send_right: PortName, reply: PortName| {
        w.send(who, &Msg::copy_send(send_right).reply_to(reply, D::MAKE_SEND_ONCE))?;
        let to = w.poll(server, service)?.header.msgh_remote_port;
        let answered = w.send(server, &Msg::to(to, D::MOVE_SEND_ONCE).body(&[0; 1024]));
        if answered.is_err() {
            w.deallocate(server, w.received(server).header.msgh_remote_port)?;
        }
        answered
    };
    let before = w.used(server.task);
    let reply = w.port(greedy);
    let refused = (0..100).find_map(|_| serve(&mut w, greedy, send_right, reply).err());
    assert_eq!(refused, Some(MACH_SEND_NO_BUFFER));
    assert_eq!(w.used(server.task), before);
    let reply = w.port(client);
    assert_eq!(serve(&mut w, client, other_send_right, reply), Ok(()));
}

#[test]
fn destroying_a_port_returns_its_kernel_memory_to_the_budget() {
    let mut w = world_with_small_budget();
    let a = w.task();
    let before = (w.used(a.task), w.counts());
    let options = PortOptions { flags: ConstructFlags::INSERT_SEND_RIGHT.bits(), ..PortOptions::default() };
    for _ in 0..1000 {
        let port = w.construct(a, options, 5).unwrap();
        w.request(a, port, MACH_NOTIFY_NO_SENDERS, 1, (port, D::MAKE_SEND_ONCE)).unwrap();
        w.request(a, port, MACH_NOTIFY_DEAD_NAME, 0, (port, D::MAKE_SEND_ONCE)).unwrap();
        w.destruct(a, port, -1, 0).unwrap();
    }
    assert_eq!((w.used(a.task), w.counts()), before);
}

/// What an object costs is what its record takes of the heap, and the places on the work list that it reserves.
#[test]
fn an_object_costs_what_it_takes_of_the_heap_and_its_places_on_the_work_list() {
    fn part_of_chunk<T, Tag>() -> usize {
        footprint_of_part(Arena::<T, 64, Tag>::OBJECT_SIZE, 64)
    }
    let mut w = World::new();
    let a = w.task();
    let mut cost = |make: &mut dyn FnMut(&mut World)| {
        let before = w.used(a.task);
        make(&mut w);
        w.used(a.task) - before
    };
    let (mut port, mut set) = (MACH_PORT_NULL, MACH_PORT_NULL);
    let port_cost = footprint_of_single::<Port>() + 2 * WORK_COST;
    assert_eq!(cost(&mut |w| port = w.port(a)), port_cost);
    assert_eq!(
        cost(&mut |w| set = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap()),
        part_of_chunk::<PortSet, tag::PortSet>() + WORK_COST
    );
    assert_eq!(cost(&mut |w| w.insert_member(a, port, set).unwrap()), part_of_chunk::<Membership, tag::Membership>());
    let request = |w: &mut World| {
        w.insert_right(a, port, port, D::MAKE_SEND).unwrap();
        w.request(a, port, MACH_NOTIFY_SEND_POSSIBLE, 0, (port, D::MAKE_SEND_ONCE)).unwrap();
    };
    assert_eq!(cost(&mut { request }), part_of_chunk::<Request, tag::Request>() + NOTICE_COST);
    let record = footprint_of_single::<Message>() + footprint_of_single::<MessageLink>() + WORK_COST;
    assert_eq!(cost(&mut |w| w.send(a, &Msg::copy_send(port)).unwrap()), record + footprint(size_of::<SmallBuffer>()));
    let with_right = Msg::copy_send(port).port(port, D::COPY_SEND).body(&[0; 1000]);
    let bytes = Header::SIZE + 4 + PortDescriptor::SIZE + 1000 + MAX_TRAILER_SIZE;
    assert_eq!(
        cost(&mut |w| w.send(a, &with_right).unwrap()),
        record + footprint(bytes) + footprint(size_of::<Descriptor>())
    );
    assert_eq!(cost(&mut |w| assert_ne!(w.thread(a).thread, a.thread)), footprint_of_single::<Thread>() + port_cost);
}

#[test]
fn there_is_a_limited_number_of_tasks() {
    let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 17, ..Limits::default() });
    w.checked = false;
    let init = w.init;
    let mut spawn = || w.start_spawn(init, spawn_args());
    // Init is one of them.
    (1..TASKS_MAX).for_each(|_| assert!(spawn().is_ok()));
    assert_eq!(spawn(), Err(KERN_RESOURCE_SHORTAGE));
    assert_eq!(w.counts().tasks, TASKS_MAX as u64);
    let newest = w.newest_task();
    w.exit(newest);
    assert!(w.start_spawn(init, spawn_args()).is_ok(), "a task that has ended makes room");
}
