//! Names of kernel vouchers: who gives them up (dispatch R-3).

use crate::process::Process;
use abi::PortName;
use abi::port::MACH_PORT_NULL;
use core::marker::PhantomData;
use core::mem;

/// A send right: one user reference to a name, which is given up when this is dropped.
pub struct OwnedSend {
    process: &'static Process,
    name: PortName,
}

impl OwnedSend {
    /// Takes over a reference to a name that the task has. `None` for the null name and for a dead one, which hold
    /// nothing.
    pub fn new(process: &'static Process, name: PortName) -> Option<OwnedSend> {
        name.is_valid().then_some(OwnedSend { process, name })
    }

    /// Returns the name.
    pub fn name(&self) -> PortName {
        self.name
    }

    /// Lends the name.
    pub fn lend(&self) -> BorrowedSend<'_> {
        BorrowedSend { name: self.name, owner: PhantomData }
    }

    /// Returns the name, whose reference the caller owns from now on.
    pub fn into_name(self) -> PortName {
        let name = self.name;
        mem::forget(self);
        name
    }
}

impl Drop for OwnedSend {
    fn drop(&mut self) {
        self.process.kernel.release_send(self.name);
    }
}

/// A send right that something else keeps alive.
#[derive(Clone, Copy)]
pub struct BorrowedSend<'a> {
    name: PortName,
    owner: PhantomData<&'a ()>,
}

impl<'a> BorrowedSend<'a> {
    /// Returns the name.
    pub fn name(&self) -> PortName {
        self.name
    }

    /// Returns a name that `owner` keeps alive.
    pub(super) fn of<T>(name: PortName, _owner: &'a T) -> BorrowedSend<'a> {
        BorrowedSend { name, owner: PhantomData }
    }

    /// No voucher: the null name.
    pub const NULL: BorrowedSend<'static> = BorrowedSend { name: MACH_PORT_NULL, owner: PhantomData };
}
