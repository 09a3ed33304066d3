//! The cost of importance donation: `cargo bench -p voucher --bench importance`.

mod scene;

use scene::Scene;
use std::hint::black_box;
use std::time::{Duration, Instant};
use voucher::importance::SendMode;

/// The time for which each measurement repeats. The result is the least time, because disturbances only add to it.
const TIME: Duration = Duration::from_millis(300);

/// Prints the least time of an operation that does something `count` times.
fn measure(name: &str, count: usize, mut operation: impl FnMut()) {
    let mut least = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed() < TIME {
        let start = Instant::now();
        operation();
        least = least.min(start.elapsed().as_nanos() as f64 / count as f64);
    }
    println!("{name:<70} {least:>8.1} ns");
}

/// The number of operations that are timed together.
const BATCH: usize = 1_000;

fn sends() {
    let mut scene = Scene::new();
    let (donor, daemon) = (scene.donor(), scene.daemon());
    let (closed, open) = (scene.port(daemon, false), scene.port(daemon, true));
    measure("test of a message to a port that accepts no donation", BATCH, || {
        for _ in 0..BATCH {
            black_box(scene.needs_send(black_box(closed), donor, SendMode::Normal));
        }
    });
    measure("test of a message that will be linked", BATCH, || {
        for _ in 0..BATCH {
            black_box(scene.needs_send(black_box(open), donor, SendMode::Normal));
        }
    });
    measure("send + clean; the receiver becomes boosted and ceases to be", BATCH, || {
        for _ in 0..BATCH {
            let link = scene.send(donor, open);
            scene.clean(link);
        }
    });
    let kept = scene.send(donor, open);
    measure("send + clean; the receiver is boosted anyway", BATCH, || {
        for _ in 0..BATCH {
            let link = scene.send(donor, open);
            scene.clean(link);
        }
    });
    measure("send + receive with a new voucher + its release", BATCH, || {
        for _ in 0..BATCH {
            let link = scene.send(donor, open);
            let voucher = scene.receive(daemon, link);
            scene.release(voucher);
        }
    });
    let link = scene.send(donor, open);
    let first = scene.receive(daemon, link);
    measure("send + receive with a known voucher + its release", BATCH, || {
        for _ in 0..BATCH {
            let link = scene.send(donor, open);
            let voucher = scene.receive(daemon, link);
            scene.release(voucher);
        }
    });
    scene.release(first);
    scene.clean(kept);
}

/// Measures a donor that ceases to be one and becomes one again.
fn changes() {
    for (name, ports, per_port) in
        [("1,000 messages to one port", 1, 1_000), ("1,000 ports with a message each", 1_000, 1)]
    {
        let mut scene = Scene::new();
        let donor = scene.donor();
        for _ in 0..ports {
            let daemon = scene.daemon();
            let port = scene.port(daemon, true);
            for _ in 0..per_port {
                scene.send(donor, port);
            }
        }
        measure(&format!("change of a donor with {name}, each"), 2 * 1_000, || scene.toggle(donor));
    }
    let mut scene = Scene::new();
    let donor = scene.donor();
    let mut last = donor;
    for _ in 0..1_000 {
        let daemon = scene.daemon();
        let port = scene.port(daemon, true);
        let link = scene.send(last, port);
        scene.receive(daemon, link);
        last = daemon;
    }
    measure("change of a donor before a chain of 1,000 tasks, each", 2 * 1_000, || scene.toggle(donor));
}

fn main() {
    sends();
    changes();
}
