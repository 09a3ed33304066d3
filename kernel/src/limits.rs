//! Every capacity of the kernel, in one place.
//!
//! Limits protect tasks from each other: the kernel memory that a task can occupy is bounded by that task's own budget,
//! and the work of one trap is bounded by a constant.

/// Processors that the scheduler supports. What relies on there being one asserts it: the lock, page tables, registers
/// and the frames of threads, in `kernel/src/arch/x86_64`.
pub const CPUS_MAX: usize = 1;

/// Tasks in the system.
pub const TASKS_MAX: usize = 512;

/// Threads in one task. They stop in one step when it ends, and a new policy of the task reaches all of them in one step.
pub const THREADS_PER_TASK_MAX: usize = 128;

/// Entries in one space, the unusable index 0 included (mach-ipc 1.8).
pub const NAMES_PER_TASK_MAX: u32 = 65_536;

/// Regions of memory in one task.
pub const REGIONS_PER_TASK_MAX: usize = 1024;

/// Pages of memory in one task.
pub const PAGES_PER_TASK_MAX: u64 = 16 * 1024;

/// Bytes of kernel memory on the budget of a task that does not ask for more, itself included: its ports, port sets,
/// names, requests, threads and queued messages. A queued message is on its sender's budget, but a message by a send-once
/// right is on that of its port: see `Ipc::budget_for`.
pub const KERNEL_BYTES_PER_TASK_MAX: usize = 4 << 20;

/// Bytes that a task gets besides what it starts with, if a quarter of what its parent has left is less.
pub const SHARE_LEAST: usize = 64 * 1024;

/// Pages that a task gets besides those that it starts with, if a quarter of what its parent has left is less.
pub const PAGES_LEAST: u64 = 16;

/// The number of parts in which `task_spawn` divides what the parent has left.
pub const SHARE_PARTS: u64 = abi::task::SPAWN_SHARE_PARTS;

/// The part of the kernel's heap that is no task's: tables without an owner, and what is lost between blocks.
pub const HEAP_RESERVE: Reserve = Reserve { part: 4 };

/// The part of the page frames that is no task's.
pub const FRAMES_RESERVE: Reserve = Reserve { part: 64 };

/// A part that is kept back.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// One of so many parts.
    part: u64,
}

impl Reserve {
    /// Returns what is left when this part is kept back.
    pub const fn rest(self, of: u64) -> u64 {
        of - of / self.part
    }
}

/// Sets that one port may be a member of. A message to the port makes it ready in each of them, within one step.
pub const SETS_PER_PORT_MAX: usize = 64;

/// Sets that a port leaves in the time of one piece of work.
pub const SETS_LEFT_PER_PIECE: usize = 6;

/// Sets that are looked at for a receiver, and made ready, in the time of one piece of work.
pub const SETS_SERVED_PER_PIECE: usize = 12;

/// Threads that a push passes: one that would reach more pushes nobody (importance 7.6). A change of a priority therefore
/// changes at most this number of others.
pub const PUSH_CHAIN_MAX: u8 = 16;

/// Ports that a boost passes on its way through receive rights in transit: one that travels deeper in others keeps its
/// boosts.
pub const TRANSIT_WALK_MAX: u8 = 8;

/// Messages, inherits, ports and tasks that one step visits when a task becomes a donor of importance or ceases to be. The
/// others follow as background work.
pub const BOOST_VISITS: u64 = 128;

/// The same because of a message behind much else in a part of a step, such as the copy-in of its many rights.
pub const BOOST_VISITS_LEAST: u64 = 16;

/// Threads whose policies one step computes because of boosts, with all else that it has done (`effort.rs`). A step that has
/// done nothing else has room for any task.
pub const BOOSTED_THREADS: usize = THREADS_PER_TASK_MAX + 24;

/// Threads whose policies one step computes before it leaves those that serve ports and sets to background work. It is fewer
/// if the step has made some effort already.
pub const POLICIES_PER_STEP: usize = THREADS_PER_TASK_MAX;

/// Messages before another one in its queue whose QoS it raises, besides the first of all.
pub const QOS_WALK_MAX: usize = 4096;

/// The same for a message behind much else in a part of a step, such as the copy-in of its many rights.
pub const QOS_WALK_LEAST: usize = 512;

/// Messages whose QoS is raised in the time of one piece of work.
pub const RAISED_PER_PIECE: u32 = 96;

/// Ports that the kernel passes, once for each message, to find out whether its receive rights would be in transit inside
/// themselves.
pub const CIRCLE_WALK_MAX: u32 = 4096;

/// Ready members of a set whose messages raise the thread that serves the set.
pub const SERVED_MEMBERS_MAX: usize = 16;

/// Requests for notifications on one port (mach-ipc 1.8).
pub const REQUESTS_PER_PORT_MAX: usize = 47_616;

/// Bytes of all argument and environment strings of a program.
pub const ARGUMENTS_SIZE_MAX: u64 = 32 * 1024;

/// Descriptors of one message. Each takes up to a thousand instructions from its sender to a thread that waits for it.
pub const DESCRIPTORS_MAX: usize = 128;

/// The effort of moving the rights of one message, in units of some 140 instructions, at most. [`DESCRIPTORS_MAX`] rights that
/// cause nothing else stay below it.
pub const RIGHTS_EFFORT_MAX: u32 = 1104;

/// Ports on the way on which a message would close a circle (see [`CIRCLE_WALK_MAX`]) that count as one of these units.
pub const WAY_PER_UNIT: u32 = 8;

/// Ports on such a way that count as one piece of work.
pub const WAY_PER_PIECE: u32 = WAY_PER_UNIT * PIECE_EFFORT;

/// The effort of that way that leaves room for as many rights as no way. What exceeds it counts like rights.
pub const WAY_EFFORT_FREE: u32 = 320;

/// The effort of a piece of work, in the same units.
pub const PIECE_EFFORT: u32 = 16;

/// The effort of computing the policy of a thread.
pub const POLICY_EFFORT: u32 = 10;

/// The effort of ending a wait or a depression.
pub const ENDED_WAIT_EFFORT: u32 = 10;

/// The effort of writing [`CONSOLE_WRITE_MAX`] bytes for [`CONSOLE_THREADS_PER_TICK`] threads.
pub const OUTPUT_EFFORT: u32 = 400;

/// The effort of [`BOOST_VISITS`].
pub const VISITS_EFFORT: u32 = 300;

/// The effort of an array of recipes, at most. A recipe that copies or removes values counts 1, and one that asks a
/// manager [`ASKING_EFFORT`]. So each array has room that only copies or removes.
pub const RECIPES_EFFORT_MAX: u32 = 320;

/// The effort of a recipe that asks a manager.
pub const ASKING_EFFORT: u32 = 4;

/// The effort of a recipe that counts 1, in the units of [`RIGHTS_EFFORT_MAX`].
pub const RECIPE_EFFORT: u32 = 4;

/// Argument and environment strings of a program.
pub const STRINGS_MAX: usize = 2048;

/// Loadable segments of a program.
pub const SEGMENTS_MAX: usize = 32;

/// Pages of the stack of a program's first thread.
pub const STACK_PAGES: u64 = 64;

/// Bytes that one `write` writes to the console, at most.
pub const CONSOLE_WRITE_MAX: usize = 1024;

/// Threads whose output is written in one tick, with [`CONSOLE_WRITE_MAX`] bytes together. As many are given input.
pub const CONSOLE_THREADS_PER_TICK: usize = 16;

/// Nanoseconds of a turn of background work among threads of the same level.
pub const BACKGROUND_TURN: crate::machine::Nanos = 50_000;

/// Pieces of deferred work in one slice (errata 4). A piece that takes longer counts as several.
pub const REAP_SLICE: u32 = 64;

/// Pieces of work that the end of a thread counts as, besides itself: its voucher, what it serves and what it pushes may end
/// with it.
pub const THREAD_PIECES: u32 = 3;

/// The effort of one slice of compaction, in units of some ten instructions: for each object that was given back since the
/// last slice, another one can be looked at with all that it owns.
pub const COMPACT_SLICE: usize = 2048;

/// Rights of a message that could not be sent which its sender takes back in one slice.
pub const GIVE_BACK_SLICE: u32 = 32;

/// Waits and depressions that one tick ends because their deadlines have passed.
pub const EXPIRED_PER_TICK: usize = 64;

/// Groups of 64 names whose memory an ended task gives back in one piece of work, while it has more than [`GROUPS_LEFT`].
pub const GROUPS_PER_PIECE: usize = 16;

/// Groups of names whose memory a task gives back together at its end.
pub const GROUPS_LEFT: usize = 32;

/// Names, requests and messages that are looked at to find the most urgent thread that waits for the end of a port or task.
pub const WAITERS_LOOK_MAX: u32 = 512;

/// Places that are looked at in the time of one piece of work.
pub const LOOKS_PER_PIECE: u32 = 32;

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
    /// See [`BOOST_VISITS`].
    pub boost_visits: u64,
    /// See [`POLICIES_PER_STEP`]. At least 1.
    pub policies_per_step: usize,
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
            boost_visits: BOOST_VISITS,
            policies_per_step: POLICIES_PER_STEP,
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
