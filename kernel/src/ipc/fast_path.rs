//! The straight line through `mach_msg` for the common call: a small message without descriptors to a thread that waits
//! for it, whose sender then waits for a message itself (errata 5).
//!
//! It does exactly what [`send`](Kernel::send) and [`receive`](Kernel::receive) would do, one after the other, in the
//! cases in which that comes to very little: the message goes from one buffer to the other without ever being queued,
//! and the receiver runs at once because the scheduler would choose it anyway. Everything is checked first, and changes
//! nothing; whatever is out of the ordinary is left to the long way. The host tests compare the two.

use crate::ipc::names::{Holding, Space};
use crate::ipc::port::{Home, PortId};
use crate::ipc::receive::Receivable;
use crate::kernel::{Kernel, ThreadId};
use crate::limits::SMALL_MESSAGE;
use crate::machine::{AddressSpace, Cpu, Machine, UserAddr};
use crate::task::TaskId;
use crate::thread::{ReceiveWait, State, Thread, Wait};
use crate::timer::TimerKind;
use crate::trap_frame::TrapFrame;
use abi::code::*;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_NULL, PortName};
use zerocopy::FromBytes;

/// What must be asked for.
const CALL: MsgOption = MsgOption::SEND_MSG.union(MsgOption::RCV_MSG);

/// What else may be asked for: nothing that concerns the sending, and nothing that concerns the waiting.
const OPTIONAL: MsgOption =
    MsgOption::RCV_LARGE.union(MsgOption::RCV_LARGE_IDENTITY).union(MsgOption::trailer_elements(0xF));

/// The arguments of `mach_msg` that a plain call uses.
#[derive(Clone, Copy, Debug)]
pub struct PlainCall {
    /// The message, and where the answer goes.
    pub buffer: UserAddr,
    /// The options, as the program gave them.
    pub options: u32,
    /// Size of the message.
    pub send_size: u32,
    /// Room for the answer.
    pub receive_size: u32,
    /// The name of the port or set that the answer comes to.
    pub receive_name: u32,
}

impl PlainCall {
    /// Returns the arguments that are in a trap's registers.
    pub fn from_arguments(arguments: [u64; 6]) -> PlainCall {
        let [buffer, options, send_size, receive_size, receive_name, _] = arguments;
        let [options, send_size, receive_size, receive_name] =
            [options, send_size, receive_size, receive_name].map(|argument| argument as u32);
        PlainCall { buffer: UserAddr(buffer), options, send_size, receive_size, receive_name }
    }

    fn options(&self) -> MsgOption {
        MsgOption::from_bits_retain(self.options & MsgOption::USER_MASK)
    }
}

/// The thread that a direct switch leads to.
#[derive(Debug)]
pub struct Switch<'k> {
    /// The thread, which runs now.
    pub thread: ThreadId,
    /// Its registers, in which the result is.
    pub frame: &'k mut TrapFrame,
    /// Its memory.
    pub address_space: AddressSpace,
}

/// The trailer of a receiver that asks for none: type 0 and size 8 in one word.
const SHORT_TRAILER: [u8; 8] = (8u64 << 32).to_le_bytes();

/// What a plain message asks for, as `msgh_bits` with nothing but dispositions.
const REQUEST: u32 = bits(Disposition::COPY_SEND, Disposition::MAKE_SEND_ONCE);
const ANSWER: u32 = bits(Disposition::MOVE_SEND_ONCE, Disposition::NONE);
const NOTICE: u32 = bits(Disposition::COPY_SEND, Disposition::NONE);

const fn bits(remote: Disposition, local: Disposition) -> u32 {
    msgh_bits(remote, local, Disposition::NONE, HeaderFlags::empty())
}

/// The bytes on their way from buffer to buffer.
#[derive(Debug)]
pub struct Passage([u8; SMALL_MESSAGE + SHORT_TRAILER.len()]);

impl Default for Passage {
    fn default() -> Self {
        Passage([0; SMALL_MESSAGE + SHORT_TRAILER.len()])
    }
}

impl Passage {
    fn header(&self) -> &Header {
        Header::ref_from_prefix(&self.0).expect("a message begins with a header").0
    }

    /// Turns a header that was sent into one that is received, in a message of `size` bytes, and adds the trailer.
    #[inline(always)]
    fn readdress(&mut self, size: usize, msgh_bits: u32, remote: PortName, local: PortName) {
        let (header, _) = Header::mut_from_prefix(&mut self.0).expect("a message begins with a header");
        header.msgh_bits = msgh_bits;
        header.msgh_size = size as u32;
        header.msgh_remote_port = remote;
        header.msgh_local_port = local;
        self.0[size..size + SHORT_TRAILER.len()].copy_from_slice(&SHORT_TRAILER);
    }
}

/// The thread that makes a call.
#[derive(Clone, Copy)]
struct Sender {
    cpu: Cpu,
    thread: ThreadId,
    task: TaskId,
}

/// What becomes of rights when a plain message is sent.
enum Rights {
    /// A send-once right is made for the reply, if there is to be one.
    Made(Option<PortId>),
    /// The send-once right of this name is used up.
    UsedUp(PortName),
}

/// Where a plain message goes, and what becomes of rights; nothing if it is not plain.
#[inline(always)]
fn addressed(names: &Space, header: &Header) -> Option<(PortId, Rights)> {
    let kind = header.msgh_bits & MACH_MSGH_BITS_USER;
    let to = names.get(header.msgh_remote_port)?;
    if kind == ANSWER {
        return match to.holding {
            Holding::SendOnce { port } if to.request.is_none() && header.msgh_local_port == MACH_PORT_NULL => {
                Some((port, Rights::UsedUp(header.msgh_remote_port)))
            }
            _ => None,
        };
    }
    let (Holding::Send { port, .. } | Holding::Receive { port, send_urefs: 1.. }) = to.holding else { return None };
    match kind {
        REQUEST => match names.get(header.msgh_local_port)?.holding {
            Holding::Receive { port: reply, .. } => Some((port, Rights::Made(Some(reply)))),
            _ => None,
        },
        NOTICE if header.msgh_local_port == MACH_PORT_NULL => Some((port, Rights::Made(None))),
        _ => None,
    }
}

/// Returns the buffer and the options of a thread that waits for a message and would go on with one of `size` bytes and the
/// shortest trailer.
#[inline(always)]
fn plain_wait(thread: &Thread, size: usize) -> Option<(UserAddr, MsgOption)> {
    let State::Waiting(Wait::Receive(ReceiveWait { buffer, size: room, options, .. })) = thread.state else {
        return None;
    };
    let fits = options.elements() == 0 && room as usize >= size + SHORT_TRAILER.len();
    (fits && thread.suspend_count == 0).then_some((buffer, options))
}

impl Kernel {
    /// Makes a combined call if it is a plain one, and returns the thread that it leads to; otherwise nothing has changed.
    #[inline(always)]
    pub fn call_directly(&mut self, m: &mut dyn Machine, cpu: Cpu, call: &PlainCall) -> Option<Switch<'_>> {
        let size = call.send_size as usize;
        let plain = call.options().difference(OPTIONAL) == CALL;
        if !plain || !(Header::SIZE..=SMALL_MESSAGE).contains(&size) || !size.is_multiple_of(4) {
            return None;
        }
        if !self.sched.is_settled() {
            return None;
        }
        let thread = self.sched.current(cpu)?;
        let caller = &self.threads[thread];
        let by = Sender { cpu, thread, task: caller.task };
        m.copy_in(caller.address_space, call.buffer, &mut self.passage.0[..size]).ok()?;
        self.exchange(m, by, size, call)
    }

    /// Finds out whether the message that has been copied in makes a plain call, and makes it. Only writing to the
    /// receiver's buffer can fail then, which is the receiver's affair.
    #[inline(always)]
    fn exchange(&mut self, m: &mut dyn Machine, by: Sender, size: usize, call: &PlainCall) -> Option<Switch<'_>> {
        let Kernel { tasks, threads, ports, sets, memberships, sched, timers, totals, passage, .. } = self;
        let names = &mut tasks[by.task].space;
        let (destination, rights) = addressed(names, passage.header())?;
        let source = match names.get(PortName(call.receive_name))?.holding {
            Holding::Receive { port, .. } if ports[port].queue.is_empty() => Receivable::Port(port),
            Holding::PortSet { set } if sets[set].ready.is_empty() => Receivable::Set(set),
            _ => return None,
        };
        let port = ports.get_mut(destination)?;
        let Home::Space { task: receiver_task, name: local } = port.home else { return None };
        if port.is_full() || !port.queue.is_empty() || !port.senders.is_empty() || port.requests.any_armed() {
            return None;
        }
        let (receiver, queue) = match port.receivers.first() {
            Some(thread) => (thread, &mut port.receivers),
            None if port.memberships.len() == 1 => {
                let queue = &mut sets[memberships[port.memberships.front()?].set].receivers;
                (queue.first()?, queue)
            }
            None => return None,
        };
        let waiting = &threads[receiver];
        let (buffer, options) = plain_wait(waiting, size)?;
        if !sched.would_run_next(&waiting.schedule) || !sched.timer_ends_quantum(by.cpu, &waiting.schedule) {
            return None;
        }
        let (space, alone) = (waiting.address_space, waiting.wait_link.is_alone());
        // The last thing that is checked is room for the reply right in the receiver's table. Then it happens.
        let (remote, bits) = match rights {
            Rights::UsedUp(name) => {
                names.remove(name);
                port.send_once_rights -= 1;
                totals.send_once_rights -= 1;
                (MACH_PORT_NULL, bits(Disposition::NONE, Disposition::PORT_SEND_ONCE))
            }
            // A send right that is copied for the message and ends with its delivery leaves no trace.
            Rights::Made(None) => (MACH_PORT_NULL, bits(Disposition::NONE, Disposition::PORT_SEND)),
            Rights::Made(Some(reply)) => {
                let theirs = &mut tasks[receiver_task].space;
                if theirs.must_grow() {
                    return None;
                }
                let name = theirs.add(Holding::SendOnce { port: reply }).expect("a send-once right is not registered");
                totals.send_once_rights += 1;
                (name, bits(Disposition::PORT_SEND_ONCE, Disposition::PORT_SEND))
            }
        };
        port.seqno = port.seqno.wrapping_add(1);
        queue.remove_knowing(threads, receiver, alone);
        if let Rights::Made(Some(reply)) = rights {
            ports[reply].send_once_rights += 1;
        }
        if options.contains(MsgOption::RCV_TIMEOUT) {
            timers.cancel(threads, receiver, TimerKind::Wait);
        }
        passage.readdress(size, bits, remote, local);
        let written = m.copy_out(space, buffer, &passage.0[..size + SHORT_TRAILER.len()]);
        let wait =
            ReceiveWait { object: source, buffer: call.buffer, size: call.receive_size, options: call.options() };
        let next = self.wait_and_run(by.thread, wait, receiver, m.stamp());
        next.frame.set_code(if written.is_ok() { MACH_MSG_SUCCESS } else { MACH_RCV_INVALID_DATA });
        Some(Switch { thread: receiver, frame: &mut next.frame, address_space: space })
    }
}
