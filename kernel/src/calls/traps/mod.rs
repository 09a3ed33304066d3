//! The trap table: the number, the arguments and the handler of each trap.
//!
//! The table decodes arguments in registers, and the handlers those in user memory. A handler then checks everything
//! that it may refuse, and acts (ARCHITECTURE.md, "Check, then commit"). The handlers are in the other files of this
//! folder, one for each group.

mod bsdthread;
mod mach_msg;
mod policy;
mod ports;
mod scheduling;
mod tally;
mod unix;
mod usage;
mod vm;
mod vouchers;

use crate::ids::{Context, KernelObject, ThreadId};
use crate::ipc::entry::EntryRight;
use crate::kernel::Kernel;
use crate::machine::{Cpu, Machine, UserAddr};
use crate::outcome::Outcome;
use abi::code::*;
use abi::port::MACH_PORT_NULL;
use abi::task::ExitStatus;
use abi::trap as number;
use abi::trap::mach::MissingAnswer;
use abi::usage::PROC_INFO_CALL_PIDRUSAGE;
use abi::{KernReturn, PortName};

/// Returns the name in the lower half of an argument.
fn name(argument: u64) -> PortName {
    PortName(argument as u32)
}

impl Kernel {
    /// Handles the trap of a running thread: number and arguments are in its trap frame, and the outcome is written
    /// there.
    #[inline(always)]
    pub(crate) fn trap(&mut self, machine: &mut dyn Machine, thread: ThreadId) {
        let running = &self.sched[thread];
        let (caller, trap, arguments) = (running.context(), running.frame().trap_number(), running.frame().arguments());
        let outcome = self.dispatch_trap(machine, caller, trap, arguments);
        if outcome != Outcome::Pending {
            self.sched.finish(thread, outcome);
            if self.step.trace.is_on() {
                self.step.trace.trap_left(self.sched[thread].frame().rax);
            }
        }
    }

    /// Makes a trap that leaves nothing to do, if this is one, and returns its result: what `trap` and the end of the step
    /// come to. Otherwise returns `None`; nothing has changed then.
    #[inline(always)]
    pub fn quick_trap(&mut self, machine: &mut dyn Machine, cpu: Cpu, trap: u32) -> Option<u64> {
        if !self.step.is_quiet() {
            return None;
        }
        match trap {
            number::tally::CPU_COUNT => Some(u64::from(machine.cpu_count())),
            number::tally::TIME => Some(machine.now()),
            number::mach::THREAD_SELF => self.known_thread_self(cpu),
            _ => None,
        }
    }

    /// Calls the handler of a trap and returns the outcome. The traps that programs make most come first.
    #[inline(always)]
    fn dispatch_trap(&mut self, machine: &mut dyn Machine, caller: Context, trap: u32, arguments: [u64; 6]) -> Outcome {
        if let number::mach::MACH_MSG | number::mach::MACH_MSG_OVERWRITE = trap {
            return self.mach_msg_trap(machine, caller, arguments, trap == number::mach::MACH_MSG_OVERWRITE);
        }
        match trap & number::CLASS_MASK {
            number::CLASS_MACH => self.mach_trap(machine, caller, trap, arguments),
            number::CLASS_UNIX => self.unix_trap(machine, caller, trap, arguments),
            number::CLASS_MACHINE => self.machine_trap(machine, caller, trap, arguments),
            number::CLASS_TALLY => self.tally_trap(machine, caller, trap, arguments),
            _ => self.unknown_trap(machine, caller, trap),
        }
    }

    /// Handles the traps of class 1: own ports, memory, scheduling and vouchers. Those of `mach_port` follow in
    /// [`mach_port_trap`](Kernel::mach_port_trap).
    #[inline]
    fn mach_trap(&mut self, machine: &mut dyn Machine, caller: Context, trap: u32, arguments: [u64; 6]) -> Outcome {
        let [a, b, c, d, e, _] = arguments;
        match trap {
            number::mach::MACH_REPLY_PORT => self.mach_reply_port(caller).into(),
            number::mach::THREAD_SELF => self.thread_self(caller).into(),
            number::mach::TASK_SELF => self.task_self(caller).into(),
            number::mach::HOST_SELF => self.host_self(caller).into(),
            number::mach::THREAD_GET_SPECIAL_REPLY_PORT => self.thread_special_reply_port(caller).into(),

            number::mach::TASK_FOR_PID => self.task_for_pid(machine, caller, name(a), b as u32, UserAddr(c)).into(),

            number::mach::MACH_VM_ALLOCATE => self.vm_allocate_trap(machine, caller, name(a), UserAddr(b), c, d as u32),
            number::mach::MACH_VM_DEALLOCATE => self.vm_deallocate_trap(machine, caller, name(a), UserAddr(b), c),
            number::mach::MACH_VM_PROTECT => {
                self.vm_protect_trap(machine, caller, name(a), UserAddr(b), c, d as u32, e as u32)
            }

            number::mach::SWTCH_PRI | number::mach::SWTCH => self.swtch(machine, caller),
            number::mach::THREAD_SWITCH => self.thread_switch(machine, caller, b as u32, c as u32),
            number::mach::MACH_TIMEBASE_INFO => self.timebase_info(machine, caller, UserAddr(a)).into(),
            number::mach::MACH_WAIT_UNTIL => self.wait_until(machine, caller, a),

            number::mach::MACH_GENERATE_ACTIVITY_ID
            | number::mach::HOST_CREATE_MACH_VOUCHER
            | number::mach::MACH_VOUCHER_EXTRACT_ATTR_RECIPE => {
                self.voucher_trap(machine, caller, trap, arguments).into()
            }

            other => self.mach_port_trap(machine, caller, other, arguments),
        }
    }

    /// Handles the traps of class 1 that XNU has and Tally does not have.
    #[cold]
    fn missing_trap(&mut self, machine: &mut dyn Machine, caller: Context, trap: u32) -> Outcome {
        match number::mach::MISSING.iter().find(|missing| missing.number == trap).map(|missing| missing.answer) {
            Some(MissingAnswer::NotSupported) => Outcome::Code(KERN_NOT_SUPPORTED),
            Some(MissingAnswer::CallByMessage) => Outcome::Code(MACH_SEND_INVALID_DEST),
            Some(MissingAnswer::NullName) => MACH_PORT_NULL.into(),
            None => self.unknown_trap(machine, caller, trap),
        }
    }

    /// Handles the traps of class 2. An unknown number is an error, and does not end the task (errata 6).
    #[inline]
    fn unix_trap(&mut self, machine: &mut dyn Machine, caller: Context, trap: u32, arguments: [u64; 6]) -> Outcome {
        let [a, b, c, d, e, f] = arguments;
        match trap {
            number::unix::EXIT => self.exit(caller, a as u8),
            number::unix::READ => self.read(machine, caller, a as u32, UserAddr(b), c),
            number::unix::WRITE => self.write(machine, caller, a as u32, UserAddr(b), c),
            number::unix::GETPID => Outcome::Unix(Ok(u64::from(self.tasks[caller.task].credentials.pid))),
            number::unix::THREAD_SELFID => Outcome::Unix(Ok(self.sched[caller.thread].number())),
            number::unix::ULOCK_WAIT => self.ulock_wait(machine, caller, a as u32, UserAddr(b), c as u32, d as u32),
            number::unix::ULOCK_WAKE => self.ulock_wake(caller, a as u32, UserAddr(b)).into(),
            number::unix::BSDTHREAD_CTL => self.bsdthread_ctl(machine, caller, a as u32, [b, c, d]).into(),
            number::unix::SETPRIORITY => self.setpriority(caller, a as u32, b as u32, c as u32).into(),
            number::unix::PROCESS_POLICY => {
                self.process_policy(caller, [a, b, c, d].map(|argument| argument as u32), f as u32).into()
            }
            number::unix::PROC_INFO => {
                let numbers = [a, b, c].map(|argument| argument as u32);
                match numbers {
                    [PROC_INFO_CALL_PIDRUSAGE, pid, flavor] => {
                        self.proc_pid_rusage(machine, caller, pid, flavor, UserAddr(e)).into()
                    }
                    numbers => self.proc_info(machine, caller, numbers, UserAddr(e), f as u32).into(),
                }
            }
            number::unix::PERSONA => self.persona(machine, caller, a as u32, UserAddr(d)).into(),
            _ => Outcome::Unix(Err(ENOSYS)),
        }
    }

    /// Handles the traps of class 3.
    #[inline]
    fn machine_trap(&mut self, machine: &mut dyn Machine, caller: Context, trap: u32, arguments: [u64; 6]) -> Outcome {
        match trap {
            number::machine::SET_THREAD_BASE => self.set_thread_base(caller, UserAddr(arguments[0])).into(),
            _ => self.unknown_trap(machine, caller, trap),
        }
    }

    /// Handles the traps of class 5.
    #[inline]
    fn tally_trap(&mut self, machine: &mut dyn Machine, caller: Context, trap: u32, arguments: [u64; 6]) -> Outcome {
        let [a, b, c, d, e, f] = arguments;
        match trap {
            number::tally::TASK_SPAWN => self.task_spawn_trap(machine, caller, UserAddr(a), b, UserAddr(c)),
            number::tally::THREAD_CREATE => {
                let start = tally::ThreadStart { entry: UserAddr(b), stack: UserAddr(c), argument: d };
                self.thread_create_trap(machine, caller, name(a), start, e as u32, UserAddr(f)).into()
            }
            number::tally::THREAD_EXIT => self.thread_exit(caller),
            number::tally::THREAD_SET_QOS => self.thread_set_qos(caller, name(a), b as u32).into(),
            number::tally::PORT_BIND_SERVICER => self.port_bind_servicer(caller, name(a), name(b)).into(),
            number::tally::TIME => Outcome::Value(machine.now()),
            number::tally::CPU_COUNT => Outcome::Value(u64::from(machine.cpu_count())),
            number::tally::DEBUG_STATE => self.debug_state(machine, caller, a as u32, name(b), UserAddr(c), d).into(),
            number::tally::INSPECT => self.inspect_trap(machine, caller, arguments).into(),
            number::tally::TRACE_CONTROL => self.trace_control(machine, caller, a as u32, b as u32, UserAddr(c), d),
            number::tally::TRACE_NOTE => Outcome::Value(self.trace_note(caller, [a, b, c, d], name(e)).into()),
            _ => self.unknown_trap(machine, caller, trap),
        }
    }

    /// Handles an unknown trap: ends the task, because there are no exception ports to which the exception could go
    /// (mach-ipc 7.1, errata 6).
    #[cold]
    fn unknown_trap(&mut self, machine: &mut dyn Machine, caller: Context, trap: u32) -> Outcome {
        let rip = self.sched[caller.thread].frame().rip;
        if let Some((name, pid, thread)) = self.describe(caller.thread) {
            machine.log(format_args!(
                "task {pid} ({name}) ends: there is no trap {trap:#x} (thread {thread} at {rip:#x})"
            ));
        }
        self.end_task(caller.task, ExitStatus::BAD_TRAP);
        Outcome::Pending
    }

    /// Checks that the target of a trap is the caller's own task. Calls on other tasks are made by message (mach-ipc
    /// 2.0).
    ///
    /// # Errors
    /// `MACH_SEND_INVALID_DEST`.
    fn require_self(&self, caller: Context, target: PortName) -> Result<(), KernReturn> {
        match self.object_named(caller, target) {
            Some(KernelObject::Task(task)) if task == caller.task => Ok(()),
            _ => Err(MACH_SEND_INVALID_DEST),
        }
    }

    /// Returns the kernel object to whose port a name of the caller is a send right.
    fn object_named(&self, caller: Context, name: PortName) -> Option<KernelObject> {
        match self.ipc.space(caller.space).get(name)?.right {
            EntryRight::Send { port, .. } => self.ipc.object_behind(port),
            _ => None,
        }
    }

    /// Returns the live thread of the caller's task to whose port a name of the caller is a send right.
    fn sibling_named(&self, caller: Context, name: PortName) -> Option<ThreadId> {
        match self.object_named(caller, name)? {
            KernelObject::Thread(thread) if self.sched.get(thread)?.task() == caller.task => Some(thread),
            _ => None,
        }
    }

    /// Reads an argument from the caller's stack. The first one there is number 7, behind the return address of the
    /// trap stub.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the stack cannot be read there.
    fn stack_argument(&self, machine: &mut dyn Machine, caller: Context, number: u64) -> Result<u64, KernReturn> {
        let stack = UserAddr(self.sched[caller.thread].frame().rsp);
        machine.read_u64(caller.address_space, stack.plus(8 * (number - 6))).map_err(|_| KERN_INVALID_ARGUMENT)
    }
}
