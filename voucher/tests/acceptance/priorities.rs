//! PTHPRIORITY: priorities (vouchers 10.7).

use crate::support::*;

// covers vouchers P-01 P-02 P-03
#[test]
fn a_priority_is_kept_in_its_canonical_form() {
    let mut world = World::new();
    let forms = [(0x8000_10FF, 0x10FF), (0x1000, 0x10FF), (0x10EF, 0x10FF), (0x10F0, 0x10F0), (0x30FF, 0x30FF)];
    for (word, form) in forms {
        let v = world.make(&[priority(word)]);
        assert_eq!(world.handle(v, PRIORITY), Some(form), "{word:#x}");
    }
    world.end();
}

// covers vouchers P-04
#[test]
fn a_word_without_class_makes_the_attribute_absent() {
    let mut world = World::new();
    for word in [0, 0x0200_10FF, 0x2000_10FF, 0x0000_00FF, 0x0000_40FF] {
        assert_eq!(world.mk(&[priority(word)]), NO_VOUCHER, "{word:#x}");
    }
    world.end();
}

// covers vouchers P-05
#[test]
fn a_priority_has_4_bytes() {
    let mut world = World::new();
    for size in [0, 3, 5, 8] {
        assert_eq!(world.mk(&[it(PRIORITY, PRIORITY_CREATE, 0, &[0x10; 8][..size])]), INVALID_ARGUMENT, "{size} bytes");
    }
    world.end();
}

// covers vouchers P-06
#[test]
fn there_are_at_most_1008_priorities_which_are_never_released() {
    let mut world = World::new();
    for word in 0..1 << 14 {
        if let Ok(name @ 1..) = world.mk(&[priority(word)]) {
            world.deallocate(name);
        }
    }
    assert_eq!((world.values(PRIORITY).len(), world.take_releases()), (1008, vec![]));
    assert!(world.values(PRIORITY).iter().all(|&(_, refs, made)| (refs, made) == (1, 1)));
    world.end();
}
