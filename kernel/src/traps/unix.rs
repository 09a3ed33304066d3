//! The Unix subset: exit, write, waiting on a word of memory (errata 6).

use super::{Caller, Outcome};
use crate::kernel::Kernel;
use crate::machine::{Machine, Nanos, UserAddr};
use crate::thread::Wait;
use crate::wait::WaitQueue;
use abi::code::*;
use abi::task::ExitStatus;
use abi::trap::unix::{UL_COMPARE_AND_WAIT, ULF_WAKE_ALL};
use zerocopy::IntoBytes;

/// Bytes that one `write` takes at most; it returns how many it took.
const WRITE_MAX: u64 = 1024;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

impl Kernel {
    pub(super) fn exit(&mut self, by: Caller, code: u8) -> Outcome {
        self.end_task(by.task, ExitStatus::exited(code));
        Outcome::Pending
    }

    pub(super) fn write(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        descriptor: u32,
        from: UserAddr,
        size: u64,
    ) -> Result<u64, Errno> {
        if !matches!(descriptor, STDOUT | STDERR) {
            return Err(EBADF);
        }
        let mut buffer = [0; WRITE_MAX as usize];
        let taken = size.min(WRITE_MAX);
        let bytes = &mut buffer[..taken as usize];
        m.copy_in(by.address_space, from, bytes).map_err(|_| EFAULT)?;
        m.console_write(bytes);
        Ok(taken)
    }

    /// Waits until `ulock_wake`, for so many microseconds (0: for ever), if the word still has the value given.
    pub(super) fn ulock_wait(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        operation: u32,
        address: UserAddr,
        value: u32,
        microseconds: u32,
    ) -> Outcome {
        if let Err(errno) = check_word(operation, UL_COMPARE_AND_WAIT, address) {
            return Outcome::UnixError(errno);
        }
        let mut now = 0u32;
        if m.copy_in(by.address_space, address, now.as_mut_bytes()).is_err() {
            return Outcome::UnixError(EFAULT);
        }
        if now != value {
            return Outcome::Unix(0);
        }
        let key = (by.task, address);
        if self.words.get(&key).is_none() && self.words.insert(key, WaitQueue::default()).is_err() {
            return Outcome::UnixError(ENOMEM);
        }
        let deadline = match microseconds {
            0 => Nanos::MAX,
            time => m.now() + Nanos::from(time) * 1000,
        };
        self.block(by.thread, Wait::Word(address), deadline);
        Outcome::Pending
    }

    /// Wakes one thread of the caller's task that waits on a word, or all.
    pub(super) fn ulock_wake(&mut self, by: Caller, operation: u32, address: UserAddr) -> Result<u64, Errno> {
        check_word(operation & !ULF_WAKE_ALL, UL_COMPARE_AND_WAIT, address)?;
        let mut woken = 0;
        while let Some(thread) = self.words.get(&(by.task, address)).and_then(WaitQueue::first) {
            self.finish_wait(thread);
            self.threads[thread].frame.set_unix(Ok(0));
            woken += 1;
            if operation & ULF_WAKE_ALL == 0 {
                break;
            }
        }
        if woken == 0 { Err(ENOENT) } else { Ok(0) }
    }
}

fn check_word(operation: u32, expected: u32, address: UserAddr) -> Result<(), Errno> {
    if operation == expected && address.0.is_multiple_of(4) { Ok(()) } else { Err(EINVAL) }
}
