//! Stand-in until the queues are there: a list of items that a test runs.

use crate::process::process;
use crate::qos::{Base, ItemPriority, Priority, Qos, QueuePriority};
use crate::sync::{Arc, Mutex};
use crate::thread;
use crate::voucher::Capture;
use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// An item.
pub struct Continuation {
    priority: ItemPriority,
    voucher: Capture,
    work: Box<dyn FnOnce() + Send>,
}

impl Continuation {
    pub(crate) fn new(priority: ItemPriority, voucher: Capture, work: impl FnOnce() + Send + 'static) -> Continuation {
        Continuation { priority, voucher, work: Box::new(work) }
    }

    pub(crate) fn captured(_queue: &Queue, work: impl FnOnce() + Send + 'static) -> (Continuation, Qos) {
        let priority = thread::propagated();
        (Continuation::new(ItemPriority::plain(priority), Capture::current(), work), priority.class())
    }
}

#[derive(Default)]
struct State {
    items: VecDeque<Continuation>,
    runs: bool,
}

/// A queue.
#[derive(Clone)]
pub struct Queue(Arc<Mutex<State>>);

impl Queue {
    pub(crate) fn channel(_label: &str, _target: Option<&Queue>) -> Queue {
        Queue(Arc::new(Mutex::new(State::default())))
    }

    pub(crate) fn push(&self, item: Continuation, _class: Qos) {
        let mut state = self.0.lock();
        state.items.push_back(item);
        if !core::mem::replace(&mut state.runs, true) {
            let (queue, owner) = (self.clone(), process());
            let run = move || {
                owner.enter();
                queue.run();
            };
            owner.kernel.start_thread("queue", Priority::of(Qos::Legacy), Box::new(run)).expect("it starts");
        }
    }

    pub(crate) fn activate(&self) {}

    pub(crate) fn hide(&self) -> Option<u32> {
        None
    }

    fn run(&self) {
        thread::note_requested(Priority::of(Qos::Legacy));
        thread::set_base(Base::NONE.enter(&QueuePriority::fallback(Qos::Legacy)));
        loop {
            let item = {
                let mut state = self.0.lock();
                let item = state.items.pop_front();
                state.runs = item.is_some();
                item
            };
            let Some(item) = item else { return thread::clear_for_park() };
            thread::adopt(item.priority, false, item.voucher);
            (item.work)();
        }
    }
}
