//! The trap `inspect`: its records say what is so, and its errors and bounds.

use crate::program::spawn_args;
use crate::world::{Actor, BUFFER, RESULT, Ret, World};
use abi::KernReturn;
use abi::code::*;
use abi::inspect::*;
use abi::message::MsgOption;
use abi::task::TaskSpawnArgs;
use abi::trap::tally;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Room for the records of one call.
const ROOM: u64 = 8192;

/// Makes one call and returns the cursor after it and the bytes of the records.
fn call(w: &mut World, a: Actor, kind: u32, argument: u64, cursor: Cursor, room: u64) -> Result<Cursor, KernReturn> {
    w.put(a, RESULT, cursor.as_bytes());
    let arguments = [kind.into(), INSPECT_VERSION.into(), argument, a.memory + RESULT, a.memory + BUFFER, room];
    w.call(a, tally::INSPECT, &arguments)?;
    Ok(Cursor::read_from_bytes(&w.get(a, RESULT, size_of::<Cursor>())).unwrap())
}

/// Returns all records of a kind, with room for `room` bytes in each call.
fn list_with<R: FromBytes>(w: &mut World, a: Actor, kind: u32, argument: u64, room: u64) -> Vec<R> {
    let (mut records, mut cursor) = (Vec::new(), Cursor::new_zeroed());
    while cursor.place != Cursor::END {
        cursor = call(w, a, kind, argument, cursor, room).unwrap();
        let size = size_of::<R>();
        let bytes = w.get(a, BUFFER, size * cursor.records as usize);
        records.extend(bytes.chunks(size).map(|record| R::read_from_bytes(record).unwrap()));
    }
    records
}

fn list<R: FromBytes>(w: &mut World, a: Actor, kind: u32, argument: u64) -> Vec<R> {
    list_with(w, a, kind, argument, ROOM)
}

fn pid(w: &World, a: Actor) -> u32 {
    w.kernel.tasks[a.task].credentials.pid
}

#[test]
fn the_records_tell_who_is_boosted_by_whom_and_through_which_message() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    let init = w.init;
    let (app, daemon) = (pid(&w, a), pid(&w, b));
    let tasks: Vec<TaskRecord> = list(&mut w, init, kind::TASKS, 0);
    let task = |pid| *tasks.iter().find(|task| task.pid == pid).unwrap();
    assert_eq!((task(daemon).boosts, task(daemon).external), (1, 0));
    assert_eq!(task(daemon).flags & (TASK_BOOSTED | TASK_DONOR | TASK_ENDED), TASK_BOOSTED | TASK_DONOR);
    assert_eq!(task(app).flags & (TASK_BOOSTED | TASK_DONOR), TASK_DONOR);
    assert_eq!((task(daemon).parent, task(daemon).threads), (pid(&w, init), 1));

    let names: Vec<NameRecord> = list(&mut w, init, kind::NAMES, daemon.into());
    assert_eq!(names.len() as u32, task(daemon).names);
    let name = names.iter().find(|name| name.name == port.0).unwrap();
    let ports: Vec<PortRecord> = list(&mut w, init, kind::PORTS, 0);
    let record = ports.iter().find(|record| record.port == name.object).unwrap();
    assert_eq!((record.home, record.pid, record.home_object), (home::TASK, daemon, port.0.into()));
    assert_eq!((record.messages, record.boosts, record.flags), (1, 1, PORT_DONATION));

    let queue: Vec<MessageRecord> = list(&mut w, init, kind::MESSAGES, record.port);
    let [message] = queue[..] else { panic!("one message") };
    assert_eq!((message.port, message.sender, message.donor), (record.port, app, app));
    assert_eq!(message.flags, MESSAGE_LINKED | MESSAGE_RAISED);
    let all: Vec<MessageRecord> = list(&mut w, init, kind::MESSAGES, 0);
    assert!(all.contains(&message));

    let receipt = w.take(b, port);
    let vouchers: Vec<VoucherRecord> = list(&mut w, init, kind::VOUCHERS, 0);
    let [voucher] = vouchers[..] else { panic!("one voucher") };
    let inherits: Vec<InheritRecord> = list(&mut w, init, kind::INHERITS, 0);
    let [inherit] = inherits[..] else { panic!("one inherit") };
    assert_eq!((voucher.inherit, voucher.send_rights), (inherit.inherit, 1));
    assert_eq!((inherit.from, inherit.to), (task(app).element, task(daemon).element));
    assert_eq!((inherit.total, inherit.dropped, inherit.depth, inherit.donating), (1, 0, 1, 1));
    let elements: Vec<ElementRecord> = list(&mut w, init, kind::ELEMENTS, 0);
    let element = elements.iter().find(|element| element.element == inherit.to).unwrap();
    assert_eq!((element.pid, element.boosts, element.external), (daemon, 1, 1));
    let names: Vec<NameRecord> = list(&mut w, init, kind::NAMES, daemon.into());
    let held = names.iter().find(|name| name.name == receipt.voucher.0).unwrap();
    assert_eq!((held.object, held.references), (voucher.port, 1));
}

#[test]
fn the_records_of_threads_tell_what_they_wait_for() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let port = w.port(b);
    assert_eq!(w.receive(b, port, MsgOption::empty()), Ret::Blocked);
    let threads: Vec<ThreadRecord> = list(&mut w, a, kind::THREADS, 0);
    let waiter = threads.iter().find(|thread| thread.pid == pid(&w, b)).unwrap();
    let waiting = pid(&w, b);
    let names: Vec<NameRecord> = list(&mut w, a, kind::NAMES, waiting.into());
    let object = names.iter().find(|name| name.name == port.0).unwrap().object;
    assert_eq!((waiter.wait, waiter.wait_object), (wait::RECEIVE_PORT, object));
    let caller = threads.iter().find(|thread| thread.pid == pid(&w, a)).unwrap();
    assert_eq!(caller.wait, wait::NONE);
    assert_eq!(threads.len(), w.kernel.sched.count());
}

#[test]
fn a_listing_in_small_parts_is_the_whole_listing() {
    let mut w = World::new();
    let a = w.task();
    for _ in 0..200 {
        w.port(a);
    }
    let at_once: Vec<PortRecord> = list(&mut w, a, kind::PORTS, 0);
    let one_by_one: Vec<PortRecord> = list_with(&mut w, a, kind::PORTS, 0, size_of::<PortRecord>() as u64);
    assert_eq!(at_once, one_by_one);
    assert_eq!(at_once.len(), w.kernel.ipc.ports().count());
    let first = call(&mut w, a, kind::PORTS, 0, Cursor::default(), u64::MAX >> 8).unwrap();
    assert_eq!(first.records, 64, "a call writes a bounded number of records");
}

#[test]
fn wrong_calls_are_refused() {
    let mut w = World::new();
    let a = w.task();
    let zero = Cursor::default();
    let asked = |w: &mut World, kind, argument, room| call(w, a, kind, argument, zero, room).map(|_| ());
    assert_eq!(asked(&mut w, 0, 0, ROOM), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(asked(&mut w, 11, 0, ROOM), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(asked(&mut w, kind::NAMES, 9999, ROOM), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(asked(&mut w, kind::NAMES, u64::MAX, ROOM), Err(KERN_INVALID_ARGUMENT));
    let small = size_of::<TaskRecord>() as u64 - 1;
    assert_eq!(asked(&mut w, kind::TASKS, 0, small), Err(KERN_INVALID_ARGUMENT));
    let behind = Cursor { place: u64::MAX - 1, records: 0 };
    assert_eq!(call(&mut w, a, kind::TASKS, 0, behind, ROOM), Ok(Cursor { place: Cursor::END, records: 0 }));

    let arguments = [kind::TASKS.into(), 99, 0, a.memory + RESULT, a.memory + BUFFER, ROOM];
    assert_eq!(w.call(a, tally::INSPECT, &arguments), Err(KERN_NOT_SUPPORTED));
    let nowhere = [kind::TASKS.into(), INSPECT_VERSION.into(), 0, 0, a.memory + BUFFER, ROOM];
    assert_eq!(w.call(a, tally::INSPECT, &nowhere), Err(KERN_MEMORY_ERROR));
    w.put(a, RESULT, zero.as_bytes());
    let nowhere = [kind::TASKS.into(), INSPECT_VERSION.into(), 0, a.memory + RESULT, 0, ROOM];
    assert_eq!(w.call(a, tally::INSPECT, &nowhere), Err(KERN_MEMORY_ERROR));

    let other = w.task_with(TaskSpawnArgs { uid: 1000, ..spawn_args() });
    assert_eq!(call(&mut w, other, kind::TASKS, 0, zero, ROOM), Err(KERN_NO_ACCESS));
}
