//! Invalid bundles and unsuitable machines: each ends with its own line and exit status.

use std::fs;
use tools::qemu::{Place, boot, bundle, image};

const ORDINARY: [&str; 4] = ["-cpu", "max", "-m", "128"];

/// Returns QEMU's exit status for a value that was written to isa-debug-exit.
const fn status(value: i32) -> i32 {
    value << 1 | 1
}

/// Boots with these files, and expects an exit with this code and one line that begins with `line`.
#[track_caller]
fn assert_refused(files: Option<&[(&str, &[u8])]>, options: &[&str], code: i32, line: &str) {
    let place = Place::new();
    let bundle = files.map(|files| bundle(&place, files));
    let seen = boot(bundle.as_deref(), options);
    assert_eq!((seen.status, &*seen.output), (status(code), ""), "the log: {}", seen.errors);
    let expected = format!("boot: {line}");
    assert!(seen.errors.starts_with(&expected), "expected: {expected}\nseen: {}", seen.errors);
    assert_eq!(seen.errors.lines().count(), 1, "one line: {}", seen.errors);
}

fn kernel() -> Vec<u8> {
    fs::read(image("kernel")).expect("the kernel is built")
}

/// Returns where the headers of the loadable segments are in a file.
fn loadable(file: &[u8]) -> Vec<usize> {
    let headers = word(file, 32) as usize;
    let all = (0..usize::from(file[56])).map(|number| headers + 56 * number);
    all.filter(|&at| file[at..at + 4] == [1, 0, 0, 0]).collect()
}

fn word(file: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(file[at..at + 8].try_into().expect("eight bytes"))
}

/// Returns the kernel's file with another value in one field of a loadable segment's header. `value` gets a function
/// that reads any field of any segment.
fn with_segment(number: usize, field: usize, value: impl FnOnce(&dyn Fn(usize, usize) -> u64) -> u64) -> Vec<u8> {
    let mut file = kernel();
    let headers = loadable(&file);
    let value = value(&|number, field| word(&file, headers[number] + field));
    let at = headers[number] + field;
    file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    file
}

/// Offsets in a program header.
const TYPE_AND_RIGHTS: usize = 0;
const FILE_OFFSET: usize = 8;
const ADDRESS: usize = 16;
const MEMORY_SIZE: usize = 40;

#[test]
fn boot_reports_a_missing_bundle() {
    assert_refused(None, &ORDINARY, 0x28, "no bundle: add `-initrd bundle.tar`");
}

#[test]
fn boot_refuses_a_bundle_that_is_not_an_archive() {
    let place = Place::new();
    let text = place.file("text", &b"this is not an archive at all\n".repeat(100));
    let seen = boot(Some(&text), &ORDINARY);
    assert_eq!(seen.status, status(0x2A), "the log: {}", seen.errors);
    assert!(seen.errors.starts_with("boot: the bundle is not a tar archive ("), "{}", seen.errors);
}

#[test]
fn boot_refuses_a_bundle_without_a_kernel() {
    assert_refused(Some(&[("init", b"x")]), &ORDINARY, 0x2B, "the bundle has no file `kernel`");
}

#[test]
fn boot_refuses_a_kernel_that_is_not_an_elf_file() {
    assert_refused(Some(&[("kernel", b"#!/bin/sh\n")]), &ORDINARY, 0x30, "`kernel` is not an ELF file");
}

#[test]
fn boot_refuses_a_truncated_kernel() {
    let file = kernel();
    assert_refused(Some(&[("kernel", &file[..40])]), &ORDINARY, 0x31, "`kernel` is truncated: it ends after 40 bytes");
    // The headers are complete, but the tables to which they refer are not.
    let line = "`kernel` is truncated: it ends after 8192 bytes, within its own tables: build the bundle again";
    assert_refused(Some(&[("kernel", &file[..0x2000])]), &ORDINARY, 0x31, line);
}

#[test]
fn boot_refuses_a_segment_beyond_the_end_of_the_file() {
    let last = loadable(&kernel()).len() - 1;
    let mut file = with_segment(last, FILE_OFFSET, |_| 1 << 40);
    assert_refused(Some(&[("kernel", &file)]), &ORDINARY, 0x3A, "the segment at 0xffffffff8");
    file = with_segment(last, FILE_OFFSET, |_| u64::MAX);
    assert_refused(Some(&[("kernel", &file)]), &ORDINARY, 0x3A, "the segment at 0xffffffff8");
}

#[test]
fn boot_refuses_a_writable_and_executable_segment() {
    // The type PT_LOAD, and behind it the flags for read, write and execute.
    let file = with_segment(0, TYPE_AND_RIGHTS, |_| 7 << 32 | 1);
    assert_refused(
        Some(&[("kernel", &file)]),
        &ORDINARY,
        0x3E,
        "the segment at 0xffffffff80000000 is writable and executable: separate code from data",
    );
}

#[test]
fn boot_refuses_a_kernel_for_another_machine() {
    let mut file = kernel();
    file[18] = 183;
    assert_refused(
        Some(&[("kernel", &file)]),
        &ORDINARY,
        0x35,
        "`kernel` is for ELF machine type 183, not x86_64 (62)",
    );
}

#[test]
fn boot_refuses_overlapping_segments() {
    let file = with_segment(1, ADDRESS, |field| field(0, ADDRESS));
    assert_refused(
        Some(&[("kernel", &file)]),
        &ORDINARY,
        0x3C,
        "the segments at 0xffffffff80000000 and 0xffffffff80000000 overlap",
    );
}

#[test]
fn boot_refuses_a_kernel_below_the_higher_half() {
    let file = with_segment(0, ADDRESS, |_| 0x10_0000);
    assert_refused(Some(&[("kernel", &file)]), &ORDINARY, 0x39, "the segment at 0x100000 is not in the higher half");
}

#[test]
fn boot_reports_too_little_memory() {
    let last = loadable(&kernel()).len() - 1;
    let file = with_segment(last, MEMORY_SIZE, |field| field(last, MEMORY_SIZE) + (256 << 20));
    assert_refused(Some(&[("kernel", &file)]), &ORDINARY, 0x25, "too little memory: the kernel needs 26");
}

#[test]
fn boot_refuses_a_processor_without_64_bit_mode() {
    let files: &[(&str, &[u8])] = &[("kernel", b"")];
    assert_refused(Some(files), &["-cpu", "qemu32", "-m", "128"], 0x21, "the processor has no 64-bit mode");
}

#[test]
fn boot_refuses_a_processor_without_no_execute() {
    let file = kernel();
    assert_refused(
        Some(&[("kernel", &file)]),
        &["-cpu", "qemu64,-nx", "-m", "128"],
        0x22,
        "the processor cannot protect pages",
    );
}

#[test]
fn boot_names_what_the_processor_lacks() {
    let file = kernel();
    for (feature, line) in [
        ("apic", "the processor lacks a local interrupt controller (APIC): choose another one, for example `-cpu max`"),
        ("fxsr", "the processor lacks the instructions FXSAVE and FXRSTOR (FXSR): choose another one"),
        ("syscall", "the processor lacks the instruction SYSCALL: choose another one"),
        ("sse2", "the processor lacks vector instructions (SSE2): choose another one"),
        ("msr", "the processor lacks model-specific registers (MSR): choose another one"),
        ("tsc", "the processor lacks a time-stamp counter (TSC): choose another one"),
        ("fpu", "the processor lacks a floating-point unit (FPU): choose another one"),
    ] {
        let options = ["-cpu", &format!("max,-{feature}"), "-m", "128"];
        assert_refused(Some(&[("kernel", &file)]), &options, 0x26, line);
    }
}

/// Boots with this file in place of `init`, and expects this last line before the end.
#[track_caller]
fn assert_no_start(init: &[u8], arguments: &[u8], line: &str) {
    let place = Place::new();
    let files: &[(&str, &[u8])] = &[("kernel", &kernel()), ("init", init), ("cmdline", arguments)];
    let seen = boot(Some(&bundle(&place, files)), &ORDINARY);
    assert_eq!((seen.status, &*seen.output), (status(0x10), ""), "{}", seen.errors);
    let end = format!("tally: the program `init` does not start: {line}\ntally: shutdown, status 127\n");
    assert!(seen.errors.ends_with(&end), "expected: {end}seen: {}", seen.errors);
}

#[test]
fn the_kernel_shuts_down_if_the_first_program_does_not_start() {
    let no_program = "KERN_FAILURE (5)";
    assert_no_start(b"", b"", no_program);
    assert_no_start(b"#!/bin/sh\n", b"", no_program);
    let init = fs::read(image("init")).expect("init is built");
    assert_no_start(&init[..init.len() / 4], b"", no_program);
    assert_no_start(&init[..40], b"", no_program);
    // The type of an object file.
    let object = [&init[..16], &[1], &init[17..]].concat();
    assert_no_start(&object, b"", no_program);
    assert_no_start(&init, &[b'x'; 32_768], "too many arguments");
    // 2,000 arguments fit.
    let numbers: Vec<u8> = (1..=20_000).flat_map(|number| format!("{number}\0").into_bytes()).collect();
    assert_no_start(&init, &numbers, "too many arguments");
    assert_no_start(&init, &[0; 20_000], "too many arguments");
    assert_no_start(&init, &[0; 5_000], "too many arguments");
}

#[test]
fn the_first_program_gets_two_thousand_arguments() {
    let place = Place::new();
    let init = fs::read(image("init")).expect("init is built");
    let mut arguments = b"unknown\0".to_vec();
    arguments.resize(arguments.len() + 2_000, 0);
    let files: &[(&str, &[u8])] = &[("kernel", &kernel()), ("init", &init), ("cmdline", &arguments)];
    let seen = boot(Some(&bundle(&place, files)), &ORDINARY);
    assert!(seen.output.starts_with("init: \"unknown\" is not understood"), "{}{}", seen.output, seen.errors);
    assert!(seen.errors.ends_with("tally: shutdown, status 64\n"), "{}", seen.errors);
}

#[test]
fn the_kernel_shuts_down_without_a_first_program() {
    let place = Place::new();
    let seen = boot(Some(&bundle(&place, &[("kernel", &kernel())])), &ORDINARY);
    assert_eq!(seen.status, status(0x10), "{}", seen.errors);
    let end = "tally: the bundle has no program `init`\ntally: shutdown, status 127\n";
    assert!(seen.errors.ends_with(end), "{}", seen.errors);
}

#[test]
fn the_kernel_shuts_down_at_an_unknown_setting() {
    let place = Place::new();
    let files: &[(&str, &[u8])] = &[("kernel", &kernel()), ("settings", b"strict-reply loud\n")];
    let seen = boot(Some(&bundle(&place, files)), &ORDINARY);
    assert_eq!(seen.status, status(0x10), "{}", seen.errors);
    let end = "tally: unknown setting: loud\ntally: shutdown, status 127\n";
    assert!(seen.errors.ends_with(end), "{}", seen.errors);
}

#[test]
fn the_kernel_runs_without_optional_processor_features() {
    let place = Place::new();
    let init = fs::read(image("init")).expect("init is built");
    let tests = fs::read(image("tests")).expect("the tests are built");
    let files: &[(&str, &[u8])] =
        &[("kernel", &kernel()), ("init", &init), ("tests", &tests), ("cmdline", b"harness\0basics\0")];
    let seen = boot(Some(&bundle(&place, files)), &["-cpu", "qemu64,-smep,-smap,-umip", "-m", "64"]);
    assert_eq!(seen.status, status(0x10), "{}{}", seen.output, seen.errors);
    assert!(seen.errors.ends_with("tally: shutdown, status 0\n"), "{}{}", seen.output, seen.errors);
}
