//! Replays recorded traces of the reference against the crate.
//!
//! `cargo run --release -p voucher --example replay -- FILE…` prints each answer that differs from the recorded one,
//! with the file, the line, the name of the trace and both values, and at the end the numbers of passed and failed
//! traces. With `--explain` it tells the traces instead, in plain words.

#[path = "../traces/command_line.rs"]
mod command_line;
mod replayer;

fn main() -> std::process::ExitCode {
    command_line::run("replay")
}
