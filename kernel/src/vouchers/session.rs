//! [`Session`]: the driver that carries requests from the registry to the managers.

use super::Vouchers;
use super::system::System;
use crate::ids::VoucherId;
use crate::ipc::Ipc;
use crate::ipc::importance::Surroundings;
use crate::step::Step;
use core::task::Poll;
use voucher::importance::{Environment, Importance, ImportanceDriver};
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

    fn voucher_died(&mut self, _id: VoucherId, port: Option<PortBinding>) {
        if let Some(binding) = port {
            self.vouchers.bindings.remove(self.ipc, self.step, binding);
        }
    }
}

/// The driver of calls that ask about vouchers or give a receiver the importance of a message. No voucher dies then: such
/// a call asks no manager for a value, and the values that it uses are those of vouchers that live on.
#[derive(Debug)]
pub(super) struct Inquiry<'a> {
    system: &'a mut System,
    importance: &'a mut Importance,
    surroundings: Surroundings<'a>,
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(vouchers: &'a mut Vouchers, ipc: &'a mut Ipc) -> Inquiry<'a> {
        let (importance, surroundings) = ipc.importance_parts();
        Inquiry { system: &mut vouchers.system, importance, surroundings }
    }

    fn ask<R>(&mut self, key: Key, ask: impl FnOnce(&mut dyn AttributeManager) -> R) -> R {
        let Inquiry { system, importance, surroundings } = self;
        match key {
            Key::IMPORTANCE => ask(&mut ImportanceManager { importance, environment: surroundings }),
            key => ask(system.manager(key)),
        }
    }
}

impl Driver for Inquiry<'_> {
    fn registry(&mut self) -> &mut Registry {
        &mut self.system.registry
    }

    fn registry_ref(&self) -> &Registry {
        &self.system.registry
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        self.system.manager(key)
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        self.ask(request.key, |manager| manager.release_value(request))
    }

    fn extract_content(
        &mut self,
        caller: &CallingTask,
        key: Key,
        handle: u64,
        out: &mut OutBuffer<'_>,
    ) -> Result<u32, Error> {
        self.ask(key, |manager| manager.extract_content(caller, key, handle, out))
    }

    fn command(
        &mut self,
        caller: &CallingTask,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        self.ask(request.key, |manager| manager.command(caller, request, out))
    }

    fn voucher_died(&mut self, id: VoucherId, _port: Option<PortBinding>) {
        panic!("{id:?} dies while vouchers are asked about");
    }
}

impl ImportanceDriver for Inquiry<'_> {
    fn importance(&mut self) -> (&mut Importance, &mut dyn Environment) {
        (self.importance, &mut self.surroundings)
    }
}
