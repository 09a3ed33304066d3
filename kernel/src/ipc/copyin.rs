//! From names to rights: how a message leaves a task (mach-ipc 3.4, 3.7).

use crate::ipc::message::{Descriptor, MessageId};
use crate::ipc::names::{Entry, Holding};
use crate::ipc::port::Home;
use crate::ipc::right::{Carried, ReceiveRight, Right, SendOnceRight, SendRight};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::TaskId;
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

impl Kernel {
    /// What a name denotes. A name whose port died is turned into a dead name first (mach-ipc 1.7).
    #[inline]
    pub(crate) fn entry(&mut self, task: TaskId, name: PortName) -> Option<Entry> {
        let entry = *self.tasks[task].space.get(name)?;
        match entry.holding.port() {
            Some(port) if self.live_port(port).is_none() => {
                self.tasks[task].space.bury(name);
                self.tasks[task].space.get(name).copied()
            }
            _ => Some(entry),
        }
    }

    /// Whether [`copy_in`](Kernel::copy_in) would succeed.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name denotes nothing, `KERN_INVALID_CAPABILITY` if its port died and that is refused,
    /// or it is a receive right that may not move, `KERN_INVALID_RIGHT` if it has not the right asked for,
    /// `KERN_RESOURCE_SHORTAGE` if there is no memory to keep a send right without its receive right.
    #[inline]
    pub(crate) fn can_copy_in(
        &mut self,
        task: TaskId,
        name: PortName,
        disposition: Disposition,
        dead: Dead,
    ) -> Result<(), KernReturn> {
        let entry = self.entry(task, name).ok_or(KERN_INVALID_NAME)?;
        match (disposition, entry.holding) {
            (Disposition::MAKE_SEND | Disposition::MAKE_SEND_ONCE, Holding::Receive { .. }) => Ok(()),
            (Disposition::COPY_SEND | Disposition::MOVE_SEND, Holding::Send { .. }) => Ok(()),
            (Disposition::COPY_SEND | Disposition::MOVE_SEND, Holding::Receive { send_urefs: 1.., .. }) => Ok(()),
            (Disposition::MOVE_SEND_ONCE, Holding::SendOnce { .. }) => Ok(()),
            (Disposition::MOVE_RECEIVE, Holding::Receive { port, .. }) if self.ports[port].guard.immovable => {
                Err(KERN_INVALID_CAPABILITY)
            }
            (Disposition::MOVE_RECEIVE, Holding::Receive { send_urefs: 1.., .. }) => {
                self.tasks[task].space.reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)
            }
            (Disposition::MOVE_RECEIVE, Holding::Receive { .. }) => Ok(()),
            (
                Disposition::COPY_SEND | Disposition::MOVE_SEND | Disposition::MOVE_SEND_ONCE,
                Holding::DeadName { .. },
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
    /// Those of [`can_copy_in`](Kernel::can_copy_in); nothing has changed.
    #[inline]
    pub(crate) fn copy_in(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        disposition: Disposition,
        dead: Dead,
    ) -> Result<Carried, KernReturn> {
        self.can_copy_in(task, name, disposition, dead)?;
        Ok(self.take_right(m, task, name, disposition))
    }

    /// The commit half of [`copy_in`](Kernel::copy_in): what is asked for has been found possible.
    #[inline]
    pub(crate) fn take_right(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        disposition: Disposition,
    ) -> Carried {
        let entry = self.tasks[task].space.get_mut(name).expect("the check found the name");
        let port = match &mut entry.holding {
            Holding::DeadName { .. } => {
                if disposition != Disposition::COPY_SEND {
                    self.release_dead_name(task, name, 1);
                }
                return Carried::Dead;
            }
            holding => holding.port().expect("the check found a right to a port"),
        };
        let right = match disposition {
            Disposition::MAKE_SEND => Right::Send(self.make_send(port)),
            Disposition::MAKE_SEND_ONCE => Right::SendOnce(self.make_send_once(port)),
            Disposition::COPY_SEND => Right::Send(self.copy_send(port)),
            Disposition::MOVE_SEND => Right::Send(self.move_send(m, task, name)),
            Disposition::MOVE_SEND_ONCE => {
                self.delete_request(m, task, name);
                self.tasks[task].space.remove(name);
                Right::SendOnce(SendOnceRight::taken_from_name(port))
            }
            Disposition::MOVE_RECEIVE => Right::Receive(self.move_receive(m, task, name)),
            other => panic!("the check let {other:?} pass"),
        };
        Carried::Right(right)
    }

    /// Takes one reference to a send right out of a name; the last one takes the right itself. A pegged count stays
    /// (mach-ipc 1.4 rule 3).
    fn move_send(&mut self, m: &mut dyn Machine, task: TaskId, name: PortName) -> SendRight {
        let entry = self.tasks[task].space.get_mut(name).expect("the check found the name");
        let (port, urefs) = match &mut entry.holding {
            Holding::Send { port, urefs } => (*port, urefs),
            Holding::Receive { port, send_urefs } => (*port, send_urefs),
            other => panic!("{other:?} has no send right to move"),
        };
        if *urefs == MACH_PORT_UREFS_MAX {
            return self.copy_send(port);
        }
        if *urefs > 1 {
            *urefs -= 1;
            return self.copy_send(port);
        }
        match entry.holding {
            Holding::Receive { .. } => entry.holding = Holding::Receive { port, send_urefs: 0 },
            _ => {
                self.delete_request(m, task, name);
                self.tasks[task].space.remove(name);
            }
        }
        SendRight::taken_from_name(port)
    }

    /// Takes a receive right out of its task (mach-ipc 3.4, 6.1). A send right in the same name stays.
    pub(super) fn move_receive(&mut self, m: &mut dyn Machine, task: TaskId, name: PortName) -> ReceiveRight {
        let entry = self.tasks[task].space.get(name).expect("the check found the name");
        let Holding::Receive { port, send_urefs } = entry.holding else { panic!("{name:?} has no receive right") };
        if send_urefs == 0 {
            self.delete_request(m, task, name);
            self.tasks[task].space.remove(name);
        } else {
            self.tasks[task].space.change(name, Holding::Send { port, urefs: send_urefs });
        }
        self.uproot(port);
        ReceiveRight::taken_from_name(port)
    }

    /// Takes references off a dead name; without any left the name is free.
    pub(super) fn release_dead_name(&mut self, task: TaskId, name: PortName, count: u32) {
        let entry = self.tasks[task].space.get_mut(name).expect("the name exists");
        let Holding::DeadName { urefs } = &mut entry.holding else { panic!("{name:?} is no dead name") };
        match u32::from(*urefs).checked_sub(count) {
            // A pegged count stays unless all of it goes.
            Some(1..) if *urefs == MACH_PORT_UREFS_MAX => {}
            Some(left @ 1..) => *urefs = left as u16,
            _ => self.tasks[task].space.remove(name),
        }
    }

    /// Copies in the rights of a header (mach-ipc 3.7). All or nothing: on an error no right has moved.
    ///
    /// # Errors
    /// `MACH_SEND_INVALID_HEADER`, `MACH_SEND_INVALID_DEST`, `MACH_SEND_INVALID_VOUCHER`, `MACH_SEND_INVALID_REPLY`, in
    /// the order of steps H2 to H7.
    #[inline]
    pub(super) fn copy_in_header(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        message: MessageId,
        header: &Header,
    ) -> Result<(), KernReturn> {
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
        let reply = if local != Disposition::NONE && reply_to.is_valid() { Some((reply_to, local)) } else { None };
        let (destination, reply) = match reply {
            Some((reply_to, local)) if reply_to == to => self.copy_in_joint(m, task, to, remote, local)?,
            _ => {
                let late = self.check_destination_and_reply(task, (to, remote), reply)?;
                let destination =
                    if late { self.take_late_send_once(task, to) } else { self.take_right(m, task, to, remote) };
                let reply = match reply {
                    Some((name, disposition)) => self.take_right(m, task, name, disposition),
                    None if reply_to == MACH_PORT_DEAD => Carried::Dead,
                    None => Carried::Null,
                };
                (destination, reply)
            }
        };
        let copied = &mut self.messages[message];
        copied.destination = destination;
        copied.reply = reply;
        copied.reply_disposition = local.converted();
        copied.voucher_disposition = header.voucher();
        Ok(())
    }

    /// Steps H7: whether destination and reply, of different names, can be copied in. Tells whether the destination is a
    /// send-once right whose port died and that is used all the same (mach-ipc 3.4, "remote").
    fn check_destination_and_reply(
        &mut self,
        task: TaskId,
        (to, remote): (PortName, Disposition),
        reply: Option<(PortName, Disposition)>,
    ) -> Result<bool, KernReturn> {
        let late = self.is_late_send_once(task, to, remote);
        if !late && self.entry(task, to).is_none() {
            return Err(MACH_SEND_INVALID_DEST);
        }
        if let Some((name, disposition)) = reply {
            self.can_copy_in(task, name, disposition, Dead::Accepted).map_err(|_| MACH_SEND_INVALID_REPLY)?;
        }
        if !late {
            self.can_copy_in(task, to, remote, Dead::Refused).map_err(|_| MACH_SEND_INVALID_DEST)?;
        }
        Ok(late)
    }

    /// Whether a name is a send-once right whose port died and that nobody asked to hear about: a reply to a client that
    /// is gone. It is copied in as if the port lived.
    fn is_late_send_once(&self, task: TaskId, name: PortName, disposition: Disposition) -> bool {
        disposition == Disposition::MOVE_SEND_ONCE
            && self.tasks[task].space.get(name).is_some_and(|entry| match entry.holding {
                Holding::SendOnce { port } => entry.request.is_none() && self.live_port(port).is_none(),
                _ => false,
            })
    }

    fn take_late_send_once(&mut self, task: TaskId, name: PortName) -> Carried {
        self.tasks[task].space.remove(name);
        Carried::Dead
    }

    /// Step H6: destination and reply of one name.
    fn copy_in_joint(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        remote: Disposition,
        local: Disposition,
    ) -> Result<(Carried, Carried), KernReturn> {
        let entry = self.entry(task, name).ok_or(MACH_SEND_INVALID_DEST)?;
        self.can_copy_in(task, name, local, Dead::Accepted).map_err(|_| MACH_SEND_INVALID_REPLY)?;
        self.can_copy_in(task, name, remote, Dead::Refused).map_err(|_| MACH_SEND_INVALID_DEST)?;
        let send_urefs = match entry.holding {
            Holding::Send { urefs, .. } => urefs,
            Holding::Receive { send_urefs, .. } => send_urefs,
            _ => 0,
        };
        let moves = |disposition| disposition == Disposition::MOVE_SEND;
        let once = [remote, local].contains(&Disposition::MOVE_SEND_ONCE);
        if once || (moves(remote) && moves(local) && send_urefs < 2) {
            return Err(MACH_SEND_INVALID_DEST);
        }
        // Whatever is copied is copied before the last reference may move away.
        if moves(remote) && local == Disposition::COPY_SEND {
            let reply = self.take_right(m, task, name, local);
            return Ok((self.take_right(m, task, name, remote), reply));
        }
        let destination = self.take_right(m, task, name, remote);
        Ok((destination, self.take_right(m, task, name, local)))
    }

    /// Copies in the descriptors of a complex message, one by one (mach-ipc 3.7). On an error those copied in so far are
    /// in the message and will be destroyed with it; the others have not been touched.
    ///
    /// # Errors
    /// `MACH_SEND_MSG_TOO_SMALL`, `MACH_SEND_INVALID_TYPE`, `MACH_SEND_NO_GRANT_DEST`, `MACH_SEND_INVALID_RIGHT`,
    /// `MACH_SEND_NO_BUFFER`.
    pub(super) fn copy_in_body(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
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
                name => self.copy_in(m, task, name, disposition, Dead::Accepted).map_err(|error| {
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

    /// A receive right leaves its task: nobody waits on it any more, and what the owner set is forgotten.
    pub(super) fn uproot(&mut self, port: crate::ipc::port::PortId) {
        self.leave_all_sets(port, None);
        while let Some(receiver) = self.ports[port].receivers.first() {
            self.finish_wait(receiver);
            self.threads[receiver].frame.set_code(MACH_RCV_PORT_CHANGED);
        }
        let state = &mut self.ports[port];
        state.forget_owner();
        state.home = Home::Limbo;
        state.temp_owner = true;
    }
}

/// Step H4: there are no vouchers yet, so the only one that can be named is none.
fn check_voucher(header: &Header) -> Result<(), KernReturn> {
    let none = header.msgh_voucher_port == MACH_PORT_NULL;
    match header.voucher() {
        Disposition::NONE => Ok(()),
        Disposition::MOVE_SEND | Disposition::COPY_SEND if none => Ok(()),
        _ => Err(MACH_SEND_INVALID_VOUCHER),
    }
}

/// The first pass over the descriptors: counts them and tells whether any carries a port.
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
