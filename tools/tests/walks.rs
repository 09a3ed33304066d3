//! Random walks through Mach IPC end as in XNU's own code (`tools/walk/README.md`).

use std::process::Command;
use tools::qemu::run;
use tools::root;

#[track_caller]
fn assert_all_agree(kind: &str, walks: u32) {
    let outcome = run(Command::new(root().join("tools/walk/walk.sh")).arg(kind));
    assert_eq!(outcome.status, 0, "{}{}", outcome.output, outcome.errors);
    assert!(outcome.output.starts_with(&format!("{walks} walks of ")), "{}", outcome.output);
    assert!(outcome.output.contains(&format!(" lines: {walks} agree, 0 differ\n")), "{}", outcome.output);
}

#[test]
fn walks_of_one_task_end_as_recorded() {
    assert_all_agree("plain", 100);
}

#[test]
fn walks_of_two_tasks_end_as_recorded() {
    assert_all_agree("pair", 100);
}

/// The walks in which the specification wants something else than XNU are not among the recorded ones.
#[test]
fn walks_with_vouchers_end_as_recorded() {
    assert_all_agree("voucher", 76);
}
