//! Messages as test programs build and parse them.

use abi::PortName;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_NULL};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A message to send.
#[derive(Clone, Debug)]
pub struct Msg {
    header: Header,
    ports: Vec<PortDescriptor>,
    body: Vec<u8>,
}

impl Msg {
    /// Returns a message to `name` whose destination right is taken with `disposition`.
    pub fn to(name: PortName, disposition: Disposition) -> Msg {
        let bits = msgh_bits(disposition, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
        let header = Header { msgh_bits: bits, msgh_remote_port: name, ..Header::default() };
        Msg { header, ports: Vec::new(), body: Vec::new() }
    }

    /// Returns a simple message to `name` that copies its send right.
    pub fn copy_send(name: PortName) -> Msg {
        Msg::to(name, Disposition::COPY_SEND)
    }

    pub fn reply_to(mut self, name: PortName, disposition: Disposition) -> Msg {
        self.header.msgh_local_port = name;
        self.header.msgh_bits |= u32::from(disposition.0) << 8;
        self
    }

    pub fn voucher(mut self, name: PortName, disposition: Disposition) -> Msg {
        self.header.msgh_voucher_port = name;
        self.header.msgh_bits |= u32::from(disposition.0) << 16;
        self
    }

    pub fn id(mut self, id: i32) -> Msg {
        self.header.msgh_id = id;
        self
    }

    /// Sets more bits in `msgh_bits`.
    pub fn bits(mut self, bits: u32) -> Msg {
        self.header.msgh_bits |= bits;
        self
    }

    pub fn body(mut self, bytes: &[u8]) -> Msg {
        self.body.extend_from_slice(bytes);
        self
    }

    pub fn words(self, words: &[u32]) -> Msg {
        self.body(words.as_bytes())
    }

    /// Adds a port descriptor, which makes the message complex.
    pub fn port(mut self, name: PortName, disposition: Disposition) -> Msg {
        self.header.msgh_bits |= HeaderFlags::COMPLEX.bits();
        self.ports.push(PortDescriptor::new(name, disposition));
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.as_bytes().to_vec();
        if self.header.flags().contains(HeaderFlags::COMPLEX) {
            bytes.extend((self.ports.len() as u32).to_le_bytes());
        }
        self.ports.iter().for_each(|port| bytes.extend(port.as_bytes()));
        bytes.extend(&self.body);
        let size = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes
    }
}

/// Arguments of `mach_msg`.
#[derive(Clone, Copy, Debug)]
pub struct MachMsg {
    /// The address of the message, if it is not the actor's buffer.
    pub buffer: Option<u64>,
    pub options: MsgOption,
    pub send_size: u32,
    pub receive_size: u32,
    pub receive_name: PortName,
    pub timeout: u32,
    pub priority: u32,
}

impl Default for MachMsg {
    fn default() -> Self {
        MachMsg {
            buffer: None,
            options: MsgOption::empty(),
            send_size: 0,
            receive_size: 0,
            receive_name: MACH_PORT_NULL,
            timeout: 0,
            priority: 0,
        }
    }
}

/// The contents of a receive buffer.
#[derive(Clone, Debug)]
pub struct Received {
    pub header: Header,
    pub bytes: Vec<u8>,
}

impl Received {
    pub fn decode(bytes: Vec<u8>) -> Received {
        let header = Header::read_from_prefix(&bytes).expect("a receive buffer has room for a header").0;
        Received { header, bytes }
    }

    pub fn is_complex(&self) -> bool {
        self.header.flags().contains(HeaderFlags::COMPLEX)
    }

    pub fn descriptors(&self) -> Vec<PortDescriptor> {
        if !self.is_complex() {
            return Vec::new();
        }
        let count = u32::read_from_prefix(&self.bytes[Header::SIZE..]).unwrap().0 as usize;
        (0..count).map(|n| self.descriptor(n)).collect()
    }

    pub fn descriptor(&self, n: usize) -> PortDescriptor {
        let at = DESCRIPTORS_OFFSET + n * PortDescriptor::SIZE;
        PortDescriptor::read_from_prefix(&self.bytes[at..]).unwrap().0
    }

    /// Returns the bytes after header and descriptors.
    pub fn body(&self) -> &[u8] {
        let start = match self.is_complex() {
            true => DESCRIPTORS_OFFSET + self.descriptors().len() * PortDescriptor::SIZE,
            false => Header::SIZE,
        };
        &self.bytes[start..self.header.msgh_size as usize]
    }

    /// Returns the body as words.
    pub fn words(&self) -> Vec<u32> {
        self.body().chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    /// Returns the trailer. Fields beyond its size are zero.
    pub fn trailer(&self) -> Trailer {
        let start = (self.header.msgh_size as usize).next_multiple_of(4);
        let size = u32::read_from_prefix(&self.bytes[start + 4..]).unwrap().0 as usize;
        let mut trailer = Trailer::new_zeroed();
        trailer.as_mut_bytes()[..size].copy_from_slice(&self.bytes[start..start + size]);
        trailer
    }
}
