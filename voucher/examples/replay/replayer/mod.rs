//! The replayer: feeds the inputs of traces to the crate and compares the answers.
//!
//! | file | content |
//! |---|---|
//! | `world.rs` | the registry, managers, names and references of a trace; asks the managers and logs the requests |
//! | `artificial.rs` | the managers "counter" and "probe" |
//! | `operations.rs` | the table of operations |
//! | `creating.rs`, `reading.rs`, `holding.rs`, `banking.rs` | the operations |
//! | `arrays.rs` | arrays of recipes in the notation of traces |
//! | `compare.rs` | the comparison of answers |
//! | `explain.rs` | the story of a trace in plain words |
//! | `excused.rs` | defects of the reference, and the behaviour that is expected instead |
//! | `text.rs` | the notation of bytes, handles and codes in traces |

mod arrays;
mod artificial;
mod banking;
mod compare;
mod creating;
mod excused;
mod explain;
mod holding;
mod operations;
mod reading;
mod text;
#[path = "../../traces/mod.rs"]
mod traces;
mod world;

pub use explain::explain;
pub use traces::Report;

use serde_json::Value;
use world::World;

/// Replays all traces of a file.
pub fn replay(file: &str, text: &str) -> Report {
    traces::replay::<World>(file, text)
}

impl traces::Replay for World {
    fn begin(operation: &Value, found: &mut Vec<String>) -> World {
        let (world, registered) = World::begin(operation);
        compare::compare(operation, &operation["expect"], &registered, found);
        world
    }

    fn line(&mut self, name: &str, operation: &Value, found: &mut Vec<String>) {
        let got = self.line(operation);
        match excused::expected_instead(name, operation) {
            Some((reason, expected)) => {
                let before = found.len();
                compare::compare(operation, &expected, &got, found);
                found[before..].iter_mut().for_each(|what| *what = format!("({reason}) {what}"));
            }
            None if traces::stops(operation) => {}
            None => compare::compare(operation, &operation["expect"], &got, found),
        }
        self.check(found);
    }
}
