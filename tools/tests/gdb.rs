//! The commands `tally` of gdb: a scripted session with the demo.

use std::env;
use tools::debugger::{Debugged, has_gdb};
use tools::qemu::Place;

/// Asserts that an answer has these words in this order.
fn expect(answer: &str, words: &[&str]) {
    let mut rest = answer;
    for word in words {
        let Some((_, after)) = rest.split_once(word) else {
            panic!("{word:?} is missing, or not in its place:\n{answer}")
        };
        rest = after;
    }
}

const UNTIL_BOOSTED: [&str; 4] = [
    // Nothing is there yet.
    "tally tasks",
    "tally break-boost",
    "continue",
    "tally why 5",
];

/// The helper of the daemon receives its request: here the message still has its boost, and the daemon has its voucher.
const UNTIL_RECEIVED: [&str; 4] = ["delete", "break kernel::kernel::Kernel::receive_attached", "continue", "continue"];

const LISTINGS: [&str; 14] = [
    "tally why 6",
    "tally why t7",
    "tally tasks",
    "tally threads 5",
    "tally ports 5",
    "tally port 6 0x203",
    "tally vouchers",
    "tally importance",
    "tally queues",
    "tally print task 5 bootstrap",
    "tally print t4 state",
    "tally print t4 policy requested qos",
    "print message",
    "print receiver",
];

const TRAPS: [&str; 7] = [
    "delete",
    "tally break-trap mach_port_allocat",
    "tally break-trap mach_msg",
    "continue",
    "tally trap",
    // A field has another name now.
    "python from tally_debugger import records; records.task = lambda _, value: records.field(value, 'tusks')",
    "tally tasks",
];

#[test]
fn gdb_tells_why_a_daemon_is_boosted() {
    if !has_gdb() {
        assert!(env::var_os("CI").is_none(), "CI has gdb with Python");
        println!("skipped: gdb with Python is not installed");
        return;
    }
    let place = Place::new();
    let machine = Debugged::boot(&place);
    let commands = [&UNTIL_BOOSTED[..], &UNTIL_RECEIVED, &LISTINGS, &TRAPS, &["delete"]].concat();
    let answers = machine.session(&commands);
    let about: Vec<String> =
        commands.iter().zip(&answers).map(|(command, answer)| format!("{command}\n{answer}")).collect();
    let all = about.join("\n");
    let mut answers = answers.iter().map(String::as_str);
    let mut next = || answers.next().expect("an answer for each command");

    expect(next(), &["the kernel has not started"]);
    expect(next(), &["when a task becomes boosted"]);
    expect(next(), &["(pid 5) becomes boosted"]);
    // The app, its message and the port of the daemon.
    let first = next();
    let chain = ["because it has 1 boost:", "1 boost is on port p", "by message m", "of id 7005", "from ", "(pid 3)"];
    expect(first, &chain);
    expect(first, &["donates because it is an app, role front"]);

    for _ in UNTIL_RECEIVED {
        next();
    }
    // The helper's message and port, the daemon that sent it, the voucher that the daemon has, and the app behind that.
    let why = next();
    expect(why, &["(pid 6) runs at", "daemon, adaptive", "on port p", "by message m", "of id 7005", "(pid 5)"]);
    expect(why, &["donates because it has a boost itself:", "held by voucher v", "name 0x", "adopted by t6"]);
    expect(why, &["held by voucher v", "which first came with a message of id 7005 on port p", "(pid 3)"]);
    expect(why, &["it is the importance of", "(pid 3)", "donates because it is an app, role front"]);
    expect(next(), &["t7 of", "(pid 6) runs at base priority", "its task,", "held by voucher v"]);
    let tasks = next();
    expect(tasks, &["pid  task", "app", "front", "daemon, adaptive", "RDB"]);
    expect(next(), &["t6", "(pid 5)", "DEF", "31", "v"]);
    expect(next(), &["receive send", "(pid 5) as 0x203", "kernel: voucher v"]);
    expect(next(), &["(pid 6) as 0x203", "it takes importance", "(pid 5) has a send right", "message", "7005", "yes"]);
    expect(next(), &["2,3", "boosts", "pays"]);
    expect(next(), &["element", "yes", "inherit", "(pid 3)", "(pid 5)", "yes"]);
    expect(next(), &["receive right", "(pid 2) as 0x"]);
    expect(next(), &["send right to p"]);
    expect(next(), &["waits for a message on p"]);
    expect(next(), &["UserInteractive (UI)"]);
    expect(next(), &["= m"]);
    expect(next(), &["thread: Thread#", "task: Task#", "space: Space#"]);

    next();
    expect(next(), &["no trap is called mach_port_allocat; do you mean mach_port_allocate"]);
    expect(next(), &["fast path", "handle_plain_call"]);
    next();
    expect(next(), &["trap mach_msg, 31 of class 1", "msg*", "rdi", "0x", "rcv_name", "fast path"]);
    next();
    expect(next(), &["tally: kernel::task::Task has no field `tusks` any more: see kernel/src/task/mod.rs"]);
    assert!(!all.contains("Traceback") && !all.contains("<not valid"), "{all}");

    // To look has changed nothing.
    let (status, told) = machine.end();
    assert_eq!(status, Some(0), "{told}");
}
