//! State of the processor that a program can change: each thread keeps its own, and the kernel is not affected.

use super::tests;
use crate::check;
use crate::message::{Call, Message, mach_msg_at, port_with_send};
use crate::port::{self, Port};
use crate::sys::machine::{self, registers_survive_trap};
use crate::sys::registers::{self, FreshThread, KeptRegisters, VectorState};
use crate::task::{self, Spawn};
use crate::thread::{Thread, create_raw};
use crate::time;
use abi::code::*;
use abi::message::{Header, HeaderFlags, MsgOption, msgh_bits};
use abi::port::Disposition;
use abi::task::{ExitStatus, PAGE_SIZE};
use abi::trap::CLASS_UNIX;
use abi::trap::mach::{MACH_MSG, MACH_TIMEBASE_INFO, MACH_WAIT_UNTIL, SWTCH, TASK_SELF, THREAD_SELF};
use abi::trap::tally::{CPU_COUNT, TIME};
use abi::trap::unix::GETPID;
use abi::{KernReturn, PortName};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use zerocopy::IntoBytes;

tests! { "processor":
    a_fresh_thread_finds_zeros,
    registers_of_one_task_are_not_seen_in_another,
    a_pending_exception_is_its_threads_own,
    general_registers_survive_every_kind_of_trap,
    general_registers_survive_traps_between_two_threads,
    general_registers_survive_messages,
    all_vector_registers_survive_interrupts,
    vector_registers_after_a_trap_are_ones_own_or_zero,
    vector_registers_do_not_travel_with_messages,
    a_thread_that_ends_leaves_no_vector_registers,
    flags_survive_interrupts,
    flags_do_not_reach_the_kernel,
    flags_of_privilege_cannot_be_set,
    interrupts_do_not_use_the_programs_stack,
    interrupts_leave_what_is_below_the_stack_pointer,
    an_argument_on_any_stack_is_read_or_refused,
    messages_of_every_size_end_with_their_page,
    the_last_user_page_is_usable_to_its_end,
    protection_changes_for_few_pages_and_for_many,
}

/// Rounds of a loop that take a while, but less than a quantum.
const WHILE: u64 = 1_000_000;

static STOP: AtomicBool = AtomicBool::new(false);
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Calls `spin` until another thread of the task has run meanwhile, which only an interrupt can cause.
fn until_interrupted(mut spin: impl FnMut()) {
    STOP.store(false, Ordering::Relaxed);
    let count = |_| {
        while !STOP.load(Ordering::Relaxed) {
            TURNS.fetch_add(1, Ordering::Relaxed);
        }
    };
    let other = Thread::start(count, 0).expect("the thread starts");
    let mut interrupted = 0;
    while interrupted < 2 {
        let before = TURNS.load(Ordering::Relaxed);
        spin();
        interrupted += usize::from(TURNS.load(Ordering::Relaxed) != before);
    }
    STOP.store(true, Ordering::Relaxed);
    other.join();
}

fn a_fresh_thread_finds_zeros() {
    static SEEN: FreshThread = FreshThread::new();
    VectorState::filled(0xFF).load();
    let stack = 0x1235;
    let entry = FreshThread::ENTRY as *const () as u64;
    let thread = create_raw(entry, stack, (&raw const SEEN) as u64, 0).expect("the thread starts");
    while SEEN.seen().is_none() {
        time::sleep(1);
    }
    check::equal("its registers, stack and flags", SEEN.seen(), Some([0, stack, 0x202]));
    port::deallocate(thread).expect("the name exists");
}

/// Runs a child that checks the state of the processor at its start.
fn check_in_child() {
    let exit = Port::new();
    let child = Spawn::program("tests").argument("child").argument("check-processor").exit_port(exit.name());
    let child = child.start().expect("the child starts");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    port::deallocate(child).expect("the name exists");
}

/// Checks the state of the processor at the start of a task, and changes it: the child's side.
pub(super) fn check_fresh_processor() {
    check::equal("a fresh task's selectors", registers::selectors(), [0; 4]);
    registers::wait_for_pending_exception();
    check::that("a fresh task's vector registers", VectorState::current() == VectorState::fresh());
    registers::load_selectors();
    VectorState::filled(0x77).load();
}

fn registers_of_one_task_are_not_seen_in_another() {
    let own = VectorState::filled(0xEE);
    own.load();
    let selector = registers::load_selectors();
    check::equal("the selectors", registers::selectors(), [selector; 4]);
    check::that("registers survive a trap", registers_survive_trap(CPU_COUNT, 5));
    check_in_child();
    check::equal("the selectors after another task has run", registers::selectors(), [0; 4]);
    check::that("the vector registers hold own values or zero", VectorState::current().is_of_or_zero(&own));
    check_in_child();
}

fn a_pending_exception_is_its_threads_own() {
    registers::leave_exception_pending();
    check_in_child();
    Thread::start(|_| registers::wait_for_pending_exception(), 0).expect("the thread starts").join();
    check::that("registers survive a trap with the exception pending", registers_survive_trap(SWTCH, 1));
    registers::forget_pending_exception();
    registers::wait_for_pending_exception();
}

/// Values for registers, all different.
fn registers_from(seed: u64) -> KeptRegisters {
    core::array::from_fn(|register| seed << 32 | (register as u64 + 1) << 40 | seed)
}

/// Makes a trap with values in all registers, and checks that they are the same after it.
#[track_caller]
fn keeps_registers(number: u32, argument: u64, seed: u64) {
    let mut registers = registers_from(seed);
    registers[0] = argument;
    let (_, after) = registers::trap_with_registers(number, registers);
    check::equal("the registers", after, registers);
}

fn general_registers_survive_every_kind_of_trap() {
    for seed in 1..20 {
        // Traps that come back at once, and others.
        for number in [CPU_COUNT, TIME, THREAD_SELF, TASK_SELF, SWTCH, GETPID, ENOSYS_TRAP] {
            keeps_registers(number, 0, seed);
        }
        // The processor sleeps in between.
        keeps_registers(MACH_WAIT_UNTIL, time::now() + 100_000, seed);
        // An argument that cannot be written: the copy faults.
        keeps_registers(MACH_TIMEBASE_INFO, 0x10, seed);
    }
}

/// The last number of the Unix class, which is none of a trap's.
const ENOSYS_TRAP: u32 = CLASS_UNIX | 0xFF_FFFF;

fn general_registers_survive_traps_between_two_threads() {
    STOP.store(false, Ordering::Relaxed);
    let give_way = |seed| {
        while !STOP.load(Ordering::Relaxed) {
            keeps_registers(SWTCH, 0, seed);
        }
    };
    let others = [100, 200].map(|seed| Thread::start(give_way, seed).expect("a thread"));
    for seed in 1..200 {
        keeps_registers(SWTCH, 0, seed);
        keeps_registers(CPU_COUNT, 0, seed);
        keeps_registers(MACH_WAIT_UNTIL, time::now() + 10_000, seed);
    }
    STOP.store(true, Ordering::Relaxed);
    others.into_iter().for_each(Thread::join);
}

/// `mach_msg` with values in the registers that are no arguments. It destroys rdx besides what all traps destroy.
fn call_with_registers(message: &mut Message, options: MsgOption, size: u64, name: PortName, seed: u64) -> KernReturn {
    let mut registers = registers_from(seed);
    let buffer = message.buffer();
    let room = buffer.len() as u64;
    registers[..6].copy_from_slice(&[
        buffer.as_mut_ptr() as u64,
        options.bits().into(),
        size,
        room,
        u64::from(name.0),
        0,
    ]);
    let (code, after) = registers::trap_with_registers(MACH_MSG, registers);
    registers[2] = 0;
    check::equal("the registers after mach_msg", after, registers);
    KernReturn(code as i32)
}

/// Calls that lead to another thread at once, and calls that cannot.
fn general_registers_survive_messages() {
    const SIZE: u64 = Header::SIZE as u64;
    const CALLS: u64 = 50;
    static SERVICE: AtomicU64 = AtomicU64::new(0);
    let service = port_with_send();
    SERVICE.store(u64::from(service.name().0), Ordering::Relaxed);
    let serve = |seed| {
        let service = PortName(SERVICE.load(Ordering::Relaxed) as u32);
        let mut message = Message::new();
        let mut code = call_with_registers(&mut message, MsgOption::RCV_MSG, 0, service, seed);
        for _ in 1..CALLS {
            check::equal("the request", code, MACH_MSG_SUCCESS);
            message = Message::reply(&message);
            code = call_with_registers(&mut message, MsgOption::SEND_MSG | MsgOption::RCV_MSG, SIZE, service, seed);
        }
        message = Message::reply(&message);
        let code = call_with_registers(&mut message, MsgOption::SEND_MSG, SIZE, PortName(0), seed);
        check::equal("the last answer", code, MACH_MSG_SUCCESS);
    };
    let server = Thread::start(serve, 0x5555).expect("a thread");
    let reply = Port::new();
    for seed in 1..=CALLS {
        let mut message = Message::copy_send(service.name()).reply_to(reply.name(), Disposition::MAKE_SEND_ONCE);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        let code = call_with_registers(&mut message, options, SIZE, reply.name(), seed);
        check::equal("the call", code, MACH_MSG_SUCCESS);
    }
    server.join();
}

fn all_vector_registers_survive_interrupts() {
    static LOST: AtomicU64 = AtomicU64::new(0);
    let threads = [1, 2, 3].map(|n: u8| {
        let spin = |n| {
            for _ in 0..12 {
                LOST.fetch_add(u64::from(!VectorState::filled(n as u8).survives(2 * WHILE)), Ordering::Relaxed);
            }
        };
        Thread::start(spin, u64::from(n)).expect("the thread starts")
    });
    threads.into_iter().for_each(Thread::join);
    check::equal("how often a thread lost a value", LOST.load(Ordering::Relaxed), 0);
}

/// Checks that a trap leaves the control words and does not show the values of another thread.
#[track_caller]
fn keeps_control_words(own: &VectorState, trap: impl FnOnce()) {
    own.load();
    trap();
    check::that("the vector registers are one's own or zero", VectorState::current().is_of_or_zero(own));
}

/// Some threads leave the processor in traps, some by interrupts: those keep everything.
fn vector_registers_after_a_trap_are_ones_own_or_zero() {
    static RUNNING: AtomicU64 = AtomicU64::new(2);
    let spin = |byte| {
        for _ in 0..12 {
            check::that("interrupts", VectorState::filled(byte as u8).survives(WHILE));
        }
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    };
    let give_way = |byte| {
        while RUNNING.load(Ordering::Relaxed) != 0 {
            let own = VectorState::filled(byte as u8);
            keeps_control_words(&own, || _ = crate::sys::trap(SWTCH, [0; 6]));
            keeps_control_words(&own, || time::sleep(1));
            keeps_control_words(&own, || _ = crate::sys::trap(CPU_COUNT, [0; 6]));
        }
    };
    let wait = |_| {
        while RUNNING.load(Ordering::Relaxed) != 0 {
            // This one has control words of a fresh thread and does not use the registers in between.
            time::sleep(1);
        }
        check::that("a fresh thread's registers", VectorState::current() == VectorState::fresh());
    };
    let spinners = [1, 2].map(|byte| Thread::start(spin, byte).expect("a thread"));
    let others = [3, 4].map(|byte| Thread::start(give_way, byte).expect("a thread"));
    let waiting = Thread::start(wait, 0).expect("a thread");
    spinners.into_iter().chain(others).for_each(Thread::join);
    waiting.join();
}

/// Direct switches between tasks: with both using the registers, and with one.
fn vector_registers_do_not_travel_with_messages() {
    const SIZE: u64 = Header::SIZE as u64;
    let (meeting, exit) = (port_with_send(), Port::new());
    let child = Spawn::program("tests").argument("child").argument("answer-with-vectors");
    let child = child.bootstrap(meeting.name()).exit_port(exit.name()).start().expect("a child");
    let service = Message::receive(meeting.name()).expect("the child's port").descriptor(0).name;
    let reply = Port::new();
    let mut call = |seed| {
        let mut message = Message::copy_send(service).reply_to(reply.name(), Disposition::MAKE_SEND_ONCE);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        let code = call_with_registers(&mut message, options, SIZE, reply.name(), seed);
        check::equal("the call", code, MACH_MSG_SUCCESS);
    };
    (1..20).for_each(&mut call);
    check::that("this task's registers are fresh", VectorState::current() == VectorState::fresh());
    for byte in 1..100 {
        keeps_control_words(&VectorState::filled(byte), || call(byte.into()));
    }
    task::terminate(child).expect("it has not ended");
    task::wait_for_exit(exit.name()).expect("it ends");
    [child, service].into_iter().for_each(|name| port::deallocate(name).expect("its name"));
}

/// The child's side.
pub(super) fn answer_with_vectors() {
    let service = Port::new();
    let mut hello = Message::copy_send(task::bootstrap_port()).port(service.name(), Disposition::MAKE_SEND);
    hello.send().expect("the parent waits");
    let own = VectorState::filled(0xDD);
    let mut request = Message::receive(service.name()).expect("a request");
    loop {
        keeps_control_words(&own, || {
            let mut answer = Message::reply(&request);
            let call = Call {
                options: MsgOption::SEND_MSG | MsgOption::RCV_MSG,
                receive_name: service.name(),
                ..Call::default()
            };
            check::equal("the answer", answer.call(&call), MACH_MSG_SUCCESS);
            request = answer;
        });
    }
}

fn a_thread_that_ends_leaves_no_vector_registers() {
    for byte in 1..20 {
        Thread::start(|byte| VectorState::filled(byte as u8).load(), byte).expect("a thread").join();
        let look = |_| check::that("registers", VectorState::current() == VectorState::fresh());
        Thread::start(look, 0).expect("a thread").join();
        check_in_child();
    }
}

/// Direction, nested task, alignment check, identification.
const FLAGS: u64 = 1 << 10 | 1 << 14 | 1 << 18 | 1 << 21;

fn flags_survive_interrupts() {
    until_interrupted(|| check::equal("the flags", registers::flags_after_spinning(FLAGS, WHILE) & FLAGS, FLAGS));
    check::that("registers survive a trap", registers_survive_trap(TASK_SELF, 1));
}

/// In the kernel they would reverse copies, and make the return to an interrupted thread fail.
fn flags_do_not_reach_the_kernel() {
    let port = port_with_send();
    let mut message = Message::copy_send(port.name()).words(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let size = Header::SIZE as u64 + 32;
    let options = u64::from(MsgOption::SEND_MSG.bits());
    let arguments = [message.buffer().as_mut_ptr() as u64, options, size, 0, 0, 0];
    let [code, flags] = registers::trap_with_flags(MACH_MSG, arguments, FLAGS);
    check::equal("mach_msg", (KernReturn(code as i32), flags & FLAGS), (MACH_MSG_SUCCESS, FLAGS));
    let received = Message::receive(port.name()).expect("it was sent");
    check::that("all words arrive", (0..8).all(|word| received.word(word) == word as u32 + 1));
    until_interrupted(|| {
        let [_, flags] = registers::trap_with_flags(MACH_WAIT_UNTIL, [time::now() + 100_000, 0, 0, 0, 0, 0], FLAGS);
        check::equal("the flags after a wait", flags & FLAGS, FLAGS);
    });
}

/// The privilege level for devices, interrupts off, virtual-8086 mode, virtual interrupts.
fn flags_of_privilege_cannot_be_set() {
    const INTERRUPTS: u64 = 1 << 9;
    const PRIVILEGED: u64 = 3 << 12 | 1 << 17 | 1 << 19 | 1 << 20;
    for flags in [0x3002, 0x2_0002, 0x18_0002] {
        check::equal("the flags", registers::flags_after_loading(flags) & (PRIVILEGED | INTERRUPTS), INTERRUPTS);
    }
}

/// Stack pointers that are null, odd, not canonical or the kernel's. Interrupts use another stack.
const ODD_STACKS: [u64; 6] = [0, 1, 0x1007, 0x8000_0000_0000_0001, 0xFFFF_FFFF_8000_0000, u64::MAX];

fn interrupts_do_not_use_the_programs_stack() {
    for stack in ODD_STACKS {
        until_interrupted(|| check::that("the stack pointer", registers::stack_pointer_survives(stack, WHILE)));
    }
}

fn interrupts_leave_what_is_below_the_stack_pointer() {
    let at = task::allocate(PAGE_SIZE).expect("there is memory");
    (at..at + PAGE_SIZE).for_each(|address| machine::write(address, address as u8));
    until_interrupted(|| {
        check::that("the stack pointer", registers::stack_pointer_survives(at + PAGE_SIZE / 2 + 3, WHILE));
    });
    let changed = (at..at + PAGE_SIZE).filter(|&address| machine::read(address) != address as u8).count();
    check::equal("bytes that have changed", changed, 0);
    task::deallocate(at, PAGE_SIZE).expect("the memory is allocated");
}

/// Allocates a page without memory behind it, and returns the address of its end.
fn page_with_an_edge() -> u64 {
    let at = task::allocate(2 * PAGE_SIZE).expect("there is memory");
    task::deallocate(at + PAGE_SIZE, PAGE_SIZE).expect("the second page");
    at + PAGE_SIZE
}

/// Calls `mach_msg` without send and receive, but with the option for which it reads its seventh argument.
fn call_with_priority(stack: u64) -> KernReturn {
    let arguments = [0, u64::from(MsgOption::SEND_OVERRIDE.bits()), 0, 0, 0, 0];
    KernReturn(registers::trap_on_stack(MACH_MSG, arguments, stack) as i32)
}

fn an_argument_on_any_stack_is_read_or_refused() {
    let edge = page_with_an_edge();
    for below in 16..40 {
        check::equal("an argument in the page", call_with_priority(edge - below), MACH_MSG_SUCCESS);
    }
    for below in 0..16 {
        check::equal("one that leaves it", call_with_priority(edge - below), KERN_INVALID_ARGUMENT);
    }
    for before in 1..16 {
        let start = edge - PAGE_SIZE;
        // The kernel does not read the word at the stack pointer.
        let expected = if before <= 8 { MACH_MSG_SUCCESS } else { KERN_INVALID_ARGUMENT };
        check::equal("a stack that begins below the page", call_with_priority(start - before), expected);
    }
    for stack in ODD_STACKS.into_iter().chain([0x7FFF_FFFF_EFF7, 0x7FFF_FFFF_FFFF, u64::MAX - 7, u64::MAX - 8]) {
        check::equal("a stack pointer without memory", call_with_priority(stack), KERN_INVALID_ARGUMENT);
        let code = KernReturn(registers::trap_on_stack(MACH_MSG, [0; 6], stack) as i32);
        check::equal("a stack pointer without memory, but no argument on the stack", code, MACH_MSG_SUCCESS);
    }
    task::deallocate(edge - PAGE_SIZE, PAGE_SIZE).expect("the first page");
}

fn messages_of_every_size_end_with_their_page() {
    let (port, edge) = (port_with_send(), page_with_an_edge());
    let bits = msgh_bits(Disposition::COPY_SEND, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
    let header = Header { msgh_bits: bits, msgh_remote_port: port.name(), ..Header::default() };
    let send = |address: u64, send_size| {
        (address..edge).zip(header.as_bytes()).for_each(|(at, byte)| machine::write(at, *byte));
        mach_msg_at(address, &Call { options: MsgOption::SEND_MSG, send_size, ..Call::default() })
    };
    let receive = |address, receive_size| {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        mach_msg_at(address, &Call { options, receive_size, receive_name: port.name(), ..Call::default() })
    };
    const TRAILER: u32 = 8;
    for size in (24..=64).step_by(4) {
        let room = size + TRAILER;
        for missing in (4..=size).step_by(4) {
            let sent = send(edge - u64::from(size - missing), size);
            check::equal("a message that leaves the page", sent, MACH_SEND_INVALID_DATA);
        }
        check::equal("one that ends with it", send(edge - u64::from(size), size), MACH_MSG_SUCCESS);
        check::equal("a buffer that ends with it", receive(edge - u64::from(room), room), MACH_MSG_SUCCESS);
        for missing in (4..=room).step_by(4) {
            check::equal("a message", send(edge - u64::from(size), size), MACH_MSG_SUCCESS);
            let received = receive(edge - u64::from(room - missing), room);
            check::equal("a buffer that leaves the page", received, MACH_RCV_INVALID_DATA);
        }
    }
    task::deallocate(edge - PAGE_SIZE, PAGE_SIZE).expect("the first page");
}

fn the_last_user_page_is_usable_to_its_end() {
    const LAST_PAGE: u64 = 0x7FFF_FFFF_E000;
    const END: u64 = LAST_PAGE + PAGE_SIZE;
    task::allocate_at(LAST_PAGE, PAGE_SIZE, 0).expect("the last page is free");
    let timebase = |at| KernReturn(crate::sys::trap(MACH_TIMEBASE_INFO, [at, 0, 0, 0, 0, 0]) as i32);
    check::equal("eight bytes at its end", timebase(END - 8), KERN_SUCCESS);
    for back in 0..8 {
        check::equal("eight bytes that leave it", timebase(END - back), KERN_MEMORY_ERROR);
    }
    check::equal("a stack that ends there", call_with_priority(END - 16), MACH_MSG_SUCCESS);
    check::equal("one that leaves it", call_with_priority(END - 15), KERN_INVALID_ARGUMENT);
    task::deallocate(LAST_PAGE, PAGE_SIZE).expect("the memory is allocated");
}

/// The kernel invalidates few translations one by one, and many all together.
fn protection_changes_for_few_pages_and_for_many() {
    use abi::task::{VM_PROT_READ, VM_PROT_WRITE};
    for pages in [1, 2, 31, 32, 33, 64, 600] {
        let at = task::allocate(pages * PAGE_SIZE).expect("there is memory");
        let all = (0..pages).map(|page| at + page * PAGE_SIZE);
        all.clone().for_each(|page| machine::write(page, 1));
        task::protect(at, pages * PAGE_SIZE, VM_PROT_READ).expect("the memory is allocated");
        let timebase = |at| KernReturn(crate::sys::trap(MACH_TIMEBASE_INFO, [at, 0, 0, 0, 0, 0]) as i32);
        for page in all.clone() {
            check::equal("a result in a read-only page", timebase(page), KERN_MEMORY_ERROR);
        }
        task::protect(at, pages * PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE).expect("the memory is allocated");
        all.clone().for_each(|page| machine::write(page, machine::read(page) + 1));
        task::deallocate(at, pages * PAGE_SIZE).expect("the memory is allocated");
        for page in all {
            check::equal("a result in a page without memory", timebase(page), KERN_MEMORY_ERROR);
        }
        check::equal("fresh memory at the same address", task::allocate_at(at, pages * PAGE_SIZE, 0), Ok(at));
        let old = (0..pages).filter(|page| machine::read(at + page * PAGE_SIZE) != 0).count();
        check::equal("pages with old contents", old, 0);
        task::deallocate(at, pages * PAGE_SIZE).expect("the memory is allocated");
    }
}
