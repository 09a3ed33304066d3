//! The records for debuggers, a bounded number at a time.
//!
//! A walk looks at one thing after another, each under its own lock for a moment, and goes on from a cursor. Meanwhile the
//! program runs on: what moves from one place to another can be missed or come twice.

use super::Registry;
use super::registry::give_up;
use crate::process::Process;
use crate::queue::{Item, Lane, Target};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::timer::Timers;
use crate::voucher::Voucher;
use abi::debugger::*;
use alloc::vec::Vec;

/// The most things that are looked at for one reply. Most of them may hold no voucher.
const LOOKS_MAX: usize = 512;

/// What holds a voucher, as far as its own place knows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held<'a> {
    /// The number of the piece of work, or 0.
    pub work: u64,
    /// The priority that it takes along.
    pub priority: u32,
    /// The voucher.
    pub voucher: Option<&'a Voucher>,
}

impl Held<'_> {
    /// Returns the record; `None` if there is neither voucher nor activity.
    pub(crate) fn record(&self, kind: u32, queue: u64) -> Option<HolderRecord> {
        let voucher = self.voucher?;
        let (name, activity) = (voucher.shown_name(), voucher.identity().activity.0);
        let Held { work, priority, .. } = *self;
        Some(HolderRecord { queue, work, activity, kind, priority, voucher: name, ..HolderRecord::default() })
    }
}

/// What a place of a listing has.
pub(crate) enum Look<R> {
    /// A record.
    Record(R),
    /// Nothing to list.
    Skip,
    /// The object has no such place.
    End,
}

impl<R> Look<R> {
    /// Returns what a place has that exists.
    pub(crate) fn of(record: Option<R>) -> Look<R> {
        record.map_or(Look::Skip, Look::Record)
    }
}

/// A reply while it is made.
struct Walk<R> {
    records: Vec<R>,
    most: usize,
    looks: usize,
    cursor: Cursor,
}

impl<R> Walk<R> {
    fn new(cursor: Cursor, most: usize) -> Walk<R> {
        Walk { records: Vec::new(), most, looks: 0, cursor }
    }

    fn is_full(&self) -> bool {
        self.records.len() == self.most || self.looks == LOOKS_MAX
    }

    fn next_section(&mut self) {
        self.cursor = Cursor { section: self.cursor.section + 1, object: 0, index: 0 };
    }

    fn next_object(&mut self, number: u64) {
        (self.cursor.object, self.cursor.index) = (number.saturating_add(1), 0);
    }

    /// Takes what a place has, and goes on to the next place; returns false if there is none.
    fn take(&mut self, look: Look<R>) -> bool {
        self.looks += 1;
        match look {
            Look::Record(record) => self.records.push(record),
            Look::Skip => {}
            Look::End => return false,
        }
        self.cursor.index = self.cursor.index.saturating_add(1);
        true
    }

    /// Looks at the places of all objects of a registry, as far as there is room.
    fn registry<T: Send + Sync + 'static>(
        &mut self,
        registry: &Registry<T>,
        look: impl Fn(&Arc<T>, u64, usize) -> Look<R>,
    ) {
        while !self.is_full() {
            let Some((number, object)) = registry.from(self.cursor.object) else {
                return self.next_section();
            };
            if number != self.cursor.object {
                (self.cursor.object, self.cursor.index) = (number, 0);
            }
            let mut goes_on = true;
            while goes_on && !self.is_full() {
                goes_on = self.take(look(&object, number, place(self.cursor.index)));
            }
            give_up(object);
            if !goes_on {
                self.next_object(number);
            }
        }
    }

    /// Looks at the places of one thing, as far as there is room.
    fn places(&mut self, look: impl Fn(usize) -> Look<R>) {
        while !self.is_full() {
            if !self.take(look(place(self.cursor.index))) {
                return self.next_section();
            }
        }
    }
}

impl Walk<HolderRecord> {
    /// Looks at what happens later, as far as there is room. The cursor is the key of the last event.
    fn timers(&mut self, timers: &Timers) {
        while !self.is_full() {
            let Some(((time, call), record)) = timers.look((self.cursor.object, self.cursor.index)) else {
                return self.next_section();
            };
            self.looks += 1;
            self.records.extend(record);
            (self.cursor.object, self.cursor.index) = (time, call);
        }
    }
}

/// Returns the place for a part of a cursor, which is the client's.
fn place(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// Lists queues from a cursor on.
pub(super) fn queues(process: &Process, cursor: Cursor) -> (Vec<QueueRecord>, Cursor) {
    let mut walk = Walk::new(cursor, QUEUES_MAX);
    if walk.cursor.section == 0 {
        walk.registry(&process.inspect.lanes, |lane, _, place| match place {
            0 => Look::Record(record_of(process, lane)),
            _ => Look::End,
        });
    }
    if walk.cursor.section > 0 {
        walk.cursor = Cursor::END;
    }
    (walk.records, walk.cursor)
}

fn record_of(process: &Process, lane: &Lane) -> QueueRecord {
    let mut label = [0; LABEL_SIZE];
    let end = lane.label.floor_char_boundary(LABEL_SIZE);
    label[..end].copy_from_slice(&lane.label.as_bytes()[..end]);
    let owner = lane.owner.load(Ordering::Relaxed);
    let state = lane.lock();
    let flags = [
        (state.is_suspended(), QUEUE_SUSPENDED),
        (state.is_enqueued(), QUEUE_ENQUEUED),
        (state.is_running(), QUEUE_RUNNING),
        (lane.width > 1, QUEUE_CONCURRENT),
        (lane.is_hidden, QUEUE_CHANNEL),
    ];
    let record = QueueRecord {
        queue: lane.number,
        target: lane.target.number(),
        thread: 0,
        label,
        class: 0,
        max_class: state.max_qos() as u32,
        flags: flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum(),
        waiting: u32::try_from(state.len()).unwrap_or(u32::MAX),
    };
    // The lock of the threads is taken alone.
    drop(state);
    let thread = if owner == 0 { 0 } else { process.inspect.threads.number_of(abi::PortName(owner)) };
    QueueRecord { thread, class: lane.word().requested.class() as u32, ..record }
}

impl Target {
    /// Returns the number of the queue, 0 for the main thread.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Target::Root(root) => root.number(),
            Target::Lane(lane) => lane.number,
            Target::Main(_) => 0,
        }
    }
}

impl Item {
    /// Returns the record of an item in the list of a queue; `None` for what holds no voucher of its own.
    fn record(&self, queue: u64) -> Option<HolderRecord> {
        match self {
            Item::Work(continuation) => continuation.held().record(holder::QUEUED, queue),
            Item::Redirected(redirected) => redirected.1.record(redirected.0.number),
            Item::Lane(_) | Item::Waiter(_) => None,
        }
    }
}

/// Lists what holds vouchers, from a cursor on.
pub(super) fn holders(process: &Process, cursor: Cursor) -> (Vec<HolderRecord>, Cursor) {
    let mut walk = Walk::new(cursor, HOLDERS_MAX);
    let (inspect, queues) = (&process.inspect, &process.queues);
    while !walk.is_full() && walk.cursor != Cursor::END {
        match walk.cursor.section {
            0 => walk.registry(&inspect.threads, |thread, _, place| match place {
                0 => Look::of(of_thread(thread)),
                _ => Look::End,
            }),
            1 => walk.registry(&inspect.lanes, |lane, number, place| match lane.lock().item(place) {
                Some(item) => Look::of(item.record(number)),
                None => Look::End,
            }),
            2 => walk.places(|place| {
                queues.pool.look(place, |job| job.item.record(job.root.number())).map_or(Look::End, Look::of)
            }),
            3 => walk.timers(&queues.timers),
            4 => walk.registry(&inspect.channels, |channel, _, place| channel.look_at_reply(place)),
            5 => walk.registry(&inspect.channels, |channel, _, place| channel.look_at_message(place)),
            6 => walk.registry(&inspect.blocks, |block, _, place| match place {
                0 => Look::of(block.held().record(holder::BLOCK, 0)),
                _ => Look::End,
            }),
            7 => walk.registry(&inspect.groups, |group, _, place| group.look(place)),
            _ => walk.cursor = Cursor::END,
        }
    }
    (walk.records, walk.cursor)
}

fn of_thread(thread: &super::ShownThread) -> Option<HolderRecord> {
    let ((voucher, activity), (queue, work)) = (thread.holds(), thread.runs());
    let kind = match queue {
        0 if thread.is_worker() => holder::LEFT,
        0 => holder::THREAD,
        _ => holder::RUNNING,
    };
    let record =
        HolderRecord { queue, work, thread: thread.number(), activity, kind, voucher, ..HolderRecord::default() };
    (voucher.0 != 0 || activity != 0).then_some(record)
}
