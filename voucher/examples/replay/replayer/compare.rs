//! The comparison of answers.

use super::traces::Comparison;
use serde_json::Value;

/// Fields that mirror the reference's layout, which FORMAT.md leaves open, may be anything.
const ANSWERS: Comparison =
    Comparison { optional: &["slots", "slot", "sum", "table_size", "array_size", "ports"], items: true };

/// Operations whose raw result has source fields that the reference does not write.
const UNWRITTEN_SOURCES: [&str; 2] = ["extract_all", "debug_info"];

/// Adds the differences between `got` and `expected` to `found`.
pub fn compare(operation: &Value, expected: &Value, got: &Value, found: &mut Vec<String>) {
    let (mut expected, mut got) = (expected.clone(), got.clone());
    if UNWRITTEN_SOURCES.iter().any(|op| operation["op"] == *op) {
        mask_sources(&mut expected);
        mask_sources(&mut got);
    }
    sort_values(&mut expected);
    sort_values(&mut got);
    ANSWERS.differences("", &expected, &got, found);
}

/// Sorts the values of a dump, whose order FORMAT.md leaves open.
fn sort_values(answer: &mut Value) {
    if let Some(Value::Array(values)) = answer.get_mut("values") {
        values.sort_by_key(|value| (value["key"].as_u64(), value["value"].to_string()));
    }
}

/// Replaces the source field of each header in `raw` by zeros.
fn mask_sources(answer: &mut Value) {
    let Some(Value::String(raw)) = answer.get_mut("raw") else { return };
    let mut bytes = super::text::bytes(raw);
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 16) {
        header[8..12].fill(0);
        let size = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        at += 16 + size as usize;
    }
    *raw = super::text::hex(&bytes);
}
