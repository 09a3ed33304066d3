//! Receives that fail in part, and importance (importance 5.5).

use super::*;
use abi::code::*;
use kernel::limits::Limits;

/// Returns a world with B, its port with a raised message that carries a right, and one free name in its table.
fn with_one_free_name() -> (World, Actor, PortName) {
    let mut w = World::with_limits(Limits { names_per_task: 64, ..Limits::default() });
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    let carried = w.port(a);
    w.send(a, &Msg::copy_send(to_b).port(carried, Disposition::MAKE_SEND)).unwrap();
    w.fill_names(b);
    let dead = w.names(b).iter().find(|(_, kind)| *kind == PortType::DEAD_NAME).unwrap().0;
    w.deallocate(b, dead).unwrap();
    assert_eq!(w.boosts(b), WAITED_FOR);
    (w, b, port)
}

/// The message is delivered without its right, and its header does not promise importance. The boost stays with the
/// voucher, which has a name.
#[test]
fn a_message_that_arrives_in_part_does_not_say_that_importance_came_with_it() {
    let (mut w, b, port) = with_one_free_name();
    let failed = MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_SPACE);
    assert_eq!(w.poll_with(b, port, MsgOption::RCV_VOUCHER, BUFFER_SIZE).unwrap_err(), failed);
    let received = w.received(b);
    assert_eq!(received.descriptor(0).name, MACH_PORT_NULL);
    let Receipt { raised, voucher, disposition } = receipt(&received);
    assert_eq!((raised, disposition, w.boosts(b)), (false, Disposition::PORT_SEND, AT_WORK));
    w.deallocate(b, voucher).unwrap();
    assert_eq!(w.boosts(b), IDLE);
}
