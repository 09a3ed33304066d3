//! Starting the first program.

use crate::credentials::Identity;
use crate::ipc::budget::Source;
use crate::kernel::{Kernel, Next};
use crate::lifetime::NewTask;
use crate::limits::{ARGUMENTS_SIZE_MAX, FRAMES_RESERVE, HEAP_RESERVE};
use crate::machine::{Machine, NoMemory};
use crate::policy::{Marks, TaskPolicy};
use crate::task::frames;
use crate::task::program::Image;
use crate::task::start::Strings;
use abi::KernReturn;
use abi::code::{KERN_INVALID_ARGUMENT, KERN_RESOURCE_SHORTAGE};
use core::fmt;
use heapless::String;

/// The name by which the first program knows itself.
const FIRST_ARGUMENT: &[u8] = b"init\0";

/// The reason why the first program did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The bundle has no file `init`.
    NoInit,
    /// The program could not be started.
    BadInit(KernReturn),
    /// The arguments are longer than [`ARGUMENTS_SIZE_MAX`], or with their pointers take more than half of the
    /// program's stack.
    TooManyArguments,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::NoInit => f.write_str("the bundle has no program `init`"),
            BootError::TooManyArguments => f.write_str("the program `init` does not start: too many arguments"),
            BootError::BadInit(code) => write!(f, "the program `init` does not start: {code}"),
        }
    }
}

impl Kernel {
    /// Starts `init` from the bundle, as user 0, with the arguments in the bundle's file `cmdline`, each ended by a
    /// zero byte. Called once, before the first trap.
    ///
    /// # Errors
    /// [`BootError`]; the machine has no program to run then.
    pub fn boot(&mut self, machine: &mut dyn Machine) -> Result<Next, BootError> {
        let file = self.bundle.file("init").ok_or(BootError::NoInit)?;
        let given = self.bundle.file("cmdline").unwrap_or(b"");
        let no_memory = |_| BootError::BadInit(KERN_RESOURCE_SHORTAGE);
        let size = FIRST_ARGUMENT.len() + given.len();
        if size as u64 > ARGUMENTS_SIZE_MAX {
            return Err(BootError::TooManyArguments);
        }
        let mut arguments = store::try_with_capacity(size).map_err(no_memory)?;
        arguments.extend_from_slice(FIRST_ARGUMENT);
        arguments.extend_from_slice(given);
        let strings = Strings::new(arguments, alloc::vec::Vec::new());
        let name = String::try_from("init").expect("a short name fits");
        let (identity, policy, marks) = (Identity::FIRST, TaskPolicy::default(), Marks::default());
        let bytes = usize::try_from(HEAP_RESERVE.rest(machine.free_heap())).unwrap_or(usize::MAX);
        self.set_places(bytes).map_err(no_memory)?;
        let budget = Source::Machine(bytes);
        let frames = frames::Source::Machine(FRAMES_RESERVE.rest(machine.free_frames()));
        let new =
            NewTask { name, uid: 0, gid: 0, identity, policy, marks, coalition: None, budget, frames, start_frames: 0 };
        let task = self.start_program(machine, new, Image::Bundle(file), &strings).map_err(|code| match code {
            KERN_INVALID_ARGUMENT => BootError::TooManyArguments,
            code => BootError::BadInit(code),
        })?;
        self.first_task = Some(task);
        Ok(self.leave(machine, 0, None))
    }

    /// Makes the tables of what users make as long as they may become, if budgets of so many bytes in all pay for it. If
    /// they grew with what is in them, one step would move as many addresses as others have objects. The memory is no
    /// task's.
    fn set_places(&mut self, bytes: usize) -> Result<(), NoMemory> {
        self.ipc.set_places(bytes)?;
        self.vouchers.set_places(bytes)
    }

    /// Returns true if the arguments of `init` begin with options and this one is among them. For the report of a panic:
    /// it allocates nothing.
    pub fn is_booted_with(&self, option: &str) -> bool {
        let given = self.bundle.file("cmdline").unwrap_or(b"").split(|&byte| byte == 0);
        given.take_while(|argument| argument.starts_with(b"--")).any(|argument| argument == option.as_bytes())
    }
}
