//! `mach_msg_trap` and `mach_msg_overwrite_trap` (mach-ipc 3.1).

use super::{Caller, Outcome};
use crate::ipc::receive::ReceiveArgs;
use crate::ipc::send::SendArgs;
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use crate::thread::{Resume, ThreadId};
use abi::code::*;
use abi::message::MsgOption;
use abi::port::PortName;

impl Kernel {
    /// Sends, then receives, as the options say. The seventh argument, which only an option needs, and the eighth of the
    /// overwrite trap are on the user's stack, behind the return address of the trap stub (errata 6).
    #[inline]
    pub(super) fn mach_msg_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        arguments: [u64; 6],
        overwrite: bool,
    ) -> Outcome {
        let [message, option, send_size, receive_size, receive_name, timeout] = arguments;
        let options = MsgOption::from_bits_retain(option as u32 & MsgOption::USER_MASK);
        let mut priority = 0;
        if options.contains(MsgOption::SEND_OVERRIDE) {
            let Ok(given) = m.read_u64(by.address_space, by.stack.plus(8)) else {
                return self.refuse_call(by.thread);
            };
            priority = given;
        }
        let mut receive_buffer = UserAddr(message);
        if overwrite {
            let Ok(other) = m.read_u64(by.address_space, by.stack.plus(16)) else {
                return self.refuse_call(by.thread);
            };
            if other != 0 {
                receive_buffer = UserAddr(other);
            }
        }
        let send = SendArgs {
            buffer: UserAddr(message),
            size: send_size as u32,
            options,
            timeout: timeout as u32,
            priority: priority as u32,
        };
        let receive = ReceiveArgs {
            name: PortName(receive_name as u32),
            buffer: receive_buffer,
            size: receive_size as u32,
            options,
            timeout: timeout as u32,
        };
        self.send_and_receive(m, by, send, receive)
    }

    /// The arguments on the stack cannot be read: nothing is done (mach-ipc 7.1).
    #[cold]
    fn refuse_call(&mut self, thread: ThreadId) -> Outcome {
        self.threads[thread].frame.rdx = 0;
        Outcome::Code(KERN_INVALID_ARGUMENT)
    }

    fn send_and_receive(&mut self, m: &mut dyn Machine, by: Caller, send: SendArgs, receive: ReceiveArgs) -> Outcome {
        // Unless a message is delivered the second result is 0 (errata 6).
        self.threads[by.thread].frame.rdx = 0;
        let receives = send.options.contains(MsgOption::RCV_MSG);
        if send.options.contains(MsgOption::SEND_MSG) {
            match self.send(m, by.thread, &send, receives.then_some(receive)) {
                Outcome::Code(MACH_MSG_SUCCESS) => {}
                other => return other,
            }
        }
        if receives { self.receive_after_send(m, by, &receive) } else { Outcome::Code(MACH_MSG_SUCCESS) }
    }

    /// The receive phase. What the send phase left to be destroyed goes first: its notifications may be what is received.
    #[inline(never)]
    fn receive_after_send(&mut self, m: &mut dyn Machine, by: Caller, args: &ReceiveArgs) -> Outcome {
        if !self.reap.is_empty() {
            if self.threads[by.thread].doomed {
                return Outcome::Pending;
            }
            self.reap_slice(m);
            if !self.reap.is_empty() {
                let rest = core::mem::take(&mut self.reap);
                self.threads[by.thread].resume = Some(Resume::Reap(rest, Some(*args)));
                self.sched.reconsider();
                return Outcome::Pending;
            }
        }
        self.receive(m, by.thread, args)
    }
}
