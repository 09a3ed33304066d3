//! ELF files.

use super::bytes::change;
use super::{BATCH, Stage, run_batches};
use crate::program::*;
use crate::simulation::Random;
use abi::code::*;
use kernel::machine::{Protection, UserAddr};

/// Inputs of a run of the tests.
const INPUTS: u64 = 4_000;
/// What a spawn of an image may return.
const CODES: [abi::KernReturn; 3] = [KERN_FAILURE, KERN_RESOURCE_SHORTAGE, KERN_NO_SPACE];

/// Returns programs of all shapes: small, with data, position-independent, with many segments.
fn seeds() -> Vec<Vec<u8>> {
    const BASE: u64 = PROGRAM_BASE;
    let text = (PT_LOAD, READ | EXECUTE, 0, BASE, 1_000, 1_000);
    let data = (PT_LOAD, READ | WRITE, 1_001, BASE + 0x2010, 500, 9_000);
    let constants = (PT_LOAD, READ, 256, BASE + 0x1_0000, 16, 16);
    let nothing = (PT_LOAD, READ | WRITE, 0, 0, 0, 0);
    let many: Vec<Segment> =
        (0..32).map(|n| (PT_LOAD, READ | (EXECUTE * u32::from(n == 0)), 0, BASE + 0x1000 * n, 100, 100)).collect();
    vec![
        program(),
        image(ET_EXEC, BASE + 0x200, &[text, data, constants, nothing], 1_600),
        image(
            ET_DYN,
            0x200,
            &[(PT_LOAD, READ | EXECUTE, 0, 0, 1_000, 1_000), (PT_LOAD, READ | WRITE, 0, 0x3000, 8, 8)],
            1_000,
        ),
        image(ET_EXEC, BASE, &many, 2_000),
    ]
}

fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut file = seeds[random.below(seeds.len() as u64) as usize].clone();
    // Most changes are to the headers, of which the file has few.
    if random.one_in(4) {
        change(&mut file, random);
        return file;
    }
    let headers = ELF_HEADER_SIZE + PROGRAM_HEADER_SIZE * random.pick(&[1, 1, 2, 4]);
    let rest = file.split_off(headers.min(file.len()));
    let size = file.len();
    change(&mut file, random);
    file.resize(size, 0);
    file.extend(rest);
    file
}

#[test]
fn a_changed_program_is_refused_or_mapped_with_rights_that_are_safe() {
    let seeds = seeds();
    let outcomes = run_batches(INPUTS, |random, outcomes| {
        let mut stage = Stage::new();
        let actor = stage.actor;
        let w = &mut stage.world;
        for _ in 0..BATCH {
            let file = changed(&seeds, random);
            let before = (w.counts(), w.names(actor));
            let result = w.spawn_image(actor, &file, spawn_args());
            let text = match result {
                Ok(name) => {
                    let task = w.newest_task();
                    let thread = w.kernel.tasks[task].threads.front().expect("a child has a thread");
                    let (space, entry) = (w.kernel.tasks[task].address_space, w.kernel.sched[thread].frame().rip);
                    let rights = w.machine.protection(space, UserAddr(entry)).expect("the entry point is mapped");
                    assert!(rights.contains(Protection::EXECUTE), "the entry point is code");
                    w.exit(task);
                    w.deallocate(actor, name).expect("a dead name");
                    "a program".to_owned()
                }
                Err(code) => {
                    assert!(CODES.contains(&code), "{code}");
                    match w.machine.log.last().and_then(|line| line.split("does not start: ").nth(1)) {
                        Some(reason) if code == KERN_FAILURE => reason.to_owned(),
                        _ => code.to_string(),
                    }
                }
            };
            *outcomes.entry(text).or_insert(0) += 1;
            assert_eq!((w.counts(), w.names(actor)), before, "a spawn leaves nothing behind");
        }
        w.machine.log.clear();
        stage.finish();
    });
    if let Some(outcomes) = outcomes {
        assert!(outcomes.len() > 12 && outcomes["a program"] > 500, "the files are too similar: {outcomes:?}");
    }
}
