//! Requests whose sender waits for the reply (dispatch 6.7).

use super::SendResult;
use super::channel::{Channel, Inner};
use super::event::Event;
use super::message::MachMsg;
use super::receiver::without_detail;
use super::reply::Pending;
use super::request::Requester;
use super::transmit::{self, Outcome, Sending, Told};
use crate::pool;
use crate::process::process;
use crate::sync::Arc;
use crate::sys::Received;
use crate::voucher;
use abi::code::*;
use abi::message::{Header, MAX_TRAILER_SIZE, MsgOption};
use abi::port::Disposition;
use abi::{KernReturn, PortName};
use alloc::vec;
use alloc::vec::Vec;
use zerocopy::FromBytes;

/// The size of the buffer in which a reply is expected. A larger one is received by a second call.
const REPLY_SIZE: usize = 1024;

/// The options of the receive phase. The reply's voucher, if it has one, is not taken.
const RECEIVE: MsgOption = MsgOption::RCV_MSG.union(MsgOption::RCV_LARGE).union(MsgOption::trailer_elements(AUDIT));
const AUDIT: u32 = 3;

impl Channel {
    /// Sends a request and waits for the reply, in one kernel call if nothing else waits to be sent. None if there is no
    /// reply because the request is not sent, or the channel is cancelled or reconnected. If the request is not sent, an
    /// event tells that. If it is sent by this call, no event tells.
    ///
    /// The peer works with the caller's class until it has replied. The caller's own class and voucher stay.
    pub fn send_and_wait_for_reply(&self, message: MachMsg, options: MsgOption) -> Option<MachMsg> {
        self.0.call(message, options, Told::Handler).1
    }

    /// Sends a request and waits for the reply like [`send_and_wait_for_reply`](Channel::send_and_wait_for_reply), and
    /// returns what became of the request if it left at once.
    pub fn send_with_result_and_wait_for_reply(
        &self,
        message: MachMsg,
        options: MsgOption,
    ) -> (SendResult, Option<MachMsg>) {
        let (result, reply) = self.0.call(message, options, Told::Caller);
        (result.unwrap_or(SendResult::Deferred), reply)
    }
}

/// What a call has received before it receives.
const NOTHING: Received = Received::nothing(MACH_MSG_SUCCESS);

/// A request in the middle of its call.
struct Call {
    port: PortName,
    /// True if the port is the thread's special reply port.
    is_own: bool,
    /// Who computes the reply, if the request was not sent yet.
    right: PortName,
}

impl Inner {
    fn call(
        self: &Arc<Inner>,
        message: MachMsg,
        options: MsgOption,
        told: Told,
    ) -> (Option<SendResult>, Option<MachMsg>) {
        let client_port = message.reply_port();
        let is_own = client_port.is_none();
        let port = client_port.unwrap_or_else(|| process().kernel.special_reply_port());
        let message = message.reply_to(port, Disposition::MAKE_SEND_ONCE);
        let mut sending = Sending::prepare(message, options, told, true);
        sending.is_own_port = is_own;
        let (priority, voucher) = (sending.message.priority, sending.message.voucher.clone());
        let pending =
            if is_own { Pending::Thread } else { Pending::ThreadOnPort(Requester::handler(&sending.message, None)) };
        let (is_direct, right) = {
            let side = self.send.lock();
            // Under this lock, so that a cancellation that comes later finds the port on the list.
            self.replies.lock().add(port, pending);
            (side.direct_right().is_some() && !sending.message.is_reply(), side.right())
        };
        let call = Call { port, is_own, right };
        let (result, reply) = if is_direct {
            self.call_directly(sending, &call)
        } else {
            (self.send(sending), self.wait_for_reply(&call, NOTHING, Vec::new()))
        };
        self.end_call(&call, reply.is_some());
        if reply.is_some() && !is_own {
            self.push(Event::ReplyReceived(port), priority, voucher.into(), priority.class());
        }
        (result, reply)
    }

    /// Sends and receives in one kernel call: nothing else waits to be sent.
    fn call_directly(self: &Arc<Inner>, mut sending: Sending, call: &Call) -> (Option<SendResult>, Option<MachMsg>) {
        let (options, word) = sending.words(sending.message.priority.class());
        let own = sending.id;
        let message = &mut sending.message;
        let voucher = message.voucher.take();
        message.set_remote(call.right, Disposition::COPY_SEND);
        let attachment = voucher::attach(message.as_bytes_mut(), voucher.as_ref());
        let size = message.size();
        let mut buffer = vec![0; REPLY_SIZE.max(size)];
        buffer[..size].copy_from_slice(message.as_bytes());
        let options = options | RECEIVE | self.strict_option();
        let received =
            pool::waiting(|| process().kernel.send_and_receive(&mut buffer, size, options, call.port, 0, word));
        let failed = is_send_error(received.code);
        if failed {
            // The message came back, with rights under other names.
            message.as_bytes_mut().copy_from_slice(&buffer[..size]);
        }
        voucher::detach(message.as_bytes_mut(), attachment);
        message.voucher = voucher;
        message.note_sent(if failed { received.code } else { MACH_MSG_SUCCESS });
        if !failed {
            // No event: it would come after the reply, or even after the cancellation.
            sending.told = Told::Caller;
            let result = self.report(sending, Outcome::Sent, Some(own));
            return (result, self.wait_for_reply(call, received, buffer));
        }
        message.restore_remote(call.right);
        let result = match without_detail(received.code) {
            // It waits for its turn like all others.
            MACH_SEND_TIMED_OUT => self.send(sending),
            _ => self.report(sending, transmit::outcome(received.code), Some(own)),
        };
        (result, self.wait_for_reply(call, NOTHING, Vec::new()))
    }

    /// Waits for the reply. `received` and `buffer` are what an earlier call has brought.
    fn wait_for_reply(&self, call: &Call, mut received: Received, mut buffer: Vec<u8>) -> Option<MachMsg> {
        let mut options = RECEIVE;
        if buffer.is_empty() && call.is_own && call.right.is_valid() {
            options |= MsgOption::RCV_SYNC_WAIT;
        }
        loop {
            match without_detail(received.code) {
                MACH_MSG_SUCCESS | MACH_RCV_BODY_ERROR if !buffer.is_empty() => {
                    let mut reply = MachMsg::received(&buffer);
                    reply.priority = received.priority;
                    return Some(reply);
                }
                MACH_RCV_TOO_LARGE => {
                    let header = Header::read_from_prefix(&buffer).expect("the buffer has room for a header").0;
                    buffer = vec![0; (header.msgh_size as usize).next_multiple_of(4) + MAX_TRAILER_SIZE];
                }
                MACH_MSG_SUCCESS => buffer = vec![0; REPLY_SIZE],
                MACH_RCV_INTERRUPTED => {}
                // The port died because the reply was given up, or the reply was lost for want of room.
                _ => return None,
            }
            if !self.replies.lock().has(call.port) {
                return None;
            }
            received = pool::waiting(|| process().kernel.receive(call.port, &mut buffer, options, 0, call.right));
            options = RECEIVE;
        }
    }

    /// Takes the reply port off the list. A special reply port that was given up, or through which a late reply could
    /// come, serves no other request.
    fn end_call(&self, call: &Call, has_reply: bool) {
        let pending = self.replies.lock().take(call.port);
        if !call.is_own || (has_reply && pending.is_some()) {
            return;
        }
        process().kernel.forget_special_reply_port();
    }
}

/// Returns true if a call that sends and receives has failed before its message was sent.
const fn is_send_error(code: KernReturn) -> bool {
    /// The bit that the codes of receiving have and those of sending have not.
    const RECEIVING: i32 = 0x4000;
    !code.is_success() && code.0 & RECEIVING == 0
}
