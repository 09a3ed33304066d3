//! Threads: their records and the records of their waits.

use crate::ids::{CoalitionId, Context, MessageId, PortId, Receivable, TaskId, ThreadBill, ThreadId, VoucherId, tag};
use crate::machine::{Cpu, UserAddr};
use crate::outcome::Outcome;
use crate::policy::{Overrides, ThreadPolicy};
use crate::sched::run_time::RunTime;
use crate::sched::schedule::Schedule;
use crate::sched::timer::TimerSlots;
use crate::sched::wait_queue::WaitLink;
use crate::trap_frame::TrapFrame;
use abi::inspect::wait;
use abi::message::MsgOption;
use abi::port::PortName;
use store::{Link, Singles};

pub use super::continuation::{Continuation, GiveBack, ReceiveArgs, Rest, SendArgs, SendWait};

/// All threads. Each is allocated by itself, because threads are large and this makes the way from an id to its thread
/// shortest.
pub type Threads = Singles<Thread, tag::Thread>;

/// A thread.
///
/// Only the files in this folder write its fields.
#[derive(Debug)]
pub struct Thread {
    /// Its trap frame.
    pub(super) frame: TrapFrame,
    /// Its id, its task, and the task's space and memory.
    pub(super) context: Context,
    /// Its task's coalition.
    pub(super) coalition: CoalitionId,
    /// Its number, which no other thread ever has.
    pub(super) number: u64,
    /// Its state.
    pub(super) state: State,
    /// The rest of its trap, to be done in the kernel before it runs in user mode again.
    pub(super) continuation: Option<Continuation>,
    /// It ends when its processor leaves the kernel.
    pub(super) ending: bool,
    /// What the scheduler knows of it.
    pub(super) schedule: Schedule,
    /// Its processor time.
    pub(super) run_time: RunTime,
    /// The account that pays for it, and what of its time has been charged to accounts. Its owner is `Vouchers`.
    pub(super) bill: ThreadBill,
    /// The QoS it asked for, and what that became.
    pub(super) policy: ThreadPolicy,
    /// The overrides from which the highest is in its policy.
    pub(super) overrides: Overrides,
    /// How often it has set its own policy.
    pub(super) set_self_calls: u32,
    /// How often it was suspended and not resumed.
    pub(super) suspend_count: u32,
    /// Its control port, made when it is first asked for.
    pub(super) control_port: Option<PortId>,
    /// The name of that which its task was given last, or null. A hint: the task may have given the name up.
    pub(super) own_name: PortName,
    /// It has been resumed for the first time.
    pub(super) started: bool,
    /// The voucher that it has adopted, to which it holds a reference.
    pub(super) voucher: Option<VoucherId>,
    /// The name by which it has adopted the voucher, or null.
    pub(super) voucher_name: PortName,
    /// The port or set that it serves (importance 7.5).
    pub(super) serves: Option<Receivable>,
    /// Its special reply port.
    pub(super) special_reply: Option<PortId>,
    /// Whom it pushes while it waits.
    pub(super) push: Push,
    /// What the step's list of policy changes has of this thread.
    pub(super) noted: Option<Change>,
    /// Where its deadlines are.
    pub(super) timers: TimerSlots,
    /// Its place among those that wait for the same thing.
    pub(super) wait_link: WaitLink,
    /// Its place among those that push the same thread.
    pub(super) push_link: WaitLink,
    /// Its place on the run queue.
    pub(super) run_link: Link<tag::Thread>,
    /// Its place among the threads of its task.
    pub(super) sibling_link: Link<tag::Thread>,
}

/// The list of the ready threads of a level.
#[derive(Debug)]
pub enum AtLevel {}

/// The list of a task's threads.
#[derive(Debug)]
pub enum Siblings {}

store::linked!(Thread as tag::Thread, AtLevel: run_link, Siblings: sibling_link);

/// The state of a thread.
#[derive(Debug)]
pub enum State {
    /// It has a processor.
    Running(Cpu),
    /// It is on the run queue.
    Ready,
    /// It is suspended and does not wait.
    Suspended,
    /// It waits for something.
    Waiting(Wait),
}

/// The record of a wait: the awaited event, and all that is needed to complete the trap.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// A message.
    Receive(ReceiveWait),
    /// Room in a queue.
    Send(SendWait),
    /// A point in time.
    Clock,
    /// A change of a word of its memory, announced by `ulock_wake`.
    Word(UserAddr),
    /// Input from the console.
    Input {
        /// The buffer for it.
        buffer: UserAddr,
        /// The size of the buffer in bytes, at least 1.
        size: u64,
    },
    /// Room for output to the console.
    Output {
        /// Where the output is.
        buffer: UserAddr,
        /// Its size in bytes: at least 1, and not more than one `write` writes.
        size: u64,
    },
}

impl Wait {
    /// Returns what the thread waits for, as monitors are told: the kind and the object.
    pub fn described(&self) -> (u32, u64) {
        match *self {
            Wait::Receive(ReceiveWait { object: Receivable::Port(port), .. }) => (wait::RECEIVE_PORT, port.to_bits()),
            Wait::Receive(ReceiveWait { object: Receivable::Set(set), .. }) => (wait::RECEIVE_SET, set.to_bits()),
            Wait::Send(SendWait { port, .. }) => (wait::SEND, port.to_bits()),
            Wait::Clock => (wait::CLOCK, 0),
            Wait::Word(address) => (wait::WORD, address.0),
            Wait::Input { .. } => (wait::INPUT, 0),
            Wait::Output { .. } => (wait::OUTPUT, 0),
        }
    }
}

/// What has changed of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Whom it pushes.
    Push,
    /// Its policy, and perhaps whom it pushes.
    Policy,
}

/// Whom a thread pushes while it waits (importance 7.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Push {
    /// Nobody.
    #[default]
    Nobody,
    /// The thread that serves a port, if there is one.
    Port {
        /// The port.
        port: PortId,
        /// An upper bound of the number of threads in the longest chain of pushes that ends at this thread.
        rank: u8,
    },
    /// Nobody, although it waits for a port: the push would close a circle or make a chain too long.
    Refused,
}

impl Push {
    /// Returns the port whose servicer it pushes.
    pub fn port(self) -> Option<PortId> {
        match self {
            Push::Port { port, .. } => Some(port),
            Push::Nobody | Push::Refused => None,
        }
    }
}

/// The wait queue that a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPlace {
    /// Among the receivers of a port or set.
    Receivers(Receivable),
    /// Among the blocked senders of a port.
    Senders(PortId),
    /// Among the threads that wait for a word of a task's memory.
    Word(TaskId, UserAddr),
    /// Among the threads that wait for input.
    Input,
    /// Among the threads that wait for room for output.
    Output,
    /// In no queue.
    Nowhere,
}

impl WaitPlace {
    /// Returns the priority at which a thread of base priority `base` is queued here. On a set all threads are equal
    /// (mach-ipc 3.9).
    #[inline]
    pub(super) fn queue_priority(self, base: u8) -> u8 {
        if matches!(self, WaitPlace::Receivers(Receivable::Set(_))) { 0 } else { base }
    }
}

/// A receive whose name has been looked up. The thread may be blocked in it.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWait {
    /// The port or set to receive from.
    pub object: Receivable,
    /// The buffer for the message.
    pub buffer: UserAddr,
    /// The size of the buffer in bytes.
    pub size: u32,
    /// The call's options.
    pub options: MsgOption,
}

/// The reason why a wait ends without the awaited event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    /// Its deadline has passed.
    TimedOut,
    /// It was aborted.
    Aborted,
}

impl Thread {
    /// Returns its id, its task, and the task's space and memory.
    #[inline(always)]
    pub fn context(&self) -> Context {
        self.context
    }

    /// Returns the task it belongs to.
    pub fn task(&self) -> TaskId {
        self.context.task
    }

    /// Returns its id.
    pub fn id(&self) -> ThreadId {
        self.context.thread
    }

    /// Returns its number, which no other thread ever has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns its saved registers.
    #[inline(always)]
    pub fn frame(&self) -> &TrapFrame {
        &self.frame
    }

    /// Returns its saved registers.
    #[inline(always)]
    pub fn frame_mut(&mut self) -> &mut TrapFrame {
        &mut self.frame
    }

    /// Returns its state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns true if it has a processor.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Returns the record of its wait, if it waits.
    #[inline(always)]
    pub fn wait(&self) -> Option<&Wait> {
        match &self.state {
            State::Waiting(wait) => Some(wait),
            _ => None,
        }
    }

    /// Returns true if it waits for something.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Returns true if it is the only thread in its wait queue.
    #[inline(always)]
    pub fn waits_alone(&self) -> bool {
        self.wait_link.is_alone()
    }

    /// Returns the number of suspensions that have not been resumed.
    pub fn suspend_count(&self) -> u32 {
        self.suspend_count
    }

    /// Returns true if its suspend count is not 0.
    #[inline(always)]
    pub fn is_suspended(&self) -> bool {
        self.suspend_count != 0
    }

    /// Returns true if it is running or ready.
    pub fn can_go_on(&self) -> bool {
        matches!(self.state, State::Running(_) | State::Ready)
    }

    /// Returns true if it ends when its processor leaves the kernel, or does not run any more because its task has ended.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// Returns the message that is on its way back to it.
    pub fn given_back(&self) -> Option<MessageId> {
        match self.continuation.as_ref()?.rest {
            Rest::GiveBack(back) => Some(back.message),
            _ => None,
        }
    }

    /// Returns the task that it is starting.
    pub fn starts(&self) -> Option<TaskId> {
        match self.continuation.as_ref()?.rest {
            Rest::Start(task) => Some(task),
            _ => None,
        }
    }

    /// Returns true if it has a continuation.
    pub fn has_continuation(&self) -> bool {
        self.continuation.is_some()
    }

    /// Returns its scheduling parameters.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Returns its requested policy.
    pub fn policy(&self) -> &ThreadPolicy {
        &self.policy
    }

    /// Returns how often it has set its own policy.
    pub fn set_self_calls(&self) -> u32 {
        self.set_self_calls
    }

    /// Returns its control port, if that has been made.
    pub fn control_port(&self) -> Option<PortId> {
        self.control_port
    }

    /// Returns the name of its control port that its task was given last, or null.
    #[inline(always)]
    pub fn own_name(&self) -> PortName {
        self.own_name
    }

    /// Returns true if it has been resumed for the first time.
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// Returns the voucher that it has adopted.
    pub fn voucher(&self) -> Option<VoucherId> {
        self.voucher
    }

    /// Returns the name by which it has adopted its voucher; null if it has none or adopted it by a message (vouchers
    /// 4.12). The name may denote something else by now.
    pub fn voucher_name(&self) -> PortName {
        self.voucher_name
    }

    /// Returns true if an account pays for its work.
    #[inline(always)]
    pub fn is_billed(&self) -> bool {
        self.bill.is_open()
    }

    /// Returns the account that pays for its work, and what has been charged.
    pub fn bill(&self) -> &ThreadBill {
        &self.bill
    }

    /// Returns the same, to be changed.
    pub(crate) fn bill_mut(&mut self) -> &mut ThreadBill {
        &mut self.bill
    }

    /// Returns the port or set that it serves.
    pub fn serves(&self) -> Option<Receivable> {
        self.serves
    }

    /// Returns its special reply port.
    pub fn special_reply(&self) -> Option<PortId> {
        self.special_reply
    }

    /// Returns whom it pushes.
    pub fn push(&self) -> Push {
        self.push
    }

    /// Returns the priority with which it pushes, if it does.
    pub fn push_priority(&self) -> u8 {
        self.push_link.priority()
    }

    /// Sets its control port.
    pub(crate) fn set_control_port(&mut self, port: PortId) {
        self.control_port = Some(port);
    }

    /// Returns the queue in which it waits.
    #[inline]
    pub fn wait_place(&self) -> WaitPlace {
        match &self.state {
            State::Waiting(Wait::Receive(wait)) => WaitPlace::Receivers(wait.object),
            State::Waiting(Wait::Send(wait)) => WaitPlace::Senders(wait.port),
            State::Waiting(Wait::Word(word)) => WaitPlace::Word(self.context.task, *word),
            State::Waiting(Wait::Input { .. }) => WaitPlace::Input,
            State::Waiting(Wait::Output { .. }) => WaitPlace::Output,
            _ => WaitPlace::Nowhere,
        }
    }

    /// Writes the outcome of its trap into its registers.
    #[inline(always)]
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        outcome.write_to(&mut self.frame);
    }
}
