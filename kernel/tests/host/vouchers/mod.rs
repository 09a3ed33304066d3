//! Vouchers as programs use them: by trap, by message to kernel objects, and in the headers of messages (vouchers 4, 7).
//!
//! The registry and its managers have tests of their own, in `voucher/tests`.

mod extraction;
mod importance;
mod messages;
mod objects;
mod ownership;
mod random;
pub mod routines;
pub mod scenarios;
mod security;
mod strict;
mod threads;
mod traps;

use crate::calls::Form;
use crate::message::Msg;
use crate::world::{ARGUMENTS, Actor, BUFFER, World};
use abi::mig::{NDR, mach_host};
use abi::port::{MACH_PORT_NULL, MACH_PORT_RIGHT_SEND};
use abi::trap::mach;
use abi::voucher::*;
use abi::{KernReturn, PortName};
use kernel::ids::VoucherId;
use zerocopy::IntoBytes;

pub const ALL: u32 = MACH_VOUCHER_ATTR_KEY_ALL;
pub const BANK: u32 = MACH_VOUCHER_ATTR_KEY_BANK;
pub const PRIORITY: u32 = MACH_VOUCHER_ATTR_KEY_PTHPRIORITY;
pub const USER_DATA: u32 = MACH_VOUCHER_ATTR_KEY_USER_DATA;
pub const TEST: u32 = MACH_VOUCHER_ATTR_KEY_TEST;

/// The 13 bytes of vouchers R-04.
pub const HELLO: &[u8] = b"Hello World!\0";
/// The length of a recipe without content.
pub const HEADER: usize = size_of::<RecipeHeader>();
/// The length of the recipe of [`HELLO`].
pub const HELLO_SIZE: usize = HEADER + HELLO.len();
/// The length of the longest array of recipes.
pub const ARRAY_MAX: usize = MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE;
/// A canonical priority: user-initiated.
pub const USER_INITIATED: u32 = 0x10FF;

/// Returns a recipe: `it(key, command, previous, content)` of the specification.
pub fn it(key: u32, command: u32, previous: PortName, content: &[u8]) -> Vec<u8> {
    let header = RecipeHeader { key, command, previous_voucher: previous.0, content_size: content.len() as u32 };
    [header.as_bytes(), content].concat()
}

/// Returns a recipe that stores a content.
pub fn st(key: u32, content: &[u8]) -> Vec<u8> {
    it(key, MACH_VOUCHER_ATTR_USER_DATA_STORE, MACH_PORT_NULL, content)
}

/// Returns a recipe that copies an attribute of `previous`.
pub fn cp(key: u32, previous: PortName) -> Vec<u8> {
    it(key, MACH_VOUCHER_ATTR_COPY, previous, b"")
}

/// Returns a recipe for the bank's value "current task".
pub fn current_task() -> Vec<u8> {
    it(BANK, MACH_VOUCHER_ATTR_BANK_CREATE, MACH_PORT_NULL, b"")
}

/// Returns a recipe for a priority.
pub fn priority(word: u32) -> Vec<u8> {
    it(PRIORITY, MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE, MACH_PORT_NULL, &word.to_le_bytes())
}

impl World {
    /// Returns the actor's name of the host. It keeps one reference, however often it asks.
    pub fn host(&mut self, actor: Actor) -> PortName {
        let host = self.trap(actor, mach::HOST_SELF, &[]).name();
        if self.get_refs(actor, host, MACH_PORT_RIGHT_SEND).unwrap() > 1 {
            self.call(actor, mach::MACH_PORT_DEALLOCATE, &[actor.self_port.0, host.0].map(u64::from)).unwrap();
        }
        host
    }

    /// Creates a voucher, by trap or by message, and returns its name.
    pub fn make_voucher(&mut self, actor: Actor, recipes: &[Vec<u8>]) -> Result<PortName, KernReturn> {
        let recipes = recipes.concat();
        let host = self.host(actor);
        match self.form {
            Form::Trap => self.create_by_trap(actor, host, &recipes),
            Form::Message => self.create_by_message(actor, host, &recipes),
        }
    }

    pub fn create_by_trap(&mut self, actor: Actor, host: PortName, recipes: &[u8]) -> Result<PortName, KernReturn> {
        self.put(actor, BUFFER, recipes);
        let args = [host.0.into(), self.buffer(actor), recipes.len() as u64, self.result(actor)];
        self.call_for_name(actor, mach::HOST_CREATE_MACH_VOUCHER, &args)
    }

    pub fn create_by_message(&mut self, actor: Actor, to: PortName, recipes: &[u8]) -> Result<PortName, KernReturn> {
        let mut request = Msg::copy_send(to).id(mach_host::CREATE_MACH_VOUCHER).body(&NDR);
        request = request.words(&[recipes.len() as u32]).body(recipes);
        request = request.body(&vec![0; recipes.len().next_multiple_of(4) - recipes.len()]);
        Ok(self.rpc(actor, request)?.descriptor(0).name)
    }

    /// Extracts an attribute as a recipe by trap, into a buffer of `size` bytes.
    pub fn extract(&mut self, actor: Actor, voucher: PortName, key: u32, size: u32) -> Result<Vec<u8>, KernReturn> {
        self.put(actor, ARGUMENTS, &size.to_le_bytes());
        let args = [voucher.0.into(), key.into(), self.buffer(actor), actor.memory + ARGUMENTS];
        let result = self.call(actor, mach::MACH_VOUCHER_EXTRACT_ATTR_RECIPE, &args);
        let left = u32::from_le_bytes(self.get(actor, ARGUMENTS, 4).try_into().unwrap());
        match result {
            Ok(()) => Ok(self.get(actor, BUFFER, left as usize)),
            Err(code) => {
                assert_eq!(left, size, "a failed extraction leaves the word for the size");
                Err(code)
            }
        }
    }

    /// Returns the user references of a send right.
    #[track_caller]
    pub fn refs(&mut self, actor: Actor, name: PortName) -> u32 {
        self.get_refs(actor, name, MACH_PORT_RIGHT_SEND).unwrap()
    }

    /// Returns the voucher that a name denotes.
    pub fn voucher_of(&self, actor: Actor, name: PortName) -> Option<VoucherId> {
        self.kernel.ipc.voucher_named(self.kernel.tasks[actor.task].space, name)
    }

    /// Returns the numbers of live vouchers, of user data under the keys 7 and 8, and of tasks and accounts in the bank.
    pub fn values(&self) -> (usize, usize, usize, (usize, usize)) {
        let system = self.kernel.vouchers.system();
        (system.registry.len(), system.user_data.len(), system.test.len(), system.bank.len())
    }

    /// Returns the references of a live voucher.
    pub fn voucher_refs(&self, voucher: VoucherId) -> u32 {
        self.kernel.vouchers.system().registry.get(voucher).expect("the voucher is alive").refs()
    }
}
