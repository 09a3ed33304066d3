//! Why the helper of the demo is boosted: the monitor, gdb and the timeline tell the same chain.
//!
//! Each looks at a boot of its own. In two of them the machine does the same, so that its objects have the same
//! numbers; the monitor has been started before the demo.

use serde_json::Value;
use std::process::Command;
use std::{env, fs};
use tools::debugger::{Debugged, has_gdb};
use tools::monitor::Monitor;
use tools::qemu::{Place, run};
use tools::root;
use tools::timeline::model::{Timeline, why};
use tools::timeline::record;

/// One boost of a chain: a task has it from a message of a donor, and a voucher holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    /// The boosted task.
    task: String,
    /// The task that sent the message.
    donor: String,
    /// `msgh_id` of the message.
    message: i32,
    /// The port on which it came, by its number.
    port: String,
    /// The voucher that holds the boost, by its number.
    voucher: String,
}

impl Link {
    /// Returns what is the same in all boots.
    fn story(&self) -> (&str, &str, i32) {
        (&self.task, &self.donor, self.message)
    }
}

/// Returns the name in "name (pid 7)".
fn name(text: &str) -> String {
    text.trim().split_once(" (pid ").unwrap_or_else(|| panic!("{text:?} names no task")).0.into()
}

/// Returns the text behind `before` and in front of `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let behind = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    behind.unwrap_or_else(|| panic!("{before:?} and {after:?} are missing: {text}")).0
}

/// Reads the chain in the answer to `why`, of the monitor or of gdb, from the task in question to the app. The app
/// donates by itself.
fn read_why(answer: &str) -> Vec<Link> {
    let mut lines = answer.lines().map(str::trim);
    let mut task = name(lines.find(|line| line.contains(" runs at base priority ")).expect("it begins with the task"));
    let mut links = Vec::new();
    while let Some(held) = lines.find(|line| line.contains("held by voucher ") || line.contains(" donates because ")) {
        if held.contains(" donates because ") {
            assert_eq!(held.split_once(' ').expect("words").0, task, "the donor is the task whose message it was");
            if !held.ends_with("it has a boost itself:") {
                assert!(held.ends_with("it is an app, role front"), "{held}");
                break;
            }
            continue;
        }
        assert!(held.starts_with("1 boost is held by voucher "), "{held}");
        let came = lines.next().expect("how the voucher came");
        let donor = name(between(&format!("{came}\n"), " from ", "\n"));
        links.push(Link {
            task,
            donor: donor.clone(),
            message: between(came, "a message of id ", " on").parse().expect("a number"),
            port: between(came, "on port ", " ").into(),
            voucher: between(held, "voucher ", ":").into(),
        });
        assert_eq!(name(lines.next().unwrap_or_default().trim_start_matches("it is the importance of ")), donor);
        task = donor;
    }
    links
}

/// The monitor's chain, and its word that the ports are those on which the tasks receive.
fn told_by_the_monitor() -> Vec<Link> {
    let mut monitor = Monitor::boot(&[]);
    monitor.ask_until("run demo hold", &["lets it go on.\n"]);
    let links = read_why(&monitor.ask("why codecd"));
    for Link { task, port, voucher, donor, .. } in &links {
        let ports = monitor.ask(&format!("ports {task} --json"));
        let ports: Vec<Value> = serde_json::from_str(&ports).expect("a list");
        let own = ports.iter().find(|row| row["object"] == **port).unwrap_or_else(|| panic!("{task} has no {port}"));
        assert!(own["rights"].as_str().is_some_and(|rights| rights.contains("receive")), "{own}");
        let told = monitor.ask(&format!("voucher {voucher}"));
        assert!(told.contains(&format!("importance: {donor} boosts {task}\n")), "{told}");
    }
    monitor.end("quit");
    links
}

/// gdb's chain, when the helper has received its request and begins to work for its client.
fn told_by_gdb() -> Vec<Link> {
    let place = Place::new();
    let machine = Debugged::boot(&place);
    let answers = machine.session(&[
        "tally break-boost",
        "continue",
        "continue",
        "delete",
        "break kernel::kernel::Kernel::adopt_voucher",
        "continue",
        "tally why 6",
        "delete",
    ]);
    let (status, told) = machine.end();
    assert_eq!(status, Some(0), "{told}");
    read_why(&answers[6])
}

/// The chain of the first boost of the helper that a voucher holds.
fn told_by_the_timeline() -> Vec<Link> {
    let place = Place::new();
    let mut script = Command::new(root().join("run-qemu.sh"));
    let outcome = run(script.args(["trace", "demo"]).current_dir(&place.0).env("TALLY_OUTPUT", place.0.join("boot")));
    assert_eq!(outcome.status, 0, "{}{}", outcome.output, outcome.errors);
    let stream = fs::read(place.0.join("boot/events.bin")).expect("there are events");
    let timeline = Timeline::of(&record::decode(&stream).expect("whole events"));
    let Timeline { boosts, messages, vouchers, threads, .. } = &timeline;
    let number = |kind: char, object: u64| format!("{kind}{}.{}", object as u32, object >> 32);
    let mut links = Vec::new();
    let is_first = |pid| timeline.who(pid).starts_with("codecd ");
    let mut next = boosts.iter().position(|boost| is_first(boost.pid) && boost.why == why::RECEIVED);
    while let Some(place) = next {
        let boost = &boosts[place];
        let message = &messages[boost.message.expect("the message is known")];
        let voucher = &vouchers[boost.voucher.expect("a voucher holds it")];
        assert_eq!(voucher.boosts, boost.pid);
        links.push(Link {
            task: name(&timeline.who(boost.pid)),
            donor: name(&timeline.who(threads[&message.sender].pid)),
            message: message.id,
            port: number('p', message.port),
            voucher: number('v', voucher.number),
        });
        next = boost.source;
    }
    links
}

#[test]
fn monitor_debugger_and_timeline_tell_the_same_chain() {
    let timeline = told_by_the_timeline();
    let story: Vec<_> = timeline.iter().map(Link::story).collect();
    assert_eq!(story, [("codecd", "imaged", 7005), ("imaged", "photos", 7005)]);
    let monitor = told_by_the_monitor();
    assert_eq!(monitor.iter().map(Link::story).collect::<Vec<_>>(), story);
    if !has_gdb() {
        assert!(env::var_os("CI").is_none(), "CI has gdb with Python");
        println!("skipped: gdb with Python is not installed");
        return;
    }
    assert_eq!(told_by_gdb(), timeline);
}
