//! From names to rights: how a message leaves a task (mach-ipc 3.4, 3.7).

use super::Ipc;
use super::message::Descriptor;
use super::right::{Carried, ReceiveRight, Right, SendOnceRight, SendRight};
use super::space::{Entry, EntryRight};
use crate::ids::{MessageId, SpaceId};
use crate::sched::Scheduling;
use crate::step::Step;
use abi::KernReturn;
use abi::code::*;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_DEAD, MACH_PORT_NULL, MACH_PORT_UREFS_MAX, PortName};
use zerocopy::FromBytes;

/// Whether a copy-in takes a right whose port died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dead {
    /// It does: the receiver sees `MACH_PORT_DEAD`.
    Accepted,
    /// It does not.
    Refused,
}

impl Ipc {
    /// Returns what a name denotes. A name whose port died is turned into a dead name first (mach-ipc 1.7).
    #[inline]
    pub(crate) fn lookup(&mut self, space: SpaceId, name: PortName) -> Option<Entry> {
        let entry = *self.spaces[space].get(name)?;
        match entry.right.port() {
            Some(port) if self.live_port(port).is_none() => {
                self.spaces[space].make_dead_name(name);
                self.spaces[space].get(name).copied()
            }
            _ => Some(entry),
        }
    }

    /// Returns success if [`copy_in`](Ipc::copy_in) would succeed.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name denotes nothing, `KERN_INVALID_CAPABILITY` if its port died and that is refused,
    /// or it is a receive right that may not move, `KERN_INVALID_RIGHT` if it has not the right asked for,
    /// `KERN_RESOURCE_SHORTAGE` if there is no memory to keep a send right without its receive right.
    #[inline]
    pub(crate) fn can_copy_in(
        &mut self,
        space: SpaceId,
        name: PortName,
        disposition: Disposition,
        dead: Dead,
    ) -> Result<(), KernReturn> {
        let entry = self.lookup(space, name).ok_or(KERN_INVALID_NAME)?;
        match (disposition, entry.right) {
            (Disposition::MAKE_SEND | Disposition::MAKE_SEND_ONCE, EntryRight::Receive { .. }) => Ok(()),
            (Disposition::COPY_SEND | Disposition::MOVE_SEND, EntryRight::Send { .. }) => Ok(()),
            (Disposition::COPY_SEND | Disposition::MOVE_SEND, EntryRight::Receive { send_urefs: 1.., .. }) => Ok(()),
            (Disposition::MOVE_SEND_ONCE, EntryRight::SendOnce { .. }) => Ok(()),
            (Disposition::MOVE_RECEIVE, EntryRight::Receive { port, .. }) if self.ports[port].guard.immovable => {
                Err(KERN_INVALID_CAPABILITY)
            }
            (Disposition::MOVE_RECEIVE, EntryRight::Receive { send_urefs: 1.., .. }) => {
                self.spaces[space].reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)
            }
            (Disposition::MOVE_RECEIVE, EntryRight::Receive { .. }) => Ok(()),
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

    /// Takes a right out of a task by name (mach-ipc 3.4).
    ///
    /// # Errors
    /// Those of [`can_copy_in`](Ipc::can_copy_in); nothing has changed.
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
        self.can_copy_in(space, name, disposition, dead)?;
        Ok(self.take_right(sched, step, space, name, disposition))
    }

    /// The commit half of [`copy_in`](Ipc::copy_in): what is asked for has been found possible.
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
            other => panic!("the check let {other:?} pass"),
        };
        Carried::Right(right)
    }

    /// Takes one reference to a send right out of a name; the last one takes the right itself. A pegged count stays
    /// (mach-ipc 1.4 rule 3).
    fn move_send(&mut self, step: &mut Step, space: SpaceId, name: PortName) -> SendRight {
        let entry = self.spaces[space].get_mut(name).expect("the check found the name");
        let (port, urefs) = match &mut entry.right {
            EntryRight::Send { port, urefs } => (*port, urefs),
            EntryRight::Receive { port, send_urefs } => (*port, send_urefs),
            other => panic!("{other:?} has no send right to move"),
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

    /// Takes a receive right out of its task (mach-ipc 3.4, 6.1). A send right in the same name stays.
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

    /// Takes references off a dead name; without any left the name is free.
    pub(super) fn release_dead_name(&mut self, space: SpaceId, name: PortName, count: u32) {
        let entry = self.spaces[space].get_mut(name).expect("the name exists");
        let EntryRight::DeadName { urefs } = &mut entry.right else { panic!("{name:?} is no dead name") };
        match u32::from(*urefs).checked_sub(count) {
            // A pegged count stays unless all of it goes.
            Some(1..) if *urefs == MACH_PORT_UREFS_MAX => {}
            Some(left @ 1..) => *urefs = left as u16,
            _ => self.spaces[space].remove(name),
        }
    }

    /// Copies in the rights of a header (mach-ipc 3.7). All or nothing: on an error no right has moved.
    ///
    /// # Errors
    /// Those of [`plan_header`](Ipc::plan_header).
    #[inline]
    pub(crate) fn copy_in_header(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        message: MessageId,
        header: &Header,
    ) -> Result<(), KernReturn> {
        let plan = self.plan_header(space, header)?;
        // What is copied is copied before the last reference may move away.
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
        let copied = &mut self.messages[message];
        copied.destination = destination;
        copied.reply = reply;
        copied.reply_disposition = header.local().converted();
        copied.voucher_disposition = header.voucher();
        Ok(())
    }

    /// Takes what a place of a header names.
    #[inline]
    fn take_place(&mut self, sched: &mut Scheduling, step: &mut Step, space: SpaceId, place: Place) -> Carried {
        match place {
            Place::Nothing => Carried::Null,
            Place::DeadName => Carried::Dead,
            Place::Named(name, disposition) => self.take_right(sched, step, space, name, disposition),
        }
    }

    /// Checks the rights of a header, in this order:
    ///
    /// | step | fails if | error |
    /// |---|---|---|
    /// | H2 | a disposition makes no right to send, or a reply name comes without one | `MACH_SEND_INVALID_HEADER` |
    /// | H3 | the destination is null or dead | `MACH_SEND_INVALID_DEST` |
    /// | H4 | there is no such voucher | `MACH_SEND_INVALID_VOUCHER` |
    /// | H6 | destination and reply are one name that cannot give both | `MACH_SEND_INVALID_DEST`, `…_REPLY` |
    /// | H7 | the destination's name is free, the reply cannot be taken, the destination cannot be taken | `…_DEST`, `…_REPLY`, `…_DEST` |
    fn plan_header(&mut self, space: SpaceId, header: &Header) -> Result<HeaderPlan, KernReturn> {
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
        check_voucher(header)?;
        let reply = match reply_to {
            MACH_PORT_NULL => Place::Nothing,
            MACH_PORT_DEAD => Place::DeadName,
            name => Place::Named(name, local),
        };
        let destination_is_dead = reply_to != to && self.is_dead_send_once(space, to, remote);
        if !destination_is_dead {
            let entry = self.lookup(space, to).ok_or(MACH_SEND_INVALID_DEST)?;
            if reply_to == to && !gives_both(entry, remote, local) {
                // The order of errors is that of H6: the reply is looked at first.
                self.can_copy_in(space, to, local, Dead::Accepted).map_err(|_| MACH_SEND_INVALID_REPLY)?;
                return Err(MACH_SEND_INVALID_DEST);
            }
        }
        if let Place::Named(name, disposition) = reply {
            self.can_copy_in(space, name, disposition, Dead::Accepted).map_err(|_| MACH_SEND_INVALID_REPLY)?;
        }
        if !destination_is_dead {
            self.can_copy_in(space, to, remote, Dead::Refused).map_err(|_| MACH_SEND_INVALID_DEST)?;
        }
        Ok(HeaderPlan { destination: (to, remote), destination_is_dead, reply })
    }

    /// Returns true if a name is a send-once right whose port died and about which nobody asked: a reply to a client that is
    /// gone. It is copied in as if the port lived.
    fn is_dead_send_once(&self, space: SpaceId, name: PortName, disposition: Disposition) -> bool {
        disposition == Disposition::MOVE_SEND_ONCE
            && self.spaces[space].get(name).is_some_and(|entry| match entry.right {
                EntryRight::SendOnce { port } => entry.request.is_none() && self.live_port(port).is_none(),
                _ => false,
            })
    }

    /// Copies in the descriptors of a complex message, one by one (mach-ipc 3.7). On an error those copied in so far are
    /// in the message and will be destroyed with it; the others have not been touched.
    ///
    /// # Errors
    /// `MACH_SEND_MSG_TOO_SMALL`, `MACH_SEND_INVALID_TYPE`, `MACH_SEND_NO_GRANT_DEST`, `MACH_SEND_INVALID_RIGHT`,
    /// `MACH_SEND_NO_BUFFER`.
    pub(crate) fn copy_in_body(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        message: MessageId,
    ) -> Result<(), KernReturn> {
        let (count, any_port) = check_descriptors(&self.messages[message].bytes[..self.messages[message].size])?;
        let destination = self.messages[message].destination.port();
        if any_port && destination.is_some_and(|port| self.live_port(port).is_some_and(|port| port.no_grant)) {
            return Err(MACH_SEND_NO_GRANT_DEST);
        }
        self.messages[message].descriptors = store::try_with_capacity(count).map_err(|_| MACH_SEND_NO_BUFFER)?;
        let mut offset = DESCRIPTORS_OFFSET;
        for _ in 0..count {
            let bytes = &self.messages[message].bytes[offset..];
            let (descriptor, _) = PortDescriptor::read_from_prefix(bytes).expect("the first pass found it");
            let PortDescriptor { name, disposition, .. } = descriptor;
            let right = match name {
                MACH_PORT_NULL => Carried::Null,
                MACH_PORT_DEAD => Carried::Dead,
                name => self.copy_in(sched, step, space, name, disposition, Dead::Accepted).map_err(|error| {
                    if error == KERN_RESOURCE_SHORTAGE { MACH_SEND_NO_BUFFER } else { MACH_SEND_INVALID_RIGHT }
                })?,
            };
            if let (Carried::Right(Right::Receive(right)), Some(destination)) = (&right, destination) {
                let fits = self.begin_transit(right, destination);
                self.messages[message].circular |= !fits;
            }
            let descriptor = Descriptor { offset, right, disposition: disposition.converted() };
            self.messages[message].descriptors.push(descriptor);
            offset += PortDescriptor::SIZE;
        }
        Ok(())
    }
}

/// The rights of a header, found possible to take.
#[derive(Debug)]
struct HeaderPlan {
    destination: (PortName, Disposition),
    /// The destination is a send-once right whose port died, which is used up all the same.
    destination_is_dead: bool,
    reply: Place,
}

/// A place of a header where a right can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nothing,
    DeadName,
    Named(PortName, Disposition),
}

/// Returns true if one name can give a destination and a reply: nothing is used up that both need.
fn gives_both(entry: Entry, remote: Disposition, local: Disposition) -> bool {
    let send_urefs = match entry.right {
        EntryRight::Send { urefs, .. } => urefs,
        EntryRight::Receive { send_urefs, .. } => send_urefs,
        _ => 0,
    };
    let moves = |disposition| disposition == Disposition::MOVE_SEND;
    let once = [remote, local].contains(&Disposition::MOVE_SEND_ONCE);
    !(once || (moves(remote) && moves(local) && send_urefs < 2))
}

/// Step H4: there are no vouchers yet, so only null can be named.
fn check_voucher(header: &Header) -> Result<(), KernReturn> {
    let none = header.msgh_voucher_port == MACH_PORT_NULL;
    match header.voucher() {
        Disposition::NONE => Ok(()),
        Disposition::MOVE_SEND | Disposition::COPY_SEND if none => Ok(()),
        _ => Err(MACH_SEND_INVALID_VOUCHER),
    }
}

/// Makes the first pass over the descriptors: returns their number, and true if any carries a port.
fn check_descriptors(bytes: &[u8]) -> Result<(usize, bool), KernReturn> {
    let count = u32::read_from_prefix(&bytes[Header::SIZE..]).expect("the size was checked").0 as usize;
    let mut rest = &bytes[DESCRIPTORS_OFFSET..];
    for _ in 0..count {
        if rest.len() < PortDescriptor::SIZE {
            return Err(MACH_SEND_MSG_TOO_SMALL);
        }
        let size = match rest[DESCRIPTOR_TYPE_OFFSET] {
            MACH_MSG_PORT_DESCRIPTOR => PortDescriptor::SIZE,
            // Out-of-line memory and guarded ports are not there yet (docs/deviations.md).
            _ => return Err(MACH_SEND_INVALID_TYPE),
        };
        rest = &rest[size..];
    }
    Ok((count, count > 0))
}
