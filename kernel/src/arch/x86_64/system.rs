//! Between entry and exit: the lock, the kernel, and what runs next.

use super::entry;
use super::machine::X86Machine;
use super::per_cpu;
use super::segments;
use kernel::ids::ThreadId;
use kernel::kernel::{Event, Kernel, Next};
use kernel::machine::{Cpu, Machine};
use kernel::trap_frame::TrapFrame;
use spin::{Mutex, MutexGuard};
use x86_64::instructions::interrupts;

/// The only processor.
const CPU: Cpu = 0;

/// The status of a machine whose first program did not start.
const NOT_STARTED: u32 = 127;

/// Everything that the lock protects.
struct System {
    kernel: Kernel,
    machine: X86Machine,
    /// The thread that runs or ran last on the processor.
    current: Option<ThreadId>,
}

/// The kernel's one lock. It is taken at each entry and let go before user code runs or the processor sleeps.
static SYSTEM: Mutex<Option<System>> = Mutex::new(None);

#[inline(always)]
fn with<R>(guard: &mut MutexGuard<'_, Option<System>>, f: impl FnOnce(&mut System) -> R) -> R {
    f(guard.as_mut().expect("there is a system before anything enters it"))
}

/// Starts the first program.
pub fn run(kernel: Kernel, machine: X86Machine) -> ! {
    let mut guard = SYSTEM.lock();
    let system = guard.insert(System { kernel, machine, current: None });
    let next = match system.kernel.boot(&mut system.machine) {
        Ok(next) => next,
        Err(error) => {
            system.machine.log(format_args!("{error}"));
            shut_down(system, NOT_STARTED)
        }
    };
    let frame = carry_out(guard, next);
    // SAFETY: `carry_out` has made everything ready for this frame's thread.
    unsafe { entry::run(frame) }
}

/// The running thread made a trap. Returns the frame of the thread that runs next.
pub extern "C" fn handle_trap() -> *mut TrapFrame {
    handle(Event::Trap)
}

/// Lets the kernel handle an event, and returns the frame of the thread that runs next.
#[inline(always)]
pub fn handle(event: Event) -> *mut TrapFrame {
    let mut guard = SYSTEM.lock();
    let next = with(&mut guard, |system| system.kernel.handle(&mut system.machine, CPU, event));
    carry_out(guard, next)
}

/// The timer interrupted user code.
pub fn handle_timer() -> *mut TrapFrame {
    timer_while_idle();
    handle(Event::Timer)
}

/// The timer's interrupt came. While the processor sleeps that is all there is to do: the sleep ends by it.
pub fn timer_while_idle() {
    with(&mut SYSTEM.lock(), |system| system.machine.end_of_interrupt());
}

/// Nothing happened: the running thread goes on.
pub fn go_on() -> *mut TrapFrame {
    with(&mut SYSTEM.lock(), go_back)
}

/// The running thread wants to use vector registers.
pub fn hand_over_fpu() -> *mut TrapFrame {
    with(&mut SYSTEM.lock(), |system| {
        let thread = system.current.expect("only a running thread uses registers");
        system.machine.fpu.claim(&mut system.kernel, thread);
        prepare(system, thread)
    })
}

/// Does what the kernel said is next, until that is a thread.
#[inline(always)]
fn carry_out(mut guard: MutexGuard<'_, Option<System>>, next: Next) -> *mut TrapFrame {
    match next {
        Next::GoOn => with(&mut guard, go_back),
        Next::Run(thread) => with(&mut guard, |system| prepare(system, thread)),
        Next::Shutdown(status) => with(&mut guard, |system| shut_down(system, status)),
        Next::Idle => idle(guard),
    }
}

/// Sleeps until there is a thread to run.
#[inline(never)]
fn idle(mut guard: MutexGuard<'_, Option<System>>) -> *mut TrapFrame {
    loop {
        drop(guard);
        // What interrupts the sleep leads back here.
        interrupts::enable_and_hlt();
        interrupts::disable();
        guard = SYSTEM.lock();
        match with(&mut guard, |system| system.kernel.handle(&mut system.machine, CPU, Event::Timer)) {
            Next::Idle => {}
            next => return carry_out(guard, next),
        }
    }
}

/// Makes the processor ready for a thread, and returns the thread's frame.
#[inline(always)]
fn prepare(system: &mut System, thread: ThreadId) -> *mut TrapFrame {
    let System { kernel, machine, current } = system;
    *current = Some(thread);
    let (frame, space) = kernel.context(thread);
    if machine.paging.run_in(space) {
        segments::forget_user_selectors();
    }
    machine.fpu.prepare_for(thread);
    machine.bases.load(frame);
    frame
}

/// Goes back to the thread that entered. Copies may have made the memory of another task accessible.
#[inline(always)]
fn go_back(system: &mut System) -> *mut TrapFrame {
    system.machine.paging.restore();
    per_cpu::running_frame()
}

fn shut_down(system: &mut System, status: u32) -> ! {
    system.machine.log(format_args!("shutdown, status {status}"));
    super::panic::leave(super::panic::Exit::Shutdown)
}
