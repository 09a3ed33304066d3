//! Kernel objects: ports whose messages are calls of the kernel (mach-ipc 5.2).
//!
//! A message to such a port never waits: the call happens inside the sender's trap, and its reply goes on from there like
//! a message of the sender's. The handler is chosen by the message id alone; the port says which object it is about.

mod mach_port;
mod request;
mod task;
mod thread;

use crate::ids::{KernelObject, MessageId, PortId, TaskId};
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

/// Words of the longest reply, behind its code.
const RESULTS_MAX: usize = 20;
/// The same with the code.
const REPLY_WORDS_MAX: usize = RESULTS_MAX + 1;

/// What a call answers beside `KERN_SUCCESS`.
pub(crate) enum Reply {
    /// Words after the return code.
    Words(Vec<u32, RESULTS_MAX>),
    /// One right, in a complex message; what the receiver sees beside it if there is none.
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
        Reply::Words(Vec::from_slice(words).expect("no call answers with more words"))
    }

    fn right(right: Right) -> Reply {
        let disposition = right.disposition();
        Reply::Port(Carried::Right(right), disposition)
    }
}

/// A call's outcome; an error is the return code of the reply.
pub(crate) type Answer = Result<Reply, KernReturn>;

impl Kernel {
    /// Dispatches a message sent to a kernel object and returns the reply with the port that it goes to, if there is one.
    /// Consumes the message.
    pub(crate) fn call_kernel_object(
        &mut self,
        machine: &mut dyn Machine,
        object: KernelObject,
        message: MessageId,
    ) -> Option<(MessageId, PortId)> {
        let id = self.ipc.message(message).header().msgh_id;
        let answer = match id {
            3200..=3299 => self.serve_mach_port(machine, object, id, message),
            3400..=3499 => self.serve_task(object, id, message),
            3600..=3699 => self.serve_thread(machine, object, id, message),
            _ => Err(MIG_BAD_ID),
        };
        let Kernel { ipc, step, .. } = self;
        ipc.consume_message_destination(step, message);
        let to = ipc.message_mut(message).reply.take();
        ipc.destroy_message(step, message);
        // The notifications that the call caused are queued before its reply. They may be what its port dies of.
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

    /// Returns the live task behind an object, if it is a task's control port.
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

/// Makes the reply to a call. Without memory for it there is none: right and answer are destroyed. So are they if the
/// answer is a receive right that would travel inside its own port (mach-ipc 6.2).
fn make_reply(ipc: &mut Ipc, step: &mut Step, id: i32, answer: Answer, to: Right) -> Option<MessageId> {
    let mut words: Vec<u32, REPLY_WORDS_MAX> = Vec::new();
    let body = match answer {
        Ok(Reply::Port(carried, disposition)) => Body::Right(carried, disposition),
        Ok(Reply::Words(results)) => {
            words.push(KERN_SUCCESS.0 as u32).expect("there is room for the code");
            words.extend(results);
            Body::Words(&words)
        }
        Err(code) => {
            words.push(code.0 as u32).expect("there is room for the code");
            Body::Words(&words)
        }
    };
    match ipc.new_kernel_message(step, (to.disposition(), to.port()), id, body) {
        Ok(reply) => {
            let made = ipc.message_mut(reply);
            made.destination = Carried::Right(to);
            if made.circular {
                ipc.destroy_message(step, reply);
                return None;
            }
            Some(reply)
        }
        Err(body) => {
            if let Body::Right(carried, _) = body {
                ipc.destroy_carried(step, carried);
            }
            ipc.destroy_right(step, to);
            None
        }
    }
}
