//! Spawning programs: the files that are accepted, the first stack, the arguments of `task_spawn`, and the exit
//! message.

use crate::calls::UNUSED_NAME;
use crate::machine::FakeMachine;
use crate::program::*;
use crate::world::{ARGUMENTS, Actor, BUFFER, World};
use abi::KernReturn;
use abi::code::*;
use abi::port::*;
use abi::task::*;
use abi::trap::{CLASS_MACH, CLASS_SHIFT, mach, tally, unix};
use kernel::boot::BootError;
use kernel::ids::TaskId;
use kernel::kernel::{Config, Event, Kernel, Next};
use kernel::limits::{ARGUMENTS_SIZE_MAX, Limits, STRINGS_MAX};
use kernel::machine::{Protection, USER_END, UserAddr};
use zerocopy::IntoBytes;

const PT_INTERP: u32 = 3;
const BASE: u64 = PROGRAM_BASE;

fn world() -> (World, Actor) {
    let mut w = World::new();
    let a = w.task();
    (w, a)
}

/// Spawns a program and returns the task, which does not run yet.
pub fn spawn(w: &mut World, a: Actor, file: &[u8]) -> Result<TaskId, KernReturn> {
    w.spawn_image(a, file, spawn_args())?;
    Ok(w.newest_task())
}

/// Checks that a spawn with these arguments fails with this code and leaves nothing.
#[track_caller]
fn assert_refused(w: &mut World, a: Actor, args: TaskSpawnArgs, code: KernReturn) {
    let before = (w.counts(), w.names(a));
    w.put(a, ARGUMENTS, args.as_bytes());
    let words = [a.memory + ARGUMENTS, size_of::<TaskSpawnArgs>() as u64, w.result(a)];
    assert_eq!(w.call(a, tally::TASK_SPAWN, &words), Err(code));
    assert_eq!((w.counts(), w.names(a)), before);
}

/// Returns a copy of a file with other bytes at an offset.
fn patched(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn a_malformed_program_is_refused_and_leaves_nothing() {
    let (mut w, a) = world();
    let good = program();
    let code = (PT_LOAD, READ | EXECUTE, 0, BASE, 200, 200);
    let max = u64::MAX.to_le_bytes();
    let two = |second: Segment| image(ET_EXEC, BASE, &[code, second], 512);
    let bad = [
        ("empty", "no ELF", Vec::new()),
        ("shorter than a header", "no ELF", good[..63].to_vec()),
        ("without program headers", "cut off", good[..64].to_vec()),
        ("with half a program header", "cut off", good[..100].to_vec()),
        ("no ELF file", "no ELF", patched(&good, 0, b"#!/bin/sh")),
        ("of 32 bits", "64 bits", patched(&good, 4, &[1])),
        ("big-endian", "another machine", patched(&good, 5, &[2])),
        ("for another machine", "another machine", patched(&good, 18, &[3])),
        ("an object file", "link it", patched(&good, 16, &[1])),
        ("with strange program headers", "of another size", patched(&good, 54, &[55])),
        ("without a segment", "nothing to load", patched(&good, 56, &[0])),
        ("with one segment too many", "too many", patched(&good, 56, &33u16.to_le_bytes())),
        ("with the largest number of segments", "too many", patched(&good, 56, &[0xFF, 0xFF])),
        ("with headers behind its end", "cut off", patched(&good, 32, &[65])),
        ("with headers nowhere", "cut off", patched(&good, 32, &max)),
        ("that starts outside", "entry point", patched(&good, 24, &[0, 0, 0x41])),
        ("that starts behind everything", "entry point", patched(&good, 24, &max)),
        ("that starts in data", "entry point", patched(&good, 68, &[4])),
        ("writable and executable", "writable and executable", patched(&good, 68, &[7])),
        ("with an offset behind its end", "cut off", patched(&good, 72, &[1])),
        ("with an offset that wraps", "cut off", patched(&good, 72, &max)),
        ("at the null page", "outside", patched(&good, 80, &[0, 0, 0])),
        ("in the kernel", "outside", patched(&good, 80, &0xFFFF_8000_0000_0000u64.to_le_bytes())),
        ("at an address that wraps", "outside", patched(&good, 80, &max)),
        ("behind user memory", "outside", patched(&good, 80, &USER_END.to_le_bytes())),
        ("with more in the file than in memory", "cut off", patched(&good, 104, &[119])),
        ("with a size that wraps", "outside", patched(&good, 104, &max)),
        ("with a file size that wraps", "cut off", patched(&good, 96, &max)),
        ("with segments on one page", "share a page", two((PT_LOAD, READ | WRITE, 200, BASE + 0x800, 8, 8))),
        ("with segments that overlap", "share a page", two((PT_LOAD, READ | WRITE, 200, BASE - 0x800, 8, 0x1000))),
        ("with an interpreter", "-static", two((PT_INTERP, READ, 200, BASE, 8, 8))),
    ];
    let before = (w.counts(), w.names(a));
    for (kind, reason, file) in bad {
        assert_eq!(spawn(&mut w, a, &file), Err(KERN_FAILURE), "a file {kind}");
        let line = w.machine.log.last().expect("the log has a line");
        assert!(line.contains("does not start: ") && line.contains(reason), "a file {kind}: {line}");
        assert_eq!((w.counts(), w.names(a)), before, "after a file {kind}");
    }
    assert!(spawn(&mut w, a, &good).is_ok());
}

#[test]
fn a_program_too_big_for_memory_is_refused_and_leaves_nothing() {
    let (mut w, a) = world();
    let before = w.counts();
    for pages in [16 * 1024u64, 1 << 30] {
        let segments = [
            (PT_LOAD, READ | EXECUTE, 0, BASE, 200, 200),
            (PT_LOAD, READ | WRITE, 0, 0x1_0000_0000, 8, pages * PAGE_SIZE),
        ];
        assert_eq!(spawn(&mut w, a, &image(ET_EXEC, BASE, &segments, 512)), Err(KERN_RESOURCE_SHORTAGE));
        assert_eq!(w.counts(), before);
    }
    // The stack has no room where the program is.
    let segments =
        [(PT_LOAD, READ | EXECUTE, 0, BASE, 200, 200), (PT_LOAD, READ | WRITE, 0, USER_END - 2 * PAGE_SIZE, 8, 8)];
    assert_eq!(spawn(&mut w, a, &image(ET_EXEC, BASE, &segments, 512)), Err(KERN_NO_SPACE));
    assert_eq!(w.counts(), before);
}

#[test]
fn a_program_is_mapped_as_its_headers_say() {
    let (mut w, a) = world();
    let (text, data) =
        ((PT_LOAD, READ | EXECUTE, 0, BASE, 3000, 3000), (PT_LOAD, READ | WRITE, 3001, BASE + 0x2010, 1500, 9000));
    let read_only = (PT_LOAD, READ, 256, BASE + 0x1_0000, 16, 16);
    let file = image(ET_EXEC, BASE + 0x200, &[text, data, read_only, (PT_LOAD, READ | WRITE, 0, 0, 0, 0)], 4600);
    let task = spawn(&mut w, a, &file).unwrap();
    let space = w.kernel.tasks[task].address_space;
    let read = |at: u64, size: usize| w.machine.read(space, UserAddr(at), size).unwrap();
    assert_eq!(read(BASE, 3000), file[..3000]);
    assert_eq!(read(BASE + 3000, 1096), [0; 1096]);
    assert_eq!(read(BASE + 0x2010, 1500), file[3001..4501]);
    assert_eq!(read(BASE + 0x2010 + 1500, 7500), vec![0; 7500], "the memory beyond the file is zero");
    assert_eq!(read(BASE + 0x2000, 0x10), [0; 0x10]);
    let allows = |at: u64| w.machine.protection(space, UserAddr(at));
    assert_eq!(allows(BASE), Some(Protection::READ | Protection::EXECUTE));
    assert_eq!(allows(BASE + 0x2000), Some(Protection::READ | Protection::WRITE));
    assert_eq!(allows(BASE + 0x4000), Some(Protection::READ | Protection::WRITE));
    assert_eq!(allows(BASE + 0x1_0000), Some(Protection::READ));
    assert_eq!((allows(BASE + 0x1000), allows(BASE + 0x5000), allows(0)), (None, None, None));
    let thread = w.kernel.tasks[task].threads.front().unwrap();
    assert_eq!(w.kernel.sched[thread].frame().rip, BASE + 0x200);
}

#[test]
fn a_position_independent_program_starts_at_its_load_address() {
    let (mut w, a) = world();
    let task = spawn(&mut w, a, &image(ET_DYN, 0x180, &[(PT_LOAD, READ | EXECUTE, 0, 0, 512, 512)], 512)).unwrap();
    let thread = w.kernel.tasks[task].threads.front().unwrap();
    let entry = w.kernel.sched[thread].frame().rip;
    let start = entry - 0x180;
    assert!(start.is_multiple_of(PAGE_SIZE) && start > 0);
    let space = w.kernel.tasks[task].address_space;
    assert_eq!(w.machine.read(space, UserAddr(start + 300), 4), Some(vec![44, 45, 46, 47]));
}

/// Spawns a program with these arguments and this environment; returns the task and its stack pointer.
fn stack_of(arguments: &[u8], environment: &[u8]) -> (World, TaskId, u64) {
    let (mut w, a) = world();
    let at = a.memory + 30 * PAGE_SIZE;
    w.put(a, 30 * PAGE_SIZE, &[arguments, environment].concat());
    let args = TaskSpawnArgs {
        arguments: at,
        arguments_size: arguments.len() as u64,
        environment: at + arguments.len() as u64,
        environment_size: environment.len() as u64,
        ..spawn_args()
    };
    w.spawn_image(a, &program(), args).unwrap();
    let task = w.newest_task();
    let thread = w.kernel.tasks[task].threads.front().unwrap();
    let stack = w.kernel.sched[thread].frame().rsp;
    (w, task, stack)
}

#[test]
fn the_first_stack_holds_arguments_environment_and_auxiliary_vector() {
    for (arguments, environment) in [
        (&[&b"name"[..], b"", b"two words"][..], &[&b"A=1"[..]][..]),
        (&[], &[]),
        (&[b"x"], &[]),
        (&[], &[b"B=", b"C"]),
    ] {
        let ended = |strings: &[&[u8]]| strings.iter().flat_map(|s| [s, &b"\0"[..]].concat()).collect::<Vec<u8>>();
        let (w, task, stack) = stack_of(&ended(arguments), &ended(environment));
        let space = w.kernel.tasks[task].address_space;
        let word = |n: u64| {
            let bytes = w.machine.read(space, UserAddr(stack + 8 * n), 8).expect("the stack is there");
            u64::from_le_bytes(bytes.try_into().unwrap())
        };
        let string = |at: u64| {
            let byte = |at| w.machine.read(space, UserAddr(at), 1).expect("strings are there")[0];
            (at..).map(byte).take_while(|&byte| byte != 0).collect::<Vec<u8>>()
        };
        assert!(stack.is_multiple_of(16) && stack < USER_END);
        assert_eq!(word(0), arguments.len() as u64);
        let mut at = 1;
        for list in [arguments, environment] {
            for text in list {
                assert_eq!(string(word(at)), *text);
                at += 1;
            }
            assert_eq!(word(at), 0, "a null pointer ends the list");
            at += 1;
        }
        let mut auxiliary = std::collections::BTreeMap::new();
        while word(at) != 0 {
            auxiliary.insert(word(at), word(at + 1));
            at += 2;
        }
        assert_eq!((auxiliary[&3], auxiliary[&4], auxiliary[&5]), (BASE + 64, 56, 1), "program headers");
        assert_eq!((auxiliary[&6], auxiliary[&9]), (PAGE_SIZE, BASE), "page size and entry");
        assert!(w.machine.read(space, UserAddr(auxiliary[&25]), 16).is_some(), "16 random bytes");
        assert_eq!(w.machine.read(space, UserAddr(USER_END - PAGE_SIZE), 1), None, "running over the top faults");
    }
}

/// Boots a kernel with this seed; returns the random bytes that `init` finds on its first stack, as two numbers.
fn random_bytes_of_init(seed: u64) -> [u64; 2] {
    let bundle = Vec::leak(archive("init", &program()));
    let mut machine = FakeMachine::new();
    let mut kernel =
        Kernel::new(Config { bundle, seed, clock: FakeMachine::clock(), limits: Limits::default() }).unwrap();
    let Ok(Next::Run(thread)) = kernel.boot(&mut machine) else { panic!("init runs") };
    let (frame, space) = kernel.context(thread);
    let word = |at| u64::from_le_bytes(machine.read(space, UserAddr(at), 8).unwrap().try_into().unwrap());
    // The auxiliary vector lies behind four words: the number of arguments, one argument, and the ends of both lists.
    let mut pairs = (frame.rsp + 4 * 8..).step_by(16);
    let at = pairs.find(|&at| word(at) == 25).map(|at| word(at + 8)).unwrap();
    [word(at), word(at + 8)]
}

#[test]
fn all_random_bytes_of_a_program_are_independent() {
    let mut numbers: Vec<u64> = [7, 8].map(random_bytes_of_init).concat();
    numbers.extend(numbers.clone().iter().map(|number| number.rotate_left(32)));
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 8, "all numbers and their halves differ: {numbers:x?}");
}

#[test]
fn invalid_spawn_arguments_are_refused() {
    let (mut w, a) = world();
    let image = program();
    w.put(a, BUFFER, &image);
    w.put(a, 3072, b"init");
    let good = TaskSpawnArgs {
        image: w.buffer(a),
        image_size: image.len() as u64,
        image_kind: SPAWN_IMAGE_BYTES,
        ..spawn_args()
    };
    let own = w.port(a);
    let (text, missing) = (a.memory + 3072, UNUSED_NAME);
    let named = TaskSpawnArgs { image: text, image_size: 4, image_kind: SPAWN_IMAGE_NAME, ..good };
    let exit = TaskSpawnArgs { exit_port: own, exit_disposition: EXIT_PORT_MAKE, ..good };
    for (args, code) in [
        (TaskSpawnArgs { image_kind: 2, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { app_type: 77, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { role: 77, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { qos_clamp: 7, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { properties: 0x10, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { coalition: 2, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { watch_port_count: WATCH_PORTS_MAX + 1, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { system_persona: PERSONA_ID_NONE, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { system_proxy_persona: PERSONA_ID_NONE, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { arguments: text, arguments_size: 32 * 1024 + 1, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { environment: text, environment_size: u64::MAX, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { arguments: text, arguments_size: 4, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { environment: text, environment_size: 3, ..good }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { arguments: 8, arguments_size: 4, ..good }, KERN_MEMORY_ERROR),
        (TaskSpawnArgs { image: 8, ..good }, KERN_MEMORY_ERROR),
        (TaskSpawnArgs { image: u64::MAX - 32, ..good }, KERN_MEMORY_ERROR),
        (TaskSpawnArgs { image: 8, ..named }, KERN_MEMORY_ERROR),
        (TaskSpawnArgs { image_size: 3, ..named }, KERN_INVALID_NAME),
        (TaskSpawnArgs { image_size: 0, ..named }, KERN_INVALID_NAME),
        (TaskSpawnArgs { image_size: 257, ..named }, KERN_INVALID_NAME),
        (TaskSpawnArgs { bootstrap_port: missing, ..good }, KERN_INVALID_CAPABILITY),
        (TaskSpawnArgs { bootstrap_port: own, ..good }, KERN_INVALID_CAPABILITY),
        (TaskSpawnArgs { exit_port: missing, ..exit }, KERN_INVALID_CAPABILITY),
        (TaskSpawnArgs { exit_disposition: 18, ..exit }, KERN_INVALID_CAPABILITY),
        (TaskSpawnArgs { exit_disposition: 20, ..exit }, KERN_INVALID_ARGUMENT),
        (TaskSpawnArgs { exit_disposition: 0x115, ..exit }, KERN_INVALID_ARGUMENT),
    ] {
        assert_refused(&mut w, a, args, code);
    }
    for args in [good, named, exit] {
        w.put(a, ARGUMENTS, args.as_bytes());
        let words = [a.memory + ARGUMENTS, size_of::<TaskSpawnArgs>() as u64, w.result(a)];
        assert_eq!(w.call(a, tally::TASK_SPAWN, &words), Ok(()));
    }
}

/// The pointers to 32,768 empty strings need more room than the whole first stack has.
#[test]
fn more_strings_than_a_program_may_have_are_refused() {
    let (mut w, a) = world();
    let image = program();
    w.put(a, BUFFER, &image);
    let empty = a.memory + 20 * PAGE_SIZE;
    let most = ARGUMENTS_SIZE_MAX;
    let args = TaskSpawnArgs {
        image: w.buffer(a),
        image_size: image.len() as u64,
        image_kind: SPAWN_IMAGE_BYTES,
        arguments: empty,
        ..spawn_args()
    };
    assert_refused(&mut w, a, TaskSpawnArgs { arguments_size: most, ..args }, KERN_INVALID_ARGUMENT);
    assert_refused(
        &mut w,
        a,
        TaskSpawnArgs { environment: empty, environment_size: most, ..args },
        KERN_INVALID_ARGUMENT,
    );
    let (w, task, stack) = stack_of(&[0; STRINGS_MAX / 2], &[0; STRINGS_MAX / 2]);
    assert!(w.machine.read(w.kernel.tasks[task].address_space, UserAddr(stack), 8).is_some());
}

#[test]
fn a_longer_argument_structure_must_end_in_zeros() {
    let (mut w, a) = world();
    w.spawn_image(a, &program(), spawn_args()).unwrap();
    let known = size_of::<TaskSpawnArgs>() as u64;
    let ask = |w: &mut World, size: u64| w.call(a, tally::TASK_SPAWN, &[a.memory + ARGUMENTS, size, w.result(a)]);
    assert_eq!(ask(&mut w, known + 8), Ok(()));
    w.put(a, ARGUMENTS + known + 7, &[1]);
    assert_eq!(ask(&mut w, known + 7), Ok(()));
    assert_eq!(ask(&mut w, known + 8), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(ask(&mut w, 2 * known + 1), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(ask(&mut w, u64::MAX), Err(KERN_INVALID_ARGUMENT));
}

#[test]
fn only_user_0_may_choose_a_user_or_group() {
    let mut w = World::new();
    let init = w.init;
    let (user, _) = w.spawn(init, TaskSpawnArgs { uid: 501, gid: 20, ..spawn_args() }).unwrap();
    let who = |w: &World, task: TaskId| (w.kernel.tasks[task].credentials.uid, w.kernel.tasks[task].credentials.gid);
    assert_eq!(who(&w, user.task), (501, 20));
    for args in [TaskSpawnArgs { uid: 0, ..spawn_args() }, TaskSpawnArgs { gid: 0, ..spawn_args() }] {
        assert_eq!(w.spawn_image(user, &program(), args), Err(KERN_NO_ACCESS));
    }
    w.spawn_image(user, &program(), TaskSpawnArgs { uid: 501, ..spawn_args() }).unwrap();
    let child = w.newest_task();
    assert_eq!(who(&w, child), (501, 20), "the group is inherited");
}

#[test]
fn the_exit_message_carries_the_exit_status() {
    let (mut w, a) = world();
    let port = w.port(a);
    let args = TaskSpawnArgs { exit_port: port, exit_disposition: EXIT_PORT_MAKE, ..spawn_args() };
    let fault = Event::Exception { kind: Exception::Arithmetic, vector: 0, address: 0 };
    let trap = |number: u32, argument: u64| (Event::Trap, u64::from(number), argument);
    for (ending, status) in [
        (trap(unix::EXIT, 3), 3),
        (trap(unix::EXIT, 0x1FF), 0xFF),
        (trap(tally::THREAD_EXIT, 0), 0),
        (trap(CLASS_MACH | 1, 0), ExitStatus::BAD_TRAP.0),
        (trap(9 << CLASS_SHIFT | 1, 0), ExitStatus::BAD_TRAP.0),
        ((fault, 0, 0), ExitStatus::exception(Exception::Arithmetic, 0).0),
    ] {
        w.start_spawn(a, args).unwrap();
        let child = w.newest_task();
        let thread = w.kernel.tasks[child].threads.front().unwrap();
        w.expect_empty(a, port);
        w.run(thread);
        let (event, number, argument) = ending;
        let frame = w.kernel.sched[thread].frame_mut();
        (frame.rax, frame.rdi) = (number, argument);
        let _ = w.event(event);
        w.settle();
        assert!(!w.kernel.tasks.contains(child));
        let message = w.poll(a, port).expect("the exit message");
        assert_eq!(message.header.msgh_id, EXIT_MESSAGE_ID);
        assert_eq!(message.body(), ExitMessage::new(ExitStatus(status)).as_bytes(), "status {status:#x}");
    }
}

#[test]
fn a_parent_with_a_full_name_table_cannot_spawn() {
    let mut w = World::with_limits(kernel::limits::Limits { names_per_task: 64, ..Default::default() });
    let a = w.task();
    while w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).is_ok() {}
    let before = (w.counts(), w.names(a));
    assert_eq!(w.start_spawn(a, spawn_args()), Err(KERN_NO_SPACE));
    let args = [a.self_port.0.into(), BASE, 0, 0, 0, w.result(a)];
    assert_eq!(w.call(a, tally::THREAD_CREATE, &args), Err(KERN_NO_SPACE));
    assert_eq!((w.counts(), w.names(a)), before);
}

#[test]
fn a_child_or_thread_whose_name_cannot_be_written_is_not_made() {
    let (mut w, a) = world();
    let exit_port = w.port(a);
    w.spawn_image(a, &program(), TaskSpawnArgs { exit_port, exit_disposition: EXIT_PORT_MAKE, ..spawn_args() })
        .unwrap();
    let before = (w.counts(), w.names(a));
    let words = [a.memory + ARGUMENTS, size_of::<TaskSpawnArgs>() as u64, 8];
    assert_eq!(w.call(a, tally::TASK_SPAWN, &words), Err(KERN_MEMORY_ERROR));
    w.expect_empty(a, exit_port);
    assert_eq!(w.call(a, tally::THREAD_CREATE, &[a.self_port.0.into(), BASE, 0, 0, 0, 8]), Err(KERN_MEMORY_ERROR));
    let args = [a.self_port.0.into(), BASE, PAGE_SIZE, 1];
    assert_eq!(w.call(a, mach::MACH_VM_ALLOCATE, &args), Err(KERN_MEMORY_ERROR), "the address lies in code");
    assert_eq!((w.counts(), w.names(a)), before);
}

#[test]
fn a_program_has_a_limited_number_of_strings() {
    let spawn = |arguments: usize, environment: usize| {
        let (mut w, a) = world();
        let at = a.memory + 30 * PAGE_SIZE;
        // Each string is empty: a zero byte.
        let (arguments_size, environment_size) = (arguments as u64, environment as u64);
        let args = TaskSpawnArgs { arguments: at, arguments_size, environment: at, environment_size, ..spawn_args() };
        w.spawn_image(a, &program(), args).map(|_| ())
    };
    for (arguments, environment) in [(STRINGS_MAX, 0), (0, STRINGS_MAX), (STRINGS_MAX - 7, 7)] {
        assert_eq!(spawn(arguments, environment), Ok(()));
        assert_eq!(spawn(arguments + 1, environment), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(spawn(arguments, environment + 1), Err(KERN_INVALID_ARGUMENT));
    }
}

/// The last process number in the next test. The first two tasks have 1 and 2.
const LAST_NUMBER: u32 = 4;

#[test]
fn spawn_is_refused_after_the_last_process_number() {
    let mut w = World::with_limits(Limits { process_number_max: LAST_NUMBER, ..Limits::default() });
    let a = w.task();
    for number in 3..=LAST_NUMBER {
        spawn(&mut w, a, &program()).unwrap();
        assert_eq!(w.kernel.tasks[w.newest_task()].credentials.pid, number);
    }
    let before = (w.counts(), w.names(a));
    for _ in 0..2 {
        assert_eq!(spawn(&mut w, a, &program()), Err(KERN_RESOURCE_SHORTAGE));
    }
    assert_eq!((w.counts(), w.names(a)), before);
}

/// Boots a kernel and passes these arguments to the first program.
fn boot_with(arguments: &[u8]) -> Result<(), BootError> {
    let mut files = archive("init", &program());
    let end_of_archive = 2 * 512;
    files.truncate(files.len() - end_of_archive);
    files.extend(archive("cmdline", arguments));
    let mut kernel = Kernel::new(Config {
        bundle: Vec::leak(files),
        seed: 0,
        clock: FakeMachine::clock(),
        limits: Limits::default(),
    })
    .unwrap();
    kernel.boot(&mut FakeMachine::new()).map(|_| ())
}

#[test]
fn boot_reports_too_many_arguments_of_the_first_program() {
    let room = ARGUMENTS_SIZE_MAX as usize - b"init\0".len();
    let long = [vec![b'x'; room - 1], vec![0]].concat();
    assert_eq!(boot_with(&long), Ok(()), "the longest argument that fits");
    assert_eq!(boot_with(&[b"x", &long[..]].concat()), Err(BootError::TooManyArguments), "one byte more");
    assert_eq!(boot_with(&vec![0; room]), Err(BootError::TooManyArguments), "pointers for half of the stack");
    let text = BootError::TooManyArguments.to_string();
    assert!(text.contains("too many arguments"), "{text}");
}
