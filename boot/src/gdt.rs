//! The segment descriptors of 64-bit mode, used from the first 64-bit instruction until the kernel has its own.

/// Selects the code segment.
pub const CODE_SELECTOR: u16 = 8;
/// Selects the data segment.
pub const DATA_SELECTOR: u16 = 16;

/// Null, ring-0 64-bit code, ring-0 data. The accessed bits are set already, so that the processor does not write to
/// the table and it may lie in a read-only page.
pub const GDT: [u64; 3] = [0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF];
