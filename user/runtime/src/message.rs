//! Mach messages: building them in a buffer, sending, receiving.

use crate::port::{self, Port};
use crate::sys;
use crate::view::{Descriptor, View};
use abi::code::*;
use abi::message::*;
use abi::mig::{NDR, REPLY_ID_OFFSET};
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::trap::mach::MACH_MSG;
use abi::{KernReturn, PortName};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Bytes in a [`Message`].
pub const CAPACITY: usize = 1024;

/// A buffer that holds a message to send, or one that was received.
#[derive(Clone, Debug)]
#[repr(C, align(8))]
pub struct Message {
    bytes: [u8; CAPACITY],
    size: usize,
}

/// The arguments of `mach_msg` besides the message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// The options.
    pub options: MsgOption,
    /// The size of the message to send.
    pub send_size: u32,
    /// The size of the receive buffer.
    pub receive_size: u32,
    /// The port or set to receive from.
    pub receive_name: PortName,
    /// Milliseconds, for the options with a timeout.
    pub timeout: u32,
    /// The message's QoS, for `MACH_SEND_OVERRIDE`.
    pub priority: u32,
}

/// Makes the trap `mach_msg` with a message at any address, which the caller may write.
pub fn mach_msg_at(address: u64, call: &Call) -> KernReturn {
    let Call { options, send_size, receive_size, receive_name, timeout, priority } = *call;
    let arguments = [
        address,
        u64::from(options.bits()),
        u64::from(send_size),
        u64::from(receive_size),
        u64::from(receive_name.0),
        u64::from(timeout),
    ];
    let result = if options.contains(MsgOption::SEND_OVERRIDE) || options.awaits_reply_of_port() {
        sys::trap_with_stack(MACH_MSG, arguments, [u64::from(priority), 0])
    } else {
        // The kernel reads the priority only with these options.
        sys::trap(MACH_MSG, arguments)
    };
    KernReturn(result as i32)
}

/// Makes the trap `mach_msg`, and makes it again if `thread_abort` interrupts it, as the library's `mach_msg` does. An
/// interrupted send is repeated with the message that came back, an interrupted receive without its send (mach-ipc
/// 3.11). With `MACH_SEND_INTERRUPT` and `MACH_RCV_INTERRUPT` the call returns instead.
pub fn mach_msg(address: u64, call: &Call) -> KernReturn {
    let mut call = *call;
    loop {
        match mach_msg_at(address, &call) {
            MACH_SEND_INTERRUPTED if !call.options.contains(MsgOption::SEND_INTERRUPT) => {}
            MACH_RCV_INTERRUPTED if !call.options.contains(MsgOption::RCV_INTERRUPT) => {
                call.options -= MsgOption::SEND_MSG | MsgOption::RCV_SYNC_WAIT;
                call.send_size = 0;
            }
            code => return code,
        }
    }
}

impl Message {
    /// Returns a message without destination and body.
    pub const fn new() -> Message {
        Message { bytes: [0; CAPACITY], size: Header::SIZE }
    }

    /// Returns a message to `name`, by a right that `disposition` takes from the name.
    pub fn to(name: PortName, disposition: Disposition) -> Message {
        let mut message = Message::new();
        let bits = msgh_bits(disposition, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
        message.change(|header| (header.msgh_bits, header.msgh_remote_port) = (bits, name));
        message
    }

    /// Returns a message by a copy of a send right.
    pub fn copy_send(name: PortName) -> Message {
        Message::to(name, Disposition::COPY_SEND)
    }

    /// Returns the reply to `request`, by its reply right.
    pub fn reply(request: &Message) -> Message {
        let header = request.header();
        let disposition = match header.remote() {
            Disposition::PORT_SEND => Disposition::MOVE_SEND,
            _ => Disposition::MOVE_SEND_ONCE,
        };
        Message::to(header.msgh_remote_port, disposition).id(reply_id(header.msgh_id))
    }

    /// Takes the reply right out of a received request and returns a reply by it. None if the request brought no
    /// send-once right: a reply by a send right could wait in its queue without limit, on the server's budget.
    pub fn take_reply(&mut self) -> Option<Message> {
        let header = self.header();
        if header.remote() != Disposition::PORT_SEND_ONCE || !header.msgh_remote_port.is_valid() {
            return None;
        }
        self.change(|header| header.msgh_remote_port = MACH_PORT_NULL);
        Some(Message::to(header.msgh_remote_port, Disposition::MOVE_SEND_ONCE).id(reply_id(header.msgh_id)))
    }

    fn change(&mut self, change: impl FnOnce(&mut Header)) {
        let mut header = self.header();
        change(&mut header);
        header.write_to_prefix(&mut self.bytes).expect("a buffer has room for a header");
    }

    /// Adds a reply right.
    pub fn reply_to(mut self, name: PortName, disposition: Disposition) -> Message {
        self.change(|header| {
            header.msgh_local_port = name;
            header.msgh_bits |= u32::from(disposition.0) << 8;
        });
        self
    }

    /// Adds a voucher.
    pub fn voucher(mut self, name: PortName, disposition: Disposition) -> Message {
        self.change(|header| {
            header.msgh_voucher_port = name;
            header.msgh_bits |= u32::from(disposition.0) << 16;
        });
        self
    }

    /// Sets the id.
    pub fn id(mut self, id: i32) -> Message {
        self.change(|header| header.msgh_id = id);
        self
    }

    /// Appends a port descriptor. All descriptors come before the first [`bytes`](Message::bytes).
    pub fn port(mut self, name: PortName, disposition: Disposition) -> Message {
        let count = if self.is_complex() { self.descriptor_count() } else { 0 };
        self.change(|header| header.msgh_bits |= HeaderFlags::COMPLEX.bits());
        self.bytes[Header::SIZE..][..4].copy_from_slice(&(count as u32 + 1).to_le_bytes());
        let at = DESCRIPTORS_OFFSET + count * PortDescriptor::SIZE;
        self.bytes[at..][..PortDescriptor::SIZE].copy_from_slice(PortDescriptor::new(name, disposition).as_bytes());
        self.size = at + PortDescriptor::SIZE;
        self
    }

    /// Returns the count that [`port`](Message::port) keeps.
    fn descriptor_count(&self) -> usize {
        u32::read_from_prefix(&self.bytes[Header::SIZE..]).expect("there is room").0 as usize
    }

    /// Appends bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Message {
        self.bytes[self.size..][..bytes.len()].copy_from_slice(bytes);
        self.size += bytes.len();
        self
    }

    /// Appends words.
    pub fn words(self, words: &[u32]) -> Message {
        self.bytes(words.as_bytes())
    }

    /// Returns the header.
    pub fn header(&self) -> Header {
        Header::read_from_prefix(&self.bytes).expect("a buffer has room for a header").0
    }

    /// Returns the id.
    pub fn message_id(&self) -> i32 {
        self.header().msgh_id
    }

    /// Returns true if the header says that there are descriptors.
    pub fn is_complex(&self) -> bool {
        self.header().flags().contains(HeaderFlags::COMPLEX)
    }

    /// Returns a checked view of a received message. None if the buffer holds none.
    pub fn view(&self) -> Option<View<'_>> {
        View::of(&self.bytes)
    }

    fn checked(&self) -> View<'_> {
        self.view().expect("a message was received")
    }

    /// Returns a port descriptor of a received message.
    ///
    /// # Panics
    /// If the message has no such descriptor. Servers read untrusted messages through [`view`](Message::view).
    pub fn descriptor(&self, number: usize) -> PortDescriptor {
        match self.checked().descriptors().nth(number) {
            Some(Descriptor::Port(port)) => port,
            other => panic!("descriptor {number} is no port: {other:?}"),
        }
    }

    /// Takes the right of a port descriptor out of a received message, so that [`destroy`](Message::destroy) leaves it.
    /// None if there is no such port descriptor.
    pub fn take_port(&mut self, number: usize) -> Option<PortDescriptor> {
        let mut descriptors = self.view()?.descriptors();
        let before: usize = descriptors.by_ref().take(number).map(|descriptor| descriptor.size()).sum();
        let Descriptor::Port(port) = descriptors.next()? else { return None };
        let taken = PortDescriptor { name: MACH_PORT_NULL, ..port };
        self.bytes[DESCRIPTORS_OFFSET + before..][..PortDescriptor::SIZE].copy_from_slice(taken.as_bytes());
        Some(port)
    }

    /// Gives back everything that a received message brought and that was not taken out of it: the reply right, the
    /// voucher, the rights and the memory of its descriptors. A name in the header without a disposition is no right
    /// but a number that the sender chose.
    pub fn destroy(self) {
        let header = self.header();
        port::destroy_right(header.msgh_remote_port, header.remote());
        port::destroy_right(header.msgh_voucher_port, header.voucher());
        if let Some(view) = self.view() {
            view.descriptors().for_each(|descriptor| descriptor.destroy());
        }
    }

    /// Returns the bytes behind header and descriptors in a received message.
    pub fn body(&self) -> &[u8] {
        self.checked().body()
    }

    /// Returns a word of the body of a received message.
    ///
    /// # Panics
    /// If the body ends before it: see [`descriptor`](Message::descriptor).
    pub fn word(&self, number: usize) -> u32 {
        self.checked().word(number).expect("the body is that long")
    }

    /// Returns the trailer of a received message. The fields that were not received are zero.
    pub fn trailer(&self) -> Trailer {
        let start = (self.header().msgh_size as usize).next_multiple_of(4);
        let size = u32::read_from_prefix(&self.bytes[start + 4..]).expect("there is room").0 as usize;
        let mut trailer = Trailer::new_zeroed();
        trailer.as_mut_bytes()[..size].copy_from_slice(&self.bytes[start..][..size]);
        trailer
    }

    /// Returns the size of a message that is being built.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the bytes of the buffer.
    pub fn buffer(&mut self) -> &mut [u8; CAPACITY] {
        &mut self.bytes
    }

    /// Calls [`mach_msg`] with this message. A `send_size` of 0 means the size of the message, a `receive_size` of 0
    /// that of the buffer.
    pub fn call(&mut self, call: &Call) -> KernReturn {
        let send_size = if call.send_size == 0 { self.size as u32 } else { call.send_size };
        let receive_size = if call.receive_size == 0 { CAPACITY as u32 } else { call.receive_size };
        mach_msg(self.bytes.as_mut_ptr() as u64, &Call { send_size, receive_size, ..*call })
    }

    /// Sends the message, and waits while the queue is full.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn send(&mut self) -> Result<(), KernReturn> {
        self.call(&Call { options: MsgOption::SEND_MSG, ..Call::default() }).ok()
    }

    /// Sends the message, and waits for at most this many milliseconds.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn send_within(&mut self, milliseconds: u32) -> Result<(), KernReturn> {
        let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
        self.call(&Call { options, timeout: milliseconds, ..Call::default() }).ok()
    }

    /// Sends a reply without waiting. Gives its rights back if it cannot be sent, because the client is gone.
    pub fn send_or_destroy(mut self) {
        let Err(code) = self.send_within(0) else { return };
        // With these codes the rights have stayed or come back. The other errors use them up.
        if matches!(without_detail(code), MACH_SEND_INVALID_DEST | MACH_SEND_TIMED_OUT | MACH_SEND_NO_BUFFER) {
            self.destroy();
        }
    }

    /// Receives a message with the longest trailer, and waits without a limit.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn receive(name: PortName) -> Result<Message, KernReturn> {
        let options = MsgOption::RCV_MSG | MsgOption::trailer_elements(7);
        let mut message = Message::new();
        message.call(&Call { options, receive_name: name, ..Call::default() }).ok().map(|()| message)
    }

    /// Receives a message with the longest trailer, and waits for at most this many milliseconds.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn receive_within(name: PortName, milliseconds: u32) -> Result<Message, KernReturn> {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::trailer_elements(7);
        let mut message = Message::new();
        let call = Call { options, receive_name: name, timeout: milliseconds, ..Call::default() };
        message.call(&call).ok().map(|()| message)
    }

    /// Receives the next message for a server, and waits for at most this many milliseconds, or without a limit. Also
    /// returns a message that lost some of its rights for want of room (`MACH_RCV_BODY_ERROR`): the server must give
    /// the others back.
    ///
    /// # Errors
    /// Those of `mach_msg`. After an error that [`is_lost`] accepts the server receives again.
    pub fn receive_any(name: PortName, milliseconds: Option<u32>) -> Result<Message, KernReturn> {
        let options = MsgOption::RCV_MSG | MsgOption::trailer_elements(7);
        let options = if milliseconds.is_some() { options | MsgOption::RCV_TIMEOUT } else { options };
        let mut message = Message::new();
        let call = Call { options, receive_name: name, timeout: milliseconds.unwrap_or_default(), ..Call::default() };
        match message.call(&call) {
            MACH_MSG_SUCCESS => Ok(message),
            code if without_detail(code) == MACH_RCV_BODY_ERROR => Ok(message),
            code => Err(code),
        }
    }

    /// Waits like [`receive_any`](Message::receive_any) for a message of a member of a set, leaves it there, and returns
    /// the name of the member.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn wait_for_member(set: PortName, milliseconds: Option<u32>) -> Result<PortName, KernReturn> {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_LARGE | MsgOption::RCV_LARGE_IDENTITY;
        let options = if milliseconds.is_some() { options | MsgOption::RCV_TIMEOUT } else { options };
        let mut message = Message::new();
        // No message fits into a header, because of its trailer.
        let receive_size = Header::SIZE as u32;
        let timeout = milliseconds.unwrap_or_default();
        match message.call(&Call { options, receive_name: set, receive_size, timeout, ..Call::default() }) {
            MACH_RCV_TOO_LARGE => Ok(message.header().msgh_local_port),
            MACH_MSG_SUCCESS => panic!("a message has arrived in a buffer that is too small for it"),
            code => Err(code),
        }
    }

    /// Sends the message and receives the reply on a fresh port.
    ///
    /// # Errors
    /// Those of `mach_msg`; `KERN_RESOURCE_SHORTAGE` if there is no room for a reply port.
    pub fn rpc(self) -> Result<Message, KernReturn> {
        let reply = Port::reply()?;
        let mut message = self.reply_to(reply.name(), Disposition::MAKE_SEND_ONCE);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG | MsgOption::trailer_elements(7);
        message.call(&Call { options, receive_name: reply.name(), ..Call::default() }).ok().map(|()| message)
    }
}

impl Default for Message {
    fn default() -> Self {
        Message::new()
    }
}

/// Returns the id of the reply to a request. The sum wraps, as the kernel's does: a client may send any id.
const fn reply_id(request: i32) -> i32 {
    request.wrapping_add(REPLY_ID_OFFSET)
}

const fn without_detail(code: KernReturn) -> KernReturn {
    KernReturn(code.0 & !MACH_MSG_MASK)
}

/// Returns true if a receive failed because of the message, which the kernel has destroyed: the next receive may
/// succeed. The other errors are about the receiver's own name or buffer, and repeat.
pub fn is_lost(code: KernReturn) -> bool {
    matches!(without_detail(code), MACH_RCV_TOO_LARGE | MACH_RCV_HEADER_ERROR)
}

/// Sends a request in the form of those to kernel objects, receives the reply, and checks it as a MIG stub does.
///
/// # Errors
/// Those of `mach_msg`; the code in the reply; `MIG_SERVER_DIED` if the server destroyed the reply right;
/// `MIG_REPLY_MISMATCH` if another message came; `MIG_TYPE_ERROR` if the reply has no code.
pub fn call_server(request: Message) -> Result<Message, KernReturn> {
    let expected = reply_id(request.message_id());
    let reply = request.rpc()?;
    let refused = match (reply.message_id(), reply.view()) {
        (id, Some(view)) if id == expected && view.is_complex() => return Ok(reply),
        (id, Some(view)) if id == expected => match view.word(NDR.len() / size_of::<u32>()) {
            Some(0) => return Ok(reply),
            Some(code) => KernReturn(code as i32),
            None => MIG_TYPE_ERROR,
        },
        (MACH_NOTIFY_SEND_ONCE, _) => MIG_SERVER_DIED,
        _ => MIG_REPLY_MISMATCH,
    };
    reply.destroy();
    Err(refused)
}

/// Calls a kernel object with words as the arguments. Returns the reply, in which the results begin at word 3 of the
/// body.
///
/// # Errors
/// Those of [`call_server`].
pub fn call_object(name: PortName, id: i32, words: &[u32]) -> Result<Message, KernReturn> {
    call_server(Message::copy_send(name).id(id).bytes(&NDR).words(words))
}

/// Returns a fresh port with a send right under the same name.
pub fn port_with_send() -> Port {
    let port = Port::new();
    port::insert_right(port.name(), port.name(), Disposition::MAKE_SEND).expect("a send right is made");
    port
}

/// Returns true if no message waits on a port.
pub fn is_empty(name: PortName) -> bool {
    matches!(Message::receive_within(name, 0), Err(MACH_RCV_TIMED_OUT)) && name != MACH_PORT_NULL
}
