//! Bundles.

use super::bytes::change;
use super::run_batches;
use crate::program::{archive, program};
use kernel::bundle::Bundle;

/// Inputs of a run of the tests. Each stays in memory, as the bundle does.
const INPUTS: u64 = 3_000;

/// Returns an archive with several files.
fn files() -> Vec<u8> {
    const END: usize = 2 * 512;
    let parts = [archive("init", &program()), archive("cmdline", b"a\0b\0"), archive("empty", b"")];
    let mut all: Vec<u8> = parts.iter().flat_map(|part| &part[..part.len() - END]).copied().collect();
    all.extend([0; END]);
    all
}

#[test]
fn files_of_a_changed_bundle_lie_in_it() {
    let whole = files();
    let outcomes = run_batches(INPUTS, |random, outcomes| {
        for _ in 0..super::BATCH {
            let mut bytes = whole.clone();
            change(&mut bytes, random);
            // The fields of headers, which are a small part of an archive.
            if random.one_in(2) {
                let at = 512 * random.below(bytes.len().div_ceil(512).max(1) as u64) as usize;
                let field = at + random.pick(&[0, 100, 124, 148, 156, 257]) + random.below(12) as usize;
                if let Some(byte) = bytes.get_mut(field) {
                    *byte = random.pick(b"0123456789 \0\xFF~");
                }
            }
            let bytes: &'static [u8] = bytes.leak();
            let bundle = Bundle::new(bytes);
            for name in ["init", "cmdline", "empty", "none", ""] {
                let Some(file) = bundle.file(name) else { continue };
                let (range, inner) = (bytes.as_ptr_range(), file.as_ptr_range());
                assert!(range.start <= inner.start && inner.end <= range.end, "{name} is outside of the bundle");
                *outcomes.entry(name.into()).or_insert(0) += 1;
            }
        }
    });
    if let Some(outcomes) = outcomes {
        assert!(["init", "cmdline", "empty"].iter().all(|name| outcomes[*name] > 100), "{outcomes:?}");
    }
}
