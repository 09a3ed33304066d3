//! Time: [`after`], and sources whose handler runs at given times (dispatch 4.6, 5.9).
//!
//! One thread waits for the earliest deadline and pushes what is due. It exists only while there is a deadline, and for
//! some seconds more; a program without deadlines makes no system call because of this file.

use crate::continuation::Continuation;
use crate::process::{Process, process};
use crate::qos::{Priority, Qos};
use crate::queue::state::Kind;
use crate::queue::{Queue, client_crash};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, Weak};
use crate::thread;
use crate::timer_source::TimerShared;
use abi::debugger::{HolderRecord, holder};
use alloc::collections::BTreeMap;
use core::ops::Bound;
use core::time::Duration;

/// How long the thread waits for a deadline before it ends.
const IDLE_MICROSECONDS: u32 = 5_000_000;
/// The longest wait of one call.
const LONGEST_WAIT: u64 = 60_000_000;

/// What happens later in a task.
#[derive(Default)]
pub(crate) struct Timers {
    state: Mutex<State>,
    /// Changes when there is an earlier deadline.
    changed: AtomicU32,
}

/// The time of an event and its place in the order of the calls.
pub(crate) type Key = (u64, u64);

#[derive(Default)]
struct State {
    /// What is due, by its time in nanoseconds and by the order of the calls.
    events: BTreeMap<Key, Event>,
    /// The calls so far. It does not end: at one call a nanosecond it would last 584 years.
    calls: u64,
    has_thread: bool,
}

/// What happens at a time.
pub(crate) enum Event {
    /// Work that goes onto a queue, with its class.
    After(Queue, Continuation, Qos),
    /// A timer source fires, unless it was set anew since.
    Source(Weak<TimerShared>, u64),
}

/// Runs a closure on a queue after a time, with the context of this call. A time of zero is a plain submission.
pub(crate) fn after(queue: &Queue, delay: Duration, work: impl FnOnce() + Send + 'static) {
    let (continuation, class) = Continuation::capture(&queue.word(), false, work);
    later(queue, delay, continuation, class);
}

/// Pushes an item onto a queue after a time.
pub(crate) fn later(queue: &Queue, delay: Duration, mut continuation: Continuation, class: Qos) {
    if delay.is_zero() {
        return queue.push(continuation, Kind::Shared, class);
    }
    continuation.note_queue(queue);
    let deadline = process().kernel.now().saturating_add(nanoseconds(delay));
    process().queues.timers.add(deadline, Event::After(queue.clone(), continuation, class));
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Timers {
    /// Adds an event, and sees to it that the thread knows of it. Returns the key by which it can be removed.
    pub(crate) fn add(&self, deadline: u64, event: Event) -> Key {
        let mut state = self.state.lock();
        state.calls += 1;
        let key = (deadline, state.calls);
        state.events.insert(key, event);
        let is_first = state.events.first_key_value().is_some_and(|(&first, _)| first == key);
        let needs_thread = !core::mem::replace(&mut state.has_thread, true);
        self.changed.fetch_add(u32::from(is_first), Ordering::Release);
        drop(state);
        if needs_thread {
            start_thread();
        } else if is_first {
            process().kernel.wake(&self.changed, true);
        }
        key
    }

    /// Removes an event that will not be needed any more; it may be gone already. The thread is not told: it finds out
    /// when it looks for the next event.
    pub(crate) fn remove(&self, key: Key) {
        let event = self.state.lock().events.remove(&key);
        // What the event holds is given up without the lock.
        drop(event);
    }

    /// Returns the key of the first event behind a key, and what the event holds, if it holds something.
    pub(crate) fn look(&self, behind: Key) -> Option<(Key, Option<HolderRecord>)> {
        let state = self.state.lock();
        let (key, event) = state.events.range((Bound::Excluded(behind), Bound::Unbounded)).next()?;
        let record = match event {
            Event::After(queue, continuation, _) => continuation.held().record(holder::TIMER, queue.number()),
            Event::Source(..) => None,
        };
        Some((*key, record))
    }

    /// Returns the number of events.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().events.len()
    }

    /// Takes an event that is due. Otherwise returns how long the thread waits, and for which change.
    fn next(&self, now: u64) -> Result<Event, (u32, u32)> {
        let mut state = self.state.lock();
        let changed = self.changed.load(Ordering::Acquire);
        let Some((&(deadline, _), _)) = state.events.first_key_value() else {
            return Err((IDLE_MICROSECONDS, changed));
        };
        if deadline > now {
            return Err(((deadline - now).div_ceil(1000).min(LONGEST_WAIT) as u32, changed));
        }
        let (_, event) = state.events.pop_first().expect("there is a first event");
        Ok(event)
    }

    /// Returns true if there is nothing to wait for; then the thread is gone.
    fn retire(&self) -> bool {
        let mut state = self.state.lock();
        state.has_thread = !state.events.is_empty();
        !state.has_thread
    }
}

fn start_thread() {
    let process = process();
    // It runs no code of a client, and must not be late.
    let priority = Priority::of(Qos::UserInteractive);
    if thread::start(process, "timers", priority, move || run_timers(process)).is_err() {
        client_crash("there is no room for the thread of the timers");
    }
}

fn run_timers(process: &'static Process) {
    let timers = &process.queues.timers;
    loop {
        match timers.next(process.kernel.now()) {
            Ok(Event::After(queue, continuation, class)) => queue.push(continuation, Kind::Shared, class),
            Ok(Event::Source(source, setting)) => {
                if let Some(source) = source.upgrade() {
                    source.fire(setting);
                }
            }
            Err((microseconds, seen)) => {
                let in_time = process.kernel.wait(&timers.changed, seen, Some(microseconds));
                if !in_time && timers.retire() {
                    return;
                }
            }
        }
    }
}

/// The end of a wait, or never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<u64>);

/// What is left of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remaining(Option<u64>);

impl Deadline {
    /// Returns the end of a wait that begins now.
    pub(crate) fn after(timeout: Option<Duration>) -> Deadline {
        Deadline(timeout.map(|timeout| process().kernel.now().saturating_add(nanoseconds(timeout))))
    }

    /// Returns what is left, `None` if the time is over.
    pub(crate) fn remaining(self) -> Option<Remaining> {
        let Some(deadline) = self.0 else {
            return Some(Remaining(None));
        };
        let left = deadline.saturating_sub(process().kernel.now());
        (left > 0).then_some(Remaining(Some(left)))
    }
}

impl Remaining {
    /// Returns the timeout for one call of the kernel; the caller looks again afterwards.
    pub(crate) fn microseconds(self) -> Option<u32> {
        self.0.map(|nanoseconds| nanoseconds.div_ceil(1000).min(LONGEST_WAIT) as u32)
    }
}
