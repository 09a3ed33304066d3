//! Records of tasks, threads and names.

use super::window::Window;
use super::word;
use crate::ids::ThreadId;
use crate::ipc::entry::EntryRight;
use crate::ipc::port::Role;
use crate::kernel::Kernel;
use crate::policy::mark_flags;
use crate::sched::thread::{State, Thread};
use crate::task::Task;
use abi::KernReturn;
use abi::code::KERN_INVALID_ARGUMENT;
use abi::inspect::*;

impl Kernel {
    pub(super) fn task_record(&self, task: &Task) -> TaskRecord {
        let space = self.ipc.space(task.space);
        let (used, limit) = self.ipc.use_of(space.budget()).unwrap_or_default();
        let policy = &task.policy;
        let mut flags = 0;
        let mut record = TaskRecord {
            pid: task.credentials.pid,
            parent: task.identity.parent,
            uid: task.credentials.uid,
            app_type: policy.app_type as u32,
            role: policy.role as u32,
            threads: word(task.threads.len()),
            names: space.live(),
            budget_used: used as u64,
            budget_limit: limit as u64,
            ..TaskRecord::default()
        };
        record.name[..task.name.len()].copy_from_slice(task.name.as_bytes());
        let id = self.ipc.element_of(task.space);
        if let Some((id, element)) = id.and_then(|id| Some((id, self.ipc.importance().element(id)?))) {
            record.element = id.to_bits();
            record.boosts = word(element.assertions());
            record.external = word(element.external().outstanding());
            flags |= mark_flags(element.marks()) as u32;
            flags |= if element.is_donor() { TASK_DONOR } else { 0 };
            flags |= if element.is_delayed() { TASK_DELAYED } else { 0 };
        }
        flags |= if task.is_live() { 0 } else { TASK_ENDED };
        flags |= if policy.boosted { TASK_BOOSTED } else { 0 };
        flags |= if policy.suppression.active { TASK_SUPPRESSED } else { 0 };
        record.flags = flags;
        if let Some(bank) = task.bank {
            let balance = self.vouchers.system().bank.balance(bank);
            (record.billed_time, record.serviced_time) = (balance.billed.cpu, balance.serviced.cpu);
            (record.billed_energy, record.serviced_energy) = (balance.billed.energy, balance.serviced.energy);
        }
        record.cpu_time = self.used_by(task).time;
        record
    }

    /// Returns the records of all threads. For the report of a panic: it allocates nothing.
    pub fn thread_records(&self) -> impl Iterator<Item = ThreadRecord> {
        self.sched.iter().map(|(_, thread)| self.thread_record(thread))
    }

    pub(super) fn thread_record(&self, thread: &Thread) -> ThreadRecord {
        let (wait, wait_object) = waits_for(thread);
        ThreadRecord {
            thread: thread.number(),
            pid: self.tasks[thread.task()].credentials.pid,
            base: thread.schedule().base.into(),
            priority: thread.schedule().priority.into(),
            requested: thread.policy().requested.to_pthread(),
            effective: thread.policy().raised().to_pthread(),
            wait,
            wait_object,
            pushes: thread.push().port().and_then(|port| self.servicer_of(port)).unwrap_or(0),
            voucher: thread.voucher().map_or(0, |voucher| voucher.to_bits()),
            deadline: self.sched.deadline_of(thread),
            cpu_time: self.sched.used(thread.id()).time,
        }
    }

    /// Returns the number of the thread that serves a port or whose special reply port it is.
    pub(super) fn servicer_of(&self, port: crate::ids::PortId) -> Option<u64> {
        let thread: ThreadId = match self.ipc.port_table().get(port)?.role() {
            Role::Served(thread) => thread,
            Role::SpecialReply { owner, .. } => owner?,
            Role::Plain => return None,
        };
        Some(self.sched.get(thread)?.number())
    }

    /// Lists the names of the task with a pid.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if there is no such task, and those of the window.
    pub(super) fn list_names(&self, window: &mut Window<'_>, pid: u64) -> Result<(), KernReturn> {
        let task = u32::try_from(pid).ok().and_then(|pid| self.tasks.with_pid(pid)).ok_or(KERN_INVALID_ARGUMENT)?;
        let space = self.ipc.space(self.tasks[task].space);
        window.list_places(space.capacity(), |index| {
            let name = space.name_at(index)?;
            let right = space.get(name)?.right;
            let port = right.port();
            let references = match right {
                EntryRight::Send { urefs, .. } | EntryRight::DeadName { urefs } => urefs.into(),
                EntryRight::Receive { send_urefs, .. } => send_urefs.into(),
                EntryRight::SendOnce { .. } | EntryRight::PortSet { .. } => 1,
            };
            let set = if let EntryRight::PortSet { set } = right { set.to_bits() } else { 0 };
            Some(NameRecord {
                name: name.0,
                kind: right.port_type().bits(),
                references,
                kobject: port.and_then(|port| self.ipc.object_behind(port)).map_or(0, |object| object.kind()),
                object: port.map_or(set, |port| port.to_bits()),
            })
        })
    }
}

/// Returns what a thread waits for: its kind and the object.
fn waits_for(thread: &Thread) -> (u32, u64) {
    match thread.state() {
        State::Running(_) => (wait::NONE, 0),
        State::Ready => (wait::READY, 0),
        State::Suspended => (wait::SUSPENDED, 0),
        State::Waiting(awaited) => awaited.described(),
    }
}
