//! One port, one voucher: what there is to tell of a single object.

use super::listings::{account_in, importance_in, messages};
use super::snapshot::Snapshot;
use super::words::{home_of, object, parse_object, thread};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Tells of the port that a task has under a name, and what waits in its queue.
///
/// # Errors
/// A line for the user, here and below.
pub fn one_port(snapshot: &Snapshot, task: &str, name: &str) -> Result<Vec<String>, String> {
    let pid = snapshot.task_named(task)?.pid;
    let wanted = parse_name(name)?;
    let held = snapshot.names.iter().find(|(owner, held)| *owner == pid && held.name == wanted);
    let (_, held) = held.ok_or_else(|| format!("{} has no name {name}; see `ports`", snapshot.who(pid)))?;
    let port = snapshot.port(held.object).ok_or("the name denotes no port")?;
    let mut lines = Vec::new();
    lines.push(format!("port {}: {}", object('p', port.port), home_of(snapshot, port)));
    let flags = [
        (abi::inspect::PORT_DONATION, "accepts importance"),
        (abi::inspect::PORT_TEMPOWNER, "boosts count for a temporary owner"),
        (abi::inspect::PORT_SPECIAL_REPLY, "special reply port"),
        (abi::inspect::PORT_GUARDED, "guarded"),
    ];
    let set: Vec<&str> = flags.iter().filter(|(flag, _)| port.flags & flag != 0).map(|(_, word)| *word).collect();
    lines.push(format!(
        "{} send rights, {} send-once rights, {} of {} messages, {} boosts{}{}",
        port.send_rights,
        port.send_once_rights,
        port.messages,
        port.limit,
        port.boosts,
        if set.is_empty() { "" } else { "; " },
        set.join(", ")
    ));
    if port.servicer != 0 {
        lines.push(format!("served by thread {}", thread(port.servicer)));
    }
    let mut queue = String::new();
    let _ = messages(snapshot, port.port).write_text(&mut queue);
    lines.extend(queue.lines().map(String::from));
    Ok(lines)
}

/// Tells who has a voucher and what it holds.
pub fn one_voucher(snapshot: &Snapshot, word: &str) -> Result<Vec<String>, String> {
    let number = parse_object('v', word).ok_or("a voucher is written as in `vouchers`: v3.1")?;
    let voucher = snapshot.vouchers.iter().find(|voucher| voucher.voucher == number);
    let voucher = voucher.ok_or_else(|| format!("there is no voucher {word}; see `vouchers`"))?;
    let mut lines = Vec::new();
    lines.push(format!("voucher {}, {} references", object('v', number), voucher.references));
    lines.extend(importance_in(snapshot, voucher).map(|importance| format!("importance: {importance}")));
    lines.extend(account_in(snapshot, voucher).map(|account| format!("account: {account}")));
    if voucher.came_by != 0 {
        let (port, id) = (object('p', voucher.came_by), voucher.came_with as i32);
        lines.push(format!(
            "first came with a message of id {id} on port {port} from {}",
            snapshot.who(voucher.came_from)
        ));
    }
    for (pid, name) in snapshot.names.iter().filter(|(_, name)| voucher.port != 0 && name.object == voucher.port) {
        lines.push(format!("held by {} as {:#x}, {} references", snapshot.who(*pid), name.name, name.references));
    }
    for thread in snapshot.threads.iter().filter(|thread| thread.voucher == number) {
        lines.push(format!(
            "adopted by thread {} of {}",
            super::words::thread(thread.thread),
            snapshot.who(thread.pid)
        ));
    }
    for message in snapshot.messages.iter().filter(|message| message.voucher == number) {
        lines.push(format!("in message {} on port {}", object('m', message.message), object('p', message.port)));
    }
    Ok(lines)
}

/// Returns the name that a word stands for.
///
/// # Errors
/// A line for the user.
pub fn parse_name(name: &str) -> Result<u32, String> {
    let digits = name.strip_prefix("0x");
    let number = digits.map_or_else(|| name.parse(), |hex| u32::from_str_radix(hex, 16));
    number.map_err(|_| "a name is a number such as 0x103".to_string())
}
