//! Copy-out: from rights to names, when a message arrives in a task (mach-ipc 3.9).

use super::Ipc;
use super::entry::{EntryRight, add_urefs};
use super::port::Home;
use super::right::{Carried, ReceiveRight, Right, SendRight};
use super::spaces::NoName;
use crate::ids::{MessageId, PortId, SpaceId};
use crate::sched::Scheduling;
use crate::step::Step;
use crate::trace::Event;
use abi::code::{MACH_MSG_IPC_KERNEL, MACH_MSG_IPC_SPACE};
use abi::event::kind;
use abi::message::PortDescriptor;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL, PortName};
use zerocopy::IntoBytes;

/// Returns the detail bits of the return code for a right of a body that got no name.
fn detail_bits(error: NoName) -> i32 {
    match error {
        NoName::Full => MACH_MSG_IPC_SPACE,
        NoName::Memory => MACH_MSG_IPC_KERNEL,
    }
}

impl Ipc {
    /// Puts a right into a space and returns its name (mach-ipc 1.6). A send or receive right joins the name that the
    /// space has for the port, if it has one. A send-once right always gets a new name. A right whose port has died
    /// becomes `MACH_PORT_DEAD`.
    ///
    /// # Errors
    /// The right and the reason, if there is no new name for it; nothing has changed.
    pub fn copy_out_right(&mut self, space: SpaceId, right: Right) -> Result<PortName, (Right, NoName)> {
        if self.live_port(right.port()).is_none() {
            return Ok(MACH_PORT_DEAD);
        }
        match right {
            Right::Send(right) => self.copy_out_send(space, right).map_err(|(r, e)| (Right::Send(r), e)),
            Right::SendOnce(right) => {
                let entry = EntryRight::SendOnce { port: right.port() };
                if let Err(error) = self.make_room_for_name(space) {
                    return Err((Right::SendOnce(right), error));
                }
                Ok(self.spaces[space].add(entry).expect("only send rights are indexed"))
            }
            Right::Receive(right) => self.copy_out_receive(space, right).map_err(|(r, e)| (Right::Receive(r), e)),
        }
    }

    /// Returns the name under which a space has a send or receive right of a live port, if it has one.
    pub(super) fn name_of(&self, space: SpaceId, port: PortId) -> Option<PortName> {
        match self.ports[port].home {
            Home::Space { space: holder, name } if holder == space => Some(name),
            _ => self.spaces[space].send_name(port),
        }
    }

    fn copy_out_send(&mut self, space: SpaceId, right: SendRight) -> Result<PortName, (SendRight, NoName)> {
        let port = right.port();
        if let Some(name) = self.name_of(space, port) {
            self.join_send(space, name, right);
            return Ok(name);
        }
        if let Err(error) = self.make_room_for_name(space) {
            return Err((right, error));
        }
        self.spaces[space].add(EntryRight::Send { port, urefs: 1 }).map_err(|_| (right, NoName::Memory))
    }

    /// Adds a send right to a name that has a send or receive right of the same port. The name gets one more user
    /// reference. It keeps the right itself only if it has no send right yet, because the port counts one per name.
    pub(super) fn join_send(&mut self, space: SpaceId, name: PortName, right: SendRight) {
        let entry = self.spaces[space].get_mut(name).expect("the name exists");
        let spare = match &mut entry.right {
            EntryRight::Send { urefs, .. } => {
                *urefs = add_urefs(*urefs, 1);
                true
            }
            EntryRight::Receive { send_urefs, .. } => {
                let had = *send_urefs > 0;
                *send_urefs = add_urefs(*send_urefs, 1);
                had
            }
            other => panic!("{name:?} is {other:?} and not a right to {:?}", right.port()),
        };
        if spare {
            self.drop_spare_send(right);
        }
    }

    fn copy_out_receive(&mut self, space: SpaceId, right: ReceiveRight) -> Result<PortName, (ReceiveRight, NoName)> {
        let port = right.port();
        let name = match self.spaces[space].send_name(port) {
            Some(name) => {
                self.join_receive(space, name, port);
                name
            }
            None => {
                if let Err(error) = self.make_room_for_name(space) {
                    return Err((right, error));
                }
                let entry = EntryRight::Receive { port, send_urefs: 0 };
                self.spaces[space].add(entry).expect("only send rights are indexed")
            }
        };
        self.attach(port, space, name);
        Ok(name)
    }

    /// Adds the receive right to a name that has a send right of the same port.
    pub(super) fn join_receive(&mut self, space: SpaceId, name: PortName, port: PortId) {
        let space = &mut self.spaces[space];
        let entry = space.get(name).expect("the name exists");
        let EntryRight::Send { urefs, .. } = entry.right else { panic!("{name:?} is not a send right") };
        space.change(name, EntryRight::Receive { port, send_urefs: urefs });
    }

    /// Gives a space a send right to the port of a kernel object. Returns its name, or null if there is none (mach-ipc
    /// 5.4).
    pub fn name_kernel_port(&mut self, step: &mut Step, space: SpaceId, port: PortId) -> PortName {
        let right = Right::Send(self.make_send(port));
        self.copy_out_or_destroy(step, space, right).unwrap_or(MACH_PORT_NULL)
    }

    /// Adds a user reference to `name` if that still is a send right of the kernel's port `port`: what
    /// [`name_kernel_port`](Ipc::name_kernel_port) comes to then. The count of rights made is another, but no task can
    /// ask a kernel port for it. Returns true if the name is that.
    #[inline(always)]
    pub fn name_kernel_port_again(&mut self, space: SpaceId, name: PortName, port: PortId) -> bool {
        match self.spaces[space].get_mut(name).map(|entry| &mut entry.right) {
            Some(EntryRight::Send { port: named, urefs }) if *named == port => {
                *urefs = add_urefs(*urefs, 1);
                true
            }
            _ => false,
        }
    }

    /// Puts a right into a space and returns its name, or destroys the right.
    ///
    /// # Errors
    /// [`NoName`]; the right has been destroyed.
    pub fn copy_out_or_destroy(&mut self, step: &mut Step, space: SpaceId, right: Right) -> Result<PortName, NoName> {
        if let Right::SendOnce(right) = &right {
            self.sever_reply_link(step, right.port());
        }
        let named = if step.trace.is_on() {
            self.copy_out_and_record(step, space, right)
        } else {
            self.copy_out_right(space, right)
        };
        named.map_err(|(right, error)| {
            self.destroy_right(step, right);
            error
        })
    }

    /// Puts a right into a space, and records it.
    #[cold]
    fn copy_out_and_record(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        right: Right,
    ) -> Result<PortName, (Right, NoName)> {
        let (port, kind) = (right.port(), right.kind());
        let name = self.copy_out_right(space, right)?;
        step.trace.record(|| Event::right(kind::RIGHT_MADE, port, self.pid_of(space), name, kind));
        Ok(name)
    }

    /// Returns the name by which a receiver knows the port that a message was sent to: the name of its receive right,
    /// null if the right is elsewhere by now, or `MACH_PORT_DEAD`.
    pub fn name_for_receiver(&self, space: SpaceId, port: PortId) -> PortName {
        self.ports.get(port).map_or(MACH_PORT_DEAD, |port| port.name_in(space))
    }

    /// Copies out the reply right and the voucher of a message, and returns their names. A receiver that does not take
    /// vouchers gets none; the right ends then.
    ///
    /// # Errors
    /// [`NoName`] if either gets no name; none has then, and the reply right is still in the message.
    #[inline(always)]
    pub fn copy_out_header(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        message: MessageId,
        takes_voucher: bool,
    ) -> Result<(PortName, PortName), NoName> {
        // First the voucher: if the reply right gets no name then, the name of the voucher can be given up again.
        let voucher = match self.messages[message].voucher.take() {
            None => MACH_PORT_NULL,
            Some(voucher) => self.copy_out_voucher(step, space, voucher, takes_voucher)?,
        };
        match self.copy_out_reply(space, message) {
            Ok(reply) => Ok((reply, voucher)),
            Err(error) => {
                if voucher != MACH_PORT_NULL {
                    let released = self.port_deallocate(sched, step, space, voucher);
                    released.expect("the name has just been given a reference");
                }
                Err(error)
            }
        }
    }

    /// Copies out the voucher of a message for a receiver that takes it, or ends its right. Returns its name.
    #[inline(never)]
    fn copy_out_voucher(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        voucher: SendRight,
        takes_voucher: bool,
    ) -> Result<PortName, NoName> {
        if takes_voucher {
            return self.copy_out_or_destroy(step, space, Right::Send(voucher));
        }
        self.destroy_send(step, voucher);
        Ok(MACH_PORT_NULL)
    }

    /// Copies out the reply right of a message.
    ///
    /// # Errors
    /// [`NoName`]; the right is still in the message.
    #[inline(always)]
    fn copy_out_reply(&mut self, space: SpaceId, message: MessageId) -> Result<PortName, NoName> {
        match self.messages[message].reply.take() {
            Carried::Null => Ok(MACH_PORT_NULL),
            Carried::Dead => Ok(MACH_PORT_DEAD),
            Carried::Right(right) => self.copy_out_right(space, right).map_err(|(right, error)| {
                self.messages[message].reply = Carried::Right(right);
                error
            }),
        }
    }

    /// Copies out the contents of a place and returns the name. If a right gets no name, it is destroyed, null is
    /// returned, and the reason is added to `bits`.
    pub fn copy_out_carried(&mut self, step: &mut Step, space: SpaceId, carried: Carried, bits: &mut i32) -> PortName {
        match carried {
            Carried::Null => MACH_PORT_NULL,
            Carried::Dead => MACH_PORT_DEAD,
            Carried::Right(right) => self.copy_out_or_destroy(step, space, right).unwrap_or_else(|error| {
                *bits |= detail_bits(error);
                MACH_PORT_NULL
            }),
        }
    }

    /// Copies out the rights of a body, from the last to the first. Returns the detail bits of rights that got no name.
    pub fn copy_out_body(&mut self, step: &mut Step, space: SpaceId, message: MessageId) -> i32 {
        let (all, mut bits) = (self.messages[message].descriptors.len() as u32, 0);
        self.copy_out_some(step, space, message, (all, all), &mut bits);
        bits
    }

    /// Copies out the last `count` of the first `left` rights of a body, from the last to the first, and adds the detail
    /// bits of rights that get no name to `bits`. Returns the number of rights that are left then.
    pub fn copy_out_some(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        message: MessageId,
        (left, count): (u32, u32),
        bits: &mut i32,
    ) -> u32 {
        let still = left.saturating_sub(count);
        let mut descriptors = core::mem::take(&mut self.messages[message].descriptors);
        for descriptor in descriptors[still as usize..left as usize].iter_mut().rev() {
            let name = self.copy_out_carried(step, space, descriptor.right.take(), bits);
            let written = PortDescriptor::new(name, descriptor.disposition);
            let bytes = &mut self.messages[message].bytes[descriptor.offset..];
            written.write_to_prefix(bytes).expect("the descriptor was there when the message was sent");
        }
        // The message's cost, which will be refunded, includes them.
        self.messages[message].descriptors = descriptors;
        still
    }
}
