//! The repository follows the rules of style that a program can check.

use std::fmt::Write;
use std::fs;
use tools::tidy::{check_rust, check_text};
use tools::{files_with, root};

/// Folders whose comments are still wider than [`tidy`](tools::tidy) allows.
const WIDE: [&str; 3] = ["kernel/", "user/", "voucher/"];

#[test]
fn the_repository_is_tidy() {
    let mut report = String::new();
    let files = files_with(&[".rs", ".sh", ".toml", ".py", ".yml", ".S", ".c", ".h", "run", "pre-commit"]);
    assert!(files.len() > 50, "only {} files were found", files.len());
    for file in files {
        let path = file.strip_prefix(root()).expect("files are below the root").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        let faults = if path.ends_with(".rs") { check_rust(&path, &text) } else { check_text(&text) };
        let is_wide = WIDE.iter().any(|folder| path.starts_with(folder));
        for fault in faults.iter().filter(|fault| !(is_wide && fault.what.contains("columns"))) {
            writeln!(report, "{path}:{}: {}", fault.line, fault.what).expect("writing to a string succeeds");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
