//! Threads: what the kernel knows of each, and the only functions that change a thread's state.

use crate::ipc::message::MessageId;
use crate::ipc::port::PortId;
use crate::ipc::receive::{Receivable, ReceiveArgs};
use crate::ipc::send::SendOptions;
use crate::kernel::Kernel;
use crate::limits::THREADS_PER_TASK_MAX;
use crate::machine::{AddressSpace, Cpu, Machine, Nanos, NoMemory, UserAddr};
use crate::policy::ThreadPolicy;
use crate::rate::Stamp;
use crate::reap::ReapList;
use crate::sched::Schedule;
use crate::task::TaskId;
use crate::timer::{TimerKind, TimerSlots};
use crate::trap_frame::TrapFrame;
use crate::wait::WaitLink;
use abi::KernReturn;
use abi::code::*;
use abi::message::MsgOption;
use abi::task::ExitStatus;
use store::{Arena, Id, Link, Linked};

/// Names a thread.
pub type ThreadId = Id<Thread>;

/// All threads. Each is allocated by itself: their frames are big, and the way to one is then shortest.
pub type Threads = Arena<Thread, 1>;

/// A thread.
#[derive(Debug)]
pub struct Thread {
    /// Its registers, while it does not run.
    pub frame: TrapFrame,
    /// The task it belongs to.
    pub task: TaskId,
    /// The task's address space, which never changes.
    pub address_space: AddressSpace,
    /// Its number, unique over the life of the system.
    pub number: u64,
    /// What it is doing. Written by the scheduler and by this module alone.
    pub state: State,
    /// What remains to be done in the kernel before it goes on in user mode.
    pub resume: Option<Resume>,
    /// It ends when its processor leaves the kernel.
    pub doomed: bool,
    /// What the scheduler knows of it.
    pub schedule: Schedule,
    /// The QoS it asked for, and what that became.
    pub policy: ThreadPolicy,
    /// How often it was suspended and not resumed.
    pub suspend_count: u32,
    /// Its control port, made when somebody first asks for it.
    pub control_port: Option<PortId>,
    /// Where its deadlines are.
    pub timers: TimerSlots,
    /// Its place among those that wait for the same thing.
    pub wait_link: WaitLink,
    /// Its place on the run queue.
    pub run_link: Link<Thread>,
    /// Its place among the threads of its task.
    pub sibling_link: Link<Thread>,
}

/// The lists of ready threads, one per level.
#[derive(Debug)]
pub enum RunQueue {}

/// The list of a task's threads.
#[derive(Debug)]
pub enum Siblings {}

impl Linked<RunQueue> for Thread {
    fn link(&mut self) -> &mut Link<Thread> {
        &mut self.run_link
    }
    fn link_ref(&self) -> &Link<Thread> {
        &self.run_link
    }
}

impl Linked<Siblings> for Thread {
    fn link(&mut self) -> &mut Link<Thread> {
        &mut self.sibling_link
    }
    fn link_ref(&self) -> &Link<Thread> {
        &self.sibling_link
    }
}

/// What a thread is doing.
#[derive(Debug)]
pub enum State {
    /// It has a processor.
    Running(Cpu),
    /// It is on the run queue.
    Ready,
    /// It could run, but was suspended, or never resumed since its creation.
    Suspended,
    /// It waits for something.
    Waiting(Wait),
}

/// What a waiting thread waits for, with everything needed to finish the wait.
#[derive(Debug)]
pub enum Wait {
    /// A message.
    Receive(ReceiveWait),
    /// Room in a queue.
    Send(SendWait),
    /// A point in time.
    Clock,
    /// A change of a word of its memory, announced by `ulock_wake`.
    Word(UserAddr),
}

impl Wait {
    /// The priority at which a thread queues for this: on a set all are equal (mach-ipc 3.9).
    #[inline]
    fn queue_priority(&self, thread: &Thread) -> u8 {
        match self {
            Wait::Receive(ReceiveWait { object: Receivable::Set(_), .. }) => 0,
            _ => thread.schedule.base,
        }
    }
}

/// The queue in which a thread of `$task` waits. A macro, because the queue and the threads in it are borrowed at once.
macro_rules! wait_queue {
    ($kernel:expr, $task:expr, $wait:expr) => {
        match $wait {
            Wait::Receive(ReceiveWait { object: Receivable::Port(port), .. }) => {
                Some(&mut $kernel.ports[*port].receivers)
            }
            Wait::Receive(ReceiveWait { object: Receivable::Set(set), .. }) => Some(&mut $kernel.sets[*set].receivers),
            Wait::Send(send) => Some(&mut $kernel.ports[send.port].senders),
            Wait::Word(word) => {
                Some($kernel.words.get_mut(&($task, *word)).expect("the queue is made before it is used"))
            }
            Wait::Clock => None,
        }
    };
}

/// A blocked receive.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWait {
    /// On what.
    pub object: Receivable,
    /// Where the message goes.
    pub buffer: UserAddr,
    /// How much fits there.
    pub size: u32,
    /// The call's options.
    pub options: MsgOption,
}

/// A blocked send.
#[derive(Debug)]
pub struct SendWait {
    /// On which queue.
    pub port: PortId,
    /// With which message.
    pub message: MessageId,
    /// How the send goes on.
    pub send: SendOptions,
    /// The receive phase of the same call.
    pub then: Option<ReceiveArgs>,
}

/// What the kernel still has to do for a thread before the thread runs again.
#[derive(Debug)]
pub enum Resume {
    /// The receive phase of a call whose send phase was blocked.
    Receive(ReceiveArgs),
    /// Destroying what its trap left to be destroyed, then perhaps the receive phase.
    Reap(ReapList, Option<ReceiveArgs>),
}

/// Why a wait ends without what it waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    /// Its time is over.
    TimedOut,
    /// Somebody aborted it.
    Aborted,
}

impl Kernel {
    /// Adds a suspended thread to a live task.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none, or the task's budget or number of threads is used up; nothing has changed.
    pub(crate) fn create_thread(
        &mut self,
        task: TaskId,
        frame: TrapFrame,
        policy: ThreadPolicy,
    ) -> Result<ThreadId, NoMemory> {
        if self.tasks[task].threads.len() >= THREADS_PER_TASK_MAX {
            return Err(NoMemory);
        }
        self.charge(task, size_of::<Thread>())?;
        if self.threads.reserve().and_then(|()| self.timers.reserve_for_thread()).is_err() {
            self.refund(task, size_of::<Thread>());
            return Err(NoMemory);
        }
        self.thread_numbers += 1;
        let number = self.thread_numbers;
        let address_space = self.tasks[task].address_space;
        let base = policy.effective(&self.tasks[task].policy.effective()).base_priority;
        let id = self.threads.insert_reserved(|_| Thread {
            frame,
            task,
            address_space,
            number,
            state: State::Suspended,
            resume: None,
            doomed: false,
            schedule: Schedule::with_base(base),
            policy,
            suspend_count: 1,
            control_port: None,
            timers: TimerSlots::default(),
            wait_link: WaitLink::default(),
            run_link: Link::default(),
            sibling_link: Link::default(),
        });
        self.tasks[task].threads.push_back(&mut self.threads, id);
        Ok(id)
    }

    /// Takes a running thread off its processor until what it waits for happens, or the deadline passes.
    #[inline]
    pub(crate) fn block(&mut self, thread: ThreadId, wait: Wait, deadline: Nanos) {
        self.enter_queue(thread, &wait);
        self.sched.withdraw(&mut self.threads, thread, State::Waiting(wait));
        if deadline != Nanos::MAX {
            self.timers.set(&mut self.threads, thread, TimerKind::Wait, deadline);
        }
    }

    /// Puts a thread where those are that wait for the same.
    #[inline]
    fn enter_queue(&mut self, thread: ThreadId, wait: &Wait) {
        let waiting = &self.threads[thread];
        let (task, priority) = (waiting.task, wait.queue_priority(waiting));
        if let Some(queue) = wait_queue!(self, task, wait) {
            queue.insert(&mut self.threads, thread, priority);
        }
    }

    /// The running thread starts to wait for a message, and `next`, which has just been taken out of everything it waited
    /// in, runs in its place: what `block`, `finish_wait` and the scheduler's choice come to, if that would choose `next`.
    #[inline(always)]
    pub(crate) fn wait_and_run(
        &mut self,
        thread: ThreadId,
        wait: ReceiveWait,
        next: ThreadId,
        now: Stamp,
    ) -> &mut Thread {
        let threads = &mut self.threads;
        let waiting = match wait.object {
            Receivable::Port(port) => {
                let base = threads[thread].schedule.base;
                self.ports[port].receivers.insert(threads, thread, base)
            }
            Receivable::Set(set) => self.sets[set].receivers.insert(threads, thread, 0),
        };
        // Unless a message is delivered the second result is 0 (errata 6).
        waiting.frame.rdx = 0;
        let cpu = self.sched.hand_over(waiting, State::Waiting(Wait::Receive(wait)));
        let running = &mut threads[next];
        self.sched.take_over(cpu, next, running, now);
        running
    }

    /// Ends a thread's wait: it is out of the queue, its deadline is off, and it is ready unless it is suspended. The
    /// caller writes the result into its frame.
    #[inline]
    pub(crate) fn finish_wait(&mut self, thread: ThreadId) -> Wait {
        let wait = self.take_wait(thread).expect("only a waiting thread's wait ends");
        if self.threads[thread].suspend_count == 0 {
            self.sched.make_ready(&mut self.threads, thread);
        }
        wait
    }

    /// Takes a waiting thread out of everything it waits in and leaves it suspended.
    #[inline]
    fn take_wait(&mut self, thread: ThreadId) -> Option<Wait> {
        if !matches!(self.threads[thread].state, State::Waiting(_)) {
            return None;
        }
        let State::Waiting(wait) = core::mem::replace(&mut self.threads[thread].state, State::Suspended) else {
            return None;
        };
        self.timers.cancel(&mut self.threads, thread, TimerKind::Wait);
        self.leave_queue(thread, &wait);
        Some(wait)
    }

    #[inline]
    fn leave_queue(&mut self, thread: ThreadId, wait: &Wait) {
        let task = self.threads[thread].task;
        let Some(queue) = wait_queue!(self, task, wait) else { return };
        queue.remove(&mut self.threads, thread);
        if let Wait::Word(word) = wait
            && queue.is_empty()
        {
            self.words.remove(&(task, *word));
        }
    }

    /// A thread's priority changed: if it waits, it finds its place among those that do anew.
    pub(crate) fn requeue_waiting(&mut self, thread: ThreadId) {
        let waiting = &self.threads[thread];
        let (task, State::Waiting(wait)) = (waiting.task, &waiting.state) else { return };
        let priority = wait.queue_priority(waiting);
        if priority == waiting.wait_link.priority() {
            return;
        }
        if let Some(queue) = wait_queue!(self, task, wait) {
            queue.remove(&mut self.threads, thread);
            queue.insert(&mut self.threads, thread, priority);
        }
    }

    /// A thread's wait ends without what it waited for: writes what that means into its frame (mach-ipc 3.8, 3.9).
    pub(crate) fn give_up_wait(&mut self, m: &mut dyn Machine, thread: ThreadId, why: WaitEnd) {
        let timed_out = why == WaitEnd::TimedOut;
        let code = match self.finish_wait(thread) {
            Wait::Receive(_) if timed_out => MACH_RCV_TIMED_OUT,
            Wait::Receive(_) => MACH_RCV_INTERRUPTED,
            Wait::Send(wait) => {
                let reason = if timed_out { MACH_SEND_TIMED_OUT } else { MACH_SEND_INTERRUPTED };
                self.return_to_sender(m, thread, wait.message, &wait.send, reason)
            }
            Wait::Clock if timed_out => KERN_SUCCESS,
            Wait::Clock => KERN_ABORTED,
            Wait::Word(_) => {
                let errno = if timed_out { ETIMEDOUT } else { EINTR };
                return self.threads[thread].frame.set_unix(Err(errno));
            }
        };
        self.threads[thread].frame.set_code(code);
    }

    /// Ends a thread: at once, or, if it runs, when its processor leaves the kernel.
    pub(crate) fn doom_thread(&mut self, thread: ThreadId) {
        if matches!(self.threads[thread].state, State::Running(_)) {
            self.threads[thread].doomed = true;
            self.sched.reconsider();
        } else {
            self.end_thread(thread);
        }
    }

    /// Ends a thread: whatever it waits for is given up, its message is destroyed (mach-ipc 6.6), and what its trap left
    /// to destroy becomes nobody's. With its last thread a task ends.
    pub(crate) fn end_thread(&mut self, thread: ThreadId) {
        if let Some(Wait::Send(wait)) = self.take_wait(thread) {
            self.destroy_message(wait.message);
        }
        self.timers.cancel(&mut self.threads, thread, TimerKind::Depress);
        self.sched.withdraw(&mut self.threads, thread, State::Suspended);
        let task = self.threads[thread].task;
        self.tasks[task].threads.remove(&mut self.threads, thread);
        let ended = self.threads.remove(thread).expect("a thread ends once");
        self.timers.release_for_thread();
        self.refund(task, size_of::<Thread>());
        if let Some(Resume::Reap(list, _)) = ended.resume {
            self.add_orphans(list);
        }
        if let Some(port) = ended.control_port {
            self.destroy_port(port);
        }
        if self.tasks[task].threads.is_empty() {
            self.end_task(task, ExitStatus::exited(0));
        }
    }

    /// Suspends a thread once more. A waiting thread goes on waiting, but will not run when that is over; a running one
    /// stops when its processor leaves the kernel.
    ///
    /// # Errors
    /// `KERN_FAILURE` if it was suspended too often.
    pub(crate) fn suspend_thread(&mut self, thread: ThreadId) -> Result<(), KernReturn> {
        let state = &mut self.threads[thread];
        state.suspend_count = state.suspend_count.checked_add(1).ok_or(KERN_FAILURE)?;
        self.sched.reconsider();
        if matches!(self.threads[thread].state, State::Ready) {
            self.sched.withdraw(&mut self.threads, thread, State::Suspended);
            self.orphan_reap_list(thread);
        }
        Ok(())
    }

    /// What a thread's trap left to destroy becomes nobody's: others wait for it, and the thread will not run.
    fn orphan_reap_list(&mut self, thread: ThreadId) {
        let resume = &mut self.threads[thread].resume;
        if let Some(Resume::Reap(list, then)) = resume.take_if(|resume| matches!(resume, Resume::Reap(..))) {
            *resume = then.map(Resume::Receive);
            self.add_orphans(list);
        }
    }

    /// Takes one suspension back; with the last the thread can run.
    ///
    /// # Errors
    /// `KERN_FAILURE` if it is not suspended.
    pub(crate) fn resume_thread(&mut self, thread: ThreadId) -> Result<(), KernReturn> {
        let state = &mut self.threads[thread];
        state.suspend_count = state.suspend_count.checked_sub(1).ok_or(KERN_FAILURE)?;
        if state.suspend_count == 0 && matches!(state.state, State::Suspended) {
            self.sched.make_ready(&mut self.threads, thread);
        }
        Ok(())
    }

    /// Aborts whatever a thread waits for, and its depression.
    pub(crate) fn abort_thread(&mut self, m: &mut dyn Machine, thread: ThreadId) {
        if matches!(self.threads[thread].state, State::Waiting(_)) {
            self.give_up_wait(m, thread, WaitEnd::Aborted);
        }
        self.end_depression(thread);
    }

    /// Ends a thread's depression, if it is depressed.
    pub(crate) fn end_depression(&mut self, thread: ThreadId) {
        if self.threads[thread].schedule.depressed {
            self.timers.cancel(&mut self.threads, thread, TimerKind::Depress);
            self.sched.set_depressed(&mut self.threads, thread, false);
        }
    }
}
