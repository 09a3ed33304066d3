//! What the tasks of an example do besides their work: they stop where the test wants to look at them.
//!
//! The function of a child joins first. Wherever it calls [`stop`] it tells the test what the calling thread has, and
//! goes on when the test says so. Stopping uses plain messages to a port that accepts no donation, so it changes neither
//! boosts nor the thread's voucher.

use crate::message::Message;
use crate::{heap, names, sys, task};
use abi::PortName;
use abi::mig::NDR;
use abi::port::Disposition as D;
use alloc::format;
use core::sync::atomic::{AtomicU32, Ordering};
use dispatch::process::process;
use dispatch::qos::Qos;
use dispatch::thread::set_qos_class_self;
use dispatch::{activity, persona, thread, voucher};
use xpc::{Connection, Dictionary, Event, Message as Request};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The name under which a test has its port.
pub(super) const DIRECTOR: &str = "director";
/// The greatest length of the name of a stop.
pub(super) const TAG_SIZE: usize = 48;

/// What a thread has where it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Probe {
    /// The adopted voucher object, as a number that no other living object of the task has; 0 for none.
    pub(super) object: u64,
    /// The kernel voucher that the thread has in the kernel, as a number; 0 for none.
    pub(super) in_kernel: u64,
    /// The activity, its parent and the process that made it.
    pub(super) activity: u64,
    pub(super) parent: u64,
    pub(super) creator: u64,
    /// The number that the process has for ever.
    pub(super) own: u64,
    /// The processes that the voucher names, by their numbers; 0 for none.
    pub(super) originator: u64,
    pub(super) proximate: u64,
    /// The requested priority that the library knows, without flags.
    pub(super) requested: u32,
    /// The effective priority, before the limits of the task.
    pub(super) effective: u32,
    /// The priority that the scheduler uses.
    pub(super) base: u32,
    /// 1 if the object contains importance.
    pub(super) has_importance: u32,
    /// The name of the object's kernel voucher; 0 for none.
    pub(super) voucher_name: u32,
    /// How often the thread has changed its own priority or voucher.
    pub(super) set_self_calls: u32,
    /// The persona in whose name the thread works: what the kernel says, and what the voucher says.
    pub(super) persona: u32,
    pub(super) persona_of_voucher: u32,
    /// The voucher objects of the task, and its items.
    pub(super) vouchers: u32,
    pub(super) continuations: u32,
    /// Its messages and queues.
    pub(super) messages: u32,
    pub(super) queues: u32,
    /// Its workers, and the bytes of its heap.
    pub(super) workers: u32,
    pub(super) unused: u32,
    pub(super) heap: u64,
}

impl Probe {
    /// Returns true if the task has neither voucher objects nor items nor messages.
    pub(super) fn is_empty(&self) -> bool {
        (self.vouchers, self.continuations, self.messages) == (0, 0, 0)
    }
}

static PORT: AtomicU32 = AtomicU32::new(0);

/// Finds the test. Every child begins with it.
pub(super) fn join() {
    let director = names::look_up(DIRECTOR).expect("the test has its port");
    PORT.store(director.0, Ordering::Relaxed);
}

fn probe(thread: PortName) -> Probe {
    let info = task::thread_info(thread).expect("the thread runs");
    let voucher = voucher::copy();
    let identity = activity::current();
    let counts = process().debug_counts();
    let name = voucher.as_ref().map_or(PortName(0), |voucher| voucher.kernel_name());
    Probe {
        object: voucher.as_ref().map_or(0, |voucher| dispatch::sync::Arc::as_ptr(voucher).addr() as u64),
        in_kernel: info.voucher,
        activity: identity.activity.0,
        parent: identity.parent.0,
        creator: identity.creator,
        own: process().kernel.unique_pid(),
        originator: persona::originator().map_or(0, |info| info.unique_pid),
        proximate: persona::proximate().map_or(0, |info| info.unique_pid),
        requested: thread::requested().without_flags().0,
        effective: info.effective,
        base: info.base_priority,
        has_importance: voucher.as_ref().is_some_and(|voucher| voucher.has_importance()).into(),
        voucher_name: name.0,
        set_self_calls: info.set_self_calls,
        persona: persona::kernel_current(),
        persona_of_voucher: persona::current(),
        vouchers: counts.vouchers as u32,
        continuations: counts.continuations as u32,
        messages: counts.messages as u32,
        queues: counts.queues as u32,
        workers: counts.workers as u32,
        unused: 0,
        heap: heap::used() as u64,
    }
}

/// Stops until the test lets the thread go on.
pub(super) fn stop(tag: &str) {
    let mut name = [0; TAG_SIZE];
    name[..tag.len()].copy_from_slice(tag.as_bytes());
    let thread = task::thread_self();
    let probe = probe(thread);
    let message = Message::copy_send(PortName(PORT.load(Ordering::Relaxed))).port(thread, D::MOVE_SEND);
    let reply = message.bytes(&NDR).bytes(&name).bytes(probe.as_bytes()).rpc();
    // Without the test there is nothing to do.
    let Ok(reply) = reply else { sys::exit(0) };
    reply.destroy();
}

/// Stops again and again, so that the test can look at the task: what the main thread of a child does in the end.
pub(super) fn rest(tag: &str) -> ! {
    loop {
        stop(tag);
    }
}

/// Runs a closure when it is dropped.
pub(super) struct AtDrop<F: FnMut()>(pub(super) F);

impl<F: FnMut()> Drop for AtDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Starts a service whose handler of messages is the same for all clients.
pub(super) fn serve(name: &str, handler: impl FnMut(Request) + Clone + Send + 'static) -> Connection {
    let listener = Connection::create_listener(name, None);
    listener.set_event_handler(move |event| {
        if let Event::Peer(peer) = event {
            let mut handler = handler.clone();
            peer.set_event_handler(move |event| {
                if let Event::Message(request) = event {
                    handler(request);
                }
            });
            peer.activate();
        }
    });
    listener.activate();
    listener
}

/// Connects to a service. Errors of the connection are ignored.
pub(super) fn connect(name: &str) -> Connection {
    let connection = Connection::create(name, None);
    connection.set_event_handler(|_| {});
    connection.activate();
    connection
}

/// Replies with an empty dictionary.
pub(super) fn answer(request: &Request) {
    request.create_reply().expect("the sender wants a reply").send();
}

/// Serves a name until the end of the task: what the function of a daemon does.
pub(super) fn daemon(name: &str, handler: impl FnMut(Request) + Clone + Send + 'static) -> ! {
    join();
    let listener = serve(name, handler);
    stop(&format!("{name} is ready"));
    let _ = &listener;
    rest(&format!("{name} rests"));
}

/// Does something with the highest class, as the main thread of an app does, and then nothing until the end of the task.
pub(super) fn app(work: impl FnOnce()) -> ! {
    join();
    set_qos_class_self(Qos::UserInteractive, 0).expect("the class exists");
    stop("app is ready");
    work();
    rest("app rests");
}

/// Sends a request without contents. Its reply is awaited at the stop "NAME has the reply".
pub(super) fn ask(connection: &Connection, name: &'static str) {
    ask_with(connection, name, &Dictionary::new());
}

/// Sends a request. Its reply is awaited at the stop "NAME has the reply".
pub(super) fn ask_with(connection: &Connection, name: &'static str, request: &Dictionary) {
    connection.send_with_reply(request, None, move |reply| {
        assert!(reply.is_ok(), "{name}: {reply:?}");
        stop(&format!("{name} has the reply"));
    });
}
