//! The monitor: its commands in QEMU, and the session that docs/monitor.md shows.
//!
//! `TALLY_UPDATE=1 cargo test -p tools --test monitor` writes what the monitor prints now into the document.

use serde_json::Value;
use std::process::Command;
use std::{env, fs};
use tools::monitor::{Monitor, PROMPT};
use tools::qemu::{Place, command_line, run};
use tools::root;

const DOCUMENT: &str = "docs/monitor.md";
/// What stands before the session in the document, and behind it.
const BEGIN: &str = "```console\n$ ./run-qemu.sh monitor\n";
const END: &str = "```\n";
/// The width of a terminal for which the listings are made.
const WIDTH: usize = 100;
/// What `demo hold` prints last before it waits.
const HOLDS: &str = "lets it go on.\n";
/// The id of the message that lets `relay hold` go on.
const RELEASE: i32 = 7009;
/// What it prints at its end.
const OVER: &str = "the demo is over.\n";

/// Returns a monitor in which codecd is boosted and holds on.
fn held() -> Monitor {
    let mut monitor = Monitor::boot(&[]);
    let started = monitor.ask_until("run demo hold", &[HOLDS]);
    assert!(started.starts_with("demo is pid 3\n"), "{started}");
    monitor
}

/// Returns the name of the port on which a task receives.
fn receive_right(monitor: &mut Monitor, task: &str) -> String {
    let ports = json(monitor, &format!("ports {task}"));
    let port = ports.iter().find(|port| port["rights"].as_str().is_some_and(|rights| rights.starts_with("receive")));
    port.expect("it has a port")["name"].as_str().expect("a text").to_string()
}

/// Returns the rows of a listing.
fn json(monitor: &mut Monitor, command: &str) -> Vec<Value> {
    let text = monitor.ask(&format!("{command} --json"));
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}\n{text}"));
    value.as_array().unwrap_or_else(|| panic!("{command} is no list: {text}")).clone()
}

fn contains_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

#[test]
fn why_names_app_message_voucher_and_port() {
    let mut monitor = held();
    let why = monitor.ask("why codecd");
    contains_all(
        &why,
        &[
            "codecd (pid 6) runs at base priority 31\n",
            "  it is a daemon, adaptive: in the background but for its boost\n",
            "  because it has 1 boost:\n    1 boost is held by voucher v",
            ", adopted by t",
            "      which first came with a message of id 7005 on port p",
            " from imaged (pid 5)\n      it is the importance of imaged (pid 5)\n",
            "        imaged donates because it has a boost itself:\n          1 boost is held by voucher v",
            " from photos (pid 4)\n            it is the importance of photos (pid 4)\n",
            "              photos donates because it is an app, role front\n",
        ],
    );
    // The port and the voucher are those of the listings.
    let word = |line: &str, before: &str| {
        let line = why.lines().find(|seen| seen.contains(line)).expect("it was there above");
        line.split_once(before).expect("it was there above").1.split([' ', ':']).next().unwrap_or_default().to_string()
    };
    let (port, voucher) = (word("which first came with", "on port "), word("held by voucher", "voucher "));
    let boosts = json(&mut monitor, "boosts codecd");
    assert_eq!((boosts.len(), boosts[0]["through"].as_str()), (1, Some(&*format!("voucher {voucher}"))));
    assert_eq!(boosts[0]["from"], "imaged (pid 5)");
    let ports = json(&mut monitor, "ports codecd");
    let own = ports.iter().find(|row| row["object"] == *port).expect("the port is codecd's");
    assert!(own["rights"].as_str().is_some_and(|rights| rights.contains("receive")));
    let told = monitor.ask(&format!("voucher {voucher}"));
    contains_all(&told, &["importance: imaged boosts codecd", "account: photos pays codecd", "held by codecd (pid 6)"]);
    let name = receive_right(&mut monitor, "codecd");
    contains_all(&monitor.ask(&format!("port codecd {name}")), &["accepts importance", "the queue is empty"]);
    let thread = json(&mut monitor, "threads codecd")[0]["thread"].as_str().expect("a text").to_string();
    contains_all(&monitor.ask(&format!("why {thread}")), &["of codecd (pid 6) runs at base", "its task, codecd"]);

    let released = monitor.ask_until(&format!("send codecd {name} 7009"), &[OVER]);
    assert!(released.contains("photos has its answer"), "{released}");
    // The demo has printed its last line, and ends.
    let is_there = |rows: &[Value], task: &str| rows.iter().any(|row| row["task"] == *task);
    while is_there(&json(&mut monitor, "tasks"), "demo") {}
    let tasks = json(&mut monitor, "tasks");
    assert_eq!(tasks.len(), 2, "the demo leaves no task behind: {tasks:?}");
    assert_eq!(monitor.end("quit 3"), 3);
}

#[test]
fn why_and_work_name_what_of_a_queue_holds_a_voucher() {
    let mut monitor = Monitor::boot(&[]);
    monitor.ask_until("run relay hold", &[HOLDS]);
    let why = monitor.ask("why relayd");
    contains_all(
        &why,
        &[
            "  because it has 1 boost:\n    1 boost is held by voucher v",
            "      in relayd: work of q",
            " \"decode\", running on t",
            " \"decode\", which waits for its turn\n",
            "        album donates because it is an app, role front\n",
        ],
    );
    let voucher = why.split_once("held by voucher ").expect("it was there above").1.split(':').next();
    let work = json(&mut monitor, "work relayd");
    let of = |queue: &str, what: &str| {
        let is_it =
            |row: &&Value| row["queue"].as_str().is_some_and(|text| text.ends_with(queue)) && row["what"] == *what;
        work.iter().find(is_it).unwrap_or_else(|| panic!("{what} of {queue} is missing: {work:?}")).clone()
    };
    let [queue, runs, waits] = ["runs, 1 item waits", "  runs", "  waits"].map(|what| of("\"decode\"", what));
    assert_eq!((&runs["voucher"], &waits["voucher"]), (&voucher.into(), &voucher.into()));
    assert!(queue["thread"].is_string() && queue["thread"] == runs["thread"], "{work:?}");
    assert_eq!(of("\"encode\"", "idle")["voucher"], Value::Null);
    assert_eq!(of("\"relay\"", "idle")["thread"], Value::Null);
    // Asking boosts nobody, and all tasks are asked.
    assert_eq!(json(&mut monitor, "boosts relayd").len(), 1);
    for line in monitor.ask("work").lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    assert_eq!(monitor.ask("work album"), "work: album (pid 5) has no channels to ask\n");
    let ports = json(&mut monitor, "ports relayd");
    let service = ports.iter().find(|port| port["rights"] == "receive send").expect("relayd has a port");
    let name = service["name"].as_str().expect("a text");
    let over = monitor.ask_until(&format!("send relayd {name} {RELEASE}"), &["the relay is over.\n"]);
    assert!(over.contains("album has its answer"), "{over}");
    assert_eq!(monitor.ask("check"), "all invariants hold\n");
    assert_eq!(monitor.end("quit"), 0);
}

#[test]
fn every_listing_is_narrow_and_comes_as_json_too() {
    let mut monitor = held();
    for command in
        ["tasks", "threads", "ports imaged", "queues", "vouchers", "boosts imaged", "donates", "bill", "help", "keys"]
    {
        for line in monitor.ask(command).lines() {
            assert!(line.chars().count() <= WIDTH, "{command}: {line}");
            assert!(!line.ends_with(' ') && !line.contains("0xffff"), "{command}: {line}");
        }
        assert!(!json(&mut monitor, command).is_empty(), "{command}");
    }
    let donates = json(&mut monitor, "donates");
    let pairs: Vec<(&str, &str)> =
        donates.iter().filter_map(|row| Some((row["task"].as_str()?, row["boosts"].as_str()?))).collect();
    assert_eq!(pairs, [("photos (pid 4)", "imaged (pid 5)"), ("imaged (pid 5)", "codecd (pid 6)")]);
    let bill = json(&mut monitor, "bill");
    let of = |task: &str| bill.iter().find(|row| row["task"] == *task).expect("the task is there").clone();
    assert!(of("imaged (pid 5)")["for others µs"].as_u64().is_some_and(|time| time > 0), "{bill:?}");
    assert!(of("photos (pid 4)")["by others µs"].as_u64().is_some_and(|time| time > 0), "{bill:?}");
    for command in ["why imaged", "voucher v0", "help spy"] {
        assert!(json(&mut monitor, command).iter().all(Value::is_string), "{command}");
    }
    assert_eq!(monitor.end("quit"), 0);
}

#[test]
fn commands_change_what_they_say() {
    let mut monitor = held();
    let row = |monitor: &mut Monitor, task: &str| {
        let rows = json(monitor, "tasks");
        rows.iter().find(|row| row["task"] == *task).unwrap_or_else(|| panic!("{task} is missing")).clone()
    };
    // The nap of the app ends the boosts of both daemons.
    assert_eq!(monitor.ask("nap photos on"), "");
    let photos = row(&mut monitor, "photos");
    assert_eq!((&photos["flags"], &photos["base"]), (&"N".into(), &4.into()));
    contains_all(&monitor.ask("why photos"), &["in App Nap"]);
    assert_eq!(monitor.ask("boosts codecd"), "the task has no boosts\n");
    assert_eq!(monitor.ask("nap photos off"), "");
    assert_eq!(json(&mut monitor, "boosts codecd").len(), 1);
    assert_eq!(monitor.ask("role photos back"), "");
    assert_eq!(row(&mut monitor, "photos")["role"], "back");
    assert_eq!(monitor.ask("check"), "all invariants hold\n");
    // With imaged its vouchers die, and the boost of codecd. photos learns that no answer comes.
    assert_eq!(monitor.ask("kill imaged"), "");
    assert_eq!(monitor.ask("boosts codecd"), "the task has no boosts\n");
    contains_all(&monitor.ask("why codecd"), &["codecd (pid 6) runs at base priority 4\n", "while it has no boost"]);
    assert_eq!(monitor.ask("check"), "all invariants hold\n");
    for (command, answer) in [
        ("why nobody", "why: no task is called nobody; see `tasks`\n"),
        ("why t999", "why: no task is called t999; see `tasks`\n"),
        ("kill 999", "kill: there is no task with the pid 999; see `tasks`\n"),
        ("role codecd king", "role: a role is front, back, default or darwinbg\n"),
        ("run no-such", "run: no-such does not start: KERN_INVALID_NAME (15)\n"),
        ("send codecd 0x999", "send: KERN_INVALID_NAME (15)\n"),
        ("vouch", "vouch: there is no such command; `vouchers`?\n"),
        ("nap photos", "nap: use it as `nap TASK on|off`: put an app into App Nap, or wake it\n"),
        ("quit never", "quit: a status is a number from 0 to 255\n"),
        ("spy codecd photos", "spy: events are shown of one task, or of all\n"),
    ] {
        assert_eq!(monitor.ask(command), answer, "{command}");
    }
    contains_all(&monitor.ask("help why"), &["why TASK|THREAD\n"]);
    // ^P
    let start = monitor.printed();
    monitor.press("\x10");
    monitor.wait(start, &["waits for", "receive right", PROMPT]);
    assert_eq!(monitor.end("quit"), 0);
}

#[test]
fn spy_shows_events_until_a_key_is_pressed() {
    let mut monitor = Monitor::boot(&[]);
    for (options, parts) in [
        ("", &["/", " rise: 1 now, 0 of them by vouchers, because of p", "sent to p", "created", "4 → 31"][..]),
        ("--json", &["{\"ns\": ", "\"what\": \"boosts of codecd/"]),
    ] {
        // Both lines are there before the monitor waits, so nothing of the demo is missed.
        let start = monitor.printed();
        monitor.press(&format!("run demo hold\nspy {options}\n"));
        monitor.wait(start, &[HOLDS, parts[parts.len() - 1]]);
        let ended = monitor.printed();
        monitor.press("x");
        monitor.wait(ended, &[&format!("\n{PROMPT}")]);
        let seen = monitor.text(start);
        contains_all(&seen, parts);
        assert!(!seen.contains(" monitor/2 "), "it does not watch itself:\n{seen}");
        let name = receive_right(&mut monitor, "codecd");
        monitor.ask_until(&format!("send codecd {name} 7009"), &[OVER]);
    }
    assert_eq!(monitor.end("quit"), 0);
}

/// Returns a line without numbers and without the widths of columns, which depend on them.
fn without_numbers(line: &str) -> String {
    let mut words = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let hex = rest.strip_prefix("0x").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        let after = hex.unwrap_or_else(|| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        if after.len() < rest.len() {
            words.push('#');
            rest = after;
        } else {
            words.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_document_shows_a_session() {
    let path = root().join(DOCUMENT);
    let text = fs::read_to_string(&path).expect("the document can be read");
    let start = text.find(BEGIN).expect("the document shows a session") + BEGIN.len();
    let end = start + text[start..].find(END).expect("a block of code ends");
    let mut monitor = Monitor::boot(&[]);
    let mut session = monitor.text(0).lines().next().unwrap_or_default().to_string() + "\n";
    for command in text[start..end].lines().filter_map(|line| line.strip_prefix(PROMPT)) {
        // The names of ports are others in each boot.
        let typed = match command.split(' ').collect::<Vec<_>>()[..] {
            ["send", task, _, id] => format!("send {task} {} {id}", receive_right(&mut monitor, task)),
            _ => command.to_string(),
        };
        session += &format!("{PROMPT}{typed}\n");
        session += &match typed.split(' ').next() {
            Some("quit") => break,
            Some("run") => monitor.ask_until(&typed, &[HOLDS]),
            Some("send") => monitor.ask_until(&typed, &[OVER]),
            _ => monitor.ask(&typed),
        };
    }
    assert_eq!(monitor.end("quit"), 0);
    if env::var_os("TALLY_UPDATE").is_some() {
        fs::write(&path, [&text[..start], &session, &text[end..]].concat()).expect("it is ours");
        return;
    }
    let [shown, seen] =
        [&text[start..end], &*session].map(|text| text.lines().map(without_numbers).collect::<Vec<_>>());
    assert_eq!(shown, seen, "{DOCUMENT} shows another session than this one:\n{session}");
}

#[test]
fn numbers_do_not_count_when_sessions_are_compared() {
    assert_eq!(without_numbers("t12  photos (pid 4)   0x1f03  p3.1 for"), "t# photos (pid #) # p#.# for");
    assert_ne!(without_numbers("photos donates"), without_numbers("imaged donates"));
}

/// Runs the script on a terminal, types `keys` at the first prompt, and returns its status and the output.
fn on_a_terminal(arguments: &str, keys: &str) -> (i32, String) {
    let place = Place::new();
    let call = format!("'{}' {arguments}", root().join("run-qemu.sh").display());
    let waits =
        format!("for n in $(seq 1200); do grep -qs '{PROMPT}' $TALLY_OUTPUT/console.txt && break; sleep 0.1; done");
    let shell = format!("({waits}; printf '{keys}'; sleep 1) | script -qec \"$CALL\" /dev/null");
    let seen = run(Command::new("sh").args(["-c", &shell]).env("CALL", call).env("TALLY_OUTPUT", &place.0));
    (seen.status, seen.output)
}

#[test]
fn on_a_terminal_the_monitor_follows_the_tests() {
    let (status, output) = on_a_terminal("--deliberate fail", "tasks\\rquit\\r");
    assert_eq!(status, 1, "quit gives the status of the tests\n{output}");
    contains_all(&output, &["0 passed, 1 failed", "Tally's monitor", "tally> tasks", "monitor"]);
    let (status, output) = on_a_terminal("--deliberate fail", "quit 9\\r");
    assert_eq!(status, 9, "{output}");
}

#[test]
fn tasks_that_a_failed_test_has_left_are_ended() {
    let (status, output) = on_a_terminal("--deliberate leave", "tasks\\rquit\\r");
    assert_eq!(status, 1, "{output}");
    let report = ["the test has left something behind", "tasks: 1 before, 3 after", "that are ended now: 2", "FAILED"];
    contains_all(&output, &report);
    let (_, listing) = output.split_once("tally> tasks").expect("the listing");
    assert!(listing.contains("monitor") && !listing.contains("tests"), "{output}");
}

#[test]
fn a_test_that_does_not_finish_shows_who_waits_for_what() {
    let seen = command_line(&["--deliberate", "slow"]);
    assert_eq!(seen.status, 1, "{}", seen.output);
    contains_all(
        &seen.output,
        &["not finished; who waits for what:\n", "      thread  task", " tests (pid 2) ", "took longer"],
    );
}

#[test]
fn a_program_that_does_not_finish_shows_who_waits_for_what() {
    let demo = tools::qemu::image("demo");
    let seen = command_line(&["--timeout", "3", "run", &demo.to_string_lossy(), "hold"]);
    assert_eq!(seen.status, 124, "{}{}", seen.output, seen.errors);
    contains_all(&seen.output, &[HOLDS, "init: not finished after 3 s; who waits for what:\n", "a message on port p"]);
    contains_all(&seen.output, &[" codecd (pid 5) ", "      port "]);
    contains_all(&seen.errors, &["run-qemu.sh: timed out after 3 s"]);
}

#[test]
fn a_panic_tells_who_waited_for_what_on_request() {
    let plain = command_line(&["--deliberate", "panic"]);
    assert!(plain.status == 70 && !plain.errors.contains("tally:   thread "), "{}", plain.errors);
    let seen = command_line(&["--dump-on-panic", "--deliberate", "panic"]);
    assert_eq!(seen.status, 70, "{}", seen.errors);
    contains_all(
        &seen.errors,
        &["tally: panic: the first task asked", "tally:   thread t1 of pid 1, base ", ": runs\n"],
    );
}
