//! Mach messages: build one in a buffer, send it, receive into a buffer, look at what came.

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

/// A buffer with a message, to be sent or received.
#[derive(Clone, Debug)]
#[repr(C, align(8))]
pub struct Message {
    bytes: [u8; CAPACITY],
    size: usize,
}

/// The arguments of `mach_msg` besides the message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// Options.
    pub options: MsgOption,
    /// Bytes to send.
    pub send_size: u32,
    /// Bytes that may be received.
    pub receive_size: u32,
    /// Where to receive.
    pub receive_name: PortName,
    /// Milliseconds, for the options that want them.
    pub timeout: u32,
    /// Message QoS, for the option that wants it.
    pub priority: u32,
}

/// The trap `mach_msg` on memory at any address, which the caller may write.
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
    let result = if options.contains(MsgOption::SEND_OVERRIDE) {
        sys::trap_with_stack(MACH_MSG, arguments, [u64::from(priority), 0])
    } else {
        // The priority would not be read.
        sys::trap(MACH_MSG, arguments)
    };
    KernReturn(result as i32)
}

/// `mach_msg` that goes on when `thread_abort` interrupts it, unless an option says that the caller wants to know
/// (mach-ipc 3.11). A send is made again with what came back; of a call that was already receiving only the rest is.
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
    /// An empty buffer.
    pub const fn new() -> Message {
        Message { bytes: [0; CAPACITY], size: Header::SIZE }
    }

    /// A message to `name`, sent by a right taken as `disposition` says.
    pub fn to(name: PortName, disposition: Disposition) -> Message {
        let mut message = Message::new();
        let bits = msgh_bits(disposition, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
        message.change(|header| (header.msgh_bits, header.msgh_remote_port) = (bits, name));
        message
    }

    /// A message by a copy of a send right.
    pub fn copy_send(name: PortName) -> Message {
        Message::to(name, Disposition::COPY_SEND)
    }

    /// A message as answer to `request`, by its reply right.
    pub fn reply(request: &Message) -> Message {
        let header = request.header();
        let disposition = match header.remote() {
            Disposition::PORT_SEND => Disposition::MOVE_SEND,
            _ => Disposition::MOVE_SEND_ONCE,
        };
        Message::to(header.msgh_remote_port, disposition).id(reply_id(header.msgh_id))
    }

    /// Takes the reply right out of a received request and returns a message that answers by it. None if the request
    /// brought no send-once right for the reply: an answer by a send right would wait in a queue on the server's own
    /// budget, as long as its client likes.
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

    /// With a reply right.
    pub fn reply_to(mut self, name: PortName, disposition: Disposition) -> Message {
        self.change(|header| {
            header.msgh_local_port = name;
            header.msgh_bits |= u32::from(disposition.0) << 8;
        });
        self
    }

    /// With an id.
    pub fn id(mut self, id: i32) -> Message {
        self.change(|header| header.msgh_id = id);
        self
    }

    /// With another port descriptor. All of them come before the first [`bytes`](Message::bytes).
    pub fn port(mut self, name: PortName, disposition: Disposition) -> Message {
        let count = if self.is_complex() { self.descriptor_count() } else { 0 };
        self.change(|header| header.msgh_bits |= HeaderFlags::COMPLEX.bits());
        self.bytes[Header::SIZE..][..4].copy_from_slice(&(count as u32 + 1).to_le_bytes());
        let at = DESCRIPTORS_OFFSET + count * PortDescriptor::SIZE;
        self.bytes[at..][..PortDescriptor::SIZE].copy_from_slice(PortDescriptor::new(name, disposition).as_bytes());
        self.size = at + PortDescriptor::SIZE;
        self
    }

    /// The count that [`port`](Message::port) keeps.
    fn descriptor_count(&self) -> usize {
        u32::read_from_prefix(&self.bytes[Header::SIZE..]).expect("there is room").0 as usize
    }

    /// With more bytes at the end.
    pub fn bytes(mut self, bytes: &[u8]) -> Message {
        self.bytes[self.size..][..bytes.len()].copy_from_slice(bytes);
        self.size += bytes.len();
        self
    }

    /// With more words at the end.
    pub fn words(self, words: &[u32]) -> Message {
        self.bytes(words.as_bytes())
    }

    /// The header.
    pub fn header(&self) -> Header {
        Header::read_from_prefix(&self.bytes).expect("a buffer has room for a header").0
    }

    /// The id.
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
    /// If the message has no such descriptor: servers look at what strangers send through [`view`](Message::view).
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
    /// voucher, the rights and the memory of its descriptors. What the header's fields hold without a disposition are
    /// numbers that the sender chose, and no rights.
    pub fn destroy(self) {
        let header = self.header();
        port::destroy_right(header.msgh_remote_port, header.remote());
        port::destroy_right(header.msgh_voucher_port, header.voucher());
        if let Some(view) = self.view() {
            view.descriptors().for_each(|descriptor| descriptor.destroy());
        }
    }

    /// Returns what comes after header and descriptors in a received message.
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

    /// The trailer of a received message; what was not asked for is zero.
    pub fn trailer(&self) -> Trailer {
        let start = (self.header().msgh_size as usize).next_multiple_of(4);
        let size = u32::read_from_prefix(&self.bytes[start + 4..]).expect("there is room").0 as usize;
        let mut trailer = Trailer::new_zeroed();
        trailer.as_mut_bytes()[..size].copy_from_slice(&self.bytes[start..][..size]);
        trailer
    }

    /// The bytes of the buffer.
    pub fn buffer(&mut self) -> &mut [u8; CAPACITY] {
        &mut self.bytes
    }

    /// [`mach_msg`] with everything given; `send_size` is that of the message if it is 0.
    pub fn call(&mut self, call: &Call) -> KernReturn {
        let send_size = if call.send_size == 0 { self.size as u32 } else { call.send_size };
        let receive_size = if call.receive_size == 0 { CAPACITY as u32 } else { call.receive_size };
        mach_msg(self.bytes.as_mut_ptr() as u64, &Call { send_size, receive_size, ..*call })
    }

    /// Sends the message; waits while the queue is full.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn send(&mut self) -> Result<(), KernReturn> {
        self.call(&Call { options: MsgOption::SEND_MSG, ..Call::default() }).ok()
    }

    /// Sends the message, and waits so many milliseconds at most.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn send_within(&mut self, milliseconds: u32) -> Result<(), KernReturn> {
        let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
        self.call(&Call { options, timeout: milliseconds, ..Call::default() }).ok()
    }

    /// Sends an answer without waiting. If it cannot be sent its rights are given back: the client is gone.
    pub fn send_or_destroy(mut self) {
        let Err(code) = self.send_within(0) else { return };
        // With these codes the rights have stayed, or come back; with the others they are used up.
        if matches!(without_detail(code), MACH_SEND_INVALID_DEST | MACH_SEND_TIMED_OUT | MACH_SEND_NO_BUFFER) {
            self.destroy();
        }
    }

    /// Receives a message, with the longest trailer, and waits as long as it takes.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn receive(name: PortName) -> Result<Message, KernReturn> {
        let options = MsgOption::RCV_MSG | MsgOption::trailer_elements(7);
        let mut message = Message::new();
        message.call(&Call { options, receive_name: name, ..Call::default() }).ok().map(|()| message)
    }

    /// The same, but waits so many milliseconds at most.
    ///
    /// # Errors
    /// Those of `mach_msg`.
    pub fn receive_within(name: PortName, milliseconds: u32) -> Result<Message, KernReturn> {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::trailer_elements(7);
        let mut message = Message::new();
        let call = Call { options, receive_name: name, timeout: milliseconds, ..Call::default() };
        message.call(&call).ok().map(|()| message)
    }

    /// Receives the next message of strangers, as a server does, and waits so many milliseconds at most, or for ever. A
    /// message some of whose rights found no room is received too: the others must be given back.
    ///
    /// # Errors
    /// Those of `mach_msg`. [`is_lost`] tells whether it makes sense to receive again.
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

    /// Sends the message and receives the answer on a port made for it.
    ///
    /// # Errors
    /// Those of `mach_msg`; `KERN_RESOURCE_SHORTAGE` if there is no such port.
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

/// The id of the reply to a request. Ids are any numbers, so the sum goes round, as the kernel's does.
const fn reply_id(request: i32) -> i32 {
    request.wrapping_add(REPLY_ID_OFFSET)
}

const fn without_detail(code: KernReturn) -> KernReturn {
    KernReturn(code.0 & !MACH_MSG_MASK)
}

/// Returns true if a receive failed because of the message, which the kernel has destroyed: the next receive may succeed.
/// Every other error is about the name to receive from, or the buffer, and comes again each time.
pub fn is_lost(code: KernReturn) -> bool {
    matches!(without_detail(code), MACH_RCV_TOO_LARGE | MACH_RCV_HEADER_ERROR)
}

/// Makes a call in the form of those to kernel objects, and checks the reply as a MIG stub does.
///
/// # Errors
/// Those of `mach_msg`; the code in the reply; `MIG_SERVER_DIED` if the request was destroyed without an answer;
/// `MIG_REPLY_MISMATCH` if what came is no answer to it, `MIG_TYPE_ERROR` if it is too short for one.
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

/// Calls a kernel object: a request with an NDR record and words, a reply with a code and words, which come after it.
///
/// # Errors
/// As for [`call_server`].
pub fn call_object(name: PortName, id: i32, words: &[u32]) -> Result<Message, KernReturn> {
    call_server(Message::copy_send(name).id(id).bytes(&NDR).words(words))
}

/// A fresh port with a send right under the same name.
pub fn port_with_send() -> Port {
    let port = Port::new();
    port::insert_right(port.name(), port.name(), Disposition::MAKE_SEND).expect("a send right is made");
    port
}

/// Says whether nothing can be received from a port.
pub fn is_empty(name: PortName) -> bool {
    matches!(Message::receive_within(name, 0), Err(MACH_RCV_TIMED_OUT)) && name != MACH_PORT_NULL
}
