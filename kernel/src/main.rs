//! The kernel image: the portable core (this package's library) on the hardware of a PC.
//!
//! The code for the hardware is in `arch/x86_64`, whose first page has a list of its files.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod arch {
    pub mod x86_64;
}

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!("kernel: this is an image for the bare machine, use ./run-qemu.sh");
    std::process::ExitCode::from(64)
}
