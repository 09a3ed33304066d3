//! `mach_msg`: the send phase, then the receive phase (mach-ipc 3.1).

use crate::ids::{Context, Receivable, ThreadId};
use crate::ipc::entry::EntryRight;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sched::thread::{Continuation, ReceiveArgs, Rest, SendArgs};
use abi::KernReturn;
use abi::code::{MACH_MSG_SUCCESS, MACH_RCV_INVALID_NOTIFY};
use abi::message::MsgOption;
use abi::port::PortName;

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
        let mut receives_later = false;
        if send.options.contains(MsgOption::SEND_MSG) {
            match self.send(machine, caller, &send, receives.then_some(&receive)) {
                Outcome::Message(MACH_MSG_SUCCESS, _) => {}
                other => return other,
            }
            self.post_notifications(machine);
            // What the send has caused comes first, and a receive that may be long does not follow a long send at once.
            receives_later = self.step.has_work() || self.step.effort.is_much();
        }
        if send.options.awaits_reply_of_port()
            && let Err(code) = self.link_for_wait(caller, receive.name, PortName(send.priority))
        {
            return Outcome::undelivered(code);
        }
        match (receives, receives_later) {
            (false, _) => Outcome::SENT,
            (true, false) => self.receive(machine, caller, &receive),
            (true, true) => {
                self.sched.set_continuation(caller.thread, Continuation::receive(Some(receive)));
                self.step.choose_again();
                Outcome::Pending
            }
        }
    }

    /// Applies `MACH_RCV_SYNC_WAIT` to a receive from `name`: links the caller's special reply port to the port to which
    /// `to` is a send right, because the reply is computed there (mach-ipc 3.12). Another name is not used. A wrong
    /// `name` is left to the receive.
    ///
    /// # Errors
    /// `MACH_RCV_INVALID_NOTIFY` if the receive is not from the caller's special reply port, or `to` is
    /// `MACH_PORT_NULL` or `MACH_PORT_DEAD`; nothing has changed.
    fn link_for_wait(&mut self, caller: Context, name: PortName, to: PortName) -> Result<(), KernReturn> {
        let Some(object) = self.ipc.receivable(caller.space, name) else { return Ok(()) };
        let reply = self.sched[caller.thread].special_reply().ok_or(MACH_RCV_INVALID_NOTIFY)?;
        if object != Receivable::Port(reply) || !to.is_valid() {
            return Err(MACH_RCV_INVALID_NOTIFY);
        }
        let named = self.ipc.space(caller.space).get(to).map(|entry| entry.right);
        if let Some(right @ (EntryRight::Send { port, .. } | EntryRight::Receive { port, .. })) = named
            && right.send_urefs() > 0
        {
            self.ipc.link_reply(reply, port);
        }
        Ok(())
    }

    /// Goes on with the continuation of a running thread.
    pub(crate) fn go_on(&mut self, machine: &mut dyn Machine, thread: ThreadId) {
        let continuation = self.sched.take_continuation(thread).expect("the thread has something left to do");
        let context = self.sched[thread].context();
        let outcome = self.go_on_with(machine, context, continuation);
        self.sched.finish(thread, outcome);
    }

    /// Goes on with what a running thread has left to do: leaves its work to the end of the step, and when all of that is
    /// done, does the rest of its call, or a slice of it. The work comes first, because the receive phase may receive a
    /// notification that the work sends. A thread that is about to end does no more than the work.
    fn go_on_with(&mut self, machine: &mut dyn Machine, thread: Context, todo: Continuation) -> Outcome {
        let Continuation { work, rest } = todo;
        self.step.resume_work(work);
        if self.step.has_work() || self.sched[thread.thread].is_ending() {
            // The end of the step does a slice of the work and adds what is left.
            self.sched.set_continuation(thread.thread, Continuation::rest(rest));
            return Outcome::Pending;
        }
        if self.sched.has_raised() {
            self.sched.drop_floor(&mut self.step, thread.thread);
        }
        match rest {
            Rest::Nothing => Outcome::Pending,
            Rest::Receive(receive) => self.receive(machine, thread, &receive),
            Rest::GiveBack(back) => self.give_back(machine, thread, back),
            Rest::Start(task) => self.go_on_starting(machine, thread, task),
            Rest::Again => {
                self.trap(machine, thread.thread);
                Outcome::Pending
            }
        }
    }
}
