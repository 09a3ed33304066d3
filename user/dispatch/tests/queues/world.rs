//! What the tests have in common: a task over the mock kernel, probes, and doors that items wait at.

use abi::message::{Header, MsgOption};
use abi::port::{ConstructFlags, Disposition};
use abi::{KernReturn, PortName};
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::process::Process;
use dispatch::qos::{Priority, Qos};
use dispatch::sys::Kernel;
use dispatch::sys::mock::{Mock, TaskSpec};
use dispatch::thread;
use dispatch::voucher::{self, Voucher};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;
use zerocopy::IntoBytes;

pub const UI: Priority = Priority::of(Qos::UserInteractive);
pub const IN: Priority = Priority::of(Qos::UserInitiated);
pub const DEF: Priority = Priority::of(Qos::DEFAULT);
pub const UT: Priority = Priority::of(Qos::Utility);
pub const BG: Priority = Priority::of(Qos::Background);
pub const NONE: Priority = Priority::NONE;

/// How long a test waits for something that must happen. It passes only if the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon that the calling thread has entered, and an application that sends it messages.
pub struct World {
    pub mock: &'static Mock,
    pub process: &'static Process,
    port: PortName,
    app: &'static Process,
    app_mock: &'static Mock,
}

impl World {
    pub fn new() -> World {
        let app_mock = Mock::with_task(TaskSpec::APP);
        let mock = app_mock.another(TaskSpec::DAEMON);
        let process = mock.enter();
        let port = mock.construct(ConstructFlags::IMPORTANCE_RECEIVER, Some(1000)).expect("there is room");
        World { mock, process, port, app: Process::new(app_mock), app_mock }
    }

    /// Runs a function on a new thread with a priority and a voucher, as if a program's thread had them. The thread ends
    /// before this returns.
    pub fn on<R: Send>(&self, priority: Priority, voucher: Option<&Arc<Voucher>>, f: impl FnOnce() -> R + Send) -> R {
        Mock::on_thread(self.process, || {
            self.mock.start_at(priority);
            voucher::replace(voucher.cloned());
            f()
        })
    }

    /// Runs a function on a new thread with a priority and a voucher, and goes on meanwhile.
    pub fn spawn<R: Send + 'static>(
        &self,
        priority: Priority,
        voucher: Option<Arc<Voucher>>,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> std::thread::JoinHandle<R> {
        let (process, mock) = (self.process, self.mock);
        std::thread::spawn(move || {
            process.enter();
            mock.start_at(priority);
            voucher::replace(voucher);
            f()
        })
    }

    /// Returns the voucher of a message that the application has sent to the daemon; always the same object.
    pub fn voucher(&self) -> Arc<Voucher> {
        self.sent(None)
    }

    /// Returns the voucher of a message that belongs to a new activity: another object each time.
    pub fn another_voucher(&self) -> Arc<Voucher> {
        let create = || Activity::create("test", Parent::None, ActivityFlags::empty()).voucher().clone();
        self.sent(Some(Mock::on_thread(self.app, create)))
    }

    fn sent(&self, sent: Option<Arc<Voucher>>) -> Arc<Voucher> {
        let name = self.mock.share(self.port, self.app_mock);
        Mock::on_thread(self.app, || {
            let header = Header {
                msgh_bits: Disposition::COPY_SEND.0.into(),
                msgh_size: Header::SIZE as u32,
                msgh_remote_port: name,
                ..Header::default()
            };
            let mut message = header.as_bytes().to_vec();
            let attachment = voucher::attach(&mut message, sent.as_ref());
            let code: KernReturn = self.app_mock.send(&mut message, MsgOption::SEND_MSG, 0, 0);
            assert!(code.is_success(), "{code:?}");
            voucher::detach(&mut message, attachment);
            drop(sent);
        });
        let mut buffer = vec![0; 256];
        let options = MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER | MsgOption::RCV_TIMEOUT;
        assert!(self.mock.receive(self.port, &mut buffer, options, 0, PortName(0)).code.is_success());
        let voucher = voucher::from_message(&mut buffer).expect("the message has a voucher");
        assert_ne!(voucher.kernel_name(), PortName(0));
        voucher
    }

    /// Waits until every worker is parked and nothing waits.
    pub fn quiesce(&self) {
        eventually("the workers are idle", || {
            let counts = self.process.debug_counts();
            counts.continuations == 0 && counts.parked == counts.workers
        });
    }

    /// Returns the class at which a thread runs.
    pub fn effective(&self, thread: PortName) -> Qos {
        self.mock.effective(thread)
    }
}

/// What a callout sees of its thread.
#[derive(Clone, Debug)]
pub struct Probe {
    /// `T.pp` without flags.
    pub requested: Priority,
    /// The same as the kernel knows it.
    pub in_kernel: Priority,
    /// `T.v`.
    pub voucher: Option<Arc<Voucher>>,
    /// Whether there is a `K.v`.
    pub has_kernel_voucher: bool,
    pub effective: Qos,
    pub thread: PortName,
}

impl Probe {
    /// Returns what the calling thread has.
    pub fn of(mock: &Mock) -> Probe {
        let thread = mock.thread_self();
        let record = mock.thread(thread);
        Probe {
            requested: thread::requested().without_flags(),
            in_kernel: record.requested.without_flags(),
            voucher: voucher::copy(),
            has_kernel_voucher: record.has_voucher(),
            effective: record.effective(),
            thread,
        }
    }
}

impl World {
    /// Returns what the calling thread has, in the library and in the kernel.
    pub fn probe(&self) -> Probe {
        Probe::of(self.mock)
    }

    /// Returns what an item sees that is submitted by `submit`, which gets the item.
    pub fn seen(
        &self,
        priority: Priority,
        voucher: Option<&Arc<Voucher>>,
        submit: impl FnOnce(Box<dyn FnOnce() + Send>) + Send,
    ) -> Probe {
        let (sender, receiver) = channel();
        let item = self.prober(&sender);
        self.on(priority, voucher, || submit(Box::new(item)));
        let probe = receive(&receiver);
        assert_eq!(probe.requested, probe.in_kernel, "the library and the kernel agree");
        probe
    }

    /// Returns an item that sends what it sees.
    pub fn prober(&self, sender: &Sender<Probe>) -> impl Fn() + Send + Sync + 'static {
        let (mock, sender) = (self.mock, sender.clone());
        move || {
            // The test may have seen enough already.
            let _ = sender.send(Probe::of(mock));
        }
    }
}

/// Receives within the patience of a test.
#[track_caller]
pub fn receive<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("something is sent in time")
}

/// Waits until something is true.
#[track_caller]
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_true() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A door at which items wait.
#[derive(Clone, Default)]
pub struct Door(Arc<(Mutex<(usize, bool)>, Condvar)>);

impl Door {
    pub fn new() -> Door {
        Door::default()
    }

    /// Waits at the door.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no thread has panicked");
        state.0 += 1;
        changed.notify_all();
        while !state.1 {
            let (next, result) = changed.wait_timeout(state, PATIENCE).expect("no thread has panicked");
            state = next;
            assert!(!result.timed_out(), "the door is opened in time");
        }
    }

    /// Waits until this many threads have come to the door.
    #[track_caller]
    pub fn await_visitors(&self, count: usize) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no thread has panicked");
        while state.0 < count {
            let (next, result) = changed.wait_timeout(state, PATIENCE).expect("no thread has panicked");
            state = next;
            assert!(!result.timed_out(), "{count} threads come to the door in time");
        }
    }

    /// Lets all pass, now and later.
    pub fn open(&self) {
        self.0.0.lock().expect("no thread has panicked").1 = true;
        self.0.1.notify_all();
    }
}

/// Asserts that an object is what a thread has as its voucher.
#[track_caller]
pub fn assert_voucher(probe: &Probe, expected: Option<&Arc<Voucher>>) {
    let same = match (&probe.voucher, expected) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    };
    assert!(same, "the voucher is another one: {:?} instead of {expected:?}", probe.voucher);
    assert_eq!(probe.has_kernel_voucher, expected.is_some(), "the kernel has the same voucher");
}

/// Waits until an object has died.
#[track_caller]
pub fn await_death(voucher: &Weak<Voucher>) {
    eventually("the voucher has died", || voucher.strong_count() == 0);
}
