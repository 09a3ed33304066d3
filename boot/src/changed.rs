//! Kernels and bundles that are changed at random: boot refuses them with a fault, or accepts what is safe.
//!
//! `FUZZ_INPUTS` is the number of inputs, `TALLY_SEED` chooses others.

use std::vec::Vec;

use crate::bundle;
use crate::image::{HIGHER_HALF, KernelImage};
use crate::testing::{Elf, tar};

/// Inputs of a run of the tests.
const INPUTS: u64 = 20_000;

/// A generator of pseudo-random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Changes the bytes in up to three ways, mostly near the beginning and the end, where headers are.
fn change(bytes: &mut Vec<u8>, headers: usize, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let length = bytes.len().max(1);
        let near = random.below(headers.min(length));
        let at = if random.below(2) == 0 { near } else { length - 1 - near };
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let field = at / 8 * 8;
                let value = [0, 1, 0xFFF, 0x1000, 1 << 47, HIGHER_HALF, u64::MAX][random.below(7)].to_le_bytes();
                bytes.iter_mut().skip(field).zip(value).for_each(|(byte, new)| *byte = new);
            }
            2 => bytes.extend([0; 16]),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

/// Calls `each` for all inputs, and says at which it has panicked.
fn try_all(mut each: impl FnMut(&mut Random)) {
    let inputs = number("FUZZ_INPUTS").unwrap_or(INPUTS);
    let mut random = Random(number("TALLY_SEED").unwrap_or(0).wrapping_mul(2) + 1);
    for input in 0..inputs {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| each(&mut random)));
        assert!(outcome.is_ok(), "input {input} fails");
    }
}

#[test]
fn a_changed_kernel_is_refused_or_has_safe_segments() {
    let good = Elf::good().build();
    let (mut accepted, mut refused) = (0, [0; 0x80]);
    try_all(|random| {
        let mut file = good.clone();
        change(&mut file, 300, random);
        match KernelImage::parse(&file) {
            Ok(image) => {
                accepted += 1;
                for segment in &image.segments {
                    assert!(!segment.writable || !segment.executable, "{segment:x?}");
                    assert!(segment.memory.start >= HIGHER_HALF, "{segment:x?}");
                    assert!(segment.bytes.len() as u64 <= segment.memory.length(), "{segment:x?}");
                }
                assert!(
                    image.segments.iter().any(|segment| segment.executable && segment.memory.contains(image.entry))
                );
            }
            Err(fault) => refused[fault.code() as usize] += 1,
        }
    });
    let kinds = refused.iter().filter(|&&times| times > 0).count();
    assert!(accepted > 100 && kinds > 8, "{accepted} are accepted, {kinds} kinds of faults");
}

#[test]
fn a_changed_bundle_has_a_kernel_or_is_refused() {
    let good = tar(&[("init", b"other"), ("kernel", &[7; 1000]), ("last", b"")]);
    let (mut found, mut refused) = (0, 0);
    try_all(|random| {
        let mut bytes = good.clone();
        change(&mut bytes, 2048, random);
        match bundle::kernel(&bytes) {
            Ok(kernel) => {
                found += 1;
                let (outer, inner) = (bytes.as_ptr_range(), kernel.as_ptr_range());
                assert!(outer.start <= inner.start && inner.end <= outer.end, "the kernel is outside of the bundle");
            }
            Err(_) => refused += 1,
        }
    });
    assert!(found > 100 && refused > 100, "{found} have a kernel, {refused} are refused");
}
