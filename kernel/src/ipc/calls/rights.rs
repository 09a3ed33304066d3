//! Putting rights under chosen names and taking them out: insert_right, extract_right (mach-ipc 2.6).

use crate::ipc::copyin::Dead;
use crate::ipc::names::{Holding, add_urefs};
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::TaskId;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::Disposition;

impl Kernel {
    /// `mach_port_insert_right` with a right named in the same task.
    ///
    /// # Errors
    /// Those of mach-ipc 2.6. If the name was found wanting after the right was taken, the right is destroyed; a dead
    /// name that was to move has lost a reference.
    pub(crate) fn port_insert_right(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        poly: PortName,
        disposition: Disposition,
    ) -> Result<(), KernReturn> {
        if name == poly && matches!(disposition, Disposition::MAKE_SEND | Disposition::COPY_SEND) {
            return self.add_own_send(task, name, disposition);
        }
        let right = self.copy_in(m, task, poly, disposition, Dead::Accepted)?;
        self.port_insert_carried(m, task, name, right)
    }

    /// The common "give myself a send right": one reference more under the same name.
    fn add_own_send(&mut self, task: TaskId, name: PortName, disposition: Disposition) -> Result<(), KernReturn> {
        let entry = self.named(task, name)?;
        match (disposition, entry.holding) {
            (_, Holding::DeadName { .. }) => Err(KERN_INVALID_CAPABILITY),
            (Disposition::MAKE_SEND, Holding::Receive { port, .. }) => {
                let right = self.make_send(port);
                self.join_send(task, name, right);
                Ok(())
            }
            (Disposition::COPY_SEND, Holding::Send { port, urefs }) => {
                self.tasks[task].space.change(name, Holding::Send { port, urefs: add_urefs(urefs, 1) });
                Ok(())
            }
            (Disposition::COPY_SEND, Holding::Receive { port, send_urefs: send_urefs @ 1.. }) => {
                let holding = Holding::Receive { port, send_urefs: add_urefs(send_urefs, 1) };
                self.tasks[task].space.change(name, holding);
                Ok(())
            }
            _ => Err(KERN_INVALID_RIGHT),
        }
    }

    /// `mach_port_insert_right` with a right that has been taken already. On an error it is destroyed.
    ///
    /// # Errors
    /// Those of mach-ipc 2.6.
    pub(crate) fn port_insert_carried(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        carried: Carried,
    ) -> Result<(), KernReturn> {
        let right = match carried {
            _ if !name.is_valid() => Err(KERN_INVALID_VALUE),
            Carried::Right(ref right) if self.live_port(right.port()).is_some() => self.check_place(task, name, right),
            _ => Err(KERN_INVALID_CAPABILITY),
        };
        if let Err(code) = right {
            self.destroy_carried(m, carried);
            return Err(code);
        }
        let Carried::Right(right) = carried else { panic!("only rights are checked") };
        self.place(task, name, right);
        Ok(())
    }

    /// Whether a right can be put under a name, with everything reserved that this needs.
    fn check_place(&mut self, task: TaskId, name: PortName, right: &Right) -> Result<(), KernReturn> {
        let port = right.port();
        let in_use = self.tasks[task].space.check_chosen(name)?.is_some();
        if !matches!(right, Right::SendOnce(_)) {
            match self.name_of(task, port) {
                Some(other) if other != name => return Err(KERN_RIGHT_EXISTS),
                Some(_) => return Ok(()),
                None => {}
            }
        }
        if in_use {
            return Err(KERN_NAME_EXISTS);
        }
        self.grow_space_to(task, name)?;
        if matches!(right, Right::Send(_)) {
            self.tasks[task].space.reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        }
        Ok(())
    }

    /// Puts a right under a name that was found fit for it.
    fn place(&mut self, task: TaskId, name: PortName, right: Right) {
        let joins = self.tasks[task].space.get(name).is_some();
        let space = &mut self.tasks[task].space;
        match right {
            Right::Send(right) if joins => self.join_send(task, name, right),
            Right::Send(right) => space.add_chosen(name, Holding::Send { port: right.port(), urefs: 1 }),
            Right::SendOnce(right) => space.add_chosen(name, Holding::SendOnce { port: right.port() }),
            Right::Receive(right) => {
                if joins {
                    self.join_receive(task, name, right.port());
                } else {
                    space.add_chosen(name, Holding::Receive { port: right.port(), send_urefs: 0 });
                }
                self.settle(right.port(), task, name);
            }
        }
    }

    /// `mach_port_extract_right`: takes a right out of a task for the caller.
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE`, `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`, `KERN_INVALID_CAPABILITY` (mach-ipc 2.6). Nothing
    /// has changed then.
    pub(crate) fn port_extract_right(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        disposition: Disposition,
    ) -> Result<Carried, KernReturn> {
        if disposition.converted() == Disposition::NONE {
            return Err(KERN_INVALID_VALUE);
        }
        super::valid(name, KERN_INVALID_RIGHT)?;
        self.copy_in(m, task, name, disposition, Dead::Accepted)
    }
}
