//! What the replayers of both kinds of traces share: reading a file line by line, counting traces, comparing values.
//!
//! A trace is a sequence of lines of JSON, from one whose operation is "begin" to one whose operation is "end". A file has
//! any number of them.

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

    /// Adds the end of a trace.
    fn close<R>(&mut self, file: &str, trace: Option<Trace<R>>) {
        let Some(mut trace) = trace else { return };
        if !trace.ended {
            self.mismatches.push(format!("{file}: {}: the trace has no end", trace.name));
            trace.failed = true;
        }
        if trace.failed {
            self.failed += 1;
        } else {
            self.passed += 1;
        }
    }
}

/// The replay of one trace.
pub trait Replay: Sized {
    /// Begins a trace with its first line, and adds the differences from what was recorded to `found`.
    fn begin(operation: &Value, found: &mut Vec<String>) -> Self;

    /// Replays another line of the trace `name`, and adds the differences to `found`.
    fn line(&mut self, name: &str, operation: &Value, found: &mut Vec<String>);
}

/// A trace that is being replayed.
struct Trace<R> {
    name: String,
    replay: R,
    failed: bool,
    ended: bool,
}

impl<R: Replay> Trace<R> {
    fn begin(operation: &Value, found: &mut Vec<String>) -> Trace<R> {
        let name = operation["name"].as_str().unwrap_or("without a name").to_owned();
        Trace { name, replay: R::begin(operation, found), failed: false, ended: false }
    }

    fn line(&mut self, operation: &Value, found: &mut Vec<String>) {
        self.ended = stops(operation) || operation["op"] == "end";
        self.replay.line(&self.name, operation, found);
    }
}

std::thread_local! {
    /// The line that is being replayed, for the report of a broken invariant, which ends the program.
    pub static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Returns true if the reference stopped at a line, so that no answer was recorded.
pub fn stops(operation: &Value) -> bool {
    operation["expect"].get("panic").is_some()
}

/// Returns the lines of a file that are not empty, with their numbers. A line that is not JSON is an error.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, serde_json::Result<Value>)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number + 1, serde_json::from_str(line)))
}

/// Replays all traces of a file.
pub fn replay<R: Replay>(file: &str, text: &str) -> Report {
    let mut report = Report::default();
    let mut trace: Option<Trace<R>> = None;
    for (number, line) in lines(text) {
        let mut found = Vec::new();
        PLACE.set(format!("{file}:{number}"));
        match line {
            Ok(operation) if operation["op"] == "begin" => {
                report.close(file, trace.take());
                trace = Some(Trace::begin(&operation, &mut found));
            }
            Ok(operation) => match &mut trace {
                Some(trace) if !trace.ended => trace.line(&operation, &mut found),
                _ => found.push("a line outside a trace".to_owned()),
            },
            Err(error) => found.push(format!("not a line of a trace: {error}")),
        }
        let name = trace.as_ref().map_or("?", |trace| &trace.name);
        report.mismatches.extend(found.iter().map(|what| format!("{file}:{number}: {name}: {what}")));
        match &mut trace {
            Some(trace) => trace.failed |= !found.is_empty(),
            None => report.failed += usize::from(!found.is_empty()),
        }
    }
    report.close(file, trace);
    report
}

/// A comparison of two values.
pub struct Comparison {
    /// Fields that may be anything.
    pub optional: &'static [&'static str],
    /// Arrays are compared item by item, and not as a whole.
    pub items: bool,
}

impl Comparison {
    /// Adds the differences between `got` and `expected`, which are found at `path`, to `found`.
    pub fn differences(&self, path: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
        match (expected, got) {
            (Value::Object(expected), Value::Object(got)) => {
                let fields = expected.keys().chain(got.keys().filter(|field| !expected.contains_key(*field)));
                for field in fields.filter(|field| !self.optional.contains(&field.as_str())) {
                    let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                    self.part(&path, expected.get(field), got.get(field), found);
                }
            }
            (Value::Array(expected), Value::Array(got)) if self.items => {
                for number in 0..expected.len().max(got.len()) {
                    self.part(&format!("{path}[{number}]"), expected.get(number), got.get(number), found);
                }
            }
            _ if expected == got => {}
            _ => found.push(difference(path, Some(expected), Some(got))),
        }
    }

    fn part(&self, path: &str, expected: Option<&Value>, got: Option<&Value>, found: &mut Vec<String>) {
        match (expected, got) {
            (Some(expected), Some(got)) => self.differences(path, expected, got, found),
            (expected, got) => found.push(difference(path, expected, got)),
        }
    }
}

fn difference(path: &str, expected: Option<&Value>, got: Option<&Value>) -> String {
    let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    format!("{path}: expected {}, got {}", text(expected), text(got))
}

/// Returns a text without quotes, or another value as it is written.
pub fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
