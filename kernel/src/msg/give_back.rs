//! Messages that could not be sent, on their way back to their senders ("pseudo-receive", mach-ipc 3.11).
//!
//! A thread takes its message back itself, at its own priority. So neither the timer, whose interrupt ends the waits of
//! many threads, nor a thread that aborts another one gives names to the thousands of rights that a message can have. It
//! takes so many in one slice that others get their turn in between.

use crate::ids::Context;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::limits::GIVE_BACK_SLICE;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sched::thread::{Continuation, GiveBack, Rest, SendWait};
use crate::trace::Event;
use abi::KernReturn;
use abi::code::MACH_MSG_SUCCESS;
use abi::event::kind;
use abi::message::{HeaderFlags, msgh_bits};
use abi::port::Disposition;

impl Kernel {
    /// Returns a message that the running thread `sender` could not send, with its rights, into the buffer that it came
    /// from, so that it can be sent again. The call gives `reason`, with the detail bits of rights that got no name. The
    /// reply of a kernel object is destroyed instead, and the call succeeds.
    pub(crate) fn return_to_sender(
        &mut self,
        machine: &mut dyn Machine,
        sender: Context,
        send: &SendWait,
        reason: KernReturn,
    ) -> Outcome {
        self.give_back(machine, sender, GiveBack::of(send, reason))
    }

    /// Goes on with a message that returns to the running thread `sender`: a slice of it. The rest becomes the thread's
    /// continuation.
    pub(crate) fn give_back(&mut self, machine: &mut dyn Machine, sender: Context, mut back: GiveBack) -> Outcome {
        let message = back.message;
        if back.is_kernel_reply {
            // Its own end is what a send-once right was promised. The reply is lost like a notification (mach-ipc 8.4).
            if matches!(self.ipc.message(message).destination, Carried::Right(Right::SendOnce(_))) {
                self.ipc.consume_message_destination(&mut self.step, message);
            }
            self.ipc.destroy_message(&mut self.step, message);
            return Outcome::undelivered(MACH_MSG_SUCCESS);
        }
        let left = match back.left {
            Some(left) => left,
            None => self.give_back_header(sender, &mut back),
        };
        let Kernel { ipc, sched, step, .. } = self;
        let mut bits = 0;
        let left = ipc.copy_out_some(step, sender.space, message, (left, GIVE_BACK_SLICE), &mut bits);
        back.result = back.result.with_bits(bits);
        if left > 0 {
            let rest = Rest::GiveBack(GiveBack { left: Some(left), ..back });
            sched.set_continuation(sender.thread, Continuation::rest(rest));
            step.choose_again();
            return Outcome::Pending;
        }
        let returned = ipc.message(message);
        // If the buffer cannot be written any more, the sender loses the message (mach-ipc 3.11 ignores the fault).
        let _ = machine.copy_out(sender.address_space, back.buffer, &returned.bytes[..returned.size]);
        ipc.remove_message(step, message);
        Outcome::undelivered(back.result)
    }

    /// Gives the rights of a message's header back to its sender. Returns the number of the message's descriptors.
    fn give_back_header(&mut self, sender: Context, back: &mut GiveBack) -> u32 {
        let Kernel { ipc, step, .. } = self;
        let message = back.message;
        ipc.clean_message(message);
        step.trace.record(|| Event::message(kind::MESSAGE_RETURNED, message, ipc.message(message).destination.port()));
        let returned = ipc.message_mut(message);
        let mut header = returned.header();
        let destination = returned.destination.take();
        let reply = returned.reply.take();
        let voucher = returned.voucher.take();
        let mut bits = 0;
        header.msgh_remote_port = ipc.copy_out_carried(step, sender.space, destination, &mut bits);
        header.msgh_local_port = ipc.copy_out_carried(step, sender.space, reply, &mut bits);
        match header.voucher() {
            Disposition::MOVE_SEND => {
                header.msgh_voucher_port = ipc.copy_out_carried(step, sender.space, voucher.into(), &mut bits);
            }
            // A copied voucher is still under the name in the header (vouchers 7.6).
            _ => ipc.destroy_carried(step, voucher.into()),
        }
        let (remote, local) = (header.remote().converted(), header.local().converted());
        header.msgh_bits = msgh_bits(remote, local, header.voucher(), header.flags() & HeaderFlags::COMPLEX);
        let returned = ipc.message_mut(message);
        header.msgh_size = returned.size as u32;
        returned.set_header(&header);
        back.result = back.result.with_bits(bits);
        returned.descriptors.len() as u32
    }
}

impl GiveBack {
    /// Returns the return of the message of a send that has failed for this reason.
    pub(crate) fn of(send: &SendWait, reason: KernReturn) -> GiveBack {
        let SendWait { message, is_kernel_reply, .. } = *send;
        GiveBack { message, buffer: send.args.buffer, result: reason, left: None, is_kernel_reply }
    }
}
