//! Ports: their creation, their owners, and their deaths.

use super::{Holder, Message, Port, World};
use std::collections::VecDeque;
use voucher::importance::{PortBoosts, PortNumber};

impl World {
    /// Creates a port in a task.
    pub fn port(&mut self, name: &str, task: &str, donation: bool, limit: usize) {
        let holder = Holder::Task(self.kernel.task_number(task).expect("the task exists"));
        let mut boosts = PortBoosts::default();
        if donation {
            boosts.accept_donation();
        }
        self.kernel.port_names.push(name.to_owned());
        self.kernel.ports.push(Some(Port {
            name: name.to_owned(),
            boosts,
            holder,
            limit,
            queue: VecDeque::new(),
            blocked: VecDeque::new(),
            notify: None,
            requests: Vec::new(),
        }));
    }

    /// Returns the number of a port, dead or alive.
    pub fn port_number(&self, name: &str) -> PortNumber {
        self.kernel.port_number(name).unwrap_or_else(|| panic!("there is no port {name}"))
    }

    /// Lets a port accept donation.
    pub fn set_donation(&mut self, name: &str) {
        let port = self.port_number(name);
        self.kernel.port_mut(port).expect("the port is alive").boosts.accept_donation();
    }

    /// Gives a port a temporary owner.
    pub fn set_temp_owner(&mut self, name: &str) {
        let port = self.port_number(name);
        self.importance(|importance, kernel| importance.set_temp_owner(kernel, port));
    }

    /// Registers a port-destroyed request.
    pub fn request_port_destroyed(&mut self, name: &str, notify: &str) {
        let (port, notify) = (self.port_number(name), self.port_number(notify));
        self.kernel.port_mut(port).expect("the port is alive").notify = Some(notify);
    }

    /// Registers a send-possible request of a task.
    pub fn request_send_possible(&mut self, task: &str, name: &str) {
        let task = self.kernel.task_number(task).expect("the task exists");
        let port = self.port_number(name);
        let port = self.kernel.port_mut(port).expect("the port is alive");
        if !port.requests.iter().any(|&(other, _)| other == task) {
            port.requests.push((task, false));
        }
    }

    /// Destroys the receive right of a port.
    pub fn destroy_port(&mut self, name: &str) {
        self.destroy(self.port_number(name));
    }

    /// Destroys a receive right: the port dies, unless a port-destroyed request saves it (importance 3.5).
    pub(super) fn destroy(&mut self, number: PortNumber) {
        let Some(port) = self.kernel.port_mut(number) else { return };
        let old = port.holder;
        if let Some(notify) = port.notify.take() {
            port.holder = Holder::Limbo;
            let place = self.kernel.place(old);
            self.importance(|importance, kernel| importance.right_redirected(kernel, number, place));
            return self.notify_port_destroyed(number, notify);
        }
        let place = self.kernel.place(old);
        let port = self.kernel.ports[number as usize].take().expect("it is alive");
        self.importance(|importance, kernel| importance.port_died(kernel, port.boosts, place));
        for message in port.blocked.into_iter().chain(port.queue) {
            self.destroy_message(message);
        }
    }

    /// Sends the receive right of a port that was to die to another port.
    fn notify_port_destroyed(&mut self, right: PortNumber, notify: PortNumber) {
        let message = self.next_message();
        self.messages.insert(
            message,
            Message {
                sender: None,
                port: notify,
                link: None,
                voucher: None,
                voucher_moved: false,
                rights: vec![right],
                body_vouchers: Vec::new(),
                blocked: false,
            },
        );
        let circular = self.leads_to(notify, right);
        match self.kernel.port_mut(notify) {
            Some(port) if !circular => {
                port.queue.push_back(message);
                self.move_right(right, Holder::Transit(notify));
            }
            _ => self.destroy_message(message),
        }
    }

    /// Returns true if a message to `port` that carries the receive right of `right` would carry itself.
    pub(super) fn leads_to(&self, mut port: PortNumber, right: PortNumber) -> bool {
        loop {
            if port == right {
                return true;
            }
            match self.kernel.port_of(port).map(|port| port.holder) {
                Some(Holder::Transit(next)) => port = next,
                _ => return false,
            }
        }
    }

    /// Moves the receive right of a live port.
    pub(super) fn move_right(&mut self, number: PortNumber, to: Holder) {
        let Some(port) = self.kernel.port_mut(number) else { return };
        let old = std::mem::replace(&mut port.holder, to);
        let place = self.kernel.place(old);
        self.importance(|importance, kernel| importance.right_moved(kernel, number, place));
    }
}
