//! Everybody who takes part in a boost ends, in every order: donor, forwarder, receiver, the port, the port that carries
//! it, and the message. All counts agree after each end (importance 1.7), and nothing is left.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, BUFFER_SIZE, Ret, World};
use abi::PortName;
use abi::debug::Counts;
use abi::message::MsgOption;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::mach;
use kernel::ids::PortId;
use kernel::inspect::invariants::check_all;
use kernel::ipc::port::Home;

/// The donor X boosts L, which forwards its importance by a message to a port of R.
struct Scene {
    w: World,
    donor: Actor,
    forwarder: Actor,
    receiver: Actor,
    /// Receives the port that the message goes to, if that travels.
    heir: Actor,
    port: PortId,
    /// The port in whose queue the receive right of `port` is, and the one that this is in.
    carriers: Vec<PortId>,
}

/// Where the message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// How many ports carry the port that the message goes to.
    nested: usize,
    /// Its sender is blocked.
    blocked: bool,
    /// The port has a temporary owner.
    watched: bool,
}

impl Scene {
    fn new(place: Place) -> Scene {
        let mut w = World::new();
        w.checked = false;
        let (donor, forwarder, receiver, heir) = (w.app(), w.adaptive(), w.adaptive(), w.adaptive());
        let (inbox, to_forwarder) = w.donation_path(donor, forwarder);
        let (name, to_port) = w.donation_path(forwarder, receiver);
        let port = w.port_of(receiver, name);
        let mut carriers = Vec::new();
        w.ping(donor, to_forwarder);
        let voucher = w.take(forwarder, inbox).voucher;
        if place.blocked {
            w.set_qlimit(receiver, name, 1).unwrap();
            w.send(forwarder, &Msg::copy_send(to_port)).unwrap();
        }
        let message = Msg::copy_send(to_port).voucher(voucher, D::MOVE_SEND);
        let sent = w.send_with(forwarder, &message, MsgOption::empty(), 0);
        assert_eq!(sent, if place.blocked { Ret::Blocked } else { Ret::Done(0) });
        if place.watched {
            w.set_attributes(receiver, name, MACH_PORT_TEMPOWNER, &[]).unwrap();
        }
        let mut inner = name;
        for _ in 0..place.nested {
            let (mailbox, to_heir) = w.connect(receiver, heir);
            carriers.push(w.port_of(heir, mailbox));
            w.send(receiver, &Msg::copy_send(to_heir).port(inner, D::MOVE_RECEIVE)).unwrap();
            // The heir gives the mailbox to the receiver, which packs it next.
            if carriers.len() < place.nested {
                let (hatch, to_receiver) = w.connect(heir, receiver);
                w.send(heir, &Msg::copy_send(to_receiver).port(mailbox, D::MOVE_RECEIVE)).unwrap();
                inner = w.poll(receiver, hatch).unwrap().descriptor(0).name;
            }
        }
        let boosts = w.kernel.ipc.port(port).boosts().count();
        assert_eq!(boosts, 1 + u64::from(place.blocked), "the message boosts");
        Scene { w, donor, forwarder, receiver, heir, port, carriers }
    }

    fn owner(&self, port: PortId) -> Option<(Actor, PortName)> {
        let Home::Space { space, name } = self.w.kernel.ipc.live_port(port)?.home() else { return None };
        let tasks = [self.receiver, self.heir];
        let holds = |actor: &&Actor| self.w.kernel.tasks.get(actor.task).is_some_and(|task| task.space == space);
        tasks.iter().find(holds).map(|actor| (*actor, name))
    }

    fn destroy(&mut self, port: PortId) {
        if let Some((owner, name)) = self.owner(port) {
            let args = [owner.self_port.0, name.0, MACH_PORT_RIGHT_RECEIVE, u32::MAX].map(u64::from);
            let _ = self.w.trap(owner, mach::MACH_PORT_MOD_REFS, &args);
        }
    }

    fn take_from(&mut self, port: PortId) {
        if let Some((owner, name)) = self.owner(port) {
            let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::RCV_VOUCHER;
            self.w.put(owner, BUFFER, &[0; 64]);
            let args = MachMsg { options, receive_name: name, receive_size: BUFFER_SIZE, ..MachMsg::default() };
            let _ = self.w.mach_msg(owner, &args);
        }
    }

    /// The outermost carrier, or the port itself.
    fn outermost(&self) -> PortId {
        *self.carriers.last().unwrap_or(&self.port)
    }
}

type End = fn(&mut Scene);

const ENDS: [(&str, End); 6] = [
    ("the donor ends", |s| s.w.end_task(s.donor)),
    ("the forwarder ends", |s| s.w.end_task(s.forwarder)),
    ("the receiver ends", |s| s.w.end_task(s.receiver)),
    ("the heir ends", |s| s.w.end_task(s.heir)),
    ("the carrier dies", |s| s.destroy(s.outermost())),
    ("the message or the port is received", |s| {
        s.take_from(s.outermost());
        s.take_from(s.port);
    }),
];

/// Calls `visit` with all orders of the numbers below `n`.
fn permutations(n: usize, order: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize])) {
    if order.len() == n {
        return visit(order);
    }
    for next in (0..n).filter(|next| !order.contains(next)).collect::<Vec<_>>() {
        order.push(next);
        permutations(n, order, visit);
        order.pop();
    }
}

fn end_in_order(place: Place, order: &[usize], baseline: &Counts) {
    let names: Vec<&str> = order.iter().map(|&end| ENDS[end].0).collect();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut scene = Scene::new(place);
        for &end in order {
            ENDS[end].1(&mut scene);
            check_all(&scene.w.kernel);
        }
        let mut w = scene.w;
        let init = w.init;
        while w.poll(init, init.inbox).is_ok() {}
        w.release_dead_names();
        w.advance(voucher::importance::DELAY);
        assert_eq!(w.importance_objects(), (1, 0), "elements and inherits");
        assert_eq!(w.counts(), *baseline, "all objects");
        assert!(w.element(init).assertions() == 0 && w.values() == (0, 0, 0, (1, 0)));
    }));
    if let Err(panic) = outcome {
        eprintln!("{place:?}: {names:?}");
        std::panic::resume_unwind(panic);
    }
}

/// All orders in which participants end, for each place of the message.
#[test]
fn boosts_balance_in_whatever_order_their_participants_end() {
    let (mut orders, baseline) = (0, World::new().counts());
    for nested in 0..3 {
        for (blocked, watched) in [(false, false), (true, false), (false, true)] {
            let place = Place { nested, blocked, watched };
            permutations(ENDS.len(), &mut Vec::new(), &mut |order| {
                end_in_order(place, order, &baseline);
                orders += 1;
            });
        }
    }
    assert_eq!(orders, 9 * 720);
}
