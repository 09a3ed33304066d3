//! Every capacity of the kernel, in one place.
//!
//! Limits protect tasks from each other: the kernel memory that a task can occupy is bounded by that task's own budget,
//! and the work of one trap is bounded by a constant.

/// Processors that the scheduler supports.
pub const CPUS_MAX: usize = 1;

/// Tasks in the system.
pub const TASKS_MAX: usize = 512;

/// Threads in one task.
pub const THREADS_PER_TASK_MAX: usize = 256;

/// Entries in one space, the unusable index 0 included (mach-ipc 1.8).
pub const NAMES_PER_TASK_MAX: u32 = 65_536;

/// Regions of memory in one task.
pub const REGIONS_PER_TASK_MAX: usize = 1024;

/// Pages of memory in one task.
pub const PAGES_PER_TASK_MAX: u64 = 16 * 1024;

/// Bytes of kernel memory on one task's budget: its ports, port sets, names, requests, threads and queued messages. A
/// queued message is on its sender's budget, but a message to a send-once right is on the receiver's: see
/// `Ipc::budget_for`.
pub const KERNEL_BYTES_PER_TASK_MAX: usize = 4 << 20;

/// Sets that one port may be a member of. A message to the port makes it ready in each of them, within one step.
pub const SETS_PER_PORT_MAX: usize = 64;

/// Threads that a push passes: one that would reach more pushes nobody (importance 7.6). A change of a priority therefore
/// changes at most this number of others.
pub const PUSH_CHAIN_MAX: u8 = 16;

/// Ports that a boost passes on its way through receive rights in transit: one that travels deeper in others keeps its
/// boosts. A message by a send-once right to such a port is on the budget of the task that made the port.
pub const TRANSIT_WALK_MAX: u8 = 8;

/// Ports that the kernel passes, once for each message, to find out whether its receive rights would be in transit inside
/// themselves.
pub const CIRCLE_WALK_MAX: u32 = 4096;

/// Ports on such a walk that count as one piece of work, when the message is a notification that work has caused.
pub const WAY_PER_PIECE: u32 = 64;

/// Ready members of a set whose messages raise the thread that serves the set.
pub const SERVED_MEMBERS_MAX: usize = 16;

/// Requests for notifications on one port (mach-ipc 1.8).
pub const REQUESTS_PER_PORT_MAX: usize = 47_616;

/// Bytes of all argument and environment strings of a program.
pub const ARGUMENTS_SIZE_MAX: u64 = 32 * 1024;

/// Descriptors of one message. Each takes up to a thousand instructions from its sender to a thread that waits for it.
pub const DESCRIPTORS_MAX: usize = 128;

/// Argument and environment strings of a program.
pub const STRINGS_MAX: usize = 2048;

/// Loadable segments of a program.
pub const SEGMENTS_MAX: usize = 32;

/// Pages of the stack of a program's first thread.
pub const STACK_PAGES: u64 = 64;

/// Nanoseconds of a turn of background work among threads of the same level.
pub const BACKGROUND_TURN: crate::machine::Nanos = 50_000;

/// Pieces of deferred work in one slice (errata 4). A piece that takes longer counts as several.
pub const REAP_SLICE: u32 = 64;

/// Rights of a message that could not be sent which its sender takes back in one slice.
pub const GIVE_BACK_SLICE: u32 = 64;

/// Deadlines of waits and depressions that end in one step.
pub const EXPIRED_PER_TICK: usize = 64;

/// Names, requests and messages that are looked at to find the most urgent thread that waits for the end of a port or task.
pub const WAITERS_LOOK_MAX: u32 = 512;

/// Size in bytes of the largest message that fits a pooled buffer and may take the fast path. A larger message gets a
/// buffer of its own.
pub const SMALL_MESSAGE: usize = 24 + 256;

/// Free buffers for messages of up to [`SMALL_MESSAGE`] bytes that the kernel keeps.
pub const SPARE_BUFFERS: usize = 64;

/// The last pid. A pid is given once only, so that the sender's pid in a trailer identifies one task for all time.
pub const PROCESS_NUMBER_MAX: u32 = u32::MAX;

/// The limits that tests change, and the settings of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// See [`NAMES_PER_TASK_MAX`].
    pub names_per_task: u32,
    /// See [`KERNEL_BYTES_PER_TASK_MAX`].
    pub kernel_bytes_per_task: usize,
    /// See [`PAGES_PER_TASK_MAX`].
    pub pages_per_task: u64,
    /// See [`PROCESS_NUMBER_MAX`].
    pub process_number_max: u32,
    /// See [`TRANSIT_WALK_MAX`].
    pub transit_walk: u8,
    /// Plain calls take the fast path (`msg/fast_path.rs`), and some traps are quick ones (`calls/traps`). The results
    /// are the same without.
    pub shortcuts: bool,
    /// Replies are checked for the persona of their request (`msg/strict_reply.rs`). No call is plain then. Off unless
    /// the bundle's settings say otherwise.
    pub strict_reply: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            names_per_task: NAMES_PER_TASK_MAX,
            kernel_bytes_per_task: KERNEL_BYTES_PER_TASK_MAX,
            pages_per_task: PAGES_PER_TASK_MAX,
            process_number_max: PROCESS_NUMBER_MAX,
            transit_walk: TRANSIT_WALK_MAX,
            shortcuts: true,
            strict_reply: false,
        }
    }
}

impl Limits {
    /// Returns these limits with settings, which are words with white space between them. There is one: `strict-reply`.
    ///
    /// # Errors
    /// The first word that is not a setting.
    pub fn with_settings(mut self, settings: &[u8]) -> Result<Limits, &[u8]> {
        for word in settings.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            match word {
                b"strict-reply" => self.strict_reply = true,
                unknown => return Err(unknown),
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_words_and_an_unknown_one_is_named() {
        for (settings, strict) in [("", false), (" \n", false), ("strict-reply", true), ("\tstrict-reply\n", true)] {
            let limits = Limits::default().with_settings(settings.as_bytes()).unwrap();
            assert_eq!((limits.strict_reply, limits.shortcuts), (strict, true), "{settings:?}");
        }
        for settings in ["strict-reply loud", "loud strict-reply", "loud"] {
            assert_eq!(Limits::default().with_settings(settings.as_bytes()).unwrap_err(), b"loud", "{settings:?}");
        }
        assert!(!Limits::default().strict_reply);
    }
}
