//! Per-processor data, which the assembly at the kernel's border reaches through the `gs` segment.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use kernel::trap_frame::TrapFrame;
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;
use x86_64::structures::tss::TaskStateSegment;

/// The block. `gs` points to it while the kernel runs; the user's base is swapped in on the way out.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct PerCpu {
    /// The user's stack pointer, for the few instructions before it is in the frame.
    user_rsp: u64,
    /// The running thread's frame.
    frame: *mut TrapFrame,
    /// The top of the kernel's stack, which is empty while user code runs.
    stack: u64,
    /// The stacks on which the processor pushes. For interrupts of user code that is the running thread's frame.
    tss: TaskStateSegment,
}

impl PerCpu {
    pub const USER_RSP: usize = offset_of!(PerCpu, user_rsp);
    pub const FRAME: usize = offset_of!(PerCpu, frame);
    pub const STACK: usize = offset_of!(PerCpu, stack);
    /// The stack for interrupts from user code: the first of the privilege stacks.
    pub const INTERRUPT_STACK: usize = offset_of!(PerCpu, tss) + offset_of!(TaskStateSegment, privilege_stack_table);
}

/// The block of the only processor.
struct Block(UnsafeCell<PerCpu>);

// SAFETY: Once it is set up only the processor's own entry and exit code touches it, with interrupts off.
unsafe impl Sync for Block {}

static BLOCK: Block = Block(UnsafeCell::new(PerCpu {
    user_rsp: 0,
    frame: core::ptr::null_mut(),
    stack: 0,
    tss: TaskStateSegment::new(),
}));

/// Fills the block and points `gs` to it. Returns the task state segment in it.
///
/// `stack` is the top of the kernel's stack, `special_stacks` are those of the interrupt stack table.
pub fn set_up(stack: u64, special_stacks: &[VirtAddr]) -> *const TaskStateSegment {
    let block = BLOCK.0.get();
    // SAFETY: The processor does not use the block yet.
    let block = unsafe { &mut *block };
    block.stack = stack;
    // Field by field: the structure is packed.
    let mut table = block.tss.interrupt_stack_table;
    table[..special_stacks.len()].copy_from_slice(special_stacks);
    block.tss.interrupt_stack_table = table;
    GsBase::write(VirtAddr::from_ptr(block));
    &raw const block.tss
}

/// Returns the top of the kernel's stack; 0 before there is a block.
pub fn stack() -> u64 {
    // SAFETY: The field is written once, by `set_up`, and no reference to the block exists after that.
    unsafe { (*BLOCK.0.get()).stack }
}

/// Returns the frame of the thread that runs or ran last on this processor.
#[inline]
pub fn running_frame() -> *mut TrapFrame {
    let frame;
    // SAFETY: Reads a field of the block, to which `gs` points while the kernel runs.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) frame, const PerCpu::FRAME, options(nostack, readonly, preserves_flags))
    };
    frame
}
