//! The shorthand of vouchers 10 for recipes.

use abi::voucher::*;
use zerocopy::IntoBytes;

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
    it(key, MACH_VOUCHER_ATTR_USER_DATA_STORE, 0, content)
}

pub fn cp(key: u32, previous: u32) -> Item {
    it(key, MACH_VOUCHER_ATTR_COPY, previous, "")
}

pub fn rm(key: u32, previous: u32) -> Item {
    it(key, MACH_VOUCHER_ATTR_REMOVE, previous, "")
}

pub fn rd(key: u32, previous: u32) -> Item {
    it(key, MACH_VOUCHER_ATTR_REDEEM, previous, "")
}

/// A header that says there are `content_size` bytes of content.
pub fn header(key: u32, command: u32, previous_voucher: u32, content_size: u32) -> Vec<u8> {
    RecipeHeader { key, command, previous_voucher, content_size }.as_bytes().to_vec()
}

/// The items back to back.
pub fn array(items: &[Item]) -> Vec<u8> {
    let bytes = |item: &Item| {
        let header = header(item.key, item.command, item.previous, item.content.len() as u32);
        [header, item.content.clone()].concat()
    };
    items.iter().flat_map(bytes).collect()
}
