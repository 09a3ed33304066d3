//! Messages: options, header, descriptors and trailers (mach-ipc 3.2 to 3.5).
//!
//! All structures are little endian and packed to 4 bytes: a 64-bit field need only be aligned to 4 bytes.

use crate::port::{Disposition, PortName};
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

bitflags! {
    /// `mach_msg_option_t`: the options of a call of `mach_msg` (mach-ipc 3.2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MsgOption: u32 {
        /// `MACH_SEND_MSG`
        const SEND_MSG = 0x0000_0001;
        /// `MACH_RCV_MSG`
        const RCV_MSG = 0x0000_0002;
        /// `MACH_RCV_LARGE`: leave a message in the queue if it does not fit the buffer.
        const RCV_LARGE = 0x0000_0004;
        /// `MACH_RCV_LARGE_IDENTITY`: with `RCV_LARGE`, report the port of the message.
        const RCV_LARGE_IDENTITY = 0x0000_0008;
        /// `MACH_SEND_TIMEOUT`
        const SEND_TIMEOUT = 0x0000_0010;
        /// `MACH_SEND_OVERRIDE`: `priority` holds a message QoS.
        const SEND_OVERRIDE = 0x0000_0020;
        /// `MACH_SEND_INTERRUPT`: for the C library; the kernel never restarts a send.
        const SEND_INTERRUPT = 0x0000_0040;
        /// `MACH_SEND_NOTIFY`: arm the send-possible request of the destination.
        const SEND_NOTIFY = 0x0000_0080;
        /// `MACH_RCV_TIMEOUT`
        const RCV_TIMEOUT = 0x0000_0100;
        /// `MACH_MSG_STRICT_REPLY`: a reply must come from the context of its request. No effect unless strict replies are
        /// switched on.
        const STRICT_REPLY = 0x0000_0200;
        /// `MACH_RCV_INTERRUPT`: for the C library.
        const RCV_INTERRUPT = 0x0000_0400;
        /// `MACH_RCV_VOUCHER`: the receiver takes the header's voucher.
        const RCV_VOUCHER = 0x0000_0800;
        /// `MACH_RCV_GUARDED_DESC`
        const RCV_GUARDED_DESC = 0x0000_1000;
        /// `MACH_RCV_SYNC_WAIT`: without a send, `priority` names the port at which the reply is computed.
        const RCV_SYNC_WAIT = 0x0000_4000;
        /// `MACH_RCV_SYNC_PEEK`: ignored.
        const RCV_SYNC_PEEK = 0x0000_8000;
        /// `MACH_SEND_FILTER_NONFATAL`: ignored. A program cannot request the kernel's "ignore the queue limit".
        const SEND_FILTER_NONFATAL = 0x0001_0000;
        /// `MACH_SEND_TRAILER`: accepted, no effect.
        const SEND_TRAILER = 0x0002_0000;
        /// `MACH_SEND_NOIMPORTANCE`
        const SEND_NOIMPORTANCE = 0x0004_0000;
        /// `MACH_SEND_SYNC_OVERRIDE`: the message is at least as urgent as its sender.
        const SEND_SYNC_OVERRIDE = 0x0010_0000;
        /// `MACH_SEND_PROPAGATE_QOS`: the sender's QoS travels with the message.
        const SEND_PROPAGATE_QOS = 0x0020_0000;
        /// `MACH_SEND_SYNC_BOOTSTRAP_CHECKIN`
        const SEND_SYNC_BOOTSTRAP_CHECKIN = 0x0080_0000;
    }
}

impl MsgOption {
    /// The bits a program may set (mach-ipc 3.1). All other bits of the option word are ignored.
    pub const USER_MASK: u32 = 0x0FB6_DBBF;

    /// Returns `MACH_RCV_TRAILER_ELEMENTS(n)`: the request for a trailer with elements up to `n`, 0 to 15.
    pub const fn trailer_elements(n: u32) -> MsgOption {
        MsgOption::from_bits_retain((n & 0xF) << 24)
    }

    /// Returns true if `priority` is the name of the port at which the reply is computed that the call waits for
    /// (importance 7.1).
    pub const fn awaits_reply_of_port(self) -> bool {
        let others = MsgOption::SEND_MSG.union(MsgOption::SEND_OVERRIDE).union(MsgOption::SEND_SYNC_OVERRIDE);
        self.contains(MsgOption::RCV_MSG.union(MsgOption::RCV_SYNC_WAIT)) && !self.intersects(others)
    }

    /// Returns the `n` of [`trailer_elements`](MsgOption::trailer_elements).
    pub const fn elements(self) -> u32 {
        self.bits() >> 24 & 0xF
    }
}

bitflags! {
    /// Bits of `msgh_bits` beside the dispositions (mach-ipc 3.3).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct HeaderFlags: u32 {
        /// `MACH_MSGH_BITS_RAISEIMP`: set only by the kernel.
        const RAISEIMP = 0x2000_0000;
        /// `MACH_MSGH_BITS_COMPLEX`: descriptors follow the header.
        const COMPLEX = 0x8000_0000;
    }
}

/// The bits of `msgh_bits` that a sender may set; the kernel clears all others.
pub const MACH_MSGH_BITS_USER: u32 = 0x801F_1F1F;

/// Returns `msgh_bits` with these dispositions and flags, as a sender writes them.
pub const fn msgh_bits(remote: Disposition, local: Disposition, voucher: Disposition, flags: HeaderFlags) -> u32 {
    remote.0 as u32 | (local.0 as u32) << 8 | (voucher.0 as u32) << 16 | flags.bits()
}

/// `mach_msg_header_t`, 24 bytes. For a sender, "remote" is the destination and "local" the reply port. For a receiver,
/// "remote" is the reply port and "local" the port from which the message was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// Dispositions and flags: see [`msgh_bits`].
    pub msgh_bits: u32,
    /// For a receiver, the size of header and body; ignored on send.
    pub msgh_size: u32,
    /// The destination; for a receiver, the reply port.
    pub msgh_remote_port: PortName,
    /// The reply port; for a receiver, the port from which the message was received.
    pub msgh_local_port: PortName,
    /// The voucher.
    pub msgh_voucher_port: PortName,
    /// An id of the sender's choice; 24 to 99 are the kernel's by convention.
    pub msgh_id: i32,
}

impl Header {
    /// The size of a header.
    pub const SIZE: usize = 24;

    /// Returns the disposition in the remote position.
    pub const fn remote(&self) -> Disposition {
        Disposition(self.msgh_bits as u8 & 0x1F)
    }

    /// Returns the disposition in the local position.
    pub const fn local(&self) -> Disposition {
        Disposition((self.msgh_bits >> 8) as u8 & 0x1F)
    }

    /// Returns the disposition in the voucher position.
    pub const fn voucher(&self) -> Disposition {
        Disposition((self.msgh_bits >> 16) as u8 & 0x1F)
    }

    /// Returns the flags.
    pub const fn flags(&self) -> HeaderFlags {
        HeaderFlags::from_bits_truncate(self.msgh_bits)
    }
}

/// The offset of the descriptors in a complex message: after the header and the descriptor count.
pub const DESCRIPTORS_OFFSET: usize = 28;

/// `MACH_MSG_PORT_DESCRIPTOR`
pub const MACH_MSG_PORT_DESCRIPTOR: u8 = 0;
/// `MACH_MSG_OOL_DESCRIPTOR`
pub const MACH_MSG_OOL_DESCRIPTOR: u8 = 1;
/// `MACH_MSG_OOL_PORTS_DESCRIPTOR`
pub const MACH_MSG_OOL_PORTS_DESCRIPTOR: u8 = 2;
/// `MACH_MSG_OOL_VOLATILE_DESCRIPTOR`
pub const MACH_MSG_OOL_VOLATILE_DESCRIPTOR: u8 = 3;
/// `MACH_MSG_GUARDED_PORT_DESCRIPTOR`
pub const MACH_MSG_GUARDED_PORT_DESCRIPTOR: u8 = 4;
/// The offset of the type byte in every descriptor.
pub const DESCRIPTOR_TYPE_OFFSET: usize = 11;

/// `mach_msg_port_descriptor_t`, 12 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortDescriptor {
    /// The name.
    pub name: PortName,
    /// Zero.
    pub pad1: u32,
    /// Zero.
    pub pad2: u16,
    /// The disposition of the name; for a receiver, the kind of right.
    pub disposition: Disposition,
    /// [`MACH_MSG_PORT_DESCRIPTOR`]
    pub kind: u8,
}

impl PortDescriptor {
    /// The size of a port descriptor.
    pub const SIZE: usize = 12;

    /// Returns a descriptor for `name`.
    pub const fn new(name: PortName, disposition: Disposition) -> PortDescriptor {
        PortDescriptor { name, pad1: 0, pad2: 0, disposition, kind: MACH_MSG_PORT_DESCRIPTOR }
    }
}

/// The longest trailer, with all elements. A shorter trailer is a prefix of it (mach-ipc 3.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C, packed)]
pub struct Trailer {
    /// Always 0.
    pub msgh_trailer_type: u32,
    /// The size of the trailer.
    pub msgh_trailer_size: u32,
    /// The sequence number of the message on its port.
    pub msgh_seqno: u32,
    /// User and group of the sender.
    pub msgh_sender: [u32; 2],
    /// Audit words of the sender: auid, euid, egid, ruid, rgid, pid, asid, pidversion.
    pub msgh_audit: [u32; 8],
    /// The port's context at the time of the receive.
    pub msgh_context: u64,
    /// Zero.
    pub msgh_ad: i32,
    /// Zero.
    pub msgh_labels: u32,
}

/// The trailer that a receiver gets who asks for no elements: type 0, size 8.
pub const SHORT_TRAILER: [u8; 8] = (8u64 << 32).to_le_bytes();

/// The size of the longest trailer.
pub const MAX_TRAILER_SIZE: usize = 68;

/// Returns the size of the trailer that [`MsgOption::trailer_elements`] requests.
pub const fn trailer_size(elements: u32) -> usize {
    match elements {
        0 => 8,
        1 => 12,
        2 => 20,
        3 => 52,
        4 => 60,
        _ => MAX_TRAILER_SIZE,
    }
}

/// The size of the largest inline message; the send of a larger one fails with `MACH_SEND_TOO_LARGE` (errata 3).
pub const MAX_INLINE_SIZE: usize = 65_536;

/// `MACH_NOTIFY_PORT_DELETED`: a name with a pending request was deleted.
pub const MACH_NOTIFY_PORT_DELETED: i32 = 65;
/// `MACH_NOTIFY_SEND_POSSIBLE`: the queue has room again.
pub const MACH_NOTIFY_SEND_POSSIBLE: i32 = 66;
/// `MACH_NOTIFY_PORT_DESTROYED`: carries the receive right that would have died.
pub const MACH_NOTIFY_PORT_DESTROYED: i32 = 69;
/// `MACH_NOTIFY_NO_SENDERS`: the last send right of the port is gone.
pub const MACH_NOTIFY_NO_SENDERS: i32 = 70;
/// `MACH_NOTIFY_SEND_ONCE`: a send-once right died unused.
pub const MACH_NOTIFY_SEND_ONCE: i32 = 71;
/// `MACH_NOTIFY_DEAD_NAME`: the port died.
pub const MACH_NOTIFY_DEAD_NAME: i32 = 72;

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::size_of;

    #[test]
    fn structures_have_the_sizes_of_the_interface() {
        assert_eq!(size_of::<Header>(), Header::SIZE);
        assert_eq!(size_of::<PortDescriptor>(), PortDescriptor::SIZE);
        assert_eq!(size_of::<Trailer>(), MAX_TRAILER_SIZE);
    }

    #[test]
    fn a_trailer_grows_with_the_requested_elements() {
        let sizes: Vec<usize> = [0, 1, 2, 3, 4, 5, 7, 8, 15].map(trailer_size).to_vec();
        assert_eq!(sizes, [8, 12, 20, 52, 60, 68, 68, 68, 68]);
    }

    #[test]
    fn header_bits_hold_three_dispositions_and_flags() {
        let bits = msgh_bits(
            Disposition::COPY_SEND,
            Disposition::MAKE_SEND_ONCE,
            Disposition::MOVE_SEND,
            HeaderFlags::COMPLEX,
        );
        let header = Header { msgh_bits: bits, ..Header::default() };
        assert_eq!(
            (header.remote(), header.local(), header.voucher()),
            (Disposition::COPY_SEND, Disposition::MAKE_SEND_ONCE, Disposition::MOVE_SEND)
        );
        assert_eq!(header.flags(), HeaderFlags::COMPLEX);
        assert_eq!(bits & !MACH_MSGH_BITS_USER, 0);
    }
}
