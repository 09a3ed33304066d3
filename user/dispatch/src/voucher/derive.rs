//! Vouchers made from others (dispatch 2.8, 2.9, 8).

use super::recipes::{Recipe, all_of, create};
use super::{KernelVoucher, OwnedSend, Voucher, copy};
use crate::activity::Identity;
use crate::process::{Process, process};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use abi::code::KERN_FAILURE;
use abi::port::MACH_PORT_NULL;
use abi::voucher::*;
use abi::{KernReturn, PortName};

/// Manager command of importance: drops boosts that the task holds (dispatch 2.9).
const DROP_EXTERNAL: u32 = 2;

impl Process {
    /// Returns the voucher that goes with messages of threads without one: "the sender pays" (R1), or what has
    /// [replaced](replace_default) it.
    pub(crate) fn default_voucher(&'static self) -> Arc<OwnedSend> {
        let mut defaults = self.vouchers.default.lock();
        if let Some(replacement) = &defaults.replacement {
            return replacement.clone();
        }
        let own = defaults.own.get_or_insert_with(|| {
            let recipe = Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE);
            match create(self, &[recipe]) {
                Ok(Some(name)) => Arc::new(name),
                Ok(None) | Err(_) => self.kernel.crash("the default voucher cannot be made"),
            }
        });
        own.clone()
    }
}

/// Makes the bank attribute of the calling thread's voucher the default voucher, so that later messages of threads
/// without a voucher are paid by whom this thread works for (R6). Without a voucher the default is the task's own
/// again (`voucher_replace_default_voucher`, dispatch V-13).
pub fn replace_default() {
    let process = process();
    let replacement = copy().filter(|voucher| voucher.kernel_name() != MACH_PORT_NULL).and_then(|voucher| {
        let name = create(process, &[bank_of(&voucher)]).ok().flatten()?;
        Some(Arc::new(name))
    });
    let former = core::mem::replace(&mut process.vouchers.default.lock().replacement, replacement);
    drop(former);
}

fn bank_of(voucher: &Voucher) -> Recipe {
    Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_COPY).previous(voucher.full_name())
}

/// Returns an object with the same attributes but importance (R4, dispatch V-10). The same object if it has none.
pub(super) fn without_importance(voucher: Option<Arc<Voucher>>) -> Option<Arc<Voucher>> {
    let voucher = voucher?;
    if voucher.kernel_name() == MACH_PORT_NULL || !voucher.has_importance {
        return Some(voucher);
    }
    let source = voucher.full_name();
    let remove = Recipe::new(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_REMOVE);
    match create(voucher.process, &[all_of(source), remove]) {
        Ok(Some(name)) if name.name() == source => Some(voucher),
        Ok(Some(name)) => Some(derived(&voucher, name, false)),
        Ok(None) | Err(_) if voucher.message_name() != MACH_PORT_NULL => None,
        Ok(None) | Err(_) => Some(Arc::new(Voucher::of_identity(voucher.process, voucher.identity))),
    }
}

/// Returns an object for a kernel voucher that was made from that of `source`. It is used in messages as it is if that
/// of `source` is; else a voucher with the activity is made by its first send.
fn derived(source: &Arc<Voucher>, name: OwnedSend, has_importance: bool) -> Arc<Voucher> {
    let process = source.process;
    let present = process.vouchers.find(name.name());
    if source.message_name() != MACH_PORT_NULL {
        return present.unwrap_or_else(|| for_messages(process, name, source.identity, has_importance));
    }
    let kernel = match present {
        Some(by) => KernelVoucher::Lent { name: name.name(), by },
        None => KernelVoucher::Owned(name),
    };
    Arc::new(Voucher::new(process, kernel, source.identity, has_importance))
}

/// Returns an object for a kernel voucher that goes with messages as it is, and enters it in the table. If another one
/// is there under the name, then that.
pub(super) fn for_messages(
    process: &'static Process,
    name: OwnedSend,
    identity: Identity,
    has_importance: bool,
) -> Arc<Voucher> {
    let key = name.name();
    let voucher = Voucher::new(process, KernelVoucher::Owned(name), identity, has_importance);
    voucher.for_messages.store(key.0, Ordering::Release);
    let voucher = Arc::new(voucher);
    process.vouchers.enter(key, &voucher).unwrap_or(voucher)
}

/// Returns an object that says only who pays (R5, dispatch V-12). `None` without a kernel voucher, or if it says
/// nothing about that.
pub fn accounting_only(voucher: Option<&Arc<Voucher>>) -> Option<Arc<Voucher>> {
    let voucher = voucher.filter(|voucher| voucher.kernel_name() != MACH_PORT_NULL)?;
    let name = create(voucher.process, &[bank_of(voucher)]).ok().flatten()?;
    let present = voucher.process.vouchers.find(name.name());
    Some(present.unwrap_or_else(|| for_messages(voucher.process, name, Identity::NONE, false)))
}

/// The persona was not made for this task (`VOUCHER_INVALID`), or the kernel refused otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidPersona(pub KernReturn);

/// Returns the calling thread's voucher with the persona of another kernel voucher, which a broker has made for this
/// task (R7, `voucher_copy_with_persona_mach_voucher`, dispatch P-7). With the null name: the thread's voucher.
///
/// # Errors
/// [`InvalidPersona`] if the voucher was not made for this task.
pub fn with_persona(persona: PortName) -> Result<Option<Arc<Voucher>>, InvalidPersona> {
    let (process, current) = (process(), copy());
    if persona == MACH_PORT_NULL {
        return Ok(current);
    }
    let source = current.as_ref().map_or(MACH_PORT_NULL, |voucher| voucher.full_name());
    let redeem = Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_REDEEM).previous(persona);
    let name = create(process, &[all_of(source), redeem]).map_err(InvalidPersona)?;
    let has_importance = current.as_ref().is_some_and(|voucher| voucher.has_importance);
    let identity = current.as_ref().map_or(Identity::NONE, |voucher| voucher.identity);
    Ok(match (current, name) {
        (_, None) => (!identity.is_none()).then(|| Arc::new(Voucher::of_identity(process, identity))),
        (Some(current), Some(name)) if name.name() == source => Some(current),
        (Some(current), Some(name)) if current.kernel_name() != MACH_PORT_NULL => {
            Some(derived(&current, name, has_importance))
        }
        // An activity alone, or nothing: the new voucher is without user data.
        (_, Some(name)) if !identity.is_none() => {
            Some(Arc::new(Voucher::new(process, KernelVoucher::Owned(name), identity, has_importance)))
        }
        (_, Some(name)) => {
            let present = process.vouchers.find(name.name());
            Some(present.unwrap_or_else(|| for_messages(process, name, identity, has_importance)))
        }
    })
}

/// Ends one boost that came with a voucher before its last holder is gone
/// (`voucher_decrement_importance_count4CF`, dispatch 2.9). It has an effect only in tasks that are boosted out of a
/// nap.
pub fn decrement_importance_count(voucher: &Arc<Voucher>) {
    if voucher.kernel_name() == MACH_PORT_NULL || !voucher.has_importance {
        return;
    }
    let kernel = voucher.process.kernel;
    let key = MACH_VOUCHER_ATTR_KEY_IMPORTANCE;
    let result = kernel.voucher_command(voucher.full_name(), key, DROP_EXTERNAL, &1u32.to_le_bytes(), &mut []);
    // `KERN_INVALID_TASK` means that the task is none that naps; nothing has happened then.
    if result == Err(KERN_FAILURE) {
        kernel.crash("more boosts dropped than a voucher brought");
    }
}
