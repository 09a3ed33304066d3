//! `why`: the reasons for a task's priority, as a chain in words.

use super::snapshot::{Snapshot, name_of};
use super::words::{app_type, object, role};
use abi::inspect::*;
use abi::qos::AppType;
use abi::task::TASK_IMP_RECEIVER;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Chains are followed this far. Longer ones are cut by the kernel as well (importance 6.5).
const DEPTH_MAX: usize = 32;

/// The lines of an explanation.
#[derive(Debug, Default)]
struct Lines {
    text: Vec<String>,
}

impl Lines {
    fn add(&mut self, depth: usize, line: String) {
        self.text.push(format!("{:width$}{line}", "", width = 2 * depth));
    }
}

/// Explains the priority of a task: each reason is a line, and a reason's own reasons stand below it, farther right.
pub fn explain(snapshot: &Snapshot, task: &TaskRecord) -> Vec<String> {
    let mut lines = Lines::default();
    let base = snapshot.threads_of(task.pid).map(|thread| thread.base).max().unwrap_or(0);
    lines.add(0, format!("{} runs at base priority {base}", snapshot.who(task.pid)));
    kind_of(&mut lines, task);
    if task.boosts > 0 {
        let plural = if task.boosts == 1 { "boost" } else { "boosts" };
        lines.add(1, format!("because it has {} {plural}:", task.boosts));
    } else if task.flags & TASK_BOOSTED != 0 {
        lines.add(1, "because it had a boost, which it keeps for up to a second".to_string());
    }
    explain_boosts(snapshot, task, 2, &mut lines);
    explain_threads(snapshot, task, &mut lines);
    lines.text
}

fn kind_of(lines: &mut Lines, task: &TaskRecord) {
    let kind = app_type(task.app_type);
    let role = role(task.role);
    let role = if role.is_empty() { String::new() } else { format!(", role {role}") };
    let rule = match AppType::from_number(task.app_type) {
        Some(AppType::DaemonAdaptive) if task.flags & TASK_BOOSTED == 0 => ": in the background while it has no boost",
        Some(AppType::DaemonAdaptive) => ": in the background but for its boost",
        _ if task.flags & TASK_SUPPRESSED != 0 => ": in App Nap",
        _ => "",
    };
    lines.add(1, format!("it is a {kind}{role}{rule}"));
}

/// Explains each boost of a task, and why those who cause it may.
fn explain_boosts(snapshot: &Snapshot, task: &TaskRecord, depth: usize, lines: &mut Lines) {
    if depth > 2 * DEPTH_MAX {
        return lines.add(depth, "…".to_string());
    }
    for port in snapshot.ports.iter().filter(|port| port.boosts > 0) {
        if snapshot.beneficiary(port) != Some(task.pid) {
            continue;
        }
        let place = if port.home == home::TASK { format!(", its name {:#x}", port.home_object) } else { String::new() };
        lines.add(depth, format!("{} on port {}{place}:", port.boosts, object('p', port.port)));
        let raised = |message: &&MessageRecord| message.port == port.port && message.flags & MESSAGE_RAISED != 0;
        for message in snapshot.messages.iter().filter(raised) {
            let number = object('m', message.message);
            let (id, donor) = (message.id as i32, snapshot.who(message.donor));
            lines.add(depth + 1, format!("message {number} (id {id}), not received yet, from {donor}"));
            explain_donor(snapshot, message.donor, depth + 2, lines);
        }
    }
    for inherit in snapshot.inherits_into(task.element).filter(|inherit| inherit.donating != 0) {
        explain_inherit(snapshot, inherit, depth, lines);
    }
}

/// Explains the boosts of an inherit: which voucher holds them, and who gave them.
fn explain_inherit(snapshot: &Snapshot, inherit: &InheritRecord, depth: usize, lines: &mut Lines) {
    let count = inherit.total - inherit.dropped;
    let from = snapshot.element(inherit.from).map_or(0, |element| element.pid);
    for voucher in snapshot.vouchers.iter().filter(|voucher| voucher.inherit == inherit.inherit) {
        let number = object('v', voucher.voucher);
        lines.add(depth, format!("{count} held by voucher {number}{}", holders(snapshot, voucher)));
        if voucher.came_by != 0 {
            let (port, id) = (object('p', voucher.came_by), voucher.came_with as i32);
            let sender = snapshot.who(voucher.came_from);
            lines.add(depth + 1, format!("which came with message id {id} on port {port} from {sender}"));
        }
    }
    lines.add(depth + 1, format!("with the importance of {}", snapshot.who(from)));
    explain_donor(snapshot, from, depth + 2, lines);
}

/// Returns where references to a voucher are.
fn holders(snapshot: &Snapshot, voucher: &VoucherRecord) -> String {
    let names = snapshot.names.iter().filter(|(_, name)| voucher.port != 0 && name.object == voucher.port);
    let mut places: Vec<String> = names
        .map(|(pid, name)| {
            let task = snapshot.task(*pid).map_or("?", name_of);
            format!("name {:#x} of {task} ({} refs)", name.name, name.references)
        })
        .collect();
    let adopted = snapshot.threads.iter().filter(|thread| thread.voucher == voucher.voucher);
    places.extend(adopted.map(|thread| format!("adopted by thread {}", thread.thread)));
    if places.is_empty() { String::new() } else { format!(": {}", places.join(", ")) }
}

/// Explains why a task donates.
fn explain_donor(snapshot: &Snapshot, pid: u32, depth: usize, lines: &mut Lines) {
    let Some(task) = snapshot.task(pid) else { return };
    let name = name_of(task);
    if task.flags & TASK_IMP_RECEIVER as u32 != 0 {
        lines.add(depth, format!("{name} donates because it has a boost itself:"));
        explain_boosts(snapshot, task, depth + 1, lines);
    } else if task.flags & TASK_DONOR != 0 {
        let front = if role(task.role).is_empty() { String::new() } else { format!(" ({})", role(task.role)) };
        lines.add(depth, format!("{name} donates because it is a {}{front}", app_type(task.app_type)));
    }
}

/// Tells of the threads that run above what they ask for.
fn explain_threads(snapshot: &Snapshot, task: &TaskRecord, lines: &mut Lines) {
    for thread in snapshot.threads_of(task.pid) {
        let pushers = snapshot.threads.iter().filter(|other| other.pushes == thread.thread);
        for pusher in pushers {
            let from = snapshot.who(pusher.pid);
            lines.add(
                1,
                format!("thread {} is pushed by thread {} of {from}, which waits for it", thread.thread, pusher.thread),
            );
        }
    }
}
