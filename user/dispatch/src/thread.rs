//! [`Context`]: what the library keeps for each thread, and how a thread takes on the context of its work
//! (dispatch 1.5, 1.7, 1.9, 2.4).

use crate::inspect::Shown;
use crate::main_queue;
use crate::process::Process;
use crate::qos::{Base, ItemPriority, ItemWord, Priority, Qos, QueuePriority};
use crate::queue::{Held, held};
use crate::sync::{Arc, thread_local};
use crate::sys::SetSelf;
#[cfg(target_os = "none")]
use crate::sys::tally;
use crate::voucher::{Capture, Voucher};
use abi::port::MACH_PORT_NULL;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::replace;

thread_local! {
    static CONTEXT: Context = Context::new();
}

/// What the library keeps for the calling thread. Made by its first use; when the thread ends, the voucher object is
/// released, and the kernel's reference goes with the thread (dispatch R-1).
pub struct Context {
    process: Cell<Option<&'static Process>>,
    /// `T.pp`: what the kernel knows as the thread's requested priority, with the bits of the thread type.
    priority: Cell<Priority>,
    /// `T.base`.
    base: Cell<Base>,
    /// An item's priority that would change nothing, if one is known: that of the last item, as long as neither the
    /// base nor the requested priority changes.
    settled: Cell<ItemWord>,
    /// `T.v`.
    voucher: Cell<Option<Arc<Voucher>>>,
    /// `K.v`, under the name that the object in `voucher` keeps alive.
    kernel_voucher: Cell<PortName>,
    /// The number of scopes that are open.
    scopes: Cell<u32>,
    /// What belongs to queues.
    pub(crate) held: Held,
    /// What others see of the thread.
    pub(crate) shown: Shown,
}

/// Calls a function with the calling thread's context.
#[inline(always)]
pub fn with<R>(f: impl FnOnce(&Context) -> R) -> R {
    CONTEXT.with(f)
}

/// Makes the calling thread one of a task.
pub(crate) fn enter(process: &'static Process) {
    with(|context| context.process.set(Some(process)));
}

/// Starts a thread of a task, with a name and a requested priority.
///
/// # Errors
/// Those of [`Kernel::start_thread`](crate::sys::Kernel::start_thread).
pub fn start(
    process: &'static Process,
    name: &str,
    priority: Priority,
    body: impl FnOnce() + Send + 'static,
) -> Result<PortName, KernReturn> {
    let run = move || {
        process.enter();
        note_requested(priority);
        body();
    };
    process.kernel.start_thread(name, priority, Box::new(run))
}

/// Returns the priority that the calling thread has requested (`T.pp`).
pub fn requested() -> Priority {
    with(|context| context.priority.get())
}

/// Returns the priority that work takes along from the calling thread (dispatch Q-10).
pub fn propagated() -> Priority {
    requested().propagated()
}

/// Returns the class and the relative priority of the calling thread (`qos_class_self`, dispatch 1.9).
pub fn qos_class_self() -> (Qos, i8) {
    let priority = requested();
    (priority.class(), priority.relative())
}

/// Why a call of the public interface was refused: an argument is out of range (`EINVAL`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidArgument;

/// Sets the class of the calling thread (`pthread_set_qos_class_self_np`, dispatch 1.9).
///
/// # Errors
/// [`InvalidArgument`] if the relative priority is not within −15 to 0 or there is no class, and if the thread is one
/// whose class cannot be set.
pub fn set_qos_class_self(class: Qos, relative: i32) -> Result<(), InvalidArgument> {
    let priority = Priority::new(class, relative).filter(|priority| priority.has_class()).ok_or(InvalidArgument)?;
    with(|context| {
        let priority = priority.with_flags(context.priority.get().flags());
        let change = SetSelf { priority: Some(priority), voucher: None };
        context.process().kernel.set_self(change).map_err(|_| InvalidArgument)?;
        context.set_requested(priority);
        Ok(())
    })?;
    main_queue::class_changed();
    Ok(())
}

/// Notes the priority that the calling thread has in the kernel already: a new thread, or a worker that was given one
/// while it was parked.
pub fn note_requested(priority: Priority) {
    with(|context| context.set_requested(priority));
}

/// Sets the priority and the voucher of the calling thread, with at most one kernel call (dispatch 1.9). No class means
/// that the priority stays. What the thread had is released afterwards, so that a boost shared by both vouchers lasts.
pub fn set(priority: Priority, voucher: Capture) {
    drop(exchange(priority, voucher));
}

/// Like [`set`], but returns the voucher object that was replaced.
pub(crate) fn exchange(priority: Priority, voucher: Capture) -> Option<Arc<Voucher>> {
    with(|context| context.exchange(priority, voucher))
}

/// Takes on the context of an item, which is about to run: decides about its priority (dispatch 1.7) and
/// [sets](set) it together with the voucher.
pub fn adopt(item: ItemPriority, voucher: Capture) {
    drop(with(|context| context.adopt(item.into(), voucher)));
}

/// Gives up the voucher, before the calling thread waits for more work: an idle worker keeps no boost alive
/// (dispatch V-17). The thread is marked as available first, since it may run later from here on.
pub fn clear_for_park() {
    set(Priority::NONE, Capture::Clear);
}

/// Returns what the queues that the calling thread drains say together (`T.base`).
pub fn base() -> Base {
    with(|context| context.base.get())
}

/// Replaces the base, as at the start of a worker and when it learns of an override.
pub fn set_base(base: Base) {
    with(|context| context.set_base(base));
}

/// Enters a queue: its word narrows the base until the scope is dropped (dispatch 1.5).
pub fn enter_base(queue: &QueuePriority) -> BaseScope {
    let saved = base();
    set_base(saved.enter(queue));
    BaseScope { saved, nesting: Nesting::new() }
}

/// Restores the base when it is dropped, but for the override (dispatch 1.5, `leave_base`).
#[must_use]
pub struct BaseScope {
    saved: Base,
    nesting: Nesting,
}

impl Drop for BaseScope {
    fn drop(&mut self) {
        self.nesting.end();
        set_base(base().leave(self.saved));
    }
}

/// Restores the priority and the voucher of the thread when it is dropped, with at most one kernel call: for work that
/// runs in the middle of other work (dispatch C-5, R-2).
#[must_use]
pub struct QosScope {
    priority: Priority,
    /// The voucher to restore; [`Capture::Keep`] if it was not changed.
    voucher: Capture,
    nesting: Nesting,
}

impl QosScope {
    /// [Sets](set) a priority and a voucher.
    pub fn new(priority: Priority, voucher: Capture) -> QosScope {
        let saved = requested();
        let keeps = matches!(voucher, Capture::Keep);
        let previous = exchange(priority, voucher);
        let voucher = if keeps { Capture::Keep } else { Capture::from(previous) };
        QosScope { priority: saved.without_flags(), voucher, nesting: Nesting::new() }
    }
}

impl Drop for QosScope {
    fn drop(&mut self) {
        self.nesting.end();
        set(self.priority, replace(&mut self.voucher, Capture::Keep));
    }
}

/// The place of a scope among the open ones of its thread. Scopes are dropped in the reverse order of their start,
/// which debug builds check, and on their own thread (dispatch R-2).
pub(crate) struct Nesting {
    depth: u32,
    not_send: PhantomData<*const ()>,
}

impl Nesting {
    /// Opens a scope.
    pub(crate) fn new() -> Nesting {
        with(|context| {
            let depth = context.scopes.get() + 1;
            context.scopes.set(depth);
            Nesting { depth, not_send: PhantomData }
        })
    }

    /// Closes the scope.
    pub(crate) fn end(&self) {
        with(|context| {
            debug_assert_eq!(context.scopes.get(), self.depth, "scopes end in the reverse order of their start");
            context.scopes.set(self.depth - 1);
        });
    }
}

/// Returns the process of a new thread, and the priority that it requests: in a program there is one process.
#[cfg(target_os = "none")]
fn initial() -> (Option<&'static Process>, Priority) {
    (Some(tally::process()), tally::requested())
}

/// On the host a test enters a process.
#[cfg(not(target_os = "none"))]
fn initial() -> (Option<&'static Process>, Priority) {
    (None, Priority::NONE)
}

impl Context {
    fn new() -> Context {
        let (process, priority) = initial();
        Context {
            process: Cell::new(process),
            priority: Cell::new(priority),
            base: Cell::new(Base::NONE),
            settled: Cell::new(ItemWord::UNKNOWN),
            voucher: Cell::new(None),
            kernel_voucher: Cell::new(MACH_PORT_NULL),
            scopes: Cell::new(0),
            held: Held::new(),
            shown: Shown::new(),
        }
    }

    /// Returns the task of the thread.
    ///
    /// # Panics
    /// If there is none, which happens only on the host.
    pub fn process(&self) -> &'static Process {
        self.process.get().expect("the thread has entered no process")
    }

    /// Returns the priority that the thread has requested (`T.pp`).
    pub(crate) fn requested(&self) -> Priority {
        self.priority.get()
    }

    fn set_requested(&self, priority: Priority) {
        self.priority.set(priority);
        self.settled.set(ItemWord::UNKNOWN);
    }

    /// Returns what the queues say that the thread drains (`T.base`).
    pub(crate) fn base(&self) -> Base {
        self.base.get()
    }

    /// Replaces the base.
    pub(crate) fn set_base(&self, base: Base) {
        self.base.set(base);
        self.settled.set(ItemWord::UNKNOWN);
    }

    /// Returns the voucher object that the thread has adopted (`T.v`).
    pub fn voucher(&self) -> Option<Arc<Voucher>> {
        let voucher = self.voucher.take();
        self.voucher.set(voucher.clone());
        voucher
    }

    /// Returns true if an item with this priority and without a voucher changes nothing, because the thread has just
    /// adopted one like it.
    #[inline(always)]
    pub(crate) fn is_settled(&self, item: ItemWord) -> bool {
        if self.settled.get() != item {
            return false;
        }
        let voucher = self.voucher.take();
        let is_none = voucher.is_none();
        if !is_none {
            self.voucher.set(voucher);
        }
        is_none
    }

    /// Like [`adopt`], and remembers the item's priority; returns the voucher object that was replaced.
    pub(crate) fn adopt(&self, item: ItemWord, voucher: Capture) -> Option<Arc<Voucher>> {
        let settled = self.settled.get() == item;
        let priority = if settled { Priority::NONE } else { self.base.get().adopt(item.priority(), false) };
        let previous = self.exchange(priority, voucher);
        // Not if the kernel has refused it: then the next item asks again.
        if self.change_of_priority(priority).is_none() {
            self.settled.set(item);
        }
        previous
    }

    /// See [`exchange`].
    #[inline]
    fn exchange(&self, priority: Priority, voucher: Capture) -> Option<Arc<Voucher>> {
        let mut change = SetSelf { priority: self.change_of_priority(priority), voucher: None };
        let voucher = match voucher {
            Capture::Keep => None,
            Capture::Clear => Some(None),
            Capture::Set(voucher) => Some(Some(voucher)),
        };
        let previous = voucher.and_then(|voucher| {
            let name = voucher.as_ref().map_or(MACH_PORT_NULL, |voucher| voucher.kernel_name());
            if name != self.kernel_voucher.replace(name) {
                change.voucher = Some(name);
            }
            let new = voucher.as_ref().map(Arc::as_ptr);
            let previous = self.voucher.replace(voucher);
            if previous.as_ref().map(Arc::as_ptr) != new {
                self.show_voucher();
            }
            previous
        });
        if change != SetSelf::default() {
            self.change_in_kernel(change);
        }
        previous
    }

    /// Begins to show the calling thread, which has this name.
    #[cold]
    pub(crate) fn begin_to_show(&self, name: PortName) {
        self.shown.begin(self.process(), name);
        self.shown.voucher(self.voucher().as_deref());
    }

    /// Shows the voucher that the thread has adopted.
    fn show_voucher(&self) {
        let voucher = self.voucher.take();
        if voucher.is_some() && !self.shown.is_begun() {
            held::own_name(self);
        }
        self.shown.voucher(voucher.as_deref());
        self.voucher.set(voucher);
    }

    /// Returns the priority to request instead of the present one, if the thread has to request another (dispatch 1.9
    /// steps 1, 4 and 6).
    fn change_of_priority(&self, priority: Priority) -> Option<Priority> {
        let (priority, present) = (priority.without_flags(), self.priority.get());
        if !priority.has_class() || priority == present.without_flags() || !present.has_class() {
            return None;
        }
        Some(priority.with_flags(present.flags() & Priority::THREAD_TYPE))
    }

    /// Makes the call, and notes the priority if the kernel has taken it. The kernel refuses a thread that has left QoS
    /// for a fixed priority; such a thread goes on as it is.
    #[cold]
    fn change_in_kernel(&self, change: SetSelf) {
        let kernel = self.process().kernel;
        let refused = kernel.set_self(change).err();
        if refused.is_some_and(|error| error.voucher) {
            kernel.crash("an adopted voucher has no name in the kernel");
        }
        if let Some(priority) = change.priority.filter(|_| !refused.is_some_and(|error| error.priority)) {
            self.set_requested(priority);
        }
    }
}
