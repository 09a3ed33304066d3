//! [`Group`]: work that is waited for together (dispatch 4.2).

use crate::continuation::Continuation;
use crate::inspect::Look;
use crate::pool;
use crate::process::process;
use crate::qos::Qos;
use crate::queue::state::Kind;
use crate::queue::{Queue, client_crash};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::timer::Deadline;
use abi::debugger::{HolderRecord, holder};
use alloc::vec::Vec;
use core::time::Duration;

/// A number of things that are not done yet. Copies denote the same group.
///
/// A wait lends no class to what is waited for (dispatch L-23).
#[derive(Clone, Default)]
pub struct Group(Arc<Shared>);

#[derive(Default)]
pub(crate) struct Shared {
    /// The number by which debuggers find it, 0 as long as nobody has asked for a notification.
    number: AtomicU64,
    state: Mutex<State>,
    /// Changes whenever the group becomes empty.
    emptied: AtomicU32,
}

#[derive(Default)]
struct State {
    count: usize,
    notifications: Vec<Notification>,
}

/// What is pushed when the group is empty.
struct Notification {
    queue: Queue,
    continuation: Continuation,
    class: Qos,
}

/// One thing of a group; it is done when this is dropped.
pub(crate) struct Entered(Group);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Group {
    /// Returns an empty group.
    pub fn new() -> Group {
        Group::default()
    }

    /// Counts one more thing, until as many calls of [`leave`](Group::leave).
    pub fn enter(&self) {
        self.0.state.lock().count += 1;
    }

    pub(crate) fn entered(&self) -> Entered {
        self.enter();
        Entered(self.clone())
    }

    /// Counts one thing less. When none is left the notifications are pushed, each with the context in which it was
    /// registered. To leave more often than one entered is fatal.
    pub fn leave(&self) {
        let mut state = self.0.state.lock();
        let Some(count) = state.count.checked_sub(1) else {
            drop(state);
            client_crash("a group was left more often than it was entered");
        };
        state.count = count;
        if count > 0 {
            return;
        }
        let notifications = core::mem::take(&mut state.notifications);
        self.0.emptied.fetch_add(1, Ordering::Release);
        drop(state);
        process().kernel.wake(&self.0.emptied, true);
        notifications.into_iter().for_each(Notification::push);
    }

    /// Runs a closure on a queue later, as one thing of the group: see [`Queue::run_async`].
    pub fn run_async(&self, queue: &Queue, work: impl FnOnce() + Send + 'static) {
        let (continuation, class) = Continuation::capture_in_group(&queue.word(), self.entered(), work);
        queue.push(continuation, Kind::Shared, class);
    }

    /// Runs a closure on a queue once the group is empty, with the context of this call.
    pub fn notify(&self, queue: &Queue, work: impl FnOnce() + Send + 'static) {
        let (mut continuation, class) = Continuation::capture(&queue.word(), false, work);
        continuation.note_queue(queue);
        self.show();
        let notification = Notification { queue: queue.clone(), continuation, class };
        let mut state = self.0.state.lock();
        if state.count > 0 {
            state.notifications.push(notification);
            return;
        }
        drop(state);
        notification.push();
    }

    /// Lets debuggers find what waits for the group.
    fn show(&self) {
        let groups = &process().inspect.groups;
        if self.0.number.load(Ordering::Relaxed) == 0 {
            let number = groups.number();
            if self.0.number.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                groups.add(number, &self.0);
            }
        }
    }

    /// Waits until the group is empty, or for a time. Returns false if the time passed. Another thread may enter the group
    /// again before this returns.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let deadline = Deadline::after(timeout);
        let seen = self.0.emptied.load(Ordering::Acquire);
        loop {
            if self.is_empty() || self.0.emptied.load(Ordering::Acquire) != seen {
                return true;
            }
            let Some(remaining) = deadline.remaining() else {
                return false;
            };
            pool::waiting(|| process().kernel.wait(&self.0.emptied, seen, remaining.microseconds()));
        }
    }

    /// Returns true if nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.0.state.lock().count == 0
    }
}

impl Notification {
    fn push(self) {
        self.queue.push(self.continuation, Kind::Shared, self.class);
    }
}

impl Shared {
    /// Returns what waits at a place of the list for the group to be empty.
    pub(crate) fn look(&self, place: usize) -> Look<HolderRecord> {
        match self.state.lock().notifications.get(place) {
            Some(waiting) => Look::of(waiting.continuation.held().record(holder::GROUP, waiting.queue.number())),
            None => Look::End,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let number = self.number.load(Ordering::Relaxed);
        if number != 0 {
            process().inspect.groups.remove(number);
        }
        if self.state.lock().count > 0 {
            client_crash("a group was released that is not empty");
        }
    }
}
