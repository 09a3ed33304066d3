//! The trap `trace_control`: what is recorded, and that recording changes nothing else.

use crate::message::Msg;
use crate::program::spawn_args;
use crate::vouchers::{USER_DATA, st};
use crate::world::{Actor, BUFFER, Ret, World};
use abi::code::*;
use abi::event::*;
use abi::inspect::boost;
use abi::task::TaskSpawnArgs;
use abi::trap::tally::{TRACE_CONTROL, TRACE_NOTE};
use store::failpoints;
use zerocopy::FromBytes;

fn control(w: &mut World, a: Actor, operation: u32) -> Result<(), abi::KernReturn> {
    w.call(a, TRACE_CONTROL, &[operation.into(), EVENT_VERSION.into(), 0, 0])
}

/// Reads all events that are in the ring.
fn read(w: &mut World, a: Actor) -> Vec<EventRecord> {
    let mut events = Vec::new();
    loop {
        let arguments = [TRACE_READ.into(), EVENT_VERSION.into(), a.memory + BUFFER, 8192];
        let Ret::Done(count) = w.trap(a, TRACE_CONTROL, &arguments) else { panic!("reading does not wait") };
        let bytes = w.get(a, BUFFER, count as usize * size_of::<EventRecord>());
        let read = bytes.chunks(size_of::<EventRecord>()).map(|bytes| EventRecord::read_from_bytes(bytes).unwrap());
        events.extend(read);
        // The traps that read are recorded as well.
        if count < 64 {
            return events;
        }
    }
}

fn kinds(events: &[EventRecord]) -> Vec<u16> {
    events.iter().map(|event| event.kind).collect()
}

fn of_kind(events: &[EventRecord], kind: u16) -> Vec<[u64; 5]> {
    events.iter().filter(|event| event.kind == kind).map(|event| event.arguments).collect()
}

#[test]
fn the_events_tell_the_story_of_a_boost() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    let init = w.init;
    control(&mut w, init, TRACE_START).unwrap();
    w.ping(a, to_b);
    let receipt = w.take(b, port);
    w.deallocate(b, receipt.voucher).unwrap();
    let events = read(&mut w, init);
    let daemon = u64::from(w.kernel.tasks[b.task].credentials.pid);
    let story = [
        kind::TRAP_ENTERED,
        kind::MESSAGE_SENT,
        kind::MESSAGE_QUEUED,
        kind::BOOST_ADDED,
        kind::POLICY_CHANGED,
        kind::PRIORITY_CHANGED,
        kind::MESSAGE_RECEIVED,
        kind::VOUCHER_CREATED,
        kind::BOOST_MOVED,
        kind::VOUCHER_RELEASED,
        kind::VOUCHER_DIED,
        kind::BOOST_DROPPED,
    ];
    for kind in story {
        assert!(kinds(&events).contains(&kind), "there is an event of kind {kind}: {:?}", kinds(&events));
    }
    let [sent] = of_kind(&events, kind::MESSAGE_SENT)[..] else { panic!("one message") };
    let [received] = of_kind(&events, kind::MESSAGE_RECEIVED)[..] else { panic!("one receive") };
    assert_eq!((sent[0], sent[1]), (received[0], received[1]), "the same message and port");
    let [added] = of_kind(&events, kind::BOOST_ADDED)[..] else { panic!("one boost") };
    assert_eq!(added, [daemon, 1, 0, boost::PORT.into(), sent[1]]);
    let [moved] = of_kind(&events, kind::BOOST_MOVED)[..] else { panic!("it moves once") };
    assert_eq!((&moved[..3], moved[4]), (&[daemon, 1, 1][..], sent[1]));
    assert_ne!(moved[3], 0, "the inherit that the voucher holds");
    let created = of_kind(&events, kind::VOUCHER_CREATED);
    assert_eq!(created.last().map(|created| created[1]), Some(moved[3]), "the voucher was made with it");
    let [dropped] = of_kind(&events, kind::BOOST_DROPPED)[..] else { panic!("it ends once") };
    assert_eq!(dropped, [daemon, 0, 0, boost::INHERIT.into(), moved[3]]);
    let bases: Vec<(u64, u64)> = of_kind(&events, kind::PRIORITY_CHANGED).iter().map(|e| (e[1], e[2])).collect();
    assert_eq!(bases, [(4, 31), (31, 4)]);
    assert!(events.is_sorted_by_key(|event| event.time));
    assert!(events.iter().all(|event| event.lost == 0));
}

#[test]
fn every_step_is_recorded_while_events_are() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let port = w.port_with_send(b);
    control(&mut w, a, TRACE_START).unwrap();
    w.send(b, &Msg::copy_send(port)).unwrap();
    w.poll(b, port).unwrap();
    w.port(b);
    let events = read(&mut w, a);
    let entered = of_kind(&events, kind::TRAP_ENTERED).len();
    assert!(entered >= 4, "two messages' traps, one of a port and one of reading, at least: {:?}", kinds(&events));
    assert_eq!(of_kind(&events, kind::PORT_MADE).len(), 1);
    control(&mut w, a, TRACE_STOP).unwrap();
    w.port(b);
    assert_eq!(read(&mut w, a), []);
}

#[test]
fn events_are_streamed_when_a_step_ends() {
    let mut w = World::new();
    let a = w.task();
    control(&mut w, a, TRACE_STREAM).unwrap();
    assert!(w.machine.trace.is_empty(), "the first event is one of the next step");
    w.port(a);
    let size = size_of::<EventRecord>();
    let events: Vec<EventRecord> =
        w.machine.trace.chunks(size).map(|bytes| EventRecord::read_from_bytes(bytes).unwrap()).collect();
    assert_eq!(of_kind(&events, kind::PORT_MADE).len(), 1);
    assert_eq!(kinds(&read(&mut w, a)), [kind::TRAP_ENTERED], "the ring has only the reading itself");
}

#[test]
fn a_program_tells_of_itself_only_while_events_are_recorded() {
    let mut w = World::new();
    let a = w.task();
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"work")]).unwrap();
    let queue_note = [note::WORK_SUBMITTED, 5, 6, 0x1_0000_0007, voucher.0.into()];
    assert_eq!(w.trap(a, TRACE_NOTE, &queue_note), Ret::Done(0));
    control(&mut w, a, TRACE_START).unwrap();
    assert_eq!(w.trap(a, TRACE_NOTE, &queue_note), Ret::Done(1));
    assert_eq!(w.trap(a, TRACE_NOTE, &[note::WORK_DONE, 5, 6, 0, 0x9999]), Ret::Done(1));
    let [submitted, done] = of_kind(&read(&mut w, a), kind::NOTE)[..] else { panic!("two notes") };
    assert_eq!(submitted[..4], queue_note[..4]);
    assert_ne!(submitted[4], 0, "the number of the voucher instead of its name");
    assert_eq!(done, [note::WORK_DONE, 5, 6, 0, 0], "a name of no voucher is none");
}

#[test]
fn a_stream_is_not_stopped_by_a_reader_nor_a_reader_by_a_stream() {
    let mut w = World::new();
    let a = w.task();
    for (running, other) in [(TRACE_STREAM, TRACE_START), (TRACE_START, TRACE_STREAM)] {
        control(&mut w, a, running).unwrap();
        assert_eq!(control(&mut w, a, other), Err(KERN_FAILURE));
        w.machine.trace.clear();
        w.port(a);
        assert_eq!(w.machine.trace.is_empty(), running == TRACE_START);
        assert!(read(&mut w, a).len() > 1 || running == TRACE_STREAM);
        control(&mut w, a, running).unwrap();
        control(&mut w, a, TRACE_STOP).unwrap();
    }
    control(&mut w, a, TRACE_STREAM).unwrap();
}

#[test]
fn nothing_is_recorded_if_there_is_no_memory_for_it() {
    let mut w = World::new();
    let a = w.task();
    let mut refused = 0;
    loop {
        failpoints::arm(Some(refused));
        let started = control(&mut w, a, TRACE_START);
        failpoints::disarm();
        if started.is_ok() {
            break;
        }
        assert_eq!(started, Err(KERN_RESOURCE_SHORTAGE));
        assert!(!w.kernel.step.trace.is_on() && !w.kernel.ipc.importance().is_logging());
        refused += 1;
    }
    assert_eq!(refused, 2, "the ring and the log of boosts need memory");
    assert!(w.kernel.step.trace.is_on() && w.kernel.ipc.importance().is_logging());
}

#[test]
fn wrong_calls_are_refused() {
    let mut w = World::new();
    let a = w.task();
    assert_eq!(control(&mut w, a, 99), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(w.call(a, TRACE_CONTROL, &[TRACE_START.into(), 99, 0, 0]), Err(KERN_NOT_SUPPORTED));
    let other = w.task_with(TaskSpawnArgs { uid: 1000, ..spawn_args() });
    assert_eq!(control(&mut w, other, TRACE_START), Err(KERN_NO_ACCESS));
    control(&mut w, a, TRACE_START).unwrap();
    assert_eq!(read(&mut w, other), []);
    let nowhere = [TRACE_READ.into(), EVENT_VERSION.into(), 16, 8192];
    assert_eq!(w.trap(a, TRACE_CONTROL, &nowhere), Ret::Done(0));
}
