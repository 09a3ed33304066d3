//! The bundle: the archive of files that the machine is started with.

use tar_no_std::TarArchiveRef;

/// The archive, in the ustar format.
#[derive(Clone, Copy, Debug)]
pub struct Bundle {
    bytes: &'static [u8],
}

impl Bundle {
    /// Returns the archive in these bytes. Bytes that are not a ustar archive make a bundle without files.
    pub const fn new(bytes: &'static [u8]) -> Bundle {
        Bundle { bytes }
    }

    /// Returns the contents of the file called `name`, if the bundle has it.
    pub fn file(&self, name: &str) -> Option<&'static [u8]> {
        let archive = TarArchiveRef::new(self.bytes).ok()?;
        archive.entries().find(|entry| entry.filename().as_str() == Ok(name)).map(|entry| entry.data())
    }
}
