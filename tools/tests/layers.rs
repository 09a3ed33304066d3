//! The files of the kernel core import only files of their own layer and of lower layers.

use std::fs;
use tools::layers::{CIRCLE_MAX, CIRCLES, circles, imports, module_of, wrong_imports};
use tools::{files_with, root};

/// Returns the files of the core with their module paths: all of `kernel/src` but the hardware and the crate's roots.
fn core_files() -> Vec<(String, String)> {
    let source = root().join("kernel/src");
    let files = files_with(&[".rs"]).into_iter().filter_map(|file| {
        let path = file.strip_prefix(&source).ok()?.to_string_lossy().into_owned();
        let is_core = !path.starts_with("arch/") && !["lib.rs", "main.rs"].contains(&path.as_str());
        is_core.then(|| (module_of(&path), fs::read_to_string(&file).expect("a source file can be read")))
    });
    files.collect()
}

#[test]
fn no_file_imports_a_higher_layer() {
    let files = core_files();
    assert!(files.len() > 50, "only {} files were found", files.len());
    let wrong = wrong_imports(&imports(&files));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn circular_imports_are_few_small_and_have_a_reason() {
    let found = circles(&imports(&core_files()));
    let known: Vec<Vec<String>> =
        CIRCLES.iter().map(|(files, _)| files.iter().map(|file| (*file).to_owned()).collect()).collect();
    assert_eq!(found, known);
    assert!(CIRCLES.iter().all(|(files, reason)| files.len() <= CIRCLE_MAX && !reason.is_empty()));
}
