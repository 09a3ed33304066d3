//! The demo: its story, its layout, and the documents that show it.
//!
//! `TALLY_UPDATE=1 cargo test -p tools --test demo` writes what the demo prints now into the documents.

use std::sync::OnceLock;
use std::{env, fs};
use tools::console::agree;
use tools::qemu::{Outcome, command_line};
use tools::root;

/// The documents that show the demo. A document may leave out parts.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/demo.md"];
/// What stands behind the output in a document.
const END: &str = "```\n";
/// What stands in a document for parts which it leaves out.
const LEFT_OUT: &str = "  (more acts)\n\n";
/// The width of the page.
const WIDTH: usize = 100;

/// One of the stories.
struct Story {
    arguments: &'static [&'static str],
    /// What stands before the output in a document.
    prompt: &'static str,
    seen: OnceLock<Outcome>,
}

static STORIES: [Story; 2] = [
    Story { arguments: &["demo"], prompt: "```console\n$ ./run-qemu.sh demo\n", seen: OnceLock::new() },
    Story { arguments: &["demo", "xpc"], prompt: "```console\n$ ./run-qemu.sh demo xpc\n", seen: OnceLock::new() },
];

impl Story {
    /// Runs the demo, once for all tests.
    fn seen(&self) -> &Outcome {
        self.seen.get_or_init(|| command_line(self.arguments))
    }

    fn output(&self) -> &str {
        &self.seen().output
    }
}

/// Splits the output into its parts, each of which begins with a rule but the first.
fn parts(output: &str) -> Vec<&str> {
    let starts = output.match_indices("\n── ").map(|(at, _)| at + 1);
    let starts: Vec<usize> = [0].into_iter().chain(starts).chain([output.len()]).collect();
    starts.windows(2).map(|ends| &output[ends[0]..ends[1]]).collect()
}

/// Returns the place of the demo's output in a document.
fn shown(document: &str, text: &str, prompt: &str) -> std::ops::Range<usize> {
    let start = text.find(prompt).unwrap_or_else(|| panic!("{document} does not show {prompt}")) + prompt.len();
    let end = text[start..].find(END).expect("a block of code ends");
    start..start + end
}

#[test]
fn the_demo_tells_its_stories_and_everything_is_as_it_expects() {
    let lines: [&[&str]; 2] = [
        &["1  The app in front asks", "4→31", "donated from pid", "linked from pid -1", "times as long"],
        &["The work goes on", "4→31", "2→0", "the reply that", "Hop by hop", "has as much as"],
    ];
    for (story, lines) in STORIES.iter().zip(lines) {
        let seen = story.seen();
        assert_eq!((seen.status, &*seen.errors), (0, ""), "{}", seen.output);
        for line in lines {
            assert!(seen.output.contains(line), "{line} is missing:\n{}", seen.output);
        }
    }
}

#[test]
fn the_demo_prints_the_same_in_each_boot() {
    for story in &STORIES {
        let again = command_line(story.arguments);
        assert_eq!(story.output(), again.output);
    }
}

#[test]
fn no_line_of_the_demo_is_too_wide() {
    for line in STORIES.iter().flat_map(|story| story.output().lines()) {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
        assert!(!line.ends_with(' '), "a blank at the end: {line}");
    }
}

/// Documents are changed one after the other: both stories may stand in one.
#[test]
fn the_documents_show_what_the_demo_prints() {
    for story in &STORIES {
        let parts = parts(story.output());
        DOCUMENTS.iter().for_each(|document| compare(document, story.prompt, &parts));
    }
}

fn compare(document: &str, prompt: &str, parts: &[&str]) {
    let path = root().join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
    let range = shown(document, &text, prompt);
    let expected = expected(&text[range.clone()], parts);
    if env::var_os("TALLY_UPDATE").is_some() {
        fs::write(&path, [&text[..range.start], &expected, &text[range.end..]].concat()).expect("it is ours");
        return;
    }
    let shown = &text[range];
    assert_eq!(shown.lines().count(), expected.lines().count(), "{document} shows another number of lines");
    for (shown, seen) in shown.lines().zip(expected.lines()) {
        assert!(agree(shown, seen), "{document} shows: {shown}\nthe demo prints: {seen}");
    }
}

/// Returns what a document must show that shows parts with these headings. Without headings it shows all.
fn expected(shown: &str, parts: &[&str]) -> String {
    let name = |line: &str| line.trim_end_matches('─').trim().to_string();
    let headings: Vec<String> = shown.lines().filter(|line| line.starts_with("── ")).map(name).collect();
    let is_shown =
        |part: &str| headings.is_empty() || headings.contains(&name(part.lines().next().unwrap_or_default()));
    let mut expected = String::new();
    let mut left_out = false;
    // The preface is shown with any part.
    for (number, part) in parts.iter().enumerate() {
        let shows = number == 0 || is_shown(part);
        if shows && left_out {
            expected += LEFT_OUT;
        }
        if shows {
            expected += part;
        }
        left_out = !shows;
    }
    expected
}

#[test]
fn vouchers_and_texts_in_the_chapters_are_those_of_the_demo() {
    let words = STORIES.iter().flat_map(|story| story.output().split_whitespace());
    let output = words.filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    let mut found = 0;
    let chapters =
        ["importance.md", "vouchers.md", "accounting.md", "tour/voucher.md", "tour/importance.md", "tour/bank.md"];
    let chapters = chapters.map(|chapter| format!("docs/{chapter}"));
    for document in DOCUMENTS.map(String::from).iter().chain(&chapters) {
        let text = fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.starts_with("0x"));
        // The text outside blocks of code.
        let prose = text.split("```").step_by(2).collect::<String>().replace('\n', " ");
        let texts = prose.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("from pid"));
        for shown in words.chain(texts) {
            assert!(output.contains(shown), "{document} names {shown}, which the demo does not print");
            found += 1;
        }
    }
    assert!(found > 10, "only {found} are named");
}
