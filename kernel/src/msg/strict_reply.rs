//! Strict replies (vouchers 7.7): whoever replies to a request works for the persona for which the request was received.
//!
//! Only if the setting [`Limits::strict_reply`](crate::limits::Limits) is on. A receiver that asks for it with
//! `MACH_MSG_STRICT_REPLY` gets the persona of the request's voucher recorded on the reply port. The next message that a
//! program sends there by a send-once right removes the record, and is refused unless its sender has adopted, by a name, a
//! voucher of that persona. While the setting is on no call is plain (`Port::direct`), so that the fast path need not know
//! of it.

use crate::ids::{Context, MessageId, PortId};
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sched::thread::{SendArgs, SendWait};
use abi::code::MACH_SEND_INVALID_CONTEXT;
use abi::message::MsgOption;
use abi::voucher::PERSONA_ID_NONE;
use core::num::NonZeroU32;

impl Kernel {
    /// Records on the reply port of a message that `receiver` is about to take, or removes the record, as its options
    /// and the message's voucher say. The message still has both rights.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_reply_persona(&mut self, receiver: Context, options: MsgOption, message: MessageId) {
        if let Some((reply, persona)) = self.reply_record(receiver, options, message) {
            self.ipc.set_reply_persona(reply, persona);
        }
    }

    /// Returns the reply port of a message with its new record, or `None` if the record stays as it is.
    fn reply_record(
        &self,
        receiver: Context,
        options: MsgOption,
        message: MessageId,
    ) -> Option<(PortId, Option<NonZeroU32>)> {
        let received = self.ipc.message(message);
        let reply = received.reply.port()?;
        if !options.contains(MsgOption::STRICT_REPLY) {
            return Some((reply, None));
        }
        let voucher = self.ipc.voucher_behind(received.voucher.as_ref()?.port());
        let persona = NonZeroU32::new(self.persona_with(receiver.task, voucher))?;
        (persona.get() != PERSONA_ID_NONE).then_some((reply, Some(persona)))
    }

    /// Returns true if the context of `sender` is right for a message that has been copied in. Removes the record of the
    /// port to which it goes by a send-once right. A message that will be destroyed, because it would travel inside
    /// itself, leaves the record.
    fn reply_has_context(&mut self, sender: Context, message: MessageId) -> bool {
        let sent = self.ipc.message(message);
        let to = match &sent.destination {
            Carried::Right(Right::SendOnce(right)) if !sent.circular => right.port(),
            _ => return true,
        };
        let Some(persona) = self.ipc.take_reply_persona(to) else { return true };
        let thread = &self.sched[sender.thread];
        let bound_by_name = thread.voucher().is_some() && thread.voucher_name().is_valid();
        bound_by_name && self.persona_of(sender.thread) == persona.get()
    }

    /// Returns a message to its sender if the sender's context is not right for it (mach-ipc 3.11), and then what the call
    /// gives.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse_reply(
        &mut self,
        machine: &mut dyn Machine,
        sender: Context,
        message: MessageId,
        args: &SendArgs,
    ) -> Option<Outcome> {
        if self.reply_has_context(sender, message) {
            return None;
        }
        let port = self.ipc.message(message).destination.port().expect("a port had the record");
        let refused = SendWait { port, message, args: *args, is_kernel_reply: false, then: None };
        Some(self.return_to_sender(machine, sender, &refused, MACH_SEND_INVALID_CONTEXT))
    }
}
