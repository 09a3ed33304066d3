//! Threads that have adopted a voucher (vouchers 4.11).

use super::*;
use crate::program::PROGRAM_BASE;
use abi::code::*;
use abi::mig::thread_act;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::tally;

impl World {
    /// Calls `thread_set_mach_voucher` for the thread that `control` names.
    pub fn set_voucher(&mut self, actor: Actor, control: PortName, voucher: PortName) -> Result<(), KernReturn> {
        let request = Msg::copy_send(control).id(thread_act::SET_MACH_VOUCHER).port(voucher, D::COPY_SEND);
        self.rpc(actor, request).map(|_| ())
    }

    /// Calls `thread_get_mach_voucher`.
    pub fn get_voucher(&mut self, actor: Actor, control: PortName) -> Result<PortName, KernReturn> {
        let request = Msg::copy_send(control).id(thread_act::GET_MACH_VOUCHER).body(&NDR).words(&[0]);
        let descriptor = self.rpc(actor, request)?.descriptor(0);
        assert_eq!(descriptor.disposition, D::PORT_SEND);
        Ok(descriptor.name)
    }

    /// Creates a thread that has not started, and returns its name.
    fn suspended_thread(&mut self, actor: Actor) -> PortName {
        let me = u64::from(actor.self_port.0);
        let flags = tally::THREAD_CREATE_SUSPENDED.into();
        let args = [me, PROGRAM_BASE, actor.memory, 0, flags, self.result(actor)];
        self.call_for_name(actor, tally::THREAD_CREATE, &args).unwrap()
    }
}

/// Returns a world with a task, its name of its thread, and a voucher.
fn adopter() -> (World, Actor, PortName, PortName) {
    let mut w = World::new();
    let a = w.task();
    let thread = w.thread_self(a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    (w, a, thread, voucher)
}

// covers vouchers S-08
#[test]
fn a_thread_adopts_a_voucher_and_returns_it() {
    let (mut w, a, thread, voucher) = adopter();
    assert_eq!(w.get_voucher(a, thread), Ok(MACH_PORT_NULL));
    assert_eq!(w.set_voucher(a, thread, voucher), Ok(()));
    assert_eq!(w.refs(a, voucher), 1);
    assert_eq!((w.get_voucher(a, thread), w.refs(a, voucher)), (Ok(voucher), 2));
}

// covers vouchers S-09 S-10
#[test]
fn only_a_thread_that_has_not_started_adopts_for_another() {
    let (mut w, a, thread, voucher) = adopter();
    let other = w.thread(a);
    let started = w.thread_self(other);
    assert_eq!(w.set_voucher(a, started, voucher), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(w.get_voucher(a, started), Ok(MACH_PORT_NULL));
    assert_eq!(w.set_voucher(other, thread, voucher), Err(KERN_INVALID_ARGUMENT));
    let fresh = w.suspended_thread(a);
    assert_eq!((w.set_voucher(a, fresh, voucher), w.get_voucher(a, fresh)), (Ok(()), Ok(voucher)));
    // Suspended and resumed, but still not started.
    w.rpc(a, Msg::copy_send(fresh).id(thread_act::SUSPEND)).unwrap();
    w.rpc(a, Msg::copy_send(fresh).id(thread_act::RESUME)).unwrap();
    assert_eq!(w.set_voucher(a, fresh, MACH_PORT_NULL), Ok(()));
    w.rpc(a, Msg::copy_send(fresh).id(thread_act::RESUME)).unwrap();
    assert_eq!(w.set_voucher(a, fresh, voucher), Err(KERN_INVALID_ARGUMENT));
    // A thread stays started when it is suspended.
    w.rpc(a, Msg::copy_send(fresh).id(thread_act::SUSPEND)).unwrap();
    assert_eq!(w.set_voucher(a, fresh, voucher), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(w.get_voucher(a, fresh), Ok(MACH_PORT_NULL));
}

// covers vouchers S-11
#[test]
fn another_port_clears_the_binding() {
    let (mut w, a, thread, voucher) = adopter();
    let (port, host) = (w.port_with_send(a), w.host(a));
    for name in [port, host, a.self_port, MACH_PORT_NULL, MACH_PORT_DEAD] {
        w.set_voucher(a, thread, voucher).unwrap();
        assert_eq!((w.set_voucher(a, thread, name), w.get_voucher(a, thread)), (Ok(()), Ok(MACH_PORT_NULL)));
    }
}

// covers vouchers S-12
#[test]
fn another_object_is_no_thread() {
    let (mut w, a, _, voucher) = adopter();
    let host = w.host(a);
    let ended = w.thread(a);
    let control = w.thread_self(ended);
    w.trap(ended, tally::THREAD_EXIT, &[]);
    for to in [host, a.self_port, voucher] {
        assert_eq!(w.set_voucher(a, to, voucher), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(w.get_voucher(a, to), Err(KERN_INVALID_ARGUMENT));
    }
    assert_eq!(w.get_voucher(a, control), Err(MACH_SEND_INVALID_DEST), "the port of an ended thread is dead");
}

#[test]
fn thread_requests_of_the_wrong_shape_are_refused() {
    let (mut w, a, thread, voucher) = adopter();
    let set = |disposition| Msg::copy_send(thread).id(thread_act::SET_MACH_VOUCHER).port(voucher, disposition);
    let receive = w.port(a);
    let once = Msg::copy_send(thread).id(thread_act::SET_MACH_VOUCHER).port(receive, D::MAKE_SEND_ONCE);
    assert_eq!(w.rpc(a, once).unwrap_err(), MIG_TYPE_ERROR);
    assert_eq!(w.rpc(a, set(D::COPY_SEND).body(&NDR).words(&[0])).unwrap_err(), MIG_BAD_ARGUMENTS);
    assert_eq!(w.rpc(a, set(D::COPY_SEND).port(voucher, D::COPY_SEND)).unwrap_err(), MIG_BAD_ARGUMENTS);
    let bare = Msg::copy_send(thread).id(thread_act::SET_MACH_VOUCHER);
    assert_eq!(w.rpc(a, bare).unwrap_err(), MIG_BAD_ARGUMENTS);
    assert_eq!(w.get_voucher(a, thread), Ok(MACH_PORT_NULL));
    assert_eq!(w.refs(a, voucher), 1);
    // A voucher that was moved is given up, although the thread keeps it.
    w.rpc(a, set(D::MOVE_SEND)).unwrap();
    assert_eq!(w.port_type(a, voucher), Err(KERN_INVALID_NAME));
    assert!(w.get_voucher(a, thread).unwrap().is_valid());
}

// covers vouchers S-14
#[test]
fn a_new_thread_has_no_voucher() {
    let (mut w, a, thread, voucher) = adopter();
    w.set_voucher(a, thread, voucher).unwrap();
    let other = w.thread(a);
    let control = w.thread_self(other);
    assert_eq!(w.get_voucher(a, control), Ok(MACH_PORT_NULL));
    assert_eq!(w.get_voucher(a, thread), Ok(voucher), "its creator keeps its own");
}

/// A program is started in a new task: no call replaces the program of a task whose thread has a voucher.
#[test]
fn a_new_program_has_no_voucher() {
    let (mut w, a, thread, voucher) = adopter();
    w.set_voucher(a, thread, voucher).unwrap();
    let (child, _) = w.spawn(a, crate::program::spawn_args()).unwrap();
    let control = w.thread_self(child);
    assert_eq!(w.get_voucher(child, control), Ok(MACH_PORT_NULL));
}

// covers vouchers A-14 A-15
#[test]
fn a_voucher_without_names_lives_as_long_as_a_thread_has_it() {
    let (mut w, a, thread, voucher) = adopter();
    let before = w.counts();
    let id = w.voucher_of(a, voucher).unwrap();
    let port = w.kernel.vouchers.port(id).unwrap();
    w.set_voucher(a, thread, voucher).unwrap();
    w.deallocate(a, voucher).unwrap();
    assert_eq!((w.port_type(a, voucher), w.voucher_refs(id)), (Err(KERN_INVALID_NAME), 1));
    let again = w.get_voucher(a, thread).unwrap();
    assert_eq!((w.voucher_of(a, again), w.kernel.vouchers.port(id)), (Some(id), Some(port)));
    assert_eq!((w.refs(a, again), w.voucher_refs(id)), (1, 2));
    // The last name goes, then the thread's reference.
    w.set_voucher(a, thread, MACH_PORT_NULL).unwrap();
    assert_eq!(w.voucher_refs(id), 1);
    w.deallocate(a, again).unwrap();
    let after = w.counts();
    assert_eq!(w.values().0, 0);
    assert!(w.kernel.ipc.live_port(port).is_none());
    assert_eq!((after.ports, after.vouchers, after.names), (before.ports - 1, before.vouchers - 1, before.names - 1));
}

#[test]
fn a_voucher_that_only_a_thread_has_is_found_again() {
    let (mut w, a, thread, voucher) = adopter();
    let id = w.voucher_of(a, voucher).unwrap();
    w.set_voucher(a, thread, voucher).unwrap();
    w.deallocate(a, voucher).unwrap();
    let again = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    assert_eq!((w.voucher_of(a, again), w.voucher_refs(id)), (Some(id), 2));
}

#[test]
fn a_thread_releases_its_voucher_when_it_ends() {
    let (mut w, a, _, voucher) = adopter();
    let other = w.thread(a);
    let control = w.thread_self(other);
    w.set_voucher(other, control, voucher).unwrap();
    w.deallocate(a, voucher).unwrap();
    assert_eq!(w.values().0, 1);
    w.trap(other, tally::THREAD_EXIT, &[]);
    assert_eq!(w.values().0, 0);
    // The same when the task ends.
    let b = w.task();
    let thread = w.thread_self(b);
    let voucher = w.make_voucher(b, &[st(USER_DATA, b"b"), current_task()]).unwrap();
    w.set_voucher(b, thread, voucher).unwrap();
    w.deallocate(b, voucher).unwrap();
    w.end_task(b);
    assert_eq!(w.values().0, 0);
}
