//! The attribute of importance, among those of the other managers (vouchers 3, 7.4).

use super::*;
use crate::calls::in_both_forms;
use abi::code::*;
use abi::message::MsgOption;
use abi::port::Disposition as D;
use voucher::Key;
use voucher::importance::Source;

const IMPORTANCE: u32 = MACH_VOUCHER_ATTR_KEY_IMPORTANCE;

/// Returns a recipe for the importance of the calling task: V{2:self} of the specification.
fn own_importance() -> Vec<u8> {
    it(IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, b"")
}

/// Returns a recipe that redeems an attribute.
fn rd(key: u32, previous: PortName) -> Vec<u8> {
    it(key, MACH_VOUCHER_ATTR_REDEEM, previous, b"")
}

impl World {
    /// Returns keys and handles of the attributes of an actor's voucher.
    fn attributes(&self, actor: Actor, voucher: PortName) -> Vec<(Key, u64)> {
        let id = self.voucher_of(actor, voucher).expect("the name denotes a voucher");
        self.kernel.vouchers.system().registry.attributes(id).collect()
    }
}

// covers vouchers C-01
#[test]
fn no_manager_knows_the_command_that_does_nothing() {
    in_both_forms(|mut w| {
        let a = w.task();
        for key in [IMPORTANCE, BANK, PRIORITY, USER_DATA, TEST] {
            let made = w.make_voucher(a, &[it(key, 0, MACH_PORT_NULL, b"")]);
            assert_eq!(made, Err(KERN_INVALID_ARGUMENT), "key {key}");
        }
        assert_eq!(w.values().0, 0);
    });
}

// covers vouchers C-22
#[test]
fn to_redeem_nothing_gives_nothing() {
    in_both_forms(|mut w| {
        let a = w.app();
        for key in [USER_DATA, IMPORTANCE, BANK] {
            assert_eq!(w.make_voucher(a, &[rd(key, MACH_PORT_NULL)]), Ok(MACH_PORT_NULL), "key {key}");
        }
        assert_eq!((w.values().0, w.element(a).made()), (0, 0));
    });
}

// covers vouchers E-21
#[test]
fn what_other_managers_than_user_data_extract_is_no_recipe() {
    in_both_forms(|mut w| {
        let a = w.app();
        let attributes = [(IMPORTANCE, own_importance()), (BANK, current_task()), (PRIORITY, priority(USER_INITIATED))];
        for (key, recipe) in attributes {
            let voucher = w.make_voucher(a, &[recipe]).unwrap();
            let extracted = w.extract(a, voucher, key, 5120).unwrap();
            assert_eq!(extracted[..4], key.to_le_bytes(), "the attribute is there");
            assert_eq!(w.make_voucher(a, &[extracted]), Err(KERN_INVALID_ARGUMENT), "key {key}");
            assert_eq!(w.refs(a, voucher), 1);
        }
    });
}

// covers vouchers L-17 L-18
#[test]
fn the_importance_of_a_voucher_is_taken_from_it_where_no_importance_is_donated() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.connect(a, b);
    let both = w.make_voucher(a, &[own_importance(), st(USER_DATA, b"a")]).unwrap();
    w.send(a, &Msg::copy_send(to_b).voucher(both, D::COPY_SEND)).unwrap();
    let receipt = w.take(b, port);
    assert_eq!((receipt.raised, receipt.disposition), (false, D::PORT_SEND));
    let keys: Vec<Key> = w.attributes(b, receipt.voucher).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [Key::USER_DATA]);
    assert_eq!(w.make_voucher(b, &[st(USER_DATA, b"a")]), Ok(receipt.voucher));
    // There is nothing else in the voucher.
    let alone = w.make_voucher(a, &[own_importance()]).unwrap();
    w.send(a, &Msg::copy_send(to_b).voucher(alone, D::COPY_SEND)).unwrap();
    let receipt = w.take(b, port);
    assert_eq!((receipt.raised, receipt.disposition, receipt.voucher), (false, D::PORT_SEND, MACH_PORT_NULL));
    assert_eq!((w.element(a).made(), w.refs(a, both), w.refs(a, alone)), (2, 1, 1), "the sender keeps its own");
}

// covers vouchers L-19
// covers mach-ipc V11
#[test]
fn donated_importance_makes_a_voucher_where_none_was_sent() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    let receipt = w.take(b, port);
    assert_eq!((receipt.raised, receipt.disposition, w.refs(b, receipt.voucher)), (true, D::PORT_SEND, 1));
    let [(Key::IMPORTANCE, handle)] = w.attributes(b, receipt.voucher)[..] else { panic!("importance alone") };
    let Some(Source::Inherit(inherit)) = Source::from_handle(handle) else { panic!("it is an inherit") };
    assert_eq!(w.kernel.ipc.importance().inherit(inherit).map(|inherit| inherit.to()), Some(w.element_id(b)));
    let own = w.make_voucher(a, &[own_importance()]).unwrap();
    assert_eq!(w.refs(a, own), 1);
}

/// Returns a world with a sender, its voucher and its right to a port with a full queue, and the port.
fn full_queue() -> (World, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (_, to_b) = w.connect(a, b);
    while w.try_send(a, &Msg::copy_send(to_b)).is_ok() {}
    let voucher = w.make_voucher(a, &[st(USER_DATA, HELLO)]).unwrap();
    (w, a, to_b, voucher)
}

// covers mach-ipc Q14 Q15
#[test]
fn a_sender_that_waited_in_vain_gets_its_voucher_back() {
    const MS: u64 = 1_000_000;
    for disposition in [D::MOVE_SEND, D::COPY_SEND] {
        let (mut w, a, to_b, voucher) = full_queue();
        let id = w.voucher_of(a, voucher);
        let message = Msg::copy_send(to_b).voucher(voucher, disposition);
        assert_eq!(w.send_with(a, &message, MsgOption::SEND_TIMEOUT, 50), crate::world::Ret::Blocked);
        assert_eq!(w.voucher_of(a, voucher), id.filter(|_| disposition == D::COPY_SEND));
        w.advance(50 * MS);
        assert_eq!(w.state(a).code(), MACH_SEND_TIMED_OUT);
        let header = w.received(a).header;
        let name = header.msgh_voucher_port;
        assert_eq!((w.voucher_of(a, name), w.refs(a, name)), (id, 1));
        assert_eq!(w.extract(a, name, USER_DATA, 300), Ok(st(USER_DATA, HELLO)), "the name is usable");
        if disposition == D::MOVE_SEND {
            assert_eq!(header.voucher(), D(17));
        } else {
            assert_eq!((header.voucher(), name), (D(19), voucher));
        }
    }
}
