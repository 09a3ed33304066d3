//! [`Personas`], and the rules by which a voucher keeps its persona (vouchers 6.3.5).

use super::{Bank, BankElementId};
use abi::voucher::PERSONA_ID_NONE;
use foldhash::fast::FixedState;
use store::{LinearMap, NoMemory};

/// The known personas, and the two of the system.
#[derive(Debug)]
pub struct Personas {
    known: LinearMap<u32, (), FixedState>,
    system: u32,
    system_proxy: u32,
}

impl Personas {
    pub(super) const fn new(seed: u64) -> Self {
        let known = LinearMap::new(FixedState::with_seed(seed));
        // Until both are set, a process without persona counts as a process of the system (quirk Q25).
        Personas { known, system: PERSONA_ID_NONE, system_proxy: PERSONA_ID_NONE }
    }

    /// Makes room for the first personas.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; nothing has changed then.
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        self.known.reserve()
    }

    /// Adds a persona.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; nothing has changed then.
    pub fn add(&mut self, id: u32) -> Result<(), NoMemory> {
        if self.exists(id) { Ok(()) } else { self.known.insert(id, ()) }
    }

    /// Removes a persona that has just been added and is not used.
    pub fn remove(&mut self, id: u32) {
        self.known.remove(&id);
    }

    /// Sets the persona of the system, and adds it if it is new.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; nothing has changed then.
    pub fn set_system(&mut self, id: u32) -> Result<(), NoMemory> {
        self.add(id)?;
        self.system = id;
        Ok(())
    }

    /// Sets the persona of the system's proxies, and adds it if it is new.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; nothing has changed then.
    pub fn set_system_proxy(&mut self, id: u32) -> Result<(), NoMemory> {
        self.add(id)?;
        self.system_proxy = id;
        Ok(())
    }

    /// Returns true if there is a persona with this id.
    pub fn exists(&self, id: u32) -> bool {
        self.known.get(&id).is_some()
    }

    /// Returns the personas of the system and of its proxies. Nothing else that can change decides what a task gets for
    /// a voucher (vouchers 11).
    #[inline(always)]
    pub const fn of_system(&self) -> (u32, u32) {
        (self.system, self.system_proxy)
    }

    /// Returns true if the persona is one of the system's.
    const fn is_system(&self, id: u32) -> bool {
        id == self.system || id == self.system_proxy
    }
}

impl Bank {
    /// Returns true if a live task that redeems a voucher replaces the voucher's persona by its own.
    pub fn needs_persona_replacement(&self, task: BankElementId) -> bool {
        let task = self.task(task);
        let identity = task.identity();
        let keeps_any = task.persona() == PERSONA_ID_NONE && (identity.platform_binary || identity.adopt_any);
        self.settings.unique_persona && !self.personas.is_system(task.persona()) && !keeps_any
    }

    /// Returns true if a live task passes on the personas of others.
    pub(super) fn propagates_personas(&self, task: BankElementId) -> bool {
        let identity = self.task(task).identity();
        !identity.no_propagate && (identity.platform_binary || self.settings.propagate_for_all)
    }
}
