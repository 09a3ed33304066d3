//! FPU state: the vector and floating-point registers of threads.
//!
//! The kernel is compiled without such registers. They hold the running thread's values once it has used them since it
//! was chosen, or when it is known to use them; otherwise they hold the [initial](FpuState::INITIAL) values, and the
//! flag "task switched" makes the first use an exception (`interrupts::DEVICE_NOT_AVAILABLE`). So no thread ever runs
//! with another one's values in the registers, not even where it could not read them: a processor that looks at the
//! registers ahead of the exception (LazyFP) finds nothing of anybody.
//!
//! A thread that is interrupted keeps all of its values. A thread that leaves the processor in a trap keeps its
//! control words alone, and finds initial values in all other registers: after a trap those are unspecified (errata
//! 6). Two programs that call each other are thus spared storing and loading 512 bytes each way.

use core::arch::asm;
use core::arch::x86_64::{_fxrstor64, _fxsave64};
use kernel::trap_frame::{Extended, FpuState, TrapFrame};
use x86_64::registers::control::{Cr0, Cr0Flags};

static INITIAL: FpuState = FpuState::INITIAL;

/// Gives the registers their initial values, which no thread has used yet.
pub fn start() {
    withhold();
}

/// Gives the registers, with their initial values, to the running thread.
pub fn allow() {
    // SAFETY: The flag says only whether using the registers is an exception; the kernel does not use them.
    unsafe { asm!("clts", options(nomem, nostack, preserves_flags)) };
}

/// Takes the registers away from threads.
#[cold]
fn withhold() {
    load(&INITIAL);
    // SAFETY: As for `allow`.
    unsafe { Cr0::update(|cr0| cr0.insert(Cr0Flags::TASK_SWITCHED)) };
}

/// Exchanges the registers between two threads. `left` ran before, if it has not ended, and had the use of the
/// registers if they were `held`.
#[inline(always)]
pub fn exchange(held: bool, left: Option<&mut TrapFrame>, next: &TrapFrame) {
    if held && let Some(left) = left {
        store(left);
    }
    if next.extended.contains(Extended::FPU) {
        if !held {
            allow();
        }
        if next.is_in_trap() { load_for_trap(next) } else { load(&next.fpu) }
    } else if held {
        withhold();
    }
}

/// The same for two threads that both use the registers and are in traps.
#[inline(always)]
pub fn exchange_in_traps(left: &mut TrapFrame, next: &TrapFrame) {
    store_control_words(&mut left.fpu);
    load_for_trap(next);
}

/// Stores of a thread's values those that it keeps.
#[inline(always)]
fn store(frame: &mut TrapFrame) {
    if frame.is_in_trap() {
        store_control_words(&mut frame.fpu);
    } else {
        // SAFETY: `FpuState` has the size and alignment that the instruction wants; the registers are usable now.
        unsafe { _fxsave64(frame.fpu.0.as_mut_ptr()) }
    }
}

/// Loads the values that a thread finds after a trap.
#[inline(always)]
fn load_for_trap(frame: &TrapFrame) {
    load(&INITIAL);
    load_control_words(&frame.fpu);
}

#[inline(always)]
fn load(state: &FpuState) {
    // Some processors load the addresses of the last floating-point instruction and its operand only while an
    // exception is pending (AMD64 APM vol. 2, 11.4.4): without the reset they would tell those of another task.
    // SAFETY: The registers are usable now, and all of them are loaded next.
    unsafe { asm!("fninit", options(nomem, nostack, preserves_flags)) };
    // SAFETY: As for `store`. The values come from there or are the initial ones, so no reserved bit is set.
    unsafe { _fxrstor64(state.0.as_ptr()) }
}

#[inline(always)]
fn store_control_words(state: &mut FpuState) {
    let at = state.0.as_mut_ptr();
    // SAFETY: Both places are in `state`; the registers are usable now, and neither instruction waits for exceptions.
    unsafe {
        asm!(
            "fnstcw [{at} + {control_word}]",
            "stmxcsr [{at} + {mxcsr}]",
            at = in(reg) at,
            control_word = const FpuState::CONTROL_WORD,
            mxcsr = const FpuState::MXCSR,
            options(nostack, preserves_flags),
        );
    }
}

#[inline(always)]
fn load_control_words(state: &FpuState) {
    let at = state.0.as_ptr();
    // SAFETY: The registers are usable now. The values were stored by `store_control_words` or `_fxsave64`, so no
    // reserved bit is set; no exception is pending, because the state has just been loaded.
    unsafe {
        asm!(
            "fldcw [{at} + {control_word}]",
            "ldmxcsr [{at} + {mxcsr}]",
            at = in(reg) at,
            control_word = const FpuState::CONTROL_WORD,
            mxcsr = const FpuState::MXCSR,
            options(nostack, readonly, preserves_flags),
        );
    }
}
