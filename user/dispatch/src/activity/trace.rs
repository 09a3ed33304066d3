//! The trace: what happened lately in the activities of a process (dispatch 3.3 step 4, 3.4).

use super::{ActivityId, Identity};
use crate::process::{Process, process};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::voucher::Voucher;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The most bytes of a record that a program chooses.
pub const TRACE_DATA_MAX: usize = 128;
/// The most records that are kept.
const RECORDS_MAX: usize = 256;

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// When, in nanoseconds since the machine started.
    pub time: u64,
    /// The activity for which the thread worked, its creator and its parent.
    pub current: Identity,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An activity was created.
    Created {
        /// The new activity.
        activity: ActivityId,
        /// Bytes of the program's choice, such as a label.
        data: Box<[u8]>,
    },
    /// The program says so.
    Note(Box<[u8]>),
}

/// The records of a process, the oldest of which go first.
#[derive(Default)]
pub struct Trace {
    records: Mutex<VecDeque<Record>>,
    off: AtomicBool,
}

impl Trace {
    /// Switches recording on, as it is from the start, or off.
    pub fn enable(&self, on: bool) {
        self.off.store(!on, Ordering::Relaxed);
    }

    /// Returns the records, from the oldest.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().iter().cloned().collect()
    }

    fn append(&self, record: Record) {
        let mut records = self.records.lock();
        if records.len() == RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(record);
    }
}

impl Process {
    /// Records the creation of an activity.
    pub(super) fn trace_creation(&self, current: Option<&Voucher>, created: Identity, data: &[u8]) {
        self.record(current, data, |data| Event::Created { activity: created.activity, data });
    }

    fn record(&self, current: Option<&Voucher>, data: &[u8], event: impl FnOnce(Box<[u8]>) -> Event) {
        if data.len() > TRACE_DATA_MAX {
            self.kernel.crash("a record of the trace has too many bytes");
        }
        if self.activities.trace.off.load(Ordering::Relaxed) {
            return;
        }
        let current = current.map_or(Identity::NONE, Voucher::identity);
        self.activities.trace.append(Record { time: self.kernel.now(), current, event: event(data.into()) });
    }
}

/// Records that something happened in the activity for which the calling thread works. More than [`TRACE_DATA_MAX`]
/// bytes end the program.
pub fn trace(note: &[u8]) {
    process().record(crate::voucher::copy().as_deref(), note, Event::Note);
}
