//! Moving rights into and out of names: insert_right, extract_right (mach-ipc 2.6).

use crate::ids::SpaceId;
use crate::ipc::Ipc;
use crate::ipc::copy_in::Dead;
use crate::ipc::entry::{EntryRight, add_urefs};
use crate::ipc::right::{Carried, Right};
use crate::sched::Scheduling;
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::Disposition;

impl Ipc {
    /// `mach_port_insert_right` for the caller's own task: takes the right of `poly` and puts it under the name `name`.
    ///
    /// # Errors
    /// Those of `can_copy_in`, with nothing changed. Those of
    /// [`port_insert_carried`](Ipc::port_insert_carried): the right has been taken then and is destroyed.
    pub fn port_insert_right(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        poly: PortName,
        disposition: Disposition,
    ) -> Result<(), KernReturn> {
        if name == poly && matches!(disposition, Disposition::MAKE_SEND | Disposition::COPY_SEND) {
            return self.add_own_send(space, name, disposition);
        }
        let right = self.copy_in(sched, step, space, poly, disposition, Dead::Accepted)?;
        self.port_insert_carried(step, space, name, right)
    }

    /// Adds a send right to the name from which it is made or copied, which is the common case.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist; `KERN_INVALID_CAPABILITY` if it is a dead name;
    /// `KERN_INVALID_RIGHT` if it does not have the right that `disposition` needs. Nothing has changed then.
    fn add_own_send(&mut self, space: SpaceId, name: PortName, disposition: Disposition) -> Result<(), KernReturn> {
        let entry = self.named(space, name)?;
        match (disposition, entry.right) {
            (_, EntryRight::DeadName { .. }) => Err(KERN_INVALID_CAPABILITY),
            (Disposition::MAKE_SEND, EntryRight::Receive { port, .. }) => {
                let right = self.make_send(port);
                self.join_send(space, name, right);
                Ok(())
            }
            (Disposition::COPY_SEND, EntryRight::Send { port, urefs }) => {
                self.spaces[space].change(name, EntryRight::Send { port, urefs: add_urefs(urefs, 1) });
                Ok(())
            }
            (Disposition::COPY_SEND, EntryRight::Receive { port, send_urefs: send_urefs @ 1.. }) => {
                let right = EntryRight::Receive { port, send_urefs: add_urefs(send_urefs, 1) };
                self.spaces[space].change(name, right);
                Ok(())
            }
            _ => Err(KERN_INVALID_RIGHT),
        }
    }

    /// `mach_port_insert_right` by message: puts a right under the name `name`, or adds it to the right to the same
    /// port that the name denotes already.
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`; `KERN_INVALID_CAPABILITY` if there is no right
    /// or its port is dead; those of [`check_chosen`](super::super::space::Space::check_chosen); `KERN_RIGHT_EXISTS` if
    /// the space has the port under another name; `KERN_NAME_EXISTS` if the name denotes another right; `KERN_NO_SPACE`
    /// or `KERN_RESOURCE_SHORTAGE` if the space cannot grow (mach-ipc 2.6), or its budget has no room for the port of a
    /// receive right. The right is destroyed then.
    pub fn port_insert_carried(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        carried: Carried,
    ) -> Result<(), KernReturn> {
        let checked = match carried {
            _ if !name.is_valid() => Err(KERN_INVALID_VALUE),
            Carried::Right(ref right) if self.live_port(right.port()).is_some() => {
                self.check_place(space, name, right).and_then(|()| match right {
                    Right::Receive(right) => self.take_over(right.port(), space).map_err(|_| KERN_RESOURCE_SHORTAGE),
                    _ => Ok(()),
                })
            }
            _ => Err(KERN_INVALID_CAPABILITY),
        };
        if let Err(code) = checked {
            self.destroy_carried(step, carried);
            return Err(code);
        }
        let Carried::Right(right) = carried else { panic!("only rights are checked") };
        self.place(space, name, right);
        Ok(())
    }

    /// Checks that a right can be put under a name, and reserves the memory that this needs.
    ///
    /// # Errors
    /// Those of [`port_insert_carried`](Ipc::port_insert_carried); nothing has changed.
    fn check_place(&mut self, space: SpaceId, name: PortName, right: &Right) -> Result<(), KernReturn> {
        let port = right.port();
        let in_use = self.spaces[space].check_chosen(name)?.is_some();
        if !matches!(right, Right::SendOnce(_)) {
            match self.name_of(space, port) {
                Some(other) if other != name => return Err(KERN_RIGHT_EXISTS),
                Some(_) => return Ok(()),
                None => {}
            }
        }
        if in_use {
            return Err(KERN_NAME_EXISTS);
        }
        self.grow_space_to(space, name)?;
        if matches!(right, Right::Send(_)) {
            self.spaces[space].reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        }
        Ok(())
    }

    /// Puts a right under a name. The caller has [checked](Ipc::check_place) that it is possible.
    fn place(&mut self, space: SpaceId, name: PortName, right: Right) {
        let joins = self.spaces[space].get(name).is_some();
        let names = &mut self.spaces[space];
        match right {
            Right::Send(right) if joins => self.join_send(space, name, right),
            Right::Send(right) => names.add_chosen(name, EntryRight::Send { port: right.port(), urefs: 1 }),
            Right::SendOnce(right) => names.add_chosen(name, EntryRight::SendOnce { port: right.port() }),
            Right::Receive(right) => {
                if joins {
                    self.join_receive(space, name, right.port());
                } else {
                    names.add_chosen(name, EntryRight::Receive { port: right.port(), send_urefs: 0 });
                }
                self.attach(right.port(), space, name);
            }
        }
    }

    /// `mach_port_extract_right`: takes a right out of a space and returns it (mach-ipc 2.6).
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` for an unknown disposition; `KERN_INVALID_RIGHT` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`;
    /// those of `can_copy_in`. Nothing has changed then.
    pub fn port_extract_right(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        disposition: Disposition,
    ) -> Result<Carried, KernReturn> {
        if disposition.converted() == Disposition::NONE {
            return Err(KERN_INVALID_VALUE);
        }
        super::valid(name, KERN_INVALID_RIGHT)?;
        self.copy_in(sched, step, space, name, disposition, Dead::Accepted)
    }
}
