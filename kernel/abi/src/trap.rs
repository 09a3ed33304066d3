//! Trap numbers (mach-ipc 7, errata 6).
//!
//! A trap is the instruction `syscall` with `class << 24 | number` in `eax` and up to six arguments in `rdi rsi rdx r10
//! r8 r9`. Further arguments are in 8-byte slots from `rsp + 8` on. `docs/abi.md` has the details and a complete
//! example.

/// The position of the class in a trap number.
pub const CLASS_SHIFT: u32 = 24;
/// The bits of a trap number that are its class.
pub const CLASS_MASK: u32 = !((1 << CLASS_SHIFT) - 1);

/// Mach traps.
pub const CLASS_MACH: u32 = 1 << CLASS_SHIFT;
/// The Unix subset.
pub const CLASS_UNIX: u32 = 2 << CLASS_SHIFT;
/// Machine-dependent calls.
pub const CLASS_MACHINE: u32 = 3 << CLASS_SHIFT;
/// Tally's own calls, in a class that XNU leaves unused.
pub const CLASS_TALLY: u32 = 5 << CLASS_SHIFT;

/// Mach traps, class 1. Results are return codes or names.
pub mod mach {
    use super::CLASS_MACH;

    /// `(target, address*, size, flags)`: see [`crate::task::VM_FLAGS_ANYWHERE`].
    pub const MACH_VM_ALLOCATE: u32 = CLASS_MACH | 10;
    /// `(target, address, size)`
    pub const MACH_VM_DEALLOCATE: u32 = CLASS_MACH | 12;
    /// `(target, address, size, set_maximum, protection)`
    pub const MACH_VM_PROTECT: u32 = CLASS_MACH | 14;
    /// `(target, right, name*)`
    pub const MACH_PORT_ALLOCATE: u32 = CLASS_MACH | 16;
    /// `(target, name)`
    pub const MACH_PORT_DEALLOCATE: u32 = CLASS_MACH | 18;
    /// `(target, name, right, delta)`
    pub const MACH_PORT_MOD_REFS: u32 = CLASS_MACH | 19;
    /// `(target, member, after)`
    pub const MACH_PORT_MOVE_MEMBER: u32 = CLASS_MACH | 20;
    /// `(target, name, poly, disposition)`
    pub const MACH_PORT_INSERT_RIGHT: u32 = CLASS_MACH | 21;
    /// `(target, name, set)`
    pub const MACH_PORT_INSERT_MEMBER: u32 = CLASS_MACH | 22;
    /// `(target, name, set)`
    pub const MACH_PORT_EXTRACT_MEMBER: u32 = CLASS_MACH | 23;
    /// `(target, options*, context, name*)`
    pub const MACH_PORT_CONSTRUCT: u32 = CLASS_MACH | 24;
    /// `(target, name, srdelta, guard)`
    pub const MACH_PORT_DESTRUCT: u32 = CLASS_MACH | 25;
    /// `()`: returns the name of a new receive right, or null.
    pub const MACH_REPLY_PORT: u32 = CLASS_MACH | 26;
    /// `()`: returns the name of the thread's control port, or null.
    pub const THREAD_SELF: u32 = CLASS_MACH | 27;
    /// `()`: returns the name of the task's control port, or null.
    pub const TASK_SELF: u32 = CLASS_MACH | 28;
    /// `()`: returns the name of the host port, or null.
    pub const HOST_SELF: u32 = CLASS_MACH | 29;
    /// `()`: makes a special reply port of the thread and returns its name, or null.
    pub const THREAD_GET_SPECIAL_REPLY_PORT: u32 = CLASS_MACH | 50;
    /// `(msg*, option, send_size, rcv_size, rcv_name, timeout, [7] priority)`
    pub const MACH_MSG: u32 = CLASS_MACH | 31;
    /// `(msg*, option, send_size, rcv_size, rcv_name, timeout, [7] priority, [8] rcv_msg*)`
    pub const MACH_MSG_OVERWRITE: u32 = CLASS_MACH | 32;
    /// `(target, name, flavor, info*, count*)`
    pub const MACH_PORT_GET_ATTRIBUTES: u32 = CLASS_MACH | 40;
    /// `(target, name, guard, strict)`
    pub const MACH_PORT_GUARD: u32 = CLASS_MACH | 41;
    /// `(target, name, guard)`
    pub const MACH_PORT_UNGUARD: u32 = CLASS_MACH | 42;
    /// `(target, pid, name*)`: names the control port of another task. For user 0.
    pub const TASK_FOR_PID: u32 = CLASS_MACH | 45;
    /// `(target, count, first*)`: reserves up to 16 activity ids and writes the first; the target is ignored.
    pub const MACH_GENERATE_ACTIVITY_ID: u32 = CLASS_MACH | 43;
    /// `(pri)`: yields the processor at the lowest priority; the argument is ignored.
    pub const SWTCH_PRI: u32 = CLASS_MACH | 59;
    /// `()`: yields the processor.
    pub const SWTCH: u32 = CLASS_MACH | 60;
    /// `(thread, option, milliseconds)`
    pub const THREAD_SWITCH: u32 = CLASS_MACH | 61;
    /// `(host, recipes*, size, voucher*)`
    pub const HOST_CREATE_MACH_VOUCHER: u32 = CLASS_MACH | 70;
    /// `(voucher, key, recipe*, size*)`
    pub const MACH_VOUCHER_EXTRACT_ATTR_RECIPE: u32 = CLASS_MACH | 72;
    /// `(target, name, type*)`
    pub const MACH_PORT_TYPE: u32 = CLASS_MACH | 76;
    /// `(target, name, msgid, sync, notify, disposition, [7] previous*)`
    pub const MACH_PORT_REQUEST_NOTIFICATION: u32 = CLASS_MACH | 77;
    /// `(info*)`: writes numerator and denominator of the clock unit in nanoseconds, 1 and 1.
    pub const MACH_TIMEBASE_INFO: u32 = CLASS_MACH | 89;
    /// `(deadline)`: sleeps until the deadline, in clock units since boot.
    pub const MACH_WAIT_UNTIL: u32 = CLASS_MACH | 90;

    /// A trap that XNU has and Tally lacks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MissingTrap {
        /// Its number, with the class.
        pub number: u32,
        /// Its name in XNU's trap table.
        pub name: &'static str,
        /// What it answers.
        pub answer: MissingAnswer,
    }

    /// How a missing trap says that it did nothing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum MissingAnswer {
        /// With `KERN_NOT_SUPPORTED`.
        NotSupported,
        /// With `MACH_SEND_INVALID_DEST`, upon which libraries make the call by message.
        CallByMessage,
        /// With `MACH_PORT_NULL`: the trap returns a name, so that a code would be mistaken for one.
        NullName,
    }

    const fn missing(number: u32, name: &'static str, answer: MissingAnswer) -> MissingTrap {
        MissingTrap { number: CLASS_MACH | number, name, answer }
    }

    /// The traps that XNU has and Tally lacks, by number.
    pub const MISSING: [MissingTrap; 28] = {
        use MissingAnswer::{CallByMessage, NotSupported, NullName};
        [
            missing(11, "_kernelrpc_mach_vm_purgable_control_trap", CallByMessage),
            missing(13, "task_dyld_process_info_notify_get_trap", NotSupported),
            missing(15, "_kernelrpc_mach_vm_map_trap", CallByMessage),
            missing(33, "semaphore_signal_trap", NotSupported),
            missing(34, "semaphore_signal_all_trap", NotSupported),
            missing(35, "semaphore_signal_thread_trap", NotSupported),
            missing(36, "semaphore_wait_trap", NotSupported),
            missing(37, "semaphore_wait_signal_trap", NotSupported),
            missing(38, "semaphore_timedwait_trap", NotSupported),
            missing(39, "semaphore_timedwait_signal_trap", NotSupported),
            missing(44, "task_name_for_pid", NotSupported),
            missing(46, "pid_for_task", NotSupported),
            missing(47, "mach_msg2_trap", NotSupported),
            missing(48, "macx_swapon", NotSupported),
            missing(49, "macx_swapoff", NotSupported),
            missing(51, "macx_triggers", NotSupported),
            missing(52, "macx_backing_store_suspend", NotSupported),
            missing(53, "macx_backing_store_recovery", NotSupported),
            missing(58, "pfz_exit", NotSupported),
            missing(62, "clock_sleep_trap", NotSupported),
            missing(88, "_exclaves_ctl_trap", NotSupported),
            missing(91, "mk_timer_create_trap", NullName),
            missing(92, "mk_timer_destroy_trap", NotSupported),
            missing(93, "mk_timer_arm_trap", NotSupported),
            missing(94, "mk_timer_cancel_trap", NotSupported),
            missing(95, "mk_timer_arm_leeway_trap", NotSupported),
            missing(96, "debug_control_port_for_pid", NotSupported),
            missing(100, "iokit_user_client_trap", NotSupported),
        ]
    };
}

/// The Unix subset, class 2. An error is returned as an error number with the carry flag set.
pub mod unix {
    use super::CLASS_UNIX;

    /// `(status)`: terminates the task.
    pub const EXIT: u32 = CLASS_UNIX | 1;
    /// `(descriptor, buffer*, size)`: waits for input from the console, which is descriptor 0.
    pub const READ: u32 = CLASS_UNIX | 3;
    /// `(descriptor, buffer*, size)`: descriptors 1 and 2 are the console.
    pub const WRITE: u32 = CLASS_UNIX | 4;
    /// `()`: returns the process id of the task.
    pub const GETPID: u32 = CLASS_UNIX | 20;
    /// `(which, who, value)`: see [`crate::policy::PRIO_DARWIN_PROCESS`].
    pub const SETPRIORITY: u32 = CLASS_UNIX | 96;
    /// `(scope, action, policy, subtype, attributes*, pid, [7] thread)`: see
    /// [`crate::policy::PROC_POLICY_SCOPE_PROCESS`].
    pub const PROCESS_POLICY: u32 = CLASS_UNIX | 323;
    /// `(call, pid, flavor, argument, buffer*, size)`: see [`crate::policy::ProcUniqueIdentifierInfo`].
    pub const PROC_INFO: u32 = CLASS_UNIX | 336;
    /// `()`: returns the id of the thread, which is unique until the system is shut down.
    pub const THREAD_SELFID: u32 = CLASS_UNIX | 372;
    /// `(command, argument, argument, argument)`: see [`crate::policy::BSDTHREAD_CTL_SET_SELF`].
    pub const BSDTHREAD_CTL: u32 = CLASS_UNIX | 478;
    /// `(operation, flags, info*, id*, size*, path*)`: see [`crate::policy::PERSONA_OP_GET`].
    pub const PERSONA: u32 = CLASS_UNIX | 494;
    /// `(operation, address, value, microseconds)`
    pub const ULOCK_WAIT: u32 = CLASS_UNIX | 515;
    /// `(operation, address, unused)`
    pub const ULOCK_WAKE: u32 = CLASS_UNIX | 516;

    /// The supported kind of `ulock`: compares a 32-bit word and waits.
    pub const UL_COMPARE_AND_WAIT: u32 = 1;
    /// `ulock_wake`: wakes all waiting threads instead of one.
    pub const ULF_WAKE_ALL: u32 = 0x100;
}

/// Machine-dependent calls, class 3.
pub mod machine {
    use super::CLASS_MACHINE;

    /// `(base)`: sets the base address of thread-local storage, in both `fs` and `gs`.
    pub const SET_THREAD_BASE: u32 = CLASS_MACHINE | 3;
}

/// Tally's own calls, class 5. Results are those of Mach traps.
pub mod tally {
    use super::CLASS_TALLY;

    /// `(args*, size, name*)`: see [`crate::task::TaskSpawnArgs`].
    pub const TASK_SPAWN: u32 = CLASS_TALLY | 1;
    /// `(task, entry, stack, argument, flags, name*)`
    pub const THREAD_CREATE: u32 = CLASS_TALLY | 2;
    /// `()`: terminates the calling thread, and the task with its last thread.
    pub const THREAD_EXIT: u32 = CLASS_TALLY | 3;
    /// `(thread, pthread_priority)`: the thread must wait in `ulock_wait`.
    pub const THREAD_SET_QOS: u32 = CLASS_TALLY | 4;
    /// `(port or set, thread)`: lets a thread of the task serve the port or set; with the name 0, none.
    pub const PORT_BIND_SERVICER: u32 = CLASS_TALLY | 5;
    /// `()`: returns the nanoseconds since boot.
    pub const TIME: u32 = CLASS_TALLY | 6;
    /// `()`: returns the number of running processors.
    pub const CPU_COUNT: u32 = CLASS_TALLY | 7;
    /// `(kind, name, buffer*, size)`: see [`crate::debug`].
    pub const DEBUG_STATE: u32 = CLASS_TALLY | 8;
    /// `(kind, version, argument, cursor*, buffer*, size)`: writes records of the kernel's objects into the buffer, and
    /// the number of bytes written as the result's lower half; see [`crate::inspect`].
    pub const INSPECT: u32 = CLASS_TALLY | 9;
    /// `(operation, version, buffer*, size)`: records events; see [`crate::event`].
    pub const TRACE_CONTROL: u32 = CLASS_TALLY | 10;
    /// `(note, object, a, b, voucher)`: records what a library tells of itself as an event, and returns 1 if events are
    /// recorded, else 0; see [`crate::event::note`].
    pub const TRACE_NOTE: u32 = CLASS_TALLY | 11;

    /// `thread_create`: the thread starts with its first `thread_resume`.
    pub const THREAD_CREATE_SUSPENDED: u32 = 1;
    /// `thread_create`: the class bits of a `pthread_priority_t`. The thread requests the class from its start; without
    /// one it has none.
    pub const THREAD_CREATE_CLASS: u32 = 0x3F00;
}

/// `thread_switch`: yields the processor to the thread named, or to any thread.
pub const SWITCH_OPTION_NONE: u32 = 0;
/// `thread_switch`: runs at the lowest priority for the time given.
pub const SWITCH_OPTION_DEPRESS: u32 = 1;
/// `thread_switch`: sleeps for the time given.
pub const SWITCH_OPTION_WAIT: u32 = 2;
