//! The threads that receive for all channels of a process (dispatch 5.11): one for the channels with strict replies, and
//! one for the others. Whether the kernel records for whom a reply has to come is an option of the receive, not of the port.
//!
//! They are at the highest class, so that the kernel's push never has to reach them, run no code of the program and adopt
//! no voucher. The first channel of its kind that is connected starts each of them: most programs have one, because all
//! connections of XPC are strict, and a program without channels has none.

use super::message::MachMsg;
use crate::inspect;
use crate::process::{Process, process};
use crate::qos::{Priority, Qos};
use crate::sync::{Arc, Mutex};
use abi::code::*;
use abi::message::*;
use abi::mig::NDR;
use abi::port::{Disposition, MACH_PORT_NULL, MACH_PORT_RIGHT_SEND_ONCE};
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

/// The size of the receive buffer. Larger messages are received into a buffer of their own (dispatch M-3).
const INLINE_SIZE: usize = 0x4000;

/// The options of every receive; that for strict replies has one more. The trailer says whether the kernel is the sender.
const OPTIONS: MsgOption = MsgOption::RCV_MSG
    .union(MsgOption::RCV_LARGE)
    .union(MsgOption::RCV_LARGE_IDENTITY)
    .union(MsgOption::RCV_VOUCHER)
    .union(MsgOption::trailer_elements(AUDIT));
/// The elements of a trailer with the audit token.
const AUDIT: u32 = 3;

/// A message as it arrives, with the priorities that the kernel reports.
pub(crate) struct Arrived<'a> {
    /// The buffer, with the message and its trailer.
    pub(crate) bytes: &'a mut [u8],
    /// The priority of the message itself.
    pub(crate) priority: Priority,
    /// The override class that it arrived with.
    pub(crate) over: Qos,
}

/// An object that receives through ports. Its methods run on a receiver thread, and run no code of the program.
pub(crate) trait Sink: Send + Sync {
    /// Takes a message that came through a port.
    fn message(self: Arc<Self>, port: PortName, arrived: Arrived<'_>);
    /// Goes on sending: a queue that was full has room.
    fn room(self: Arc<Self>);
}

/// What the receiver knows.
struct Ports {
    /// The set of each thread that has started: of that for plain replies, and of that for strict ones.
    sets: [Option<PortName>; 2],
    own: Own,
    /// Who receives through which port, which is in which set.
    sinks: BTreeMap<PortName, (PortName, Arc<dyn Sink>)>,
    /// Who waits for room in the queue behind which send right.
    waiting: Vec<(PortName, Arc<dyn Sink>)>,
}

/// The receiver of a process.
pub struct Receiver {
    ports: Mutex<Option<Ports>>,
}

impl Default for Receiver {
    fn default() -> Self {
        Receiver::new()
    }
}

impl Receiver {
    /// Returns a receiver whose threads are not started.
    pub const fn new() -> Receiver {
        Receiver { ports: Mutex::new(None) }
    }

    /// Calls a function with the ports. The first call makes them.
    fn with<R>(&self, use_ports: impl FnOnce(&mut Ports) -> R) -> R {
        let mut ports = self.ports.lock();
        use_ports(ports.get_or_insert_with(Ports::new))
    }

    /// Calls a function with the ports, if there are any yet: the end of a channel starts no thread.
    fn with_started<R>(&self, use_ports: impl FnOnce(&mut Ports) -> R) -> Option<R> {
        self.ports.lock().as_mut().map(use_ports)
    }

    /// Receives through a port for an object from now on. `strict` says that a reply to what comes there has to come from
    /// the context of its request, where the kernel checks that (dispatch M-1).
    pub(crate) fn add(&self, port: PortName, sink: Arc<dyn Sink>, strict: bool) {
        let set = self.with(|ports| {
            let set = ports.set(strict);
            let old = ports.sinks.insert(port, (set, sink));
            debug_assert!(old.is_none(), "one object receives through a port");
            set
        });
        // An error means that the program has destroyed its port: no message will come.
        let _ = process().kernel.insert_member(port, set);
    }

    /// Ends receiving through a port.
    pub(crate) fn remove(&self, port: PortName) {
        // The object is dropped after the lock is released.
        if let Some((set, _sink)) = self.with_started(|ports| ports.sinks.remove(&port)).flatten() {
            let _ = process().kernel.extract_member(port, set);
        }
    }

    /// Stops receiving through a port for a while, or goes on, if the object still receives through it. What is sent
    /// meanwhile waits in the port's queue.
    pub(crate) fn set_member(&self, port: PortName, sink: &Arc<dyn Sink>, is_member: bool) {
        let kernel = process().kernel;
        self.with_started(|ports| {
            let set = match ports.sinks.get(&port) {
                Some((set, current)) if Arc::ptr_eq(current, sink) => *set,
                _ => return,
            };
            // With the lock: a port that is removed must not come back. An error means that the program has destroyed it.
            let _ = match is_member {
                true => kernel.insert_member(port, set),
                false => kernel.extract_member(port, set),
            };
        });
    }

    /// Asks for a notification when the queue behind a send right has room. The request counts from the next send with
    /// `MACH_SEND_NOTIFY` that finds the queue full.
    ///
    /// # Errors
    /// Those of `mach_port_request_notification`.
    pub(crate) fn ask_for_room(&self, right: PortName, sink: Arc<dyn Sink>) -> Result<(), KernReturn> {
        let notify = self.with(|ports| {
            ports.hear_of_room();
            ports.waiting.push((right, sink));
            ports.own.notify
        });
        let kernel = process().kernel;
        match kernel.request_notification(right, MACH_NOTIFY_SEND_POSSIBLE, 0, notify) {
            Ok(previous) => {
                // A request of another channel with the same right: this one serves both.
                release_request(previous);
                Ok(())
            }
            Err(code) => {
                // The port has died. Nobody waits for room there any more.
                self.room(right);
                Err(code)
            }
        }
    }

    /// Takes a request for room back that did not count, because the queue had room.
    pub(crate) fn found_room(&self, right: PortName) {
        if let Ok(previous) = process().kernel.request_notification(right, MACH_NOTIFY_SEND_POSSIBLE, 0, MACH_PORT_NULL)
        {
            release_request(previous);
        }
        self.room(right);
    }

    /// Tells all that wait for room behind a send right to go on.
    pub(crate) fn room(&self, right: PortName) {
        let waiting = self.with_started(|ports| take_waiting(&mut ports.waiting, |(other, _)| *other == right));
        for (_, sink) in waiting.into_iter().flatten() {
            sink.room();
        }
    }

    /// Forgets that an object waits for room.
    pub(crate) fn forget_waiting(&self, sink: &Arc<dyn Sink>) {
        let _waiting =
            self.with_started(|ports| take_waiting(&mut ports.waiting, |(_, other)| Arc::ptr_eq(other, sink)));
    }

    fn sink(&self, port: PortName) -> Option<Arc<dyn Sink>> {
        self.with_started(|ports| ports.sinks.get(&port).map(|(_, sink)| Arc::clone(sink))).flatten()
    }
}

type Waiting = (PortName, Arc<dyn Sink>);

fn take_waiting(waiting: &mut Vec<Waiting>, mut is_taken: impl FnMut(&Waiting) -> bool) -> Vec<Waiting> {
    let (taken, left) = core::mem::take(waiting).into_iter().partition(|entry| is_taken(entry));
    *waiting = left;
    taken
}

/// Gives up the send-once right of a request. The receiver gets a send-once notification for it, and drops it.
fn release_request(right: PortName) {
    if right.is_valid() {
        let _ = process().kernel.mod_refs(right, MACH_PORT_RIGHT_SEND_ONCE, -1);
    }
}

impl Ports {
    /// Makes the ports that are the receiver's own. No thread receives from them yet.
    fn new() -> Ports {
        let kernel = process().kernel;
        let own = (|| {
            let own = Own { notify: kernel.allocate_receive()?, debug: kernel.allocate_receive()? };
            kernel.set_debug_port(own.debug)?;
            Ok(own)
        })();
        Ports { sets: [None; 2], own: own.unwrap_or_else(no_room), sinks: BTreeMap::new(), waiting: Vec::new() }
    }

    /// Returns the set for strict replies, or for plain ones. The first call starts its thread.
    fn set(&mut self, strict: bool) -> PortName {
        let is_first = self.sets == [None; 2];
        let own = self.own;
        *self.sets[usize::from(strict)].get_or_insert_with(|| start(strict, is_first, own).unwrap_or_else(no_room))
    }

    /// Lets a thread receive the notifications about room.
    fn hear_of_room(&mut self) {
        if self.sets == [None; 2] {
            self.set(false);
        }
    }
}

/// Makes a set and starts the thread that receives from it. The first one also has the receiver's own ports.
fn start(strict: bool, is_first: bool, own: Own) -> Result<PortName, KernReturn> {
    let owner: &'static Process = process();
    let kernel = owner.kernel;
    let set = kernel.allocate_set()?;
    if is_first {
        kernel.insert_member(own.notify, set)?;
        kernel.insert_member(own.debug, set)?;
    }
    let (name, options) = match strict {
        true => ("strict receiver", OPTIONS | MsgOption::STRICT_REPLY),
        false => ("receiver", OPTIONS),
    };
    let body = Box::new(move || {
        owner.enter();
        receive_for_ever(owner, set, options, own);
    });
    kernel.bind_servicer(set, kernel.start_thread(name, Priority::of(Qos::UserInteractive), body)?);
    Ok(set)
}

fn no_room<T>(KernReturn(_): KernReturn) -> T {
    process().kernel.crash("there is no room for the receiver of the channels")
}

/// The ports that are the receiver's own.
#[derive(Clone, Copy)]
struct Own {
    /// For notifications.
    notify: PortName,
    /// For debuggers, see [`inspect`](crate::inspect). It accepts no importance.
    debug: PortName,
}

fn receive_for_ever(process: &Process, set: PortName, options: MsgOption, own: Own) {
    let mut buffer = vec![0; INLINE_SIZE];
    loop {
        let received = process.kernel.receive(set, &mut buffer, options, 0, MACH_PORT_NULL);
        match without_detail(received.code) {
            // With a body error the message arrived, without the rights that had no room.
            MACH_MSG_SUCCESS | MACH_RCV_BODY_ERROR => {
                deliver(process, own, Arrived { bytes: &mut buffer, priority: received.priority, over: received.over });
            }
            MACH_RCV_TOO_LARGE => receive_large(process, options, &buffer),
            // The kernel has destroyed the message, for want of room for its rights. Nobody is told of it.
            MACH_RCV_HEADER_ERROR | MACH_RCV_INTERRUPTED => {}
            _ => process.kernel.crash("the receiver of the channels cannot receive"),
        }
    }
}

/// Receives a message that does not fit the buffer, into a buffer of its own. The channel learns of the message only if
/// that succeeds: its program may have destroyed the port since.
fn receive_large(process: &Process, options: MsgOption, buffer: &[u8]) {
    let header = Header::read_from_prefix(buffer).expect("the buffer has room for a header").0;
    let port = header.msgh_local_port;
    let options = (options - MsgOption::RCV_LARGE_IDENTITY) | MsgOption::RCV_TIMEOUT;
    let mut size = header.msgh_size as usize;
    loop {
        let mut large = vec![0; size.next_multiple_of(4) + MAX_TRAILER_SIZE];
        let received = process.kernel.receive(port, &mut large, options, 0, MACH_PORT_NULL);
        match without_detail(received.code) {
            MACH_MSG_SUCCESS | MACH_RCV_BODY_ERROR => {
                let arrived = Arrived { bytes: &mut large, priority: received.priority, over: received.over };
                return deliver_to_sink(process, arrived);
            }
            // The program has taken that message itself, and the next one is larger still.
            MACH_RCV_TOO_LARGE => {
                let needed = Header::read_from_prefix(&large).expect("it has room for a header").0.msgh_size as usize;
                size = needed.max(size + 4);
            }
            _ => return,
        }
    }
}

fn deliver(process: &Process, own: Own, arrived: Arrived<'_>) {
    let header = Header::read_from_prefix(arrived.bytes).expect("a message has a header").0;
    if header.msgh_local_port == own.notify {
        notified(process, MachMsg::received(arrived.bytes));
    } else if header.msgh_local_port == own.debug {
        inspect::answer(process, MachMsg::received(arrived.bytes));
    } else {
        deliver_to_sink(process, arrived);
    }
}

fn deliver_to_sink(process: &Process, arrived: Arrived<'_>) {
    let port = Header::read_from_prefix(arrived.bytes).expect("a message has a header").0.msgh_local_port;
    match process.receiver.sink(port) {
        Some(sink) => sink.message(port, arrived),
        // The object was cancelled after the message had left the queue.
        None => MachMsg::received(arrived.bytes).destroy(),
    }
}

/// Handles a notification about a send right: its queue has room, or its port is dead, or the right is gone. In each
/// case the next send says which.
fn notified(process: &Process, message: MachMsg) {
    /// The word of the name in the body, behind the NDR record.
    const NAME: usize = NDR.len() / size_of::<u32>();
    let name = message.word(NAME).map(PortName);
    match (message.id(), name) {
        (MACH_NOTIFY_SEND_POSSIBLE | MACH_NOTIFY_PORT_DELETED, Some(name)) => process.receiver.room(name),
        (MACH_NOTIFY_DEAD_NAME, Some(name)) => {
            process.receiver.room(name);
            // The notification brought a reference to the dead name.
            process.kernel.release_send(name);
        }
        // A request that was replaced or taken back.
        _ => {}
    }
}

pub(crate) const fn without_detail(code: KernReturn) -> KernReturn {
    KernReturn(code.0 & !MACH_MSG_MASK)
}

/// Gives up the voucher of a received message unread, as is done with replies (dispatch 6.7).
pub(crate) fn drop_voucher(message: &mut [u8]) {
    let mut header = Header::read_from_prefix(message).expect("a message has a header").0;
    if header.voucher() == Disposition::PORT_SEND && header.msgh_voucher_port.is_valid() {
        process().kernel.release_send(header.msgh_voucher_port);
    }
    header.msgh_voucher_port = MACH_PORT_NULL;
    header.msgh_bits &= !(0x1F << 16 | HeaderFlags::RAISEIMP.bits());
    header.write_to_prefix(message).expect("a message has a header");
}
