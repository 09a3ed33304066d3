//! An urgent thread does not wait for the less urgent ones that keep a destruction from going on.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, Ret, World};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::{mach, unix};
use kernel::kernel::Event;
use kernel::limits::Limits;

const LOW: u8 = 4;
const MIDDLE: u8 = 31;
const URGENT: u8 = 47;
/// Messages whose destruction takes many slices.
const MESSAGES: usize = 600;

/// An owner in the background whose port has many messages, a ready thread of middling priority, and an urgent task.
struct Scene {
    w: World,
    owner: Actor,
    port: abi::PortName,
    middle: Actor,
    urgent: Actor,
}

impl Scene {
    fn new() -> Scene {
        let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 24, ..Limits::default() });
        w.checked = false;
        let (owner, middle, urgent) = (w.task(), w.task(), w.task());
        let port = w.port_with_send(owner);
        w.set_qlimit(owner, port, MACH_PORT_QLIMIT_MAX).unwrap();
        (0..MESSAGES).for_each(|_| w.send(owner, &Msg::copy_send(port)).unwrap());
        for (actor, base) in [(owner, LOW), (middle, MIDDLE), (urgent, URGENT)] {
            w.set_base(actor.thread, base, true);
        }
        Scene { w, owner, port, middle, urgent }
    }

    /// Lets the owner end its receive right, at its own priority, and then lets the processor run.
    fn destroy_port(&mut self) {
        let end = [self.owner.self_port.0, self.port.0, MACH_PORT_RIGHT_RECEIVE, -1i32 as u32].map(u64::from);
        self.w.start_trap(self.owner, mach::MACH_PORT_MOD_REFS, &end);
        self.interrupt();
    }

    /// The timer's interrupt, so that the kernel chooses who runs by the priorities of all.
    fn interrupt(&mut self) {
        let _ = self.w.event(Event::Timer);
    }

    fn queued(&self) -> u64 {
        self.w.counts().messages
    }
}

/// Nobody waits: the thread of middling priority goes first, and the destruction waits with its cause.
#[test]
fn destruction_that_nobody_waits_for_has_the_priority_of_its_cause() {
    let mut scene = Scene::new();
    assert_eq!(scene.w.receive(scene.urgent, scene.urgent.inbox, MsgOption::empty()), Ret::Blocked);
    let before = scene.queued();
    scene.destroy_port();
    assert_eq!(scene.w.kernel.sched.current(0), Some(scene.middle.thread));
    assert!(before - scene.queued() < MESSAGES as u64 / 2, "a slice or two are done");
    assert!(scene.w.kernel.sched[scene.owner.thread].has_continuation());
    scene.w.settle();
    assert_eq!(scene.queued(), before - MESSAGES as u64);
}

#[test]
fn an_urgent_thread_that_waits_for_a_dead_name_notification_gets_it_before_less_urgent_ones_run() {
    let mut scene = Scene::new();
    let (owner, urgent, port) = (scene.owner, scene.urgent, scene.port);
    let at_urgent = scene.w.give_send(owner, port, urgent);
    let notify = scene.w.port(urgent);
    scene.w.request(urgent, at_urgent, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    assert_eq!(scene.w.receive(urgent, notify, MsgOption::empty()), Ret::Blocked);
    scene.destroy_port();
    assert_eq!(scene.w.state(urgent).code(), MACH_MSG_SUCCESS);
    assert_eq!(scene.w.received(urgent).header.msgh_id, MACH_NOTIFY_DEAD_NAME);
    // The cause is raised no longer than that: its call may come back later.
    assert_eq!(scene.w.kernel.sched.current(0), Some(urgent.thread));
    scene.w.settle();
    assert_eq!(scene.w.kernel.sched[owner.thread].schedule().floor, 0);
    assert_eq!(scene.w.kernel.sched[owner.thread].schedule().priority, LOW);
}

#[test]
fn an_urgent_sender_that_is_blocked_goes_on_before_less_urgent_threads_run() {
    let mut scene = Scene::new();
    let (owner, urgent, port) = (scene.owner, scene.urgent, scene.port);
    let at_urgent = scene.w.give_send(owner, port, urgent);
    scene.w.set_qlimit(owner, port, 1).unwrap();
    let blocked = scene.w.send_with(urgent, &Msg::copy_send(at_urgent), MsgOption::empty(), 0);
    assert_eq!(blocked, Ret::Blocked);
    scene.destroy_port();
    assert_eq!(scene.w.state(urgent).code(), MACH_MSG_SUCCESS);
}

/// A client waits for its reply: its request is in a queue, or the server has received it. The server's task ends.
#[test]
fn an_urgent_client_of_a_task_that_ends_is_told_before_less_urgent_threads_run() {
    for received in [false, true] {
        let mut scene = Scene::new();
        let (owner, urgent, port) = (scene.owner, scene.urgent, scene.port);
        let service = scene.w.port(owner);
        let to_service = scene.w.give_send(owner, service, urgent);
        let reply = scene.w.port(urgent);
        let request = Msg::copy_send(to_service).reply_to(reply, D::MAKE_SEND_ONCE).encode();
        let offset = scene.w.buffer(urgent) - urgent.memory;
        scene.w.put(urgent, offset, &request);
        let call = MachMsg {
            options: MsgOption::SEND_MSG | MsgOption::RCV_MSG,
            send_size: request.len() as u32,
            receive_size: 4096,
            receive_name: reply,
            ..MachMsg::default()
        };
        scene.w.start_mach_msg(urgent, &call);
        assert_eq!(scene.w.state(urgent), Ret::Blocked);
        if received {
            scene.w.poll(owner, service).unwrap();
        }
        let before = scene.queued();
        scene.w.start_trap(owner, unix::EXIT, &[0]);
        scene.interrupt();
        assert_eq!(scene.w.state(urgent).code(), MACH_MSG_SUCCESS, "received: {received}");
        assert_eq!(scene.w.received(urgent).header.msgh_id, MACH_NOTIFY_SEND_ONCE);
        assert!(before >= MESSAGES as u64 && scene.w.space_of(urgent.task).get(reply).is_some());
        let _ = port;
        scene.w.settle();
    }
}

/// What a dead task leaves waits for threads of higher levels than its own, and not for others.
#[test]
fn what_a_dead_task_leaves_has_the_level_that_the_task_had() {
    for (level, is_done) in [(LOW, false), (MIDDLE - 1, false), (MIDDLE, true), (MIDDLE + 1, true)] {
        let mut scene = Scene::new();
        let (owner, urgent) = (scene.owner, scene.urgent);
        assert_eq!(scene.w.receive(urgent, urgent.inbox, MsgOption::empty()), Ret::Blocked);
        scene.w.set_base(owner.thread, level, true);
        scene.w.start_trap(owner, unix::EXIT, &[0]);
        scene.interrupt();
        assert_eq!(scene.w.kernel.step.has_background_work(), !is_done, "level {level}");
        assert_eq!(scene.w.kernel.sched.current(0), Some(scene.middle.thread));
        scene.w.settle();
        assert!(!scene.w.kernel.tasks.contains(owner.task));
    }
}
