//! The ports of vouchers (vouchers 1.10): from references to send rights and back.

use super::Vouchers;
use super::bindings::Came;
use super::cost::cost_of;
use super::session::Session;
use super::system::System;
use crate::ids::{BudgetId, PortId, VoucherId};
use crate::ipc::Ipc;
use crate::ipc::right::SendRight;
use crate::machine::NoMemory;
use crate::step::Step;
use crate::trace::Event;
use abi::event::kind;
use voucher::Key;
use voucher::importance::Source;

/// Returns the number of the inherit that is a voucher's importance, or 0.
fn inherit_in(system: &System, voucher: VoucherId) -> u64 {
    let importance = system.registry.attributes(voucher).find(|(key, _)| *key == Key::IMPORTANCE);
    match importance.and_then(|(_, handle)| Source::from_handle(handle)) {
        Some(Source::Inherit(inherit)) => inherit.to_bits(),
        Some(Source::Task(_)) | None => 0,
    }
}

impl Vouchers {
    /// Turns a reference of the caller into a send right. A voucher without a port gets one first, and goes on
    /// `budget`.
    ///
    /// # Errors
    /// [`NoMemory`] if memory or the budget is used up; the reference has been released.
    pub fn send_right(
        &mut self,
        ipc: &mut Ipc,
        step: &mut Step,
        budget: BudgetId,
        voucher: VoucherId,
    ) -> Result<SendRight, NoMemory> {
        let registry = &mut self.system.registry;
        if registry.get(voucher).expect("the caller holds a reference").port().is_none() {
            let cost = cost_of(&self.system, ipc.importance(), voucher);
            match self.bindings.add(ipc, step, voucher, (budget, cost)) {
                Ok(binding) => {
                    let system = &self.system;
                    step.trace
                        .record(|| Event::voucher(kind::VOUCHER_CREATED, Some(voucher), inherit_in(system, voucher)));
                    self.system.registry.bind_port(voucher, binding);
                }
                Err(NoMemory) => {
                    self.release(ipc, step, voucher);
                    return Err(NoMemory);
                }
            }
        } else {
            step.trace.record(move || Event::voucher(kind::VOUCHER_FOUND, Some(voucher), 0));
        }
        self.system.registry.reference_to_send_right(voucher);
        let port = self.port(voucher).expect("the voucher has a port");
        Ok(ipc.make_send(port))
    }

    /// Returns the port of a live voucher, if it has one.
    pub fn port(&self, voucher: VoucherId) -> Option<PortId> {
        self.system.registry.get(voucher)?.port().and_then(|binding| self.bindings.get(binding)).map(|b| b.port)
    }

    /// Notes the message with which a task receives a voucher, the right to which is in the message, if it is the first
    /// that brings the voucher.
    pub fn note_came(&mut self, ipc: &Ipc, right: &SendRight, came: Came) {
        let voucher = ipc.voucher_behind(right.port()).expect("the right is one to a voucher");
        let binding = self.system.registry.get(voucher).and_then(|voucher| voucher.port());
        self.bindings.note_came(binding.expect("a voucher with send rights has a port"), came);
    }

    /// Returns the first message with which a task received a voucher.
    pub fn came(&self, voucher: VoucherId) -> Option<Came> {
        self.system.registry.get(voucher)?.port().and_then(|binding| self.bindings.get(binding))?.came
    }

    /// Adds a reference to a live voucher, which the caller [releases](Vouchers::release).
    ///
    /// # Errors
    /// [`NoMemory`] if the count is at its limit; nothing has changed.
    pub fn retain(&mut self, voucher: VoucherId) -> Result<(), NoMemory> {
        self.system.registry.retain(voucher).map_err(super::no_memory)
    }

    /// Releases a reference. With the last one the voucher dies (vouchers 1.11).
    pub fn release(&mut self, ipc: &mut Ipc, step: &mut Step, voucher: VoucherId) {
        let rest = voucher::release_voucher(&mut Session { vouchers: self, ipc, step }, voucher);
        assert!(rest.is_none(), "the managers of the kernel answer at once");
    }

    /// Releases the reference of a voucher's port that has lost its last send right, unless it has got another one since
    /// (vouchers 1.10).
    pub fn no_senders(&mut self, ipc: &mut Ipc, step: &mut Step, port: PortId) {
        let Some(voucher) = ipc.take_no_senders(port) else { return };
        step.trace.record(move || Event::voucher(kind::VOUCHER_RELEASED, Some(voucher), 0));
        if let Some(dead) = self.system.registry.no_senders(voucher) {
            let rest = voucher::destroy_voucher(&mut Session { vouchers: self, ipc, step }, dead);
            assert!(rest.is_none(), "the managers of the kernel answer at once");
        }
    }
}
