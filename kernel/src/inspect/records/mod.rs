//! The trap `inspect`: facts about the kernel's objects, as records for a monitor.
//!
//! A call lists a part of one of the kernel's tables, from a place that the caller names, and tells where the next call
//! goes on. So a call's work has a bound whatever the tables hold. Between two calls objects come and go, so a listing of
//! several calls is no picture of one moment. Nothing is formatted here, and no record has an address.
//!
//! | module | what it is |
//! |---|---|
//! | [`window`] | the part of a table that a call lists |
//! | `tasks` | records of tasks, threads and names |
//! | `ports` | records of ports and messages |
//! | `importance` | records of vouchers, accounts, inherits and elements |

mod importance;
mod ports;
mod tasks;
mod window;

use super::invariants::check_all;
use crate::calls::put_result;
use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use abi::KernReturn;
use abi::code::*;
use abi::inspect::{Cursor, INSPECT_VERSION, kind};
use window::Window;
use zerocopy::{FromZeros, IntoBytes};

/// The arguments of the trap `inspect`.
#[derive(Clone, Copy, Debug)]
struct Query {
    /// The kind of records.
    kind: u32,
    /// The version of the records that the caller knows.
    version: u32,
    /// What the kind needs.
    argument: u64,
    /// Where the caller's [`Cursor`] is.
    cursor: UserAddr,
    /// The buffer for records.
    buffer: UserAddr,
    /// Its size in bytes.
    size: u64,
}

impl Query {
    fn from_arguments([kind, version, argument, cursor, buffer, size]: [u64; 6]) -> Query {
        let (cursor, buffer) = (UserAddr(cursor), UserAddr(buffer));
        Query { kind: kind as u32, version: version as u32, argument, cursor, buffer, size }
    }
}

impl Kernel {
    /// `inspect`: writes records of objects into the caller's buffer, and moves its cursor.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if the caller is not user 0; `KERN_NOT_SUPPORTED` for another version; `KERN_INVALID_ARGUMENT`
    /// for an unknown kind, a task that does not exist, or a buffer without room for one record; `KERN_MEMORY_ERROR` if
    /// cursor or buffer cannot be accessed.
    pub(crate) fn inspect_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        arguments: [u64; 6],
    ) -> Result<(), KernReturn> {
        let query = Query::from_arguments(arguments);
        if self.tasks[caller.task].credentials.uid != 0 {
            return Err(KERN_NO_ACCESS);
        }
        if query.version != INSPECT_VERSION {
            return Err(KERN_NOT_SUPPORTED);
        }
        let mut cursor = Cursor::new_zeroed();
        let space = caller.address_space;
        machine.copy_in(space, query.cursor, cursor.as_mut_bytes()).map_err(|_| KERN_MEMORY_ERROR)?;
        let mut window = Window::new(machine, space, query.buffer, query.size, cursor.place);
        self.list(&mut window, &query)?;
        let cursor = window.cursor();
        put_result(machine, caller, query.cursor, cursor.as_bytes())
    }

    /// Lists the records of a kind.
    ///
    /// # Errors
    /// As for the trap.
    fn list(&self, window: &mut Window<'_>, query: &Query) -> Result<(), KernReturn> {
        let Kernel { ipc, sched, tasks, vouchers, .. } = self;
        let (registry, bank) = (&vouchers.system().registry, &vouchers.system().bank);
        match query.kind {
            kind::TASKS => window.list(tasks.table(), |_, task| Some(self.task_record(task))),
            kind::THREADS => window.list(sched.table(), |_, thread| Some(self.thread_record(thread))),
            kind::NAMES => self.list_names(window, query.argument),
            kind::PORTS => window.list(ipc.port_table(), |id, port| Some(self.port_record(id, port))),
            kind::MESSAGES => self.list_messages(window, query.argument),
            kind::VOUCHERS => {
                window.list(registry.voucher_table(), |id, voucher| Some(self.voucher_record(id, voucher)))
            }
            kind::INHERITS => {
                window.list(ipc.importance().inherit_table(), |id, inherit| Some(self.inherit_record(id, inherit)))
            }
            kind::ACCOUNTS => window.list(bank.table(), |_, element| self.account_record(element)),
            kind::ELEMENTS => {
                window.list(ipc.importance().element_table(), |id, element| Some(self.element_record(id, element)))
            }
            kind::CHECK => {
                check_all(self);
                window.end();
                Ok(())
            }
            _ => Err(KERN_INVALID_ARGUMENT),
        }
    }
}

/// Returns a count as it stands in a record.
fn word(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}
