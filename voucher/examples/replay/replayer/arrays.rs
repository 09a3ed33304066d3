//! Arrays of recipes in the notation of traces.

use super::text::{bytes, number_in, string_in};
use super::world::World;
use serde_json::Value;
use voucher::{Error, Key, Recipe, RecipeSource, VoucherId};

/// Returns the caller's name for the source of a recipe.
fn name(source: &str) -> u32 {
    let number = |name: &str| name.parse::<u32>().map_or(0, |number| number << 8 | 3);
    match source {
        "null" => 0,
        "dead" => u32::MAX,
        "bad" => 0x9999_9901,
        "notvoucher" => 0x107,
        _ => source.trim_start_matches("stale:").strip_prefix('v').map_or(0, number),
    }
}

/// Returns the content of a recipe.
fn content(world: &World, control: Option<Key>, text: &str) -> Vec<u8> {
    match text.strip_prefix("handle-of:") {
        Some(voucher) => {
            let voucher = world.voucher(voucher);
            let handle = control.zip(voucher).and_then(|(key, voucher)| world.registry.handle(voucher, key));
            handle.unwrap_or(0).to_le_bytes().to_vec()
        }
        None => bytes(text),
    }
}

/// Returns the recipes of an operation as one array, in the layout of programs or of the kernel, without the bytes to
/// cut off.
pub fn array(world: &World, operation: &Value, kernel: bool) -> Vec<u8> {
    let control = world.control_in(operation);
    let mut array = Vec::new();
    for recipe in operation["recipes"].as_array().into_iter().flatten() {
        let content = content(world, control, string_in(recipe, "content"));
        let source = name(string_in(recipe, "prev"));
        array.extend(number_in(recipe, "key").to_le_bytes());
        array.extend(number_in(recipe, "command").to_le_bytes());
        if kernel {
            array.extend(u64::from(source).to_le_bytes());
        } else {
            array.extend(source.to_le_bytes());
        }
        array.extend((content.len() as u32).to_le_bytes());
        array.extend(content);
    }
    let cut = number_in(operation, "cut") as usize;
    array.truncate(array.len().saturating_sub(cut));
    array
}

/// Recipes in the layout of the kernel, where the source is a pointer of 8 bytes: here the name of the voucher.
pub struct KernelArray<'a> {
    rest: &'a [u8],
    content: &'a [u8],
}

impl<'a> KernelArray<'a> {
    pub fn new(array: &'a [u8]) -> Self {
        KernelArray { rest: array, content: &[] }
    }

    fn take(&mut self) -> Option<(u32, u32, u64)> {
        let (header, rest) = self.rest.split_at_checked(20)?;
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("a word has four bytes"));
        let (content, rest) = rest.split_at_checked(word(16) as usize)?;
        (self.content, self.rest) = (content, rest);
        Some((word(0), word(4), u64::from(word(12)) << 32 | u64::from(word(8))))
    }
}

impl RecipeSource<World> for KernelArray<'_> {
    fn next(&mut self, world: &mut World) -> Option<Result<Recipe<'_>, Error>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((key, command, source)) = self.take() else {
            return Some(Err(Error::InvalidArgument));
        };
        let previous: Option<VoucherId> = world.named(source as u32);
        Some(Ok(Recipe { key, command, previous, content: self.content }))
    }

    /// Returns the content of a recipe.
    fn content(&self) -> &[u8] {
        self.content
    }
}
