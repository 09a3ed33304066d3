//! What a task has used, and who pays for it (vouchers 6.3.9).

use crate::sys::unix_trap;
use crate::task;
use abi::trap::unix::PROC_INFO;
use abi::usage::{PROC_INFO_CALL_PIDRUSAGE, RUSAGE_INFO_V6, RusageInfo};
use zerocopy::{FromZeros, IntoBytes};

/// What a task has used. Times are in ns, energies in nJ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// The time for which its threads have had a processor, whoever pays.
    pub time: u64,
    /// The energy of that time.
    pub energy: u64,
    /// The time that other tasks have worked for this one: what is billed to it.
    pub billed_time: u64,
    /// The energy of that time.
    pub billed_energy: u64,
    /// The part of its own time in which it has worked for others.
    pub serviced_time: u64,
    /// The energy of that time.
    pub serviced_energy: u64,
}

/// Returns what the task with a pid has used. That of a task of another user is for user 0 only.
///
/// # Errors
/// The error number of the call, here and in the functions below.
pub fn of_task(pid: u64) -> Result<Usage, u64> {
    let info = read(pid, RUSAGE_INFO_V6)?;
    Ok(Usage {
        time: info.ri_user_time + info.ri_system_time,
        energy: info.ri_energy_nj,
        billed_time: info.ri_billed_system_time,
        billed_energy: info.ri_billed_energy,
        serviced_time: info.ri_serviced_system_time,
        serviced_energy: info.ri_serviced_energy,
    })
}

/// Returns what this task has used until now.
pub fn own() -> Usage {
    of_task(task::pid()).expect("a task may always ask about itself")
}

/// Calls `proc_info` for the usage of a task, in a flavor. Fields that the flavor does not have are 0.
pub fn read(pid: u64, flavor: u32) -> Result<RusageInfo, u64> {
    let mut info = RusageInfo::new_zeroed();
    let at = info.as_mut_bytes().as_mut_ptr() as u64;
    unix_trap(PROC_INFO, [PROC_INFO_CALL_PIDRUSAGE.into(), pid, flavor.into(), 0, at, 0])?;
    Ok(info)
}
