//! The workers (dispatch 5.10).
//!
//! A push wakes the worker that parked last, or creates one, if fewer than there are processors run at that class or
//! higher, or the root overcommits. Whoever wakes a worker gives it its class, so that it starts at once where it is
//! needed. A worker that leaves items behind asks for one more. A worker that waits for another thread does not run: the
//! library's waits let another worker take its place.

use crate::process::{Process, process};
use crate::qos::{Base, Priority, Qos};
use crate::queue::root::{Job, ReadySlot, Root};
use crate::queue::{CurrentQueue, Effects, Item, Queue, client_crash, held, root::Ready};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex};
use crate::thread;
use crate::voucher::Capture;
use alloc::vec::Vec;

/// The most workers of a task.
const MOST_WORKERS: usize = 8;
/// How long a worker waits for work before it ends.
const IDLE_MICROSECONDS: u32 = 5_000_000;

/// The workers of a task and what waits for them.
pub(crate) struct Pool {
    state: Mutex<State>,
}

struct State {
    ready: Ready,
    /// Workers that wait for work, the last one on top.
    parked: Vec<Arc<Worker>>,
    /// Workers that exist or are being created.
    workers: usize,
    limit: usize,
    /// Workers that run an item and do not wait in it, by the class of its list.
    running: [usize; CLASSES],
    /// Workers that were woken or created for a class and have not taken an item yet.
    pending: [usize; CLASSES],
}

/// The number of classes with the lack of one.
const CLASSES: usize = Qos::CLASSES.len() + 1;

/// What a worker is counted as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Pending(Qos),
    Running(Qos),
}

/// A worker that others can wake.
pub(crate) struct Worker {
    /// The name of its thread.
    name: AtomicU32,
    /// What it does about waiting: see the constants.
    word: AtomicU32,
    /// The class that it was given, when it is woken.
    class: AtomicU32,
    /// The kernel knows that class already.
    is_applied: AtomicBool,
}

/// It runs, or is about to wait.
const AVAILABLE: u32 = 0;
/// It waits, or will at once.
const WAITING: u32 = 1;
/// It has been given a class.
const WOKEN: u32 = 2;

/// A worker that is to start.
pub(crate) enum Start {
    /// One that is parked.
    Wake(Arc<Worker>, Qos),
    /// A new one.
    Create(Qos),
}

impl Default for Pool {
    fn default() -> Pool {
        let state = State {
            ready: Ready::default(),
            parked: Vec::new(),
            workers: 0,
            limit: MOST_WORKERS,
            running: [0; CLASSES],
            pending: [0; CLASSES],
        };
        Pool { state: Mutex::new(state) }
    }
}

impl Pool {
    /// Appends an item to the list for a root and a class. May be called under the locks of queues.
    pub(crate) fn push(&self, root: Root, item: Item, class: Qos, effects: &mut Effects) {
        let mut state = self.state.lock();
        let (class, is_first) = state.ready.push(item, root, class);
        if is_first {
            state.request(class, root.overcommit, effects);
        }
    }

    /// Moves a queue to the list of a higher class, if it waits for a worker at all; returns true if it does.
    pub(crate) fn raise(&self, slot: &ReadySlot, class: Qos, effects: &mut Effects) -> bool {
        let mut state = self.state.lock();
        let Some((overcommit, is_first)) = state.ready.raise(slot, class) else {
            return false;
        };
        if is_first {
            state.request(class, overcommit, effects);
        }
        true
    }

    /// Calls a function with the item that waits at a place, if one does; `None` behind the last place.
    pub(crate) fn look<R>(&self, place: usize, look: impl FnOnce(&Job) -> Option<R>) -> Option<Option<R>> {
        let state = self.state.lock();
        state.ready.at(place).map(|job| job.and_then(look))
    }

    /// Limits the number of workers.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.state.lock().limit = limit;
    }

    /// Returns the number of workers, and of those that are parked.
    pub(crate) fn workers(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.workers, state.parked.len())
    }

    /// Ends the worker's former place and takes an item for it. Without one the worker is parked from now on.
    fn take(&self, worker: &Arc<Worker>, place: Place, effects: &mut Effects) -> Option<Job> {
        let mut state = self.state.lock();
        match place {
            Place::Pending(class) => state.pending[class as usize] -= 1,
            Place::Running(class) => state.running[class as usize] -= 1,
        }
        let Some(job) = state.ready.pop() else {
            worker.word.store(AVAILABLE, Ordering::Relaxed);
            state.parked.push(worker.clone());
            return None;
        };
        state.running[job.class as usize] += 1;
        state.request_more(effects);
        Some(job)
    }

    /// Notes that a worker waits in an item of a class's list, and starts another one if there is work for it.
    fn begin_wait(&self, class: Qos, effects: &mut Effects) {
        let mut state = self.state.lock();
        state.running[class as usize] -= 1;
        state.request_more(effects);
    }

    /// Notes that the worker runs again. For a while there may be more than there are processors.
    fn end_wait(&self, class: Qos) {
        self.state.lock().running[class as usize] += 1;
    }

    /// Takes a worker out that has waited long enough; returns false if it has been woken meanwhile.
    fn retire(&self, worker: &Arc<Worker>) -> bool {
        let mut state = self.state.lock();
        let Some(position) = state.parked.iter().position(|parked| Arc::ptr_eq(parked, worker)) else {
            return false;
        };
        let parked = state.parked.remove(position);
        state.workers -= 1;
        drop(state);
        drop(parked);
        true
    }

    /// Takes a worker back that could not be created.
    fn not_created(&self, class: Qos) {
        let mut state = self.state.lock();
        state.workers -= 1;
        state.pending[class as usize] -= 1;
        if state.workers == 0 {
            drop(state);
            client_crash("there is no room for a single worker");
        }
    }
}

impl State {
    /// Starts one worker for a list, if that is allowed and none is on its way.
    fn request(&mut self, class: Qos, overcommit: bool, effects: &mut Effects) -> bool {
        let at_least: usize = (class as usize..CLASSES).map(|class| self.running[class] + self.pending[class]).sum();
        let allowed = overcommit || at_least < process().kernel.processors();
        if !allowed || self.pending[class as usize] > 0 {
            return false;
        }
        let start = match self.parked.pop() {
            Some(worker) => Start::Wake(worker, class),
            None if self.workers < self.limit => {
                self.workers += 1;
                Start::Create(class)
            }
            None => return false,
        };
        self.pending[class as usize] += 1;
        effects.start(start);
        true
    }

    /// Starts one more worker for what is left, the highest class first (dispatch L-28).
    fn request_more(&mut self, effects: &mut Effects) {
        for class in Qos::CLASSES.into_iter().rev() {
            for overcommit in [true, false] {
                let waits = self.ready.waits(class, overcommit);
                if waits && self.request(class, overcommit, effects) {
                    return;
                }
            }
        }
    }
}

impl Start {
    /// Wakes or creates the worker. No lock is held.
    pub(crate) fn apply(self) {
        match self {
            Start::Wake(worker, class) => worker.wake(class),
            Start::Create(class) => {
                let process = process();
                let body = move || run_worker(process, class);
                if thread::start(process, "worker", Priority::of(class), body).is_err() {
                    process.queues.pool.not_created(class);
                }
            }
        }
    }
}

impl Worker {
    fn new() -> Arc<Worker> {
        Arc::new(Worker {
            name: AtomicU32::new(held::name().0),
            word: AtomicU32::new(AVAILABLE),
            class: AtomicU32::new(0),
            is_applied: AtomicBool::new(false),
        })
    }

    /// Gives the worker a class and wakes it. It has been taken from the parked ones.
    fn wake(&self, class: Qos) {
        let kernel = process().kernel;
        let priority = Priority::of(class);
        // Before it waits it still runs, and sets its class itself.
        let waits = self.word.load(Ordering::Acquire) == WAITING;
        let name = abi::PortName(self.name.load(Ordering::Relaxed));
        let is_applied = waits && kernel.set_qos_of_parked(name, priority);
        self.class.store(class as u32, Ordering::Relaxed);
        self.is_applied.store(is_applied, Ordering::Relaxed);
        self.word.store(WOKEN, Ordering::Release);
        kernel.wake(&self.word, false);
    }

    /// Waits until it gets a class, and returns that; `None` if it has waited in vain and ends.
    fn park(self: &Arc<Worker>, process: &Process) -> Option<Qos> {
        // It is among the parked ones already, since it may lose the importance for which it runs.
        thread::clear_for_park();
        held::end_all_overrides();
        let waits = self.word.compare_exchange(AVAILABLE, WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok();
        let mut timeout = Some(IDLE_MICROSECONDS);
        while waits && self.word.load(Ordering::Acquire) == WAITING {
            if process.kernel.wait(&self.word, WAITING, timeout) {
                continue;
            }
            if process.queues.pool.retire(self) {
                return None;
            }
            // Another thread has taken it, and is about to write the word.
            timeout = None;
        }
        let class = Qos::from_number(self.class.load(Ordering::Relaxed));
        if self.is_applied.load(Ordering::Relaxed) {
            thread::note_requested(Priority::of(class));
        } else {
            thread::set(Priority::of(class), Capture::Keep);
        }
        Some(class)
    }
}

/// Calls a function in which the calling thread waits for another one. No lock is held.
///
/// If the thread is a worker, what it waits for may need one: on a machine with one processor, an item that waits for
/// another one of the same global queue would wait for ever.
pub(crate) fn waiting<R>(wait: impl FnOnce() -> R) -> R {
    let Some(class) = held::runs() else {
        return wait();
    };
    let pool = &process().queues.pool;
    let mut effects = Effects::default();
    pool.begin_wait(class, &mut effects);
    effects.apply();
    let result = wait();
    pool.end_wait(class);
    result
}

/// What a worker's thread does.
fn run_worker(process: &'static Process, class: Qos) {
    held::become_worker();
    let worker = Worker::new();
    let mut place = Place::Pending(class);
    loop {
        let mut effects = Effects::default();
        let job = process.queues.pool.take(&worker, place, &mut effects);
        effects.apply();
        place = match job {
            Some(job) => {
                let place = Place::Running(job.class);
                held::note_run(Some(job.class));
                run(job);
                held::note_run(None);
                place
            }
            None => match worker.park(process) {
                Some(class) => Place::Pending(class),
                None => return,
            },
        };
    }
}

/// Runs an item of a root (dispatch L-29).
fn run(job: Job) {
    held::end_override();
    if thread::requested().class() < job.class {
        thread::set(Priority::of(job.class), Capture::Keep);
    }
    thread::set_base(Base::NONE.enter(&job.root.word()));
    let current = CurrentQueue::new(Queue::root(job.root), job.root.number());
    thread::with(|context| job.item.run(context));
    drop(current);
    thread::set_base(Base::NONE);
}
