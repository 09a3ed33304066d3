//! The traps for scheduling and time (importance 8.6).

use crate::calls::put_result;
use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::{Cpu, Machine, Nanos, USER_END, UserAddr};
use crate::outcome::Outcome;
use crate::sched::schedule::QUANTUM;
use crate::sched::thread::WaitPlace;
use crate::shortcut::Switch;
use abi::code::*;
use abi::qos::Priority;
use abi::trap::{SWITCH_OPTION_DEPRESS, SWITCH_OPTION_NONE, SWITCH_OPTION_WAIT};
use abi::{KernReturn, PortName};
use zerocopy::IntoBytes;

const NANOS_PER_MILLI: Nanos = 1_000_000;

impl Kernel {
    /// `swtch` and `swtch_pri`: lets all other ready threads run before the caller. Returns 1 if there was any,
    /// otherwise 0.
    pub(super) fn swtch(&mut self, machine: &mut dyn Machine, caller: Context) -> Outcome {
        let others = self.sched.anyone_ready();
        if others {
            self.sched.yield_now(&mut self.step, caller.thread, machine.stamp());
        }
        Outcome::Value(u64::from(others))
    }

    /// Makes the trap `swtch` or `swtch_pri` if it leads straight to another thread, and returns that: what
    /// `trap` and the end of the step come to. Otherwise returns `None`; nothing has changed then.
    #[inline(always)]
    pub fn yield_directly(&mut self, machine: &mut dyn Machine, cpu: Cpu) -> Option<Switch<'_>> {
        if !self.step.is_quiet() {
            return None;
        }
        let next = self.sched.yield_directly(&mut self.step, cpu, machine.stamp())?;
        let Context { thread, address_space, .. } = next.context();
        Some(Switch { thread, frame: next.frame_mut(), address_space })
    }

    /// `thread_switch`: yields, or depresses or blocks the caller for a time. The thread that the caller suggests as
    /// the next one is not used: priorities alone decide (errata 5).
    pub(super) fn thread_switch(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        option: u32,
        milliseconds: u32,
    ) -> Outcome {
        let Kernel { sched, step, .. } = self;
        let time = Nanos::from(milliseconds) * NANOS_PER_MILLI;
        let now = machine.now();
        match option {
            SWITCH_OPTION_NONE => sched.yield_now(step, caller.thread, machine.stamp()),
            SWITCH_OPTION_DEPRESS => {
                let time = if time == 0 { QUANTUM } else { time };
                sched.depress(step, caller.thread, now.saturating_add(time));
            }
            SWITCH_OPTION_WAIT => {
                sched.finish(caller.thread, Outcome::Code(KERN_SUCCESS));
                sched.block_on_clock(step, caller.thread, now.saturating_add(time));
                return Outcome::Pending;
            }
            _ => return Outcome::Code(KERN_INVALID_ARGUMENT),
        }
        Outcome::Code(KERN_SUCCESS)
    }

    /// `mach_timebase_info`: writes the ratio of clock ticks to nanoseconds, which is 1 to 1.
    ///
    /// # Errors
    /// `KERN_MEMORY_ERROR` if it cannot be written.
    pub(super) fn timebase_info(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        info: UserAddr,
    ) -> Result<(), KernReturn> {
        put_result(machine, caller, info, [1u32, 1].as_bytes())
    }

    /// `mach_wait_until`: blocks the caller until a point in time.
    pub(super) fn wait_until(&mut self, machine: &mut dyn Machine, caller: Context, deadline: Nanos) -> Outcome {
        if deadline <= machine.now() {
            return Outcome::Code(KERN_SUCCESS);
        }
        self.sched.block_on_clock(&mut self.step, caller.thread, deadline);
        Outcome::Pending
    }

    /// `thread_set_qos`: sets the class and relative priority that a thread of the caller's task requests. The thread
    /// must wait in `ulock_wait` (errata 6).
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the name is not a thread of the caller's task; `KERN_FAILURE` if the thread does not
    /// wait for a word.
    pub(super) fn thread_set_qos(&mut self, caller: Context, name: PortName, priority: u32) -> Result<(), KernReturn> {
        let thread = self.sibling_named(caller, name).ok_or(KERN_INVALID_ARGUMENT)?;
        if !matches!(self.sched[thread].wait_place(), WaitPlace::Word(..)) {
            return Err(KERN_FAILURE);
        }
        self.sched.policy_mut(thread).requested = Priority::from_pthread(priority);
        self.sched.policy_changed(&mut self.step, thread);
        Ok(())
    }

    /// Sets the base of the caller's thread-local memory.
    ///
    /// # Errors
    /// `KERN_INVALID_ADDRESS` if it is outside user space.
    pub(super) fn set_thread_base(&mut self, caller: Context, base: UserAddr) -> Result<(), KernReturn> {
        if base.0 >= USER_END {
            return Err(KERN_INVALID_ADDRESS);
        }
        self.sched[caller.thread].frame_mut().set_thread_base(base.0);
        self.step.look_at_caller();
        Ok(())
    }
}
