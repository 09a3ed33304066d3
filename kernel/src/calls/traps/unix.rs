//! The Unix traps: exit, read, write, and waiting for a word of memory (errata 6).

use crate::ids::{Context, ThreadId};
use crate::kernel::Kernel;
use crate::limits::{CONSOLE_THREADS_PER_TICK, CONSOLE_WRITE_MAX};
use crate::machine::{Machine, Nanos, UserAddr};
use crate::outcome::Outcome;
use crate::sched::thread::Wait;
use abi::code::*;
use abi::task::ExitStatus;
use abi::trap::unix::{UL_COMPARE_AND_WAIT, ULF_WAKE_ALL};
use zerocopy::IntoBytes;

const NANOS_PER_MICRO: Nanos = 1_000;

/// The most bytes that one `read` returns.
const READ_MAX: u64 = 64;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

impl Kernel {
    /// `exit`: ends the calling task.
    pub(super) fn exit(&mut self, caller: Context, code: u8) -> Outcome {
        self.end_task(caller.task, ExitStatus::exited(code));
        Outcome::Pending
    }

    /// `write`: writes bytes to the console and returns their number. If the console's buffer has no room for them the
    /// caller waits until it has. Several threads that wait come in the order of their priorities.
    ///
    /// # Errors
    /// `EBADF` for another descriptor than standard output and standard error; `EFAULT` if the bytes cannot be read.
    /// `EINTR` if the wait is aborted; nothing is written then.
    pub(super) fn write(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        descriptor: u32,
        from: UserAddr,
        size: u64,
    ) -> Outcome {
        if !matches!(descriptor, STDOUT | STDERR) {
            return Outcome::Unix(Err(EBADF));
        }
        let size = size.min(CONSOLE_WRITE_MAX as u64);
        let mut buffer = [0; CONSOLE_WRITE_MAX];
        let bytes = &mut buffer[..size as usize];
        if machine.copy_in(caller.address_space, from, bytes).is_err() {
            return Outcome::Unix(Err(EFAULT));
        }
        if self.sched.writer().is_none() && machine.console_write(bytes) {
            return Outcome::Unix(Ok(size));
        }
        self.sched.block_on_output(&mut self.step, caller.thread, from, size);
        Outcome::Pending
    }

    /// Writes the output of the threads that wait for room, as far as there is room. What is too much for one step follows
    /// at once. Looking for room does not count as effort. It is repeated in each tick while there is no room, and a
    /// continuation, which waits for a part without much effort, would never go on.
    pub(crate) fn take_output(&mut self, machine: &mut dyn Machine) {
        let (mut writers, mut room) = (CONSOLE_THREADS_PER_TICK, CONSOLE_WRITE_MAX as u64);
        while let Some(writer) = self.sched.writer() {
            let Some(&Wait::Output { buffer, size }) = self.sched[writer].wait() else {
                panic!("{writer:?} is in the queue of output but waits for something else");
            };
            if writers == 0 || size > room {
                self.sched.set_console_deadline(Some(machine.now()));
                break;
            }
            if self.ends_at_console(writer) {
                writers -= 1;
                continue;
            }
            let mut bytes = [0; CONSOLE_WRITE_MAX];
            let bytes = &mut bytes[..size as usize];
            let space = self.sched[writer].context().address_space;
            let result = match machine.copy_in(space, buffer, bytes) {
                Ok(()) if !machine.console_write(bytes) => break,
                Ok(()) => Ok(size),
                Err(_) => Err(EFAULT),
            };
            self.ipc.end_wait(&mut self.sched, &mut self.step, writer);
            self.sched.finish(writer, Outcome::Unix(result));
            (writers, room) = (writers - 1, room - size);
        }
        if writers < CONSOLE_THREADS_PER_TICK {
            self.step.effort.add_output();
        }
    }

    /// Ends the wait of a thread for the console without input or output and returns true, if the thread is about to end.
    fn ends_at_console(&mut self, thread: ThreadId) -> bool {
        let ends = self.sched[thread].is_ending();
        if ends {
            self.ipc.end_wait(&mut self.sched, &mut self.step, thread);
        }
        ends
    }

    /// `read`: waits for input from the console, and returns the number of bytes that came: those that are there, and at
    /// least 1. Several threads that wait get input in the order of their priorities.
    ///
    /// # Errors
    /// `EBADF` for another descriptor than standard input; `EPERM` if the caller is not user 0, because the console is
    /// the system's; `EFAULT` if the buffer cannot be written: the input is lost then. `EINTR` if the wait is aborted.
    pub(super) fn read(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        descriptor: u32,
        buffer: UserAddr,
        size: u64,
    ) -> Outcome {
        if descriptor != STDIN {
            return Outcome::Unix(Err(EBADF));
        }
        if self.tasks[caller.task].credentials.uid != 0 {
            return Outcome::Unix(Err(EPERM));
        }
        if size == 0 {
            return Outcome::Unix(Ok(0));
        }
        self.sched.block_on_input(&mut self.step, caller.thread, buffer, size);
        self.give_input(machine);
        Outcome::Pending
    }

    /// Gives the input that has come to the threads that wait for it, to a bounded number at a time.
    pub(crate) fn give_input(&mut self, machine: &mut dyn Machine) {
        let mut readers = CONSOLE_THREADS_PER_TICK;
        while let Some(reader) = self.sched.reader() {
            let Some(&Wait::Input { buffer, size }) = self.sched[reader].wait() else {
                panic!("{reader:?} is in the queue of input but waits for something else");
            };
            if readers == 0 {
                return self.sched.set_console_deadline(Some(machine.now()));
            }
            readers -= 1;
            if self.ends_at_console(reader) {
                continue;
            }
            let mut bytes = [0; READ_MAX as usize];
            let taken = machine.console_read(&mut bytes[..size.min(READ_MAX) as usize]);
            if taken == 0 {
                return;
            }
            let space = self.sched[reader].context().address_space;
            let written = machine.copy_out(space, buffer, &bytes[..taken]);
            self.ipc.end_wait(&mut self.sched, &mut self.step, reader);
            self.sched.finish(reader, Outcome::Unix(written.map(|()| taken as u64).map_err(|_| EFAULT)));
            self.step.effort.add_ended_wait();
        }
    }

    /// `ulock_wait`: blocks the caller until `ulock_wake`, for a number of microseconds (0: without limit), if the word
    /// at `address` has this value. Comparing and blocking are one step, so that a wake-up between the two cannot be
    /// lost.
    ///
    /// # Errors
    /// `EINVAL` for an unknown operation or an address that is not a multiple of 4; `EFAULT` if the word cannot be
    /// read; `ENOMEM` if memory runs out. The wait may also end with `ETIMEDOUT` or `EINTR`.
    pub(super) fn ulock_wait(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        operation: u32,
        address: UserAddr,
        value: u32,
        microseconds: u32,
    ) -> Outcome {
        if let Err(errno) = check_word(operation, UL_COMPARE_AND_WAIT, address) {
            return Outcome::Unix(Err(errno));
        }
        let mut now = 0u32;
        if machine.copy_in(caller.address_space, address, now.as_mut_bytes()).is_err() {
            return Outcome::Unix(Err(EFAULT));
        }
        if now != value {
            return Outcome::Unix(Ok(0));
        }
        let deadline = match microseconds {
            0 => Nanos::MAX,
            time => machine.now().saturating_add(Nanos::from(time) * NANOS_PER_MICRO),
        };
        match self.sched.block_on_word(&mut self.step, caller.thread, address, deadline) {
            Ok(()) => Outcome::Pending,
            Err(_) => Outcome::Unix(Err(ENOMEM)),
        }
    }

    /// `ulock_wake`: wakes the first thread of the caller's task that waits for a word, or all.
    ///
    /// # Errors
    /// `EINVAL` for an unknown operation or an address that is not a multiple of 4; `ENOENT` if no thread waits.
    pub(super) fn ulock_wake(&mut self, caller: Context, operation: u32, address: UserAddr) -> Result<u64, Errno> {
        check_word(operation & !ULF_WAKE_ALL, UL_COMPARE_AND_WAIT, address)?;
        let woken = Outcome::Unix(Ok(0));
        let all = operation & ULF_WAKE_ALL != 0;
        if !self.sched.wake_word(&mut self.step, caller.task, address, woken) {
            return Err(ENOENT);
        }
        while all && self.sched.wake_word(&mut self.step, caller.task, address, woken) {}
        Ok(0)
    }
}

/// Checks operation and address of a ulock trap.
///
/// # Errors
/// `EINVAL`.
fn check_word(operation: u32, expected: u32, address: UserAddr) -> Result<(), Errno> {
    if operation == expected && address.0.is_multiple_of(4) { Ok(()) } else { Err(EINVAL) }
}
