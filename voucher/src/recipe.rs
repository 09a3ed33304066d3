//! [`Recipe`], and the wire format of recipes (vouchers 2).

use crate::{Error, VoucherId};
use abi::voucher::RecipeHeader;
use zerocopy::{FromBytes, IntoBytes};

/// The size of the header that precedes a recipe's content, in bytes.
pub const RECIPE_HEADER_SIZE: usize = size_of::<RecipeHeader>();

/// One step in the creation of a voucher, as code inside the kernel writes it: the previous voucher is an id instead of
/// a name (vouchers 2.2).
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// The key of the attribute, 1 to 8, or `MACH_VOUCHER_ATTR_KEY_ALL`.
    pub key: u32,
    /// The command: see [`abi::voucher`].
    pub command: u32,
    /// The previous voucher. The caller holds a reference to it until the recipe has been executed.
    pub previous: Option<VoucherId>,
    /// The argument of the command. Only the manager interprets it.
    pub content: &'a [u8],
}

impl<'a> Recipe<'a> {
    /// Returns a recipe without a previous voucher.
    pub const fn new(key: u32, command: u32, content: &'a [u8]) -> Self {
        Recipe { key, command, previous: None, content }
    }

    /// Returns a recipe without content.
    pub const fn from(previous: VoucherId, key: u32, command: u32) -> Self {
        Recipe { key, command, previous: Some(previous), content: &[] }
    }
}

/// A recipe of a program's array: the previous voucher is a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecipe<'a> {
    /// The key of the attribute.
    pub key: u32,
    /// The command.
    pub command: u32,
    /// The name of the previous voucher, or 0.
    pub previous: u32,
    /// The argument of the command.
    pub content: &'a [u8],
}

impl<'a> RawRecipe<'a> {
    /// Returns the recipe with its name replaced by `resolved`, the voucher that the name denotes in the caller's
    /// space.
    ///
    /// # Errors
    /// [`Error::InvalidCapability`] if there is a name but it denotes no voucher, even if key or command are invalid as
    /// well (vouchers 2.4).
    pub fn resolve(self, resolved: Option<VoucherId>) -> Result<Recipe<'a>, Error> {
        if self.previous != 0 && resolved.is_none() {
            return Err(Error::InvalidCapability);
        }
        Ok(Recipe { key: self.key, command: self.command, previous: resolved, content: self.content })
    }
}

/// An iterator over the recipes of a program's array. It checks each recipe when its turn comes; by then the recipes
/// before a malformed one have been executed.
#[derive(Clone, Debug)]
pub struct RecipeArray<'a> {
    rest: &'a [u8],
}

impl<'a> RecipeArray<'a> {
    /// Returns the recipes in `bytes`, which follow each other without padding.
    pub const fn new(bytes: &'a [u8]) -> Self {
        RecipeArray { rest: bytes }
    }
}

impl<'a> Iterator for RecipeArray<'a> {
    type Item = Result<RawRecipe<'a>, Error>;

    /// Returns the next recipe, or [`Error::InvalidArgument`] if its header or content extends beyond the array, which
    /// ends the iteration.
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
/// `buffer` must have at least [`RECIPE_HEADER_SIZE`] bytes.
pub(crate) fn write_header(buffer: &mut [u8], key: u32, command: u32, content_size: usize) {
    let header = RecipeHeader { key, command, previous_voucher: 0, content_size: content_size as u32 };
    buffer[..RECIPE_HEADER_SIZE].copy_from_slice(header.as_bytes());
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
    fn a_malformed_recipe_ends_the_array_when_its_turn_comes() {
        for length in 1..RECIPE_HEADER_SIZE {
            assert_eq!(read(&array(&[(7, 211, 0, 0, b"")])[..length]), [Err(Error::InvalidArgument)]);
        }
        for size in [1, 0x7FFF_FFFF, u32::MAX] {
            let bytes = array(&[(7, 211, 0, 1, b"a"), (7, 211, 0, size, b"")]);
            let read = read(&bytes);
            assert!(read.len() == 2 && read[0].is_ok() && read[1] == Err(Error::InvalidArgument));
        }
    }

    #[test]
    fn a_name_that_denotes_no_voucher_is_an_error_but_the_null_name_is_not() {
        let recipe = RawRecipe { key: 99, command: 999, previous: 0, content: b"" };
        assert!(recipe.resolve(None).is_ok());
        assert_eq!(RawRecipe { previous: 5, ..recipe }.resolve(None).unwrap_err(), Error::InvalidCapability);
    }
}
