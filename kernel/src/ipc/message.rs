//! Messages while the kernel has them.

use super::Ipc;
use super::right::{Carried, Right};
use crate::credentials::Credentials;
use crate::ids::{BudgetId, MessageId, PortId, tag};
use crate::limits::{SMALL_MESSAGE, SPARE_BUFFERS};
use crate::machine::NoMemory;
use crate::step::{Step, WORK_COST, Work};
use abi::message::{Header, MAX_TRAILER_SIZE};
use abi::port::Disposition;
use abi::qos::{Priority, Qos};
use alloc::boxed::Box;
use alloc::vec::Vec;
use store::{Link, List};
use zerocopy::{FromBytes, IntoBytes};

/// The list of a port's messages.
#[derive(Debug)]
pub enum Queued {}

store::linked!(Message as tag::Message, Queued: link);

/// A port's messages in the order in which they are received.
pub type Queue = List<tag::Message, Queued>;

/// A message. Names in its bytes mean nothing: its rights are in the other fields.
#[derive(Debug)]
pub struct Message {
    /// Header and body as the sender wrote them, with room for a trailer behind.
    pub bytes: Buffer,
    /// Size of header and body.
    pub size: usize,
    /// The right by which it is sent.
    pub destination: Carried,
    /// The reply right, and what a receiver sees beside it even if it is dead.
    pub reply: Carried,
    /// The disposition of the reply right.
    pub reply_disposition: Disposition,
    /// The disposition in the voucher's position.
    pub voucher_disposition: Disposition,
    /// Its descriptors, if it is complex.
    pub descriptors: Vec<Descriptor>,
    /// How many of the descriptors have been destroyed, while the message is taken apart.
    pub(super) reaped_descriptors: usize,
    /// It carries a receive right in a circle and will be destroyed (mach-ipc 6.2).
    pub circular: bool,
    /// The identity of its sender.
    pub sender: Credentials,
    /// The QoS it was sent with (importance 7.2).
    pub priority: Priority,
    /// The highest QoS of it and all messages behind it (importance 7.3).
    pub qos_override: Qos,
    /// The budget it is on while it is queued.
    pub(super) budget: Option<BudgetId>,
    /// Its place in a port's queue.
    link: Link<tag::Message>,
}

/// What a descriptor of a complex message carries.
#[derive(Debug)]
pub struct Descriptor {
    /// Where it is in the message.
    pub offset: usize,
    /// The right.
    pub right: Carried,
    /// What a receiver sees beside it.
    pub disposition: Disposition,
}

/// The bytes of a message. Those of small messages come from a pool, so that sending one allocates nothing.
#[derive(Debug)]
pub enum Buffer {
    /// Room for [`SMALL_MESSAGE`] bytes and a trailer.
    Small(Box<SmallBuffer>),
    /// Exactly as much as the message and a trailer need.
    Large(Vec<u8>),
}

/// See [`Buffer::Small`].
pub type SmallBuffer = [u8; SMALL_MESSAGE + MAX_TRAILER_SIZE];

impl core::ops::Deref for Buffer {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        match self {
            Buffer::Small(bytes) => &bytes[..],
            Buffer::Large(bytes) => bytes,
        }
    }
}

impl core::ops::DerefMut for Buffer {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Buffer::Small(bytes) => &mut bytes[..],
            Buffer::Large(bytes) => bytes,
        }
    }
}

impl Message {
    /// Returns the header as it stands in the bytes.
    #[inline(always)]
    pub fn header(&self) -> Header {
        Header::read_from_prefix(&self.bytes).expect("every buffer has room for a header").0
    }

    /// Writes the header into the bytes.
    #[inline(always)]
    pub fn set_header(&mut self, header: &Header) {
        header.write_to_prefix(&mut self.bytes).expect("every buffer has room for a header");
    }

    /// Returns the body: everything behind the header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[Header::SIZE..self.size]
    }

    /// Returns true if nothing is in the places of the message where rights can be.
    pub(super) fn is_bare(&self) -> bool {
        self.destination == Carried::Null && self.reply == Carried::Null && self.descriptors.is_empty()
    }

    /// Returns what the message costs the budget it is on.
    pub fn cost(&self) -> usize {
        size_of::<Message>()
            + Work::PER_OBJECT * WORK_COST
            + self.bytes.len()
            + self.descriptors.capacity() * size_of::<Descriptor>()
    }
}

/// Buffers of small messages that are not in use.
#[derive(Debug, Default)]
pub struct SpareBuffers {
    #[expect(clippy::vec_box, reason = "a message takes the box as it is, without copying the buffer")]
    boxes: Vec<Box<SmallBuffer>>,
}

impl SpareBuffers {
    #[inline]
    fn take(&mut self, size: usize) -> Result<Buffer, NoMemory> {
        if size > SMALL_MESSAGE {
            return Ok(Buffer::Large(store::try_vec(0, size + MAX_TRAILER_SIZE)?));
        }
        store::failpoints::check()?;
        match self.boxes.pop() {
            Some(bytes) => Ok(Buffer::Small(bytes)),
            None => self.allocate(),
        }
    }

    #[cold]
    fn allocate(&mut self) -> Result<Buffer, NoMemory> {
        if self.boxes.capacity() == 0 {
            self.boxes = store::try_with_capacity(SPARE_BUFFERS)?;
        }
        let vec = store::try_vec(0, size_of::<SmallBuffer>())?;
        Ok(Buffer::Small(vec.into_boxed_slice().try_into().map_err(|_| NoMemory)?))
    }

    #[inline]
    fn give_back(&mut self, buffer: Buffer) {
        if let Buffer::Small(bytes) = buffer
            && self.boxes.len() < self.boxes.capacity()
        {
            self.boxes.push(bytes);
        }
    }
}

impl Ipc {
    /// Makes a message of `size` bytes, at least a header, without rights. The bytes are whatever an earlier message left:
    /// the caller writes all of them.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    #[inline]
    pub(crate) fn new_message(
        &mut self,
        step: &mut Step,
        size: usize,
        sender: Credentials,
    ) -> Result<MessageId, NoMemory> {
        assert!(size >= Header::SIZE, "a message has a header");
        let bytes = self.spare_buffers.take(size)?;
        if self.messages.reserve().and_then(|()| step.reserve_work(Work::PER_OBJECT)).is_err() {
            self.spare_buffers.give_back(bytes);
            return Err(NoMemory);
        }
        let message = Message {
            bytes,
            size,
            destination: Carried::Null,
            reply: Carried::Null,
            reply_disposition: Disposition::NONE,
            voucher_disposition: Disposition::NONE,
            descriptors: Vec::new(),
            reaped_descriptors: 0,
            circular: false,
            sender,
            priority: Priority::UNSPECIFIED,
            qos_override: Qos::Unspecified,
            budget: None,
            link: Link::default(),
        };
        Ok(self.messages.insert_reserved(|_| message))
    }

    /// Puts a message on a budget while it is queued or its sender is blocked.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget is used up.
    pub fn charge_message(&mut self, message: MessageId, budget: BudgetId) -> Result<(), NoMemory> {
        if self.messages[message].budget.is_none() {
            self.charge(budget, self.messages[message].cost())?;
            self.messages[message].budget = Some(budget);
        }
        Ok(())
    }

    /// Returns the budget that a message for `port` is on while it is queued: its sender's. But the answer to a send-once
    /// right is on the receiver's, who asked for it and must not be able to use up a server's budget with answers
    /// (mach-ipc 8.1 S10).
    pub fn budget_for(&self, message: MessageId, port: PortId, sender: BudgetId) -> BudgetId {
        match self.messages[message].destination {
            Carried::Right(Right::SendOnce(_)) => self.receiving_budget(port).unwrap_or(sender),
            _ => sender,
        }
    }

    /// Forgets a message that carries nothing any more.
    #[inline]
    pub fn remove_message(&mut self, step: &mut Step, message: MessageId) {
        let removed = self.messages.remove(message).expect("a message is removed once");
        debug_assert!(removed.destination == Carried::Null && removed.reply == Carried::Null, "rights are lost");
        step.release_work(Work::PER_OBJECT);
        if let Some(budget) = removed.budget {
            self.refund(budget, removed.cost());
        }
        self.spare_buffers.give_back(removed.bytes);
    }

    /// Ends the right by which a message was sent, which has done its work. Returns of which kind it was.
    pub fn consume_message_destination(&mut self, step: &mut Step, message: MessageId) -> Disposition {
        let Carried::Right(right) = self.messages[message].destination.take() else {
            panic!("a queued message has a destination")
        };
        let kind = right.disposition();
        self.consume_destination(step, right);
        kind
    }
}
