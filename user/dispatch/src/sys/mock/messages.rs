//! Ports and messages of the mock. Messages have no descriptors, and there are no notifications.

use super::vouchers::Bank;
use super::world::{Object, State};
use crate::qos::{MessagePriority, Priority, Qos};
use abi::code::*;
use abi::message::{Header, HeaderFlags, MsgOption};
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::{KernReturn, PortName};
use std::collections::VecDeque;
use std::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

pub(super) struct Port {
    pub owner: usize,
    /// It accepts donation.
    pub accepts: bool,
    pub queue_limit: usize,
    pub set: Option<u32>,
    pub(super) queue: VecDeque<Message>,
}

pub(super) struct Message {
    bytes: Vec<u8>,
    reply: Option<Right>,
    voucher: Option<u32>,
    /// The task that has boosted the receiver with it.
    booster: Option<usize>,
    priority: Priority,
    over: Qos,
}

#[derive(Clone, Copy)]
enum Right {
    Send(u32),
    SendOnce(u32),
}

impl Right {
    fn port(self) -> u32 {
        match self {
            Right::Send(port) | Right::SendOnce(port) => port,
        }
    }
}

/// The rights of a header that is being sent.
struct Rights {
    destination: Right,
    reply: Option<Right>,
    voucher: Option<u32>,
}

impl Port {
    pub(super) fn new(owner: usize, accepts: bool, queue_limit: usize) -> Port {
        Port { owner, accepts, queue_limit, set: None, queue: VecDeque::new() }
    }
}

impl State {
    /// Sends a message. `Err` is the code of the call; the message has been written back then as far as the rights were
    /// taken.
    pub(super) fn send(
        &mut self,
        task: usize,
        bytes: &mut [u8],
        options: MsgOption,
        priority: u32,
    ) -> Result<(), KernReturn> {
        let mut header = read(bytes);
        let rights = self.take_rights(task, &header)?;
        let port = rights.destination.port();
        let failure = match self.ports.get(&port) {
            _ if self.tasks[task].fails_next_send.is_some() => self.tasks[task].fails_next_send.take(),
            None => Some(MACH_SEND_INVALID_DEST),
            Some(port) if port.queue.len() >= port.queue_limit => Some(MACH_SEND_TIMED_OUT),
            Some(_) => None,
        };
        if let Some(code) = failure {
            self.give_back(task, &mut header, rights);
            header.write_to_prefix(bytes).expect("a message has a header");
            return Err(code);
        }
        let word = if options.contains(MsgOption::SEND_OVERRIDE) { priority } else { 0 };
        let MessagePriority::Native { priority: class, over } = MessagePriority::decode(word) else {
            panic!("the library uses the native form of message priorities only");
        };
        let booster = self.boosts(task, port, options).then_some(task);
        if booster.is_some() {
            let owner = self.ports[&port].owner;
            self.tasks[owner].boosts += 1;
        }
        let priority = Priority::encode(class.qos, class.relative, 0);
        let voucher = rights.voucher.and_then(|voucher| self.preprocess(task, voucher));
        let message = Message { bytes: bytes.to_vec(), reply: rights.reply, voucher, booster, priority, over };
        self.ports.get_mut(&port).expect("the port exists").queue.push_back(message);
        Ok(())
    }

    /// Returns true if the queue is full to which a message goes.
    pub(super) fn is_full(&self, task: usize, bytes: &[u8]) -> bool {
        let object = self.tasks[task].names.get(&read(bytes).msgh_remote_port).map(|entry| entry.object);
        let Some(Object::Port(port)) = object else {
            return false;
        };
        self.ports.get(&port).is_some_and(|port| port.queue.len() >= port.queue_limit)
    }

    /// Returns true if a message of a task to a port boosts the port's owner.
    fn boosts(&self, task: usize, port: u32, options: MsgOption) -> bool {
        let (sender, port) = (&self.tasks[task], &self.ports[&port]);
        let donates = sender.spec.donor || sender.spec.receiver && sender.boosts > 0;
        let accepts = port.accepts && self.tasks[port.owner].spec.receiver && port.owner != task;
        donates && accepts && !options.contains(MsgOption::SEND_NOIMPORTANCE)
    }

    /// Returns the voucher as it is in a message; takes the reference over.
    fn preprocess(&mut self, sender: usize, voucher: u32) -> Option<u32> {
        let mut content = self.vouchers[&voucher].content.clone();
        content.bank = content.bank.map(|bank: Bank| self.sent(bank, sender));
        let processed = self.voucher_with(content);
        self.release_voucher(voucher);
        processed
    }

    fn take_rights(&mut self, task: usize, header: &Header) -> Result<Rights, KernReturn> {
        let destination = self.take(task, header.msgh_remote_port, header.remote());
        let destination = destination.ok_or(MACH_SEND_INVALID_DEST)?;
        let reply = match header.local() {
            Disposition::NONE => None,
            local => Some(self.take(task, header.msgh_local_port, local).ok_or(MACH_SEND_INVALID_REPLY)?),
        };
        let voucher = match header.voucher() {
            Disposition::NONE => None,
            kind => {
                let name = header.msgh_voucher_port;
                let voucher = self.voucher_of(task, name).ok_or(MACH_SEND_INVALID_VOUCHER)?;
                self.retain_voucher(voucher);
                if kind == Disposition::MOVE_SEND {
                    self.release_send(task, name)?;
                }
                Some(voucher)
            }
        };
        Ok(Rights { destination, reply, voucher })
    }

    fn take(&mut self, task: usize, name: PortName, kind: Disposition) -> Option<Right> {
        let entry = self.tasks[task].names.get_mut(&name)?;
        let Object::Port(port) = entry.object else {
            return None;
        };
        Some(match kind {
            Disposition::COPY_SEND if entry.send > 0 => Right::Send(port),
            Disposition::MOVE_SEND if entry.send > 0 => {
                self.release_send(task, name).ok()?;
                Right::Send(port)
            }
            Disposition::MAKE_SEND if entry.receive => Right::Send(port),
            Disposition::MAKE_SEND_ONCE if entry.receive => Right::SendOnce(port),
            Disposition::MOVE_SEND_ONCE if entry.send_once > 0 => {
                entry.send_once = 0;
                self.tasks[task].forget_if_empty(name);
                Right::SendOnce(port)
            }
            _ => return None,
        })
    }

    fn give(&mut self, task: usize, right: Right) -> (PortName, Disposition) {
        match right {
            Right::Send(port) => (self.add_send(task, Object::Port(port)), Disposition::PORT_SEND),
            Right::SendOnce(port) => (self.add_send_once(task, Object::Port(port)), Disposition::PORT_SEND_ONCE),
        }
    }

    fn give_back(&mut self, task: usize, header: &mut Header, rights: Rights) {
        let (remote, remote_kind) = self.give(task, rights.destination);
        let (local, local_kind) = rights.reply.map_or((MACH_PORT_NULL, Disposition::NONE), |r| self.give(task, r));
        let (voucher, voucher_kind) = match rights.voucher {
            Some(voucher) => (self.add_send(task, Object::Voucher(voucher)), Disposition::MOVE_SEND),
            None => (MACH_PORT_NULL, Disposition::NONE),
        };
        let flags = header.flags();
        header.msgh_bits = abi::message::msgh_bits(remote_kind, local_kind, voucher_kind, flags);
        (header.msgh_remote_port, header.msgh_local_port, header.msgh_voucher_port) = (remote, local, voucher);
    }

    /// Receives the first message of a port or set, if there is one.
    pub(super) fn receive(
        &mut self,
        task: usize,
        from: PortName,
        buffer: &mut [u8],
        options: MsgOption,
    ) -> Result<Option<(Priority, Qos)>, KernReturn> {
        let port = match self.tasks[task].names.get(&from) {
            Some(entry) => match entry.object {
                Object::Port(port) if entry.receive => Some(port),
                Object::Set(set) => {
                    let member = |(_, port): &(&u32, &Port)| port.set == Some(set) && !port.queue.is_empty();
                    self.ports.iter().find(member).map(|(&port, _)| port)
                }
                _ => return Err(MACH_RCV_INVALID_NAME),
            },
            None => return Err(MACH_RCV_INVALID_NAME),
        };
        let Some(port) = port else {
            return Ok(None);
        };
        let Some(message) = self.ports.get_mut(&port).and_then(|port| port.queue.pop_front()) else {
            return Ok(None);
        };
        let size = message.bytes.len();
        if size > buffer.len() {
            self.ports.get_mut(&port).expect("the port exists").queue.push_front(message);
            return Err(MACH_RCV_TOO_LARGE);
        }
        buffer[..size].copy_from_slice(&message.bytes);
        let (priority, over) = (message.priority, message.over);
        let header = self.deliver(task, port, message, options);
        header.write_to_prefix(buffer).expect("a message has a header");
        Ok(Some((priority, over)))
    }

    /// Returns the header of a message as its receiver sees it.
    fn deliver(&mut self, task: usize, port: u32, message: Message, options: MsgOption) -> Header {
        let mut header = read(&message.bytes);
        let (remote, remote_kind) = message.reply.map_or((MACH_PORT_NULL, Disposition::NONE), |r| self.give(task, r));
        let local = self.name_for(task, Object::Port(port));
        let mut flags = header.flags() & HeaderFlags::COMPLEX;
        let mut voucher = MACH_PORT_NULL;
        if options.contains(MsgOption::RCV_VOUCHER) {
            let mut content = message.voucher.map(|v| self.vouchers[&v].content.clone()).unwrap_or_default();
            content.bank = content.bank.and_then(|bank| self.redeemed(bank, task));
            content.importance = message.booster.map(|sender| (sender, task));
            if let Some(pair) = content.importance {
                flags |= HeaderFlags::RAISEIMP;
                self.pairs.entry(pair).or_default().boosts += 1;
            }
            let received = self.voucher_with(content);
            voucher = received.map_or(MACH_PORT_NULL, |v| self.add_send(task, Object::Voucher(v)));
        } else if message.booster.is_some() {
            self.tasks[task].boosts -= 1;
        }
        if let Some(sent) = message.voucher {
            self.release_voucher(sent);
        }
        let voucher_kind = if voucher == MACH_PORT_NULL { Disposition::NONE } else { Disposition::MOVE_SEND };
        header.msgh_bits = abi::message::msgh_bits(remote_kind, Disposition::NONE, voucher_kind, flags);
        header.msgh_size = message.bytes.len() as u32;
        (header.msgh_remote_port, header.msgh_local_port, header.msgh_voucher_port) = (remote, local, voucher);
        header
    }

    /// Destroys a port with its messages.
    pub(super) fn destroy_port(&mut self, port: u32) {
        let Some(port) = self.ports.remove(&port) else {
            return;
        };
        for message in port.queue {
            if message.booster.is_some() {
                self.tasks[port.owner].boosts -= 1;
            }
            if let Some(voucher) = message.voucher {
                self.release_voucher(voucher);
            }
        }
    }
}

fn read(bytes: &[u8]) -> Header {
    Header::read_from_prefix(bytes).expect("a message has a header").0
}
