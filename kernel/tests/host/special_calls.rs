//! Every other call that a program can make on a special reply port while its thread waits there: it refuses, or leaves
//! the link to the port of the request whole (mach-ipc 3.12, importance 7.6). Those that attach something to the port are
//! in `special_reply.rs`.

use crate::calls::CHOSEN_NAME;
use crate::message::Msg;
use crate::program::spawn_args;
use crate::pushes::{HIGH, LOW, Scene};
use crate::world::Actor;
use abi::KernReturn;
use abi::code::*;
use abi::mig::{mach_port as mig, task};
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::AppType;
use abi::task::{TASK_BOOTSTRAP_PORT, TaskSpawnArgs};

/// A call by another thread of the app whose main thread waits.
type CallIt = fn(&mut Scene, Actor) -> Result<(), KernReturn>;

/// Makes a call to the app's own task with words behind the name of the special reply port.
fn mig_call(s: &mut Scene, a: Actor, id: i32, words: &[u32]) -> Result<(), KernReturn> {
    let words = [&[s.reply.0], words].concat();
    s.w.mig(a, a.self_port, id, &words).map(|_| ())
}

/// Checks that each call has its result, that the waiter still pushes the daemon, and that the reply arrives.
#[track_caller]
fn check(rows: &[(&str, CallIt, Result<(), KernReturn>)]) {
    for &(what, call, result) in rows {
        let mut scene = Scene::served(AppType::DaemonAdaptive);
        let helper = scene.w.thread(scene.app);
        scene.call();
        assert_eq!(call(&mut scene, helper), result, "{what}");
        assert_eq!(scene.daemon_base(), HIGH, "{what} leaves the link whole");
        let once = scene.take();
        scene.answer(once);
        assert_eq!((scene.daemon_base(), scene.w.state(scene.app).code()), (LOW, MACH_MSG_SUCCESS), "{what}");
    }
}

#[test]
fn calls_that_change_other_parts_of_the_port_leave_the_link_whole() {
    check(&[
        ("a name of the same value", |s, a| mig_call(s, a, mig::ALLOCATE_NAME, &[0]), Err(KERN_INVALID_VALUE)),
        ("set_mscount", |s, a| mig_call(s, a, mig::SET_MSCOUNT, &[7]), Ok(())),
        ("set_seqno", |s, a| mig_call(s, a, mig::SET_SEQNO, &[7]), Ok(())),
        ("unguard", |s, a| s.w.unguard(a, s.reply, 9), Err(KERN_INVALID_ARGUMENT)),
        ("swap_guard", |s, a| mig_call(s, a, mig::SWAP_GUARD, &[9, 0, 8, 0]), Err(KERN_INVALID_ARGUMENT)),
        (
            "guard and unguard",
            |s, a| {
                s.w.guard(a, s.reply, 9, false)?;
                s.w.unguard(a, s.reply, 9)
            },
            Ok(()),
        ),
        (
            "in and out of a set",
            |s, a| {
                let set = s.w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
                s.w.move_member(a, s.reply, set)?;
                s.w.extract_member(a, s.reply, set)?;
                s.w.insert_member(a, s.reply, set)?;
                s.w.destroy(a, set)
            },
            Ok(()),
        ),
        ("a set that is none", |s, a| s.w.insert_member(a, s.reply, s.reply), Err(KERN_INVALID_RIGHT)),
        ("the old name of a rename", |s, a| mig_call(s, a, mig::RENAME, &[CHOSEN_NAME.0]), Err(KERN_NOT_SUPPORTED)),
        (
            "a reset of the link",
            |s, a| mig_call(s, a, mig::SPECIAL_REPLY_PORT_RESET_LINK, &[]),
            Err(KERN_NOT_SUPPORTED),
        ),
    ]);
}

#[test]
fn calls_that_only_look_leave_the_link_whole() {
    check(&[
        ("type", |s, a| s.w.port_type(a, s.reply).map(|_| ()), Ok(())),
        ("get_refs", |s, a| s.w.get_refs(a, s.reply, MACH_PORT_RIGHT_RECEIVE).map(|_| ()), Ok(())),
        ("get_srights", |s, a| s.w.get_srights(a, s.reply).map(|_| ()), Ok(())),
        ("get_context", |s, a| s.w.get_context(a, s.reply).map(|_| ()), Ok(())),
        ("kobject", |s, a| mig_call(s, a, mig::KOBJECT, &[]), Ok(())),
        ("get_attributes", |s, a| mig_call(s, a, mig::GET_ATTRIBUTES, &[MACH_PORT_RECEIVE_STATUS, 10]), Ok(())),
    ]);
}

#[test]
fn calls_that_make_or_drop_other_rights_leave_the_link_whole() {
    check(&[
        ("another reference", |s, a| s.w.mod_refs(a, s.reply, MACH_PORT_RIGHT_SEND, 1), Ok(())),
        ("deallocate", |s, a| s.w.deallocate(a, s.reply), Ok(())),
        ("insert_right", |s, a| s.w.insert_right(a, s.reply, s.reply, D::MAKE_SEND), Ok(())),
        ("a send-once right", |s, a| s.w.insert_right(a, CHOSEN_NAME, s.reply, D::MAKE_SEND_ONCE), Ok(())),
        ("extract_right", |s, a| s.w.extract_right(a, s.reply, D::MAKE_SEND).map(|_| ()), Ok(())),
        ("no more references", |s, a| s.w.mod_refs(a, s.reply, MACH_PORT_RIGHT_RECEIVE, 1), Err(KERN_INVALID_VALUE)),
        (
            "a right in a message",
            |s, a| s.w.send(a, &Msg::to(s.app.inbox, D::MAKE_SEND).port(s.reply, D::MAKE_SEND)),
            Ok(()),
        ),
        (
            "a request of another thread for a reply there",
            |s, a| s.w.send(a, &Msg::to(s.app.inbox, D::MAKE_SEND).reply_to(s.reply, D::MAKE_SEND_ONCE)),
            Ok(()),
        ),
        (
            "a voucher that is none",
            |s, a| s.w.send(a, &Msg::to(s.app.inbox, D::MAKE_SEND).voucher(s.reply, D::COPY_SEND)),
            Err(MACH_SEND_INVALID_VOUCHER),
        ),
        (
            "a bootstrap port",
            |s, a| {
                let set = Msg::copy_send(a.self_port).id(task::SET_SPECIAL_PORT).port(s.reply, D::COPY_SEND);
                s.w.rpc(a, set.body(&abi::mig::NDR).words(&[TASK_BOOTSTRAP_PORT])).map(|_| ())
            },
            Ok(()),
        ),
        (
            "an exit port",
            |s, a| {
                let args = TaskSpawnArgs {
                    exit_port: s.reply,
                    exit_disposition: u32::from(D::MAKE_SEND_ONCE.0),
                    bootstrap_port: s.reply,
                    ..spawn_args()
                };
                s.w.start_spawn(a, args).map(|_| ())
            },
            Ok(()),
        ),
        (
            "a special reply port of another thread",
            |s, a| {
                crate::pushes::special_reply_port(&mut s.w, a);
                Ok(())
            },
            Ok(()),
        ),
    ]);
}

/// The kernel does not know which right belongs to which request: each that leaves it may be the one with which the reply
/// is made.
#[test]
fn a_send_once_right_that_the_app_takes_for_itself_ends_the_push() {
    let mut scene = Scene::served(AppType::DaemonAdaptive);
    let helper = scene.w.thread(scene.app);
    scene.call();
    let (once, _) = scene.w.extract_right(helper, scene.reply, D::MAKE_SEND_ONCE).unwrap();
    assert_eq!(scene.daemon_base(), LOW);
    scene.w.send(helper, &Msg::to(once, D::MOVE_SEND_ONCE)).unwrap();
    assert_eq!((scene.daemon_base(), scene.w.state(scene.app).code()), (LOW, MACH_MSG_SUCCESS));
}
