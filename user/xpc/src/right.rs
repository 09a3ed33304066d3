//! Send rights that objects own.
//!
//! An object does not know how a right is given back to the kernel: that is a system call. The crate that makes system
//! calls has a type that owns a name and deallocates it when it is dropped. It implements [`Right`] and hands the
//! value over; the objects share it and drop it.

use abi::port::PortName;
use alloc::sync::Arc;
use core::fmt;

/// An owned send right, or the dead name that it has become.
///
/// Dropping the value gives the right back: exactly one user reference of the name is its own.
pub trait Right: Send + Sync + 'static {
    /// Returns the name of the right in this task. It is valid for as long as the value lives.
    fn name(&self) -> PortName;
}

/// A send right shared by the objects that contain it. The last of them to be dropped gives it back.
///
/// Two rights are equal if their names are: a task has all its send rights to one port under one name.
#[derive(Clone)]
pub struct SendRight(Arc<dyn Right>);

impl SendRight {
    /// Returns the shared form of an owned right.
    pub fn new(right: impl Right) -> SendRight {
        SendRight(Arc::new(right))
    }

    /// Returns the name of the right in this task. It is valid for as long as this value or a copy of it lives.
    pub fn name(&self) -> PortName {
        self.0.name()
    }
}

impl PartialEq for SendRight {
    fn eq(&self, other: &SendRight) -> bool {
        self.name() == other.name()
    }
}

impl Eq for SendRight {}

impl fmt::Debug for SendRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<mach send right> {{ name = {:?} }}", self.name())
    }
}
