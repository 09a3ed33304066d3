//! [`Kernel`] for programs: the calls of the runtime.

use super::{Kernel, Received, SetSelf, SetSelfError};
use crate::process::Process;
use crate::qos::{Priority, Qos};
use crate::sync::OnceLock;
use crate::sync::atomic::AtomicU32;
use abi::code::*;
use abi::message::MsgOption;
use abi::port::*;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use core::cell::Cell;
use runtime::buffer::{self, Outcome};
use runtime::message::Call;
use runtime::thread::{self, Builder};
use runtime::{local, policy, port, time, voucher};

/// The bytes of the stacks of threads that the library starts.
const STACK_SIZE: u64 = 128 << 10;

/// The kernel that runs this program.
#[derive(Clone, Copy, Debug)]
pub struct Tally;

/// Returns the state of the library in this program, which the first call makes.
pub fn process() -> &'static Process {
    static PROCESS: OnceLock<&Process> = OnceLock::new();
    PROCESS.get_or_init(|| Process::new(&Tally))
}

/// Returns the priority that the calling thread requests, as the kernel knows it; [`Priority::NONE`] if it is outside of
/// QoS.
pub fn requested() -> Priority {
    let info = runtime::task::thread_info(local::own_name()).expect("the calling thread is alive");
    Priority(info.requested)
}

/// The name of the host, to which the program has one reference.
static HOST: OnceLock<PortName> = OnceLock::new();

fn host() -> PortName {
    *HOST.get_or_init(voucher::host)
}

/// The special reply port of a thread, if it has one: it is destroyed with the thread.
struct SpecialReply(Cell<PortName>);

runtime::thread_local! {
    static SPECIAL_REPLY: SpecialReply = const { SpecialReply(Cell::new(MACH_PORT_NULL)) };
}

impl SpecialReply {
    /// Gives up the port. Its receive right may be gone already.
    fn give_up(&self) {
        let name = self.0.replace(MACH_PORT_NULL);
        if name != MACH_PORT_NULL {
            let _ = port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1);
            let _ = port::deallocate(name);
        }
    }
}

impl Drop for SpecialReply {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Forgets the special reply port if a receive from it says that its receive right is gone: to release a waiting thread,
/// the library destroys the right.
fn notice_death(from: PortName, code: KernReturn) {
    if matches!(code, MACH_RCV_PORT_DIED | MACH_RCV_INVALID_NAME | MACH_RCV_PORT_CHANGED) {
        SPECIAL_REPLY.with(|special| {
            if special.0.get() == from {
                special.give_up();
            }
        });
    }
}

fn received(from: PortName, outcome: Outcome) -> Received {
    if !outcome.code.is_success() {
        notice_death(from, outcome.code);
    }
    let Outcome { code, qos } = outcome;
    Received { code, priority: Priority((qos >> 32) as u32), over: outcome.over() }
}

impl Kernel for Tally {
    fn set_self(&self, change: SetSelf) -> Result<(), SetSelfError> {
        let SetSelf { priority, voucher } = change;
        // A word without a class is refused by the kernel too, but only if it is passed.
        let error = match policy::set_self(priority.map(Priority::to_abi), voucher) {
            Ok(()) => return Ok(()),
            Err(error) => Errno(error as u16),
        };
        let voucher_failed = matches!(error, ENOENT | ENOMEM | EBADMSG);
        Err(SetSelfError { priority: !matches!(error, ENOENT | ENOMEM), voucher: voucher_failed })
    }

    fn set_qos_of_parked(&self, thread: PortName, priority: Priority) -> bool {
        thread::set_priority_of(thread, priority.to_abi()).is_ok()
    }

    fn override_thread(&self, thread: PortName, class: Qos, lock: &AtomicU32) {
        // It fails if the thread has ended, and then does not own the lock.
        let _ = policy::override_owner(thread, class, lock);
    }

    fn reset_override(&self) {
        policy::reset_override().expect("a thread may always do that");
    }

    fn override_start(&self, thread: PortName, class: Qos, resource: u64) {
        // It fails if the thread has ended, or has 16 others: then it is not raised.
        let _ = policy::start_override(thread, abi::qos::Priority::of(class), resource);
    }

    fn override_end(&self, thread: PortName, resource: u64) {
        let _ = policy::end_override(thread, resource);
    }

    fn create_voucher(&self, recipes: &[u8]) -> Result<PortName, KernReturn> {
        voucher::create(host(), recipes)
    }

    fn extract(&self, voucher: PortName, key: u32, buffer: &mut [u8]) -> Result<usize, KernReturn> {
        voucher::extract(voucher, key, buffer)
    }

    fn voucher_command(
        &self,
        voucher: PortName,
        key: u32,
        command: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, KernReturn> {
        voucher::command(voucher, key, command, input, output)
    }

    fn release_send(&self, name: PortName) {
        // If the port has died, the name is a dead name, which this gives up too.
        let _ = port::deallocate(name);
    }

    fn generate_activity_ids(&self) -> u64 {
        voucher::generate_activity_ids().expect("the number of ids is valid")
    }

    fn unique_pid(&self) -> u64 {
        policy::unique_numbers(u64::from(runtime::task::pid() as u32)).expect("the task is alive").p_uniqueid
    }

    fn current_persona(&self) -> Option<u32> {
        policy::persona().ok()
    }

    fn send(&self, message: &mut [u8], options: MsgOption, timeout: u32, priority: u32) -> KernReturn {
        buffer::send(message, &Call { options, timeout, priority, ..Call::default() })
    }

    fn receive(
        &self,
        from: PortName,
        buffer: &mut [u8],
        options: MsgOption,
        timeout: u32,
        notify: PortName,
    ) -> Received {
        let call = Call { options, receive_name: from, timeout, priority: notify.0, ..Call::default() };
        received(from, buffer::receive(buffer, &call))
    }

    fn send_and_receive(
        &self,
        buffer: &mut [u8],
        size: usize,
        options: MsgOption,
        from: PortName,
        timeout: u32,
        priority: u32,
    ) -> Received {
        let call = Call { options, receive_name: from, timeout, priority, ..Call::default() };
        received(from, buffer::send_and_receive(buffer, size, &call))
    }

    fn construct(&self, flags: ConstructFlags, queue_limit: Option<u32>) -> Result<PortName, KernReturn> {
        let limit = if queue_limit.is_some() { ConstructFlags::QLIMIT } else { ConstructFlags::empty() };
        let mpl_qlimit = queue_limit.unwrap_or_default();
        port::construct(PortOptions { flags: (flags | limit).bits(), mpl_qlimit, reserved: [0; 2] }, 0)
    }

    fn insert_send(&self, port: PortName) -> Result<(), KernReturn> {
        port::insert_right(port, port, Disposition::MAKE_SEND)
    }

    fn mod_refs(&self, name: PortName, right: u32, delta: i32) -> Result<(), KernReturn> {
        port::mod_refs(name, right, delta)
    }

    fn allocate_set(&self) -> Result<PortName, KernReturn> {
        port::allocate(MACH_PORT_RIGHT_PORT_SET)
    }

    fn insert_member(&self, port: PortName, set: PortName) -> Result<(), KernReturn> {
        port::insert_member(port, set)
    }

    fn extract_member(&self, port: PortName, set: PortName) -> Result<(), KernReturn> {
        port::extract_member(port, set)
    }

    fn request_notification(
        &self,
        name: PortName,
        kind: i32,
        sync: u32,
        notify: PortName,
    ) -> Result<PortName, KernReturn> {
        port::request_notification(name, kind, sync, notify, Disposition::MAKE_SEND_ONCE)
    }

    fn special_reply_port(&self) -> PortName {
        SPECIAL_REPLY.with(|special| {
            if special.0.get() == MACH_PORT_NULL {
                special.0.set(port::special_reply().expect("there is room for a port").into_name());
            }
            special.0.get()
        })
    }

    fn forget_special_reply_port(&self) {
        SPECIAL_REPLY.with(SpecialReply::give_up);
    }

    fn bind_servicer(&self, port: PortName, thread: PortName) {
        port::bind_servicer(port, thread).expect("the port and the thread are the task's own");
    }

    fn start_thread(
        &self,
        _: &str,
        priority: Priority,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<PortName, KernReturn> {
        let builder = Builder::new().stack_size(STACK_SIZE).class(priority.class());
        if priority.relative() == 0 {
            return builder.detach(body);
        }
        builder.detach(Box::new(move || {
            policy::set_own_class(priority.to_abi()).expect("the thread has a class");
            body();
        }))
    }

    fn wait(&self, word: &AtomicU32, value: u32, microseconds: Option<u32>) -> bool {
        // To the kernel 0 is no limit.
        let limit = microseconds.map_or(0, |limit| limit.max(1));
        thread::wait_on_word(word, value, limit) != Err(u64::from(ETIMEDOUT.0))
    }

    fn wake(&self, word: &AtomicU32, all: bool) {
        // It fails if nobody waits.
        let _ = thread::wake_word(word, all);
    }

    fn now(&self) -> u64 {
        time::now()
    }

    fn processors(&self) -> usize {
        time::processors()
    }

    fn thread_self(&self) -> PortName {
        local::own_name()
    }

    fn thread_number(&self) -> u64 {
        thread::number()
    }

    fn tell(&self, note: u64, arguments: [u64; 3], voucher: PortName) -> bool {
        runtime::events::tell(note, arguments, voucher)
    }

    fn set_debug_port(&self, port: PortName) -> Result<(), KernReturn> {
        runtime::task::set_debug_port(port)
    }

    fn crash(&self, reason: &str) -> ! {
        panic!("{reason}")
    }
}
