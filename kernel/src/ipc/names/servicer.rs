//! The thread that serves a port or set: `port_bind_servicer` (errata 6).

use super::valid;
use crate::ids::{SpaceId, ThreadId};
use crate::ipc::Ipc;
use crate::sched::Scheduling;
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;

impl Ipc {
    /// `port_bind_servicer`: lets a thread serve a port or set in place of the one that serves it, or none. Messages and
    /// waiting threads raise the servicer from now on (importance 7.5, 7.6). The binding ends with the thread, or when the
    /// receive right leaves its task.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`, or if the name has neither a receive right nor a
    /// set; `KERN_INVALID_NAME` if it does not exist; `KERN_INVALID_ARGUMENT` for a special reply port; `KERN_FAILURE` if
    /// the thread serves another object, or waits in a way in which it pushes others; `KERN_RESOURCE_SHORTAGE`. Nothing
    /// has changed then.
    pub fn port_bind_servicer(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        thread: Option<ThreadId>,
    ) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        self.named(space, name)?;
        let object = self.receivable(space, name).ok_or(KERN_INVALID_RIGHT)?;
        match thread {
            Some(thread) => self.bind_servicer(sched, step, object, thread),
            None => {
                self.unbind_servicer(sched, step, object);
                Ok(())
            }
        }
    }
}
