//! The arguments and results of the ways through the kernel that are shorter than a whole step: the fast path of
//! `mach_msg` and quick traps.

use crate::ids::ThreadId;
use crate::machine::{AddressSpace, UserAddr};
use crate::sched::thread::ReceiveArgs;
use crate::trap_frame::TrapFrame;
use abi::message::MsgOption;
use abi::port::PortName;

/// The arguments of `mach_msg` that a plain call uses.
#[derive(Clone, Copy, Debug)]
pub struct PlainCall {
    /// The message, and where the answer goes.
    pub buffer: UserAddr,
    /// The options, as the program gave them.
    pub options: u32,
    /// Size of the message.
    pub send_size: u32,
    /// Room for the answer.
    pub receive_size: u32,
    /// The name of the port or set that the answer comes to.
    pub receive_name: u32,
}

impl PlainCall {
    /// Returns the arguments that are in a trap's registers.
    pub fn from_arguments(arguments: [u64; 6]) -> PlainCall {
        let [buffer, options, send_size, receive_size, receive_name, _] = arguments;
        let [options, send_size, receive_size, receive_name] =
            [options, send_size, receive_size, receive_name].map(|argument| argument as u32);
        PlainCall { buffer: UserAddr(buffer), options, send_size, receive_size, receive_name }
    }

    /// Returns the arguments of its receive phase.
    #[inline(always)]
    pub fn receive(&self) -> ReceiveArgs {
        let (name, options) = (PortName(self.receive_name), self.options());
        ReceiveArgs { name, buffer: self.buffer, size: self.receive_size, options, timeout: 0 }
    }

    /// Returns those options that programs may set.
    #[inline(always)]
    pub fn options(&self) -> MsgOption {
        MsgOption::from_bits_retain(self.options & MsgOption::USER_MASK)
    }
}

/// The thread that a direct switch leads to.
#[derive(Debug)]
pub struct Switch<'k> {
    /// The thread, which runs now.
    pub thread: ThreadId,
    /// Its registers, in which the result is.
    pub frame: &'k mut TrapFrame,
    /// Its memory.
    pub address_space: AddressSpace,
}
