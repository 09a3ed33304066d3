//! The Unix trap `bsdthread_ctl`: the class that a thread requests, and the classes that others request for it
//! (importance 8.5, dispatch 1.9, errata 6).

use crate::ids::{Context, ThreadId};
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use abi::PortName;
use abi::code::*;
use abi::policy::*;
use abi::qos::{Priority, Qos};
use zerocopy::IntoBytes;

impl Kernel {
    /// `bsdthread_ctl`: carries out a command with its arguments.
    ///
    /// # Errors
    /// `EINVAL` for an unknown command; `ENOTSUP` for one that XNU has given up; those of the command.
    pub(super) fn bsdthread_ctl(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        command: u32,
        [a, b, c]: [u64; 3],
    ) -> Result<u64, Errno> {
        match command {
            BSDTHREAD_CTL_SET_SELF => self.set_self(machine, caller, a as u32, PortName(b as u32), c as u32)?,
            BSDTHREAD_CTL_QOS_OVERRIDE_START => self.override_start(caller, PortName(a as u32), b as u32, c)?,
            BSDTHREAD_CTL_QOS_OVERRIDE_END => {
                let thread = self.sibling_named(caller, PortName(a as u32)).ok_or(ESRCH)?;
                self.sched.end_override(thread, b);
                self.sched.policy_changed(&mut self.step, thread);
            }
            BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH => {
                self.override_dispatch(machine, caller, PortName(a as u32), b as u32, UserAddr(c))?;
            }
            BSDTHREAD_CTL_QOS_OVERRIDE_RESET => self.set_dispatch_override(caller.thread, Qos::Unspecified),
            command if BSDTHREAD_CTL_NOT_SUPPORTED.contains(&command) => return Err(ENOTSUP),
            _ => return Err(EINVAL),
        }
        Ok(0)
    }

    /// Sets the parts of the caller's own policy that the flags name. A part that fails does not stop the one after it,
    /// but a thread whose class cannot be set keeps its mode.
    ///
    /// # Errors
    /// For the class `EINVAL` if it is missing or its relative priority is out of range, and `EPERM` if the thread has
    /// none so far; for the voucher `ENOENT`; `EBADMSG` if both fail; `EINVAL` for what only workers of the kernel can
    /// do.
    fn set_self(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        priority: u32,
        voucher: PortName,
        flags: u32,
    ) -> Result<(), Errno> {
        let given = |flag: u32| flags & flag != 0;
        self.sched.count_set_self(caller.thread);
        // The kernel has no workers, so no thread is bound to an event queue.
        let unbound = if given(SET_SELF_KEVENT_UNBIND) { Err(EINVAL) } else { Ok(()) };
        let class = if given(SET_SELF_QOS) { self.set_own_class(caller, priority) } else { Ok(()) };
        let voucher = if given(SET_SELF_VOUCHER) { self.set_own_voucher(machine, caller, voucher) } else { Ok(()) };
        if class.is_ok() && (given(SET_SELF_FIXED_PRIORITY) || given(SET_SELF_TIMESHARE)) {
            self.sched.policy_mut(caller.thread).timeshare = !given(SET_SELF_FIXED_PRIORITY);
        }
        self.sched.policy_changed(&mut self.step, caller.thread);
        match (class, voucher) {
            (Err(_), Err(_)) => Err(EBADMSG),
            (class, voucher) => unbound.and(class).and(voucher),
        }
    }

    /// Lets the caller adopt the voucher of a name, or none.
    ///
    /// # Errors
    /// `ENOENT` if the name is not null and no voucher; `ENOMEM` if the voucher has too many references.
    fn set_own_voucher(&mut self, machine: &mut dyn Machine, caller: Context, name: PortName) -> Result<(), Errno> {
        let adopted = self.ipc.voucher_to_adopt(caller.space, name).map_err(|_| ENOENT)?;
        if let Some(voucher) = adopted {
            self.vouchers.retain(voucher).map_err(|_| ENOMEM)?;
        }
        self.adopt_voucher(machine, caller.thread, adopted, name);
        Ok(())
    }

    /// Sets the class and relative priority that the caller requests.
    ///
    /// # Errors
    /// `EINVAL` if there is no class or the relative priority is out of range; `EPERM` if the thread requests no class
    /// now: it stands outside of the classes, and its priority is that of its task.
    fn set_own_class(&mut self, caller: Context, priority: u32) -> Result<(), Errno> {
        let requested = valid_priority(priority).ok_or(EINVAL)?;
        let policy = self.sched.policy_mut(caller.thread);
        if policy.requested.qos == Qos::Unspecified {
            return Err(EPERM);
        }
        policy.requested = requested;
        Ok(())
    }

    /// Starts an explicit override of a thread of the caller's task for a resource.
    ///
    /// # Errors
    /// `EINVAL` without a class; `ESRCH` if the name is not a thread of the task; `ENOMEM` if the thread has overrides
    /// for too many resources.
    fn override_start(&mut self, caller: Context, name: PortName, priority: u32, resource: u64) -> Result<(), Errno> {
        let class = class_of(priority).ok_or(EINVAL)?;
        let thread = self.sibling_named(caller, name).ok_or(ESRCH)?;
        self.sched.start_override(thread, resource, class).map_err(|_| ENOMEM)?;
        self.sched.policy_changed(&mut self.step, thread);
        Ok(())
    }

    /// Raises the class of a thread of the caller's task that serves a dispatch queue. With the address of the queue's
    /// lock this has no effect if the thread no longer owns the lock: it may serve something else by now. A lock that
    /// cannot be read does not prevent the override.
    ///
    /// # Errors
    /// `EINVAL` without a class; `ESRCH` if the name is not a thread of the task.
    fn override_dispatch(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        name: PortName,
        priority: u32,
        lock: UserAddr,
    ) -> Result<(), Errno> {
        let class = class_of(priority).ok_or(EINVAL)?;
        let thread = self.sibling_named(caller, name).ok_or(ESRCH)?;
        let mut word = 0u32;
        let read = lock.0 != 0 && machine.copy_in(caller.address_space, lock, word.as_mut_bytes()).is_ok();
        if read && word | LOCK_FLAGS != name.0 | LOCK_FLAGS {
            return Ok(());
        }
        if class > self.sched[thread].policy().dispatch_override {
            self.set_dispatch_override(thread, class);
        }
        Ok(())
    }

    fn set_dispatch_override(&mut self, thread: ThreadId, class: Qos) {
        self.sched.policy_mut(thread).dispatch_override = class;
        self.sched.policy_changed(&mut self.step, thread);
    }
}

/// Returns the class in a `pthread_priority_t`, if it has one.
fn class_of(priority: u32) -> Option<Qos> {
    let class = Priority::from_pthread(priority).qos;
    (class != Qos::Unspecified).then_some(class)
}

/// Returns the class and relative priority of a `pthread_priority_t`, if it has a class and the relative priority is in
/// range.
fn valid_priority(word: u32) -> Option<Priority> {
    class_of(word)?;
    let priority = Priority::from_pthread(word);
    (priority.to_pthread() as u8 == word as u8).then_some(priority)
}
