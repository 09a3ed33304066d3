//! The voucher that a receiver gets with a message (importance 5.2).

use super::driver::ImportanceDriver;
use super::inherit::InheritId;
use super::link::LinkId;
use super::source::Source;
use crate::driver::{Recipes, create_voucher_with_control};
use crate::manager::CallingTask;
use crate::recipe::Recipe;
use crate::voucher::VoucherId;
use crate::{Error, Key};
use abi::voucher::*;

/// What a receiver gets instead of a message's voucher.
///
/// If the message cannot be copied out (`ipc_importance_unreceive`, importance 5.5), the kernel does not deliver `raised`
/// and releases the voucher, unless the receiver has it already. The boost is then where the voucher is, and nothing is
/// left to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Delivered {
    /// The voucher.
    pub voucher: DeliveredVoucher,
    /// The delivered header has the bit `MACH_MSGH_BITS_RAISEIMP`: importance came with the message, even if it does not
    /// boost now.
    pub raised: bool,
}

/// The voucher of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum DeliveredVoucher {
    /// The message keeps its voucher, if it has one.
    Unchanged,
    /// The message gets this voucher, with a reference, or the empty one. The header announces a voucher in both cases.
    /// The reference to the sent voucher is still the message's, and is released last.
    Replaced(Option<VoucherId>),
}

/// Delivers the importance of a message to a receiver that asks for vouchers: `ipc_importance_receive` with
/// `MACH_RCV_VOUCHER` (importance 5.2). `link` is the message's, and is used up; `sent` is its voucher.
///
/// If the heap has no room, the receiver gets what there is room for: at the least, the empty voucher (errata 3).
pub fn receive_importance<D: ImportanceDriver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    link: Option<LinkId>,
    sent: Option<VoucherId>,
) -> Delivered {
    let (importance, environment) = driver.importance();
    let inherit = link.and_then(|link| importance.inherit_from_message(environment, link, caller.importance));
    let sent_importance = sent.and_then(|sent| driver.registry_ref().handle(sent, Key::IMPORTANCE));
    if inherit.is_none() && sent_importance.is_none() {
        return Delivered { voucher: DeliveredVoucher::Unchanged, raised: false };
    }
    match replace_importance(driver, caller, sent, inherit) {
        Ok(voucher) => Delivered { voucher: DeliveredVoucher::Replaced(voucher), raised: inherit.is_some() },
        Err(_) => {
            if let Some(inherit) = inherit {
                return_inherit(driver, inherit);
            }
            let voucher = replace_importance(driver, caller, sent, None).unwrap_or(None);
            Delivered { voucher: DeliveredVoucher::Replaced(voucher), raised: false }
        }
    }
}

/// Ends the boost of an inherit that did not get into a voucher.
fn return_inherit<D: ImportanceDriver + ?Sized>(driver: &mut D, inherit: InheritId) {
    let known = driver.registry_ref().made(Key::IMPORTANCE, Source::Inherit(inherit).handle());
    let (importance, environment) = driver.importance();
    importance.take_back(environment, inherit, known);
}

/// Creates a voucher like the one that was sent, with other importance.
fn replace_importance<D: ImportanceDriver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    sent: Option<VoucherId>,
    inherit: Option<InheritId>,
) -> Result<Option<VoucherId>, Error> {
    let handle = inherit.map_or(0, |id| Source::Inherit(id).handle()).to_le_bytes();
    let change = match inherit {
        Some(_) => Recipe::new(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_SET_VALUE_HANDLE, &handle),
        None => Recipe::new(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_REMOVE, &[]),
    };
    let copy = Recipe { previous: sent, ..Recipe::new(MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY, &[]) };
    create_voucher_with_control(driver, caller, Some(Key::IMPORTANCE), &mut Recipes::new(&[copy, change])).expect_done()
}
