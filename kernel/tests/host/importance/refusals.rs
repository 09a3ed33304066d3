//! Sends that fail leave importance as it was, but for the counts of transitions (E153, errata 7). Four failures do more
//! by other rules: a receive right that was taken before a later descriptor failed is destroyed (errata 3), a request to
//! be told of room stays armed (importance 4.6), a ring of daemons is lit by a moment (6.5), and an application that was
//! boosted for a moment through others waits for the delayed drop (6.6).

use super::*;
use crate::calls::UNUSED_NAME;
use crate::message::MachMsg;
use crate::vouchers::{USER_DATA, st};
use crate::world::{BUFFER, Ret};
use abi::code::*;
use std::fmt::Write;

/// A, an application; B, an adaptive daemon with A's voucher; C, an adaptive daemon with a full queue.
struct Scene {
    w: World,
    a: Actor,
    b: Actor,
    /// B's voucher, of A's importance.
    voucher: PortName,
    /// B's port with a raised message of A.
    right: PortName,
    /// B's name for C's port.
    to_c: PortName,
}

impl Scene {
    fn new() -> Scene {
        let mut w = World::new();
        let (a, b, c) = (w.app(), w.adaptive(), w.adaptive());
        let (port, to_b) = w.donation_path(a, b);
        let (right, to_right) = w.donation_path(a, b);
        let (_, to_c) = w.donation_path(b, c);
        w.ping(a, to_b);
        let voucher = w.take(b, port).voucher;
        w.ping(a, to_right);
        (0..MACH_PORT_QLIMIT_DEFAULT).for_each(|_| w.ping(b, to_c));
        assert_eq!((w.boosts(b), w.boosts(c)), ((2, (1, 0), 31), (5, (0, 0), 31)));
        Scene { w, a, b, voucher, right, to_c }
    }

    /// Returns all of importance but the transitions: elements with their messages and policies, inherits, and ports.
    fn state(&self) -> String {
        let mut text = String::new();
        let importance = self.w.kernel.ipc.importance();
        for (id, element) in importance.elements() {
            let counts = (element.assertions(), element.external(), element.refs(), element.made());
            let bits = (element.marks(), element.is_boosted(), element.is_donor(), element.is_delayed());
            let messages = importance.messages_of(id).map(|link| importance.link(link).unwrap());
            let messages: Vec<_> = messages.map(|link| (link.source(), link.port(), link.is_raised())).collect();
            writeln!(text, "{id:?} {counts:?} {bits:?} {messages:?}").unwrap();
        }
        for (id, inherit) in importance.inherits() {
            let ends = (inherit.from(), inherit.to(), inherit.depth());
            writeln!(text, "{id:?} {ends:?} {:?}", counts_of(inherit)).unwrap();
        }
        for (id, port) in self.w.kernel.ipc.ports().filter(|(_, port)| port.boosts().count() > 0) {
            writeln!(text, "{id:?} {:?}", port.boosts()).unwrap();
        }
        for (id, task) in self.w.kernel.tasks.iter() {
            let thread = task.threads.front().map(|thread| self.w.kernel.sched[thread].schedule().base);
            writeln!(text, "{id:?} {:?} {thread:?}", task.policy).unwrap();
        }
        text
    }

    /// A message of B to C with B's importance, twice: in the voucher, and in the receive right.
    fn message(&self, disposition: Disposition) -> Msg {
        let message = Msg::copy_send(self.to_c).voucher(self.voucher, disposition);
        message.port(self.right, Disposition::MOVE_RECEIVE)
    }
}

/// Makes a send fail in a new scene, and compares.
#[track_caller]
fn check(expected: KernReturn, send: impl FnOnce(&mut Scene) -> Ret) {
    let mut scene = Scene::new();
    let before = scene.state();
    assert_eq!(send(&mut scene).code(), expected);
    assert_eq!(scene.state(), before, "{expected:?} leaves importance as it was");
}

// covers importance E153
#[test]
fn a_failed_send_leaves_importance_as_it_was() {
    let none = MsgOption::empty();
    // Nothing is taken from the sender.
    for (voucher, expected) in [(UNUSED_NAME, MACH_SEND_INVALID_VOUCHER), (MACH_PORT_DEAD, MACH_SEND_INVALID_VOUCHER)] {
        check(expected, |s| {
            s.w.send_with(s.b, &Msg::copy_send(s.to_c).voucher(voucher, Disposition::COPY_SEND), none, 0)
        });
    }
    check(MACH_SEND_INVALID_DEST, |s| {
        s.w.send_with(s.b, &Msg::copy_send(UNUSED_NAME).voucher(s.voucher, Disposition::MOVE_SEND), none, 0)
    });
    check(MACH_SEND_INVALID_REPLY, |s| {
        let message = s.message(Disposition::MOVE_SEND).reply_to(UNUSED_NAME, Disposition::MAKE_SEND_ONCE);
        s.w.send_with(s.b, &message, none, 0)
    });
    check(MACH_SEND_INVALID_HEADER, |s| {
        let message = Msg::to(s.to_c, Disposition(31)).voucher(s.voucher, Disposition::MOVE_SEND);
        s.w.send_with(s.b, &message, none, 0)
    });
    check(MACH_SEND_INVALID_DATA, |s| {
        let args = MachMsg { buffer: Some(0x1000), options: MsgOption::SEND_MSG, send_size: 24, ..MachMsg::default() };
        s.w.mach_msg(s.b, &args)
    });
    check(MACH_SEND_MSG_TOO_SMALL, |s| {
        let args = MachMsg { options: MsgOption::SEND_MSG, send_size: 20, ..MachMsg::default() };
        s.w.mach_msg(s.b, &args)
    });
    check(MACH_SEND_TOO_LARGE, |s| {
        let message = Msg::copy_send(s.to_c).voucher(s.voucher, Disposition::MOVE_SEND);
        s.w.send_with(s.b, &message.body(&[0; 70_000]), none, 0)
    });
    // The header's rights were taken, and the body's first one.
    check(MACH_SEND_INVALID_RIGHT, |s| {
        let message = Msg::copy_send(s.to_c).voucher(s.voucher, Disposition::COPY_SEND);
        let message = message.port(s.to_c, Disposition::COPY_SEND).port(UNUSED_NAME, Disposition::COPY_SEND);
        s.w.send_with(s.b, &message, none, 0)
    });
    // The message has boosted already.
    for disposition in [Disposition::COPY_SEND, Disposition::MOVE_SEND] {
        check(MACH_SEND_TIMED_OUT, |s| s.w.send_with(s.b, &s.message(disposition), MsgOption::SEND_TIMEOUT, 0));
        check(MACH_SEND_TIMED_OUT, |s| {
            assert_eq!(s.w.send_with(s.b, &s.message(disposition), MsgOption::SEND_TIMEOUT, 10), Ret::Blocked);
            s.w.advance(10_000_000);
            s.w.state(s.b)
        });
        check(MACH_SEND_INTERRUPTED, |s| {
            let (waker, control) = (s.w.thread(s.b), s.w.thread_self(s.b));
            assert_eq!(s.w.send_with(s.b, &s.message(disposition), none, 0), Ret::Blocked);
            s.w.thread_abort(waker, control);
            s.w.state(s.b)
        });
    }
    // A voucher that is replaced when the message is sent, and returns like this.
    check(MACH_SEND_TIMED_OUT, |s| {
        let voucher = s.w.make_voucher(s.b, &[st(USER_DATA, b"a"), crate::vouchers::current_task()]).unwrap();
        let message = Msg::copy_send(s.to_c).voucher(voucher, Disposition::MOVE_SEND);
        s.w.send_with(s.b, &message, MsgOption::SEND_TIMEOUT, 0)
    });
}

/// Each allocation of a send fails once.
// covers importance E153
#[test]
fn a_send_without_memory_leaves_importance_as_it_was() {
    let mut failed = 0;
    for n in 0..40 {
        let mut scene = Scene::new();
        let (c, to_c) = {
            let c = scene.w.adaptive();
            (c, scene.w.donation_path(scene.b, c).1)
        };
        let before = scene.state();
        let message = Msg::copy_send(to_c).voucher(scene.voucher, Disposition::COPY_SEND).encode();
        scene.w.put(scene.b, BUFFER, &message);
        let send_size = message.len() as u32;
        let args = MachMsg { options: MsgOption::SEND_MSG, send_size, ..MachMsg::default() };
        store::failpoints::arm(Some(n));
        let code = scene.w.mach_msg(scene.b, &args).code();
        store::failpoints::disarm();
        if code == MACH_MSG_SUCCESS {
            assert_eq!(scene.w.boosts(c), WAITED_FOR);
            continue;
        }
        assert_eq!((code, scene.state()), (MACH_SEND_NO_BUFFER, before), "{n}");
        failed += 1;
    }
    assert!(failed > 0);
}

/// The boosts of an application that has ended are not those of a message that fails after its end.
#[test]
fn a_failed_send_after_the_donors_end_leaves_importance_as_it_was() {
    let mut scene = Scene::new();
    scene.w.end_task(scene.a);
    let before = scene.state();
    let message = scene.message(Disposition::COPY_SEND);
    assert_eq!(scene.w.try_send(scene.b, &message), Err(MACH_SEND_TIMED_OUT));
    assert_eq!(scene.state(), before);
}
