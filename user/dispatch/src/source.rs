//! [`MachSource`]: a handler that runs while messages wait at a port (dispatch 4.6, C-16).
//!
//! The source does not receive: the program does, and takes on the voucher of each message itself, with
//! [`voucher::mach_msg_adopt`](crate::voucher::mach_msg_adopt) or [`mig_server`](crate::mach::mig_server).
//!
//! One thread watches the ports of all sources. It receives from a set of them into a buffer that no message fits, so
//! that the message stays and the kernel names the port. The port then leaves the set until the handler has run.

use crate::continuation::Continuation;
use crate::mach::receiver::without_detail;
use crate::process::{Process, process};
use crate::qos::{ItemPriority, Priority, Qos};
use crate::queue::Queue;
use crate::queue::state::Kind;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex};
use crate::voucher::Capture;
use abi::code::*;
use abi::message::{Header, MsgOption};
use abi::port::MACH_PORT_NULL;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use zerocopy::FromBytes;

/// The bytes of a header up to the name of the port.
const WATCH_SIZE: usize = 16;

/// A source of events at a port: its handler runs while messages wait. It begins inactive, and must be cancelled.
#[derive(Clone)]
pub struct MachSource(Arc<Shared>);

type Handler = Box<dyn FnMut() + Send>;

struct Shared {
    /// The source as a queue.
    queue: Queue,
    port: PortName,
    /// None while it runs, and after the cancellation.
    handler: Mutex<Option<Handler>>,
    cancel_handler: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    is_canceled: AtomicBool,
}

impl MachSource {
    /// Returns an inactive source whose handler runs on a queue, or on the default one. The handler captures nothing: it
    /// runs without voucher, at the class of the queue (dispatch 4.2).
    pub fn new(port: PortName, target: Option<&Queue>, handler: impl FnMut() + Send + 'static) -> MachSource {
        let builder = Queue::builder("source").overcommit(true).hidden().inactive();
        MachSource(Arc::new(Shared {
            queue: target.map_or(builder.clone(), |target| builder.target(target)).build(),
            port,
            handler: Mutex::new(Some(Box::new(handler))),
            cancel_handler: Mutex::new(None),
            is_canceled: AtomicBool::new(false),
        }))
    }

    /// Sets what runs when the source is cancelled: then it does not use the port any more.
    pub fn set_cancel_handler(&self, handler: impl FnOnce() + Send + 'static) {
        let former = self.0.cancel_handler.lock().replace(Box::new(handler));
        drop(former);
    }

    /// Lets the source begin. It is called once.
    pub fn activate(&self) {
        self.0.queue.activate();
        process().watcher.add(&self.0);
    }

    /// Keeps the handler from starting until [`resume`](MachSource::resume).
    pub fn suspend(&self) {
        self.0.queue.suspend();
    }

    /// Ends one [`suspend`](MachSource::suspend). More calls than that are fatal.
    pub fn resume(&self) {
        self.0.queue.resume();
    }

    /// Ends the source. The handler does not run any more, but for a run that has begun.
    pub fn cancel(&self) {
        if self.0.is_canceled.swap(true, Ordering::AcqRel) {
            return;
        }
        process().watcher.remove(self.0.port);
        self.0.queue.activate();
        let shared = self.0.clone();
        self.0.push(move || {
            let (handler, cancel) = (shared.handler.lock().take(), shared.cancel_handler.lock().take());
            drop(handler);
            if let Some(cancel) = cancel {
                cancel();
            }
        });
    }
}

impl Shared {
    /// Queues work that captures nothing: a voucher that is left on the worker goes (dispatch C-2).
    fn push(&self, work: impl FnOnce() + Send + 'static) {
        let item = Continuation::new(ItemPriority::NONE, Capture::Clear, work);
        self.queue.push(item, Kind::Shared, Qos::Unspecified);
    }

    /// Runs the handler, and watches the port again.
    fn fire(self: &Arc<Shared>) {
        let shared = self.clone();
        self.push(move || {
            let handler = shared.handler.lock().take();
            let Some(mut handler) = handler.filter(|_| !shared.is_canceled.load(Ordering::Acquire)) else { return };
            handler();
            *shared.handler.lock() = Some(handler);
            if !shared.is_canceled.load(Ordering::Acquire) {
                process().watcher.watch(shared.port);
            }
        });
    }
}

/// The thread that watches the ports of sources, with what it knows. The first source starts it.
#[derive(Default)]
pub(crate) struct Watcher {
    watched: Mutex<Option<Watched>>,
}

struct Watched {
    set: PortName,
    sources: BTreeMap<PortName, Arc<Shared>>,
}

impl Watcher {
    fn with<R>(&self, use_watched: impl FnOnce(&mut Watched) -> R) -> R {
        let mut watched = self.watched.lock();
        use_watched(watched.get_or_insert_with(start))
    }

    fn add(&self, source: &Arc<Shared>) {
        self.with(|watched| watched.sources.insert(source.port, source.clone()));
        self.watch(source.port);
    }

    fn remove(&self, port: PortName) {
        let (set, _source) = self.with(|watched| (watched.set, watched.sources.remove(&port)));
        let _ = process().kernel.extract_member(port, set);
    }

    /// Puts a port into the set. If messages wait, the source fires at once.
    fn watch(&self, port: PortName) {
        let set = self.with(|watched| watched.set);
        // An error means that the program has destroyed its port.
        let _ = process().kernel.insert_member(port, set);
    }
}

/// Makes the set and starts the thread.
fn start() -> Watched {
    let owner: &'static Process = process();
    let made = (|| {
        let set = owner.kernel.allocate_set()?;
        let body = Box::new(move || {
            owner.enter();
            watch_for_ever(owner, set);
        });
        owner.kernel.start_thread("watcher", Priority::of(Qos::UserInteractive), body)?;
        Ok(set)
    })();
    match made {
        Ok(set) => Watched { set, sources: BTreeMap::new() },
        Err(KernReturn(_)) => owner.kernel.crash("there is no room for the thread that watches ports"),
    }
}

fn watch_for_ever(process: &Process, set: PortName) {
    let options = MsgOption::RCV_LARGE | MsgOption::RCV_LARGE_IDENTITY;
    let mut buffer = [0; Header::SIZE];
    loop {
        let received = process.kernel.receive(set, &mut buffer[..WATCH_SIZE], options, 0, MACH_PORT_NULL);
        match without_detail(received.code) {
            MACH_RCV_TOO_LARGE => {}
            MACH_RCV_INTERRUPTED => continue,
            _ => process.kernel.crash("the thread that watches ports cannot receive"),
        }
        let port = Header::read_from_bytes(&buffer).expect("it has the size of a header").msgh_local_port;
        // Out of the set before the handler is queued: the handler puts it back. A port without a source was cancelled
        // while its handler ran.
        let _ = process.kernel.extract_member(port, set);
        let source = process.watcher.with(|watched| watched.sources.get(&port).cloned());
        if let Some(source) = source {
            source.fire();
        }
    }
}
