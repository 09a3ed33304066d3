//! Programs of one's own: what the book tells to type, the C library, and the files that go into the bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use tools::qemu::{Outcome, Place, command_line, run};
use tools::{files_with, root};

/// The chapters with things to type, and the least number of them.
const BOOKS: [(&str, usize); 2] = [("docs/programs.md", 6), ("docs/dispatch.md", 1)];

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the listings in a language.
fn listings<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let starts = text.split(&format!("```{language}\n")).skip(1).collect::<Vec<_>>();
    starts.into_iter().map(|rest| rest.split("```").next().expect("split returns at least one part")).collect()
}

/// Makes a folder that looks like the repository. Commands of the book run there and leave nothing in the repository. A
/// Rust project in it does not get the flags of Tally's own programs, as one outside of the repository.
fn likeness() -> Place {
    let place = Place::new();
    for entry in fs::read_dir(root()).expect("the repository can be read").flatten() {
        let name = entry.file_name();
        if ![".git", ".cargo", "target", "run-qemu.sh"].iter().any(|other| name == *other) {
            symlink(entry.path(), place.0.join(name)).expect("the folder is new");
        }
    }
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", root().join("run-qemu.sh").display());
    let path = place.file("run-qemu.sh", script.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    place
}

/// Runs the commands of a listing, and returns the listing as it would look with their real output.
fn typed(listing: &str) -> String {
    const MARK: &str = "\u{1}";
    let commands: Vec<&str> = listing.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let script: String = commands.iter().map(|command| format!("printf '\\001'\n{command}\n")).collect();
    let (place, output) = (likeness(), Place::new());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(&place.0).env("TALLY_OUTPUT", &output.0).env_remove("CC");
    let seen = run(&mut shell);
    let outputs = seen.output.split(MARK).skip(1);
    let shown: String =
        commands.iter().zip(outputs).map(|(command, output)| format!("$ {command}\n{output}")).collect();
    assert!(!shown.is_empty(), "{}", seen.errors);
    shown + if shown_all(&seen.errors) { "" } else { &seen.errors }
}

/// Returns true if the errors are no more than what cargo reports while it builds.
fn shown_all(errors: &str) -> bool {
    !errors.lines().any(|line| line.starts_with("error") || line.contains("run-qemu.sh:") || line.contains("cc.sh:"))
}

#[test]
fn what_the_book_tells_to_type_prints_what_it_shows() {
    for (book, least) in BOOKS {
        let text = text_of(book);
        let listings = listings(&text, "console");
        assert!(listings.len() >= least, "{book}: only {} listings", listings.len());
        for listing in listings {
            assert_eq!(typed(listing), listing);
        }
    }
}

#[test]
fn listings_in_the_book_are_parts_of_the_examples() {
    let sources: Vec<String> = files_with(&[".c", ".rs"])
        .iter()
        .filter(|path| path.starts_with(root().join("docs/examples")))
        .map(|path| fs::read_to_string(path).expect("an example can be read"))
        .collect();
    let books = BOOKS.map(|(book, _)| text_of(book));
    for listing in books.iter().flat_map(|book| [listings(book, "c"), listings(book, "rust")].concat()) {
        assert!(sources.iter().any(|source| source.contains(listing)), "no example has this part:\n{listing}");
    }
}

/// Compiles a C file with the script of the library.
fn compile(place: &Place, compiler: &str, source: &str, options: &[&str]) -> PathBuf {
    let program = place.0.join("program.elf");
    let mut script = Command::new(root().join("user/c/cc.sh"));
    script.args(options).arg(root().join(source)).arg("-o").arg(&program).env("CC", compiler);
    let seen = run(&mut script);
    assert_eq!((seen.status, &*seen.output, &*seen.errors), (0, "", ""), "{source}");
    program
}

fn run_program(program: &std::path::Path, arguments: &[&str]) -> Outcome {
    let path = program.to_str().expect("the path is text");
    command_line(&[&["run", path], arguments].concat())
}

/// The compilers that are installed. The set-up installs the first one.
fn compilers() -> Vec<&'static str> {
    let exists = |compiler: &&str| Command::new(compiler).arg("--version").output().is_ok();
    let found: Vec<&str> = ["gcc", "clang"].into_iter().filter(exists).collect();
    assert!(!found.is_empty(), "a C compiler is installed");
    found
}

#[test]
fn every_call_of_the_c_library_works() {
    const STRICT: [&str; 3] = ["-Wextra", "-Werror", "-std=gnu11"];
    let place = Place::new();
    for compiler in compilers() {
        for (source, output) in [
            ("user/c/tests/layouts.c", ""),
            ("user/c/tests/calls.c", "the calls of tasks and ports work\n"),
            (
                "user/c/tests/messages.c",
                "a code: MIG_BAD_ID (-303)\nmessages, vouchers, threads, memory and names work\n",
            ),
        ] {
            let seen = run_program(&compile(&place, compiler, source, &STRICT), &[]);
            assert_eq!((seen.status, &*seen.output), (0, output), "{source}, {compiler}: {}", seen.errors);
        }
    }
}

const STRICT_WITH_DISPATCH: [&str; 4] = ["--dispatch", "-Wextra", "-Werror", "-std=gnu11"];

#[test]
fn every_function_of_dispatch_works_in_c() {
    let place = Place::new();
    for compiler in compilers() {
        let program = compile(&place, compiler, "user/c/tests/dispatch.c", &STRICT_WITH_DISPATCH);
        let seen = run_program(&program, &[]);
        let expected = "queues, groups, sources, vouchers and classes work\n";
        assert_eq!((seen.status, &*seen.output), (0, expected), "{compiler}: {}", seen.errors);
    }
}

#[test]
fn a_mistake_with_dispatch_ends_a_program_in_c_with_a_message() {
    const PANICKED: i32 = 101;
    let place = Place::new();
    let program = compile(&place, compilers()[0], "user/c/tests/dispatch.c", &STRICT_WITH_DISPATCH);
    for (mistake, message) in [
        ("resume", "a queue was resumed too often"),
        ("leave", "a group was left more often than it was entered"),
        ("released", "an object was used that does not exist or has been released"),
        ("type", "an object was used as a queue that is none"),
        ("null", "an object was used that does not exist or has been released"),
        ("pointer", "an object was used that does not exist or has been released"),
        ("function", "a null pointer was passed in place of a function"),
        ("attribute", "a queue was made with attributes that do not exist"),
        ("suspended", "a queue was released that is suspended or inactive"),
        ("inactive", "a queue was released that is suspended or inactive"),
        ("target", "the target of a queue was set after its first use"),
        ("itself", "a thread enters a queue that it holds already"),
        ("voucher", "a voucher was used that does not exist or has been released"),
        ("timer", "a source was set as a timer that is none"),
    ] {
        let seen = run_program(&program, &[mistake]);
        let lines: Vec<&str> = seen.output.lines().map(str::trim).collect();
        assert_eq!(seen.status, PANICKED, "{mistake}: {}{}", seen.output, seen.errors);
        assert_eq!(lines[..2], ["", message], "{mistake}");
        assert!(lines.len() == 3 && lines[2].starts_with("at "), "{mistake}: {}", seen.output);
    }
}

#[test]
fn the_headers_declare_the_functions_of_the_library_of_dispatch() {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut declared = BTreeSet::new();
    for header in ["dispatch/dispatch.h", "os/voucher_private.h", "pthread/qos.h", "sys/qos.h"] {
        let text = text_of(&format!("user/c/include/{header}"));
        let names = text.split('(').filter_map(|before| before.rsplit(|c| !is_part(c)).next());
        let prefixes = ["dispatch_", "voucher_", "pthread_", "qos_"];
        declared.extend(names.filter(|name| prefixes.iter().any(|p| name.starts_with(p))).map(str::to_owned));
    }
    let mut defined = BTreeSet::new();
    for source in ["group", "object", "queue", "source", "thread", "time", "voucher"] {
        let text = text_of(&format!("user/c/dispatch/src/{source}.rs"));
        let names = text.split("extern \"C\" fn ").skip(1).filter_map(|rest| rest.split(|c| !is_part(c)).next());
        defined.extend(names.map(str::to_owned));
    }
    for internal in ["tally_attach_first_thread", "tally_call_in_thread"] {
        assert!(defined.remove(internal), "the C library calls {internal}");
    }
    assert_eq!(declared, defined);
    assert!(declared.len() > 50, "only {} functions", declared.len());
}

#[test]
fn the_library_of_dispatch_is_not_linked_into_a_program_without_a_fixed_address() {
    let source = root().join("docs/examples/queues.c");
    let seen = run(Command::new(root().join("user/c/cc.sh")).args(["--dispatch", "-static-pie", "-fPIE"]).arg(source));
    let line = "-static-pie and --dispatch exclude each other: the library is linked at a fixed address";
    assert_eq!((seen.status, &*seen.errors), (64, &*format!("cc.sh: {line}\n")));
}

#[test]
fn text_and_arguments_work_in_programs_of_both_kinds() {
    let place = Place::new();
    let expected = format!("one two three \ntwo words\n{}end\n", " ".repeat(1497));
    for options in [&["-Wextra", "-Werror"][..], &["-static-pie", "-fPIE"], &["-O0"], &["-O3"]] {
        let program = compile(&place, compilers()[0], "user/c/tests/text.c", options);
        let seen = run_program(&program, &["one", "two words"]);
        assert_eq!((seen.status, &*seen.output), (0, &*expected), "{options:?}: {}", seen.errors);
    }
}

/// Without optimisation a program uses pointers in its data even for calls. The book's listing has the other profile.
#[test]
fn an_unoptimised_position_independent_rust_program_is_relocated() {
    let place = Place::new();
    let project = root().join("docs/examples/rust");
    for folder in [".cargo", "src"] {
        fs::create_dir(place.0.join(folder)).expect("the folder is new");
    }
    for file in ["Cargo.lock", ".cargo/config.toml", "src/main.rs"] {
        fs::copy(project.join(file), place.0.join(file)).expect("the project has the file");
    }
    let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("the project has a manifest");
    place.file("Cargo.toml", manifest.replace("../../..", &root().to_string_lossy()).as_bytes());
    let built = command_line(&["--debug", "build", &place.0.to_string_lossy()]);
    assert_eq!(built.status, 0, "{}", built.errors);
    let program = PathBuf::from(built.output.trim_end());
    const ET_DYN: u8 = 3;
    assert_eq!(fs::read(&program).expect("a program was built")[16], ET_DYN);
    let seen = run_program(&program, &[]);
    let expected =
        "server: process 3 asks for 21\nclient: 21 doubled is 42\nserver: the client has ended with exit 5\n";
    assert_eq!((seen.status, &*seen.output), (0, expected), "{}", seen.errors);
}

/// Returns the numbers that the crate `abi` defines, by the names that C may give them.
fn numbers_of_the_abi() -> BTreeMap<String, Vec<String>> {
    let mut numbers = BTreeMap::<String, Vec<String>>::new();
    for file in files_with(&[".rs"]).iter().filter(|path| path.starts_with(root().join("kernel/abi/src"))) {
        for line in fs::read_to_string(file).expect("a file can be read").lines() {
            let line = line.trim().trim_start_matches("pub ");
            let Some((left, value)) = line.trim_end_matches(';').split_once(" = ") else { continue };
            let name = left.trim_start_matches("const ").split(':').next().expect("split returns a part");
            let value = value.replace('_', "");
            let is_number = value.trim_start_matches(['-', '0', 'x']).chars().all(|c| c.is_ascii_hexdigit());
            if is_number && !value.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                // Options and flags lack the prefix in Rust, and those of different structures may have one name.
                for prefix in ["", "MACH_", "MPO_", "MACH_PORT_STATUS_FLAG_", "BOOTSTRAP_"] {
                    numbers.entry(format!("{prefix}{name}")).or_default().push(value.clone());
                }
            }
        }
    }
    numbers
}

#[test]
fn numbers_in_the_headers_are_those_of_the_abi() {
    let headers: String = files_with(&[".h"]).iter().map(|path| fs::read_to_string(path).expect("a header")).collect();
    let names = headers.lines().filter_map(|line| line.strip_prefix("#define ")?.split(' ').next());
    // A name with parameters is no number.
    let defined: BTreeSet<&str> = names.filter(|name| !name.contains('(')).collect();
    let mut source = String::from("#include <tally.h>\n");
    let mut count = 0;
    for (name, values) in numbers_of_the_abi().iter().filter(|(name, _)| defined.contains(&***name)) {
        let values: Vec<String> =
            values.iter().map(|value| format!("(unsigned)({name}) == (unsigned)({value})")).collect();
        source += &format!("_Static_assert({}, \"{name}\");\n", values.join(" || "));
        count += 1;
    }
    assert!(count > 120, "only {count} numbers are compared");
    let place = Place::new();
    let path = place.file("numbers.c", source.as_bytes());
    let seen = run(Command::new(root().join("user/c/cc.sh")).arg("-fsyntax-only").arg(path));
    assert_eq!((seen.status, &*seen.errors), (0, ""));
}

#[test]
fn every_trap_has_a_stub_in_c() {
    let mut class = 0;
    let mut wanted = BTreeSet::new();
    for line in text_of("kernel/abi/src/trap.rs").lines() {
        if let Some(module) = line.strip_prefix("pub mod ") {
            class = ["", "mach", "unix", "machine", "", "tally"]
                .iter()
                .position(|name| !name.is_empty() && module.starts_with(&format!("{name} ")))
                .unwrap_or_else(|| panic!("a class without a number: {line}"));
        }
        if let Some(number) = line.split_once(": u32 = CLASS_").and_then(|(_, rest)| rest.split_once("| ")) {
            wanted.insert(class << 24 | number.1.trim_end_matches(';').parse::<usize>().expect("a number"));
        }
    }
    let stubs = text_of("user/c/src/traps.S");
    let calls = stubs.lines().filter_map(|line| line.trim().split_once(", "));
    let found: BTreeSet<usize> = calls
        .filter_map(|(left, number)| match left.split_whitespace().next()? {
            "TRAP" => usize::from_str_radix(number.trim_start_matches("0x"), 16).ok(),
            "UNIX_TRAP" => number.parse::<usize>().ok().map(|number| 2 << 24 | number),
            _ => None,
        })
        .collect();
    assert_eq!(found, wanted);
    assert!(wanted.len() > 40, "only {} traps", wanted.len());
}

#[test]
fn files_for_the_bundle_are_checked() {
    let place = Place::new();
    let path = |name: &str| place.file(name, b"no program").to_string_lossy().into_owned();
    let long = path(&"n".repeat(91));
    let (a, b, init) = (path("a"), path("b"), path("init"));
    fs::create_dir(place.0.join("other")).expect("the folder is new");
    let other = path("other/b");
    for (arguments, line) in [
        (&["run", "--also", &b][..], "run needs a program before --also".to_owned()),
        (&["run", &a, "--also"], "--also needs a file".into()),
        (&["run", &a, "--also", "--also"], "--also needs a file".into()),
        (&["gdb", &a, "x", "--also"], "--also needs a file".into()),
        (&["run", &a, "--also", "/no/such/file"], "file not found: /no/such/file".into()),
        (&["run", &a, "--also", "/tmp"], "/tmp is a directory, not a program".into()),
        (&["run", &a, "--also", &a], format!("--also {a}: the bundle has a file a already")),
        (&["run", &a, "--also", &b, &other], format!("--also {other}: the bundle has a file b already")),
        (&["run", &a, "--also", &b, "--also", &b], format!("--also {b}: the bundle has a file b already")),
        (&["run", &a, "--also", &init], format!("--also {init}: the bundle has a file init already")),
        (&["run", &a, "--also", &long], format!("the name of {long} is longer than 90 bytes")),
        (&["build", "/tmp"], "/tmp has no file Cargo.toml".into()),
        (&["build", &a, &b], "build takes only one project".into()),
    ] {
        let seen = command_line(arguments);
        assert_eq!((seen.status, &*seen.output), (64, ""), "{arguments:?}: {}", seen.errors);
        assert!(seen.errors.starts_with(&format!("run-qemu.sh: {line} (")), "{arguments:?}: {}", seen.errors);
    }
}

#[test]
fn the_log_says_why_a_program_does_not_start() {
    let place = Place::new();
    let object = compile(&place, compilers()[0], "docs/examples/hello.c", &["-c"]);
    for (file, reason) in [
        (object, "the file is no program but an object file or a core dump: link it"),
        (place.file("notes.txt", &[b'x'; 64]), "the file is no ELF file"),
    ] {
        let seen = run_program(&file, &[]);
        let name = file.file_name().expect("a file has a name").to_string_lossy();
        assert_eq!(seen.status, 127, "{}", seen.errors);
        assert_eq!(seen.errors, format!("tally: task 2 ({name}) does not start: {reason}\n"));
    }
}
