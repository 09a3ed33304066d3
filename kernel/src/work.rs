//! Settling what steps leave to do: deferred work and policy changes.

use crate::ids::{TaskId, ThreadId};
use crate::ipc::port::Role;
use crate::ipc::waiters::Look;
use crate::kernel::Kernel;
use crate::limits::{BOOSTED_THREADS, COMPACT_SLICE, LOOKS_PER_PIECE};
use crate::machine::Machine;
use crate::policy::{MAXPRI_USER, TaskPolicy};
use crate::sched::thread::Change;
use crate::step::{PolicyChange, Progress, Work};
use crate::trace::Event;
use abi::event::kind;

impl Kernel {
    /// Does one slice of this step's work, at most [`REAP_SLICE`](crate::limits::REAP_SLICE) pieces with all else that this
    /// part of the step has done, and sends the messages that this causes. Other work that it causes is added at the end.
    #[inline(always)]
    pub(crate) fn work_slice(&mut self, machine: &mut dyn Machine) {
        while self.step.effort.has_room_for_work() {
            let Some(work) = self.step.next_work() else { return };
            if self.do_work(machine, work) == Progress::More {
                self.step.put_back(work);
            }
            self.step.effort.add_pieces(1);
            if self.step.is_eventful() {
                self.look_for_waiters();
                if self.step.take_end_of_slice() {
                    break;
                }
            }
        }
        self.post_notifications(machine);
    }

    /// Does one piece of work.
    #[inline(always)]
    pub(crate) fn do_work(&mut self, machine: &mut dyn Machine, work: Work) -> Progress {
        let Kernel { ipc, sched, step, vouchers, .. } = self;
        match work {
            Work::Post(message) => {
                self.post(machine, message);
                Progress::Done
            }
            Work::NoSenders(port) => {
                vouchers.no_senders(ipc, step, port);
                Progress::Done
            }
            Work::Message(message) => ipc.take_apart_message(step, message),
            Work::Port(port) => ipc.take_apart_port(sched, step, port),
            Work::Requests(port) => ipc.take_apart_requests(step, port),
            Work::Armed(port) if ipc.raise_or_admit(port) => {
                self.admit_by_raise(machine, port);
                Progress::More
            }
            Work::Armed(port) => ipc.fire_armed_piece(step, port),
            Work::Set(set) => ipc.take_apart_set(sched, step, set),
            Work::Task(task) => self.take_apart_task(machine, task),
            Work::Pushes => {
                step.resume_policy_changes();
                step.end_slice();
                Progress::Done
            }
            Work::Boosts => {
                // The next slice has nothing else to do, so that there is room for any task.
                step.end_slice();
                Progress::More
            }
        }
    }

    /// Does one slice of the background work. The step must have no work of its own.
    pub(crate) fn background_slice(&mut self, machine: &mut dyn Machine) {
        self.step.resume_background();
        if self.ipc.boosts_spread() && self.step.take_boosts() {
            self.ipc.spread_boosts();
        } else {
            self.work_slice(machine);
        }
        self.step.put_back_background();
        let urgency = self.step.urgency();
        self.sched.raise_background(&mut self.step, urgency.min(MAXPRI_USER));
    }

    /// Finds out how urgent the work is that the death of ports in this step leaves.
    #[inline(never)]
    fn look_for_waiters(&mut self) {
        while let Some(port) = self.step.next_dead_port() {
            let mut look = Look::new();
            self.ipc.look_at_dead_port(&self.sched, port, &mut look);
            self.step.urge(look.most_urgent());
            self.step.spend(look.places() / LOOKS_PER_PIECE);
        }
    }

    /// Gives back memory that tables do not need any more since a task has ended, up to a bound. Returns true if there was
    /// something to look for. It is called when no thread is ready, and else by the timer.
    pub(crate) fn trim(&mut self) -> bool {
        if !self.step.take_trim() {
            return false;
        }
        let Kernel { step, sched, ipc, tasks, vouchers, .. } = self;
        if ipc.trim() || sched.trim() || tasks.trim() || vouchers.trim() || step.trim() || ipc.trim_spaces() {
            step.trim_later();
        }
        true
    }

    /// Moves objects to lower memory, up to a bound, if others have left holes there. Returns true if there is more to do. It
    /// is called when no thread is ready, by the timer, and when a step has given back much memory.
    pub(crate) fn compact(&mut self) -> bool {
        let Kernel { compaction, ipc, tasks, vouchers, .. } = self;
        compaction.begin(COMPACT_SLICE);
        ipc.compact(compaction);
        tasks.compact(compaction);
        vouchers.compact(compaction);
        compaction.end()
    }

    /// Applies the policy changes of this step in the order in which they were noted. What they do to threads that serve
    /// ports and sets becomes background work if that is too much: pushes go on along chains as long as programs make them.
    pub fn apply_policy_changes(&mut self) {
        let most = self.step.effort.policies_left(self.limits.policies_per_step);
        let mut threads = 0;
        while let Some(change) = self.step.next_policy_change() {
            threads += 1;
            match change {
                PolicyChange::Thread(thread) => self.apply_thread_change(thread),
                // The effort has its threads already.
                PolicyChange::Task(task) => self.apply_task_policy(task),
                PolicyChange::Port(_) | PolicyChange::Set(_) if threads > most && self.ipc.raises_servicer(change) => {
                    self.step.leave_policy_change(change);
                }
                PolicyChange::Port(port) => match self.ipc.take_change_of_port(&mut self.step, port) {
                    Role::Served(servicer) => self.apply_thread_policy(servicer),
                    Role::SpecialReply { owner: Some(owner), .. } => self.refresh_push(owner),
                    Role::SpecialReply { owner: None, .. } | Role::Plain => {}
                },
                PolicyChange::Set(set) => {
                    if let Some(servicer) = self.ipc.take_change_of_set(&mut self.step, set) {
                        self.apply_thread_policy(servicer);
                    }
                }
            }
        }
        self.step.effort.add_threads(threads);
    }

    fn apply_thread_change(&mut self, thread: ThreadId) {
        match self.sched.take_change(&mut self.step, thread) {
            Some(Change::Policy) => self.apply_thread_policy(thread),
            Some(Change::Push) => self.refresh_push(thread),
            None => {}
        }
    }

    fn refresh_push(&mut self, thread: ThreadId) {
        self.ipc.refresh_push(&mut self.sched, &mut self.step, thread);
    }

    /// Gives a thread the priority that its and its task's policy call for now, with the requests of those that wait for
    /// it. If it waits for another thread itself, that one's change is noted, so that a push goes on through the chain.
    fn apply_thread_policy(&mut self, thread: ThreadId) {
        let Kernel { tasks, ipc, sched, step, .. } = self;
        let Some(state) = sched.get(thread) else { return };
        let task = state.task();
        let raise = ipc.raise_of(sched, thread);
        raise.write_to(sched.policy_mut(thread));
        let effective = sched[thread].policy().effective(&tasks[task].policy.effective());
        sched.set_power(thread, effective.power());
        sched.set_base(step, thread, effective.base_priority, effective.timeshare);
        let queue = ipc.wait_queue(sched[thread].wait_place());
        sched.requeue(thread, queue);
        ipc.refresh_push(sched, step, thread);
    }

    /// Gives the threads of a task the priorities that its policy calls for now.
    fn apply_task_policy(&mut self, task: TaskId) {
        let Some(changed) = self.tasks.get_mut(task) else { return };
        changed.policy_noted = false;
        let mut next = changed.threads.front();
        while let Some(thread) = next {
            next = self.sched.next_sibling(&self.tasks[task].threads, thread);
            self.apply_thread_policy(thread);
        }
    }

    /// Raises the background work to the level of the thread that has caused some of it.
    #[cold]
    pub(crate) fn raise_background_to(&mut self, cause: Option<ThreadId>) {
        let level = self.base_of(cause);
        self.sched.raise_background(&mut self.step, level.min(MAXPRI_USER));
    }

    /// Returns the base priority of a thread, or 0 without one.
    fn base_of(&self, thread: Option<ThreadId>) -> u8 {
        thread.and_then(|thread| self.sched.get(thread)).map_or(0, |thread| thread.schedule().base)
    }

    /// Takes note of what importance has to tell: the tasks that are boosted or not any more, in the order in which that
    /// happened, and the deadline of the delayed drop. What is too much for one step becomes background work, at the level
    /// of the thread that has caused it.
    #[inline]
    pub(crate) fn hear_importance(&mut self, cause: Option<ThreadId>) {
        if self.ipc.importance().has_news() {
            self.apply_boosts(self.base_of(cause));
        }
    }

    #[cold]
    pub(crate) fn apply_boosts(&mut self, level: u8) {
        // A task without threads takes its time too.
        while let Some(task) = self.ipc.first_boost()
            && self.step.effort.has_room_for(1 + self.tasks[task].threads.len(), BOOSTED_THREADS)
            && let Some((_, boosted)) = self.ipc.next_boost()
        {
            self.step.effort.add_threads(1);
            self.change_task_policy(task, |policy| policy.boosted = boosted);
        }
        self.step.effort.add_visits();
        let Kernel { ipc, sched, step, .. } = self;
        sched.set_drop_deadline(ipc.importance().delayed_drop_deadline());
        if ipc.news_are_told(step) {
            sched.raise_background(step, level.min(MAXPRI_USER));
        }
    }

    /// Changes a task's policy. If the effective policy changes with it, the task's threads get their new priorities
    /// before the next choice of a thread to run. What the task donates follows.
    pub fn change_task_policy(&mut self, task: TaskId, change: impl FnOnce(&mut TaskPolicy)) {
        let changed = &mut self.tasks[task];
        let (before, live_before) = (changed.policy.effective(), changed.policy.live_policy());
        change(&mut changed.policy);
        let (space, live) = (changed.space, changed.policy.live_policy());
        if changed.policy.effective() != before {
            let now = &*changed;
            self.step.trace.record(move || {
                let (pid, boosted) = (now.credentials.pid, now.policy.boosted);
                Event::new(kind::POLICY_CHANGED, [pid.into(), boosted.into(), live.wish(boosted).into()])
            });
            if !core::mem::replace(&mut changed.policy_noted, true) {
                self.step.effort.add_threads(changed.threads.len());
                self.step.policy_changed(PolicyChange::Task(task));
            }
        }
        // Afterwards, so that the task's own policy is in force before that of those whom it boosts (importance 2.4).
        if live != live_before {
            self.ipc.set_live_policy(space, live);
        }
    }
}
