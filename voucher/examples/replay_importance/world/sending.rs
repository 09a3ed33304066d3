//! Messages are sent, refused and destroyed.

use super::{Holder, Message, World};
use voucher::importance::{PortNumber, SendMode, SendRequest, Source};
use voucher::{Key, VoucherId};

/// What a program sends.
#[derive(Clone, Debug, Default)]
pub struct Send {
    /// The voucher of the header.
    pub voucher: Option<VoucherId>,
    /// The right of that voucher is moved, not copied.
    pub move_voucher: bool,
    /// How the message takes part in donation.
    pub mode: SendMode,
    /// The sender wants to be told when the queue has room.
    pub notify: bool,
    /// The ports whose receive rights move in the body.
    pub rights: Vec<PortNumber>,
    /// Vouchers in the body.
    pub body_vouchers: Vec<VoucherId>,
    /// The sender waits while the queue is full.
    pub block: bool,
    /// The dead destination is imagined to have died after its right was taken.
    pub dest_died_after_copyin: bool,
}

/// `MACH_MSG_SUCCESS`
pub const SUCCESS: u32 = 0;
/// `MACH_SEND_INVALID_DEST`
pub const INVALID_DEST: u32 = 0x1000_0003;
/// `MACH_SEND_TIMED_OUT`
pub const TIMED_OUT: u32 = 0x1000_0004;
/// `MACH_SEND_INTERRUPTED`
pub const INTERRUPTED: u32 = 0x1000_0007;

impl World {
    pub(super) fn next_message(&mut self) -> u32 {
        self.last_message += 1;
        self.last_message
    }

    /// Sends a message. Returns its number, if one was made, and the result: `None` if the sender waits for room.
    pub fn send(&mut self, task: &str, port: &str, send: Send) -> (Option<u32>, Option<u32>) {
        let sender = self.kernel.task_number(task).expect("the task exists");
        let port = self.port_number(port);
        if self.kernel.port_of(port).is_none() && !send.dest_died_after_copyin {
            return (None, Some(INVALID_DEST));
        }
        let forced = send.notify && self.arm(sender, port, send.mode);
        if let Some(voucher) = send.voucher {
            if send.move_voucher { self.take_right(sender, voucher) } else { self.copy_right(voucher) }
        }
        send.body_vouchers.iter().for_each(|&voucher| self.copy_right(voucher));
        let id = self.next_message();
        let message = Message {
            sender: Some(sender),
            port,
            link: None,
            voucher: send.voucher,
            voucher_moved: send.move_voucher,
            rights: send.rights,
            body_vouchers: send.body_vouchers,
            blocked: false,
        };
        let circular = self.copy_in_rights(&message);
        self.messages.insert(id, message);
        if circular || self.kernel.port_of(port).is_none() {
            self.destroy_message(id);
            return (Some(id), Some(SUCCESS));
        }
        self.link(id, sender, send.mode);
        (Some(id), self.enqueue(id, forced, send.block))
    }

    /// Takes the receive rights of a message from their spaces and sets them on their way. Returns true if the message
    /// would carry its own destination.
    fn copy_in_rights(&mut self, message: &Message) -> bool {
        let mut circular = false;
        for &right in &message.rights {
            self.move_right(right, Holder::Limbo);
            if self.leads_to(message.port, right) {
                circular = true;
            } else {
                self.move_right(right, Holder::Transit(message.port));
            }
        }
        circular
    }

    /// Arms a task's send-possible request if the queue of the port is full. Returns true if the message may exceed the
    /// limit instead (importance 4.6).
    fn arm(&mut self, sender: usize, number: PortNumber, mode: SendMode) -> bool {
        let element = self.kernel.tasks[sender].element;
        let Some(port) = self.kernel.port_mut(number) else { return false };
        let full = port.is_full();
        let Some(request) = port.requests.iter_mut().find(|(task, _)| *task == sender) else { return false };
        if full {
            request.1 = true;
            self.importance(|importance, kernel| importance.arm_send_possible(kernel, number, element, mode));
        }
        !full
    }

    /// Ties a message to the importance of its sender.
    fn link(&mut self, id: u32, sender: usize, mode: SendMode) {
        let message = &self.messages[&id];
        let handle = message.voucher.and_then(|voucher| self.vouchers.registry.handle(voucher, Key::IMPORTANCE));
        let sender = self.kernel.tasks[sender].element;
        let request = SendRequest { port: message.port, sender, voucher: handle.and_then(Source::from_handle), mode };
        let link = self.importance(|importance, kernel| importance.send(kernel, &request)).expect("the heap has room");
        self.messages.get_mut(&id).expect("it exists").link = link;
    }

    /// Adds a message to the queue, lets its sender wait, or refuses it.
    fn enqueue(&mut self, id: u32, forced: bool, block: bool) -> Option<u32> {
        let message = self.messages.get_mut(&id).expect("it exists");
        let port = self.kernel.ports[message.port as usize].as_mut().expect("the port is alive");
        if !port.is_full() || forced {
            port.queue.push_back(id);
            return Some(SUCCESS);
        }
        if block {
            port.blocked.push_back(id);
            message.blocked = true;
            return None;
        }
        self.refuse(id);
        Some(TIMED_OUT)
    }

    /// Aborts a sender that waits for room.
    pub fn interrupt(&mut self, id: u32) -> u32 {
        let port = self.messages[&id].port;
        self.kernel.port_mut(port).expect("a sender waits at a live port").blocked.retain(|&other| other != id);
        self.refuse(id);
        INTERRUPTED
    }

    /// Gives a message back to its sender (mach-ipc 3.11).
    fn refuse(&mut self, id: u32) {
        let message = self.messages.remove(&id).expect("it exists");
        self.importance(|importance, kernel| importance.clean(kernel, message.link));
        let sender = message.sender.expect("a message of the kernel is not refused");
        match message.voucher {
            Some(voucher) if message.voucher_moved => self.give_right(sender, voucher),
            Some(voucher) => self.release_right(voucher),
            None => {}
        }
        for &right in message.rights.iter().rev() {
            self.move_right(right, Holder::Task(sender));
        }
        for &voucher in message.body_vouchers.iter().rev() {
            self.give_right(sender, voucher);
        }
    }

    /// Destroys a message that is in no queue, with everything in it.
    pub(super) fn destroy_message(&mut self, id: u32) {
        let message = self.messages.remove(&id).expect("it exists");
        self.importance(|importance, kernel| importance.clean(kernel, message.link));
        self.destroy_content(message);
    }

    /// Destroys the rights of a message that carries no importance any more.
    pub(super) fn destroy_content(&mut self, message: Message) {
        if let Some(voucher) = message.voucher {
            self.release_right(voucher);
        }
        for right in message.rights {
            self.destroy(right);
        }
        for voucher in message.body_vouchers {
            self.release_right(voucher);
        }
    }
}
