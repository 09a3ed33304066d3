//! Random walks through Mach IPC end as in XNU's own code (`tools/walk/README.md`).

use std::process::Command;
use tools::qemu::run;
use tools::root;

#[track_caller]
fn assert_all_agree(kind: &str) {
    let outcome = run(Command::new(root().join("tools/walk/walk.sh")).arg(kind));
    assert_eq!(outcome.status, 0, "{}{}", outcome.output, outcome.errors);
    assert!(outcome.output.starts_with("100 walks of "), "{}", outcome.output);
    assert!(outcome.output.ends_with(" lines: 100 agree, 0 differ\n"), "{}", outcome.output);
}

#[test]
fn walks_of_one_task_end_as_recorded() {
    assert_all_agree("plain");
}

#[test]
fn walks_of_two_tasks_end_as_recorded() {
    assert_all_agree("pair");
}
