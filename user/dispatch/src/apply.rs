//! [`Queue::apply`]: the iterations of a loop on several threads (dispatch 4.2).

use crate::continuation::Continuation;
use crate::pool;
use crate::process::process;
use crate::qos::{ItemPriority, Qos};
use crate::queue::state::Kind;
use crate::queue::{Queue, QueueFlags};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::thread;
use crate::voucher::{self, Capture};

struct Loop<F> {
    body: F,
    count: usize,
    /// The next iteration.
    next: AtomicUsize,
    /// The iterations that are not finished.
    left: AtomicUsize,
    /// 1 when all are.
    finished: AtomicU32,
}

impl Queue {
    /// Calls a closure with 0, 1, … up to `count`, on the calling thread and on helpers that have its whole class and
    /// its voucher; returns when all calls have. On a serial queue the calls follow one another.
    pub fn apply(&self, count: usize, body: impl Fn(usize) + Send + Sync + 'static) {
        let shared = Arc::new(Loop {
            body,
            count,
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(count),
            finished: AtomicU32::new(u32::from(count == 0)),
        });
        let is_serial = self.lane().is_some_and(|lane| lane.width == 1);
        let helpers = if is_serial { 0 } else { process().kernel.processors().min(count).saturating_sub(1) };
        let requested = thread::requested().without_flags();
        for _ in 0..helpers {
            let shared = shared.clone();
            let priority = ItemPriority::enforced(requested);
            let helper = Continuation::new(priority, Capture::from(voucher::copy()), move || shared.work());
            self.push(helper, Kind::Shared, requested.class());
        }
        self.sync(|| shared.work());
        while shared.finished.load(Ordering::Acquire) == 0 {
            pool::waiting(|| process().kernel.wait(&shared.finished, 0, None));
        }
    }
}

/// Like [`Queue::apply`] on the global queue of the calling thread's class.
pub fn apply(count: usize, body: impl Fn(usize) + Send + Sync + 'static) {
    let class = match thread::requested().class() {
        Qos::Unspecified => Qos::DEFAULT,
        class => class,
    };
    Queue::global(class, QueueFlags::empty()).apply(count, body);
}

impl<F: Fn(usize)> Loop<F> {
    /// Runs iterations until none is left to start.
    fn work(&self) {
        loop {
            let iteration = self.next.fetch_add(1, Ordering::Relaxed);
            if iteration >= self.count {
                return;
            }
            (self.body)(iteration);
            if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.finished.store(1, Ordering::Release);
                process().kernel.wake(&self.finished, true);
            }
        }
    }
}
