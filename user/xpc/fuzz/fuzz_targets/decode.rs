//! What holds for any bytes, as a target for `cargo fuzz`: `cd user/xpc && cargo +nightly fuzz run decode`.
//!
//! `tests/fuzz` checks the same with random changes, on any compiler, and runs with the other tests.

#![no_main]

#[path = "../../tests/fuzz/property.rs"]
mod property;

use libfuzzer_sys::fuzz_target;
use xpc::wire::decode;

fuzz_target!(|data: &[u8]| {
    // The first byte is the number of descriptors, the second has a bit for each of the first eight: no send right.
    let [count, others, body @ ..] = data else { return };
    let sends: Vec<bool> = (0..count % 16).map(|index| index >= 8 || others >> index & 1 == 0).collect();
    let _ = property::check_with(body, &sends, decode);
});
