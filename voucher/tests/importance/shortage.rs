//! Failed allocations. A receive never fails for want of memory: the receiver gets what there is room for, and the boost
//! ends if there is no room for it (errata 3). Everything else that fails has changed nothing.

use crate::support::{Fixture, fixture};
use abi::voucher::MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE;
use store::failpoints;
use voucher::importance::{SendMode, SendRequest};
use voucher::{Error, Key};

/// A message with a voucher that has user data waits at B, after `earlier` like it were received.
fn waiting(earlier: usize) -> Fixture {
    let mut f = fixture();
    for number in 0..=earlier {
        let content = vec![number as u8 + 1];
        let voucher = f.world.create_voucher("A", &[(7, STORE, None, content)]).unwrap().unwrap();
        f.forward("A", "pB", voucher);
        if number < earlier {
            f.voucher("B", "pB");
        }
    }
    f
}

#[test]
fn a_receive_delivers_what_there_is_room_for() {
    for earlier in [0, 1] {
        let mut failed = 0;
        for nth in 0.. {
            let mut f = waiting(earlier);
            let before = f.a("B") - 1;
            failpoints::arm(Some(nth));
            let received = f.receive("B", "pB");
            if failpoints::disarm() <= nth {
                assert!(received.raised, "every allocation succeeded");
                break;
            }
            failed += 1;
            let boosts = before + u64::from(received.raised);
            assert_eq!((f.a("B"), f.c("pB"), received.announced), (boosts, 0, true), "allocation {nth}");
            let importance = received.voucher.and_then(|voucher| f.importance(voucher));
            assert_eq!(importance.is_some(), received.raised);
            if let Some(voucher) = received.voucher {
                assert!(f.world.vouchers.registry.handle(voucher, Key::USER_DATA).is_some(), "the rest arrives");
            }
            f.exit("B");
            f.exit("A");
            assert!(f.inherits() == 0 && f.world.vouchers.registry.is_empty(), "allocation {nth} leaks nothing");
        }
        assert!(failed >= 4, "only {failed} allocations");
    }
}

#[test]
fn room_for_a_link_is_made_before_anything_is_sent() {
    let mut f = fixture();
    failpoints::arm(Some(0));
    assert_eq!(f.world.importance.reserve_send(), Err(Error::ResourceShortage));
    failpoints::disarm();
    f.world.importance.reserve_send().unwrap();
    failpoints::arm(Some(0));
    let (port, sender) = (f.world.port_number("pB"), f.world.element("A"));
    let request = SendRequest { port, sender: Some(sender), voucher: None, mode: SendMode::Normal };
    let link = f.world.importance.send(&mut f.world.kernel, &request);
    assert_eq!((link.is_some(), failpoints::disarm(), f.a("B")), (true, 0, 1));
}

#[test]
fn an_exec_that_has_no_room_changes_nothing() {
    for nth in 0..2 {
        let mut f = fixture();
        f.boost("A", "B");
        let (old, new) = (f.world.element("B"), f.world.element("C"));
        let (importance, kernel) = (&mut f.world.importance, &mut f.world.kernel);
        failpoints::arm(Some(nth));
        assert_eq!(importance.begin_exec(kernel, old, new), Err(Error::ResourceShortage));
        failpoints::disarm();
        f.world.check();
        assert_eq!((f.a("C"), f.refs("B"), f.inherits()), (0, 2, 1));
    }
    let mut f = fixture();
    failpoints::arm(Some(0));
    assert_eq!(f.world.importance.create_element(99), Err(Error::ResourceShortage));
    failpoints::disarm();
}
