//! The class that an asynchronous callout sees, for each kind of queue and each class of the submitter (dispatch 1.10).

use crate::world::*;
use dispatch::main_queue;
use dispatch::qos::{Priority, Qos};
use dispatch::queue::{Queue, QueueFlags};
use std::sync::mpsc::channel;

/// The columns: what the submitter requests.
const SUBMITTERS: [Priority; 6] = [NONE, BG, UT, DEF, IN, UI];

/// How an item is submitted.
#[derive(Clone, Copy)]
enum How {
    Plain,
    Enforced,
}

/// A row: its letter, the queue, how items are submitted, and the expected class for each of the first five columns. A
/// user-interactive submitter appears as a user-initiated one.
struct Row(&'static str, Queue, How, [Priority; 5]);

fn rows() -> Vec<Row> {
    let of_class = |class| Queue::builder("classed").class(class).build();
    let utility = of_class(Qos::Utility);
    let floor = Queue::builder("floor").floor(Qos::Utility).build();
    let leaf = Queue::builder("leaf").target(&utility).build();
    let interactive = Queue::builder("UI on UT").class(Qos::UserInteractive).target(&utility).build();
    let initiated = of_class(Qos::UserInitiated);
    let on_initiated = Queue::builder("UT on IN").class(Qos::Utility).target(&initiated).build();
    let global = |class| Queue::global(class, QueueFlags::empty());
    vec![
        Row("a serial", Queue::new("plain"), How::Plain, [DEF, BG, UT, DEF, IN]),
        Row("a concurrent", Queue::concurrent("plain"), How::Plain, [DEF, BG, UT, DEF, IN]),
        Row("b", utility.clone(), How::Plain, [UT; 5]),
        Row("c", utility, How::Enforced, [UT, UT, UT, DEF, IN]),
        Row("d", floor, How::Plain, [UT, UT, UT, DEF, IN]),
        Row("e", leaf, How::Plain, [UT, UT, UT, DEF, IN]),
        Row("f", interactive, How::Plain, [UI; 5]),
        Row("g", on_initiated, How::Plain, [IN; 5]),
        Row("h", global(Qos::DEFAULT), How::Plain, [DEF, BG, UT, DEF, IN]),
        Row("i UT", global(Qos::Utility), How::Plain, [UT; 5]),
        Row("i BG", global(Qos::Background), How::Plain, [BG; 5]),
        Row("i IN", global(Qos::UserInitiated), How::Plain, [IN; 5]),
        Row("i UI", global(Qos::UserInteractive), How::Plain, [UI; 5]),
    ]
}

#[test]
fn callouts_see_the_classes_of_the_matrix() {
    let world = World::new();
    for Row(name, queue, how, expected) in rows() {
        let expected = expected.into_iter().chain([expected[4]]);
        for (submitter, expected) in SUBMITTERS.into_iter().zip(expected) {
            let seen = world.seen(submitter, None, |item| match how {
                How::Plain => queue.run_async(item),
                How::Enforced => queue.run_async_enforced(item),
            });
            assert_eq!(seen.requested, expected, "row {name}, submitter {submitter:?}");
        }
    }
}

#[test]
fn callouts_of_the_main_queue_see_the_class_of_the_main_thread() {
    let world = World::new();
    let (sender, receiver) = channel();
    world.on(UI, None, || {
        main_queue::bind();
        for submitter in SUBMITTERS {
            let probe = world.prober(&sender);
            world.on(submitter, None, || Queue::main().run_async(probe));
            assert!(main_queue::drain());
        }
    });
    for submitter in SUBMITTERS {
        assert_eq!(receive(&receiver).requested, UI, "row j, submitter {submitter:?}");
    }
}
