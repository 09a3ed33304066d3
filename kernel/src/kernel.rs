//! All kernel state, and the only way in: [`Kernel::handle`].

use crate::bundle::Bundle;
use crate::debug::Totals;
use crate::ipc::fast_path::{Passage, PlainCall};
use crate::ipc::message::{Message, SpareBuffers};
use crate::ipc::port::{Port, PortId, Ports};
use crate::ipc::port_set::{Membership, PortSet};
use crate::ipc::request::Request;
use crate::kobject::KernelObject;
use crate::limits::{Limits, REAP_SLICE};
use crate::machine::{AddressSpace, Cpu, Machine, NoMemory, UserAddr};
use crate::policy::TaskPolicy;
use crate::program::Image;
use crate::rate::Clock;
use crate::reap::ReapList;
use crate::sched::Scheduler;
use crate::spawn::Strings;
use crate::task::{NewTask, TaskId, Tasks};
pub use crate::thread::ThreadId;
use crate::thread::{Resume, State, Threads, WaitEnd};
use crate::timer::{TimerKind, Timers};
use crate::trap_frame::TrapFrame;
use crate::traps::Outcome;
use crate::wait::WaitQueue;
use abi::KernReturn;
use abi::task::{Exception, ExitStatus};
use abi::trap::mach::MACH_MSG;
use core::fmt;
use foldhash::fast::FixedState;
use heapless::String;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use store::{Arena, LinearMap};

/// What happened on a processor. Unless it was idle the current thread's registers are in its frame.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The current thread made a trap.
    Trap,
    /// The time set by [`Machine::set_timer`] has come. Spurious ones are harmless.
    Timer,
    /// The current thread caused an exception in user mode: its task ends.
    Exception {
        /// What kind.
        kind: Exception,
        /// The processor's vector.
        vector: u8,
        /// The address it is about, if any.
        address: u64,
    },
}

/// What a processor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Go on with the thread that entered: its frame and its address space are those that it had.
    GoOn,
    /// Run this thread: see [`Kernel::context`].
    Run(ThreadId),
    /// Wait for an interrupt.
    Idle,
    /// Stop the machine. The first task ended with this status: what it gave to `exit`, or 128 plus the reason.
    Shutdown(u32),
}

/// What a kernel starts with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The archive with the programs, `init` among them.
    pub bundle: &'static [u8],
    /// A number nobody can guess. With 0 names are handed out in a fixed order, for tests.
    pub seed: u64,
    /// What makes times of the machine's stamps.
    pub clock: Clock,
    /// What tests may change.
    pub limits: Limits,
}

/// Why the first program did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The bundle has no file `init`.
    NoInit,
    /// It could not be started.
    BadInit(KernReturn),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::NoInit => f.write_str("the bundle has no program `init`"),
            BootError::BadInit(code) => write!(f, "the program `init` does not start: {code}"),
        }
    }
}

/// The kernel: everything there is, in one place, with one owner. There is no other state.
#[derive(Debug)]
pub struct Kernel {
    /// Tasks, each with its names and its memory.
    pub tasks: Tasks,
    /// Threads, with their registers.
    pub threads: Threads,
    /// Ports, live ones and those being taken apart.
    pub ports: Ports,
    /// Port sets.
    pub sets: Arena<PortSet>,
    /// Which port is in which set.
    pub memberships: Arena<Membership>,
    /// Requests for notifications about names.
    pub requests: Arena<Request>,
    /// Messages: queued, with blocked senders, or being taken apart.
    pub messages: Arena<Message>,
    /// Buffers of small messages that are not in use.
    pub(crate) spare_buffers: SpareBuffers,
    /// Where a message is while it is handed over directly. It means nothing between two steps.
    pub(crate) passage: Passage,
    /// The run queue and the processors.
    pub sched: Scheduler,
    /// Deadlines.
    pub timers: Timers,
    /// Who waits for which word of memory.
    pub(crate) words: LinearMap<(TaskId, UserAddr), WaitQueue, FixedState>,
    /// What the current step destroys.
    pub(crate) reap: ReapList,
    /// What remains to be destroyed and nobody waits for.
    pub(crate) orphans: ReapList,
    /// Totals of rights.
    pub totals: Totals,
    /// The host's port.
    pub(crate) host_port: PortId,
    /// The task whose end stops the machine.
    pub(crate) first_task: Option<TaskId>,
    /// How it ended.
    pub(crate) exit_status: Option<ExitStatus>,
    pub(crate) bundle: Bundle,
    pub(crate) limits: Limits,
    pub(crate) pids: u32,
    pub(crate) thread_numbers: u64,
    /// What nobody can guess comes from here; nothing in tests, which want the same every time.
    random: Option<ChaCha8Rng>,
}

impl Kernel {
    /// A kernel without tasks.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn new(config: Config) -> Result<Kernel, NoMemory> {
        let mut random = (config.seed != 0).then(|| ChaCha8Rng::seed_from_u64(config.seed));
        let mut ports = Ports::new();
        let host_port = ports.insert_with(|_| Port::kernel(KernelObject::Host))?;
        Ok(Kernel {
            tasks: Tasks::new(),
            threads: Threads::new(),
            ports,
            sets: Arena::new(),
            memberships: Arena::new(),
            requests: Arena::new(),
            messages: Arena::new(),
            spare_buffers: SpareBuffers::default(),
            passage: Passage::default(),
            sched: Scheduler::new(config.clock),
            timers: Timers::default(),
            words: LinearMap::new(FixedState::with_seed(random.as_mut().map_or(0, ChaCha8Rng::next_u64))),
            reap: ReapList::new(),
            orphans: ReapList::new(),
            totals: Totals::default(),
            host_port,
            first_task: None,
            exit_status: None,
            bundle: Bundle::new(config.bundle),
            limits: config.limits,
            pids: 0,
            thread_numbers: 0,
            random,
        })
    }

    /// Starts `init` from the bundle, as user 0, with the arguments in the bundle's file `cmdline`.
    ///
    /// # Errors
    /// [`BootError`].
    pub fn boot(&mut self, m: &mut dyn Machine) -> Result<Next, BootError> {
        let file = self.bundle.file("init").ok_or(BootError::NoInit)?;
        let given = self.bundle.file("cmdline").unwrap_or(b"");
        let no_memory = |_| BootError::BadInit(abi::code::KERN_RESOURCE_SHORTAGE);
        let mut arguments = store::try_with_capacity(given.len() + 5).map_err(no_memory)?;
        arguments.extend_from_slice(b"init\0");
        arguments.extend_from_slice(given);
        let strings = Strings { arguments, environment: alloc::vec::Vec::new() };
        let name = String::try_from("init").expect("a short name fits");
        let new = NewTask { name, uid: 0, gid: 0, policy: TaskPolicy::default() };
        let task = self.start_program(m, new, &Image::Bundle(file), &strings).map_err(BootError::BadInit)?;
        self.first_task = Some(task);
        Ok(self.leave(m, 0, None))
    }

    /// Handles an event on a processor and says what the processor does next. This is one step: it happens as a whole,
    /// and between two steps all invariants hold (`invariants.rs`).
    ///
    /// The entry code of a machine goes the same ways with arguments in registers: it tries
    /// [`trivial_trap`](Kernel::trivial_trap) or [`call_directly`](Kernel::call_directly) by the trap's number, then
    /// [`handle_off_fast_path`](Kernel::handle_off_fast_path).
    pub fn handle(&mut self, m: &mut dyn Machine, cpu: Cpu, event: Event) -> Next {
        if let (Event::Trap, Some(thread)) = (event, self.sched.current(cpu)) {
            let frame = &self.threads[thread].frame;
            let (number, arguments) = (frame.trap_number(), frame.arguments());
            if let Some(value) = self.trivial_trap(m, number) {
                self.threads[thread].frame.set_value(value);
                return Next::GoOn;
            }
            if number == MACH_MSG
                && self.limits.direct_calls
                && let Some(next) = self.call_directly(m, cpu, &PlainCall::from_arguments(arguments))
            {
                return Next::Run(next.thread);
            }
        }
        self.handle_off_fast_path(m, cpu, event)
    }

    /// Handles an event on a processor for which there is no shorter way.
    #[inline(always)]
    pub fn handle_off_fast_path(&mut self, m: &mut dyn Machine, cpu: Cpu, event: Event) -> Next {
        let entered = self.sched.current(cpu);
        match event {
            Event::Trap => self.trap(m, entered.expect("only a running thread makes a trap")),
            Event::Timer => self.tick(m, cpu),
            Event::Exception { kind, vector, address } => {
                let thread = entered.expect("only a running thread causes an exception");
                self.exception(m, thread, kind, vector, address);
            }
        }
        self.leave(m, cpu, entered)
    }

    /// The registers and the address space of a thread that [`Next::Run`] named. The frame stays where it is for the life
    /// of the thread.
    #[inline]
    pub fn context(&mut self, thread: ThreadId) -> (&mut TrapFrame, AddressSpace) {
        let thread = &mut self.threads[thread];
        (&mut thread.frame, thread.address_space)
    }

    /// A thread's registers, if the thread has not ended.
    pub fn frame_if_alive(&mut self, thread: ThreadId) -> Option<&mut TrapFrame> {
        self.threads.get_mut(thread).map(|thread| &mut thread.frame)
    }

    /// Who a thread is, for people: its task's name and number and its own number.
    pub fn describe(&self, thread: ThreadId) -> Option<(&str, u32, u64)> {
        let thread = self.threads.get(thread)?;
        let task = self.tasks.get(thread.task)?;
        Some((task.name.as_str(), task.credentials.pid, thread.number))
    }

    /// Whether anything waits to be destroyed for nobody's sake.
    pub fn anything_to_reap(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// A number nobody can guess, not even from the others; 0 in tests. Programs are told some of them.
    pub(crate) fn next_seed(&mut self) -> u64 {
        self.random.as_mut().map_or(0, ChaCha8Rng::next_u64)
    }

    fn exception(&mut self, m: &mut dyn Machine, thread: ThreadId, kind: Exception, vector: u8, address: u64) {
        let rip = self.threads[thread].frame.rip;
        if let Some((name, pid, number)) = self.describe(thread) {
            let kind = kind.name();
            m.log(format_args!(
                "task {pid} ({name}) ends: {kind} (vector {vector}) in thread {number} at {rip:#x}, address {address:#x}"
            ));
        }
        let task = self.threads[thread].task;
        self.end_task(task, ExitStatus::exception(kind, vector));
    }

    /// Time passes: what is due happens, in small portions.
    fn tick(&mut self, m: &mut dyn Machine, cpu: Cpu) {
        let now = m.now();
        for _ in 0..REAP_SLICE {
            match self.timers.pop_due(&mut self.threads, now) {
                Some((thread, TimerKind::Wait)) => self.give_up_wait(m, thread, WaitEnd::TimedOut),
                Some((thread, TimerKind::Depress)) => self.sched.set_depressed(&mut self.threads, thread, false),
                None => break,
            }
        }
        self.sched.tick(&mut self.threads, cpu, now);
    }

    /// Ends a step: settles what became of the thread that entered, works off what is to be destroyed, chooses who runs
    /// and finishes what that one still has to do in the kernel.
    #[inline(always)]
    fn leave(&mut self, m: &mut dyn Machine, cpu: Cpu, entered: Option<ThreadId>) -> Next {
        if !self.sched.is_settled() {
            return self.settle_and_choose(m, cpu, entered);
        }
        debug_assert!(self.reap.is_empty() && self.orphans.is_empty(), "what is to be destroyed is not forgotten");
        match self.sched.current(cpu) {
            current if current == entered && entered.is_some() => Next::GoOn,
            Some(thread) => Next::Run(thread),
            None => self.settle_and_choose(m, cpu, entered),
        }
    }

    #[inline(never)]
    fn settle_and_choose(&mut self, m: &mut dyn Machine, cpu: Cpu, mut entered: Option<ThreadId>) -> Next {
        loop {
            self.settle_step(m, entered);
            if let Some(status) = self.exit_status {
                return Next::Shutdown(shutdown_status(status));
            }
            let chosen = self.sched.choose(&mut self.threads, cpu, m.now());
            let resume = chosen.and_then(|thread| self.threads[thread].resume.take());
            match (chosen, resume) {
                (Some(thread), None) => {
                    if !self.orphans.is_empty() {
                        self.sched.reconsider();
                    }
                    self.arm_timer(m, cpu);
                    return Next::Run(thread);
                }
                (Some(thread), Some(resume)) => self.go_on(m, thread, resume),
                (None, _) if self.orphans.is_empty() => {
                    self.arm_timer(m, cpu);
                    return Next::Idle;
                }
                (None, _) => {}
            }
            // Between portions of long work others get their turn.
            entered = chosen;
            if self.timers.earliest() <= m.now() || chosen.is_some() {
                self.tick(m, cpu);
            }
        }
    }

    /// What the step that `entered` caused leaves behind: the thread itself may have ended or been suspended, and things
    /// may be left to be destroyed.
    #[inline]
    fn settle_step(&mut self, m: &mut dyn Machine, entered: Option<ThreadId>) {
        if let Some(id) = entered
            && let Some(thread) = self.threads.get(id)
        {
            if thread.doomed {
                self.end_thread(id);
            } else if thread.suspend_count > 0 && matches!(thread.state, State::Running(_)) {
                self.sched.withdraw(&mut self.threads, id, State::Suspended);
            }
        }
        if !self.reap.is_empty() {
            self.reap_slice(m);
            self.postpone_reap(entered);
        }
        if !self.orphans.is_empty() {
            self.reap_orphans(m);
        }
    }

    /// What one slice did not get done waits with the thread that caused it, if that is about to go on.
    fn postpone_reap(&mut self, entered: Option<ThreadId>) {
        let rest = core::mem::take(&mut self.reap);
        let thread = entered.and_then(|id| self.threads.get_mut(id));
        match thread {
            _ if rest.is_empty() => {}
            Some(thread) if thread.resume.is_none() && matches!(thread.state, State::Running(_) | State::Ready) => {
                thread.resume = Some(Resume::Reap(rest, None));
            }
            _ => self.add_orphans(rest),
        }
    }

    /// Goes on with what a thread still had to do in the kernel.
    fn go_on(&mut self, m: &mut dyn Machine, thread: ThreadId, resume: Resume) {
        let receive = match resume {
            Resume::Receive(args) => args,
            Resume::Reap(list, then) => {
                self.reap = list;
                self.reap_slice(m);
                match then {
                    Some(args) if self.reap.is_empty() => args,
                    Some(args) => {
                        let rest = core::mem::take(&mut self.reap);
                        self.threads[thread].resume = Some(Resume::Reap(rest, Some(args)));
                        return;
                    }
                    None => return,
                }
            }
        };
        if let Outcome::Code(code) = self.receive(m, thread, &receive) {
            self.threads[thread].frame.set_code(code);
        }
    }

    #[inline]
    fn arm_timer(&mut self, m: &mut dyn Machine, cpu: Cpu) {
        if let Some(deadline) = self.sched.timer_to_set(&self.threads, cpu, self.timers.earliest()) {
            m.set_timer(cpu, deadline);
        }
    }

    /// Gives a thread the priority that its and its task's policy call for now.
    pub(crate) fn update_thread_policy(&mut self, thread: ThreadId) {
        let state = &self.threads[thread];
        let effective = state.policy.effective(&self.tasks[state.task].policy.effective());
        self.sched.set_base(&mut self.threads, thread, effective.base_priority, effective.timeshare);
        self.requeue_waiting(thread);
    }

    /// Changes a task's policy and gives all its threads the priority that follows.
    pub fn change_task_policy(&mut self, task: TaskId, change: impl FnOnce(&mut TaskPolicy)) {
        let policy = &mut self.tasks[task].policy;
        let before = policy.effective();
        change(policy);
        if policy.effective() == before {
            return;
        }
        let mut next = self.tasks[task].threads.front();
        while let Some(thread) = next {
            next = self.tasks[task].threads.after(&self.threads, thread);
            self.update_thread_policy(thread);
        }
    }
}

/// The status with which the machine stops.
fn shutdown_status(status: ExitStatus) -> u32 {
    match status.code() {
        Some(code) => u32::from(code),
        None => 128 + (status.0 >> 8),
    }
}
