//! The bundle: a plain ustar archive with the kernel and all programs.

use tar_no_std::TarArchiveRef;

use crate::fault::Fault;
use crate::memory::REACH;
use crate::span::Span;

/// The name of the kernel's file in the bundle.
pub const KERNEL: &str = "kernel";

/// Returns the contents of the file [`KERNEL`]; of the first one if there are several.
///
/// # Errors
/// `NotATar` if `bundle` is not a complete archive, `NoKernelFile` if it has no such file.
pub fn kernel(bundle: &[u8]) -> Result<&[u8], Fault> {
    let archive = TarArchiveRef::new(bundle).map_err(|why| Fault::NotATar { why })?;
    archive
        .entries()
        .find(|entry| entry.filename().as_str() == Ok(KERNEL))
        .map(|entry| entry.data())
        .ok_or(Fault::NoKernelFile)
}

/// Returns the frames of a bundle of `length` bytes at the physical address `address`.
///
/// # Errors
/// `BundleOutOfReach` if boot cannot read all of it.
pub fn frames(address: u64, length: u64) -> Result<Span, Fault> {
    let span = Span::new(address, length).ok_or(Fault::BundleOutOfReach { end: u64::MAX })?;
    let frames = span.pages_touched().filter(|frames| frames.end <= REACH);
    frames.ok_or(Fault::BundleOutOfReach { end: span.end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tar;

    #[test]
    fn the_kernel_is_found_among_other_files() {
        let bundle = tar(&[("init", b"other"), ("kernel", b"the kernel"), ("kernel2", b"wrong")]);
        assert_eq!(kernel(&bundle), Ok(&b"the kernel"[..]));
    }

    #[test]
    fn a_bundle_without_a_kernel_is_refused() {
        assert_eq!(kernel(&tar(&[("init", b"x")])), Err(Fault::NoKernelFile));
        assert_eq!(
            kernel(&tar(&[])),
            Err(Fault::NotATar { why: tar_no_std::CorruptDataError::TooShort { byte_count: 1024, block_count: 2 } })
        );
    }

    #[test]
    fn a_bundle_that_is_not_a_complete_tar_archive_is_refused() {
        let good = tar(&[("kernel", &[1; 3000])]);
        let refused = |bundle: &[u8]| matches!(kernel(bundle), Err(Fault::NotATar { .. }));
        assert!(refused(b""));
        assert!(refused(&[0x7F; 4096]));
        assert!(refused(&good[..good.len() - 512]), "half of the end mark");
        assert!(refused(&good[..2048]), "in the middle of the kernel");
        assert!(refused(&good[..700]), "not whole blocks");
        let mut damaged = good.clone();
        damaged[0] ^= 1;
        assert!(refused(&damaged), "checksum");
    }
}
