//! Boosts decide which thread runs.

use super::*;
use crate::message::MachMsg;
use abi::qos::{Priority, Qos};
use kernel::policy::ThreadPolicy;

/// One millisecond.
const MS: u64 = 1_000_000;

/// A donor, an adaptive daemon that is ready to run, and a task of default priority that spins and has the processor.
struct Rivals {
    w: World,
    a: Actor,
    b: Actor,
    spinning: Actor,
    port: PortName,
    to_b: PortName,
}

impl Rivals {
    fn new() -> Rivals {
        let mut w = World::new();
        let (a, b, spinning) = (w.app(), w.adaptive(), w.task());
        let (port, to_b) = w.donation_path(a, b);
        *w.kernel.sched.policy_mut(b.thread) = ThreadPolicy::requesting(Priority::of(Qos::UserInitiated));
        w.receive(a, a.inbox, MsgOption::empty());
        let mut rivals = Rivals { w, a, b, spinning, port, to_b };
        rivals.expect(spinning);
        rivals
    }

    /// Checks that an actor has the processor, and keeps it for a second.
    #[track_caller]
    fn expect(&mut self, actor: Actor) {
        for _ in 0..100 {
            let _ = self.w.event(Event::Timer);
            assert_eq!(self.w.kernel.sched.current(0), Some(actor.thread));
            self.w.machine.advance(10 * MS);
        }
    }

    /// Lets the donor wake up, send to the daemon with these options, and wait again.
    fn send(&mut self, options: MsgOption) {
        let (init, a) = (self.w.init, self.a);
        self.w.ping(init, a.at_init);
        self.w.try_send_with(a, &Msg::copy_send(self.to_b), options).unwrap();
        self.w.receive(a, a.inbox, MsgOption::empty());
    }
}

#[test]
fn a_daemon_runs_before_a_spinning_task_as_soon_as_a_donor_waits_for_it() {
    let mut rivals = Rivals::new();
    let (b, spinning) = (rivals.b, rivals.spinning);
    rivals.send(MsgOption::SEND_NOIMPORTANCE);
    rivals.expect(spinning);
    rivals.send(MsgOption::empty());
    assert_eq!(rivals.w.kernel.sched.current(0), Some(b.thread), "it runs at once");
    rivals.expect(b);
}

#[test]
fn a_daemon_that_drops_its_last_boost_makes_way_at_once() {
    let mut rivals = Rivals::new();
    let (b, spinning, port) = (rivals.b, rivals.spinning, rivals.port);
    rivals.send(MsgOption::empty());
    rivals.expect(b);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    let receive = MachMsg { options, receive_name: port, receive_size: BUFFER_SIZE, ..MachMsg::default() };
    rivals.w.start_mach_msg(b, &receive);
    assert_eq!(rivals.w.kernel.sched.current(0), Some(spinning.thread));
    rivals.expect(spinning);
}

/// The daemon waits for the message, which is delivered in the donor's step.
#[test]
fn a_waiting_daemon_is_boosted_by_what_it_gets() {
    let mut rivals = Rivals::new();
    let (b, spinning, port) = (rivals.b, rivals.spinning, rivals.port);
    rivals.w.receive(b, port, MsgOption::RCV_VOUCHER);
    rivals.send(MsgOption::empty());
    rivals.expect(b);
    let voucher = receipt(&rivals.w.received(b)).voucher;
    let args = [b.self_port.0, voucher.0].map(u64::from);
    rivals.w.start_trap(b, abi::trap::mach::MACH_PORT_DEALLOCATE, &args);
    rivals.expect(spinning);
}
