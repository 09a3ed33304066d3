//! `run-qemu.sh trace` with the second act of the demo: each voucher is one band, the bands are a chain through three
//! tasks, and the work of queues holds the vouchers up to the end of the boosts.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};
use tools::qemu::{Place, command_line, run};
use tools::root;
use tools::timeline::model::{Boost, Timeline, Voucher, Work, why};
use tools::timeline::record;

/// The second act, traced once for all tests, with the page.
fn traced() -> &'static (Timeline, Place) {
    static TRACED: OnceLock<(Timeline, Place)> = OnceLock::new();
    TRACED.get_or_init(|| {
        let place = Place::new();
        let mut script = Command::new(root().join("run-qemu.sh"));
        script.args(["trace", "act", "demo", "xpc"]).current_dir(&place.0).env("TALLY_OUTPUT", place.0.join("boot"));
        let seen = run(&mut script);
        assert_eq!(seen.status, 0, "{}{}", seen.output, seen.errors);
        let stream = fs::read(place.0.join("boot/events.bin")).expect("there are events");
        (Timeline::of(&record::decode(&stream).expect("whole events")), place)
    })
}

fn timeline() -> &'static Timeline {
    &traced().0
}

fn pid(name: &str) -> u32 {
    let mut found = timeline().tasks.values().filter(|task| task.name == name);
    let task = found.next().unwrap_or_else(|| panic!("{name} has run"));
    assert!(found.next().is_none(), "{name} has run once");
    task.pid
}

/// Returns the work of the story on a task's queue with a label.
fn work(name: &str, label: &str) -> Vec<&'static Work> {
    let pid = pid(name);
    let of_queue = |work: &&Work| work.pid == pid && timeline().label(pid, work.queue) == label;
    let found: Vec<&Work> = timeline().work.iter().filter(of_queue).collect();
    assert!(!found.is_empty(), "{name} has no work on {label}: {:?}", timeline().queues);
    found
}

/// All work of a service's own queues, in the order in which it was submitted.
fn story(name: &str) -> Vec<&'static Work> {
    let labels: &[&str] = if name == "imaged" { &["scale", "store"] } else { &["decode"] };
    let mut story: Vec<&Work> = labels.iter().flat_map(|label| work(name, label)).collect();
    story.sort_by_key(|work| work.submitted);
    story
}

/// The voucher under which a service has worked.
fn band(name: &str) -> (usize, &'static Voucher) {
    let held: BTreeSet<usize> = story(name).iter().map(|work| work.voucher.expect("a voucher is held")).collect();
    assert_eq!(held.len(), 1, "{name} has one voucher for all work of the story");
    let place = *held.first().expect("there is one");
    (place, &timeline().vouchers[place])
}

/// The changes of a task's boosts.
fn boosts(name: &str) -> Vec<&'static Boost> {
    let pid = pid(name);
    timeline().boosts.iter().filter(|boost| boost.pid == pid).collect()
}

#[test]
fn nothing_is_lost_and_each_boost_has_a_cause() {
    assert_eq!(timeline().lost, 0);
    assert!(!timeline().counts.contains_key("unknown event"), "{:?}", timeline().counts);
    for boost in &timeline().boosts {
        assert_ne!(boost.why, why::OTHER, "{boost:?}");
    }
}

#[test]
fn each_voucher_has_one_band() {
    let numbers: BTreeSet<u64> = timeline().vouchers.iter().map(|voucher| voucher.number).collect();
    assert_eq!(numbers.len(), timeline().vouchers.len());
}

/// Returns the end of a service's boost. It is the only one.
fn end(name: &str) -> &'static Boost {
    let ends: Vec<_> = boosts(name).into_iter().filter(|boost| boost.boosts == 0).collect();
    assert_eq!(ends.len(), 1, "the boost of {name} ends once: {ends:?}");
    ends[0]
}

#[test]
fn the_boost_of_a_service_ends_with_the_band_of_the_voucher_under_which_it_has_worked() {
    for name in ["imaged", "codecd"] {
        let (place, voucher) = band(name);
        assert_eq!(voucher.boosts, pid(name), "the band is that of a boost");
        let end = end(name);
        assert_eq!((end.why, end.voucher, voucher.to), (why::VOUCHER, Some(place), Some(end.time)));
    }
}

#[test]
fn the_work_of_queues_holds_the_voucher_and_the_boost_ends_after_the_last_of_it() {
    let labels =
        |name: &str| -> Vec<String> { story(name).iter().map(|work| timeline().label(work.pid, work.queue)).collect() };
    assert_eq!(labels("imaged"), ["scale", "store", "store", "scale"]);
    assert_eq!(labels("codecd"), ["decode"]);
    for name in ["imaged", "codecd"] {
        let (_, voucher) = band(name);
        let works = story(name);
        for work in &works {
            assert_eq!((work.dropped, work.class), (false, "user-initiated"), "{work:?}");
            assert!(voucher.from <= work.submitted && work.ended < voucher.to, "{work:?} is within {voucher:?}");
        }
        let last = works.iter().filter_map(|work| work.ended).max().expect("all work has ended");
        let end = voucher.to.expect("the voucher has died");
        // Between the two the worker only gives up what it has: no other work of this task begins.
        let pid = pid(name);
        let between = timeline().work.iter().filter(|work| work.pid == pid);
        assert!(!between.filter_map(|work| work.begun).any(|begun| (last..end).contains(&begun)), "{name} idles");
    }
}

#[test]
fn the_vouchers_are_a_chain_from_the_app_to_the_helper() {
    let Timeline { boosts: all, messages, threads, tasks, .. } = timeline();
    for (from, to, donor) in [("photos", "imaged", None), ("imaged", "codecd", Some("imaged"))] {
        let moved = &all[end(to).origin.expect("the boost has begun")];
        assert_eq!(moved.change, "moved", "a voucher has taken over the boost of a message");
        let message = &messages[moved.message.expect("a message")];
        assert_eq!(tasks[&threads[&message.sender].pid].name, from);
        assert_ne!(message.voucher_sent, 0, "the message to {to} has a voucher");
        let source = moved.source.map(|source| tasks[&all[source].pid].name.as_str());
        assert_eq!(source, donor, "why {from} donates");
    }
    let (imaged, codecd) = (band("imaged").1, band("codecd").1);
    assert!(imaged.from < codecd.from && codecd.to < imaged.to, "the band of codecd lies within that of imaged");
}

#[test]
fn the_page_shows_a_row_for_each_queue() {
    let page = fs::read_to_string(traced().1.0.join("act.html")).expect("it was written");
    assert!(page.contains("<title>Tally: demo xpc</title>"));
    for label in ["scale", "store", "decode"] {
        assert!(page.contains(&format!(r#""label":"{label}""#)), "{label}");
    }
    draw();
}

/// Draws the page for people, in `target/timeline`, where Chromium is installed.
fn draw() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = env::var_os("PATH").unwrap_or_default();
    let browser = env::split_paths(&paths).flat_map(|folder| names.map(|name| folder.join(name)));
    let Some(browser) = browser.into_iter().find(|path| path.is_file()) else { return };
    let boost = end("codecd").origin.expect("the boost has begun");
    let pictures = root().join("target/timeline");
    fs::create_dir_all(&pictures).expect("there is room for a directory");
    let (picture, profile) = (pictures.join("services.png"), Place::new());
    let mut command = Command::new("timeout");
    command.arg("120").arg(browser).args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]);
    command.arg(format!("--user-data-dir={}", profile.0.display()));
    command.arg(format!("--screenshot={}", picture.display())).arg("--window-size=1600,1000");
    let page = traced().1.0.join("act.html");
    let seen = run(command.arg(format!("file://{}#light,boost-{boost}", page.display())));
    let contents = fs::read(&picture).unwrap_or_else(|error| panic!("{error}: {}", seen.errors));
    assert!(contents.starts_with(b"\x89PNG"), "a picture");
}

#[test]
fn other_arguments_of_the_demo_are_no_act_of_it() {
    let place = Place::new();
    let out = place.0.join("x").display().to_string();
    let seen = command_line(&["trace", &out, "demo", "other"]);
    assert_eq!((seen.status, &*seen.output), (64, ""), "{}", seen.errors);
    assert!(seen.errors.starts_with("run-qemu.sh: file not found: demo"), "{}", seen.errors);
}
