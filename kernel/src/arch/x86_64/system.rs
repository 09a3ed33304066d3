//! Between entry and exit: the lock, the kernel, and the switch to the next thread.

use super::big_lock::BigLock;
use super::entry;
use super::machine::X86Machine;
use super::per_cpu;
use super::segments;
use abi::task::Exception;
use abi::trap::mach::MACH_PORT_DEALLOCATE;
use core::ptr;
use kernel::ids::ThreadId;
use kernel::kernel::{Event, Kernel, Next};
use kernel::limits::CPUS_MAX;
use kernel::machine::{AddressSpace, Cpu, Machine, UserAddr};
use kernel::shortcut::PlainCall;
use kernel::trap_frame::TrapFrame;
use x86_64::instructions::interrupts;

/// The only processor.
const CPU: Cpu = 0;

/// The status of a machine whose first program did not start.
const NOT_STARTED: u32 = 127;

/// The functions below return pointers to frames, and the entry code stores the registers of the thread that leaves and
/// loads those of the next one when the lock is free again. That is safe because no other processor can take it: one that
/// did could choose the thread that leaves before its registers are stored, or end the next one and free its frame. With
/// several processors the entry code has to hold the lock until it has left both frames, or the scheduler may not choose
/// or end a thread before its processor says so. `per_cpu` has a block for each processor then.
const _: () = assert!(CPUS_MAX == 1, "frames are used without the lock");

/// The state that the lock guards.
struct System {
    kernel: Kernel,
    machine: X86Machine,
}

static SYSTEM: BigLock<System> = BigLock::new();

/// How the kernel is left after a trap. The entry code gets it in two registers.
#[derive(Debug)]
#[repr(C)]
pub struct Exit {
    /// With a `next`: the frame of the thread that entered the kernel, into which those of its registers go that are
    /// still in the processor; null if the thread has ended. Without: the result of the trap.
    pub left: *mut TrapFrame,
    /// The frame of the thread that runs next; null if the thread that made the trap goes on, and only its result is
    /// new.
    pub next: *mut TrapFrame,
}

/// Starts the first program.
pub fn run(kernel: Kernel, mut machine: X86Machine) -> ! {
    machine.use_line_interrupts();
    SYSTEM.set(System { kernel, machine });
    let exit = SYSTEM.with(|system| match system.kernel.boot(&mut system.machine) {
        Ok(next) => proceed(system, None, next),
        Err(error) => {
            system.machine.log(format_args!("{error}"));
            do_not_start(&mut system.machine)
        }
    });
    let frame = exit.expect("the first program is ready").next;
    // SAFETY: `proceed` has made the processor ready for this frame's thread.
    unsafe { entry::run(frame) }
}

/// Returns the kernel and the machine for the report of a panic, if they are there. They may be in any state.
///
/// # Safety
/// The caller never returns.
pub unsafe fn in_emergency() -> Option<(&'static Kernel, &'static X86Machine)> {
    // SAFETY: As the caller says.
    unsafe { SYSTEM.in_emergency() }.map(|system| (&system.kernel, &system.machine))
}

/// Handles a call of `mach_msg` on the fast path, and runs the thread that runs next. Returns only if it cannot do that:
/// then the state is unchanged, and the call has to be handled as [any other trap](handle_trap).
pub extern "C" fn handle_plain_call(message: u64, options: u32, send_size: u32, receive_size: u32, receive_name: u32) {
    let call = PlainCall { buffer: UserAddr(message), options, send_size, receive_size, receive_name };
    let next = SYSTEM.with(|System { kernel, machine }| {
        let next = kernel.call_directly(machine, CPU, &call)?;
        run_in(machine, next.address_space);
        // SAFETY: The thread that made the call waits now: its frame is there, is another one, and is not in use.
        unsafe { machine.exchange_extended_in_traps(per_cpu::running_frame(), next.frame) };
        Some(ptr::from_mut(next.frame))
    });
    if let Some(frame) = next {
        // SAFETY: The processor is ready for this frame's thread, which waited for a message and so is in a trap.
        unsafe { entry::switch(frame) }
    }
}

/// Handles a trap with this number: at once if it is a quick one.
pub extern "C" fn handle_any_trap(number: u32) -> Exit {
    match SYSTEM.with(|System { kernel, machine }| kernel.quick_trap(machine, CPU, number)) {
        Some(value) => Exit { left: ptr::without_provenance_mut(value as usize), next: ptr::null_mut() },
        None if number == MACH_PORT_DEALLOCATE => handle_deallocate(),
        None => handle_trap(),
    }
}

/// Handles `mach_port_deallocate`: directly if that is possible.
#[inline(never)]
fn handle_deallocate() -> Exit {
    match SYSTEM.with(|System { kernel, .. }| kernel.drop_spare_reference(CPU)) {
        Some(value) => Exit { left: ptr::without_provenance_mut(value as usize), next: ptr::null_mut() },
        None => handle_trap(),
    }
}

/// Handles `swtch`: directly if that is possible.
pub extern "C" fn handle_yield() -> Exit {
    let exit = SYSTEM.with(|System { kernel, machine }| {
        let next = kernel.yield_directly(machine, CPU)?;
        run_in(machine, next.address_space);
        let left = per_cpu::running_frame();
        // SAFETY: The thread that made the trap is ready now: its frame is there, is another one, and is not in use.
        unsafe { machine.exchange_extended(left, next.frame) };
        Some(Exit { left, next: next.frame })
    });
    exit.unwrap_or_else(|| handle_trap())
}

/// Handles the trap whose number and arguments are in the running thread's frame.
#[inline(never)]
pub extern "C" fn handle_trap() -> Exit {
    SYSTEM.with(|system| step(system, Event::Trap)).unwrap_or_else(idle)
}

/// Handles an exception in user code. Returns the frame of the thread that runs next.
pub fn handle_exception(kind: Exception, vector: u8, address: u64) -> *mut TrapFrame {
    let event = Event::Exception { kind, vector, address };
    SYSTEM.with(|system| step(system, event)).unwrap_or_else(idle).next
}

/// Handles the timer's interrupt of user code. Returns the frame of the thread that runs next.
pub fn handle_timer() -> *mut TrapFrame {
    timer_while_idle();
    SYSTEM.with(|system| step(system, Event::Timer)).unwrap_or_else(idle).next
}

/// Handles an interrupt while the processor sleeps: the sleep ends by it.
pub fn timer_while_idle() {
    SYSTEM.with(|system| {
        system.machine.end_of_interrupt();
        system.machine.serve_lines();
    });
}

/// Returns the frame of the running thread, which goes on after a spurious interrupt.
pub fn go_on() -> *mut TrapFrame {
    SYSTEM.with(go_back)
}

/// Gives the running thread, which has tried to use it, the FPU. Returns its frame.
pub fn give_fpu() -> *mut TrapFrame {
    SYSTEM.with(|System { kernel, machine }| {
        let thread = kernel.sched.current(CPU).expect("only a running thread uses registers");
        let (frame, _) = kernel.context(thread);
        machine.give_fpu(frame);
        ptr::from_mut(frame)
    })
}

/// Lets the kernel handle an event, and carries out its answer. If there is no thread to run, the error is the thread
/// that entered the kernel.
#[inline(always)]
fn step(system: &mut System, event: Event) -> Result<Exit, Option<ThreadId>> {
    let entered = system.kernel.sched.current(CPU);
    let next = system.kernel.handle_off_fast_path(&mut system.machine, CPU, event);
    proceed(system, entered, next).ok_or(entered)
}

/// Carries out the kernel's answer. Returns `None` if there is no thread to run. `entered` is the thread that entered
/// the kernel.
#[inline(always)]
fn proceed(system: &mut System, entered: Option<ThreadId>, next: Next) -> Option<Exit> {
    match next {
        Next::GoOn => {
            let frame = go_back(system);
            Some(Exit { left: frame, next: frame })
        }
        Next::Run(thread) => {
            let System { kernel, machine } = system;
            // The frame of a thread that has ended is gone.
            let left = entered.and_then(|thread| kernel.frame_if_alive(thread)).map_or(ptr::null_mut(), ptr::from_mut);
            let (next, address_space) = kernel.context(thread);
            run_in(machine, address_space);
            // SAFETY: If `left` is not null its thread is alive, and no reference to its frame is in use but `next`.
            unsafe { machine.exchange_extended(left, next) };
            Some(Exit { left, next })
        }
        Next::Idle => None,
        Next::Shutdown(status) => shut_down(&mut system.machine, status),
    }
}

/// Sleeps until there is a thread to run.
#[inline(never)]
fn idle(entered: Option<ThreadId>) -> Exit {
    loop {
        // The interrupt that ends the sleep leads back here.
        interrupts::enable_and_hlt();
        interrupts::disable();
        let exit = SYSTEM.with(|system| {
            let next = system.kernel.handle_off_fast_path(&mut system.machine, CPU, Event::Timer);
            proceed(system, entered, next)
        });
        if let Some(exit) = exit {
            return exit;
        }
    }
}

/// Makes user code run in an address space.
#[inline(always)]
fn run_in(machine: &mut X86Machine, address_space: AddressSpace) {
    if machine.paging.run_in(address_space) {
        segments::forget_user_selectors();
    }
}

/// Goes back to the thread that entered. Copies may have made the memory of another task accessible.
#[inline(always)]
fn go_back(system: &mut System) -> *mut TrapFrame {
    system.machine.paging.restore();
    per_cpu::running_frame()
}

/// Stops the machine without a first program.
pub fn do_not_start(machine: &mut X86Machine) -> ! {
    shut_down(machine, NOT_STARTED)
}

fn shut_down(machine: &mut X86Machine, status: u32) -> ! {
    machine.log(format_args!("shutdown, status {status}"));
    machine.drain_lines();
    super::panic::leave(super::panic::Exit::Shutdown)
}
