//! What a program's library for queues tells a debugger by messages: the kernel knows of vouchers, and not which work
//! holds them.
//!
//! The library answers at the task's special port
//! [`TASK_DEBUG_CONTROL_PORT`](crate::task::TASK_DEBUG_CONTROL_PORT). A request is header, NDR record and [`Cursor`]; its
//! reply is header, NDR record, return code, [`Page`] and as many records as the page says. Whoever gets a reply has it from
//! a program, which can say anything.
//!
//! Queues have numbers that are unique in their task for ever. 1 to [`GLOBAL_QUEUES`] are the global queues: see
//! [`global_queue`]. Names are those of the program that answers; threads have the numbers of `thread_selfid`.

use crate::port::PortName;
use crate::qos::Qos;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `queues(cursor)`: [`QueueRecord`]s.
pub const QUEUES: i32 = 6200;
/// `holders(cursor)`: [`HolderRecord`]s.
pub const HOLDERS: i32 = 6201;

/// The most records of a reply, so that it fits a small buffer.
pub const QUEUES_MAX: usize = 12;
/// The most records of a reply, likewise.
pub const HOLDERS_MAX: usize = 17;

/// Where a listing goes on. It begins at [`Cursor::START`]; the values are otherwise the library's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cursor {
    /// Which kind of things is listed.
    pub section: u64,
    /// The thing.
    pub object: u64,
    /// The place in it.
    pub index: u64,
}

impl Cursor {
    /// The begin.
    pub const START: Cursor = Cursor { section: 0, object: 0, index: 0 };
    /// The listing is complete.
    pub const END: Cursor = Cursor { section: u64::MAX, object: 0, index: 0 };
}

/// What stands before the records of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Page {
    /// Where the next request goes on, or [`Cursor::END`].
    pub next: Cursor,
    /// The number of records. It can be 0 before the end.
    pub count: u64,
}

/// The bytes of a label.
pub const LABEL_SIZE: usize = 32;

/// A queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QueueRecord {
    /// Its number.
    pub queue: u64,
    /// The number of the queue on which it runs; 0 for the main thread.
    pub target: u64,
    /// The thread that drains it or holds it synchronously, or 0.
    pub thread: u64,
    /// The begin of its label, padded with zeros.
    pub label: [u8; LABEL_SIZE],
    /// Its own class, or 0.
    pub class: u32,
    /// The highest class since it was idle, or 0.
    pub max_class: u32,
    /// Flags: [`QUEUE_SUSPENDED`] and the following.
    pub flags: u32,
    /// The number of items and threads that wait in it.
    pub waiting: u32,
}

/// Flag of a [`QueueRecord`]: the queue is suspended or inactive.
pub const QUEUE_SUSPENDED: u32 = 1;
/// It waits on its target for a worker.
pub const QUEUE_ENQUEUED: u32 = 2;
/// An item of it runs, or a thread holds it.
pub const QUEUE_RUNNING: u32 = 4;
/// Its items run together.
pub const QUEUE_CONCURRENT: u32 = 8;
/// It is the queue of a channel: its items are the channel's events.
pub const QUEUE_CHANNEL: u32 = 16;

/// Something that holds a voucher, or an activity without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HolderRecord {
    /// The queue that it belongs to, or 0.
    pub queue: u64,
    /// The number of the piece of work, as in [`note`](crate::event::note); 0 if it has none, because events were not
    /// recorded.
    pub work: u64,
    /// The thread, or 0.
    pub thread: u64,
    /// The activity, or 0.
    pub activity: u64,
    /// What it is: one of [`holder`].
    pub kind: u32,
    /// The priority that it takes along, a `pthread_priority_t` without flags.
    pub priority: u32,
    /// The name of the voucher, or 0.
    pub voucher: PortName,
    /// 0.
    pub reserved: u32,
}

/// The kinds of [`HolderRecord`]s.
pub mod holder {
    /// A piece of work that runs on a thread. It may be done already: its thread keeps the voucher until it adopts
    /// another one.
    pub const RUNNING: u32 = 1;
    /// A worker without work, which gives the voucher up when it idles.
    pub const LEFT: u32 = 2;
    /// A thread outside of all queues, which has adopted the voucher.
    pub const THREAD: u32 = 3;
    /// A piece of work in the list of a queue. In that of a channel it is an event, such as a message.
    pub const QUEUED: u32 = 4;
    /// A piece of work that goes onto the queue at a later time.
    pub const TIMER: u32 = 5;
    /// A reply that a channel waits for, whose handler gets the voucher.
    pub const REPLY: u32 = 6;
    /// A message that a channel has not sent yet.
    pub const SENDING: u32 = 7;
    /// A block object that was given the voucher.
    pub const BLOCK: u32 = 8;
    /// A piece of work that goes onto the queue when a group is empty.
    pub const GROUP: u32 = 9;
}

/// The number of global queues.
pub const GLOBAL_QUEUES: u64 = 2 * Qos::CLASSES.len() as u64;

/// Returns the number of the global queue of a class, with or without overcommit.
pub const fn global_queue(class: Qos, overcommit: bool) -> u64 {
    match class {
        Qos::Unspecified => 0,
        class => 2 * (class as u64 - 1) + overcommit as u64 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_no_padding_and_pages_fit_a_small_buffer() {
        assert_eq!((size_of::<QueueRecord>(), size_of::<HolderRecord>(), size_of::<Page>()), (72, 48, 32));
        /// Header, NDR record and code; a trailer with the audit token.
        const REST: usize = 24 + 8 + 4 + 68;
        const { assert!(REST + 32 + QUEUES_MAX * 72 <= 1024) };
        const { assert!(REST + 32 + HOLDERS_MAX * 48 <= 1024) };
    }

    #[test]
    fn global_queues_have_the_first_numbers() {
        let numbers: [u64; 12] = core::array::from_fn(|place| global_queue(Qos::CLASSES[place / 2], place % 2 == 1));
        assert_eq!(numbers, core::array::from_fn(|place| place as u64 + 1));
        assert_eq!((GLOBAL_QUEUES, global_queue(Qos::Unspecified, true)), (12, 0));
    }
}
