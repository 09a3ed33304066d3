//! The replayer: feeds the inputs of importance traces to the crate and compares the answers and the whole state.
//!
//! | file | content |
//! |---|---|
//! | `operations.rs` | the operations of a trace |
//! | `inputs.rs` | the fields of an operation |
//! | `state.rs` | the state of a world in the notation of traces |
//! | `compare.rs` | the comparison of answers and states |
//! | `explain.rs` | the story of a trace in plain words |

mod compare;
mod explain;
mod inputs;
mod operations;
mod state;
#[path = "../../traces/mod.rs"]
pub mod traces;

pub use explain::explain;
pub use state::state;
pub use traces::Report;

use super::world::World;
use compare::Expected;
use serde_json::Value;

/// Replays all traces of a file.
pub fn replay(file: &str, text: &str) -> Report {
    traces::replay::<Trace>(file, text)
}

/// A trace that is being replayed.
struct Trace {
    world: World,
    expected: Expected,
    /// The differences between the states after the last line, which are not reported again.
    known: Vec<String>,
    /// The reference has left the rules of the specification, and its answers are no longer those of the crate.
    left: bool,
}

impl traces::Replay for Trace {
    fn begin(_: &Value, _: &mut Vec<String>) -> Trace {
        Trace { world: World::new(), expected: Expected::default(), known: Vec::new(), left: false }
    }

    fn line(&mut self, _: &str, operation: &Value, found: &mut Vec<String>) {
        let expect = &operation["expect"];
        // An invariant of the specification does not hold in the reference from here on; in the crate it does.
        self.left |= expect.get("violates").is_some();
        if operation["op"] == "end" {
            self.expected.replace(&operation["state"]);
        } else {
            let answer = operations::perform(&mut self.world, operation);
            // The reference stopped there, so no answer was recorded: the crate must refuse the operation.
            let refused = serde_json::json!({ "ret": operations::KERN_FAILURE });
            let expect = if traces::stops(operation) { &refused } else { expect };
            self.expected.add(expect);
            match answer {
                Ok(answer) if !self.left => compare::compare_answer(operation, expect, &answer, found),
                // Objects that the reference has at this point may not exist here.
                Ok(_) => {}
                Err(_) if self.left => {}
                Err(error) => found.push(error),
            }
        }
        self.world.check();
        if !self.left {
            let differences = self.expected.differences(&state(&self.world));
            found.extend(differences.iter().filter(|difference| !self.known.contains(difference)).cloned());
            self.known = differences;
        }
    }
}
