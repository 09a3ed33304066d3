//! The supervisor: it runs a task to its end and serves the name service at the task's bootstrap port meanwhile.

use crate::message::{Message, is_lost, port_with_send};
use crate::names::Registry;
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now};
use abi::code::*;
use abi::port::{Disposition, MACH_PORT_RIGHT_PORT_SET, MACH_PORT_RIGHT_SEND};
use abi::task::ExitStatus;
use abi::{KernReturn, PortName};

/// Milliseconds that a terminated task may take to end.
const TERMINATION_LIMIT: u32 = 20_000;

/// A runner of tasks, one after the other.
#[derive(Debug)]
pub struct Supervisor {
    /// The tasks' bootstrap port, to which they send requests.
    services: Port,
    /// The port for exit messages.
    exits: Port,
    /// A set of both ports.
    all: PortName,
    registry: Registry,
}

/// The end of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The status in the exit message.
    pub status: ExitStatus,
    /// True if the supervisor terminated the task because its time was over.
    pub timed_out: bool,
}

/// The reason why a task was not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `task_spawn` refused to start it.
    NoStart(KernReturn),
    /// The supervisor cannot receive on its own ports any more. The task was terminated.
    NoPorts(KernReturn),
}

impl Supervisor {
    /// Returns a supervisor with an empty name service.
    pub fn new() -> Supervisor {
        let services = port_with_send();
        let exits = Port::new();
        let all = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set");
        for member in [&services, &exits] {
            port::insert_member(member.name(), all).expect("a fresh port joins a set");
        }
        Supervisor { services, exits, all, registry: Registry::new() }
    }

    /// Starts a task and waits for its end. Terminates it after `limit` milliseconds, unless the limit is 0. Forgets
    /// the services that were registered meanwhile, so that the next task finds all names free.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&mut self, spawn: Spawn, limit: u32) -> Result<End, Failure> {
        self.run_with(spawn, limit, || {})
    }

    /// Does the same, and calls `at_limit` before it terminates the task.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run_with(&mut self, spawn: Spawn, limit: u32, at_limit: impl FnOnce()) -> Result<End, Failure> {
        let spawn = spawn.bootstrap(self.services.name()).exit_port(self.exits.name());
        let task = spawn.start().map_err(Failure::NoStart)?;
        let end = self.watch(task, limit, at_limit);
        if end.is_err() {
            // Without ports the supervisor cannot learn whether the task has ended by itself.
            let _ = task::terminate(task);
        }
        port::destroy_right(task, Disposition::PORT_SEND);
        self.registry.clear();
        end
    }

    fn watch(&mut self, task: PortName, limit: u32, at_limit: impl FnOnce()) -> Result<End, Failure> {
        if let Some(status) = self.wait(limit)? {
            return Ok(End { status, timed_out: false });
        }
        at_limit();
        // The task may have ended by itself since the limit was over: then this fails, and the exit message is there.
        let _ = task::terminate(task);
        let status = self.wait(TERMINATION_LIMIT)?.expect("a terminated task ends");
        Ok(End { status, timed_out: true })
    }

    /// Serves the name service until the task ends, and returns its exit status. None if the limit, in milliseconds, is
    /// over first; 0 is no limit.
    fn wait(&mut self, limit: u32) -> Result<Option<ExitStatus>, Failure> {
        let deadline = if limit == 0 { u64::MAX } else { now() + u64::from(limit) * MILLISECOND };
        loop {
            let left = deadline.saturating_sub(now()).div_ceil(MILLISECOND).min(u64::from(u32::MAX)) as u32;
            // When the time is over only an exit message counts: requests that follow each other without a pause must
            // not keep a task alive.
            let source = if left == 0 { self.exits.name() } else { self.all };
            let message = match Message::receive_any(source, (limit != 0).then_some(left)) {
                Ok(message) => message,
                Err(MACH_RCV_TIMED_OUT) => return Ok(None),
                Err(code) if is_lost(code) => continue,
                Err(code) => return Err(Failure::NoPorts(code)),
            };
            if message.header().msgh_local_port != self.exits.name() {
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
