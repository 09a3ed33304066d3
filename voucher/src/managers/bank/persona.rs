//! [`Personas`], and who keeps a voucher's persona (vouchers 6.3.5).

use super::{Bank, BankElementId};
use abi::voucher::PERSONA_ID_NONE;
use foldhash::fast::FixedState;
use store::{LinearMap, NoMemory};

/// The personas that there are, and the two that belong to the system.
#[derive(Debug)]
pub struct Personas {
    known: LinearMap<u32, (), FixedState>,
    system: u32,
    system_proxy: u32,
}

impl Personas {
    pub(super) const fn new(seed: u64) -> Self {
        let known = LinearMap::new(FixedState::with_seed(seed));
        // As long as one of the two does not exist, a process without persona is taken for it (quirk Q25).
        Personas { known, system: PERSONA_ID_NONE, system_proxy: PERSONA_ID_NONE }
    }

    /// A persona exists from now on.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; nothing has changed.
    pub fn add(&mut self, id: u32) -> Result<(), NoMemory> {
        if self.exists(id) { Ok(()) } else { self.known.insert(id, ()) }
    }

    /// Says which persona is the system's. It exists from now on.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; nothing has changed.
    pub fn set_system(&mut self, id: u32) -> Result<(), NoMemory> {
        self.add(id)?;
        self.system = id;
        Ok(())
    }

    /// Says which persona is that of the system's proxies. It exists from now on.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; nothing has changed.
    pub fn set_system_proxy(&mut self, id: u32) -> Result<(), NoMemory> {
        self.add(id)?;
        self.system_proxy = id;
        Ok(())
    }

    /// Whether there is a persona with this id.
    pub fn exists(&self, id: u32) -> bool {
        self.known.get(&id).is_some()
    }

    /// Whether a process with this persona works for the system as a whole.
    const fn is_system(&self, id: u32) -> bool {
        id == self.system || id == self.system_proxy
    }
}

impl Bank {
    /// Whether a living task that redeems a voucher puts its own persona in the place of the voucher's.
    pub fn needs_persona_replacement(&self, task: BankElementId) -> bool {
        let task = self.task(task);
        let identity = task.identity();
        let keeps_any = task.persona() == PERSONA_ID_NONE && (identity.platform_binary || identity.adopt_any);
        self.settings.unique_persona && !self.personas.is_system(task.persona()) && !keeps_any
    }

    /// Whether a living task passes personas of others on.
    pub(super) fn propagates_personas(&self, task: BankElementId) -> bool {
        let identity = self.task(task).identity();
        !identity.no_propagate && (identity.platform_binary || self.settings.propagate_for_all)
    }
}
