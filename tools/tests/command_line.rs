//! The command line: its output and its exit status, after success and after errors.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::{env, fs};
use tools::qemu::{Outcome, Place, command_line, program, run};
use tools::root;

#[test]
fn help_lists_all_commands_and_exit_statuses() {
    let seen = command_line(&["--help"]);
    assert_eq!(command_line(&["help"]).output, seen.output);
    assert_eq!((seen.status, &*seen.errors), (0, ""));
    for word in ["test [FILTER]", "run PROGRAM", "demo", "trace OUT", "bench", "gdb", "--mem", "--timeout", "--debug"] {
        assert!(seen.output.contains(word), "{word} is missing:\n{}", seen.output);
    }
    for status in [0, 1, 64, 65, 69, 70, 71, 73, 124, 129, 130, 143] {
        assert!(seen.output.contains(&format!("\n  {status:<4} ")), "{status} is missing:\n{}", seen.output);
    }
}

#[test]
fn usage_errors_name_the_problem_and_point_to_help() {
    for (arguments, line) in [
        (&["--no-such"][..], "unknown option --no-such"),
        (&["no-such"], "unknown command 'no-such'"),
        (&["run"], "run needs a program"),
        (&["run", "/no/such/file"], "file not found: /no/such/file"),
        (&["run", "/tmp"], "/tmp is a directory, not a program"),
        (&["run", "--mem", "64"], "file not found: --mem; put options before the command"),
        (&["gdb", "/no/such/file"], "file not found: /no/such/file"),
        (&[""], "unknown command ''"),
        (&["--mem", "lots"], "--mem needs a number of MiB"),
        (&["--mem", "13"], "--mem needs a number of MiB, at least 14"),
        (&["--mem", "14", "demo"], "demo needs --mem 24 or more"),
        (&["--mem", "64", "bench"], "bench needs --mem 128 or more"),
        (&["--mem", "64"], "the suite needs --mem 96 or more"),
        (&["--mem", "64", "test"], "test needs --mem 96 or more"),
        (&["--real-time", "demo"], "--real-time is for tests, not for demo"),
        (&["--timeout"], "--timeout needs a number of seconds"),
        (&["--deliberate", "luck"], "--deliberate needs fail, leave, slow, hang or panic"),
        (&["demo", "x"], "demo takes only xpc as its argument: x"),
        (&["demo", "xpc", "y"], "demo takes only xpc as its argument: xpc"),
        (&["demo", "--mem", "64"], "demo takes only xpc as its argument: --mem; put options before the command"),
        (&["--traced", "demo"], "--traced is for the tests and run"),
        (&["bench", "x"], "bench takes no argument: x"),
        (&["bench", "--mem", "64"], "bench takes no argument: --mem; put options before the command"),
        (&["test", "one", "two"], "test takes only one filter"),
    ] {
        let seen = command_line(arguments);
        assert_eq!((seen.status, &*seen.output), (64, ""), "{arguments:?}: {}", seen.errors);
        assert!(seen.errors.starts_with(&format!("run-qemu.sh: {line}")), "{arguments:?}: {}", seen.errors);
        assert!(seen.errors.contains("--help"), "{arguments:?}: {}", seen.errors);
    }
}

#[test]
fn a_failed_test_is_reported_with_expected_and_seen_values() {
    let seen = command_line(&["--deliberate", "fail"]);
    assert_eq!(seen.status, 1, "{}{}", seen.output, seen.errors);
    for line in [
        "1 test, each in a task of its own",
        "test deliberate::fail ... ",
        "      expected: 5",
        "          seen: 4",
        "            at user/src/suite/deliberate.rs:",
        "          seen: exit 101",
        "  FAILED",
        "0 passed, 1 failed",
    ] {
        assert!(seen.output.contains(line), "{line} is missing:\n{}", seen.output);
    }
}

#[test]
fn the_harness_ends_a_test_that_takes_too_long() {
    let seen = command_line(&["--deliberate", "slow"]);
    assert_eq!(seen.status, 1, "{}{}", seen.output, seen.errors);
    assert!(seen.output.contains("it took longer than 300 ms"), "{}", seen.output);
    assert!(seen.output.ends_with("0 passed, 1 failed\n"), "{}", seen.output);
}

#[test]
fn a_hanging_test_is_named_at_the_timeout() {
    let seen = command_line(&["--timeout", "5", "--deliberate", "hang"]);
    assert_eq!(seen.status, 124, "{}{}", seen.output, seen.errors);
    let line = "run-qemu.sh: timed out after 5 s in the test deliberate::hang";
    assert!(seen.errors.contains(line), "{}", seen.errors);
}

#[test]
fn a_kernel_panic_is_reported_with_a_backtrace() {
    let seen = command_line(&["--deliberate", "panic"]);
    assert_eq!(seen.status, 70, "{}{}", seen.output, seen.errors);
    for line in [
        "tally: panic: the first task asked for a panic (kernel/src/calls/traps/tally.rs:",
        "kernel::arch::x86_64::system::handle_trap+0x",
        "kernel::arch::x86_64::entry::other_trap+0x",
        "run-qemu.sh: the kernel panicked in the test deliberate::panic",
    ] {
        assert!(seen.errors.contains(line), "{line} is missing:\n{}", seen.errors);
    }
}

#[test]
fn run_passes_on_arguments_output_and_exit_status() {
    // write(1, message, 6); exit(argc)
    let mut code = vec![0xB8, 4, 0, 0, 2, 0xBF, 1, 0, 0, 0, 0xBE, 0xA0, 0, 0x40, 0, 0xBA, 6, 0, 0, 0, 0x0F, 0x05];
    code.extend([0xB8, 1, 0, 0, 2, 0x48, 0x8B, 0x3C, 0x24, 0x0F, 0x05]);
    code.resize(0x28, 0x90);
    code.extend(b"hello\n");
    let place = Place::new();
    let path = place.file("my-program", &program(&code));
    let path = path.to_string_lossy();
    for (arguments, status) in [(&[][..], 1), (&["one", "two words", ""], 4)] {
        let seen = command_line(&[&["run", &path], arguments].concat());
        assert_eq!((seen.status, &*seen.output), (status, "hello\n"), "{}", seen.errors);
    }
}

/// The largest size of a program's arguments, with a zero byte each (docs/abi.md).
const ARGUMENTS_MAX: usize = 32_768;
/// The largest number of them.
const STRINGS_MAX: usize = 2_048;

#[test]
fn arguments_that_are_too_long_are_refused() {
    let place = Place::new();
    let path = place.file("any", &program(&[]));
    let path = path.to_string_lossy();
    // The program's arguments are a part of the arguments of `init`, behind these.
    let before = "init run program-any ".len();
    let long = "x".repeat(ARGUMENTS_MAX - before);
    let numbers: Vec<String> = (1..=20_000).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    for (call, arguments, line) in [
        ("run", &numbers[..], "the arguments take 108915 bytes, the limit is 32768"),
        ("gdb", &numbers, "the arguments take 108915 bytes, the limit is 32768"),
        ("run", &[&long], "the arguments take 32769 bytes, the limit is 32768"),
        ("run", &["x"; STRINGS_MAX - 2], "there are 2049 arguments with those of init, the limit is 2048"),
    ] {
        let seen = command_line(&[&[call, &path], arguments].concat());
        assert_eq!((seen.status, &*seen.output), (64, ""), "{call}: {}", seen.errors);
        assert!(seen.errors.starts_with(&format!("run-qemu.sh: {line} (")), "{call}: {}", seen.errors);
    }
    let seen = command_line(&["test", &long]);
    assert_eq!((seen.status, &*seen.output), (64, ""), "{}", seen.errors);
}

#[test]
fn long_arguments_reach_a_program() {
    // write(1, argv[1], 6); exit(argc)
    let mut code = vec![0xB8, 4, 0, 0, 2, 0xBF, 1, 0, 0, 0, 0x48, 0x8B, 0x74, 0x24, 0x10, 0xBA, 6, 0, 0, 0, 0x0F, 0x05];
    code.extend([0xB8, 1, 0, 0, 2, 0x48, 0x8B, 0x3C, 0x24, 0x0F, 0x05]);
    let place = Place::new();
    let path = place.file("any", &program(&code));
    let path = path.to_string_lossy();
    let longest = format!("hello\n{}", "x".repeat(ARGUMENTS_MAX - "init run program-any hello  ".len()));
    let mut many = vec!["x"; STRINGS_MAX - "init run program-any".split(' ').count()];
    many[0] = "hello\n";
    for arguments in [&many[..], &[&longest]] {
        let seen = command_line(&[&["run", &path], arguments].concat());
        let status = (arguments.len() as i32 + 1) % 256;
        assert_eq!((seen.status, &*seen.output), (status, "hello\n"), "{}", seen.errors);
    }
    let mut script = Command::new(root().join("run-qemu.sh"));
    script.args(["run", &path]).arg(OsStr::from_bytes(b"\xFFhello")).env("TALLY_OUTPUT", place.0.join("output"));
    let seen = run(&mut script);
    assert_eq!((seen.status, &*seen.output), (2, "\u{FFFD}hello"), "an argument need not be text: {}", seen.errors);
}

#[test]
fn a_program_may_have_any_name() {
    let code = [0xB8, 1, 0, 0, 2, 0xBF, 255, 0, 0, 0, 0x0F, 0x05];
    let place = Place::new();
    let long = "n".repeat(200);
    for name in ["kernel", "init", "cmdline", "settings", "--mem", "two words", "naïve", ".hidden", &long] {
        let path = place.file(name, &program(&code));
        let seen = command_line(&["run", &path.to_string_lossy()]);
        assert_eq!((seen.status, &*seen.output, &*seen.errors), (255, "", ""), "{name}");
    }
    // A name without a folder that looks like an option.
    let mut script = Command::new(root().join("run-qemu.sh"));
    script.args(["run", "--mem"]).current_dir(&place.0).env("TALLY_OUTPUT", place.0.join("output"));
    assert_eq!(run(&mut script).status, 255);
}

#[test]
fn output_is_passed_on_unchanged() {
    // write(1, message, 3000), which takes 1024 bytes; exit(0)
    let mut code = vec![0xB8, 4, 0, 0, 2, 0xBF, 1, 0, 0, 0, 0xBE, 0xA0, 0, 0x40, 0, 0xBA, 0xB8, 0x0B, 0, 0, 0x0F, 0x05];
    code.extend([0xB8, 1, 0, 0, 2, 0xBF, 0, 0, 0, 0, 0x0F, 0x05]);
    code.resize(0x28, 0x90);
    let text: String = (0..3000).map(|n| char::from(b' ' + (n % 90) as u8)).collect();
    code.extend(text.as_bytes());
    let place = Place::new();
    let path = place.file("talkative", &program(&code));
    let seen = command_line(&["run", &path.to_string_lossy()]);
    assert_eq!((seen.status, &*seen.output), (0, &text[..1024]), "{}", seen.errors);
}

/// Runs the command line on a terminal, with `keys` typed as soon as the test runs.
fn on_a_terminal(arguments: &str, keys: &str) -> Outcome {
    let place = Place::new();
    let call = format!("'{}' {arguments}", root().join("run-qemu.sh").display());
    let runs =
        "for n in $(seq 600); do grep -qs 'test deliberate::' $TALLY_OUTPUT/console.txt && break; sleep 0.1; done";
    let shell = format!("({runs}; printf '{keys}'; sleep 1) | script -qec \"$CALL\" /dev/null");
    run(Command::new("sh").args(["-c", &shell]).env("CALL", call).env("TALLY_OUTPUT", &place.0))
}

#[test]
fn output_is_coloured_only_on_a_terminal() {
    for (arguments, word) in [("--deliberate fail", "\x1b[31mFAILED\x1b[0m"), ("--deliberate slow", "\x1b[31mFAILED")] {
        let seen = on_a_terminal(arguments, "");
        assert!(seen.output.contains(word), "{}", seen.output);
        let seen = command_line(&arguments.split(' ').collect::<Vec<_>>());
        assert!(seen.output.contains("FAILED") && !seen.output.contains('\x1b'), "{}", seen.output);
    }
}

#[test]
fn ctrl_c_ends_the_machine() {
    let seen = on_a_terminal("--deliberate hang", "\\003");
    assert_eq!(seen.status, 130, "{}", seen.output);
    assert!(seen.output.contains("test deliberate::hang ... "), "the name of the test shows: {}", seen.output);
}

/// Fills a directory with links to all commands of the path but these.
fn path_without(place: &Place, commands: &[&str]) -> String {
    for directory in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if !commands.iter().any(|command| entry.file_name() == *command) {
                let _ = symlink(entry.path(), place.0.join(entry.file_name()));
            }
        }
    }
    place.0.display().to_string()
}

#[test]
fn all_missing_tools_are_named_if_they_cannot_be_installed() {
    let (place, output) = (Place::new(), Place::new());
    let path = path_without(&place, &["apt-get", "cc", "qemu-system-x86_64"]);
    let mut script = Command::new(root().join("run-qemu.sh"));
    let seen = run(script.env("PATH", path).env("TALLY_OUTPUT", &output.0));
    assert_eq!((seen.status, &*seen.output), (69, ""), "{}", seen.errors);
    let first = "run-qemu.sh: missing: a C compiler, QEMU; to install on Debian, run as root:\n";
    let second = "  apt-get update && apt-get install --no-install-recommends gcc libc6-dev qemu-system-x86\n";
    assert_eq!(seen.errors, format!("{first}{second}"));
}

#[test]
fn a_faulting_program_ends_with_128_plus_the_exception_kind() {
    let place = Place::new();
    let path = place.file("faulty", &program(&[0x0F, 0x0B]));
    let seen = command_line(&["run", &path.to_string_lossy()]);
    assert_eq!(seen.status, 130, "{}{}", seen.output, seen.errors);
    let line = "(faulty) ends: EXC_BAD_INSTRUCTION (vector 6)";
    assert!(seen.errors.contains(line), "{}", seen.errors);
}

#[test]
fn a_file_that_is_not_a_program_does_not_start() {
    let place = Place::new();
    let path = place.file("notes.txt", b"buy milk\n");
    let seen = command_line(&["run", &path.to_string_lossy()]);
    assert_eq!(seen.status, 127, "{}{}", seen.output, seen.errors);
    let line = "the program does not start: KERN_FAILURE (5); it is no static ELF file such as docs/abi.md describes";
    assert!(seen.output.contains(line), "{}", seen.output);
}

#[test]
fn benchmarks_are_reproducible_and_within_their_limits() {
    let runs = [0; 2].map(|_| command_line(&["bench"]));
    let [first, second] = &runs;
    assert_eq!((first.status, &first.output), (0, &second.output), "{}", first.errors);
    let figure = |name: &str| -> u64 {
        let line = first.output.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is missing:\n{}", first.output));
        let number = line[name.len()..].split_whitespace().next().unwrap_or_default().replace(',', "");
        number.parse().unwrap_or_else(|_| panic!("{line}"))
    };
    for (name, most) in [
        ("null trap, the cheapest", 75),
        ("null trap, thread_self", 150),
        ("rpc_64 between two tasks", 1_026),
        ("rpc_64 with a voucher, all kept", 1_300),
        ("yield, two switches", 450),
        ("spawn, exit and reap", 65_500),
        ("heap: allocate and free 64 bytes", 60),
        ("lock and unlock, nobody waits", 25),
        ("thread-local variable", 15),
        ("submit to a busy queue, and run", 250),
        // More than half of it is firmware, which comes with QEMU.
        ("boot to the first user instruction", 10_000_000),
    ] {
        assert!(figure(name) <= most, "{name}: at most {most} instructions\n{}", first.output);
    }
    // A part of a step that programs can cause takes at most 200,000 instructions (docs/longest-steps.md).
    let (_, longest) = first.output.split_once("\nlongest step ").expect("the table of the longest steps");
    let (longest, holes) = longest.split_once("\n\n").expect("the table about holes in the heap");
    let (holes, rates) = holes.split_once("\n\n").expect("the table of rates");
    let rows: Vec<_> = longest.lines().skip(1).collect();
    assert!(rows.len() > 30, "{longest}");
    for row in rows {
        assert!(!row.ends_with("   too long"), "{row}\n{longest}");
    }
    // Beside a hostile program of the same priority there are at least a third of the calls.
    let beside: Vec<_> = rates.lines().filter(|line| line.starts_with("beside a task with ")).collect();
    assert!(beside.len() == 10 && beside.iter().all(|line| !line.ends_with("   too few")), "{rates}");
    // A message costs the same whatever holes others have left in the kernel's heap.
    assert!(holes.contains("\nbeside four tasks with holes") && !holes.contains("   too long"), "{holes}");
    let (plain, vectors) = (figure("rpc_64 between two tasks"), figure("rpc_64, both tasks use SSE"));
    assert!(vectors <= plain + plain / 20, "vector registers cost at most 5 %\n{}", first.output);
    let donation = figure("rpc_64 with donation, all kept");
    assert!(donation * 10 <= plain * 16, "a boost costs at most 60 %\n{}", first.output);
}

/// On a machine of this size there is memory for ten thousand objects of each kind.
#[test]
fn no_step_is_too_long_when_others_hold_ten_thousand_ports_requests_and_messages() {
    let seen = command_line(&["--mem", "1024", "bench"]);
    assert_eq!(seen.status, 0, "{}", seen.errors);
    assert!(!seen.output.contains("   too long"), "{}", seen.output);
    let held = seen.output.lines().find_map(|line| line.strip_prefix("others have held ")).expect("what others hold");
    let numbers: Vec<u64> = held.split(' ').filter_map(|word| word.replace(',', "").parse().ok()).collect();
    assert!(numbers.len() == 3 && numbers.iter().all(|&number| number >= 10_000), "{held}");
}

#[test]
fn the_benchmarks_name_the_versions_they_depend_on() {
    let other =
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'QEMU emulator version 1.2.3 (a test)' && exit\nexec REAL \"$@\"\n";
    let path = env::var("PATH").unwrap_or_default();
    let real = env::split_paths(&path).map(|directory| directory.join("qemu-system-x86_64")).find(|path| path.exists());
    let real = real.expect("QEMU is installed");
    let (place, output) = (Place::new(), Place::new());
    let wrapper = place.file("qemu-system-x86_64", other.replace("REAL", &real.to_string_lossy()).as_bytes());
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let mut script = Command::new(root().join("run-qemu.sh"));
    script.arg("bench").env("TALLY_OUTPUT", &output.0).env("PATH", format!("{}:{path}", place.0.display()));
    let seen = run(&mut script);
    assert_eq!(seen.status, 0, "{}", seen.errors);
    let versions = seen.output.lines().last().unwrap_or_default();
    assert!(versions.starts_with("measured with rustc 1.") && versions.ends_with(" and QEMU 1.2.3"), "{versions}");
    assert_eq!(seen.errors, "run-qemu.sh: the figures in docs/benchmarks.md were measured with other versions\n");
}
