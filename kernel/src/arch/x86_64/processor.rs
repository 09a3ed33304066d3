//! The processor's features and modes.

use core::arch::x86_64::{_rdrand64_step, _rdtsc};
use core::fmt;
use raw_cpuid::CpuId;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};

/// How often to ask for a random number before doing without.
const RANDOM_TRIES: u32 = 10;

/// The optional features of this processor that the kernel uses.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Pages that cannot be executed. The boot loader demands it.
    pub no_execute: bool,
    /// The kernel cannot execute user pages.
    pub smep: bool,
    /// The kernel cannot touch user pages by accident.
    pub smap: bool,
    /// User code cannot read the addresses of the descriptor tables.
    pub umip: bool,
    /// The kernel's pages stay in the TLB when the address space changes.
    pub global_pages: bool,
    /// Faults of the hardware are an exception. Without it they reset the machine.
    pub machine_check: bool,
    /// Random numbers.
    random: bool,
}

impl Features {
    /// Detects the features with CPUID.
    pub fn detect() -> Features {
        let cpuid = CpuId::new();
        let basic = cpuid.get_feature_info();
        let extended = cpuid.get_extended_feature_info();
        let amd = cpuid.get_extended_processor_and_feature_identifiers();
        Features {
            no_execute: amd.is_some_and(|info| info.has_execute_disable()),
            smep: extended.as_ref().is_some_and(|info| info.has_smep()),
            smap: extended.as_ref().is_some_and(|info| info.has_smap()),
            umip: extended.as_ref().is_some_and(|info| info.has_umip()),
            global_pages: basic.as_ref().is_some_and(|info| info.has_pge()),
            machine_check: basic.as_ref().is_some_and(|info| info.has_mce()),
            random: basic.as_ref().is_some_and(|info| info.has_rdrand()),
        }
    }

    /// Returns an unpredictable number other than 0.
    pub fn random_number(&self) -> u64 {
        let hardware = || {
            let mut number = 0;
            // SAFETY: The processor has the instruction.
            (unsafe { _rdrand64_step(&mut number) } == 1).then_some(number)
        };
        // The source may run dry for a moment, or be broken (Intel SDM vol. 1, 7.3.17).
        let number = self.random.then(|| (0..RANDOM_TRIES).find_map(|_| hardware())).flatten();
        // SAFETY: Every 64-bit processor has the instruction.
        number.unwrap_or_else(|| unsafe { _rdtsc() }) | 1
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.no_execute, "NX"),
            (self.smep, "SMEP"),
            (self.smap, "SMAP"),
            (self.umip, "UMIP"),
            (self.global_pages, "global pages"),
        ];
        let mut separator = "";
        for (_, name) in flags.iter().filter(|(present, _)| *present) {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Turns on the features that are there.
pub fn set_up(features: &Features) {
    assert!(features.no_execute, "this processor cannot keep data from being executed");
    let optional = [
        (features.smep, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (features.smap, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (features.umip, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        (features.global_pages, Cr4Flags::PAGE_GLOBAL),
        (features.machine_check, Cr4Flags::MACHINE_CHECK_EXCEPTION),
    ];
    // FSXR: user code may use SSE. Not OSXSAVE: there is no room for wider registers in a frame.
    let mut cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    optional.iter().filter(|(present, _)| *present).for_each(|(_, flag)| cr4 |= *flag);
    // SAFETY: The processor has each feature that is turned on, and no code or data of the kernel is in user pages.
    unsafe {
        Efer::update(|efer| *efer |= EferFlags::NO_EXECUTE_ENABLE | EferFlags::SYSTEM_CALL_EXTENSIONS);
        Cr0::update(|cr0| {
            cr0.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::ALIGNMENT_MASK);
            cr0.insert(Cr0Flags::WRITE_PROTECT | Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::NUMERIC_ERROR);
            cr0.remove(Cr0Flags::TASK_SWITCHED);
        });
        Cr4::write(cr4);
    }
}
