//! Processor time, energy and bills of a task: `proc_info` with [`PROC_INFO_CALL_PIDRUSAGE`], which a C library calls
//! `proc_pid_rusage`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `PROC_INFO_CALL_PIDRUSAGE`
pub const PROC_INFO_CALL_PIDRUSAGE: u32 = 9;

/// `RUSAGE_INFO_V6`: a whole [`RusageInfo`].
pub const RUSAGE_INFO_V6: u32 = 6;

/// The size of what each flavor writes, from `RUSAGE_INFO_V0` on: a part of [`RusageInfo`], from its beginning.
pub const RUSAGE_INFO_SIZES: [usize; 7] = [96, 144, 160, 232, 296, 304, size_of::<RusageInfo>()];

/// `rusage_info_v6`. Times are in ns, energies in nJ. What Tally does not measure is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RusageInfo {
    /// The identity of the program's file, which Tally does not have: 0.
    pub ri_uuid: [u8; 16],
    /// The time for which the task's threads have had a processor, in user mode and in the kernel.
    pub ri_user_time: u64,
    /// 0: Tally does not tell the kernel's time apart.
    pub ri_system_time: u64,
    /// Not measured: wake-ups, page-ins, sizes of memory, start and exit (`RUSAGE_INFO_V0`), children (`V1`), and input
    /// and output (`V2`).
    pub unmeasured_v2: [u64; 16],
    /// Not measured: the time by class, from `default` to `user_interactive` (`RUSAGE_INFO_V3`).
    pub ri_cpu_time_qos: [u64; 7],
    /// The time that other tasks have worked for this one.
    pub ri_billed_system_time: u64,
    /// The time that this task has worked for others.
    pub ri_serviced_system_time: u64,
    /// Not measured: writes, memory, instructions and cycles (`RUSAGE_INFO_V4`).
    pub unmeasured_v4: [u64; 4],
    /// The energy of what other tasks have done for this one.
    pub ri_billed_energy: u64,
    /// The energy of what this task has done for others.
    pub ri_serviced_energy: u64,
    /// Not measured: memory and runnable time (`RUSAGE_INFO_V4`), flags (`V5`), times and instructions on performance
    /// cores (`V6`).
    pub unmeasured_v6: [u64; 7],
    /// The energy of all that the task has done.
    pub ri_energy_nj: u64,
    /// Not measured: the rest.
    pub rest: [u64; 15],
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn the_fields_are_where_programs_expect_them() {
        let offsets = [
            offset_of!(RusageInfo, ri_user_time),
            offset_of!(RusageInfo, ri_system_time),
            offset_of!(RusageInfo, ri_cpu_time_qos),
            offset_of!(RusageInfo, ri_billed_system_time),
            offset_of!(RusageInfo, ri_serviced_system_time),
            offset_of!(RusageInfo, ri_billed_energy),
            offset_of!(RusageInfo, ri_serviced_energy),
            offset_of!(RusageInfo, ri_energy_nj),
        ];
        assert_eq!(offsets, [16, 24, 160, 216, 224, 264, 272, 336]);
        assert_eq!(size_of::<RusageInfo>(), 464);
        assert!(RUSAGE_INFO_SIZES.is_sorted());
    }
}
