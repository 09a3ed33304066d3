//! Recipes and their wire format (vouchers 2).

use crate::{Error, VoucherId};
use abi::voucher::RecipeHeader;
use zerocopy::{FromBytes, IntoBytes};

/// Length of the header in front of a recipe's content, in bytes.
pub const HEADER: usize = size_of::<RecipeHeader>();

/// One step in building a voucher, for use inside the kernel: the previous voucher is an id, not a name
/// (vouchers 2.2).
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Which attribute: 1 to 8, or `MACH_VOUCHER_ATTR_KEY_ALL`.
    pub key: u32,
    /// What to do: see [`abi::voucher`].
    pub command: u32,
    /// The previous voucher. It lives at least until the recipe has been executed: the caller has a reference.
    pub previous: Option<VoucherId>,
    /// What the command needs; opaque to all but the manager.
    pub content: &'a [u8],
}

impl<'a> Recipe<'a> {
    /// A recipe without a previous voucher.
    pub const fn new(key: u32, command: u32, content: &'a [u8]) -> Self {
        Recipe { key, command, previous: None, content }
    }

    /// A recipe without content.
    pub const fn from(previous: VoucherId, key: u32, command: u32) -> Self {
        Recipe { key, command, previous: Some(previous), content: &[] }
    }
}

/// A recipe as it stands in a program's array: the previous voucher is a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecipe<'a> {
    /// Which attribute.
    pub key: u32,
    /// What to do.
    pub command: u32,
    /// The name of the previous voucher, or 0.
    pub previous: u32,
    /// What the command needs.
    pub content: &'a [u8],
}

impl<'a> RawRecipe<'a> {
    /// The recipe with its name replaced by what the name denotes in the caller's space, `resolved`.
    ///
    /// # Errors
    /// [`Error::InvalidCapability`] if there is a name but it denotes no voucher, whatever key and command are
    /// (vouchers 2.4).
    pub fn resolve(self, resolved: Option<VoucherId>) -> Result<Recipe<'a>, Error> {
        if self.previous != 0 && resolved.is_none() {
            return Err(Error::InvalidCapability);
        }
        Ok(Recipe { key: self.key, command: self.command, previous: resolved, content: self.content })
    }
}

/// Takes the recipes of a program's array one by one. Each is checked when its turn comes, so those before a malformed
/// one have been executed by then.
#[derive(Clone, Debug)]
pub struct RecipeArray<'a> {
    rest: &'a [u8],
}

impl<'a> RecipeArray<'a> {
    /// The recipes in `bytes`, which lie one after the other without padding.
    pub const fn new(bytes: &'a [u8]) -> Self {
        RecipeArray { rest: bytes }
    }
}

impl<'a> Iterator for RecipeArray<'a> {
    type Item = Result<RawRecipe<'a>, Error>;

    /// The next recipe; [`Error::InvalidArgument`] if its header or content goes beyond the array, and nothing after
    /// that.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = core::mem::take(&mut self.rest);
        let Ok((header, rest)) = RecipeHeader::read_from_prefix(rest) else {
            return Some(Err(Error::InvalidArgument));
        };
        let Some((content, rest)) = rest.split_at_checked(header.content_size as usize) else {
            return Some(Err(Error::InvalidArgument));
        };
        self.rest = rest;
        Some(Ok(RawRecipe { key: header.key, command: header.command, previous: header.previous_voucher, content }))
    }
}

/// Writes the header of a recipe that extraction returns; its previous voucher is 0 (vouchers 4.3, 4.5; quirk Q08).
///
/// `buffer` has at least [`HEADER`] bytes.
pub(crate) fn write_header(buffer: &mut [u8], key: u32, command: u32, content_size: usize) {
    let header = RecipeHeader { key, command, previous_voucher: 0, content_size: content_size as u32 };
    buffer[..HEADER].copy_from_slice(header.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(recipes: &[(u32, u32, u32, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &(key, command, previous_voucher, content_size, content) in recipes {
            bytes.extend_from_slice(RecipeHeader { key, command, previous_voucher, content_size }.as_bytes());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Result<RawRecipe<'_>, Error>> {
        RecipeArray::new(bytes).collect()
    }

    #[test]
    fn recipes_follow_each_other_without_padding() {
        let bytes = array(&[(7, 211, 0, 3, b"abc"), (8, 1, 0x103, 0, b"")]);
        let first = RawRecipe { key: 7, command: 211, previous: 0, content: b"abc" };
        let second = RawRecipe { key: 8, command: 1, previous: 0x103, content: b"" };
        assert_eq!(read(&bytes), [Ok(first), Ok(second)]);
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn a_malformed_recipe_is_found_when_its_turn_comes_and_ends_the_array() {
        for length in 1..HEADER {
            assert_eq!(read(&array(&[(7, 211, 0, 0, b"")])[..length]), [Err(Error::InvalidArgument)]);
        }
        for size in [1, 0x7FFF_FFFF, u32::MAX] {
            let bytes = array(&[(7, 211, 0, 1, b"a"), (7, 211, 0, size, b"")]);
            let read = read(&bytes);
            assert!(read.len() == 2 && read[0].is_ok() && read[1] == Err(Error::InvalidArgument));
        }
    }

    #[test]
    fn a_name_that_denotes_no_voucher_is_an_error_only_if_it_is_a_name() {
        let recipe = RawRecipe { key: 99, command: 999, previous: 0, content: b"" };
        assert!(recipe.resolve(None).is_ok());
        assert_eq!(RawRecipe { previous: 5, ..recipe }.resolve(None).unwrap_err(), Error::InvalidCapability);
    }
}
