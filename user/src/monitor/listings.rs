//! The monitor's listings: tables of facts from a [`Snapshot`].

use super::snapshot::{Snapshot, name_of};
use super::table::{Cell, Table};
use super::words::*;
use abi::inspect::*;
use abi::port::PortType;
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_KEY_PTHPRIORITY};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Returns the tasks.
pub fn tasks(snapshot: &Snapshot) -> Table {
    let columns =
        &["pid", "task", "type", "role", "flags", "boosts", "base", "threads", "names", "parent", "user"] as &[&str];
    let mut table = Table::new(columns, "there are no tasks");
    for task in &snapshot.tasks {
        let base = snapshot.threads_of(task.pid).map(|thread| thread.base).max();
        table.row([
            task.pid.into(),
            name_of(task).into(),
            app_type(task.app_type).into(),
            role(task.role).into(),
            task_flags(task).into(),
            task.boosts.into(),
            base.into(),
            task.threads.into(),
            task.names.into(),
            task.parent.into(),
            task.uid.into(),
        ]);
    }
    table
}

/// Returns the threads, of one task or of all.
pub fn threads(snapshot: &Snapshot, pid: Option<u32>) -> Table {
    let columns = &["thread", "task", "asks", "gets", "base", "now", "voucher", "time µs", "waits for"];
    let mut table = Table::new(columns, "there are no threads");
    for thread in snapshot.threads.iter().filter(|thread| pid.is_none_or(|pid| thread.pid == pid)) {
        table.row([
            super::words::thread(thread.thread).into(),
            snapshot.who(thread.pid).into(),
            class(thread.requested).into(),
            class(thread.effective).into(),
            thread.base.into(),
            thread.priority.into(),
            optional('v', thread.voucher),
            (thread.cpu_time / 1000).into(),
            wait_of(thread).into(),
        ]);
    }
    table
}

/// Returns the names of a task.
pub fn names(snapshot: &Snapshot, pid: u32) -> Table {
    let mut table = Table::new(&["name", "rights", "refs", "object", "receive right"], "the task has no names");
    let of_task = snapshot.names.iter().filter(|(owner, _)| *owner == pid);
    for (_, name) in of_task {
        let is_set = PortType::from_bits_retain(name.kind).contains(PortType::PORT_SET);
        let port = snapshot.port(name.object).filter(|_| !is_set);
        let (letter, place) = (if is_set { 's' } else { 'p' }, port.map(|port| home_of(snapshot, port)));
        let is_dead = name.object == 0;
        table.row([
            format!("{:#x}", name.name).into(),
            rights(name.kind).into(),
            name.references.into(),
            if is_dead { "dead".into() } else { object(letter, name.object).into() },
            place.into(),
        ]);
    }
    table
}

/// Returns the names of the rights in a port type.
fn rights(kind: u32) -> String {
    let all = [
        (PortType::RECEIVE, "receive"),
        (PortType::SEND, "send"),
        (PortType::SEND_ONCE, "send-once"),
        (PortType::PORT_SET, "set"),
        (PortType::DEAD_NAME, "dead"),
    ];
    let kind = PortType::from_bits_retain(kind);
    let held: Vec<&str> = all.iter().filter(|(right, _)| kind.contains(*right)).map(|(_, word)| *word).collect();
    held.join(" ")
}

/// Returns the messages of a port's queue.
pub fn messages(snapshot: &Snapshot, port: ObjectNumber) -> Table {
    let columns = &["message", "id", "bytes", "from", "QoS", "importance of", "boosts", "voucher"];
    let mut table = Table::new(columns, "the queue is empty");
    for message in snapshot.messages.iter().filter(|message| message.port == port) {
        let donor = (message.flags & MESSAGE_LINKED != 0).then(|| match message.donor {
            0 => String::from("nobody: a static boost"),
            pid => snapshot.who(pid),
        });
        table.row([
            object('m', message.message).into(),
            Cell::Text(format!("{}", message.id as i32)),
            message.size.into(),
            snapshot.who(message.sender).into(),
            class(message.qos).into(),
            donor.into(),
            if message.flags & MESSAGE_RAISED != 0 { "yes" } else { "no" }.into(),
            optional('v', message.voucher),
        ]);
    }
    table
}

/// Returns the ports with messages, waiting senders or waiting receivers.
pub fn queues(snapshot: &Snapshot) -> Table {
    let columns = &["port", "receive right", "messages", "limit", "boosts", "receivers", "senders"];
    let mut table = Table::new(columns, "no port has messages, and no thread waits for one");
    for port in &snapshot.ports {
        let waiting = |kind| snapshot.threads.iter().filter(|t| t.wait == kind && t.wait_object == port.port).count();
        let (receivers, senders) = (waiting(wait::RECEIVE_PORT), waiting(wait::SEND));
        if port.messages > 0 || receivers > 0 || senders > 0 {
            table.row([
                object('p', port.port).into(),
                home_of(snapshot, port).into(),
                port.messages.into(),
                port.limit.into(),
                port.boosts.into(),
                (receivers as u64).into(),
                (senders as u64).into(),
            ]);
        }
    }
    table
}

/// Returns the vouchers.
pub fn vouchers(snapshot: &Snapshot) -> Table {
    let columns = &["voucher", "keys", "refs", "rights", "importance", "account", "persona", "QoS"];
    let mut table = Table::new(columns, "there are no vouchers");
    for voucher in &snapshot.vouchers {
        table.row([
            object('v', voucher.voucher).into(),
            keys(voucher.keys).into(),
            voucher.references.into(),
            voucher.send_rights.into(),
            importance_in(snapshot, voucher).into(),
            account_in(snapshot, voucher).into(),
            persona_in(voucher),
            if voucher.keys & 1 << MACH_VOUCHER_ATTR_KEY_PTHPRIORITY != 0 {
                class(voucher.priority).into()
            } else {
                Cell::None
            },
        ]);
    }
    table
}

fn keys(bits: u32) -> String {
    let held: Vec<String> = (0..32).filter(|key| bits & 1 << key != 0).map(|key| format!("{key}")).collect();
    held.join(",")
}

/// Returns the importance in a voucher: whose it is and who has it.
pub fn importance_in(snapshot: &Snapshot, voucher: &VoucherRecord) -> Option<String> {
    if let Some(inherit) = snapshot.inherit(voucher.inherit) {
        let pid_of = |element| snapshot.element(element).map_or(0, |element| element.pid);
        let (from, to) = (snapshot.brief(pid_of(inherit.from)), snapshot.brief(pid_of(inherit.to)));
        let how = if inherit.donating != 0 { "boosts" } else { "would boost" };
        return Some(format!("{from} {how} {to}"));
    }
    (voucher.importance_of != 0).then(|| format!("{}'s own", snapshot.brief(voucher.importance_of)))
}

/// Returns the account in a voucher: who pays whom.
pub fn account_in(snapshot: &Snapshot, voucher: &VoucherRecord) -> Option<String> {
    match (voucher.holder, voucher.merchant) {
        (0, _) if voucher.keys & 1 << MACH_VOUCHER_ATTR_KEY_BANK != 0 => Some(String::from("of whoever sends it")),
        (0, _) => None,
        (holder, 0) => Some(format!("{}'s own", snapshot.brief(holder))),
        (holder, merchant) => Some(format!("{} pays {}", snapshot.brief(holder), snapshot.brief(merchant))),
    }
}

fn persona_in(voucher: &VoucherRecord) -> Cell {
    if voucher.merchant == 0 || voucher.persona == u32::MAX { Cell::None } else { voucher.persona.into() }
}

/// Returns where the boosts of a task come from. The counts add up to the task's.
pub fn boosts(snapshot: &Snapshot, task: &TaskRecord) -> Table {
    let mut table = Table::new(&["boosts", "through", "from"], "the task has no boosts");
    for port in snapshot.ports.iter().filter(|port| port.boosts > 0) {
        if snapshot.beneficiary(port) == Some(task.pid) {
            let through = format!("port {}", object('p', port.port));
            let senders: Vec<String> = snapshot
                .messages
                .iter()
                .filter(|message| message.port == port.port && message.flags & MESSAGE_RAISED != 0)
                .map(|message| snapshot.who(message.donor))
                .collect();
            table.row([port.boosts.into(), through.into(), senders.join(", ").into()]);
        }
    }
    for inherit in snapshot.inherits_into(task.element).filter(|inherit| inherit.donating != 0) {
        let vouchers: Vec<String> = snapshot
            .vouchers
            .iter()
            .filter(|voucher| voucher.inherit == inherit.inherit)
            .map(|voucher| object('v', voucher.voucher))
            .collect();
        let through = match vouchers.is_empty() {
            true => format!("inherit {}", object('i', inherit.inherit)),
            false => format!("voucher {}", vouchers.join(", ")),
        };
        let from = snapshot.element(inherit.from).map_or(0, |element| element.pid);
        table.row([(inherit.total - inherit.dropped).into(), through.into(), snapshot.who(from).into()]);
    }
    table
}

/// Returns which tasks boost which.
pub fn donates(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&["task", "boosts", "through"], "no task boosts another");
    for inherit in snapshot.inherits.iter().filter(|inherit| inherit.donating != 0) {
        let pid_of = |element| snapshot.element(element).map_or(0, |element| element.pid);
        table.row([
            snapshot.who(pid_of(inherit.from)).into(),
            snapshot.who(pid_of(inherit.to)).into(),
            format!("inherit {}", object('i', inherit.inherit)).into(),
        ]);
    }
    for message in snapshot.messages.iter().filter(|message| message.flags & MESSAGE_RAISED != 0) {
        let to = snapshot.port(message.port).and_then(|port| snapshot.beneficiary(port));
        table.row([
            snapshot.who(message.donor).into(),
            to.map(|pid| snapshot.who(pid)).into(),
            format!("message {} on port {}", object('m', message.message), object('p', message.port)).into(),
        ]);
    }
    table
}

/// Returns who has worked for whom: times in µs and energy in µJ.
pub fn bill(snapshot: &Snapshot) -> Table {
    let columns = &["task", "own µs", "for others µs", "by others µs", "for others µJ", "by others µJ"];
    let mut table = Table::new(columns, "there are no tasks");
    for task in &snapshot.tasks {
        table.row([
            snapshot.who(task.pid).into(),
            (task.cpu_time / 1000).into(),
            (task.serviced_time / 1000).into(),
            (task.billed_time / 1000).into(),
            (task.serviced_energy / 1000).into(),
            (task.billed_energy / 1000).into(),
        ]);
    }
    table
}

fn optional(kind: char, number: ObjectNumber) -> Cell {
    (number != 0).then(|| object(kind, number)).into()
}
