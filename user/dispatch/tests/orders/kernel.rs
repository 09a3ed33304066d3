//! A kernel for threads of the crate shuttle. It knows priorities, overrides and waiting, and nothing of messages.

use abi::message::MsgOption;
use abi::policy::LOCK_FLAGS;
use abi::port::ConstructFlags;
use abi::{KernReturn, PortName};
use dispatch::process::Process;
use dispatch::qos::{Priority, Qos};
use dispatch::sys::{Kernel, Received, SetSelf, SetSelfError};
use dispatch::thread;
use shuttle::rand::Rng;
use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::sync::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::BTreeMap;

/// A kernel for one run of a test.
pub struct Small {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    names: u32,
    /// The requested priority and the override of each thread.
    threads: BTreeMap<PortName, (Priority, Qos)>,
    now: u64,
    activities: u64,
    /// Threads of the library that have not ended.
    started: usize,
    /// Waits with a time sometimes end at once.
    hurries: bool,
    /// Threads that wait on a word, in the order in which they began.
    waiting: Vec<Wait>,
    /// The waits so far.
    waits: u64,
}

/// A thread that waits on a word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wait {
    word: usize,
    number: u64,
}

shuttle::thread_local! {
    static NAME: Cell<u32> = Cell::new(0);
    static SMALL: Cell<Option<&'static Small>> = Cell::new(None);
}

impl Small {
    /// Returns a new kernel with a process, which the calling thread has entered.
    pub fn enter() -> (&'static Small, &'static Process) {
        let small: &Small = Box::leak(Box::new(Small { state: Mutex::new(State::default()), changed: Condvar::new() }));
        let process = Process::new(small);
        process.enter();
        SMALL.with(|own| own.set(Some(small)));
        (small, process)
    }

    /// Starts a thread of a program at a class.
    pub fn spawn(
        &'static self,
        process: &'static Process,
        class: Qos,
        body: impl FnOnce() + Send + 'static,
    ) -> shuttle::thread::JoinHandle<()> {
        shuttle::thread::spawn(move || {
            process.enter();
            SMALL.with(|own| own.set(Some(self)));
            let name = self.thread_self();
            self.lock().threads.insert(name, (Priority::of(class), Qos::Unspecified));
            thread::note_requested(Priority::of(class));
            body();
            self.assert_not_overridden();
            self.lock().threads.remove(&name);
        })
    }

    fn enter_thread(&'static self, name: PortName) {
        NAME.with(|own| own.set(name.0));
        SMALL.with(|own| own.set(Some(self)));
    }

    /// Returns the number of threads of the library that have not ended.
    pub fn started(&self) -> usize {
        self.lock().started
    }

    /// Returns the number of threads that wait on a word.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Lets waits with a time sometimes end at once.
    pub fn hurry(&self) {
        self.lock().hurries = true;
    }

    /// Lets ten seconds pass, longer than an idle worker waits.
    pub fn tick(&self) {
        self.lock().now += 10_000_000_000;
        self.changed.notify_all();
    }

    /// Returns the class at which the calling thread runs.
    pub fn effective(&self) -> Qos {
        let name = self.thread_self();
        let (requested, over) = self.lock().threads[&name];
        requested.class().max(over)
    }

    fn assert_not_overridden(&self) {
        let name = self.thread_self();
        let over = self.lock().threads.get(&name).map_or(Qos::Unspecified, |thread| thread.1);
        assert_eq!(over, Qos::Unspecified, "an idle thread has no override");
    }

    fn lock(&self) -> shuttle::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread has panicked")
    }
}

impl Kernel for Small {
    fn set_self(&self, change: SetSelf) -> Result<(), SetSelfError> {
        let name = self.thread_self();
        if let Some(priority) = change.priority {
            self.lock().threads.entry(name).or_default().0 = priority;
        }
        Ok(())
    }

    fn set_qos_of_parked(&self, thread: PortName, priority: Priority) -> bool {
        self.lock().threads.entry(thread).or_default().0 = priority;
        true
    }

    fn override_thread(&self, thread: PortName, class: Qos, lock: &AtomicU32) {
        let mut state = self.lock();
        if lock.load(Ordering::SeqCst) | LOCK_FLAGS == thread.0 {
            let over = &mut state.threads.entry(thread).or_default().1;
            *over = (*over).max(class);
        }
    }

    fn reset_override(&self) {
        let name = self.thread_self();
        self.lock().threads.entry(name).or_default().1 = Qos::Unspecified;
    }

    fn override_start(&self, _thread: PortName, _class: Qos, _resource: u64) {}

    fn override_end(&self, _thread: PortName, _resource: u64) {}

    fn generate_activity_ids(&self) -> u64 {
        let mut state = self.lock();
        state.activities += 1;
        state.activities
    }

    fn unique_pid(&self) -> u64 {
        1
    }

    fn start_thread(
        &self,
        _name: &str,
        priority: Priority,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<PortName, KernReturn> {
        let mut state = self.lock();
        let name = new_name(&mut state);
        state.threads.insert(name, (priority, Qos::Unspecified));
        state.started += 1;
        drop(state);
        // It lives as long as the run.
        let small: &'static Small = SMALL.with(Cell::get).expect("the thread has entered");
        shuttle::thread::spawn(move || {
            small.enter_thread(name);
            body();
            small.lock().started -= 1;
        });
        Ok(name)
    }

    /// A wait with a time can end at once, as if much time had passed: see [`Small::hurry`]. A worker has given up
    /// everything before.
    fn wait(&self, word: &AtomicU32, value: u32, microseconds: Option<u32>) -> bool {
        if microseconds.is_some() {
            self.assert_not_overridden();
            let hurries = self.lock().hurries;
            if hurries && shuttle::rand::thread_rng().gen_bool(0.25) {
                self.tick();
                return false;
            }
        }
        let mut state = self.lock();
        if word.load(Ordering::SeqCst) != value {
            return true;
        }
        state.waits += 1;
        let own = Wait { word: address(word), number: state.waits };
        let deadline = microseconds.map(|time| state.now + u64::from(time) * 1000);
        state.waiting.push(own);
        // Only a wake-up ends the wait: it does not look at the word again.
        while state.waiting.contains(&own) {
            if deadline.is_some_and(|deadline| state.now >= deadline) {
                state.waiting.retain(|wait| *wait != own);
                return false;
            }
            state = self.changed.wait(state).expect("no thread has panicked");
        }
        true
    }

    fn wake(&self, word: &AtomicU32, all: bool) {
        let word = address(word);
        let mut state = self.lock();
        while let Some(first) = state.waiting.iter().position(|wait| wait.word == word) {
            state.waiting.remove(first);
            if !all {
                break;
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn now(&self) -> u64 {
        self.lock().now
    }

    fn processors(&self) -> usize {
        2
    }

    fn thread_self(&self) -> PortName {
        NAME.with(|own| {
            if own.get() == 0 {
                own.set(new_name(&mut self.lock()).0);
            }
            PortName(own.get())
        })
    }

    fn crash(&self, reason: &str) -> ! {
        panic!("the program ends: {reason}")
    }

    fn current_persona(&self) -> Option<u32> {
        None
    }

    fn create_voucher(&self, _recipes: &[u8]) -> Result<PortName, KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn extract(&self, _voucher: PortName, _key: u32, _buffer: &mut [u8]) -> Result<usize, KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn voucher_command(
        &self,
        _voucher: PortName,
        _key: u32,
        _command: u32,
        _input: &[u8],
        _output: &mut [u8],
    ) -> Result<usize, KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn release_send(&self, _name: PortName) {
        unreachable!("{NO_MESSAGES}")
    }

    fn send(&self, _message: &mut [u8], _options: MsgOption, _timeout: u32, _priority: u32) -> KernReturn {
        unreachable!("{NO_MESSAGES}")
    }

    fn receive(
        &self,
        _from: PortName,
        _buffer: &mut [u8],
        _options: MsgOption,
        _timeout: u32,
        _notify: PortName,
    ) -> Received {
        unreachable!("{NO_MESSAGES}")
    }

    fn send_and_receive(
        &self,
        _buffer: &mut [u8],
        _size: usize,
        _options: MsgOption,
        _from: PortName,
        _timeout: u32,
        _priority: u32,
    ) -> Received {
        unreachable!("{NO_MESSAGES}")
    }

    fn construct(&self, _flags: ConstructFlags, _queue_limit: Option<u32>) -> Result<PortName, KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn insert_send(&self, _port: PortName) -> Result<(), KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn mod_refs(&self, _name: PortName, _right: u32, _delta: i32) -> Result<(), KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn allocate_set(&self) -> Result<PortName, KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn insert_member(&self, _port: PortName, _set: PortName) -> Result<(), KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn extract_member(&self, _port: PortName, _set: PortName) -> Result<(), KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn request_notification(
        &self,
        _name: PortName,
        _kind: i32,
        _sync: u32,
        _notify: PortName,
    ) -> Result<PortName, KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn special_reply_port(&self) -> PortName {
        unreachable!("{NO_MESSAGES}")
    }

    fn forget_special_reply_port(&self) {
        unreachable!("{NO_MESSAGES}")
    }

    fn set_debug_port(&self, _: PortName) -> Result<(), KernReturn> {
        unreachable!("{NO_MESSAGES}")
    }

    fn thread_number(&self) -> u64 {
        self.thread_self().0.into()
    }

    fn tell(&self, _: u64, _: [u64; 3], _: PortName) -> bool {
        false
    }

    fn bind_servicer(&self, _port: PortName, _thread: PortName) {
        unreachable!("{NO_MESSAGES}")
    }
}

const NO_MESSAGES: &str = "queues alone send no messages";

fn address(word: &AtomicU32) -> usize {
    core::ptr::from_ref(word).addr()
}

fn new_name(state: &mut State) -> PortName {
    state.names += 1;
    PortName(state.names << 8 | LOCK_FLAGS)
}
