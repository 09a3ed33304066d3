//! The runtime itself: locks, thread-locals, the heap, threads, and messages of any size.

use super::tests;
use crate::local;
use crate::sync::{Mutex, OnceLock};
use crate::thread::{self, Builder, Gate, JoinHandle, spawn};
use crate::time::{self, MILLISECOND};
use crate::{check, heap, task};
use abi::PortName;
use abi::qos::{Priority, Qos};
use abi::task::{Exception, ExitStatus};
use abi::trap::tally::THREAD_EXIT;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The vector of a page fault.
const PAGE_FAULT: u8 = 14;

tests! { "runtime":
    a_lock_admits_one_thread_at_a_time,
    a_waiting_thread_lends_its_class_to_the_owner_of_a_lock,
    what_is_lent_is_passed_on_to_the_owner_of_another_lock,
    a_value_is_made_once_though_a_low_thread_makes_it,
    a_thread_that_locks_twice_panics.ends(ExitStatus::exited(crate::PANICKED as u8)),
    each_thread_has_its_own_values_which_end_with_it,
    a_program_with_one_thread_has_thread_locals_too,
    a_raw_thread_can_be_attached,
    the_heap_keeps_what_threads_of_different_classes_store,
    the_heap_uses_memory_again,
    a_thread_returns_its_result,
    a_thread_starts_with_its_class,
    threads_without_handles_leave_nothing,
    a_full_stack_faults.ends(ExitStatus::exception(Exception::BadAccess, PAGE_FAULT)),
}

fn thread<T: Send + 'static>(class: Qos, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().class(class).spawn(body).expect("the thread starts")
}

fn class_in_effect(thread: PortName) -> Qos {
    Priority::from_pthread(task::thread_info(thread).expect("the thread is alive").effective).qos
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Works until it is told to stop.
fn spin_until(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        crate::spin();
    }
}

/// Starts a thread of the default class that has the processor until [`STOP`], whenever no higher one wants it.
fn spinner() -> JoinHandle<()> {
    thread(Qos::Legacy, || spin_until(&STOP))
}

fn a_lock_admits_one_thread_at_a_time() {
    const ROUNDS: u64 = 50;
    static LOCK: Mutex<u64> = Mutex::new(0);
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    let count = || {
        for _ in 0..ROUNDS {
            let mut guard = LOCK.lock();
            check::equal("threads with the lock", INSIDE.fetch_add(1, Ordering::Relaxed), 0);
            let before = *guard;
            time::yield_now();
            *guard = before + 1;
            INSIDE.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let classes = [Qos::Background, Qos::Utility, Qos::Legacy, Qos::UserInteractive, Qos::Legacy];
    let threads = classes.map(|class| thread(class, count));
    threads.into_iter().for_each(JoinHandle::join);
    check::equal("rounds", LOCK.try_lock().map(|count| *count), Some(5 * ROUNDS));
}

/// A thread of the lowest class has the lock, a thread of the default class has the processor, and never gives it up as
/// long as the highest thread does not get the lock.
fn a_waiting_thread_lends_its_class_to_the_owner_of_a_lock() {
    static LOCK: Mutex<bool> = Mutex::new(false);
    static HELD: Gate = Gate::new();
    static WANTED: AtomicBool = AtomicBool::new(false);
    static END: Gate = Gate::new();
    let owner = thread(Qos::Background, || {
        let mut guard = LOCK.lock();
        HELD.open();
        spin_until(&WANTED);
        *guard = true;
        drop(guard);
        END.pass();
    });
    HELD.pass();
    let spinner = spinner();
    let name = owner.name();
    let waiter = thread(Qos::UserInteractive, move || {
        check::equal("the owner's class", class_in_effect(name), Qos::Background);
        WANTED.store(true, Ordering::Relaxed);
        let is_done = *LOCK.lock();
        STOP.store(true, Ordering::Relaxed);
        (is_done, class_in_effect(name))
    });
    check::equal("the owner has done its work, and its class is its own again", waiter.join(), (true, Qos::Background));
    END.open();
    [owner, spinner].into_iter().for_each(JoinHandle::join);
}

/// As above, but the highest thread waits for a lock whose owner waits for the lock of the lowest.
fn what_is_lent_is_passed_on_to_the_owner_of_another_lock() {
    static LOCKS: [Mutex<u32>; 2] = [const { Mutex::new(0) }; 2];
    static HELD: [Gate; 2] = [const { Gate::new() }; 2];
    static WANTED: AtomicBool = AtomicBool::new(false);
    let lowest = thread(Qos::Background, || {
        let mut guard = LOCKS[0].lock();
        HELD[0].open();
        spin_until(&WANTED);
        *guard += 1;
    });
    HELD[0].pass();
    let middle = thread(Qos::Utility, || {
        let mut guard = LOCKS[1].lock();
        HELD[1].open();
        *guard = *LOCKS[0].lock() + 1;
    });
    HELD[1].pass();
    while class_in_effect(lowest.name()) != Qos::Utility {
        time::sleep(1);
    }
    let spinner = spinner();
    let highest = thread(Qos::UserInteractive, || {
        WANTED.store(true, Ordering::Relaxed);
        let seen = *LOCKS[1].lock();
        STOP.store(true, Ordering::Relaxed);
        seen
    });
    check::equal("what both owners have done", highest.join(), 2);
    [lowest, middle, spinner].into_iter().for_each(JoinHandle::join);
}

fn a_value_is_made_once_though_a_low_thread_makes_it() {
    static VALUE: OnceLock<u32> = OnceLock::new();
    static BEGUN: Gate = Gate::new();
    static WANTED: AtomicBool = AtomicBool::new(false);
    check::equal("before", VALUE.get(), None);
    let maker = thread(Qos::Background, || {
        let value = VALUE.get_or_init(|| {
            BEGUN.open();
            spin_until(&WANTED);
            7
        });
        check::equal("for its maker", *value, 7);
    });
    BEGUN.pass();
    let spinner = spinner();
    let waiter = thread(Qos::UserInteractive, || {
        WANTED.store(true, Ordering::Relaxed);
        let value = *VALUE.get_or_init(|| 8);
        STOP.store(true, Ordering::Relaxed);
        value
    });
    check::equal("the value", waiter.join(), 7);
    check::equal("a second value", VALUE.set(9), Err(9));
    [maker, spinner].into_iter().for_each(JoinHandle::join);
}

fn a_thread_that_locks_twice_panics() {
    static LOCK: Mutex<()> = Mutex::new(());
    let _first = LOCK.lock();
    let _second = LOCK.lock();
}

/// A value that counts how often it is dropped.
struct Counted(u64);

static DROPPED: AtomicU64 = AtomicU64::new(0);

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(self.0, Ordering::Relaxed);
        // The values of other variables can still be used, and are made anew if they are gone, but not this one.
        check::that("the value itself cannot be used", COUNTED.try_with(|_| ()).is_err());
        LATE.with(|late| late.borrow_mut().push(self.0));
    }
}

::runtime::thread_local! {
    static LATE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static COUNTED: Counted = const { Counted(5) };
    static NUMBER: Cell<u64> = const { Cell::new(1) };
}

fn each_thread_has_its_own_values_which_end_with_it() {
    const THREADS: u64 = 6;
    // The first thread makes places for the variables, and keeps its values.
    NUMBER.with(|number| number.set(100));
    spawn(|| {}).expect("a thread").join();
    let used = heap::used();
    let work = |own: u64| {
        check::equal("at first", NUMBER.with(Cell::get), 1);
        for _ in 0..own {
            NUMBER.with(|number| number.set(number.get() + 1));
            time::yield_now();
        }
        COUNTED.with(|counted| check::equal("the other variable", counted.0, 5));
        check::equal("in the end", NUMBER.with(Cell::get), 1 + own);
    };
    let threads = [1, 2, 3, 4, 5, THREADS].map(|own| spawn(move || work(own)).expect("a thread"));
    threads.into_iter().for_each(JoinHandle::join);
    check::equal("of the first thread", NUMBER.with(Cell::get), 100);
    check::equal("dropped", DROPPED.load(Ordering::Relaxed), 5 * THREADS);
    check::equal("bytes that are left", heap::used() - used, 0);
}

fn a_program_with_one_thread_has_thread_locals_too() {
    NUMBER.with(|number| number.set(3));
    let before = heap::used();
    let kept = black_box(Box::new(NUMBER.with(Cell::get)));
    check::equal("bytes of a number", heap::used() - before, size_of::<u64>());
    spawn(|| check::equal("of another thread", NUMBER.with(Cell::get), 1)).expect("a thread").join();
    check::equal("after the second thread", NUMBER.with(Cell::get), *kept);
}

/// What a thread that was made by `thread_create` alone does.
extern "C" fn raw(done: &'static AtomicU32) -> ! {
    let attached = local::attach();
    let values: Vec<u64> = (0..100).map(|value| value + NUMBER.with(Cell::get)).collect();
    COUNTED.with(|counted| check::equal("a value", counted.0, 5));
    check::equal("the sum", values.iter().sum(), 5050);
    check::that("its name is its own", task::thread_info(local::own_name()).is_ok());
    drop(values);
    drop(attached);
    done.store(1, Ordering::Release);
    let _ = thread::wake_word(done, true);
    crate::sys::trap(THREAD_EXIT, [0; 6]);
    unreachable!("a thread that has ended does not go on")
}

fn a_raw_thread_can_be_attached() {
    const STACK: u64 = 64 << 10;
    static DONE: AtomicU32 = AtomicU32::new(0);
    local::attach_first();
    let stack = task::allocate(STACK).expect("there is memory");
    let entry = raw as extern "C" fn(&'static AtomicU32) -> ! as *const () as u64;
    // As after a call: 8 below a multiple of 16.
    let name = thread::create_raw(entry, stack + STACK - 8, (&raw const DONE) as u64, 0).expect("a thread");
    while DONE.load(Ordering::Acquire) == 0 {
        let _ = thread::wait_on_word(&DONE, 0, 0);
    }
    check::equal("dropped", DROPPED.load(Ordering::Relaxed), 5);
    crate::port::deallocate(name).expect("the name is there");
}

/// Returns the next of a row of numbers that look random.
fn next(random: &mut u64) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 11) as usize
}

/// Allocates and frees pieces of memory of many sizes, and checks that each holds what was stored in it.
fn allocate_and_check(seed: u64) {
    const PIECES: usize = 40;
    const LARGEST: usize = 3000;
    let mut random = super::seed_of(seed);
    let mut pieces: [Vec<u8>; PIECES] = [const { Vec::new() }; PIECES];
    for round in 0..1500usize {
        let place = next(&mut random) % PIECES;
        let mark = |piece: &[u8]| (piece.len() as u8) ^ seed as u8;
        let piece = &mut pieces[place];
        check::that("a piece holds what was stored", piece.iter().all(|&byte| byte == mark(piece)));
        let size = next(&mut random) % if round.is_multiple_of(4) { LARGEST } else { 300 };
        if next(&mut random).is_multiple_of(3) {
            // Most of these make the allocation larger or smaller.
            piece.resize(size, 0);
            piece.shrink_to_fit();
        } else {
            *piece = Vec::with_capacity(size);
            piece.resize(size, 0);
        }
        let value = mark(piece);
        piece.fill(value);
        if round.is_multiple_of(50) {
            time::yield_now();
        }
    }
}

fn the_heap_keeps_what_threads_of_different_classes_store() {
    spawn(|| {}).expect("a thread").join();
    let before = heap::used();
    let classes = [Qos::Background, Qos::Utility, Qos::Legacy, Qos::UserInitiated];
    let threads = [1, 2, 3, 4].map(|seed| thread(classes[seed - 1], move || allocate_and_check(seed as u64)));
    allocate_and_check(5);
    threads.into_iter().for_each(JoinHandle::join);
    check::equal("bytes that are left", heap::used() - before, 0);
    check_alignment(Aligned16([0; 16]));
    check_alignment(Aligned64([0; 64]));
    check_alignment(Aligned4096([0; 8192]));
    check::equal("bytes that are left", heap::used() - before, 0);
}

#[repr(align(16))]
struct Aligned16(#[expect(dead_code)] [u8; 16]);
#[repr(align(64))]
struct Aligned64(#[expect(dead_code)] [u8; 64]);
#[repr(align(4096))]
struct Aligned4096(#[expect(dead_code)] [u8; 8192]);

fn check_alignment<T>(value: T) {
    // Something small lies before it.
    let (_small, boxed) = (Box::new(1u8), Box::new(value));
    check::equal("bytes beyond a multiple of the alignment", (&raw const *boxed).addr() % align_of::<T>(), 0);
}

/// Allocates many times what fits the heap of the program's start, and less than that at a time.
fn the_heap_uses_memory_again() {
    let before = task::counts();
    for _ in 0..300 {
        let small: Vec<Box<[u8; 200]>> = (0..20).map(|_| Box::new([1; 200])).collect();
        let large = Vec::<u8>::with_capacity(10_000);
        black_box((small, large));
    }
    check::equal("regions", task::counts().regions, before.regions);
}

fn a_thread_returns_its_result() {
    let text = Arc::new(AtomicU64::new(20));
    let shared = text.clone();
    let sum = spawn(move || (0..5).map(|_| shared.fetch_add(1, Ordering::Relaxed)).sum::<u64>()).expect("a thread");
    check::equal("the result", sum.join(), 110);
    check::equal("references", Arc::strong_count(&text), 1);
    let large =
        Builder::new().stack_size(512 << 10).spawn(|| black_box([1u8; 400 << 10]).iter().map(|&b| u64::from(b)).sum());
    check::equal("on a large stack", large.expect("a thread").join(), 400u64 << 10);
    static GATE: Gate = Gate::new();
    let waits = spawn(|| GATE.pass()).expect("a thread");
    time::sleep(3);
    check::that("it has not ended", !waits.is_finished());
    GATE.open();
    // Only the limit of the test ends this otherwise.
    while !waits.is_finished() {
        time::sleep(1);
    }
}

fn a_thread_starts_with_its_class() {
    for class in Qos::CLASSES {
        let seen = thread(class, || task::thread_info(local::own_name()).expect("it is alive").requested).join();
        check::equal("the class that it requests", seen, Priority::of(class).to_pthread());
    }
    let seen = spawn(|| task::thread_info(local::own_name()).expect("it is alive").requested).expect("a thread").join();
    check::equal("the class of one without", seen, 0);
}

fn threads_without_handles_leave_nothing() {
    static RAN: AtomicU32 = AtomicU32::new(0);
    let alone = task::counts().threads;
    let run = || {
        let body = || {
            COUNTED.with(|_| ());
            RAN.fetch_add(1, Ordering::Relaxed);
        };
        drop(spawn(body).expect("a thread"));
        Builder::new().class(Qos::Background).detach(Box::new(body)).expect("a thread");
        drop(Builder::new().stack_size(8 << 10).spawn(body).expect("a thread"));
    };
    let settle = |ran| {
        while RAN.load(Ordering::Relaxed) < ran || task::counts().threads > alone {
            time::sleep(1);
        }
        // The stacks of the last ones are taken from their list by the next.
        spawn(|| {}).expect("a thread").join();
    };
    run();
    settle(3);
    let (before, used) = (task::counts(), heap::used());
    (0..20).for_each(|_| run());
    settle(63);
    let after = task::counts();
    check::equal("names", after.names, before.names);
    check::equal("ports", after.ports, before.ports);
    check::equal("bytes of the heap", heap::used() - used, 0);
    // Stacks are kept for later threads: four at most.
    check::between("regions", after.regions, 0, before.regions + 8);
}

/// A recursion without an end.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + black_box(frame)[0] }
}

fn a_full_stack_faults() {
    let started = time::now();
    let depth = spawn(|| recurse(0)).expect("a thread").join();
    panic!("a recursion of depth {depth} has ended after {} ms", (time::now() - started) / MILLISECOND);
}
