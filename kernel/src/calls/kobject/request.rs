//! Reading the arguments of a call (mach-ipc 7.3).

use crate::ids::MessageId;
use crate::ipc::Ipc;
use crate::ipc::right::Carried;
use abi::KernReturn;
use abi::code::*;
use abi::message::{DESCRIPTORS_OFFSET, Header, HeaderFlags, PortDescriptor};
use abi::mig::NDR;
use abi::port::Disposition;
use heapless::Vec;

/// Words of the longest request.
const WORDS_MAX: usize = 24;

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

    /// Returns the words after the NDR record of a request with `ports` port descriptors.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS` if the request has another number of descriptors, no NDR record or too many words.
    pub(super) fn request_words(&self, message: MessageId, ports: usize) -> Result<Vec<u32, WORDS_MAX>, KernReturn> {
        self.check_shape(message, ports)?;
        let request = self.message(message);
        let start = match ports {
            0 => Header::SIZE,
            ports => DESCRIPTORS_OFFSET + ports * PortDescriptor::SIZE,
        };
        let body = request.bytes[..request.size].get(start + NDR.len()..).ok_or(MIG_BAD_ARGUMENTS)?;
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

    /// Takes the right, if there is one, out of the request's only descriptor, whose disposition must be `kind`.
    ///
    /// # Errors
    /// `MIG_TYPE_ERROR` if it has another disposition; the right stays in the message.
    pub(super) fn take_request_right_of(
        &mut self,
        message: MessageId,
        kind: Disposition,
    ) -> Result<Carried, KernReturn> {
        if self.request_right_kind(message) == kind {
            Ok(self.take_request_right(message))
        } else {
            Err(MIG_TYPE_ERROR)
        }
    }
}

/// Returns the 64-bit number of two words.
pub(super) fn long(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
