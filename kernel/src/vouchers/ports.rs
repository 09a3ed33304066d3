//! The ports of vouchers (vouchers 1.10): from references to send rights and back.

use super::Vouchers;
use super::cost::cost_of;
use super::session::Session;
use crate::ids::{BudgetId, PortId, VoucherId};
use crate::ipc::Ipc;
use crate::ipc::right::SendRight;
use crate::machine::NoMemory;
use crate::step::Step;

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
            let cost = cost_of(&self.system, voucher);
            match self.bindings.add(ipc, step, voucher, (budget, cost)) {
                Ok(binding) => self.system.registry.bind_port(voucher, binding),
                Err(NoMemory) => {
                    self.release(ipc, step, voucher);
                    return Err(NoMemory);
                }
            }
        }
        self.system.registry.reference_to_send_right(voucher);
        let port = self.port(voucher).expect("the voucher has a port");
        Ok(ipc.make_send(port))
    }

    /// Returns the port of a live voucher, if it has one.
    pub fn port(&self, voucher: VoucherId) -> Option<PortId> {
        self.system.registry.get(voucher)?.port().and_then(|binding| self.bindings.get(binding)).map(|b| b.port)
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
        if let Some(dead) = self.system.registry.no_senders(voucher) {
            let rest = voucher::destroy_voucher(&mut Session { vouchers: self, ipc, step }, dead);
            assert!(rest.is_none(), "the managers of the kernel answer at once");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SpaceId;
    use crate::limits::Limits;
    use crate::step::Work;
    use crate::vouchers::Client;
    use abi::voucher::{MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE, RecipeHeader};
    use voucher::CallingTask;
    use zerocopy::IntoBytes;

    struct Stage {
        ipc: Ipc,
        step: Step,
        vouchers: Vouchers,
        space: SpaceId,
    }

    impl Stage {
        fn new() -> Stage {
            let mut step = Step::default();
            let mut ipc = Ipc::new(&mut step, Limits::default()).unwrap();
            ipc.make_room_for_task().unwrap();
            let space = ipc.insert_space(0);
            Stage { ipc, step, vouchers: Vouchers::new(0).unwrap(), space }
        }

        /// Creates the voucher with one byte of user data.
        fn create(&mut self) -> SendRight {
            let header = RecipeHeader {
                key: MACH_VOUCHER_ATTR_KEY_USER_DATA,
                command: MACH_VOUCHER_ATTR_USER_DATA_STORE,
                previous_voucher: 0,
                content_size: 1,
            };
            let client = Client { task: CallingTask { task: 1, bank: None }, space: self.space };
            let recipes = [header.as_bytes(), b"a"].concat();
            self.vouchers
                .create(&mut self.ipc, &mut self.step, &client, &recipes)
                .unwrap()
                .expect("it has an attribute")
        }

        fn destroy(&mut self, right: SendRight) {
            self.ipc.destroy_send(&mut self.step, right);
        }

        /// Does the urgent work and returns how much there was.
        fn settle(&mut self) -> usize {
            let mut count = 0;
            while let Some(work) = self.step.next_urgent() {
                let Work::NoSenders(port) = work else { panic!("{work:?} is about a voucher") };
                self.vouchers.no_senders(&mut self.ipc, &mut self.step, port);
                count += 1;
            }
            count
        }
    }

    #[test]
    fn a_voucher_dies_when_its_last_send_right_ends() {
        let mut stage = Stage::new();
        let (first, second) = (stage.create(), stage.create());
        let port = first.port();
        stage.destroy(first);
        assert_eq!((stage.settle(), stage.vouchers.count()), (0, 1));
        stage.destroy(second);
        assert_eq!((stage.settle(), stage.vouchers.count()), (1, 0));
        assert!(stage.ipc.live_port(port).is_none());
        assert_eq!(stage.ipc.used(stage.ipc.space(stage.space).budget()), Some(0));
    }

    #[test]
    fn a_voucher_with_a_new_send_right_within_the_step_lives() {
        let mut stage = Stage::new();
        let first = stage.create();
        let port = first.port();
        stage.destroy(first);
        let second = stage.create();
        assert_eq!(second.port(), port, "the port is still there");
        assert_eq!((stage.settle(), stage.vouchers.count()), (1, 1));
        // Twice within one step, it is noted once.
        stage.destroy(second);
        let third = stage.create();
        stage.destroy(third);
        assert_eq!((stage.settle(), stage.vouchers.count()), (1, 0));
    }

    #[test]
    fn a_reference_keeps_a_voucher_without_send_rights() {
        let mut stage = Stage::new();
        let right = stage.create();
        let (port, voucher) = (right.port(), stage.ipc.voucher_behind(right.port()).unwrap());
        stage.vouchers.retain(voucher).unwrap();
        stage.destroy(right);
        assert_eq!((stage.settle(), stage.vouchers.port(voucher)), (1, Some(port)));
        stage.vouchers.release(&mut stage.ipc, &mut stage.step, voucher);
        assert_eq!(stage.vouchers.count(), 0);
        assert!(stage.ipc.live_port(port).is_none());
    }
}
