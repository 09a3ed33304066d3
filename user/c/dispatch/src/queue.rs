//! The functions of queues.

use crate::memory::{Place, Text};
use crate::object::{self, MAIN_QUEUE, Object, OwnQueue};
use crate::{Function, call, crash};
use alloc::collections::BTreeMap;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::sync::Arc;
use core::ffi::{c_char, c_int};
use core::ptr;
use dispatch::main_queue;
use dispatch::qos::{self, Priority, Qos};
use dispatch::queue::Queue;
use dispatch::sync::Mutex;

/// The attributes of a new queue as a number, which is what C has in place of an object: the bits here, the class, and
/// minus the relative priority. Serial, the usual one, is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Attributes(usize);

impl Attributes {
    const CONCURRENT: usize = 1;
    const INACTIVE: usize = 2;
    const CLASS_SHIFT: u32 = 4;
    const RELATIVE_SHIFT: u32 = 8;
    const FIELD: usize = 15;

    fn class(self) -> Option<Qos> {
        let number = self.0 >> Self::CLASS_SHIFT & Self::FIELD;
        Qos::CLASSES.into_iter().find(|&class| class as usize == number)
    }

    fn relative(self) -> i8 {
        -((self.0 >> Self::RELATIVE_SHIFT & Self::FIELD) as i8)
    }

    /// Returns these attributes with a class; the same ones if the class or the relative priority is out of range.
    fn with_class(self, class: Qos, relative: i32) -> Attributes {
        let other = self.0 & (Self::CONCURRENT | Self::INACTIVE);
        match Priority::new(class, relative) {
            None => self,
            Some(_) if class == Qos::Unspecified => Attributes(other),
            Some(priority) => {
                let relative = usize::from(priority.relative().unsigned_abs());
                Attributes(other | (class as usize) << Self::CLASS_SHIFT | relative << Self::RELATIVE_SHIFT)
            }
        }
    }

    fn is_valid(self) -> bool {
        let other = self.0 & (Self::CONCURRENT | Self::INACTIVE);
        self.0 == other
            || self.class().is_some_and(|class| Attributes(other).with_class(class, self.relative().into()) == self)
    }
}

fn create(label: &Text, attributes: Attributes, target: Option<&Queue>) -> usize {
    if !attributes.is_valid() {
        crash("a queue was made with attributes that do not exist");
    }
    let mut builder = Queue::builder(&String::from_utf8_lossy(label.bytes().unwrap_or_default()));
    if attributes.0 & Attributes::CONCURRENT != 0 {
        builder = builder.concurrent();
    }
    if attributes.0 & Attributes::INACTIVE != 0 {
        builder = builder.inactive();
    }
    if let Some(class) = attributes.class() {
        builder = builder.priority(Priority::encode(class, attributes.relative(), 0));
    }
    if let Some(target) = target {
        builder = builder.target(target);
    }
    object::insert(Object::Queue(Arc::new(OwnQueue::new(builder))))
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_queue_create(label: Text, attributes: usize) -> usize {
    create(&label, Attributes(attributes), None)
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_queue_create_with_target(label: Text, attributes: usize, target: usize) -> usize {
    let target = (target != 0).then(|| object::queue(target));
    create(&label, Attributes(attributes), target.as_ref())
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_queue_attr_make_with_qos_class(attributes: usize, class: u32, relative: c_int) -> usize {
    let known = qos::class_from_number(class);
    if known == Qos::Unspecified && class != 0 {
        return attributes;
    }
    Attributes(attributes).with_class(known, relative).0
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_queue_attr_make_initially_inactive(attributes: usize) -> usize {
    attributes | Attributes::INACTIVE
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_get_main_queue() -> usize {
    MAIN_QUEUE
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_get_global_queue(identifier: isize, flags: usize) -> usize {
    let found = qos::global_queue(identifier as i64, flags as u64);
    found.map_or(0, |(class, overcommit)| object::global_queue(class, overcommit))
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_queue_get_qos_class(queue: usize, relative: Place) -> u32 {
    let word = object::queue(queue).word();
    let priority = if word.floor { Priority::NONE } else { word.requested };
    relative.store(priority.relative().into());
    qos::class_number(priority.class())
}

/// The labels that C has asked for. They stay, because C may keep their addresses.
static LABELS: Mutex<BTreeMap<String, CString>> = Mutex::new(BTreeMap::new());

#[unsafe(no_mangle)]
extern "C" fn dispatch_queue_get_label(queue: usize) -> *const c_char {
    let queue = if queue == 0 { Queue::current() } else { Some(object::queue(queue)) };
    let Some(queue) = queue else { return ptr::null() };
    let mut labels = LABELS.lock();
    let copy = labels.entry(String::from(queue.label()));
    // A label comes from C, so it has no zero byte.
    copy.or_insert_with(|| CString::new(queue.label()).unwrap_or_default()).as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_async_f(queue: usize, context: usize, work: Option<Function>) {
    object::queue(queue).run_async(call(work, context));
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_barrier_async_f(queue: usize, context: usize, work: Option<Function>) {
    object::queue(queue).barrier_async(call(work, context));
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_sync_f(queue: usize, context: usize, work: Option<Function>) {
    object::queue(queue).sync(call(work, context));
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_barrier_sync_f(queue: usize, context: usize, work: Option<Function>) {
    object::queue(queue).barrier_sync(call(work, context));
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_async_and_wait_f(queue: usize, context: usize, work: Option<Function>) {
    object::queue(queue).async_and_wait(call(work, context));
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_apply_f(
    iterations: usize,
    queue: usize,
    context: usize,
    work: Option<extern "C" fn(usize, usize)>,
) {
    let work = work.unwrap_or_else(|| crash("a null pointer was passed in place of a function"));
    let body = move |iteration| work(context, iteration);
    match queue {
        0 => dispatch::apply::apply(iterations, body),
        queue => object::queue(queue).apply(iterations, body),
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_main() -> ! {
    main_queue::dispatch_main()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_keep_a_class_and_a_relative_priority() {
        let serial = Attributes(0);
        for class in Qos::CLASSES {
            for relative in -15..=0 {
                let made = Attributes(Attributes::CONCURRENT).with_class(class, relative);
                assert_eq!((made.class(), i32::from(made.relative())), (Some(class), relative));
                assert!(made.is_valid() && made.0 & Attributes::CONCURRENT != 0);
            }
        }
        assert_eq!(serial.with_class(Qos::Utility, 1), serial);
        assert_eq!(serial.with_class(Qos::Utility, -16), serial);
        assert_eq!(serial.with_class(Qos::Utility, 0).with_class(Qos::Unspecified, 0), serial);
    }

    #[test]
    fn numbers_that_are_no_attributes_are_found_out() {
        assert!(Attributes(0).is_valid() && Attributes(3).is_valid());
        for wrong in [4, 1 << Attributes::RELATIVE_SHIFT, 7 << Attributes::CLASS_SHIFT, 1 << 20, usize::MAX] {
            assert!(!Attributes(wrong).is_valid(), "{wrong:#x}");
        }
    }
}
