//! Hostile traps: the kernel answers with an error, and the task goes on.

use super::tests;
use crate::check;
use crate::message::{Call, mach_msg_at, port_with_send};
use crate::port;
use crate::sys::{trap_with_stack, unix_trap};
use crate::task;
use crate::voucher;
use abi::KernReturn;
use abi::code::*;
use abi::message::MsgOption;
use abi::task::{PAGE_SIZE, TaskSpawnArgs};
use abi::trap::mach::*;
use abi::trap::tally::*;

tests! { "hostile":
    addresses_outside_user_memory_are_refused_by_every_trap,
    a_range_that_leaves_mapped_memory_is_refused,
    a_message_at_the_edge_of_memory_is_refused_or_arrives,
    random_traps_1,
    random_traps_2,
    random_traps_3,
    random_traps_4,
}

/// Null and its neighbours, the end of user memory, addresses that are not canonical, the kernel, and ranges that wrap.
const WILD: [u64; 10] = [
    0,
    8,
    0xFFF,
    0x7FFF_FFFF_EFFC,
    0x7FFF_FFFF_F000,
    0x0000_8000_0000_0000,
    0x8000_0000_0000_0000,
    0xFFFF_8000_0000_0000,
    0xFFFF_FFFF_8000_0000,
    u64::MAX - 3,
];

fn code(number: u32, arguments: [u64; 6], more: [u64; 2]) -> KernReturn {
    KernReturn(trap_with_stack(number, arguments, more) as i32)
}

fn addresses_outside_user_memory_are_refused_by_every_trap() {
    let own = u64::from(port::task_self().0);
    let port = port_with_send();
    let name = u64::from(port.name().0);
    let notify = port_with_send();
    let size = size_of::<TaskSpawnArgs>() as u64;
    let host = u64::from(voucher::host().0);
    let before = task::counts();
    for wild in WILD {
        let refused = [
            code(MACH_VM_ALLOCATE, [own, wild, 4096, 1, 0, 0], [0; 2]),
            code(MACH_PORT_TYPE, [own, name, wild, 0, 0, 0], [0; 2]),
            code(MACH_PORT_CONSTRUCT, [own, wild, 0, wild, 0, 0], [0; 2]),
            code(MACH_PORT_GET_ATTRIBUTES, [own, name, 2, wild, wild, 0], [0; 2]),
            code(MACH_TIMEBASE_INFO, [wild, 0, 0, 0, 0, 0], [0; 2]),
            code(TASK_SPAWN, [wild, size, wild, 0, 0, 0], [0; 2]),
            code(DEBUG_STATE, [1, 0, wild, 4096, 0, 0], [0; 2]),
            code(HOST_CREATE_MACH_VOUCHER, [host, wild, 16, wild, 0, 0], [0; 2]),
            code(MACH_VOUCHER_EXTRACT_ATTR_RECIPE, [name, 7, wild, wild, 0, 0], [0; 2]),
        ];
        for result in refused {
            check::equal("a wild address", result, KERN_MEMORY_ERROR);
        }
        let send = Call { options: MsgOption::SEND_MSG, send_size: 64, ..Call::default() };
        check::equal("a message at a wild address", mach_msg_at(wild, &send), MACH_SEND_INVALID_DATA);
        check::that(
            "a word at a wild address is refused",
            unix_trap(abi::trap::unix::ULOCK_WAIT, [1, wild & !3, 0, 1000]).is_err(),
        );
    }
    check::equal("the counts", task::counts(), before);
    // These traps make a right before they write its name (mach-ipc 2.0), so they have an effect. The task must go on.
    for wild in WILD {
        let _ = code(MACH_PORT_ALLOCATE, [own, 1, wild, 0, 0, 0], [0; 2]);
        let arguments = [own, name, 70, 0, u64::from(notify.name().0), 21];
        let _ = code(MACH_PORT_REQUEST_NOTIFICATION, arguments, [wild, 0]);
    }
}

fn a_range_that_leaves_mapped_memory_is_refused() {
    let at = task::allocate(2 * PAGE_SIZE).expect("there is memory");
    task::deallocate(at + PAGE_SIZE, PAGE_SIZE).expect("the second page");
    let edge = at + PAGE_SIZE;
    let write = |address, size| unix_trap(abi::trap::unix::WRITE, [1, address, size, 0]);
    let fault = Err(u64::from(EFAULT.0));
    check::equal("a text that leaves the page", write(edge - 4, 5), fault);
    check::equal("a text behind the page", write(edge, 1), fault);
    check::equal("a length that wraps", unix_trap(abi::trap::unix::WRITE, [3, edge - 4, u64::MAX, 0]).is_err(), true);
    let timebase = |address| code(MACH_TIMEBASE_INFO, [address, 0, 0, 0, 0, 0], [0; 2]);
    check::equal("eight bytes in the page", timebase(edge - 8), KERN_SUCCESS);
    for back in 0..8 {
        check::equal("eight bytes that leave the page", timebase(edge - back), KERN_MEMORY_ERROR);
    }
    task::deallocate(at, PAGE_SIZE).expect("the first page");
}

fn a_message_at_the_edge_of_memory_is_refused_or_arrives() {
    let port = port_with_send();
    let at = task::allocate(2 * PAGE_SIZE).expect("there is memory");
    task::deallocate(at + PAGE_SIZE, PAGE_SIZE).expect("the second page");
    let edge = at + PAGE_SIZE;
    let receive = |address, size| {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        mach_msg_at(address, &Call { options, receive_size: size, receive_name: port.name(), ..Call::default() })
    };
    let send = || crate::message::Message::copy_send(port.name()).send().expect("there is room");
    send();
    check::equal("a buffer that ends with the page", receive(edge - 32, 32), MACH_MSG_SUCCESS);
    send();
    check::equal("a buffer that leaves the page", receive(edge - 28, 32), MACH_RCV_INVALID_DATA);
    check::equal("receiving the message again", receive(edge - 32, 32), MACH_RCV_TIMED_OUT);
    for back in (0..24).step_by(4) {
        let call = Call { options: MsgOption::SEND_MSG, send_size: 24, ..Call::default() };
        check::equal("a message that leaves the page", mach_msg_at(edge - back, &call), MACH_SEND_INVALID_DATA);
    }
    task::deallocate(at, PAGE_SIZE).expect("the first page");
}

/// A generator of pseudo-random numbers.
pub(super) struct Random(u64);

impl Random {
    /// Returns a generator with this seed, which is not 0.
    pub(super) const fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns the next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns one of these numbers.
    pub(super) fn one_of(&mut self, choices: &[u64]) -> u64 {
        choices[(self.next() % choices.len() as u64) as usize]
    }
}

/// The traps that return.
const TRAPS: [u32; 35] = [
    MACH_VM_ALLOCATE,
    MACH_PORT_ALLOCATE,
    MACH_PORT_DEALLOCATE,
    MACH_PORT_MOD_REFS,
    MACH_PORT_MOVE_MEMBER,
    MACH_PORT_INSERT_RIGHT,
    MACH_PORT_INSERT_MEMBER,
    MACH_PORT_EXTRACT_MEMBER,
    MACH_PORT_CONSTRUCT,
    MACH_PORT_DESTRUCT,
    MACH_REPLY_PORT,
    THREAD_SELF,
    TASK_SELF,
    HOST_SELF,
    MACH_MSG,
    MACH_MSG_OVERWRITE,
    MACH_PORT_GET_ATTRIBUTES,
    MACH_PORT_GUARD,
    MACH_PORT_UNGUARD,
    SWTCH_PRI,
    SWTCH,
    MACH_PORT_TYPE,
    MACH_PORT_REQUEST_NOTIFICATION,
    MACH_TIMEBASE_INFO,
    MACH_GENERATE_ACTIVITY_ID,
    HOST_CREATE_MACH_VOUCHER,
    MACH_VOUCHER_EXTRACT_ATTR_RECIPE,
    TASK_SPAWN,
    THREAD_SET_QOS,
    PORT_BIND_SERVICER,
    THREAD_GET_SPECIAL_REPLY_PORT,
    TIME,
    CPU_COUNT,
    DEBUG_STATE,
    abi::trap::unix::ULOCK_WAKE,
];

/// Makes random traps. The arguments are names, small numbers, addresses in a scratch page, wild addresses and random
/// numbers.
fn random_traps(seed: u64) {
    const STEPS: u32 = 3000;
    let mut random = Random::new(super::seed_of(seed));
    let scratch = task::allocate(2 * PAGE_SIZE).expect("there is memory");
    let own = u64::from(port::task_self().0);
    for _ in 0..STEPS {
        let number = TRAPS[(random.next() % TRAPS.len() as u64) as usize];
        let name = u64::from(abi::PortName::new(random.next() as u32 % 40, 0).0) | random.one_of(&[3, 7, 11]);
        let mut arguments = [0; 8].map(|_: i32| match random.next() % 8 {
            0..3 => name,
            3 => random.next() % 32,
            4 => random.one_of(&WILD),
            5 => random.next(),
            _ => scratch + random.next() % PAGE_SIZE / 4 * 4,
        });
        if !random.next().is_multiple_of(4) {
            arguments[0] = own;
        }
        if matches!(number, MACH_MSG | MACH_MSG_OVERWRITE) {
            // With timeouts in both phases, so that the trap returns.
            let options = random.one_of(&[1, 2, 3]) | 0x110 | random.one_of(&[0, 0x4, 0x80, 0x700_0000]);
            let sizes = [random.one_of(&[24, 28, 64, 100, 200]), random.one_of(&[8, 32, 100, 300])];
            arguments = [scratch + random.next() % 512 * 4, options, sizes[0], sizes[1], name, 0, 0, 0];
        } else if number == MACH_VM_ALLOCATE {
            // Anywhere, so that the program's own memory stays.
            arguments[3] = 1;
        }
        let [a, b, c, d, e, f, g, h] = arguments;
        trap_with_stack(number, [a, b, c, d, e, f], [g, h]);
    }
    check::that("the task still has its number", task::pid() > 0);
}

fn random_traps_1() {
    random_traps(0x1234_5678_9ABC_DEF1);
}

fn random_traps_2() {
    random_traps(0x0F1E_2D3C_4B5A_6978);
}

fn random_traps_3() {
    random_traps(3);
}

fn random_traps_4() {
    random_traps(0xDEAD_BEEF_CAFE_F00D);
}
