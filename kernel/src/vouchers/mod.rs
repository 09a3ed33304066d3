//! Vouchers: the registry and its managers (the crate `voucher`), and the ports by which programs hold vouchers.
//!
//! [`Vouchers`] owns all of it and keeps its rules: a voucher has at most one port, which lives as long as the voucher;
//! the port holds one reference as long as it has send rights; and each voucher is on the budget of the task for which
//! it was made. Only the files in this folder write its fields. They can make and end rights, but they cannot reach a
//! task, a thread or user memory.
//!
//! A reference to a voucher is held by its port and by each thread that has adopted it. Names and messages have send
//! rights to the port (vouchers 1.9).
//!
//! | module | what it is |
//! |---|---|
//! | [`system`] | the registry with the managers of the kernel |
//! | [`creation`] | from recipes to a send right |
//! | [`session`] | the driver that carries requests from the registry to the managers |
//! | [`bindings`] | the records of the ports |
//! | [`ports`] | from references to send rights and back |
//! | [`messages`] | the vouchers of messages |
//! | [`billing`] | the accounts that pay for the work of threads |
//! | [`memo`] | the vouchers that receivers got lately |
//! | [`cost`] | what a voucher costs its budget |
//! | `check` | the invariants |

pub mod billing;
pub mod bindings;
pub(crate) mod check;
pub mod cost;
pub mod creation;
pub mod memo;
pub mod messages;
pub mod ports;
pub mod session;
pub mod system;

use crate::credentials::{Credentials, Identity, SystemPersonas};
use crate::ids::{MessageId, SpaceId, VoucherId};
use crate::ipc::Ipc;
use crate::ipc::direct::attached::Origin;
use crate::machine::NoMemory;
use abi::KernReturn;
use abi::port::{MACH_PORT_NULL, PortName};
use abi::task::Properties;
use abi::voucher::{PERSONA_ID_NONE, ProcPersonaInfo};
use bindings::Bindings;
use cost::{VALUE_COST, VOUCHER_COST};
use memo::Memo;
use store::Compaction;
use system::System;
use voucher::importance::WithImportance;
use voucher::managers::bank::{BankElementId, TaskIdentity};
use voucher::{ActivityIds, CallingTask, Error, OutBuffer};

/// The owner of vouchers, their values, and the managers of these.
#[derive(Debug)]
pub struct Vouchers {
    system: System,
    /// The ports of vouchers.
    bindings: Bindings,
    activity_ids: ActivityIds,
    memo: Memo,
    /// The last message that was sent with a voucher or a tie to importance.
    sent: Option<(MessageId, Origin)>,
    /// The name of a voucher that a receiver got on the fast path last.
    given: PortName,
}

/// The task on whose behalf a call is made: the "calling task" of the specification.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The task as the managers know it.
    pub task: CallingTask,
    /// The space in which names of vouchers are looked up. What is made is on this space's budget.
    pub space: SpaceId,
}

/// Returns the error of a failed allocation.
fn no_memory(_: Error) -> NoMemory {
    NoMemory
}

impl Vouchers {
    /// Gives back what the tables do not need any more, up to a bound, and returns true if there is more.
    pub(crate) fn trim(&mut self) -> bool {
        self.bindings.trim() || self.system.trim()
    }

    /// Makes the tables as long as they may become if budgets of so many bytes in all pay for what is in them.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out.
    pub(crate) fn set_places(&mut self, bytes: usize) -> Result<(), NoMemory> {
        let (vouchers, values) = (bytes / VOUCHER_COST, bytes / (VOUCHER_COST + VALUE_COST));
        self.bindings.set_places(vouchers)?;
        self.system.set_places(vouchers, values)
    }

    /// Goes on with a round of compaction.
    pub(crate) fn compact(&mut self, compaction: &mut Compaction) {
        self.bindings.compact(compaction);
        self.system.compact(compaction);
    }

    /// Returns the owner without vouchers, with the managers of the keys 2, 3, 4, 7 and 8. `seed` should be hard to guess.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn new(seed: u64) -> Result<Vouchers, NoMemory> {
        let system = System::new(seed).map_err(no_memory)?;
        Ok(Vouchers {
            system,
            bindings: Bindings::default(),
            activity_ids: ActivityIds::default(),
            memo: Memo::default(),
            sent: None,
            given: MACH_PORT_NULL,
        })
    }

    /// Returns the number of vouchers.
    pub fn count(&self) -> usize {
        self.system.registry.len()
    }

    /// Returns the registry and its managers. For checks and printouts.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Adds a task to the bank (vouchers 6.3.2). The caller gets a reference, which [`end_task`](Vouchers::end_task)
    /// releases.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn begin_task(
        &mut self,
        Credentials { uid, gid, pid }: Credentials,
        Identity { persona, properties, .. }: Identity,
    ) -> Result<BankElementId, NoMemory> {
        let info = ProcPersonaInfo {
            unique_pid: pid.into(),
            pid: pid as i32,
            pidversion: pid,
            persona_id: persona,
            uid,
            gid,
            ..ProcPersonaInfo::default()
        };
        let bank = &mut self.system.bank;
        // Whoever may give a task a persona decides that there is one.
        if persona != PERSONA_ID_NONE {
            bank.personas_mut().add(persona)?;
        }
        let identity = TaskIdentity {
            info,
            platform_binary: properties.contains(Properties::PLATFORM),
            no_propagate: properties.contains(Properties::NO_PROPAGATE),
            adopt_any: properties.contains(Properties::ADOPT_ANY),
            modify_persona: properties.contains(Properties::MODIFY),
            ..TaskIdentity::default()
        };
        bank.begin_task(identity).map_err(no_memory)
    }

    /// Adds personas of the system that are about to be [set](Vouchers::set_system_personas). Returns those that are new.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn add_system_personas(
        &mut self,
        SystemPersonas { system, proxy }: SystemPersonas,
    ) -> Result<SystemPersonas, NoMemory> {
        let personas = self.system.bank.personas_mut();
        let is_new = |persona: &u32| !personas.exists(*persona);
        let added = SystemPersonas { system: system.filter(is_new), proxy: proxy.filter(is_new) };
        let add = system.into_iter().chain(proxy).try_for_each(|persona| personas.add(persona));
        add.inspect_err(|_| self.remove_personas(added))?;
        Ok(added)
    }

    /// Removes personas that have been [added](Vouchers::add_system_personas) for a start that has failed.
    pub fn remove_personas(&mut self, SystemPersonas { system, proxy }: SystemPersonas) {
        let personas = self.system.bank.personas_mut();
        system.into_iter().chain(proxy).for_each(|persona| personas.remove(persona));
    }

    /// Tells the bank which personas are the system's (vouchers 6.3.5). They have been
    /// [added](Vouchers::add_system_personas).
    pub fn set_system_personas(&mut self, SystemPersonas { system, proxy }: SystemPersonas) {
        let personas = self.system.bank.personas_mut();
        let set = system.map_or(Ok(()), |persona| personas.set_system(persona));
        let set = set.and(proxy.map_or(Ok(()), |persona| personas.set_system_proxy(persona)));
        set.expect("the personas have been added");
    }

    /// Ends a task in the bank. Vouchers may still refer to it.
    pub fn end_task(&mut self, task: BankElementId) {
        self.system.bank.end_task(task);
    }

    /// Reserves `count` consecutive activity ids and returns the first (vouchers 4.13).
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the count is not 1 to 16.
    pub fn generate_activity_ids(&mut self, count: i32) -> Result<u64, KernReturn> {
        self.activity_ids.generate(count).map_err(Error::code)
    }

    /// Calls a function with the driver of calls in which no voucher dies.
    fn with_importance<R>(&mut self, ipc: &mut Ipc, call: impl FnOnce(&mut WithImportance<'_, System>) -> R) -> R {
        let (importance, mut surroundings) = ipc.importance_parts();
        call(&mut WithImportance::new(&mut self.system, importance, &mut surroundings))
    }

    /// Writes one attribute of a voucher as a recipe to `buffer` and returns its size (vouchers 4.3).
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` without a voucher; `KERN_NO_SPACE` if the buffer is too small; those of the manager.
    pub fn extract_recipe(
        &mut self,
        ipc: &mut Ipc,
        client: &Client,
        voucher: Option<VoucherId>,
        key: u32,
        buffer: &mut [u8],
    ) -> Result<usize, KernReturn> {
        self.with_importance(ipc, |driver| voucher::extract_attr_recipe(driver, &client.task, voucher, key, buffer))
            .map_err(Error::code)
    }

    /// Writes all attributes of a voucher as recipes to `buffer` and returns their size (vouchers 4.5).
    ///
    /// # Errors
    /// As for [`extract_recipe`](Vouchers::extract_recipe).
    pub fn extract_all_recipes(
        &mut self,
        ipc: &mut Ipc,
        client: &Client,
        voucher: Option<VoucherId>,
        buffer: &mut [u8],
    ) -> Result<usize, KernReturn> {
        self.with_importance(ipc, |driver| voucher::extract_all_attr_recipes(driver, &client.task, voucher, buffer))
            .map_err(Error::code)
    }

    /// Writes the content of one attribute of a voucher to `buffer` and returns its size (vouchers 4.4).
    ///
    /// # Errors
    /// As for [`extract_recipe`](Vouchers::extract_recipe).
    pub fn extract_content(
        &mut self,
        ipc: &mut Ipc,
        client: &Client,
        voucher: Option<VoucherId>,
        key: u32,
        buffer: &mut [u8],
    ) -> Result<usize, KernReturn> {
        let mut out = OutBuffer::new(buffer);
        self.with_importance(ipc, |driver| voucher::extract_attr_content(driver, &client.task, voucher, key, &mut out))
            .map_err(Error::code)?;
        Ok(out.size())
    }

    /// Executes a manager's command on an attribute of a voucher, writes the result to `buffer` and returns its size
    /// (vouchers 4.6).
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` without a voucher or if the key has no manager; those of the manager.
    pub fn command(
        &mut self,
        ipc: &mut Ipc,
        client: &Client,
        voucher: Option<VoucherId>,
        (key, command): (u32, u32),
        input: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, KernReturn> {
        let mut out = OutBuffer::new(buffer);
        self.with_importance(ipc, |driver| {
            voucher::attr_command(driver, &client.task, voucher, key, command, input, &mut out)
        })
        .map_err(Error::code)?;
        Ok(out.size())
    }
}

#[cfg(test)]
mod tests;
