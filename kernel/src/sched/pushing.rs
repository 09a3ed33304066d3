//! Waiting threads that raise those they wait for, and the objects that a thread serves (importance 7.5, 7.6).
//!
//! Which thread pushes which port is decided in `ipc/push.rs`. Here are the parts of it that threads know.

use super::Scheduling;
use super::thread::Push;
use super::wait_queue::{Pushing, WaitQueue};
use crate::ids::{PortId, Receivable, ThreadId};

impl Scheduling {
    /// Adds a thread to those that push the servicer of a port, in whose queue they are by priority.
    pub fn start_push(
        &mut self,
        queue: &mut WaitQueue<Pushing>,
        thread: ThreadId,
        port: PortId,
        rank: u8,
        priority: u8,
    ) {
        assert!(self.threads[thread].push.port().is_none(), "{thread:?} pushes twice");
        self.threads[thread].push = Push::Port { port, rank };
        queue.insert(&mut self.threads, thread, priority);
    }

    /// Removes a thread from those that push the servicer of a port.
    pub fn end_push(&mut self, queue: &mut WaitQueue<Pushing>, thread: ThreadId) {
        queue.remove(&mut self.threads, thread);
        self.threads[thread].push = Push::Nobody;
    }

    /// Notes that a thread, which pushes nobody, would push but for the limits on chains, or that it would not.
    pub fn set_push_refused(&mut self, thread: ThreadId, refused: bool) {
        self.threads[thread].push = if refused { Push::Refused } else { Push::Nobody };
    }

    /// Raises the rank of a thread that pushes, because a longer chain of pushes ends at it.
    pub fn raise_push_rank(&mut self, thread: ThreadId, to: u8) {
        let Push::Port { rank, .. } = &mut self.threads[thread].push else { panic!("{thread:?} pushes nobody") };
        *rank = (*rank).max(to);
    }

    /// Notes which port or set a thread serves.
    pub fn set_serves(&mut self, thread: ThreadId, object: Option<Receivable>) {
        self.threads[thread].serves = object;
    }

    /// Notes the special reply port of a thread. Returns the one that it had.
    pub fn set_special_reply(&mut self, thread: ThreadId, port: Option<PortId>) -> Option<PortId> {
        core::mem::replace(&mut self.threads[thread].special_reply, port)
    }

    /// Panics unless a queue of threads that push is in order; returns its threads.
    pub fn check_pushing<'a>(&'a self, queue: &WaitQueue<Pushing>) -> impl Iterator<Item = ThreadId> + use<'a> {
        queue.check(&self.threads);
        queue.iter(&self.threads)
    }
}
