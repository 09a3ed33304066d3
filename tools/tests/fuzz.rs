//! The fuzzer: the same seed makes the same calls, and what goes wrong is told with its seed.

use std::process::Command;
use tools::qemu::{Place, command_line, run};
use tools::root;

#[test]
fn a_seed_makes_the_same_calls_each_time() {
    let runs = [0; 2].map(|_| command_line(&["--seed", "3", "fuzz", "0"]));
    // The last line is about the time of the host.
    let lines = runs.each_ref().map(|seen| seen.output.lines().collect::<Vec<_>>());
    let [first, second] = &lines;
    assert_eq!((runs[0].status, runs[1].status), (0, 0), "{}{}", runs[0].output, runs[0].errors);
    assert_eq!(first[..first.len() - 1], second[..second.len() - 1]);
    assert!(first.last().is_some_and(|line| line.ends_with(" steps per second")), "{first:?}");
    assert!(first[0].starts_with("seed 3 ... ") && first[0].contains(" steps of "), "{first:?}");
    let steps: u64 = first[2].split(' ').next().and_then(|number| number.parse().ok()).expect("a number of steps");
    assert!(steps > 1_000, "{first:?}");
}

#[test]
fn the_time_is_a_number_of_seconds() {
    for (arguments, line) in [
        (&["fuzz", "long"][..], "fuzz needs a number of seconds: 'long'"),
        (&["fuzz", "--seed"], "fuzz needs a number of seconds: '--seed'; put options before the command"),
        (&["fuzz", "1", "2"], "fuzz takes only a number of seconds"),
        (&["fuzz", ""], "fuzz needs a number of seconds: ''"),
    ] {
        let seen = command_line(arguments);
        assert_eq!((seen.status, &*seen.output), (64, ""), "{arguments:?}: {}", seen.errors);
        assert!(seen.errors.starts_with(&format!("run-qemu.sh: {line} (")), "{arguments:?}: {}", seen.errors);
    }
}

/// Returns what the script tells after a run with this console that ended with a status of QEMU's.
fn told(console: &str, log: &str, status: u8) -> (i32, String, String) {
    let place = Place::new();
    place.file("console.txt", console.as_bytes());
    place.file("log.txt", log.as_bytes());
    let settings = "here=$PWD profile=debug memory=14 seed=5 time_limit=9";
    let script = format!("{settings}; . tools/boot.sh; . tools/fuzz.sh; status_of_fuzz {status} 2");
    let seen = run(Command::new("bash").args(["-c", &script]).current_dir(root()).env("TALLY_OUTPUT", &place.0));
    (seen.status, seen.output, seen.errors)
}

#[test]
fn a_failure_is_told_with_the_calls_that_run_it_again() {
    let again = "run-qemu.sh: the round of seed 6 went wrong\n\
        run-qemu.sh: to run it alone: ./run-qemu.sh --seed 6 --debug --mem 14 fuzz 0\n\
        run-qemu.sh: with those before it: ./run-qemu.sh --seed 5 --debug --mem 14 fuzz 2\n";
    let console = "seed 5 ... 10 steps of 2 tasks in 3 ms\r\nseed 6 ... \r\n  something is left behind\r\n\
        \r\n30 steps of 4 tasks in 2 rounds, first seed 5\r\n";
    let (status, output, errors) = told(console, "tally: shutdown, status 1\n", 33);
    assert_eq!((status, &*output, &*errors), (1, "15 steps per second\n", again));
    let console = "seed 5 ... 10 steps of 2 tasks in 3 ms\r\nseed 6 ... ";
    let (status, output, errors) = told(console, "tally: panic: it is broken\n", 35);
    assert_eq!((status, &*output), (70, ""));
    assert!(errors.ends_with(again) && errors.contains("tally: panic: it is broken"), "{errors}");
    let (status, _, errors) = told(console, "", 137);
    assert_eq!(status, 124);
    assert!(errors.ends_with(again) && errors.contains("timed out after 9 s"), "{errors}");
    // A failure of the first round needs no other rounds before it.
    let (status, _, errors) = told("seed 5 ... ", "", 137);
    assert_eq!(status, 124);
    assert!(errors.ends_with("./run-qemu.sh --seed 5 --debug --mem 14 fuzz 0\n"), "{errors}");
}
