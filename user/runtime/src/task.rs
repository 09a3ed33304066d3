//! Tasks: starting and ending them, their memory, counts of kernel objects.

use crate::inspect;
use crate::message::{Message, call_object, call_server};
use crate::port;
use crate::sys::{trap, unix_trap};
use crate::time;
use abi::code::*;
use abi::debug::{
    Clocks, Counts, DEBUG_CLOCKS, DEBUG_COUNTS, DEBUG_HEAP, DEBUG_LONGEST, DEBUG_MEMORY, DEBUG_PANIC, DEBUG_THREAD,
    LongestStep, Memory, ThreadInfo,
};
use abi::inspect::{TaskRecord, kind};
use abi::mig;
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::qos::{AppType, Qos, Role};
use abi::task::*;
use abi::trap::mach::{MACH_VM_ALLOCATE, MACH_VM_DEALLOCATE, MACH_VM_PROTECT, TASK_FOR_PID, THREAD_SELF};
use abi::trap::tally::{DEBUG_STATE, TASK_SPAWN};
use abi::trap::unix::GETPID;
use abi::{KernReturn, PortName};
use core::sync::atomic::{AtomicU32, Ordering};
use heapless::Vec;
use zerocopy::{FromZeros, IntoBytes};

/// Bytes of the arguments that [`Spawn`] collects.
const ARGUMENTS_SIZE: usize = 512;
/// Bytes of a file's name that [`Spawn`] keeps.
const FILE_SIZE: usize = 64;
/// Watch ports that [`Spawn`] collects.
const WATCHED_MAX: usize = 8;

/// The arguments of `task_spawn`, collected step by step.
#[derive(Clone, Debug)]
pub struct Spawn {
    image: [u64; 2],
    /// The name of the file in the bundle, if it replaces the image.
    file: Vec<u8, FILE_SIZE>,
    watched: Vec<PortName, WATCHED_MAX>,
    /// The program's arguments, each with a zero byte at its end.
    arguments: Vec<u8, ARGUMENTS_SIZE>,
    /// Arguments in the same form that replace them.
    given: Option<&'static [u8]>,
    /// The other arguments, as the trap takes them.
    pub args: TaskSpawnArgs,
}

impl Spawn {
    /// Returns the arguments for a program of the bundle. The program's first argument is its name.
    pub fn program(name: &'static str) -> Spawn {
        Spawn::program_as(name, name)
    }

    /// Returns the arguments for a program of the bundle that goes by another name.
    pub fn program_as(file: &'static str, name: &str) -> Spawn {
        let spawn = Spawn::image(file.as_bytes());
        Spawn { args: TaskSpawnArgs { image_kind: SPAWN_IMAGE_NAME, ..spawn.args }, ..spawn }.argument(name)
    }

    /// Returns the arguments for a program of the bundle whose file's name is not known when this program is built. It
    /// goes by another name.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the file's name is longer than 64 bytes.
    pub fn file(file: &str, name: &str) -> Result<Spawn, KernReturn> {
        let spawn = Spawn::program_as("", name);
        Ok(Spawn { file: Vec::from_slice(file.as_bytes()).map_err(|_| KERN_INVALID_ARGUMENT)?, ..spawn })
    }

    /// Returns the arguments for a program whose ELF file is in memory.
    pub fn image(bytes: &'static [u8]) -> Spawn {
        let args = TaskSpawnArgs {
            image_kind: SPAWN_IMAGE_BYTES,
            uid: SPAWN_INHERIT,
            gid: SPAWN_INHERIT,
            ..TaskSpawnArgs::default()
        };
        let image = [bytes.as_ptr() as u64, bytes.len() as u64];
        Spawn { image, file: Vec::new(), watched: Vec::new(), arguments: Vec::new(), given: None, args }
    }

    /// Appends an argument of the program.
    ///
    /// # Panics
    /// If the arguments are more than 512 bytes together.
    pub fn argument(mut self, argument: &str) -> Spawn {
        let fits = self.arguments.extend_from_slice(argument.as_bytes()).is_ok() && self.arguments.push(0).is_ok();
        assert!(fits, "the arguments of a program are too long");
        self
    }

    /// Replaces the program's arguments, its name included, by strings that each end with a zero byte. They may be as
    /// long as the kernel allows.
    pub fn arguments(self, strings: &'static [u8]) -> Spawn {
        Spawn { given: Some(strings), ..self }
    }

    /// Sets the bootstrap port, which is otherwise the caller's.
    pub fn bootstrap(mut self, name: PortName) -> Spawn {
        self.args.bootstrap_port = name;
        self
    }

    /// Sets the exit port.
    pub fn exit_port(mut self, name: PortName) -> Spawn {
        (self.args.exit_port, self.args.exit_disposition) = (name, u32::from(Disposition::MAKE_SEND_ONCE.0));
        self
    }

    /// Adds a watch port: its boosts count for the task, if that is an adaptive daemon, until the receive right moves
    /// (importance 3.3).
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if there are more than 8.
    pub fn watch(&mut self, name: PortName) -> Result<(), KernReturn> {
        self.watched.push(name).map_err(|_| KERN_INVALID_ARGUMENT)
    }

    /// Sets the type, the role and the QoS clamp.
    pub fn policy(mut self, app_type: AppType, role: Role, clamp: Qos) -> Spawn {
        (self.args.app_type, self.args.role, self.args.qos_clamp) = (app_type as u32, role as u32, clamp as u32);
        self
    }

    /// Sets the bytes of kernel memory that the task gets of the caller's budget, besides what it starts with.
    pub fn kernel_bytes(mut self, bytes: u64) -> Spawn {
        self.args.kernel_bytes = bytes;
        self
    }

    /// Sets the pages of memory that the task gets of the caller's, besides those that it starts with.
    pub fn pages(mut self, pages: u64) -> Spawn {
        self.args.pages = pages;
        self
    }

    /// Lets the task begin a coalition of its own, so that it has turns of its own on the processor. Only user 0 may do
    /// that.
    pub fn own_coalition(mut self) -> Spawn {
        self.args.coalition = SPAWN_COALITION_OWN;
        self
    }

    /// Gives the task half of what the caller has left.
    pub fn half(self) -> Spawn {
        const HALF: u64 = SPAWN_SHARE_OF + SPAWN_SHARE_PARTS / 2;
        self.kernel_bytes(HALF).pages(HALF)
    }

    /// Gives the task nearly all of what the caller has left.
    pub fn most(self) -> Spawn {
        const MOST: u64 = SPAWN_SHARE_OF + SPAWN_SHARE_PARTS / 16 * 15;
        self.kernel_bytes(MOST).pages(MOST)
    }

    /// Starts the task and returns the name of its control port.
    ///
    /// # Errors
    /// Those of `task_spawn`.
    pub fn start(mut self) -> Result<PortName, KernReturn> {
        [self.args.image, self.args.image_size] = self.image;
        if !self.file.is_empty() {
            [self.args.image, self.args.image_size] = [self.file.as_ptr() as u64, self.file.len() as u64];
        }
        if !self.watched.is_empty() {
            (self.args.watch_ports, self.args.watch_port_count) =
                (self.watched.as_ptr() as u64, self.watched.len() as u32);
        }
        let strings = self.given.unwrap_or(&self.arguments);
        (self.args.arguments, self.args.arguments_size) = (strings.as_ptr() as u64, strings.len() as u64);
        spawn_raw(&self.args)
    }
}

/// Calls `task_spawn`.
///
/// # Errors
/// Those of the call, here and in the functions below.
pub fn spawn_raw(args: &TaskSpawnArgs) -> Result<PortName, KernReturn> {
    let mut name = PortName(0);
    let size = size_of::<TaskSpawnArgs>() as u64;
    let at = (&raw const *args) as u64;
    KernReturn(trap(TASK_SPAWN, [at, size, (&raw mut name) as u64, 0, 0, 0]) as i32).ok()?;
    Ok(name)
}

/// Returns the status in an exit message. None for another message.
pub fn exit_status(message: &Message) -> Option<ExitStatus> {
    let view = message.view()?;
    let status = view.word(mig::NDR.len() / size_of::<u32>())?;
    (view.header().msgh_id == EXIT_MESSAGE_ID && !view.is_complex()).then_some(ExitStatus(status))
}

/// Waits for the exit message on a port.
///
/// # Errors
/// Those of the receive; `KERN_FAILURE` if another message comes.
pub fn wait_for_exit(exit_port: PortName) -> Result<ExitStatus, KernReturn> {
    let message = Message::receive(exit_port)?;
    exit_status(&message).ok_or(KERN_FAILURE)
}

/// Calls `task_terminate`.
pub fn terminate(task: PortName) -> Result<(), KernReturn> {
    call_object(task, mig::task::TERMINATE, &[]).map(|_| ())
}

/// Names the control port of the task with a pid. The caller must be user 0.
///
/// # Errors
/// Those of `task_for_pid`.
pub fn for_pid(pid: u32) -> Result<PortName, KernReturn> {
    let mut name = MACH_PORT_NULL;
    let arguments = [port::task_self().0.into(), pid.into(), (&raw mut name) as u64, 0, 0, 0];
    KernReturn(trap(TASK_FOR_PID, arguments) as i32).ok()?;
    Ok(name)
}

/// Terminates all tasks that are younger than the caller, which must be user 0. A task may start another one meanwhile, so
/// that one call may not be enough.
///
/// # Errors
/// Those of `inspect`.
pub fn terminate_younger() -> Result<(), KernReturn> {
    let own = pid() as u32;
    inspect::list(kind::TASKS, 0, |task: &TaskRecord| {
        if task.pid > own
            && let Ok(control) = for_pid(task.pid)
        {
            // The task may have ended meanwhile.
            let _ = terminate(control);
            port::destroy_right(control, Disposition::PORT_SEND);
        }
    })
}

static BOOTSTRAP: AtomicU32 = AtomicU32::new(0);

/// Returns the name of the bootstrap port, or null if there is none. The call is made once, because each time it adds a
/// reference to the name.
pub fn bootstrap_port() -> PortName {
    let known = PortName(BOOTSTRAP.load(Ordering::Relaxed));
    if known != MACH_PORT_NULL {
        return known;
    }
    let name = call_object(port::task_self(), mig::task::GET_SPECIAL_PORT, &[TASK_BOOTSTRAP_PORT])
        .map_or(MACH_PORT_NULL, |reply| reply.descriptor(0).name);
    BOOTSTRAP.store(name.0, Ordering::Relaxed);
    name
}

/// Makes a port, to which the task has the receive right, the one at which debuggers ask its libraries.
///
/// # Errors
/// Those of `task_set_special_port`.
pub fn set_debug_port(port: PortName) -> Result<(), KernReturn> {
    let request = Message::copy_send(port::task_self()).id(mig::task::SET_SPECIAL_PORT);
    let request = request.port(port, Disposition::MAKE_SEND).bytes(&mig::NDR).words(&[TASK_DEBUG_CONTROL_PORT]);
    call_server(request).map(|_| ())
}

/// Returns a send right to the port at which debuggers ask the libraries of a task, by its control port. The name is null
/// if there is none, and dead if the port has died.
///
/// # Errors
/// Those of `task_get_special_port`.
pub fn debug_port(task: PortName) -> Result<PortName, KernReturn> {
    call_object(task, mig::task::GET_SPECIAL_PORT, &[TASK_DEBUG_CONTROL_PORT]).map(|reply| reply.descriptor(0).name)
}

/// Returns the task's number.
pub fn pid() -> u64 {
    unix_trap(GETPID, [0; 4]).expect("every task has a number")
}

/// Returns the name of the running thread's port. Each call adds a reference to the name.
pub fn thread_self() -> PortName {
    PortName(trap(THREAD_SELF, [0; 6]) as u32)
}

/// Returns the counts of the objects in the whole system.
pub fn counts() -> Counts {
    let mut counts = Counts::new_zeroed();
    let (at, size) = (counts.as_mut_bytes().as_mut_ptr() as u64, size_of::<Counts>() as u64);
    let code = trap(DEBUG_STATE, [u64::from(DEBUG_COUNTS), 0, at, size, 0, 0]);
    assert_eq!(code, 0, "the kernel counts");
    counts
}

/// Returns the number of free bytes in the kernel's heap.
pub fn free_heap() -> u64 {
    let mut free = 0u64;
    let code = trap(DEBUG_STATE, [u64::from(DEBUG_HEAP), 0, (&raw mut free) as u64, 8, 0, 0]);
    assert_eq!(code, 0, "the kernel has a heap");
    free
}

/// Returns the longest step of the kernel since this was asked last, and measures on or not. Only user 0 may do that.
pub fn longest_step(measure: bool) -> LongestStep {
    let mut longest = LongestStep::new_zeroed();
    let (at, size) = (longest.as_mut_bytes().as_mut_ptr() as u64, size_of::<LongestStep>() as u64);
    let code = trap(DEBUG_STATE, [u64::from(DEBUG_LONGEST), u64::from(measure), at, size, 0, 0]);
    assert_eq!(code, 0, "user 0 may measure");
    longest
}

/// Returns the state of the kernel's heap.
pub fn kernel_memory() -> Memory {
    let mut memory = Memory::default();
    debug_state(DEBUG_MEMORY, 0, memory.as_mut_bytes());
    memory
}

/// Lets the kernel destroy what it has to, and give back what its tables do not need any more. Waits for that, for at
/// most `limit` milliseconds, and returns the state of the heap. Only user 0 may do it.
pub fn settled_memory(limit: u64) -> Memory {
    let deadline = time::now() + limit * time::MILLISECOND;
    let (mut memory, mut before) = (Memory::default(), 1);
    loop {
        debug_state(DEBUG_MEMORY, 1, memory.as_mut_bytes());
        // What came to its end since the last call is given back only now.
        if (memory.unsettled, before) == (0, 0) || time::now() > deadline {
            return memory;
        }
        before = memory.unsettled;
        // The kernel gives back when no thread is ready.
        time::sleep(1);
    }
}

/// Returns the times of the kernel's clock and of another one.
pub fn clocks() -> Clocks {
    let mut clocks = Clocks::default();
    debug_state(DEBUG_CLOCKS, 0, clocks.as_mut_bytes());
    clocks
}

fn debug_state(kind: u32, name: u64, state: &mut [u8]) {
    let code = trap(DEBUG_STATE, [u64::from(kind), name, state.as_mut_ptr() as u64, state.len() as u64, 0, 0]);
    assert_eq!(code, 0, "the kernel tells its state");
}

/// Makes the kernel panic, to show the report. Only the first task may do that.
pub fn panic_kernel() {
    trap(DEBUG_STATE, [u64::from(DEBUG_PANIC), 0, 0, 0, 0, 0]);
}

/// Returns the scheduler's record of a thread.
pub fn thread_info(thread: PortName) -> Result<ThreadInfo, KernReturn> {
    let mut info = ThreadInfo::new_zeroed();
    let (at, size) = (info.as_mut_bytes().as_mut_ptr() as u64, size_of::<ThreadInfo>() as u64);
    KernReturn(trap(DEBUG_STATE, [u64::from(DEBUG_THREAD), u64::from(thread.0), at, size, 0, 0]) as i32).ok()?;
    Ok(info)
}

/// Calls `mach_vm_allocate` for memory at any address.
pub fn allocate(size: u64) -> Result<u64, KernReturn> {
    allocate_at(0, size, VM_FLAGS_ANYWHERE)
}

/// Calls `mach_vm_allocate`.
pub fn allocate_at(address: u64, size: u64, flags: u32) -> Result<u64, KernReturn> {
    let mut address = address;
    let own = u64::from(port::task_self().0);
    let at = (&raw mut address) as u64;
    KernReturn(trap(MACH_VM_ALLOCATE, [own, at, size, u64::from(flags), 0, 0]) as i32).ok()?;
    Ok(address)
}

/// Calls `mach_vm_deallocate` for memory that holds no object of the program.
pub fn deallocate(address: u64, size: u64) -> Result<(), KernReturn> {
    let own = u64::from(port::task_self().0);
    KernReturn(trap(MACH_VM_DEALLOCATE, [own, address, size, 0, 0, 0]) as i32).ok()
}

/// Calls `mach_vm_protect` for memory that holds no object of the program.
pub fn protect(address: u64, size: u64, protection: u32) -> Result<(), KernReturn> {
    let own = u64::from(port::task_self().0);
    KernReturn(trap(MACH_VM_PROTECT, [own, address, size, 0, u64::from(protection), 0]) as i32).ok()
}
