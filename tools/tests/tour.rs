//! The tour: its chapters have the parts that they promise, and print what they show.
//!
//! `TALLY_UPDATE=1 cargo test -p tools --test tour` writes what the commands print now into the chapters, except into
//! blocks that leave out lines.

use std::process::Command;
use std::{env, fs};
use tools::console::{comparable, compare, examples};
use tools::qemu::{Place, image, run};
use tools::root;

/// The chapters, in the order of the book.
const CHAPTERS: [&str; 10] =
    ["boot", "tasks", "message", "rights", "scheduling", "voucher", "importance", "bank", "push", "testing"];
/// What begins the part of a chapter that has commands, and the block in it.
const TRY_THIS: &str = "\n## Try this\n";
const BLOCK: &str = "```console\n";
const END: &str = "```\n";
/// The fewest questions that `docs/faq.md` answers.
const QUESTIONS: usize = 45;

fn chapter(name: &str) -> String {
    let path = root().join(format!("docs/tour/{name}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the place of the block of commands in a chapter.
fn block(name: &str, text: &str) -> std::ops::Range<usize> {
    let part = text.find(TRY_THIS).unwrap_or_else(|| panic!("{name} has nothing to try"));
    let start = part + text[part..].find(BLOCK).expect("something to try is a block of commands") + BLOCK.len();
    start..start + text[start..].find(END).expect("a block ends")
}

/// Runs a command in the root of the repository and returns what it prints.
fn output_of(command: &str, place: &Place) -> String {
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(root()).env("TALLY_OUTPUT", &place.0);
    run(&mut shell).output
}

#[test]
fn each_chapter_has_something_to_try_and_an_exercise_with_its_solution() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).expect("the book has a summary");
    let mut listed = 0;
    for name in CHAPTERS {
        let text = chapter(name);
        block(name, &text);
        let exercise = text.split("\n## Exercise\n").nth(1).unwrap_or_else(|| panic!("{name} has no exercise"));
        let solution = exercise.split("<details>").nth(1).and_then(|rest| rest.split("</details>").next());
        assert!(solution.is_some_and(|solution| solution.len() > 100), "the exercise of {name} has no solution");
        let entry = format!("(tour/{name}.md)");
        listed = summary.find(&entry).filter(|&at| at > listed).unwrap_or_else(|| panic!("{entry} is out of order"));
    }
}

#[test]
fn each_chapter_shows_what_its_commands_print() {
    let place = Place::new();
    // Builds the images once, so that no command has to wait for that.
    image("kernel");
    for name in CHAPTERS {
        let text = chapter(name);
        let range = block(name, &text);
        let mut updated = String::new();
        for example in examples(&text[range.clone()]) {
            let output = output_of(example.command, &place);
            let seen = comparable(&output);
            let differs = compare(&example.shown, &seen);
            let leaves_out = example.shown.iter().any(|line| line.trim() == "…");
            let lines = if leaves_out { &example.shown } else { &seen };
            updated += &format!("$ {}\n", example.command);
            lines.iter().for_each(|line| updated += &format!("{line}\n"));
            if env::var_os("TALLY_UPDATE").is_none() {
                assert_eq!(differs, Ok(()), "{name}.md, {}", example.command);
            }
        }
        if env::var_os("TALLY_UPDATE").is_some() {
            let path = root().join(format!("docs/tour/{name}.md"));
            fs::write(path, [&text[..range.start], &updated, &text[range.end..]].concat()).expect("it is ours");
        }
    }
}

#[test]
fn each_question_has_a_short_answer_with_a_link() {
    let text = fs::read_to_string(root().join("docs/faq.md")).expect("docs/faq.md is there");
    let answers: Vec<&str> = text.split("\n### ").skip(1).collect();
    assert!(answers.len() >= QUESTIONS, "{} questions", answers.len());
    for answer in answers {
        let (question, answer) = answer.split_once('\n').expect("an answer follows");
        let answer = answer.split("\n## ").next().unwrap_or_default();
        assert!(question.ends_with('?'), "{question}");
        assert!(answer.contains("]("), "the answer to {question} has no link");
        let length = answer.split_whitespace().count();
        assert!((15..=130).contains(&length), "the answer to {question} has {length} words");
    }
}
