//! The command line tells what goes on: names and seeds of tests, slow tests, waiting, help.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use tools::qemu::{Place, command_line, run, target};
use tools::{files_with, root};

#[test]
fn help_has_an_example_for_each_call_and_all_settings() {
    let help = command_line(&["--help"]).output;
    let (calls, rest) = help.split_once("\nExamples:\n").expect("help has examples");
    let commands = calls.lines().filter_map(|line| line.strip_prefix("  ./run-qemu.sh "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split(' ').next()).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in
        commands.iter().filter(|command| !command.is_empty() && command.chars().all(|c| c.is_ascii_lowercase()))
    {
        let is_example = |line: &str| line.contains("./run-qemu.sh ") && line.split(' ').any(|word| word == *command);
        assert!(rest.lines().any(is_example), "{command} has no example:\n{help}");
    }
    let mut settings = BTreeSet::new();
    for file in files_with(&[".rs", ".sh"]) {
        let text = fs::read_to_string(&file).expect("a file can be read");
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        settings.extend(words.filter(|word| word.starts_with("TALLY_") && word.len() > 6).map(String::from));
    }
    assert!(settings.len() > 6, "{settings:?}");
    let missing: Vec<_> = settings.iter().filter(|name| !rest.contains(&format!("\n  {name} "))).collect();
    assert!(missing.is_empty(), "help has no {missing:?}");
}

#[test]
fn wrong_calls_of_tests_are_refused_before_anything_is_built() {
    for (arguments, line) in [
        (&["--repeat", "0"][..], "--repeat needs a number of runs"),
        (&["--repeat"], "--repeat needs a number of runs"),
        (&["--seed", "-1"], "--seed needs a number of at most 18 digits"),
        (&["--seed", "08"], "--seed needs a number of at most 18 digits"),
        (&["--repeat", "3", "demo"], "--repeat is for tests, not for demo"),
        (&["--seed", "3", "bench"], "--seed is for tests, not for bench"),
        (&["--list", "build"], "--list is for tests, not for build"),
        (&["ports", "x"], "a filter takes no argument: x"),
        (&["ports", "--seed", "1"], "a filter takes no argument: --seed; put options before the command"),
        (&["test", "--seed"], "test takes no option: --seed; put options before the command"),
        (&["dmeo"], "no test's name contains 'dmeo'; did you mean demo?"),
        (&["tset"], "no test's name contains 'tset'; did you mean test?"),
        (&["benhc"], "no test's name contains 'benhc'; did you mean bench?"),
        (&["moni-tor"], "unknown command 'moni-tor'; did you mean monitor?"),
        (&["xyzzy"], "no test's name contains 'xyzzy'; ./run-qemu.sh --list has all names"),
        (&["--list", "xyzzy"], "no test's name contains 'xyzzy'; ./run-qemu.sh --list has all names"),
    ] {
        let seen = command_line(arguments);
        assert_eq!((seen.status, &*seen.output), (64, ""), "{arguments:?}: {}", seen.errors);
        assert!(seen.errors.starts_with(&format!("run-qemu.sh: {line} (")), "{arguments:?}: {}", seen.errors);
    }
    let place = Place::new();
    let mut script = Command::new(root().join("run-qemu.sh"));
    let seen = run(script.arg("hostile").env("TALLY_SEED", "many").env("TALLY_OUTPUT", &place.0));
    assert_eq!((seen.status, &*seen.output), (64, ""), "{}", seen.errors);
    assert!(seen.errors.starts_with("run-qemu.sh: TALLY_SEED needs a number"), "{}", seen.errors);
}

/// Returns the names of tests in what the harness has printed.
fn tests_run(output: &str) -> Vec<&str> {
    output.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... ")).map(|(name, _)| name).collect()
}

#[test]
fn a_filter_runs_the_tests_that_the_list_has_as_often_as_wanted() {
    let list = command_line(&["--list", "hostile::random_traps"]);
    assert_eq!(list.status, 0, "{}", list.errors);
    let listed: Vec<&str> = list.output.lines().collect();
    assert_eq!(listed.len(), 4, "{listed:?}");
    let seen = command_line(&["--seed", "7", "--repeat", "2", "hostile::random_traps"]);
    assert_eq!(seen.status, 0, "{}{}", seen.output, seen.errors);
    assert_eq!(tests_run(&seen.output), [&listed[..], &listed[..]].concat(), "{}", seen.output);
    for line in ["run 1 of 2 with seed 7\n", "run 2 of 2 with seed 8\n", "4 passed, 0 failed\n"] {
        assert!(seen.output.contains(line), "{line} is missing:\n{}", seen.output);
    }
}

#[test]
fn the_first_failure_ends_repetition() {
    let seen = command_line(&["--repeat", "3", "--deliberate", "fail"]);
    assert_eq!(seen.status, 1, "{}{}", seen.output, seen.errors);
    assert!(seen.output.contains("run 1 of 3\n") && !seen.output.contains("run 2 of 3"), "{}", seen.output);
}

#[test]
fn the_list_has_a_name_for_each_function_in_the_lists_of_tests() {
    let list = command_line(&["--list"]);
    let listed: Vec<&str> = list.output.lines().collect();
    assert!(listed.len() > 200, "{}", list.output);
    let mut found = Vec::new();
    for file in files_with(&[".rs"]).iter().filter(|file| file.starts_with(root().join("user/src/suite"))) {
        let text = fs::read_to_string(file).expect("a file can be read");
        let Some((_, rest)) = text.split_once("\ntests! { \"") else { continue };
        let (group, rest) = rest.split_once("\":").expect("a list has a group");
        // What stands in parentheses are values of options.
        let (entries, _) = rest.split_once("\n}").expect("a list ends");
        let mut depth = 0;
        let outside = entries.chars().filter(|&c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let outside: String = outside.collect();
        let names = outside.split(',').map(|entry| entry.split('.').next().unwrap_or_default().trim());
        found.extend(names.filter(|name| !name.is_empty()).map(|name| format!("{group}::{name}")));
    }
    found.retain(|name| !name.starts_with("deliberate::"));
    let [listed, found] = [listed.into_iter().collect(), found.iter().map(String::as_str).collect::<BTreeSet<_>>()];
    assert_eq!(listed.symmetric_difference(&found).collect::<Vec<_>>(), [&""; 0]);
}

#[test]
fn a_failure_tells_how_to_run_the_test_again() {
    let place = Place::new();
    place.file("console.txt", b"test a::one ... ok\r\ntest a::two ... \n  note\n  FAILED\r\ntest a::three ... ok\r\n");
    let failed = || {
        let mut shell = Command::new("bash");
        shell.args(["-c", "here=$PWD; . tools/boot.sh; failed_test"]).current_dir(root());
        run(shell.env("TALLY_OUTPUT", &place.0)).output
    };
    assert_eq!(failed(), "a::two\n");
    place.file("console.txt", b"test a::one ... ok\r\ntest b::last ... a note\n and more");
    assert_eq!(failed(), "b::last\n");
    place.file("console.txt", b"test a::one ... \x1b[32mok\x1b[0m\r\n\r\n1 passed, 0 failed\r\n");
    assert_eq!(failed(), "");
}

#[test]
fn host_tests_are_told_file_by_file() {
    let place = Place::new();
    let cargo = "\
     Running unittests src/lib.rs (target/debug/deps/kernel-0c3a830bab533cdc)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/host/main.rs (target/debug/deps/host-cf2c277a4b74ba34)
test ports::one ... ok
test result: ok. 1200 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 75.18s
     Running tests/contract.rs (target/debug/deps/contract-cf2c277a4b74ba34)
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.98s
   Doc-tests voucher
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 8.40s
";
    let console = "  FAILED\r\n\r\nthe slowest, by the clock of the machine:\r\n     9.34 s  soak::long\r\n";
    let (log, times) = (place.file("log", cargo.as_bytes()), place.0.join("host-times.txt"));
    place.file("console.txt", console.as_bytes());
    let script = format!(
        "here=$PWD; . tools/boot.sh; . tools/host.sh; one_line_each '{}' <'{}'; slowest_of_all",
        times.display(),
        log.display()
    );
    let seen = run(Command::new("bash").args(["-c", &script]).current_dir(root()).env("TALLY_OUTPUT", &place.0));
    let lines: Vec<&str> = seen.output.lines().collect();
    let expected = [
        "  kernel/host                    1200 passed                75.18 s",
        "  voucher/contract               3 passed, 2 failed          0.98 s",
        "  voucher, documents             4 passed                    8.40 s",
        "the slowest:",
        "    75.18 s  kernel/host",
        "     9.34 s  soak::long",
        "     8.40 s  voucher, documents",
        "     0.98 s  voucher/contract",
    ];
    assert_eq!(lines, expected, "{}", seen.errors);
}

#[test]
fn a_run_that_waits_for_a_lock_says_so() {
    let lock = target().join("images-release.lock");
    fs::create_dir_all(target()).expect("there is room for a directory");
    let mut holder = Command::new("flock");
    holder.arg(&lock).args(["sh", "-c", "echo locked; read released"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("flock starts");
    let mut locked = String::new();
    BufReader::new(holder.stdout.take().expect("it is piped")).read_line(&mut locked).expect("flock writes");
    assert_eq!(locked, "locked\n");
    let place = Place::new();
    let mut script = Command::new("timeout");
    script.arg("600").arg(root().join("run-qemu.sh")).arg("build");
    script.env("TALLY_OUTPUT", &place.0).stderr(Stdio::piped());
    let mut waiting = script.spawn().expect("the script starts");
    let errors = BufReader::new(waiting.stderr.take().expect("it is piped"));
    let said = errors.lines().map_while(Result::ok).find(|line| line.starts_with("waiting for another run "));
    holder.stdin.take().expect("it is piped").write_all(b"\n").expect("the holder reads");
    assert!(holder.wait().expect("the holder ends").success());
    assert!(said.is_some(), "nothing was said");
    assert!(waiting.wait().expect("the script ends").success());
}
