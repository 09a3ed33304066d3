//! [`Kernel`]: the tasks, ports and clock of a [`World`](super::World).

use std::collections::{BTreeMap, VecDeque};
use voucher::VoucherId;
use voucher::importance::{
    ElementId, Environment, LinkId, LivePolicy, Marks, Place, PortBoosts, PortNumber, TaskNumber,
};

/// The kind of a task's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An application.
    App,
    /// A daemon that runs in the background unless it is boosted.
    Adaptive,
    /// An ordinary daemon.
    Standard,
    /// A daemon that the user waits for.
    Interactive,
    /// A program that can give and receive nothing: a background daemon, a driver, or an untyped program.
    Other,
}

impl Kind {
    /// Returns the marks of a new task (importance 2.1). Those of an application become those of a donor by its policy.
    pub fn marks(self) -> Marks {
        let none = Marks::default();
        match self {
            Kind::App => Marks { denap: true, live_donor: true, ..none },
            Kind::Adaptive => Marks { receiver: true, ..none },
            Kind::Standard | Kind::Interactive => Marks { donor: true, ..none },
            Kind::Other => none,
        }
    }
}

/// A task.
#[derive(Debug)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Its importance, until its end.
    pub element: Option<ElementId>,
    /// The kind of its program.
    pub kind: Kind,
    /// Its role (importance 2.5).
    pub role: u32,
    /// App Nap is on.
    pub napped: bool,
    /// Another process has put it into the background.
    pub external_background: bool,
    /// The policy bit, as importance has reported it.
    pub boosted: bool,
    /// The user references to vouchers.
    pub vouchers: BTreeMap<VoucherId, u32>,
    /// It has ended.
    pub ended: bool,
}

/// The role that puts an application into the background.
const ROLE_DARWINBG: u32 = 8;

impl Task {
    /// Returns what the policy of the task wants (importance 2.4).
    pub fn live_policy(&self) -> LivePolicy {
        let wants = self.kind == Kind::App && !self.external_background && self.role != ROLE_DARWINBG;
        LivePolicy { unboosted: wants && !self.napped, boosted: wants }
    }
}

/// Where a port's receive right is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// In the space of the task with this number.
    Task(usize),
    /// In a message to this port.
    Transit(PortNumber),
    /// Nowhere yet.
    Limbo,
}

/// A live port.
#[derive(Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its importance.
    pub boosts: PortBoosts,
    /// Where its receive right is.
    pub holder: Holder,
    /// The number of messages beyond which senders wait.
    pub limit: usize,
    /// The messages in the queue.
    pub queue: VecDeque<u32>,
    /// The messages whose senders wait for room.
    pub blocked: VecDeque<u32>,
    /// Where the receive right goes instead of dying.
    pub notify: Option<PortNumber>,
    /// The tasks that want to be told when the queue has room, and whether they were refused since.
    pub requests: Vec<(usize, bool)>,
}

impl Port {
    /// Returns true if a sender has to wait.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= self.limit
    }
}

/// A message on its way.
#[derive(Debug)]
pub struct Message {
    /// The task that sent it, or `None` for the kernel.
    pub sender: Option<usize>,
    /// Its destination.
    pub port: PortNumber,
    /// Its importance.
    pub link: Option<LinkId>,
    /// Its voucher, with a right.
    pub voucher: Option<VoucherId>,
    /// The voucher's right was moved, not copied.
    pub voucher_moved: bool,
    /// The ports whose receive rights it carries.
    pub rights: Vec<PortNumber>,
    /// Vouchers in the body, with rights.
    pub body_vouchers: Vec<VoucherId>,
    /// Its sender waits for room.
    pub blocked: bool,
}

/// The tasks, ports and clock. A task's and a port's number is its place in the order of creation.
#[derive(Debug)]
pub struct Kernel {
    /// All tasks there ever were.
    pub tasks: Vec<Task>,
    /// All ports there ever were; `None` for a dead one.
    pub ports: Vec<Option<Port>>,
    /// The names of all ports there ever were.
    pub port_names: Vec<String>,
    /// The time in nanoseconds.
    pub now: u64,
    /// The process id of the first task. The others follow.
    pub first_process: i32,
}

impl Default for Kernel {
    fn default() -> Self {
        Kernel { tasks: Vec::new(), ports: Vec::new(), port_names: Vec::new(), now: 1_000_000_000, first_process: 100 }
    }
}

impl Kernel {
    /// Returns the number of a live task.
    pub fn task_number(&self, name: &str) -> Option<usize> {
        self.tasks.iter().rposition(|task| task.name == name && !task.ended)
    }

    /// Returns a live task.
    pub fn task(&self, name: &str) -> &Task {
        &self.tasks[self.task_number(name).unwrap_or_else(|| panic!("there is no task {name}"))]
    }

    /// Returns the number of the port with this name, dead or alive.
    pub fn port_number(&self, name: &str) -> Option<PortNumber> {
        self.port_names.iter().rposition(|port| port == name).map(|index| index as PortNumber)
    }

    /// Returns a live port.
    pub fn port_of(&self, number: PortNumber) -> Option<&Port> {
        self.ports[number as usize].as_ref()
    }

    /// Returns a live port.
    pub fn port_mut(&mut self, number: PortNumber) -> Option<&mut Port> {
        self.ports[number as usize].as_mut()
    }

    /// Returns the numbers of all live ports.
    pub fn live_ports(&self) -> Vec<PortNumber> {
        (0..self.ports.len()).filter(|&index| self.ports[index].is_some()).map(|index| index as u64).collect()
    }

    /// Returns the place of a receive right as importance sees it.
    pub fn place(&self, holder: Holder) -> Place {
        match holder {
            Holder::Task(task) => Place::Space(self.tasks[task].element),
            Holder::Transit(port) => Place::Transit(port),
            Holder::Limbo => Place::Limbo,
        }
    }
}

impl Environment for Kernel {
    fn port(&mut self, port: PortNumber) -> Option<(&mut PortBoosts, Place)> {
        let place = self.place(self.port_of(port)?.holder);
        Some((&mut self.port_mut(port)?.boosts, place))
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn process_id(&self, task: TaskNumber) -> i32 {
        self.first_process + task as i32
    }
}
