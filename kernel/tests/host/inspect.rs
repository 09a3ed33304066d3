//! The trap `inspect`: its records say what is so, and its errors and bounds.

use crate::message::Msg;
use crate::program::spawn_args;
use crate::vouchers::current_task;
use crate::world::{Actor, BUFFER, RESULT, Ret, World};
use abi::KernReturn;
use abi::code::*;
use abi::inspect::*;
use abi::message::MsgOption;
use abi::port::Disposition;
use abi::task::TaskSpawnArgs;
use abi::trap::{mach, tally};
use kernel::machine::{Machine, Nanos};
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

const MILLISECOND: Nanos = 1_000_000;

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
    assert_eq!((voucher.came_by, voucher.came_with, voucher.came_from), (record.port, message.id, app));
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
    assert_eq!(w.kernel.thread_records().collect::<Vec<_>>(), threads, "the report of a panic has the same records");
}

#[test]
fn a_voucher_that_no_message_brought_says_so_and_the_first_message_counts() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let port = w.port(b);
    let to_b = w.give_send(b, port, a);
    let voucher = w.make_voucher(a, &[current_task()]).unwrap();
    let of = |w: &mut World| {
        let vouchers: Vec<VoucherRecord> = list(w, w.init, kind::VOUCHERS, 0);
        vouchers.iter().map(|v| (v.came_with, v.came_from, v.came_by != 0)).collect::<Vec<_>>()
    };
    assert_eq!(of(&mut w), [(0, 0, false)]);
    let sender = pid(&w, a);
    for id in [5, 6] {
        w.send(a, &Msg::copy_send(to_b).id(id).voucher(voucher, Disposition::COPY_SEND)).unwrap();
        w.take(b, port);
        let told: Vec<_> = of(&mut w).into_iter().filter(|&(_, _, by_message)| by_message).collect();
        assert_eq!(told, [(5, sender, true)]);
    }
}

#[test]
fn the_records_tell_times_and_deadlines() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let of = |w: &mut World, actor: Actor| {
        let threads: Vec<ThreadRecord> = list(w, w.init, kind::THREADS, 0);
        let tasks: Vec<TaskRecord> = list(w, w.init, kind::TASKS, 0);
        let pid = pid(w, actor);
        let thread = *threads.iter().find(|thread| thread.pid == pid).unwrap();
        (thread, tasks.iter().find(|task| task.pid == pid).unwrap().cpu_time)
    };
    let before = of(&mut w, a).0.cpu_time;
    w.burn(a, 7 * MILLISECOND);
    let (thread, of_task) = of(&mut w, a);
    assert_eq!((thread.cpu_time - before, of_task), (7 * MILLISECOND, thread.cpu_time));
    assert_eq!(thread.deadline, u64::MAX);
    let until = w.machine.now() + MILLISECOND;
    assert_eq!(w.trap(b, mach::MACH_WAIT_UNTIL, &[until]), Ret::Blocked);
    let (thread, _) = of(&mut w, b);
    assert_eq!((thread.wait, thread.deadline), (wait::CLOCK, until));
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

/// Returns the bytes of all records of a kind.
fn bytes(w: &mut World, kind: u32, argument: u64, size: usize) -> Vec<u8> {
    let (mut all, mut cursor, init) = (Vec::new(), Cursor::default(), w.init);
    while cursor.place != Cursor::END {
        cursor = call(w, init, kind, argument, cursor, ROOM).unwrap();
        all.extend(w.get(init, BUFFER, size * cursor.records as usize));
    }
    all
}

#[test]
fn no_record_of_any_kind_has_an_address_of_the_kernel() {
    let mut w = World::new();
    let (a, b, c) = (w.app(), w.adaptive(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    let account = w.send_account(a, c);
    w.adopt(c, account);
    assert!(w.take(b, port).voucher.is_valid());
    w.ping(a, to_b);
    let set = w.allocate(a, abi::port::MACH_PORT_RIGHT_PORT_SET).unwrap();
    assert_eq!(w.receive(a, set, MsgOption::empty()), Ret::Blocked);
    let names = pid(&w, b).into();
    // The kernel is a part of this test, so its objects lie where the test's own ones do.
    let (heap, stack) = (Box::new(0u64), 0u64);
    let near = |word: u64, place: *const u64| word.abs_diff(place.addr() as u64) < 1 << 40;
    for (kind, argument, size) in [
        (kind::TASKS, 0, size_of::<TaskRecord>()),
        (kind::THREADS, 0, size_of::<ThreadRecord>()),
        (kind::NAMES, names, size_of::<NameRecord>()),
        (kind::PORTS, 0, size_of::<PortRecord>()),
        (kind::MESSAGES, 0, size_of::<MessageRecord>()),
        (kind::VOUCHERS, 0, size_of::<VoucherRecord>()),
        (kind::INHERITS, 0, size_of::<InheritRecord>()),
        (kind::ACCOUNTS, 0, size_of::<AccountRecord>()),
        (kind::ELEMENTS, 0, size_of::<ElementRecord>()),
    ] {
        let bytes = bytes(&mut w, kind, argument, size);
        assert!(!bytes.is_empty(), "there is a record of kind {kind}");
        for word in bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())) {
            assert!(!near(word, &raw const *heap) && !near(word, &raw const stack), "kind {kind} has {word:#x}");
        }
    }
    assert!(bytes(&mut w, kind::CHECK, 0, size_of::<AccountRecord>()).is_empty());
}

#[test]
fn the_records_of_accounts_and_messages_tell_who_pays_whom() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let account = w.send_account(a, b);
    let (payer, worker) = (pid(&w, a), pid(&w, b));
    let accounts: Vec<AccountRecord> = list(&mut w, a, kind::ACCOUNTS, 0);
    let [record] = accounts[..] else { panic!("one account: {accounts:?}") };
    assert_eq!((record.holder, record.merchant, record.proximate), (payer, worker, payer));
    let vouchers: Vec<VoucherRecord> = list(&mut w, a, kind::VOUCHERS, 0);
    let bank = 1 << abi::voucher::MACH_VOUCHER_ATTR_KEY_BANK;
    let held = vouchers.iter().find(|voucher| voucher.merchant == worker).unwrap();
    assert_eq!((held.holder, held.keys, held.send_rights), (payer, bank, 1));
    w.adopt(b, account);
    let threads: Vec<ThreadRecord> = list(&mut w, a, kind::THREADS, 0);
    assert_eq!(threads.iter().find(|thread| thread.pid == worker).unwrap().voucher, held.voucher);
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
