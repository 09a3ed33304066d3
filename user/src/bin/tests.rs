//! The program that runs one test, `tests GROUP::NAME [SEED]`, or acts as a child of a test, `tests child NAME`.

#![cfg_attr(target_os = "none", no_std, no_main)]

use user::sys::Arguments;
use user::{println, suite};

runtime::program!(start);

/// The exit status for an unknown test.
const USAGE: i32 = 64;

fn start(mut arguments: Arguments) -> i32 {
    let wanted = arguments.nth(1).unwrap_or("");
    let run = match (wanted, arguments.next()) {
        ("child", Some(name)) => suite::child(name),
        (_, seed) => {
            suite::set_seed(seed.and_then(|number| number.parse().ok()));
            suite::function(wanted)
        }
    };
    match run {
        Some(run) => run(),
        None => {
            println!("tests: there is no test {wanted:?}");
            return USAGE;
        }
    }
    0
}
