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

pub use explain::explain;
pub use state::state;

use super::world::World;
use compare::Expected;
use serde_json::Value;
use std::cell::RefCell;

/// The result of a replay.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of traces whose answers were as recorded.
    pub passed: usize,
    /// The number of other traces.
    pub failed: usize,
    /// All differences, as text.
    pub mismatches: Vec<String>,
}

impl Report {
    /// Adds another report.
    pub fn add(&mut self, other: Report) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.mismatches.extend(other.mismatches);
    }
}

/// A trace that is being replayed.
struct Trace {
    name: String,
    world: World,
    expected: Expected,
    /// The differences between the states after the last line, which are not reported again.
    known: Vec<String>,
    /// The reference has left the rules of the specification, and its answers are no longer those of the crate.
    left: bool,
    failed: bool,
    ended: bool,
}

std::thread_local! {
    /// The line that is being replayed, for the report of a broken invariant, which ends the program.
    pub static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Replays all traces of a file.
pub fn replay(file: &str, text: &str) -> Report {
    let mut report = Report::default();
    let mut trace: Option<Trace> = None;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut found = Vec::new();
        PLACE.set(format!("{file}:{}", number + 1));
        match serde_json::from_str::<Value>(line) {
            Ok(operation) if operation["op"] == "begin" => {
                close(file, &mut report, trace.take());
                trace = Some(begin(&operation));
            }
            Ok(operation) => match &mut trace {
                Some(trace) if !trace.ended => step(trace, &operation, &mut found),
                _ => found.push("a line outside a trace".to_owned()),
            },
            Err(error) => found.push(format!("not a line of a trace: {error}")),
        }
        let name = trace.as_ref().map_or("?", |trace| &trace.name);
        report.mismatches.extend(found.iter().map(|what| format!("{file}:{}: {name}: {what}", number + 1)));
        match &mut trace {
            Some(trace) => trace.failed |= !found.is_empty(),
            None => report.failed += usize::from(!found.is_empty()),
        }
    }
    close(file, &mut report, trace);
    report
}

/// Begins a trace with its first line.
fn begin(operation: &Value) -> Trace {
    Trace {
        name: operation["name"].as_str().unwrap_or("without a name").to_owned(),
        world: World::new(),
        expected: Expected::default(),
        known: Vec::new(),
        left: false,
        failed: false,
        ended: false,
    }
}

/// Replays one line of a trace.
fn step(trace: &mut Trace, operation: &Value, found: &mut Vec<String>) {
    let expect = &operation["expect"];
    let panics = expect.get("panic").is_some();
    trace.ended = panics || operation["op"] == "end";
    // An invariant of the specification does not hold in the reference from here on; in the crate it does.
    trace.left |= expect.get("violates").is_some();
    if operation["op"] == "end" {
        trace.expected.replace(&operation["state"]);
    } else {
        let answer = operations::perform(&mut trace.world, operation);
        // The reference stopped there, so no answer was recorded: the crate must refuse the operation.
        let refused = serde_json::json!({ "ret": operations::KERN_FAILURE });
        let expect = if panics { &refused } else { expect };
        trace.expected.add(expect);
        match answer {
            Ok(answer) if !trace.left => compare::compare_answer(operation, expect, &answer, found),
            // Objects that the reference has at this point may not exist here.
            Ok(_) => {}
            Err(_) if trace.left => {}
            Err(error) => found.push(error),
        }
    }
    trace.world.check();
    if !trace.left {
        let differences = trace.expected.differences(&state(&trace.world));
        found.extend(differences.iter().filter(|difference| !trace.known.contains(difference)).cloned());
        trace.known = differences;
    }
}

/// Adds a trace to the report.
fn close(file: &str, report: &mut Report, trace: Option<Trace>) {
    let Some(mut trace) = trace else { return };
    if !trace.ended {
        report.mismatches.push(format!("{file}: {}: the trace has no end", trace.name));
        trace.failed = true;
    }
    if trace.failed {
        report.failed += 1;
    } else {
        report.passed += 1;
    }
}
