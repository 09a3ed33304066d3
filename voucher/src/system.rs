//! [`Vouchers`]: the registry together with its managers.

use crate::driver::{Driver, tell_unregistered};
use crate::key::KEYS;
use crate::manager::{AttributeManager, Caller, GetValue, Output, Value};
use crate::managers::bank::{self, Bank};
use crate::managers::pthpriority::PthPriority;
use crate::managers::user_data::UserData;
use crate::{Error, Key, Registry, ReleaseValue};
use alloc::boxed::Box;
use core::task::Poll;

/// The voucher system: the registry, the managers that come with it, and those that somebody adds.
///
/// It is a [`Driver`](crate::Driver): the calls, such as [`create`](crate::create), take it as their first argument.
#[derive(Debug)]
pub struct Vouchers {
    /// Vouchers and values.
    pub registry: Registry,
    /// The manager of key 3.
    pub bank: Bank,
    /// The manager of key 7.
    pub user_data: UserData,
    /// The manager of key 8.
    pub test: UserData,
    pthpriority: PthPriority,
    /// Managers of other keys, by slot.
    added: [Option<Box<dyn AttributeManager>>; KEYS],
}

impl core::fmt::Debug for dyn AttributeManager {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a manager")
    }
}

impl Vouchers {
    /// A system with the managers of keys 3, 4, 7 and 8. `seed` should be hard to guess.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] without memory.
    pub fn new(seed: u64, settings: bank::Settings) -> Result<Self, Error> {
        let mut vouchers = Vouchers {
            registry: Registry::new(seed),
            bank: Bank::new(seed, settings),
            user_data: UserData::new(seed),
            test: UserData::new(seed),
            pthpriority: PthPriority,
            added: [const { None }; KEYS],
        };
        for key in [Key::BANK, Key::PTHPRIORITY, Key::USER_DATA, Key::TEST] {
            let registration = vouchers.manager(key).registration();
            vouchers.registry.register(key.number(), registration)?;
        }
        Ok(vouchers)
    }

    /// Registers a manager of one's own for a key that has none. The caller has a reference to the control, which it may
    /// [give up](crate::release_control).
    ///
    /// # Errors
    /// Those of [`Registry::register`]; the manager is dropped then.
    pub fn register(&mut self, number: u32, manager: Box<dyn AttributeManager>) -> Result<Key, Error> {
        // An answer that came in may have freed the key, and whoever said it has not gone on yet.
        tell_unregistered(self);
        let key = self.registry.register(number, manager.registration())?;
        self.added[key.slot()] = Some(manager);
        Ok(key)
    }

    /// The manager of a key that has one.
    #[inline]
    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        if let Some(added) = &mut self.added[key.slot()] {
            return &mut **added;
        }
        match key {
            Key::BANK => &mut self.bank,
            Key::PTHPRIORITY => &mut self.pthpriority,
            Key::USER_DATA => &mut self.user_data,
            Key::TEST => &mut self.test,
            _ => panic!("{key:?} has no manager"),
        }
    }
}

impl Driver for Vouchers {
    #[inline(always)]
    fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    #[inline(always)]
    fn registry_ref(&self) -> &Registry {
        &self.registry
    }

    #[inline]
    fn get_value(&mut self, caller: &Caller, question: &GetValue, content: &[u8]) -> Poll<Result<Value, Error>> {
        self.manager(question.key).get_value(caller, question, content)
    }

    #[inline]
    fn release_value(&mut self, question: &ReleaseValue) -> Poll<Result<(), Error>> {
        self.manager(question.key).release_value(question)
    }

    fn extract_content(&mut self, caller: &Caller, key: Key, handle: u64, out: &mut Output<'_>) -> Result<u32, Error> {
        self.manager(key).extract_content(caller, key, handle, out)
    }

    fn command(
        &mut self,
        caller: &Caller,
        key: Key,
        handle: Option<u64>,
        command: u32,
        input: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), Error> {
        self.manager(key).command(caller, key, handle, command, input, out)
    }
    fn unregistered(&mut self, key: Key) {
        self.manager(key).release();
        self.added[key.slot()] = None;
    }
}
