//! Kernel objects and the traps around them (mach-ipc 9.10).

use crate::message::{Msg, Received};
use crate::program::spawn_args;
use crate::world::{Actor, BUFFER, Ret, World};
use abi::code::*;
use abi::message::*;
use abi::mig::{NDR, REPLY_ID_OFFSET, mach_port as mig, task};
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::*;
use abi::trap::{CLASS_MACH, mach};
use abi::{KernReturn, PortName};

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;

/// The size of a reply that is only header, NDR and code.
const ERROR_REPLY_SIZE: u32 = 36;

/// The NDR record as words. In a complex message the first word is the number of descriptors.
const NDR_WORDS: [u32; 2] = [0, 1];

/// A trap number of class 1 that XNU leaves empty, and the first one behind its table.
const EMPTY_TRAP: u32 = 17;
const FIRST_TRAP_BEHIND_THE_TABLE: u32 = 128;
/// An address that is never mapped.
const UNMAPPED: u64 = 0x1000;

/// Makes a call with NDR and words and returns the whole reply.
fn reply_to(w: &mut World, a: Actor, to: PortName, id: i32, words: &[u32]) -> Received {
    let reply = w.port(a);
    w.send(a, &Msg::copy_send(to).reply_to(reply, D::MAKE_SEND_ONCE).id(id).body(&NDR).words(words)).unwrap();
    w.poll(a, reply).unwrap()
}

/// Calls `task_set_special_port` for the actor's own task.
fn set_special_port(w: &mut World, a: Actor, which: u32, port: PortName) -> Result<(), KernReturn> {
    let message = Msg::copy_send(a.self_port).id(task::SET_SPECIAL_PORT).port(port, D::COPY_SEND);
    w.rpc(a, message.body(&NDR).words(&[which])).map(|_| ())
}

// covers mach-ipc K01
#[test]
fn an_unknown_id_is_answered_with_bad_id() {
    let mut w = World::new();
    let a = w.task();
    const UNKNOWN_ID: i32 = 99_999;
    let reply = reply_to(&mut w, a, a.self_port, UNKNOWN_ID, &[]);
    assert_eq!((reply.header.msgh_id, reply.header.msgh_size), (UNKNOWN_ID + REPLY_ID_OFFSET, ERROR_REPLY_SIZE));
    assert_eq!(KernReturn(reply.words()[2] as i32), MIG_BAD_ID);
}

// covers mach-ipc K02
#[test]
fn a_request_without_a_reply_port_is_still_carried_out() {
    let mut w = World::new();
    let a = w.task();
    let before = w.names(a);
    let messages = w.counts().messages;
    assert_eq!(w.send(a, &Msg::copy_send(a.self_port).id(mig::ALLOCATE).body(&NDR).words(&[RECEIVE])), Ok(()));
    let new: Vec<_> = w.names(a).into_iter().filter(|name| !before.contains(name)).collect();
    assert!(matches!(new[..], [(_, PortType::RECEIVE)]), "{new:?}");
    assert_eq!(w.counts().messages, messages);
}

// covers mach-ipc K03
#[test]
fn a_port_call_on_a_non_task_returns_invalid_task() {
    let mut w = World::new();
    let a = w.task();
    let host = w.trap(a, mach::HOST_SELF, &[]).name();
    let reply = reply_to(&mut w, a, host, mig::ALLOCATE, &[RECEIVE]);
    assert_eq!((reply.header.msgh_id, reply.words()[2]), (mig::ALLOCATE + REPLY_ID_OFFSET, KERN_INVALID_TASK.0 as u32));
}

/// mach-ipc 2.0 marks the calls that do so.
#[test]
fn some_port_calls_on_a_non_task_return_invalid_argument() {
    let mut w = World::new();
    let a = w.task();
    let host = w.trap(a, mach::HOST_SELF, &[]).name();
    for (id, words) in [(mig::GET_ATTRIBUTES, 3), (mig::GET_CONTEXT, 1), (mig::KOBJECT, 1)] {
        assert_eq!(w.mig(a, host, id, &[0; 3][..words]), Err(KERN_INVALID_ARGUMENT));
    }
}

/// mach-ipc 5.2: what a port stands for is the handler's business, which does not run for a request of the wrong shape.
#[test]
fn the_shape_is_checked_before_the_kind_of_object() {
    let mut w = World::new();
    let a = w.task();
    let host = w.trap(a, mach::HOST_SELF, &[]).name();
    let receive = w.port_with_send(a);
    for id in (3200..3300).filter(|&id| id != mig::REQUEST_NOTIFICATION && id != mig::INSERT_RIGHT) {
        let code = KernReturn(reply_to(&mut w, a, host, id, &[0; 20]).words()[2] as i32);
        // The attributes are an array, and the count tells another length.
        assert!([MIG_BAD_ID, MIG_BAD_ARGUMENTS].contains(&code), "{id}: {code:?}");
    }
    let with_right = |id, disposition| Msg::copy_send(host).id(id).port(receive, disposition).body(&NDR);
    for (id, disposition, words, expected) in [
        (mig::REQUEST_NOTIFICATION, D::MAKE_SEND_ONCE, 2, MIG_BAD_ARGUMENTS),
        (mig::REQUEST_NOTIFICATION, D::COPY_SEND, 3, MIG_TYPE_ERROR),
        (mig::REQUEST_NOTIFICATION, D::MAKE_SEND_ONCE, 3, KERN_INVALID_TASK),
        (mig::INSERT_RIGHT, D::COPY_SEND, 2, MIG_BAD_ARGUMENTS),
        (mig::INSERT_RIGHT, D::COPY_SEND, 1, KERN_INVALID_TASK),
    ] {
        let request = with_right(id, disposition).words(&[0; 3][..words]);
        assert_eq!(w.rpc(a, request).unwrap_err(), expected, "{id} {disposition:?} {words}");
    }
    assert_eq!(w.get_refs(a, receive, MACH_PORT_RIGHT_SEND), Ok(1), "the rights in the requests are gone");
    let special = Msg::copy_send(a.self_port).id(abi::mig::task::SET_SPECIAL_PORT).port(receive, D::MAKE_SEND_ONCE);
    let kernel_port = special.body(&NDR).words(&[abi::task::TASK_KERNEL_PORT]);
    assert_eq!(w.rpc(a, kernel_port).unwrap_err(), MIG_TYPE_ERROR, "before KERN_NO_ACCESS");
}

#[test]
fn the_id_is_checked_before_the_kind_of_object() {
    let mut w = World::new();
    let a = w.task();
    let host = w.trap(a, mach::HOST_SELF, &[]).name();
    for id in 3200..3300 {
        let at_task = reply_to(&mut w, a, a.self_port, id, &[0; 20]).words()[2] as i32;
        let elsewhere = reply_to(&mut w, a, host, id, &[0; 20]).words()[2] as i32;
        assert_eq!(elsewhere == MIG_BAD_ID.0, at_task == MIG_BAD_ID.0, "{id}: {elsewhere} and {at_task}");
    }
}

/// mach-ipc 5.2: size, descriptors and dispositions are checked before the call is made.
#[test]
fn a_request_of_the_wrong_shape_is_refused() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    let request = |id| Msg::copy_send(a.self_port).id(id);
    let long = request(mig::ALLOCATE).body(&NDR).words(&[RECEIVE, 0]);
    assert_eq!(w.rpc(a, long).unwrap_err(), MIG_BAD_ARGUMENTS);
    let no_senders = [p.0, MACH_NOTIFY_NO_SENDERS as u32, 0];
    let simple = request(mig::REQUEST_NOTIFICATION).body(&NDR).words(&no_senders);
    assert_eq!(w.rpc(a, simple).unwrap_err(), MIG_BAD_ARGUMENTS);
    for (port, disposition) in [(p, D::MAKE_SEND), (MACH_PORT_NULL, D::MOVE_SEND), (MACH_PORT_NULL, D::NONE)] {
        let notify = request(mig::REQUEST_NOTIFICATION).port(port, disposition).body(&NDR).words(&no_senders);
        assert_eq!(w.rpc(a, notify).unwrap_err(), MIG_TYPE_ERROR);
    }
    for (port, disposition) in [(p, D::MAKE_SEND_ONCE), (MACH_PORT_NULL, D::MOVE_SEND_ONCE)] {
        let bootstrap = request(task::SET_SPECIAL_PORT).port(port, disposition).body(&NDR);
        let bootstrap = bootstrap.words(&[TASK_BOOTSTRAP_PORT]);
        assert_eq!(w.rpc(a, bootstrap).unwrap_err(), MIG_TYPE_ERROR);
    }
    w.notification(a, p, MACH_NOTIFY_SEND_ONCE);
    assert_eq!((w.status(a, p).mps_nsrequest, w.get_srights(a, p)), (0, Ok(1)));
}

/// More words than any request has.
const TOO_MANY_WORDS: [u32; 20] = [0; 20];

/// mach-ipc 5.2: the check is the same for all calls, and the call is not made.
#[test]
fn a_complex_request_without_descriptors_is_refused_by_every_call() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    let thread = w.thread_self(a);
    let drop_receive_right = [p.0, RECEIVE, u32::MAX, 0, 0, 0, 0, 0, 0];
    let before = (w.names(a), w.status(a, p));
    let mut calls = 0;
    for (to, ids) in [(a.self_port, 3200..3300), (a.self_port, 3400..3500), (thread, 3600..3700)] {
        for id in ids {
            let refusal = reply_to(&mut w, a, to, id, &TOO_MANY_WORDS).words()[2];
            calls += usize::from(refusal == MIG_BAD_ARGUMENTS.0 as u32);
            let request = Msg::copy_send(to).id(id).bits(HeaderFlags::COMPLEX.bits());
            let bare = [request.clone(), request.clone().words(&NDR_WORDS[1..])];
            let full = (0..=drop_receive_right.len())
                .map(|count| request.clone().words(&NDR_WORDS[1..]).words(&drop_receive_right[..count]));
            for request in bare.into_iter().chain(full) {
                assert_eq!(w.rpc(a, request.clone()).unwrap_err().0 as u32, refusal, "{id}: {request:?}");
            }
        }
    }
    assert!(calls > 30, "only {calls} calls were found");
    let old = |(name, _): &(PortName, PortType)| before.0.iter().any(|(other, _)| other == name);
    let after: Vec<_> = w.names(a).into_iter().filter(old).collect();
    assert_eq!((after, w.status(a, p)), before);
}

#[test]
fn unsupported_calls_check_the_shape_first() {
    let mut w = World::new();
    let a = w.task();
    for (id, words) in [(mig::RENAME, 2), (mig::SPECIAL_REPLY_PORT_RESET_LINK, 1)] {
        for count in 0..5 {
            let code = if count == words { KERN_NOT_SUPPORTED } else { MIG_BAD_ARGUMENTS };
            assert_eq!(w.mig(a, a.self_port, id, &vec![0; count]), Err(code), "{id} with {count} words");
        }
    }
}

/// The size of the reply of `mach_port_kobject`: header, NDR, code, kind, and an address of 64 bits.
const KOBJECT_REPLY_SIZE: u32 = 48;

#[test]
fn mach_port_kobject_returns_the_kind_and_a_64_bit_address() {
    let mut w = World::new();
    let a = w.task();
    let reply = reply_to(&mut w, a, a.self_port, mig::KOBJECT, &[a.self_port.0]);
    assert_eq!(reply.header.msgh_size, KOBJECT_REPLY_SIZE);
    assert_eq!(reply.words()[2..], [KERN_SUCCESS.0 as u32, ikot::TASK_CONTROL, 0, 0]);
}

// covers mach-ipc K04
#[test]
fn each_task_self_adds_a_reference_to_the_same_name() {
    let mut w = World::new();
    let a = w.task();
    let before = w.get_refs(a, a.self_port, SEND).unwrap();
    for _ in 0..2 {
        assert_eq!(w.trap(a, mach::TASK_SELF, &[]).name(), a.self_port);
    }
    assert_eq!(w.get_refs(a, a.self_port, SEND), Ok(before + 2));
    assert_eq!(w.port_type(a, a.self_port), Ok(PortType::SEND));
}

// covers mach-ipc K05
#[test]
fn a_reply_port_is_an_ordinary_port() {
    let mut w = World::new();
    let a = w.task();
    let reply = w.trap(a, mach::MACH_REPLY_PORT, &[]).name();
    assert_eq!(w.port_type(a, reply), Ok(PortType::RECEIVE));
    assert_eq!(w.status(a, reply).mps_qlimit, MACH_PORT_QLIMIT_DEFAULT);
}

// covers mach-ipc K07
#[test]
fn a_child_inherits_the_bootstrap_port_and_no_names() {
    let mut w = World::new();
    let parent = w.task();
    let p = w.port_with_send(parent);
    set_special_port(&mut w, parent, TASK_BOOTSTRAP_PORT, p).unwrap();
    let (child, _) = w.spawn(parent, spawn_args()).unwrap();
    assert_eq!(w.names(child), [(child.self_port, PortType::SEND)], "the only name comes from task_self");
    let request = Msg::copy_send(child.self_port).id(task::GET_SPECIAL_PORT).body(&NDR).words(&[TASK_BOOTSTRAP_PORT]);
    let bootstrap = w.rpc(child, request).unwrap().descriptor(0).name;
    assert_eq!(w.port_type(child, bootstrap), Ok(PortType::SEND));
    assert_eq!(w.names(child).len(), 2);
    w.send(child, &Msg::copy_send(bootstrap).id(31)).unwrap();
    assert_eq!(w.poll(parent, p).unwrap().header.msgh_id, 31);
}

#[test]
fn the_port_for_debuggers_is_set_by_the_task_and_not_inherited() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    let get = |w: &mut World, a: Actor| {
        let request = Msg::copy_send(a.self_port).id(task::GET_SPECIAL_PORT).body(&NDR);
        w.rpc(a, request.words(&[TASK_DEBUG_CONTROL_PORT])).unwrap().descriptor(0).name
    };
    assert_eq!(get(&mut w, a), MACH_PORT_NULL);
    set_special_port(&mut w, a, TASK_DEBUG_CONTROL_PORT, p).unwrap();
    assert_eq!(get(&mut w, a), p);
    assert_eq!(w.get_refs(a, p, SEND), Ok(2));
    let (child, _) = w.spawn(a, spawn_args()).unwrap();
    assert_eq!(get(&mut w, child), MACH_PORT_NULL);
    w.destroy(a, p).unwrap();
    assert_eq!(get(&mut w, a), MACH_PORT_DEAD);
}

#[test]
fn the_right_to_the_port_for_debuggers_goes_when_it_is_replaced_and_with_the_task() {
    let mut w = World::new();
    let (a, owner) = (w.task(), w.task());
    let [p, q] = [(); 2].map(|()| w.port(owner));
    let notify = w.port(owner);
    for port in [p, q] {
        let name = w.transfer(owner, port, D::MAKE_SEND, a);
        w.request(owner, port, MACH_NOTIFY_NO_SENDERS, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
        // Replacing the right to `p` by that to `q` releases the former one.
        set_special_port(&mut w, a, TASK_DEBUG_CONTROL_PORT, name).unwrap();
        w.deallocate(a, name).unwrap();
    }
    assert_eq!(w.notification(owner, notify, MACH_NOTIFY_NO_SENDERS), 1, "the former port");
    w.expect_empty(owner, notify);
    w.end_task(a);
    assert_eq!(w.notification(owner, notify, MACH_NOTIFY_NO_SENDERS), 1, "the port of the task that has ended");
    w.expect_empty(owner, notify);
}

// covers mach-ipc K08
#[test]
fn the_task_and_name_ports_cannot_be_replaced() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    const UNKNOWN_PORT: u32 = 99;
    let refused = [
        (TASK_KERNEL_PORT, KERN_NO_ACCESS),
        (TASK_NAME_PORT, KERN_INVALID_ARGUMENT),
        (UNKNOWN_PORT, KERN_INVALID_ARGUMENT),
    ];
    for (which, code) in refused {
        assert_eq!(set_special_port(&mut w, a, which, p), Err(code));
    }
    assert_eq!(w.get_refs(a, p, SEND), Ok(1));
}

// covers mach-ipc K09
#[test]
fn a_failed_call_destroys_the_right_it_was_sent() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    let insert = Msg::copy_send(a.self_port).id(mig::INSERT_RIGHT).port(p, D::MOVE_SEND).body(&NDR);
    assert_eq!(w.rpc(a, insert.words(&[0])).unwrap_err(), KERN_INVALID_VALUE);
    assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
    assert_eq!(w.get_srights(a, p), Ok(0));
}

// covers mach-ipc K10
#[test]
fn a_call_succeeds_even_if_its_reply_finds_no_room() {
    let mut w = World::new();
    let a = w.task();
    let reply = w.port(a);
    let queued = 0..MACH_PORT_QLIMIT_DEFAULT as i32;
    for id in queued.clone() {
        w.send(a, &Msg::to(reply, D::MAKE_SEND).id(id)).unwrap();
    }
    let before = w.names(a).len();
    let request = Msg::copy_send(a.self_port).reply_to(reply, D::MAKE_SEND).id(mig::ALLOCATE);
    assert_eq!(w.try_send(a, &request.body(&NDR).words(&[RECEIVE])), Ok(()));
    assert_eq!(w.names(a).len(), before + 1);
    for id in queued {
        assert_eq!(w.poll(a, reply).unwrap().header.msgh_id, id);
    }
    w.expect_empty(a, reply);
}

// covers mach-ipc K11
#[test]
fn an_unknown_trap_ends_the_task() {
    let mut w = World::new();
    let parent = w.task();
    for number in [EMPTY_TRAP, FIRST_TRAP_BEHIND_THE_TABLE] {
        let exit_port = w.port(parent);
        let args = TaskSpawnArgs { exit_port, exit_disposition: u32::from(D::MAKE_SEND_ONCE.0), ..spawn_args() };
        let (child, _) = w.spawn(parent, args).unwrap();
        assert_eq!(w.trap(child, CLASS_MACH | number, &[]), Ret::Ended);
        let message = w.poll(parent, exit_port).unwrap();
        assert_eq!((message.header.msgh_id, message.words()[2]), (EXIT_MESSAGE_ID, ExitStatus::BAD_TRAP.0));
    }
}

// covers mach-ipc K12
#[test]
fn mach_msg_reads_only_the_stack_arguments_it_uses() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    let with_unmapped_stack = Actor { memory: UNMAPPED, ..a };
    let message = Msg::copy_send(p).encode();
    let mut send = |trap, options: MsgOption| {
        w.put(a, BUFFER, &message);
        w.kernel.sched[a.thread].frame_mut().rdx = 7;
        let sent = w.trap(with_unmapped_stack, trap, &[w.buffer(a), options.bits().into(), 24, 0, 0, 0]);
        assert_eq!(w.kernel.sched[a.thread].frame().rdx, 0, "errata 6: without a received message rdx is 0");
        (sent.code(), w.poll(a, p).is_ok())
    };
    const REFUSED: (KernReturn, bool) = (KERN_INVALID_ARGUMENT, false);
    const SENT: (KernReturn, bool) = (MACH_MSG_SUCCESS, true);
    let with_priority = MsgOption::SEND_MSG | MsgOption::SEND_OVERRIDE;
    assert_eq!(send(mach::MACH_MSG, with_priority), REFUSED, "the priority lies in unmapped memory");
    assert_eq!(send(mach::MACH_MSG, MsgOption::SEND_MSG), SENT, "errata 6: the priority is not read");
    assert_eq!(
        send(mach::MACH_MSG_OVERWRITE, MsgOption::SEND_MSG),
        REFUSED,
        "the address of the receive buffer lies in unmapped memory"
    );
}
