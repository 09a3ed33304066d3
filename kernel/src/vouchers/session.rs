//! [`Session`]: the driver that carries requests from the registry to the managers.

use super::Vouchers;
use crate::ids::VoucherId;
use crate::ipc::Ipc;
use crate::step::Step;
use crate::trace::Event;
use abi::event::kind;
use core::task::Poll;
use voucher::managers::importance::ImportanceManager;
use voucher::*;

/// The parts of the kernel that a creation or a release needs. A voucher that dies takes its port with it.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) vouchers: &'a mut Vouchers,
    pub(super) ipc: &'a mut Ipc,
    pub(super) step: &'a mut Step,
}

impl Session<'_> {
    /// Lets `ask` ask the manager of a key. That of importance needs the ports, and exists for the time of the question.
    #[inline]
    fn ask<R>(&mut self, key: Key, ask: impl FnOnce(&mut dyn AttributeManager) -> R) -> R {
        if key != Key::IMPORTANCE {
            return ask(self.vouchers.system.manager(key));
        }
        let (importance, mut surroundings) = self.ipc.importance_parts();
        ask(&mut ImportanceManager { importance, environment: &mut surroundings })
    }
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

    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        self.ask(request.key, |manager| manager.get_value(caller, request, content))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        self.ask(request.key, |manager| manager.release_value(request))
    }

    fn voucher_died(&mut self, id: VoucherId, port: Option<PortBinding>) {
        self.step.trace.record(move || Event::voucher(kind::VOUCHER_DIED, Some(id), 0));
        if let Some(binding) = port {
            self.vouchers.bindings.remove(self.ipc, self.step, binding);
        }
    }
}
