//! Mach messages: build one in a buffer, send it, receive into a buffer, look at what came.

use crate::port::{self, Port};
use crate::sys;
use abi::code::*;
use abi::message::*;
use abi::mig::NDR;
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
        Message::to(header.msgh_remote_port, disposition).id(header.msgh_id + abi::mig::REPLY_ID_OFFSET)
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

    /// Whether it has descriptors.
    pub fn is_complex(&self) -> bool {
        self.header().flags().contains(HeaderFlags::COMPLEX)
    }

    /// How many descriptors a complex message has.
    pub fn descriptor_count(&self) -> usize {
        u32::read_from_prefix(&self.bytes[Header::SIZE..]).expect("there is room").0 as usize
    }

    /// A descriptor of a complex message.
    pub fn descriptor(&self, number: usize) -> PortDescriptor {
        let at = DESCRIPTORS_OFFSET + number * PortDescriptor::SIZE;
        PortDescriptor::read_from_prefix(&self.bytes[at..]).expect("there is room").0
    }

    /// What comes after header and descriptors, in a received message.
    pub fn body(&self) -> &[u8] {
        let start = match self.is_complex() {
            true => DESCRIPTORS_OFFSET + self.descriptor_count() * PortDescriptor::SIZE,
            false => Header::SIZE,
        };
        &self.bytes[start..self.header().msgh_size as usize]
    }

    /// A word of the body.
    pub fn word(&self, number: usize) -> u32 {
        u32::read_from_prefix(&self.body()[4 * number..]).expect("the body is that long").0
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

/// Calls a kernel object: a request with an NDR record and words, a reply with a code and words, which come after it.
///
/// # Errors
/// Those of `mach_msg`, and the code in the reply.
pub fn call_object(name: PortName, id: i32, words: &[u32]) -> Result<Message, KernReturn> {
    let reply = Message::copy_send(name).id(id).bytes(&NDR).words(words).rpc()?;
    if !reply.is_complex() {
        KernReturn(reply.word(2) as i32).ok()?;
    }
    Ok(reply)
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
