//! What is left of a thread's call, while the thread waits or others have their turn.

use crate::ids::{MessageId, PortId, TaskId};
use crate::machine::UserAddr;
use abi::KernReturn;
use abi::message::MsgOption;
use abi::port::PortName;
use store::NodeList;

/// The arguments of a send phase of `mach_msg`.
#[derive(Clone, Copy, Debug)]
pub struct SendArgs {
    /// Where the message is.
    pub buffer: UserAddr,
    /// How many bytes it has.
    pub size: u32,
    /// The call's options.
    pub options: MsgOption,
    /// Milliseconds, used with `MACH_SEND_TIMEOUT`.
    pub timeout: u32,
    /// Message QoS, used with `MACH_SEND_OVERRIDE`.
    pub priority: u32,
}

/// The arguments of a receive phase of `mach_msg`.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveArgs {
    /// The name of a receive right or port set.
    pub name: PortName,
    /// Where the message goes.
    pub buffer: UserAddr,
    /// The size of the buffer in bytes.
    pub size: u32,
    /// The call's options.
    pub options: MsgOption,
    /// Milliseconds, used with `MACH_RCV_TIMEOUT`.
    pub timeout: u32,
}

/// A send whose message has been copied in. The thread may be blocked in it.
#[derive(Clone, Copy, Debug)]
pub struct SendWait {
    /// The port that it is sent to.
    pub port: PortId,
    /// The message.
    pub message: MessageId,
    /// The arguments, with the buffer for the message if it cannot be sent.
    pub args: SendArgs,
    /// The message is the reply of a kernel object. If it cannot be sent, it is destroyed and not returned, and the
    /// call succeeds nevertheless.
    pub is_kernel_reply: bool,
    /// The receive phase of the same call, if it has one.
    pub then: Option<ReceiveArgs>,
}

/// The rest of a thread's trap, to be done in the kernel before the thread runs in user mode again.
#[derive(Debug)]
pub struct Continuation {
    /// First, the work that its trap left.
    pub work: NodeList,
    /// Then, what is left of its call.
    pub rest: Rest,
}

/// What is left of a thread's call when the work is done that it has caused.
#[derive(Clone, Copy, Debug)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// Its receive phase.
    Receive(ReceiveArgs),
    /// Its message goes back to it.
    GiveBack(GiveBack),
    /// It makes its trap again, whose number and arguments are in its trap frame: a piece of it has been done.
    Again,
    /// It goes on starting this task.
    Start(TaskId),
}

/// A message that could not be sent, on its way back to its sender (mach-ipc 3.11).
#[derive(Clone, Copy, Debug)]
pub struct GiveBack {
    /// The message.
    pub message: MessageId,
    /// The buffer that it came from.
    pub buffer: UserAddr,
    /// The call's result, with the detail bits of rights that got no name so far.
    pub result: KernReturn,
    /// The number of descriptors whose rights are still in the message. The rights of the header go before all of them,
    /// when this is `None`.
    pub left: Option<u32>,
    /// The message is the reply of a kernel object, which is destroyed.
    pub is_kernel_reply: bool,
}

impl Continuation {
    /// Returns the continuation of a thread that has its receive phase left, or `None` if it has none.
    pub fn receive(args: Option<ReceiveArgs>) -> Option<Continuation> {
        args.and_then(|args| Continuation::rest(Rest::Receive(args)))
    }

    /// Returns the continuation of a thread that has no work left, or `None` if it has nothing left at all.
    pub fn rest(rest: Rest) -> Option<Continuation> {
        match rest {
            Rest::Nothing => None,
            rest => Some(Continuation { work: NodeList::new(), rest }),
        }
    }
}
