//! What is always true between two steps (mach-ipc 1.9, and what the other modules rely on).
//!
//! [`check_all`] visits everything; host tests call it after every step. It panics with the first sentence that does not
//! hold.

use crate::ipc::names::Holding;
use crate::ipc::port::{Home, Port, PortId};
use crate::ipc::port_set::{MEMBERSHIP_COST, PortSet};
use crate::ipc::receive::Receivable;
use crate::ipc::request::REQUEST_COST;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::task::TaskId;
use crate::thread::{ReceiveWait, State, Thread, Wait};
use alloc::collections::BTreeMap;

/// Rights of one port, as counted by looking everywhere.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rights {
    send: u32,
    send_once: u32,
    receive: u32,
}

/// Panics with a helpful message unless every invariant holds.
pub fn check_all(kernel: &Kernel) {
    let rights = count_rights(kernel);
    for (id, port) in kernel.ports.iter() {
        let counted = rights.get(&id).unwrap_or(&Rights { send: 0, send_once: 0, receive: 0 });
        check_port(kernel, id, port, counted);
    }
    check_totals(kernel);
    check_spaces(kernel);
    check_budgets(kernel);
    check_waits(kernel);
    crate::ipc::port_set::check(kernel);
    kernel.sched.check(&kernel.threads);
    kernel.timers.check(&kernel.threads);
}

/// Looks for rights in every place where one can be.
fn count_rights(kernel: &Kernel) -> BTreeMap<PortId, Rights> {
    let mut rights: BTreeMap<PortId, Rights> = BTreeMap::new();
    for (_, task) in kernel.tasks.iter() {
        for (_, entry) in task.space.iter() {
            match entry.holding {
                Holding::Send { port, .. } => rights.entry(port).or_default().send += 1,
                Holding::Receive { port, send_urefs } => {
                    let counted = rights.entry(port).or_default();
                    counted.receive += 1;
                    counted.send += u32::from(send_urefs > 0);
                }
                Holding::SendOnce { port } => rights.entry(port).or_default().send_once += 1,
                Holding::PortSet { .. } | Holding::DeadName { .. } => {}
            }
        }
        add_carried(&mut rights, &task.bootstrap);
        if let Some(right) = &task.exit_port {
            rights.entry(right.port()).or_default().send_once += 1;
        }
    }
    for (_, message) in kernel.messages.iter() {
        add_carried(&mut rights, &message.destination);
        add_carried(&mut rights, &message.reply);
        message.descriptors.iter().for_each(|descriptor| add_carried(&mut rights, &descriptor.right));
    }
    for (_, port) in kernel.ports.iter() {
        let requests = port.requests.iter(&kernel.requests).map(|(_, request)| &request.notify);
        for right in port.no_senders.iter().chain(&port.port_destroyed).chain(requests) {
            rights.entry(right.port()).or_default().send_once += 1;
        }
    }
    rights
}

fn add_carried(rights: &mut BTreeMap<PortId, Rights>, carried: &Carried) {
    let Carried::Right(right) = carried else { return };
    let counted = rights.entry(right.port()).or_default();
    match right {
        Right::Send(_) => counted.send += 1,
        Right::SendOnce(_) => counted.send_once += 1,
        Right::Receive(_) => counted.receive += 1,
    }
}

fn check_port(kernel: &Kernel, id: PortId, port: &Port, counted: &Rights) {
    if !port.is_alive() {
        assert_eq!(counted.receive, 0, "I3: dead {id:?} has a receive right");
        assert!(port.receivers.is_empty() && port.memberships.is_empty(), "I6: dead {id:?} has receivers or sets");
        return;
    }
    assert_eq!(port.send_rights, counted.send, "I1: send rights of {id:?}");
    assert_eq!(port.send_once_rights, counted.send_once, "I2: send-once rights of {id:?}");
    let expected = u32::from(!matches!(port.home, Home::Kernel(_)));
    assert_eq!(counted.receive, expected, "I3: {id:?} has one receive right, {:?}", port.home);
    let queued = port.queue.iter(&kernel.messages).count();
    assert_eq!(queued, port.queue.len(), "I5: messages of {id:?}");
    assert!(port.receivers.is_empty() || queued == 0, "I8: threads wait on {id:?} with {queued} messages");
    assert!(port.senders.is_empty() || port.is_full(), "I9: senders wait on {id:?} with room");
    match port.home {
        Home::Kernel(_) => assert_eq!(queued, 0, "I10: a message is queued on the kernel's {id:?}"),
        Home::Space { task, name } => {
            let entry = kernel.tasks[task].space.get(name);
            let held = entry.is_some_and(|entry| matches!(entry.holding, Holding::Receive { port, .. } if port == id));
            assert!(held, "{id:?} thinks that it is {name:?} in {task:?}");
        }
        Home::Transit(_) => check_transit(kernel, id),
        Home::Limbo | Home::Dead => {}
    }
    for (made, request) in port.requests.iter(&kernel.requests) {
        let entry = kernel.tasks[request.task].space.get(request.name);
        let known = entry.is_some_and(|entry| entry.request == Some(made) && entry.holding.port() == Some(id));
        assert!(known, "{made:?} on {id:?} is not known to {:?}", request.name);
    }
    let mut over = None;
    for message in port.queue.iter(&kernel.messages) {
        let message = &kernel.messages[message];
        for descriptor in &message.descriptors {
            if let Carried::Right(Right::Receive(right)) = &descriptor.right {
                let home = kernel.ports[right.port()].home;
                assert_eq!(home, Home::Transit(id), "the receive right of {:?} is queued on {id:?}", right.port());
            }
        }
        assert!(
            over.is_none_or(|before| before >= message.over),
            "a message of {id:?} calls for more than one before it"
        );
        over = Some(message.over);
    }
}

/// I7: following destinations ends at a port that is somewhere.
fn check_transit(kernel: &Kernel, start: PortId) {
    let mut at = start;
    for _ in 0..=kernel.ports.len() {
        match kernel.ports.get(at).map(|port| port.home) {
            Some(Home::Transit(next)) => at = next,
            _ => return,
        }
    }
    panic!("I7: {start:?} travels in a circle");
}

fn check_totals(kernel: &Kernel) {
    let live = || kernel.ports.iter().filter(|(_, port)| port.is_alive());
    let send: u64 = live().map(|(_, port)| u64::from(port.send_rights)).sum();
    let once: u64 = live().map(|(_, port)| u64::from(port.send_once_rights)).sum();
    assert_eq!(send, kernel.totals.send_rights, "the total of send rights");
    assert_eq!(once, kernel.totals.send_once_rights, "the total of send-once rights");
    let dead = kernel.ports.len() - live().count();
    assert_eq!(dead as u64, kernel.totals.dead_ports, "the number of dead ports");
}

fn check_spaces(kernel: &Kernel) {
    for (id, task) in kernel.tasks.iter() {
        task.space.check();
        task.regions.check();
        for (name, entry) in task.space.iter() {
            match entry.holding {
                Holding::DeadName { urefs } => {
                    assert!(urefs > 0 && entry.request.is_none(), "I11: dead name {name:?} of {id:?}");
                }
                Holding::Send { urefs, .. } => assert!(urefs > 0, "{name:?} of {id:?} has no references"),
                Holding::PortSet { set } => assert!(kernel.sets.contains(set), "{name:?} of {id:?} is no set"),
                Holding::Receive { .. } | Holding::SendOnce { .. } => {}
            }
        }
    }
}

/// A task's budget is charged with what it pays for and with nothing else. What a task paid for may outlive it.
fn check_budgets(kernel: &Kernel) {
    let mut used: BTreeMap<TaskId, usize> = BTreeMap::new();
    let mut add = |payer: Option<TaskId>, bytes: usize| {
        if let Some(payer) = payer {
            *used.entry(payer).or_default() += bytes;
        }
    };
    kernel.threads.iter().for_each(|(_, thread)| add(Some(thread.task), size_of::<Thread>()));
    for (_, port) in kernel.ports.iter() {
        add(port.payer, size_of::<Port>());
    }
    kernel.requests.iter().for_each(|(_, request)| add(Some(request.task), REQUEST_COST));
    kernel.sets.iter().for_each(|(_, set)| add(Some(set.payer), size_of::<PortSet>()));
    kernel.memberships.iter().for_each(|(_, m)| add(Some(kernel.sets[m.set].payer), MEMBERSHIP_COST));
    kernel.messages.iter().for_each(|(_, message)| add(message.payer, message.cost()));
    for (id, task) in kernel.tasks.iter() {
        let charged = task.space.cost() + used.get(&id).copied().unwrap_or(0);
        assert_eq!(task.kernel_bytes, charged, "the budget of {id:?}");
    }
}

/// Every waiting thread is in the queue it waits in, and nobody else is in any.
fn check_waits(kernel: &Kernel) {
    let mut waiting = 0;
    for (id, thread) in kernel.threads.iter() {
        let State::Waiting(wait) = &thread.state else { continue };
        let queue = match wait {
            Wait::Receive(ReceiveWait { object: Receivable::Port(port), .. }) => &kernel.ports[*port].receivers,
            Wait::Receive(ReceiveWait { object: Receivable::Set(set), .. }) => &kernel.sets[*set].receivers,
            Wait::Send(send) => &kernel.ports[send.port].senders,
            Wait::Word(word) => kernel.words.get(&(thread.task, *word)).expect("a waiting thread's queue exists"),
            Wait::Clock => continue,
        };
        assert!(queue.iter(&kernel.threads).any(|other| other == id), "{id:?} is not where it waits");
        waiting += 1;
    }
    let ports = kernel.ports.iter().flat_map(|(_, port)| [&port.receivers, &port.senders]);
    let sets = kernel.sets.iter().map(|(_, set)| &set.receivers);
    let words = kernel.words.iter().map(|(_, queue)| queue);
    let queues = ports.chain(sets).chain(words);
    let queued: usize = queues.map(|queue| queue.check(&kernel.threads)).sum();
    assert_eq!(queued, waiting, "only waiting threads are in wait queues");
}
