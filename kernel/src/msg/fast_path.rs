//! The fast path of `mach_msg`, for a plain call: a small message without descriptors to a thread that waits for it,
//! whose sender then waits for a message (errata 5).
//!
//! The effect is that of [`send`](Kernel::send) and [`receive`](Kernel::receive), one after the other. It takes less
//! time, because the message goes from buffer to buffer without being queued, and the receiver runs at once, which the
//! scheduler would choose anyway. [`plan_call`](Kernel::plan_call) checks all conditions and changes nothing;
//! [`commit_call`](Kernel::commit_call) cannot fail. All other calls take the slow path. The host tests compare the
//! two.

use crate::ids::Context;
use crate::ipc::direct::{DirectMessage, DirectSwitch};
use crate::kernel::Kernel;
use crate::limits::SMALL_MESSAGE;
use crate::machine::{AddressSpace, Cpu, Machine, UserAddr};
use crate::outcome::Outcome;
use crate::sched::thread::{ReceiveWait, State, Wait};
use crate::shortcut::{PlainCall, Switch};
use abi::code::*;
use abi::message::*;
use abi::port::PortName;

/// The options that a plain call has.
const CALL: MsgOption = MsgOption::SEND_MSG.union(MsgOption::RCV_MSG);

/// The other options that a plain call may have. Options that change the sending or the waiting are not among them.
const OPTIONAL: MsgOption =
    MsgOption::RCV_LARGE.union(MsgOption::RCV_LARGE_IDENTITY).union(MsgOption::trailer_elements(0xF));

/// The plan of a plain call.
struct Plan {
    message: DirectMessage,
    size: usize,
    /// The receiver's buffer.
    buffer: UserAddr,
    address_space: AddressSpace,
    /// The receiver is the only thread in its wait queue.
    alone: bool,
    /// The receiver's options.
    options: MsgOption,
}

impl Kernel {
    /// Carries out a call of the current thread of `cpu` if it is plain, and returns the thread that runs then.
    /// Otherwise returns `None`, and nothing has changed.
    #[inline(always)]
    pub fn call_directly(&mut self, machine: &mut dyn Machine, cpu: Cpu, call: &PlainCall) -> Option<Switch<'_>> {
        let size = call.send_size as usize;
        let plain = call.options().difference(OPTIONAL) == CALL;
        if !plain || !(Header::SIZE..=SMALL_MESSAGE).contains(&size) || !size.is_multiple_of(4) {
            return None;
        }
        if !self.step.is_quiet() {
            return None;
        }
        let caller = self.sched[self.sched.current(cpu)?].context();
        machine.copy_in(caller.address_space, call.buffer, self.transfer.sent(size)).ok()?;
        let plan = self.plan_call(caller, cpu, size, call)?;
        // ---- The point of no return. ----
        Some(self.commit_call(machine, caller, &plan, call))
    }

    /// Returns the plan of the call whose message is in the transfer buffer, if it is plain.
    #[inline(always)]
    fn plan_call(&self, caller: Context, cpu: Cpu, size: usize, call: &PlainCall) -> Option<Plan> {
        let message = self.ipc.plan_direct(caller.space, self.transfer.header(), PortName(call.receive_name))?;
        let waiting = &self.sched[message.receiver];
        let State::Waiting(Wait::Receive(ReceiveWait { buffer, size: room, options, .. })) = *waiting.state() else {
            return None;
        };
        let fits = options.elements() == 0 && room as usize >= size + SHORT_TRAILER.len();
        if !fits || waiting.is_suspended() {
            return None;
        }
        if !self.sched.would_run_next(waiting.schedule()) || !self.sched.timer_ends_quantum(cpu, waiting.schedule()) {
            return None;
        }
        let alone = waiting.waits_alone();
        Some(Plan { message, size, buffer, address_space: waiting.context().address_space, alone, options })
    }

    /// Hands the message to the receiver, lets the caller wait and the receiver run. If the receiver's buffer cannot be
    /// written, its call returns `MACH_RCV_INVALID_DATA`, as on the slow path.
    #[inline(always)]
    fn commit_call(&mut self, machine: &mut dyn Machine, caller: Context, plan: &Plan, call: &PlainCall) -> Switch<'_> {
        let Kernel { ipc, sched, step, transfer, .. } = self;
        let Plan { message, size, buffer, address_space, alone, options } = *plan;
        let wait = ReceiveWait {
            object: message.source,
            buffer: call.buffer,
            size: call.receive_size,
            options: call.options(),
        };
        let timed = options.contains(MsgOption::RCV_TIMEOUT);
        let switch = DirectSwitch { sender: caller.thread, wait, alone, timed, now: machine.stamp() };
        let (received, receiver) = ipc.commit_direct(sched, step, &message, switch);
        let written = machine.copy_out(address_space, buffer, transfer.received(size, received));
        let code = if written.is_ok() { MACH_MSG_SUCCESS } else { MACH_RCV_INVALID_DATA };
        receiver.finish(Outcome::undelivered(code));
        Switch { thread: message.receiver, frame: receiver.frame_mut(), address_space }
    }
}
