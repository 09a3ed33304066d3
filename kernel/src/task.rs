//! Tasks: what the kernel knows of each, what it may use, and how it ends.

use crate::ipc::names::{Holding, Space};
use crate::ipc::port::{Port, PortId};
use crate::ipc::right::{Carried, Right, SendOnceRight, SendRight};
use crate::kernel::Kernel;
use crate::kobject::KernelObject;
use crate::limits::TASKS_MAX;
use crate::machine::{AddressSpace, Machine, NoMemory};
use crate::policy::TaskPolicy;
use crate::reap::{Item, Progress};
use crate::thread::{Siblings, Thread};
use crate::vm::Regions;
use abi::port::{MACH_PORT_NULL, PortName};
use abi::task::{EXIT_MESSAGE_ID, ExitMessage, ExitStatus};
use heapless::String;
use store::{Arena, Id, List};
use zerocopy::IntoBytes;

/// How many free entries of a dead task's table are passed over in one piece.
const FREE_ENTRIES_PIECE: u32 = 64;

/// Names a task.
pub type TaskId = Id<Task>;

/// All tasks, each allocated by itself like threads.
pub type Tasks = Arena<Task, 1>;

/// Who a task is for others: the identity that trailers show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User; 0 is privileged.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The task's number, never used twice; 0 for the kernel.
    pub pid: u32,
}

impl Credentials {
    /// Those on messages from the kernel: an all-zero audit token (mach-ipc 2.8).
    pub const KERNEL: Credentials = Credentials { uid: 0, gid: 1, pid: 0 };

    /// The `security_token_t`.
    pub fn token(&self) -> [u32; 2] {
        [self.uid, self.gid]
    }

    /// The `audit_token_t`: auid, euid, egid, ruid, rgid, pid, asid, pidversion (errata 6). A pid is never used again,
    /// so it is its own version.
    pub fn audit_words(&self) -> [u32; 8] {
        let Credentials { uid, gid, pid } = *self;
        if *self == Credentials::KERNEL { [0; 8] } else { [uid, uid, gid, uid, gid, pid, 0, pid] }
    }
}

/// A task.
#[derive(Debug)]
pub struct Task {
    /// What it was started as, for logs.
    pub name: String<32>,
    /// Who it is.
    pub credentials: Credentials,
    /// Its names.
    pub space: Space,
    /// Its memory.
    pub regions: Regions,
    /// Where the machine keeps that memory.
    pub address_space: AddressSpace,
    /// Its threads.
    pub threads: List<Thread, Siblings>,
    /// Type, role and clamp, and what follows from them.
    pub policy: TaskPolicy,
    /// Its control port.
    pub control_port: PortId,
    /// Its name port, made when somebody first asks for it.
    pub name_port: Option<PortId>,
    /// Its bootstrap port.
    pub bootstrap: Carried,
    /// Whom to tell when nothing of it is left.
    pub exit_port: Option<SendOnceRight>,
    /// Kernel memory on its budget.
    pub kernel_bytes: usize,
    /// How it ended, once it has: from then on it is being taken apart.
    pub ended: Option<Ending>,
    /// Its place on the list of what is taken apart.
    pub reap_next: Option<Item>,
}

/// A task that is being taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// How it ended.
    pub status: ExitStatus,
    stage: Stage,
}

/// The order of termination (errata 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Receive rights, from this index on.
    ReceiveRights(u32),
    /// All other names, from this index on.
    Names(u32),
    Ports,
    Memory,
}

/// Identity and place of a task to be made.
#[derive(Debug)]
pub struct NewTask {
    /// See [`Task::name`].
    pub name: String<32>,
    /// User and group; the pid is given.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// See [`Task::policy`].
    pub policy: TaskPolicy,
}

impl Kernel {
    /// Makes a task without threads, names or memory.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none, there are too many tasks or the process numbers are used up; nothing has changed.
    pub(crate) fn create_task(&mut self, m: &mut dyn Machine, new: NewTask) -> Result<TaskId, NoMemory> {
        if self.tasks.len() >= TASKS_MAX || self.pids >= self.limits.process_number_max {
            return Err(NoMemory);
        }
        self.tasks.reserve()?;
        self.ports.reserve()?;
        let address_space = m.create_address_space()?;
        self.pids += 1;
        let credentials = Credentials { uid: new.uid, gid: new.gid, pid: self.pids };
        let seed = self.next_seed();
        let (tasks, ports) = (&mut self.tasks, &mut self.ports);
        let names = self.limits.names_per_task;
        Ok(tasks.insert_reserved(|id| Task {
            name: new.name,
            credentials,
            space: Space::new(names, seed),
            regions: Regions::default(),
            address_space,
            threads: List::new(),
            policy: new.policy,
            control_port: ports.insert_reserved(|_| Port::kernel(KernelObject::Task(id))),
            name_port: None,
            bootstrap: Carried::Null,
            exit_port: None,
            kernel_bytes: 0,
            ended: None,
            reap_next: None,
        }))
    }

    /// Puts kernel memory on a task's budget.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget is used up.
    #[inline]
    pub fn charge(&mut self, task: TaskId, bytes: usize) -> Result<(), NoMemory> {
        store::failpoints::check()?;
        let Some(payer) = self.tasks.get_mut(task) else { return Err(NoMemory) };
        if bytes > self.limits.kernel_bytes_per_task.saturating_sub(payer.kernel_bytes) {
            return Err(NoMemory);
        }
        payer.kernel_bytes += bytes;
        Ok(())
    }

    /// Takes kernel memory off a task's budget, if the task still exists.
    #[inline]
    pub fn refund(&mut self, task: TaskId, bytes: usize) {
        if let Some(payer) = self.tasks.get_mut(task) {
            payer.kernel_bytes -= bytes;
        }
    }

    /// Whether a task exists and has not ended.
    #[inline]
    pub fn is_live_task(&self, task: TaskId) -> bool {
        self.tasks.get(task).is_some_and(|task| task.ended.is_none())
    }

    /// Ends a task. Its ports stop to mean it and its threads end at once; the rest follows piece by piece.
    pub(crate) fn end_task(&mut self, task: TaskId, status: ExitStatus) {
        let ending = &mut self.tasks[task];
        if ending.ended.is_some() {
            return;
        }
        ending.ended = Some(Ending { status, stage: Stage::ReceiveRights(0) });
        let mut next = ending.threads.front();
        while let Some(thread) = next {
            next = self.tasks[task].threads.after(&self.threads, thread);
            self.doom_thread(thread);
        }
        self.reap_later(Item::Task(task));
    }

    /// Takes an ended task apart by one piece.
    pub(crate) fn reap_task(&mut self, m: &mut dyn Machine, task: TaskId) -> Progress {
        assert!(self.tasks[task].threads.is_empty(), "threads end before their task is taken apart");
        let stage = self.tasks[task].ended.expect("only ended tasks are taken apart").stage;
        let next = match stage {
            Stage::ReceiveRights(index) => match self.next_name(task, index) {
                Some((name, next)) => {
                    name.into_iter().for_each(|name| self.end_receive_name(m, task, name));
                    Stage::ReceiveRights(next)
                }
                None => Stage::Names(0),
            },
            Stage::Names(index) => match self.next_name(task, index) {
                Some((name, next)) => {
                    name.into_iter().for_each(|name| self.destroy_name(m, task, name));
                    Stage::Names(next)
                }
                None => Stage::Ports,
            },
            Stage::Ports => {
                self.end_task_ports(m, task);
                Stage::Memory
            }
            Stage::Memory => {
                if !self.unmap_some(m, task) {
                    self.forget_task(m, task);
                    return Progress::Done;
                }
                Stage::Memory
            }
        };
        self.tasks[task].ended.as_mut().expect("it has ended").stage = next;
        Progress::More
    }

    /// The first name from an index on, if it is near, and where to look next; nothing at the end of the table.
    fn next_name(&self, task: TaskId, from: u32) -> Option<(Option<PortName>, u32)> {
        let space = &self.tasks[task].space;
        let end = space.capacity().min(from + FREE_ENTRIES_PIECE);
        let found = (from..end).find_map(|index| space.name_at(index));
        (from < end).then_some((found, found.map_or(end, |name| name.index() + 1)))
    }

    /// First pass: receive rights go before everything else (mach-ipc 6.6 step 4).
    fn end_receive_name(&mut self, m: &mut dyn Machine, task: TaskId, name: PortName) {
        let entry = self.tasks[task].space.get(name).expect("the name is there");
        if matches!(entry.holding, Holding::Receive { .. }) {
            self.destroy_name(m, task, name);
        }
    }

    /// Special ports and the task's own.
    fn end_task_ports(&mut self, m: &mut dyn Machine, task: TaskId) {
        let bootstrap = self.tasks[task].bootstrap.take();
        self.destroy_carried(m, bootstrap);
        self.destroy_port(self.tasks[task].control_port);
        if let Some(port) = self.tasks[task].name_port {
            self.destroy_port(port);
        }
    }

    /// Last: the address space goes, and the exit message.
    fn forget_task(&mut self, m: &mut dyn Machine, task: TaskId) {
        let gone = self.tasks.remove(task).expect("a task is removed once");
        m.destroy_address_space(gone.address_space);
        let status = gone.ended.expect("it has ended").status;
        if Some(task) == self.first_task {
            self.exit_status = Some(status);
        }
        if let Some(to) = gone.exit_port {
            let message = ExitMessage::new(status);
            self.send_from_kernel(m, to, EXIT_MESSAGE_ID, message.as_bytes(), None);
        }
    }

    /// A send right of a task's bootstrap port for somebody else: a child, or who asks.
    pub(crate) fn copy_bootstrap(&mut self, task: TaskId) -> Carried {
        match self.tasks[task].bootstrap.port() {
            Some(port) if self.live_port(port).is_some() => Carried::Right(Right::Send(self.copy_send(port))),
            Some(_) => Carried::Dead,
            None => match self.tasks[task].bootstrap {
                Carried::Dead => Carried::Dead,
                _ => Carried::Null,
            },
        }
    }

    /// Gives a task a name for one of the kernel's own ports, or null if that fails (mach-ipc 5.4).
    pub(crate) fn name_kernel_port(&mut self, m: &mut dyn Machine, task: TaskId, port: PortId) -> PortName {
        let right: SendRight = self.make_send(port);
        match self.copy_out_right(task, Right::Send(right)) {
            Ok(name) => name,
            Err((right, _)) => {
                self.destroy_right(m, right);
                MACH_PORT_NULL
            }
        }
    }
}
