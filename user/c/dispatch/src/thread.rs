//! The functions of classes, and what the C library calls when it starts threads.

use crate::{Function, call};
use core::ffi::c_int;
use dispatch::{qos, thread};
use runtime::local;

const EINVAL: c_int = abi::code::EINVAL.0 as c_int;

#[unsafe(no_mangle)]
extern "C" fn qos_class_self() -> u32 {
    qos::class_number(thread::qos_class_self().0)
}

#[unsafe(no_mangle)]
extern "C" fn pthread_set_qos_class_self_np(class: u32, relative: c_int) -> c_int {
    match thread::set_qos_class_self(qos::class_from_number(class), relative) {
        Ok(()) => 0,
        Err(_) => EINVAL,
    }
}

/// Gives the first thread its thread-local memory, before there is a second one.
#[unsafe(no_mangle)]
extern "C" fn tally_attach_first_thread() {
    local::attach_first();
}

/// Calls the function of a new thread while the thread has thread-local memory.
#[unsafe(no_mangle)]
extern "C" fn tally_call_in_thread(function: Option<Function>, argument: usize) {
    let attachment = local::attach();
    call(function, argument)();
    drop(attachment);
}
