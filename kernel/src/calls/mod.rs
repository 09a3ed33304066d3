//! The calls that programs make: traps, messages to kernel objects, and starting programs.

pub(crate) mod kobject;
pub(crate) mod spawn;
pub(crate) mod traps;
