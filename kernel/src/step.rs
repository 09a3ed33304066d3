//! The step: a record of the work that one call of `Kernel::handle` leaves to do.
//!
//! The code that runs in a step does not take objects apart, send the kernel's notifications or choose the thread that
//! runs. It notes all that in the [`Step`], and the step's end (`kernel.rs`) settles it. So an operation that counts a
//! right down does not deliver a message in the middle of another operation, and taking apart messages that are nested
//! in ports needs no recursion.
//!
//! Work is done in the order in which it was noted, in slices, between which all invariants hold and other threads can
//! run (errata 4). Messages that the kernel has made are sent before other work goes on. They are therefore queued in
//! the order of their causes, and not held up by long destruction, and the memory for them is bounded by the number
//! that one piece of work or one trap makes. Vouchers that have lost their last send right are released in the same
//! way, so that their managers learn of it in the step in which it happens. Adding to a list cannot fail, because each object reserves its places on
//! the lists when it is made.

use crate::effort::Effort;
use crate::ids::{MessageId, PortId, SetId, TaskId, ThreadId};
use crate::longest::{Longest, Part};
use crate::trace::Trace;
use bitflags::bitflags;
use store::{NoMemory, NodeList, Nodes};

/// A piece of deferred work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Send a message that the kernel has made.
    Post(MessageId),
    /// Release the voucher of a port that has lost its last send right.
    NoSenders(PortId),
    /// Take a message apart: its rights, then the message itself.
    Message(MessageId),
    /// Take a dead port apart, first part: blocked senders and messages.
    Port(PortId),
    /// Take a dead port apart, second part: fire the requests about it, then remove the port.
    Requests(PortId),
    /// Admit blocked senders of a port whose queue limit gets higher, and fire its armed send-possible requests.
    Armed(PortId),
    /// Take a dead port set apart.
    Set(SetId),
    /// Take an ended task apart: its names and its memory.
    Task(TaskId),
    /// Let boosts spread that were too many for one step.
    Boosts,
    /// Let pushes go on that were too many for one step.
    Pushes,
}

impl Work {
    /// The number of pieces of work about one port that can be on the lists at the same time.
    pub const PER_PORT: usize = 2;
    /// The same for one message, set or task.
    pub const PER_OBJECT: usize = 1;
}

/// The number of ports of one step or piece of work whose death is remembered until it is known who waits for them.
const DIED_MAX: usize = 4;

/// Bytes of kernel memory for the place of one piece of work.
pub const WORK_COST: usize = Nodes::<Work>::ITEM_SIZE;

/// The state of a piece of work after a part of it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more to do.
    More,
    /// The work is done.
    Done,
}

/// A requested policy that has changed, so that priorities have to be computed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyChange {
    /// The policy of a thread.
    Thread(ThreadId),
    /// The policy of a task, which affects all its threads.
    Task(TaskId),
    /// What a port does to a thread: its messages and those that wait for it to the thread that serves it, or its link
    /// to the thread whose special reply port it is.
    Port(PortId),
    /// What the messages of a set's members do to the thread that serves it.
    Set(SetId),
}

bitflags! {
    /// The reasons why a step cannot end on the fast exit.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Reasons: u8 {
        /// Another thread may have to run, or a processor's timer is set too late.
        const CHOOSE = 1;
        /// The thread that entered the kernel is to end or was suspended, or its registers must be loaded anew.
        const CALLER = 2;
        /// The step has work.
        const WORK = 4;
        /// A policy has changed.
        const POLICY = 16;
        /// A thread that has an account has left the processor, and the account has not been charged.
        const BILL = 32;
        /// Events are recorded. It lasts from step to step, so that no way past the recorder is taken.
        const TRACE = 64;
        /// Steps are measured. It lasts in the same way.
        const MEASURE = 128;
    }
}

/// The work that the current step leaves to do. Between two steps only background work is left, and the account of a
/// thread that has just left the processor.
#[derive(Debug, Default)]
pub struct Step {
    reasons: Reasons,
    /// Work of the kinds [`Work::Post`] and [`Work::NoSenders`], which is done before other work.
    urgent: NodeList,
    /// The work of this step. The thread that caused it does not go on before it is done.
    work: NodeList,
    /// Background work, whose cause has ended. The scheduler has a place for it among the threads.
    background: NodeList,
    /// Tables may have memory that they do not need any more.
    trims: bool,
    /// The level of the most urgent thread that waits for the work of this step, as far as that is known, or that has
    /// caused it and has ended.
    urgency: u8,
    /// Ports that have died in this step with something to take apart. It is not yet known who waits for that.
    died: heapless::Vec<PortId, DIED_MAX>,
    work_nodes: Nodes<Work>,
    policy: NodeList,
    /// Policy changes that were too many for one step. There is background work for them.
    late: NodeList,
    policy_nodes: Nodes<PolicyChange>,
    /// A port died, or the slice is to end.
    eventful: bool,
    /// The piece of work that is being done is the last of its slice.
    slice_ends: bool,
    /// What this part of the step has done so far.
    pub effort: Effort,
    /// The thread that left the processor by a direct switch and has an account that has not been charged.
    billed_switch: Option<ThreadId>,
    /// The recorder of events.
    pub trace: Trace,
    /// The measurement of the longest step.
    pub longest: Longest,
}

impl Step {
    /// Reserves places for `count` pieces of work: see [`Work::PER_PORT`] and [`Work::PER_OBJECT`].
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    #[inline]
    pub fn reserve_work(&mut self, count: usize) -> Result<(), NoMemory> {
        self.work_nodes.reserve(count)
    }

    /// Gives back `count` places that [`reserve_work`](Step::reserve_work) reserved.
    #[inline]
    pub fn release_work(&mut self, count: usize) {
        self.work_nodes.release(count);
    }

    /// Reserves the place for a policy change of one task, thread, special reply port or served object.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn reserve_policy_change(&mut self) -> Result<(), NoMemory> {
        self.policy_nodes.reserve(1)
    }

    /// Gives back a place that [`reserve_policy_change`](Step::reserve_policy_change) reserved.
    pub fn release_policy_change(&mut self) {
        self.policy_nodes.release(1);
    }

    /// Notes a piece of work, for which a place is reserved. It is done after the work of its kind noted before it.
    #[inline(always)]
    pub fn later(&mut self, work: Work) {
        self.reasons |= Reasons::WORK;
        let urgent = matches!(work, Work::Post(_) | Work::NoSenders(_));
        let list = if urgent { &mut self.urgent } else { &mut self.work };
        self.work_nodes.push_back(list, work);
    }

    /// Notes a piece of background work, for which a place is reserved. The scheduler sees to it that it is done.
    pub fn later_in_background(&mut self, work: Work) {
        self.work_nodes.push_back(&mut self.background, work);
    }

    /// Takes note that a thread of this level waits for the work of this step, or has caused it and ends.
    pub fn urge(&mut self, level: u8) {
        self.urgency = self.urgency.max(level);
    }

    /// Returns the level of the most urgent thread that was [noted](Step::urge).
    pub fn urgency(&self) -> u8 {
        self.urgency
    }

    /// Forgets whom the work of this step concerns.
    #[inline]
    pub fn forget_urgency(&mut self) {
        self.urgency = 0;
    }

    /// Takes note that a port has died which leaves something to take apart.
    pub fn port_died(&mut self, port: PortId) {
        // One piece of work ends one port at most, and most traps do.
        let _ = self.died.push(port);
        self.eventful = true;
    }

    /// Returns true if a port has died or the slice is to end, since this was asked last.
    #[inline]
    pub fn is_eventful(&mut self) -> bool {
        self.eventful && core::mem::take(&mut self.eventful)
    }

    /// Returns a port that has died in this step.
    #[inline]
    pub fn next_dead_port(&mut self) -> Option<PortId> {
        self.died.pop()
    }

    /// Takes note that the piece of work that is being done is as long as this number of others, besides itself, or that
    /// something else that is done is as long. The step has to end on the full exit then, where it is forgotten.
    pub fn spend(&mut self, pieces: u32) {
        if pieces > 0 {
            self.effort.add_pieces(pieces);
            self.choose_again();
        }
    }

    /// Ends the slice with the piece of work that is being done, so that there is time for what follows from it.
    pub fn end_slice(&mut self) {
        self.eventful = true;
        self.slice_ends = true;
    }

    /// Returns true if the slice is to end, since this was asked last.
    pub fn take_end_of_slice(&mut self) -> bool {
        core::mem::take(&mut self.slice_ends)
    }

    /// Notes that a requested policy has changed. Changes apply in the order in which they are noted, before the next
    /// choice of a thread to run.
    pub fn policy_changed(&mut self, change: PolicyChange) {
        self.reasons |= Reasons::POLICY;
        self.policy_nodes.push_back(&mut self.policy, change);
    }

    /// Removes and returns the policy change that applies next.
    pub fn next_policy_change(&mut self) -> Option<PolicyChange> {
        self.policy_nodes.pop_front(&mut self.policy)
    }

    /// Leaves a policy change for background work, because there were too many in this step.
    #[cold]
    pub fn leave_policy_change(&mut self, change: PolicyChange) {
        if self.late.is_empty() {
            self.later_in_background(Work::Pushes);
        }
        self.policy_nodes.push_back(&mut self.late, change);
    }

    /// Lets the policy changes that were left for later apply in this step, before those that have been noted.
    #[cold]
    pub fn resume_policy_changes(&mut self) {
        let later = core::mem::replace(&mut self.policy, self.late.take());
        self.policy_nodes.append(&mut self.policy, later);
        self.reasons |= Reasons::POLICY;
    }

    /// Returns true if policy changes are left for background work.
    pub fn has_late_policy_changes(&self) -> bool {
        !self.late.is_empty()
    }

    /// Returns the policy changes that are left for background work. For checks.
    pub(crate) fn late_policy_changes(&self) -> impl Iterator<Item = PolicyChange> {
        self.policy_nodes.iter(&self.late).copied()
    }

    /// Returns the background work. For checks.
    pub(crate) fn background_work(&self) -> impl Iterator<Item = Work> {
        self.work_nodes.iter(&self.background).copied()
    }

    /// Returns true if a policy has changed.
    #[inline]
    pub fn has_policy_changes(&self) -> bool {
        !self.policy.is_empty()
    }

    /// Notes that a thread that has an account leaves the processor by a direct switch. The next step begins with
    /// charging the account.
    #[cold]
    pub fn switched_with_bill(&mut self, thread: ThreadId) {
        self.reasons |= Reasons::BILL;
        self.billed_switch = Some(thread);
    }

    /// Removes and returns the thread of the last direct switch whose account has not been charged.
    #[inline]
    pub fn take_billed_switch(&mut self) -> Option<ThreadId> {
        if !self.reasons.contains(Reasons::BILL) {
            return None;
        }
        self.reasons.remove(Reasons::BILL);
        self.billed_switch.take()
    }

    /// Returns the thread of the last direct switch whose account has not been charged. For checks.
    pub(crate) fn billed_switch(&self) -> Option<ThreadId> {
        self.billed_switch
    }

    /// Notes that another thread may have to run.
    #[inline(always)]
    pub fn choose_again(&mut self) {
        self.reasons |= Reasons::CHOOSE;
    }

    /// Notes that the thread that entered the kernel is to end, was suspended, or has registers that must be loaded
    /// anew.
    pub fn look_at_caller(&mut self) {
        self.reasons |= Reasons::CALLER;
    }

    /// Returns true if the step leaves no work and no other reason for a full exit: the thread that has the processor
    /// goes on.
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Notes that the thread to run has been chosen and all else is settled. Only background work may be left, and an
    /// account to charge.
    #[inline]
    pub fn settled(&mut self) {
        debug_assert!(!self.has_work() && self.policy.is_empty(), "a step is settled with work left to do");
        self.reasons &= Reasons::BILL | Reasons::TRACE | Reasons::MEASURE;
    }

    /// Begins to record events, in this step already. The events in the ring are forgotten.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none for the ring; nothing has changed.
    pub fn start_trace(&mut self, streams: bool) -> Result<(), NoMemory> {
        self.trace.start(streams)?;
        self.reasons |= Reasons::TRACE;
        Ok(())
    }

    /// Stops recording.
    pub fn stop_trace(&mut self) {
        self.trace.stop();
        self.reasons.remove(Reasons::TRACE);
    }

    /// Begins or ends measuring steps, and returns the longest part of one since it was begun.
    pub fn measure(&mut self, on: bool) -> Part {
        self.reasons.set(Reasons::MEASURE, on);
        self.longest.restart(on)
    }

    /// Returns true if this step has work to do.
    #[inline(always)]
    pub fn has_work(&self) -> bool {
        !self.urgent.is_empty() || !self.work.is_empty()
    }

    /// Returns true if there is background work.
    pub fn has_background_work(&self) -> bool {
        !self.background.is_empty()
    }

    /// Notes that tables may have memory that they do not need any more.
    pub fn trim_later(&mut self) {
        self.trims = true;
    }

    /// Returns true if there is something left to destroy or to give back.
    pub fn is_unsettled(&self) -> bool {
        self.trims || self.has_work() || self.has_background_work()
    }

    /// Returns true if that was [noted](Step::trim_later), and forgets it.
    pub(crate) fn take_trim(&mut self) -> bool {
        core::mem::take(&mut self.trims)
    }

    /// Gives back what the lists do not need any more, up to a bound, and returns true if there is more.
    pub(crate) fn trim(&mut self) -> bool {
        self.work_nodes.trim() || self.policy_nodes.trim()
    }

    /// Removes and returns the next piece of work.
    #[inline(always)]
    pub fn next_work(&mut self) -> Option<Work> {
        self.next_urgent().or_else(|| self.work_nodes.pop_front(&mut self.work))
    }

    /// Removes and returns the next piece of work that is done before other work.
    #[inline]
    pub fn next_urgent(&mut self) -> Option<Work> {
        if self.urgent.is_empty() { None } else { self.work_nodes.pop_front(&mut self.urgent) }
    }

    /// Puts back a piece of work that is not done, before all other work.
    pub fn put_back(&mut self, work: Work) {
        self.work_nodes.push_front(&mut self.work, work);
    }

    /// Removes the first piece of work and returns true, if it is to let boosts spread.
    #[cold]
    pub fn take_boosts(&mut self) -> bool {
        match self.next_work() {
            Some(Work::Boosts) => return true,
            Some(work) => self.put_back(work),
            None => {}
        }
        false
    }

    /// Removes and returns all work of this step, to be kept in the continuation of the thread that waits for it. The
    /// urgent work is done.
    pub fn take_work(&mut self) -> NodeList {
        debug_assert!(self.urgent.is_empty(), "urgent work is left for later");
        self.work.take()
    }

    /// Adds work at the end of other work.
    pub fn join_work(&mut self, list: &mut NodeList, more: NodeList) {
        self.work_nodes.append(list, more);
    }

    /// Makes `list` the work of this step, which must have none.
    pub fn resume_work(&mut self, list: NodeList) {
        debug_assert!(!self.has_work(), "a step resumes other work while it has work of its own");
        self.reasons |= Reasons::WORK;
        self.work = list;
    }

    /// Adds work to the background work, because the thread that caused it does not wait for it. The scheduler sees to
    /// it that it is done.
    pub fn add_background(&mut self, list: NodeList) {
        self.work_nodes.append(&mut self.background, list);
    }

    /// Makes the background work the work of this step, which must have none.
    pub fn resume_background(&mut self) {
        let list = self.background.take();
        self.resume_work(list);
    }

    /// Makes the work of this step background work again, before the background work that was added since.
    pub fn put_back_background(&mut self) {
        let added = core::mem::replace(&mut self.background, self.work.take());
        self.add_background(added);
    }

    /// Panics unless places for `work` pieces of work and `policies` policy changes are reserved, and all lists but the
    /// background work, with the policy changes that it is to apply, are empty.
    pub fn check(&self, work: usize, policies: usize) {
        assert_eq!(self.work_nodes.reserved(), work, "every object has its places on the work list");
        assert_eq!(
            self.policy_nodes.reserved(),
            policies,
            "every task and thread has its place for a policy change, and every port and set that needs one"
        );
        let apply_later = self.background_work().filter(|&work| work == Work::Pushes).count();
        assert_eq!(apply_later, usize::from(self.has_late_policy_changes()), "late policy changes apply later, once");
        assert!(!self.has_work() && self.policy.is_empty(), "only background work is left between steps");
        assert!(!self.effort.is_much(), "much effort of a step is forgotten with it");
    }
}

#[cfg(test)]
mod tests;
