//! `run-qemu.sh trace`, with the demo: the trace file has what the events have, and the page tells why a daemon is
//! boosted. What is seen in a browser runs where Chromium is installed; its pictures are in `target/timeline`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};
use tools::qemu::{Outcome, Place, command_line, run};
use tools::root;
use tools::timeline::model::{Timeline, why};
use tools::timeline::record;

/// The demo, traced once for all tests.
struct Traced {
    outcome: Outcome,
    place: Place,
    timeline: Timeline,
}

fn traced() -> &'static Traced {
    static TRACED: OnceLock<Traced> = OnceLock::new();
    TRACED.get_or_init(|| {
        let place = Place::new();
        let mut script = Command::new(root().join("run-qemu.sh"));
        // The name is relative: it is one of the caller's directory.
        script.args(["trace", "demo"]).current_dir(&place.0).env("TALLY_OUTPUT", place.0.join("boot"));
        let outcome = run(&mut script);
        assert_eq!(outcome.status, 0, "{}{}", outcome.output, outcome.errors);
        let stream = fs::read(place.0.join("boot/events.bin")).expect("there are events");
        let timeline = Timeline::of(&record::decode(&stream).expect("whole events"));
        Traced { outcome, place, timeline }
    })
}

fn file(ending: &str) -> PathBuf {
    traced().place.0.join(format!("demo.{ending}"))
}

/// Returns the place of the first boost of `imaged`: a voucher holds it.
fn boost_of_the_daemon() -> usize {
    let Timeline { tasks, boosts, .. } = &traced().timeline;
    let of_daemon = |pid: u32| tasks.get(&pid).is_some_and(|task| task.name == "imaged");
    boosts.iter().position(|boost| of_daemon(boost.pid) && boost.change == "moved").expect("imaged is boosted")
}

#[test]
fn the_last_lines_say_what_was_recorded_and_where_it_is() {
    let Traced { outcome, place, timeline } = traced();
    let events: usize = timeline.counts.values().sum();
    let last: Vec<&str> = outcome.output.lines().rev().take(3).collect();
    assert!(last[2].starts_with(&format!("{events} events: ")), "{}", last[2]);
    for (line, ending) in [(last[1], "html"), (last[0], "pftrace")] {
        assert!(line.starts_with(&format!("{}/demo.{ending} ", place.0.display())), "{line}");
    }
    assert_eq!(timeline.lost, 0);
    assert!(!timeline.counts.contains_key("unknown event"), "{:?}", timeline.counts);
}

/// A field of a protobuf message: its number, and its contents if it has a length or else its number.
enum Field<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

/// Reads the fields of a protobuf message, without knowing which it may have.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = bytes.split_off_first().expect("a number ends");
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
        }
        panic!("a number has at most ten bytes");
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(bytes.split_off(..8).expect("8 bytes").try_into().expect("8"))),
            2 => {
                let length = varint(&mut bytes) as usize;
                Field::Bytes(bytes.split_off(..length).expect("as many bytes as it says"))
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn bytes_of<'a>(message: &[(u64, Field<'a>)], number: u64) -> Option<&'a [u8]> {
    message.iter().find_map(|(field, contents)| match contents {
        Field::Bytes(bytes) if *field == number => Some(*bytes),
        _ => None,
    })
}

fn number_of(message: &[(u64, Field<'_>)], number: u64) -> Option<u64> {
    message.iter().find_map(|(field, contents)| match contents {
        Field::Number(value) if *field == number => Some(*value),
        _ => None,
    })
}

/// Perfetto's numbers of the fields that are looked at, from its public `.proto` files.
mod field {
    pub const PACKET: u64 = 1;
    pub const TIMESTAMP: u64 = 8;
    pub const TRACK_EVENT: u64 = 11;
    pub const TYPE: u64 = 9;
    pub const TRACK: u64 = 11;
    pub const CATEGORY: u64 = 22;
    pub const NAME: u64 = 23;
    pub const FLOW: u64 = 47;
}

#[test]
fn the_trace_file_has_as_many_events_as_the_kernel_recorded() {
    let contents = fs::read(file("pftrace")).expect("it was written");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut flows, mut depths, mut last): (BTreeMap<u64, usize>, BTreeMap<u64, i64>, u64) = Default::default();
    for (number, packet) in fields(&contents) {
        let Field::Bytes(packet) = packet else { panic!("a trace has packets only") };
        assert_eq!(number, field::PACKET);
        let packet = fields(packet);
        let Some(event) = bytes_of(&packet, field::TRACK_EVENT) else { continue };
        let time = number_of(&packet, field::TIMESTAMP).expect("each event has a time");
        assert!(time >= last, "times do not fall");
        last = time;
        let event = fields(event);
        let text = |number| bytes_of(&event, number).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        if text(field::CATEGORY).as_deref() == Some("event") {
            *counts.entry(text(field::NAME).expect("each has a name")).or_default() += 1;
        }
        if let Some(flow) = number_of(&event, field::FLOW) {
            *flows.entry(flow).or_default() += 1;
        }
        let depth = depths.entry(number_of(&event, field::TRACK).expect("each has a track")).or_default();
        *depth += match number_of(&event, field::TYPE) {
            Some(1) => 1,
            Some(2) => -1,
            _ => 0,
        };
        assert!((0..=1).contains(depth), "slices begin and end by turns");
    }
    let timeline = &traced().timeline;
    let expected: BTreeMap<String, usize> =
        timeline.counts.iter().map(|(name, count)| (String::from(*name), *count)).collect();
    assert_eq!(counts, expected);
    assert!(depths.values().all(|depth| *depth == 0), "each slice ends");
    let received = timeline.messages.iter().filter(|message| message.fate == "received").count();
    assert_eq!(flows.values().filter(|ends| **ends == 2).count(), received, "an arrow for each received message");
    assert_eq!(flows.len(), timeline.messages.len());
}

#[test]
fn each_boost_of_the_demo_has_a_cause() {
    let Timeline { boosts, messages, vouchers, threads, tasks, .. } = &traced().timeline;
    let name = |pid: u32| tasks[&pid].name.as_str();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for boost in boosts {
        assert_ne!(boost.why, why::OTHER, "{boost:?}");
        *ends.entry(boost.why).or_default() += 1;
        if boost.change == "delayed" {
            continue;
        }
        let message = &messages[boost.message.expect("a message")];
        let (from, to) = (name(threads[&message.sender].pid), name(boost.pid));
        let known = [("photos", "imaged"), ("mail", "imaged"), ("imaged", "codecd"), ("photos", "mail")];
        assert!(known.contains(&(from, to)), "{from} boosts {to}");
        let held = boost.voucher.map(|voucher| &vouchers[voucher]);
        assert_eq!(
            held.map(|voucher| voucher.number),
            (boost.external > 0 || boost.change == "dropped" || boost.origin.is_some())
                .then_some(message.voucher_received),
            "{boost:?}"
        );
        if boost.why == why::VOUCHER {
            assert_eq!(held.and_then(|voucher| voucher.to), Some(boost.time), "it ends with its voucher");
        }
        // imaged donates because it is boosted, the apps do by themselves.
        if matches!(boost.why, why::SENT | why::RECEIVED) {
            assert_eq!(boost.source.map(|source| name(boosts[source].pid)), (from == "imaged").then_some("imaged"));
        }
    }
    // The app that begins to nap, and the daemon that is killed: the acts 3 and 4 of the demo.
    assert_eq!((ends[why::NO_DONOR], ends[why::DELAYED]), (2, 1), "{ends:?}");
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_built() {
    let place = Place::new();
    let out = |name: &str| place.0.join(name).display().to_string();
    fs::create_dir(place.0.join("taken.html")).expect("there is room");
    for (arguments, line) in [
        (&["trace"][..], "trace needs the name of the timeline to write".to_owned()),
        (&["trace", &out("no/x")], format!("there is no directory {}", out("no"))),
        (
            &["trace", &out("x/")],
            format!("trace needs the name of a file to write, without its ending: '{}'", out("x/")),
        ),
        (&["trace", &out("taken")], format!("{} is a directory", out("taken.html"))),
        (&["trace", &out("x"), "/no/such/file"], "file not found: /no/such/file".to_owned()),
    ] {
        let seen = command_line(arguments);
        assert_eq!((seen.status, &*seen.output), (64, ""), "{arguments:?}: {}", seen.errors);
        assert!(seen.errors.starts_with(&format!("run-qemu.sh: {line}")), "{arguments:?}: {}", seen.errors);
    }
}

/// Returns the browser, or says that what needs it is left out.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = env::var_os("PATH")?;
    let found =
        env::split_paths(&paths).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("left out: no Chromium is installed (apt-get install chromium)");
    }
    found
}

/// Opens the page with a fragment of the address, and returns what the browser prints.
fn open(browser: &Path, fragment: &str, arguments: &[String]) -> Outcome {
    let profile = Place::new();
    let mut command = Command::new("timeout");
    command.arg("120").arg(browser).args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]);
    command.arg(format!("--user-data-dir={}", profile.0.display())).args(arguments);
    run(command.arg(format!("file://{}#{fragment}", file("html").display())))
}

/// Returns the text of an HTML element's contents from one text to another, without tags.
fn text_between(dom: &str, from: &str, to: &str) -> String {
    let part = dom.split_once(from).unwrap_or_else(|| panic!("{from} is missing:\n{dom}")).1;
    let part = part.split_once(to).unwrap_or_else(|| panic!("{to} is missing")).0;
    part.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect()
}

#[test]
fn a_click_on_the_boost_of_the_daemon_tells_its_cause() {
    let Some(browser) = chromium() else { return };
    let boost = boost_of_the_daemon();
    let seen = open(&browser, &format!("click-{boost}"), &["--dump-dom".to_owned()]);
    assert_eq!(seen.status, 0, "{}", seen.errors);
    let Timeline { messages, vouchers, boosts, .. } = &traced().timeline;
    let message = &messages[boosts[boost].message.expect("a message")];
    let voucher = vouchers[boosts[boost].voucher.expect("a voucher")].number;
    let object = tools::timeline::model::object;
    let chain = format!(
        "photos → message {} → port p{} → voucher v{} → imaged",
        message.id,
        object(message.port),
        object(voucher)
    );
    let story = text_between(&seen.output, r#"<aside id="story""#, "</aside>");
    assert!(story.contains(&chain), "expected: {chain}\nthe story: {story}");
    assert!(story.contains("photos is a donor by itself."), "{story}");
    // The drawing of the message and of the boosts before this one are marked.
    for id in [format!("message-{}", boosts[boost].message.unwrap_or_default()), format!("boost-{boost}")] {
        let element = seen.output.split('<').find(|tag| tag.contains(&format!(r#"id="{id}""#))).expect("it is drawn");
        assert!(element.contains("chosen"), "{element}");
    }
    let unmarked =
        text_between(&open(&browser, "", &["--dump-dom".to_owned()]).output, r#"<aside id="story""#, "</aside>");
    assert!(unmarked.contains("What is shown") && !unmarked.contains("Step by step"), "{unmarked}");
}

#[test]
fn the_page_is_drawn_in_light_and_dark() {
    let Some(browser) = chromium() else { return };
    let pictures = root().join("target/timeline");
    fs::create_dir_all(&pictures).expect("there is room for a directory");
    let boost = boost_of_the_daemon();
    let mut sizes = Vec::new();
    for (name, fragment) in
        [("light", "light".to_owned()), ("dark", "dark".to_owned()), ("chain", format!("light,boost-{boost}"))]
    {
        let picture = pictures.join(format!("{name}.png"));
        let _ = fs::remove_file(&picture);
        let arguments = [format!("--screenshot={}", picture.display()), "--window-size=1600,1000".to_owned()];
        let seen = open(&browser, &fragment, &arguments);
        let contents = fs::read(&picture).unwrap_or_else(|error| panic!("{error}: {}", seen.errors));
        assert!(contents.starts_with(b"\x89PNG"), "a picture");
        sizes.push(contents);
    }
    assert!(sizes[0] != sizes[1] && sizes[0] != sizes[2], "the pictures differ");
}
