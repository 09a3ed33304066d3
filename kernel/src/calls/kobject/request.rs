//! Reading the arguments of a call (mach-ipc 7.3).

use crate::ids::{MessageId, VoucherId};
use crate::ipc::Ipc;
use crate::ipc::right::Carried;
use abi::KernReturn;
use abi::code::*;
use abi::message::{DESCRIPTORS_OFFSET, Header, HeaderFlags, PortDescriptor};
use abi::mig::NDR;
use abi::port::Disposition;
use heapless::Vec;
use zerocopy::FromBytes;

/// Words of the longest request.
const WORDS_MAX: usize = 24;

/// The arguments of a request with an array of bytes: `N` words, the number of bytes, the bytes, padded to whole words,
/// and `M` words.
pub(super) struct RequestArray<'a, const N: usize, const M: usize> {
    /// The words before the array.
    pub(super) before: [u32; N],
    /// The array.
    pub(super) bytes: &'a [u8],
    /// The words behind it.
    pub(super) after: [u32; M],
}

impl Ipc {
    /// Checks that a request has `ports` port descriptors, and is complex only if that is not 0.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS`.
    fn check_shape(&self, message: MessageId, ports: usize) -> Result<(), KernReturn> {
        let request = self.message(message);
        let complex = request.header().flags().contains(HeaderFlags::COMPLEX);
        if complex == (ports > 0) && request.descriptors.len() == ports { Ok(()) } else { Err(MIG_BAD_ARGUMENTS) }
    }

    /// Returns the bytes after the NDR record of a request with `ports` port descriptors.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS` if the request has another number of descriptors or no NDR record.
    pub(super) fn request_body(&self, message: MessageId, ports: usize) -> Result<&[u8], KernReturn> {
        self.check_shape(message, ports)?;
        let request = self.message(message);
        request.bytes[..request.size].get(arguments_offset(ports) + NDR.len()..).ok_or(MIG_BAD_ARGUMENTS)
    }

    /// Returns the arguments of a request with an array of bytes.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS` if the request is not of this form, or has more than `max` bytes.
    pub(super) fn request_array<const N: usize, const M: usize>(
        &self,
        message: MessageId,
        max: usize,
    ) -> Result<RequestArray<'_, N, M>, KernReturn> {
        let body = self.request_body(message, 0)?;
        let (before, rest) = read_words::<N>(body)?;
        let ([size], rest) = read_words::<1>(rest)?;
        let size = size as usize;
        if size > max {
            return Err(MIG_BAD_ARGUMENTS);
        }
        let (bytes, rest) = rest.split_at_checked(size.next_multiple_of(4)).ok_or(MIG_BAD_ARGUMENTS)?;
        let (after, rest) = read_words::<M>(rest)?;
        if rest.is_empty() { Ok(RequestArray { before, bytes: &bytes[..size], after }) } else { Err(MIG_BAD_ARGUMENTS) }
    }

    /// Checks that a request has `ports` port descriptors, all of send rights or null, and nothing behind them but
    /// perhaps an NDR record.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS`, or `MIG_TYPE_ERROR` for a right of another kind.
    pub(super) fn request_is_send_rights(&self, message: MessageId, ports: usize) -> Result<(), KernReturn> {
        self.check_shape(message, ports)?;
        let end = arguments_offset(ports);
        let size = self.message(message).size;
        if size != end && size != end + NDR.len() {
            return Err(MIG_BAD_ARGUMENTS);
        }
        self.check_send_rights(message)
    }

    /// Checks that all descriptors of a request are for send rights or null.
    ///
    /// # Errors
    /// `MIG_TYPE_ERROR`.
    pub(super) fn check_send_rights(&self, message: MessageId) -> Result<(), KernReturn> {
        let mut descriptors = self.message(message).descriptors.iter();
        let all = descriptors.all(|descriptor| descriptor.disposition == Disposition::PORT_SEND);
        if all { Ok(()) } else { Err(MIG_TYPE_ERROR) }
    }

    /// Returns the voucher whose port is in the request's first descriptor. Every other port is null (vouchers 4.1).
    pub(super) fn request_voucher(&self, message: MessageId) -> Option<VoucherId> {
        self.voucher_behind(self.message(message).descriptors.first()?.right.port()?)
    }

    /// Returns the words after the NDR record of a request with `ports` port descriptors.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS` if the request has another number of descriptors, no NDR record or too many words.
    pub(super) fn request_words(&self, message: MessageId, ports: usize) -> Result<Vec<u32, WORDS_MAX>, KernReturn> {
        let body = self.request_body(message, ports)?;
        let words = body.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")));
        let mut read = Vec::new();
        for word in words {
            read.push(word).map_err(|_| MIG_BAD_ARGUMENTS)?;
        }
        Ok(read)
    }

    /// Returns the `N` words after the NDR record of a request with `ports` port descriptors.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS` if the request has another number of descriptors or of words.
    pub(super) fn request_arguments<const N: usize>(
        &self,
        message: MessageId,
        ports: usize,
    ) -> Result<[u32; N], KernReturn> {
        self.request_words(message, ports)?.into_array().map_err(|_| MIG_BAD_ARGUMENTS)
    }

    /// Checks that a request has no arguments: it is a header, with or without an NDR record.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS`.
    pub(super) fn request_is_empty(&self, message: MessageId) -> Result<(), KernReturn> {
        self.check_shape(message, 0)?;
        let size = self.message(message).size;
        if size == Header::SIZE || size == Header::SIZE + NDR.len() { Ok(()) } else { Err(MIG_BAD_ARGUMENTS) }
    }

    /// Returns the disposition of the request's only descriptor, whether it carries a right or not.
    pub(super) fn request_right_kind(&self, message: MessageId) -> Disposition {
        self.message(message).descriptors[0].disposition
    }

    /// Takes the right out of the request's only descriptor.
    pub(super) fn take_request_right(&mut self, message: MessageId) -> Carried {
        self.message_mut(message).descriptors[0].right.take()
    }
}

/// Returns the offset of the NDR record in a request with `ports` port descriptors.
const fn arguments_offset(ports: usize) -> usize {
    match ports {
        0 => Header::SIZE,
        ports => DESCRIPTORS_OFFSET + ports * PortDescriptor::SIZE,
    }
}

/// Returns the first `N` words of some bytes, and the bytes behind them.
///
/// # Errors
/// `MIG_BAD_ARGUMENTS` if there are fewer.
fn read_words<const N: usize>(bytes: &[u8]) -> Result<([u32; N], &[u8]), KernReturn> {
    FromBytes::read_from_prefix(bytes).map_err(|_| MIG_BAD_ARGUMENTS)
}

/// Returns the 64-bit number of two words.
pub(super) fn long(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
