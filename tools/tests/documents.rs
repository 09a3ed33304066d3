//! Checks of the documents: listings, links, names of files, code and tests, and the examples.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use tools::qemu::{Place, command_line, run};
use tools::{files_with, root};

/// Documents that were written elsewhere or are generated.
const FOREIGN: [&str; 2] = ["docs/spec/", "docs/coverage.md"];

/// Returns the documents that are written by hand for this project.
fn documents() -> Vec<String> {
    let files = files_with(&[".md"]);
    let paths = files.iter().map(|file| file.strip_prefix(root()).expect("files are below the root").to_string_lossy());
    let ours = paths.filter(|path| !FOREIGN.iter().any(|foreign| path.starts_with(foreign)));
    ours.map(String::from).collect()
}

/// Returns where the links of a document lead: those in its text, and those in definitions such as `[name]: path`.
fn links(text: &str) -> Vec<&str> {
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = text.lines().filter(|line| line.starts_with('[')).filter_map(|line| Some(line.split_once("]: ")?.1));
    inline.chain(defined).filter(|link| !link.starts_with("https:")).collect()
}

/// Returns the name by which links call a heading.
fn anchor(heading: &str) -> String {
    let letters = heading.to_lowercase().replace(' ', "-");
    letters.chars().filter(|&c| c.is_alphanumeric() || c == '-' || c == '_').collect()
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn listings_in_the_abi_match_the_example_files() {
    let abi = text_of("docs/abi.md");
    let listing = format!("```asm\n{}```\n", text_of("docs/examples/hello.S"));
    assert!(abi.contains(&listing), "docs/abi.md does not show hello.S as it is");
    let (contributing, ports) = (text_of("CONTRIBUTING.md"), text_of("kernel/tests/host/ports.rs"));
    let test = contributing.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert!(ports.contains(test.expect("CONTRIBUTING.md shows a test")), "ports.rs has no such test");
}

#[test]
fn links_have_targets() {
    for document in documents() {
        let folder = Path::new(&document).parent().expect("a file is in a folder");
        for link in links(&text_of(&document)) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root().join(&document) } else { root().join(folder).join(path) };
            assert!(target.exists(), "{document}: nothing is at {link}");
            if heading.is_empty() {
                continue;
            }
            let text = fs::read_to_string(&target).expect("a document can be read");
            let mut headings =
                text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
            let found = headings.any(|line| anchor(line.trim()) == heading);
            // A page of the book may be another document's text.
            assert!(found || text.contains("{{#include"), "{document}: no heading {link}");
        }
    }
}

#[test]
fn every_document_is_in_the_book() {
    let summary = text_of("docs/SUMMARY.md");
    let chapters: HashSet<&str> = links(&summary).into_iter().collect();
    for document in files_with(&[".md"]) {
        let Ok(path) = document.strip_prefix(root().join("docs")) else { continue };
        let path = path.to_string_lossy();
        assert!(path == "SUMMARY.md" || chapters.contains(&*path), "docs/SUMMARY.md does not list {path}");
    }
}

#[test]
fn files_named_in_the_documents_exist() {
    let files = files_with(&[".rs", ".S", ".c", ".md", ".py", ".sh"]);
    for document in documents() {
        let text = text_of(&document);
        // The text outside blocks of code.
        let prose: String = text.split("```").step_by(2).collect();
        for name in prose.split('`').skip(1).step_by(2) {
            let is_file = [".rs", ".S", ".c", ".md", ".py", ".sh"].iter().any(|ending| name.ends_with(ending))
                && !name.contains([' ', '\n', '*'])
                && !name.starts_with('.');
            let exists = files.iter().any(|path| path.ends_with(name));
            assert!(!is_file || exists, "{document} names {name}, which does not exist");
        }
    }
}

#[test]
fn code_names_in_the_documents_exist() {
    let code: String = files_with(&[".rs", ".sh", ".toml", ".c", ".h", ".S"])
        .iter()
        .filter(|path| !path.ends_with(file!()))
        .map(|path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .collect();
    let words: HashSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    // These documents also name calls that Tally lacks.
    let exempt = ["docs/abi.md", "docs/deviations.md"];
    for document in documents().iter().filter(|path| !exempt.contains(&&***path)) {
        // The text in backticks outside blocks of code, if it is one word or a path of words.
        let text = text_of(document);
        let prose: String = text.split("```").step_by(2).collect();
        for name in prose.split('`').skip(1).step_by(2) {
            let parts: Vec<&str> = name.split('(').next().unwrap_or_default().split("::").collect();
            let is_word = |part: &&&str| part.chars().all(|c| c.is_alphanumeric() || c == '_');
            for part in parts.iter().filter(is_word).filter(|part| parts.len() > 1 || part.contains('_')) {
                assert!(words.contains(part), "{document}: there is no {part} ({name})");
            }
        }
    }
}

#[test]
fn tests_named_in_the_deviations_exist() {
    let code: Vec<String> = files_with(&[".rs"]).iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    // An entry names its tests behind the word "Test".
    let deviations = text_of("docs/deviations.md");
    let lists = deviations.split("\n\n").filter_map(|entry| Some(entry.rsplit_once("Test")?.1));
    let names: Vec<&str> = lists.flat_map(|list| list.split('`').skip(1).step_by(2)).collect();
    let tests: Vec<&&str> = names.iter().filter(|name| name.contains('_') && !name.contains(['.', '/'])).collect();
    assert!(tests.len() > 10, "only {} tests are named", tests.len());
    for test in tests {
        let is_defined = |text: &String| text.contains(&format!("fn {test}()"));
        assert!(code.iter().any(is_defined), "docs/deviations.md names {test}, which does not exist");
    }
}

#[test]
fn every_trap_has_a_row_in_the_abi() {
    let abi = text_of("docs/abi.md");
    for line in text_of("kernel/abi/src/trap.rs").lines() {
        let Some((name, number)) =
            line.trim().strip_prefix("pub const ").and_then(|rest| rest.split_once(": u32 = CLASS_"))
        else {
            continue;
        };
        let number = number.split_once("| ").expect("a trap has class and number").1.trim_end_matches(';');
        let row = format!("| {number} | `{}`", name.to_lowercase());
        assert!(abi.contains(&row), "docs/abi.md has no row that begins with {row}");
    }
}

/// Builds the example with the command in its heading, and runs it.
#[test]
fn the_example_in_assembly_prints_what_the_documents_show() {
    let place = Place::new();
    let program = place.0.join("example.elf");
    let source = root().join("docs/examples/hello.S");
    let built = run(Command::new("gcc").args(["-nostdlib", "-static", "-o"]).arg(&program).arg(source));
    assert_eq!(built.status, 0, "{}", built.errors);
    let outcome = command_line(&["run", program.to_str().expect("the path is text")]);
    assert_eq!((outcome.status, &*outcome.output), (7, "Hello from ring 3\n"));
}
