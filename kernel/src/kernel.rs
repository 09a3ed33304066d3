//! All kernel state, and the only way in: [`Kernel::handle`].

use crate::bundle::Bundle;
use crate::ids::{TaskId, ThreadId};
use crate::ipc::Ipc;
use crate::limits::{Limits, REAP_SLICE};
use crate::machine::{AddressSpace, Cpu, Machine, NoMemory};
use crate::msg::transfer::TransferBuffer;
use crate::outcome::Outcome;
use crate::rate::Clock;
use crate::sched::thread::WaitEnd;
use crate::sched::{Expired, Scheduling};
use crate::shortcut::PlainCall;
use crate::step::Step;
use crate::task::Tasks;
use crate::trap_frame::TrapFrame;
use abi::task::{Exception, ExitStatus};
use abi::trap::mach::{MACH_MSG, SWTCH, SWTCH_PRI};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What happened on a processor. Unless it was idle the current thread's registers are in its frame.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The current thread made a trap.
    Trap,
    /// The time set by [`Machine::set_timer`] has come. Spurious ones are harmless.
    Timer,
    /// The current thread caused an exception in user mode: its task ends.
    Exception {
        /// Its kind.
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
    /// An unpredictable number. With 0 names are handed out in a fixed order, for tests.
    pub seed: u64,
    /// What makes times of the machine's stamps.
    pub clock: Clock,
    /// What tests may change.
    pub limits: Limits,
}

/// The kernel: everything there is, in one place, with one owner for each part. There is no other state.
///
/// What needs one part alone is a method of that part. The methods of `Kernel` are the transactions, which by nature touch
/// several: traps, messages on their way, calls of kernel objects, and the beginning and end of tasks.
#[derive(Debug)]
pub struct Kernel {
    /// What the current step leaves to do.
    pub step: Step,
    /// Threads, deadlines, processors.
    pub sched: Scheduling,
    /// Ports, names, messages at rest.
    pub ipc: Ipc,
    /// Tasks and their memory.
    pub tasks: Tasks,
    /// Where a message is while it is handed over directly.
    pub(crate) transfer: TransferBuffer,
    /// The task whose end stops the machine.
    pub(crate) first_task: Option<TaskId>,
    /// How it ended.
    pub(crate) exit_status: Option<ExitStatus>,
    pub(crate) bundle: Bundle,
    pub(crate) limits: Limits,
    /// The source of unpredictable numbers; nothing in tests, which want the same every time.
    random: Option<ChaCha8Rng>,
}

impl Kernel {
    /// Returns a kernel without tasks.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn new(config: Config) -> Result<Kernel, NoMemory> {
        let mut random = (config.seed != 0).then(|| ChaCha8Rng::seed_from_u64(config.seed));
        let mut step = Step::default();
        step.choose_again();
        let limits = config.limits;
        Ok(Kernel {
            ipc: Ipc::new(&mut step, limits)?,
            step,
            sched: Scheduling::new(config.clock, random.as_mut().map_or(0, ChaCha8Rng::next_u64)),
            tasks: Tasks::new(limits),
            transfer: TransferBuffer::default(),
            first_task: None,
            exit_status: None,
            bundle: Bundle::new(config.bundle),
            limits,
            random,
        })
    }

    /// Handles an event on a processor and says what the processor does next. This is one step: it happens as a whole,
    /// and between two steps all invariants hold (`inspect/invariants.rs`).
    ///
    /// The entry code of a machine goes the same ways with arguments in registers: by the trap's number it tries
    /// [`call_directly`](Kernel::call_directly), [`yield_directly`](Kernel::yield_directly) or
    /// [`quick_trap`](Kernel::quick_trap), then
    /// [`handle_off_fast_path`](Kernel::handle_off_fast_path).
    pub fn handle(&mut self, machine: &mut dyn Machine, cpu: Cpu, event: Event) -> Next {
        if let (Event::Trap, Some(thread)) = (event, self.sched.current(cpu)) {
            let frame = self.sched[thread].frame();
            let (number, arguments) = (frame.trap_number(), frame.arguments());
            let switch = match number {
                _ if !self.limits.shortcuts => None,
                MACH_MSG => self.call_directly(machine, cpu, &PlainCall::from_arguments(arguments)),
                SWTCH | SWTCH_PRI => self.yield_directly(machine, cpu),
                _ => {
                    if let Some(value) = self.quick_trap(machine, cpu, number) {
                        self.sched.finish(thread, Outcome::Value(value));
                        return Next::GoOn;
                    }
                    None
                }
            };
            if let Some(next) = switch {
                return Next::Run(next.thread);
            }
        }
        self.handle_off_fast_path(machine, cpu, event)
    }

    /// Handles an event on a processor for which there is no shorter way.
    #[inline(always)]
    pub fn handle_off_fast_path(&mut self, machine: &mut dyn Machine, cpu: Cpu, event: Event) -> Next {
        let entered = self.sched.current(cpu);
        match event {
            Event::Trap => self.trap(machine, entered.expect("only a running thread makes a trap")),
            Event::Timer => self.tick(machine, cpu),
            Event::Exception { kind, vector, address } => {
                let thread = entered.expect("only a running thread causes an exception");
                self.exception(machine, thread, kind, vector, address);
            }
        }
        self.leave(machine, cpu, entered)
    }

    /// Returns the registers and the address space of a thread that [`Next::Run`] named. The frame stays where it is for
    /// the life of the thread.
    #[inline]
    pub fn context(&mut self, thread: ThreadId) -> (&mut TrapFrame, AddressSpace) {
        let thread = &mut self.sched[thread];
        let address_space = thread.context().address_space;
        (thread.frame_mut(), address_space)
    }

    /// Returns a thread's registers, if the thread has not ended.
    pub fn frame_if_alive(&mut self, thread: ThreadId) -> Option<&mut TrapFrame> {
        Some(self.sched.get_mut(thread)?.frame_mut())
    }

    /// Returns the name and number of a thread's task and the thread's own number, for people.
    pub fn describe(&self, thread: ThreadId) -> Option<(&str, u32, u64)> {
        let thread = self.sched.get(thread)?;
        let task = self.tasks.get(thread.task())?;
        Some((task.name.as_str(), task.credentials.pid, thread.number()))
    }

    /// Returns an unpredictable number from which no other can be told; 0 in tests. Programs are told some of them.
    pub(crate) fn next_seed(&mut self) -> u64 {
        self.random.as_mut().map_or(0, ChaCha8Rng::next_u64)
    }

    fn exception(&mut self, machine: &mut dyn Machine, thread: ThreadId, kind: Exception, vector: u8, address: u64) {
        let rip = self.sched[thread].frame().rip;
        if let Some((name, pid, number)) = self.describe(thread) {
            let kind = kind.name();
            machine.log(format_args!(
                "task {pid} ({name}) ends: {kind} (vector {vector}) in thread {number} at {rip:#x}, address {address:#x}"
            ));
        }
        let task = self.sched[thread].task();
        self.end_task(task, ExitStatus::exception(kind, vector));
    }

    /// Lets time pass: deadlines that are due have their effects, a bounded number at a time.
    fn tick(&mut self, machine: &mut dyn Machine, cpu: Cpu) {
        let now = machine.now();
        for _ in 0..REAP_SLICE {
            match self.sched.expire(&mut self.step, now) {
                Some(Expired::Wait(thread)) => self.give_up_wait(machine, thread, WaitEnd::TimedOut),
                Some(Expired::Depression) => {}
                None => break,
            }
        }
        self.sched.tick(&mut self.step, cpu, now);
    }

    /// Ends a step. If the step leaves nothing to do, the thread that has the processor simply goes on: the fast exit.
    #[inline(always)]
    pub(crate) fn leave(&mut self, machine: &mut dyn Machine, cpu: Cpu, entered: Option<ThreadId>) -> Next {
        match self.sched.current(cpu) {
            current if self.step.is_quiet() && current == entered && entered.is_some() => Next::GoOn,
            Some(thread) if self.step.is_quiet() => Next::Run(thread),
            _ => self.full_exit(machine, cpu, entered),
        }
    }

    /// Settles what the step leaves, chooses who runs, and finishes what the chosen thread still has to do in the kernel;
    /// then again, until a thread can run in user mode or there is nothing to do.
    #[inline(never)]
    fn full_exit(&mut self, machine: &mut dyn Machine, cpu: Cpu, mut entered: Option<ThreadId>) -> Next {
        loop {
            self.settle(machine, entered);
            if let Some(status) = self.exit_status {
                return Next::Shutdown(shutdown_status(status));
            }
            let chosen = self.sched.choose(&mut self.step, cpu, machine.now());
            self.step.settled();
            let continuation = chosen.and_then(|thread| self.sched.take_continuation(thread));
            match (chosen, continuation) {
                (Some(thread), None) => {
                    self.arm_timer(machine, cpu);
                    return Next::Run(thread);
                }
                (Some(thread), Some(continuation)) => {
                    let context = self.sched[thread].context();
                    let outcome = self.go_on(machine, context, continuation);
                    self.sched.finish(thread, outcome);
                }
                (None, _) if !self.step.has_background_work() => {
                    self.arm_timer(machine, cpu);
                    return Next::Idle;
                }
                (None, _) => {}
            }
            // Between slices of long work others get their turn.
            entered = chosen;
            if self.sched.earliest_deadline() <= machine.now() || chosen.is_some() {
                self.tick(machine, cpu);
            }
        }
    }

    /// Settles what a step leaves: the thread that entered may have ended or been suspended, policies may have changed, and
    /// there may be work. What one slice does not get done waits with the thread.
    #[inline]
    fn settle(&mut self, machine: &mut dyn Machine, entered: Option<ThreadId>) {
        if let Some(thread) = entered
            && let Some(state) = self.sched.get(thread)
        {
            if state.is_ending() {
                self.end_thread(thread);
            } else {
                self.sched.stop_if_suspended(&mut self.step, thread);
            }
        }
        if self.step.has_work() {
            self.work_slice(machine);
            let rest = self.step.take_work();
            self.sched.keep_work(&mut self.step, entered, rest);
        }
        if self.step.has_background_work() {
            self.background_slice(machine);
        }
        self.apply_policy_changes();
    }

    #[inline]
    fn arm_timer(&mut self, machine: &mut dyn Machine, cpu: Cpu) {
        if let Some(deadline) = self.sched.timer_to_set(cpu) {
            machine.set_timer(cpu, deadline);
        }
    }
}

/// Returns the status with which the machine stops.
fn shutdown_status(status: ExitStatus) -> u32 {
    match status.code() {
        Some(code) => u32::from(code),
        None => 128 + (status.0 >> 8),
    }
}
