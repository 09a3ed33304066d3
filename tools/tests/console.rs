//! A console whose reader is slow: only who writes to it waits.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tools::qemu::{Place, bundle, image};

/// What the program writes again and again.
const LINE: &str = "0123456789abcde 0123456789abcde 0123456789abcde 0123456789abcde\n";
/// The status with which a thread of the program ends the machine that does not write.
const LAST: &str = "shutdown, status 7";

#[test]
fn a_console_that_nobody_reads_stops_its_writer_and_nobody_else() {
    let place = Place::new();
    let [kernel, init] = ["kernel", "stall"].map(|name| fs::read(image(name)).expect("it is built"));
    let bundle = bundle(&place, &[("kernel", &kernel), ("init", &init), ("cmdline", b"")]);
    let log = place.file("log.txt", b"");
    let mut qemu = Command::new("timeout");
    qemu.args(["120", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-display", "none", "-no-reboot"]);
    qemu.args(["-nodefaults", "-device", "isa-debug-exit,iobase=0xf4", "-m", "128", "-serial", "stdio"]);
    qemu.arg("-serial").arg(format!("file:{}", log.display()));
    qemu.arg("-kernel").arg(image("boot")).arg("-initrd").arg(bundle);
    let mut machine = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("QEMU starts");
    let logged = || fs::read_to_string(&log).expect("the file is there");
    // Nobody has read anything when the other thread has had all its turns.
    while !logged().contains(LAST) {
        assert!(machine.try_wait().expect("it is ours").is_none(), "the machine ended: {}", logged());
        sleep(Duration::from_millis(20));
    }
    let mut console = String::new();
    machine.stdout.take().expect("it has an output").read_to_string(&mut console).expect("the console is text");
    assert_eq!(machine.wait().expect("it ends").code(), Some(0x10 << 1 | 1), "{}", logged());
    // The pipe and the buffers were full; what was written before the end has not been lost.
    assert!(console.len() > 16_384 && console.lines().all(|line| line == LINE.trim_end()), "{console:?}");
    assert!(console.ends_with('\n'), "the last write came out as a whole");
}
