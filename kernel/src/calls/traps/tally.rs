//! The traps of class 5, which are Tally's own (errata 6).

use crate::calls::{memory_error, put_result};
use crate::ids::{Context, KernelObject};
use crate::ipc::right::Right;
use crate::kernel::Kernel;
use crate::longest::Cause;
use crate::machine::{Machine, USER_END, UserAddr};
use crate::outcome::Outcome;
use crate::policy::ThreadPolicy;
use crate::task::start::SpawnRequest;
use crate::trap_frame::TrapFrame;
use abi::code::*;
use abi::debug::{
    Clocks, DEBUG_CLOCKS, DEBUG_COUNTS, DEBUG_HEAP, DEBUG_LONGEST, DEBUG_MEMORY, DEBUG_PANIC, DEBUG_THREAD,
    LongestStep, Memory, ThreadInfo,
};
use abi::qos::Priority;
use abi::task::TaskSpawnArgs;
use abi::trap::tally::{THREAD_CREATE_CLASS, THREAD_CREATE_SUSPENDED};
use abi::{KernReturn, PortName};
use zerocopy::{FromZeros, IntoBytes};

/// The first registers of a new thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadStart {
    /// The address of the first instruction.
    pub entry: UserAddr,
    /// The stack pointer.
    pub stack: UserAddr,
    /// The first argument.
    pub argument: u64,
}

impl Kernel {
    /// `task_spawn`: starts a program as a child of the caller, as the [`TaskSpawnArgs`] at `args`, of `size` bytes,
    /// say.
    ///
    /// # Errors
    /// Those of `read_spawn` and of [`Kernel::spawn`].
    pub(super) fn task_spawn_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        args: UserAddr,
        size: u64,
        result: UserAddr,
    ) -> Outcome {
        match read_spawn(machine, caller, args, size) {
            Ok(request) => self.spawn(machine, caller, &request, result),
            Err(code) => Outcome::Code(code),
        }
    }

    /// `thread_create`: creates a thread in the caller's task and writes a name for its control port to `result`.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for another task, unknown flags or addresses outside user space; `KERN_NO_SPACE` if the
    /// caller's space is full; `KERN_RESOURCE_SHORTAGE` if memory, the budget or the number of threads is used up;
    /// `KERN_MEMORY_ERROR` if the name cannot be written. Nothing has changed then.
    pub(super) fn thread_create_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        task: PortName,
        start: ThreadStart,
        flags: u32,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        self.require_self(caller, task).map_err(|_| KERN_INVALID_ARGUMENT)?;
        let ThreadStart { entry, stack, argument } = start;
        let class = flags & THREAD_CREATE_CLASS;
        let is_known = flags & !(THREAD_CREATE_SUSPENDED | THREAD_CREATE_CLASS) == 0 && class.count_ones() <= 1;
        if !is_known || entry.0 >= USER_END || stack.0 > USER_END {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let policy = ThreadPolicy::requesting(Priority::of(Priority::from_pthread(class).qos));
        self.ipc.make_room_for_name(caller.space)?;
        let frame = TrapFrame::starting_at(entry.0, stack.0, argument);
        let thread = self.create_thread(caller.task, frame, policy).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        let Ok(port) = self.thread_control_port(thread) else {
            self.end_thread(thread);
            return Err(KERN_RESOURCE_SHORTAGE);
        };
        let Kernel { ipc, sched, step, .. } = self;
        let right = Right::Send(ipc.make_send(port));
        let named = ipc.copy_out_or_destroy(step, caller.space, right).map_err(KernReturn::from).and_then(|name| {
            put_result(machine, caller, result, name.as_bytes())
                .inspect_err(|_| ipc.destroy_name(sched, step, caller.space, name))
        });
        if let Err(code) = named {
            self.end_thread(thread);
            return Err(code);
        }
        if flags & THREAD_CREATE_SUSPENDED == 0 {
            self.sched.resume(&mut self.step, thread)?;
        }
        Ok(())
    }

    /// `thread_exit`: ends the calling thread.
    pub(super) fn thread_exit(&mut self, caller: Context) -> Outcome {
        self.terminate_thread(caller.thread);
        Outcome::Pending
    }

    /// Returns the state of the heap, and lets tables give back what they do not need any more if `trims` is true.
    fn memory(&mut self, machine: &dyn Machine, trims: bool) -> Memory {
        let (free, largest) = (machine.free_heap(), machine.largest_allocation());
        let waits = self.ipc.importance().delayed_drop_deadline().is_some();
        let unsettled = u64::from(waits || self.step.is_unsettled());
        if trims {
            self.step.trim_later();
        }
        Memory { free, largest, unsettled }
    }

    /// `debug_state`: writes object counts, the policy and priority of a thread, facts about the heap, the time of two
    /// clocks or the longest step into a buffer; or lets the kernel panic, for tests.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if another task than the first one asks for a panic, or another user than 0 for the longest step
    /// or with the name 1 for the heap;
    /// `KERN_INVALID_ARGUMENT` for an unknown kind, a buffer that is too small, or a name that is not a thread;
    /// `KERN_MEMORY_ERROR` if the buffer cannot be written.
    pub(super) fn debug_state(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        kind: u32,
        name: PortName,
        buffer: UserAddr,
        size: u64,
    ) -> Result<(), KernReturn> {
        match kind {
            DEBUG_COUNTS => {
                let counts = self.counts(machine);
                put_state(machine, caller, counts.as_bytes(), buffer, size)
            }
            DEBUG_THREAD => {
                self.charge_if_running(machine, caller.thread);
                let (id, thread) = match self.object_named(caller, name) {
                    Some(KernelObject::Thread(id)) => (id, self.sched.get(id).ok_or(KERN_INVALID_ARGUMENT)?),
                    _ => return Err(KERN_INVALID_ARGUMENT),
                };
                let used = self.sched.used(id);
                let task = self.tasks[thread.task()].policy.effective();
                let tiers = thread.policy().effective(&task).tiers;
                let info = ThreadInfo {
                    requested: thread.policy().requested.to_pthread(),
                    effective: thread.policy().raised().to_pthread(),
                    base_priority: u32::from(thread.schedule().base),
                    scheduled_priority: u32::from(thread.schedule().priority),
                    set_self_calls: thread.set_self_calls(),
                    io_tier: u32::from(tiers.io),
                    latency_qos: u32::from(tiers.latency),
                    throughput_qos: u32::from(tiers.throughput),
                    voucher: thread.voucher().map_or(0, |voucher| voucher.to_bits()),
                    run_time: used.time,
                    energy: used.energy,
                };
                put_state(machine, caller, info.as_bytes(), buffer, size)
            }
            DEBUG_HEAP => {
                let free = machine.free_heap();
                put_state(machine, caller, &free.to_le_bytes(), buffer, size)
            }
            DEBUG_MEMORY if name.0 == 1 && self.tasks[caller.task].credentials.uid != 0 => Err(KERN_NO_ACCESS),
            DEBUG_MEMORY => {
                let memory = self.memory(machine, name.0 == 1);
                put_state(machine, caller, memory.as_bytes(), buffer, size)
            }
            DEBUG_CLOCKS => {
                let before = machine.now();
                let other = machine.other_clock().unwrap_or(0);
                let clocks = Clocks { before, other, after: machine.now() };
                put_state(machine, caller, clocks.as_bytes(), buffer, size)
            }
            DEBUG_LONGEST if self.tasks[caller.task].credentials.uid != 0 => Err(KERN_NO_ACCESS),
            DEBUG_LONGEST => {
                let longest = self.step.measure(name.0 == 1);
                let cause = match longest.cause {
                    Cause::Timer => 0,
                    Cause::Trap(number) => number,
                    Cause::Exception => u32::MAX,
                };
                let longest = LongestStep { ticks: longest.ticks, cause, part: longest.number };
                put_state(machine, caller, longest.as_bytes(), buffer, size)
            }
            DEBUG_PANIC if self.first_task == Some(caller.task) => panic!("the first task asked for a panic"),
            DEBUG_PANIC => Err(KERN_NO_ACCESS),
            _ => Err(KERN_INVALID_ARGUMENT),
        }
    }
}

/// Bytes of the smallest buffer for a structure.
const STATE_MIN: u64 = 8;

/// Writes a structure into a user's buffer of `size` bytes, or as much of its beginning as fits: structures grow at their
/// ends, and programs that know a shorter one go on to run.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` if not even [`STATE_MIN`] bytes fit; `KERN_MEMORY_ERROR` if the buffer cannot be written.
fn put_state(
    machine: &mut dyn Machine,
    caller: Context,
    state: &[u8],
    buffer: UserAddr,
    size: u64,
) -> Result<(), KernReturn> {
    if size < STATE_MIN {
        return Err(KERN_INVALID_ARGUMENT);
    }
    put_result(machine, caller, buffer, &state[..state.len().min(size as usize)])
}

/// Reads the arguments of `task_spawn`.
///
/// # Errors
/// `KERN_MEMORY_ERROR` if they cannot be read; `KERN_INVALID_ARGUMENT` if they are out of range, or have more bytes than
/// Tally knows which are not 0.
fn read_spawn(
    machine: &mut dyn Machine,
    caller: Context,
    args: UserAddr,
    size: u64,
) -> Result<SpawnRequest, KernReturn> {
    let known = size_of::<TaskSpawnArgs>() as u64;
    if size > 2 * known {
        return Err(KERN_INVALID_ARGUMENT);
    }
    let mut bytes = [0; 2 * size_of::<TaskSpawnArgs>()];
    let given = &mut bytes[..size as usize];
    machine.copy_in(caller.address_space, args, given).map_err(memory_error)?;
    // Programs for a later version may have longer arguments. Their additional fields ask for nothing if they are
    // 0.
    if given.iter().skip(known as usize).any(|&byte| byte != 0) {
        return Err(KERN_INVALID_ARGUMENT);
    }
    let mut args = TaskSpawnArgs::new_zeroed();
    args.as_mut_bytes().copy_from_slice(&bytes[..known as usize]);
    SpawnRequest::decode(&args)
}
