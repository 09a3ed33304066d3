//! The comparison of answers and states.

use super::traces::Comparison;
use serde_json::{Map, Value};

/// Answers and states are compared field by field.
const FIELDS: Comparison = Comparison { optional: &[], items: false };

/// The kinds of objects in a state.
const KINDS: [&str; 7] = ["tasks", "elems", "inherits", "ports", "msgs", "vouchers", "lists"];

/// The parts of a line's `expect` that describe the state and not the answer.
const STATE_FIELDS: [&str; 5] = ["changed", "gone", "live", "timer", "violates"];

/// Operations in which the order of events depends on the order in which rights and messages are destroyed.
const ANY_ORDER: [&str; 3] = ["exit", "exec", "destroy_port"];

/// The state that the reference has after a line: the sum of the changes.
#[derive(Debug)]
pub struct Expected(Map<String, Value>);

impl Default for Expected {
    fn default() -> Self {
        let mut state: Map<String, Value> =
            KINDS.iter().map(|kind| ((*kind).to_owned(), Value::Object(Map::new()))).collect();
        state.insert("live".to_owned(), serde_json::json!({ "vouchers": 0, "elems": 0 }));
        state.insert("timer".to_owned(), Value::Null);
        Expected(state)
    }
}

impl Expected {
    /// Adds the changes of a line.
    pub fn add(&mut self, expect: &Value) {
        for kind in KINDS {
            let Some(Value::Object(objects)) = self.0.get_mut(kind) else { continue };
            if let Some(Value::Object(changed)) = expect.pointer(&format!("/changed/{kind}")) {
                objects.extend(changed.iter().map(|(name, object)| (name.clone(), object.clone())));
            }
            let gone = expect.pointer(&format!("/gone/{kind}")).and_then(Value::as_array);
            for name in gone.into_iter().flatten().filter_map(Value::as_str) {
                objects.remove(name);
            }
        }
        for field in ["live", "timer"] {
            if let Some(value) = expect.get(field) {
                self.0.insert(field.to_owned(), value.clone());
            }
        }
    }

    /// Takes over a complete state.
    pub fn replace(&mut self, state: &Value) {
        if let Value::Object(state) = state {
            self.0 = state.clone();
        }
    }

    /// Returns the differences between this state and `got`.
    pub fn differences(&self, got: &Value) -> Vec<String> {
        let mut found = Vec::new();
        FIELDS.differences("", &Value::Object(self.0.clone()), got, &mut found);
        found
    }
}

/// Adds the differences between the answer to an operation and the recorded one to `found`.
pub fn compare_answer(operation: &Value, expect: &Value, answer: &Map<String, Value>, found: &mut Vec<String>) {
    let mut expected = expect.as_object().cloned().unwrap_or_default();
    STATE_FIELDS.iter().for_each(|field| drop(expected.remove(*field)));
    let mut answer = answer.clone();
    for answer in [&mut expected, &mut answer] {
        if let Some(Value::Array(died)) = answer.get_mut("died") {
            died.sort_by_key(Value::to_string);
        }
        let any_order = ANY_ORDER.iter().any(|op| operation["op"] == *op);
        if let Some(Value::Array(events)) = answer.get_mut("events").filter(|_| any_order) {
            events.sort_by_key(Value::to_string);
        }
    }
    FIELDS.differences("", &Value::Object(expected), &Value::Object(answer), found);
}
