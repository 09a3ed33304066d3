//! The supervisor: it runs a task to its end and serves the name service at the task's bootstrap port meanwhile.

use crate::names::{Job, Registry};
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now};
use crate::{policy, println, thread};
use abi::policy::TASK_CATEGORY_POLICY;
use abi::port::Disposition;
use abi::qos::{Qos, Role};
use abi::task::ExitStatus;
use abi::{KernReturn, PortName};

/// Milliseconds that a terminated task may take to end.
const TERMINATION_LIMIT: u32 = 20_000;

/// Puts the calling task, of user 0, above every program that has no privilege: it gets the role control, and the calling
/// thread the priority of the task, 48. Threads of a program that user 0 has given no such role reach 47, if they are an
/// application's in the foreground. So a supervisor answers and can end a program that spins.
///
/// # Errors
/// Those of `task_policy_set` and `thread_create`.
pub fn take_control() -> Result<(), KernReturn> {
    policy::set_task_policy(port::task_self(), TASK_CATEGORY_POLICY, &[Role::Control as u32])?;
    thread::set_own_qos(Qos::Unspecified)
}

/// A runner of tasks, one after the other.
#[derive(Debug)]
pub struct Supervisor {
    /// The port for exit messages.
    exits: Port,
    /// The name service at the tasks' bootstrap port.
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
        let (registry, exits) = (Registry::new(), Port::new());
        registry.add_member(exits.name());
        Supervisor { exits, registry }
    }

    /// Returns a supervisor whose task [takes control](take_control), or says why it cannot.
    pub fn in_control() -> Supervisor {
        let supervisor = Supervisor::new();
        if let Err(code) = take_control() {
            println!("init: programs can keep it from running: {code}");
        }
        supervisor
    }

    /// Makes the kernel's tables for this task as large as the name service lets them become, so that later programs leave
    /// the kernel's memory as it was.
    pub fn grow_tables(&self) {
        self.registry.grow_tables();
    }

    /// Declares a job for the next task: programs that the name service starts when they are wanted.
    ///
    /// # Errors
    /// Those of [`Registry::declare`].
    pub fn declare(&mut self, job: Job) -> Result<(), KernReturn> {
        self.registry.declare(job)
    }

    /// Starts a task and waits for its end. Terminates it after `limit` milliseconds, unless the limit is 0. Forgets
    /// the services and jobs that were registered meanwhile, so that the next task finds all names free.
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
        let spawn = spawn.bootstrap(self.registry.port()).exit_port(self.exits.name());
        let task = spawn.start().map_err(|code| {
            self.registry.clear();
            Failure::NoStart(code)
        })?;
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
            let Some(message) = self.registry.receive(self.exits.name(), deadline).map_err(Failure::NoPorts)? else {
                return Ok(None);
            };
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
