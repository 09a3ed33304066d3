//! Who raises whose priority: servicers and synchronous pushes (importance 7.5, 7.6).

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, BUFFER_SIZE, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{AppType, MessagePriority, Priority, Qos, Role};
use abi::trap::{mach, tally};
use kernel::limits::PUSH_CHAIN_MAX;
use kernel::policy::ThreadEffective;
use kernel::sched::thread::Push;

/// The base priorities of an unboosted daemon, of a thread of class legacy, and of a foreground app's main thread.
pub const LOW: u8 = 4;
pub const LEGACY: u8 = 31;
pub const HIGH: u8 = 47;

pub const MILLISECOND: u64 = 1_000_000;

pub fn base(w: &World, a: Actor) -> u8 {
    w.kernel.sched[a.thread].schedule().base
}

fn effective(w: &World, a: Actor) -> ThreadEffective {
    w.kernel.sched[a.thread].policy().effective(&w.kernel.tasks[a.task].policy.effective())
}

/// Sets the class that an actor's thread requests.
pub fn request(w: &mut World, a: Actor, class: Qos) {
    w.kernel.sched.policy_mut(a.thread).requested = Priority::of(class);
    w.kernel.sched.policy_changed(&mut w.kernel.step, a.thread);
    w.kernel.apply_policy_changes();
}

/// Boosts a daemon by a message that waits for it.
fn boost(w: &mut World, daemon: Actor) {
    let donor = w.standard();
    let (_, to) = w.donation_path(donor, daemon);
    w.send(donor, &Msg::copy_send(to)).unwrap();
}

/// Sets the role of an app, which decides the priority of its user-interactive threads.
pub fn set_role(w: &mut World, a: Actor, role: Role) {
    w.kernel.change_task_policy(a.task, |policy| policy.role = role);
    w.kernel.apply_policy_changes();
}

pub fn bind(w: &mut World, a: Actor, name: PortName, thread: PortName) -> Result<(), KernReturn> {
    w.call(a, tally::PORT_BIND_SERVICER, &[name.0.into(), thread.0.into()])
}

/// Lets an actor's own thread serve a port.
pub fn serve(w: &mut World, a: Actor, name: PortName) {
    let thread = w.thread_self(a);
    bind(w, a, name, thread).unwrap();
}

pub fn special_reply_port(w: &mut World, a: Actor) -> PortName {
    let name = w.trap(a, mach::THREAD_GET_SPECIAL_REPLY_PORT, &[]).name();
    assert!(name.is_valid());
    name
}

/// An app whose main thread calls a daemon's port.
pub struct Scene {
    pub w: World,
    pub app: Actor,
    /// The app's send right and its special reply port.
    pub to: PortName,
    pub reply: PortName,
    pub daemon: Actor,
    pub service: PortName,
}

impl Scene {
    pub fn new(app_type: AppType) -> Scene {
        let mut w = World::new();
        let app = w.task_of(AppType::AppDefault, Role::Foreground);
        let daemon = w.task_of(app_type, Role::Unspecified);
        request(&mut w, app, Qos::UserInteractive);
        request(&mut w, daemon, Qos::Legacy);
        let (service, to) = w.connect(app, daemon);
        let reply = special_reply_port(&mut w, app);
        Scene { w, app, to, reply, daemon, service }
    }

    /// The same with the daemon's thread as the servicer of its port.
    pub fn served(app_type: AppType) -> Scene {
        let mut scene = Scene::new(app_type);
        serve(&mut scene.w, scene.daemon, scene.service);
        scene
    }

    /// Returns an app with a special reply port and a send right to the service.
    pub fn another_app(&mut self) -> (Actor, PortName, PortName) {
        let app = self.w.task_of(AppType::AppDefault, Role::Foreground);
        request(&mut self.w, app, Qos::UserInteractive);
        let to = self.w.give_send(self.daemon, self.service, app);
        let reply = special_reply_port(&mut self.w, app);
        (app, to, reply)
    }

    pub fn call(&mut self) {
        let (app, to, reply) = (self.app, self.to, self.reply);
        call(&mut self.w, app, to, reply);
    }

    /// Lets the daemon receive a request; returns the right to reply.
    pub fn take(&mut self) -> PortName {
        self.w.poll(self.daemon, self.service).unwrap().header.msgh_remote_port
    }

    pub fn answer(&mut self, once: PortName) {
        self.w.send(self.daemon, &Msg::to(once, D::MOVE_SEND_ONCE).id(101)).unwrap();
    }

    pub fn daemon_base(&self) -> u8 {
        base(&self.w, self.daemon)
    }
}

/// Sends a request and waits for its reply in one call.
pub fn start_call(w: &mut World, a: Actor, to: PortName, reply: PortName, options: MsgOption, timeout: u32) -> Ret {
    let bytes = Msg::copy_send(to).reply_to(reply, D::MAKE_SEND_ONCE).encode();
    w.put(a, BUFFER, &bytes);
    let options = options | MsgOption::SEND_MSG | MsgOption::RCV_MSG;
    let send_size = bytes.len() as u32;
    let args =
        MachMsg { options, send_size, timeout, receive_size: BUFFER_SIZE, receive_name: reply, ..MachMsg::default() };
    w.mach_msg(a, &args)
}

pub fn call(w: &mut World, a: Actor, to: PortName, reply: PortName) {
    assert_eq!(start_call(w, a, to, reply, MsgOption::empty(), 0), Ret::Blocked);
}

/// Queues a message with an override class on a port of the actor's task.
pub fn post(w: &mut World, a: Actor, name: PortName, class: Qos) {
    let bytes = Msg::to(name, D::MAKE_SEND).encode();
    w.put(a, BUFFER, &bytes);
    let priority = MessagePriority::encode(class, Qos::Unspecified, 0);
    let options = MsgOption::SEND_MSG | MsgOption::SEND_OVERRIDE;
    w.mach_msg(a, &MachMsg { options, send_size: bytes.len() as u32, priority, ..MachMsg::default() })
        .code()
        .ok()
        .unwrap();
}

// covers importance E132
#[test]
fn queued_messages_raise_the_servicer_of_a_boosted_daemon() {
    let Scene { mut w, daemon, service, .. } = Scene::served(AppType::DaemonAdaptive);
    boost(&mut w, daemon);
    let other = w.thread(daemon);
    assert_eq!(base(&w, daemon), LEGACY);
    post(&mut w, other, service, Qos::UserInitiated);
    post(&mut w, other, service, Qos::Utility);
    assert_eq!((base(&w, daemon), base(&w, other)), (37, LEGACY));
    w.poll(daemon, service).unwrap();
    assert_eq!(base(&w, daemon), LEGACY, "the message of a lower class is still there");
    post(&mut w, other, service, Qos::UserInitiated);
    let unbound = bind(&mut w, daemon, service, MACH_PORT_NULL);
    assert_eq!((unbound, base(&w, daemon)), (Ok(()), LEGACY));
    serve(&mut w, daemon, service);
    assert_eq!(base(&w, daemon), 37, "what is queued counts from the binding on");
    w.poll(daemon, service).unwrap();
    w.poll(daemon, service).unwrap();
    assert_eq!(base(&w, daemon), LEGACY);
}

// covers importance E133
#[test]
fn queued_messages_do_not_lift_a_servicer_over_its_unboosted_daemon() {
    let Scene { mut w, daemon, service, .. } = Scene::served(AppType::DaemonAdaptive);
    let other = w.thread(daemon);
    post(&mut w, other, service, Qos::UserInitiated);
    assert_eq!(w.kernel.sched[daemon.thread].policy().servicer_override, Qos::UserInitiated);
    assert_eq!(base(&w, daemon), LOW);
}

#[test]
fn a_refused_send_can_raise_the_servicer() {
    let Scene { mut w, daemon, service, .. } = Scene::served(AppType::DaemonAdaptive);
    boost(&mut w, daemon);
    let (other, notify) = (w.thread(daemon), w.port(daemon));
    w.insert_right(daemon, service, service, D::MAKE_SEND).unwrap();
    w.set_qlimit(daemon, service, 1).unwrap();
    w.request(daemon, service, MACH_NOTIFY_SEND_POSSIBLE, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    post(&mut w, other, service, Qos::Utility);
    assert_eq!(base(&w, daemon), LEGACY);
    let bytes = Msg::copy_send(service).encode();
    w.put(other, BUFFER, &bytes);
    let send = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
    let options = send | MsgOption::SEND_OVERRIDE | MsgOption::SEND_NOTIFY;
    let priority = MessagePriority::encode(Qos::UserInitiated, Qos::Unspecified, 0);
    let args = MachMsg { options, send_size: bytes.len() as u32, priority, ..MachMsg::default() };
    assert_eq!((w.mach_msg(other, &args).code(), base(&w, daemon)), (MACH_SEND_TIMED_OUT, 37));
    w.poll(daemon, service).unwrap();
    assert_eq!(base(&w, daemon), LEGACY);
}

#[test]
fn a_message_that_leaves_the_queue_through_a_new_set_raises_the_servicer_no_more() {
    let Scene { mut w, daemon, service, .. } = Scene::served(AppType::DaemonAdaptive);
    boost(&mut w, daemon);
    let (other, waiter) = (w.thread(daemon), w.thread(daemon));
    let set = w.allocate(daemon, MACH_PORT_RIGHT_PORT_SET).unwrap();
    post(&mut w, other, service, Qos::UserInitiated);
    assert_eq!(base(&w, daemon), 37);
    assert_eq!(w.receive(waiter, set, MsgOption::empty()), Ret::Blocked);
    w.insert_member(other, service, set).unwrap();
    assert_eq!((w.state(waiter).code(), base(&w, daemon)), (MACH_MSG_SUCCESS, LEGACY));
}

#[test]
fn the_messages_of_a_sets_members_raise_the_thread_that_serves_the_set() {
    let mut w = World::new();
    let a = w.task();
    request(&mut w, a, Qos::Legacy);
    let (set, other) = (w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap(), w.thread(a));
    let [first, second] = [(); 2].map(|()| w.port(a));
    serve(&mut w, a, set);
    post(&mut w, other, first, Qos::UserInitiated);
    assert_eq!(base(&w, a), LEGACY);
    w.insert_member(other, first, set).unwrap();
    assert_eq!(base(&w, a), 37, "a member with a message joins");
    w.extract_member(other, first, set).unwrap();
    assert_eq!(base(&w, a), LEGACY, "and leaves");
    w.insert_member(other, first, set).unwrap();
    w.insert_member(other, second, set).unwrap();
    post(&mut w, other, second, Qos::UserInteractive);
    assert_eq!(base(&w, a), 37, "the ceiling of a task without a type");
    w.extract_member(other, first, set).unwrap();
    w.poll(a, second).unwrap();
    assert_eq!(base(&w, a), LEGACY);
    w.insert_member(other, first, set).unwrap();
    assert_eq!(base(&w, a), 37);
    w.destroy(other, set).unwrap();
    assert_eq!((base(&w, a), w.kernel.sched[a.thread].serves()), (LEGACY, None));
}

// covers importance E134
#[test]
fn a_waiting_app_lifts_the_servicer_alone_out_of_its_daemons_background() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let other = scene.w.thread(scene.daemon);
    assert_eq!((base(&scene.w, scene.app), scene.daemon_base()), (HIGH, LOW));
    scene.call();
    let raised = |scene: &Scene| {
        let ThreadEffective { base_priority, background, tiers, .. } = effective(&scene.w, scene.daemon);
        assert_eq!((scene.daemon_base(), base_priority, background, tiers.io), (HIGH, HIGH, false, 0));
        assert_eq!(base(&scene.w, other), LOW);
    };
    raised(&scene);
    let once = scene.take();
    raised(&scene);
    scene.answer(once);
    assert_eq!((scene.daemon_base(), base(&scene.w, other)), (LOW, LOW));
    assert_eq!(scene.w.received(scene.app).header.msgh_id, 101);
    // The next call is linked anew, also if the servicer waits for it.
    assert_eq!(scene.w.receive(scene.daemon, scene.service, MsgOption::empty()), Ret::Blocked);
    scene.call();
    raised(&scene);
    let once = scene.w.received(scene.daemon).header.msgh_remote_port;
    scene.answer(once);
    assert_eq!(scene.daemon_base(), LOW);
}

// covers importance E135
#[test]
fn a_waiter_in_the_background_promotes_nobody() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let app = scene.app;
    set_role(&mut scene.w, app, Role::Throttle);
    assert_eq!(base(&scene.w, app), LOW);
    scene.call();
    let policy = scene.w.kernel.sched[scene.daemon.thread].policy();
    assert_eq!((policy.promote, policy.promotion_priority), (Qos::Unspecified, LOW));
    assert_eq!(scene.daemon_base(), LOW);
    scene.take();
    assert_eq!(scene.daemon_base(), LOW);
}

// covers importance E136
#[test]
fn a_push_does_not_lift_a_thread_of_a_background_daemon() {
    let mut scene = Scene::served(AppType::DaemonBackground);
    scene.call();
    assert_eq!(scene.w.kernel.sched[scene.daemon.thread].policy().promotion_priority, HIGH);
    assert_eq!(scene.daemon_base(), LOW);
}

// covers importance E137
#[test]
fn a_servicer_follows_the_priority_of_its_waiter() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let app = scene.app;
    scene.call();
    assert_eq!(scene.daemon_base(), HIGH);
    set_role(&mut scene.w, app, Role::NonUi);
    assert_eq!((base(&scene.w, app), scene.daemon_base()), (LEGACY, LEGACY));
    set_role(&mut scene.w, app, Role::Foreground);
    assert_eq!(scene.daemon_base(), HIGH);
}

#[test]
fn of_two_pushes_the_higher_one_counts_whichever_begins_or_ends_first() {
    for high_begins_first in [true, false] {
        for high_ends_first in [true, false] {
            let mut scene = Scene::served(AppType::DaemonAdaptive);
            let (low, to, reply) = scene.another_app();
            set_role(&mut scene.w, low, Role::NonUi);
            if high_begins_first {
                scene.call();
                assert_eq!(scene.daemon_base(), HIGH);
            }
            call(&mut scene.w, low, to, reply);
            assert_eq!(scene.daemon_base(), if high_begins_first { HIGH } else { LEGACY });
            if !high_begins_first {
                scene.call();
            }
            assert_eq!(scene.daemon_base(), HIGH);
            let taken = [scene.take(), scene.take()];
            let (first, second) = if high_begins_first == high_ends_first { (0, 1) } else { (1, 0) };
            scene.answer(taken[first]);
            assert_eq!(scene.daemon_base(), if high_ends_first { LEGACY } else { HIGH });
            scene.answer(taken[second]);
            assert_eq!(scene.daemon_base(), LOW);
        }
    }
}

#[test]
fn a_push_ends_with_whatever_ends_the_wait_or_its_reason() {
    /// What is done by the names of the waiter's thread and of the reply right, with another thread of the waiter's task.
    type End = fn(&mut Scene, PortName, PortName, Actor);
    let ends: [(&str, End); 8] = [
        ("the reply", |s, _, once, _| s.answer(once)),
        ("the reply right is destroyed", |s, _, once, _| s.w.deallocate(s.daemon, once).unwrap()),
        ("the waiter is aborted", |s, thread, _, helper| s.w.thread_abort(helper, thread)),
        ("the waiter ends", |s, _, _, _| s.w.end_task(s.app)),
        ("the reply port is destroyed", |s, _, _, helper| {
            s.w.mod_refs(helper, s.reply, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        }),
        ("the port is destroyed", |s, _, _, _| s.w.mod_refs(s.daemon, s.service, MACH_PORT_RIGHT_RECEIVE, -1).unwrap()),
        ("the port leaves its task", |s, _, _, _| {
            let target = s.w.port(s.daemon);
            s.w.send(s.daemon, &Msg::to(target, D::MAKE_SEND).port(s.service, D::MOVE_RECEIVE)).unwrap();
        }),
        ("the thread no longer serves", |s, _, _, _| bind(&mut s.w, s.daemon, s.service, MACH_PORT_NULL).unwrap()),
    ];
    for (what, end) in ends {
        let mut scene = Scene::served(AppType::DaemonAdaptive);
        let (thread, helper) = (scene.w.thread_self(scene.app), scene.w.thread(scene.app));
        scene.call();
        let once = scene.take();
        assert_eq!(scene.daemon_base(), HIGH, "before {what}");
        end(&mut scene, thread, once, helper);
        assert_eq!(scene.daemon_base(), LOW, "after {what}");
    }
}

#[test]
fn a_request_that_another_thread_takes_pushes_the_servicer_no_more() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let other = scene.w.thread(scene.daemon);
    scene.call();
    let once = scene.w.poll(other, scene.service).unwrap().header.msgh_remote_port;
    assert_eq!((scene.daemon_base(), base(&scene.w, other)), (LOW, LOW));
    scene.answer(once);
    assert_eq!(scene.w.state(scene.app).code(), MACH_MSG_SUCCESS);
    scene.call();
    assert_eq!(scene.daemon_base(), HIGH, "the receive of the reply allows a new link");
}

#[test]
fn a_port_without_a_servicer_pushes_nobody_until_it_gets_one() {
    let mut scene = Scene::new(AppType::DaemonAdaptive);
    let Scene { daemon, service, .. } = scene;
    scene.call();
    assert_eq!(scene.daemon_base(), LOW);
    serve(&mut scene.w, daemon, service);
    assert_eq!(scene.daemon_base(), HIGH);
    let other = scene.w.thread(daemon);
    let thread = scene.w.thread_self(other);
    bind(&mut scene.w, daemon, service, thread).unwrap();
    assert_eq!((scene.daemon_base(), base(&scene.w, other)), (LOW, HIGH), "another thread serves");
    scene.w.trap(other, tally::THREAD_EXIT, &[]);
    serve(&mut scene.w, daemon, service);
    assert_eq!(scene.daemon_base(), HIGH);
}

#[test]
fn senders_that_wait_for_room_push_the_servicer() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let Scene { app, to, daemon, service, .. } = scene;
    scene.w.set_qlimit(daemon, service, 1).unwrap();
    scene.w.send(app, &Msg::copy_send(to)).unwrap();
    assert_eq!(scene.daemon_base(), LOW);
    assert_eq!(scene.w.send_with(app, &Msg::copy_send(to), MsgOption::empty(), 0), Ret::Blocked);
    assert_eq!(scene.daemon_base(), HIGH);
    scene.take();
    assert_eq!(scene.daemon_base(), LOW);
    assert_eq!(scene.w.send_with(app, &Msg::copy_send(to), MsgOption::SEND_TIMEOUT, 5), Ret::Blocked);
    assert_eq!(scene.daemon_base(), HIGH);
    scene.w.advance(5 * MILLISECOND);
    assert_eq!((scene.w.state(app).code(), scene.daemon_base()), (MACH_SEND_TIMED_OUT, LOW));
}

/// Makes daemons of which each serves a port and can call the one before it.
pub fn daemons(w: &mut World, count: usize) -> Vec<(Actor, PortName, PortName, PortName)> {
    let mut made: Vec<(Actor, PortName, PortName, PortName)> = Vec::new();
    for _ in 0..count {
        let daemon = w.task_of(AppType::DaemonAdaptive, Role::Unspecified);
        let (service, reply) = (w.port(daemon), special_reply_port(w, daemon));
        serve(w, daemon, service);
        let to = match made.last() {
            Some(&(before, at, ..)) => w.give_send(before, at, daemon),
            None => PortName(0),
        };
        made.push((daemon, service, reply, to));
    }
    made
}

#[test]
fn a_push_that_would_make_a_chain_too_long_pushes_nobody() {
    let mut w = World::new();
    let chain = daemons(&mut w, usize::from(PUSH_CHAIN_MAX) + 1);
    let (last, service, ..) = *chain.last().unwrap();
    let helper = w.thread(last);
    for &(daemon, _, reply, to) in chain[1..].iter().rev() {
        call(&mut w, daemon, to, reply);
    }
    let app = w.task_of(AppType::AppDefault, Role::Foreground);
    request(&mut w, app, Qos::UserInteractive);
    let (to, reply) = (w.give_send(helper, service, app), special_reply_port(&mut w, app));
    call(&mut w, app, to, reply);
    assert!(chain.iter().all(|&(daemon, ..)| base(&w, daemon) == LOW));
}

#[test]
fn threads_that_wait_for_each_other_do_not_push_themselves() {
    let mut w = World::new();
    let pair = daemons(&mut w, 2);
    let ((a, a_service, a_reply, _), (b, b_service, b_reply, to_a)) = (pair[0], pair[1]);
    let (to_b, helper) = (w.give_send(b, b_service, a), w.thread(a));
    call(&mut w, a, to_b, a_reply);
    call(&mut w, b, to_a, b_reply);
    let app = w.task_of(AppType::AppDefault, Role::Foreground);
    request(&mut w, app, Qos::UserInteractive);
    let (to, reply) = (w.give_send(helper, a_service, app), special_reply_port(&mut w, app));
    assert_eq!(start_call(&mut w, app, to, reply, MsgOption::RCV_TIMEOUT, 10), Ret::Blocked);
    assert_eq!([a, b].map(|daemon| base(&w, daemon)), [HIGH; 2]);
    w.advance(10 * MILLISECOND);
    assert_eq!([a, b].map(|daemon| base(&w, daemon)), [LOW; 2]);
    // A thread that waits for itself is the smallest circle.
    let c = w.task_of(AppType::DaemonAdaptive, Role::Unspecified);
    let (own, reply) = (w.port_with_send(c), special_reply_port(&mut w, c));
    serve(&mut w, c, own);
    assert_eq!(start_call(&mut w, c, own, reply, MsgOption::RCV_TIMEOUT, 10), Ret::Blocked);
    assert_eq!((base(&w, c), w.kernel.sched[c.thread].push()), (LOW, Push::Refused));
    w.advance(10 * MILLISECOND);
    assert_eq!(w.kernel.sched[c.thread].push(), Push::Nobody);
}
