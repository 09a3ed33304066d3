//! Running a task to its end, with the name service at its bootstrap port meanwhile.

use crate::message::{Message, port_with_send};
use crate::names::Registry;
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now};
use abi::KernReturn;
use abi::code::*;
use abi::port::{MACH_PORT_RIGHT_PORT_SET, MACH_PORT_RIGHT_SEND};
use abi::task::ExitStatus;

/// How long a task may take to end after it was terminated, in milliseconds.
const LAST_CHANCE: u32 = 20_000;

/// Runs tasks, one after the other.
#[derive(Debug)]
pub struct Supervisor {
    /// Where tasks' requests to the name service arrive.
    services: Port,
    /// Where tasks' ends are told.
    ends: Port,
    /// Both.
    all: abi::PortName,
    registry: Registry,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The kernel's word for it.
    pub status: ExitStatus,
    /// It was terminated because its time was over.
    pub overdue: bool,
}

impl Supervisor {
    /// One that has run nothing yet.
    pub fn new() -> Supervisor {
        let services = port_with_send();
        let ends = Port::new();
        let all = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set");
        for member in [&services, &ends] {
            port::insert_member(member.name(), all).expect("a fresh port joins a set");
        }
        Supervisor { services, ends, all, registry: Registry::new() }
    }

    /// Starts a task and waits for its end, for so many milliseconds at most (0: as long as it takes); then it is
    /// terminated.
    ///
    /// # Errors
    /// Those of `task_spawn`.
    pub fn run(&mut self, spawn: Spawn, limit: u32) -> Result<End, KernReturn> {
        let task = spawn.bootstrap(self.services.name()).exit_port(self.ends.name()).start()?;
        let mut overdue = false;
        let status = match self.wait(limit) {
            Some(status) => status,
            None => {
                overdue = true;
                task::terminate(task).expect("a task that has not ended can be terminated");
                self.wait(LAST_CHANCE).expect("a terminated task ends")
            }
        };
        port::deallocate(task).expect("the name of the task's port is there");
        self.registry.forget_dead();
        Ok(End { status, overdue })
    }

    /// Serves the name service until a task ends. None if that takes too long.
    fn wait(&mut self, limit: u32) -> Option<ExitStatus> {
        let deadline = if limit == 0 { u64::MAX } else { now() + u64::from(limit) * MILLISECOND };
        loop {
            let left = deadline.saturating_sub(now()).div_ceil(MILLISECOND).min(u64::from(u32::MAX)) as u32;
            let received = match deadline {
                u64::MAX => Message::receive(self.all),
                _ => Message::receive_within(self.all, left),
            };
            let message = match received {
                Ok(message) => message,
                Err(MACH_RCV_TIMED_OUT) => return None,
                // A message that is too large for this protocol is gone.
                Err(_) => continue,
            };
            if message.header().msgh_local_port != self.ends.name() {
                self.registry.serve(&message);
            } else if let Some(status) = task::exit_status(&message) {
                return Some(status);
            }
        }
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Supervisor::new()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = port::mod_refs(self.services.name(), MACH_PORT_RIGHT_SEND, -1);
        let _ = port::mod_refs(self.all, MACH_PORT_RIGHT_PORT_SET, -1);
    }
}
