//! Kernel objects: ports whose messages are calls of the kernel (mach-ipc 5.2).
//!
//! A message to such a port never waits: the call happens inside the sender's trap, and its reply goes on from there like
//! a message of the sender's. The handler is chosen by the message id alone; the port says which object it is about.

mod mach_port;
mod request;
mod task;
mod thread;

use crate::ipc::message::{Descriptor, MessageId};
use crate::ipc::names::Holding;
use crate::ipc::port::{Home, PortId};
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::{Machine, NoMemory};
use crate::task::{Credentials, TaskId};
use crate::thread::ThreadId;
use abi::KernReturn;
use abi::code::*;
use abi::message::*;
use abi::mig::{NDR, REPLY_ID_OFFSET};
use abi::port::{Disposition, ikot};
use heapless::Vec;
use zerocopy::IntoBytes;

/// What is behind a port of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelObject {
    /// A task.
    Task(TaskId),
    /// A task, for those who may only know it.
    TaskName(TaskId),
    /// A thread.
    Thread(ThreadId),
    /// The host.
    Host,
}

impl KernelObject {
    /// The number that `mach_port_kobject` shows.
    pub fn kind(self) -> u32 {
        match self {
            KernelObject::Task(_) => ikot::TASK_CONTROL,
            KernelObject::TaskName(_) => ikot::TASK_NAME,
            KernelObject::Thread(_) => ikot::THREAD_CONTROL,
            KernelObject::Host => ikot::HOST,
        }
    }
}

/// What a call answers beside `KERN_SUCCESS`.
pub(crate) enum Reply {
    /// Words after the return code.
    Words(Vec<u32, 20>),
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
    /// Makes the call that a message to a kernel object is. The message is used up. Returns the reply, if there is one to
    /// be sent and somebody to send it to.
    pub(crate) fn call_kernel_object(
        &mut self,
        m: &mut dyn Machine,
        object: KernelObject,
        message: MessageId,
    ) -> Option<MessageId> {
        let id = self.messages[message].header().msgh_id;
        let answer = match id {
            3200..=3299 => self.serve_mach_port(m, object, id, message),
            3400..=3499 => self.serve_task(m, object, id, message),
            3600..=3699 => self.serve_thread(m, object, id, message),
            _ => Err(MIG_BAD_ID),
        };
        self.consume_message_destination(m, message);
        let to = self.messages[message].reply.take();
        self.destroy_message(message);
        let (answer, to) = match (answer, to) {
            (answer, Carried::Right(to)) if !matches!(answer, Err(MIG_NO_REPLY)) => (answer, to),
            (answer, to) => {
                self.destroy_answer(m, answer);
                self.destroy_carried(m, to);
                return None;
            }
        };
        if self.live_port(to.port()).is_none() || self.is_kernel_port(to.port()) {
            self.destroy_answer(m, answer);
            self.destroy_right(m, to);
            return None;
        }
        self.make_reply(m, id.wrapping_add(REPLY_ID_OFFSET), answer, to)
    }

    fn destroy_answer(&mut self, m: &mut dyn Machine, answer: Answer) {
        if let Ok(Reply::Port(carried, _)) = answer {
            self.destroy_carried(m, carried);
        }
    }

    /// Without memory for it there is no reply: right and answer are destroyed. So are they if the answer is a receive
    /// right that would travel inside its own port (mach-ipc 6.2).
    fn make_reply(&mut self, m: &mut dyn Machine, id: i32, answer: Answer, to: Right) -> Option<MessageId> {
        let (code, words, port) = match answer {
            Ok(Reply::Words(words)) => (KERN_SUCCESS, words, None),
            Ok(Reply::Port(carried, disposition)) => (KERN_SUCCESS, Vec::new(), Some((carried, disposition))),
            Err(code) => (code, Vec::new(), None),
        };
        let Ok(reply) = self.new_reply(&words, code, port.is_some()) else {
            if let Some((carried, _)) = port {
                self.destroy_carried(m, carried);
            }
            self.destroy_right(m, to);
            return None;
        };
        let made = &mut self.messages[reply];
        let flags = if port.is_some() { HeaderFlags::COMPLEX } else { HeaderFlags::empty() };
        let bits = msgh_bits(to.disposition(), Disposition::NONE, Disposition::NONE, flags);
        made.set_header(&Header { msgh_bits: bits, msgh_size: made.size as u32, msgh_id: id, ..Header::default() });
        let port_of_reply = to.port();
        made.destination = Carried::Right(to);
        let Some((right, disposition)) = port else { return Some(reply) };
        let fits = match &right {
            Carried::Right(Right::Receive(right)) => self.begin_transit(right, port_of_reply),
            _ => true,
        };
        self.messages[reply].descriptors.push(Descriptor { offset: DESCRIPTORS_OFFSET, right, disposition });
        if !fits {
            self.destroy_message(reply);
        }
        fits.then_some(reply)
    }

    /// The body of a reply, without its rights: NDR, code and words, or one descriptor.
    fn new_reply(&mut self, words: &[u32], code: KernReturn, with_port: bool) -> Result<MessageId, NoMemory> {
        if with_port {
            let descriptors = store::try_with_capacity(1)?;
            let reply = self.new_message(DESCRIPTORS_OFFSET + PortDescriptor::SIZE, Credentials::KERNEL)?;
            let made = &mut self.messages[reply];
            made.descriptors = descriptors;
            made.bytes[Header::SIZE..DESCRIPTORS_OFFSET].copy_from_slice(&1u32.to_le_bytes());
            return Ok(reply);
        }
        let size = Header::SIZE + NDR.len() + 4 + words.len() * 4;
        let reply = self.new_message(size, Credentials::KERNEL)?;
        let body = &mut self.messages[reply].bytes[Header::SIZE..size];
        body[..8].copy_from_slice(&NDR);
        body[8..12].copy_from_slice(&code.0.to_le_bytes());
        body[12..].copy_from_slice(words.as_bytes());
        Ok(reply)
    }

    /// The live task behind an object, if it is a task's control port.
    fn task_behind(&self, object: KernelObject) -> Option<TaskId> {
        match object {
            KernelObject::Task(task) if self.is_live_task(task) => Some(task),
            _ => None,
        }
    }

    /// The object behind a port to which a name gives a send right.
    pub(crate) fn object_named(&mut self, task: TaskId, name: abi::PortName) -> Option<KernelObject> {
        match self.tasks[task].space.get(name)?.holding {
            Holding::Send { port, .. } => self.object_behind(port),
            _ => None,
        }
    }

    /// The object behind a port.
    pub(crate) fn object_behind(&self, port: PortId) -> Option<KernelObject> {
        match self.ports.get(port)?.home {
            Home::Kernel(object) => Some(object),
            _ => None,
        }
    }
}
