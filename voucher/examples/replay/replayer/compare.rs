//! The comparison of answers.

use serde_json::Value;

/// Fields that mirror the reference's layout, which FORMAT.md leaves open.
const OPTIONAL: [&str; 6] = ["slots", "slot", "sum", "table_size", "array_size", "ports"];

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
    differences("", &expected, &got, found);
}

fn differences(path: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let fields = expected.keys().chain(got.keys().filter(|field| !expected.contains_key(*field)));
            for field in fields.filter(|field| !OPTIONAL.contains(&field.as_str())) {
                let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                match (expected.get(field), got.get(field)) {
                    (Some(expected), Some(got)) => differences(&path, expected, got, found),
                    (expected, got) => found.push(difference(&path, expected, got)),
                }
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            for number in 0..expected.len().max(got.len()) {
                let path = format!("{path}[{number}]");
                match (expected.get(number), got.get(number)) {
                    (Some(expected), Some(got)) => differences(&path, expected, got, found),
                    (expected, got) => found.push(difference(&path, expected, got)),
                }
            }
        }
        _ if expected == got => {}
        _ => found.push(difference(path, Some(expected), Some(got))),
    }
}

fn difference(path: &str, expected: Option<&Value>, got: Option<&Value>) -> String {
    let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    format!("{path}: expected {}, got {}", text(expected), text(got))
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
