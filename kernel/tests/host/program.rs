//! Programs and bundles for the tests.

use abi::task::*;
use zerocopy::{FromZeros, IntoBytes};

/// Returns arguments of `task_spawn` in which everything is inherited or zero.
pub fn spawn_args() -> TaskSpawnArgs {
    TaskSpawnArgs { uid: SPAWN_INHERIT, gid: SPAWN_INHERIT, ..TaskSpawnArgs::new_zeroed() }
}

/// The size of an ELF64 header.
pub const ELF_HEADER_SIZE: usize = 64;
/// The size of an ELF64 program header.
pub const PROGRAM_HEADER_SIZE: usize = 56;

/// The address of the smallest program, which is also its entry point.
pub const PROGRAM_BASE: u64 = 0x40_0000;

/// Returns the smallest program: one executable page at [`PROGRAM_BASE`] that holds the headers themselves.
pub fn program() -> Vec<u8> {
    const SIZE: usize = ELF_HEADER_SIZE + PROGRAM_HEADER_SIZE;
    let mut file = vec![0; SIZE];
    file[..16].copy_from_slice(&[0x7F, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    // The file: type ET_EXEC, machine EM_X86_64, version, entry point, place, sizes and number of program headers.
    put(16, &2u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(24, &PROGRAM_BASE.to_le_bytes());
    put(32, &(ELF_HEADER_SIZE as u64).to_le_bytes());
    put(52, &(ELF_HEADER_SIZE as u16).to_le_bytes());
    put(54, &(PROGRAM_HEADER_SIZE as u16).to_le_bytes());
    put(56, &1u16.to_le_bytes());
    // The segment: type PT_LOAD, readable and executable, address, size in the file and in memory.
    put(64, &1u32.to_le_bytes());
    put(68, &5u32.to_le_bytes());
    put(80, &PROGRAM_BASE.to_le_bytes());
    put(96, &(SIZE as u64).to_le_bytes());
    put(104, &(SIZE as u64).to_le_bytes());
    file
}

/// The types of ELF files: linked to a fixed address, and position-independent.
pub const ET_EXEC: u16 = 2;
pub const ET_DYN: u16 = 3;
/// The type of a loadable segment.
pub const PT_LOAD: u32 = 1;
/// The flags of a segment.
pub const EXECUTE: u32 = 1;
pub const WRITE: u32 = 2;
pub const READ: u32 = 4;

/// A program header: type, flags, offset, address, size in the file, size in memory.
pub type Segment = (u32, u32, u64, u64, u64, u64);

/// Returns an ELF file of `size` bytes with these segments. Behind the headers each byte holds its offset, modulo 256.
pub fn image(kind: u16, entry: u64, segments: &[Segment], size: usize) -> Vec<u8> {
    let mut file: Vec<u8> = (0..size).map(|n| n as u8).collect();
    file[..ELF_HEADER_SIZE].copy_from_slice(&program()[..ELF_HEADER_SIZE]);
    file[16..18].copy_from_slice(&kind.to_le_bytes());
    file[24..32].copy_from_slice(&entry.to_le_bytes());
    file[56..58].copy_from_slice(&(segments.len() as u16).to_le_bytes());
    for (n, &(kind, flags, offset, address, in_file, in_memory)) in segments.iter().enumerate() {
        let words = [offset, address, address, in_file, in_memory, PAGE_SIZE];
        let header = [kind.as_bytes(), flags.as_bytes(), words.as_bytes()].concat();
        file[ELF_HEADER_SIZE + PROGRAM_HEADER_SIZE * n..][..PROGRAM_HEADER_SIZE].copy_from_slice(&header);
    }
    file
}

/// Returns a ustar archive with one file.
pub fn archive(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = vec![0u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", contents.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(contents);
    header.resize(header.len().next_multiple_of(512) + 1024, 0);
    header
}
