//! Tests of the project as a whole.
//!
//! [`tidy`] checks the rules of style that can be checked, [`layers`] which file of the kernel imports which; `tests/`
//! applies them to the repository, boots the images in [`qemu`] with bundles that are right and wrong, and tries the
//! command line, the commands that documents show ([`console`]), the [`monitor`] and the [`debugger`]. [`timeline`] is
//! no test: it turns the events that the kernel records into pictures.

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

pub mod console;
pub mod debugger;
pub mod layers;
pub mod monitor;
pub mod qemu;
pub mod tidy;
pub mod timeline;

use std::path::{Path, PathBuf};

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the repository").to_path_buf()
}

/// Returns all source files of the repository with one of these endings, sorted.
pub fn files_with(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory can be read") {
            let path = entry.expect("a directory can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                // Build products, and the repository itself.
                if !["target", ".git"].contains(&&*name) {
                    directories.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
