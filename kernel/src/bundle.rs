//! The bundle: the archive of files that the machine was started with.

use tar_no_std::TarArchiveRef;

/// The archive. It is there as long as the kernel runs.
#[derive(Clone, Copy, Debug)]
pub struct Bundle {
    bytes: &'static [u8],
}

impl Bundle {
    /// The archive in these bytes. What is no archive has no files.
    pub const fn new(bytes: &'static [u8]) -> Bundle {
        Bundle { bytes }
    }

    /// The contents of a file.
    pub fn file(&self, name: &str) -> Option<&'static [u8]> {
        let archive = TarArchiveRef::new(self.bytes).ok()?;
        archive.entries().find(|entry| entry.filename().as_str() == Ok(name)).map(|entry| entry.data())
    }
}
