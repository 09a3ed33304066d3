//! `run-qemu.sh --strict-reply`: the setting reaches the kernel, and a reply from the wrong context is refused.

use tools::qemu::command_line;

/// The test that sees both: it prints a line if the setting is on, and passes without the setting too.
const TEST: &str = "xpc_strict::a_reply_comes_from_a_thread_that_works_for_the_persona_of_its_request";

#[test]
fn the_setting_is_on_in_the_ring_3_test_of_strict_replies() {
    let seen = command_line(&["--strict-reply", TEST]);
    assert_eq!(seen.status, 0, "{}{}", seen.output, seen.errors);
    assert!(seen.output.contains("strict replies are on"), "{}", seen.output);
    assert!(seen.output.ends_with("1 passed, 0 failed\n"), "{}", seen.output);
}
