//! The notation of bytes, handles and codes in traces.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use voucher::Error;

/// Longer contents are written as a digest.
const WRITTEN_OUT: usize = 64;

/// Returns the notation of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the notation of a content that stands for a value.
pub fn content(bytes: &[u8]) -> String {
    if bytes.len() <= WRITTEN_OUT {
        return hex(bytes);
    }
    format!("sha256:{}:{}", hex(&Sha256::digest(bytes)), bytes.len())
}

/// Parses bytes.
pub fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Returns the notation of a handle.
pub fn handle(handle: u64) -> String {
    format!("{handle:#x}")
}

/// Parses a handle.
pub fn parse_handle(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

/// Returns the handle in a field.
pub fn handle_in(operation: &Value, field: &str) -> u64 {
    parse_handle(string_in(operation, field))
}

/// Returns the text in a field, or an empty text.
pub fn string_in<'a>(operation: &'a Value, field: &str) -> &'a str {
    operation[field].as_str().unwrap_or("")
}

/// Returns the 32-bit number in a field, or 0.
pub fn number_in(operation: &Value, field: &str) -> u32 {
    operation[field].as_u64().unwrap_or(0) as u32
}

/// Returns the code of a result.
pub fn code<T>(result: &Result<T, Error>) -> Value {
    json!(result.as_ref().map_or_else(|error| error.code().0, |_| 0))
}
