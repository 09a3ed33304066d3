//! Serving requests in the form of MIG, message by message (dispatch 6.1, C-16).

use super::message::MachMsg;
use super::receiver::without_detail;
use crate::process::process;
use crate::voucher;
use abi::code::*;
use abi::message::{MAX_TRAILER_SIZE, MsgOption};
use abi::mig::NDR;
use abi::port::MACH_PORT_NULL;
use abi::{KernReturn, PortName};
use alloc::vec;
use core::ops::Range;

/// The messages that [`mig_server`] serves before it returns.
const MOST_MESSAGES: usize = 1000;

/// Serves one request. It gets the request and, if the request asks for one, an empty reply.
///
/// With `KERN_SUCCESS` the rights of the request are the routine's, and the reply is sent as the routine has left it,
/// unless it has taken the reply out to send it later. With another code that code is the reply, in the form of MIG,
/// and the rights of the request are given back.
pub type Routine<C> = fn(&mut C, &mut MachMsg, &mut Option<MachMsg>) -> KernReturn;

/// A range of message ids, and the routine that serves them.
#[derive(Debug)]
pub struct Subsystem<C> {
    /// The ids.
    pub ids: Range<i32>,
    /// The routine.
    pub routine: Routine<C>,
}

/// Serves a request by the subsystem that has its id, and replies. Handlers of channels call this.
///
/// # Errors
/// The message, if no subsystem has its id.
pub fn mig_demux<C>(context: &mut C, subsystems: &[Subsystem<C>], mut message: MachMsg) -> Result<(), MachMsg> {
    let id = message.id();
    let Some(subsystem) = subsystems.iter().find(|subsystem| subsystem.ids.contains(&id)) else {
        return Err(message);
    };
    let mut reply = message.take_reply();
    let code = (subsystem.routine)(context, &mut message, &mut reply);
    if code != KERN_SUCCESS {
        message.destroy();
        reply = reply.map(|reply| reply.without_body().bytes(&NDR).bytes(&code.0.to_le_bytes()));
    }
    if let Some(reply) = reply {
        send_reply(reply);
    }
    Ok(())
}

/// Sends a reply without waiting. Gives its rights back if the requester is gone.
pub(crate) fn send_reply(mut reply: MachMsg) {
    let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
    let code = process().kernel.send(reply.as_bytes_mut(), options, 0, 0);
    reply.note_sent(code);
    reply.destroy();
}

/// Serves the requests that wait at a port, at most 1000, each with its own voucher. The voucher of the last one stays
/// adopted. Requests of no subsystem are destroyed. Returns the number of requests.
pub fn mig_server<C>(port: PortName, most_bytes: usize, subsystems: &[Subsystem<C>], context: &mut C) -> usize {
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::RCV_VOUCHER | MsgOption::trailer_elements(3);
    let mut buffer = vec![0; most_bytes.next_multiple_of(4) + MAX_TRAILER_SIZE];
    for count in 0..MOST_MESSAGES {
        let received = process().kernel.receive(port, &mut buffer, options, 0, MACH_PORT_NULL);
        match without_detail(received.code) {
            MACH_MSG_SUCCESS | MACH_RCV_BODY_ERROR => {}
            // A message that is too large, or that had no room, is destroyed by the kernel.
            MACH_RCV_TOO_LARGE | MACH_RCV_HEADER_ERROR => continue,
            _ => return count,
        }
        voucher::replace(voucher::from_message(&mut buffer));
        if let Err(message) = mig_demux(context, subsystems, MachMsg::received(&buffer)) {
            message.destroy();
        }
    }
    MOST_MESSAGES
}
