//! Running a task to its end, with the name service at its bootstrap port meanwhile.

use crate::message::{Message, is_lost, port_with_send};
use crate::names::Registry;
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now};
use abi::code::*;
use abi::port::{Disposition, MACH_PORT_RIGHT_PORT_SET, MACH_PORT_RIGHT_SEND};
use abi::task::ExitStatus;
use abi::{KernReturn, PortName};

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
    all: PortName,
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

/// Why a task was not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `task_spawn` refused to start it.
    NoStart(KernReturn),
    /// The supervisor cannot receive on its own ports any more. The task was terminated.
    NoPorts(KernReturn),
}

impl Supervisor {
    /// Returns one that has run nothing yet.
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
    /// terminated. The services that were registered meanwhile are forgotten, so that the next task finds all names free.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&mut self, spawn: Spawn, limit: u32) -> Result<End, Failure> {
        let spawn = spawn.bootstrap(self.services.name()).exit_port(self.ends.name());
        let task = spawn.start().map_err(Failure::NoStart)?;
        let end = self.watch(task, limit);
        if end.is_err() {
            // There is no way to hear whether it has ended by itself.
            let _ = task::terminate(task);
        }
        port::destroy_right(task, Disposition::PORT_SEND);
        self.registry.clear();
        end
    }

    fn watch(&mut self, task: PortName, limit: u32) -> Result<End, Failure> {
        if let Some(status) = self.wait(limit)? {
            return Ok(End { status, overdue: false });
        }
        // It may have ended by itself at this very moment.
        let _ = task::terminate(task);
        let status = self.wait(LAST_CHANCE)?.expect("a terminated task ends");
        Ok(End { status, overdue: true })
    }

    /// Serves the name service until a task ends. None if that takes too long.
    fn wait(&mut self, limit: u32) -> Result<Option<ExitStatus>, Failure> {
        let deadline = if limit == 0 { u64::MAX } else { now() + u64::from(limit) * MILLISECOND };
        loop {
            let left = deadline.saturating_sub(now()).div_ceil(MILLISECOND).min(u64::from(u32::MAX)) as u32;
            // When the time is over only an end counts: requests that follow each other without a pause must not keep a
            // task alive.
            let source = if left == 0 { self.ends.name() } else { self.all };
            let message = match Message::receive_any(source, (limit != 0).then_some(left)) {
                Ok(message) => message,
                Err(MACH_RCV_TIMED_OUT) => return Ok(None),
                Err(code) if is_lost(code) => continue,
                Err(code) => return Err(Failure::NoPorts(code)),
            };
            if message.header().msgh_local_port != self.ends.name() {
                self.registry.serve(message);
                continue;
            }
            let status = task::exit_status(&message);
            message.destroy();
            if status.is_some() {
                return Ok(status);
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
        self.registry.clear();
        let _ = port::mod_refs(self.services.name(), MACH_PORT_RIGHT_SEND, -1);
        let _ = port::mod_refs(self.all, MACH_PORT_RIGHT_PORT_SET, -1);
    }
}
