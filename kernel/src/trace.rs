//! Events that happen in a step.
//!
//! Every layer is passed the step, so every layer can record. The recorder does not keep events yet: the calls mark the
//! places where they happen and compile to no code.

use crate::ids::{MessageId, PortId, TaskId, ThreadId};

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message was put into a port's queue.
    Queued(MessageId, PortId),
    /// A message of a port was delivered to a thread.
    Delivered(MessageId, PortId, ThreadId),
    /// A message is to be taken apart with the rights in it.
    Destroyed(MessageId),
    /// A port died.
    PortDied(PortId),
    /// A thread began to wait.
    Blocked(ThreadId),
    /// A thread's wait ended.
    Woken(ThreadId),
    /// A processor was given to a thread.
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
