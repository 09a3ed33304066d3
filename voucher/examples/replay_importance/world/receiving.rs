//! Messages are received.

use super::{Event, Holder, World};
use voucher::importance::{DeliveredVoucher, PortNumber, Source, receive_importance};
use voucher::{Key, VoucherId};

/// How a receive goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Well.
    #[default]
    Plain,
    /// The buffer is too small and the message stays (`MACH_RCV_LARGE`).
    LargeKeep,
    /// The buffer is too small and the message is destroyed.
    LargeDestroy,
    /// The header cannot be copied out.
    CopyoutFail,
}

/// What a receiver gets.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The message, if it left the queue.
    pub message: Option<u32>,
    /// The result.
    pub result: u32,
    /// The bit `MACH_MSGH_BITS_RAISEIMP`.
    pub raised: bool,
    /// The voucher of the header.
    pub voucher: Option<VoucherId>,
    /// The header announces a voucher.
    pub announced: bool,
    /// The vouchers of the body.
    pub body_vouchers: Vec<VoucherId>,
}

/// `MACH_RCV_TIMED_OUT`
pub const NO_MESSAGE: u32 = 0x1000_4003;
/// `MACH_RCV_TOO_LARGE`
pub const TOO_LARGE: u32 = 0x1000_4004;
/// `MACH_RCV_HEADER_ERROR`
pub const HEADER_ERROR: u32 = 0x1000_400B;

impl World {
    /// Receives the first message of a port.
    pub fn receive(&mut self, task: &str, port: &str, want_voucher: bool, mode: Mode) -> Received {
        let receiver = self.kernel.task_number(task).expect("the task exists");
        let number = self.port_number(port);
        let port = self.kernel.port_mut(number).expect("the port is alive");
        if port.queue.is_empty() {
            return Received { result: NO_MESSAGE, ..Received::default() };
        }
        if mode == Mode::LargeKeep {
            return Received { result: TOO_LARGE, ..Received::default() };
        }
        let id = port.queue.pop_front().expect("it is not empty");
        self.admit(number);
        if mode == Mode::LargeDestroy {
            self.destroy_message(id);
            return Received { message: Some(id), result: TOO_LARGE, ..Received::default() };
        }
        let mut received = self.take_importance(id, task, want_voucher);
        self.fire_send_possible(number);
        let mut message = self.messages.remove(&id).expect("it exists");
        if mode == Mode::CopyoutFail {
            received.result = HEADER_ERROR;
            message.voucher = received.voucher.take();
            received.announced = false;
            received.raised = false;
            self.destroy_content(message);
            return received;
        }
        if let Some(voucher) = received.voucher {
            self.give_right(receiver, voucher);
        }
        for &right in message.rights.iter().rev() {
            self.move_right(right, Holder::Task(receiver));
        }
        for &voucher in message.body_vouchers.iter().rev() {
            self.give_right(receiver, voucher);
        }
        received.body_vouchers = message.body_vouchers;
        received
    }

    /// Lets the first waiting sender's message into a queue that has room.
    fn admit(&mut self, number: PortNumber) {
        let port = self.kernel.port_mut(number).expect("the port is alive");
        if port.is_full() {
            return;
        }
        if let Some(id) = port.blocked.pop_front() {
            port.queue.push_back(id);
            self.messages.get_mut(&id).expect("it exists").blocked = false;
        }
    }

    /// Turns the importance of a message into that of a voucher, or ends it (importance 5.1).
    fn take_importance(&mut self, id: u32, task: &str, want_voucher: bool) -> Received {
        let message = self.messages.get_mut(&id).expect("it exists");
        let (link, sent) = (message.link.take(), message.voucher.take());
        let mut received = Received { message: Some(id), ..Received::default() };
        if !want_voucher {
            self.importance(|importance, kernel| importance.clean(kernel, link));
            if let Some(voucher) = sent {
                self.release_right(voucher);
            }
            return received;
        }
        let caller = self.caller(task);
        let delivered = self.with_vouchers(|system| receive_importance(system, &caller, link, sent));
        received.raised = delivered.raised;
        match delivered.voucher {
            DeliveredVoucher::Unchanged => {
                received.voucher = sent;
                received.announced = sent.is_some();
            }
            DeliveredVoucher::Replaced(voucher) => {
                received.voucher = voucher;
                received.announced = true;
                let handle = voucher.and_then(|voucher| self.vouchers.registry.handle(voucher, Key::IMPORTANCE));
                if let Some(Source::Inherit(inherit)) = handle.and_then(Source::from_handle) {
                    self.name_inherit(inherit);
                }
                if let Some(sent) = sent {
                    self.release_right(sent);
                }
            }
        }
        received
    }

    /// Tells the tasks that were refused that the queue has room.
    fn fire_send_possible(&mut self, number: PortNumber) {
        self.importance(|importance, kernel| importance.fire_send_possible(kernel, number));
        let port = self.kernel.port_mut(number).expect("the port is alive");
        let armed: Vec<usize> = port.requests.iter().filter(|(_, armed)| *armed).map(|&(task, _)| task).collect();
        port.requests.retain(|(_, armed)| !armed);
        let name = port.name.clone();
        for task in armed {
            self.events.push(Event::SendPossible(self.kernel.tasks[task].name.clone(), name.clone()));
        }
    }
}
