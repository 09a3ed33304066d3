//! The kernel: all its state, and its entry point [`Kernel::handle`].

use crate::bundle::Bundle;
use crate::effort::Effort;
use crate::ids::{TaskId, ThreadId};
use crate::ipc::Ipc;
use crate::limits::{EXPIRED_PER_TICK, Limits};
use crate::longest::Cause;
use crate::machine::{AddressSpace, Cpu, Machine, Nanos, NoMemory};
use crate::msg::transfer::TransferBuffer;
use crate::outcome::Outcome;
use crate::policy::BASEPRI_DEFAULT;
use crate::rate::Clock;
use crate::sched::thread::WaitEnd;
use crate::sched::{Expired, Scheduling};
use crate::shortcut::PlainCall;
use crate::step::Step;
use crate::task::Tasks;
use crate::trap_frame::TrapFrame;
use crate::vouchers::Vouchers;
use abi::task::{Exception, ExitStatus};
use abi::trap::mach::{MACH_MSG, MACH_PORT_DEALLOCATE, SWTCH, SWTCH_PRI};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use store::Compaction;

/// An event on a processor. Unless the processor was idle, the current thread's registers are in its trap frame.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The current thread made a trap.
    Trap,
    /// The deadline set by [`Machine::set_timer`] has passed, there is input, or room for output. A spurious event does no
    /// harm.
    Timer,
    /// The current thread caused an exception in user mode. Its task ends.
    Exception {
        /// The kind of exception.
        kind: Exception,
        /// The processor's vector.
        vector: u8,
        /// The address that caused it, or 0.
        address: u64,
    },
}

/// The next action of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Go on with the thread that entered, with the same trap frame and address space.
    GoOn,
    /// Run this thread: see [`Kernel::context`].
    Run(ThreadId),
    /// Wait for an interrupt.
    Idle,
    /// Stop the machine with this status. It is the value that the first task gave to `exit`, or 128 plus the reason of
    /// its end.
    Shutdown(u32),
}

/// The parameters of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The archive with the programs, `init` among them.
    pub bundle: &'static [u8],
    /// An unpredictable number. With 0, which tests use, nothing in the kernel is random.
    pub seed: u64,
    /// The clock that converts the machine's stamps into times.
    pub clock: Clock,
    /// The limits.
    pub limits: Limits,
}

/// The kernel: all its state, in five parts with an owner each.
///
/// An operation on one part is a method of its owner. The methods of `Kernel` are the transactions, which concern
/// several parts: traps, sending and receiving, calls of kernel objects, and the beginning and end of tasks.
#[derive(Debug)]
pub struct Kernel {
    /// The work that the current step leaves to do.
    pub step: Step,
    /// Threads, deadlines, processors.
    pub sched: Scheduling,
    /// Ports, rights, names and queued messages.
    pub ipc: Ipc,
    /// Tasks and their memory.
    pub tasks: Tasks,
    /// Vouchers and their managers.
    pub vouchers: Vouchers,
    /// The round of moving objects to lower memory.
    pub(crate) compaction: Compaction,
    /// The buffer for a message on the fast path.
    pub(crate) transfer: TransferBuffer,
    /// The task whose end stops the machine.
    pub(crate) first_task: Option<TaskId>,
    /// The status with which that task ended, once it has.
    pub(crate) exit_status: Option<ExitStatus>,
    pub(crate) bundle: Bundle,
    pub(crate) limits: Limits,
    /// The source of unpredictable numbers; none in tests.
    random: Option<ChaCha8Rng>,
}

impl Kernel {
    /// Returns a kernel without tasks.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out.
    pub fn new(config: Config) -> Result<Kernel, NoMemory> {
        let mut random = (config.seed != 0).then(|| ChaCha8Rng::seed_from_u64(config.seed));
        let mut step = Step::default();
        step.choose_again();
        let limits = config.limits;
        Ok(Kernel {
            ipc: Ipc::new(&mut step, limits, random.as_mut().map_or(0, ChaCha8Rng::next_u64))?,
            step,
            sched: Scheduling::new(config.clock, random.as_mut().map_or(0, ChaCha8Rng::next_u64)),
            tasks: Tasks::new(limits),
            vouchers: Vouchers::new(random.as_mut().map_or(0, ChaCha8Rng::next_u64))?,
            compaction: Compaction::default(),
            transfer: TransferBuffer::default(),
            first_task: None,
            exit_status: None,
            bundle: Bundle::new(config.bundle),
            limits,
            random,
        })
    }

    /// Handles an event on a processor and returns the processor's next action. This is one step: it is atomic, and
    /// between two steps all invariants hold (`inspect/invariants.rs`).
    ///
    /// The entry code of a machine takes the same ways with arguments in registers: by the trap's number it tries
    /// [`call_directly`](Kernel::call_directly), [`yield_directly`](Kernel::yield_directly),
    /// [`quick_trap`](Kernel::quick_trap) or [`drop_spare_reference`](Kernel::drop_spare_reference), then
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
                    let spare = number == MACH_PORT_DEALLOCATE;
                    let value =
                        if spare { self.drop_spare_reference(cpu) } else { self.quick_trap(machine, cpu, number) };
                    if let Some(value) = value {
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

    /// Handles an event that is neither a trivial trap nor a plain call.
    #[inline(always)]
    pub fn handle_off_fast_path(&mut self, machine: &mut dyn Machine, cpu: Cpu, event: Event) -> Next {
        let entered = self.sched.current(cpu);
        if !self.step.is_quiet() {
            self.begin_step(machine, cpu, event);
        }
        if self.ipc.needs_time() {
            self.ipc.set_time(machine.now());
        }
        match event {
            Event::Trap => self.trap(machine, entered.expect("a running thread made the trap")),
            Event::Timer => {
                self.tick(machine, cpu);
                self.tidy();
            }
            Event::Exception { kind, vector, address } => {
                let thread = entered.expect("a running thread caused the exception");
                self.exception(machine, thread, kind, vector, address);
            }
        }
        self.leave(machine, cpu, entered)
    }

    /// Begins a step to which the last one has left something: to charge an account, to record what happens, or to measure
    /// the step.
    #[cold]
    fn begin_step(&mut self, machine: &mut dyn Machine, cpu: Cpu, event: Event) {
        if self.step.longest.is_on() {
            let entered = self.sched.current(cpu).map(|thread| self.sched[thread].frame());
            let cause = match (event, entered) {
                (Event::Trap, Some(frame)) => Cause::Trap(frame.trap_number()),
                (Event::Exception { .. }, _) => Cause::Exception,
                _ => Cause::Timer,
            };
            self.step.longest.begin(machine.stamp(), cause);
        }
        self.bill_switched();
        if self.step.trace.is_on() {
            let entered = self.sched.current(cpu).map(|thread| &self.sched[thread]);
            let trap = entered.filter(|_| matches!(event, Event::Trap)).map(|thread| thread.frame().trap_number());
            self.step.trace.begin_step(machine.now(), cpu, entered.map_or(0, |thread| thread.number()), trap);
        }
    }

    /// Returns the trap frame and the address space of a thread that [`Next::Run`] names. The frame's address does not
    /// change during the life of the thread.
    #[inline]
    pub fn context(&mut self, thread: ThreadId) -> (&mut TrapFrame, AddressSpace) {
        let thread = &mut self.sched[thread];
        let address_space = thread.context().address_space;
        (thread.frame_mut(), address_space)
    }

    /// Returns a thread's trap frame, if the thread has not ended.
    pub fn frame_if_alive(&mut self, thread: ThreadId) -> Option<&mut TrapFrame> {
        Some(self.sched.get_mut(thread)?.frame_mut())
    }

    /// Returns the name and pid of a thread's task and the thread's number, for messages to people.
    pub fn describe(&self, thread: ThreadId) -> Option<(&str, u32, u64)> {
        let thread = self.sched.get(thread)?;
        let task = self.tasks.get(thread.task())?;
        Some((task.name.as_str(), task.credentials.pid, thread.number()))
    }

    /// Returns an unpredictable number, or 0 in tests. Some of these numbers are given to programs; the others cannot
    /// be computed from them.
    pub(crate) fn next_seed(&mut self) -> u64 {
        self.random.as_mut().map_or(0, ChaCha8Rng::next_u64)
    }

    /// Ends the task of a thread that caused an exception.
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

    /// Lets time pass: does what is due, and charges the current thread's quantum. If that is much, the console waits for
    /// the next tick, which comes at once.
    fn tick(&mut self, machine: &mut dyn Machine, cpu: Cpu) {
        let now = machine.now();
        self.ipc.set_time(now);
        if self.sched.drop_is_first(now) {
            self.ipc.fire_delayed_drop();
            // The thread that is interrupted has nothing to do with it.
            self.apply_boosts(BASEPRI_DEFAULT);
        } else {
            self.end_waits(now);
        }
        if self.step.effort.is_much() {
            self.sched.set_console_deadline(Some(now));
        } else {
            self.serve_console(machine);
        }
        let running = self.sched.current(cpu);
        self.sched.tick(&mut self.step, cpu, machine.stamp());
        self.bill_if_open(running);
    }

    /// Ends waits and depressions whose deadlines have passed, a bounded number at a time.
    fn end_waits(&mut self, now: Nanos) {
        for _ in 0..EXPIRED_PER_TICK {
            match self.sched.expire(&mut self.step, now) {
                Some(Expired::Wait(thread)) => self.give_up_wait(thread, WaitEnd::TimedOut),
                Some(Expired::Depression) => {}
                None => break,
            }
            self.step.effort.add_ended_wait();
        }
    }

    /// Gives input and room for output to those who wait for it.
    fn serve_console(&mut self, machine: &mut dyn Machine) {
        self.sched.set_console_deadline(None);
        if self.sched.reader().is_some() {
            self.give_input(machine);
        }
        if self.sched.writer().is_some() {
            self.take_output(machine);
        }
    }

    /// Gives memory back that is not needed any more, unless this part of the step has done much already.
    fn tidy(&mut self) {
        if !self.step.effort.is_much() {
            self.trim();
            self.compact();
        }
    }

    /// Ends a step: on the fast exit if it leaves no work, where the thread that has the processor goes on, or else on
    /// the full exit.
    #[inline(always)]
    pub(crate) fn leave(&mut self, machine: &mut dyn Machine, cpu: Cpu, entered: Option<ThreadId>) -> Next {
        let is_quiet = self.step.is_quiet() && !self.ipc.importance().has_news();
        match self.sched.current(cpu) {
            current if is_quiet && current == entered && entered.is_some() => Next::GoOn,
            Some(thread) if is_quiet => Next::Run(thread),
            _ => {
                let next = self.full_exit(machine, cpu, entered);
                if self.step.trace.streams() {
                    self.stream_events(machine);
                }
                self.end_part(machine);
                next
            }
        }
    }

    /// Settles the step, chooses a thread or the background work, and goes on with the thread's continuation if it has one,
    /// or with the work. Repeats this until the chosen thread has no continuation, or no thread is ready and no work is
    /// left. Between two parts of the step the timer is looked at. A part does one long thing: what it took to get to the
    /// first choice is not known, so a continuation has to wait for the second.
    #[inline(never)]
    fn full_exit(&mut self, machine: &mut dyn Machine, cpu: Cpu, mut entered: Option<ThreadId>) -> Next {
        let mut is_first = true;
        let next = loop {
            self.settle(machine, cpu, entered);
            if let Some(status) = self.exit_status {
                return Next::Shutdown(shutdown_status(status));
            }
            let now = machine.stamp();
            self.charge_left(cpu, entered, now);
            if self.sched.choose_background(&mut self.step, cpu, now) {
                self.bill_if_open(entered);
                self.step.settled();
                self.end_part(machine);
                (entered, is_first) = (None, false);
                // What is due is more urgent, and what was settled may have taken long.
                if self.sched.earliest_deadline() > machine.now() {
                    self.background_turn(machine, cpu);
                }
                if self.sched.earliest_deadline() <= machine.now() {
                    self.tick(machine, cpu);
                }
                continue;
            }
            let chosen = self.sched.choose(&mut self.step, cpu, now);
            if chosen != entered {
                self.bill_if_open(entered);
            }
            self.step.settled();
            let continues = chosen.is_some_and(|thread| self.sched.has_continuation(thread));
            match chosen {
                // A thread that has done its work is raised no longer, so that the choice may come out differently.
                Some(thread)
                    if !continues && self.sched.has_raised() && self.sched.drop_floor(&mut self.step, thread) => {}
                Some(thread) if !continues && !self.ipc.is_sparse() => break Next::Run(thread),
                // The rest is long.
                _ if is_first || self.step.effort.is_much() => {}
                Some(thread) if continues => self.go_on(machine, thread),
                None if !self.trim() && !self.compact() => break Next::Idle,
                None => {}
                Some(_) => {
                    self.compact();
                }
            }
            // Other threads get their turn between slices of long work.
            self.end_part(machine);
            (entered, is_first) = (chosen, false);
            if self.sched.earliest_deadline() <= machine.now() || chosen.is_some() {
                self.tick(machine, cpu);
            }
        };
        self.arm_timer(machine, cpu);
        next
    }

    /// Ends a part of the step.
    #[inline]
    fn end_part(&mut self, machine: &mut dyn Machine) {
        self.step.effort = Effort::default();
        if self.step.longest.is_on() {
            self.step.longest.end_part(machine.stamp());
        }
    }

    /// Settles a step: ends or stops the thread that entered if it was terminated or suspended, does a slice of the
    /// work, and applies policy changes. The rest of the work is kept with the thread that entered.
    #[inline(always)]
    fn settle(&mut self, machine: &mut dyn Machine, cpu: Cpu, entered: Option<ThreadId>) {
        if let Some(thread) = entered
            && let Some(state) = self.sched.get(thread)
        {
            if state.is_ending() {
                self.step.urge(state.schedule().base);
                self.charge(machine, cpu, entered);
                self.end_thread(thread);
            } else {
                self.sched.stop_if_suspended(&mut self.step, thread);
            }
        }
        if self.step.has_work() {
            self.work_slice(machine);
            if self.step.has_work() || self.sched.has_raised() {
                let rest = self.step.take_work();
                let urgency = self.step.urgency();
                self.sched.keep_work(&mut self.step, entered, rest, urgency);
            }
        }
        self.step.forget_urgency();
        self.hear_importance(entered);
        if self.step.has_policy_changes() {
            // The time until now has the price of the old policy.
            self.charge(machine, cpu, entered);
            self.apply_policy_changes();
            if self.step.has_late_policy_changes() {
                self.raise_background_to(entered);
            }
        }
        if self.step.trace.is_on() {
            self.record_boosts();
        }
    }

    /// Does a slice of the background work in the time of `cpu`, and settles what follows from it: a part of a step.
    #[inline(never)]
    pub fn background_turn(&mut self, machine: &mut dyn Machine, cpu: Cpu) {
        self.background_slice(machine);
        self.settle(machine, cpu, None);
        self.sched.background_ran(&mut self.step, cpu, machine.stamp());
        self.end_part(machine);
    }

    /// Sets the timer of `cpu`, unless it is set early enough.
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
