//! The defects of the reference that vouchers, appendix A, marks FIX, with the behaviour that is expected instead. No
//! other difference is excused.

use serde_json::{Value, json};

/// A line of a trace whose recorded answer is a defect.
struct Excused {
    trace: &'static str,
    /// The quirk, or the section of the specification.
    reason: &'static str,
    op: &'static str,
    /// The expected answer.
    expected: fn() -> Value,
}

const TABLE: [Excused; 2] = [
    Excused {
        trace: "register-duplicate-panics",
        reason: "Q22: a key that is taken is refused",
        op: "register",
        expected: || {
            json!({
                "kr": 4, "control": false, "calls": [], "died": [],
                "state": {"vouchers": 1, "values": {"7": 0, "8": 1}, "user_data_elements": 0},
            })
        },
    },
    Excused {
        trace: "control-release-panics",
        reason: "1.12: with the last reference the manager is told, and the key is free",
        op: "control_release",
        expected: || {
            json!({
                "registered": false, "refs": 0,
                "calls": [{"manager": "counter", "key": 8, "fn": "release"}], "died": [],
                "state": {"vouchers": 0, "values": {"7": 0}, "user_data_elements": 0},
            })
        },
    },
];

/// Returns the reason and the expected answer for a line whose recorded answer is a defect.
pub fn expected_instead(trace: &str, operation: &Value) -> Option<(&'static str, Value)> {
    let panics = operation["expect"].get("panic").is_some();
    let excused = TABLE.iter().find(|row| row.trace == trace && operation["op"] == row.op && panics)?;
    Some((excused.reason, (excused.expected)()))
}
