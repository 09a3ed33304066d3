//! The messages of a player: to other tasks and to kernel objects.

use super::grammar::{Kind, RECIPES, REQUESTS};
use super::player::{IN, MESSAGE, MESSAGE_SIZE, OUT_NAME, Player};
use crate::sys::trap_with_stack;
use crate::view::{Descriptor, View};
use abi::PortName;
use abi::message::*;
use abi::mig::{NDR, mach_host};
use abi::port::{Disposition, MACH_PORT_NULL, PortType};
use abi::trap::mach::{HOST_CREATE_MACH_VOUCHER, MACH_MSG, MACH_MSG_OVERWRITE};
use zerocopy::IntoBytes;

/// Options that a message may have, besides its phases and timeouts.
const OPTIONS: [MsgOption; 15] = [
    MsgOption::RCV_LARGE,
    MsgOption::RCV_LARGE_IDENTITY,
    MsgOption::SEND_OVERRIDE,
    MsgOption::SEND_INTERRUPT,
    MsgOption::SEND_NOTIFY,
    MsgOption::STRICT_REPLY,
    MsgOption::RCV_INTERRUPT,
    MsgOption::RCV_VOUCHER,
    MsgOption::RCV_VOUCHER,
    MsgOption::RCV_GUARDED_DESC,
    MsgOption::RCV_SYNC_WAIT,
    MsgOption::SEND_TRAILER,
    MsgOption::SEND_NOIMPORTANCE,
    MsgOption::SEND_SYNC_OVERRIDE,
    MsgOption::SEND_PROPAGATE_QOS,
];

/// Sizes of bodies: on both sides of the size up to which a message takes the fast path, and of one that is large.
const BODIES: [usize; 9] = [0, 0, 4, 8, 40, 252, 260, 1000, 6000];

/// A message that grows at its end.
struct Draft<'a> {
    bytes: &'a mut [u8],
    size: usize,
}

impl Draft<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = (self.size + bytes.len()).min(self.bytes.len());
        let room = end - self.size;
        self.bytes[self.size..end].copy_from_slice(&bytes[..room]);
        self.size = end;
    }
}

impl Player {
    /// Writes a message into the buffer and returns its size.
    fn write_message(&mut self, header: &Header, ports: &[(PortName, Disposition)], body: &[u8]) -> u64 {
        let mut header = *header;
        if !ports.is_empty() {
            header.msgh_bits |= HeaderFlags::COMPLEX.bits();
        }
        let mut draft = Draft { bytes: &mut self.buffer.0[MESSAGE..][..MESSAGE_SIZE], size: 0 };
        draft.put(header.as_bytes());
        if !ports.is_empty() {
            draft.put(&(ports.len() as u32).to_le_bytes());
            ports.iter().for_each(|&(name, disposition)| draft.put(PortDescriptor::new(name, disposition).as_bytes()));
        }
        draft.put(body);
        draft.size as u64
    }

    /// Spoils the message in the buffer at one place, once in a while.
    fn spoil(&mut self, size: u64) {
        if self.random.one_in(24) {
            let at = MESSAGE + self.random.below(size.min(100)) as usize;
            self.buffer.0[at] = self.random.next() as u8;
        }
    }

    /// Returns a name and a disposition that usually fits its rights.
    pub(super) fn right(&mut self, may_move_receive: bool) -> (PortName, Disposition) {
        let types = PortType::SEND | PortType::RECEIVE | PortType::SEND_ONCE | PortType::DEAD_NAME;
        let Some((name, kind)) = self.names.one_of(types, &mut self.random).filter(|_| !self.random.one_in(16)) else {
            return (PortName(self.value(Kind::Name) as u32), Disposition(self.value(Kind::Disposition) as u8));
        };
        let fitting = match kind {
            kind if kind.contains(PortType::RECEIVE) && may_move_receive && self.random.one_in(4) => {
                Disposition::MOVE_RECEIVE
            }
            kind if kind.contains(PortType::SEND | PortType::RECEIVE) => {
                self.random.pick(&[Disposition::COPY_SEND, Disposition::MAKE_SEND, Disposition::MAKE_SEND_ONCE])
            }
            kind if kind.contains(PortType::RECEIVE) => {
                self.random.pick(&[Disposition::MAKE_SEND, Disposition::MAKE_SEND_ONCE])
            }
            kind if kind.contains(PortType::SEND_ONCE) => Disposition::MOVE_SEND_ONCE,
            _ => self.random.pick(&[Disposition::COPY_SEND, Disposition::COPY_SEND, Disposition::MOVE_SEND]),
        };
        (name, fitting)
    }

    /// Returns the name and the disposition of a descriptor of this kind.
    fn descriptor(&mut self, kind: Kind) -> (PortName, Disposition) {
        match kind {
            _ if self.random.one_in(16) => self.right(true),
            Kind::Once => (PortName(self.value(Kind::Receive) as u32), Disposition::MAKE_SEND_ONCE),
            Kind::Copied => {
                let name = if self.random.one_in(2) { self.value(Kind::Voucher) } else { self.value(Kind::Send) };
                (PortName(name as u32), Disposition::COPY_SEND)
            }
            _ => self.right(true),
        }
    }

    /// Sends and receives with the message in the buffer, which has this size. Learns what arrives.
    fn exchange(&mut self, options: MsgOption, size: u64, from: PortName) {
        let receive_size = self.random.pick(&[0, 24, 32, 100, 400, MESSAGE_SIZE as u64, MESSAGE_SIZE as u64]);
        let timeout = self.random.pick(&[0, 0, 0, 1, 2]);
        let at = self.address(MESSAGE);
        let receive_at = if self.random.one_in(2) { at } else { 0 };
        let number = if self.random.one_in(8) { MACH_MSG_OVERWRITE } else { MACH_MSG };
        let priority = self.value(Kind::Class);
        let arguments = [at, options.bits().into(), size, receive_size, from.0.into(), timeout];
        let code = trap_with_stack(number, arguments, [priority, receive_at]);
        if options.contains(MsgOption::RCV_MSG) && code == 0 {
            self.learn_from_message();
        }
    }

    /// Learns the names in the message in the buffer.
    fn learn_from_message(&mut self) {
        let Player { buffer, names, random, .. } = self;
        let Some(view) = View::of(&buffer.0[MESSAGE..][..MESSAGE_SIZE]) else { return };
        let header = view.header();
        names.learn(header.msgh_remote_port, random);
        if header.voucher() != Disposition::NONE {
            names.learn_voucher(header.msgh_voucher_port, random);
        }
        for descriptor in view.descriptors() {
            if let Descriptor::Port(port) = descriptor {
                names.learn(port.name, random);
            }
        }
    }

    /// Returns random options of phases, with timeouts nearly always, so that the player goes on.
    fn options(&mut self) -> MsgOption {
        let (send, receive) = (MsgOption::SEND_MSG, MsgOption::RCV_MSG);
        let mut options = self.random.pick(&[send, send, receive, receive, send | receive]);
        options |= MsgOption::trailer_elements(self.random.below(9) as u32);
        if !self.random.one_in(2_000) {
            options |= MsgOption::SEND_TIMEOUT | MsgOption::RCV_TIMEOUT;
        }
        if self.random.one_in(2) {
            for _ in 0..self.random.below(4) {
                options |= self.random.pick(&OPTIONS);
            }
        }
        options
    }

    /// Makes a random call of `mach_msg`.
    pub(super) fn message(&mut self) {
        let (to, disposition) = self.right(false);
        let (mut reply, mut local) = (MACH_PORT_NULL, Disposition::NONE);
        if self.random.one_in(2) {
            (reply, local) = self.right(false);
        }
        let (mut voucher, mut kind) = (MACH_PORT_NULL, Disposition::NONE);
        if self.random.one_in(3) {
            voucher = PortName(self.value(Kind::Voucher) as u32);
            let copy = Disposition::COPY_SEND;
            kind = self.random.pick(&[copy, copy, copy, Disposition::MOVE_SEND]);
        }
        let mut ports = heapless::Vec::<_, 8>::new();
        for _ in 0..self.random.below(10).saturating_sub(5) {
            let _ = ports.push(self.right(true));
        }
        let header = Header {
            msgh_bits: msgh_bits(disposition, local, kind, HeaderFlags::empty()),
            msgh_remote_port: to,
            msgh_local_port: reply,
            msgh_voucher_port: voucher,
            msgh_id: self.random.pick(&[1, 2, 3204, 3405, 3600, -1]),
            ..Header::default()
        };
        let body = self.random.pick(&BODIES);
        let size = self.write_message(&header, &ports, &[7; 6000][..body]);
        self.spoil(size);
        let types = PortType::RECEIVE | PortType::PORT_SET;
        let from = self.names.pick(types, &mut self.random);
        let options = self.options();
        self.exchange(options, size, from);
    }

    /// Sends a request to a kernel object, and often receives the reply.
    pub(super) fn request(&mut self) {
        let request = &REQUESTS[self.random.below(REQUESTS.len() as u64) as usize];
        let to = PortName(self.value(request.to) as u32);
        let mut ports = heapless::Vec::<_, 4>::new();
        for &kind in request.ports {
            let _ = ports.push(self.descriptor(kind));
        }
        let mut body = heapless::Vec::<u8, 128>::new();
        if !request.words.is_empty() || self.random.one_in(4) {
            let _ = body.extend_from_slice(&NDR);
        }
        for &kind in request.words {
            let _ = body.extend_from_slice(&(self.value(kind) as u32).to_le_bytes());
        }
        if self.random.one_in(20) {
            body.truncate(self.random.below(body.len() as u64 + 1) as usize);
        }
        self.ask(to, request.id, &ports, &body);
    }

    /// Sends a request, with a reply port if there is one.
    fn ask(&mut self, to: PortName, id: i32, ports: &[(PortName, Disposition)], body: &[u8]) {
        let reply = self.names.pick(PortType::RECEIVE, &mut self.random);
        let header = Header {
            msgh_bits: msgh_bits(
                Disposition::COPY_SEND,
                Disposition::MAKE_SEND_ONCE,
                Disposition::NONE,
                HeaderFlags::empty(),
            ),
            msgh_remote_port: to,
            msgh_local_port: reply,
            msgh_id: id,
            ..Header::default()
        };
        let size = self.write_message(&header, ports, body);
        self.spoil(size);
        let mut options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
        if self.random.one_in(2) {
            options |= MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        }
        self.exchange(options, size, reply);
    }

    /// Makes a voucher of up to four recipes, by trap or by message.
    pub(super) fn voucher(&mut self) {
        let mut recipes = heapless::Vec::<u8, 1024>::new();
        for _ in 0..=self.random.below(4) {
            let (key, command, content) = self.random.pick(&RECIPES);
            let previous = if self.random.one_in(3) { self.value(Kind::Voucher) as u32 } else { 0 };
            let size = if self.random.one_in(40) { self.random.next() as u32 } else { content.len() as u32 };
            let _ = recipes.extend_from_slice([key, command, previous, size].as_bytes());
            let _ = recipes.extend_from_slice(content);
        }
        if self.random.one_in(12) {
            recipes.truncate(self.random.below(recipes.len() as u64 + 1) as usize);
        }
        let host = self.value(Kind::Host);
        if self.random.one_in(4) {
            let mut body = heapless::Vec::<u8, 1040>::from_slice(&NDR).expect("it fits");
            let _ = body.extend_from_slice(&(recipes.len() as u32).to_le_bytes());
            let _ = body.extend_from_slice(&recipes);
            let _ = body.resize(body.len().next_multiple_of(4), 0);
            return self.ask(PortName(host as u32), mach_host::CREATE_MACH_VOUCHER, &[], &body);
        }
        self.buffer.0[IN..][..recipes.len()].copy_from_slice(&recipes);
        let arguments = [host, self.address(IN), recipes.len() as u64, self.address(OUT_NAME), 0, 0];
        if trap_with_stack(HOST_CREATE_MACH_VOUCHER, arguments, [0; 2]) == 0 {
            let name = self.word(OUT_NAME);
            self.names.learn_voucher(PortName(name), &mut self.random);
        }
    }
}
