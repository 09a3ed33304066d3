//! The arguments of `task_spawn`.

use super::bytes::change;
use super::{BATCH, Stage, run_batches};
use crate::program::{program, spawn_args};
use crate::world::{ARGUMENTS, BUFFER};
use abi::task::*;
use abi::trap::tally::TASK_SPAWN;
use kernel::limits::ARGUMENTS_SIZE_MAX;
use zerocopy::IntoBytes;

/// Inputs of a run of the tests.
const INPUTS: u64 = 5_000;
/// Where in an actor's memory strings and names are.
const STRINGS: u64 = 20 * PAGE_SIZE;
const WATCHED: u64 = 30 * PAGE_SIZE;

#[test]
fn changed_arguments_start_a_task_or_are_refused() {
    let file = program();
    let outcomes = run_batches(INPUTS, |random, outcomes| {
        let mut stage = Stage::new();
        let a = stage.actor;
        let w = &mut stage.world;
        for _ in 0..BATCH {
            w.put(a, BUFFER, &file);
            let watched: Vec<u32> = w.names(a).iter().take(8).map(|entry| entry.0.0).collect();
            w.put(a, WATCHED, watched.as_bytes());
            let strings: Vec<u8> = (0..200).map(|_| random.pick(b"ab\0\0\xFF")).chain([0]).collect();
            w.put(a, STRINGS, &strings);
            let whole = strings.len() as u64;
            let sizes = [0, 0, 0, whole, whole, whole, 1, ARGUMENTS_SIZE_MAX, ARGUMENTS_SIZE_MAX + 1];
            let args = TaskSpawnArgs {
                image: w.buffer(a),
                image_size: file.len() as u64,
                image_kind: SPAWN_IMAGE_BYTES,
                arguments: a.memory + STRINGS,
                arguments_size: random.pick(&sizes),
                environment: a.memory + STRINGS,
                environment_size: random.pick(&sizes),
                app_type: random.below(6) as u32,
                role: random.below(5) as u32,
                qos_clamp: random.below(8) as u32,
                exit_port: random.pick(&[a.inbox, a.inbox, a.self_port, Default::default()]),
                exit_disposition: random.pick(&[21, 21, 21, 18]),
                persona: random.pick(&[0, 0, 501, PERSONA_ID_NONE]),
                properties: random.below(17) as u32,
                watch_ports: a.memory + WATCHED,
                watch_port_count: random.below(8).saturating_sub(5) as u32,
                ..spawn_args()
            };
            let mut bytes = args.as_bytes().to_vec();
            if random.one_in(2) {
                change(&mut bytes, random);
            }
            w.put(a, ARGUMENTS, &[0; 512]);
            w.put(a, ARGUMENTS, &bytes[..bytes.len().min(512)]);
            let before = w.counts();
            let words = [a.memory + ARGUMENTS, bytes.len() as u64, w.result(a)];
            let text = match w.call_for_name(a, TASK_SPAWN, &words) {
                Ok(name) => {
                    let task = w.newest_task();
                    w.exit(task);
                    w.deallocate(a, name).expect("a dead name");
                    let _ = w.poll(a, a.inbox);
                    "a task".to_owned()
                }
                Err(code) => code.to_string(),
            };
            *outcomes.entry(text).or_insert(0) += 1;
            let after = w.counts();
            assert_eq!((after.tasks, after.ports, after.names), (before.tasks, before.ports, before.names));
        }
        stage.finish();
    });
    if let Some(outcomes) = outcomes {
        assert!(outcomes.len() > 5 && outcomes["a task"] > 500, "the arguments are too similar: {outcomes:?}");
    }
}
