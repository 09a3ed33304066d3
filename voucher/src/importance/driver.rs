//! [`ImportanceDriver`]: a driver that knows the manager of importance as well, and [`WithImportance`], which is one.

use super::Importance;
use super::environment::Environment;
use crate::driver::Driver;
use crate::manager::{AttributeManager, CallingTask, CommandRequest, ManagerValue, OutBuffer, ValueRequest};
use crate::managers::importance::ImportanceManager;
use crate::voucher::{PortBinding, VoucherId};
use crate::{Error, Key, Registry, ReleaseRequest};
use core::task::Poll;

/// A driver of a voucher system with importance. [`WithImportance`] is one; a kernel whose driver uses its ports for other
/// things as well has one of its own.
pub trait ImportanceDriver: Driver {
    /// Returns importance, and what it must know of the kernel.
    fn importance(&mut self) -> (&mut Importance, &mut dyn Environment);
}

/// A voucher system with importance, for the time of a call: a driver of the other managers, and the manager of key 2,
/// which must be [registered](ImportanceManager::REGISTRATION).
///
/// Every call that can release a voucher's values needs it, because the end of a boost changes what hangs on the boosted
/// task.
#[derive(Debug)]
pub struct WithImportance<'a, D: ?Sized> {
    driver: &'a mut D,
    manager: ImportanceManager<'a>,
}

impl<'a, D: Driver + ?Sized> WithImportance<'a, D> {
    /// Returns a driver that asks `driver` for everything but importance.
    pub fn new(driver: &'a mut D, importance: &'a mut Importance, environment: &'a mut dyn Environment) -> Self {
        WithImportance { driver, manager: ImportanceManager { importance, environment } }
    }
}

impl<D: Driver + ?Sized> ImportanceDriver for WithImportance<'_, D> {
    fn importance(&mut self) -> (&mut Importance, &mut dyn Environment) {
        (self.manager.importance, self.manager.environment)
    }
}

impl<D: Driver + ?Sized> Driver for WithImportance<'_, D> {
    #[inline]
    fn registry(&mut self) -> &mut Registry {
        self.driver.registry()
    }

    #[inline]
    fn registry_ref(&self) -> &Registry {
        self.driver.registry_ref()
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        if key == Key::IMPORTANCE { &mut self.manager } else { self.driver.manager(key) }
    }

    #[inline]
    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        match request.key {
            Key::IMPORTANCE => self.manager.get_value(caller, request, content),
            _ => self.driver.get_value(caller, request, content),
        }
    }

    #[inline]
    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        match request.key {
            Key::IMPORTANCE => self.manager.release_value(request),
            _ => self.driver.release_value(request),
        }
    }

    fn extract_content(
        &mut self,
        caller: &CallingTask,
        key: Key,
        handle: u64,
        out: &mut OutBuffer<'_>,
    ) -> Result<u32, Error> {
        match key {
            Key::IMPORTANCE => self.manager.extract_content(caller, key, handle, out),
            _ => self.driver.extract_content(caller, key, handle, out),
        }
    }

    fn command(
        &mut self,
        caller: &CallingTask,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        match request.key {
            Key::IMPORTANCE => self.manager.command(caller, request, out),
            _ => self.driver.command(caller, request, out),
        }
    }

    fn voucher_died(&mut self, id: VoucherId, port: Option<PortBinding>) {
        self.driver.voucher_died(id, port);
    }

    fn unregistered(&mut self, key: Key) {
        match key {
            Key::IMPORTANCE => self.manager.release(),
            _ => self.driver.unregistered(key),
        }
    }
}
