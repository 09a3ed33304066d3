//! The local APIC (advanced programmable interrupt controller): the timer's one-shot interrupts.
//!
//! The controller stays in the mode in which the firmware left it. With registers in memory (xAPIC) it does all that
//! one processor needs, and everywhere: QEMU ends a machine whose instructions it counts (`-icount`) when the timer is
//! used through model-specific registers.

use super::frame_allocator::PhysicalMap;
use super::interrupts::{APIC_ERROR, SPURIOUS, TIMER};
use kernel::machine::Nanos;
use kernel::rate::Rate;
use x86_64::instructions::port::Port;
use x86_64::registers::model_specific::{ApicBase, ApicBaseFlags, Msr};

/// The data ports of the two old interrupt controllers.
const PICS: [u16; 2] = [0x21, 0xA1];

/// Registers, as offsets in memory (Intel SDM vol. 3, table 11-1).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
enum Register {
    Id = 0x20,
    TaskPriority = 0x80,
    EndOfInterrupt = 0xB0,
    SpuriousVector = 0xF0,
    ErrorStatus = 0x280,
    Timer = 0x320,
    Pin0 = 0x350,
    Pin1 = 0x360,
    Error = 0x370,
    TimerInitialCount = 0x380,
    TimerCount = 0x390,
    TimerDivide = 0x3E0,
}

/// In [`Register::SpuriousVector`], beside the vector: the controller works.
const ENABLED: u32 = 1 << 8;
/// In the registers of interrupt sources: the source is silent.
const MASKED: u32 = 1 << 16;
/// In the registers of interrupt sources: it raises a non-maskable interrupt, without a vector.
const NON_MASKABLE: u32 = 0b100 << 8;
/// In [`Register::TimerDivide`]: one tick in 16 of the controller's clock.
const DIVIDE_BY_16: u32 = 0b0011;

/// The first model-specific register of the controller; each 16 bytes in memory are one.
const MODEL_SPECIFIC: u32 = 0x800;

/// How the controller's registers are reached.
#[derive(Clone, Copy, Debug)]
enum Access {
    /// In memory, from this physical address on (xAPIC).
    Memory(PhysicalMap, u64),
    /// As model-specific registers (x2APIC).
    ModelSpecific,
}

/// The timer and its interrupt.
#[derive(Debug)]
pub struct Apic {
    access: Access,
}

impl Apic {
    /// Silences the old interrupt controllers and starts the new one, with its timer counting down from the top.
    pub fn start(physical_map: PhysicalMap) -> Apic {
        for port in PICS {
            // SAFETY: These are the mask registers; no driver expects interrupts from there.
            unsafe { Port::<u8>::new(port).write(0xFF) };
        }
        let (base, flags) = ApicBase::read();
        assert!(flags.contains(ApicBaseFlags::LAPIC_ENABLE), "the firmware has turned the local APIC off");
        let access = if flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
            Access::ModelSpecific
        } else {
            Access::Memory(physical_map, base.start_address().as_u64())
        };
        let mut apic = Apic { access };
        // The old controllers are at the first pin, non-maskable interrupts at the second.
        for (register, value) in [
            (Register::TaskPriority, 0),
            (Register::Pin0, MASKED),
            (Register::Pin1, NON_MASKABLE),
            (Register::ErrorStatus, 0),
            (Register::Error, APIC_ERROR.into()),
            (Register::SpuriousVector, ENABLED | u32::from(SPURIOUS)),
            // Without further bits the timer raises its interrupt once for each initial count.
            (Register::Timer, TIMER.into()),
            (Register::TimerDivide, DIVIDE_BY_16),
            (Register::TimerInitialCount, u32::MAX),
        ] {
            apic.write(register, value);
        }
        apic
    }

    /// Returns the controller's number, to which the interrupts of devices are sent.
    pub fn id(&self) -> u32 {
        match self.access {
            Access::Memory(..) => self.read(Register::Id) >> 24,
            Access::ModelSpecific => self.read(Register::Id),
        }
    }

    /// Returns the timer's count, which goes down.
    pub fn count(&self) -> u32 {
        self.read(Register::TimerCount)
    }

    fn read(&self, register: Register) -> u32 {
        match self.access {
            // SAFETY: The register is there, mapped uncached like all devices, and reading it has no effect.
            Access::Memory(map, base) => unsafe { map.address::<u32>(base + register as u64).read_volatile() },
            // SAFETY: The register is there in this mode, and reading it has no effect.
            Access::ModelSpecific => unsafe { Msr::new(model_specific(register)).read() as u32 },
        }
    }

    /// Raises the interrupt after `from_now`; if that is too long for the counter, earlier.
    pub fn set_timer(&mut self, rate: Rate, from_now: Nanos) {
        self.write(Register::TimerInitialCount, rate.timer_count(from_now));
    }

    /// Lets the next interrupt come. Called by the handler of an interrupt of this controller.
    pub fn end_of_interrupt(&mut self) {
        self.write(Register::EndOfInterrupt, 0);
    }

    fn write(&mut self, register: Register, value: u32) {
        match self.access {
            // SAFETY: The register is there, mapped uncached like all devices, and belongs to `self`. No value lets
            // the controller write to memory, and each interrupt that it may raise has a handler.
            Access::Memory(map, base) => unsafe { map.address::<u32>(base + register as u64).write_volatile(value) },
            // SAFETY: The same, in this mode.
            Access::ModelSpecific => unsafe { Msr::new(model_specific(register)).write(value.into()) },
        }
    }
}

fn model_specific(register: Register) -> u32 {
    MODEL_SPECIFIC + register as u32 / 16
}
