//! The fast path of `mach_msg`, for a plain call: a small message without descriptors to a thread that waits for it,
//! whose sender then waits for a message (errata 5).
//!
//! The effect is that of [`send`](Kernel::send) and [`receive`](Kernel::receive), one after the other. It takes less
//! time, because the message goes from buffer to buffer without being queued, and the receiver runs at once, which the
//! scheduler would choose anyway. First all conditions are checked, and nothing changes; what follows then cannot fail.
//! All other calls take the slow path. The host tests compare the two.

use crate::ids::ThreadId;
use crate::ipc::Ipc;
use crate::ipc::direct::attached::{AttachedMessage, Attachment, is_request};
use crate::kernel::Kernel;
use crate::limits::SMALL_MESSAGE;
use crate::machine::{AddressSpace, Cpu, Machine, UserAddr};
use crate::msg::transfer::TransferBuffer;
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::sched::thread::{ReceiveWait, State, Wait};
use crate::sched::waiting::DirectSwitch;
use crate::shortcut::{PlainCall, Switch};
use crate::step::Step;
use crate::vouchers::Vouchers;
use abi::code::*;
use abi::message::*;
use abi::port::PortName;

/// The options that a plain call has.
const CALL: MsgOption = MsgOption::SEND_MSG.union(MsgOption::RCV_MSG);

/// The other options that a plain call may have. Options that change the sending or the waiting are not among them.
const OPTIONAL: MsgOption = MsgOption::RCV_LARGE
    .union(MsgOption::RCV_LARGE_IDENTITY)
    .union(MsgOption::RCV_VOUCHER)
    .union(MsgOption::trailer_elements(0xF));

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
    /// It takes vouchers.
    takes_voucher: bool,
}

/// The parts of the kernel that a call with a voucher or importance concerns.
struct Parts<'k> {
    ipc: &'k mut Ipc,
    sched: &'k mut Scheduling,
    step: &'k mut Step,
    vouchers: &'k mut Vouchers,
    transfer: &'k mut TransferBuffer,
}

impl Kernel {
    /// Carries out a call of the current thread of `cpu` if it is plain, and returns the thread that runs then.
    /// Otherwise returns `None`, and nothing has changed.
    #[inline(always)]
    pub fn call_directly(&mut self, machine: &mut dyn Machine, cpu: Cpu, call: &PlainCall) -> Option<Switch<'_>> {
        self.call::<false>(machine, cpu, call)
    }

    /// Does the same for a thread beside ready ones of its level, if the receiver may go on in its turn. Returns true if it
    /// has carried out the call. It is a function of its own so that other calls stay short.
    #[inline(never)]
    pub(crate) fn call_in_turn(&mut self, machine: &mut dyn Machine, caller: ThreadId, arguments: [u64; 6]) -> bool {
        let State::Running(cpu) = *self.sched[caller].state() else { return false };
        if !self.limits.shortcuts {
            return false;
        }
        self.call::<true>(machine, cpu, &PlainCall::from_arguments(arguments)).is_some()
    }

    #[inline(always)]
    fn call<const IN_TURN: bool>(
        &mut self,
        machine: &mut dyn Machine,
        cpu: Cpu,
        call: &PlainCall,
    ) -> Option<Switch<'_>> {
        let size = call.send_size as usize;
        let plain = call.options().difference(OPTIONAL) == CALL;
        if !plain || !(Header::SIZE..=SMALL_MESSAGE).contains(&size) || !size.is_multiple_of(4) {
            return None;
        }
        if !self.step.is_quiet() && !self.bill_and_be_quiet() {
            return None;
        }
        let Kernel { ipc, sched, step, vouchers, transfer, .. } = self;
        let caller = sched[sched.current(cpu)?].context();
        machine.copy_in(caller.address_space, call.buffer, transfer.sent(size)).ok()?;
        let Some(message) = ipc.plan_direct(caller.space, transfer.header(), PortName(call.receive_name)) else {
            let parts = Parts { ipc, sched, step, vouchers, transfer };
            return if IN_TURN { None } else { parts.call_attached(machine, cpu) };
        };
        let receiver = plan_receiver(sched, cpu, message.receiver, size)?;
        if IN_TURN && !sched.lets_go_on(cpu, message.receiver, machine.stamp()) {
            return None;
        }
        if !IN_TURN && !sched.would_run_next(&sched[message.receiver]) {
            return None;
        }
        // ---- The point of no return. ----
        let Receiver { thread, buffer, address_space, .. } = receiver;
        let switch = receiver.switch(sched, machine, cpu, caller.thread);
        let (received, next) = message.commit(sched, step, &switch, &call.receive());
        let written = machine.copy_out(address_space, buffer, transfer.received(size, received));
        // If the receiver's buffer cannot be written, its call fails, as on the slow path.
        let code = if written.is_ok() { MACH_MSG_SUCCESS } else { MACH_RCV_INVALID_DATA };
        next.finish(Outcome::undelivered(code));
        Some(Switch { thread, frame: next.frame_mut(), address_space })
    }
}

impl Receiver {
    /// Begins its time on the processor, and returns the switch to it from a thread.
    #[inline(always)]
    fn switch(&self, sched: &mut Scheduling, machine: &mut dyn Machine, cpu: Cpu, from: ThreadId) -> DirectSwitch {
        let Receiver { thread: to, alone, timed, .. } = *self;
        let ran = sched.begin_switch(cpu, machine.stamp());
        DirectSwitch { cpu, from, to, alone, timed, ran }
    }
}

impl<'k> Parts<'k> {
    /// Carries out a call that is plain but for a voucher or importance: the second class of errata 5. The message is in
    /// the transfer buffer. The arguments are taken from the frame: to pass them on would make all other calls longer.
    #[inline(never)]
    fn call_attached(self, machine: &mut dyn Machine, cpu: Cpu) -> Option<Switch<'k>> {
        // Two functions, so that other calls find out soon that this is not for them.
        if is_request(self.transfer.header()) { self.call_with_request(machine, cpu) } else { None }
    }

    #[inline(never)]
    fn call_with_request(self, machine: &mut dyn Machine, cpu: Cpu) -> Option<Switch<'k>> {
        let Parts { ipc, sched, step, vouchers, transfer } = self;
        let thread = &sched[sched.current(cpu)?];
        let (caller, call) = (thread.context(), PlainCall::from_arguments(thread.frame().arguments()));
        let size = call.send_size as usize;
        let message = ipc.plan_attached(caller.space, transfer.header(), PortName(call.receive_name))?;
        let receiver = plan_receiver(sched, cpu, message.receiver(), size)?;
        if !sched.would_run_next(&sched[message.receiver()]) {
            return None;
        }
        let attachment = plan_attachment(vouchers, &message, receiver.takes_voucher)?;
        // ---- The point of no return. ----
        let Receiver { thread, buffer, address_space, .. } = receiver;
        let switch = receiver.switch(sched, machine, cpu, caller.thread);
        let (received, voucher, next) = message.commit(sched, step, &switch, &call.receive(), &attachment);
        if let Some(name) = voucher {
            transfer.set_voucher(name);
            vouchers.note_given(name);
        }
        let written = machine.copy_out(address_space, buffer, transfer.received(size, received));
        next.finish(match written {
            Ok(()) => Outcome::Message(MACH_MSG_SUCCESS, attachment.qos),
            Err(_) => Outcome::undelivered(MACH_RCV_INVALID_DATA),
        });
        Some(Switch { thread, frame: next.frame_mut(), address_space })
    }
}

/// Returns what comes with a message to its receiver, if that is known and the receiver has it already.
#[inline(always)]
fn plan_attachment(vouchers: &mut Vouchers, message: &AttachedMessage<'_>, takes_voucher: bool) -> Option<Attachment> {
    if takes_voucher && message.brings_voucher() {
        return message.attach(vouchers.remembered(&message.case())?);
    }
    if !message.passes_unnoticed() {
        return None;
    }
    let dropped = message.sent().map(|sent| Attachment::of_dropped_voucher(vouchers.qos_words(sent)));
    Some(dropped.unwrap_or(Attachment::NOTHING))
}

/// Returns the receiver of a message of `size` bytes, if its wait is one for such a message, and the timer ends its quantum.
/// The caller makes sure that the scheduler would choose it.
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
    if !sched.timer_ends_quantum(cpu, waiting.schedule()) {
        return None;
    }
    let (alone, timed) = (waiting.waits_alone(), options.contains(MsgOption::RCV_TIMEOUT));
    let takes_voucher = options.contains(MsgOption::RCV_VOUCHER);
    Some(Receiver { thread, buffer, address_space: waiting.context().address_space, alone, timed, takes_voucher })
}
