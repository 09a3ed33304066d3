//! Tasks: their records and their memory.
//!
//! [`Tasks`] owns the records and keeps the rules of memory. A task's names are in its space (`ipc`), its threads
//! belong to the scheduler (`sched`), and tasks begin and end in `lifetime.rs`.
//!
//! | module | what it is |
//! |---|---|
//! | [`regions`] | a task's memory |
//! | [`frames`] | how many page frames a task may have |
//! | [`program`] | loading a program into memory |
//! | `start` | a task that is being started |

pub mod frames;
pub mod program;
pub mod regions;
pub(crate) mod start;

use crate::credentials::{Credentials, Identity, SystemPersonas};
use crate::ids::{CoalitionId, PortId, SpaceId, TaskId, tag};
use crate::ipc::right::{Carried, SendOnceRight};
use crate::limits::{Limits, TASKS_MAX};
use crate::machine::{AddressSpace, NoMemory};
use crate::policy::TaskPolicy;
use crate::sched::ThreadList;
use crate::sched::run_time::Used;
use abi::task::ExitStatus;
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};
use foldhash::fast::FixedState;
use frames::Frames;
use heapless::String;
use regions::Regions;
use start::Start;
use store::{Compaction, LinearMap, Singles};
use voucher::managers::bank::BankElementId;

/// A task.
#[derive(Debug)]
pub struct Task {
    /// The name of its program, for logs.
    pub name: String<32>,
    /// Its identity as messages show it.
    pub credentials: Credentials,
    /// Its parent, persona and properties.
    pub identity: Identity,
    /// Its space of port names.
    pub space: SpaceId,
    /// Its coalition.
    pub coalition: CoalitionId,
    /// Its memory.
    pub(crate) regions: Regions,
    /// Its page frames.
    pub(crate) frames: Frames,
    /// The machine's address space for that memory.
    pub address_space: AddressSpace,
    /// Its threads.
    pub threads: ThreadList,
    /// Its requested policy.
    pub policy: TaskPolicy,
    /// The current step is to give its threads new priorities. A task is noted once, so that it needs one place.
    pub(crate) policy_noted: bool,
    /// Its control port.
    pub control_port: PortId,
    /// Its name port, once a program has asked for it.
    pub name_port: Option<PortId>,
    /// Its bootstrap port.
    pub bootstrap: Carried,
    /// The port at which its libraries answer a debugger.
    pub debug_port: Carried,
    /// Its record in the bank, until its ports end (vouchers 6.3.2).
    pub bank: Option<BankElementId>,
    /// What those of its threads have used that have ended.
    pub(crate) ended_threads: Used,
    /// The right to which its exit message goes.
    pub exit_port: Option<SendOnceRight>,
    /// Its start, if that takes more than one step: one element until its first thread is made.
    pub(crate) start: Vec<Start>,
    /// Its ending, once it has ended. From then on it is being taken apart.
    pub(crate) ended: Option<Ending>,
}

/// A task that is being taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The exit status.
    pub status: ExitStatus,
    /// The part that is taken apart next.
    pub(crate) stage: Stage,
}

/// The parts of an ended task, in the order in which they are taken apart (errata 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its threads, which do not run any more.
    Threads,
    /// Receive rights, from this index on.
    ReceiveRights(u32),
    /// Its budget, after those of its children.
    Budget,
    /// All other names, from this index on.
    Names(u32),
    /// Its own ports.
    Ports,
    /// Its memory.
    Memory,
}

impl Task {
    /// Returns its memory.
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Returns its page frames.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Returns true if it has not ended.
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }
}

/// All tasks.
#[derive(Debug)]
pub struct Tasks {
    tasks: Singles<Task, tag::Task>,
    /// The tasks by pid.
    numbers: LinearMap<u32, TaskId, FixedState>,
    /// The last pid that was given.
    pids: u32,
    /// The personas that the system itself uses.
    pub system_personas: SystemPersonas,
    limits: Limits,
}

impl Tasks {
    /// Returns the owner of tasks, without any task.
    pub fn new(limits: Limits) -> Tasks {
        let numbers = LinearMap::new(FixedState::default());
        Tasks { tasks: Singles::new(), numbers, pids: 0, system_personas: SystemPersonas::default(), limits }
    }

    /// Makes room for one more task.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out, there are too many tasks, or all pids are used up; nothing has changed.
    pub fn make_room(&mut self) -> Result<(), NoMemory> {
        if self.tasks.len() >= TASKS_MAX || self.pids >= self.limits.process_number_max {
            return Err(NoMemory);
        }
        self.numbers.reserve()?;
        self.tasks.reserve()
    }

    /// Returns the pid that the next task gets.
    pub fn next_pid(&self) -> u32 {
        self.pids + 1
    }

    /// Adds the task that `make` returns for its id and pid. The caller has [made room](Tasks::make_room) for it.
    pub fn insert(&mut self, make: impl FnOnce(TaskId, u32) -> Task) -> TaskId {
        self.pids += 1;
        let pid = self.pids;
        let task = self.tasks.insert_reserved(|id| make(id, pid));
        self.numbers.insert_reserved(pid, task);
        task
    }

    /// Removes a task that has been taken apart, and returns its record.
    pub fn remove(&mut self, task: TaskId) -> Task {
        let removed = self.tasks.remove(task).expect("the task has not been removed before");
        self.numbers.remove(&removed.credentials.pid).expect("every task is known by its pid");
        removed
    }

    /// Returns the live task with this pid.
    pub fn with_pid(&self, pid: u32) -> Option<TaskId> {
        self.numbers.get(&pid).copied().filter(|&task| self.is_live(task))
    }

    /// Returns the task, unless it has been removed.
    pub fn get(&self, task: TaskId) -> Option<&Task> {
        self.tasks.get(task)
    }

    /// Returns the task, unless it has been removed.
    pub fn get_mut(&mut self, task: TaskId) -> Option<&mut Task> {
        self.tasks.get_mut(task)
    }

    /// Returns true if the task has not been removed. It may have ended.
    pub fn contains(&self, task: TaskId) -> bool {
        self.tasks.contains(task)
    }

    /// Returns true if the task exists and has not ended.
    #[inline]
    pub fn is_live(&self, task: TaskId) -> bool {
        self.tasks.get(task).is_some_and(Task::is_live)
    }

    /// Returns all tasks. For checks and printouts.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks.iter()
    }

    /// Returns the table of tasks. For printouts.
    pub fn table(&self) -> &Singles<Task, tag::Task> {
        &self.tasks
    }

    /// Panics unless every task is known by its pid and by no other number.
    pub fn check(&self) {
        assert_eq!(self.numbers.len(), self.tasks.len(), "every pid is that of one task");
        self.check_frames();
        for (id, task) in self.tasks.iter() {
            assert_eq!(self.numbers.get(&task.credentials.pid), Some(&id), "{id:?} is known by its pid");
        }
    }

    /// Gives back what the table does not need any more, up to a bound, and returns true if there is more.
    pub(crate) fn trim(&mut self) -> bool {
        self.tasks.trim() || self.numbers.trim()
    }

    /// Goes on with a round of compaction.
    pub(crate) fn compact(&mut self, compaction: &mut Compaction) {
        self.tasks.compact(compaction, |_, _| {});
    }

    /// Returns the number of tasks.
    pub fn count(&self) -> usize {
        self.tasks.len()
    }
}

/// Access to a task that is known not to have been removed. Panics otherwise.
impl Index<TaskId> for Tasks {
    type Output = Task;

    #[inline(always)]
    fn index(&self, task: TaskId) -> &Task {
        &self.tasks[task]
    }
}

impl IndexMut<TaskId> for Tasks {
    #[inline(always)]
    fn index_mut(&mut self, task: TaskId) -> &mut Task {
        &mut self.tasks[task]
    }
}
