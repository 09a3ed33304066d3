//! Assertions that say what was expected and what was seen, and the report of a program that fails one.
//!
//! They panic, and a panic ends the task with status [`PANICKED`](crate::PANICKED) after a report on the console.

use crate::{print, println};
use core::fmt::Debug;
use core::panic::PanicInfo;

/// Panics unless what was seen is what was expected.
#[track_caller]
pub fn equal<T: PartialEq + Debug>(what: &str, seen: T, expected: T) {
    if seen != expected {
        panic!("{what}\n      expected: {expected:?}\n          seen: {seen:?}");
    }
}

/// Panics unless `condition` holds.
#[track_caller]
pub fn that(what: &str, condition: bool) {
    if !condition {
        panic!("this does not hold: {what}");
    }
}

/// Panics unless `seen` lies in a range of numbers.
#[track_caller]
pub fn between(what: &str, seen: u64, least: u64, most: u64) {
    if !(least..=most).contains(&seen) {
        panic!("{what}\n      expected: {least} to {most}\n          seen: {seen}");
    }
}

/// Prints why a program panicked, and where.
pub fn report(info: &PanicInfo<'_>) {
    print!("\n      {}", info.message());
    match info.location() {
        Some(place) => println!("\n            at {}:{}", place.file(), place.line()),
        None => println!(),
    }
}
