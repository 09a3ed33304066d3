//! Giving the processor away, and time (importance 8.6).

use super::{Caller, Outcome};
use crate::kernel::Kernel;
use crate::kobject::KernelObject;
use crate::machine::{Machine, Nanos, USER_END, UserAddr};
use crate::sched::QUANTUM;
use crate::thread::{State, Wait};
use crate::timer::TimerKind;
use abi::code::*;
use abi::qos::Priority;
use abi::trap::{SWITCH_OPTION_DEPRESS, SWITCH_OPTION_NONE, SWITCH_OPTION_WAIT};
use abi::{KernReturn, PortName};
use zerocopy::IntoBytes;

const NANOS_PER_MILLI: Nanos = 1_000_000;

impl Kernel {
    /// `swtch` and `swtch_pri`: lets every other thread that is ready go first. Returns whether there was any.
    pub(super) fn swtch(&mut self, m: &mut dyn Machine, by: Caller) -> Outcome {
        let others = self.sched.anyone_ready();
        if others {
            self.give_way(m, by);
        }
        Outcome::Value(u64::from(others))
    }

    fn give_way(&mut self, m: &mut dyn Machine, by: Caller) {
        let State::Running(cpu) = self.threads[by.thread].state else { panic!("{:?} makes a trap", by.thread) };
        self.sched.give_way(&mut self.threads, cpu, m.now());
    }

    /// `thread_switch`. The thread named is a hint that is not needed: the priorities alone decide (errata 5).
    pub(super) fn thread_switch(&mut self, m: &mut dyn Machine, by: Caller, option: u32, milliseconds: u32) -> Outcome {
        let time = Nanos::from(milliseconds) * NANOS_PER_MILLI;
        match option {
            SWITCH_OPTION_NONE => self.give_way(m, by),
            SWITCH_OPTION_DEPRESS => {
                self.end_depression(by.thread);
                let until = m.now() + if time == 0 { QUANTUM } else { time };
                self.timers.set(&mut self.threads, by.thread, TimerKind::Depress, until);
                self.sched.set_depressed(&mut self.threads, by.thread, true);
            }
            SWITCH_OPTION_WAIT => {
                let until = m.now() + time;
                self.threads[by.thread].frame.set_code(KERN_SUCCESS);
                self.block(by.thread, Wait::Clock, until);
                return Outcome::Pending;
            }
            _ => return Outcome::Code(KERN_INVALID_ARGUMENT),
        }
        Outcome::Code(KERN_SUCCESS)
    }

    /// `mach_timebase_info`: the clock counts nanoseconds.
    pub(super) fn timebase_info(&mut self, m: &mut dyn Machine, by: Caller, info: UserAddr) -> Result<(), KernReturn> {
        self.put_result(m, by, info, [1u32, 1].as_bytes())
    }

    /// `mach_wait_until`
    pub(super) fn wait_until(&mut self, m: &mut dyn Machine, by: Caller, deadline: Nanos) -> Outcome {
        if deadline <= m.now() {
            return Outcome::Code(KERN_SUCCESS);
        }
        self.block(by.thread, Wait::Clock, deadline);
        Outcome::Pending
    }

    /// `thread_set_qos`: what a thread that waits in `ulock_wait` asks for from now on.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if that is no thread of the caller's task; `KERN_FAILURE` if it does not wait there.
    pub(super) fn thread_set_qos(&mut self, by: Caller, name: PortName, priority: u32) -> Result<(), KernReturn> {
        let thread = match self.object_named(by.task, name) {
            Some(KernelObject::Thread(thread)) if self.threads.get(thread).is_some_and(|t| t.task == by.task) => thread,
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        if !matches!(self.threads[thread].state, State::Waiting(Wait::Word(_))) {
            return Err(KERN_FAILURE);
        }
        self.threads[thread].policy.requested = Priority::from_pthread(priority);
        self.update_thread_policy(thread);
        Ok(())
    }

    /// Sets the base of thread-local memory. It must be an address that user code can have.
    pub(super) fn set_thread_base(&mut self, by: Caller, base: UserAddr) -> Result<(), KernReturn> {
        if base.0 >= USER_END {
            return Err(KERN_INVALID_ADDRESS);
        }
        self.threads[by.thread].frame.set_thread_base(base.0);
        // So that the frame is loaded anew.
        self.sched.reconsider();
        Ok(())
    }
}
