//! A kernel for tests on the host.
//!
//! A [`Mock`] is what one task sees of it; several tasks are several mocks of one world, so that messages can go from
//! one to another. Threads are real ones. Vouchers, names and their references are counted as in the kernel; importance
//! follows a simple model, without a chain of more than one hop; there is a clock that tests set.
//!
//! | file | content |
//! |---|---|
//! | `world.rs` | what all tasks share: names, references, threads |
//! | `vouchers.rs` | recipes and the content of vouchers |
//! | `messages.rs` | ports, messages and boosts |
//! | `calls.rs` | [`Kernel`] for [`Mock`] |

mod calls;
mod messages;
mod threads;
mod vouchers;
mod world;

pub use threads::ThreadRecord;
pub use vouchers::{Bank, Content};

use crate::process::Process;
use crate::qos::{Priority, Qos};
use crate::sys::Kernel;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use world::State;

/// What a task is like.
#[derive(Clone, Copy, Debug)]
pub struct TaskSpec {
    /// Its messages always donate importance.
    pub donor: bool,
    /// It takes boosts, and then donates too.
    pub receiver: bool,
    /// Its persona.
    pub persona: u32,
    /// It lives in the system's persona: it keeps the personas of messages.
    pub system: bool,
    /// It may pass personas on.
    pub platform: bool,
    /// It may make vouchers with another persona, and has any right that a broker has.
    pub broker: bool,
}

impl TaskSpec {
    /// An application in front, with persona 100 (dispatch 10.0).
    pub const APP: TaskSpec =
        TaskSpec { donor: true, receiver: true, persona: 100, system: false, platform: false, broker: false };
    /// An adaptive daemon in the system's persona, which passes personas on (dispatch 10.0).
    pub const DAEMON: TaskSpec =
        TaskSpec { donor: false, receiver: true, persona: 1, system: true, platform: true, broker: false };
}

/// The kernel as one task sees it.
pub struct Mock {
    world: Arc<World>,
    task: usize,
}

/// What a task has told of itself while events were recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskNote {
    /// The number of the thread that told it.
    pub thread: u64,
    /// One of [`abi::event::note`].
    pub note: u64,
    /// Its arguments.
    pub arguments: [u64; 3],
    /// The name of the voucher.
    pub voucher: PortName,
}

/// What all tasks share.
pub(crate) struct World {
    state: Mutex<State>,
    /// Signalled whenever something may have happened for which a thread waits.
    changed: Condvar,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mock {
    /// Returns the kernel of a new world with one task, an application.
    pub fn new() -> &'static Mock {
        Mock::with_task(TaskSpec::APP)
    }

    /// Returns the kernel of a new world with one task.
    pub fn with_task(spec: TaskSpec) -> &'static Mock {
        let world = Arc::new(World { state: Mutex::new(State::new()), changed: Condvar::new() });
        Mock::add(&world, spec)
    }

    /// Returns the kernel as another task of the same world sees it.
    pub fn another(&self, spec: TaskSpec) -> &'static Mock {
        Mock::add(&self.world, spec)
    }

    fn add(world: &Arc<World>, spec: TaskSpec) -> &'static Mock {
        let task = world.lock().add_task(spec);
        Box::leak(Box::new(Mock { world: world.clone(), task }))
    }

    /// Returns a new state of the library over this kernel, which the calling thread has entered.
    pub fn enter(&'static self) -> &'static Process {
        let process = Process::new(self);
        process.enter();
        process
    }

    /// Runs a function on a new thread of a process, and waits for its end: until then all that the thread had is gone.
    pub fn on_thread<R: Send>(process: &'static Process, f: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                process.enter();
                f()
            });
            thread.join().unwrap_or_else(|reason| std::panic::resume_unwind(reason))
        })
    }

    /// Gives the calling thread a priority, as the start of a thread does.
    pub fn start_at(&self, priority: Priority) {
        let name = self.thread_self();
        self.world.lock().thread(name).requested = priority;
        crate::thread::note_requested(priority);
    }

    /// Gives this task a send right to a port of another task, and returns its name here.
    pub fn send_right(&self, owner: &Mock, port: PortName) -> PortName {
        let mut state = self.world.lock();
        let object = state.tasks[owner.task].names[&port].object;
        state.add_send(self.task, object)
    }

    /// Returns the number of messages that wait at a port of this task.
    pub fn waiting(&self, port: PortName) -> usize {
        let state = self.world.lock();
        match state.tasks[self.task].names[&port].object {
            world::Object::Port(port) => state.ports[&port].queue.len(),
            _ => 0,
        }
    }

    /// Sets the clock, and ends the waits that are over then.
    pub fn set_time(&self, nanoseconds: u64) {
        self.world.lock().time = nanoseconds;
        self.world.changed.notify_all();
    }

    /// Lets time pass.
    pub fn advance(&self, nanoseconds: u64) {
        let time = self.now() + nanoseconds;
        self.set_time(time);
    }

    /// Sets the number of processors.
    pub fn set_processors(&self, count: usize) {
        self.world.lock().processors = count;
    }

    /// Lets the task's calls that create vouchers fail, or no longer.
    pub fn refuse_vouchers(&self, refuse: bool) {
        self.world.lock().tasks[self.task].refuses_vouchers = refuse;
    }

    /// Lets the task's next send fail with this code after its rights were taken, so that they come back.
    pub fn fail_next_send(&self, code: KernReturn) {
        self.world.lock().tasks[self.task].fails_next_send = Some(code);
    }

    /// Gives another task a send right to a port of this task, as a name service would.
    ///
    /// # Panics
    /// If the name denotes no port.
    pub fn share(&self, port: PortName, with: &Mock) -> PortName {
        let mut state = self.world.lock();
        let object = state.tasks[self.task].names[&port].object;
        assert!(matches!(object, world::Object::Port(_)), "the name denotes a port");
        state.add_send(with.task, object)
    }

    /// Gives another task a send right to a voucher, as a message with the voucher's port does.
    ///
    /// # Panics
    /// If the name denotes no voucher.
    pub fn share_voucher(&self, name: PortName, with: &Mock) -> PortName {
        let mut state = self.world.lock();
        let voucher = state.voucher_of(self.task, name).expect("the name denotes a voucher");
        state.retain_voucher(voucher);
        state.add_send(with.task, world::Object::Voucher(voucher))
    }

    /// Lets events be recorded, for processes of the task that begin from now on.
    pub fn record_notes(&'static self) -> &'static Mock {
        self.world.lock().tasks[self.task].notes = Some(std::vec::Vec::new());
        self
    }

    /// Returns what the task has told.
    pub fn notes(&self) -> std::vec::Vec<TaskNote> {
        self.world.lock().tasks[self.task].notes.clone().unwrap_or_default()
    }

    /// Returns the port at which debuggers ask the task.
    pub fn debug_port(&self) -> PortName {
        self.world.lock().tasks[self.task].debug_port
    }

    /// Returns the number of vouchers that the task has created, those that existed before included.
    pub fn created_vouchers(&self) -> u32 {
        self.world.lock().tasks[self.task].created_vouchers
    }

    /// Returns the number of names that the task has.
    pub fn names(&self) -> usize {
        self.world.lock().tasks[self.task].names.len()
    }

    /// Returns the number of references to send rights that the task has.
    pub fn references(&self) -> u32 {
        self.world.lock().tasks[self.task].names.values().map(|entry| entry.send).sum()
    }

    /// Returns the number of references of the task to the send right of a name, 0 if there is no such name.
    pub fn references_to(&self, name: PortName) -> u32 {
        self.world.lock().tasks[self.task].names.get(&name).map_or(0, |entry| entry.send)
    }

    /// Returns the number of vouchers in the world.
    pub fn vouchers(&self) -> usize {
        self.world.lock().vouchers.len()
    }

    /// Returns the content of a voucher.
    ///
    /// # Panics
    /// If the name denotes none.
    pub fn content(&self, name: PortName) -> Content {
        let state = self.world.lock();
        let voucher = state.voucher_of(self.task, name).expect("the name denotes a voucher");
        state.vouchers[&voucher].content.clone()
    }

    /// Returns true if the task is boosted.
    pub fn is_boosted(&self) -> bool {
        self.boosts() > 0
    }

    /// Returns the number of boosts of the task.
    pub fn boosts(&self) -> u32 {
        self.world.lock().tasks[self.task].boosts
    }

    /// Returns what the kernel knows of a thread.
    pub fn thread(&self, name: PortName) -> ThreadRecord {
        self.world.lock().thread(name).clone()
    }

    /// Returns what the kernel knows of the calling thread.
    pub fn this_thread(&self) -> ThreadRecord {
        self.thread(self.thread_self())
    }

    /// Returns the number of calls by which the calling thread has set its priority or voucher.
    pub fn calls(&self) -> u32 {
        self.this_thread().set_self_calls
    }

    /// Returns the content of the voucher that the calling thread has in the kernel, if any.
    pub fn kernel_voucher(&self) -> Option<Content> {
        let name = self.thread_self();
        let mut state = self.world.lock();
        let voucher = state.thread(name).voucher?;
        Some(state.vouchers[&voucher].content.clone())
    }

    /// Returns the class at which a thread runs.
    pub fn effective(&self, name: PortName) -> Qos {
        self.thread(name).effective()
    }

    /// Returns what the kernel knows of all threads that the world has.
    pub fn all_threads(&self) -> alloc::vec::Vec<ThreadRecord> {
        self.world.lock().threads.values().cloned().collect()
    }

    /// Returns the number of threads that the world has, those of tests included.
    pub fn threads(&self) -> usize {
        self.world.lock().threads.len()
    }
}
