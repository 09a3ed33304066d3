//! What the library needs of the kernel (dispatch appendix A.1).
//!
//! Nothing else of the library makes a system call. Programs run over the real kernel, tests on the host over a
//! [mock](mod@mock) of it.

#[cfg(all(not(target_os = "none"), any(test, feature = "mock")))]
pub mod mock;
#[cfg(not(feature = "shuttle"))]
pub mod tally;

use crate::qos::{Priority, Qos};
use crate::sync::atomic::AtomicU32;
use abi::message::MsgOption;
use abi::port::ConstructFlags;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use runtime::view::Descriptor;

/// What a thread changes of itself, in one call (dispatch 1.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetSelf {
    /// The class and relative priority that it requests.
    pub priority: Option<Priority>,
    /// The voucher that it adopts; the null name for none. The kernel keeps a reference of its own.
    pub voucher: Option<PortName>,
}

/// Which parts of [`Kernel::set_self`] failed. The others took effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetSelfError {
    /// The priority was not taken: it is invalid, or the thread is outside of QoS.
    pub priority: bool,
    /// The name denotes no voucher.
    pub voucher: bool,
}

/// The result of a receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// The code of the call.
    pub code: KernReturn,
    /// The priority of the message, [`Priority::NONE`] if it has none or there is no message.
    pub priority: Priority,
    /// The override class of the message.
    pub over: Qos,
}

impl Received {
    /// The result of a call that received nothing.
    pub const fn nothing(code: KernReturn) -> Received {
        Received { code, priority: Priority::NONE, over: Qos::Unspecified }
    }
}

/// The calls that the library makes. All of them concern the calling task; those that concern a thread say which.
///
/// The errors are the kernel's codes. A call without a result cannot fail, or its failure does no harm.
pub trait Kernel: Send + Sync {
    /// Changes the calling thread's requested priority, its voucher, or both.
    ///
    /// # Errors
    /// Which parts failed.
    fn set_self(&self, change: SetSelf) -> Result<(), SetSelfError>;

    /// Sets the requested priority of a thread that waits in [`wait`](Kernel::wait), before it is woken. Returns false
    /// if it does not wait: then it has to set its priority itself.
    fn set_qos_of_parked(&self, thread: PortName, priority: Priority) -> bool;

    /// Raises a thread to at least a class until it resets that itself, if it still owns the lock: if the word holds
    /// its name (two low bits aside).
    fn override_thread(&self, thread: PortName, class: Qos, lock: &AtomicU32);

    /// Ends what [`override_thread`](Kernel::override_thread) did for the calling thread.
    fn reset_override(&self);

    /// Raises a thread to at least a class, counted for a resource.
    fn override_start(&self, thread: PortName, class: Qos, resource: u64);

    /// Ends one [`override_start`](Kernel::override_start) for the resource.
    fn override_end(&self, thread: PortName, resource: u64);

    /// Creates a voucher from recipes. The name may be null: all attributes have their default then.
    ///
    /// # Errors
    /// Those of `host_create_mach_voucher`.
    fn create_voucher(&self, recipes: &[u8]) -> Result<PortName, KernReturn>;

    /// Extracts an attribute of a voucher as a recipe, which begins with a header of 16 bytes, and returns its size: 0
    /// if the voucher has no such attribute.
    ///
    /// # Errors
    /// Those of `mach_voucher_extract_attr_recipe`; `KERN_NO_SPACE` if the buffer is too small.
    fn extract(&self, voucher: PortName, key: u32, buffer: &mut [u8]) -> Result<usize, KernReturn>;

    /// Gives a command about a voucher to the manager of a key, and returns the size of its answer.
    ///
    /// # Errors
    /// Those of `mach_voucher_attr_command`.
    fn voucher_command(
        &self,
        voucher: PortName,
        key: u32,
        command: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, KernReturn>;

    /// Gives up one reference to a send right.
    fn release_send(&self, name: PortName);

    /// Returns a number that no other call returns, for 16 activity ids (dispatch A-3).
    fn generate_activity_ids(&self) -> u64;

    /// Returns the number of this task that no other task ever has.
    fn unique_pid(&self) -> u64;

    /// Returns the persona in whose name the calling thread works, if any (dispatch P-2).
    fn current_persona(&self) -> Option<u32>;

    /// Sends a message. If that fails after the rights were taken, the message is written back with the rights that the
    /// caller owns now. `timeout` is in milliseconds and counts with `SEND_TIMEOUT`; `priority` is the word of
    /// [`qos::message_word`](crate::qos::message_word) and counts with `SEND_OVERRIDE`.
    fn send(&self, message: &mut [u8], options: MsgOption, timeout: u32, priority: u32) -> KernReturn;

    /// Receives a message from a port or a set. `timeout` is in milliseconds and counts with `RCV_TIMEOUT`; with
    /// `RCV_SYNC_WAIT` `notify` names the port at which the answer is computed.
    fn receive(
        &self,
        from: PortName,
        buffer: &mut [u8],
        options: MsgOption,
        timeout: u32,
        notify: PortName,
    ) -> Received;

    /// Sends the first `size` bytes of a buffer and receives into it, in one call.
    fn send_and_receive(
        &self,
        buffer: &mut [u8],
        size: usize,
        options: MsgOption,
        from: PortName,
        timeout: u32,
        priority: u32,
    ) -> Received;

    /// Makes a port and returns the name of its receive right.
    ///
    /// # Errors
    /// Those of `mach_port_construct`.
    fn construct(&self, flags: ConstructFlags, queue_limit: Option<u32>) -> Result<PortName, KernReturn>;

    /// Makes a plain port and returns the name of its receive right.
    ///
    /// # Errors
    /// Those of [`construct`](Kernel::construct).
    fn allocate_receive(&self) -> Result<PortName, KernReturn> {
        self.construct(ConstructFlags::empty(), None)
    }

    /// Adds a send right, made from a receive right, under the same name.
    ///
    /// # Errors
    /// Those of `mach_port_insert_right`.
    fn insert_send(&self, port: PortName) -> Result<(), KernReturn>;

    /// Changes the number of references to a right of a name. `right` is one of `MACH_PORT_RIGHT_*`.
    ///
    /// # Errors
    /// Those of `mach_port_mod_refs`.
    fn mod_refs(&self, name: PortName, right: u32, delta: i32) -> Result<(), KernReturn>;

    /// Makes a port set.
    ///
    /// # Errors
    /// Those of `mach_port_allocate`.
    fn allocate_set(&self) -> Result<PortName, KernReturn>;

    /// Makes a receive right a member of a set.
    ///
    /// # Errors
    /// Those of `mach_port_insert_member`.
    fn insert_member(&self, port: PortName, set: PortName) -> Result<(), KernReturn>;

    /// Takes a receive right out of a set.
    ///
    /// # Errors
    /// Those of `mach_port_extract_member`.
    fn extract_member(&self, port: PortName, set: PortName) -> Result<(), KernReturn>;

    /// Asks for a notification (`MACH_NOTIFY_*`) about a name, to be sent to the receive right `notify`. Returns the
    /// send-once right that was registered before, or null.
    ///
    /// # Errors
    /// Those of `mach_port_request_notification`.
    fn request_notification(
        &self,
        name: PortName,
        kind: i32,
        sync: u32,
        notify: PortName,
    ) -> Result<PortName, KernReturn>;

    /// Returns the calling thread's special reply port, which is made by the first call.
    fn special_reply_port(&self) -> PortName;

    /// Gives up the calling thread's special reply port, whose receive right may be gone already: the next call of
    /// [`special_reply_port`](Kernel::special_reply_port) makes another one.
    fn forget_special_reply_port(&self);

    /// Gives back the rights and the memory that a descriptor of a received message brought.
    fn destroy_descriptor(&self, descriptor: &Descriptor) {
        descriptor.destroy();
    }

    /// Says which thread receives from a port or set, so that urgent messages raise it. The null name takes that back.
    fn bind_servicer(&self, port: PortName, thread: PortName);

    /// Starts a thread with a name and a requested priority. It frees what it has when it ends. Returns the name of the
    /// thread, which the library does not release: the thread does when it ends.
    ///
    /// # Errors
    /// Those of creating threads.
    fn start_thread(
        &self,
        name: &str,
        priority: Priority,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<PortName, KernReturn>;

    /// Waits while a word has a value, for the given time or for ever. Returns false if the time passed. It may return
    /// early.
    fn wait(&self, word: &AtomicU32, value: u32, microseconds: Option<u32>) -> bool;

    /// Wakes one of the threads that wait on a word, or all.
    fn wake(&self, word: &AtomicU32, all: bool);

    /// Returns the time since the machine started, in nanoseconds.
    fn now(&self) -> u64;

    /// Returns the number of processors.
    fn processors(&self) -> usize;

    /// Returns the name of the calling thread.
    fn thread_self(&self) -> PortName;

    /// Returns the number of the calling thread, which no other thread of the system has.
    fn thread_number(&self) -> u64;

    /// Tells a note of [`abi::event::note`] with a voucher, by its name, if events are recorded. Returns true if they are.
    fn tell(&self, note: u64, arguments: [u64; 3], voucher: PortName) -> bool;

    /// Makes a port, whose receive right this task has, the one at which debuggers ask.
    ///
    /// # Errors
    /// Those of `task_set_special_port`.
    fn set_debug_port(&self, port: PortName) -> Result<(), KernReturn>;

    /// Prints why the program must not go on and ends it (dispatch R-13).
    fn crash(&self, reason: &str) -> !;
}
