//! What a step leaves to do.
//!
//! A step is one call of `Kernel::handle`. The code that runs in it does not destroy what
//! has become superfluous, does not send the kernel's notifications and does not choose who runs: it notes all that here,
//! and the step's end (`kernel.rs`) settles it once. So counting a right down can never deliver a message, and nothing
//! recurses, however deep messages are nested in ports and ports in messages.
//!
//! Work is done in the order in which it was noted, in slices between which all invariants hold and other threads can run
//! (errata 4). Adding to a list never fails: each object reserves its place on the lists when it is made.

use crate::ids::{MessageId, PortId, SetId, TaskId, ThreadId};
use crate::trace::Trace;
use bitflags::bitflags;
use store::{NoMemory, NodeList, Nodes};

/// A piece of deferred work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Send a message of the kernel's own, which is complete.
    Post(MessageId),
    /// Destroy a message with its rights.
    Message(MessageId),
    /// Take a dead port apart: blocked senders and messages.
    Port(PortId),
    /// Take a dead port apart, second part: tell those who made requests, then forget the port.
    Requests(PortId),
    /// Fire the armed requests of a port.
    Armed(PortId),
    /// Take a dead port set apart.
    Set(SetId),
    /// Take an ended task apart: its names and its memory.
    Task(TaskId),
}

impl Work {
    /// How many pieces of work about one port there can be at a time.
    pub const PER_PORT: usize = 2;
    /// How many pieces of work about one message, set or task there can be at a time.
    pub const PER_OBJECT: usize = 1;
}

/// Bytes that the place of one piece of work takes.
pub const WORK_COST: usize = 24;

/// What is left of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more to do.
    More,
    /// The work is done.
    Done,
}

/// A policy that has to be computed anew, with the priorities that follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyChange {
    /// That of a thread.
    Thread(ThreadId),
    /// That of a task, for all its threads.
    Task(TaskId),
}

bitflags! {
    /// Why a step cannot end on the fast exit.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Reasons: u8 {
        /// The choice of who runs may come out differently, or a processor's timer is set too late.
        const CHOOSE = 1;
        /// The thread that entered is to end or was suspended, or its registers must be loaded anew.
        const CALLER = 2;
        /// There is work.
        const WORK = 4;
        /// There is work for which no thread waits.
        const BACKGROUND = 8;
        /// A policy has changed.
        const POLICY = 16;
    }
}

/// What the current step leaves to do. Between two steps nothing but background work is left.
#[derive(Debug, Default)]
pub struct Step {
    reasons: Reasons,
    work: NodeList,
    /// Work for which no thread waits: each full exit and the idle loop do a slice of it.
    background: NodeList,
    work_nodes: Nodes<Work>,
    policy: NodeList,
    policy_nodes: Nodes<PolicyChange>,
    /// What the step reports about itself.
    pub trace: Trace,
}

impl Step {
    /// Sets aside room for `count` pieces of work: see [`Work::PER_PORT`] and [`Work::PER_OBJECT`].
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    #[inline]
    pub fn reserve_work(&mut self, count: usize) -> Result<(), NoMemory> {
        self.work_nodes.reserve(count)
    }

    /// Gives back what [`reserve_work`](Step::reserve_work) set aside.
    #[inline]
    pub fn release_work(&mut self, count: usize) {
        self.work_nodes.release(count);
    }

    /// Sets aside room for the policy changes of one task or thread.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn reserve_policy_change(&mut self) -> Result<(), NoMemory> {
        self.policy_nodes.reserve(1)
    }

    /// Gives back what [`reserve_policy_change`](Step::reserve_policy_change) set aside.
    pub fn release_policy_change(&mut self) {
        self.policy_nodes.release(1);
    }

    /// Notes a piece of work. It is done after all that was noted before.
    pub fn later(&mut self, work: Work) {
        self.reasons |= Reasons::WORK;
        self.work_nodes.push_back(&mut self.work, work);
    }

    /// Notes that a policy has changed. Changes apply in the order in which they are noted, before the next choice.
    pub fn policy_changed(&mut self, change: PolicyChange) {
        self.reasons |= Reasons::POLICY;
        self.policy_nodes.push_back(&mut self.policy, change);
    }

    /// Takes the policy change that applies next.
    pub fn next_policy_change(&mut self) -> Option<PolicyChange> {
        self.policy_nodes.pop_front(&mut self.policy)
    }

    /// Notes that the choice of who runs may come out differently.
    #[inline(always)]
    pub fn choose_again(&mut self) {
        self.reasons |= Reasons::CHOOSE;
    }

    /// Notes that the thread that entered is to end, was suspended, or has registers that must be loaded anew.
    pub fn look_at_caller(&mut self) {
        self.reasons |= Reasons::CALLER;
    }

    /// Returns true if the step leaves nothing to do: the thread that has the processor simply goes on.
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Notes that the choice was made and everything else settled. Only background work may be left.
    #[inline]
    pub fn settled(&mut self) {
        debug_assert!(self.work.is_empty() && self.policy.is_empty(), "a step is settled with work left to do");
        self.reasons = Reasons::empty();
        self.reasons.set(Reasons::BACKGROUND, !self.background.is_empty());
    }

    /// Returns true if this step has work to do.
    #[inline(always)]
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Returns true if there is work for which no thread waits.
    pub fn has_background_work(&self) -> bool {
        !self.background.is_empty()
    }

    /// Takes the next piece of work.
    pub fn next_work(&mut self) -> Option<Work> {
        self.work_nodes.pop_front(&mut self.work)
    }

    /// Takes the next piece of work if it is a message to send.
    pub fn next_post(&mut self) -> Option<MessageId> {
        let Some(&Work::Post(message)) = self.work_nodes.front(&self.work) else { return None };
        self.next_work();
        Some(message)
    }

    /// Puts a piece of work of which something is left back in front.
    pub fn put_back(&mut self, work: Work) {
        self.work_nodes.push_front(&mut self.work, work);
    }

    /// Takes all work of this step, to be kept with the thread that waits for it.
    pub fn take_work(&mut self) -> NodeList {
        self.work.take()
    }

    /// Makes `list` the work of this step, which has none.
    pub fn resume_work(&mut self, list: NodeList) {
        debug_assert!(self.work.is_empty(), "a step's own work comes first");
        self.reasons |= Reasons::WORK;
        self.work = list;
    }

    /// Adds work for which no thread waits any more.
    pub fn add_background(&mut self, list: NodeList) {
        if list.is_empty() {
            return;
        }
        self.reasons |= Reasons::BACKGROUND;
        self.work_nodes.append(&mut self.background, list);
    }

    /// Makes the background work the work of this step, which has none, or puts what is left of it back.
    pub fn swap_background(&mut self) {
        core::mem::swap(&mut self.work, &mut self.background);
    }

    /// Panics unless the room set aside is that of so many pieces of work and so many policies.
    pub fn check(&self, work: usize, policies: usize) {
        assert_eq!(self.work_nodes.reserved(), work, "every object has its places on the work list");
        assert_eq!(self.policy_nodes.reserved(), policies, "every task and thread has its place for a policy change");
        assert!(self.work.is_empty() && self.policy.is_empty(), "a step leaves nothing but background work");
    }
}
