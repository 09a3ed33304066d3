//! The recorded traces as the tests of both replayers use them.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// A file with traces: its name and its text.
pub type TraceFile = (String, String);

/// Returns the files with traces in a folder, by name.
fn files_in(folder: &Path) -> Vec<TraceFile> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let read = |file: &PathBuf| std::fs::read_to_string(file).expect("a trace can be read");
    files.iter().map(|file| (file.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(file))).collect()
}

/// Returns the files of a folder of the crate.
pub fn selected(folder: &str) -> Vec<TraceFile> {
    files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

/// Returns the files of a folder that may lie beside the project.
pub fn shared(folder: &str) -> Option<Vec<TraceFile>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance").join(folder);
    folder.is_dir().then(|| files_in(&folder))
}

/// Returns the lines of a file, of whatever trace.
pub fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"))
}

/// Splits a file into its traces.
pub fn split(text: &str) -> Vec<Vec<Value>> {
    let mut traces: Vec<Vec<Value>> = Vec::new();
    for line in lines(text) {
        if line["op"] == "begin" {
            traces.push(Vec::new());
        }
        traces.last_mut().expect("a file begins with a trace").push(line);
    }
    traces
}

/// Returns the trace with this name in the file `scenarios.jsonl` of these files.
pub fn scenario(files: &[TraceFile], name: &str) -> Vec<Value> {
    let (_, text) = files.iter().find(|(file, _)| file == "scenarios.jsonl").expect("it is selected");
    split(text).into_iter().find(|trace| trace[0]["name"] == name).expect("the file has the trace")
}

/// Returns lines as the text of a file.
pub fn text(trace: &[Value]) -> String {
    trace.iter().map(|line| format!("{line}\n")).collect()
}

/// Adds the paths of all leaves of a value to `found`.
pub fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(field, value)| leaves(value, &format!("{path}/{field}"), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(number, item)| leaves(item, &format!("{path}/{number}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// Returns a different value of the same kind.
pub fn altered(value: &Value) -> Value {
    match value {
        Value::Null => Value::from(1),
        Value::Bool(value) => Value::from(!value),
        Value::Number(number) => Value::from(number.as_i64().unwrap_or(0).wrapping_add(1)),
        Value::String(text) => Value::from(format!("{text}00")),
        Value::Array(_) => Value::from(vec!["more"]),
        Value::Object(_) => serde_json::json!({"more": 1}),
    }
}
