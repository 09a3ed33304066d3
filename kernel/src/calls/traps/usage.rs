//! The part of the Unix trap `proc_info` that tells what a task has used (vouchers 6.3.9).

use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use abi::code::*;
use abi::usage::{RUSAGE_INFO_SIZES, RusageInfo};
use zerocopy::IntoBytes;

impl Kernel {
    /// `proc_info` with `PROC_INFO_CALL_PIDRUSAGE`: writes the processor time, the energy and the balance of a task, and
    /// returns 0. The time of the caller counts until now.
    ///
    /// # Errors
    /// `EINVAL` for an unknown flavor; `ESRCH` if there is no task with this pid; `EPERM` if it is another user's and
    /// the caller is not user 0; `EFAULT` if the buffer cannot be written.
    // Apart, so that the traps that programs make often stay together.
    #[inline(never)]
    pub(super) fn proc_pid_rusage(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        pid: u32,
        flavor: u32,
        buffer: UserAddr,
    ) -> Result<u64, Errno> {
        let size = *RUSAGE_INFO_SIZES.get(flavor as usize).ok_or(EINVAL)?;
        let task = self.tasks.with_pid(pid).ok_or(ESRCH)?;
        let user = |task| self.tasks[task].credentials.uid;
        if user(caller.task) != 0 && user(caller.task) != user(task) {
            return Err(EPERM);
        }
        self.charge_if_running(machine, caller.thread);
        let (used, balance) = self.usage_of(task);
        let info = RusageInfo {
            ri_user_time: used.time,
            ri_billed_system_time: balance.billed.cpu,
            ri_serviced_system_time: balance.serviced.cpu,
            ri_billed_energy: balance.billed.energy,
            ri_serviced_energy: balance.serviced.energy,
            ri_energy_nj: used.energy,
            ..RusageInfo::default()
        };
        machine.copy_out(caller.address_space, buffer, &info.as_bytes()[..size]).map_err(|_| EFAULT)?;
        Ok(0)
    }
}
