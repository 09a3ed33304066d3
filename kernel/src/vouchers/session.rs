//! [`Session`]: the driver that carries requests from the registry to the managers.

use super::Vouchers;
use crate::ids::VoucherId;
use crate::ipc::Ipc;
use crate::step::Step;
use voucher::{AttributeManager, Driver, Key, PortBinding, Registry};

/// The parts of the kernel that a creation or a release needs. A voucher that dies takes its port with it.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) vouchers: &'a mut Vouchers,
    pub(super) ipc: &'a mut Ipc,
    pub(super) step: &'a mut Step,
}

impl Driver for Session<'_> {
    fn registry(&mut self) -> &mut Registry {
        &mut self.vouchers.system.registry
    }

    fn registry_ref(&self) -> &Registry {
        &self.vouchers.system.registry
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        self.vouchers.system.manager(key)
    }

    fn voucher_died(&mut self, _id: VoucherId, port: Option<PortBinding>) {
        if let Some(binding) = port {
            self.vouchers.bindings.remove(self.ipc, self.step, binding);
        }
    }
}
