//! Random changes to messages, to find one for which the decoder panics, allocates too much or loses a right.
//!
//! `FUZZ_INPUTS` is the number of inputs, `TALLY_SEED` chooses others. `user/xpc/fuzz` has the same property as a
//! target for `cargo fuzz`, which sees which code an input reaches but needs a nightly compiler.

mod mutation;
mod property;
mod random;

use mutation::{Input, Pool};
use property::check_with;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::collections::{HashMap, HashSet};
use std::mem::discriminant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use xpc::wire::{ALLOCATED_PER_BYTE, DecodeError, decode};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Inputs of a run of the tests.
const INPUTS: u64 = 200_000;
/// Bytes that decoding may allocate whatever its input: the text of an error of the codec.
const ALLOCATED_FOR_ERROR: usize = 128;

/// Measurements of an input before its allocations are believed to be too large.
const MEASUREMENTS: usize = 3;
/// Bytes of an input that are shown if it fails.
const SHOWN: usize = 4_096;

/// Allocations of decoding.
#[derive(Clone, Copy, Default)]
struct Allocated {
    /// Bytes allocated in all, which are at least the bytes in use at any moment.
    bytes: usize,
    /// Vectors that have grown.
    reallocations: usize,
    /// Bytes of the input.
    input: usize,
}

impl Allocated {
    /// Returns true if the decoder keeps its promise. The vectors that it fills have their final size from the start.
    fn is_within_limit(&self) -> bool {
        self.reallocations == 0 && self.bytes <= ALLOCATED_PER_BYTE * self.input + ALLOCATED_FOR_ERROR
    }
}

/// Checks the property for an input. Returns the outcome and the allocations.
fn check_once(input: &Input) -> (Result<(), DecodeError>, Allocated) {
    let mut allocated = Allocated { input: input.body.len(), ..Allocated::default() };
    let result = check_with(&input.body, &input.sends, |body, descriptors| {
        let before = HEAP.stats();
        let result = decode(body, descriptors);
        let after = HEAP.stats();
        allocated.bytes = after.bytes_allocated - before.bytes_allocated;
        allocated.reallocations = after.reallocations - before.reallocations;
        result
    });
    (result, allocated)
}

/// [`check_once`], and checks the allocations. Those of the thread that reports on tests are counted, too, so a result
/// that is too large is measured again.
fn check(input: &Input) -> (Result<(), DecodeError>, Allocated) {
    let (mut result, mut allocated) = check_once(input);
    for _ in 1..MEASUREMENTS {
        if !allocated.is_within_limit() {
            (result, allocated) = check_once(input);
        }
    }
    assert!(
        allocated.is_within_limit(),
        "{} bytes for {} of input, {} reallocations",
        allocated.bytes,
        allocated.input,
        allocated.reallocations
    );
    (result, allocated)
}

/// Outcomes that must occur if the inputs are any good: success and one error of each kind.
fn outcomes() -> Vec<Result<(), DecodeError>> {
    use DecodeError::*;
    let errors = [
        Unaligned,
        Version(0),
        Flags(1),
        Truncated,
        TrailingBytes,
        RootNotDictionary,
        KeyNotString,
        DuplicateKey,
        UnsortedKeys,
        NotUtf8,
        UnknownType,
        UnknownTag(0),
        WrongContent,
        NotShortest,
        IntegerOutOfRange,
        UuidLength(0),
        UnknownError(3),
        TooDeep,
        NoSuchRight(0),
        RightUsedTwice(0),
        UnsortedRights(1),
        NotSendRight(0),
        UnusedRights(1),
    ];
    errors.map(Err).into_iter().chain([Ok(())]).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The only test of this program: the allocations of others would be counted, too.
#[test]
fn the_decoder_survives_any_input() {
    let inputs = number("FUZZ_INPUTS").unwrap_or(INPUTS);
    let seed = number("TALLY_SEED").unwrap_or(0);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut pool = Pool::new(&mut random);
    let mut seen: HashMap<_, (Result<(), DecodeError>, u64)> = HashMap::new();
    let (mut most, mut densest) = (Allocated::default(), Allocated { input: 1, ..Allocated::default() });
    let mut bytes = 0;
    for count in 0..inputs {
        let input = pool.next(count, &mut random);
        bytes += input.body.len() as u64;
        let Ok((result, allocated)) = catch_unwind(AssertUnwindSafe(|| check(&input))) else {
            let shown = &input.body[..input.body.len().min(SHOWN)];
            panic!("TALLY_SEED={seed}, input {count}: {:?}, {shown:02x?}", input.sends);
        };
        let kind = result.map_err(|error| discriminant(&error));
        let times = &mut seen.entry(kind).or_insert((result, 0)).1;
        *times += 1;
        if allocated.bytes > most.bytes {
            most = allocated;
        }
        if allocated.input > 64 && allocated.bytes * densest.input > densest.bytes * allocated.input {
            densest = allocated;
        }
        pool.keep(input, result.is_ok(), *times, &mut random);
    }
    println!(
        "{inputs} inputs of {} bytes on average; most allocated: {} bytes for {}",
        bytes / inputs.max(1),
        most.bytes,
        most.input
    );
    println!("most for a byte: {} bytes for {}", densest.bytes, densest.input);
    let mut texts = HashSet::new();
    for (result, times) in seen.values() {
        let text = result.map_or_else(|error| error.to_string(), |()| "the message is valid".into());
        println!("{times:10} {text}");
        assert!(!text.is_empty() && texts.insert(text), "{result:?} has the text of another error");
    }
    for outcome in outcomes() {
        assert!(seen.contains_key(&outcome.map_err(|error| discriminant(&error))), "no input gave {outcome:?}");
    }
}
