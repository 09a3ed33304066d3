//! Panics: a broken invariant, or an exception in the kernel.
//!
//! This path takes no lock, allocates nothing, and does not recurse: a panic inside it leaves at once.

use super::STACK_SIZE;
use super::entry::Registers;
use super::per_cpu;
use super::serial::Serial;
use super::symbols;
use super::system;
use abi::inspect::{ThreadRecord, wait};
use core::arch::asm;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::backtrace::return_addresses;
use kernel::kernel::Kernel;
use rustc_demangle::demangle;
use x86_64::instructions::{hlt, interrupts, port::Port};
use x86_64::registers::control::{Cr2, Cr3};

/// QEMU's device `isa-debug-exit`.
const EXIT_PORT: u16 = 0xF4;

/// Why the machine stops, as the values that `isa-debug-exit` gets.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Exit {
    /// The first task has ended.
    Shutdown = 0x10,
    /// The kernel has panicked.
    Panic = 0x11,
}

/// Leaves QEMU; on other machines the processor sleeps for ever.
pub fn leave(how: Exit) -> ! {
    // SAFETY: On a machine with the device this ends QEMU; elsewhere the port is unassigned.
    unsafe { Port::<u32>::new(EXIT_PORT).write(how as u32) };
    interrupts::disable();
    loop {
        hlt();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => report(None, format_args!("{} ({}:{})", info.message(), place.file(), place.line())),
        None => report(None, format_args!("{}", info.message())),
    }
}

/// Panics with a message about an exception, and with the registers that the kernel had.
pub fn panic_with(registers: &Registers, message: fmt::Arguments<'_>) -> ! {
    report(Some(registers), message)
}

fn report(registers: Option<&Registers>, message: fmt::Arguments<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    interrupts::disable();
    if !PANICKING.swap(true, Ordering::Relaxed)
        && let Some(mut log) = Serial::in_emergency()
    {
        // SAFETY: After the report the machine stops.
        let system = unsafe { system::in_emergency() };
        let mut unsent = system.iter().flat_map(|(_, machine)| machine.unsent());
        // What was written to the line of the report comes before it. The other line may have nobody who reads it.
        let mut send_next = || {
            if let Some((port, parts)) = unsent.next()
                && let Some(mut line) = Serial::at_the_end(port)
            {
                parts.iter().for_each(|part| line.send_all(part));
            }
        };
        send_next();
        // Writing to a serial line cannot fail.
        let _ = write_report(&mut log, registers, message, system.map(|(kernel, _)| kernel));
        send_next();
    }
    leave(Exit::Panic)
}

fn write_report(
    log: &mut Serial,
    registers: Option<&Registers>,
    message: fmt::Arguments<'_>,
    kernel: Option<&Kernel>,
) -> fmt::Result {
    writeln!(log, "tally: panic: {message}")?;
    let rbp = match registers {
        Some(registers) => {
            write_registers(log, registers)?;
            write_function(log, registers.rip)?;
            registers.rbp()
        }
        None => frame_pointer(),
    };
    writeln!(log, "tally:   cr2 {:016x}  cr3 {:016x}", Cr2::read_raw(), Cr3::read().0.start_address())?;
    // A register of user code may point to anything.
    if !registers.is_some_and(Registers::are_users) {
        write_backtrace(log, rbp)?;
    }
    match kernel {
        Some(kernel) if kernel.is_booted_with("--dump-on-panic") => write_threads(log, kernel),
        _ => Ok(()),
    }
}

/// Writes what each thread waits for. The kernel is in the middle of something, so this may panic; then the machine
/// stops.
fn write_threads(log: &mut Serial, kernel: &Kernel) -> fmt::Result {
    for thread in kernel.thread_records() {
        let ThreadRecord { thread: number, pid, base, priority, .. } = thread;
        let (waits_for, object) = match thread.wait {
            wait::NONE => ("runs", None),
            wait::READY => ("is ready", None),
            wait::SUSPENDED => ("is suspended", None),
            wait::CLOCK => ("waits for a point in time", None),
            wait::INPUT => ("waits for input", None),
            wait::OUTPUT => ("waits for room at the console", None),
            wait::WORD => ("waits for a change of a word", None),
            wait::RECEIVE_PORT => ("waits for a message on port p", Some(thread.wait_object)),
            wait::RECEIVE_SET => ("waits for a message on set s", Some(thread.wait_object)),
            wait::SEND => ("waits for room on port p", Some(thread.wait_object)),
            _ => ("waits", None),
        };
        write!(log, "tally:   thread t{number} of pid {pid}, base {base}, at {priority}: {waits_for}")?;
        match object {
            Some(object) => writeln!(log, "{}.{}", object as u32, object >> 32)?,
            None => writeln!(log)?,
        }
    }
    Ok(())
}

fn write_registers(log: &mut Serial, registers: &Registers) -> fmt::Result {
    for (number, (name, value)) in Registers::NAMES.iter().zip(registers.general).rev().enumerate() {
        let separator = if number % 4 == 0 { "tally:  " } else { "" };
        let end = if number % 4 == 3 { "\n" } else { "" };
        write!(log, "{separator} {name:>3} {value:016x}{end}")?;
    }
    let Registers { rip, rflags, rsp, .. } = registers;
    writeln!(log, "\ntally:   rip {rip:016x} rsp {rsp:016x} rflags {rflags:08x}")
}

/// Writes the functions on the kernel's stack. The chain ends where user code entered the kernel, or at `rbp` already
/// if the entry code had not got as far as setting it.
fn write_backtrace(log: &mut Serial, rbp: u64) -> fmt::Result {
    let top = per_cpu::stack();
    let stack = top.saturating_sub(STACK_SIZE)..top;
    let read = |address: u64| {
        // SAFETY: The address is that of a word of the kernel's stack, which is mapped.
        unsafe { core::ptr::with_exposed_provenance::<u64>(address as usize).read() }
    };
    // A return address may lie behind the end of a function: one that does not return is called last.
    return_addresses(stack, rbp, read).try_for_each(|address| write_function(log, address.wrapping_sub(1)))
}

fn write_function(log: &mut Serial, address: u64) -> fmt::Result {
    match symbols::function_at(address) {
        Some((name, offset)) => writeln!(log, "tally:   at {address:016x} {:#}+{offset:#x}", demangle(name)),
        None => writeln!(log, "tally:   at {address:016x}"),
    }
}

fn frame_pointer() -> u64 {
    let rbp: u64;
    // SAFETY: Reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    rbp
}
