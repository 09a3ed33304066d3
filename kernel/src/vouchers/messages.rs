//! The voucher of a message: processed when the message is sent and when it is received (vouchers 7).

use super::session::Session;
use super::{Client, Vouchers};
use crate::ids::{MessageId, VoucherId};
use crate::ipc::Ipc;
use crate::ipc::direct::attached::{Case, Delivery, Origin};
use crate::ipc::right::SendRight;
use crate::machine::NoMemory;
use crate::step::Step;
use abi::port::{Disposition, MACH_PORT_NULL, PortName};
use abi::qos::Priority;
use voucher::importance::{Delivered, DeliveredVoucher, LinkId, Source};
use voucher::{CallingTask, Key, ProcessedVoucher};

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

    /// Returns the importance in the voucher of a message, if it has any.
    pub fn importance_of(&self, ipc: &Ipc, attached: &SendRight) -> Option<Source> {
        let voucher = ipc.voucher_behind(attached.port())?;
        self.system.registry.handle(voucher, Key::IMPORTANCE).and_then(Source::from_handle)
    }

    /// Gives the client the importance of a message that it receives, in place of what the message's voucher says of
    /// importance (importance 5.2). Returns true if the message has importance for the client, even if that does not boost
    /// now.
    pub fn receive_importance(&mut self, ipc: &mut Ipc, step: &mut Step, client: &Client, message: MessageId) -> bool {
        let link = ipc.take_importance(message);
        let sent = ipc.message(message).voucher.as_ref().and_then(|right| ipc.voucher_behind(right.port()));
        if link.is_none() && sent.is_none() {
            return false;
        }
        let budget = ipc.space(client.space).budget();
        let delivered = self.deliver_importance(ipc, client, link, sent);
        let DeliveredVoucher::Replaced(voucher) = delivered.voucher else { return delivered.raised };
        let made = voucher.map(|voucher| self.send_right(ipc, step, budget, voucher)).transpose();
        let (right, raised) = match made {
            Ok(right) => (right, delivered.raised),
            // Without memory or budget for the voucher's port its boost ends; the rest of the voucher may have a port
            // already (errata 3).
            Err(NoMemory) => match self.deliver_importance(ipc, client, None, sent).voucher {
                DeliveredVoucher::Unchanged => return false,
                DeliveredVoucher::Replaced(rest) => {
                    (rest.and_then(|rest| self.send_right(ipc, step, budget, rest).ok()), false)
                }
            },
        };
        let received = ipc.message_mut(message);
        received.voucher_disposition = Disposition::PORT_SEND;
        if let Some(sent) = core::mem::replace(&mut received.voucher, right) {
            ipc.destroy_send(step, sent);
        }
        raised
    }

    fn deliver_importance(
        &mut self,
        ipc: &mut Ipc,
        client: &Client,
        link: Option<LinkId>,
        sent: Option<VoucherId>,
    ) -> Delivered {
        self.with_importance(ipc, |driver| voucher::importance::receive_importance(driver, &client.task, link, sent))
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

    /// Returns the QoS words of a message that has them from its voucher alone (errata 6).
    pub fn qos_words(&self, voucher: VoucherId) -> u64 {
        let asked = voucher::message_priority(&self.system, Some(voucher)).ok().map(Priority::from_pthread);
        asked.map_or(0, |priority| priority.words_with(priority.qos))
    }

    /// Takes note of what a message was sent with. It is known until the next message with an attachment is sent: long
    /// enough if a receiver waits.
    pub fn note_origin(&mut self, message: MessageId, origin: Origin) {
        self.sent = Some((message, origin));
    }

    /// Returns what a message was sent with, if that is known.
    pub fn origin_of(&self, message: MessageId) -> Option<Origin> {
        self.sent.filter(|&(sent, _)| sent == message).map(|(_, origin)| origin)
    }

    /// Remembers the voucher that a receiver gets with a message, for the messages of the same [`Case`] that follow.
    pub fn remember(&mut self, ipc: &Ipc, case: Case, delivered: &SendRight) {
        let inherit = match self.importance_of(ipc, delivered) {
            Some(Source::Inherit(inherit)) => Some(inherit),
            Some(Source::Task(_)) => return,
            None => None,
        };
        // A receiver of boosts that got none may get one with the next message: this time there was no memory.
        let receives = || ipc.element_of(case.receiver).is_some_and(|element| ipc.importance().is_receiver(element));
        if case.tied && inherit.is_none() && receives() {
            return;
        }
        let qos = match case.origin.voucher {
            None => 0,
            Some(port) => match ipc.voucher_behind(port) {
                Some(sent) => self.qos_words(sent),
                None => return,
            },
        };
        let personas = self.system.bank.personas().of_system();
        self.memo.set(personas, case, Delivery { port: delivered.port(), inherit, qos, name: MACH_PORT_NULL });
    }

    /// Takes note of the name of a voucher that a receiver has got directly.
    #[inline(always)]
    pub fn note_given(&mut self, name: PortName) {
        self.given = name;
    }

    /// Returns the name of a voucher that a receiver got directly last.
    #[inline(always)]
    pub fn last_given(&self) -> PortName {
        self.given
    }

    /// Returns what a receiver got in this case lately.
    #[inline(always)]
    pub fn remembered(&mut self, case: &Case) -> Option<&mut Delivery> {
        self.memo.get(self.system.bank.personas().of_system(), case)
    }
}
