//! The command line of a replayer.

use crate::replayer::{Report, explain, replay};
use std::process::ExitCode;

/// Replays the files that the arguments name, or tells them with `--explain`, as the program `name`.
pub fn run(name: &str) -> ExitCode {
    let (options, files): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let explains = options == ["--explain"];
    if files.is_empty() || !(explains || options.is_empty()) {
        eprintln!("usage: {name} [--explain] FILE…");
        return ExitCode::from(2);
    }
    let mut total = Report::default();
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) if explains => print!("{}", explain(&text)),
            Ok(text) => total.add(replay(&file, &text)),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if explains {
        return ExitCode::SUCCESS;
    }
    for mismatch in &total.mismatches {
        println!("{mismatch}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
