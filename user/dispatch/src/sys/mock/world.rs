//! The state that all tasks share, and references to what is in it.

use super::messages::Port;
use super::threads::ThreadRecord;
use super::vouchers::{Content, Pair, VoucherEntry};
use super::{TaskNote, TaskSpec};
use abi::code::{KERN_INVALID_CAPABILITY, KERN_INVALID_NAME};
use abi::port::MACH_PORT_NULL;
use abi::{KernReturn, PortName};
use alloc::collections::BTreeMap;
use std::vec::Vec;

pub(super) struct State {
    pub tasks: Vec<Task>,
    pub vouchers: BTreeMap<u32, VoucherEntry>,
    /// The voucher with each content: equal ones are the same.
    pub contents: BTreeMap<Content, u32>,
    pub pairs: BTreeMap<(usize, usize), Pair>,
    pub ports: BTreeMap<u32, Port>,
    pub threads: BTreeMap<PortName, ThreadRecord>,
    pub time: u64,
    pub processors: usize,
    pub activity_ids: u64,
    next_object: u32,
}

pub(super) struct Task {
    pub spec: TaskSpec,
    pub names: BTreeMap<PortName, Entry>,
    pub boosts: u32,
    pub refuses_vouchers: bool,
    pub fails_next_send: Option<KernReturn>,
    pub created_vouchers: u32,
    /// What the task has told, if events are recorded.
    pub notes: Option<Vec<TaskNote>>,
    pub debug_port: PortName,
    next_name: u32,
}

/// What a name denotes, and how often.
pub(super) struct Entry {
    pub object: Object,
    pub send: u32,
    pub send_once: u32,
    pub receive: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Object {
    Voucher(u32),
    Port(u32),
    Set(u32),
}

impl State {
    pub(super) fn new() -> State {
        State {
            tasks: Vec::new(),
            vouchers: BTreeMap::new(),
            contents: BTreeMap::new(),
            pairs: BTreeMap::new(),
            ports: BTreeMap::new(),
            threads: BTreeMap::new(),
            time: 1_000_000_000,
            processors: 2,
            activity_ids: 100,
            next_object: 1,
        }
    }

    pub(super) fn add_task(&mut self, spec: TaskSpec) -> usize {
        self.tasks.push(Task {
            spec,
            names: BTreeMap::new(),
            boosts: 0,
            refuses_vouchers: false,
            fails_next_send: None,
            notes: None,
            debug_port: MACH_PORT_NULL,
            created_vouchers: 0,
            next_name: 1,
        });
        self.tasks.len() - 1
    }

    pub(super) fn new_object(&mut self) -> u32 {
        self.next_object += 1;
        self.next_object
    }

    pub(super) fn thread(&mut self, name: PortName) -> &mut ThreadRecord {
        self.threads.entry(name).or_default()
    }

    pub(super) fn end_thread(&mut self, name: PortName) {
        if let Some(voucher) = self.threads.remove(&name).and_then(|thread| thread.voucher) {
            self.release_voucher(voucher);
        }
    }

    /// Returns the name of a task for an object, under which it has a send or receive right, or a new one.
    pub(super) fn name_for(&mut self, task: usize, object: Object) -> PortName {
        let task = &mut self.tasks[task];
        let known = task.names.iter().find(|(_, entry)| entry.object == object && entry.send_once == 0);
        if let Some((&name, _)) = known {
            return name;
        }
        task.new_name(object)
    }

    /// Adds a reference to a send right, which takes the caller's reference to the object over.
    pub(super) fn add_send(&mut self, task: usize, object: Object) -> PortName {
        let name = self.name_for(task, object);
        let entry = self.tasks[task].names.get_mut(&name).expect("the name exists");
        entry.send += 1;
        // The space holds one reference to the object, however many the name has.
        if let (Object::Voucher(voucher), true) = (object, entry.send > 1) {
            self.release_voucher(voucher);
        }
        name
    }

    pub(super) fn add_send_once(&mut self, task: usize, object: Object) -> PortName {
        let task = &mut self.tasks[task];
        let name = task.new_name(object);
        task.names.get_mut(&name).expect("the name exists").send_once = 1;
        name
    }

    pub(super) fn release_send(&mut self, task: usize, name: PortName) -> Result<(), KernReturn> {
        let entry = self.tasks[task].names.get_mut(&name).ok_or(KERN_INVALID_NAME)?;
        if entry.send == 0 {
            return Err(KERN_INVALID_CAPABILITY);
        }
        entry.send -= 1;
        if entry.send > 0 {
            return Ok(());
        }
        let object = entry.object;
        self.tasks[task].forget_if_empty(name);
        if let Object::Voucher(voucher) = object {
            self.release_voucher(voucher);
        }
        Ok(())
    }

    /// Returns the voucher that a name denotes.
    pub(super) fn voucher_of(&self, task: usize, name: PortName) -> Option<u32> {
        match self.tasks[task].names.get(&name)?.object {
            Object::Voucher(voucher) => Some(voucher),
            _ => None,
        }
    }
}

impl Task {
    fn new_name(&mut self, object: Object) -> PortName {
        // A name is never used twice, so that a use of one that is gone shows.
        let name = PortName(self.next_name << 8 | 3);
        self.next_name += 1;
        self.names.insert(name, Entry { object, send: 0, send_once: 0, receive: false });
        name
    }

    pub(super) fn forget_if_empty(&mut self, name: PortName) {
        let entry = &self.names[&name];
        let is_set = matches!(entry.object, Object::Set(_));
        if entry.send == 0 && entry.send_once == 0 && !entry.receive && !is_set {
            self.names.remove(&name);
        }
    }
}
