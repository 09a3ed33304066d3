//! Interrupts: exceptions of user code and of the kernel, the timer, and serial lines.

use super::entry::{Registers, fatal_vector, vector, vector_with_error};
use super::panic::panic_with;
use super::segments::{DOUBLE_FAULT_STACK, MACHINE_CHECK_STACK, NMI_STACK};
use super::system;
use super::user_memory;
use abi::task::Exception;
use kernel::machine::GUARD_END;
use kernel::trap_frame::TrapFrame;
use spin::Once;
use x86_64::registers::control::Cr2;
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::{PrivilegeLevel, VirtAddr};

/// The vector of the timer's interrupt.
pub const TIMER: u8 = 0x20;
/// The vector of the interrupt controller's own errors.
pub const APIC_ERROR: u8 = 0x21;
/// The vector of the serial lines' interrupts.
pub const LINE: u8 = 0x22;
/// The vector of interrupts that have gone before they were taken.
pub const SPURIOUS: u8 = 0xFF;

const DEVICE_NOT_AVAILABLE: u8 = 7;
const PAGE_FAULT: u8 = 14;

static IDT: Once<InterruptDescriptorTable> = Once::new();

/// Loads the interrupt descriptor table.
pub fn set_up() {
    IDT.call_once(table).load();
}

fn table() -> InterruptDescriptorTable {
    let mut idt = InterruptDescriptorTable::new();
    macro_rules! set {
        ($($gate:ident => $handler:expr $(, $option:ident $value:expr)?;)+) => {
            // SAFETY: Each handler keeps what it interrupts, or never returns, and takes as many error codes as the
            // processor pushes for its vector. Interrupts stay off. A special stack serves one vector alone.
            $(unsafe {
                idt.$gate.set_handler_addr(VirtAddr::from_ptr($handler as *const ()))$(.$option($value))?;
            })+
        };
    }
    set! {
        divide_error => vector::<0>;
        debug => vector::<1>;
        non_maskable_interrupt => fatal_vector::<2, 0>, set_stack_index NMI_STACK;
        breakpoint => vector::<3>, set_privilege_level PrivilegeLevel::Ring3;
        overflow => vector::<4>;
        bound_range_exceeded => vector::<5>;
        invalid_opcode => vector::<6>;
        device_not_available => vector::<DEVICE_NOT_AVAILABLE>;
        double_fault => fatal_vector::<8, 1>, set_stack_index DOUBLE_FAULT_STACK;
        invalid_tss => vector_with_error::<10>;
        segment_not_present => vector_with_error::<11>;
        stack_segment_fault => vector_with_error::<12>;
        general_protection_fault => vector_with_error::<13>;
        page_fault => vector_with_error::<PAGE_FAULT>;
        x87_floating_point => vector::<16>;
        alignment_check => vector_with_error::<17>;
        machine_check => fatal_vector::<18, 0>, set_stack_index MACHINE_CHECK_STACK;
        simd_floating_point => vector::<19>;
        virtualization => vector::<20>;
        cp_protection_exception => vector_with_error::<21>;
    }
    let interrupts = [
        (TIMER, vector::<TIMER> as extern "C" fn() -> !),
        (APIC_ERROR, vector::<APIC_ERROR>),
        (LINE, vector::<LINE>),
        (SPURIOUS, vector::<SPURIOUS>),
    ];
    for (number, handler) in interrupts {
        // SAFETY: As above; the processor pushes no error codes for interrupts.
        unsafe { idt[number].set_handler_addr(VirtAddr::from_ptr(handler as *const ())) };
    }
    idt
}

/// Returns the kind of exception that a vector is for the task. The kinds are those of Mach systems on this processor.
fn exception_kind(vector: u8) -> Exception {
    match vector {
        0 | 4 | 16 | 19 => Exception::Arithmetic,
        1 | 3 => Exception::Breakpoint,
        6 => Exception::BadInstruction,
        _ => Exception::BadAccess,
    }
}

/// Handles an interrupt or exception of user code. Returns the frame of the thread that runs next.
///
/// `frame` is the running thread's. Interrupts are off and the kernel's stack was empty.
pub extern "C" fn handle_interrupt(frame: *const TrapFrame) -> *mut TrapFrame {
    // SAFETY: The entry code has just filled these fields, and no other reference to the frame is in use.
    let vector = unsafe { (*frame).cause } as u8;
    match vector {
        // The kernel looks for input and output whenever it handles the timer's interrupt.
        TIMER | LINE => system::handle_timer(),
        APIC_ERROR => panic!("the interrupt controller reports an error"),
        SPURIOUS => system::go_on(),
        DEVICE_NOT_AVAILABLE => system::give_fpu(),
        _ => {
            let address = if vector == PAGE_FAULT { Cr2::read_raw() } else { 0 };
            system::handle_exception(exception_kind(vector), vector, address)
        }
    }
}

/// Handles an interrupt or exception of the kernel: a fault while it copies user memory, the end of the processor's
/// sleep, or a panic.
pub extern "C" fn handle_kernel_interrupt(registers: &mut Registers) {
    let address = Cr2::read_raw();
    match registers.cause as u8 {
        // The sleep is over. The idle loop does the rest.
        TIMER | LINE => system::timer_while_idle(),
        SPURIOUS => {}
        PAGE_FAULT
            if address < GUARD_END
                && let Some(target) = user_memory::fixup(registers.rip) =>
        {
            registers.rip = target;
        }
        PAGE_FAULT => {
            panic_with(registers, format_args!("the kernel accessed {address:#x} (error {:#x})", registers.error))
        }
        2 => panic_with(registers, format_args!("non-maskable interrupt")),
        8 => panic_with(registers, format_args!("double fault: the kernel's stack may have overflowed")),
        18 => panic_with(registers, format_args!("machine check: the hardware reports a fault of its own")),
        vector => {
            panic_with(registers, format_args!("exception {vector} in the kernel (error {:#x})", registers.error))
        }
    }
}
