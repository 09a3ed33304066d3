//! The transfer buffer: it holds a message on the fast path.

use crate::ipc::direct::ReceivedHeader;
use crate::limits::SMALL_MESSAGE;
use abi::message::{Header, SHORT_TRAILER};
use abi::port::PortName;
use zerocopy::FromBytes;

/// The buffer for a message on its way from the sender's memory to the receiver's. Its contents are unused between
/// steps.
#[derive(Debug)]
pub(crate) struct TransferBuffer([u8; SMALL_MESSAGE + SHORT_TRAILER.len()]);

impl Default for TransferBuffer {
    fn default() -> Self {
        TransferBuffer([0; SMALL_MESSAGE + SHORT_TRAILER.len()])
    }
}

impl TransferBuffer {
    /// Returns the header of the message that was copied in.
    #[inline(always)]
    pub(crate) fn header(&self) -> &Header {
        Header::ref_from_prefix(&self.0).expect("a message begins with a header").0
    }

    /// Returns the part of the buffer for a message of `size` bytes, to be copied in.
    #[inline(always)]
    pub(crate) fn sent(&mut self, size: usize) -> &mut [u8] {
        &mut self.0[..size]
    }

    /// Writes the field of the header for a voucher.
    #[inline(always)]
    pub(crate) fn set_voucher(&mut self, name: PortName) {
        let (header, _) = Header::mut_from_prefix(&mut self.0).expect("a message begins with a header");
        header.msgh_voucher_port = name;
    }

    /// Turns the message of `size` bytes as it was sent into the message as it is received, with its trailer, and
    /// returns it.
    #[inline(always)]
    pub(crate) fn received(&mut self, size: usize, received: ReceivedHeader) -> &[u8] {
        let (header, _) = Header::mut_from_prefix(&mut self.0).expect("a message begins with a header");
        header.msgh_bits = received.bits;
        header.msgh_size = size as u32;
        header.msgh_remote_port = received.remote;
        header.msgh_local_port = received.local;
        self.0[size..size + SHORT_TRAILER.len()].copy_from_slice(&SHORT_TRAILER);
        &self.0[..size + SHORT_TRAILER.len()]
    }
}
