//! Failed allocations. A receive never fails for want of memory: the receiver gets what there is room for, and the boost
//! ends if there is no room for it (errata 3). Everything else that fails has changed nothing.

use crate::support::{Fixture, fixture};
use abi::voucher::MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE;
use store::failpoints;
use voucher::importance::{SendMode, SendRequest};
use voucher::{Error, Key};

/// What there is when a message is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    /// The receiver has nothing of the sender.
    Nothing,
    /// It has an inherit in another voucher.
    Inherit,
    /// It has released its inherit, which another task still refers to.
    Referred,
}

/// A message of A to B with a voucher that has user data.
fn send(f: &mut Fixture, content: u8) {
    let voucher = f.world.create_voucher("A", &[(7, STORE, None, vec![content])]).unwrap().unwrap();
    f.forward("A", "pB", voucher);
}

/// Such a message waits at B.
fn waiting(before: Before) -> Fixture {
    let mut f = fixture();
    if before != Before::Nothing {
        send(&mut f, 1);
        let voucher = f.voucher("B", "pB");
        if before == Before::Referred {
            f.boost_with("B", "C", voucher);
            f.release("B", voucher);
        }
    }
    send(&mut f, 2);
    f
}

#[test]
fn a_receive_delivers_what_there_is_room_for() {
    for before in [Before::Nothing, Before::Inherit, Before::Referred] {
        let mut failed = 0;
        for nth in 0.. {
            let mut f = waiting(before);
            let boosts = f.a("B") - 1;
            failpoints::arm(Some(nth));
            let received = f.receive("B", "pB");
            if failpoints::disarm() <= nth {
                assert!(received.raised, "every allocation succeeded");
                break;
            }
            failed += 1;
            let boosts = boosts + u64::from(received.raised);
            assert_eq!((f.a("B"), f.c("pB"), received.announced), (boosts, 0, true), "{before:?}, allocation {nth}");
            let importance = received.voucher.and_then(|voucher| f.importance(voucher));
            assert_eq!(importance.is_some(), received.raised);
            if let Some(voucher) = received.voucher {
                assert!(f.world.vouchers.registry.handle(voucher, Key::USER_DATA).is_some(), "the rest arrives");
            }
            ["B", "C", "A"].iter().for_each(|task| f.exit(task));
            assert!(f.inherits() == 0 && f.world.vouchers.registry.is_empty(), "{before:?}: allocation {nth} leaks");
        }
        assert!(failed >= 3, "only {failed} allocations");
    }
}

#[test]
fn a_message_that_cannot_be_linked_has_changed_nothing() {
    let mut f = fixture();
    let (port, sender) = (f.world.port_number("pB"), f.world.element("A"));
    let request = SendRequest { port, sender: Some(sender), voucher: None, mode: SendMode::Normal };
    let (importance, kernel) = (&mut f.world.importance, &mut f.world.kernel);
    failpoints::arm(Some(0));
    assert_eq!(importance.reserve_send(), Err(Error::ResourceShortage));
    failpoints::arm(Some(0));
    assert_eq!(importance.send(kernel, &request), Err(Error::ResourceShortage));
    failpoints::disarm();
    f.world.check();
    assert_eq!((f.c("pB"), f.a("B"), f.refs("A")), (0, 0, 1));
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
