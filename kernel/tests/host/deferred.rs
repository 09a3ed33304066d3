//! The kernel sends its own messages in the order of their causes, before any other deferred work.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::mig::NDR;
use abi::mig::mach_port as mig;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::{mach, unix};
use kernel::kernel::Event;
use kernel::limits::Limits;

/// The limit of a name table that the test fills.
const FEW_NAMES: u32 = 64;
/// A number of names whose destruction takes several slices.
const SEVERAL_SLICES: usize = 600;
/// A budget that some fifty notifications use up.
const SMALL_BUDGET: usize = 32 * 1024;
/// The number of send-once rights, more than the budget has room for notifications.
const MANY_RIGHTS: usize = 320;
/// The number of rights in one message.
const RIGHTS_TOGETHER: usize = 8;

/// Makes a task exit and leaves its destruction as deferred work.
fn start_exit(w: &mut World, task: Actor) {
    w.hold_background();
    w.run(task.thread);
    w.kernel.sched[task.thread].frame_mut().rax = unix::EXIT.into();
    let _ = w.event(Event::Trap);
}

/// Allocates this number of dead names.
fn allocate_dead_names(w: &mut World, actor: Actor, count: usize) {
    for _ in 0..count {
        w.allocate(actor, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    }
}

/// Returns a request to destroy a name, without a reply port.
fn destroy(actor: Actor, name: PortName) -> Msg {
    Msg::copy_send(actor.self_port).id(mig::DESTROY).body(&NDR).words(&[name.0])
}

/// A call asks for its reply on the port that it destroys. The port-destroyed notification sends the receive right to a
/// task without a free name, so the port dies before the reply is sent.
#[test]
fn a_reply_is_destroyed_if_a_notification_before_it_ends_its_port() {
    for reply in [D::MAKE_SEND_ONCE, D::MAKE_SEND] {
        let mut w = World::with_limits(Limits { names_per_task: FEW_NAMES, ..Limits::default() });
        let (a, b) = (w.task(), w.task());
        let (p, n) = (w.port(a), w.port(b));
        let notify = w.transfer(b, n, D::MAKE_SEND_ONCE, a);
        w.request(a, p, MACH_NOTIFY_PORT_DESTROYED, 0, (notify, D::MOVE_SEND_ONCE)).unwrap();
        w.fill_names(b);
        assert_eq!(w.receive(b, n, MsgOption::empty()), Ret::Blocked);
        let before = w.counts();
        assert_eq!(w.send(a, &destroy(a, p).reply_to(p, reply)), Ok(()));
        assert_eq!(w.state(b).code(), MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_SPACE));
        let after = w.counts();
        assert_eq!(
            (after.ports, after.messages, after.send_rights),
            (before.ports - 1, before.messages, before.send_rights)
        );
    }
}

/// The send-once notifications of a dying task do not wait until all of the task is destroyed.
#[test]
fn a_dying_task_sends_each_notification_at_once() {
    let mut w = World::with_limits(Limits { kernel_bytes_per_task: SMALL_BUDGET, ..Limits::default() });
    let (a, b) = (w.task(), w.task());
    let n = w.port(b);
    let (mailbox, send_right) = w.connect(b, a);
    for _ in 0..MANY_RIGHTS / RIGHTS_TOGETHER {
        let once = |message: Msg, _| message.port(n, D::MAKE_SEND_ONCE);
        w.send(b, &(0..RIGHTS_TOGETHER).fold(Msg::copy_send(send_right), once)).unwrap();
        w.poll(a, mailbox).unwrap();
    }
    assert_eq!(w.status(b, n).mps_sorights as usize, MANY_RIGHTS);
    let before = w.counts().messages;
    start_exit(&mut w, a);
    let mut most = 0;
    while w.kernel.step.has_background_work() {
        w.background_turn();
        let queued = w.kernel.ipc.port(w.space_of(b.task).get(n).unwrap().right.port().unwrap()).queue_len();
        assert_eq!(w.counts().messages - before, queued as u64, "each notification is queued or dropped");
        most = most.max(queued);
    }
    assert!((10..MANY_RIGHTS / 2).contains(&most), "{most} notifications fit the budget");
}

#[test]
fn a_notification_comes_before_the_rest_of_a_long_destruction() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let n = w.port(b);
    w.transfer(b, n, D::MAKE_SEND_ONCE, a);
    allocate_dead_names(&mut w, a, SEVERAL_SLICES);
    assert_eq!(w.receive(b, n, MsgOption::empty()), Ret::Blocked);
    start_exit(&mut w, a);
    while w.state(b) == Ret::Blocked {
        w.background_turn();
    }
    assert_eq!(w.received(b).header.msgh_id, MACH_NOTIFY_SEND_ONCE);
    assert!(w.kernel.step.has_background_work(), "the task is still being destroyed");
}

/// The port is on the work list because of an armed request when it dies and loses its last sender.
#[test]
fn no_senders_is_sent_for_a_port_that_waits_for_its_armed_requests() {
    let mut w = World::new();
    let (owner, a, dying) = (w.task(), w.task(), w.task());
    let (p, n) = (w.port_with_send(owner), w.port(owner));
    w.set_qlimit(owner, p, 1).unwrap();
    w.request(owner, p, MACH_NOTIFY_NO_SENDERS, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
    let (p_at_a, m) = (w.give_send(owner, p, a), w.port(a));
    w.request(a, p_at_a, MACH_NOTIFY_SEND_POSSIBLE, 0, (m, D::MAKE_SEND_ONCE)).unwrap();
    // The request is armed and stays armed, since a message that is discarded does not count as received.
    w.send(owner, &Msg::copy_send(p).body(&[0; 400])).unwrap();
    let armed = MsgOption::SEND_NOTIFY | MsgOption::SEND_TIMEOUT;
    assert_eq!(w.send_with(a, &Msg::copy_send(p_at_a), armed, 0).code(), MACH_SEND_TIMED_OUT);
    assert_eq!(w.poll_with(owner, p, MsgOption::empty(), 64).unwrap_err(), MACH_RCV_TOO_LARGE);
    let waiting = w.thread(owner);
    assert_eq!(w.receive(waiting, p, MsgOption::empty()), Ret::Blocked);
    // The notification of a dying task puts the port on the work list, behind the rest of the task.
    w.transfer(owner, p, D::MAKE_SEND_ONCE, dying);
    allocate_dead_names(&mut w, dying, SEVERAL_SLICES);
    start_exit(&mut w, dying);
    while w.state(waiting) == Ret::Blocked {
        w.background_turn();
    }
    // Task A drops both references: its own, and the one of the returned message.
    let drop_both = [a.self_port.0, p_at_a.0, MACH_PORT_RIGHT_SEND, -2i32 as u32].map(u64::from);
    w.start_trap(a, mach::MACH_PORT_MOD_REFS, &drop_both);
    let request = destroy(owner, p).encode();
    let send_size = request.len() as u32;
    w.put(owner, w.buffer(owner) - owner.memory, &request);
    w.start_mach_msg(owner, &MachMsg { options: MsgOption::SEND_MSG, send_size, ..MachMsg::default() });
    assert!(w.kernel.step.has_background_work(), "the task is still being destroyed");
    w.settle();
    w.notification(owner, n, MACH_NOTIFY_NO_SENDERS);
}

/// A right in a message whose destruction causes notifications.
#[derive(Clone, Copy, Debug)]
enum Carried {
    /// A send-once right.
    Once,
    /// The last send right of a port.
    LastSend,
    /// The receive right of a port whose owner asked for port-destroyed.
    Watched,
    /// The receive right of a port that dies, with a send-once right in its queue and a dead-name request.
    Dying,
}

impl Carried {
    /// Gives B such a right, whose notifications go to A's port `n`. Returns its name at B and its disposition.
    fn prepare(self, w: &mut World, a: Actor, n: PortName, b: Actor) -> (PortName, D) {
        match self {
            Carried::Once => (w.transfer(a, n, D::MAKE_SEND_ONCE, b), D::MOVE_SEND_ONCE),
            Carried::LastSend => {
                let s = w.port(a);
                let at_b = w.give_send(a, s, b);
                w.request(a, s, MACH_NOTIFY_NO_SENDERS, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
                (at_b, D::MOVE_SEND)
            }
            Carried::Watched => {
                let r = w.port(b);
                let notify = w.transfer(a, n, D::MAKE_SEND_ONCE, b);
                w.request(b, r, MACH_NOTIFY_PORT_DESTROYED, 0, (notify, D::MOVE_SEND_ONCE)).unwrap();
                (r, D::MOVE_RECEIVE)
            }
            Carried::Dying => {
                let d = w.port(b);
                let at_a = w.give_send(b, d, a);
                w.send(a, &Msg::copy_send(at_a).port(n, D::MAKE_SEND_ONCE)).unwrap();
                w.request(a, at_a, MACH_NOTIFY_DEAD_NAME, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
                (d, D::MOVE_RECEIVE)
            }
        }
    }

    /// The notifications that the right's own destruction causes. A port that dies is deferred work.
    fn at_once(self) -> &'static [i32] {
        match self {
            Carried::Once => &[MACH_NOTIFY_SEND_ONCE],
            Carried::LastSend => &[MACH_NOTIFY_NO_SENDERS],
            Carried::Watched => &[MACH_NOTIFY_PORT_DESTROYED],
            Carried::Dying => &[],
        }
    }
}

/// Errata 4: the work list is first in, first out. What a port causes that dies with the message comes last.
#[test]
fn what_a_destroyed_message_causes_comes_in_the_order_of_its_rights() {
    let mut rights = [Carried::Once, Carried::LastSend, Carried::Watched, Carried::Dying];
    for _ in 0..rights.len() {
        rights.rotate_left(1);
        let mut w = World::new();
        let (a, b) = (w.task(), w.task());
        let (p, n) = (w.port(a), w.port(a));
        let p_at_b = w.give_send(a, p, b);
        let message = rights.iter().fold(Msg::copy_send(p_at_b), |message, right| {
            let (name, disposition) = right.prepare(&mut w, a, n, b);
            message.port(name, disposition)
        });
        w.send(b, &message).unwrap();
        w.expect_empty(a, n);
        w.mod_refs(a, p, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        let mut expected: Vec<i32> = rights.iter().flat_map(|right| right.at_once()).copied().collect();
        expected.extend([MACH_NOTIFY_SEND_ONCE, MACH_NOTIFY_DEAD_NAME]);
        assert_eq!(w.notifications(a, n), expected, "{rights:?}");
    }
}

/// The message is sent with the last send right, which its receive destroys, and frees a place in the queue
/// (docs/deviations.md: armed requests are deferred work).
#[test]
fn a_receive_sends_no_senders_before_send_possible() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (p, n) = (w.port(a), w.port(a));
    w.set_qlimit(a, p, 1).unwrap();
    let p_at_b = w.give_send(a, p, b);
    w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
    w.send(b, &Msg::to(p_at_b, D::MOVE_SEND)).unwrap();
    w.request(a, p, MACH_NOTIFY_SEND_POSSIBLE, 1, (n, D::MAKE_SEND_ONCE)).unwrap();
    w.poll(a, p).unwrap();
    assert_eq!(w.notifications(a, n), [MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_SEND_POSSIBLE]);
}

/// A task that goes into the background and out of it changes its policy each time.
#[test]
fn a_policy_that_changes_many_times_in_one_step_is_applied_once() {
    const TIMES: usize = 201;
    let mut w = World::new();
    let a = w.task();
    let normal = w.kernel.sched[a.thread].schedule().base;
    for n in 0..TIMES {
        w.kernel.change_task_policy(a.task, |policy| policy.internal_background = n % 2 == 0);
    }
    let _ = w.event(Event::Timer);
    let background = w.kernel.sched[a.thread].schedule().base;
    assert!(background < normal, "{normal} falls to {background}");
    w.kernel.change_task_policy(a.task, |policy| policy.internal_background = false);
    let _ = w.event(Event::Timer);
    assert_eq!(w.kernel.sched[a.thread].schedule().base, normal);
}
