//! [`System`]: the registry with the managers of the kernel.

use crate::ids::VoucherId;
use crate::limits::TASKS_MAX;
use crate::machine::NoMemory;
use store::Compaction;
use voucher::managers::bank::{Bank, BankSettings};
use voucher::managers::importance::ImportanceManager;
use voucher::managers::pthpriority::PthPriority;
use voucher::managers::user_data::UserData;
use voucher::{AttributeManager, Driver, Error, Key, PortBinding, Registry};

/// The registry with the managers of the kernel, for the keys 2, 3, 4, 7 and 8. Importance (2) has a manager only while
/// it is asked: see [`Session`](super::session::Session) and [`WithImportance`](voucher::importance::WithImportance).
///
/// The crate has a system of its own to which managers can be added. The kernel's managers are fixed, so that its state
/// has no pointers to code and can be handed from one processor to another.
#[derive(Debug)]
pub struct System {
    /// Vouchers and values.
    pub registry: Registry,
    /// The manager of key 3.
    pub bank: Bank,
    /// The manager of key 7.
    pub user_data: UserData,
    /// The manager of key 8.
    pub test: UserData,
    pthpriority: PthPriority,
}

impl System {
    /// Returns the system without vouchers. `seed` should be hard to guess.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if memory runs out.
    pub fn new(seed: u64) -> Result<System, Error> {
        let mut system = System {
            registry: Registry::new(seed),
            bank: Bank::new(seed, BankSettings::default()),
            user_data: UserData::new(seed),
            test: UserData::new(seed),
            pthpriority: PthPriority,
        };
        // A persona is for ever, and so is the table. It is there from the start, so that whoever is the first to have a
        // persona leaves nothing behind.
        system.bank.personas_mut().reserve()?;
        for key in [Key::BANK, Key::PTHPRIORITY, Key::USER_DATA, Key::TEST] {
            let registration = system.manager(key).registration();
            system.registry.register(key.number(), registration)?;
        }
        system.registry.register(Key::IMPORTANCE.number(), ImportanceManager::REGISTRATION)?;
        Ok(system)
    }

    /// Gives back what the tables do not need any more, up to a bound, and returns true if there is more.
    pub(super) fn trim(&mut self) -> bool {
        self.registry.trim() || self.bank.trim() || self.user_data.trim() || self.test.trim()
    }

    /// Makes room for the addresses of so many vouchers, and of so many values of each manager.
    pub(super) fn set_places(&mut self, vouchers: usize, values: usize) -> Result<(), NoMemory> {
        self.registry.set_places(vouchers)?;
        // Each task has an element of the bank, too.
        self.bank.set_places(values + TASKS_MAX)?;
        self.user_data.set_places(values)?;
        self.test.set_places(values)
    }

    /// Goes on with a round of compaction.
    pub(super) fn compact(&mut self, compaction: &mut Compaction) {
        self.registry.compact(compaction);
        self.bank.compact(compaction);
        self.user_data.compact(compaction);
        self.test.compact(compaction);
    }
}

impl Driver for System {
    fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    fn registry_ref(&self) -> &Registry {
        &self.registry
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        match key {
            Key::BANK => &mut self.bank,
            Key::PTHPRIORITY => &mut self.pthpriority,
            Key::USER_DATA => &mut self.user_data,
            Key::TEST => &mut self.test,
            _ => panic!("{key:?} has no manager"),
        }
    }

    /// No voucher dies where this is the driver: in calls that ask about vouchers, or that give a receiver the importance
    /// of a message. The first ask no manager for a value; the second use the values of vouchers that live on.
    fn voucher_died(&mut self, id: VoucherId, _port: Option<PortBinding>) {
        panic!("{id:?} dies while vouchers are asked about");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::voucher::MACH_VOUCHER_ATTR_USER_DATA_STORE;
    use core::task::Poll;
    use store::COMPACT_FROM;
    use voucher::{CallingTask, ReleaseRequest, ValueRequest};

    /// More contents than a table keeps memory for and compaction lets pass.
    const CONTENTS: u32 = 8 * COMPACT_FROM;

    #[test]
    fn contents_of_each_key_move_when_others_were_given_back() {
        for key in [Key::USER_DATA, Key::TEST] {
            let mut system = System::new(1).expect("there is memory");
            let manager = system.manager(key);
            let request = ValueRequest { key, command: MACH_VOUCHER_ATTR_USER_DATA_STORE, previous: None };
            let handles = Vec::from_iter((0..CONTENTS).map(|number| {
                match manager.get_value(&CallingTask::KERNEL, &request, &number.to_le_bytes()) {
                    Poll::Ready(Ok(value)) => value.handle,
                    answer => panic!("{answer:?}"),
                }
            }));
            for handle in handles {
                assert_eq!(manager.release_value(&ReleaseRequest { key, handle, sync: 1 }), Poll::Ready(Ok(())));
            }
            let mut compaction = Compaction::default();
            compaction.begin(usize::MAX);
            system.compact(&mut compaction);
            assert!(compaction.end(), "compaction hears of what the manager of {key:?} gives back");
        }
    }
}
