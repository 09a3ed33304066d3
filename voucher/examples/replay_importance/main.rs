//! Replays recorded importance traces of the reference against the crate.
//!
//! `cargo run --release -p voucher --example replay_importance -- FILE…` prints each answer that differs from the
//! recorded one, with the file, the line, the name of the trace and both values, and at the end the numbers of passed
//! and failed traces.

mod replayer;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: replay_importance FILE…");
        return ExitCode::from(2);
    }
    let mut total = replayer::Report::default();
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => total.add(replayer::replay(&file, &text)),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    for mismatch in &total.mismatches {
        println!("{mismatch}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
