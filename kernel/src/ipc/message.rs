//! Messages in the kernel, and the buffers for their bytes.

use super::Ipc;
use super::right::{Carried, Right, SendRight};
use crate::credentials::Credentials;
use crate::heap::{footprint, footprint_of_single};
use crate::ids::{BudgetId, MessageId, PortId, tag};
use crate::limits::{SMALL_MESSAGE, SPARE_BUFFERS};
use crate::machine::NoMemory;
use crate::step::{Step, WORK_COST, Work};
use abi::message::{Header, MAX_TRAILER_SIZE};
use abi::mig::NDR;
use abi::port::Disposition;
use abi::qos::{Priority, Qos};
use alloc::boxed::Box;
use alloc::vec::Vec;
use store::{COMPACT_FROM, Compaction, Link, List};
use voucher::importance::{LinkId, MessageLink};
use zerocopy::{FromBytes, IntoBytes};

/// The list of a port's messages.
#[derive(Debug)]
pub enum Queued {}

store::linked!(Message as tag::Message, Queued: link);

/// A port's queue of messages, in the order in which they are received.
pub type Queue = List<tag::Message, Queued>;

/// A message in the kernel. Its rights are in the other fields; port names in its bytes are those of the sender and are
/// not used.
#[derive(Debug)]
pub struct Message {
    /// Header and body as the sender wrote them, then room for a trailer.
    pub bytes: Buffer,
    /// The size of header and body in bytes.
    pub size: usize,
    /// The right to the port that it is sent to.
    pub destination: Carried,
    /// The reply right.
    pub reply: Carried,
    /// The disposition of the reply right, which the receiver gets even if the reply port is dead.
    pub reply_disposition: Disposition,
    /// The voucher, by a send right to its port.
    pub voucher: Option<SendRight>,
    /// The disposition of the voucher: a send right, even without a voucher, or none if the sender declared none. Then
    /// the field of the header is the sender's, for any purpose.
    pub voucher_disposition: Disposition,
    /// Its descriptors, if it is complex.
    pub descriptors: Vec<Descriptor>,
    /// The number of descriptors whose rights have been destroyed, while the message is taken apart.
    pub(super) destroyed_descriptors: usize,
    /// The message carries the receive right of the port that it is sent to, directly or through ports in transit, and
    /// will be destroyed (mach-ipc 6.2).
    pub circular: bool,
    /// The identity of its sender.
    pub sender: Credentials,
    /// The QoS that it was sent with (importance 7.2).
    pub priority: Priority,
    /// The highest QoS of this message and all messages behind it in the queue (importance 7.3).
    pub qos_override: Qos,
    /// Its tie to the importance of its sender, if it has one.
    pub(super) importance: Option<LinkId>,
    /// It has no contents yet (`promise.rs`).
    pub(super) spare: bool,
    /// The budget that it is on, from the time when it was queued or its sender blocked.
    pub(super) budget: Option<BudgetId>,
    /// Its place in a port's queue.
    link: Link<tag::Message>,
}

/// A port descriptor of a complex message.
#[derive(Debug)]
pub struct Descriptor {
    /// The offset of the descriptor in the message's bytes.
    pub offset: usize,
    /// The right.
    pub right: Carried,
    /// The disposition that the receiver gets.
    pub disposition: Disposition,
}

/// The bytes of a message. Buffers for small messages come from a pool, so that sending one needs no allocation.
#[derive(Debug)]
pub enum Buffer {
    /// Room for [`SMALL_MESSAGE`] bytes and a trailer.
    Small(Box<SmallBuffer>),
    /// Room for one message and a trailer.
    Large(Vec<u8>),
}

/// The bytes of [`Buffer::Small`].
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
    /// Returns the header from the bytes.
    #[inline(always)]
    pub fn header(&self) -> Header {
        Header::read_from_prefix(&self.bytes).expect("every buffer has room for a header").0
    }

    /// Writes the header into the bytes.
    #[inline(always)]
    pub fn set_header(&mut self, header: &Header) {
        header.write_to_prefix(&mut self.bytes).expect("every buffer has room for a header");
    }

    /// Returns the bytes behind the header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[Header::SIZE..self.size]
    }

    /// Returns true if a voucher or importance comes with the message.
    #[inline]
    pub fn has_attachment(&self) -> bool {
        self.voucher.is_some() || self.importance.is_some()
    }

    /// Returns true if it has no contents yet: it is room that was set aside.
    pub fn is_spare(&self) -> bool {
        self.spare
    }

    /// Returns true if it is tied to the importance of its sender.
    pub fn is_tied(&self) -> bool {
        self.importance.is_some()
    }

    /// Returns true if the message has no rights: its places for rights are empty.
    pub(super) fn is_bare(&self) -> bool {
        let bare_header = self.destination == Carried::Null && self.reply == Carried::Null && self.voucher.is_none();
        bare_header && self.descriptors.is_empty()
    }

    /// Moves what the message owns to lower memory, if there is any.
    pub(super) fn compact(&mut self, compaction: &mut Compaction) {
        match core::mem::replace(&mut self.bytes, Buffer::Large(Vec::new())) {
            Buffer::Large(mut bytes) => {
                compaction.move_down(&mut bytes);
                self.bytes = Buffer::Large(bytes);
            }
            Buffer::Small(bytes) => {
                let bytes: Box<[u8]> = bytes;
                let mut bytes = bytes.into_vec();
                compaction.move_down(&mut bytes);
                let bytes = bytes.into_boxed_slice().try_into();
                self.bytes = Buffer::Small(bytes.expect("the size is the same"));
            }
        }
        compaction.move_down(&mut self.descriptors);
    }

    /// Returns the cost of the message on a budget, in bytes: what it takes up of the heap, with a tie to importance. One
    /// that was promised has none.
    pub fn cost(&self) -> usize {
        let buffer = match &self.bytes {
            Buffer::Small(_) => const { footprint(size_of::<SmallBuffer>()) },
            Buffer::Large(bytes) if bytes.len() == NOTICE_SIZE => return NOTICE_COST,
            Buffer::Large(bytes) => footprint(bytes.len()),
        };
        let descriptors = match self.descriptors.capacity() {
            0 => 0,
            count => footprint(count * size_of::<Descriptor>()),
        };
        RECORD_COST + footprint_of_single::<MessageLink>() + buffer + descriptors
    }
}

/// The cost of a message's record on a budget, in bytes.
const RECORD_COST: usize = footprint_of_single::<Message>() + Work::PER_OBJECT * WORK_COST;

/// What a message of a program costs a budget at least, in bytes. Unlike a promised one it may boost.
pub(super) const LINKED_COST: usize =
    RECORD_COST + footprint_of_single::<MessageLink>() + footprint(size_of::<SmallBuffer>());

/// Words in the longest body of a promised message.
const WORDS_MAX: usize = 1;
/// The bytes of a promised message, with room for a trailer. No other message has a buffer of this size.
pub(super) const NOTICE_SIZE: usize = Header::SIZE + NDR.len() + WORDS_MAX * size_of::<u32>() + MAX_TRAILER_SIZE;
/// The cost of a promised message on a budget, in bytes.
pub const NOTICE_COST: usize = RECORD_COST + footprint(NOTICE_SIZE);

/// The pool of free buffers for small messages.
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

    /// Gives back all buffers.
    pub(super) fn trim(&mut self) {
        self.boxes = Vec::new();
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
    /// Makes a message of `size` bytes, at least a header, without rights. The caller writes all bytes, because the
    /// buffer has the contents of an earlier message.
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
        assert!(size >= Header::SIZE, "a message of {size} bytes has no room for a header");
        let bytes = self.spare_buffers.take(size)?;
        self.new_message_in(step, bytes, size, sender)
    }

    /// The same with a buffer that has been taken.
    ///
    /// # Errors
    /// [`NoMemory`]; the buffer has been given back.
    #[inline(always)]
    pub(super) fn new_message_in(
        &mut self,
        step: &mut Step,
        bytes: Buffer,
        size: usize,
        sender: Credentials,
    ) -> Result<MessageId, NoMemory> {
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
            voucher: None,
            voucher_disposition: Disposition::NONE,
            descriptors: Vec::new(),
            destroyed_descriptors: 0,
            circular: false,
            sender,
            priority: Priority::UNSPECIFIED,
            qos_override: Qos::Unspecified,
            importance: None,
            spare: false,
            budget: None,
            link: Link::default(),
        };
        Ok(self.messages.insert_reserved(|_| message))
    }

    /// Puts a message on a budget, unless it is on one already. Called before it is queued or its sender blocks.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget is used up; nothing has changed.
    pub fn charge_message(&mut self, message: MessageId, budget: BudgetId) -> Result<(), NoMemory> {
        let charged = &self.messages[message];
        if charged.budget.is_none() {
            self.charge(budget, charged.cost())?;
            self.messages[message].budget = Some(budget);
        }
        Ok(())
    }

    /// Returns the budget that a message for `port` is on while it is queued: its sender's, but the port's own for a
    /// message by a send-once right (errata 4). The right was made from the port to get that reply, and a client could
    /// otherwise use up a server's budget by not receiving replies (mach-ipc 8.1 S10).
    pub fn budget_for(&self, message: MessageId, port: PortId, sender: BudgetId) -> BudgetId {
        match self.messages[message].destination {
            Carried::Right(Right::SendOnce(_)) => self.ports[port].budget.unwrap_or(sender),
            _ => sender,
        }
    }

    /// Removes a message that carries no rights, and refunds its cost.
    #[inline]
    pub fn remove_message(&mut self, step: &mut Step, message: MessageId) {
        let removed = self.messages.remove_after(message, |removed| {
            debug_assert!(
                removed.destination == Carried::Null && removed.reply == Carried::Null,
                "its rights are lost"
            );
            debug_assert!(removed.voucher.is_none(), "its voucher is lost");
            assert!(removed.importance.is_none(), "{message:?} is removed with its importance");
            let bill = removed.budget.map(|budget| (budget, removed.cost()));
            (bill, core::mem::replace(&mut removed.bytes, Buffer::Large(Vec::new())))
        });
        let (bill, bytes) = removed.expect("the message has not been removed before");
        step.release_work(Work::PER_OBJECT);
        if let Some((budget, cost)) = bill {
            self.refund(budget, cost);
        }
        self.spare_buffers.give_back(bytes);
        if self.messages.given_back() >= COMPACT_FROM {
            // Others move on the full exit.
            step.choose_again();
        }
    }

    /// Ends the right by which a message was sent, because it is delivered. Returns the right's disposition.
    pub fn consume_message_destination(&mut self, step: &mut Step, message: MessageId) -> Disposition {
        let Carried::Right(right) = self.messages[message].destination.take() else {
            panic!("a queued message has a destination")
        };
        let kind = right.disposition();
        self.consume_destination(step, right);
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pool: &mut SpareBuffers, count: usize) -> Vec<Buffer> {
        (0..count).map(|_| pool.take(SMALL_MESSAGE).unwrap()).collect()
    }

    #[test]
    fn small_buffers_are_kept_up_to_a_number_and_used_again() {
        let mut pool = SpareBuffers::default();
        for _ in 0..2 {
            let buffers = take(&mut pool, SPARE_BUFFERS + 2);
            assert!(pool.boxes.is_empty(), "spare buffers are used first");
            buffers.into_iter().for_each(|buffer| pool.give_back(buffer));
            assert_eq!(pool.boxes.len(), SPARE_BUFFERS);
        }
    }

    #[test]
    fn a_larger_message_gets_a_buffer_of_its_size_which_is_not_kept() {
        let mut pool = SpareBuffers::default();
        let small = take(&mut pool, 1).remove(0);
        assert!(matches!(small, Buffer::Small(_)));
        assert_eq!(small.len(), SMALL_MESSAGE + MAX_TRAILER_SIZE);
        let large = pool.take(SMALL_MESSAGE + 4).unwrap();
        assert!(matches!(large, Buffer::Large(_)));
        assert_eq!(large.len(), SMALL_MESSAGE + 4 + MAX_TRAILER_SIZE);
        pool.give_back(large);
        assert!(pool.boxes.is_empty());
    }
}
