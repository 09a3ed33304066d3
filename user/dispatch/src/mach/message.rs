//! Message objects: the bytes of a message, and what travels beside them (dispatch 6.3).

use crate::process::process;
use crate::qos::{Priority, Qos};
use crate::sync::Arc;
use crate::sync::static_atomic::{AtomicUsize, Ordering};
use crate::voucher::Voucher;
use abi::code::*;
use abi::message::*;
use abi::port::{
    Disposition, MACH_PORT_NULL, MACH_PORT_RIGHT_DEAD_NAME, MACH_PORT_RIGHT_RECEIVE, MACH_PORT_RIGHT_SEND_ONCE,
};
use abi::{KernReturn, PortName};
use alloc::vec::Vec;
use core::fmt;
use runtime::view::{Descriptor, View};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The difference between the ids of a reply and its request.
const REPLY_ID_OFFSET: i32 = abi::mig::REPLY_ID_OFFSET;

/// The messages that exist, for [`debug_counts`](crate::debug_counts).
static MESSAGES: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of message objects that exist.
pub(crate) fn count() -> usize {
    MESSAGES.load(Ordering::Relaxed)
}

/// A message to send, or one that was received.
///
/// Dropping it frees the bytes and the voucher, and leaves the rights that the message names (dispatch M-4): the program
/// takes them out of the message, or gives all of them back by [`destroy`](MachMsg::destroy).
pub struct MachMsg {
    /// The message, and behind a received one its trailer.
    bytes: Vec<u8>,
    /// The size of the message.
    size: usize,
    /// True if the message was received: its header names the reply right first.
    received: bool,
    pub(crate) voucher: Option<Arc<Voucher>>,
    pub(crate) priority: Priority,
    /// The override class that the message arrived with.
    pub(crate) over: Qos,
    context: Option<u64>,
    /// True if this is the reply to a request that the handler made.
    pub(crate) is_awaited: bool,
    /// True if the kernel has taken the message's rights: the names in it denote nothing, or something else by now.
    is_spent: bool,
}

impl fmt::Debug for MachMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MachMsg { size, received, priority, context, .. } = self;
        let id = self.id();
        write!(f, "MachMsg {{ id: {id}, size: {size}, received: {received}, {priority:?}, context: {context:?} }}")
    }
}

impl Drop for MachMsg {
    fn drop(&mut self) {
        MESSAGES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl MachMsg {
    fn of(bytes: Vec<u8>, size: usize, received: bool) -> MachMsg {
        MESSAGES.fetch_add(1, Ordering::Relaxed);
        MachMsg {
            bytes,
            size,
            received,
            voucher: None,
            priority: Priority::NONE,
            over: Qos::Unspecified,
            context: None,
            is_awaited: false,
            is_spent: false,
        }
    }

    /// Returns a message without body. A channel fills in the destination.
    pub fn new(id: i32) -> MachMsg {
        /// Bytes of a small message. Most are, and one that is built step by step would be moved with each step.
        const SMALL: usize = 192;
        let header = Header { msgh_id: id, msgh_size: Header::SIZE as u32, ..Header::default() };
        let mut bytes = Vec::with_capacity(SMALL);
        bytes.extend_from_slice(header.as_bytes());
        MachMsg::of(bytes, Header::SIZE, false)
    }

    /// Returns the message in these bytes, which begin with a header.
    ///
    /// # Panics
    /// Ends the program if the bytes are shorter than a header, or end inside a word.
    pub fn from_bytes(bytes: Vec<u8>) -> MachMsg {
        if bytes.len() < Header::SIZE || !bytes.len().is_multiple_of(4) {
            process().kernel.crash("a message is shorter than its header, or ends inside a word");
        }
        let size = bytes.len();
        MachMsg::of(bytes, size, false)
    }

    /// Returns the message at the beginning of a receive buffer.
    pub(crate) fn received(buffer: &[u8]) -> MachMsg {
        let header = Header::read_from_prefix(buffer).expect("a receive buffer has room for a header").0;
        let size = (header.msgh_size as usize).clamp(Header::SIZE, buffer.len());
        let end = trailer_end(buffer, size);
        MachMsg::of(buffer[..end].to_vec(), size, true)
    }

    /// Returns a message that names a right and nothing else.
    pub(crate) fn reply_to_port(reply: PortName, id: i32) -> MachMsg {
        MachMsg::new(id).to(reply, Disposition::MOVE_SEND_ONCE)
    }

    fn change(&mut self, change: impl FnOnce(&mut Header)) {
        let mut header = self.header();
        change(&mut header);
        header.write_to_prefix(&mut self.bytes).expect("a message has a header");
    }

    /// Sets the destination, for a message that does not go to a channel's peer.
    pub fn to(mut self, name: PortName, disposition: Disposition) -> MachMsg {
        self.set_remote(name, disposition);
        self
    }

    /// Adds a reply port.
    pub fn reply_to(mut self, name: PortName, disposition: Disposition) -> MachMsg {
        self.change(|header| {
            header.msgh_local_port = name;
            header.msgh_bits = header.msgh_bits & !0x1F00 | u32::from(disposition.0) << 8;
        });
        self
    }

    pub(crate) fn set_remote(&mut self, name: PortName, disposition: Disposition) {
        self.change(|header| {
            header.msgh_remote_port = name;
            header.msgh_bits = header.msgh_bits & !0x1F | u32::from(disposition.0);
        });
    }

    /// Notes what the kernel did with the rights of the message, which it was given to send (mach-ipc 3.11).
    pub(crate) fn note_sent(&mut self, code: KernReturn) {
        self.is_spent = !matches!(
            KernReturn(code.0 & !MACH_MSG_MASK),
            // The rights have stayed with these codes, and have come back with those.
            MACH_SEND_INVALID_DATA
                | MACH_SEND_TOO_LARGE
                | MACH_SEND_INVALID_HEADER
                | MACH_SEND_INVALID_DEST
                | MACH_SEND_INVALID_REPLY
                | MACH_SEND_INVALID_VOUCHER
                | MACH_SEND_TIMED_OUT
                | MACH_SEND_INTERRUPTED
                | MACH_SEND_NO_BUFFER
                | MACH_SEND_INVALID_CONTEXT
        );
    }

    /// Makes the header again what it was before a send that failed: the kernel gives a copied right back as one more
    /// reference.
    pub(crate) fn restore_remote(&mut self, right: PortName) {
        let header = self.header();
        if header.remote() == Disposition::MOVE_SEND {
            release(header.msgh_remote_port, Disposition::MOVE_SEND);
            self.set_remote(right, Disposition::COPY_SEND);
        }
    }

    /// Appends a port descriptor. All descriptors come before the first [`bytes`](MachMsg::bytes).
    pub fn port(mut self, name: PortName, disposition: Disposition) -> MachMsg {
        if !self.header().flags().contains(HeaderFlags::COMPLEX) {
            self.change(|header| header.msgh_bits |= HeaderFlags::COMPLEX.bits());
            self.append(&0u32.to_le_bytes());
        }
        let count = u32::read_from_prefix(&self.bytes[Header::SIZE..]).expect("a complex message has a count").0 + 1;
        self.bytes[Header::SIZE..][..4].copy_from_slice(&count.to_le_bytes());
        self.append(PortDescriptor::new(name, disposition).as_bytes());
        self
    }

    /// Appends bytes, and zeros up to the next word.
    pub fn bytes(mut self, bytes: &[u8]) -> MachMsg {
        self.append(bytes);
        self
    }

    fn append(&mut self, bytes: &[u8]) {
        debug_assert!(!self.received, "a received message does not grow");
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.size = self.bytes.len();
        let size = self.size as u32;
        self.change(|header| header.msgh_size = size);
    }

    /// Returns the message without what follows its header.
    pub(crate) fn without_body(mut self) -> MachMsg {
        self.bytes.truncate(Header::SIZE);
        self.size = Header::SIZE;
        self.change(|header| {
            header.msgh_size = Header::SIZE as u32;
            header.msgh_bits &= !HeaderFlags::COMPLEX.bits();
        });
        self
    }

    /// Returns the header.
    pub fn header(&self) -> Header {
        Header::read_from_prefix(&self.bytes).expect("a message has a header").0
    }

    /// Returns the id.
    pub fn id(&self) -> i32 {
        self.header().msgh_id
    }

    /// Returns the size of header and body.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns a checked view. None if the descriptors do not lie in the message.
    pub fn view(&self) -> Option<View<'_>> {
        View::of(&self.bytes)
    }

    /// Returns the bytes behind header and descriptors; none if the descriptors do not lie in the message.
    pub fn body(&self) -> &[u8] {
        self.view().map_or(&[], |view| view.body())
    }

    /// Returns a word of the body. None if the body ends before it.
    pub fn word(&self, number: usize) -> Option<u32> {
        self.view()?.word(number)
    }

    /// Returns the trailer of a received message. The fields that were not received are zero.
    pub fn trailer(&self) -> Trailer {
        let mut trailer = Trailer::new_zeroed();
        let bytes = self.bytes.get(self.size.next_multiple_of(4)..).unwrap_or_default();
        let size = bytes.len().min(MAX_TRAILER_SIZE);
        trailer.as_mut_bytes()[..size].copy_from_slice(&bytes[..size]);
        trailer
    }

    /// Returns true if the kernel sent the message, which no task can imitate.
    pub fn is_from_kernel(&self) -> bool {
        /// The word of the audit token with the sender's pid, which is 0 for the kernel alone.
        const PID: usize = 5;
        let trailer = self.trailer();
        let audit = trailer.msgh_audit;
        self.received && trailer.msgh_trailer_size as usize >= trailer_size(3) && audit[PID] == 0
    }

    /// Returns what the program stored with the request, if this is an asynchronous reply.
    pub fn context(&self) -> Option<u64> {
        self.context
    }

    pub(crate) fn set_context(&mut self, context: Option<u64>) {
        self.context = context;
    }

    /// Returns the voucher that came with the message, until the message is handled.
    pub fn voucher(&self) -> Option<&Arc<Voucher>> {
        self.voucher.as_ref()
    }

    /// Returns the class and relative priority of the message.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Returns the override class that a received message arrived with: that of the most urgent message behind it, or
    /// of the thread that waits for the reply.
    pub fn override_class(&self) -> Qos {
        self.over
    }

    /// Returns the bytes of the message without trailer.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }

    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.size]
    }

    /// Returns true if the destination is a send-once right, as that of replies is.
    pub(crate) fn is_reply(&self) -> bool {
        self.header().remote() == Disposition::MOVE_SEND_ONCE
    }

    /// Returns the reply port of a request, if the request makes a send-once right from it.
    pub(crate) fn reply_port(&self) -> Option<PortName> {
        let header = self.header();
        let makes = header.local() == Disposition::MAKE_SEND_ONCE && header.msgh_local_port.is_valid();
        makes.then_some(header.msgh_local_port)
    }

    /// Takes the reply right out of a received request and returns a reply by it. None if the request brought no
    /// send-once right, or if it was taken before.
    pub fn take_reply(&mut self) -> Option<MachMsg> {
        let header = self.header();
        if !self.received || header.remote() != Disposition::PORT_SEND_ONCE || !header.msgh_remote_port.is_valid() {
            return None;
        }
        self.set_remote(MACH_PORT_NULL, Disposition::NONE);
        Some(MachMsg::reply_to_port(header.msgh_remote_port, header.msgh_id.wrapping_add(REPLY_ID_OFFSET)))
    }

    /// Takes the right of a port descriptor out of a received message, so that [`destroy`](MachMsg::destroy) leaves it.
    /// None if there is no such port descriptor.
    pub fn take_port(&mut self, number: usize) -> Option<PortDescriptor> {
        let mut descriptors = self.view()?.descriptors();
        let before: usize = descriptors.by_ref().take(number).map(|descriptor| descriptor.size()).sum();
        let Descriptor::Port(port) = descriptors.next()? else { return None };
        let taken = PortDescriptor { name: MACH_PORT_NULL, ..port };
        self.bytes[DESCRIPTORS_OFFSET + before..][..PortDescriptor::SIZE].copy_from_slice(taken.as_bytes());
        Some(port)
    }

    /// Gives back everything that the message holds, and drops it: of a received message the rights and the memory that
    /// it brought, of one to be sent those that it would have moved, of one that was sent nothing. This is the only place
    /// where a message's rights are released (dispatch R-11).
    pub fn destroy(self) {
        if self.is_spent {
            return;
        }
        let header = self.header();
        release(header.msgh_remote_port, header.remote());
        // In a received message the local port is the port that it came through.
        if !self.received {
            release(header.msgh_local_port, header.local());
        }
        release(header.msgh_voucher_port, header.voucher());
        let Some(view) = self.view() else { return };
        for descriptor in view.descriptors() {
            match descriptor {
                Descriptor::Port(port) => release(port.name, port.disposition),
                // Memory that is to be sent stays the sender's: `copy_in` of the kernel gives it back if it moves it.
                Descriptor::Memory { .. } | Descriptor::Ports { .. } if !self.received => {}
                other => process().kernel.destroy_descriptor(&other),
            }
        }
    }
}

/// Gives back the right that a message holds under a name. Copied and made rights are not taken yet.
fn release(name: PortName, disposition: Disposition) {
    let kernel = process().kernel;
    match disposition {
        _ if !name.is_valid() => {}
        Disposition::MOVE_SEND => kernel.release_send(name),
        // The port may have died. Another error means that the program has given the right up before.
        Disposition::MOVE_SEND_ONCE => {
            let released = kernel.mod_refs(name, MACH_PORT_RIGHT_SEND_ONCE, -1);
            let _ = released.or_else(|_| kernel.mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, -1));
        }
        Disposition::MOVE_RECEIVE => drop(kernel.mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1)),
        _ => {}
    }
}

/// Returns where the trailer behind a message of this size ends.
fn trailer_end(buffer: &[u8], size: usize) -> usize {
    let start = size.next_multiple_of(4);
    let length = buffer.get(start + 4..).and_then(|bytes| u32::read_from_prefix(bytes).ok());
    let length = length.map_or(0, |(length, _)| (length as usize).min(MAX_TRAILER_SIZE));
    if start + length <= buffer.len() { start + length } else { size.min(buffer.len()) }
}
