//! Tasks start, fork, exec and end, and their policies change.

use super::{Holder, Kind, Task, World};
use std::collections::BTreeMap;
use voucher::Error;
use voucher::importance::{InheritId, Marks};

/// An exec that has begun.
#[must_use]
pub struct Exec {
    /// The number of the old image.
    old: usize,
    /// The inherit by which each image boosts the other one.
    pub inherit: Option<InheritId>,
}

impl World {
    /// Starts a program whose parent has no marks.
    pub fn spawn(&mut self, name: &str, kind: Kind, role: u32, marks: Marks, watch: &[&str]) {
        let number = self.new_task(name, kind, role, false);
        self.set_marks(number, marks).expect("a new task has no boosts");
        let element = self.kernel.tasks[number].element.expect("it is alive");
        for port in watch.iter().filter_map(|port| self.kernel.port_number(port)).collect::<Vec<_>>() {
            self.importance(|importance, kernel| importance.bind_watch_port(kernel, port, element));
        }
    }

    fn new_task(&mut self, name: &str, kind: Kind, role: u32, external_background: bool) -> usize {
        let number = self.kernel.tasks.len();
        let element = self.importance.create_element(number as u64).expect("the heap has room");
        self.element_names.insert(element, name.to_owned());
        self.kernel.tasks.push(Task {
            name: name.to_owned(),
            element: Some(element),
            kind,
            role,
            napped: false,
            external_background,
            boosted: false,
            vouchers: BTreeMap::new(),
            ended: false,
        });
        number
    }

    fn set_marks(&mut self, number: usize, marks: Marks) -> Result<(), Error> {
        let task = &self.kernel.tasks[number];
        let (element, policy) = (task.element.expect("it is alive"), task.live_policy());
        self.importance(|importance, kernel| importance.set_marks(kernel, element, marks, policy))
    }

    /// Sets the marks of a task.
    pub fn mark(&mut self, name: &str, change: impl FnOnce(&mut Marks)) -> Result<(), Error> {
        let number = self.kernel.task_number(name).expect("the task exists");
        let mut marks = self.importance.element(self.element(name)).expect("it is alive").marks();
        change(&mut marks);
        self.set_marks(number, marks)
    }

    /// Forks a task (importance 2.2).
    pub fn fork(&mut self, parent: &str, child: &str) {
        let parent = self.kernel.task(parent);
        let (kind, boosted, background) = (parent.kind, parent.boosted, parent.external_background);
        let inherited = self.importance.element(parent.element.expect("it is alive")).expect("it is alive").marks();
        let inherited = Marks { receiver: false, ..inherited };
        let (kind, marks) = match kind {
            Kind::Adaptive if boosted => (Kind::Interactive, Marks { donor: true, ..inherited }),
            Kind::Adaptive => (Kind::Other, inherited),
            _ => (kind, inherited),
        };
        let number = self.new_task(child, kind, 0, background);
        self.set_marks(number, marks).expect("a new task has no boosts");
    }

    /// Replaces the program of a task by a new image (importance 6.7).
    pub fn exec(&mut self, old_name: &str, new_name: &str) {
        let exec = self.begin_exec(old_name, new_name);
        self.end_exec(exec);
    }

    /// Lets the new image take the place of the old one, which still has its ports and vouchers (importance 6.7 steps 1
    /// to 5).
    pub fn begin_exec(&mut self, old_name: &str, new_name: &str) -> Exec {
        let old = self.kernel.task_number(old_name).expect("the task exists");
        let Task { kind, role, external_background, .. } = self.kernel.tasks[old];
        let old_element = self.element(old_name);
        let marks = self.importance.element(old_element).expect("it is alive").marks();
        let new = self.new_task(new_name, kind, role, external_background);
        let new_element = self.element(new_name);
        self.set_marks(new, marks).expect("a new task has no boosts");
        let inherit =
            self.importance.begin_exec(&mut self.kernel, old_element, new_element).expect("the heap has room");
        if let Some(inherit) = inherit {
            self.name_inherit(inherit);
        }
        self.kernel.tasks[old].element = Some(new_element);
        self.kernel.tasks[new].element = Some(old_element);
        let ports = self.kernel.ports.iter().flatten();
        let in_space = ports
            .filter(|port| port.holder == Holder::Task(old) && !port.boosts.is_temp_owner())
            .map(|port| port.boosts.count())
            .sum();
        let policy = self.kernel.tasks[new].live_policy();
        self.importance(|importance, kernel| {
            importance.exchange_images(kernel, old_element, new_element, in_space, policy);
        });
        Exec { old, inherit }
    }

    /// Ends the old image (importance 6.7 step 6).
    pub fn end_exec(&mut self, exec: Exec) {
        self.end(exec.old);
        self.importance(|importance, kernel| importance.end_exec(kernel, exec.inherit));
    }

    /// Ends a task.
    pub fn exit(&mut self, name: &str) {
        let number = self.kernel.task_number(name).expect("the task exists");
        self.end(number);
    }

    /// Ends a task: its waiting messages, its ports in the order of creation, its requests, its vouchers,
    /// its importance.
    fn end(&mut self, number: usize) {
        let element = self.kernel.tasks[number].element.expect("it is alive");
        self.importance.begin_termination(element);
        let waiting = self.messages.iter().filter(|(_, message)| message.blocked && message.sender == Some(number));
        for message in waiting.map(|(&id, _)| id).collect::<Vec<_>>() {
            // One that waits at a port which another one carried has gone with that port.
            let Some(port) = self.messages.get(&message).map(|message| message.port) else { continue };
            self.kernel.port_mut(port).expect("a sender waits at a live port").blocked.retain(|&id| id != message);
            self.destroy_message(message);
        }
        for port in self.kernel.live_ports() {
            if self.kernel.port_of(port).is_some_and(|port| port.holder == Holder::Task(number)) {
                self.destroy(port);
            }
        }
        for port in self.kernel.ports.iter_mut().flatten() {
            port.requests.retain(|&(task, _)| task != number);
        }
        for (voucher, _) in std::mem::take(&mut self.kernel.tasks[number].vouchers) {
            self.release_right(voucher);
        }
        self.importance(|importance, kernel| importance.disconnect(kernel, element));
        self.kernel.tasks[number].element = None;
        self.kernel.tasks[number].ended = true;
    }

    /// Changes the policy of a task.
    pub fn set_policy(&mut self, name: &str, change: impl FnOnce(&mut Task)) {
        let number = self.kernel.task_number(name).expect("the task exists");
        let task = &mut self.kernel.tasks[number];
        change(task);
        let (element, policy) = (task.element.expect("it is alive"), task.live_policy());
        self.importance(|importance, kernel| importance.set_live_policy(kernel, element, policy));
    }

    /// Makes a task a donor at run time.
    pub fn mark_donor(&mut self, name: &str) {
        let element = self.element(name);
        self.importance(|importance, kernel| importance.mark_donor(kernel, element));
    }

    /// Adds or drops a boost for a file lock.
    pub fn file_lock(&mut self, name: &str, hold: bool) -> Result<(), Error> {
        let element = self.element(name);
        self.importance(|importance, kernel| {
            if !hold {
                return importance.drop_file_lock(kernel, element);
            }
            importance.hold_file_lock(kernel, element);
            Ok(())
        })
    }
}
