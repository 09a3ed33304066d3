//! Room for what must come (errata 4): each send-once right is promised one message.
//!
//! A send-once right causes one message: one that is sent by it, a notification for which it was registered, or the
//! send-once notification when it ends unused. Nobody must wait in vain for that, however little memory there is when it
//! is due. So when a send-once right is made, a message for it is made as well, without contents, and charged to the
//! budget of the port. The kernel takes such a message for its notifications, exit messages and short replies.
//!
//! A port has as many promises as send-once rights, or more: one that was used by a reply of a program is kept for the
//! next right, so that making the right for a call takes one comparison (`direct.rs`).

use super::Ipc;
use super::message::{Buffer, NOTICE_COST, NOTICE_SIZE};
use super::right::{Carried, Right, SendOnceRight};
use crate::credentials::Credentials;
use crate::ids::{MessageId, PortId};
use crate::machine::NoMemory;
use crate::step::{Step, Work};
use abi::message::*;
use abi::mig::NDR;
use abi::port::Disposition;
use zerocopy::IntoBytes;

/// Promises that a port keeps although it has no rights for them.
const IDLE_MAX: u32 = 1;
/// Promises that are ended in one piece of work.
pub(super) const ENDED_TOGETHER: u32 = 16;

impl Ipc {
    /// Makes sure that `more` send-once rights to a live port can be made.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out or the budget of the port is used up; nothing has changed.
    #[inline]
    pub(super) fn promise(&mut self, step: &mut Step, port: PortId, more: u32) -> Result<(), NoMemory> {
        let state = &self.ports[port];
        match (state.send_once_rights + more).checked_sub(state.promised) {
            None | Some(0) => Ok(()),
            Some(missing) => self.add_promises(step, port, missing),
        }
    }

    #[cold]
    fn add_promises(&mut self, step: &mut Step, port: PortId, count: u32) -> Result<(), NoMemory> {
        let budget = self.ports[port].budget.expect("the kernel's ports have no receive rights to make others from");
        self.charge(budget, count as usize * NOTICE_COST)?;
        for made in 0..count {
            if self.add_spare_message(step).is_err() {
                self.remove_spare_messages(step, made);
                self.refund(budget, count as usize * NOTICE_COST);
                return Err(NoMemory);
            }
        }
        self.ports[port].promised += count;
        Ok(())
    }

    fn add_spare_message(&mut self, step: &mut Step) -> Result<(), NoMemory> {
        let bytes = Buffer::Large(store::try_vec(0, NOTICE_SIZE)?);
        let message = self.new_message_in(step, bytes, Header::SIZE, Credentials::KERNEL)?;
        self.messages[message].spare = true;
        // The one that was made last is taken first. Those that others have made meanwhile go before older ones, so that
        // no place high up in the table is left in use when they are gone.
        self.spare_messages.push_front(&mut self.messages, message);
        Ok(())
    }

    fn remove_spare_messages(&mut self, step: &mut Step, count: u32) {
        for _ in 0..count {
            let message = self.take_spare_message();
            self.remove_message(step, message);
        }
    }

    pub(super) fn take_spare_message(&mut self) -> MessageId {
        let message = self.spare_messages.pop_front(&mut self.messages).expect("a message was promised");
        self.messages[message].spare = false;
        message
    }

    /// Ends the promises of a live port for which it has no rights, but for some, because a right has ended.
    #[inline]
    pub(super) fn end_idle_promises(&mut self, step: &mut Step, port: PortId) {
        let state = &self.ports[port];
        let idle = state.promised.saturating_sub(state.send_once_rights);
        if idle > IDLE_MAX {
            self.end_promises(step, port, idle - IDLE_MAX);
        }
    }

    /// Ends some of the promises of a dead port. Returns true if there were any.
    #[inline(always)]
    pub(super) fn end_some_promises(&mut self, step: &mut Step, port: PortId) -> bool {
        let promised = self.ports[port].promised;
        if promised > 0 {
            self.end_promises(step, port, promised);
        }
        promised > 0
    }

    /// Ends `count` promises of a port, but only some at a time.
    #[inline(never)]
    fn end_promises(&mut self, step: &mut Step, port: PortId, count: u32) {
        let count = count.min(ENDED_TOGETHER);
        let state = &mut self.ports[port];
        state.promised -= count;
        if let Some(budget) = state.budget {
            self.refund(budget, count as usize * NOTICE_COST);
        }
        self.remove_spare_messages(step, count);
        // Two take as long as one piece of work.
        step.spend(count / 2);
    }

    /// Makes a message of the kernel's by a send-once right to a live port, which it uses up. It has no body, or one of a
    /// word after an NDR record.
    pub(crate) fn new_promised_message(&mut self, to: SendOnceRight, id: i32, word: Option<u32>) -> MessageId {
        let state = &mut self.ports[to.port()];
        assert!(state.is_alive(), "a message to dead {:?} is made", to.port());
        state.promised = state.promised.checked_sub(1).expect("every send-once right has a promise");
        let budget = state.budget;
        let message = self.take_spare_message();
        let made = &mut self.messages[message];
        // The cost stays the same, and is the message's now.
        made.budget = budget;
        let bits = msgh_bits(Disposition::PORT_SEND_ONCE, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
        made.set_header(&Header { msgh_bits: bits, msgh_id: id, ..Header::default() });
        if let Some(word) = word {
            made.bytes[Header::SIZE..][..NDR.len()].copy_from_slice(&NDR);
            made.bytes[Header::SIZE + NDR.len()..][..size_of::<u32>()].copy_from_slice(word.as_bytes());
            made.size = Header::SIZE + NDR.len() + size_of::<u32>();
        }
        made.destination = Carried::Right(Right::SendOnce(to));
        message
    }

    /// Makes a message for a send-once right, which it uses up, and notes that it has to be sent. If the port is dead,
    /// there is nobody to send it to.
    pub(crate) fn send_promised(&mut self, step: &mut Step, to: SendOnceRight, id: i32, word: Option<u32>) {
        if self.live_port(to.port()).is_some() {
            let message = self.new_promised_message(to, id, word);
            step.later(Work::Post(message));
        }
    }
}
