//! `mach_msg`: the send phase, then the receive phase (mach-ipc 3.1).

use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sched::thread::{Continuation, ReceiveArgs, SendArgs};
use abi::code::MACH_MSG_SUCCESS;
use abi::message::MsgOption;

impl Kernel {
    /// Carries out a `mach_msg` call of the running thread `caller`: sends or receives, or sends and then receives, as
    /// the options say.
    #[inline]
    pub(crate) fn mach_msg(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        send: SendArgs,
        receive: ReceiveArgs,
    ) -> Outcome {
        let receives = send.options.contains(MsgOption::RCV_MSG);
        if send.options.contains(MsgOption::SEND_MSG) {
            match self.send(machine, caller, &send, receives.then_some(&receive)) {
                Outcome::Message(MACH_MSG_SUCCESS, _) => {}
                other => return other,
            }
            self.post_notifications(machine);
        }
        match (receives, self.step.has_work()) {
            (false, _) => Outcome::SENT,
            (true, false) => self.receive(machine, caller, &receive),
            (true, true) => {
                let work = self.step.take_work();
                self.go_on(machine, caller, Continuation { work, receive: Some(receive) })
            }
        }
    }

    /// Goes on with the continuation of a running thread: does a slice of its work, and when all of that is done, its
    /// receive phase. The work comes first, because the phase may receive a notification that the work sends. A thread
    /// that is about to end does not receive, and its work stays with the step.
    pub(crate) fn go_on(&mut self, machine: &mut dyn Machine, thread: Context, todo: Continuation) -> Outcome {
        self.step.resume_work(todo.work);
        if todo.receive.is_some() && self.sched[thread.thread].is_ending() {
            return Outcome::Pending;
        }
        self.work_slice(machine);
        let Some(receive) = todo.receive else { return Outcome::Pending };
        if self.step.has_work() {
            let rest = Continuation { work: self.step.take_work(), receive: Some(receive) };
            self.sched.set_continuation(thread.thread, Some(rest));
            self.step.choose_again();
            return Outcome::Pending;
        }
        self.receive(machine, thread, &receive)
    }
}
