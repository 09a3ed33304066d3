//! Hardware errors while a program runs cause a kernel panic with a message.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tools::qemu::{Place, bundle, image};

/// Boots a program that never ends, sends QEMU's monitor a command while it runs, and expects this kernel panic.
#[track_caller]
fn assert_panics(command: &str, expected: &str) {
    let place = Place::new();
    let [kernel, init, tests] = ["kernel", "init", "tests"].map(|name| fs::read(image(name)).expect("it is built"));
    let files: [(&str, &[u8]); 4] =
        [("kernel", &kernel), ("init", &init), ("tests", &tests), ("cmdline", b"harness\0--deliberate\0hang\0")];
    let bundle = bundle(&place, &files);
    let [console, log] = ["console.txt", "log.txt"].map(|name| place.file(name, b""));
    let mut qemu = Command::new("timeout");
    qemu.args(["60", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-display", "none", "-no-reboot"]);
    qemu.args(["-nodefaults", "-device", "isa-debug-exit,iobase=0xf4", "-m", "128", "-monitor", "stdio"]);
    [&console, &log].into_iter().for_each(|line| _ = qemu.arg("-serial").arg(format!("file:{}", line.display())));
    qemu.arg("-kernel").arg(image("boot")).arg("-initrd").arg(bundle);
    let mut machine = qemu.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("QEMU starts");
    let text = |path| fs::read_to_string(path).expect("the file is there");
    while !text(&console).contains("deliberate::hang") && machine.try_wait().expect("it is ours").is_none() {
        sleep(Duration::from_millis(20));
    }
    // If QEMU has already ended, its status shows it.
    let _ = writeln!(machine.stdin.as_mut().expect("it has an input"), "{command}");
    let status = machine.wait().expect("it ends");
    let log = text(&log);
    assert_eq!(status.code(), Some(0x11 << 1 | 1), "the log: {log}");
    assert!(log.contains(expected), "expected: {expected}\nseen: {log}");
}

#[test]
fn a_non_maskable_interrupt_panics_the_kernel() {
    assert_panics("nmi", "tally: panic: non-maskable interrupt\n");
}

#[test]
fn a_machine_check_panics_the_kernel() {
    assert_panics("mce 0 1 0xbe00000000000000 0x5 0x1000 0x0", "tally: panic: machine check: ");
}
