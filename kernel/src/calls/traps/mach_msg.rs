//! `mach_msg_trap` and `mach_msg_overwrite_trap`: their arguments (mach-ipc 3.1).

use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use crate::outcome::Outcome;
use crate::sched::thread::{ReceiveArgs, SendArgs};
use abi::message::MsgOption;
use abi::port::PortName;

impl Kernel {
    /// Decodes the arguments of a call that is not on the fast path, and carries the call out. The seventh argument,
    /// and the eighth of the overwrite trap, are on the caller's stack. They are read only if the options use them
    /// (errata 6).
    #[inline]
    pub(super) fn mach_msg_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        arguments: [u64; 6],
        overwrite: bool,
    ) -> Outcome {
        if self.sched.anyone_ready() && !overwrite && self.call_in_turn(machine, caller.thread, arguments) {
            return Outcome::Pending;
        }
        let [message, option, send_size, receive_size, receive_name, timeout] = arguments;
        let options = MsgOption::from_bits_retain(option as u32 & MsgOption::USER_MASK);
        let mut priority = 0;
        if options.contains(MsgOption::SEND_OVERRIDE) || options.awaits_reply_of_port() {
            match self.stack_argument(machine, caller, 7) {
                Ok(word) => priority = word as u32,
                Err(code) => return Outcome::undelivered(code),
            }
        }
        let mut receive_buffer = UserAddr(message);
        if overwrite {
            match self.stack_argument(machine, caller, 8) {
                Ok(0) => {}
                Ok(other) => receive_buffer = UserAddr(other),
                Err(code) => return Outcome::undelivered(code),
            }
        }
        let timeout = timeout as u32;
        let send = SendArgs { buffer: UserAddr(message), size: send_size as u32, options, timeout, priority };
        let receive = ReceiveArgs {
            name: PortName(receive_name as u32),
            buffer: receive_buffer,
            size: receive_size as u32,
            options,
            timeout,
        };
        self.mach_msg(machine, caller, send, receive)
    }
}
