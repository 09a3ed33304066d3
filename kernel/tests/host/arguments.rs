//! What the kernel itself takes from the arguments of programs: the names of tasks, and its own options.

use crate::machine::FakeMachine;
use crate::program::{archive, program, spawn_args};
use crate::world::World;
use abi::task::TaskSpawnArgs;
use kernel::kernel::{Config, Kernel};
use kernel::limits::Limits;

/// Returns the name of a task that is started with these arguments.
fn name_with(arguments: &[u8]) -> String {
    let mut w = World::new();
    let a = w.task();
    let at = w.buffer(a) + 8 * 4096;
    w.put(a, at - a.memory, arguments);
    let args = TaskSpawnArgs { arguments: at, arguments_size: arguments.len() as u64, ..spawn_args() };
    w.start_spawn(a, args).unwrap();
    w.kernel.tasks[w.newest_task()].name.to_string()
}

#[test]
fn a_task_has_the_name_that_its_first_argument_is() {
    assert_eq!(name_with(b"codecd\0photos\0"), "codecd");
    assert_eq!(name_with("naïve\0".as_bytes()), "naïve");
    assert_eq!(name_with(b"\x1b[31mred\x07\0"), "[31mred", "what could disturb a terminal is left out");
    assert_eq!(name_with(&[&[b'x'; 100][..], b"\0"].concat()), "x".repeat(32), "it is cut off");
    assert_eq!(name_with("ééééééééééééééééé\0".as_bytes()), "é".repeat(16), "between two characters");
    assert_eq!(name_with(b"\xff\xfe\0"), "", "it must be text");
    assert_eq!(name_with(b""), "");
    assert_eq!(name_with(b"\0second\0"), "");
    let w = World::new();
    assert_eq!(w.kernel.tasks[w.init.task].name, "init", "the first task has the name of its file");
}

#[test]
fn options_of_the_kernel_stand_before_the_command_of_the_first_program() {
    let is_set = |arguments: &[u8]| {
        let mut bundle = archive("init", &program());
        bundle.truncate(bundle.len() - 2 * 512);
        bundle.extend(archive("cmdline", arguments));
        let (seed, limits) = (0, Limits::default());
        let config = Config { bundle: Vec::leak(bundle), seed, clock: FakeMachine::clock(), limits };
        Kernel::new(config).unwrap().is_booted_with("--dump-on-panic")
    };
    assert!(is_set(b"--dump-on-panic\0") && is_set(b"--trace\0--dump-on-panic\0run\0x\0"));
    assert!(!is_set(b"run\0--dump-on-panic\0") && !is_set(b"--dump-on-panics\0") && !is_set(b""));
}
