//! What a voucher costs the budget of the task for which it was made.
//!
//! Vouchers share their values, and a value lives as long as any voucher has it. Each voucher therefore pays for all of
//! its values as if it were alone: whichever vouchers are left, what they pay covers the values that are left, and no
//! task pays for a voucher that another one made.

use super::bindings::Binding;
use super::system::System;
use crate::heap::{footprint, footprint_of_single};
use crate::ids::VoucherId;
use crate::ipc::importance::INHERIT_MEMORY;
use crate::ipc::port::PORT_COST;
use voucher::importance::{Importance, Source, TaskElement};
use voucher::managers::bank::BankElement;
use voucher::managers::user_data::UserData;
use voucher::{AttributeValue, Key, Voucher};

/// The share of an object in a hash index, in bytes.
const INDEX_COST: usize = 16;

/// The cost of a voucher with its port and without its values.
pub(super) const VOUCHER_COST: usize =
    footprint_of_single::<Voucher>() + INDEX_COST + footprint_of_single::<Binding>() + PORT_COST;

/// The cost of a value and of its manager's record, without content. The records of the bank are the largest.
pub(super) const VALUE_COST: usize =
    footprint(size_of::<AttributeValue>()) + footprint_of_single::<BankElement>() + 2 * INDEX_COST;

/// The cost of an inherit.
const INHERIT_COST: usize = INHERIT_MEMORY + INDEX_COST;

/// Returns the cost of a live voucher with its port and its values, in bytes.
pub(super) fn cost_of(system: &System, importance: &Importance, voucher: VoucherId) -> usize {
    let content = |manager: &UserData, handle| manager.content(handle).map_or(0, |bytes| footprint(bytes.len()));
    let values = system.registry.attributes(voucher).map(|(key, handle)| match key {
        // There is a bounded number of priorities in the whole system, and they are permanent.
        Key::PTHPRIORITY => 0,
        Key::USER_DATA => VALUE_COST + content(&system.user_data, handle),
        Key::TEST => VALUE_COST + content(&system.test, handle),
        Key::IMPORTANCE => VALUE_COST + importance_cost(importance, handle),
        _ => VALUE_COST,
    });
    VOUCHER_COST + values.sum::<usize>()
}

/// Returns the cost of what a value of importance keeps: its chain of inherits, down to the task from which it comes.
/// Nobody else may hold a part of the chain any more.
fn importance_cost(importance: &Importance, handle: u64) -> usize {
    let inherits = match Source::from_handle(handle) {
        Some(Source::Inherit(id)) => importance.inherit(id).map_or(0, |inherit| inherit.depth().length()),
        Some(Source::Task(_)) | None => 0,
    };
    footprint_of_single::<TaskElement>() + inherits as usize * INHERIT_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_of_the_bank_are_the_largest() {
        assert!(UserData::new(1).bytes().0 <= size_of::<BankElement>());
    }
}
