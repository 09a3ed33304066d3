//! What a channel holds until something happens, for debuggers (dispatch 2.11 H7, H8).

use super::channel::Inner;
use super::reply::Pending;
use crate::inspect::{Held, Look};
use abi::debugger::{HolderRecord, holder};

impl Inner {
    /// Returns what the pending reply at a place of the list holds.
    pub(crate) fn look_at_reply(&self, place: usize) -> Look<HolderRecord> {
        match self.replies.lock().at(place) {
            Some(Pending::Later(requester) | Pending::ThreadOnPort(requester)) => {
                Look::of(requester.held().record(holder::REPLY, self.queue.number()))
            }
            // The thread itself has the voucher.
            Some(Pending::Thread) => Look::Skip,
            None => Look::End,
        }
    }

    /// Returns what the message at a place of the send queue holds.
    pub(crate) fn look_at_message(&self, place: usize) -> Look<HolderRecord> {
        match self.send.lock().at(place) {
            Some(Some(sending)) => {
                let message = &sending.message;
                let priority = message.priority.without_flags().0;
                let held = Held { work: 0, priority, voucher: message.voucher.as_deref() };
                Look::of(held.record(holder::SENDING, self.queue.number()))
            }
            Some(None) => Look::Skip,
            None => Look::End,
        }
    }
}
