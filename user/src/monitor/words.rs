//! How the monitor calls things: numbers, types, roles, waits.

use super::snapshot::Snapshot;
use abi::inspect::*;
use abi::port::ikot;
use abi::qos::{AppType, Priority, Qos, Role};
use alloc::format;
use alloc::string::{String, ToString};

/// Returns the number of an object as people write it: its kind, its place, and how often the place has been used.
pub fn object(kind: char, number: ObjectNumber) -> String {
    format!("{kind}{}.{}", number as u32, number >> 32)
}

/// Returns the object that a word names: the letter of its kind may be left out, and the second number if it is 1.
pub fn parse_object(kind: char, word: &str) -> Option<ObjectNumber> {
    let word = word.strip_prefix(kind).unwrap_or(word);
    let (place, uses) = word.split_once('.').unwrap_or((word, "1"));
    let (place, uses): (u32, u32) = (place.parse().ok()?, uses.parse().ok()?);
    (uses != 0).then_some(u64::from(uses) << 32 | u64::from(place))
}

/// Returns the name of an application type with an article.
pub fn a_type(number: u32) -> String {
    let name = app_type(number);
    format!("{} {name}", if name.starts_with('a') { "an" } else { "a" })
}

/// Returns the name of an application type.
pub fn app_type(number: u32) -> &'static str {
    match AppType::from_number(number) {
        Some(AppType::AppDefault) => "app",
        Some(AppType::AppTal) => "app, silent",
        Some(AppType::DaemonAdaptive) => "daemon, adaptive",
        Some(AppType::DaemonBackground) => "daemon, background",
        Some(AppType::DaemonInteractive) => "daemon, interactive",
        Some(AppType::DaemonStandard) => "daemon, standard",
        _ => "program",
    }
}

/// Returns the name of a role.
pub fn role(number: u32) -> &'static str {
    match Role::from_number(number) {
        None | Some(Role::Unspecified) => "",
        Some(Role::Foreground) => "front",
        Some(Role::Background) => "back",
        Some(Role::Control) => "control",
        Some(Role::GraphicsServer) => "graphics",
        Some(Role::Throttle) => "throttle",
        Some(Role::NonUi) => "no UI",
        Some(Role::Default) => "default",
        Some(Role::DarwinBg) => "darwinbg",
    }
}

/// Returns the short name of the class in a `pthread_priority_t`.
pub fn class(pthread: u32) -> &'static str {
    match Priority::from_pthread(pthread).qos {
        Qos::Unspecified => "-",
        Qos::Maintenance => "MT",
        Qos::Background => "BG",
        Qos::Utility => "UT",
        Qos::Legacy => "DEF",
        Qos::UserInitiated => "IN",
        Qos::UserInteractive => "UI",
    }
}

/// Returns the letters for a task's state (importance 9.3): R receives importance, D is a donor now, B has boosts, N
/// naps, L loses its boost soon, E has ended.
pub fn task_flags(task: &TaskRecord) -> String {
    let flags = [
        (task.flags & abi::task::TASK_IMP_RECEIVER as u32 != 0, 'R'),
        (task.flags & TASK_DONOR != 0, 'D'),
        (task.flags & TASK_BOOSTED != 0, 'B'),
        (task.flags & TASK_SUPPRESSED != 0, 'N'),
        (task.flags & TASK_DELAYED != 0, 'L'),
        (task.flags & TASK_ENDED != 0, 'E'),
    ];
    flags.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect()
}

/// Returns what a thread does or waits for.
pub fn wait_of(thread: &ThreadRecord) -> String {
    match thread.wait {
        wait::NONE => "runs".to_string(),
        wait::READY => "ready: waits for a processor".to_string(),
        wait::SUSPENDED => "suspended".to_string(),
        wait::CLOCK => format!("the time {}", seconds(thread.deadline)),
        kind => wait_for(kind, thread.wait_object),
    }
}

/// Returns what a wait is for.
pub fn wait_for(kind: u32, on: u64) -> String {
    match kind {
        wait::RECEIVE_PORT => format!("a message on port {}", object('p', on)),
        wait::RECEIVE_SET => format!("a message on set {}", object('s', on)),
        wait::SEND => format!("room in the queue of port {}", object('p', on)),
        wait::CLOCK => "a point in time".to_string(),
        wait::WORD => format!("a change of the word at {on:#x}"),
        wait::INPUT => "input from the console".to_string(),
        wait::OUTPUT => "room at the console".to_string(),
        other => format!("wait {other}"),
    }
}

/// Returns how people write the number of a thread.
pub fn thread(number: u64) -> String {
    format!("t{number}")
}

/// Returns a time since boot in seconds, with microseconds; or "never".
pub fn seconds(time: u64) -> String {
    match time {
        u64::MAX => "never".to_string(),
        _ => format!("{}.{:06}", time / 1_000_000_000, time / 1000 % 1_000_000),
    }
}

/// Returns what a port of the kernel is.
pub fn kernel_object(number: u32) -> &'static str {
    match number {
        ikot::TASK_CONTROL => "task",
        ikot::TASK_NAME => "task name",
        ikot::THREAD_CONTROL => "thread",
        ikot::HOST => "host",
        ikot::VOUCHER => "voucher",
        _ => "kernel",
    }
}

/// Returns where the receive right of a port is.
pub fn home_of(snapshot: &Snapshot, port: &PortRecord) -> String {
    match port.home {
        home::TASK => format!("{} as {:#x}", snapshot.who(port.pid), port.home_object),
        home::TRANSIT => format!("in a message on port {}", object('p', port.home_object)),
        home::LIMBO => "on its way".to_string(),
        home::KERNEL if port.pid != 0 => {
            format!("kernel: {} of {}", kernel_object(port.home_object as u32), snapshot.who(port.pid))
        }
        home::KERNEL => format!("kernel: {}", kernel_object(port.home_object as u32)),
        _ => "nowhere: the port is dead".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_written_and_read_the_same_way() {
        let number = 3 << 32 | 12;
        assert_eq!(object('p', number), "p12.3");
        assert_eq!(parse_object('p', "p12.3"), Some(number));
        assert_eq!(parse_object('p', "12.3"), Some(number));
        assert_eq!(parse_object('v', "v7"), Some(1 << 32 | 7));
        assert_eq!((parse_object('v', "p7"), parse_object('v', ""), parse_object('v', "7.0")), (None, None, None));
    }
}
