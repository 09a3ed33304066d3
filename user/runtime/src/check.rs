//! Assertions that print the expected and the seen value, and the report of a panic.
//!
//! A failed assertion panics, and a panic ends the task with status [`PANICKED`](crate::PANICKED) after a report on the
//! console.

use crate::{print, println};
use core::fmt::Debug;
use core::panic::PanicInfo;

/// Panics unless `seen` equals `expected`.
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

/// Panics unless `seen` lies between `least` and `most`, both included.
#[track_caller]
pub fn between(what: &str, seen: u64, least: u64, most: u64) {
    if !(least..=most).contains(&seen) {
        panic!("{what}\n      expected: {least} to {most}\n          seen: {seen}");
    }
}

/// Prints the message and the place of a panic.
pub fn report(info: &PanicInfo<'_>) {
    print!("\n      {}", info.message());
    match info.location() {
        Some(place) => println!("\n            at {}:{}", place.file(), place.line()),
        None => println!(),
    }
}
