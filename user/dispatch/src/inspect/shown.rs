//! [`Shown`]: what a thread lets others see of its context.

use crate::process::Process;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::voucher::Voucher;
use abi::PortName;
use core::cell::OnceCell;

/// What others see of a thread. Only the thread writes it; the fields are read one by one, so they may belong to two
/// moments.
pub(crate) struct ShownThread {
    name: PortName,
    number: u64,
    is_worker: AtomicBool,
    queue: AtomicU64,
    work: AtomicU64,
    voucher: AtomicU32,
    activity: AtomicU64,
}

impl ShownThread {
    /// Returns the thread's name.
    pub(crate) fn name(&self) -> PortName {
        self.name
    }

    /// Returns its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns true if it is a worker.
    pub(super) fn is_worker(&self) -> bool {
        self.is_worker.load(Ordering::Relaxed)
    }

    /// Returns the number of the queue whose item it runs, and that of the item; 0 for none.
    pub(super) fn runs(&self) -> (u64, u64) {
        (self.queue.load(Ordering::Relaxed), self.work.load(Ordering::Relaxed))
    }

    /// Returns the name of the voucher that it has adopted, and the activity.
    pub(super) fn holds(&self) -> (PortName, u64) {
        (PortName(self.voucher.load(Ordering::Relaxed)), self.activity.load(Ordering::Relaxed))
    }
}

/// The part of a thread's context that others see: made by its first use, and taken out when the thread ends.
pub(crate) struct Shown(OnceCell<Entry>);

struct Entry {
    thread: Arc<ShownThread>,
    process: &'static Process,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.process.inspect.threads.remove(self.thread.number);
    }
}

impl Shown {
    /// Returns the part of a thread that shows nothing.
    pub(crate) const fn new() -> Shown {
        Shown(OnceCell::new())
    }

    /// Begins to show the calling thread.
    #[cold]
    pub(crate) fn begin(&self, process: &'static Process, name: PortName) {
        self.0.get_or_init(|| {
            let number = process.kernel.thread_number();
            let thread = Arc::new(ShownThread {
                name,
                number,
                is_worker: AtomicBool::new(false),
                queue: AtomicU64::new(0),
                work: AtomicU64::new(0),
                voucher: AtomicU32::new(0),
                activity: AtomicU64::new(0),
            });
            process.inspect.threads.add(number, &thread);
            Entry { thread, process }
        });
    }

    /// Returns true if the thread is shown.
    pub(crate) fn is_begun(&self) -> bool {
        self.0.get().is_some()
    }

    /// Shows that the thread is a worker.
    pub(crate) fn worker(&self) {
        if let Some(entry) = self.0.get() {
            entry.thread.is_worker.store(true, Ordering::Relaxed);
        }
    }

    /// Shows the queue whose items the thread runs, and returns the former one.
    pub(crate) fn queue(&self, queue: u64) -> u64 {
        self.0.get().map_or(0, |entry| {
            let former = entry.thread.queue.load(Ordering::Relaxed);
            entry.thread.queue.store(queue, Ordering::Relaxed);
            former
        })
    }

    /// Shows the number of the piece of work.
    pub(crate) fn work(&self, work: u64) {
        if let Some(entry) = self.0.get() {
            entry.thread.work.store(work, Ordering::Relaxed);
        }
    }

    /// Shows the voucher that the thread adopts.
    pub(crate) fn voucher(&self, voucher: Option<&Voucher>) {
        let Some(entry) = self.0.get() else {
            return;
        };
        let (name, activity) =
            voucher.map_or((0, 0), |voucher| (voucher.shown_name().0, voucher.identity().activity.0));
        entry.thread.voucher.store(name, Ordering::Relaxed);
        entry.thread.activity.store(activity, Ordering::Relaxed);
    }
}
