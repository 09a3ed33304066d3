//! [`Vouchers`]: the registry together with its managers.

use crate::driver::{Driver, report_unregistered};
use crate::key::KEY_COUNT;
use crate::manager::AttributeManager;
use crate::managers::bank::{self, Bank};
use crate::managers::pthpriority::PthPriority;
use crate::managers::user_data::UserData;
use crate::{Error, Key, Registry};
use alloc::boxed::Box;

/// The voucher system: the registry, the managers of this crate, and managers that are added.
///
/// It is a [`Driver`]: calls such as [`create_voucher`](crate::create_voucher) take it as their first
/// argument.
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
    /// The managers of other keys, by slot.
    added: [Option<Box<dyn AttributeManager>>; KEY_COUNT],
}

impl core::fmt::Debug for dyn AttributeManager {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AttributeManager")
    }
}

impl Vouchers {
    /// Returns a system with the managers of keys 3, 4, 7 and 8. `seed` should be hard to guess.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room.
    pub fn new(seed: u64, settings: bank::BankSettings) -> Result<Self, Error> {
        let mut vouchers = Vouchers {
            registry: Registry::new(seed),
            bank: Bank::new(seed, settings),
            user_data: UserData::new(seed),
            test: UserData::new(seed),
            pthpriority: PthPriority,
            added: [const { None }; KEY_COUNT],
        };
        for key in [Key::BANK, Key::PTHPRIORITY, Key::USER_DATA, Key::TEST] {
            let registration = vouchers.manager(key).registration();
            vouchers.registry.register(key.number(), registration)?;
        }
        Ok(vouchers)
    }

    /// Registers a manager for a key that has none. The caller gets a reference to the control, which it may
    /// [release](crate::release_control).
    ///
    /// # Errors
    /// Those of [`Registry::register`]; the manager is dropped then.
    pub fn register(&mut self, number: u32, manager: Box<dyn AttributeManager>) -> Result<Key, Error> {
        // An answer to a waiting call may have freed the key, and that call has not continued yet.
        report_unregistered(self);
        let key = self.registry.register(number, manager.registration())?;
        self.added[key.slot()] = Some(manager);
        Ok(key)
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

    fn unregistered(&mut self, key: Key) {
        self.manager(key).release();
        self.added[key.slot()] = None;
    }
}
