//! The part of the fast path that concerns ports and names (`msg/fast_path.rs`): a plain message is planned, and then
//! handed to its receiver without being queued.

use super::Ipc;
use super::entry::EntryRight;
use super::port::Home;
use super::space::Space;
use crate::ids::{PortId, Receivable, SpaceId, ThreadId};
use crate::machine::Stamp;
use crate::sched::Scheduling;
use crate::sched::thread::{ReceiveWait, Thread};
use crate::step::Step;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_NULL, PortName};

/// The header bits of plain messages: a request with a reply right, a reply, and a request without a reply right.
const REQUEST: u32 = bits(Disposition::COPY_SEND, Disposition::MAKE_SEND_ONCE);
const ANSWER: u32 = bits(Disposition::MOVE_SEND_ONCE, Disposition::NONE);
const NOTICE: u32 = bits(Disposition::COPY_SEND, Disposition::NONE);

const fn bits(remote: Disposition, local: Disposition) -> u32 {
    msgh_bits(remote, local, Disposition::NONE, HeaderFlags::empty())
}

/// The changes of rights by a plain message.
#[derive(Clone, Copy, Debug)]
enum Rights {
    /// A send-once right to this port is made for the reply, if the message has a reply right.
    Made(Option<PortId>),
    /// The send-once right of this name is consumed.
    UsedUp(PortName),
}

/// A plan to hand a plain message to its receiver.
#[derive(Clone, Copy, Debug)]
pub struct DirectMessage {
    space: SpaceId,
    destination: PortId,
    rights: Rights,
    receiver_space: SpaceId,
    /// The receiver's name of the destination.
    local: PortName,
    /// The port or set on which the receiver waits.
    receivers: Receivable,
    /// The thread that gets the message.
    pub receiver: ThreadId,
    /// The port or set from which the sender receives then.
    pub source: Receivable,
}

/// The switch from the sender of a planned message to its receiver.
#[derive(Clone, Copy, Debug)]
pub struct DirectSwitch {
    /// The thread that sends, and then waits.
    pub sender: ThreadId,
    /// The record of that wait.
    pub wait: ReceiveWait,
    /// The receiver is the only thread in its wait queue.
    pub alone: bool,
    /// The receiver's wait may have a deadline.
    pub timed: bool,
    /// The time.
    pub now: Stamp,
}

/// The fields of a header that differ between sender and receiver.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedHeader {
    /// `msgh_bits`.
    pub bits: u32,
    /// `msgh_remote_port`.
    pub remote: PortName,
    /// `msgh_local_port`.
    pub local: PortName,
}

/// Returns the destination of a plain message and the changes of rights, or `None` if the message is not plain.
#[inline(always)]
fn addressed(names: &Space, header: &Header) -> Option<(PortId, Rights)> {
    let kind = header.msgh_bits & MACH_MSGH_BITS_USER;
    let to = names.get(header.msgh_remote_port)?;
    if kind == ANSWER {
        return match to.right {
            EntryRight::SendOnce { port } if to.request.is_none() && header.msgh_local_port == MACH_PORT_NULL => {
                Some((port, Rights::UsedUp(header.msgh_remote_port)))
            }
            _ => None,
        };
    }
    let (EntryRight::Send { port, .. } | EntryRight::Receive { port, send_urefs: 1.. }) = to.right else { return None };
    match kind {
        REQUEST => match names.get(header.msgh_local_port)?.right {
            EntryRight::Receive { port: reply, .. } => Some((port, Rights::Made(Some(reply)))),
            _ => None,
        },
        NOTICE if header.msgh_local_port == MACH_PORT_NULL => Some((port, Rights::Made(None))),
        _ => None,
    }
}

impl Ipc {
    /// Returns the plan to hand a message from `space` to a thread that waits for it, while its sender goes on to wait
    /// on `receive_name`. Returns `None` if the slow path is needed: if the message is not plain, other messages or
    /// senders come before it, no thread waits for it, there is a message for the sender to receive, or the receiver's
    /// space has no room for the reply right. Changes nothing.
    #[inline(always)]
    pub fn plan_direct(&self, space: SpaceId, header: &Header, receive_name: PortName) -> Option<DirectMessage> {
        let names = &self.spaces[space];
        let (destination, rights) = addressed(names, header)?;
        let source = match rights {
            // The usual case: the reply comes to the port that the sender receives from.
            Rights::Made(Some(reply)) if receive_name == header.msgh_local_port => Receivable::Port(reply),
            _ => match names.get(receive_name)?.right {
                EntryRight::Receive { port, .. } => Receivable::Port(port),
                EntryRight::PortSet { set } => Receivable::Set(set),
                _ => return None,
            },
        };
        let nothing_to_receive = match source {
            Receivable::Port(port) => self.ports[port].queue.is_empty(),
            Receivable::Set(set) => self.sets[set].ready.is_empty(),
        };
        if !nothing_to_receive {
            return None;
        }
        let port = self.ports.get(destination)?;
        let Home::Space { space: receiver_space, name: local } = port.home else { return None };
        // No sender is blocked while there is room (I9).
        if port.qlimit == 0 || !port.queue.is_empty() || port.requests.any_armed() {
            return None;
        }
        let (receiver, receivers) = match port.receivers.first() {
            Some(thread) => (thread, Receivable::Port(destination)),
            None if port.memberships.len() == 1 => {
                let set = self.memberships[port.memberships.front()?].set;
                (self.sets[set].receivers.first()?, Receivable::Set(set))
            }
            None => return None,
        };
        if matches!(rights, Rights::Made(Some(_))) && self.spaces[receiver_space].must_grow() {
            return None;
        }
        Some(DirectMessage { space, destination, rights, receiver_space, local, receivers, receiver, source })
    }

    /// Carries out a plan: moves the rights of the message, ends the receiver's wait, lets the sender wait, and lets
    /// the receiver run in its place. Returns the header's fields for the receiver, and the receiver, whose trap the
    /// caller [finishes](Thread::finish).
    #[inline(always)]
    pub fn commit_direct<'s>(
        &mut self,
        sched: &'s mut Scheduling,
        step: &mut Step,
        plan: &DirectMessage,
        switch: DirectSwitch,
    ) -> (ReceivedHeader, &'s mut Thread) {
        let (remote, bits) = match plan.rights {
            Rights::UsedUp(name) => {
                self.totals.send_once_rights -= 1;
                self.spaces[plan.space].remove(name);
                (MACH_PORT_NULL, bits(Disposition::NONE, Disposition::PORT_SEND_ONCE))
            }
            // The send right is copied for the message and ends with its delivery, so the counts stay as they are.
            Rights::Made(None) => (MACH_PORT_NULL, bits(Disposition::NONE, Disposition::PORT_SEND)),
            Rights::Made(Some(reply)) => {
                self.totals.send_once_rights += 1;
                let theirs = &mut self.spaces[plan.receiver_space];
                let name = theirs.add(EntryRight::SendOnce { port: reply }).expect("only send rights are indexed");
                (name, bits(Disposition::PORT_SEND_ONCE, Disposition::PORT_SEND))
            }
        };
        let DirectSwitch { sender, wait, alone, timed, now } = switch;
        let port = &mut self.ports[plan.destination];
        port.seqno = port.seqno.wrapping_add(1);
        if let Rights::UsedUp(_) = plan.rights {
            port.send_once_rights -= 1;
        }
        let receivers = match plan.receivers {
            Receivable::Port(_) => &mut port.receivers,
            Receivable::Set(set) => &mut self.sets[set].receivers,
        };
        sched.take_receiver(plan.receiver, receivers, alone, timed);
        // The sender mostly waits on the port of the reply right: one look-up then serves both.
        let made = if let Rights::Made(reply) = plan.rights { reply } else { None };
        let source = match wait.object {
            Receivable::Port(source) => {
                let port = &mut self.ports[source];
                if made == Some(source) {
                    port.send_once_rights += 1;
                }
                &mut port.receivers
            }
            Receivable::Set(set) => &mut self.sets[set].receivers,
        };
        let receiver = sched.block_and_switch(step, sender, wait, source, plan.receiver, now);
        if let Some(reply) = made
            && wait.object != Receivable::Port(reply)
        {
            self.ports[reply].send_once_rights += 1;
        }
        (ReceivedHeader { bits, remote, local: plan.local }, receiver)
    }
}
