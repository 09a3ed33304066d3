//! What a debugger learns by messages.

use crate::world::{Door, IN, UI, World, eventually};
use abi::PortName;
use abi::code::*;
use abi::debugger::*;
use abi::message::{Header, HeaderFlags, MsgOption, msgh_bits};
use abi::mig::NDR;
use abi::port::{ConstructFlags, Disposition, MACH_PORT_NULL};
use dispatch::block::Block;
use dispatch::group::Group;
use dispatch::mach::{Channel, Event, MachMsg};
use dispatch::qos::{Priority, Qos};
use dispatch::queue::Queue;
use dispatch::sys::Kernel;
use dispatch::sys::mock::{Mock, TaskSpec};
use dispatch::voucher::Voucher;
use dispatch::{thread, voucher};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes};

const CODE: usize = Header::SIZE + NDR.len();
const PAGE: usize = CODE + 4;

/// A debugger of a task that has a channel.
struct Debugger {
    mock: &'static Mock,
    port: PortName,
    reply: PortName,
}

impl Debugger {
    fn of(world: &World) -> Debugger {
        let mock = world.mock.another(TaskSpec::APP);
        let port = world.mock.share(world.mock.debug_port(), mock);
        let reply = mock.construct(ConstructFlags::empty(), None).expect("there is room");
        Debugger { mock, port, reply }
    }

    fn send(&self, id: i32, flags: HeaderFlags, reply: PortName, rest: &[u8]) {
        let make = if reply == MACH_PORT_NULL { Disposition::NONE } else { Disposition::MAKE_SEND_ONCE };
        let header = Header {
            msgh_bits: msgh_bits(Disposition::COPY_SEND, make, Disposition::NONE, flags),
            msgh_size: (Header::SIZE + rest.len()) as u32,
            msgh_remote_port: self.port,
            msgh_local_port: reply,
            msgh_id: id,
            ..Header::default()
        };
        let mut message = [header.as_bytes(), rest].concat();
        assert_eq!(self.mock.send(&mut message, MsgOption::SEND_MSG, 0, 0), MACH_MSG_SUCCESS);
    }

    /// Sends a request and returns the reply's bytes.
    fn ask(&self, id: i32, rest: &[u8]) -> Vec<u8> {
        self.send(id, HeaderFlags::empty(), self.reply, rest);
        let mut buffer = vec![0; 1024];
        let received = self.mock.receive(self.reply, &mut buffer, MsgOption::RCV_MSG, 0, MACH_PORT_NULL);
        assert_eq!(received.code, MACH_MSG_SUCCESS, "header, body and trailer fit a small buffer");
        let header = Header::read_from_prefix(&buffer).expect("there is a header").0;
        assert_eq!(header.msgh_id, id + 100);
        buffer.truncate(header.msgh_size as usize);
        buffer
    }

    fn code(&self, id: i32, rest: &[u8]) -> KernCode {
        i32::from_le_bytes(self.ask(id, rest)[CODE..].try_into().expect("nothing stands behind the code"))
    }

    fn page<R: FromBytes + Immutable>(&self, id: i32, cursor: Cursor) -> (Vec<R>, Cursor) {
        let reply = self.ask(id, &[&NDR[..], cursor.as_bytes()].concat());
        assert_eq!(reply[CODE..PAGE], [0; 4]);
        let (page, rest) = Page::read_from_prefix(&reply[PAGE..]).expect("there is a page");
        let records: Vec<R> =
            rest.chunks(size_of::<R>()).map(|chunk| R::read_from_bytes(chunk).expect("whole")).collect();
        assert_eq!(records.len() as u64, page.count);
        (records, page.next)
    }

    fn all<R: FromBytes + Immutable>(&self, id: i32) -> Vec<R> {
        let (mut records, mut cursor) = (Vec::new(), Cursor::START);
        while cursor != Cursor::END {
            let (more, next) = self.page(id, cursor);
            assert_ne!(next, cursor, "the listing goes on");
            records.extend(more);
            cursor = next;
        }
        records
    }

    fn holders(&self) -> Vec<HolderRecord> {
        self.all(HOLDERS)
    }

    /// Returns the record of a queue.
    fn queue(&self, label: &str) -> QueueRecord {
        let queues: Vec<QueueRecord> = self.all(QUEUES);
        let found = queues.iter().find(|queue| queue.label.starts_with(label.as_bytes()));
        *found.unwrap_or_else(|| panic!("{label} is missing: {queues:?}"))
    }
}

type KernCode = i32;

/// Starts the receiver of a task by a channel that nobody sends to.
fn start_receiver(world: &World) -> (Channel, PortName) {
    let port = world.mock.construct(ConstructFlags::IMPORTANCE_RECEIVER, None).expect("there is room");
    let channel = Channel::new("idle", None, |_: &Channel, event: Event| {
        if let Event::MessageReceived(message) = event {
            message.destroy();
        }
    });
    channel.connect(port, MACH_PORT_NULL, None);
    (channel, port)
}

#[track_caller]
fn of_kind(holders: &[HolderRecord], kind: u32, voucher: &Voucher) -> HolderRecord {
    let found: Vec<_> = holders.iter().filter(|holder| holder.kind == kind).collect();
    assert_eq!(found.len(), 1, "kind {kind}: {holders:?}");
    assert_eq!(found[0].voucher, voucher.kernel_name());
    *found[0]
}

#[test]
fn task_without_channels_has_no_port_for_debuggers() {
    let world = World::new();
    Queue::new("alone").sync(|| {});
    assert_eq!(world.mock.debug_port(), MACH_PORT_NULL);
    start_receiver(&world);
    assert_ne!(world.mock.debug_port(), MACH_PORT_NULL);
}

#[test]
fn queued_and_running_work_is_told_with_queue_thread_and_voucher() {
    let world = World::new();
    start_receiver(&world);
    let debugger = Debugger::of(&world);
    let voucher = world.voucher();
    let (queue, door) = (Queue::new("decode"), Door::new());
    let inside = door.clone();
    world.on(IN, Some(&voucher), || {
        queue.run_async(move || inside.pass());
        queue.run_async(|| {});
    });
    door.await_visitors(1);
    let record = debugger.queue("decode");
    assert_eq!((record.flags, record.waiting, record.max_class), (QUEUE_RUNNING, 1, Qos::UserInitiated as u32));
    assert_eq!(record.target, global_queue(Qos::DEFAULT, true));
    let holders = debugger.holders();
    let running = of_kind(&holders, holder::RUNNING, &voucher);
    assert_eq!((running.queue, running.work), (record.queue, 0));
    assert!(running.thread != 0 && running.thread == record.thread, "{running:?} {record:?}");
    let queued = of_kind(&holders, holder::QUEUED, &voucher);
    assert_eq!((queued.queue, queued.priority, queued.thread), (record.queue, IN.0, 0));
    assert_eq!(holders.len(), 2, "{holders:?}");
    door.open();
    world.quiesce();
    assert_eq!(debugger.holders(), []);
    assert_eq!((debugger.queue("decode").flags, debugger.queue("decode").thread), (0, 0));
    drop(queue);
    eventually("the queue is gone", || {
        debugger.all::<QueueRecord>(QUEUES).iter().all(|queue| queue.queue != record.queue)
    });
}

#[test]
fn timers_groups_blocks_and_threads_hold_vouchers_too() {
    let world = World::new();
    start_receiver(&world);
    let debugger = Debugger::of(&world);
    let (voucher, queue, group) = (world.voucher(), Queue::new("later"), Group::new());
    let block = world.on(UI, Some(&voucher), || {
        queue.after(Duration::from_secs(100), || {});
        group.enter();
        group.notify(&queue, || {});
        Block::with_voucher(0, voucher::copy(), || {})
    });
    let holders = debugger.holders();
    let number = debugger.queue("later").queue;
    assert_eq!(of_kind(&holders, holder::TIMER, &voucher).queue, number);
    assert_eq!(of_kind(&holders, holder::GROUP, &voucher).queue, number);
    assert_eq!(of_kind(&holders, holder::BLOCK, &voucher).queue, 0);
    assert_eq!(holders.len(), 3, "{holders:?}");
    drop(block);
    group.leave();
    world.mock.advance(200_000_000_000);
    world.quiesce();
    assert_eq!(debugger.holders(), []);
    voucher::replace(Some(voucher.clone()));
    let own = of_kind(&debugger.holders(), holder::THREAD, &voucher);
    assert_eq!(own.thread, world.mock.thread_number());
    voucher::replace(None);
}

#[test]
fn pending_replies_and_unsent_messages_of_a_channel_hold_vouchers() {
    let world = World::new();
    let server = world.mock.another(TaskSpec::DAEMON);
    let port = server.construct(ConstructFlags::empty(), None).expect("there is room");
    let right = world.mock.send_right(server, port);
    let channel = Channel::new("client", None, |_: &Channel, _: Event| {});
    let own = world.mock.construct(ConstructFlags::empty(), None).expect("there is room");
    channel.connect(own, right, None);
    let debugger = Debugger::of(&world);
    let voucher = world.voucher();
    // Messages wait until their channel is connected.
    let waiting = Channel::new("waiting", None, |_: &Channel, _: Event| {});
    world.on(IN, Some(&voucher), || {
        channel.request(MachMsg::new(10), MsgOption::empty(), None, |_| {});
        waiting.send_barrier(|| {});
        waiting.send(MachMsg::new(11), MsgOption::empty());
    });
    let record = debugger.queue("client");
    assert_eq!(record.flags & QUEUE_CHANNEL, QUEUE_CHANNEL);
    let holders = debugger.holders();
    assert_eq!(of_kind(&holders, holder::REPLY, &voucher).queue, record.queue);
    let unsent = of_kind(&holders, holder::SENDING, &voucher);
    assert_eq!((unsent.queue, unsent.priority), (debugger.queue("waiting").queue, IN.0));
    assert_eq!(holders.len(), 2, "{holders:?}");
    channel.cancel();
    waiting.cancel();
    world.quiesce();
    assert_eq!(debugger.holders(), []);
}

#[test]
fn long_listings_come_in_pages_without_gaps() {
    const COUNT: usize = 700;
    let world = World::new();
    start_receiver(&world);
    let debugger = Debugger::of(&world);
    let (voucher, queue) = (world.voucher(), Queue::new("long"));
    let queues: Vec<Queue> = (0..3 * QUEUES_MAX).map(|_| Queue::new("short")).collect();
    queue.suspend();
    world.on(UI, Some(&voucher), || (0..COUNT).for_each(|_| queue.run_async(|| {})));
    // Items without voucher cost time, but no record.
    world.on(UI, None, || (0..COUNT).for_each(|_| queue.run_async(|| {})));
    let (first, next) = debugger.page::<HolderRecord>(HOLDERS, Cursor::START);
    assert_eq!((first.len(), next == Cursor::END), (HOLDERS_MAX, false));
    assert_eq!(debugger.holders().len(), COUNT);
    world.on(UI, Some(&voucher), || (0..COUNT).for_each(|_| queue.after(Duration::from_secs(9), || {})));
    let of_timers = debugger.holders().iter().filter(|holder| holder.kind == holder::TIMER).count();
    assert_eq!((of_timers, debugger.holders().len()), (COUNT, 2 * COUNT));
    let record = debugger.queue("long");
    assert_eq!((record.waiting, record.flags & QUEUE_SUSPENDED), (2 * COUNT as u32, QUEUE_SUSPENDED));
    let numbers: BTreeSet<u64> = debugger.all::<QueueRecord>(QUEUES).iter().map(|queue| queue.queue).collect();
    assert_eq!(numbers.len(), queues.len() + 2, "those, the long one and that of the channel");
    queue.resume();
    world.mock.advance(10_000_000_000);
    world.quiesce();
    assert_eq!(debugger.holders(), []);
}

#[test]
fn hostile_requests_are_refused_or_dropped() {
    let world = World::new();
    let (_channel, _) = start_receiver(&world);
    let debugger = Debugger::of(&world);
    let names = world.mock.names();
    let good = [&NDR[..], Cursor::START.as_bytes()].concat();
    assert_eq!(debugger.code(QUEUES - 1, &good), MIG_BAD_ID.0);
    assert_eq!(debugger.code(HOLDERS + 1, &good), MIG_BAD_ID.0);
    for size in (0..good.len()).step_by(4) {
        assert_eq!(debugger.code(HOLDERS, &good[..size]), MIG_BAD_ARGUMENTS.0, "{size} bytes");
    }
    assert_eq!(debugger.code(QUEUES, &[&good[..], &[0; 4]].concat()), MIG_BAD_ARGUMENTS.0);
    // Cursors are the client's.
    for section in (0..10).chain([u64::MAX - 1, u64::MAX]) {
        for (object, index) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX), (14, u64::MAX - 1)] {
            let mut cursor = Cursor { section, object, index };
            for _ in 0..20 {
                let (_, next) = debugger.page::<HolderRecord>(HOLDERS, cursor);
                debugger.page::<QueueRecord>(QUEUES, cursor);
                cursor = next;
            }
            assert_eq!(cursor, Cursor::END);
        }
    }
    // Nobody gets the answer to these.
    debugger.send(QUEUES, HeaderFlags::empty(), MACH_PORT_NULL, &good);
    debugger.send(QUEUES, HeaderFlags::empty(), MACH_PORT_NULL, &vec![0; 0x5000]);
    assert_eq!(debugger.queue("idle").flags, QUEUE_CHANNEL);
    assert_eq!(world.mock.names(), names, "no right is left");
    assert!(!world.mock.is_boosted());
    assert_eq!(thread::requested().class(), Priority::NONE.class());
}

#[test]
fn answers_keep_nothing_alive() {
    let world = World::new();
    start_receiver(&world);
    let debugger = Debugger::of(&world);
    let voucher = world.voucher();
    let weak = Arc::downgrade(&voucher);
    let block = Block::with_voucher(0, Some(voucher), || {});
    assert_eq!(debugger.holders().len(), 1);
    drop(block);
    assert!(weak.upgrade().is_none());
}
