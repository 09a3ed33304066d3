//! Programs and bundles for the tests.

use abi::task::*;
use zerocopy::FromZeros;

/// Arguments that ask for nothing in particular.
pub fn spawn_args() -> TaskSpawnArgs {
    TaskSpawnArgs { uid: SPAWN_INHERIT, gid: SPAWN_INHERIT, ..TaskSpawnArgs::new_zeroed() }
}

/// The smallest program: one page of code at 4 MiB.
pub fn program() -> Vec<u8> {
    let mut file = vec![0; 64 + 56];
    file[..16].copy_from_slice(&[0x7F, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &2u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(24, &0x40_0000u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(52, &64u16.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &1u16.to_le_bytes());
    put(64, &1u32.to_le_bytes());
    put(68, &5u32.to_le_bytes());
    put(80, &0x40_0000u64.to_le_bytes());
    put(96, &120u64.to_le_bytes());
    put(104, &120u64.to_le_bytes());
    file
}

/// An archive with one file.
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
