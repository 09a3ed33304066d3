//! The trap table: number, arguments, handler.
//!
//! A handler decodes nothing but what needs user memory, checks, then acts (ARCHITECTURE.md, "Check, then commit"). The
//! files beside this one hold the handlers, one file per group.

mod mach_msg;
mod ports;
mod scheduling;
mod tally;
mod unix;
mod vm;

use crate::kernel::Kernel;
use crate::machine::{AddressSpace, Fault, Machine, UserAddr};
use crate::task::TaskId;
use crate::thread::ThreadId;
use abi::code::*;
use abi::task::ExitStatus;
use abi::trap as number;
use abi::{KernReturn, PortName};

/// Who makes a trap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// The thread, which is running.
    pub thread: ThreadId,
    /// Its task.
    pub task: TaskId,
    /// The task's memory.
    pub address_space: AddressSpace,
    /// The thread's stack pointer: further arguments are on its stack.
    pub stack: UserAddr,
}

/// What a trap comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// A code, for Mach traps.
    Code(KernReturn),
    /// A name or another value that is no code.
    Value(u64),
    /// A value, for Unix traps.
    Unix(u64),
    /// An error number, for Unix traps.
    UnixError(Errno),
    /// Nothing yet: the thread waits, or has something left to do in the kernel, or has ended. Whoever finishes that
    /// writes the result.
    Pending,
}

impl From<Result<(), KernReturn>> for Outcome {
    fn from(result: Result<(), KernReturn>) -> Outcome {
        Outcome::Code(result.err().unwrap_or(KERN_SUCCESS))
    }
}

impl From<PortName> for Outcome {
    fn from(name: PortName) -> Outcome {
        Outcome::Value(u64::from(name.0))
    }
}

impl From<Result<u64, Errno>> for Outcome {
    fn from(result: Result<u64, Errno>) -> Outcome {
        match result {
            Ok(value) => Outcome::Unix(value),
            Err(errno) => Outcome::UnixError(errno),
        }
    }
}

/// An argument or result in user memory was not accessible (mach-ipc 2.0).
pub(crate) fn memory_error(_: Fault) -> KernReturn {
    KERN_MEMORY_ERROR
}

impl Kernel {
    /// Makes the trap whose number and arguments are in the running thread's frame, and writes its result there.
    #[inline]
    pub(crate) fn trap(&mut self, m: &mut dyn Machine, thread: ThreadId) {
        let maker = &self.threads[thread];
        let (trap, arguments) = (maker.frame.trap_number(), maker.frame.arguments());
        let stack = UserAddr(maker.frame.rsp);
        let by = Caller { thread, task: maker.task, address_space: maker.address_space, stack };
        let outcome = self.dispatch_trap(m, by, trap, arguments);
        match outcome {
            Outcome::Code(code) => self.threads[thread].frame.set_code(code),
            Outcome::Value(value) => self.threads[thread].frame.set_value(value),
            Outcome::Unix(value) => self.threads[thread].frame.set_unix(Ok(value)),
            Outcome::UnixError(errno) => self.threads[thread].frame.set_unix(Err(errno)),
            Outcome::Pending => {}
        }
    }

    /// Makes a trap that takes no arguments and changes nothing, and returns its value; `None` if the number is that of
    /// another trap, or the step has something else to do than to go back.
    #[inline(always)]
    pub fn trivial_trap(&self, m: &mut dyn Machine, trap: u32) -> Option<u64> {
        match trap {
            _ if !self.sched.is_settled() => None,
            number::tally::CPU_COUNT => Some(u64::from(m.cpu_count())),
            number::tally::TIME => Some(m.now()),
            _ => None,
        }
    }

    #[inline]
    fn dispatch_trap(&mut self, m: &mut dyn Machine, by: Caller, trap: u32, arguments: [u64; 6]) -> Outcome {
        let [a, b, c, d, e, f] = arguments;
        let name = |argument: u64| PortName(argument as u32);
        match trap {
            number::mach::MACH_MSG | number::mach::MACH_MSG_OVERWRITE => {
                self.mach_msg_trap(m, by, arguments, trap == number::mach::MACH_MSG_OVERWRITE)
            }
            number::mach::MACH_REPLY_PORT => self.mach_reply_port(by).into(),
            number::mach::THREAD_SELF => self.thread_self(m, by).into(),
            number::mach::TASK_SELF => self.task_self(m, by).into(),
            number::mach::HOST_SELF => self.host_self(m, by).into(),

            number::mach::MACH_PORT_ALLOCATE => self.allocate_trap(m, by, name(a), b as u32, UserAddr(c)).into(),
            number::mach::MACH_PORT_DEALLOCATE => self.deallocate_trap(m, by, name(a), name(b)).into(),
            number::mach::MACH_PORT_MOD_REFS => self.mod_refs_trap(m, by, name(a), name(b), c as u32, d as i32).into(),
            number::mach::MACH_PORT_MOVE_MEMBER => self.move_member_trap(m, by, name(a), name(b), name(c)).into(),
            number::mach::MACH_PORT_INSERT_RIGHT => {
                self.insert_right_trap(m, by, name(a), name(b), name(c), d as u32).into()
            }
            number::mach::MACH_PORT_INSERT_MEMBER => self.insert_member_trap(m, by, name(a), name(b), name(c)).into(),
            number::mach::MACH_PORT_EXTRACT_MEMBER => self.extract_member_trap(by, name(a), name(b), name(c)).into(),
            number::mach::MACH_PORT_CONSTRUCT => {
                self.construct_trap(m, by, name(a), UserAddr(b), c, UserAddr(d)).into()
            }
            number::mach::MACH_PORT_DESTRUCT => self.destruct_trap(m, by, name(a), name(b), c as i32, d).into(),
            number::mach::MACH_PORT_GET_ATTRIBUTES => {
                self.get_attributes_trap(m, by, name(a), name(b), c as u32, UserAddr(d), UserAddr(e)).into()
            }
            number::mach::MACH_PORT_GUARD => self.guard_trap(by, name(a), name(b), c, d as u32).into(),
            number::mach::MACH_PORT_UNGUARD => self.unguard_trap(by, name(a), name(b), c).into(),
            number::mach::MACH_PORT_TYPE => self.type_trap(m, by, name(a), name(b), UserAddr(c)).into(),
            number::mach::MACH_PORT_REQUEST_NOTIFICATION => {
                let request = ports::NotificationRequest { name: name(b), message_id: c as i32, sync: d as u32 };
                self.request_notification_trap(m, by, name(a), request, name(e), f as u32).into()
            }

            number::mach::MACH_VM_ALLOCATE => self.vm_allocate_trap(m, by, name(a), UserAddr(b), c, d as u32).into(),
            number::mach::MACH_VM_DEALLOCATE => self.vm_deallocate_trap(m, by, name(a), UserAddr(b), c).into(),
            number::mach::MACH_VM_PROTECT => {
                self.vm_protect_trap(m, by, name(a), UserAddr(b), c, d as u32, e as u32).into()
            }

            number::mach::SWTCH_PRI | number::mach::SWTCH => self.swtch(m, by),
            number::mach::THREAD_SWITCH => self.thread_switch(m, by, b as u32, c as u32),
            number::mach::MACH_TIMEBASE_INFO => self.timebase_info(m, by, UserAddr(a)).into(),
            number::mach::MACH_WAIT_UNTIL => self.wait_until(m, by, a),

            number::unix::EXIT => self.exit(by, a as u8),
            number::unix::WRITE => self.write(m, by, a as u32, UserAddr(b), c).into(),
            number::unix::GETPID => Outcome::Unix(u64::from(self.tasks[by.task].credentials.pid)),
            number::unix::THREAD_SELFID => Outcome::Unix(self.threads[by.thread].number),
            number::unix::ULOCK_WAIT => self.ulock_wait(m, by, a as u32, UserAddr(b), c as u32, d as u32),
            number::unix::ULOCK_WAKE => self.ulock_wake(by, a as u32, UserAddr(b)).into(),

            number::machine::SET_THREAD_BASE => self.set_thread_base(by, UserAddr(a)).into(),

            number::tally::TASK_SPAWN => self.task_spawn_trap(m, by, UserAddr(a), b, UserAddr(c)).into(),
            number::tally::THREAD_CREATE => {
                let start = self::tally::ThreadStart { entry: UserAddr(b), stack: UserAddr(c), argument: d };
                self.thread_create_trap(m, by, name(a), start, e as u32, UserAddr(f)).into()
            }
            number::tally::THREAD_EXIT => self.thread_exit(by),
            number::tally::THREAD_SET_QOS => self.thread_set_qos(by, name(a), b as u32).into(),
            number::tally::TIME => Outcome::Value(m.now()),
            number::tally::CPU_COUNT => Outcome::Value(u64::from(m.cpu_count())),
            number::tally::DEBUG_STATE => self.debug_state(m, by, a as u32, name(b), UserAddr(c), d).into(),

            other => self.unknown_trap(by, other),
        }
    }

    /// A number in class 2 that Tally does not have is an error; elsewhere it ends the task (mach-ipc 7.1, errata 6).
    fn unknown_trap(&mut self, by: Caller, trap: u32) -> Outcome {
        if trap & !((1 << number::CLASS_SHIFT) - 1) == number::CLASS_UNIX {
            return Outcome::UnixError(ENOSYS);
        }
        self.end_task(by.task, ExitStatus::BAD_TRAP);
        Outcome::Pending
    }
}
