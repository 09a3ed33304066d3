//! The functions of groups, semaphores, and of work that is done once.

use crate::memory::Predicate;
use crate::object::{self, Object, dispatch_release, dispatch_retain};
use crate::time::until;
use crate::{Function, call, crash};
use alloc::sync::Arc;
use dispatch::group::Group;
use dispatch::semaphore::Semaphore;

#[unsafe(no_mangle)]
extern "C" fn dispatch_group_create() -> usize {
    object::insert(Object::Group(Group::new()))
}

/// The thing that is entered has a reference to the group.
#[unsafe(no_mangle)]
extern "C" fn dispatch_group_enter(group: usize) {
    object::group(group).enter();
    dispatch_retain(group);
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_group_leave(group: usize) {
    object::group(group).leave();
    dispatch_release(group);
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_group_async_f(group: usize, queue: usize, context: usize, work: Option<Function>) {
    object::group(group).run_async(&object::queue(queue), call(work, context));
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_group_notify_f(group: usize, queue: usize, context: usize, work: Option<Function>) {
    object::group(group).notify(&object::queue(queue), call(work, context));
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_group_wait(group: usize, timeout: u64) -> isize {
    isize::from(!object::group(group).wait(until(timeout)))
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_semaphore_create(value: isize) -> usize {
    match u32::try_from(value) {
        Ok(value) => object::insert(Object::Semaphore(Arc::new(Semaphore::new(value)))),
        Err(_) => 0,
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_semaphore_signal(semaphore: usize) -> isize {
    isize::from(object::semaphore(semaphore).signal())
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_semaphore_wait(semaphore: usize, timeout: u64) -> isize {
    isize::from(!object::semaphore(semaphore).wait(until(timeout)))
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_once_f(predicate: Predicate, context: usize, work: Option<Function>) {
    let once = predicate.get().unwrap_or_else(|| crash("a null pointer was passed in place of a predicate"));
    once.call(call(work, context));
}
