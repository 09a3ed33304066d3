//! The part of the fast path that concerns ports and names (`msg/fast_path.rs`): a plain message is planned, and then
//! handed to its receiver without being queued. A request with a voucher or importance is in [`attached`].

pub mod attached;

use super::entry::{Entry, EntryRight};
use super::port::{Home, Port, Ports};
use super::port_set::{Memberships, Sets};
use super::space::Space;
use super::{Ipc, Totals};
use crate::ids::{PortId, Receivable, SetId, SpaceId, ThreadId};
use crate::sched::Scheduling;
use crate::sched::thread::{ReceiveArgs, ReceiveWait, Thread};
use crate::sched::waiting::DirectSwitch;
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

/// A plan to hand a plain message to its receiver. It holds the objects that the message concerns, so that carrying it
/// out looks up none of them again.
#[derive(Debug)]
pub struct DirectMessage<'i> {
    kind: Kind<'i>,
    destination: &'i mut Port,
    /// The receiver's name of the destination.
    local: PortName,
    /// The thread that gets the message.
    pub receiver: ThreadId,
    /// The set on which the receiver waits, unless it waits on the destination itself.
    set: Option<SetId>,
    sets: &'i mut Sets,
    totals: &'i mut Totals,
}

/// The kind of a plain message, with the rights that it changes and the place where its sender waits afterwards.
#[derive(Debug)]
enum Kind<'i> {
    /// A send-once right to the port `reply` is made for the receiver, whose names are `theirs`. The sender waits there.
    Request { theirs: &'i mut Space, reply: PortId, source: &'i mut Port },
    /// The sender's send-once right of this name, one of `ours`, is consumed.
    Answer { ours: &'i mut Space, name: PortName, source: Source<'i> },
    /// All rights stay as they are.
    Notice { source: Source<'i> },
}

/// The port or set on which the sender waits afterwards.
#[derive(Debug)]
enum Source<'i> {
    Port(PortId, &'i mut Port),
    Set(SetId),
}

/// The receiver of a message to a port.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    thread: ThreadId,
    set: Option<SetId>,
    space: SpaceId,
    local: PortName,
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

impl Space {
    /// Returns the port to which a name denotes a send right.
    #[inline(always)]
    fn send_right(&self, name: PortName) -> Option<PortId> {
        match self.get(name)?.right {
            EntryRight::Send { port, .. } | EntryRight::Receive { port, send_urefs: 1.. } => Some(port),
            _ => None,
        }
    }

    /// Returns the port or set from which a thread can receive by a name.
    #[inline(always)]
    fn receivable(&self, name: PortName) -> Option<Receivable> {
        match self.get(name)?.right {
            EntryRight::Receive { port, .. } => Some(Receivable::Port(port)),
            EntryRight::PortSet { set } => Some(Receivable::Set(set)),
            _ => None,
        }
    }
}

/// Returns the thread that waits for a message to the port, if the message can be handed to it: if nothing comes before
/// the message, the port has no armed request, accepts no donation and is no special reply port. Whether a message to
/// another port donates depends on its sender, and to ask that here would make all calls longer.
#[inline(always)]
fn receiver(port: &Port, sets: &Sets, memberships: &Memberships) -> Option<Receiver> {
    waiting_receiver::<false>(port, sets, memberships)
}

/// As [`receiver`]. With `DONATION` the port may accept donation.
#[inline(always)]
fn waiting_receiver<const DONATION: bool>(port: &Port, sets: &Sets, memberships: &Memberships) -> Option<Receiver> {
    let Home::Space { space, name: local } = port.home else { return None };
    // No sender is blocked while there is room (I9).
    // Both are known from one test of two words.
    let taken_up = !port.queue.is_empty() | port.requests.any_armed();
    if !port.direct || taken_up || (!DONATION && port.boosts.accepts_donation()) {
        return None;
    }
    let (thread, set) = match port.receivers.first() {
        Some(thread) => (thread, None),
        None if port.memberships.len() == 1 => {
            let set = memberships[port.memberships.front()?].set;
            (sets[set].receivers.first()?, Some(set))
        }
        None => return None,
    };
    Some(Receiver { thread, set, space, local })
}

/// Returns the destination and the source of a message, if the source has no message to receive.
#[inline(always)]
fn ends<'p>(
    ports: &'p mut Ports,
    sets: &Sets,
    destination: PortId,
    source: Receivable,
) -> Option<(&'p mut Port, Source<'p>)> {
    match source {
        Receivable::Port(id) => {
            let (destination, source) = ports.pair_mut(destination, id)?;
            (source.queue.is_empty() && source.direct).then_some((destination, Source::Port(id, source)))
        }
        Receivable::Set(id) if sets[id].ready.is_empty() => Some((ports.get_mut(destination)?, Source::Set(id))),
        Receivable::Set(_) => None,
    }
}

impl Ipc {
    /// Returns the plan to hand a message from `space` to a thread that waits for it, while its sender goes on to wait
    /// on `receive_name`. Returns `None` if the slow path is needed: if the message is not plain, it is sent to where
    /// its sender waits, its reply comes elsewhere, its port accepts donation, other messages or senders come before it,
    /// no thread waits for it,
    /// there is a message for the sender to receive, the reply right has no promise, or the receiver's space has no room
    /// for it. Changes nothing.
    #[inline(always)]
    pub fn plan_direct(
        &mut self,
        space: SpaceId,
        header: &Header,
        receive_name: PortName,
    ) -> Option<DirectMessage<'_>> {
        let Ipc { spaces, ports, sets, memberships, totals, .. } = self;
        let Header { msgh_remote_port: remote, msgh_local_port: local, .. } = *header;
        let (kind, destination, receiver) = match header.msgh_bits & MACH_MSGH_BITS_USER {
            REQUEST if local == receive_name => {
                let names = &spaces[space];
                let Receivable::Port(reply) = names.receivable(local)? else { return None };
                let (destination, source) = ports.pair_mut(names.send_right(remote)?, reply)?;
                let receiver = receiver(destination, sets, memberships)?;
                let theirs = &mut spaces[receiver.space];
                if !source.queue.is_empty() || !source.direct || source.is_out_of_promises() || theirs.must_grow() {
                    return None;
                }
                (Kind::Request { theirs, reply, source }, destination, receiver)
            }
            ANSWER if local == MACH_PORT_NULL => {
                let ours = &mut spaces[space];
                let Entry { right: EntryRight::SendOnce { port }, request: None } = *ours.get(remote)? else {
                    return None;
                };
                let (destination, source) = ends(ports, sets, port, ours.receivable(receive_name)?)?;
                let receiver = receiver(destination, sets, memberships)?;
                (Kind::Answer { ours, name: remote, source }, destination, receiver)
            }
            NOTICE if local == MACH_PORT_NULL => {
                let names = &spaces[space];
                let to = names.send_right(remote)?;
                let (destination, source) = ends(ports, sets, to, names.receivable(receive_name)?)?;
                let receiver = receiver(destination, sets, memberships)?;
                (Kind::Notice { source }, destination, receiver)
            }
            _ => return None,
        };
        let Receiver { thread: receiver, set, local, .. } = receiver;
        Some(DirectMessage { kind, destination, local, receiver, set, sets, totals })
    }
}

impl DirectMessage<'_> {
    /// Carries out the plan: moves the rights of the message, ends the receiver's wait, lets the sender wait as
    /// `receive` says, and lets the receiver run in its place. Returns the header's fields for the receiver, and the
    /// receiver, whose trap the caller finishes.
    #[inline(always)]
    pub fn commit<'s>(
        self,
        sched: &'s mut Scheduling,
        step: &mut Step,
        switch: &DirectSwitch,
        receive: &ReceiveArgs,
    ) -> (ReceivedHeader, &'s mut Thread) {
        let DirectMessage { kind, destination, local, set, sets, totals, .. } = self;
        destination.seqno = destination.seqno.wrapping_add(1);
        let (remote, bits, source) = match kind {
            Kind::Request { theirs, reply, source } => {
                totals.send_once_rights += 1;
                source.send_once_rights += 1;
                let name = theirs.add(EntryRight::SendOnce { port: reply }).expect("only send rights are indexed");
                (name, bits(Disposition::PORT_SEND_ONCE, Disposition::PORT_SEND), Source::Port(reply, source))
            }
            Kind::Answer { ours, name, source } => {
                totals.send_once_rights -= 1;
                destination.send_once_rights -= 1;
                ours.remove(name);
                (MACH_PORT_NULL, bits(Disposition::NONE, Disposition::PORT_SEND_ONCE), source)
            }
            // The send right is copied for the message and ends with its delivery, so the counts stay as they are.
            Kind::Notice { source } => (MACH_PORT_NULL, bits(Disposition::NONE, Disposition::PORT_SEND), source),
        };
        let receivers = match set {
            None => &mut destination.receivers,
            Some(set) => &mut sets[set].receivers,
        };
        sched.take_receiver(switch, receivers);
        let (object, queue) = match source {
            Source::Port(id, port) => (Receivable::Port(id), &mut port.receivers),
            Source::Set(id) => (Receivable::Set(id), &mut sets[id].receivers),
        };
        let wait = ReceiveWait { object, buffer: receive.buffer, size: receive.size, options: receive.options };
        let receiver = sched.block_and_switch(step, switch, wait, queue);
        (ReceivedHeader { bits, remote, local }, receiver)
    }
}
