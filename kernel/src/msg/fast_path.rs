//! The fast path of `mach_msg`, for a plain call: a small message without descriptors to a thread that waits for it,
//! whose sender then waits for a message (errata 5).
//!
//! The effect is that of [`send`](Kernel::send) and [`receive`](Kernel::receive), one after the other. It takes less
//! time, because the message goes from buffer to buffer without being queued, and the receiver runs at once, which the
//! scheduler would choose anyway. First all conditions are checked, and nothing changes; what follows then cannot fail.
//! All other calls take the slow path. The host tests compare the two.

use crate::ids::ThreadId;
use crate::kernel::Kernel;
use crate::limits::SMALL_MESSAGE;
use crate::machine::{AddressSpace, Cpu, Machine, UserAddr};
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::sched::thread::{ReceiveWait, State, Wait};
use crate::sched::waiting::DirectSwitch;
use crate::shortcut::{PlainCall, Switch};
use abi::code::*;
use abi::message::*;
use abi::port::PortName;

/// The options that a plain call has.
const CALL: MsgOption = MsgOption::SEND_MSG.union(MsgOption::RCV_MSG);

/// The other options that a plain call may have. Options that change the sending or the waiting are not among them.
const OPTIONAL: MsgOption =
    MsgOption::RCV_LARGE.union(MsgOption::RCV_LARGE_IDENTITY).union(MsgOption::trailer_elements(0xF));

/// The receiver of a plain call.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    thread: ThreadId,
    /// Where the message goes.
    buffer: UserAddr,
    address_space: AddressSpace,
    /// It is the only thread in its wait queue.
    alone: bool,
    /// Its wait may have a deadline.
    timed: bool,
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
        if !self.step.is_quiet() && !self.bill_and_be_quiet() {
            return None;
        }
        let Kernel { ipc, sched, step, transfer, .. } = self;
        let caller = sched[sched.current(cpu)?].context();
        machine.copy_in(caller.address_space, call.buffer, transfer.sent(size)).ok()?;
        let message = ipc.plan_direct(caller.space, transfer.header(), PortName(call.receive_name))?;
        let receiver = plan_receiver(sched, cpu, message.receiver, size)?;
        // ---- The point of no return. ----
        let Receiver { thread, buffer, address_space, alone, timed } = receiver;
        let ran = sched.begin_switch(cpu, machine.stamp());
        let switch = DirectSwitch { cpu, from: caller.thread, to: thread, alone, timed, ran };
        let (received, next) = message.commit(sched, step, &switch, &call.receive());
        let written = machine.copy_out(address_space, buffer, transfer.received(size, received));
        // If the receiver's buffer cannot be written, its call fails, as on the slow path.
        let code = if written.is_ok() { MACH_MSG_SUCCESS } else { MACH_RCV_INVALID_DATA };
        next.finish(Outcome::undelivered(code));
        Some(Switch { thread, frame: next.frame_mut(), address_space })
    }
}

/// Returns the receiver of a message of `size` bytes, if its wait is one for such a message, and the scheduler would
/// choose it.
#[inline(always)]
fn plan_receiver(sched: &Scheduling, cpu: Cpu, thread: ThreadId, size: usize) -> Option<Receiver> {
    let waiting = &sched[thread];
    let State::Waiting(Wait::Receive(ReceiveWait { buffer, size: room, options, .. })) = *waiting.state() else {
        return None;
    };
    let fits = options.elements() == 0 && room as usize >= size + SHORT_TRAILER.len();
    if !fits || waiting.is_suspended() {
        return None;
    }
    if !sched.would_run_next(waiting.schedule()) || !sched.timer_ends_quantum(cpu, waiting.schedule()) {
        return None;
    }
    let (alone, timed) = (waiting.waits_alone(), options.contains(MsgOption::RCV_TIMEOUT));
    Some(Receiver { thread, buffer, address_space: waiting.context().address_space, alone, timed })
}
