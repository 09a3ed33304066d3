//! Copy-in: from names to rights, when a message leaves a task (mach-ipc 3.4, 3.7).

use super::Ipc;
use super::entry::{Entry, EntryRight};
use super::message::Descriptor;
use super::right::{Carried, ReceiveRight, Right, SendOnceRight, SendRight};
use super::way::Way;
use crate::ids::{MessageId, SpaceId};
use crate::limits::{DESCRIPTORS_MAX, RIGHTS_EFFORT_MAX, WAY_EFFORT_FREE, WAY_PER_UNIT};
use crate::sched::Scheduling;
use crate::step::Step;
use crate::trace::Event;
use abi::KernReturn;
use abi::code::*;
use abi::event::kind;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_DEAD, MACH_PORT_NULL, MACH_PORT_UREFS_MAX, PortName};
use zerocopy::FromBytes;

/// How a copy-in treats a dead name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dead {
    /// It takes a reference to the dead name, and the receiver sees `MACH_PORT_DEAD`.
    Accepted,
    /// It fails.
    Refused,
}

impl Ipc {
    /// Checks that [`take_right`](Ipc::take_right) is possible, and reserves the memory that it needs.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist; `KERN_INVALID_CAPABILITY` if it is a dead name and `dead`
    /// refuses that, or a receive right that cannot move; `KERN_INVALID_RIGHT` if it does not have the right that
    /// `disposition` needs; `KERN_RESOURCE_SHORTAGE` if memory runs out for the send right that stays when the receive
    /// right leaves, or memory or the budget for what a send-once right is [promised](super::promise).
    #[inline]
    pub(crate) fn can_copy_in(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        disposition: Disposition,
        dead: Dead,
    ) -> Result<(), KernReturn> {
        let entry = self.lookup(space, name).ok_or(KERN_INVALID_NAME)?;
        self.can_take(step, space, entry, disposition, dead)
    }

    /// Checks the same for a name that has been [looked up](Ipc::lookup).
    ///
    /// # Errors
    /// Those of [`can_copy_in`](Ipc::can_copy_in) but `KERN_INVALID_NAME`.
    #[inline]
    fn can_take(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        entry: Entry,
        disposition: Disposition,
        dead: Dead,
    ) -> Result<(), KernReturn> {
        match (disposition, entry.right) {
            (Disposition::MOVE_RECEIVE, EntryRight::Receive { port, .. })
                if self.ports[port].guard.immovable || self.ports[port].is_special_reply() =>
            {
                Err(KERN_INVALID_CAPABILITY)
            }
            (Disposition::MOVE_RECEIVE, EntryRight::Receive { send_urefs: 1.., .. }) => {
                self.spaces[space].reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)
            }
            (Disposition::MAKE_SEND_ONCE, EntryRight::Receive { port, .. }) => {
                self.promise(step, port, 1).map_err(|_| KERN_RESOURCE_SHORTAGE)
            }
            (Disposition::MAKE_SEND | Disposition::MOVE_RECEIVE, EntryRight::Receive { .. })
            | (Disposition::MOVE_SEND_ONCE, EntryRight::SendOnce { .. }) => Ok(()),
            (Disposition::COPY_SEND | Disposition::MOVE_SEND, right) if right.send_urefs() > 0 => Ok(()),
            (
                Disposition::COPY_SEND | Disposition::MOVE_SEND | Disposition::MOVE_SEND_ONCE,
                EntryRight::DeadName { .. },
            ) => {
                if dead == Dead::Accepted {
                    Ok(())
                } else {
                    Err(KERN_INVALID_CAPABILITY)
                }
            }
            _ => Err(KERN_INVALID_RIGHT),
        }
    }

    /// Checks that a right can be taken, and can travel on the way of its message if it is a receive right. Returns the
    /// effort of taking it.
    ///
    /// # Errors
    /// Those of [`can_copy_in`](Ipc::can_copy_in); `KERN_RESOURCE_SHORTAGE` also if the way is too long to tell whether
    /// the right would travel inside itself.
    #[inline]
    fn can_carry(
        &mut self,
        sched: &Scheduling,
        step: &mut Step,
        space: SpaceId,
        (name, disposition): (PortName, Disposition),
        way: Option<&mut Way>,
    ) -> Result<u32, KernReturn> {
        let entry = self.lookup(space, name).ok_or(KERN_INVALID_NAME)?;
        self.can_take(step, space, entry, disposition, Dead::Accepted)?;
        if let (Disposition::MOVE_RECEIVE, Some(port), Some(way)) = (disposition, entry.right.port(), way) {
            self.closes_circle(port, way).ok_or(KERN_RESOURCE_SHORTAGE)?;
        }
        Ok(self.effort_of(sched, entry, disposition))
    }

    /// Takes a right out of a space by name (mach-ipc 3.4).
    ///
    /// # Errors
    /// Those of [`can_copy_in`](Ipc::can_copy_in); no right has moved.
    #[inline]
    pub(crate) fn copy_in(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        disposition: Disposition,
        dead: Dead,
    ) -> Result<Carried, KernReturn> {
        self.can_copy_in(step, space, name, disposition, dead)?;
        Ok(self.take_right(sched, step, space, name, disposition))
    }

    /// Takes a right out of a space by name: the second half of [`copy_in`](Ipc::copy_in). The caller has
    /// [checked](Ipc::can_copy_in) that it is possible.
    #[inline]
    pub(crate) fn take_right(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        disposition: Disposition,
    ) -> Carried {
        let entry = self.spaces[space].get_mut(name).expect("the check found the name");
        let port = match &mut entry.right {
            EntryRight::DeadName { .. } => {
                if disposition != Disposition::COPY_SEND {
                    self.release_dead_name(space, name, 1);
                }
                return Carried::Dead;
            }
            right => right.port().expect("the check found a right to a port"),
        };
        let ipc = &*self;
        step.trace.record(move || {
            let right = disposition.right().expect("the check has found a disposition with a right");
            Event::right(kind::RIGHT_MOVED, port, ipc.pid_of(space), name, right)
        });
        let right = match disposition {
            Disposition::MAKE_SEND => Right::Send(self.make_send(port)),
            Disposition::MAKE_SEND_ONCE => Right::SendOnce(self.make_send_once(port)),
            Disposition::COPY_SEND => Right::Send(self.copy_send(port)),
            Disposition::MOVE_SEND => Right::Send(self.move_send(step, space, name)),
            Disposition::MOVE_SEND_ONCE => {
                self.delete_request(step, space, name);
                self.spaces[space].remove(name);
                Right::SendOnce(SendOnceRight::counted(port))
            }
            Disposition::MOVE_RECEIVE => Right::Receive(self.move_receive(sched, step, space, name)),
            other => panic!("{other:?} was checked but cannot be taken"),
        };
        Carried::Right(right)
    }

    /// Takes one user reference of a send right out of a name. With the last reference the right itself leaves the
    /// name. A count that has reached its maximum stays there (mach-ipc 1.4 rule 3).
    fn move_send(&mut self, step: &mut Step, space: SpaceId, name: PortName) -> SendRight {
        let entry = self.spaces[space].get_mut(name).expect("the check found the name");
        let (port, urefs) = match &mut entry.right {
            EntryRight::Send { port, urefs } => (*port, urefs),
            EntryRight::Receive { port, send_urefs } => (*port, send_urefs),
            other => panic!("{other:?} is not a send right"),
        };
        if *urefs == MACH_PORT_UREFS_MAX {
            return self.copy_send(port);
        }
        if *urefs > 1 {
            *urefs -= 1;
            return self.copy_send(port);
        }
        match entry.right {
            EntryRight::Receive { .. } => entry.right = EntryRight::Receive { port, send_urefs: 0 },
            _ => {
                self.delete_request(step, space, name);
                self.spaces[space].remove(name);
            }
        }
        SendRight::counted(port)
    }

    /// Takes a receive right out of its space (mach-ipc 3.4, 6.1). A send right of the same name stays there.
    pub(super) fn move_receive(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
    ) -> ReceiveRight {
        let entry = self.spaces[space].get(name).expect("the check found the name");
        let EntryRight::Receive { port, send_urefs } = entry.right else { panic!("{name:?} has no receive right") };
        if send_urefs == 0 {
            self.delete_request(step, space, name);
            self.spaces[space].remove(name);
        } else {
            self.spaces[space].change(name, EntryRight::Send { port, urefs: send_urefs });
        }
        self.detach(sched, step, port);
        ReceiveRight::detached(port)
    }

    /// Copies in the rights of a header (mach-ipc 3.7).
    ///
    /// # Errors
    /// Those of [`plan_header`](Ipc::plan_header); no right has moved.
    #[inline]
    pub(crate) fn copy_in_header(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        message: MessageId,
        header: &Header,
    ) -> Result<(), KernReturn> {
        let plan = self.plan_header(step, space, header)?;
        // Two of the rights may use the same name. A copy must then be made before the last reference moves out of it.
        let mut voucher = match plan.voucher {
            Some((name, Disposition::COPY_SEND)) => Some(self.take_voucher(step, space, name, Disposition::COPY_SEND)),
            _ => None,
        };
        let reply_first = plan.reply == Place::Named(plan.destination.0, Disposition::COPY_SEND);
        let early = if reply_first { self.take_place(sched, step, space, plan.reply) } else { Carried::Null };
        let (name, disposition) = plan.destination;
        let destination = if plan.destination_is_dead {
            self.spaces[space].remove(name);
            Carried::Dead
        } else {
            self.take_right(sched, step, space, name, disposition)
        };
        let reply = if reply_first { early } else { self.take_place(sched, step, space, plan.reply) };
        if let Some((name, Disposition::MOVE_SEND)) = plan.voucher {
            voucher = Some(self.take_voucher(step, space, name, Disposition::MOVE_SEND));
        }
        let copied = &mut self.messages[message];
        copied.destination = destination;
        copied.reply = reply;
        copied.reply_disposition = header.local().converted();
        copied.voucher = voucher;
        copied.voucher_disposition = header.voucher().converted();
        Ok(())
    }

    /// Takes a voucher out of a space.
    #[inline(never)]
    fn take_voucher(&mut self, step: &mut Step, space: SpaceId, name: PortName, disposition: Disposition) -> SendRight {
        match self.spaces[space].get(name).map(|entry| entry.right) {
            Some(EntryRight::Send { port, .. }) if disposition == Disposition::COPY_SEND => self.copy_send(port),
            Some(EntryRight::Send { .. }) => self.move_send(step, space, name),
            other => panic!("{name:?} was checked to be a voucher and is {other:?}"),
        }
    }

    /// Takes the right that a place of a header names.
    #[inline]
    fn take_place(&mut self, sched: &mut Scheduling, step: &mut Step, space: SpaceId, place: Place) -> Carried {
        match place {
            Place::Null => Carried::Null,
            Place::Dead => Carried::Dead,
            Place::Named(name, disposition) => self.take_right(sched, step, space, name, disposition),
        }
    }

    /// Checks the rights of a header, in the order of mach-ipc 3.7, and returns them.
    ///
    /// | step | fails if | error |
    /// |---|---|---|
    /// | H2 | a disposition makes no send or send-once right, or a reply name has none | `MACH_SEND_INVALID_HEADER` |
    /// | H3 | the destination is null or `MACH_PORT_DEAD` | `MACH_SEND_INVALID_DEST` |
    /// | H4 | the voucher is no voucher | `MACH_SEND_INVALID_VOUCHER` |
    /// | H5 to H7 | the destination's name does not exist | `MACH_SEND_INVALID_DEST` |
    /// | H5 to H7 | the reply cannot be taken, or has the voucher's name | `MACH_SEND_INVALID_REPLY` |
    /// | H5 to H7 | the destination cannot be taken, or not both from one name | `MACH_SEND_INVALID_DEST` |
    /// | H5 to H7 | there is no room for what a send-once right is promised | `MACH_SEND_NO_BUFFER` |
    #[inline(always)]
    fn plan_header(&mut self, step: &mut Step, space: SpaceId, header: &Header) -> Result<HeaderPlan, KernReturn> {
        let (remote, local) = (header.remote(), header.local());
        let (to, reply_to) = (header.msgh_remote_port, header.msgh_local_port);
        let reply_fits = match local {
            Disposition::NONE => reply_to == MACH_PORT_NULL,
            other => other.yields_send_or_send_once(),
        };
        if !remote.yields_send_or_send_once() || !reply_fits {
            return Err(MACH_SEND_INVALID_HEADER);
        }
        if !to.is_valid() {
            return Err(MACH_SEND_INVALID_DEST);
        }
        let voucher = if header.voucher() == Disposition::NONE { None } else { self.plan_voucher(space, header)? };
        let reply = match reply_to {
            MACH_PORT_NULL => Place::Null,
            MACH_PORT_DEAD => Place::Dead,
            name => Place::Named(name, local),
        };
        let destination_is_dead = reply_to != to && self.is_dead_send_once(space, to, remote);
        let entry = if destination_is_dead { None } else { self.lookup(space, to) };
        if entry.is_none() && !destination_is_dead {
            return Err(MACH_SEND_INVALID_DEST);
        }
        // An error of the reply comes before one of the destination's right.
        if let Place::Named(name, disposition) = reply {
            if voucher.is_some_and(|(voucher, _)| voucher == name) {
                return Err(MACH_SEND_INVALID_REPLY);
            }
            let checked = self.can_copy_in(step, space, name, disposition, Dead::Accepted);
            checked.map_err(|error| short_or(error, MACH_SEND_INVALID_REPLY))?;
        }
        if let Some(entry) = entry {
            let both = match voucher {
                Some((name, disposition)) if name == to => gives_both(entry, remote, disposition),
                _ => reply_to != to || gives_both(entry, remote, local),
            };
            if !both {
                return Err(MACH_SEND_INVALID_DEST);
            }
            let checked = self.can_take(step, space, entry, remote, Dead::Refused);
            checked.map_err(|error| short_or(error, MACH_SEND_INVALID_DEST))?;
            if let (Some(port), Disposition::MAKE_SEND_ONCE, true) = (entry.right.port(), remote, reply_to == to) {
                // The reply is perhaps another one from the same port.
                self.promise(step, port, 2).map_err(|_| MACH_SEND_NO_BUFFER)?;
            }
        }
        Ok(HeaderPlan { destination: (to, remote), destination_is_dead, reply, voucher })
    }

    /// Checks the voucher that a header declares (step H4). Returns its name and the disposition, if it is not null.
    #[inline(never)]
    fn plan_voucher(&self, space: SpaceId, header: &Header) -> Result<Option<(PortName, Disposition)>, KernReturn> {
        let (disposition, name) = (header.voucher(), header.msgh_voucher_port);
        if !matches!(disposition, Disposition::MOVE_SEND | Disposition::COPY_SEND) {
            return Err(MACH_SEND_INVALID_VOUCHER);
        }
        match name {
            MACH_PORT_NULL => Ok(None),
            name if self.voucher_named(space, name).is_some() => Ok(Some((name, disposition))),
            _ => Err(MACH_SEND_INVALID_VOUCHER),
        }
    }

    /// Returns true if a name is a send-once right whose port has died, and has no request: the usual case of a reply
    /// to a client that is gone. It is copied in as if the port lived, so that the send succeeds and frees the name.
    fn is_dead_send_once(&self, space: SpaceId, name: PortName, disposition: Disposition) -> bool {
        disposition == Disposition::MOVE_SEND_ONCE
            && self.spaces[space].get(name).is_some_and(|entry| match entry.right {
                EntryRight::SendOnce { port } => entry.request.is_none() && self.live_port(port).is_none(),
                _ => false,
            })
    }

    /// Copies in the descriptors of a complex message, one by one (mach-ipc 3.7).
    ///
    /// # Errors
    /// `MACH_SEND_MSG_TOO_SMALL` if the message ends within a descriptor; `MACH_SEND_INVALID_TYPE` for a descriptor of
    /// another type than port; `MACH_SEND_TOO_LARGE` for too many; `MACH_SEND_NO_GRANT_DEST` if the destination accepts no rights;
    /// `MACH_SEND_INVALID_RIGHT` if a right cannot be taken; `MACH_SEND_NO_BUFFER` if memory runs out, if taking the rights
    /// is too much for one step, or if the [way](Way) of the message is too long to see that no receive right travels
    /// inside itself. The rights copied in so far are then in the message and will be destroyed with it; the others have not moved.
    pub(crate) fn copy_in_body(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        message: MessageId,
    ) -> Result<(), KernReturn> {
        let sent = &self.messages[message];
        let (count, any_port) = check_descriptors(&sent.bytes[..sent.size])?;
        let destination = sent.destination.port();
        if any_port && destination.is_some_and(|port| self.live_port(port).is_some_and(|port| port.no_grant)) {
            return Err(MACH_SEND_NO_GRANT_DEST);
        }
        self.messages[message].descriptors = store::try_with_capacity(count).map_err(|_| MACH_SEND_NO_BUFFER)?;
        let (mut offset, mut way, mut effort) = (DESCRIPTORS_OFFSET, destination.map(Way::to), 0);
        for _ in 0..count {
            let bytes = &self.messages[message].bytes[offset..];
            let (descriptor, _) = PortDescriptor::read_from_prefix(bytes).expect("the descriptors were checked");
            let PortDescriptor { name, disposition, .. } = descriptor;
            let right = match name {
                MACH_PORT_NULL => Carried::Null,
                MACH_PORT_DEAD => Carried::Dead,
                name => {
                    let checked = self.can_carry(sched, step, space, (name, disposition), way.as_mut());
                    effort += checked.map_err(|error| short_or(error, MACH_SEND_INVALID_RIGHT))?;
                    let way = way.as_ref().map_or(0, |way| way.walked / WAY_PER_UNIT);
                    if effort + way.saturating_sub(WAY_EFFORT_FREE) > RIGHTS_EFFORT_MAX {
                        return Err(MACH_SEND_NO_BUFFER);
                    }
                    self.take_right(sched, step, space, name, disposition)
                }
            };
            let fits = match (&right, &mut way) {
                (Carried::Right(Right::Receive(right)), Some(way)) => self.begin_transit(right, way),
                _ => true,
            };
            let sent = &mut self.messages[message];
            sent.circular |= !fits;
            sent.descriptors.push(Descriptor { offset, right, disposition: disposition.converted() });
            offset += PortDescriptor::SIZE;
        }
        let walked = way.map_or(0, |way| way.walked);
        if step.effort.add_if_much(effort + walked / WAY_PER_UNIT) {
            step.choose_again();
        }
        Ok(())
    }
}

/// The rights of a header that have been checked and can be taken.
#[derive(Debug)]
struct HeaderPlan {
    destination: (PortName, Disposition),
    /// The destination is a send-once right whose port has died: its name is freed.
    destination_is_dead: bool,
    reply: Place,
    voucher: Option<(PortName, Disposition)>,
}

/// The reply place of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `MACH_PORT_NULL`.
    Null,
    /// `MACH_PORT_DEAD`.
    Dead,
    /// A right to take by this name.
    Named(PortName, Disposition),
}

/// Returns the error of a send for one of a right: a shortage is reported as such.
fn short_or(error: KernReturn, other: KernReturn) -> KernReturn {
    if error == KERN_RESOURCE_SHORTAGE { MACH_SEND_NO_BUFFER } else { other }
}

/// Returns true if the destination and another right of the header can both be taken from one name: a send-once right
/// can be taken once, and the last reference of a send right moves once.
fn gives_both(entry: Entry, remote: Disposition, other: Disposition) -> bool {
    let moves = |disposition| disposition == Disposition::MOVE_SEND;
    let once = [remote, other].contains(&Disposition::MOVE_SEND_ONCE);
    !(once || (moves(remote) && moves(other) && entry.right.send_urefs() < 2))
}

/// Checks sizes and types of all descriptors, before any of them is copied in. Returns their number, and true if any of
/// them is for a port.
fn check_descriptors(bytes: &[u8]) -> Result<(usize, bool), KernReturn> {
    let count = u32::read_from_prefix(&bytes[Header::SIZE..]).expect("the size was checked").0 as usize;
    let mut rest = &bytes[DESCRIPTORS_OFFSET..];
    for _ in 0..count {
        if rest.len() < PortDescriptor::SIZE {
            return Err(MACH_SEND_MSG_TOO_SMALL);
        }
        let size = match rest[DESCRIPTOR_TYPE_OFFSET] {
            MACH_MSG_PORT_DESCRIPTOR => PortDescriptor::SIZE,
            // Tally does not have out-of-line memory and guarded ports yet (docs/deviations.md).
            _ => return Err(MACH_SEND_INVALID_TYPE),
        };
        rest = &rest[size..];
    }
    if count > DESCRIPTORS_MAX { Err(MACH_SEND_TOO_LARGE) } else { Ok((count, count > 0)) }
}
