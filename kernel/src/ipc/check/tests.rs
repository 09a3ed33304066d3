//! Each invariant is broken by hand, and the check must report that one.

use super::*;
use crate::credentials::Credentials;
use crate::ids::{MembershipId, MessageId, SetId, SpaceId, TaskId, ThreadId};
use crate::ipc::budget::{Portion, Source};
use crate::ipc::message::Descriptor;
use crate::ipc::message::NOTICE_COST;
use crate::ipc::request::{Request, RequestKind};
use crate::ipc::right::{ReceiveRight, SendRight};
use crate::ipc::way::Way;
use crate::limits::Limits;
use crate::machine::{AddressSpace, Nanos, Stamp, UserAddr};
use crate::policy::{Power, ThreadPolicy};
use crate::rate::{Clock, Rate};
use crate::sched::thread::{ReceiveWait, Wait};
use crate::sched::wait_queue::WaitQueue;
use crate::sched::{Belongings, ThreadList};
use crate::step::Step;
use crate::trap_frame::TrapFrame;
use abi::message::{Header, MsgOption};
use abi::port::{Disposition, MACH_PORT_RIGHT_DEAD_NAME, MACH_PORT_RIGHT_RECEIVE, PortName};
use abi::qos::Qos;
use core::mem::take;
use core::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One of each object that the invariants are about.
struct Objects {
    ipc: Ipc,
    sched: Scheduling,
    step: Step,
    space: SpaceId,
    budget: BudgetId,
    /// A port whose receive right is in a message that is queued on `port`.
    moving: PortId,
    /// A port with two queued messages. It is in a set, and its name denotes a send right too.
    port: PortId,
    name: PortName,
    messages: [MessageId; 2],
    /// A name for a send-once right to `port`, with a request.
    once: PortName,
    set: SetId,
    membership: MembershipId,
    /// A port with a thread that waits for a message, and the name of its receive right.
    awaited: PortId,
    awaited_name: PortName,
    /// A dead port whose message has not been destroyed yet.
    dead: PortId,
    dead_name: PortName,
}

/// Returns a scheduler whose only thread runs, and the thread.
fn running_thread(step: &mut Step, space: SpaceId) -> (Scheduling, ThreadId) {
    let mut sched = Scheduling::new(Clock::new(Stamp(0), Rate::measured(1, 1)), 0);
    let task = TaskId::from_bits(1 << 32).expect("a valid id");
    let coalition = sched.test_coalition();
    let belongings = Belongings { task, space, address_space: AddressSpace(0), coalition };
    let (mut siblings, policy) = (ThreadList::default(), ThreadPolicy::default());
    let thread = sched
        .create(step, &mut siblings, belongings, TrapFrame::default(), policy, (31, Power::of(Qos::Unspecified)))
        .unwrap();
    sched.resume(step, thread).unwrap();
    assert_eq!(sched.choose(step, 0, Stamp(0)), Some(thread));
    (sched, thread)
}

impl Objects {
    fn new() -> Objects {
        let mut step = Step::default();
        let mut ipc = Ipc::new(&mut step, Limits::default(), 0).unwrap();
        ipc.make_room_for_task().unwrap();
        let space = ipc.insert_first_space();
        let budget = ipc.spaces[space].budget();
        let (mut sched, thread) = running_thread(&mut step, space);
        let moving = ipc.new_port(&mut step, budget).unwrap();
        let mut new_port = |ipc: &mut Ipc| {
            let name = ipc.port_allocate(&mut step, space, MACH_PORT_RIGHT_RECEIVE).unwrap();
            (ipc.spaces[space].get(name).unwrap().right.port().unwrap(), name)
        };
        let ((port, name), (awaited, awaited_name), (dead, name_of_dead)) =
            (new_port(&mut ipc), new_port(&mut ipc), new_port(&mut ipc));
        let right = ipc.make_send(port);
        ipc.join_send(space, name, right);
        let set = ipc.new_set(&mut step, budget).unwrap();
        ipc.spaces[space].add(EntryRight::PortSet { set }).unwrap();
        ipc.join_set(&mut step, port, set).unwrap();
        let membership = ipc.ports[port].memberships.front().unwrap();
        let dead_name = ipc.port_allocate(&mut step, space, MACH_PORT_RIGHT_DEAD_NAME).unwrap();

        ipc.promise(&mut step, port, 1).unwrap();
        ipc.promise(&mut step, awaited, 1).unwrap();
        let right = ipc.make_send_once(port);
        let once = ipc.copy_out_right(space, Right::SendOnce(right)).unwrap();
        let notify = ipc.make_send_once(awaited);
        ipc.register_request(port, Request::new(notify, (space, budget), once, RequestKind::DeadName)).unwrap();

        let wait = Wait::Receive(ReceiveWait {
            object: Receivable::Port(awaited),
            buffer: UserAddr(0),
            size: 0,
            options: MsgOption::empty(),
        });
        ipc.block(&mut sched, &mut step, thread, wait, Nanos::MAX);

        let messages = [port, port, dead].map(|to| {
            let message = ipc.new_message(&mut step, Header::SIZE, Credentials::KERNEL).unwrap();
            let right = ipc.make_send(to);
            ipc.messages[message].destination = Carried::Right(Right::Send(right));
            ipc.append(&mut step, message, to);
            message
        });
        let right = ReceiveRight::detached(moving);
        assert!(ipc.begin_transit(&right, &mut Way::to(port)));
        let right = Carried::Right(Right::Receive(right));
        let descriptor = Descriptor { offset: Header::SIZE, right, disposition: Disposition::PORT_RECEIVE };
        ipc.messages[messages[0]].descriptors.push(descriptor);
        ipc.port_mod_refs(&mut sched, &mut step, space, name_of_dead, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        let messages = [messages[0], messages[1]];
        Objects {
            ipc,
            sched,
            step,
            space,
            budget,
            moving,
            port,
            name,
            messages,
            once,
            set,
            membership,
            awaited,
            awaited_name,
            dead,
            dead_name,
        }
    }

    fn check(&self) {
        self.ipc.check(&self.sched, &Outside { tasks: 1, ..Outside::default() });
    }

    /// Returns a budget that is taken out of the task's.
    fn child_budget(&mut self) -> BudgetId {
        self.ipc.make_room_for_task().unwrap();
        self.ipc.open_budget(Source::Parent(self.budget, Portion::Usual), 0).unwrap()
    }

    /// Returns the budget of a child that has ended, with a port on it.
    fn closed_child(&mut self) -> BudgetId {
        let child = self.child_budget();
        let cost = self.ipc.ports[self.port].cost();
        self.ipc.charge(child, cost).unwrap();
        self.ipc.close_budget(child);
        self.ipc.ports[self.port].budget = Some(child);
        self.ipc.refund(self.budget, cost);
        self.check();
        child
    }

    /// Changes the right that a name denotes, without the consequences.
    fn set_right(&mut self, name: PortName, right: EntryRight) {
        self.ipc.spaces[self.space].get_mut(name).expect("the name exists").right = right;
    }

    /// Returns a message without rights.
    fn message(&mut self) -> MessageId {
        self.ipc.new_message(&mut self.step, Header::SIZE, Credentials::KERNEL).unwrap()
    }
}

/// What the check says of an invariant, and a way to break it.
type Break = (&'static str, fn(&mut Objects));

const BREAKS: [Break; 51] = [
    ("I1: send rights", |o| o.ipc.ports[o.port].send_rights += 1),
    ("I1: send rights", |o| o.set_right(o.name, EntryRight::Receive { port: o.port, send_urefs: 0 })),
    ("I1: send rights", |o| o.ipc.messages[o.messages[1]].destination = Carried::Null),
    ("I1: send rights", |o| o.ipc.messages[o.messages[1]].voucher = Some(SendRight::counted(o.port))),
    ("I2: send-once rights", |o| o.ipc.ports[o.awaited].send_once_rights += 1),
    ("I2: send-once rights", |o| o.set_right(o.once, EntryRight::DeadName { urefs: 1 })),
    ("has one receive right", |o| {
        o.ipc.spaces[o.space].add(EntryRight::Receive { port: o.port, send_urefs: 0 }).unwrap();
    }),
    ("has one receive right", |o| o.ipc.ports[o.port].home = Home::Kernel(crate::ids::KernelObject::Host)),
    ("has a receive right", |o| {
        o.ipc.spaces[o.space].add(EntryRight::Receive { port: o.dead, send_urefs: 0 }).unwrap();
    }),
    ("I6: dead", |o| o.ipc.join_set(&mut o.step, o.dead, o.set).unwrap()),
    ("I6: dead", |o| o.ipc.ports[o.dead].receivers = take(&mut o.ipc.ports[o.awaited].receivers)),
    ("waits where there are messages", |o| {
        let message = o.message();
        o.ipc.append(&mut o.step, message, o.awaited);
    }),
    ("I9: senders wait", |o| o.ipc.ports[o.port].senders = take(&mut o.ipc.ports[o.awaited].receivers)),
    ("I10: a message is queued", |o| {
        let message = o.message();
        o.ipc.append(&mut o.step, message, o.ipc.host_port);
    }),
    ("whose home it is", |o| o.ipc.ports[o.port].home = Home::Space { space: o.space, name: o.awaited_name }),
    ("is not the request of its name", |o| o.ipc.spaces[o.space].get_mut(o.once).unwrap().request = None),
    ("is not the request of its name", |o| {
        // The request of a name for another port.
        let request = o.ipc.spaces[o.space].get_mut(o.once).unwrap().request;
        let right = o.ipc.make_send(o.awaited);
        o.set_right(o.once, EntryRight::Send { port: right.port(), urefs: 1 });
        o.ipc.ports[o.port].send_once_rights -= 1;
        o.ipc.spaces[o.space].get_mut(o.once).unwrap().request = request;
    }),
    ("the fast path knows", |o| o.ipc.ports[o.port].direct = false),
    ("although replies are not strict", |o| o.ipc.ports[o.port].reply_persona = NonZeroU32::new(501)),
    ("is queued on", |o| o.ipc.ports[o.moving].home = Home::Limbo),
    ("has a higher override", |o| o.ipc.messages[o.messages[1]].qos_override = Qos::UserInteractive),
    ("I7:", |o| o.ipc.ports[o.moving].home = Home::Transit(o.moving)),
    ("rights in transit to", |o| o.ipc.ports[o.port].arriving = 0),
    ("accepts donation", |o| o.ipc.ports[o.port].boosts.accept_donation()),
    ("the boosts of", |o| o.ipc.ports[o.port].boosts_stay = true),
    ("on a longer way", |o| o.ipc.ports[o.moving].boost_height = 1),
    ("on too long a way", |o| o.ipc.ports[o.port].boost_height = u8::MAX),
    ("the total of send rights", |o| o.ipc.totals.send_rights += 1),
    ("the total of send-once rights", |o| o.ipc.totals.send_once_rights += 1),
    ("the number of dead ports", |o| o.ipc.totals.dead_ports += 1),
    ("I4:", |o| o.set_right(o.dead_name, EntryRight::Send { port: o.dead, urefs: 1 })),
    ("I11: dead name", |o| o.set_right(o.dead_name, EntryRight::DeadName { urefs: 0 })),
    ("I11: dead name", |o| {
        let request = o.ipc.spaces[o.space].get(o.once).unwrap().request;
        o.ipc.spaces[o.space].get_mut(o.dead_name).unwrap().request = request;
    }),
    ("has no references", |o| {
        o.ipc.spaces[o.space].add(EntryRight::Send { port: o.dead, urefs: 0 }).unwrap();
    }),
    ("has no set", |o| o.ipc.remove_set(&mut o.step, o.set)),
    ("every task has one space", |o| {
        o.ipc.make_room_for_task().unwrap();
        o.ipc.insert_first_space();
    }),
    ("every open budget is a task's", |o| {
        o.child_budget();
    }),
    ("is charged with the cost", |o| {
        let child = o.child_budget();
        o.ipc.close_budget(child);
        o.ipc.budgets[o.budget].used += 1;
    }),
    ("has its children", |o| {
        let child = o.closed_child();
        o.ipc.budgets[child].parent = None;
    }),
    ("exceeds its limit", |o| o.ipc.budgets[o.budget].limit = 1),
    ("has something to spare", |o| {
        let child = o.closed_child();
        o.ipc.budgets[child].limit += 1;
        o.ipc.budgets[o.budget].used += 1;
    }),
    ("is above or below a closed one", |o| {
        o.closed_child();
        let open = &mut o.ipc.budgets[o.budget];
        (open.closed, open.limit) = (true, open.used);
    }),
    ("objects are on budgets that are gone", |o| {
        let child = o.child_budget();
        o.ipc.ports[o.port].budget = Some(child);
        o.ipc.close_budget(child);
        let cost = o.ipc.ports[o.port].cost();
        o.ipc.refund(o.budget, cost);
    }),
    ("is charged with the cost", |o| o.ipc.refund(o.budget, 1)),
    ("is charged with the cost", |o| o.ipc.charge(o.budget, 1).unwrap()),
    ("has no promise", |o| {
        let message = o.ipc.take_spare_message();
        o.ipc.remove_message(&mut o.step, message);
        o.ipc.ports[o.awaited].promised -= 1;
        o.ipc.refund(o.budget, NOTICE_COST);
    }),
    ("there is a message for each promise", |o| o.ipc.messages[o.messages[1]].spare = true),
    ("is not in the queue in which it waits", |o| {
        o.ipc.ports[o.awaited].receivers = WaitQueue::default();
    }),
    ("is ready if its port has messages", |o| o.ipc.memberships[o.membership].is_ready = false),
    ("is in its port's list", |o| o.ipc.ports[o.port].memberships = store::List::new()),
    ("the lists of PortSet", |o| {
        let other = o.ipc.new_set(&mut o.step, o.budget).unwrap();
        o.ipc.memberships[o.membership].set = other;
    }),
];

#[test]
fn the_check_reports_every_broken_invariant() {
    Objects::new().check();
    for (number, (message, break_it)) in BREAKS.into_iter().enumerate() {
        let mut objects = Objects::new();
        break_it(&mut objects);
        let panic = catch_unwind(AssertUnwindSafe(|| objects.check())).expect_err(message);
        let report = panic.downcast::<String>().map_or_else(|_| String::new(), |text| *text);
        assert!(report.contains(message), "break {number}: {message:?} was expected, the check says {report:?}");
    }
}

#[test]
fn every_object_counts_for_the_places_on_the_work_list() {
    let objects = Objects::new();
    // Five ports with the host's, one set, three messages, two that are promised, boosts and pushes.
    assert_eq!(objects.ipc.work_places(), 5 * Work::PER_PORT + 8 * Work::PER_OBJECT);
}
