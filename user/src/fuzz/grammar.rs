//! The grammar: traps, requests to kernel objects, and the meaning of their arguments.

use abi::mig::{mach_host, mach_port, mach_voucher, mach_voucher_attr_control, task, thread_act};
use abi::trap::mach::*;
use abi::trap::tally::*;
use abi::trap::unix::*;

/// The meaning of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The task's own control port.
    Own,
    /// The thread's own control port.
    Thread,
    /// The host port.
    Host,
    /// Any name.
    Name,
    /// A receive right.
    Receive,
    /// A send right.
    Send,
    /// A port set.
    Set,
    /// A voucher, or null.
    Voucher,
    /// A send or send-once right, a receive right or null, as a descriptor takes it.
    Port,
    /// A send-once right, made or moved.
    Once,
    /// A send right, copied, or null.
    Copied,
    /// A disposition.
    Disposition,
    /// A change of a count of references.
    Delta,
    /// A small number, below the bound.
    Below(u64),
    /// Bits out of these.
    Bits(u64),
    /// The id of a notification.
    Notification,
    /// The address to which a name is written.
    OutName,
    /// The address to which a trap writes.
    Out,
    /// The address from which a trap reads.
    In,
    /// The address of a number of bytes or words.
    Room,
    /// An address in memory that the task has allocated, or perhaps elsewhere.
    Region,
    /// The address of the address of new memory.
    Place,
    /// A number of bytes of memory.
    Size,
    /// A time soon.
    Deadline,
    /// Microseconds, rarely none, which means for ever.
    Microseconds,
    /// A priority as `pthread_priority_t`.
    Class,
    /// The pid of some task of the fuzzer.
    Pid,
    /// The address of code for a new thread.
    Entry,
    /// Any number.
    Number,
    /// A number that counts for nothing, or must be this.
    Is(u64),
}

/// What a trap gives when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// No name.
    Nothing,
    /// A name at the address of [`Kind::OutName`].
    Name,
    /// A name as its result.
    Result,
}

/// A trap.
#[derive(Debug)]
pub(super) struct Trap {
    pub(super) number: u32,
    pub(super) arguments: &'static [Kind],
    pub(super) gives: Gives,
}

const fn trap(number: u32, arguments: &'static [Kind]) -> Trap {
    Trap { number, arguments, gives: Gives::Nothing }
}

const fn naming(number: u32, arguments: &'static [Kind]) -> Trap {
    Trap { number, arguments, gives: Gives::Name }
}

const fn returning(number: u32) -> Trap {
    Trap { number, arguments: &[], gives: Gives::Result }
}

use Kind::*;

/// The traps, as often as they are wanted. Not among them: what ends the task or thread, what writes to the console, and
/// `mach_msg` and `task_spawn`, whose arguments are built by hand.
pub(super) const TRAPS: [Trap; 66] = [
    trap(MACH_VM_ALLOCATE, &[Own, Place, Size, Below(3)]),
    trap(MACH_VM_ALLOCATE, &[Own, Place, Size, Is(1)]),
    trap(MACH_VM_DEALLOCATE, &[Own, Region, Size]),
    trap(MACH_VM_PROTECT, &[Own, Region, Size, Below(2), Below(9)]),
    naming(MACH_PORT_ALLOCATE, &[Own, Below(6), OutName]),
    naming(MACH_PORT_ALLOCATE, &[Own, Is(1), OutName]),
    naming(MACH_PORT_ALLOCATE, &[Own, Is(1), OutName]),
    naming(MACH_PORT_ALLOCATE, &[Own, Is(3), OutName]),
    trap(MACH_PORT_DEALLOCATE, &[Own, Name]),
    trap(MACH_PORT_DEALLOCATE, &[Own, Send]),
    trap(MACH_PORT_MOD_REFS, &[Own, Name, Below(6), Delta]),
    trap(MACH_PORT_MOD_REFS, &[Own, Receive, Is(1), Is(0xFFFF_FFFF)]),
    trap(MACH_PORT_MOD_REFS, &[Own, Send, Is(0), Delta]),
    trap(MACH_PORT_MOVE_MEMBER, &[Own, Receive, Set]),
    trap(MACH_PORT_INSERT_RIGHT, &[Own, Name, Name, Disposition]),
    trap(MACH_PORT_INSERT_MEMBER, &[Own, Receive, Set]),
    trap(MACH_PORT_INSERT_MEMBER, &[Own, Receive, Set]),
    trap(MACH_PORT_EXTRACT_MEMBER, &[Own, Receive, Set]),
    naming(MACH_PORT_CONSTRUCT, &[Own, In, Below(4), OutName]),
    naming(MACH_PORT_CONSTRUCT, &[Own, In, Below(4), OutName]),
    trap(MACH_PORT_DESTRUCT, &[Own, Receive, Delta, Below(4)]),
    returning(MACH_REPLY_PORT),
    returning(THREAD_SELF),
    returning(TASK_SELF),
    returning(HOST_SELF),
    returning(THREAD_GET_SPECIAL_REPLY_PORT),
    trap(MACH_PORT_GET_ATTRIBUTES, &[Own, Receive, Below(9), Out, Room]),
    trap(MACH_PORT_GUARD, &[Own, Receive, Below(4), Below(2)]),
    trap(MACH_PORT_UNGUARD, &[Own, Receive, Below(4)]),
    naming(TASK_FOR_PID, &[Own, Pid, OutName]),
    trap(MACH_GENERATE_ACTIVITY_ID, &[Own, Below(20), Out]),
    trap(SWTCH_PRI, &[]),
    trap(SWTCH, &[]),
    trap(THREAD_SWITCH, &[Thread, Below(4), Below(3)]),
    trap(MACH_VOUCHER_EXTRACT_ATTR_RECIPE, &[Voucher, Below(10), Out, Room]),
    trap(MACH_PORT_TYPE, &[Own, Name, Out]),
    naming(MACH_PORT_REQUEST_NOTIFICATION, &[Own, Name, Notification, Below(2), Receive, Is(21), OutName]),
    naming(MACH_PORT_REQUEST_NOTIFICATION, &[Own, Receive, Notification, Below(2), Receive, Is(21), OutName]),
    naming(MACH_PORT_REQUEST_NOTIFICATION, &[Own, Name, Notification, Below(2), Name, Disposition, OutName]),
    trap(MACH_TIMEBASE_INFO, &[Out]),
    trap(MACH_WAIT_UNTIL, &[Deadline]),
    trap(GETPID, &[]),
    trap(THREAD_SELFID, &[]),
    trap(SETPRIORITY, &[Is(4), Pid, Bits(0x1001)]),
    trap(SETPRIORITY, &[Is(6), Pid, Below(8)]),
    trap(PROCESS_POLICY, &[Is(1), Is(10), Is(7), Below(4), In, Pid, Number]),
    trap(PROCESS_POLICY, &[Below(3), Below(16), Below(10), Below(4), In, Pid, Number]),
    trap(PROC_INFO, &[Is(2), Pid, Is(17), Number, Out, Is(56)]),
    trap(PROC_INFO, &[Below(12), Pid, Below(20), Number, Out, Below(300)]),
    trap(BSDTHREAD_CTL, &[Is(0x40), Thread, Class, Below(20)]),
    trap(BSDTHREAD_CTL, &[Is(0x80), Thread, Below(20), Is(0)]),
    trap(BSDTHREAD_CTL, &[Is(0x100), Class, Voucher, Below(32)]),
    trap(BSDTHREAD_CTL, &[Is(0x200), Is(0), Is(0), Is(0)]),
    trap(BSDTHREAD_CTL, &[Is(0x400), Thread, Class, Out]),
    trap(PERSONA, &[Below(6), Below(2), Out, Out, Room, In]),
    trap(ULOCK_WAIT, &[Is(1), Out, Below(3), Microseconds]),
    trap(ULOCK_WAKE, &[Bits(0x301), Out, Number]),
    naming(THREAD_CREATE, &[Own, Entry, Out, Number, Below(2), OutName]),
    trap(THREAD_SET_QOS, &[Name, Class]),
    trap(PORT_BIND_SERVICER, &[Receive, Thread]),
    trap(PORT_BIND_SERVICER, &[Set, Name]),
    trap(TIME, &[]),
    trap(CPU_COUNT, &[]),
    trap(DEBUG_STATE, &[Below(6), Name, Out, Below(200)]),
    trap(INSPECT, &[Below(12), Below(3), Number, In, Out, Below(4096)]),
    trap(TRACE_NOTE, &[Below(12), Number, Number, Number, Voucher]),
];

/// A request to a kernel object.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: i32,
    /// The object.
    pub(super) to: Kind,
    /// The rights of its descriptors.
    pub(super) ports: &'static [Kind],
    /// The words behind the NDR record.
    pub(super) words: &'static [Kind],
}

const fn request(id: i32, to: Kind, ports: &'static [Kind], words: &'static [Kind]) -> Request {
    Request { id, to, ports, words }
}

const fn simple(id: i32, words: &'static [Kind]) -> Request {
    request(id, Own, &[], words)
}

/// The requests, as often as they are wanted. What suspends or ends something goes to any name, which is rarely the own.
pub(super) const REQUESTS: [Request; 61] = [
    simple(mach_port::TYPE, &[Name]),
    simple(mach_port::RENAME, &[Name, Name]),
    simple(mach_port::ALLOCATE_NAME, &[Below(6), Name]),
    simple(mach_port::ALLOCATE, &[Below(6)]),
    simple(mach_port::DESTROY, &[Name]),
    simple(mach_port::DESTROY, &[Receive]),
    simple(mach_port::DEALLOCATE, &[Send]),
    simple(mach_port::GET_REFS, &[Name, Below(6)]),
    simple(mach_port::MOD_REFS, &[Name, Below(6), Delta]),
    simple(mach_port::SET_MSCOUNT, &[Receive, Number]),
    simple(mach_port::MOVE_MEMBER, &[Receive, Set]),
    request(mach_port::REQUEST_NOTIFICATION, Own, &[Once], &[Name, Notification, Below(2)]),
    request(mach_port::INSERT_RIGHT, Own, &[Port], &[Name]),
    simple(mach_port::EXTRACT_RIGHT, &[Name, Disposition]),
    simple(mach_port::SET_SEQNO, &[Receive, Number]),
    simple(mach_port::GET_ATTRIBUTES, &[Receive, Below(9), Below(20)]),
    simple(mach_port::SET_ATTRIBUTES, &[Receive, Is(1), Is(1), Below(1100)]),
    simple(mach_port::SET_ATTRIBUTES, &[Receive, Is(4), Is(0)]),
    simple(mach_port::SET_ATTRIBUTES, &[Receive, Is(5), Is(0)]),
    simple(mach_port::SET_ATTRIBUTES, &[Receive, Is(6), Is(0)]),
    simple(mach_port::SET_ATTRIBUTES, &[Receive, Below(9), Below(3), Number]),
    simple(mach_port::GET_SRIGHTS, &[Receive]),
    simple(mach_port::INSERT_MEMBER, &[Receive, Set]),
    simple(mach_port::EXTRACT_MEMBER, &[Receive, Set]),
    simple(mach_port::GET_CONTEXT, &[Receive]),
    simple(mach_port::SET_CONTEXT, &[Receive, Below(4), Is(0)]),
    simple(mach_port::KOBJECT, &[Name]),
    simple(mach_port::CONSTRUCT, &[Bits(0xFFF), Below(9), Is(0), Is(0), Is(0), Is(0), Below(4), Is(0)]),
    simple(mach_port::DESTRUCT, &[Receive, Delta, Below(4), Is(0)]),
    simple(mach_port::GUARD, &[Receive, Below(4), Is(0), Below(2)]),
    simple(mach_port::UNGUARD, &[Receive, Below(4), Is(0)]),
    simple(mach_port::SPECIAL_REPLY_PORT_RESET_LINK, &[Name]),
    simple(mach_port::GUARD_WITH_FLAGS, &[Receive, Below(4), Is(0), Below(4), Is(0)]),
    simple(mach_port::SWAP_GUARD, &[Receive, Below(4), Is(0), Below(4), Is(0)]),
    request(task::TERMINATE, Name, &[], &[]),
    simple(task::GET_SPECIAL_PORT, &[Below(20)]),
    simple(task::GET_SPECIAL_PORT, &[Is(4)]),
    request(task::SET_SPECIAL_PORT, Own, &[Port], &[Below(20)]),
    request(task::SET_SPECIAL_PORT, Own, &[Copied], &[Is(17)]),
    simple(task::GET_MACH_VOUCHER, &[Below(2)]),
    request(task::SET_MACH_VOUCHER, Own, &[Copied], &[]),
    request(task::SWAP_MACH_VOUCHER, Own, &[Copied, Copied], &[]),
    simple(task::POLICY_SET, &[Is(1), Is(1), Below(8)]),
    simple(task::POLICY_SET, &[Below(5), Below(4), Number, Number]),
    simple(task::POLICY_GET, &[Below(5), Below(20), Below(2)]),
    request(thread_act::TERMINATE, Name, &[], &[]),
    request(thread_act::SUSPEND, Name, &[], &[]),
    request(thread_act::RESUME, Name, &[], &[]),
    request(thread_act::RESUME, Name, &[], &[]),
    request(thread_act::ABORT, Name, &[], &[]),
    request(thread_act::GET_MACH_VOUCHER, Thread, &[], &[Below(2)]),
    request(thread_act::SET_MACH_VOUCHER, Thread, &[Copied], &[]),
    request(thread_act::SET_MACH_VOUCHER, Name, &[Copied], &[]),
    request(thread_act::SWAP_MACH_VOUCHER, Thread, &[Copied, Copied], &[]),
    request(mach_host::REGISTER_MACH_VOUCHER_ATTR_MANAGER, Host, &[Copied], &[Number, Number]),
    request(mach_host::REGISTER_WELL_KNOWN_MACH_VOUCHER_ATTR_MANAGER, Host, &[Copied], &[Number, Number, Below(9)]),
    request(mach_voucher::EXTRACT_ATTR_CONTENT, Voucher, &[], &[Below(10), Below(5000)]),
    request(mach_voucher::EXTRACT_ATTR_RECIPE, Voucher, &[], &[Below(10), Below(5000)]),
    request(mach_voucher::EXTRACT_ALL_ATTR_RECIPES, Voucher, &[], &[Below(6000)]),
    request(mach_voucher::ATTR_COMMAND, Voucher, &[], &[Below(10), Below(6), Is(4), Below(3), Below(100)]),
    request(mach_voucher_attr_control::GET_VALUES, Voucher, &[Copied], &[Below(100)]),
];

/// The keys, commands and contents of recipes that make sense together: key, command, and the bytes of the content.
pub(super) const RECIPES: [(u32, u32, &[u8]); 12] = [
    (7, 211, b"fuzz"),
    (7, 211, &[9; 200]),
    (8, 211, b"a"),
    (3, 610, b""),
    (3, 611, &[0; 16]),
    (3, 601, b""),
    (4, 710, &[0, 0, 1, 0]),
    (2, 200, b""),
    (0xFFFF_FFFF, 1, b""),
    (7, 1, b""),
    (0xFFFF_FFFF, 2, b""),
    (2, 10, b""),
];
