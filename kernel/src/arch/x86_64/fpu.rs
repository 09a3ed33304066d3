//! Vector and floating-point registers: they stay with the thread that used them last until another thread uses them.
//!
//! The kernel is compiled without such registers, and many programs never touch them, so most thread switches have
//! nothing to do: while anybody but the owner runs, the flag "task switched" makes the first use an exception
//! (`interrupts::DEVICE_NOT_AVAILABLE`), which stores the owner's registers and loads the user's.

use core::arch::asm;
use core::arch::x86_64::{_fxrstor64, _fxsave64};
use kernel::ids::ThreadId;
use kernel::kernel::Kernel;
use kernel::trap_frame::FpuState;
use x86_64::registers::control::{Cr0, Cr0Flags};

/// Whose values the registers hold.
#[derive(Debug, Default)]
pub struct Fpu {
    owner: Option<ThreadId>,
    /// Whether the running thread may use them.
    usable: bool,
}

impl Fpu {
    /// To be called before a thread runs.
    #[inline]
    pub fn prepare_for(&mut self, thread: ThreadId) {
        let usable = self.owner == Some(thread);
        if usable != self.usable {
            self.set_usable(usable);
        }
    }

    #[cold]
    fn set_usable(&mut self, usable: bool) {
        self.usable = usable;
        // SAFETY: The flag says only whether using the registers is an exception; the kernel does not use them.
        unsafe { Cr0::update(|cr0| cr0.set(Cr0Flags::TASK_SWITCHED, !usable)) };
    }

    /// Gives the registers to the running thread, which has tried to use them.
    pub fn claim(&mut self, kernel: &mut Kernel, thread: ThreadId) {
        self.set_usable(true);
        let owner = self.owner.replace(thread);
        if owner == Some(thread) {
            return;
        }
        if let Some(frame) = owner.and_then(|owner| kernel.frame_if_alive(owner)) {
            store(&mut frame.fpu);
        }
        load(&kernel.context(thread).0.fpu);
    }
}

fn store(state: &mut FpuState) {
    // SAFETY: `FpuState` has the size and alignment that the instruction wants; the registers are usable now.
    unsafe { _fxsave64(state.0.as_mut_ptr()) }
}

fn load(state: &FpuState) {
    // Some processors load the addresses of the last floating-point instruction and its operand only while an exception
    // is pending (AMD64 APM vol. 2, 11.4.4): without the reset they would tell those of another task.
    // SAFETY: The registers are usable now, and all of them are loaded next.
    unsafe { asm!("fninit", options(nomem, nostack, preserves_flags)) };
    // SAFETY: As for `store`. The values come from `store` or are those of a fresh thread, so no reserved bit is set.
    unsafe { _fxrstor64(state.0.as_ptr()) }
}
