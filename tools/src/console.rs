//! Blocks of commands and their output in documents, and whether they are what the commands print.

/// How far a number of microseconds may be from the one in a document, which was written with another compiler or
/// another kernel: so many, and one in so many.
const TOLERANCE: (f64, f64) = (60.0, 20.0);
/// What stands before a command.
const PROMPT: &str = "$ ";
/// A line that stands for any number of lines that a document leaves out.
const LEFT_OUT: &str = "…";

/// A command of a block, and the output that the block shows below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example<'a> {
    /// The command, without the prompt.
    pub command: &'a str,
    /// The lines below it.
    pub shown: Vec<&'a str>,
}

/// Splits a block into commands with their output.
pub fn examples(block: &str) -> Vec<Example<'_>> {
    let mut found: Vec<Example<'_>> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix(PROMPT), found.last_mut()) {
            (Some(command), _) => found.push(Example { command, shown: Vec::new() }),
            (None, Some(example)) => example.shown.push(line),
            (None, None) => panic!("a block begins with output: {line}"),
        }
    }
    found
}

/// Returns the lines of an output that can be compared: without the monitor's empty prompts, whose number depends on
/// when the console is ready.
pub fn comparable(output: &str) -> Vec<&str> {
    output.lines().map(str::trim_end).filter(|line| *line != "tally>").collect()
}

/// Compares the lines that a document shows with those that were printed.
///
/// # Errors
/// The first line of the document that differs, and what was printed in its place.
pub fn compare(shown: &[&str], seen: &[&str]) -> Result<(), String> {
    let Some((&line, rest)) = shown.split_first() else {
        return seen.first().map_or(Ok(()), |more| Err(format!("nothing is shown for: {more}")));
    };
    if line.trim() == LEFT_OUT {
        let ends = (0..=seen.len()).any(|skipped| compare(rest, &seen[skipped..]).is_ok());
        return if ends { Ok(()) } else { Err(format!("nothing matches what follows the lines left out: {rest:?}")) };
    }
    match seen.split_first() {
        Some((first, others)) if agree(line, first) => compare(rest, others),
        Some((first, _)) => Err(format!("shown:   {line}\nprinted: {first}")),
        None => Err(format!("shown:   {line}\nprinted: nothing")),
    }
}

/// Returns a number that counts microseconds or what follows from them: it has commas or a point, or a unit follows, or
/// it is the first word of a row of an act of the demo.
fn microseconds(words: &[&str], at: usize) -> Option<f64> {
    let word = words[at].trim_matches(',');
    let starts_a_row = at == 0 && words.contains(&"│");
    let has_unit = words.get(at + 1).is_some_and(|unit| ["µs", "µJ"].contains(unit));
    if starts_a_row || has_unit || word.contains([',', '.']) { word.replace(',', "").parse().ok() } else { None }
}

/// Returns true if two lines are equal but for small differences in time.
pub fn agree(shown: &str, seen: &str) -> bool {
    let (shown, seen): (Vec<&str>, Vec<&str>) = (shown.split_whitespace().collect(), seen.split_whitespace().collect());
    shown.len() == seen.len()
        && (0..shown.len()).all(|at| match (microseconds(&shown, at), microseconds(&seen, at)) {
            (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE.0.max(a / TOLERANCE.1),
            _ => shown[at] == seen[at],
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_split_into_commands_and_their_output() {
        let found = examples("$ first; echo $?\n1\n$ second\n$ third\na\nb\n");
        let commands: Vec<&str> = found.iter().map(|example| example.command).collect();
        assert_eq!(commands, ["first; echo $?", "second", "third"]);
        assert_eq!(found[2].shown, ["a", "b"]);
        assert!(found[1].shown.is_empty());
    }

    #[test]
    fn a_difference_is_found_and_left_out_lines_are_not_compared() {
        let seen = comparable("tally> \none\ntwo \nthree\n");
        assert_eq!(compare(&["one", "two", "three"], &seen), Ok(()));
        assert_eq!(compare(&["one", "…", "three"], &seen), Ok(()));
        assert_eq!(compare(&["one", "…"], &seen), Ok(()));
        for wrong in [&["one", "two"][..], &["one", "…", "four"], &["one", "two", "three", "four"], &["two"], &[]] {
            assert!(compare(wrong, &seen).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_change_of_a_count_or_a_priority_is_noticed() {
        let row = "    1,010  photos  asks imaged, with voucher 0x403 │  4→31  0→1    0 │     4    0    0";
        assert!(agree(row, row));
        assert!(agree(row, &row.replace("1,010", "1,040")));
        for (old, new) in [("1,010", "2,010"), ("4→31", "4→37"), ("0x403", "0x404"), ("   4    0", "   5    0")] {
            assert!(!agree(row, &row.replace(old, new)), "{new}");
        }
        assert!(agree("waits 7.8 times", "waits 7.9 times"));
        assert!(!agree("  3  photos  15 µs", "  4  photos  15 µs"));
    }
}
