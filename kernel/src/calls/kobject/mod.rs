//! Kernel objects: a message to the port of a kernel object is a call (mach-ipc 5.2).
//!
//! Such a message is not queued: the call is made within the sender's trap, and its reply is sent there as if by the
//! sender. The message id selects the call, and the port the object of the call.

mod host;
mod mach_port;
mod request;
mod task;
mod task_policy;
mod thread;
mod voucher;

use crate::ids::{Context, KernelObject, MessageId, PortId, TaskId};
use crate::ipc::Ipc;
use crate::ipc::kernel_message::Body;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::step::Step;
use abi::KernReturn;
use abi::code::*;
use abi::mig::REPLY_ID_OFFSET;
use abi::port::Disposition;
use heapless::Vec;
use zerocopy::IntoBytes;

/// Words of the longest reply, behind its return code.
const RESULTS_MAX: usize = 20;
/// Words of the longest reply, with its return code.
const REPLY_WORDS_MAX: usize = RESULTS_MAX + 1;

/// The results of a call that succeeds.
pub(crate) enum Reply {
    /// Words after the return code.
    Words(Vec<u32, RESULTS_MAX>),
    /// The words of a reply that has room for bytes, with the return code.
    Long(alloc::vec::Vec<u32>),
    /// One right, in a complex message, and the disposition that the receiver gets, even without a right.
    Port(Carried, Disposition),
}

impl Reply {
    fn none() -> Reply {
        Reply::Words(Vec::new())
    }

    fn word(word: u32) -> Reply {
        Reply::words(&[word])
    }

    fn words(words: &[u32]) -> Reply {
        Reply::Words(Vec::from_slice(words).expect("the words of every reply fit"))
    }

    /// Returns a reply with the bytes that `fill` writes into a buffer of `room` bytes, preceded by their number, which
    /// `fill` returns.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out; those of `fill`.
    fn bytes(room: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, KernReturn>) -> Answer {
        const CODE_AND_SIZE: usize = 2;
        let start = CODE_AND_SIZE * size_of::<u32>();
        let words = CODE_AND_SIZE + room.div_ceil(size_of::<u32>());
        let mut words = store::try_vec(0u32, words).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        let size = fill(&mut words.as_mut_bytes()[start..][..room])?;
        // What lies behind the result is not for the receiver.
        words.as_mut_bytes()[start + size..].fill(0);
        words.truncate(CODE_AND_SIZE + size.div_ceil(size_of::<u32>()));
        words[..CODE_AND_SIZE].copy_from_slice(&[KERN_SUCCESS.0 as u32, size as u32]);
        Ok(Reply::Long(words))
    }

    fn right(right: Right) -> Reply {
        let disposition = right.disposition();
        Reply::Port(Carried::Right(right), disposition)
    }
}

/// The outcome of a call. An error is the return code of the reply.
pub(crate) type Answer = Result<Reply, KernReturn>;

impl Kernel {
    /// Makes the call that a message of the running thread `caller` to a kernel object stands for. Returns the reply and the port that it goes to, if
    /// there is a reply. Consumes the message.
    pub(crate) fn call_kernel_object(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        object: KernelObject,
        message: MessageId,
    ) -> Option<(MessageId, PortId)> {
        let id = self.ipc.message(message).header().msgh_id;
        let answer = match id {
            200..=299 => self.serve_host(caller, object, id, message),
            3200..=3299 => self.serve_mach_port(machine, object, id, message),
            3400..=3499 => self.serve_task(object, id, message),
            3600..=3699 => self.serve_thread(machine, caller, object, id, message),
            5400..=5499 => self.serve_voucher(caller, object, id, message),
            5600..=5699 => self.serve_attr_control(id, message),
            _ => Err(MIG_BAD_ID),
        };
        let Kernel { ipc, step, .. } = self;
        ipc.consume_message_destination(step, message);
        let to = ipc.message_mut(message).reply.take();
        ipc.destroy_message(step, message);
        // Notifications that the call caused are queued before its reply. They may let the reply's port die.
        self.post_notifications(machine);
        let Kernel { ipc, step, .. } = self;
        let Carried::Right(to) = to else {
            destroy_answer(ipc, step, answer);
            return None;
        };
        let port = to.port();
        if ipc.live_port(port).is_none() || ipc.is_kernel_port(port) {
            destroy_answer(ipc, step, answer);
            ipc.destroy_right(step, to);
            return None;
        }
        make_reply(ipc, step, id.wrapping_add(REPLY_ID_OFFSET), answer, to).map(|reply| (reply, port))
    }

    /// Returns the task that an object is, if it is a task that is alive and may be controlled.
    fn task_behind(&self, object: KernelObject) -> Option<TaskId> {
        match object {
            KernelObject::Task(task) if self.tasks.is_live(task) => Some(task),
            _ => None,
        }
    }
}

fn destroy_answer(ipc: &mut Ipc, step: &mut Step, answer: Answer) {
    if let Ok(Reply::Port(carried, _)) = answer {
        ipc.destroy_carried(step, carried);
    }
}

/// Makes the reply to a call, for the right `to`. A reply of one word by a send-once right, which every error is, needs
/// no memory. If memory or the budget of the reply's port is used up for a longer one, the reply is that error, because
/// the caller waits for one. If the reply would be circular (mach-ipc 6.2), or there is no memory for one by a send
/// right, destroys `to` and the right in the answer instead.
fn make_reply(ipc: &mut Ipc, step: &mut Step, id: i32, answer: Answer, to: Right) -> Option<MessageId> {
    let mut words: Vec<u32, REPLY_WORDS_MAX> = Vec::new();
    let body = match answer {
        Ok(Reply::Port(carried, disposition)) => Body::Right(carried, disposition),
        Ok(Reply::Words(results)) => {
            words.push(KERN_SUCCESS.0 as u32).expect("there is room for the code");
            words.extend(results);
            Body::Words(&words)
        }
        Ok(Reply::Long(ref words)) => Body::Words(words),
        Err(code) => {
            words.push(code.0 as u32).expect("there is room for the code");
            Body::Words(&words)
        }
    };
    let to = match (to, &body) {
        (Right::SendOnce(to), &Body::Words(&[code])) => return Some(ipc.new_promised_message(to, id, Some(code))),
        (to, _) => to,
    };
    match ipc.new_kernel_message(step, (to.disposition(), to.port()), id, body) {
        Ok(reply) if ipc.message(reply).circular => {
            ipc.message_mut(reply).destination = Carried::Right(to);
            ipc.destroy_message(step, reply);
            None
        }
        Ok(reply) => {
            let budget = ipc.port(to.port()).budget().filter(|_| matches!(to, Right::SendOnce(_)));
            if budget.is_none_or(|budget| ipc.charge_message(reply, budget).is_ok()) {
                ipc.message_mut(reply).destination = Carried::Right(to);
                return Some(reply);
            }
            ipc.destroy_message(step, reply);
            refuse(ipc, step, id, to)
        }
        Err(body) => {
            if let Body::Right(carried, _) = body {
                ipc.destroy_carried(step, carried);
            }
            refuse(ipc, step, id, to)
        }
    }
}

/// Makes the reply which says that there is no memory for the reply. Without room for that either, destroys `to`.
fn refuse(ipc: &mut Ipc, step: &mut Step, id: i32, to: Right) -> Option<MessageId> {
    match to {
        Right::SendOnce(to) => Some(ipc.new_promised_message(to, id, Some(KERN_RESOURCE_SHORTAGE.0 as u32))),
        to => {
            ipc.destroy_right(step, to);
            None
        }
    }
}
