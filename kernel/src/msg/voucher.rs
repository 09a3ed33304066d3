//! The voucher and the importance of a message on its way: what happens when the message is sent and received (vouchers
//! 7.2, 7.4, importance 4.3, 5.2).

use crate::ids::{Context, MessageId, PortId};
use crate::ipc::direct::attached::{Case, Origin};
use crate::kernel::Kernel;
use crate::limits::BOOST_VISITS_LEAST;
use crate::machine::NoMemory;
use crate::vouchers::bindings::Came;
use abi::message::MsgOption;
use voucher::importance::SendMode;

impl Kernel {
    /// Processes the voucher of a message that `sender` sends, if it has one. The sender's task is then named by it.
    #[inline(never)]
    pub(crate) fn preprocess_voucher(&mut self, sender: Context, message: MessageId) {
        let client = self.client(sender);
        let Kernel { ipc, step, vouchers, .. } = self;
        if let Some(attached) = ipc.message_mut(message).voucher.take() {
            let origin = Origin { space: sender.space, voucher: Some(attached.port()) };
            let processed = vouchers.preprocess(ipc, step, &client, attached);
            if processed.is_some() {
                vouchers.note_origin(message, origin);
            }
            ipc.message_mut(message).voucher = processed;
        }
    }

    /// Lets a message that `sender` sends to a live port carry the importance of its sender (importance 4.3). It boosts
    /// before it is queued, so also while its sender is blocked.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    #[inline]
    pub(crate) fn donate(
        &mut self,
        sender: Context,
        message: MessageId,
        port: PortId,
        options: MsgOption,
    ) -> Result<(), NoMemory> {
        let mode = send_mode(options);
        if !self.ipc.takes_part(port, sender.space, mode) {
            return Ok(());
        }
        let attached = self.ipc.message(message).voucher.as_ref();
        let voucher = attached.and_then(|attached| self.vouchers.importance_of(&self.ipc, attached));
        let long = self.step.effort.is_much();
        if long {
            self.ipc.allow_visits(BOOST_VISITS_LEAST);
        }
        let donated = self.ipc.donate(message, port, sender.space, voucher, mode);
        if long {
            self.ipc.allow_visits(self.limits.boost_visits);
        }
        donated?;
        if self.ipc.message(message).voucher.is_none() {
            self.vouchers.note_origin(message, Origin { space: sender.space, voucher: None });
        }
        Ok(())
    }

    /// Takes the importance and the voucher of a message that `receiver` receives on a port: first the importance, which
    /// moves into the voucher or ends (importance 5.2, 5.4), then the voucher is processed. Returns true if the message
    /// has importance for the receiver then.
    #[inline(never)]
    pub(crate) fn receive_attached(
        &mut self,
        receiver: Context,
        message: MessageId,
        port: PortId,
        with_voucher: bool,
    ) -> bool {
        if !with_voucher {
            self.ipc.clean_message(message);
            return false;
        }
        let client = self.client(receiver);
        let Kernel { ipc, step, vouchers, .. } = self;
        let (origin, tied) = (vouchers.origin_of(message), ipc.message(message).is_tied());
        let importance = vouchers.receive_importance(ipc, step, &client, message);
        if let Some(attached) = ipc.message_mut(message).voucher.take() {
            let delivered = vouchers.postprocess(ipc, step, &client, attached);
            if let Some(delivered) = &delivered {
                let received = ipc.message(message);
                let came = Came { by: port, with: received.header().msgh_id, from: received.sender.pid };
                vouchers.note_came(ipc, delivered, came);
                if let Some(origin) = origin {
                    vouchers.remember(ipc, Case { origin, receiver: receiver.space, tied }, delivered);
                }
            }
            ipc.message_mut(message).voucher = delivered;
        }
        importance
    }
}

/// Returns how a message with these options takes part in importance.
pub(crate) fn send_mode(options: MsgOption) -> SendMode {
    if options.contains(MsgOption::SEND_NOIMPORTANCE) { SendMode::NoImportance } else { SendMode::Normal }
}
