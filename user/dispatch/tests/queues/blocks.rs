//! Block objects and their flags (dispatch 4.5, 10.D).

use crate::world::*;
use dispatch::activity::Activity;
use dispatch::block::{Block, BlockFlags, block_perform};
use dispatch::group::Group;
use dispatch::qos::{Priority, Qos};
use dispatch::queue::Queue;
use dispatch::thread::set_qos_class_self;
use dispatch::voucher::Voucher;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};

const NO_FLAGS: u32 = 0;

/// Returns what a block sees that `make` makes around a probe, in the context in which this thread has it made.
fn probing(world: &World, make: impl FnOnce(Box<dyn Fn() + Send + Sync>) -> Option<Block>) -> (Block, Receiver<Probe>) {
    let (sender, receiver) = channel();
    (make(Box::new(world.prober(&sender))).expect("the block is valid"), receiver)
}

/// Returns what a block sees that is submitted to a queue from a context.
fn submitted(
    world: &World,
    queue: &Queue,
    from: (Priority, Option<&Arc<Voucher>>),
    make: impl FnOnce(Box<dyn Fn() + Send + Sync>) -> Option<Block>,
) -> Probe {
    let (block, receiver) = probing(world, make);
    world.on(from.0, from.1, || queue.run_block(&block));
    receive(&receiver)
}

// covers dispatch AE-49
#[test]
fn an_assigned_class_is_not_capped() {
    let world = World::new();
    let make = |work| Block::with_class(NO_FLAGS, Qos::UserInteractive, 0, work);
    let seen = submitted(&world, &Queue::new("q"), (BG, None), make);
    assert_eq!(seen.requested, Priority(0x20ff));
}

// covers dispatch AE-50
#[test]
fn a_detached_block_has_no_voucher_no_activity_and_the_queues_class() {
    let world = World::new();
    let x = world.voucher();
    let (sender, receiver) = channel();
    let block = Block::new(BlockFlags::DETACHED.bits(), move || {
        sender.send(Activity::current_id()).expect("the test waits");
    });
    let queue = Queue::new("q");
    world.on(IN, Some(&x), || queue.run_block(&block.expect("the flags are valid")));
    assert!(receive(&receiver).0.is_none());
    let make = |work| Block::new(BlockFlags::DETACHED.bits(), work);
    let seen = submitted(&world, &queue, (IN, Some(&x)), make);
    assert_eq!(seen.requested, DEF);
    assert_voucher(&seen, None);
}

// covers dispatch AE-51
#[test]
fn a_block_without_a_class_leaves_it_to_the_queue_and_has_the_voucher() {
    let world = World::new();
    let (queue, x) = (Queue::new("q"), world.voucher());
    let seen = [
        submitted(&world, &queue, (IN, Some(&x)), |work| Block::new(BlockFlags::NO_QOS_CLASS.bits(), work)),
        submitted(&world, &queue, (IN, Some(&x)), |work| Block::with_class(NO_FLAGS, Qos::Unspecified, 0, work)),
    ];
    for seen in seen {
        assert_eq!(seen.requested, DEF);
        assert_voucher(&seen, Some(&x));
    }
}

// covers dispatch AE-52
#[test]
fn a_block_without_a_voucher_has_none_of_the_item_before_either() {
    let world = World::new();
    let (queue, x, y) = (Queue::new("q"), world.voucher(), world.another_voucher());
    let (sender, receiver) = channel();
    let (first, door) = (world.prober(&sender), Door::new());
    let inside = door.clone();
    world.on(IN, Some(&y), || {
        queue.run_async(move || {
            first();
            inside.pass();
        });
    });
    let (block, seen) = probing(&world, |work| Block::new(BlockFlags::NO_VOUCHER.bits(), work));
    world.on(IN, Some(&x), || queue.run_block(&block));
    door.open();
    let (first, seen) = (receive(&receiver), receive(&seen));
    assert_voucher(&first, Some(&y));
    assert_eq!((seen.requested, seen.thread), (IN, first.thread));
    assert_voucher(&seen, None);
}

// covers dispatch AE-53
#[test]
fn an_assigned_context_is_that_of_the_creation() {
    let world = World::new();
    let (queue, x, y) = (Queue::new("q"), world.voucher(), world.another_voucher());
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    let block = world.on(IN, Some(&x), || Block::new(BlockFlags::ASSIGN_CURRENT.bits(), probe));
    world.on(BG, Some(&y), || queue.run_block(&block.expect("the flags are valid")));
    let seen = receive(&receiver);
    assert_eq!(seen.requested, IN);
    assert_voucher(&seen, Some(&x));
}

// covers dispatch AE-54
#[test]
fn a_plain_block_captures_at_each_submission() {
    let world = World::new();
    let (queue, x, y) = (Queue::new("q"), world.voucher(), world.another_voucher());
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    let block = world.on(IN, Some(&x), || Block::new(NO_FLAGS, probe)).expect("the flags are valid");
    for (class, voucher) in [(BG, Some(&y)), (UT, None)] {
        world.on(class, voucher, || queue.run_block(&block));
        let seen = receive(&receiver);
        assert_eq!(seen.requested, class);
        assert_voucher(&seen, voucher);
    }
}

// covers dispatch AE-55
#[test]
fn enforced_and_inherited_classes_meet_the_class_of_the_queue() {
    let world = World::new();
    let queue = Queue::builder("q").class(Qos::Utility).build();
    let (enforce, inherit) = (BlockFlags::ENFORCE_QOS_CLASS, BlockFlags::INHERIT_QOS_CLASS);
    for (flags, expected) in [(enforce, IN), (inherit, UT), (enforce | inherit, IN)] {
        let make = |work| Block::with_class(flags.bits(), Qos::UserInitiated, 0, work);
        assert_eq!(submitted(&world, &queue, (BG, None), make).requested, expected, "{flags:?}");
    }
}

// covers dispatch AE-56
#[test]
fn a_direct_call_raises_the_thread_and_never_lowers_it() {
    let world = World::new();
    for (own, class, inside) in [(BG, Qos::UserInteractive, UI), (IN, Qos::Background, IN)] {
        let (block, seen) = probing(&world, |work| Block::with_class(NO_FLAGS, class, 0, work));
        let after = world.on(own, None, || {
            block.invoke();
            world.probe()
        });
        let seen = receive(&seen);
        assert_eq!((seen.requested, seen.in_kernel), (inside, inside));
        assert_eq!((after.requested, after.in_kernel), (own, own));
    }
}

// covers dispatch AE-57
#[test]
fn a_detached_perform_takes_the_voucher_away_meanwhile() {
    let world = World::new();
    let x = world.voucher();
    world.on(IN, Some(&x), || {
        let inside = block_perform(BlockFlags::DETACHED.bits(), || world.probe());
        assert_voucher(&inside, None);
        assert_eq!(inside.requested, IN);
        assert_voucher(&world.probe(), Some(&x));
    });
}

// covers dispatch AE-58
#[test]
fn a_block_with_a_voucher_lends_it_to_a_synchronous_call() {
    let world = World::new();
    let (queue, x, y) = (Queue::new("q"), world.voucher(), world.another_voucher());
    let (block, seen) = probing(&world, |work| Block::with_voucher(NO_FLAGS, Some(y.clone()), work));
    let references = (Arc::strong_count(&x), Arc::strong_count(&y));
    let after = world.on(IN, Some(&x), || {
        queue.sync_block(&block);
        world.probe()
    });
    assert_voucher(&receive(&seen), Some(&y));
    assert_voucher(&after, Some(&x));
    drop(after);
    assert_eq!((Arc::strong_count(&x), Arc::strong_count(&y)), references, "no reference is lost");
}

// covers dispatch AE-59
#[test]
fn a_cancelled_block_does_not_run_and_gives_its_voucher_up_in_its_turn() {
    let world = World::new();
    let (queue, done) = (Queue::new("q"), Group::new());
    let x = world.voucher();
    let weak: Weak<Voucher> = Arc::downgrade(&x);
    queue.suspend();
    let block = Block::new(NO_FLAGS, || panic!("it was cancelled")).expect("the flags are valid");
    world.on(IN, Some(&x), || queue.run_block(&block));
    drop(x);
    done.enter();
    let end = done.clone();
    block.notify(&Queue::new("other"), move || end.leave());
    block.cancel();
    assert!(block.is_cancelled() && !block.is_done());
    assert!(weak.strong_count() > 0, "the item has its voucher until its turn");
    queue.resume();
    assert!(done.wait(None), "its group empties");
    assert!(block.is_done());
    await_death(&weak);
}

fn assert_unknown_flags_give_no_block() {
    assert!(Block::new(0x100, || ()).is_none());
    assert!(Block::with_class(0x100, Qos::Utility, 0, || ()).is_none());
    assert!(Block::with_voucher(0x100, None, || ()).is_none());
    assert!(Block::new(0xff, || ()).is_some());
}

// covers dispatch AE-4
#[test]
fn a_relative_priority_out_of_range_is_refused() {
    let world = World::new();
    for (relative, is_valid) in [(-16, false), (-15, true), (0, true), (1, false)] {
        assert_eq!(Block::with_class(NO_FLAGS, Qos::Utility, relative, || ()).is_some(), is_valid, "{relative}");
        world.on(BG, None, || {
            let set = set_qos_class_self(Qos::Utility, relative);
            let expected = Priority::new(Qos::Utility, relative).filter(|_| is_valid).unwrap_or(BG);
            assert_eq!((set.is_ok(), world.probe().requested), (is_valid, expected), "{relative}");
        });
    }
}

// covers dispatch AE-60
#[test]
#[should_panic(expected = "a block is waited for twice")]
fn unknown_flags_give_no_block_and_two_waits_for_one_are_fatal() {
    let _world = World::new();
    assert_unknown_flags_give_no_block();
    let block = Block::new(NO_FLAGS, || ()).expect("the flags are valid");
    Queue::new("q").run_block(&block);
    assert!(block.wait(None));
    block.wait(None);
}
