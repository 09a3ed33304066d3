//! [`Snapshot`]: the records of all objects of the kernel, and the ways between them.

use super::work::Answer;
use crate::inspect;
use abi::inspect::*;
use abi::{KernReturn, PortName};
use alloc::string::String;
use alloc::vec::Vec;

/// All records, taken in one go. Nothing else of user 0 runs meanwhile unless it has a higher priority, so a record may
/// name an object that is gone already.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// All tasks, by pid.
    pub tasks: Vec<TaskRecord>,
    /// All threads, by number.
    pub threads: Vec<ThreadRecord>,
    /// All ports.
    pub ports: Vec<PortRecord>,
    /// All messages.
    pub messages: Vec<MessageRecord>,
    /// All vouchers.
    pub vouchers: Vec<VoucherRecord>,
    /// All inherits.
    pub inherits: Vec<InheritRecord>,
    /// All accounts.
    pub accounts: Vec<AccountRecord>,
    /// All importance elements.
    pub elements: Vec<ElementRecord>,
    /// The names of the tasks that were asked for, by pid.
    pub names: Vec<(u32, NameRecord)>,
    /// What tasks have answered to questions about their queues, by pid.
    pub work: Vec<(u32, Answer)>,
}

/// Returns all records of a kind.
fn all<R>(kind: u32, argument: u64) -> Result<Vec<R>, KernReturn>
where
    R: Default + Copy + zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable,
{
    let mut records = Vec::new();
    inspect::list(kind, argument, |record: &R| records.push(*record))?;
    Ok(records)
}

impl Snapshot {
    /// Takes the records of all objects but names.
    ///
    /// # Errors
    /// Those of the trap.
    pub fn take() -> Result<Snapshot, KernReturn> {
        let mut snapshot = Snapshot {
            tasks: all(kind::TASKS, 0)?,
            threads: all(kind::THREADS, 0)?,
            ports: all(kind::PORTS, 0)?,
            messages: all(kind::MESSAGES, 0)?,
            vouchers: all(kind::VOUCHERS, 0)?,
            inherits: all(kind::INHERITS, 0)?,
            accounts: all(kind::ACCOUNTS, 0)?,
            elements: all(kind::ELEMENTS, 0)?,
            names: Vec::new(),
            work: Vec::new(),
        };
        snapshot.tasks.sort_by_key(|task| task.pid);
        snapshot.threads.sort_by_key(|thread| thread.thread);
        Ok(snapshot)
    }

    /// Adds the names of all tasks.
    ///
    /// # Errors
    /// Those of the trap.
    pub fn with_names(mut self) -> Result<Snapshot, KernReturn> {
        for task in self.tasks.iter().filter(|task| task.flags & TASK_ENDED == 0) {
            let names: Vec<NameRecord> = all(kind::NAMES, task.pid.into())?;
            self.names.extend(names.into_iter().map(|name| (task.pid, name)));
        }
        Ok(self)
    }

    /// Returns what a name of a task denotes.
    pub fn object_named(&self, pid: u32, name: PortName) -> Option<ObjectNumber> {
        let found = self.names.iter().find(|(owner, record)| *owner == pid && record.name == name.0);
        found.map(|(_, record)| record.object).filter(|&object| object != 0)
    }

    /// Returns the task with a pid.
    pub fn task(&self, pid: u32) -> Option<&TaskRecord> {
        self.tasks.iter().find(|task| task.pid == pid)
    }

    /// Returns the live task that a word names: its pid, or the name of its program if only one task has that.
    ///
    /// # Errors
    /// A line for the user.
    pub fn task_named(&self, word: &str) -> Result<&TaskRecord, String> {
        if let Ok(pid) = word.parse() {
            return self.task(pid).ok_or_else(|| alloc::format!("there is no task with the pid {pid}; see `tasks`"));
        }
        let mut found = self.tasks.iter().filter(|task| name_of(task) == word && task.flags & TASK_ENDED == 0);
        match (found.next(), found.next()) {
            (Some(task), None) => Ok(task),
            (Some(_), Some(_)) => Err(alloc::format!("several tasks are called {word}: give the pid; see `tasks`")),
            (None, _) => Err(alloc::format!("no task is called {word}; see `tasks`")),
        }
    }

    /// Returns how people call a task: the name of its program and its pid.
    pub fn who(&self, pid: u32) -> String {
        match self.task(pid) {
            Some(task) => alloc::format!("{} (pid {pid})", name_of(task)),
            None if pid == 0 => String::from("the kernel"),
            None => alloc::format!("a task that has ended (pid {pid})"),
        }
    }

    /// Returns the shortest unambiguous name of a task.
    pub fn brief(&self, pid: u32) -> String {
        match self.task(pid) {
            Some(task) if self.tasks.iter().filter(|other| name_of(other) == name_of(task)).count() == 1 => {
                String::from(name_of(task))
            }
            _ => self.who(pid),
        }
    }

    /// Returns the port with a number.
    pub fn port(&self, number: ObjectNumber) -> Option<&PortRecord> {
        self.ports.iter().find(|port| port.port == number)
    }

    /// Returns the thread with a number.
    pub fn thread(&self, number: u64) -> Option<&ThreadRecord> {
        self.threads.iter().find(|thread| thread.thread == number)
    }

    /// Returns the element with a number.
    pub fn element(&self, number: ObjectNumber) -> Option<&ElementRecord> {
        self.elements.iter().find(|element| element.element == number)
    }

    /// Returns the inherit with a number.
    pub fn inherit(&self, number: ObjectNumber) -> Option<&InheritRecord> {
        self.inherits.iter().find(|inherit| inherit.inherit == number)
    }

    /// Returns the inherits into a task's element.
    pub fn inherits_into(&self, element: ObjectNumber) -> impl Iterator<Item = &InheritRecord> {
        self.inherits.iter().filter(move |inherit| inherit.to == element)
    }

    /// Returns the threads of a task.
    pub fn threads_of(&self, pid: u32) -> impl Iterator<Item = &ThreadRecord> {
        self.threads.iter().filter(move |thread| thread.pid == pid)
    }

    /// Returns the task for which the boosts of a port count: the one that has the receive right, or towards which it
    /// travels.
    pub fn beneficiary(&self, port: &PortRecord) -> Option<u32> {
        let mut port = port;
        // A circle cannot exist, but a snapshot may catch one.
        for _ in 0..self.ports.len() {
            match port.home {
                home::TASK => return Some(port.pid),
                home::TRANSIT => port = self.port(port.home_object)?,
                _ => return None,
            }
        }
        None
    }
}

/// Returns the name of a task's program.
pub fn name_of(task: &TaskRecord) -> &str {
    let end = task.name.iter().position(|&byte| byte == 0).unwrap_or(task.name.len());
    core::str::from_utf8(&task.name[..end]).unwrap_or("?")
}
