//! `run-qemu.sh gdb`: the machine waits for a debugger, which finds the program and its symbols.

use std::io::{Read, Write};
use std::iter;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tools::qemu::{Place, run};
use tools::root;

/// A connection that speaks the protocol between gdb and the machine.
struct Debugger(TcpStream);

impl Debugger {
    fn attach(port: u16) -> Debugger {
        for _ in 0..3000 {
            if let Ok(stream) = TcpStream::connect(("localhost", port)) {
                stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
                return Debugger(stream);
            }
            sleep(Duration::from_millis(100));
        }
        panic!("no machine waits for a debugger");
    }

    fn send(&mut self, command: &str) {
        let sum = command.bytes().fold(0u8, u8::wrapping_add);
        write!(self.0, "${command}#{sum:02x}").expect("the machine listens");
    }

    fn byte(&mut self) -> char {
        let mut byte = [0];
        self.0.read_exact(&mut byte).expect("the machine answers");
        byte[0].into()
    }

    /// Sends a command and returns the answer.
    fn ask(&mut self, command: &str) -> String {
        self.send(command);
        while self.byte() != '$' {}
        let answer = iter::repeat_with(|| self.byte()).take_while(|&byte| byte != '#').collect();
        let _sum = [self.byte(), self.byte()];
        self.0.write_all(b"+").expect("the machine listens");
        answer
    }
}

/// Builds the example in C with debug information.
fn example(place: &Place) -> String {
    let path = place.0.join("echo.elf");
    let source = root().join("docs/examples/echo.c");
    let built = run(Command::new(root().join("user/c/cc.sh")).arg("-g").arg(source).arg("-o").arg(&path));
    assert_eq!(built.status, 0, "{}", built.errors);
    path.to_string_lossy().into_owned()
}

/// Returns the address of a symbol of a program.
fn address_of(program: &str, symbol: &str) -> String {
    let table = run(Command::new("nm").arg(program)).output;
    let line = table.lines().find(|line| line.ends_with(&format!(" {symbol}"))).expect("the symbol is there");
    line.split(' ').next().unwrap_or_default().trim_start_matches('0').into()
}

/// What the example prints.
const ECHO: &str = "sent 41, received 42 in a message with the id 1100\n";

#[test]
fn a_debugger_stops_a_program_at_a_function() {
    let place = Place::new();
    let program = example(&place);
    let port = TcpListener::bind("localhost:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let mut script = Command::new(root().join("run-qemu.sh"));
    script.args(["--release", "gdb", &program]).env("TALLY_GDB_PORT", port.to_string());
    script.env("TALLY_OUTPUT", place.0.join("output")).stdin(Stdio::null());
    let script = script.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the script runs");

    let mut debugger = Debugger::attach(port);
    assert!(debugger.ask("?").starts_with("T05"), "the machine waits");
    let serve = address_of(&program, "serve");
    assert_eq!(debugger.ask(&format!("Z0,{serve},1")), "OK");
    assert!(debugger.ask("c").starts_with("T05"), "the machine stops");
    // Register 16 is rip, its low byte first.
    let registers = debugger.ask("g");
    let rip = u64::from_str_radix(&registers[16 * 16..][..16], 16).expect("a number").swap_bytes();
    assert_eq!(format!("{rip:x}"), serve);
    assert_eq!(debugger.ask(&format!("z0,{serve},1")), "OK");
    // The program continues to its end.
    debugger.send("c");

    let ended = script.wait_with_output().expect("the script ends");
    let (output, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!((ended.status.code(), &*output), (Some(0), ECHO), "{errors}");
    for symbols in ["release/kernel", "release/init", "release/tests", "echo.elf"] {
        assert!(errors.contains(&format!("{symbols}\\'")), "gdb's arguments name {symbols}: {errors}");
    }
    assert!(errors.contains(&format!("-ex target\\ remote\\ localhost:{port}\n")), "{errors}");
}
