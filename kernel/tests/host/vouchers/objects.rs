//! The life of a voucher and its port (vouchers 1.9 to 1.11).

use super::*;
use crate::calls::in_both_forms;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;

#[test]
fn equal_vouchers_are_one_port_in_all_tasks() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        let first = w.make_voucher(a, &[st(USER_DATA, b"same")]).unwrap();
        let second = w.make_voucher(a, &[st(USER_DATA, b"same")]).unwrap();
        assert_eq!((second, w.refs(a, first)), (first, 2));
        let other = w.make_voucher(b, &[st(USER_DATA, b"same")]).unwrap();
        assert_eq!((w.voucher_of(a, first), w.values().0), (w.voucher_of(b, other), 1));
        let sent = w.transfer(a, first, D::MOVE_SEND, b);
        assert_eq!((sent, w.refs(b, other), w.refs(a, first)), (other, 2, 1));
    });
}

// covers mach-ipc V13
#[test]
fn a_voucher_dies_with_its_last_name() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        w.host(a);
        w.host(b);
        let before = (w.counts(), w.values());
        let voucher = w.make_voucher(a, &[st(USER_DATA, b"a"), st(TEST, b"b"), current_task()]).unwrap();
        let copy = w.transfer(a, voucher, D::COPY_SEND, b);
        w.deallocate(a, voucher).unwrap();
        assert_eq!((w.values().0, w.port_type(b, copy)), (1, Ok(PortType::SEND)));
        w.deallocate(b, copy).unwrap();
        assert_eq!((w.counts(), w.values()), before);
        assert_eq!(w.port_type(b, copy), Err(KERN_INVALID_NAME), "no dead name is left");
    });
}

#[test]
fn a_voucher_dies_with_the_task_that_has_the_last_name() {
    let mut w = World::new();
    let a = w.task();
    let before = w.values();
    let b = w.task();
    w.make_voucher(b, &[st(USER_DATA, b"a"), current_task()]).unwrap();
    assert_eq!(w.values().0, 1);
    w.end_task(b);
    assert_eq!(w.values(), before);
    let _ = a;
}

#[test]
fn a_voucher_outlives_the_task_that_made_it() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let voucher = w.make_voucher(a, &[st(USER_DATA, HELLO)]).unwrap();
    let copy = w.transfer(a, voucher, D::MOVE_SEND, b);
    w.end_task(a);
    assert_eq!(w.extract(b, copy, USER_DATA, 5120), Ok(st(USER_DATA, HELLO)));
    w.deallocate(b, copy).unwrap();
    assert_eq!(w.values().0, 0);
}

#[test]
fn a_voucher_in_a_queued_message_lives_until_the_message_is_destroyed() {
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    w.send(a, &Msg::copy_send(port).port(voucher, D::MOVE_SEND)).unwrap();
    assert_eq!((w.port_type(a, voucher), w.values().0), (Err(KERN_INVALID_NAME), 1));
    w.mod_refs(a, port, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.values().0, 0);
}

/// A dead-name request on a voucher never fires: the voucher lives as long as the name.
#[test]
fn a_request_on_a_voucher_ends_with_the_name() {
    in_both_forms(|mut w| {
        let a = w.task();
        let notify = w.port(a);
        let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
        let to = (notify, D::MAKE_SEND_ONCE);
        assert_eq!(w.request(a, voucher, MACH_NOTIFY_DEAD_NAME, 0, to), Ok(MACH_PORT_NULL));
        w.deallocate(a, voucher).unwrap();
        assert_eq!(w.notification(a, notify, MACH_NOTIFY_PORT_DELETED), voucher.0);
        assert_eq!(w.values().0, 0);
        w.expect_empty(a, notify);
    });
}

#[test]
fn a_voucher_can_be_a_bootstrap_port() {
    let mut w = World::new();
    let a = w.task();
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    let message = Msg::copy_send(a.self_port).id(abi::mig::task::SET_SPECIAL_PORT).port(voucher, D::MOVE_SEND);
    w.rpc(a, message.body(&NDR).words(&[abi::task::TASK_BOOTSTRAP_PORT])).unwrap();
    assert_eq!(w.values().0, 1);
    w.end_task(a);
    assert_eq!(w.values().0, 0);
}
