//! Special reply ports, the link to the port of their request, and servicers (mach-ipc 3.12, importance 7.6, errata 5, 6).

use crate::calls::{UNUSED_NAME, in_both_forms};
use crate::message::{MachMsg, Msg};
use crate::pushes::{HIGH, LOW, MILLISECOND, Scene, bind, call, special_reply_port, start_call};
use crate::world::{Actor, BUFFER_SIZE, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{AppType, Priority, Qos};
use abi::trap::{mach, tally, unix};

/// Waits on a special reply port while the reply is computed at another port.
fn sync_wait(w: &mut World, a: Actor, reply: PortName, at: PortName, options: MsgOption) -> Ret {
    let options = options | MsgOption::RCV_MSG | MsgOption::RCV_SYNC_WAIT;
    let args =
        MachMsg { options, receive_name: reply, receive_size: BUFFER_SIZE, priority: at.0, ..MachMsg::default() };
    w.mach_msg(a, &args)
}

#[test]
fn a_wait_that_times_out_pushes_no_more() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let Scene { ref mut w, app, to, reply, .. } = scene;
    assert_eq!(start_call(w, app, to, reply, MsgOption::RCV_TIMEOUT, 10), Ret::Blocked);
    assert_eq!(scene.daemon_base(), HIGH);
    scene.w.advance(10 * MILLISECOND);
    assert_eq!(scene.w.state(app).code(), MACH_RCV_TIMED_OUT);
    assert_eq!(scene.daemon_base(), LOW);
    assert_eq!(scene.w.receive(app, reply, MsgOption::empty()), Ret::Blocked);
    assert_eq!(scene.daemon_base(), LOW, "a plain receive waits for no request");
}

// covers mach-ipc P13
#[test]
fn a_special_reply_port_takes_no_importance_and_no_request_for_its_receive_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (reply, notify) = (special_reply_port(&mut w, a), w.port(a));
        let type_of = w.port_type(a, reply);
        assert_eq!(type_of, Ok(PortType::SEND | PortType::RECEIVE));
        assert_eq!(w.get_refs(a, reply, MACH_PORT_RIGHT_SEND), Ok(1));
        for flavor in [MACH_PORT_IMPORTANCE_RECEIVER, MACH_PORT_TEMPOWNER, MACH_PORT_DENAP_RECEIVER] {
            assert_eq!(w.set_attributes(a, reply, flavor, &[]), Err(KERN_INVALID_ARGUMENT));
        }
        assert_eq!(w.status(a, reply).mps_flags, 0);
        let right = (notify, D::MAKE_SEND_ONCE);
        assert_eq!(w.request(a, reply, MACH_NOTIFY_PORT_DESTROYED, 0, right), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.status(a, reply).mps_pdrequest, 0);
    });
}

/// Everything that a program can attach to a special reply port while a request is out.
#[test]
fn every_call_on_a_special_reply_port_refuses_or_leaves_the_link_whole() {
    type Attach = fn(&mut Scene, Actor) -> Result<(), KernReturn>;
    let calls: [(&str, Attach, Result<(), KernReturn>); 11] = [
        ("move", |s, a| s.w.send(a, &Msg::to(s.app.inbox, D::MAKE_SEND).port(s.reply, D::MOVE_RECEIVE)), {
            Err(MACH_SEND_INVALID_RIGHT)
        }),
        ("extract", |s, a| s.w.extract_right(a, s.reply, D::MOVE_RECEIVE).map(|_| ()), Err(KERN_INVALID_CAPABILITY)),
        ("importance", |s, a| s.w.set_attributes(a, s.reply, MACH_PORT_IMPORTANCE_RECEIVER, &[]), {
            Err(KERN_INVALID_ARGUMENT)
        }),
        ("tempowner", |s, a| s.w.set_attributes(a, s.reply, MACH_PORT_TEMPOWNER, &[]), Err(KERN_INVALID_ARGUMENT)),
        ("servicer", |s, a| bind(&mut s.w, a, s.reply, MACH_PORT_NULL), Ok(())),
        ("limit", |s, a| s.w.set_qlimit(a, s.reply, 7), Ok(())),
        (
            "set",
            |s, a| {
                let set = s.w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
                s.w.insert_member(a, s.reply, set)
            },
            Ok(()),
        ),
        ("guard", |s, a| s.w.guard(a, s.reply, 9, true), Ok(())),
        ("context", |s, a| s.w.set_context(a, s.reply, 9), Ok(())),
        (
            "dead-name request",
            |s, a| s.w.request(a, s.reply, MACH_NOTIFY_DEAD_NAME, 0, (s.app.inbox, D::MAKE_SEND_ONCE)).map(|_| ()),
            Ok(()),
        ),
        (
            "no-senders request",
            |s, a| s.w.request(a, s.reply, MACH_NOTIFY_NO_SENDERS, 9, (s.app.inbox, D::MAKE_SEND_ONCE)).map(|_| ()),
            Ok(()),
        ),
    ];
    for (what, attach, result) in calls {
        let mut scene = Scene::served(AppType::DaemonAdaptive);
        let helper = scene.w.thread(scene.app);
        scene.call();
        assert_eq!(attach(&mut scene, helper), result, "{what}");
        assert_eq!(scene.daemon_base(), HIGH, "{what} leaves the link whole");
        let once = scene.take();
        assert_eq!(scene.daemon_base(), HIGH);
        scene.answer(once);
        assert_eq!((scene.daemon_base(), scene.w.state(scene.app).code()), (LOW, MACH_MSG_SUCCESS), "{what}");
    }
}

#[test]
fn a_new_special_reply_port_replaces_the_one_before_which_stays() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let Scene { app, to, reply, .. } = scene;
    let next = special_reply_port(&mut scene.w, app);
    assert_ne!(next, reply);
    assert_eq!(scene.w.port_type(app, reply), Ok(PortType::SEND | PortType::RECEIVE));
    call(&mut scene.w, app, to, reply);
    assert_eq!(scene.daemon_base(), LOW, "the old one is nobody's");
    let once = scene.take();
    scene.answer(once);
    assert_eq!(scene.w.state(app).code(), MACH_MSG_SUCCESS);
    call(&mut scene.w, app, to, next);
    assert_eq!(scene.daemon_base(), HIGH);
}

#[test]
fn without_a_name_left_there_is_no_special_reply_port() {
    let mut w = World::with_limits(kernel::limits::Limits { names_per_task: 64, ..Default::default() });
    let a = w.task();
    w.fill_names(a);
    let counts = w.counts();
    assert_eq!(w.trap(a, mach::THREAD_GET_SPECIAL_REPLY_PORT, &[]), Ret::Done(0));
    assert_eq!(w.counts(), counts);
}

#[test]
fn a_wait_names_the_port_at_which_its_reply_is_computed() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let Scene { app, to, reply, .. } = scene;
    let (plain, helper, timeout) = (scene.w.port(app), scene.w.thread(app), MsgOption::RCV_TIMEOUT);
    let rows = [
        (app, plain, to, MACH_RCV_INVALID_NOTIFY),
        (helper, reply, to, MACH_RCV_INVALID_NOTIFY),
        (app, reply, MACH_PORT_NULL, MACH_RCV_INVALID_NOTIFY),
        (app, reply, MACH_PORT_DEAD, MACH_RCV_INVALID_NOTIFY),
        (app, UNUSED_NAME, to, MACH_RCV_INVALID_NAME),
        (app, reply, plain, MACH_RCV_TIMED_OUT),
        (app, reply, UNUSED_NAME, MACH_RCV_TIMED_OUT),
        (app, reply, app.self_port, MACH_RCV_TIMED_OUT),
    ];
    for (actor, name, at, code) in rows {
        assert_eq!(sync_wait(&mut scene.w, actor, name, at, timeout).code(), code, "{name:?} {at:?}");
    }
    assert_eq!(sync_wait(&mut scene.w, app, reply, plain, MsgOption::empty()), Ret::Blocked);
    assert_eq!(scene.daemon_base(), LOW, "a name without a send right is not used");
    scene.w.send(helper, &Msg::copy_send(reply)).unwrap();
    for (options, priority) in [(MsgOption::SEND_SYNC_OVERRIDE, LOW), (MsgOption::empty(), HIGH)] {
        assert_eq!(sync_wait(&mut scene.w, app, reply, to, options), Ret::Blocked);
        assert_eq!(scene.daemon_base(), priority, "{options:?}");
        scene.w.send(helper, &Msg::copy_send(reply)).unwrap();
        assert_eq!(scene.daemon_base(), LOW);
    }
}

#[test]
fn a_message_for_which_its_sender_waits_is_as_urgent_as_the_sender() {
    let mut scene = Scene::new(AppType::DaemonAdaptive);
    let Scene { app, to, daemon, service, reply, .. } = scene;
    let ov = |scene: &mut Scene| {
        scene.w.poll(daemon, service).unwrap();
        scene.w.kernel.sched[daemon.thread].frame().rdx
    };
    let pthread = u64::from(Priority::of(Qos::UserInteractive).to_pthread());
    scene.w.send(app, &Msg::copy_send(to).reply_to(reply, D::MAKE_SEND_ONCE)).unwrap();
    assert_eq!(ov(&mut scene), pthread);
    scene.w.send_with(app, &Msg::copy_send(to), MsgOption::SEND_SYNC_OVERRIDE, 0).code().ok().unwrap();
    assert_eq!(ov(&mut scene), pthread);
    let plain = scene.w.port(app);
    scene.w.send(app, &Msg::copy_send(to).reply_to(plain, D::MAKE_SEND_ONCE)).unwrap();
    assert_eq!(ov(&mut scene), 0);
}

#[test]
fn a_binding_names_an_object_and_a_thread_of_the_task_that_is_free() {
    let mut w = World::new();
    let (a, other) = (w.task(), w.task());
    let (port, second, reply) = (w.port_with_send(a), w.port(a), special_reply_port(&mut w, a));
    let (thread, foreign) = (w.thread_self(a), w.thread_self(other));
    let send = w.give_send(other, other.inbox, a);
    let rows = [
        (MACH_PORT_NULL, thread, Err(KERN_INVALID_RIGHT)),
        (MACH_PORT_DEAD, thread, Err(KERN_INVALID_RIGHT)),
        (UNUSED_NAME, thread, Err(KERN_INVALID_NAME)),
        (send, thread, Err(KERN_INVALID_RIGHT)),
        (reply, thread, Err(KERN_INVALID_ARGUMENT)),
        (port, port, Err(KERN_INVALID_ARGUMENT)),
        (port, UNUSED_NAME, Err(KERN_INVALID_ARGUMENT)),
        (port, a.self_port, Err(KERN_INVALID_ARGUMENT)),
        (port, MACH_PORT_NULL, Ok(())),
        (port, thread, Ok(())),
        (port, thread, Ok(())),
        (second, thread, Err(KERN_FAILURE)),
        (port, MACH_PORT_NULL, Ok(())),
        (second, thread, Ok(())),
    ];
    for (name, thread, result) in rows {
        assert_eq!(bind(&mut w, a, name, thread), result, "{name:?} {thread:?}");
    }
    assert_eq!(bind(&mut w, other, other.inbox, foreign), Ok(()));
    // A thread that pushes others cannot begin to serve.
    let waiting = w.thread(a);
    let name = w.thread_self(waiting);
    w.set_qlimit(a, port, 0).unwrap();
    assert_eq!(w.send_with(waiting, &Msg::copy_send(port), MsgOption::empty(), 0), Ret::Blocked);
    assert_eq!(bind(&mut w, a, port, name), Err(KERN_FAILURE));
    w.thread_abort(a, name);
    assert_eq!(bind(&mut w, a, port, name), Ok(()));
    w.trap(waiting, tally::THREAD_EXIT, &[]);
    assert_eq!(bind(&mut w, a, second, MACH_PORT_NULL), Ok(()));
    assert_eq!(bind(&mut w, a, port, thread), Ok(()), "the binding ended with the thread");
    assert_eq!(w.trap(a, unix::GETPID, &[]), Ret::Done(w.kernel.tasks[a.task].credentials.pid.into()));
}

// covers mach-ipc K06
#[test]
fn each_call_gives_a_new_special_reply_port_that_stays_where_it_is() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (_, to_b) = w.connect(a, b);
    let ports = [0; 2].map(|_| special_reply_port(&mut w, a));
    assert_ne!(ports[0], ports[1]);
    for port in ports {
        assert_eq!(w.port_type(a, port), Ok(PortType::RECEIVE | PortType::SEND));
        w.send(a, &Msg::to(port, D::MAKE_SEND_ONCE)).unwrap();
        assert!(w.poll(a, port).is_ok());
        let moved = w.try_send(a, &Msg::copy_send(to_b).port(port, D::MOVE_RECEIVE));
        assert_eq!(moved, Err(MACH_SEND_INVALID_RIGHT));
        assert_eq!(w.port_type(a, port), Ok(PortType::RECEIVE | PortType::SEND));
    }
}
