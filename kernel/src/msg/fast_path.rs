//! The fast path of `mach_msg` for the common call: a small message without descriptors to a thread that waits for it,
//! whose sender then waits for a message itself (errata 5).
//!
//! It does exactly what [`send`](Kernel::send) and [`receive`](Kernel::receive) would do one after the other, in the cases
//! in which that comes to very little: the message goes from one buffer to the other without ever being queued, and the
//! receiver runs at once because the scheduler would choose it anyway. [`plan_call`](Kernel::plan_call) checks everything
//! and changes nothing; [`commit_call`](Kernel::commit_call) cannot fail. Everything else takes the slow path. The host
//! tests compare the two.

use crate::ids::Context;
use crate::ipc::direct::DirectMessage;
use crate::kernel::Kernel;
use crate::limits::SMALL_MESSAGE;
use crate::machine::{AddressSpace, Machine, UserAddr};
use crate::outcome::Outcome;
use crate::sched::thread::{ReceiveArgs, ReceiveWait, SendArgs, State, Wait};
use abi::code::*;
use abi::message::*;

/// What may be asked for: no option that concerns the sending, and none that concerns the waiting.
const PLAIN: MsgOption = MsgOption::SEND_MSG
    .union(MsgOption::RCV_MSG)
    .union(MsgOption::RCV_LARGE)
    .union(MsgOption::RCV_LARGE_IDENTITY)
    .union(MsgOption::trailer_elements(0xF));

/// A call that has been found plain. Nothing has changed yet.
struct Plan {
    message: DirectMessage,
    size: usize,
    /// Where the receiver's message goes.
    buffer: UserAddr,
    address_space: AddressSpace,
}

impl Kernel {
    /// Makes a combined call if it is a plain one. Returns true if it did; otherwise nothing has changed.
    #[inline(always)]
    pub(crate) fn call_directly(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        send: &SendArgs,
        receive: &ReceiveArgs,
    ) -> bool {
        let size = send.size as usize;
        if !PLAIN.contains(send.options) || !(Header::SIZE..=SMALL_MESSAGE).contains(&size) || !size.is_multiple_of(4) {
            return false;
        }
        let buffer = self.transfer.sent(size);
        if !self.limits.direct_calls || machine.copy_in(caller.address_space, send.buffer, buffer).is_err() {
            return false;
        }
        let Some(plan) = self.plan_call(caller, size, receive) else { return false };
        // ---- The point of no return. ----
        self.commit_call(machine, caller, &plan, receive);
        true
    }

    /// Finds out whether the message in the transfer buffer makes a plain call.
    #[inline(always)]
    fn plan_call(&self, caller: Context, size: usize, receive: &ReceiveArgs) -> Option<Plan> {
        let message = self.ipc.plan_direct(caller.space, self.transfer.header(), receive.name)?;
        let waiting = &self.sched[message.receiver];
        let State::Waiting(Wait::Receive(ReceiveWait { buffer, size: room, options, .. })) = *waiting.state() else {
            return None;
        };
        let fits = options.elements() == 0 && room as usize >= size + SHORT_TRAILER.len();
        if !fits || waiting.is_suspended() || !self.sched.would_run_next(waiting.schedule()) {
            return None;
        }
        Some(Plan { message, size, buffer, address_space: waiting.context().address_space })
    }

    /// Hands the message over, lets the caller wait and the receiver run. Only writing to the receiver's buffer can fail,
    /// which the receiver is told.
    #[inline(always)]
    fn commit_call(&mut self, machine: &mut dyn Machine, caller: Context, plan: &Plan, receive: &ReceiveArgs) {
        let Kernel { ipc, sched, step, transfer, .. } = self;
        let Plan { message, size, buffer, address_space } = plan;
        let received = ipc.commit_direct(message);
        sched.take_receiver(message.receiver, ipc.direct_queue(message));
        let written = machine.copy_out(*address_space, *buffer, transfer.received(*size, received));
        let wait = ReceiveWait {
            object: message.source,
            buffer: receive.buffer,
            size: receive.size,
            options: receive.options,
        };
        let source = ipc.direct_source(message);
        let now = machine.now();
        let receiver = sched.block_and_switch(step, caller.thread, wait, source, message.receiver, now);
        let code = if written.is_ok() { MACH_MSG_SUCCESS } else { MACH_RCV_INVALID_DATA };
        receiver.finish(Outcome::undelivered(code));
    }
}
