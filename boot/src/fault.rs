//! The faults that keep the kernel from starting, with the number and the message of each.

use core::fmt;

/// Declares [`Fault`] from `number Name { details } => "message"` lines.
macro_rules! faults {
    ($($(#[$doc:meta])* $code:literal $name:ident $({ $($field:ident: $type:ty),+ })? => $message:literal;)+) => {
        /// Why boot gives up. [`Fault::code`] leaves the machine, the message (`Display`) goes to serial.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name $({
                $(#[doc = concat!("The `", stringify!($field), "` of the message.")] $field: $type),+
            })?,)+
        }

        impl Fault {
            /// All numbers in use, in the order of the list.
            pub const CODES: &[u32] = &[$($code),+];

            /// The value for isa-debug-exit; QEMU ends with `2 * code + 1`.
            pub const fn code(&self) -> u32 {
                match self { $(Self::$name { .. } => $code,)+ }
            }

            /// The message with the names of its details in braces. For code that cannot format.
            pub const fn template(&self) -> &'static str {
                match self { $(Self::$name { .. } => $message,)+ }
            }
        }

        impl fmt::Display for Fault {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self { $(Self::$name { $($($field),+)? } => write!(out, $message),)+ }
            }
        }
    };
}

faults! {
    // The machine.
    /// Started by something else than a PVH loader.
    0x20 NoStartInfo =>
        "no PVH start information: start this file with `qemu-system-x86_64 -kernel boot -initrd bundle.tar`";
    /// Found out by the 32-bit entry code.
    0x21 NoLongMode => "the processor has no 64-bit mode: choose another one, for example `-cpu max`";
    /// The processor cannot keep data from being executed.
    0x22 NoExecuteDisable =>
        "the processor cannot protect pages from execution (NX): choose another one, for example `-cpu max`";
    /// The start information has no memory map.
    0x23 NoMemoryMap => "the start information has no memory map: use a loader with PVH version 1 or later";
    /// More regions than there is room for.
    0x24 MemoryMapTooLong { limit: usize } =>
        "the memory map has more than {limit} regions: boot cannot keep track of them";
    /// No free range is large enough for the kernel and its stack, tables and boot information.
    0x25 TooLittleMemory { needed_kib: u64, largest_kib: u64 } =>
        "too little memory: the kernel needs {needed_kib} KiB in one piece, the largest free piece has {largest_kib} \
         KiB: give the machine more (`-m`)";
    /// The kernel, or each program, needs something that many 64-bit processors have and this one lacks.
    0x26 MissingFeature { name: &'static str } =>
        "the processor lacks {name}: choose another one, for example `-cpu max`";

    // The bundle.
    /// QEMU was started without `-initrd`.
    0x28 NoBundle => "no bundle: add `-initrd bundle.tar`";
    /// Boot reaches the first 4 GiB of memory only.
    0x29 BundleOutOfReach { end: u64 } =>
        "the bundle ends at physical address {end:#x}, above 4 GiB: give the machine less memory";
    /// The module is something else than a tar archive.
    0x2A NotATar { why: tar_no_std::CorruptDataError } =>
        "the bundle is not a tar archive ({why}): make it with `tar --format=ustar`";
    /// The archive is good, but the kernel is missing.
    0x2B NoKernelFile => "the bundle has no file `kernel`: add the kernel under this name";

    // The kernel file.
    /// The magic number is wrong.
    0x30 NotElf => "`kernel` is not an ELF file: put the linked kernel into the bundle";
    /// A header table ends behind the end of the file.
    0x31 Truncated { length: usize } =>
        "`kernel` is truncated: it ends after {length} bytes, within its own tables: build the bundle again";
    /// A header makes no sense.
    0x32 Malformed => "`kernel` has a malformed ELF header: build it again";
    /// An ELF32 file.
    0x33 WrongClass => "`kernel` is not a 64-bit ELF file: build it for x86_64-unknown-none";
    /// A big-endian file.
    0x34 WrongByteOrder => "`kernel` is not little-endian: build it for x86_64-unknown-none";
    /// For another processor.
    0x35 WrongMachine { machine: u16 } =>
        "`kernel` is for ELF machine type {machine}, not x86_64 (62): build it for x86_64-unknown-none";
    /// Relocatable, shared or position independent.
    0x36 WrongType { kind: u16 } =>
        "`kernel` has ELF type {kind}, not executable (2): link it statically at a fixed address";
    /// The kernel has no segment to load.
    0x37 NoSegment => "`kernel` has no loadable segment: check how it is linked";
    /// More loadable segments than there is room for.
    0x38 TooManySegments { limit: usize } => "`kernel` has more than {limit} loadable segments: check how it is linked";
    /// A user-half, non-canonical or wrapping address.
    0x39 SegmentOutsideHigherHalf { address: u64 } =>
        "the segment at {address:#x} is not in the higher half: link the kernel above 0xffff800000000000";
    /// The file is cut short or the header wrong.
    0x3A SegmentOutsideFile { address: u64 } =>
        "the segment at {address:#x} has bytes beyond the end of the file: build the bundle again";
    /// More bytes in the file than in memory.
    0x3B SegmentTooShort { address: u64 } =>
        "the segment at {address:#x} is larger in the file than in memory: build the kernel again";
    /// The same addresses twice.
    0x3C SegmentsOverlap { first: u64, second: u64 } =>
        "the segments at {first:#x} and {second:#x} overlap: check how the kernel is linked";
    /// Rights are per page.
    0x3D SegmentsSharePage { first: u64, second: u64 } =>
        "the segments at {first:#x} and {second:#x} share a page but have different rights: align segments to 4096";
    /// A segment is both writable and executable.
    0x3E SegmentWritableAndExecutable { address: u64 } =>
        "the segment at {address:#x} is writable and executable: separate code from data";
    /// Execution would fault at once.
    0x3F BadEntryPoint { entry: u64 } =>
        "the entry point {entry:#x} is not in an executable segment: check how the kernel is linked";
    /// Not built with `bootloader_api`.
    0x40 NoConfig =>
        "`kernel` has no section `.bootloader-config`: use `bootloader_api::entry_point!` and do not strip section \
         headers";
    /// Built with another version of `bootloader_api`, or damaged.
    0x41 BadConfig { why: &'static str } =>
        "the kernel's `.bootloader-config` cannot be read ({why}): build it with bootloader_api 0.11";
    /// The configuration is readable, but asks for something impossible.
    0x42 CannotServe { what: &'static str, why: &'static str } =>
        "the kernel's BootloaderConfig asks for {what}: {why}";

    // Boot itself.
    /// A panic; the location is printed in addition.
    0x4F Internal => "internal error, please report it";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_number_of_its_own_that_qemu_can_return() {
        for (index, code) in Fault::CODES.iter().enumerate() {
            assert!(!Fault::CODES[..index].contains(code), "{code:#x} is used twice");
            assert!((0x20..0x80).contains(code), "{code:#x} does not survive `2 * code + 1` as an exit status");
        }
    }

    #[test]
    fn a_message_shows_the_details_of_the_fault() {
        let fault = Fault::TooLittleMemory { needed_kib: 2048, largest_kib: 500 };
        assert_eq!(
            fault.to_string(),
            "too little memory: the kernel needs 2048 KiB in one piece, the largest free piece has 500 KiB: \
             give the machine more (`-m`)"
        );
        assert_eq!(Fault::NoLongMode.to_string(), Fault::NoLongMode.template());
    }
}
