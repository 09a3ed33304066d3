//! A checked view of a received message: a server reads messages from untrusted senders through it.
//!
//! [`View::of`] checks the message once: its size lies in the buffer, and its descriptors, whose sizes differ by type,
//! lie in the message. Every later read stays inside its part, so the bytes of a body cannot pass for a descriptor.

use crate::sys::machine;
use crate::{port, task};
use abi::PortName;
use abi::message::*;
use abi::port::Disposition;
use zerocopy::FromBytes;

/// Size of a descriptor of memory or of an array of ports (mach-ipc 3.5).
const OOL_DESCRIPTOR_SIZE: usize = 16;
/// Offset of the disposition in a descriptor of an array of ports.
const OOL_DISPOSITION_OFFSET: usize = 10;
/// Offset of the size or count in a descriptor of memory or of an array of ports.
const OOL_SIZE_OFFSET: usize = 12;
/// Size of a name in an array of ports.
const NAME_SIZE: u64 = 4;

/// A descriptor of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// A right.
    Port(PortDescriptor),
    /// Memory out of line.
    Memory {
        /// The address.
        address: u64,
        /// The size in bytes.
        size: u32,
    },
    /// An array of rights out of line.
    Ports {
        /// The address of the array of names.
        address: u64,
        /// The number of names.
        count: u32,
        /// The kind of all rights in the array.
        disposition: Disposition,
    },
}

impl Descriptor {
    /// Splits the first descriptor off. None if the bytes end inside it, or if it has another type. A guarded port
    /// arrives as a plain port descriptor unless the receiver asks for it, and this crate does not.
    fn split_first(bytes: &[u8]) -> Option<(Descriptor, &[u8])> {
        let kind = *bytes.get(DESCRIPTOR_TYPE_OFFSET)?;
        if kind == MACH_MSG_PORT_DESCRIPTOR {
            let (port, rest) = PortDescriptor::read_from_prefix(bytes).ok()?;
            return Some((Descriptor::Port(port), rest));
        }
        let (bytes, rest) = bytes.split_at_checked(OOL_DESCRIPTOR_SIZE)?;
        let address = u64::read_from_prefix(bytes).ok()?.0;
        let size = u32::read_from_prefix(&bytes[OOL_SIZE_OFFSET..]).ok()?.0;
        let descriptor = match kind {
            MACH_MSG_OOL_DESCRIPTOR | MACH_MSG_OOL_VOLATILE_DESCRIPTOR => Descriptor::Memory { address, size },
            MACH_MSG_OOL_PORTS_DESCRIPTOR => {
                Descriptor::Ports { address, count: size, disposition: Disposition(bytes[OOL_DISPOSITION_OFFSET]) }
            }
            _ => return None,
        };
        Some((descriptor, rest))
    }

    /// Returns the size of the descriptor in its message.
    pub const fn size(&self) -> usize {
        match self {
            Descriptor::Port(_) => PortDescriptor::SIZE,
            Descriptor::Memory { .. } | Descriptor::Ports { .. } => OOL_DESCRIPTOR_SIZE,
        }
    }

    /// Gives the rights and the memory of the descriptor back.
    pub fn destroy(&self) {
        match *self {
            Descriptor::Port(right) => port::destroy_right(right.name, right.disposition),
            Descriptor::Memory { address, size } => give_back_memory(address, u64::from(size)),
            Descriptor::Ports { address, count, disposition } => {
                for number in 0..u64::from(count) {
                    port::destroy_right(read_name(address + number * NAME_SIZE), disposition);
                }
                give_back_memory(address, u64::from(count) * NAME_SIZE);
            }
        }
    }
}

fn read_name(address: u64) -> PortName {
    PortName(u32::from_le_bytes([0, 1, 2, 3].map(|byte| machine::read(address + byte))))
}

fn give_back_memory(address: u64, size: u64) {
    // The kernel mapped the memory when the message arrived. An error means that this program has given it back before.
    let _ = task::deallocate(address, size);
}

/// The descriptors of a message, in order.
#[derive(Clone, Debug)]
pub struct Descriptors<'a> {
    bytes: &'a [u8],
}

impl Iterator for Descriptors<'_> {
    type Item = Descriptor;

    fn next(&mut self) -> Option<Descriptor> {
        let (descriptor, rest) = Descriptor::split_first(self.bytes)?;
        self.bytes = rest;
        Some(descriptor)
    }
}

/// The parts of a received message, which lie inside it.
#[derive(Clone, Debug)]
pub struct View<'a> {
    header: Header,
    descriptors: Descriptors<'a>,
    body: &'a [u8],
}

impl<'a> View<'a> {
    /// Checks the message at the beginning of a receive buffer. None if it leaves the buffer, or if its descriptors
    /// leave it, for example in a buffer that has received no message.
    pub fn of(buffer: &'a [u8]) -> Option<View<'a>> {
        let header = Header::read_from_prefix(buffer).ok()?.0;
        let rest = buffer.get(Header::SIZE..header.msgh_size as usize)?;
        if !header.flags().contains(HeaderFlags::COMPLEX) {
            return Some(View { header, descriptors: Descriptors { bytes: &[] }, body: rest });
        }
        let (count, rest) = u32::read_from_prefix(rest).ok()?;
        let mut body = rest;
        for _ in 0..count {
            body = Descriptor::split_first(body)?.1;
        }
        let descriptors = Descriptors { bytes: &rest[..rest.len() - body.len()] };
        Some(View { header, descriptors, body })
    }

    /// Returns the header.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Returns true if the message is complex: it has a count of descriptors, which may be 0.
    pub fn is_complex(&self) -> bool {
        self.header.flags().contains(HeaderFlags::COMPLEX)
    }

    /// Returns the descriptors.
    pub fn descriptors(&self) -> Descriptors<'a> {
        self.descriptors.clone()
    }

    /// Returns the descriptor of a message that has exactly one.
    pub fn only_descriptor(&self) -> Option<Descriptor> {
        let mut descriptors = self.descriptors();
        let first = descriptors.next()?;
        descriptors.next().is_none().then_some(first)
    }

    /// Returns the bytes behind the header and the descriptors.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Returns a word of the body. None if the body ends before it.
    pub fn word(&self, number: usize) -> Option<u32> {
        let bytes = self.body.get(number.checked_mul(size_of::<u32>())?..)?;
        u32::read_from_prefix(bytes).ok().map(|(word, _)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;
    use zerocopy::IntoBytes;

    const NAME: PortName = PortName(0x503);
    const PORT: PortDescriptor = PortDescriptor::new(NAME, Disposition::PORT_SEND);

    /// The bytes of a received message: a header with these bits, and what follows it.
    fn message(bits: u32, rest: &[u8]) -> Vec<u8> {
        let size = (Header::SIZE + rest.len()) as u32;
        let header = Header { msgh_bits: bits, msgh_size: size, ..Header::default() };
        [header.as_bytes(), rest].concat()
    }

    fn complex(count: u32, rest: &[u8]) -> Vec<u8> {
        message(HeaderFlags::COMPLEX.bits(), &[&count.to_le_bytes(), rest].concat())
    }

    /// A descriptor of 16 bytes.
    fn out_of_line(kind: u8, disposition: u8, address: u64, size: u32) -> Vec<u8> {
        [&address.to_le_bytes()[..], &[0, 0, disposition, kind], &size.to_le_bytes()].concat()
    }

    fn descriptors(bytes: &[u8]) -> Option<Vec<Descriptor>> {
        View::of(bytes).map(|view| view.descriptors().collect())
    }

    #[test]
    fn simple_message_is_all_body() {
        let bytes = message(0, PORT.as_bytes());
        let view = View::of(&bytes).expect("it is well formed");
        assert_eq!((view.is_complex(), view.body(), view.only_descriptor()), (false, PORT.as_bytes(), None));
        assert_eq!((view.word(0), view.word(2), view.word(3)), (Some(NAME.0), Some(17 << 16), None));
    }

    #[test]
    fn bytes_behind_a_count_of_0_are_body() {
        let bytes = complex(0, PORT.as_bytes());
        let view = View::of(&bytes).expect("it is well formed");
        assert_eq!((view.is_complex(), view.body(), view.only_descriptor()), (true, PORT.as_bytes(), None));
    }

    #[test]
    fn descriptors_are_read_by_their_type() {
        let memory = out_of_line(MACH_MSG_OOL_DESCRIPTOR, 0, 0x1_0000_2000, 100);
        let volatile = out_of_line(MACH_MSG_OOL_VOLATILE_DESCRIPTOR, 0, 0x3000, 200);
        let ports = out_of_line(MACH_MSG_OOL_PORTS_DESCRIPTOR, 18, 0x4000, 3);
        let bytes = complex(4, &[&memory, PORT.as_bytes(), &ports, &volatile, b"body"].concat());
        let expected = [
            Descriptor::Memory { address: 0x1_0000_2000, size: 100 },
            Descriptor::Port(PORT),
            Descriptor::Ports { address: 0x4000, count: 3, disposition: Disposition::PORT_SEND_ONCE },
            Descriptor::Memory { address: 0x3000, size: 200 },
        ];
        assert_eq!(descriptors(&bytes).as_deref(), Some(&expected[..]));
        let view = View::of(&bytes).expect("it is well formed");
        assert_eq!((view.body(), view.only_descriptor()), (&b"body"[..], None));
        assert_eq!(expected.map(|descriptor| descriptor.size()), [16, 12, 16, 16]);
    }

    #[test]
    fn single_descriptor_is_found() {
        let bytes = complex(1, PORT.as_bytes());
        assert_eq!(View::of(&bytes).expect("it is well formed").only_descriptor(), Some(Descriptor::Port(PORT)));
    }

    #[test]
    fn descriptors_that_leave_the_message_are_refused() {
        assert!(View::of(&message(HeaderFlags::COMPLEX.bits(), b"")).is_none(), "there is no count");
        for count in [2, 3, u32::MAX] {
            assert!(View::of(&complex(count, PORT.as_bytes())).is_none(), "{count} descriptors");
        }
        let memory = out_of_line(MACH_MSG_OOL_DESCRIPTOR, 0, 0x2000, 100);
        for size in 0..memory.len() {
            assert!(View::of(&complex(1, &memory[..size])).is_none(), "{size} bytes of a descriptor");
        }
        let unknown = out_of_line(9, 0, 0x2000, 100);
        assert!(View::of(&complex(1, &unknown)).is_none(), "an unknown type");
    }

    #[test]
    fn sizes_that_leave_the_buffer_are_refused() {
        let whole = complex(1, PORT.as_bytes());
        for size in 0..whole.len() {
            assert!(View::of(&whole[..size]).is_none(), "a buffer of {size} bytes");
        }
        for size in (0..Header::SIZE as u32).chain([u32::MAX]) {
            let header = Header { msgh_size: size, ..Header::default() };
            assert!(View::of(header.as_bytes()).is_none(), "a message of {size} bytes");
        }
    }

    #[test]
    fn bytes_behind_the_message_are_not_read() {
        let bytes = [complex(1, PORT.as_bytes()), b"trailer".to_vec()].concat();
        assert_eq!(View::of(&bytes).expect("it is well formed").body(), b"");
    }
}
