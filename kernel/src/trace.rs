//! Events that a step reports about itself.
//!
//! Every layer has the step, so every layer can record. The recorder keeps nothing yet; the calls stand where the events
//! happen, and cost nothing.

use crate::ids::{MessageId, PortId, TaskId, ThreadId};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message was put into a port's queue.
    Queued(MessageId, PortId),
    /// A message of a port was delivered to a thread.
    Delivered(MessageId, PortId, ThreadId),
    /// A message is to be destroyed with the rights in it.
    Destroyed(MessageId),
    /// A port died.
    PortDied(PortId),
    /// A thread began to wait.
    Blocked(ThreadId),
    /// A thread's wait ended.
    Woken(ThreadId),
    /// A thread was given a processor.
    Chosen(ThreadId),
    /// A task ended.
    TaskEnded(TaskId),
}

/// The recorder of events.
#[derive(Debug, Default)]
pub struct Trace;

impl Trace {
    /// Records an event.
    #[inline(always)]
    pub fn record(&mut self, _event: Event) {}
}
