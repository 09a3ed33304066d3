//! Vouchers: arrays of recipes as long as the kernel takes them.

use super::{Row, measured};
use crate::voucher::{self, Recipe};
use abi::code::KERN_RESOURCE_SHORTAGE;
use abi::debug::LongestStep;
use abi::port::{MACH_PORT_NULL, PortName};
use abi::voucher::*;
use alloc::vec::Vec;
use zerocopy::IntoBytes;

pub(super) const ROWS: &[Row] = &[
    ("recipes that store one content after another", storing),
    ("recipes that make one account after another", redeeming),
    ("recipes that copy one voucher after another", copying),
];

/// Creates a voucher from as many recipes as the kernel takes: the first, the second, the first, and so on.
fn create(first: &[u8], second: &[u8]) -> LongestStep {
    let (host, mut recipes) = (voucher::host(), Vec::new());
    while recipes.len() + first.len() + second.len() <= MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE {
        recipes.extend_from_slice(first);
        recipes.extend_from_slice(second);
    }
    measured(|| {
        while voucher::create(host, &recipes) == Err(KERN_RESOURCE_SHORTAGE) {
            recipes.truncate(recipes.len() - first.len() - second.len());
        }
    })
}

fn storing() -> LongestStep {
    let store = |content| Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, [content]);
    create(store(1).as_bytes(), store(2).as_bytes())
}

/// Returns a voucher that has a value of each key that a program can choose.
fn voucher_of_all_keys(content: u8) -> PortName {
    let mut recipes = Vec::new();
    recipes.extend_from_slice(voucher::PAID_BY_SENDER.as_bytes());
    for key in [MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_KEY_TEST] {
        recipes.extend_from_slice(Recipe::store(key, [content]).as_bytes());
    }
    let own = (MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF);
    recipes.extend_from_slice(Recipe::new(own.0, own.1, MACH_PORT_NULL, []).as_bytes());
    voucher::create(voucher::host(), &recipes).expect("the recipes are right")
}

fn redeeming() -> LongestStep {
    let redeemed = |voucher| Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_REDEEM, voucher, []);
    create(redeemed(voucher_of_all_keys(1)).as_bytes(), voucher::PAID_BY_SENDER.as_bytes())
}

fn copying() -> LongestStep {
    let [first, second] = [1, 2].map(|content| {
        Recipe::new(MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY, voucher_of_all_keys(content), [])
    });
    create(first.as_bytes(), second.as_bytes())
}
