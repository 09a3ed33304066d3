//! How traces write bytes, handles and codes.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use voucher::Error;

/// Contents above this length are written as a digest.
const WRITTEN_OUT: usize = 64;

/// Bytes, written out.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A content where it stands for a value.
pub fn content(bytes: &[u8]) -> String {
    if bytes.len() <= WRITTEN_OUT {
        return hex(bytes);
    }
    format!("sha256:{}:{}", hex(&Sha256::digest(bytes)), bytes.len())
}

/// Bytes that were written out.
pub fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A handle.
pub fn handle(handle: u64) -> String {
    format!("{handle:#x}")
}

/// A handle that was written out.
pub fn parse_handle(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

/// A field that holds a handle.
pub fn handle_in(operation: &Value, field: &str) -> u64 {
    parse_handle(string_in(operation, field))
}

/// A field that holds a text; empty if it does not.
pub fn string_in<'a>(operation: &'a Value, field: &str) -> &'a str {
    operation[field].as_str().unwrap_or("")
}

/// A field that holds a number of 32 bits; 0 if it does not.
pub fn number_in(operation: &Value, field: &str) -> u32 {
    operation[field].as_u64().unwrap_or(0) as u32
}

/// The code of a result.
pub fn code<T>(result: &Result<T, Error>) -> Value {
    json!(result.as_ref().map_or_else(|error| error.code().0, |_| 0))
}
