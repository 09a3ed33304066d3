//! The straight line through `mach_msg` for the common call: a small message without descriptors to a thread that waits
//! for it, whose sender then waits for a message itself (errata 5).
//!
//! It does exactly what [`send`](Kernel::send) and [`receive`](Kernel::receive) would do, one after the other, in the
//! cases in which that comes to very little: the message goes from one buffer to the other without ever being queued,
//! and the receiver runs at once because the scheduler would choose it anyway. Everything is checked first, and changes
//! nothing; whatever is out of the ordinary is left to the long way. The host tests compare the two.

use crate::ipc::names::Holding;
use crate::ipc::port::{Home, PortId};
use crate::ipc::receive::{Receivable, ReceiveArgs};
use crate::ipc::send::SendArgs;
use crate::kernel::Kernel;
use crate::limits::SMALL_MESSAGE;
use crate::machine::{AddressSpace, Machine, UserAddr};
use crate::task::TaskId;
use crate::thread::{ReceiveWait, State, ThreadId, Wait};
use crate::timer::TimerKind;
use crate::traps::Caller;
use abi::code::*;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_NULL, PortName};
use zerocopy::{FromBytes, IntoBytes};

/// What may be asked for: nothing that concerns the sending, and nothing that concerns the waiting.
const PLAIN: MsgOption = MsgOption::SEND_MSG
    .union(MsgOption::RCV_MSG)
    .union(MsgOption::RCV_LARGE)
    .union(MsgOption::RCV_LARGE_IDENTITY)
    .union(MsgOption::trailer_elements(0xF));

/// The trailer of a receiver that asks for none: type 0 and size 8 in one word.
const SHORT_TRAILER: [u8; 8] = (8u64 << 32).to_le_bytes();

/// The bytes on their way from buffer to buffer.
#[derive(Debug)]
pub struct Passage([u8; SMALL_MESSAGE + SHORT_TRAILER.len()]);

impl Default for Passage {
    fn default() -> Self {
        Passage([0; SMALL_MESSAGE + SHORT_TRAILER.len()])
    }
}

impl Passage {
    /// Replaces the header of a message of `size` bytes, and adds the trailer.
    #[inline]
    fn put(&mut self, header: &Header, size: usize) {
        header.write_to_prefix(&mut self.0).expect("there is room for a header");
        self.0[size..size + SHORT_TRAILER.len()].copy_from_slice(&SHORT_TRAILER);
    }
}

/// What the checks found out.
struct Plan {
    /// Where the message goes.
    destination: PortId,
    /// Its name in the receiver's task.
    local: PortName,
    /// The name of a send-once right that is used up by sending.
    one_shot: Option<PortName>,
    /// The port of which a send-once right is made for the reply, and the receiver's task, which gets it.
    reply: Option<(PortId, TaskId)>,
    receiver: ThreadId,
    /// What the receiver waits for, and where the message goes.
    awaited: Receivable,
    space: AddressSpace,
    buffer: UserAddr,
    /// It waits for a limited time.
    timed: bool,
    /// What the sender waits for then.
    source: Receivable,
}

impl Kernel {
    /// Makes a combined call if it is a plain one. Returns whether it did; otherwise nothing has changed.
    #[inline]
    pub(crate) fn call_directly(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        send: &SendArgs,
        receive: &ReceiveArgs,
    ) -> bool {
        let size = send.size as usize;
        if !PLAIN.contains(send.options) || !(Header::SIZE..=SMALL_MESSAGE).contains(&size) || !size.is_multiple_of(4) {
            return false;
        }
        if !self.limits.direct_calls || m.copy_in(by.address_space, send.buffer, &mut self.passage.0[..size]).is_err() {
            return false;
        }
        let Ok((header, _)) = Header::read_from_prefix(&self.passage.0) else { return false };
        let Some(plan) = self.plan_direct_call(by, &header, size, receive) else { return false };
        self.carry_out_direct_call(m, by, header, size, receive, &plan);
        true
    }

    /// Finds out whether the call is a plain one.
    #[inline]
    fn plan_direct_call(&self, by: Caller, header: &Header, size: usize, receive: &ReceiveArgs) -> Option<Plan> {
        let names = &self.tasks[by.task].space;
        if header.flags().contains(HeaderFlags::COMPLEX) || header.voucher() != Disposition::NONE {
            return None;
        }
        let to = names.get(header.msgh_remote_port)?;
        let (destination, one_shot) = match (header.remote(), to.holding) {
            (Disposition::COPY_SEND, Holding::Send { port, .. } | Holding::Receive { port, send_urefs: 1.. }) => {
                (port, None)
            }
            (Disposition::MOVE_SEND_ONCE, Holding::SendOnce { port }) if to.request.is_none() => {
                (port, Some(header.msgh_remote_port))
            }
            _ => return None,
        };
        let reply = match (header.local(), header.msgh_local_port) {
            (Disposition::NONE, MACH_PORT_NULL) => None,
            (Disposition::MAKE_SEND_ONCE, name) => match names.get(name)?.holding {
                Holding::Receive { port, .. } => Some(port),
                _ => return None,
            },
            _ => return None,
        };
        let source = match names.get(receive.name)?.holding {
            Holding::Receive { port, .. } if self.ports[port].queue.is_empty() => Receivable::Port(port),
            Holding::PortSet { set } if self.sets[set].ready.is_empty() => Receivable::Set(set),
            _ => return None,
        };
        let port = self.ports.get(destination)?;
        let Home::Space { task: receiver_task, name: local } = port.home else { return None };
        if port.is_full() || !port.queue.is_empty() || !port.senders.is_empty() || port.requests.any_armed() {
            return None;
        }
        let receiver = match port.receivers.first() {
            Some(thread) => thread,
            None if port.memberships.len() == 1 => {
                let membership = port.memberships.front()?;
                self.sets[self.memberships[membership].set].receivers.first()?
            }
            None => return None,
        };
        let thread = &self.threads[receiver];
        let State::Waiting(Wait::Receive(wait)) = &thread.state else { return None };
        let fits = wait.options.elements() == 0 && wait.size as usize >= size + SHORT_TRAILER.len();
        if !fits || thread.suspend_count != 0 || !self.sched.would_run_next(&thread.schedule) {
            return None;
        }
        let reply = match reply {
            Some(_) if self.tasks[receiver_task].space.must_grow() => return None,
            Some(port) => Some((port, receiver_task)),
            None => None,
        };
        let (awaited, space, buffer) = (wait.object, thread.address_space, wait.buffer);
        let timed = wait.options.contains(MsgOption::RCV_TIMEOUT);
        Some(Plan { destination, local, one_shot, reply, receiver, awaited, space, buffer, timed, source })
    }

    /// Makes the call. Only writing to the receiver's buffer can fail, which is the receiver's affair.
    #[inline]
    fn carry_out_direct_call(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        mut header: Header,
        size: usize,
        receive: &ReceiveArgs,
        plan: &Plan,
    ) {
        let Plan { receiver, awaited, source, .. } = *plan;
        let port = &mut self.ports[plan.destination];
        port.seqno = port.seqno.wrapping_add(1);
        if awaited == Receivable::Port(plan.destination) {
            port.receivers.remove(&mut self.threads, receiver);
        }
        // A send right that is copied for the message and ends with its delivery leaves no trace.
        let mut kind = Disposition::PORT_SEND;
        if let Some(name) = plan.one_shot {
            kind = Disposition::PORT_SEND_ONCE;
            port.send_once_rights -= 1;
            self.totals.send_once_rights -= 1;
            self.tasks[by.task].space.remove(name);
        }
        let (mut reply_name, mut reply_kind) = (MACH_PORT_NULL, Disposition::NONE);
        if let Some((reply, task)) = plan.reply {
            let holding = Holding::SendOnce { port: reply };
            let added = self.tasks[task].space.add(holding);
            reply_name = added.expect("there is room, and a send-once right is not registered");
            reply_kind = Disposition::PORT_SEND_ONCE;
            self.ports[reply].send_once_rights += 1;
            self.totals.send_once_rights += 1;
        }
        header.msgh_bits = msgh_bits(reply_kind, kind, Disposition::NONE, HeaderFlags::empty());
        header.msgh_size = size as u32;
        header.msgh_remote_port = reply_name;
        header.msgh_local_port = plan.local;
        self.passage.put(&header, size);
        let bytes = &self.passage.0[..size + SHORT_TRAILER.len()];
        let written = m.copy_out(plan.space, plan.buffer, bytes);

        if let Receivable::Set(set) = awaited {
            self.sets[set].receivers.remove(&mut self.threads, receiver);
        }
        if plan.timed {
            self.timers.cancel(&mut self.threads, receiver, TimerKind::Wait);
        }
        let wait = ReceiveWait { object: source, buffer: receive.buffer, size: receive.size, options: receive.options };
        let receiver = self.wait_and_run(by.thread, wait, receiver, m.now());
        // The message has no QoS: the second result is 0, as the receiver's trap left it.
        receiver.frame.set_code(if written.is_ok() { MACH_MSG_SUCCESS } else { MACH_RCV_INVALID_DATA });
    }
}
