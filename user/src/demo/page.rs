//! The columns of the narration.
//!
//! A row has the time, the actor and the text on the left. On the right it has a block for each of the two actors that
//! an act is about: priority, boosts by messages, boosts by vouchers.

use super::cast::Look;
use crate::{print, println};
use core::fmt::{Display, Formatter, Result, Write};
use heapless::String;

/// The width of the page.
pub const WIDTH: usize = 100;
/// The width of the text of a row.
const TEXT: usize = 45;
/// The width of what stands before the text.
const MARGIN: usize = 19;

/// The text of a row.
pub type Text = String<512>;

/// Formats a text.
#[macro_export]
macro_rules! text {
    ($($argument:tt)*) => {{
        let mut text = $crate::demo::page::Text::new();
        core::fmt::write(&mut text, format_args!($($argument)*)).expect("the text of a row is short");
        text
    }};
}

/// A number with commas.
#[derive(Clone, Copy, Debug)]
pub struct Grouped(pub u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut text = String::<32>::new();
        group(self.0, &mut text)?;
        f.pad(&text)
    }
}

fn group(number: u64, text: &mut impl Write) -> Result {
    match number {
        0..1000 => write!(text, "{number}"),
        _ => {
            group(number / 1000, text)?;
            write!(text, ",{:03}", number % 1000)
        }
    }
}

/// Splits off as many words as fit a line.
fn split_line(text: &str, width: usize) -> (&str, &str) {
    if text.chars().count() <= width {
        return (text, "");
    }
    let end = text.char_indices().nth(width).map_or(text.len(), |(at, _)| at);
    let end = if text[end..].starts_with(' ') { end } else { text[..end].rfind(' ').unwrap_or(end) };
    (&text[..end], text[end..].trim_start())
}

/// How the page is printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// True if it has colours.
    pub colour: bool,
}

/// The pair of an actor's looks before and after an event.
pub type Change = (Option<Look>, Option<Look>);

impl Page {
    fn paint(&self, code: &str, text: impl Display, width: usize, right: bool) {
        let text = text!("{text}");
        let blanks = width.saturating_sub(text.chars().count());
        let (before, after) = if right { (blanks, 0) } else { (0, blanks) };
        let (on, off) = if self.colour && !code.is_empty() { (code, "\x1b[0m") } else { ("", "") };
        print!("{:before$}{on}{text}{off}{:after$}", "", "");
    }

    /// Prints a paragraph across the page.
    pub fn paragraph(&self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (line, left) = split_line(rest, WIDTH);
            println!("{line}");
            rest = left;
        }
    }

    /// Prints the heading of a part, with a rule across the page.
    pub fn heading(&self, text: &str) {
        let rule = WIDTH - 4 - text.chars().count();
        print!("\n── ");
        self.paint("\x1b[1m", text, 0, false);
        println!(" {:─<rule$}", "");
    }

    /// Prints what should be so, and is not.
    pub fn alarm(&self, what: &str) {
        println!();
        self.paint("\x1b[1;31m", text!("This should be so, and is not: {what}."), 0, false);
        println!();
    }

    /// Prints the heads of the columns for the two actors.
    pub fn columns(&self, names: [&str; 2]) {
        let [first, second] = names;
        println!("{:64} │ {first:<15} │ {second}", "");
        println!("       µs  {:<7} {:<TEXT$} │  prio sent held │  prio sent held", "who", "what happens");
    }

    /// Prints a row.
    pub fn row(&self, at: u64, who: &str, text: &str, changes: &[Change; 2]) {
        let (line, mut rest) = split_line(text, TEXT);
        print!("{:>9}  ", Grouped(at));
        self.paint("\x1b[36m", who, 7, false);
        print!(" {line:<TEXT$}");
        changes.iter().for_each(|change| self.block(*change));
        println!();
        while !rest.is_empty() {
            let (line, left) = split_line(rest, TEXT);
            println!("{:MARGIN$}{line:<TEXT$} │{:17}│", "", "");
            rest = left;
        }
    }

    fn block(&self, (before, after): Change) {
        let Some(after) = after else {
            return print!(" │ {:<15}", "ended");
        };
        let before = before.unwrap_or(after);
        print!(" │");
        for (width, before, after) in
            [(6, before.priority, after.priority), (5, before.sent, after.sent), (5, before.held, after.held)]
        {
            match before == after {
                true => self.paint("\x1b[2m", after, width, true),
                false => {
                    let code = if after > before { "\x1b[1;32m" } else { "\x1b[1;31m" };
                    self.paint(code, text!("{before}→{after}"), width, true);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_between_words() {
        assert_eq!(split_line("one two three", 7), ("one two", "three"));
        assert_eq!(split_line("one two three", 9), ("one two", "three"));
        assert_eq!(split_line("one two", 7), ("one two", ""));
        assert_eq!(split_line("unbroken", 4), ("unbr", "oken"));
        assert_eq!(split_line("µµ→→ x", 4), ("µµ→→", "x"));
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_000_010, "1,000,010")] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }
}
