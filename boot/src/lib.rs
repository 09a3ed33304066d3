//! The boot loader of Tally: its decisions, which host tests cover.
//!
//! QEMU starts the binary of this package by PVH (`qemu -kernel boot -initrd bundle.tar`). The binary owns the
//! hardware; every decision is taken here, without `unsafe` and without hardware, and is tested on the host:
//!
//! 1. [`bundle`] finds the file `kernel` in the bundle.
//! 2. [`image`] checks its ELF and reads the kernel's [`BootloaderConfig`](bootloader_api::BootloaderConfig).
//! 3. [`layout`] chooses the virtual addresses that the configuration leaves open.
//! 4. [`arena`] takes one contiguous range of RAM ([`memory`]) for all that the kernel finds at its start.
//! 5. [`plan`] combines them: it loads the segments, writes the page tables ([`paging`]) and fills `BootInfo`.
//!
//! Whatever is wrong ends with a [`Fault`](fault::Fault): one line on serial and an exit value of its own.
//!
//! # The state at the kernel's entry point
//!
//! The contract is that of the `bootloader` crate (`bootloader_api` 0.11), so that a kernel for the one also starts
//! under the other. In addition:
//!
//! - The lower half of the address space is empty. Every mapping is in the higher half and, where the processor has
//!   them, made of global pages (CR4.PGE is on).
//! - No page is writable and executable: neither by one mapping nor by two. In the mapping of physical memory the
//!   frames of read-only segments are read-only and no page is executable. EFER.NXE and CR0.WP are on.
//! - The GDT in use is in the hand-over page: a read-only, executable page in an address slot of its own, which also
//!   holds the five instructions of the jump. Once the kernel has its own GDT the page is of no use.
//! - 2 MiB pages of the physical mapping that hold no memory at all are mapped uncached.
//! - The lowest page of memory is not usable, so that no object has the physical address 0.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

pub mod arena;
pub mod bundle;
#[cfg(test)]
mod changed;
pub mod fault;
pub mod gdt;
pub mod image;
pub mod layout;
pub mod memory;
pub mod paging;
pub mod plan;
pub mod span;
#[cfg(test)]
mod testing;
