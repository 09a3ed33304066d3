//! The script in odd places: links, folders that cannot be written to, several runs at once, signals, odd names.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tools::qemu::{Outcome, Place, program, run};
use tools::root;

/// Ends with this status.
fn exit_with(status: u8) -> Vec<u8> {
    program(&[0xB8, 1, 0, 0, 2, 0xBF, status, 0, 0, 0, 0x0F, 0x05])
}

fn script(place: &Place) -> Command {
    let mut script = Command::new(root().join("run-qemu.sh"));
    script.env("TALLY_OUTPUT", place.0.join("output"));
    script
}

/// Runs a program of this name, alone or as another file.
fn run_named(place: &Place, name: &OsStr, contents: &[u8]) -> Outcome {
    let path = place.0.join(name);
    fs::write(&path, contents).expect("there is room for a file");
    run(script(place).arg("run").arg(path))
}

#[test]
fn the_script_may_be_a_link() {
    let place = Place::new();
    let direct = run(Command::new(root().join("run-qemu.sh")).args(["--list", "hostile"]));
    assert!(direct.output.lines().count() > 4, "{}", direct.output);
    fs::create_dir(place.0.join("far")).expect("the folder is new");
    symlink(root().join("run-qemu.sh"), place.0.join("far/first")).expect("the link is new");
    symlink("far/first", place.0.join("second")).expect("the link is new");
    for link in ["far/first", "second"] {
        let seen = run(Command::new(place.0.join(link)).args(["--list", "hostile"]));
        assert_eq!((seen.status, seen.output, &*seen.errors), (0, direct.output.clone(), ""), "{link}");
    }
}

#[test]
fn cdpath_leads_nowhere_else() {
    let place = Place::new();
    let root = root();
    let (parent, name) = (root.parent().expect("a folder above"), root.file_name().expect("a name"));
    fs::create_dir_all(place.0.join(name)).expect("the folder is new");
    let mut shell = Command::new("bash");
    shell.arg(Path::new(name).join("run-qemu.sh")).args(["--list", "hostile"]);
    let seen = run(shell.current_dir(parent).env("CDPATH", &place.0));
    assert_eq!((seen.status, &*seen.errors), (0, ""), "{}", seen.output);
    assert!(seen.output.lines().all(|line| line.contains("hostile")), "{}", seen.output);
}

/// A folder in which nobody can make a file, whoever runs the test.
const NOT_WRITABLE: &str = "/proc/tally";

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let place = Place::new();
    let path = place.file("any", &exit_with(0));
    for (variable, folder) in [("TALLY_OUTPUT", NOT_WRITABLE), ("TALLY_TARGET", "/proc/tally/boot")] {
        let mut script = Command::new(root().join("run-qemu.sh"));
        script.arg("run").arg(&path).env_remove("TALLY_OUTPUT").env(variable, NOT_WRITABLE);
        let seen = run(&mut script);
        let line = format!(
            "run-qemu.sh: cannot write to {folder}; TALLY_TARGET and TALLY_OUTPUT name other folders, see --help\n"
        );
        assert_eq!((seen.status, &*seen.output, seen.errors), (73, "", line));
    }
}

/// Waits until a line of these says that something has happened.
fn wait_for_line(from: impl Read, text: &str) -> String {
    let mut lines = BufReader::new(from).lines().map_while(Result::ok);
    lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("no line has {text}"))
}

#[test]
fn two_runs_at_once_have_folders_of_their_own() {
    let place = Place::new();
    let take = "here=$PWD; . tools/setup.sh; . tools/boot.sh; take_output; echo \"$output\"; read -r end";
    let start = || {
        let mut shell = Command::new("bash");
        shell.args(["-c", take]).current_dir(root()).env_remove("TALLY_OUTPUT").env("TALLY_TARGET", &place.0);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash starts");
        let mut folder = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut folder).expect("the shell writes");
        (child, folder.trim_end().to_owned())
    };
    let end = |mut child: Child| {
        drop(child.stdin.take());
        child.wait().expect("the shell ends");
    };
    let expected = |name: &str| place.0.join(name).to_string_lossy().into_owned();
    let (first, folder) = start();
    assert_eq!(folder, expected("boot"));
    let (second, folder) = start();
    assert_eq!(folder, expected("boot-2"));
    let (third, folder) = start();
    assert_eq!(folder, expected("boot-3"));
    end(second);
    let (again, folder) = start();
    assert_eq!(folder, expected("boot-2"), "a folder that was given back");
    for shell in [first, third, again] {
        end(shell);
    }
}

#[test]
fn a_folder_that_another_run_has_is_refused() {
    let place = Place::new();
    let path = place.file("any", &exit_with(0));
    let output = place.0.join("output");
    fs::create_dir(&output).expect("the folder is new");
    let lock = File::create(output.join("lock")).expect("there is room for a file");
    lock.lock().expect("nobody has it");
    let seen = run(script(&place).arg("run").arg(&path));
    let output = output.display();
    let line = format!("run-qemu.sh: another run has its files in {output}; choose another folder with TALLY_OUTPUT\n");
    assert_eq!((seen.status, &*seen.output, seen.errors), (73, "", line));
    lock.unlock().expect("it was locked");
    let seen = run(script(&place).arg("run").arg(&path));
    assert_eq!((seen.status, &*seen.errors), (0, ""));
}

#[test]
fn a_program_whose_name_is_long_or_no_text_runs() {
    let place = Place::new();
    let accents = "é".repeat(89);
    assert_eq!(accents.len(), 178);
    let names: [&[u8]; 6] = [accents.as_bytes(), &[b'n'; 178], b"n\xFF\xFEx", b"\xFF", b"@", b"..x"];
    for name in names {
        let name = OsStr::from_bytes(name);
        let seen = run_named(&place, name, &exit_with(9));
        assert_eq!((seen.status, &*seen.output, &*seen.errors), (9, "", ""), "{name:?}");
    }
}

#[test]
fn another_file_must_have_a_name_that_a_program_can_say() {
    let place = Place::new();
    let path = place.file("any", &exit_with(9));
    let too_long = "€".repeat(31);
    for (name, line) in [
        (OsStr::new(&too_long), "is longer than 90 bytes"),
        (OsStr::from_bytes(b"n\xFFx"), "is no text in UTF-8, by which a program could start it"),
    ] {
        fs::write(place.0.join(name), "").expect("there is room for a file");
        let seen = run(script(&place).arg("run").arg(&path).arg("--also").arg(place.0.join(name)));
        assert_eq!((seen.status, &*seen.output), (64, ""), "{}", seen.errors);
        assert!(seen.errors.contains(line), "{}", seen.errors);
    }
    // Words that are together the name of another file, a word that means all elements of an array, and a dot file.
    let mut names: Vec<OsString> = ["kernel init", "@", "*", ".hidden", "x]"].map(OsString::from).to_vec();
    names.push("€".repeat(30).into());
    let mut script = script(&place);
    script.arg("run").arg(&path).arg("--also");
    for name in &names {
        fs::write(place.0.join(name), "").expect("there is room for a file");
        script.arg(place.0.join(name));
    }
    let seen = run(&mut script);
    assert_eq!((seen.status, &*seen.errors), (9, ""), "{names:?}");
}

#[test]
fn a_status_of_the_program_that_could_be_the_scripts_is_told() {
    let place = Place::new();
    for status in [64, 65, 69, 70, 71, 73, 124, 127, 129, 130, 143] {
        let seen = run_named(&place, OsStr::new("any"), &exit_with(status));
        let line = format!("run-qemu.sh: the exit status {status} is the program's own\n");
        assert_eq!((seen.status, &*seen.output, seen.errors), (status.into(), "", line));
    }
    for status in [0, 1, 2, 63, 66, 72, 126, 128, 137, 255] {
        let seen = run_named(&place, OsStr::new("any"), &exit_with(status));
        assert_eq!((seen.status, &*seen.output, &*seen.errors), (status.into(), "", ""));
    }
    let seen = run_named(&place, OsStr::new("any"), b"no program");
    assert_eq!(seen.status, 127, "{}", seen.errors);
    assert!(!seen.errors.contains("the program's own"), "{}", seen.errors);
}

/// The other file leaves so little memory that `init` has no room, but the kernel has.
#[test]
fn a_machine_too_small_for_the_first_program_is_no_status_of_the_program() {
    let place = Place::new();
    let [program, large] = [place.file("any", &exit_with(0)), place.file("large", b"")];
    for kibibytes in (4_600..).step_by(400) {
        fs::write(&large, vec![0; kibibytes << 10]).expect("there is room for a file");
        let seen = run(script(&place).args(["--mem", "14", "run"]).arg(&program).arg("--also").arg(&large));
        assert!(!seen.errors.contains("did not boot"), "no size is between those: {}", seen.errors);
        if seen.errors.contains("the program `init` does not start") {
            assert_eq!((seen.status, &*seen.output), (127, ""), "{}", seen.errors);
            assert!(!seen.errors.contains("the program's own"), "{}", seen.errors);
            return;
        }
    }
}

/// Returns the number of processes that have this text in their command lines.
fn processes_with(text: &Path) -> usize {
    let lines = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    let lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&*text.to_string_lossy())).count()
}

/// Looks several times, because a process that was killed takes a moment to end.
fn assert_nothing_is_left(text: &Path) {
    const LOOKS: u32 = 1_000;
    let is_gone = |_| {
        let gone = processes_with(text) == 0;
        if !gone {
            sleep(Duration::from_millis(10));
        }
        gone
    };
    assert!((0..LOOKS).any(is_gone), "processes are left");
}

fn send_signal(child: &Child, signal: &str) {
    let sent = run(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]));
    assert_eq!(sent.status, 0, "{}", sent.errors);
}

#[test]
fn a_signal_ends_the_machine_with_the_script() {
    for (signal, status) in [("TERM", 143), ("HUP", 129)] {
        let place = Place::new();
        let forever = place.file("any", &program(&[0xEB, 0xFE]));
        let mut child = script(&place)
            .arg("run")
            .arg(forever)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let log = place.0.join("output/log.txt");
        // The time limit of the script ends this.
        while !fs::read_to_string(&log).is_ok_and(|log| log.contains("MiB free")) {
            assert_eq!(child.try_wait().expect("it is our child"), None, "the script has ended");
            sleep(Duration::from_millis(10));
        }
        assert!(processes_with(&place.0) > 1, "QEMU runs");
        send_signal(&child, signal);
        let ended = child.wait().expect("it is our child");
        let mut errors = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut errors).expect("it is text");
        assert_eq!((ended.code(), &*errors), (Some(status), &*format!("run-qemu.sh: ended by SIG{signal}\n")));
        assert_nothing_is_left(&place.0);
    }
}

#[test]
fn a_signal_ends_what_the_script_has_started() {
    let place = Place::new();
    let name = place.0.display();
    // Processes of processes, one of which is in a session of its own.
    let tree = format!("bash -c 'sleep 1000; : {name}' & setsid bash -c 'sleep 1000 & wait; : {name}' & echo up; wait");
    let shell = format!(". tools/signals.sh; trap_signals; attend bash -c \"{tree}\"");
    let mut bash = Command::new("bash");
    bash.args(["-c", &shell]).current_dir(root()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = bash.spawn().expect("bash starts");
    wait_for_line(child.stdout.as_mut().expect("it is piped"), "up");
    // The shell that is ended, the one that it attends to, and the two of that one.
    while processes_with(&place.0) < 4 {
        sleep(Duration::from_millis(10));
    }
    send_signal(&child, "TERM");
    assert_eq!(child.wait().expect("it is our child").code(), Some(143));
    assert_nothing_is_left(&place.0);
}
