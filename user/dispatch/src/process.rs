//! [`Process`]: what the library keeps once for each task.

use crate::activity::Activities;
use crate::inspect::Inspect;
use crate::mach::{self, Receiver};
use crate::persona::ArbitraryPersonas;
use crate::queue::Queues;
use crate::source::Watcher;
use crate::sync::Arc;
use crate::sys::Kernel;
use crate::thread;
use crate::voucher::Vouchers;
use alloc::boxed::Box;

/// The state of the library in one task.
///
/// A program has one. A test on the host may have several, each over a mock kernel of its own; a thread belongs to the
/// one that it has [entered](Process::enter).
pub struct Process {
    /// The kernel.
    pub kernel: &'static dyn Kernel,
    /// All voucher objects by name, and the default voucher.
    pub vouchers: Vouchers,
    /// Activity ids and the trace.
    pub activities: Activities,
    pub(crate) arbitrary_personas: ArbitraryPersonas,
    /// Queues and workers.
    pub(crate) queues: Queues,
    /// The thread that receives for all channels.
    pub(crate) receiver: Receiver,
    /// The thread that watches the ports of sources.
    pub(crate) watcher: Watcher,
    /// What debuggers can learn of queues and vouchers.
    pub(crate) inspect: Inspect,
}

impl Process {
    /// Returns the state of a new task, which stays for ever.
    pub fn new(kernel: &'static dyn Kernel) -> &'static Process {
        Box::leak(Box::new(Process {
            kernel,
            vouchers: Vouchers::default(),
            activities: Activities::default(),
            arbitrary_personas: ArbitraryPersonas::default(),
            queues: Queues::default(),
            receiver: Receiver::new(),
            watcher: Watcher::default(),
            inspect: Inspect::new(kernel),
        }))
    }

    /// Makes the calling thread one of this task. For tests on the host, and for threads that the library starts.
    pub fn enter(&'static self) {
        thread::enter(self);
    }

    /// Limits the number of workers. Those that exist stay.
    pub fn set_worker_limit(&self, limit: usize) {
        self.queues.pool.set_limit(limit);
    }

    /// Returns the numbers of things that the library holds, for tests of leaks (dispatch R-7).
    pub fn debug_counts(&self) -> DebugCounts {
        let (workers, parked) = self.queues.pool.workers();
        DebugCounts {
            vouchers: self.vouchers.live(),
            messages: mach::message::count(),
            continuations: self.queues.counts.continuations.get(),
            queues: self.queues.counts.lanes.get(),
            timers: self.queues.timers.len(),
            workers,
            parked,
        }
    }
}

/// The numbers of things that the library holds (dispatch R-7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DebugCounts {
    /// Voucher objects that are alive.
    pub vouchers: usize,
    /// Message objects, of all tasks of the program.
    pub messages: usize,
    /// Items that wait or run.
    pub continuations: usize,
    /// Queues that are no global ones.
    pub queues: usize,
    /// Deadlines.
    pub timers: usize,
    /// Threads of the pool.
    pub workers: usize,
    /// Those of them that wait for work.
    pub parked: usize,
}

/// Returns the task of the calling thread.
///
/// # Panics
/// On the host, if the thread has entered none.
pub fn process() -> &'static Process {
    thread::with(|context| context.process())
}

/// Returns true if both are the same object.
pub(crate) fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
