//! The boot loader of Tally: the hardware. The library of this package takes the decisions; here are the entry from
//! PVH, the few places that touch memory and devices, and the jump to the kernel.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod handover;
#[cfg(target_os = "none")]
mod report;
#[cfg(target_os = "none")]
mod start;

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!("boot: this is an image for the bare machine, use ./run-qemu.sh");
    std::process::ExitCode::from(64)
}
