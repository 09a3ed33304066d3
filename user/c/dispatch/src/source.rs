//! Sources, and their functions.
//!
//! A source is set up first. It is made when the program activates it, because its target cannot change any more then.

use crate::object::{self, Object};
use crate::time::until;
use crate::{Function, crash};
use abi::PortName;
use alloc::sync::Arc;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use dispatch::qos::Qos;
use dispatch::queue::{Queue, QueueFlags};
use dispatch::source::MachSource;
use dispatch::sync::Mutex;
use dispatch::timer_source::TimerSource;

/// `DISPATCH_SOURCE_TYPE_MACH_RECV`, `DISPATCH_SOURCE_TYPE_TIMER`.
const TYPE_MACH_RECV: usize = 1;
const TYPE_TIMER: usize = 2;

/// What handlers need, for as long as they can be called.
struct Handlers {
    event: Mutex<Option<Function>>,
    cancel: Mutex<Option<Function>>,
    /// The address that they get, which is the context of the object.
    context: Arc<AtomicUsize>,
    /// How often a timer has fired since its handler began the last time.
    fired: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Handlers {
    fn call(&self, function: &Mutex<Option<Function>>) {
        let function = *function.lock();
        if let Some(function) = function {
            function(self.context.load(Ordering::Acquire));
        }
    }

    fn event(&self, fired: u64) {
        self.fired.store(fired, Ordering::Release);
        self.call(&self.event);
    }
}

/// What a source waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mach(PortName),
    Timer,
}

/// When a timer fires: at a time, and then at intervals.
#[derive(Clone, Copy)]
struct Schedule {
    start: u64,
    interval: Option<NonZeroU64>,
}

enum State {
    /// It is being set up. It is suspended so many times, besides.
    Inactive { target: Queue, schedule: Option<Schedule>, suspensions: u32 },
    /// It waits for messages.
    Mach(MachSource),
    /// It waits for times.
    Timer(TimerSource),
}

/// A source.
pub(crate) struct Source {
    kind: Kind,
    mask: usize,
    state: Mutex<State>,
    handlers: Arc<Handlers>,
}

fn set_timer(timer: &TimerSource, schedule: Schedule) {
    let start = until(schedule.start).unwrap_or(Duration::MAX);
    timer.set(start, schedule.interval.map(|interval| Duration::from_nanos(interval.get())));
}

fn cancel_timer(timer: &TimerSource, handlers: &Arc<Handlers>) {
    let handlers = handlers.clone();
    timer.cancel_then(move || handlers.call(&handlers.cancel));
}

impl Source {
    /// Returns the source made from what was set up.
    fn build(&self, target: &Queue, schedule: Option<Schedule>, suspensions: u32) -> State {
        let handlers = self.handlers.clone();
        let is_cancelled = handlers.is_cancelled.load(Ordering::Acquire);
        match self.kind {
            Kind::Mach(port) => {
                let source = MachSource::new(port, Some(target), move || handlers.event(0));
                let handlers = self.handlers.clone();
                source.set_cancel_handler(move || handlers.call(&handlers.cancel));
                (0..suspensions).for_each(|_| source.suspend());
                source.activate();
                if is_cancelled {
                    source.cancel();
                }
                State::Mach(source)
            }
            Kind::Timer => {
                let source = TimerSource::new(target, move |fired| handlers.event(fired));
                if let Some(schedule) = schedule {
                    set_timer(&source, schedule);
                }
                (0..suspensions).for_each(|_| source.suspend());
                source.activate();
                if is_cancelled {
                    cancel_timer(&source, &self.handlers);
                }
                State::Timer(source)
            }
        }
    }

    /// Lets the source begin; does nothing if it has begun.
    pub(crate) fn activate(&self) {
        let mut state = self.state.lock();
        if let State::Inactive { target, schedule, suspensions } = &*state {
            let built = self.build(target, *schedule, *suspensions);
            *state = built;
        }
    }

    /// Keeps the handler from being called.
    pub(crate) fn suspend(&self) {
        match &mut *self.state.lock() {
            State::Inactive { suspensions, .. } => *suspensions += 1,
            State::Mach(source) => source.suspend(),
            State::Timer(source) => source.suspend(),
        }
    }

    /// Ends one suspension. A new source has one, so to speak: the call lets it begin.
    pub(crate) fn resume(&self) {
        match &mut *self.state.lock() {
            State::Inactive { suspensions: 0, .. } => {}
            State::Inactive { suspensions, .. } => return *suspensions -= 1,
            State::Mach(source) => return source.resume(),
            State::Timer(source) => return source.resume(),
        }
        self.activate();
    }

    /// Chooses the queue on which the handlers run.
    pub(crate) fn set_target(&self, queue: Queue) {
        match &mut *self.state.lock() {
            State::Inactive { target, .. } => *target = queue,
            State::Mach(_) | State::Timer(_) => crash("the target of a source was set after its activation"),
        }
    }

    fn set_timer(&self, new: Schedule) {
        match &mut *self.state.lock() {
            State::Inactive { schedule, .. } if self.kind == Kind::Timer => *schedule = Some(new),
            State::Timer(source) => set_timer(source, new),
            State::Inactive { .. } | State::Mach(_) => crash("a source was set as a timer that is none"),
        }
    }

    fn cancel(&self) {
        let state = self.state.lock();
        self.handlers.is_cancelled.store(true, Ordering::Release);
        match &*state {
            // It is cancelled as soon as it begins.
            State::Inactive { .. } => {}
            State::Mach(source) => source.cancel(),
            State::Timer(source) => cancel_timer(source, &self.handlers),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_create(kind: usize, handle: usize, mask: usize, queue: usize) -> usize {
    let kind = match kind {
        TYPE_MACH_RECV => {
            let name = PortName(handle as u32);
            if !name.is_valid() || usize::try_from(name.0) != Ok(handle) {
                return 0;
            }
            Kind::Mach(name)
        }
        TYPE_TIMER if handle == 0 => Kind::Timer,
        _ => return 0,
    };
    let target = if queue == 0 { Queue::global(Qos::DEFAULT, QueueFlags::empty()) } else { object::queue(queue) };
    let context = Arc::new(AtomicUsize::new(0));
    let handlers = Handlers {
        event: Mutex::new(None),
        cancel: Mutex::new(None),
        context: context.clone(),
        fired: AtomicU64::new(0),
        is_cancelled: AtomicBool::new(false),
    };
    let state = Mutex::new(State::Inactive { target, schedule: None, suspensions: 0 });
    let source = Source { kind, mask, state, handlers: Arc::new(handlers) };
    object::insert_with_context(Object::Source(Arc::new(source)), context)
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_set_event_handler_f(source: usize, handler: Option<Function>) {
    *object::source(source).handlers.event.lock() = handler;
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_set_cancel_handler_f(source: usize, handler: Option<Function>) {
    *object::source(source).handlers.cancel.lock() = handler;
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_set_timer(source: usize, start: u64, interval: u64, _leeway: u64) {
    let interval = (interval != u64::MAX).then(|| NonZeroU64::new(interval).unwrap_or(NonZeroU64::MIN));
    object::source(source).set_timer(Schedule { start, interval });
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_cancel(source: usize) {
    object::source(source).cancel();
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_testcancel(source: usize) -> isize {
    isize::from(object::source(source).handlers.is_cancelled.load(Ordering::Acquire))
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_get_handle(source: usize) -> usize {
    match object::source(source).kind {
        Kind::Mach(port) => port.0 as usize,
        Kind::Timer => 0,
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_get_mask(source: usize) -> usize {
    object::source(source).mask
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_source_get_data(source: usize) -> usize {
    object::source(source).handlers.fired.load(Ordering::Acquire) as usize
}
