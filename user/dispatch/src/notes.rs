//! What the library tells the kernel of itself while events are recorded, so that a timeline shows which work holds which
//! voucher.
//!
//! Whether they are recorded is asked once, when the library is set up in its task. If they are not, a piece of work has
//! no number, and a test of one word is all that this costs.

use crate::process::{Process, process};
use crate::qos::{ItemPriority, Priority};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::Kernel;
use crate::{thread, voucher};
use abi::PortName;
use abi::debugger::GLOBAL_QUEUES;
use abi::event::note;
use abi::port::MACH_PORT_NULL;

/// What a task tells.
pub(crate) struct Notes {
    is_on: bool,
    /// The last number of a piece of work.
    works: AtomicU64,
    /// The global queues whose labels were told, by bits.
    named: AtomicU32,
}

impl Notes {
    /// Asks whether events are recorded.
    pub(crate) fn new(kernel: &dyn Kernel) -> Notes {
        let is_on = kernel.tell(note::NONE, [0; 3], MACH_PORT_NULL);
        Notes { is_on, works: AtomicU64::new(0), named: AtomicU32::new(0) }
    }

    /// Returns true if they were recorded when the library was set up.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Tells the label of a new queue.
    pub(crate) fn queue(&self, kernel: &dyn Kernel, queue: u64, label: &str) {
        if self.is_on {
            let words = words_of(label);
            kernel.tell(note::QUEUE_NAMED, [queue, words[0], words[1]], MACH_PORT_NULL);
        }
    }

    /// Tells the label of a queue the first time, if it is a global one. All others have told theirs.
    fn global_queue(&self, kernel: &dyn Kernel, queue: u64) {
        let Some(label) = GLOBAL_LABELS.get(queue as usize) else { return };
        let bit = 1 << queue;
        if self.named.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.queue(kernel, queue, label);
        }
    }
}

/// The labels of the global queues, by their numbers. The main thread runs outside of them.
const GLOBAL_LABELS: [&str; GLOBAL_QUEUES as usize + 1] = [
    "no queue",
    "global MT",
    "global MT over",
    "global BG",
    "global BG over",
    "global UT",
    "global UT over",
    "global DEF",
    "global DEF over",
    "global IN",
    "global IN over",
    "global UI",
    "global UI over",
];

/// Returns the first 16 bytes of a label, as two numbers.
fn words_of(label: &str) -> [u64; 2] {
    let mut bytes = [0; 16];
    let end = label.floor_char_boundary(bytes.len());
    bytes[..end].copy_from_slice(&label.as_bytes()[..end]);
    [0, 8].map(|start| u64::from_le_bytes(core::array::from_fn(|place| bytes[start + place])))
}

/// A piece of work in what is told. Dropping it tells its end.
pub(crate) struct Note {
    /// The number; 0 if nothing is told of the work.
    work: u64,
    queue: u64,
    has_begun: bool,
}

impl Note {
    /// Nothing was told.
    pub(crate) const NONE: Note = Note { work: 0, queue: 0, has_begun: false };

    /// Returns the number of the work; 0 if it has none.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    /// Tells that the work was submitted to a queue, and holds a voucher from now on.
    #[cold]
    pub(crate) fn submitted(&mut self, queue: u64, priority: u32, voucher: PortName) {
        let Process { kernel, inspect, .. } = process();
        inspect.notes.global_queue(*kernel, queue);
        self.work = inspect.notes.works.fetch_add(1, Ordering::Relaxed) + 1;
        self.queue = queue;
        kernel.tell(note::WORK_SUBMITTED, [self.work, queue, priority.into()], voucher);
    }

    /// Tells that the work begins on the calling thread, which has taken its context on.
    #[inline]
    pub(crate) fn begins(&mut self) {
        if self.work != 0 {
            self.begun();
        }
    }

    #[cold]
    fn begun(&mut self) {
        self.has_begun = true;
        let voucher = voucher::copy().map_or(MACH_PORT_NULL, |voucher| voucher.shown_name());
        let priority = thread::requested().without_flags();
        process().kernel.tell(note::WORK_BEGUN, [self.work, self.queue, priority.0.into()], voucher);
        thread::with(|context| context.shown.work(self.work));
    }

    #[cold]
    fn ended(&self) {
        let note = if self.has_begun { note::WORK_DONE } else { note::WORK_DROPPED };
        process().kernel.tell(note, [self.work, self.queue, 0], MACH_PORT_NULL);
        if self.has_begun {
            thread::with(|context| context.shown.work(0));
        }
    }
}

impl Drop for Note {
    #[inline]
    fn drop(&mut self) {
        if self.work != 0 {
            self.ended();
        }
    }
}

/// Returns the priority that an item takes along, as a word.
pub(crate) fn word_of(priority: ItemPriority) -> u32 {
    match priority {
        ItemPriority::Keep => Priority::NONE.0,
        ItemPriority::Of { priority, .. } => priority.without_flags().0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::continuation::Continuation;
    use crate::queue::Queue;
    use crate::sys::mock::Mock;

    #[test]
    fn work_that_never_begins_is_told_as_dropped() {
        let mock = Mock::new().record_notes();
        mock.enter();
        let queue = Queue::new("abandoned");
        let (mut continuation, _) = Continuation::capture(&queue.word(), false, || unreachable!("it is dropped"));
        continuation.note_queue(&queue);
        continuation.note_queue(&queue);
        assert_eq!(continuation.held().work, 1);
        drop(continuation);
        let told: alloc::vec::Vec<_> = mock.notes().iter().map(|told| (told.note, told.arguments[0])).collect();
        let number = queue.number();
        assert_eq!(told, [(note::QUEUE_NAMED, number), (note::WORK_SUBMITTED, 1), (note::WORK_DROPPED, 1)]);
    }

    #[test]
    fn work_is_told_on_queues_with_any_number() {
        let mock = Mock::new().record_notes();
        mock.enter();
        const QUEUES: usize = 80;
        for _ in 0..QUEUES {
            let queue = Queue::new("one of many");
            let (mut continuation, _) = Continuation::capture(&queue.word(), false, || unreachable!("it is dropped"));
            continuation.note_queue(&queue);
        }
        let count = |kind| mock.notes().iter().filter(|told| told.note == kind).count();
        assert_eq!([note::QUEUE_NAMED, note::WORK_SUBMITTED].map(count), [QUEUES; 2]);
    }

    #[test]
    fn labels_are_cut_between_characters() {
        let bytes = |label| words_of(label).map(u64::to_le_bytes).concat();
        assert_eq!(bytes("decode"), b"decode\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(bytes("fifteen bytes..\u{e9}"), b"fifteen bytes..\0");
    }
}
