//! The voucher of a message: processed when the message is sent and when it is received (vouchers 7).

use super::session::Session;
use super::{Client, Vouchers};
use crate::ids::VoucherId;
use crate::ipc::Ipc;
use crate::ipc::right::SendRight;
use crate::step::Step;
use abi::qos::Priority;
use voucher::{CallingTask, ProcessedVoucher};

impl Vouchers {
    /// Replaces the voucher of a message that the client sends by what the receiver may know of it (vouchers 7.2).
    /// Without memory or budget the message goes on without a voucher (quirk Q23).
    pub fn preprocess(
        &mut self,
        ipc: &mut Ipc,
        step: &mut Step,
        client: &Client,
        attached: SendRight,
    ) -> Option<SendRight> {
        self.process(ipc, step, client, attached, |session, task, id| voucher::send_preprocessing(session, task, id))
    }

    /// Replaces the voucher of a message that the client receives by one for the client's own use (vouchers 7.4). Without
    /// memory or budget the client gets none (errata 3).
    pub fn postprocess(
        &mut self,
        ipc: &mut Ipc,
        step: &mut Step,
        client: &Client,
        attached: SendRight,
    ) -> Option<SendRight> {
        self.process(ipc, step, client, attached, |session, task, id| {
            voucher::receive_postprocessing(session, task, id)
        })
    }

    /// Processes the voucher of a message. What is made for it is on the client's budget.
    fn process(
        &mut self,
        ipc: &mut Ipc,
        step: &mut Step,
        client: &Client,
        attached: SendRight,
        process: impl FnOnce(&mut Session<'_>, &CallingTask, VoucherId) -> ProcessedVoucher,
    ) -> Option<SendRight> {
        let voucher = ipc.voucher_behind(attached.port()).expect("the copy-in takes rights to vouchers only");
        let processed = process(&mut Session { vouchers: self, ipc, step }, &client.task, voucher);
        let replacement = match processed {
            ProcessedVoucher::Unchanged => return Some(attached),
            ProcessedVoucher::Replaced(replacement) => replacement,
            ProcessedVoucher::Waiting(..) => panic!("the managers of the kernel answer at once"),
        };
        let budget = ipc.space(client.space).budget();
        let right = replacement.and_then(|voucher| self.send_right(ipc, step, budget, voucher).ok());
        ipc.destroy_send(step, attached);
        right
    }

    /// Returns the priority that the voucher of a message asks for, if it asks for one (vouchers 7.3).
    pub fn priority_of(&self, ipc: &Ipc, attached: &SendRight) -> Option<Priority> {
        let voucher = ipc.voucher_behind(attached.port())?;
        voucher::message_priority(&self.system, Some(voucher)).ok().map(Priority::from_pthread)
    }
}
