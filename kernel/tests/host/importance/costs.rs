//! What importance costs the budgets of tasks.

use super::*;
use ::voucher::importance::Inherit as AnInherit;

/// Returns how much of a task's budget the receipt of a message costs, and the voucher.
fn cost_of_receipt(w: &mut World, actor: Actor, port: PortName) -> (usize, PortName) {
    let before = w.used(actor.task);
    let voucher = w.take(actor, port).voucher;
    (w.used(actor.task) - before, voucher)
}

/// A voucher keeps the whole chain of its importance, though all tasks before its own end or drop their vouchers. It is
/// charged with it, so that nobody can keep memory that is on no budget.
#[test]
fn a_voucher_pays_for_the_chain_of_its_importance() {
    let mut w = World::new();
    let (a, b, c) = (w.app(), w.adaptive(), w.adaptive());
    let (port_b, to_b) = w.donation_path(a, b);
    let (port_c, to_c) = w.donation_path(b, c);
    w.ping(a, to_b);
    let (first, voucher_b) = cost_of_receipt(&mut w, b, port_b);
    w.send(b, &Msg::copy_send(to_c).voucher(voucher_b, Disposition::MOVE_SEND)).unwrap();
    let before = w.used(c.task);
    let (second, voucher) = cost_of_receipt(&mut w, c, port_c);
    w.end_task(a);
    w.end_task(b);
    let objects = w.importance_objects();
    assert_eq!(objects.1, 2, "both inherits are left");
    assert!(first > size_of::<AnInherit>() + 2 * size_of::<TaskElement>(), "{first}");
    assert!(second >= first + size_of::<AnInherit>() + size_of::<TaskElement>(), "{second}, {first}");
    w.deallocate(c, voucher).unwrap();
    assert_eq!((w.used(c.task), w.importance_objects()), (before, (objects.0 - 2, 0)));
}
