//! Pushes along chains that are too long for one step: they go on as background work (errata 4).

use crate::pushes::{HIGH, LEGACY, LOW, base, call, daemons, request, set_role, special_reply_port, start_call};
use crate::world::{Ret, World};
use abi::message::MsgOption;
use abi::qos::{AppType, Qos, Role};
use kernel::limits::{Limits, PUSH_CHAIN_MAX};

/// Threads whose policies one step computes here.
const FEW: usize = 3;

#[test]
fn a_long_push_goes_on_as_background_work() {
    let mut w = World::with_limits(Limits { policies_per_step: FEW, ..Limits::default() });
    let chain = daemons(&mut w, PUSH_CHAIN_MAX.into());
    let &(last, service, ..) = chain.last().unwrap();
    let helper = w.thread(last);
    for &(daemon, _, reply, to) in &chain[1..] {
        call(&mut w, daemon, to, reply);
    }
    let app = w.task_of(AppType::AppDefault, Role::Foreground);
    request(&mut w, app, Qos::UserInteractive);
    let (to, reply) = (w.give_send(helper, service, app), special_reply_port(&mut w, app));
    let raised = |w: &World, priority| chain.iter().filter(|&&(daemon, ..)| base(w, daemon) == priority).count();
    assert_eq!(raised(&w, LOW), chain.len());
    assert_eq!(start_call(&mut w, app, to, reply, MsgOption::RCV_TIMEOUT, 10), Ret::Blocked);
    w.settle();
    assert_eq!(raised(&w, HIGH), chain.len());
    w.hold_background();
    set_role(&mut w, app, Role::NonUi);
    assert!(w.kernel.step.has_late_policy_changes(), "the chain is too long for one step");
    let mut changed = raised(&w, LEGACY);
    assert!(changed <= FEW);
    while w.kernel.step.has_late_policy_changes() {
        w.background_turn();
        let now = raised(&w, LEGACY);
        assert!(now - changed <= FEW, "one step");
        changed = now;
    }
    assert_eq!(changed, chain.len());
}
