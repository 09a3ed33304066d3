//! Thread-local memory: the block that each thread reaches through its segment base (dispatch 9.4 R-1).
//!
//! Until the program starts its second thread, its first one uses [`MAIN`] directly: a program with one thread makes no
//! trap for this. From then on [`ATTACHED`] is true, and every thread that uses locks, the heap or thread-locals has a base.
//! `thread` sees to that: it [attaches](attach_first) the first thread before it starts another, and a new thread begins
//! with the trap that sets its base.

use super::trap;
use crate::port;
use abi::PortName;
use abi::policy::LOCK_FLAGS;
use abi::port::MACH_PORT_RIGHT_SEND;
use abi::trap::mach::THREAD_SELF;
use alloc::boxed::Box;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// The number of thread-locals that a program can have, and one more: the first slot is always empty.
const SLOTS: usize = 32;

/// What the slot of a value holds while and after the value is destroyed. A slot without a value holds null.
const DESTROYED: usize = 1;

/// The thread-local memory of a thread. Only that thread uses it, so that relaxed accesses, which cost what plain ones do,
/// are enough.
#[repr(C, align(16))]
pub(super) struct Block {
    /// The address of this block: what a load through the segment base finds.
    own: AtomicPtr<Block>,
    /// The name of the thread's port without the bits that a lock uses for itself. Of the first thread 4, which is no
    /// name, until it is attached.
    lock_id: AtomicU32,
    /// The values of thread-locals, by the places of their keys.
    slots: [AtomicPtr<u8>; SLOTS],
}

/// The block of the first thread.
static MAIN: Block = Block::new(LOCK_FLAGS + 1);

/// True as soon as a second thread may exist.
static ATTACHED: AtomicBool = AtomicBool::new(false);

/// The bytes from the start of a block to the slot of the next key.
static NEXT: AtomicUsize = AtomicUsize::new(FIRST);

/// Where the first slot is, which is always empty: a key without a place of its own uses it.
const UNPLACED: usize = offset_of!(Block, slots);
const FIRST: usize = UNPLACED + size_of::<AtomicPtr<u8>>();

impl Block {
    pub(super) const fn new(lock_id: u32) -> Block {
        Block {
            own: AtomicPtr::new(ptr::null_mut()),
            lock_id: AtomicU32::new(lock_id),
            slots: [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS],
        }
    }

    /// Returns what a lock that the thread owns holds, besides its flags.
    #[inline(always)]
    pub(super) fn lock_id(&self) -> u32 {
        self.lock_id.load(Ordering::Relaxed)
    }

    /// Returns the slot at an offset from the start of the block.
    #[inline(always)]
    fn slot(&self, offset: usize) -> &AtomicPtr<u8> {
        // SAFETY: The offset is that of a slot: `place` hands out no others.
        unsafe { &*(&raw const *self).cast::<AtomicPtr<u8>>().byte_add(offset) }
    }

    /// Makes this block that of the calling thread, and learns the thread's name.
    fn attach(&self) {
        self.own.store((&raw const *self).cast_mut(), Ordering::Relaxed);
        let name = trap(THREAD_SELF, [0; 6]) as u32;
        assert!(name != 0, "there is room for the name of a thread");
        self.lock_id.store(name & !LOCK_FLAGS, Ordering::Relaxed);
        let code = trap(abi::trap::machine::SET_THREAD_BASE, [(&raw const *self) as u64, 0, 0, 0, 0, 0]);
        assert_eq!(code, 0, "the address of a block is one of a program");
    }

    /// Destroys all values, and gives up the reference to the thread's name and so many others. The thread uses none of
    /// them any more.
    fn detach(&self, names: u32) {
        self.destroy_values();
        let name = PortName(self.lock_id() | LOCK_FLAGS);
        port::mod_refs(name, MACH_PORT_RIGHT_SEND, -1 - names as i32).expect("the thread has its name");
    }

    /// Destroys all values, also those that the destructors of others make.
    fn destroy_values(&self) {
        let mut found = true;
        while found {
            found = false;
            for slot in &self.slots[1..] {
                let value = slot.load(Ordering::Relaxed);
                if value.addr() > DESTROYED {
                    found = true;
                    slot.store(ptr::without_provenance_mut(DESTROYED), Ordering::Relaxed);
                    // SAFETY: A slot holds the address of a boxed `Value`, whose type `drop` knows; it was in no other
                    // place than the slot, and is used no more.
                    unsafe { ((*value.cast::<Value<()>>()).drop)(value) };
                }
            }
        }
    }
}

/// Returns the block of the running thread.
#[inline(always)]
pub(super) fn current() -> &'static Block {
    if !ATTACHED.load(Ordering::Relaxed) {
        return &MAIN;
    }
    let block: *const Block;
    // SAFETY: The base is the address of the thread's block, which begins with its own address. A thread without a base
    // must not come here: its load faults, and the task ends.
    unsafe { core::arch::asm!("mov {}, fs:[0]", out(reg) block, options(pure, readonly, nostack, preserves_flags)) };
    // SAFETY: The block is as old as the thread's base. Callers keep the reference only as long as the running thread
    // does what it was fetched for.
    unsafe { &*block }
}

/// Gives the program's first thread its thread-local memory, if it has none. It must do this itself before it creates a
/// thread by [`create_raw`](crate::thread::create_raw) that [attaches](attach); before other threads start it is done.
pub fn attach_first() {
    if !ATTACHED.load(Ordering::Relaxed) {
        MAIN.attach();
        ATTACHED.store(true, Ordering::Relaxed);
    }
}

/// Returns the name of the calling thread's port, without a reference.
pub fn own_name() -> PortName {
    // The first thread learns its name when it is attached. As long as it is not, it is the one that calls.
    attach_first();
    PortName(current().lock_id() | LOCK_FLAGS)
}

/// Calls `function` with a block in place, on the stack of a thread that the runtime has started. Then destroys what is in
/// the block, and gives up `names` references to the thread's name besides its own.
pub(super) fn with_block(names: u32, function: impl FnOnce()) {
    let block = Block::new(0);
    block.attach();
    function();
    block.detach(names);
}

/// The thread-local memory of a thread that was created by [`create_raw`](crate::thread::create_raw). When it is dropped,
/// the thread's values are destroyed.
#[derive(Debug)]
pub struct Attachment {
    block: *mut Block,
}

/// Gives the calling thread thread-local memory. A thread that was created by [`create_raw`](crate::thread::create_raw)
/// or [`Thread::bare`](crate::thread::Thread::bare) must call this before it uses locks, the heap or thread-locals, and drop
/// the result as the last of that. Threads that were started in other ways have thread-local memory.
///
/// # Panics
/// If the first thread has none: see [`attach_first`].
pub fn attach() -> Attachment {
    assert!(ATTACHED.load(Ordering::Relaxed), "the first thread is attached before all others");
    // Not from the heap, which needs a lock, for which the thread needs the block.
    let address = crate::task::allocate(size_of::<Block>() as u64).expect("there is memory for a thread");
    let block = ptr::with_exposed_provenance_mut::<Block>(address as usize);
    // SAFETY: The memory is fresh, large enough, aligned to a page, and nobody else's.
    unsafe {
        block.write(Block::new(0));
        (*block).attach();
    }
    Attachment { block }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: `attach` has made the block for this value, which is not sent to another thread: it has a raw pointer.
        unsafe { (*self.block).detach(0) };
        trap(abi::trap::machine::SET_THREAD_BASE, [0; 6]);
        crate::task::deallocate(self.block as u64, size_of::<Block>() as u64).expect("the block is there");
    }
}

/// A value on the heap, to which a slot points.
#[repr(C)]
struct Value<T> {
    /// Drops and frees this value.
    drop: unsafe fn(*mut u8),
    value: T,
}

/// Frees a value.
///
/// # Safety
/// `value` was made from a box of a `Value<T>`, and nobody uses it.
unsafe fn drop_value<T>(value: *mut u8) {
    // SAFETY: As the caller says.
    drop(unsafe { Box::from_raw(value.cast::<Value<T>>()) });
}

/// The thread is ending and has destroyed its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the thread has destroyed this value")
    }
}

/// A variable of which each thread has a value of its own, made when the thread first uses it and dropped when the thread
/// ends. [`thread_local!`](crate::thread_local!) declares one. A value of the first thread is not dropped: the task ends
/// with it.
pub struct LocalKey<T: 'static> {
    /// The bytes from the start of a block to the value's slot.
    place: AtomicUsize,
    init: fn() -> T,
    values: PhantomData<fn() -> T>,
}

impl<T: 'static> LocalKey<T> {
    /// Returns a variable whose values `init` makes.
    pub const fn new(init: fn() -> T) -> LocalKey<T> {
        LocalKey { place: AtomicUsize::new(UNPLACED), init, values: PhantomData }
    }

    /// Calls `function` with the running thread's value.
    ///
    /// # Panics
    /// If the thread is ending and has destroyed the value.
    #[inline(always)]
    pub fn with<R>(&'static self, function: impl FnOnce(&T) -> R) -> R {
        self.try_with(function).expect("the thread has not destroyed the value")
    }

    /// Calls `function` with the running thread's value.
    ///
    /// # Errors
    /// [`AccessError`] if the thread is ending and has destroyed the value.
    #[inline(always)]
    pub fn try_with<R>(&'static self, function: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let mut at = current().slot(self.place.load(Ordering::Relaxed)).load(Ordering::Relaxed);
        if at.addr() <= DESTROYED {
            at = self.make()?;
        }
        // SAFETY: The slot of this key holds the address of a value of this type, as `make` has stored it. Only this
        // thread has it, and destroys it when it ends, outside of all calls of `with`.
        Ok(function(unsafe { &(*at.cast::<Value<T>>()).value }))
    }

    /// Makes the running thread's value.
    #[cold]
    #[inline(never)]
    fn make(&'static self) -> Result<*mut u8, AccessError> {
        let slot = current().slot(self.place());
        // The key may have got its place, and the thread its value, since the caller looked.
        match slot.load(Ordering::Relaxed) {
            at if at.addr() == DESTROYED => return Err(AccessError),
            at if !at.is_null() => return Ok(at),
            _ => {}
        }
        let value = Box::new(Value { drop: drop_value::<T>, value: (self.init)() });
        assert!(slot.load(Ordering::Relaxed).is_null(), "a thread-local is used in making its own value");
        let at = Box::into_raw(value).cast();
        slot.store(at, Ordering::Relaxed);
        Ok(at)
    }

    /// Returns the key's place, which it gets when it is first used.
    fn place(&self) -> usize {
        let known = self.place.load(Ordering::Relaxed);
        if known != UNPLACED {
            return known;
        }
        let place = NEXT.fetch_add(size_of::<AtomicPtr<u8>>(), Ordering::Relaxed);
        assert!(place < size_of::<Block>(), "a program has at most {} thread-locals", SLOTS - 1);
        // Another thread may have been faster; then this place stays empty.
        match self.place.compare_exchange(UNPLACED, place, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => place,
            Err(other) => other,
        }
    }
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}
