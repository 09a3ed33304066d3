//! The demo in QEMU, under a debugger.

use crate::qemu::{Outcome, Place, run};
use crate::root;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Stdio};

/// The demo, which waits for a debugger.
#[derive(Debug)]
pub struct Debugged {
    script: Child,
    errors: BufReader<ChildStderr>,
    /// The command that attaches gdb, as the script prints it.
    attach: String,
}

impl Debugged {
    /// Boots it, with its output in this place.
    pub fn boot(place: &Place) -> Debugged {
        let port = TcpListener::bind("localhost:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let mut script = Command::new(root().join("run-qemu.sh"));
        script.args(["gdb", "demo"]).env("TALLY_GDB_PORT", port.port().to_string());
        script.env("TALLY_OUTPUT", place.0.join("output")).stdin(Stdio::null());
        let script = script.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut script = script.expect("the script runs");
        let mut errors = BufReader::new(script.stderr.take().expect("it is piped"));
        let mut attach = String::new();
        while !attach.starts_with("  gdb ") {
            attach.clear();
            let read = errors.read_line(&mut attach).expect("the script writes text");
            assert!(read > 0, "the script says how to attach gdb");
        }
        Debugged { script, errors, attach: attach.trim().into() }
    }

    /// Lets gdb attach, carry out commands and detach. Returns what it says to each command.
    pub fn session(&self, commands: &[&str]) -> Vec<String> {
        let mut gdb = Command::new("bash");
        // The script's own arguments come first. What gdb calls an error is a part of the answer.
        let line = format!("exec timeout --signal=KILL 300 {} -nx -q -batch \"$@\" 2>&1", self.attach);
        gdb.args(["-c", &line, "bash"]).stdin(Stdio::null());
        for command in commands {
            gdb.args(["-ex", "echo \\n<answer>\\n", "-ex", command]);
        }
        let Outcome { output, .. } = run(gdb.args(["-ex", "echo \\n<answer>\\n"]));
        let mut answers: Vec<String> = output.split("\n<answer>\n").map(String::from).collect();
        assert_eq!(answers.len(), commands.len() + 2, "{output}");
        answers.remove(0);
        answers
    }

    /// Waits for the end of the demo, and returns its status with what it has printed.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut told = String::new();
        self.script.stdout.take().expect("it is piped").read_to_string(&mut told).expect("the console is text");
        self.errors.read_to_string(&mut told).expect("the log is text");
        (self.script.wait().expect("the script ends").code(), told)
    }
}

/// Returns true if there is a gdb with Python.
pub fn has_gdb() -> bool {
    let found = Command::new("gdb").args(["-nx", "-batch", "-ex", "python print(1)"]).output();
    found.is_ok_and(|output| output.status.success() && output.stdout == b"1\n")
}
