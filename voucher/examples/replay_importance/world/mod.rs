//! A small world of tasks, ports and messages around the crate: the part of a kernel that importance needs.
//!
//! | file | content |
//! |---|---|
//! | `kernel.rs` | [`Kernel`]: the tasks, ports and clock, as the crate sees them |
//! | `tasks.rs` | programs start, fork, exec and end; their policies |
//! | `ports.rs` | ports, their owners and their deaths |
//! | `sending.rs`, `receiving.rs` | messages |
//! | `holding.rs` | vouchers in the hands of tasks |
//! | `time.rs` | the clock and the delayed drop |

mod holding;
mod kernel;
mod ports;
mod receiving;
mod sending;
mod tasks;
mod time;

pub use holding::Item;
pub use kernel::{Holder, Kernel, Kind, Message, Port, Task};
pub use receiving::{Mode, Received};
pub use sending::Send;

use std::collections::BTreeMap;
use voucher::importance::{ElementId, Importance, InheritId, WithImportance};
use voucher::managers::importance::ImportanceManager;
use voucher::{AttributeManager, CallingTask, Driver, Key, PortBinding, Registry, VoucherId, Vouchers};

/// What happened during a call, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The policy bit of a task was set.
    Boost(String),
    /// The policy bit of a task was cleared.
    Unboost(String),
    /// The timer of the delayed drop fired at this time.
    Timer(u64),
    /// A task was told that a port has room.
    SendPossible(String, String),
}

/// The world.
pub struct World {
    /// The registry and the managers of the other keys.
    pub vouchers: Vouchers,
    /// The importance of all tasks.
    pub importance: Importance,
    /// The tasks, ports and clock.
    pub kernel: Kernel,
    /// The messages on their way, by number.
    pub messages: BTreeMap<u32, Message>,
    /// What has happened since [`take_events`](World::take_events).
    pub events: Vec<Event>,
    /// The vouchers that have died since the caller last looked.
    pub died: Vec<VoucherId>,
    /// The names of all task elements there ever were.
    pub element_names: BTreeMap<ElementId, String>,
    /// The names of all inherits there ever were.
    pub inherit_names: BTreeMap<InheritId, String>,
    /// The names of all vouchers that a task ever had.
    pub voucher_names: BTreeMap<VoucherId, String>,
    /// The policy changes that the kernel hears of at a time.
    pub changes_heard: usize,
    last_message: u32,
}

/// The registry and the managers of the other keys, with a note of each death.
pub struct Observed<'a> {
    vouchers: &'a mut Vouchers,
    died: &'a mut Vec<VoucherId>,
}

impl Driver for Observed<'_> {
    fn registry(&mut self) -> &mut Registry {
        &mut self.vouchers.registry
    }

    fn registry_ref(&self) -> &Registry {
        &self.vouchers.registry
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        self.vouchers.manager(key)
    }

    fn voucher_died(&mut self, id: VoucherId, _port: Option<PortBinding>) {
        self.died.push(id);
    }
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl World {
    /// Returns a world without tasks. The time is one second.
    pub fn new() -> World {
        let mut vouchers = Vouchers::new(1, Default::default()).expect("the heap has room");
        let key = Key::IMPORTANCE.number();
        vouchers.registry.register(key, ImportanceManager::REGISTRATION).expect("the key is free");
        World {
            vouchers,
            importance: Importance::new(1),
            kernel: Kernel::default(),
            messages: BTreeMap::new(),
            events: Vec::new(),
            died: Vec::new(),
            element_names: BTreeMap::new(),
            inherit_names: BTreeMap::new(),
            voucher_names: BTreeMap::new(),
            changes_heard: usize::MAX,
            last_message: 0,
        }
    }

    /// Makes a call that concerns importance alone, and notes the policy changes.
    fn importance<R>(&mut self, call: impl FnOnce(&mut Importance, &mut Kernel) -> R) -> R {
        let result = call(&mut self.importance, &mut self.kernel);
        self.note_changes();
        result
    }

    /// Makes a call that concerns vouchers, and notes the policy changes.
    pub fn with_vouchers<R>(&mut self, call: impl FnOnce(&mut WithImportance<'_, Observed<'_>>) -> R) -> R {
        let mut observed = Observed { vouchers: &mut self.vouchers, died: &mut self.died };
        let result = call(&mut WithImportance::new(&mut observed, &mut self.importance, &mut self.kernel));
        self.note_changes();
        result
    }

    /// Applies the policy changes: a kernel would compute the policies of the tasks anew.
    fn note_changes(&mut self) {
        for _ in 0..self.changes_heard {
            let Some(change) = self.importance.next_change() else { return };
            let task = &mut self.kernel.tasks[change.task as usize];
            assert_ne!(task.boosted, change.boosted, "only a change is reported");
            task.boosted = change.boosted;
            let name = task.name.clone();
            self.events.push(if change.boosted { Event::Boost(name) } else { Event::Unboost(name) });
        }
    }

    /// Returns what has happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Returns the importance of a live task.
    pub fn element(&self, task: &str) -> ElementId {
        self.kernel.task(task).element.expect("a live task has an element")
    }

    fn caller(&self, task: &str) -> CallingTask {
        let number = self.kernel.task_number(task).expect("the task exists");
        CallingTask { task: number as u64 + 1, bank: None, importance: self.kernel.tasks[number].element }
    }

    /// Names an inherit, unless it has a name.
    fn name_inherit(&mut self, id: InheritId) {
        let name = format!("i{}", self.inherit_names.len() + 1);
        self.inherit_names.entry(id).or_insert(name);
    }

    /// Asserts all invariants: those of importance, those of vouchers, and that both count the same.
    pub fn check(&mut self) {
        let ports = self.kernel.live_ports();
        self.importance.check(&mut self.kernel, &ports);
        self.vouchers.registry.check(true);
        let control = self.vouchers.registry.control(Key::IMPORTANCE).expect("it is registered");
        for (_, value) in control.values() {
            let source = voucher::importance::Source::from_handle(value.handle()).expect("a value has a handle");
            assert_eq!(self.importance.made(source), Some(value.made()), "made references of {source:?}");
        }
        let elements = self.importance.elements().map(|(_, element)| element.made());
        let in_use = elements.chain(self.importance.inherits().map(|(_, inherit)| inherit.made()));
        assert_eq!(in_use.filter(|&made| made > 0).count(), control.values_in_use());
        for task in self.kernel.tasks.iter().filter(|task| !task.ended) {
            let element = self.importance.element(task.element.expect("it is alive")).expect("it is alive");
            assert!(element.is_boosted() == task.boosted || element.is_untold(), "{}", task.name);
        }
    }
}
