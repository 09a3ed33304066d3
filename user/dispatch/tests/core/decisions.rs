//! Encodings and pure decisions (dispatch 10.A, 1.8, 1.10).

use abi::message::MsgOption;
use dispatch::qos::*;

const UI: Qos = Qos::UserInteractive;
const IN: Qos = Qos::UserInitiated;
const DEF: Qos = Qos::DEFAULT;
const UT: Qos = Qos::Utility;
const BG: Qos = Qos::Background;

fn plain(class: Qos) -> ItemPriority {
    ItemPriority::plain(Priority::of(class))
}

/// Returns the base of a thread that drains queues with these words, from the root to the leaf.
fn draining(words: &[QueuePriority]) -> Base {
    words.iter().fold(Base::NONE, |base, word| base.enter(word))
}

// covers dispatch AE-1
#[test]
fn each_class_has_its_word() {
    let words = [UI, IN, DEF, UT, BG, Qos::Maintenance, Qos::Unspecified].map(|class| Priority::of(class).0);
    assert_eq!(words, [0x20ff, 0x10ff, 0x08ff, 0x04ff, 0x02ff, 0x01ff, 0]);
    assert_eq!(Priority::encode(Qos::Unspecified, -3, Priority::OVERCOMMIT).0, 0x8000_0000, "only the flags");
}

// covers dispatch AE-2
#[test]
fn a_relative_priority_is_encoded_and_decoded() {
    let lowest = Priority::new(UT, -15).expect("it is in range");
    assert_eq!(lowest.0, 0x04f0);
    assert_eq!((lowest.class(), lowest.relative()), (UT, -15));
}

// covers dispatch AE-3
#[test]
fn the_lowest_class_bit_decides() {
    assert_eq!(Priority(0x0600).class(), BG);
}

#[test]
fn relative_priorities_out_of_range_are_no_priorities() {
    assert!(Priority::new(UT, -16).is_none() && Priority::new(UT, 1).is_none());
}

// covers dispatch AE-5
#[test]
fn work_takes_along_user_initiated_at_most() {
    assert_eq!(Priority(0x20f8).propagated(), Priority(0x10ff));
    assert_eq!(Priority(0x10f8).propagated(), Priority(0x10f8));
    for word in [0x20f8, 0x10f8, 0x02f3, 0] {
        let once = Priority(word).propagated();
        assert_eq!(once.propagated(), once, "0x{word:x}");
    }
    assert_eq!(Priority(0x8000_20ff).propagated(), Priority(0x10ff), "flags stay with the thread");
}

// covers dispatch AE-6
#[test]
fn a_message_carries_its_own_class_and_an_override_capped_at_user_initiated() {
    let ui = Priority::of(UI);
    let synchronous = of_message(ui, true);
    assert_eq!(synchronous.0, 0x20ff);
    assert_eq!(send_priority(synchronous.class(), synchronous), (MsgOption::SEND_OVERRIDE, 0x0056_ff00));
    let asynchronous = of_message(ui, false);
    assert_eq!(send_priority(asynchronous.class(), asynchronous), (MsgOption::SEND_OVERRIDE, 0x0055_ff00));
    let none = of_message(Priority::NONE, false);
    assert_eq!(send_priority(none.class(), none), (MsgOption::empty(), 0));
}

// covers dispatch AE-7
#[test]
fn a_queue_with_a_class_decides_unless_the_item_insists() {
    let base = draining(&[QueuePriority::of(Priority::of(UT))]);
    assert_eq!(base.adopt(plain(IN), false), Priority::of(UT));
    assert_eq!(base.adopt(plain(IN), true), Priority::of(IN));
    assert_eq!(
        base.adopt(ItemPriority::enforced(Priority::of(IN)), false),
        Priority::of(IN),
        "the item itself insists"
    );
    assert_eq!(base.adopt(plain(BG), true), Priority::of(UT), "never below the queue's class");
    assert_eq!(base.adopt(ItemPriority::NONE, false), Priority::of(UT));
    let lower = ItemPriority::plain(Priority(0x04fa));
    assert_eq!(base.adopt(lower, true), Priority(0x04fa), "lower within the class is not below the class");
    assert_eq!(base.adopt(ItemPriority::Keep, true), Priority::NONE, "the library's own items decide nothing");
}

// covers dispatch AE-8
#[test]
fn a_fallback_counts_only_for_items_without_a_class() {
    let base = draining(&[QueuePriority::fallback(DEF)]);
    assert_eq!(base.adopt(ItemPriority::NONE, false), Priority(0x08ff));
    assert_eq!(base.adopt(plain(BG), false), Priority(0x02ff));
    assert_eq!(base.adopt(plain(IN), false), Priority(0x10ff));
}

// covers dispatch AE-9
#[test]
fn entering_a_queue_without_a_class_turns_the_class_into_a_floor() {
    let root = draining(&[QueuePriority::root(UT)]);
    assert!(!root.word().floor);
    let leaf = root.enter(&QueuePriority::NONE);
    assert!(leaf.word().floor);
    assert_eq!(leaf.adopt(plain(IN), false), Priority::of(IN));
    assert_eq!(leaf.adopt(plain(BG), false), Priority::of(UT));
}

// covers dispatch AE-10
#[test]
fn an_override_learned_inside_reaches_the_outer_base() {
    let outer = draining(&[QueuePriority::root(UT)]);
    let inner = outer.enter(&QueuePriority::of(Priority::of(DEF))).overridden(Override::Class(IN));
    let left = inner.leave(outer);
    assert_eq!(left.word(), outer.word());
    assert_eq!(left.over, Override::Class(IN));
}

/// The class that an item runs at which is submitted with a class to the last of these queues, and is adopted with all
/// their words: the matrix of 1.10.
fn class_seen(queues: &[QueuePriority], submitted: Qos, enforce: bool) -> Qos {
    let leaf = queues.last().expect("there is a queue");
    let (item, _) = leaf.store(Priority::of(submitted), enforce);
    draining(queues).adopt(item, false).class()
}

#[test]
fn the_matrix_of_classes_holds() {
    let class = |class| QueuePriority::of(Priority::of(class));
    let default = QueuePriority::root(DEF);
    let columns = [Qos::Unspecified, BG, UT, DEF, IN];
    let own = [DEF, BG, UT, DEF, IN];
    let at_least_utility = [UT, UT, UT, DEF, IN];
    let rows: [(&str, &[QueuePriority], bool, [Qos; 5]); 9] = [
        ("a: without a class", &[default, default.inherit()], false, own),
        ("b: utility", &[default, class(UT)], false, [UT; 5]),
        ("c: utility, enforced", &[default, class(UT)], true, at_least_utility),
        ("d: floor", &[default, QueuePriority::floor(Priority::of(UT))], false, at_least_utility),
        ("e: without a class, target utility", &[default, class(UT), QueuePriority::NONE], false, at_least_utility),
        ("f: interactive on utility", &[default, class(UT), class(UI)], false, [UI; 5]),
        ("g: utility on user-initiated", &[default, class(IN), class(UT)], false, [IN; 5]),
        ("h: the default root", &[default], false, own),
        ("i: another root", &[QueuePriority::root(UT)], false, [UT; 5]),
    ];
    for (row, queues, enforce, expected) in rows {
        assert_eq!(columns.map(|submitted| class_seen(queues, submitted, enforce)), expected, "row {row}");
    }
}

#[test]
fn an_item_is_stored_by_the_word_of_its_queue() {
    let (p, utility) = (Priority::of(IN), QueuePriority::of(Priority::of(UT)));
    assert_eq!(utility.store(Priority::NONE, true), (ItemPriority::NONE, Qos::Unspecified));
    assert_eq!(utility.store(p, true), (ItemPriority::enforced(p), IN));
    assert_eq!(utility.store(p, false), (ItemPriority::NONE, Qos::Unspecified), "the queue's class counts");
    assert_eq!(QueuePriority::floor(Priority::of(UT)).store(p, false), (ItemPriority::plain(p), IN));
    assert_eq!(QueuePriority::NONE.store(p, false), (ItemPriority::plain(p), IN));
}

#[test]
fn activation_keeps_a_fallback_only_where_it_can_count() {
    let floor = QueuePriority { fallback: DEF, ..QueuePriority::floor(Priority::of(UT)) };
    assert_eq!(floor.activated().fallback, DEF);
    assert_eq!(QueuePriority { floor: false, ..floor }.activated().fallback, Qos::Unspecified);
    assert_eq!(QueuePriority { fallback: BG, ..floor }.activated().fallback, Qos::Unspecified);
    assert_eq!(QueuePriority::fallback(DEF).activated().fallback, DEF);
}

#[test]
fn global_queues_have_legacy_identifiers() {
    let classes = [2, 0, -2, -128, -32768, 0x21, 0x05].map(|number| global_queue(number, 0));
    assert_eq!(classes, [IN, DEF, UT, UT, BG, UI, Qos::Maintenance].map(|class| Some((class, false))));
    assert_eq!(global_queue(0, 2), Some((DEF, true)));
    assert_eq!(global_queue(0, 4), Some((DEF, false)));
    assert_eq!([global_queue(1, 0), global_queue(0, 6), global_queue(0, 1), global_queue(0, 8)], [None; 4]);
}

#[test]
fn class_numbers_go_both_ways() {
    for class in Qos::CLASSES {
        assert_eq!(class_from_number(class_number(class)), class);
    }
    assert_eq!((class_number(Qos::Unspecified), class_from_number(0x20)), (0, Qos::Unspecified));
    assert!(is_background(Qos::Maintenance) && is_background(BG) && !is_background(UT));
}
