//! Pushes along chains of threads that wait themselves. What is too long for one step goes on as background work (errata 4).

use crate::pushes::{
    HIGH, LEGACY, LOW, MILLISECOND, base, call, daemons, request, set_role, special_reply_port, start_call,
};
use crate::world::{Actor, Ret, World};
use abi::PortName;
use abi::message::MsgOption;
use abi::qos::{AppType, Qos, Role};
use kernel::effort::Effort;
use kernel::ids::ThreadId;
use kernel::inspect::invariants::check_all;
use kernel::kernel::Kernel;
use kernel::limits::{Limits, PUSH_CHAIN_MAX};

/// As many daemons as a push passes, each of which waits for the one before it, and an app that can call the last one.
struct LongChain {
    daemons: Vec<(Actor, PortName, PortName, PortName)>,
    /// Another thread of each daemon, which does not wait.
    helpers: Vec<Actor>,
    app: Actor,
    /// The app's name for the service of the last daemon.
    to: PortName,
    /// Its special reply port.
    reply: PortName,
}

impl LongChain {
    fn new(w: &mut World) -> LongChain {
        let daemons = daemons(w, PUSH_CHAIN_MAX.into());
        let helpers: Vec<Actor> = daemons.iter().map(|&(daemon, ..)| w.thread(daemon)).collect();
        let (&(_, service, ..), &helper) = daemons.last().zip(helpers.last()).expect("there are some");
        for &(daemon, _, reply, to) in &daemons[1..] {
            call(w, daemon, to, reply);
        }
        let app = w.task_of(AppType::AppDefault, Role::Foreground);
        request(w, app, Qos::UserInteractive);
        let (to, reply) = (w.give_send(helper, service, app), special_reply_port(w, app));
        LongChain { daemons, helpers, app, to, reply }
    }
}

#[test]
fn a_push_goes_on_through_threads_that_wait_themselves_and_ends_everywhere_at_once() {
    let mut w = World::new();
    let LongChain { daemons: chain, app, to, reply, .. } = LongChain::new(&mut w);
    let all = |w: &World, priority| assert!(chain.iter().all(|&(daemon, ..)| base(w, daemon) == priority));
    all(&w, LOW);
    assert_eq!(start_call(&mut w, app, to, reply, MsgOption::RCV_TIMEOUT, 10), Ret::Blocked);
    all(&w, HIGH);
    set_role(&mut w, app, Role::NonUi);
    all(&w, LEGACY);
    w.advance(10 * MILLISECOND);
    all(&w, LOW);
}

/// Threads whose policies one step computes here.
const FEW: usize = 3;

#[test]
fn a_long_push_goes_on_as_background_work() {
    let mut w = World::with_limits(Limits { policies_per_step: FEW, ..Limits::default() });
    let LongChain { daemons: chain, app, to, reply, .. } = LongChain::new(&mut w);
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

/// Binds a port to a thread, or to none.
fn bind_directly(w: &mut World, a: Actor, name: PortName, thread: Option<ThreadId>) {
    let space = w.kernel.tasks[a.task].space;
    let Kernel { ipc, sched, step, .. } = &mut w.kernel;
    ipc.port_bind_servicer(sched, step, space, name, thread).unwrap();
    w.kernel.apply_policy_changes();
    w.kernel.step.effort = Effort::default();
    check_all(&w.kernel);
}

#[test]
fn a_port_whose_change_is_late_can_lose_its_servicer_and_get_another_one() {
    let mut w = World::with_limits(Limits { policies_per_step: FEW, ..Limits::default() });
    let LongChain { daemons: chain, helpers, app, to, reply } = LongChain::new(&mut w);
    assert_eq!(start_call(&mut w, app, to, reply, MsgOption::RCV_TIMEOUT, 10), Ret::Blocked);
    w.settle();
    w.hold_background();
    set_role(&mut w, app, Role::NonUi);
    assert!(w.kernel.step.has_late_policy_changes(), "the chain is too long for one step");
    for (&helper, &(_, service, ..)) in helpers.iter().zip(&chain) {
        bind_directly(&mut w, helper, service, None);
        bind_directly(&mut w, helper, service, Some(helper.thread));
    }
    while w.kernel.step.has_late_policy_changes() {
        w.background_turn();
    }
    for (&helper, &(_, service, ..)) in helpers.iter().zip(&chain) {
        bind_directly(&mut w, helper, service, None);
    }
}
