//! [`TimerSource`]: a handler that runs at given times (dispatch 4.6, 5.9).
//!
//! A source is a serial queue of its own. It captures nothing: its handlers run without a voucher and at the class of
//! the queue on which they run, unless a handler is a block that was given more.

use crate::block::Block;
use crate::continuation::Continuation;
use crate::process::process;
use crate::qos::{ItemPriority, Qos};
use crate::queue::state::Kind;
use crate::queue::{Queue, client_crash};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::timer::{Event, Key, nanoseconds};
use crate::voucher::Capture;
use alloc::boxed::Box;
use core::num::NonZeroU64;
use core::time::Duration;

/// A source of events at given times. It begins inactive. It ends when it is cancelled or dropped. To drop it while it is
/// suspended is fatal.
pub struct TimerSource(Arc<TimerShared>);

/// What the timers know of a source.
pub(crate) struct TimerShared {
    /// The source as a queue.
    queue: Queue,
    handler: Mutex<Option<Handler>>,
    schedule: Mutex<Schedule>,
    /// How often it fired since the handler began.
    fired: AtomicU64,
    is_cancelled: AtomicBool,
}

/// What a source calls.
enum Handler {
    /// A closure that gets the number of firings since its last call.
    Closure(Box<dyn FnMut(u64) + Send>),
    /// A block, which may have a class and a voucher.
    Block(Block),
}

#[derive(Clone, Copy, Default)]
struct Schedule {
    /// Counts the settings, so that an earlier one does not fire any more.
    setting: u64,
    next: u64,
    /// In nanoseconds; none if it fires once.
    interval: Option<NonZeroU64>,
    /// The event that the timers keep for this source. It may have come already.
    event: Option<Key>,
}

impl Schedule {
    /// Has the source fire at the next time, and at no other one. The caller holds the lock of the schedule, so that a
    /// source never has two events.
    fn arm(&mut self, source: &Arc<TimerShared>) {
        self.disarm();
        self.event = Some(process().queues.timers.add(self.next, Event::Source(Arc::downgrade(source), self.setting)));
    }

    /// Removes the event. A far one would be kept until its time otherwise, one for each setting.
    fn disarm(&mut self) {
        if let Some(event) = self.event.take() {
            process().queues.timers.remove(event);
        }
    }
}

impl TimerSource {
    /// Returns an inactive source whose handler runs on a queue.
    pub fn new(target: &Queue, handler: impl FnMut(u64) + Send + 'static) -> TimerSource {
        TimerSource::with(target, Handler::Closure(Box::new(handler)))
    }

    /// Returns an inactive source that runs a block. What the block was given at its creation is adopted each time;
    /// what it was not given is not captured (dispatch C-3).
    pub fn with_block(target: &Queue, block: &Block) -> TimerSource {
        TimerSource::with(target, Handler::Block(block.clone()))
    }

    fn with(target: &Queue, handler: Handler) -> TimerSource {
        let queue = Queue::builder("timer").target(target).hidden().inactive().build();
        TimerSource(Arc::new(TimerShared {
            queue,
            handler: Mutex::new(Some(handler)),
            schedule: Mutex::default(),
            fired: AtomicU64::new(0),
            is_cancelled: AtomicBool::new(false),
        }))
    }

    /// Sets when the source fires: after some time, and then each `interval`, or only once. Replaces what was set.
    pub fn set(&self, start: Duration, interval: Option<Duration>) {
        let next = process().kernel.now().saturating_add(nanoseconds(start));
        let interval = interval.map(|interval| NonZeroU64::new(nanoseconds(interval)).unwrap_or(NonZeroU64::MIN));
        let mut schedule = self.0.schedule.lock();
        (schedule.next, schedule.interval) = (next, interval);
        schedule.setting += 1;
        if !self.0.is_cancelled.load(Ordering::Acquire) {
            schedule.arm(&self.0);
        }
    }

    /// Lets the source begin.
    pub fn activate(&self) {
        self.0.queue.activate();
    }

    /// Keeps the handler from starting until [`resume`](TimerSource::resume).
    pub fn suspend(&self) {
        self.0.queue.suspend();
    }

    /// Ends one [`suspend`](TimerSource::suspend).
    pub fn resume(&self) {
        self.0.queue.resume();
    }

    /// Ends the source: the handler is not called any more, but for the call that runs now.
    pub fn cancel(&self) {
        self.cancel_then(|| ());
    }

    /// Ends the source, and runs a closure on its queue after the last call of the handler. A source that is inactive
    /// begins for this.
    pub fn cancel_then(&self, work: impl FnOnce() + Send + 'static) {
        if self.0.is_cancelled.swap(true, Ordering::AcqRel) {
            return;
        }
        self.0.schedule.lock().disarm();
        self.0.queue.activate();
        let source = self.0.clone();
        self.0.push(move || {
            drop(source.take_handler());
            work();
        });
    }
}

impl TimerShared {
    /// Pushes work on the source, without a class and a voucher (dispatch C-2).
    fn push(&self, work: impl FnOnce() + Send + 'static) {
        let continuation = Continuation::new(ItemPriority::NONE, Capture::Clear, work);
        self.queue.push(continuation, Kind::Barrier, Qos::Unspecified);
    }

    /// Notes that a time has come, and sets the next one.
    pub(crate) fn fire(self: Arc<TimerShared>, setting: u64) {
        let now = process().kernel.now();
        let mut times = 1;
        {
            let mut schedule = self.schedule.lock();
            if schedule.setting != setting || self.is_cancelled.load(Ordering::Acquire) {
                return;
            }
            if let Some(interval) = schedule.interval {
                // What was missed counts, but the handler is called once for all of it.
                times += now.saturating_sub(schedule.next) / interval;
                schedule.next = schedule.next.saturating_add(times.saturating_mul(interval.get()));
                schedule.arm(&self);
            }
        }
        if self.fired.fetch_add(times, Ordering::AcqRel) == 0 {
            self.call_handler();
        }
    }

    /// Has the handler called on the source's queue.
    fn call_handler(self: Arc<TimerShared>) {
        let block = match &*self.handler.lock() {
            Some(Handler::Block(block)) => Some(block.clone()),
            _ => None,
        };
        let source = self.clone();
        match block {
            Some(block) => {
                let (continuation, class) = block.for_source(&self.queue.word(), move || source.begin() > 0);
                self.queue.push(continuation, Kind::Barrier, class);
            }
            None => self.push(move || source.handle()),
        }
    }

    /// Returns how often the source fired, for the call that begins; 0 if there is none because it was cancelled.
    fn begin(&self) -> u64 {
        let fired = self.fired.swap(0, Ordering::AcqRel);
        if self.is_cancelled.load(Ordering::Acquire) { 0 } else { fired }
    }

    fn take_handler(&self) -> Option<Handler> {
        self.handler.lock().take()
    }

    fn handle(&self) {
        let fired = self.begin();
        if fired == 0 {
            return;
        }
        // The source is serial, so that nobody else looks for the handler meanwhile.
        let mut handler = self.take_handler();
        if let Some(Handler::Closure(call)) = &mut handler {
            call(fired);
        }
        *self.handler.lock() = handler;
    }
}

impl Drop for TimerSource {
    fn drop(&mut self) {
        self.cancel();
        if self.0.queue.is_suspended() {
            client_crash("a source was released that is suspended");
        }
    }
}
