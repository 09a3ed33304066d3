//! Faults of programs: the task ends with a status that names the exception, and the kernel goes on.

use super::tests;
use crate::sys::{self, machine, registers};
use crate::task;
use abi::task::{Exception, ExitStatus, PAGE_SIZE, VM_PROT_EXECUTE, VM_PROT_READ};
use abi::trap::mach::TASK_SELF;
use machine::*;

const PAGE_FAULT: ExitStatus = ExitStatus::exception(Exception::BadAccess, 14);
const PROTECTION_FAULT: ExitStatus = ExitStatus::exception(Exception::BadAccess, 13);
const UNDEFINED: ExitStatus = ExitStatus::exception(Exception::BadInstruction, 6);
const DIVISION: ExitStatus = ExitStatus::exception(Exception::Arithmetic, 0);
const FLOATING_POINT: ExitStatus = ExitStatus::exception(Exception::Arithmetic, 16);
const BREAKPOINT: ExitStatus = ExitStatus::exception(Exception::Breakpoint, 3);
const SINGLE_STEP: ExitStatus = ExitStatus::exception(Exception::Breakpoint, 1);

tests! { "faults":
    an_undefined_instruction .ends(UNDEFINED),
    a_breakpoint .ends(BREAKPOINT),
    a_division_by_zero .ends(DIVISION),
    a_single_step .ends(SINGLE_STEP),
    turning_interrupts_off .ends(PROTECTION_FAULT),
    stopping_the_processor .ends(PROTECTION_FAULT),
    reading_a_control_register .ends(PROTECTION_FAULT),
    writing_a_model_specific_register .ends(PROTECTION_FAULT),
    output_to_a_device .ends(PROTECTION_FAULT),
    an_interrupt_gate_of_the_kernel .ends(PROTECTION_FAULT),
    an_interrupt_that_is_a_system_call_elsewhere .ends(PROTECTION_FAULT),
    a_return_from_a_system_call .ends(PROTECTION_FAULT),
    swapping_the_kernels_base .ends(PROTECTION_FAULT),
    a_segment_that_does_not_exist .ends(PROTECTION_FAULT),
    an_exception_with_every_flag_set .ends(UNDEFINED),
    a_breakpoint_behind_an_instruction_that_inhibits_it .ends(BREAKPOINT),
    a_single_step_over_a_trap .ends(SINGLE_STEP),
    a_single_step_over_a_trap_that_inhibits_it .ends(SINGLE_STEP),
    a_null_stack_segment .ends(PROTECTION_FAULT),
    the_kernels_stack_segment .ends(PROTECTION_FAULT),
    the_kernels_data_segment .ends(PROTECTION_FAULT),
    a_segment_of_a_local_table .ends(PROTECTION_FAULT),
    the_kernels_code_segment .ends(PROTECTION_FAULT),
    the_data_segment_as_code .ends(PROTECTION_FAULT),
    a_return_to_a_task_that_does_not_exist .ends(PROTECTION_FAULT),
    turning_interrupts_off_with_a_raised_privilege_level .ends(PROTECTION_FAULT),
    reading_the_address_of_the_interrupt_table .ends(PROTECTION_FAULT),
    reading_the_task_register .ends(PROTECTION_FAULT),
    loading_the_task_register .ends(PROTECTION_FAULT),
    setting_a_watchpoint .ends(PROTECTION_FAULT),
    reading_a_performance_counter .ends(PROTECTION_FAULT),
    invalidating_a_translation .ends(PROTECTION_FAULT),
    clearing_the_task_switched_flag .ends(PROTECTION_FAULT),
    setting_a_base_without_a_trap .ends(UNDEFINED),
    using_a_register_wider_than_the_kernel_saves .ends(UNDEFINED),
    setting_the_flag_for_access_to_user_memory .ends(UNDEFINED),
    a_pending_floating_point_exception .ends(FLOATING_POINT),
    reading_at_null .ends(PAGE_FAULT),
    writing_at_null .ends(PAGE_FAULT),
    reading_the_kernel .ends(PAGE_FAULT),
    writing_to_the_kernel .ends(PAGE_FAULT),
    jumping_into_the_kernel .ends(PAGE_FAULT),
    reading_an_address_that_is_not_canonical .ends(PROTECTION_FAULT),
    jumping_to_an_address_that_is_not_canonical .ends(PROTECTION_FAULT),
    jumping_to_null .ends(PAGE_FAULT),
    writing_to_the_programs_text .ends(PAGE_FAULT),
    executing_data .ends(PAGE_FAULT),
    executing_the_stack .ends(PAGE_FAULT),
    reading_memory_that_was_given_back .ends(PAGE_FAULT),
    writing_to_memory_made_read_only .ends(PAGE_FAULT),
    reading_memory_without_rights .ends(PAGE_FAULT),
    overflowing_the_stack .ends(PAGE_FAULT),
    pushing_without_a_stack .ends(PAGE_FAULT),
    a_trap_at_the_end_of_the_users_half .ends(UNDEFINED),
    a_trap_without_a_stack .ends(UNDEFINED),
    a_trap_that_does_not_exist .ends(ExitStatus::BAD_TRAP),
    a_class_of_traps_that_does_not_exist .ends(ExitStatus::BAD_TRAP),
}

fn an_undefined_instruction() {
    undefined();
}

fn a_breakpoint() {
    breakpoint();
}

fn a_division_by_zero() {
    divide_by_zero();
}

fn a_single_step() {
    single_step();
}

fn turning_interrupts_off() {
    disable_interrupts();
}

fn stopping_the_processor() {
    halt();
}

fn reading_a_control_register() {
    read_control_register();
}

fn writing_a_model_specific_register() {
    write_model_register();
}

/// The device is the one by which the kernel ends QEMU.
fn output_to_a_device() {
    write_port();
}

fn an_interrupt_gate_of_the_kernel() {
    software_interrupt();
}

fn an_interrupt_that_is_a_system_call_elsewhere() {
    old_system_call();
}

fn a_return_from_a_system_call() {
    system_return();
}

fn swapping_the_kernels_base() {
    swap_base();
}

fn a_segment_that_does_not_exist() {
    bad_segment();
}

/// The kernel copies the exit message with the direction flag clear.
fn an_exception_with_every_flag_set() {
    undefined_with_flags();
}

/// The processor must not take the exception in the kernel.
fn a_breakpoint_behind_an_instruction_that_inhibits_it() {
    breakpoint_in_shadow();
}

/// The debug exception comes behind the trap, not in the kernel.
fn a_single_step_over_a_trap() {
    single_step_over_trap();
}

fn a_single_step_over_a_trap_that_inhibits_it() {
    single_step_over_trap_in_shadow();
}

fn a_null_stack_segment() {
    null_stack_segment();
}

fn the_kernels_stack_segment() {
    kernel_stack_segment();
}

fn the_kernels_data_segment() {
    kernel_data_segment();
}

fn a_segment_of_a_local_table() {
    local_segment();
}

fn the_kernels_code_segment() {
    kernel_code_segment();
}

fn the_data_segment_as_code() {
    data_as_code_segment();
}

fn a_return_to_a_task_that_does_not_exist() {
    return_to_outer_task();
}

fn turning_interrupts_off_with_a_raised_privilege_level() {
    disable_interrupts_with_privilege();
}

fn reading_the_address_of_the_interrupt_table() {
    interrupt_table();
}

fn reading_the_task_register() {
    task_register();
}

fn loading_the_task_register() {
    load_task_register();
}

fn setting_a_watchpoint() {
    debug_register();
}

fn reading_a_performance_counter() {
    performance_counter();
}

fn invalidating_a_translation() {
    invalidate_page();
}

fn clearing_the_task_switched_flag() {
    clear_task_switched();
}

fn setting_a_base_without_a_trap() {
    write_base();
}

fn using_a_register_wider_than_the_kernel_saves() {
    wide_vector_register();
}

fn setting_the_flag_for_access_to_user_memory() {
    set_access_flag();
}

fn a_pending_floating_point_exception() {
    registers::leave_exception_pending();
    registers::wait_for_pending_exception();
}

fn reading_at_null() {
    read(0);
}

fn writing_at_null() {
    write(0x10, 1);
}

const KERNEL: u64 = 0xFFFF_FFFF_8000_0000;

fn reading_the_kernel() {
    read(KERNEL);
}

fn writing_to_the_kernel() {
    write(KERNEL + 0x1000, 0);
}

fn jumping_into_the_kernel() {
    jump(KERNEL + 0x1000);
}

fn reading_an_address_that_is_not_canonical() {
    read_not_canonical();
}

fn jumping_to_an_address_that_is_not_canonical() {
    jump_not_canonical();
}

fn jumping_to_null() {
    jump(0);
}

fn writing_to_the_programs_text() {
    write(writing_to_the_programs_text as *const () as u64, 0xC3);
}

fn executing_data() {
    static mut RETURN: u8 = 0xC3;
    jump((&raw const RETURN) as u64);
}

fn executing_the_stack() {
    let code = [0xC3u8; 16];
    jump(code.as_ptr() as u64);
}

fn reading_memory_that_was_given_back() {
    let at = task::allocate(PAGE_SIZE).expect("there is memory");
    write(at, 1);
    task::deallocate(at, PAGE_SIZE).expect("the memory is allocated");
    read(at);
}

fn writing_to_memory_made_read_only() {
    let at = task::allocate(PAGE_SIZE).expect("there is memory");
    write(at, 1);
    task::protect(at, PAGE_SIZE, VM_PROT_READ | VM_PROT_EXECUTE).expect("the memory is allocated");
    write(at, 2);
}

fn reading_memory_without_rights() {
    let at = task::allocate(PAGE_SIZE).expect("there is memory");
    write(at, 1);
    task::protect(at, PAGE_SIZE, 0).expect("the memory is allocated");
    read(at);
}

fn overflowing_the_stack() {
    let here = 0u8;
    let mut at = (&raw const here) as u64;
    loop {
        at -= PAGE_SIZE / 2;
        write(at, 0);
    }
}

fn pushing_without_a_stack() {
    push_without_stack();
}

/// The return address behind the last trap in user memory is a user address, so the return does not fault in the
/// kernel.
fn a_trap_at_the_end_of_the_users_half() {
    const LAST_PAGE: u64 = 0x7FFF_FFFF_E000;
    task::allocate_at(LAST_PAGE, PAGE_SIZE, 0).expect("the last page is free");
    let code = [0x0F, 0x05];
    let end = LAST_PAGE + PAGE_SIZE;
    machine::write(end - 4, code[0]);
    machine::write(end - 3, code[1]);
    machine::write(end - 2, 0x0F);
    machine::write(end - 1, 0x0B);
    task::protect(LAST_PAGE, PAGE_SIZE, VM_PROT_READ | VM_PROT_EXECUTE).expect("the memory is allocated");
    machine::jump_to_trap(end - 4, TASK_SELF);
}

/// A trap with all arguments in registers needs no stack.
fn a_trap_without_a_stack() {
    machine::trap_with_stack_pointer(TASK_SELF, 0xFFFF_FFFF_8000_0000);
}

fn a_trap_that_does_not_exist() {
    sys::trap(abi::trap::CLASS_MACH | 0x7777, [0; 6]);
}

fn a_class_of_traps_that_does_not_exist() {
    sys::trap(9 << abi::trap::CLASS_SHIFT | 1, [0; 6]);
}
