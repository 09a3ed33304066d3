//! Threads, their waits, and the choice of the one that runs.
//!
//! [`Scheduling`] owns all of it and keeps its rules: only the files in this folder write a thread's state. It sees
//! ports and messages as ids.
//!
//! | module | what it is |
//! |---|---|
//! | [`thread`] | threads and the records of their waits |
//! | [`continuation`] | what is left of a thread's call |
//! | [`waiting`] | blocking and waking |
//! | [`wait_queue`] | threads that wait for the same thing, by priority |
//! | [`pushing`] | waiting threads that raise those they wait for |
//! | [`timer`] | deadlines |
//! | [`run_queue`] | ready threads by level |
//! | [`schedule`] | the scheduling parameters of a thread |
//! | [`coalition`] | tasks whose threads share turns |
//! | `turn` | their turns |
//! | [`run_time`] | the time that threads have run, and its energy |
//! | [`choice`] | the choice of the thread that runs |
//! | [`background`] | work without a thread, and threads that do work for others |

pub mod background;
pub mod choice;
pub mod coalition;
pub mod continuation;
mod level_set;
pub mod pushing;
pub mod run_queue;
pub mod run_time;
pub mod schedule;
mod suspending;
pub mod thread;
pub mod timer;
mod turn;
pub mod wait_queue;
pub mod waiting;

use crate::ids::{CoalitionId, Context, PortId, TaskId, ThreadBill, ThreadId, VoucherId, tag};
use crate::limits::CPUS_MAX;
use crate::machine::{AddressSpace, Nanos, NoMemory, UserAddr};
use crate::outcome::Outcome;
use crate::policy::{Overrides, Power, ThreadPolicy, TooMany};
use crate::rate::Clock;
use crate::step::{PolicyChange, Step};
use crate::trap_frame::TrapFrame;
use abi::port::{MACH_PORT_NULL, PortName};
use abi::qos::Qos;
use background::Background;
use choice::Processor;
use core::ops::{Index, IndexMut};
use foldhash::fast::FixedState;
use run_queue::RunQueue;
use run_time::{RunTime, Used};
use schedule::Schedule;
use store::{LinearMap, Link, List, NodeList};
use thread::{Change, Continuation, Push, Rest, Siblings, State, Thread, Threads, WaitPlace};
use timer::{TimerKind, TimerSlots, Timers};
use wait_queue::{WaitLink, WaitQueue};

/// The threads of one task.
pub type ThreadList = List<tag::Thread, Siblings>;

/// Threads, deadlines and processors.
#[derive(Debug)]
pub struct Scheduling {
    threads: Threads,
    ready: RunQueue,
    background: Background,
    processors: [Processor; CPUS_MAX],
    clock: Clock,
    timers: Timers,
    /// When a thread will have yielded for a quantum that had not at the last timer interrupt; `Nanos::MAX` if there was
    /// none.
    yield_deadline: Nanos,
    /// The deadline of the delayed drop of boosts, or `Nanos::MAX`.
    drop_deadline: Nanos,
    /// When threads that wait for the console are looked at again, or `Nanos::MAX`.
    console_deadline: Nanos,
    /// The queues of threads that wait for a word of memory.
    words: LinearMap<(TaskId, UserAddr), WaitQueue, FixedState>,
    /// Threads that wait for input from the console.
    input: WaitQueue,
    /// Threads that wait for room for output to the console.
    output: WaitQueue,
    /// The number of the last thread that was created. A number is given once only; after the last one no thread is
    /// created.
    last_number: u64,
}

impl Scheduling {
    /// Returns a scheduler without threads. `clock` makes times of the machine's stamps, `seed` makes the places of
    /// words in their table unpredictable.
    pub fn new(clock: Clock, seed: u64) -> Scheduling {
        Scheduling {
            threads: Threads::new(),
            ready: RunQueue::default(),
            background: Background::default(),
            processors: [const { Processor::new() }; CPUS_MAX],
            clock,
            timers: Timers::default(),
            yield_deadline: Nanos::MAX,
            drop_deadline: Nanos::MAX,
            console_deadline: Nanos::MAX,
            words: LinearMap::new(FixedState::with_seed(seed)),
            input: WaitQueue::default(),
            output: WaitQueue::default(),
            last_number: 0,
        }
    }

    /// Returns the thread, if it has not ended.
    #[inline(always)]
    pub fn get(&self, thread: ThreadId) -> Option<&Thread> {
        self.threads.get(thread)
    }

    /// Returns the thread, if it has not ended.
    #[inline(always)]
    pub fn get_mut(&mut self, thread: ThreadId) -> Option<&mut Thread> {
        self.threads.get_mut(thread)
    }

    /// Returns true if the thread has not ended.
    pub fn contains(&self, thread: ThreadId) -> bool {
        self.threads.contains(thread)
    }

    /// Returns all threads. For checks and printouts.
    pub fn iter(&self) -> impl Iterator<Item = (ThreadId, &Thread)> {
        self.threads.iter()
    }

    /// Returns the table of threads. For printouts.
    pub fn table(&self) -> &Threads {
        &self.threads
    }

    /// Gives back what the tables do not need any more, up to a bound, and returns true if there is more.
    pub(crate) fn trim(&mut self) -> bool {
        self.timers.trim() || self.ready.coalitions_mut().trim() || self.threads.trim() || self.words.trim()
    }

    /// Returns the number of threads.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Creates a suspended thread and adds it to the threads of a task.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out; nothing has changed.
    pub fn create(
        &mut self,
        step: &mut Step,
        siblings: &mut ThreadList,
        belongings: Belongings,
        frame: TrapFrame,
        policy: ThreadPolicy,
        (base, power): (u8, Power),
    ) -> Result<ThreadId, NoMemory> {
        let number = self.last_number.checked_add(1).ok_or(NoMemory)?;
        self.threads.reserve()?;
        step.reserve_policy_change()?;
        if self.timers.reserve_for_thread().is_err() {
            step.release_policy_change();
            return Err(NoMemory);
        }
        self.last_number = number;
        let Belongings { task, space, address_space, coalition } = belongings;
        let id = self.threads.insert_reserved(|thread| Thread {
            frame,
            context: Context { thread, task, space, address_space },
            coalition,
            number,
            state: State::Suspended,
            continuation: None,
            ending: false,
            schedule: Schedule::with_base(base),
            run_time: RunTime::new(power),
            bill: ThreadBill::default(),
            policy,
            overrides: Overrides::default(),
            set_self_calls: 0,
            suspend_count: 1,
            control_port: None,
            own_name: MACH_PORT_NULL,
            started: false,
            voucher: None,
            voucher_name: MACH_PORT_NULL,
            serves: None,
            special_reply: None,
            push: Push::Nobody,
            noted: None,
            timers: TimerSlots::default(),
            wait_link: WaitLink::default(),
            push_link: WaitLink::default(),
            run_link: Link::default(),
            sibling_link: Link::default(),
        });
        siblings.push_back(&mut self.threads, id);
        Ok(id)
    }

    /// Removes a thread that waits for nothing and returns its control port. Work that its trap left becomes background
    /// work.
    pub fn remove(&mut self, step: &mut Step, siblings: &mut ThreadList, thread: ThreadId) -> Option<PortId> {
        assert!(!self.threads[thread].is_waiting(), "{thread:?} is removed while it waits");
        assert!(self.threads[thread].voucher.is_none(), "{thread:?} is removed while it holds a voucher");
        self.timers.cancel(&mut self.threads, thread, TimerKind::Depress);
        self.withdraw(step, thread, State::Suspended);
        siblings.remove(&mut self.threads, thread);
        self.timers.release_for_thread();
        let removed = &mut self.threads[thread];
        let (serves, reply, push) = (removed.serves, removed.special_reply, removed.push);
        assert!((serves, reply) == (None, None), "{thread:?} is removed while it serves {serves:?} or owns {reply:?}");
        assert!(push.port().is_none(), "{thread:?} is removed while it pushes {push:?}");
        if removed.noted.is_none() {
            step.release_policy_change();
        }
        let control_port = removed.control_port.take();
        let (level, continuation) = (removed.schedule.base.max(removed.schedule.floor), removed.continuation.take());
        self.drop_floor(step, thread);
        if let Some(continuation) = continuation {
            self.give_to_background(step, continuation.work, level);
        }
        self.threads.discard(thread);
        control_port
    }

    /// Returns the thread after `thread` in the list of its task.
    pub fn next_sibling(&self, siblings: &ThreadList, thread: ThreadId) -> Option<ThreadId> {
        siblings.after(&self.threads, thread)
    }

    /// If a thread is running, lets it end when its processor leaves the kernel, and returns true. If it returns false,
    /// the caller ends the thread at once.
    pub fn end_when_leaving(&mut self, step: &mut Step, thread: ThreadId) -> bool {
        let ending = &mut self.threads[thread];
        if ending.is_running() {
            ending.ending = true;
            step.look_at_caller();
        }
        ending.is_running()
    }

    /// Sets the continuation of a thread.
    pub fn set_continuation(&mut self, thread: ThreadId, continuation: Option<Continuation>) {
        self.threads[thread].continuation = continuation;
    }

    /// Lets a running thread make its trap again, after other threads have had their turn.
    pub fn make_again(&mut self, step: &mut Step, thread: ThreadId) {
        self.threads[thread].continuation = Continuation::rest(Rest::Again);
        step.choose_again();
    }

    /// Ends the trap of a thread that was to [make it again](Scheduling::make_again).
    pub fn finish_again(&mut self, thread: ThreadId, outcome: Outcome) {
        let finished = &mut self.threads[thread];
        finished.continuation = match finished.continuation.take() {
            Some(Continuation { work, rest: Rest::Again }) if work.is_empty() => None,
            Some(Continuation { work, rest: Rest::Again }) => Some(Continuation { work, rest: Rest::Nothing }),
            other => panic!("{thread:?} has not finished an operation but goes on with {other:?}"),
        };
        finished.finish(outcome);
    }

    /// Returns true if a thread has something left to do in the kernel.
    #[inline]
    pub fn has_continuation(&self, thread: ThreadId) -> bool {
        self.threads[thread].continuation.is_some()
    }

    /// Takes the continuation of a thread, if it has one.
    pub fn take_continuation(&mut self, thread: ThreadId) -> Option<Continuation> {
        self.threads[thread].continuation.take()
    }

    /// Keeps work in the continuation of the thread that caused it. If there is no such thread, or it cannot go on now,
    /// the work becomes background work. `level` is that of the most urgent thread that waits for the work, or has caused
    /// it and has ended.
    pub fn keep_work(&mut self, step: &mut Step, thread: Option<ThreadId>, work: NodeList, level: u8) {
        let Some((id, cause)) = thread.and_then(|id| Some((id, self.threads.get_mut(id)?))) else {
            return self.give_to_background(step, work, level);
        };
        if work.is_empty() {
            if cause.continuation.is_none() {
                self.drop_floor(step, id);
            }
        } else if cause.can_go_on() {
            match &mut cause.continuation {
                Some(continuation) => step.join_work(&mut continuation.work, work),
                None => cause.continuation = Some(Continuation { work, rest: Rest::Nothing }),
            }
            self.raise_floor(step, id, level);
        } else {
            let level = cause.schedule.base.max(level);
            self.give_to_background(step, work, level);
        }
    }

    /// Notes the name of a thread's control port that its task was given.
    pub fn note_own_name(&mut self, thread: ThreadId, name: PortName) {
        self.threads[thread].own_name = name;
    }

    /// Lets a thread adopt a voucher, or none, with a reference of the caller's. `name` is the name by which it does so,
    /// or null. Returns the voucher that it had, whose reference the caller gets.
    pub fn adopt(&mut self, thread: ThreadId, voucher: Option<VoucherId>, name: PortName) -> Option<VoucherId> {
        let thread = &mut self.threads[thread];
        thread.voucher_name = name;
        core::mem::replace(&mut thread.voucher, voucher)
    }

    /// Returns when a thread gives up waiting, or `Nanos::MAX` for never.
    pub fn deadline_of(&self, thread: &Thread) -> Nanos {
        thread.timers[TimerKind::Wait as usize].map_or(Nanos::MAX, |slot| self.timers.deadline_at(slot))
    }

    /// Returns what a thread has used until it was [charged](Scheduling::charge) last.
    pub fn used(&self, thread: ThreadId) -> Used {
        self.threads[thread].run_time.used(self.clock.rate())
    }

    /// Sets the power of a thread from now on. The caller has [charged](Scheduling::charge) it, if it runs.
    pub fn set_power(&mut self, thread: ThreadId, power: Power) {
        self.threads[thread].run_time.set_power(self.clock.rate(), power);
    }

    /// Notes that the requested policy of a thread has changed.
    pub fn policy_changed(&mut self, step: &mut Step, thread: ThreadId) {
        self.note_change(step, thread, Change::Policy);
    }

    /// Notes that a thread may push another thread than before.
    pub fn push_changed(&mut self, step: &mut Step, thread: ThreadId) {
        self.note_change(step, thread, Change::Push);
    }

    fn note_change(&mut self, step: &mut Step, thread: ThreadId, change: Change) {
        let noted = &mut self.threads[thread].noted;
        if noted.is_none() {
            step.policy_changed(PolicyChange::Thread(thread));
        }
        *noted = (*noted).max(Some(change));
    }

    /// Takes note that the change of a thread that was noted applies now, and returns it, unless the thread has ended.
    pub fn take_change(&mut self, step: &mut Step, thread: ThreadId) -> Option<Change> {
        let changed = self.threads.get_mut(thread);
        if changed.is_none() {
            // Its place was still in use when it ended.
            step.release_policy_change();
        }
        changed?.noted.take()
    }

    /// Returns the requested policy of a thread, to be changed. The caller [notes](Scheduling::policy_changed) the
    /// change.
    pub fn policy_mut(&mut self, thread: ThreadId) -> &mut ThreadPolicy {
        &mut self.threads[thread].policy
    }

    /// Counts a call by which a thread sets its own policy.
    pub fn count_set_self(&mut self, thread: ThreadId) {
        let count = &mut self.threads[thread].set_self_calls;
        *count = count.wrapping_add(1);
    }

    /// Starts an explicit override of a thread's class for a resource. The caller [notes](Scheduling::policy_changed) the change.
    ///
    /// # Errors
    /// [`TooMany`]; nothing has changed.
    pub fn start_override(&mut self, thread: ThreadId, resource: u64, class: Qos) -> Result<(), TooMany> {
        let Thread { overrides, policy, .. } = &mut self.threads[thread];
        overrides.start(resource, class)?;
        policy.qos_override = overrides.highest();
        Ok(())
    }

    /// Ends an explicit override of a thread's class for a resource, if there is one. The caller
    /// [notes](Scheduling::policy_changed) the change.
    pub fn end_override(&mut self, thread: ThreadId, resource: u64) {
        let Thread { overrides, policy, .. } = &mut self.threads[thread];
        overrides.end(resource);
        policy.qos_override = overrides.highest();
    }

    /// Returns the earliest deadline, or `Nanos::MAX` if there is none.
    #[inline]
    pub fn earliest_deadline(&self) -> Nanos {
        self.timers.earliest().min(self.drop_deadline).min(self.console_deadline)
    }

    /// Sets the time at which threads that wait for the console are looked at again, if there may be input or room then.
    pub fn set_console_deadline(&mut self, deadline: Option<Nanos>) {
        self.console_deadline = deadline.unwrap_or(Nanos::MAX);
    }

    /// Sets the time at which importance wants to be asked, if it does (importance 6.6).
    pub fn set_drop_deadline(&mut self, deadline: Option<Nanos>) {
        self.drop_deadline = deadline.unwrap_or(Nanos::MAX);
    }

    /// Returns the time at which importance wants to be asked.
    pub fn drop_deadline(&self) -> Option<Nanos> {
        (self.drop_deadline != Nanos::MAX).then_some(self.drop_deadline)
    }

    /// Returns true if importance wants to be asked now, and no thread has an earlier deadline.
    pub fn drop_is_first(&self, now: Nanos) -> bool {
        self.drop_deadline <= now.min(self.timers.earliest())
    }

    /// Removes the earliest deadline of a thread if it has passed. Ends the depression, if it is that of a depression; the caller
    /// ends the wait, if it is that of a wait.
    pub fn expire(&mut self, step: &mut Step, now: Nanos) -> Option<Expired> {
        match self.timers.pop_due(&mut self.threads, now)? {
            (thread, TimerKind::Wait) => Some(Expired::Wait(thread)),
            (thread, TimerKind::Depress) => {
                self.set_depressed(step, thread, false);
                Some(Expired::Depression)
            }
        }
    }

    /// Panics unless threads, run queue, processors, timers and the queues of words agree.
    pub fn check(&self) {
        self.check_choice();
        self.timers.check(&self.threads);
        let waits_here =
            |thread: &Thread| matches!(thread.wait_place(), WaitPlace::Word(..) | WaitPlace::Input | WaitPlace::Output);
        let waiting = self.threads.iter().filter(|(_, thread)| waits_here(thread)).count();
        assert_eq!(self.check_words(), waiting, "the queues of words and of input have waiting threads only");
    }

    /// Panics unless a queue of a port or set is in order; returns the number of its threads.
    pub fn check_queue(&self, queue: &WaitQueue) -> usize {
        queue.check(&self.threads)
    }

    /// Returns true if a thread is in a queue.
    pub fn is_queued(&self, queue: &WaitQueue, thread: ThreadId) -> bool {
        queue.iter(&self.threads).any(|other| other == thread)
    }
}

/// A deadline that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// The deadline of a thread's wait, which the caller ends.
    Wait(ThreadId),
    /// The deadline of a depression, which has ended.
    Depression,
}

/// The task of a new thread, with its space and memory.
#[derive(Clone, Copy, Debug)]
pub struct Belongings {
    /// The task.
    pub task: TaskId,
    /// The task's space of port names.
    pub space: crate::ids::SpaceId,
    /// The task's memory.
    pub address_space: AddressSpace,
    /// The task's coalition.
    pub coalition: CoalitionId,
}

/// Access to a thread that is known not to have ended. Panics otherwise.
impl Index<ThreadId> for Scheduling {
    type Output = Thread;

    #[inline(always)]
    fn index(&self, thread: ThreadId) -> &Thread {
        &self.threads[thread]
    }
}

impl IndexMut<ThreadId> for Scheduling {
    #[inline(always)]
    fn index_mut(&mut self, thread: ThreadId) -> &mut Thread {
        &mut self.threads[thread]
    }
}

#[cfg(test)]
mod tests;
