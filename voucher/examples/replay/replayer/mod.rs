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
mod world;

pub use explain::explain;

use serde_json::Value;
use world::World;

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
    failed: bool,
    ended: bool,
}

/// Replays all traces of a file.
pub fn replay(file: &str, text: &str) -> Report {
    let mut report = Report::default();
    let mut trace: Option<Trace> = None;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut found = Vec::new();
        match serde_json::from_str::<Value>(line) {
            Ok(operation) if operation["op"] == "begin" => {
                close(file, &mut report, trace.take());
                trace = Some(begin(&operation, &mut found));
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
fn begin(operation: &Value, found: &mut Vec<String>) -> Trace {
    let (world, registered) = World::begin(operation);
    compare::compare(operation, &operation["expect"], &registered, found);
    let name = operation["name"].as_str().unwrap_or("without a name").to_owned();
    Trace { name, world, failed: false, ended: false }
}

/// Replays one line of a trace.
fn step(trace: &mut Trace, operation: &Value, found: &mut Vec<String>) {
    let panics = operation["expect"].get("panic").is_some();
    trace.ended = panics || operation["op"] == "end";
    let got = trace.world.line(operation);
    match excused::expected_instead(&trace.name, operation) {
        Some((reason, expected)) => {
            let before = found.len();
            compare::compare(operation, &expected, &got, found);
            found[before..].iter_mut().for_each(|what| *what = format!("({reason}) {what}"));
        }
        // The reference stopped there, so no answer was recorded.
        None if panics => {}
        None => compare::compare(operation, &operation["expect"], &got, found),
    }
    trace.world.check(found);
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
