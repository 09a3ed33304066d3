//! Messages of any size, in the caller's buffers.
//!
//! [`Message`](crate::message::Message) has room for 1,024 bytes. These functions take a slice, and return both results of
//! `mach_msg`: the code, and the QoS words of the message that was received.

use crate::message::Call;
use crate::sys::trap_for_two;
use abi::KernReturn;
use abi::code::*;
use abi::message::*;
use abi::qos::{Priority, Qos};
use abi::trap::mach::MACH_MSG;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The results of a call of `mach_msg`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The code.
    pub code: KernReturn,
    /// The QoS words of the message that was received: the `pthread_priority_t` with which it was sent in the upper half,
    /// in the lower half the highest class of it and of the messages behind it. 0 without a message.
    pub qos: u64,
}

impl Outcome {
    /// Returns the class and relative priority with which the message was sent.
    pub const fn priority(self) -> Priority {
        Priority::from_pthread((self.qos >> 32) as u32)
    }

    /// Returns the highest class of the message and of those behind it.
    pub const fn over(self) -> Qos {
        Priority::from_pthread(self.qos as u32).qos
    }
}

/// Sends the message that fills the buffer, without receiving. If the call fails after it has taken the rights, the message
/// comes back with the rights that the caller owns then.
pub fn send(message: &mut [u8], call: &Call) -> KernReturn {
    let options = (call.options | MsgOption::SEND_MSG) - MsgOption::RCV_MSG;
    mach_msg(message, &Call { options, send_size: message.len() as u32, ..*call }).code
}

/// Receives a message into the buffer, with its trailer behind it. [`needed`] says how large the buffer must be, if it is
/// too small and the options have `MACH_RCV_LARGE`.
pub fn receive(buffer: &mut [u8], call: &Call) -> Outcome {
    let options = (call.options | MsgOption::RCV_MSG) - MsgOption::SEND_MSG;
    mach_msg(buffer, &Call { options, send_size: 0, ..*call })
}

/// Sends the first `size` bytes of the buffer and receives a message into it, in one trap.
///
/// # Panics
/// If the buffer is smaller than the message.
pub fn send_and_receive(buffer: &mut [u8], size: usize, call: &Call) -> Outcome {
    assert!(size <= buffer.len(), "a message of {size} bytes is in a buffer of {}", buffer.len());
    let options = call.options | MsgOption::SEND_MSG | MsgOption::RCV_MSG;
    mach_msg(buffer, &Call { options, send_size: size as u32, ..*call })
}

/// Makes the trap, and makes it again if `thread_abort` interrupts it: see [`mach_msg`](crate::message::mach_msg).
/// `receive_size` is that of the buffer.
fn mach_msg(buffer: &mut [u8], call: &Call) -> Outcome {
    let mut call = *call;
    loop {
        let arguments = [
            buffer.as_mut_ptr() as u64,
            u64::from(call.options.bits()),
            u64::from(call.send_size),
            buffer.len().min(u32::MAX as usize) as u64,
            u64::from(call.receive_name.0),
            u64::from(call.timeout),
        ];
        let [code, qos] = trap_for_two(MACH_MSG, arguments, [u64::from(call.priority), 0]);
        match KernReturn(code as i32) {
            MACH_SEND_INTERRUPTED if !call.options.contains(MsgOption::SEND_INTERRUPT) => {}
            MACH_RCV_INTERRUPTED if !call.options.contains(MsgOption::RCV_INTERRUPT) => {
                call.options -= MsgOption::SEND_MSG | MsgOption::RCV_SYNC_WAIT;
                call.send_size = 0;
            }
            code => return Outcome { code, qos },
        }
    }
}

/// Returns the header of the message in a buffer.
///
/// # Panics
/// If the buffer is smaller than a header.
pub fn header(buffer: &[u8]) -> Header {
    Header::read_from_prefix(buffer).expect("a buffer has room for a header").0
}

/// Returns the bytes that a buffer needs for the message that was too large for this one. `options` are those of the
/// receive, which had `MACH_RCV_LARGE`.
pub fn needed(buffer: &[u8], options: MsgOption) -> usize {
    (header(buffer).msgh_size as usize).next_multiple_of(4) + trailer_size(options.elements())
}

/// Returns the trailer of a received message. The fields that were not received are zero.
///
/// # Panics
/// If the buffer holds no received message.
pub fn trailer(buffer: &[u8]) -> Trailer {
    let start = (header(buffer).msgh_size as usize).next_multiple_of(4);
    let size = u32::read_from_prefix(&buffer[start + 4..]).expect("a message has a trailer").0 as usize;
    let mut trailer = Trailer::new_zeroed();
    trailer.as_mut_bytes()[..size].copy_from_slice(&buffer[start..][..size]);
    trailer
}

/// Returns true if the kernel itself has sent a message. Its trailer has the audit words (elements 3), of which no task has
/// all zero.
pub fn is_from_kernel(trailer: &Trailer) -> bool {
    let audit = trailer.msgh_audit;
    trailer.msgh_trailer_size as usize >= trailer_size(3) && audit == [0; 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(size: usize, trailer: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; size];
        let header = Header { msgh_size: size as u32, ..Header::default() };
        buffer[..Header::SIZE].copy_from_slice(header.as_bytes());
        buffer.extend_from_slice(trailer);
        buffer
    }

    #[test]
    fn a_message_of_the_kernel_is_told_from_one_with_a_short_trailer() {
        let mut long = Trailer::new_zeroed();
        long.msgh_trailer_size = trailer_size(3) as u32;
        let bytes = &long.as_bytes()[..trailer_size(3)];
        assert!(is_from_kernel(&trailer(&received(36, bytes))));
        assert!(!is_from_kernel(&trailer(&received(36, &SHORT_TRAILER))), "it does not say");
        let mut of_task = long;
        of_task.msgh_audit = [0, 0, 0, 0, 0, 5, 0, 0];
        assert!(!is_from_kernel(&trailer(&received(36, &of_task.as_bytes()[..trailer_size(3)]))));
    }

    #[test]
    fn a_larger_buffer_has_room_for_the_trailer() {
        let options = MsgOption::trailer_elements(3);
        assert_eq!(needed(&received(2000, &[]), options), 2052);
        assert_eq!(needed(&received(2000, &[]), MsgOption::empty()), 2008);
    }

    #[test]
    fn both_words_are_decoded() {
        let sent = Priority { qos: Qos::Utility, relative: -3 };
        let outcome = Outcome { code: MACH_MSG_SUCCESS, qos: sent.words_with(Qos::UserInteractive) };
        assert_eq!((outcome.priority(), outcome.over()), (sent, Qos::UserInteractive));
    }
}
