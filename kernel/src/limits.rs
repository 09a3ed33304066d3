//! Every capacity of the kernel, in one place.
//!
//! Limits protect tasks from each other: what one task can make the kernel remember is bounded by that task's own
//! budget, and what one trap can make the kernel do is bounded by a constant.

/// Processors the scheduler is laid out for.
pub const CPUS_MAX: usize = 1;

/// Tasks in the system.
pub const TASKS_MAX: usize = 512;

/// Threads in one task.
pub const THREADS_PER_TASK_MAX: usize = 256;

/// Names in one task's table, index 0 included (mach-ipc 1.8). Tests lower it.
pub const NAMES_PER_TASK_MAX: u32 = 65_536;

/// Regions of memory in one task.
pub const REGIONS_PER_TASK_MAX: usize = 1024;

/// Pages of memory in one task.
pub const PAGES_PER_TASK_MAX: u64 = 16 * 1024;

/// Bytes of kernel memory that one task's ports, names, threads and queued messages may take. A queued message is its
/// sender's, but an answer (a message by a send-once right) or a notification is the task's that is to receive it.
pub const KERNEL_BYTES_PER_TASK_MAX: usize = 4 << 20;

/// Sets that one port may be a member of: a message to the port makes it ready in each of them.
pub const SETS_PER_PORT_MAX: usize = 64;

/// Requests for notifications on one port (mach-ipc 1.8).
pub const REQUESTS_PER_PORT_MAX: usize = 47_616;

/// Length of all argument and environment strings of a program.
pub const ARGUMENTS_SIZE_MAX: u64 = 32 * 1024;

/// Loadable segments of a program.
pub const SEGMENTS_MAX: usize = 32;

/// Pages of a program's first stack.
pub const STACK_PAGES: u64 = 64;

/// Items of long destruction done in one go (errata 4).
pub const REAP_SLICE: usize = 64;

/// Bytes of a message that fit the buffers which the kernel keeps ready: larger messages are allocated.
pub const SMALL_MESSAGE: usize = 24 + 256;

/// How many of these buffers the kernel keeps when they are free.
pub const SPARE_BUFFERS: usize = 64;

/// The last process number. A number is not given twice, so that a sender's number in a trailer means one task.
pub const PROCESS_NUMBER_MAX: u32 = u32::MAX;

/// What tests may change.
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
    /// Whether plain calls take the short way (`ipc/fast_path.rs`). The results are the same.
    pub direct_calls: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            names_per_task: NAMES_PER_TASK_MAX,
            kernel_bytes_per_task: KERNEL_BYTES_PER_TASK_MAX,
            pages_per_task: PAGES_PER_TASK_MAX,
            process_number_max: PROCESS_NUMBER_MAX,
            direct_calls: true,
        }
    }
}
