//! Replays recorded traces of the reference against the crate.
//!
//! `cargo run --release -p voucher --example replay -- FILE…` prints each answer that differs from the recorded one,
//! with the file, the line, the name of the trace and both values, and at the end the numbers of passed and failed
//! traces. With `--explain` it tells the traces instead, in plain words.

mod replayer;

use std::process::ExitCode;

fn main() -> ExitCode {
    let (options, files): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let explains = options == ["--explain"];
    if files.is_empty() || !(explains || options.is_empty()) {
        eprintln!("usage: replay [--explain] FILE…");
        return ExitCode::from(2);
    }
    let mut total = replayer::Report::default();
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) if explains => print!("{}", replayer::explain(&text)),
            Ok(text) => total.add(replayer::replay(&file, &text)),
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
