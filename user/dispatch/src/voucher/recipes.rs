//! The recipes of kernel vouchers (dispatch 2.8, R1 to R9).

use super::OwnedSend;
use crate::activity::UserData;
use crate::process::Process;
use abi::port::MACH_PORT_NULL;
use abi::voucher::*;
use abi::{KernReturn, PortName};
use zerocopy::IntoBytes;

/// The recipe that copies all attributes of a voucher.
pub(crate) fn all_of(voucher: PortName) -> Recipe {
    Recipe::new(MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY).previous(voucher)
}

/// One recipe, with a content of 32 bytes at most: the longest that the library stores.
pub(crate) struct Recipe {
    header: RecipeHeader,
    content: [u8; UserData::SIZE],
}

impl Recipe {
    /// Returns a recipe without a content.
    pub(crate) fn new(key: u32, command: u32) -> Recipe {
        let header = RecipeHeader { key, command, previous_voucher: MACH_PORT_NULL.0, content_size: 0 };
        Recipe { header, content: [0; UserData::SIZE] }
    }

    /// Names the voucher from which the value comes.
    pub(crate) fn previous(mut self, voucher: PortName) -> Recipe {
        self.header.previous_voucher = voucher.0;
        self
    }

    /// Adds a content.
    pub(crate) fn content(mut self, bytes: &[u8]) -> Recipe {
        self.header.content_size = bytes.len() as u32;
        self.content[..bytes.len()].copy_from_slice(bytes);
        self
    }
}

/// Recipes in the form that the kernel reads, one after the other.
struct Array {
    bytes: [u8; Array::SIZE],
    used: usize,
}

impl Array {
    const HEADER: usize = size_of::<RecipeHeader>();
    /// The longest array: three recipes, one with a content.
    const SIZE: usize = 3 * Array::HEADER + UserData::SIZE;

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.used..][..bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
}

/// Creates a kernel voucher from recipes. `None` if that would have no attributes (dispatch 2.8).
///
/// # Errors
/// Those of the kernel.
pub(crate) fn create(process: &'static Process, recipes: &[Recipe]) -> Result<Option<OwnedSend>, KernReturn> {
    let mut array = Array { bytes: [0; Array::SIZE], used: 0 };
    for recipe in recipes {
        array.push(recipe.header.as_bytes());
        array.push(&recipe.content[..recipe.header.content_size as usize]);
    }
    let name = process.kernel.create_voucher(&array.bytes[..array.used])?;
    Ok(OwnedSend::new(process, name))
}
