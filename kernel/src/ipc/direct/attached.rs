//! The part of the fast path that concerns requests with a voucher, and requests to ports that accept donation.
//!
//! Such a request is plain but for what comes with it. It is handed over directly if the receiver has all of that
//! already: a name of the voucher that it gets, and the boost. Then a reference and a boost are counted, and nothing is
//! made. What a receiver gets for a voucher is remembered by the owner of vouchers.

use super::{DirectMessage, Kind, REQUEST, ReceivedHeader, waiting_receiver};
use crate::ids::{KernelObject, PortId, Receivable, SpaceId, ThreadId, VoucherId};
use crate::ipc::Ipc;
use crate::ipc::entry::{EntryRight, add_urefs};
use crate::ipc::port::Home;
use crate::sched::Scheduling;
use crate::sched::thread::{ReceiveArgs, Thread};
use crate::sched::waiting::DirectSwitch;
use crate::step::Step;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_NULL, PortName};
use voucher::importance::{ElementId, Importance, InheritId, SendMode};

/// The bits of a header for its voucher.
const VOUCHER: u32 = 0x1F << 16;

/// What a message was sent with, as far as the voucher that its receiver gets depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The space of its sender.
    pub space: SpaceId,
    /// The port of the voucher that its sender named.
    pub voucher: Option<PortId>,
}

/// What the voucher that a receiver gets depends on, but for things that do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Where the message came from, and its voucher.
    pub origin: Origin,
    /// The receiver's space.
    pub receiver: SpaceId,
    /// The message is tied to the importance of its sender.
    pub tied: bool,
}

/// The voucher that a receiver gets in some [`Case`].
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The port of the voucher.
    pub port: PortId,
    /// The inherit that is in the voucher.
    pub inherit: Option<InheritId>,
    /// The QoS words of the message (errata 6).
    pub qos: u64,
    /// The receiver's name of the voucher when it last got the voucher directly.
    pub name: PortName,
}

/// What comes with a message to its receiver.
#[derive(Clone, Copy, Debug)]
pub struct Attachment {
    /// The bits of the header for it.
    bits: u32,
    /// The field of the header for a voucher, unless it stays as the sender wrote it.
    voucher: Option<PortName>,
    inherit: Option<InheritId>,
    /// The QoS words of the message.
    pub qos: u64,
}

impl Attachment {
    /// Nothing: neither the message nor the receiver has a voucher.
    pub const NOTHING: Attachment = Attachment { bits: 0, voucher: None, inherit: None, qos: 0 };

    /// Returns what is left of a voucher for a receiver that takes none: the QoS of the message.
    pub const fn of_dropped_voucher(qos: u64) -> Attachment {
        Attachment { voucher: Some(MACH_PORT_NULL), qos, ..Attachment::NOTHING }
    }
}

/// A plan to hand a request with a voucher or importance to its receiver.
#[derive(Debug)]
pub struct AttachedMessage<'i> {
    direct: DirectMessage<'i>,
    importance: &'i mut Importance,
    case: Case,
    /// The voucher that it was sent with.
    sent: Option<VoucherId>,
    /// The elements of sender and receiver, if the message is tied to the importance of its sender.
    tie: Option<(ElementId, ElementId)>,
}

/// Returns true if a message is a request that is plain but for a voucher, if it has one.
#[inline(always)]
pub fn is_request(header: &Header) -> bool {
    header.msgh_bits & MACH_MSGH_BITS_USER & !VOUCHER == REQUEST
}

impl Ipc {
    /// Returns the plan to hand a request from `space`, which has a voucher or whose port accepts donation, to a thread
    /// that waits for it, while its sender goes on to wait for the reply. Returns `None` if the slow path is needed, for
    /// the reasons of [`plan_direct`](Ipc::plan_direct), or because the voucher is moved and not copied. Changes nothing.
    /// The caller has found out that it [is a request](is_request).
    #[inline(always)]
    pub fn plan_attached(
        &mut self,
        space: SpaceId,
        header: &Header,
        receive_name: PortName,
    ) -> Option<AttachedMessage<'_>> {
        let Ipc { spaces, ports, sets, memberships, totals, importance, .. } = self;
        let Header { msgh_remote_port: remote, msgh_local_port: local, .. } = *header;
        if local != receive_name {
            return None;
        }
        let ours = &spaces[space];
        let (voucher, sent) = match header.voucher() {
            Disposition::NONE => (None, None),
            Disposition::COPY_SEND => {
                let EntryRight::Send { port, .. } = ours.get(header.msgh_voucher_port)?.right else { return None };
                let Home::Kernel(KernelObject::Voucher(sent)) = ports.get(port)?.home else { return None };
                (Some(port), Some(sent))
            }
            _ => return None,
        };
        let Receivable::Port(reply) = ours.receivable(local)? else { return None };
        let element = ours.importance.map(|task| task.element);
        let (destination, source) = ports.pair_mut(ours.send_right(remote)?, reply)?;
        let donates = importance.needs_send(&destination.boosts, element, SendMode::Normal);
        if voucher.is_none() && !destination.boosts.accepts_donation() || destination.boosts.is_temp_owner() {
            return None;
        }
        let receiver = waiting_receiver::<true>(destination, sets, memberships)?;
        let theirs = &mut spaces[receiver.space];
        if !source.queue.is_empty() || !source.direct || source.is_out_of_promises() || theirs.must_grow() {
            return None;
        }
        let tie = if donates { Some((element?, theirs.importance?.element)) } else { None };
        let case = Case { origin: Origin { space, voucher }, receiver: receiver.space, tied: donates };
        let (thread, set, local) = (receiver.thread, receiver.set, receiver.local);
        let kind = Kind::Request { theirs, reply, source };
        let direct = DirectMessage { kind, destination, local, receiver: thread, set, sets, totals };
        Some(AttachedMessage { direct, importance, case, sent, tie })
    }
}

impl AttachedMessage<'_> {
    /// Returns the thread that gets the message.
    #[inline(always)]
    pub fn receiver(&self) -> ThreadId {
        self.direct.receiver
    }

    /// Returns what the receiver's voucher depends on.
    #[inline(always)]
    pub fn case(&self) -> Case {
        self.case
    }

    /// Returns the voucher that it was sent with.
    #[inline(always)]
    pub fn sent(&self) -> Option<VoucherId> {
        self.sent
    }

    /// Returns true if a receiver that takes vouchers gets one.
    #[inline(always)]
    pub fn brings_voucher(&self) -> bool {
        match self.tie {
            _ if self.sent.is_some() => true,
            Some((_, receiver)) => self.importance.is_receiver(receiver),
            None => false,
        }
    }

    /// Returns true if the message can be delivered without a voucher: its boost, if it has one, comes and goes unnoticed
    /// by all but the counts, which are then what they were.
    #[inline(always)]
    pub fn passes_unnoticed(&self) -> bool {
        match self.tie {
            Some((sender, receiver)) => self.importance.passes_unnoticed(sender, receiver),
            None => true,
        }
    }

    /// Returns the attachment of a message whose receiver gets this voucher, if the receiver has a name of it, and the
    /// boost in it, already.
    #[inline(always)]
    pub fn attach(&self, delivery: &mut Delivery) -> Option<Attachment> {
        let Kind::Request { theirs, .. } = &self.direct.kind else { return None };
        let named = |name| theirs.get(name).map(|entry| entry.right);
        if !matches!(named(delivery.name), Some(EntryRight::Send { port, .. }) if port == delivery.port) {
            delivery.name = theirs.send_name(delivery.port)?;
        }
        let raised = match (delivery.inherit, self.tie) {
            (Some(inherit), Some((_, to))) if self.importance.repeats(inherit, to) => HeaderFlags::RAISEIMP,
            (None, _) if self.passes_unnoticed() => HeaderFlags::empty(),
            _ => return None,
        };
        Some(Attachment {
            bits: msgh_bits(Disposition::NONE, Disposition::NONE, Disposition::PORT_SEND, raised),
            voucher: Some(delivery.name),
            inherit: delivery.inherit,
            qos: delivery.qos,
        })
    }

    /// Carries out the plan: counts what comes with the message, and hands it over as
    /// [`DirectMessage::commit`] does. Returns the header's fields for the receiver, its field for a voucher unless that
    /// stays as it is, and the receiver.
    #[inline(always)]
    pub fn commit<'s>(
        mut self,
        sched: &'s mut Scheduling,
        step: &mut Step,
        switch: &DirectSwitch,
        receive: &ReceiveArgs,
        attachment: &Attachment,
    ) -> (ReceivedHeader, Option<PortName>, &'s mut Thread) {
        if let Some(inherit) = attachment.inherit {
            self.importance.repeat(inherit);
        }
        if let (Kind::Request { theirs, .. }, Some(name)) = (&mut self.direct.kind, attachment.voucher)
            && let Some(entry) = theirs.get_mut(name)
            && let EntryRight::Send { urefs, .. } = &mut entry.right
        {
            *urefs = add_urefs(*urefs, 1);
        }
        let (mut received, receiver) = self.direct.commit(sched, step, switch, receive);
        received.bits |= attachment.bits;
        (received, attachment.voucher, receiver)
    }
}
