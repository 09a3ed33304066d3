//! The shorthand of vouchers 10 for recipes: `it`, `st` (store), `cp` (copy), `rm` (remove), `rd` (redeem).

use abi::voucher::*;
use zerocopy::IntoBytes;

/// The keys.
pub const BANK: u32 = MACH_VOUCHER_ATTR_KEY_BANK;
pub const PRIORITY: u32 = MACH_VOUCHER_ATTR_KEY_PTHPRIORITY;
pub const DATA: u32 = MACH_VOUCHER_ATTR_KEY_USER_DATA;
pub const TEST: u32 = MACH_VOUCHER_ATTR_KEY_TEST;
pub const ALL: u32 = MACH_VOUCHER_ATTR_KEY_ALL;

/// The recipe commands.
pub const COPY: u32 = MACH_VOUCHER_ATTR_COPY;
pub const REMOVE: u32 = MACH_VOUCHER_ATTR_REMOVE;
pub const SET_VALUE_HANDLE: u32 = MACH_VOUCHER_ATTR_SET_VALUE_HANDLE;
pub const AUTO_REDEEM: u32 = MACH_VOUCHER_ATTR_AUTO_REDEEM;
pub const SEND_PREPROCESS: u32 = MACH_VOUCHER_ATTR_SEND_PREPROCESS;
pub const REDEEM: u32 = MACH_VOUCHER_ATTR_REDEEM;
pub const STORE: u32 = MACH_VOUCHER_ATTR_USER_DATA_STORE;
pub const BANK_CREATE: u32 = MACH_VOUCHER_ATTR_BANK_CREATE;
pub const MODIFY_PERSONA: u32 = MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA;
pub const PRIORITY_CREATE: u32 = MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE;
/// A number that no manager accepts as a command.
pub const UNKNOWN_COMMAND: u32 = 999;

/// A recipe as a program writes it.
#[derive(Clone, Debug)]
pub struct Item {
    pub key: u32,
    pub command: u32,
    pub previous: u32,
    pub content: Vec<u8>,
}

pub fn it(key: u32, command: u32, previous: u32, content: impl AsRef<[u8]>) -> Item {
    Item { key, command, previous, content: content.as_ref().to_vec() }
}

pub fn st(key: u32, content: impl AsRef<[u8]>) -> Item {
    it(key, STORE, 0, content)
}

pub fn cp(key: u32, previous: u32) -> Item {
    it(key, COPY, previous, "")
}

pub fn rm(key: u32, previous: u32) -> Item {
    it(key, REMOVE, previous, "")
}

pub fn rd(key: u32, previous: u32) -> Item {
    it(key, REDEEM, previous, "")
}

/// Returns a recipe for the bank's value "current task".
pub fn current_task() -> Item {
    it(BANK, BANK_CREATE, 0, "")
}

/// Returns a recipe for a priority.
pub fn priority(word: u32) -> Item {
    it(PRIORITY, PRIORITY_CREATE, 0, word.to_le_bytes())
}

/// Returns a header that announces `content_size` bytes of content.
pub fn header(key: u32, command: u32, previous_voucher: u32, content_size: u32) -> Vec<u8> {
    RecipeHeader { key, command, previous_voucher, content_size }.as_bytes().to_vec()
}

/// Returns the items as an array of recipes.
pub fn array(items: &[Item]) -> Vec<u8> {
    let bytes = |item: &Item| {
        let header = header(item.key, item.command, item.previous, item.content.len() as u32);
        [header, item.content.clone()].concat()
    };
    items.iter().flat_map(bytes).collect()
}
