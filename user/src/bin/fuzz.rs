//! A fuzzer of the kernel: see `user::fuzz`. `./run-qemu.sh fuzz` runs it.
//!
//! ```text
//! fuzz [--seed N] [--rounds N]
//! fuzz play SEED DEPTH
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

use user::fuzz::driver::{Plan, run};
use user::fuzz::player::play;
use user::println;
use user::sys::Arguments;

runtime::program!(start);

/// The exit status for unknown arguments.
const USAGE: i32 = 64;

fn start(arguments: Arguments) -> i32 {
    let mut arguments = arguments.skip(1);
    let mut plan = Plan { seed: 1, rounds: 0 };
    while let Some(word) = arguments.next() {
        let mut number = || arguments.next().and_then(|number| number.parse().ok());
        match word {
            "play" => {
                return match (number(), number()) {
                    (Some(seed), Some(depth)) => play(seed, depth as u32),
                    _ => usage(),
                };
            }
            "--seed" => match number() {
                Some(seed) => plan.seed = seed,
                None => return usage(),
            },
            "--rounds" => match number() {
                Some(rounds) => plan.rounds = rounds,
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    run(&plan)
}

fn usage() -> i32 {
    println!("fuzz: the calls are fuzz [--seed N] [--rounds N] and fuzz play SEED DEPTH");
    USAGE
}
