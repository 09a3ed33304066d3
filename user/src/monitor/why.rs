//! `why`: the reasons for a task's priority, as a chain in words.

use super::snapshot::{Snapshot, name_of};
use super::words::{self, a_type, class, object, role, wait_of};
use super::work;
use abi::inspect::*;
use abi::qos::AppType;
use abi::task::{TASK_IMP_DONOR, TASK_IMP_LIVE_DONOR};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Chains are followed this far. Longer ones are cut by the kernel as well (importance 6.5).
const DEPTH_MAX: usize = 32;
/// Explanations end after this many lines: tasks that boost each other in many ways have too many reasons to list.
const LINES_MAX: usize = 200;

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
    let base = snapshot.threads_of(task.pid).map(|thread| thread.base).max();
    lines.add(
        0,
        match base {
            Some(base) => format!("{} runs at base priority {base}", snapshot.who(task.pid)),
            None => format!("{} has no threads", snapshot.who(task.pid)),
        },
    );
    explain_task(snapshot, task, &mut lines);
    for thread in snapshot.threads_of(task.pid) {
        explain_pushes(snapshot, thread, 1, &mut lines);
    }
    lines.text
}

/// Explains the priority of a thread: what its task gives it, what it asks for, and who pushes it.
pub fn explain_thread(snapshot: &Snapshot, thread: &ThreadRecord) -> Vec<String> {
    let mut lines = Lines::default();
    let (number, who) = (words::thread(thread.thread), snapshot.who(thread.pid));
    let ThreadRecord { base, priority, .. } = thread;
    lines.add(0, format!("{number} of {who} runs at base priority {base}, at present at {priority}"));
    let (asks, gets) = (class(thread.requested), class(thread.effective));
    lines.add(
        1,
        match thread.requested {
            0 => "it asks for no class".to_string(),
            _ if asks == gets => format!("it asks for the class {asks}"),
            _ => format!("it asks for the class {asks} and gets {gets}"),
        },
    );
    explain_pushes(snapshot, thread, 1, &mut lines);
    if thread.voucher != 0 {
        lines.add(1, format!("it works with voucher {}", object('v', thread.voucher)));
    }
    lines.add(
        1,
        match thread.wait {
            wait::NONE => "it runs".to_string(),
            _ => format!("it does not run now: {}", wait_of(thread)),
        },
    );
    if let Some(task) = snapshot.task(thread.pid) {
        lines.add(1, format!("its task, {who}:"));
        let start = lines.text.len();
        explain_task(snapshot, task, &mut lines);
        lines.text[start..].iter_mut().for_each(|line| line.insert_str(0, "  "));
    }
    lines.text
}

/// Explains what a task is and where its boosts come from.
fn explain_task(snapshot: &Snapshot, task: &TaskRecord, lines: &mut Lines) {
    kind_of(lines, task);
    if task.boosts > 0 {
        let plural = if task.boosts == 1 { "boost" } else { "boosts" };
        lines.add(1, format!("because it has {} {plural}:", task.boosts));
    } else if task.flags & TASK_DELAYED != 0 {
        lines.add(1, "because it had a boost, which it keeps for up to a second".to_string());
    }
    explain_boosts(snapshot, task, 2, lines);
}

fn kind_of(lines: &mut Lines, task: &TaskRecord) {
    let kind = a_type(task.app_type);
    let role = role(task.role);
    let role = if role.is_empty() { String::new() } else { format!(", role {role}") };
    let rule = match AppType::from_number(task.app_type) {
        Some(AppType::DaemonAdaptive) if task.flags & TASK_BOOSTED == 0 => ": in the background while it has no boost",
        Some(AppType::DaemonAdaptive) => ": in the background but for its boost",
        _ if task.flags & TASK_SUPPRESSED != 0 => ": in App Nap",
        _ => "",
    };
    lines.add(1, format!("it is {kind}{role}{rule}"));
}

/// Explains each boost of a task, and why those who cause it may.
fn explain_boosts(snapshot: &Snapshot, task: &TaskRecord, depth: usize, lines: &mut Lines) {
    if depth > 2 * DEPTH_MAX || lines.text.len() > LINES_MAX {
        return lines.add(depth, "…".to_string());
    }
    for port in snapshot.ports.iter().filter(|port| port.boosts > 0) {
        if snapshot.beneficiary(port) != Some(task.pid) {
            continue;
        }
        let place = if port.home == home::TASK { format!(", its name {:#x}", port.home_object) } else { String::new() };
        let is = if port.boosts == 1 { "boost is" } else { "boosts are" };
        lines.add(depth, format!("{} {is} on port {}{place}:", port.boosts, object('p', port.port)));
        let raised = |message: &&MessageRecord| message.port == port.port && message.flags & MESSAGE_RAISED != 0;
        for message in snapshot.messages.iter().filter(raised) {
            let number = object('m', message.message);
            let (id, donor) = (message.id as i32, snapshot.who(message.donor));
            lines.add(depth + 1, format!("by message {number} of id {id}, not received yet, from {donor}"));
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
    let held = if count == 1 { "1 boost is".to_string() } else { format!("{count} boosts are") };
    for voucher in snapshot.vouchers.iter().filter(|voucher| voucher.inherit == inherit.inherit) {
        let number = object('v', voucher.voucher);
        lines.add(depth, format!("{held} held by voucher {number}{}", holders(snapshot, voucher)));
        work::holders(snapshot, voucher).into_iter().for_each(|line| lines.add(depth + 1, line));
        if voucher.came_by != 0 {
            let (port, id) = (object('p', voucher.came_by), voucher.came_with as i32);
            let sender = snapshot.who(voucher.came_from);
            lines.add(depth + 1, format!("which first came with a message of id {id} on port {port} from {sender}"));
        }
    }
    lines.add(depth + 1, format!("it is the importance of {}", snapshot.who(from)));
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
    places.extend(adopted.map(|thread| format!("adopted by {}", words::thread(thread.thread))));
    if places.is_empty() { String::new() } else { format!(": {}", places.join(", ")) }
}

/// Explains why a task donates.
fn explain_donor(snapshot: &Snapshot, pid: u32, depth: usize, lines: &mut Lines) {
    let Some(task) = snapshot.task(pid) else { return };
    let name = name_of(task);
    if task.flags & TASK_DONOR == 0 {
        lines.add(depth, format!("{name} does not donate at present"));
    } else if task.flags & (TASK_IMP_DONOR | TASK_IMP_LIVE_DONOR) as u32 == 0 {
        lines.add(depth, format!("{name} donates because it has a boost itself:"));
        explain_boosts(snapshot, task, depth + 1, lines);
    } else {
        let role = if role(task.role).is_empty() { String::new() } else { format!(", role {}", role(task.role)) };
        lines.add(depth, format!("{name} donates because it is {}{role}", a_type(task.app_type)));
    }
}

/// Tells which threads push a thread above what it asks for.
fn explain_pushes(snapshot: &Snapshot, thread: &ThreadRecord, depth: usize, lines: &mut Lines) {
    for pusher in snapshot.threads.iter().filter(|other| other.pushes == thread.thread) {
        let [pushed, number] = [thread.thread, pusher.thread].map(words::thread);
        let (from, class) = (snapshot.who(pusher.pid), class(pusher.effective));
        lines.add(depth, format!("{pushed} is pushed by {number} of {from} (class {class}), which waits for it"));
    }
}
