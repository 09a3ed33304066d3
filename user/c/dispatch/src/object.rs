//! What a handle stands for.

use crate::crash;
use crate::source::Source;
use crate::table::{self, Table};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use dispatch::group::Group;
use dispatch::qos::Qos;
use dispatch::queue::{Builder, Queue, QueueFlags};
use dispatch::semaphore::Semaphore;
use dispatch::sync::{Mutex, OnceLock};

/// An object of the program.
#[derive(Clone)]
pub(crate) enum Object {
    /// A queue that the program has made.
    Queue(Arc<OwnQueue>),
    /// A source.
    Source(Arc<Source>),
    /// A group.
    Group(Group),
    /// A semaphore.
    Semaphore(Arc<Semaphore>),
}

/// An object, and the address that the program keeps with it.
#[derive(Clone)]
struct Kept {
    object: Object,
    context: Arc<AtomicUsize>,
}

static OBJECTS: Mutex<Table<Kept>> = Mutex::new(Table::new());

/// A queue that the program has made. Targets never change (dispatch L-5), so it is built when it is first used: until
/// then the program may choose its target.
pub(crate) struct OwnQueue {
    builder: Mutex<Option<Builder>>,
    queue: OnceLock<Queue>,
}

impl OwnQueue {
    /// Returns a queue with these attributes.
    pub(crate) fn new(builder: Builder) -> OwnQueue {
        OwnQueue { builder: Mutex::new(Some(builder)), queue: OnceLock::new() }
    }

    /// Returns the queue.
    fn get(&self) -> &Queue {
        self.queue.get_or_init(|| {
            let builder = self.builder.lock().take();
            builder.expect("a queue is built once").build()
        })
    }

    /// Chooses the target.
    fn set_target(&self, target: &Queue) {
        match &mut *self.builder.lock() {
            Some(builder) => *builder = builder.clone().target(target),
            None => crash("the target of a queue was set after its first use"),
        }
    }
}

/// The number of the main queue among the handles that always exist. Those of the global queues follow.
const MAIN: usize = 0;

/// The handle of the main queue.
pub(crate) const MAIN_QUEUE: usize = table::fixed(MAIN);

/// Returns the handle of a global queue.
pub(crate) fn global_queue(class: Qos, overcommit: bool) -> usize {
    table::fixed(2 * class as usize + usize::from(overcommit))
}

/// Returns the queue of a handle that always exists.
fn fixed_queue(handle: usize) -> Option<Queue> {
    match table::number_of_fixed(handle)? {
        MAIN => Some(Queue::main()),
        number => {
            let class = Qos::CLASSES.into_iter().find(|&class| class as usize == number / 2)?;
            let flags = if number % 2 == 1 { QueueFlags::OVERCOMMIT } else { QueueFlags::empty() };
            Some(Queue::global(class, flags))
        }
    }
}

/// Adds an object, and returns its handle.
pub(crate) fn insert(object: Object) -> usize {
    insert_with_context(object, Arc::default())
}

/// Adds an object that knows its address, too.
pub(crate) fn insert_with_context(object: Object, context: Arc<AtomicUsize>) -> usize {
    OBJECTS.lock().insert(Kept { object, context })
}

fn unknown() -> ! {
    crash("an object was used that does not exist or has been released")
}

fn find(handle: usize) -> Kept {
    let found = OBJECTS.lock().get(handle);
    found.unwrap_or_else(|| unknown())
}

/// Returns a queue.
pub(crate) fn queue(handle: usize) -> Queue {
    if let Some(queue) = fixed_queue(handle) {
        return queue;
    }
    match find(handle).object {
        Object::Queue(queue) => queue.get().clone(),
        _ => crash("an object was used as a queue that is none"),
    }
}

/// Returns a source.
pub(crate) fn source(handle: usize) -> Arc<Source> {
    match find(handle).object {
        Object::Source(source) => source,
        _ => crash("an object was used as a source that is none"),
    }
}

/// Returns a group.
pub(crate) fn group(handle: usize) -> Group {
    match find(handle).object {
        Object::Group(group) => group,
        _ => crash("an object was used as a group that is none"),
    }
}

/// Returns a semaphore.
pub(crate) fn semaphore(handle: usize) -> Arc<Semaphore> {
    match find(handle).object {
        Object::Semaphore(semaphore) => semaphore,
        _ => crash("an object was used as a semaphore that is none"),
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn dispatch_retain(object: usize) {
    if fixed_queue(object).is_none() {
        let found = OBJECTS.lock().retain(object);
        found.unwrap_or_else(|| unknown());
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn dispatch_release(object: usize) {
    if fixed_queue(object).is_none() {
        let released = OBJECTS.lock().release(object);
        if let Some(Kept { object: Object::Queue(queue), .. }) = released.unwrap_or_else(|| unknown()) {
            // It looks whether the queue may be released.
            queue.get();
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_set_context(object: usize, context: usize) {
    if fixed_queue(object).is_none() {
        find(object).context.store(context, Ordering::Release);
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_get_context(object: usize) -> usize {
    if fixed_queue(object).is_some() { 0 } else { find(object).context.load(Ordering::Acquire) }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_set_target_queue(object: usize, target: usize) {
    let target = if target == 0 { Queue::global(Qos::DEFAULT, QueueFlags::empty()) } else { queue(target) };
    if fixed_queue(object).is_some() {
        crash("the target of a queue was set that always exists");
    }
    match find(object).object {
        Object::Queue(queue) => queue.set_target(&target),
        Object::Source(source) => source.set_target(target),
        Object::Group(_) | Object::Semaphore(_) => crash("an object was given a target that can have none"),
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_activate(object: usize) {
    if fixed_queue(object).is_some() {
        return;
    }
    match find(object).object {
        Object::Queue(queue) => queue.get().activate(),
        Object::Source(source) => source.activate(),
        Object::Group(_) | Object::Semaphore(_) => {}
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_suspend(object: usize) {
    if let Some(queue) = fixed_queue(object) {
        return queue.suspend();
    }
    match find(object).object {
        Object::Queue(queue) => queue.get().suspend(),
        Object::Source(source) => source.suspend(),
        Object::Group(_) | Object::Semaphore(_) => {}
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_resume(object: usize) {
    if let Some(queue) = fixed_queue(object) {
        return queue.resume();
    }
    match find(object).object {
        Object::Queue(queue) => queue.get().resume(),
        Object::Source(source) => source.resume(),
        Object::Group(_) | Object::Semaphore(_) => {}
    }
}
