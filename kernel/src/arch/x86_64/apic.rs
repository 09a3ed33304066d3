//! The local interrupt controller: the timer's one-shot interrupts.

use super::clock::Rate;
use super::frame_allocator::PhysicalMap;
use super::interrupts::{APIC_ERROR, SPURIOUS, TIMER};
use kernel::machine::Nanos;
use x2apic::lapic::{LocalApic, LocalApicBuilder, TimerDivide, TimerMode, xapic_base};
use x86_64::instructions::port::Port;
use x86_64::registers::model_specific::Msr;

/// The data ports of the two old interrupt controllers.
const PICS: [u16; 2] = [0x21, 0xA1];

/// The controller's two input pins in its registers, as offsets in memory.
const PINS: [u64; 2] = [0x350, 0x360];
/// What they are for: nothing, because that is where the old controllers are; and non-maskable interrupts.
const PINS_ARE_FOR: [u32; 2] = [1 << 16, 0b100 << 8];

/// The register that says whether the controller's registers are model-specific ones instead.
const APIC_BASE: Msr = Msr::new(0x1B);
const X2APIC: u64 = 1 << 10;
const X2APIC_REGISTERS: u64 = 0x800;

/// The timer and its interrupt.
#[derive(Debug)]
pub struct Apic {
    local: LocalApic,
}

// SAFETY: Each processor has its own controller at the same address. There is only one processor, so it is always the
// same controller.
unsafe impl Send for Apic {}
const _: () = assert!(kernel::limits::CPUS_MAX == 1, "several processors need an `Apic` each");

impl Apic {
    /// Silences the old interrupt controllers and starts the new one, with its timer counting down from the top.
    pub fn start(physical_map: PhysicalMap) -> Apic {
        for port in PICS {
            // SAFETY: These are the mask registers; nobody expects interrupts from there.
            unsafe { Port::<u8>::new(port).write(0xFF) };
        }
        let mut builder = LocalApicBuilder::new();
        builder.timer_vector(TIMER.into()).error_vector(APIC_ERROR.into()).spurious_vector(SPURIOUS.into());
        builder.timer_mode(TimerMode::OneShot).timer_divide(TimerDivide::Div16).timer_initial(u32::MAX);
        // SAFETY: The model-specific register with the base is there on every 64-bit processor; devices are in the
        // physical map too, uncached.
        let registers = physical_map.address::<u8>(unsafe { xapic_base() });
        builder.set_xapic_base(registers as u64);
        let mut local = builder.build().expect("everything that the builder wants has been set");
        // SAFETY: All three vectors have handlers.
        unsafe { local.enable() };
        set_pins(registers);
        Apic { local }
    }

    /// The timer's count, which goes down.
    pub fn count(&self) -> u32 {
        // SAFETY: Reading has no effect.
        unsafe { self.local.timer_current() }
    }

    /// Raises the interrupt in so much time; if that is too long for the counter, earlier.
    pub fn set_timer(&mut self, rate: Rate, from_now: Nanos) {
        // One tick more, so that the time is really over.
        let ticks = rate.ticks(from_now).saturating_add(1).min(u64::from(u32::MAX));
        // SAFETY: The interrupt has a handler.
        unsafe { self.local.set_timer_initial(ticks as u32) };
    }

    /// Lets the next interrupt come.
    pub fn end_of_interrupt(&mut self) {
        // SAFETY: Called by the handler of an interrupt from here.
        unsafe { self.local.end_of_interrupt() };
    }
}

/// `LocalApic::enable` leaves the pins open, and with a vector that is an error.
fn set_pins(registers: *mut u8) {
    for (offset, what) in PINS.into_iter().zip(PINS_ARE_FOR) {
        // SAFETY: The registers are there in the one way or the other, and that of the pins allow what is written. The
        // vector of non-maskable interrupts has a handler.
        unsafe {
            if APIC_BASE.read() & X2APIC != 0 {
                Msr::new((X2APIC_REGISTERS + offset / 16) as u32).write(what.into());
            } else {
                registers.add(offset as usize).cast::<u32>().write_volatile(what);
            }
        }
    }
}
