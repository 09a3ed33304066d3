//! How threads start to wait, and how their waits end.
//!
//! A wait is a record, [`Wait`]. Whoever ends it gets the record back and writes the outcome into the thread's registers
//! with [`Scheduling::finish`]; the thread itself does nothing until it runs again.
//!
//! The queues of ports and port sets belong to `ipc`, which passes them in; those of memory words are here.

use super::Scheduling;
use super::thread::{ReceiveWait, State, Thread, Wait, WaitPlace};
use super::timer::TimerKind;
use super::wait_queue::WaitQueue;
use crate::ids::{Receivable, TaskId, ThreadId};
use crate::machine::{Nanos, NoMemory, Stamp, UserAddr};
use crate::outcome::Outcome;
use crate::step::Step;
use crate::trace::Event;

impl Scheduling {
    /// Takes a running thread off its processor until what it waits for happens, or the deadline passes. `queue` is the
    /// one that the wait belongs to, if it belongs to one.
    #[inline]
    pub fn block(
        &mut self,
        step: &mut Step,
        thread: ThreadId,
        wait: Wait,
        queue: Option<&mut WaitQueue>,
        deadline: Nanos,
    ) {
        self.withdraw(step, thread, State::Waiting(wait));
        if let Some(queue) = queue {
            let waiting = &self.threads[thread];
            let priority = waiting.wait_place().queue_priority(waiting.schedule.base);
            queue.insert(&mut self.threads, thread, priority);
        }
        if deadline != Nanos::MAX {
            self.timers.set(&mut self.threads, thread, TimerKind::Wait, deadline);
        }
        step.trace.record(Event::Blocked(thread));
    }

    /// Lets a running thread wait for a point in time.
    pub fn block_on_clock(&mut self, step: &mut Step, thread: ThreadId, deadline: Nanos) {
        self.block(step, thread, Wait::Clock, None, deadline);
    }

    /// Lets a running thread wait for a word of its task's memory.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn block_on_word(
        &mut self,
        step: &mut Step,
        thread: ThreadId,
        word: UserAddr,
        deadline: Nanos,
    ) -> Result<(), NoMemory> {
        let key = (self.threads[thread].task(), word);
        if self.words.get(&key).is_none() {
            self.words.insert(key, WaitQueue::default())?;
        }
        self.block(step, thread, Wait::Word(word), None, deadline);
        let base = self.threads[thread].schedule.base;
        let queue = self.words.get_mut(&key).expect("the queue was just found or made");
        queue.insert(&mut self.threads, thread, base);
        Ok(())
    }

    /// Wakes the first thread of a task that waits for a word. Returns true if there was one.
    pub fn wake_word(&mut self, step: &mut Step, task: TaskId, word: UserAddr, outcome: Outcome) -> bool {
        let Some(thread) = self.words.get(&(task, word)).and_then(WaitQueue::first) else { return false };
        self.end_wait(step, thread, None);
        self.finish(thread, outcome);
        true
    }

    /// Ends a thread's wait: the thread is out of the queue, its deadline is off, and it is ready unless it is suspended.
    /// `queue` is the one that [`wait_place`](Thread::wait_place) names, if that is one of a port or set. The caller
    /// [finishes](Scheduling::finish) the thread's trap.
    #[inline]
    pub fn end_wait(&mut self, step: &mut Step, thread: ThreadId, queue: Option<&mut WaitQueue>) -> Wait {
        let wait = self.leave_wait(thread, queue).expect("only a waiting thread's wait ends");
        if self.threads[thread].suspend_count == 0 {
            self.make_ready(step, thread);
        }
        step.trace.record(Event::Woken(thread));
        wait
    }

    /// Takes a thread that may wait out of everything it waits in and leaves it suspended. Returns what it waited for.
    #[inline]
    pub fn leave_wait(&mut self, thread: ThreadId, queue: Option<&mut WaitQueue>) -> Option<Wait> {
        let waiting = &mut self.threads[thread];
        let place = waiting.wait_place();
        if !waiting.is_waiting() {
            return None;
        }
        let State::Waiting(wait) = core::mem::replace(&mut waiting.state, State::Suspended) else { return None };
        self.timers.cancel(&mut self.threads, thread, TimerKind::Wait);
        match place {
            WaitPlace::Word(task, word) => self.leave_word(thread, task, word),
            WaitPlace::Receivers(_) | WaitPlace::Senders(_) => {
                queue.expect("the queue of a wait is passed in").remove(&mut self.threads, thread);
            }
            WaitPlace::Nowhere => {}
        }
        Some(wait)
    }

    fn leave_word(&mut self, thread: ThreadId, task: TaskId, word: UserAddr) {
        let key = (task, word);
        let queue = self.words.get_mut(&key).expect("a waiting thread's queue exists");
        queue.remove(&mut self.threads, thread);
        if queue.is_empty() {
            self.words.remove(&key);
        }
    }

    /// Writes what a thread's trap came to into its registers.
    pub fn finish(&mut self, thread: ThreadId, outcome: Outcome) {
        self.threads[thread].finish(outcome);
    }

    /// Gives a waiting thread whose base priority has changed its new place among those that wait for the same. `queue` is
    /// the one that [`wait_place`](Thread::wait_place) names, if that is one of a port or set.
    pub fn requeue(&mut self, thread: ThreadId, queue: Option<&mut WaitQueue>) {
        let waiting = &self.threads[thread];
        let place = waiting.wait_place();
        let priority = place.queue_priority(waiting.schedule.base);
        if place == WaitPlace::Nowhere || priority == waiting.wait_link.priority() {
            return;
        }
        let queue = match place {
            WaitPlace::Word(task, word) => self.words.get_mut(&(task, word)),
            _ => queue,
        };
        let queue = queue.expect("a waiting thread's queue exists");
        queue.remove(&mut self.threads, thread);
        queue.insert(&mut self.threads, thread, priority);
    }

    /// Takes a thread that receives out of everything it waits in. It must [run](Scheduling::block_and_switch) at once. The
    /// caller knows whether it waits alone in the queue, and whether its wait has a deadline.
    #[inline(always)]
    pub fn take_receiver(&mut self, receiver: ThreadId, queue: &mut WaitQueue, alone: bool, timed: bool) {
        queue.remove_knowing(&mut self.threads, receiver, alone);
        if timed {
            self.timers.cancel(&mut self.threads, receiver, TimerKind::Wait);
        }
    }

    /// Lets the running thread `thread` wait for a message, and `next`, which has been [taken out](Scheduling::take_receiver) of its wait,
    /// run in its place: what `end_wait`, `block` and the scheduler's choice come to, if that would choose `next`. `queue`
    /// is that of `wait`.
    #[inline(always)]
    pub fn block_and_switch(
        &mut self,
        step: &mut Step,
        thread: ThreadId,
        wait: ReceiveWait,
        queue: &mut WaitQueue,
        next: ThreadId,
        now: Stamp,
    ) -> &mut Thread {
        let priority = match wait.object {
            Receivable::Port(_) => self.threads[thread].schedule.base,
            Receivable::Set(_) => 0,
        };
        let waiting = queue.insert(&mut self.threads, thread, priority);
        let State::Running(cpu) = waiting.state else { panic!("{thread:?} gives away a processor that it has not") };
        waiting.state = State::Waiting(Wait::Receive(wait));
        self.switch(step, cpu, next, now)
    }

    /// Panics unless every thread that waits for a word is in that word's queue; returns how many there are.
    pub(super) fn check_words(&self) -> usize {
        for (id, thread) in self.threads.iter() {
            if let WaitPlace::Word(task, word) = thread.wait_place() {
                let queue = self.words.get(&(task, word)).expect("a waiting thread's queue exists");
                assert!(queue.iter(&self.threads).any(|other| other == id), "{id:?} is not where it waits");
            }
        }
        self.words.iter().map(|(_, queue)| queue.check(&self.threads)).sum()
    }
}
