//! The beginning and end of waits.
//!
//! A wait is a record, [`Wait`]. The code that ends a wait gets the record back, completes the trap for the thread, and
//! writes the outcome into the thread's registers by [`Scheduling::finish`]. No code of the thread runs for that.
//!
//! The wait queues of ports and port sets belong to `ipc`, which passes them in; those of words of memory and of the console
//! are here.

use super::Scheduling;
use super::thread::{Push, ReceiveWait, State, Thread, Wait, WaitPlace};
use super::timer::TimerKind;
use super::wait_queue::WaitQueue;
use crate::ids::{TaskId, ThreadId};
use crate::machine::{Cpu, Nanos, NoMemory, UserAddr};
use crate::outcome::Outcome;
use crate::step::Step;
use crate::trace::Event;
use abi::event::kind;

/// A switch from a thread that blocks to one whose wait ends.
#[derive(Clone, Copy, Debug)]
pub struct DirectSwitch {
    /// The processor.
    pub cpu: Cpu,
    /// The thread that runs, and waits for a message then.
    pub from: ThreadId,
    /// The thread that waits for a message, and runs then.
    pub to: ThreadId,
    /// That one is the only thread in its wait queue.
    pub alone: bool,
    /// Its wait may have a deadline.
    pub timed: bool,
    /// The ticks for which `from` has had the processor and has not been charged: those that
    /// [`begin_switch`](Scheduling::begin_switch) returned.
    pub ran: u64,
}

impl Scheduling {
    /// Lets a running thread wait for an event, until `deadline` at most. `queue` is the wait queue, if the event is
    /// one of a port or set.
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
        let threads = &self.threads;
        step.trace.record(move || {
            let (number, wait) = (threads[thread].number, threads[thread].wait());
            let (kind, object) = wait.expect("the thread waits").described();
            Event::new(kind::THREAD_BLOCKED, [number, kind.into(), object])
        });
    }

    /// Lets a running thread wait for a point in time.
    pub fn block_on_clock(&mut self, step: &mut Step, thread: ThreadId, deadline: Nanos) {
        self.block(step, thread, Wait::Clock, None, deadline);
    }

    /// Lets a running thread wait for a wake-up on a word of its task's memory, until `deadline` at most.
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
        let waiting = &self.threads[thread];
        let (task, base) = (waiting.task(), waiting.schedule.base);
        let queue = self.words.get_or_insert_with((task, word), WaitQueue::default)?;
        queue.insert(&mut self.threads, thread, base);
        self.block(step, thread, Wait::Word(word), None, deadline);
        Ok(())
    }

    /// Wakes the first thread of a task that waits for a word, with this outcome. Returns true if there was one.
    pub fn wake_word(&mut self, step: &mut Step, task: TaskId, word: UserAddr, outcome: Outcome) -> bool {
        let mut first = None;
        self.words.change_or_remove(&(task, word), |queue| {
            first = queue.first();
            first.iter().for_each(|&thread| queue.remove(&mut self.threads, thread));
            queue.is_empty()
        });
        let Some(thread) = first else { return false };
        self.stop_waiting(thread);
        self.go_on_after_wait(step, thread);
        self.hand_on(thread);
        self.finish(thread, outcome);
        true
    }

    /// Lets a running thread wait for input of at most `size` bytes into a buffer.
    pub fn block_on_input(&mut self, step: &mut Step, thread: ThreadId, buffer: UserAddr, size: u64) {
        self.block(step, thread, Wait::Input { buffer, size }, None, Nanos::MAX);
        let base = self.threads[thread].schedule.base;
        self.input.insert(&mut self.threads, thread, base);
    }

    /// Returns the thread that gets the next input, if any waits.
    #[inline]
    pub fn reader(&self) -> Option<ThreadId> {
        self.input.first()
    }

    /// Lets a running thread wait until there is room for `size` bytes of output from a buffer.
    pub fn block_on_output(&mut self, step: &mut Step, thread: ThreadId, buffer: UserAddr, size: u64) {
        self.block(step, thread, Wait::Output { buffer, size }, None, Nanos::MAX);
        let base = self.threads[thread].schedule.base;
        self.output.insert(&mut self.threads, thread, base);
    }

    /// Returns the thread whose output comes next, if any waits.
    #[inline]
    pub fn writer(&self) -> Option<ThreadId> {
        self.output.first()
    }

    /// Ends the wait of a waiting thread. The thread leaves its queue, its deadline is removed, and it becomes ready
    /// unless it is suspended. `queue` is the queue of [`wait_place`](Thread::wait_place), if that is one of a port or
    /// set. The caller takes what it needs of the [record](Thread::wait) before, and then
    /// [finishes](Scheduling::finish) the thread's trap.
    #[inline]
    pub fn end_wait(&mut self, step: &mut Step, thread: ThreadId, queue: Option<&mut WaitQueue>) {
        assert!(self.leave_wait(thread, queue), "{thread:?} does not wait");
        self.go_on_after_wait(step, thread);
    }

    /// Lets a thread that waits no more go on, unless it is suspended.
    #[inline]
    fn go_on_after_wait(&mut self, step: &mut Step, thread: ThreadId) {
        let Thread { push, suspend_count, .. } = self.threads[thread];
        if push != Push::Nobody {
            self.push_changed(step, thread);
        }
        if suspend_count == 0 {
            self.make_ready(step, thread);
        }
        let threads = &self.threads;
        step.trace.record(move || Event::new(kind::THREAD_WOKEN, [threads[thread].number]));
    }

    /// Ends the wait of a thread, if it waits, and leaves it stopped. Returns true if it waited.
    #[inline]
    pub fn leave_wait(&mut self, thread: ThreadId, queue: Option<&mut WaitQueue>) -> bool {
        let waiting = &self.threads[thread];
        let place = waiting.wait_place();
        if !waiting.is_waiting() {
            return false;
        }
        self.stop_waiting(thread);
        match place {
            WaitPlace::Word(task, word) => self.leave_word(thread, task, word),
            WaitPlace::Receivers(_) | WaitPlace::Senders(_) => {
                queue.expect("the caller has passed the queue").remove(&mut self.threads, thread);
            }
            WaitPlace::Input => self.input.remove(&mut self.threads, thread),
            WaitPlace::Output => self.output.remove(&mut self.threads, thread),
            WaitPlace::Nowhere => {}
        }
        true
    }

    /// Stops a waiting thread, which leaves its queue at the same time, and removes its deadline.
    #[inline]
    fn stop_waiting(&mut self, thread: ThreadId) {
        self.threads[thread].state = State::Suspended;
        self.timers.cancel(&mut self.threads, thread, TimerKind::Wait);
    }

    /// Removes a thread from the queue of a word, and the queue if it is empty then.
    fn leave_word(&mut self, thread: ThreadId, task: TaskId, word: UserAddr) {
        let left = self.words.change_or_remove(&(task, word), |queue| {
            queue.remove(&mut self.threads, thread);
            queue.is_empty()
        });
        assert!(left, "a waiting thread's queue exists");
    }

    /// Writes the outcome of a thread's trap into its registers.
    pub fn finish(&mut self, thread: ThreadId, outcome: Outcome) {
        self.threads[thread].finish(outcome);
    }

    /// Moves a thread to its new place in its wait queue, if it waits in one, after its base priority has changed.
    /// `queue` is the queue of [`wait_place`](Thread::wait_place), if that is one of a port or set.
    pub fn requeue(&mut self, thread: ThreadId, queue: Option<&mut WaitQueue>) {
        let waiting = &self.threads[thread];
        let place = waiting.wait_place();
        let priority = place.queue_priority(waiting.schedule.base);
        if place == WaitPlace::Nowhere || priority == waiting.wait_link.priority() {
            return;
        }
        let queue = match place {
            WaitPlace::Word(task, word) => self.words.get_mut(&(task, word)),
            WaitPlace::Input => Some(&mut self.input),
            WaitPlace::Output => Some(&mut self.output),
            _ => queue,
        };
        let queue = queue.expect("a waiting thread's queue exists");
        queue.remove(&mut self.threads, thread);
        queue.insert(&mut self.threads, thread, priority);
    }

    /// Ends the wait of the thread that runs next. `queue` is its wait queue.
    #[inline(always)]
    pub fn take_receiver(&mut self, switch: &DirectSwitch, queue: &mut WaitQueue) {
        queue.remove_knowing(&mut self.threads, switch.to, switch.alone);
        if switch.timed {
            self.timers.cancel(&mut self.threads, switch.to, TimerKind::Wait);
        }
    }

    /// Lets the thread that runs wait for a message, with `queue` as its wait queue, and lets the other one, whose wait
    /// has been [ended](Scheduling::take_receiver), run in its place. The scheduler would choose it. The effect is that
    /// of `end_wait`, `block` and `choose`.
    #[inline(always)]
    pub fn block_and_switch(
        &mut self,
        step: &mut Step,
        switch: &DirectSwitch,
        wait: ReceiveWait,
        queue: &mut WaitQueue,
    ) -> &mut Thread {
        let DirectSwitch { cpu, from, to, ran, .. } = *switch;
        let waiting = &mut self.threads[from];
        debug_assert!(matches!(waiting.state, State::Running(at) if at == cpu), "{from:?} blocks but does not run");
        waiting.run_time.add(ran);
        if waiting.bill.is_open() {
            step.switched_with_bill(from);
        }
        waiting.state = State::Waiting(Wait::Receive(wait));
        let priority = WaitPlace::Receivers(wait.object).queue_priority(waiting.schedule.base);
        if queue.is_empty() {
            queue.insert_alone(waiting, priority);
        } else {
            queue.insert(&mut self.threads, from, priority);
        }
        self.switch(cpu, to)
    }

    /// Panics unless every thread that waits for a word is in the word's queue, and the queues are in order; returns
    /// the number of threads in them and in the queues of input and output.
    pub(super) fn check_words(&self) -> usize {
        for (id, thread) in self.threads.iter() {
            if let WaitPlace::Word(task, word) = thread.wait_place() {
                let queue = self.words.get(&(task, word)).expect("a waiting thread's queue exists");
                assert!(queue.iter(&self.threads).any(|other| other == id), "{id:?} is not in its wait queue");
            }
        }
        let on_words: usize = self.words.iter().map(|(_, queue)| queue.check(&self.threads)).sum();
        on_words + self.input.check(&self.threads) + self.output.check(&self.threads)
    }
}
