//! The voucher of a message on its way: processing when the message is sent and received (vouchers 7.2, 7.4).

use crate::ids::{Context, MessageId};
use crate::kernel::Kernel;

impl Kernel {
    /// Processes the voucher of a message that `sender` sends, if it has one. The sender's task is then named by it.
    #[inline(never)]
    pub(crate) fn preprocess_voucher(&mut self, sender: Context, message: MessageId) {
        let client = self.client(sender);
        let Kernel { ipc, step, vouchers, .. } = self;
        if let Some(attached) = ipc.message_mut(message).voucher.take() {
            ipc.message_mut(message).voucher = vouchers.preprocess(ipc, step, &client, attached);
        }
    }

    /// Processes the voucher of a message that `receiver` takes with its voucher, if it has one.
    #[inline(never)]
    pub(crate) fn postprocess_voucher(&mut self, receiver: Context, message: MessageId) {
        let client = self.client(receiver);
        let Kernel { ipc, step, vouchers, .. } = self;
        if let Some(attached) = ipc.message_mut(message).voucher.take() {
            ipc.message_mut(message).voucher = vouchers.postprocess(ipc, step, &client, attached);
        }
    }
}
