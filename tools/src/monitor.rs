//! A monitor in QEMU that is typed into: what it prints after each command.

use crate::qemu::Place;
use crate::root;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What the monitor prints when it waits for a command.
pub const PROMPT: &str = "tally> ";

/// A running monitor. It is ended with the value, if it has not ended itself.
#[derive(Debug)]
pub struct Monitor {
    script: Child,
    /// Where keys are typed; none when the input has ended.
    keys: Option<ChildStdin>,
    console: ChildStdout,
    /// All that it has printed.
    seen: Vec<u8>,
    _place: Place,
}

impl Monitor {
    /// Boots a monitor, with arguments for the script before its command, and waits for the first prompt.
    pub fn boot(options: &[&str]) -> Monitor {
        let place = Place::new();
        let mut script = Command::new(root().join("run-qemu.sh"));
        script.args(options).arg("monitor").env("TALLY_OUTPUT", &place.0);
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script starts");
        let keys = script.stdin.take();
        let console = script.stdout.take().expect("it is piped");
        let mut monitor = Monitor { script, keys, console, seen: Vec::new(), _place: place };
        monitor.wait(0, &[PROMPT]);
        monitor
    }

    /// Types keys.
    pub fn press(&mut self, keys: &str) {
        let input = self.keys.as_mut().expect("the input has not ended");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("the machine is there");
    }

    /// Gives a command and returns what is printed until the next prompt.
    pub fn ask(&mut self, command: &str) -> String {
        self.ask_until(command, &[])
    }

    /// Gives a command and returns what is printed until these texts have come, besides the next prompt, in any order.
    /// Prompts are left out.
    pub fn ask_until(&mut self, command: &str, texts: &[&str]) -> String {
        let start = self.seen.len();
        self.press(&format!("{command}\n"));
        // The prompt that follows what was typed, not one that was there before it.
        let typed = format!("{command}\n");
        self.wait(start, &[&typed]);
        let start = start + self.text(start).find(&typed).expect("it was waited for") + command.len();
        let prompt = format!("\n{PROMPT}");
        self.wait(start, &[&[&*prompt], texts].concat());
        self.text(start + 1).replace(PROMPT, "")
    }

    /// Waits until all these texts stand behind the byte `start` of the output.
    pub fn wait(&mut self, start: usize, texts: &[&str]) {
        while !texts.iter().all(|text| self.text(start).contains(text)) {
            let mut bytes = [0; 4096];
            let count = self.console.read(&mut bytes).expect("the console can be read");
            assert!(count > 0, "the machine has ended, {texts:?} did not come:\n{}", self.text(0));
            self.seen.extend(bytes[..count].iter().filter(|&&byte| byte != b'\r'));
        }
    }

    /// Returns how much was printed.
    pub fn printed(&self) -> usize {
        self.seen.len()
    }

    /// Returns what was printed behind the byte `start`.
    pub fn text(&self, start: usize) -> String {
        String::from_utf8_lossy(&self.seen[start..]).into_owned()
    }

    /// Gives a command that ends the machine, and returns the script's exit status.
    pub fn end(mut self, command: &str) -> i32 {
        self.press(&format!("{command}\n"));
        self.keys = None;
        let mut rest = Vec::new();
        self.console.read_to_end(&mut rest).expect("the console can be read");
        self.script.wait().expect("the script ends").code().expect("it was not killed")
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // A test that fails in the middle leaves a machine that reads no more.
        if let Some(mut keys) = self.keys.take() {
            let _ = keys.write_all(b"x\nquit\n");
            drop(keys);
            let _ = self.script.wait();
        }
    }
}
