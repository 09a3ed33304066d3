//! [`LineEditor`]: a line of input that is typed, with history and completion.
//!
//! The editor is a function of its state and one byte: it returns what to print, so that tests need no terminal. It knows
//! the keys that terminals send for the arrows, home, end and delete, and the usual control keys.

use alloc::string::String;
use alloc::vec::Vec;

/// Lines that are remembered.
const HISTORY_MAX: usize = 50;
/// Characters of a line.
const LINE_MAX: usize = 200;

/// What a byte has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// More of the line is awaited.
    More,
    /// The line is complete.
    Line(String),
    /// The line was given up by ^C.
    Cancelled,
    /// ^D on an empty line.
    End,
    /// ^P.
    Processes,
}

/// A part of a key that terminals send as several bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// After ESC and [ or O.
    Key,
    /// After ESC [ and a digit.
    Number(u8),
}

/// A line that is being typed.
#[derive(Debug)]
pub struct LineEditor {
    prompt: &'static str,
    line: Vec<char>,
    /// The place of the cursor in the line.
    cursor: usize,
    history: Vec<String>,
    /// The line of the history that is shown; the length of the history for a new line.
    shown: usize,
    escape: Escape,
}

impl LineEditor {
    /// Returns an editor with this prompt.
    pub const fn new(prompt: &'static str) -> LineEditor {
        LineEditor { prompt, line: Vec::new(), cursor: 0, history: Vec::new(), shown: 0, escape: Escape::None }
    }

    /// Appends the prompt to `out`, for a terminal whose line is empty.
    pub fn prompt(&self, out: &mut String) {
        out.push_str(self.prompt);
    }

    /// Appends the prompt and the line to `out`, in place of the present line of the terminal.
    pub fn show(&self, out: &mut String) {
        out.push_str("\r\x1b[K");
        out.push_str(self.prompt);
        out.extend(&self.line);
        let back = self.line.len() - self.cursor;
        if back > 0 {
            // Left by so many columns.
            out.push_str(&alloc::format!("\x1b[{back}D"));
        }
    }

    /// Handles a typed byte. Appends to `out` what the terminal is to show. `words` returns the completions of the word at
    /// the cursor, given the line before it.
    pub fn type_byte(&mut self, byte: u8, out: &mut String, words: impl FnOnce(&str) -> Vec<String>) -> Typed {
        if self.escape != Escape::None {
            if self.continue_escape(byte) {
                self.show(out);
            }
            return Typed::More;
        }
        let at_end = self.cursor == self.line.len();
        match byte {
            b'\r' | b'\n' => return self.finish(out),
            0x03 => {
                out.push_str("^C\n");
                self.clear();
                return Typed::Cancelled;
            }
            0x04 if self.line.is_empty() => {
                out.push('\n');
                return Typed::End;
            }
            0x10 => return Typed::Processes,
            0x1B => self.escape = Escape::Begun,
            b'\t' => {
                self.complete(out, words);
                self.show(out);
            }
            // The most common keys change the end of the line, and the terminal shows that without drawing it anew.
            0x08 | 0x7F if at_end => {
                if self.line.pop().is_some() {
                    self.cursor -= 1;
                    out.push_str("\x08 \x08");
                }
            }
            b' '..=b'~' if at_end && self.cursor < LINE_MAX => {
                self.line.push(byte.into());
                self.cursor += 1;
                out.push(byte.into());
            }
            _ => {
                self.edit(byte);
                self.show(out);
            }
        }
        Typed::More
    }

    /// Handles a byte of a key that terminals send as several. Returns true if the line may have changed.
    fn continue_escape(&mut self, byte: u8) -> bool {
        match core::mem::take(&mut self.escape) {
            Escape::Begun if matches!(byte, b'[' | b'O') => self.escape = Escape::Key,
            Escape::Key if byte.is_ascii_digit() => self.escape = Escape::Number(byte - b'0'),
            Escape::Key => {
                self.special_key(byte);
                return true;
            }
            Escape::Number(number) => {
                match (number, byte) {
                    (1 | 7, b'~') => self.cursor = 0,
                    (4 | 8, b'~') => self.cursor = self.line.len(),
                    (3, b'~') => self.delete(),
                    _ => {}
                }
                return true;
            }
            Escape::None | Escape::Begun => {}
        }
        false
    }

    /// Handles a key that changes the line in its middle, or moves the cursor.
    fn edit(&mut self, byte: u8) {
        match byte {
            0x01 => self.cursor = 0,
            0x02 => self.cursor = self.cursor.saturating_sub(1),
            0x04 => self.delete(),
            0x05 => self.cursor = self.line.len(),
            0x06 => self.cursor = (self.cursor + 1).min(self.line.len()),
            0x08 | 0x7F if self.cursor > 0 => {
                self.cursor -= 1;
                self.delete();
            }
            0x0B => self.line.truncate(self.cursor),
            0x15 => {
                self.line.drain(..self.cursor);
                self.cursor = 0;
            }
            0x17 => self.delete_word(),
            b' '..=b'~' if self.line.len() < LINE_MAX => {
                self.line.insert(self.cursor, byte.into());
                self.cursor += 1;
            }
            _ => {}
        }
    }

    fn special_key(&mut self, byte: u8) {
        match byte {
            b'A' => self.recall(self.shown.checked_sub(1)),
            b'B' => self.recall(Some(self.shown + 1)),
            b'C' => self.cursor = (self.cursor + 1).min(self.line.len()),
            b'D' => self.cursor = self.cursor.saturating_sub(1),
            b'H' => self.cursor = 0,
            b'F' => self.cursor = self.line.len(),
            _ => {}
        }
    }

    /// Shows a line of the history, or an empty one behind the last.
    fn recall(&mut self, number: Option<usize>) {
        let Some(number) = number.filter(|&number| number <= self.history.len()) else { return };
        self.shown = number;
        self.line = self.history.get(number).map_or_else(Vec::new, |line| line.chars().collect());
        self.cursor = self.line.len();
    }

    fn delete(&mut self) {
        if self.cursor < self.line.len() {
            self.line.remove(self.cursor);
        }
    }

    /// Deletes the word before the cursor, with the spaces behind it.
    fn delete_word(&mut self) {
        let before = &self.line[..self.cursor];
        let word_end = before.iter().rposition(|&c| c != ' ').map_or(0, |last| last + 1);
        let start = before[..word_end].iter().rposition(|&c| c == ' ').map_or(0, |space| space + 1);
        self.line.drain(start..self.cursor);
        self.cursor = start;
    }

    fn clear(&mut self) {
        self.line.clear();
        self.cursor = 0;
        self.shown = self.history.len();
    }

    fn finish(&mut self, out: &mut String) -> Typed {
        let line: String = self.line.iter().collect();
        out.push('\n');
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            if self.history.len() == HISTORY_MAX {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        self.clear();
        Typed::Line(line)
    }

    /// Completes the word before the cursor as far as all words that begin with it agree, and lists them if there are
    /// several.
    fn complete(&mut self, out: &mut String, words: impl FnOnce(&str) -> Vec<String>) {
        let before: String = self.line[..self.cursor].iter().collect();
        let start = before.rfind(' ').map_or(0, |space| space + 1);
        let typed = &before[start..];
        let mut fitting: Vec<String> = words(&before[..start]);
        fitting.retain(|word| word.starts_with(typed));
        let Some(first) = fitting.first() else { return };
        let mut common: &str = first;
        for word in &fitting[1..] {
            let same = common.char_indices().zip(word.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
            common = &common[..same.unwrap_or(common.len().min(word.len()))];
        }
        let mut added: Vec<char> = common[typed.len()..].chars().collect();
        if fitting.len() == 1 {
            added.push(' ');
        } else if added.is_empty() {
            out.push('\n');
            out.push_str(&fitting.join("  "));
            out.push('\n');
        }
        let room = LINE_MAX.saturating_sub(self.line.len());
        added.truncate(room);
        let count = added.len();
        self.line.splice(self.cursor..self.cursor, added);
        self.cursor += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 3] = ["tasks", "threads", "vouchers"];

    fn type_all(editor: &mut LineEditor, keys: &str) -> (Vec<Typed>, String) {
        let mut out = String::new();
        let typed = keys
            .bytes()
            .map(|byte| editor.type_byte(byte, &mut out, |_| WORDS.iter().map(|word| String::from(*word)).collect()));
        let typed = typed.filter(|typed| *typed != Typed::More).collect();
        (typed, out)
    }

    fn line_of(keys: &str) -> String {
        let (typed, _) = type_all(&mut LineEditor::new("> "), keys);
        let [Typed::Line(line)] = &typed[..] else { panic!("one line: {typed:?}") };
        line.clone()
    }

    #[test]
    fn keys_edit_the_line() {
        assert_eq!(line_of("abc\r"), "abc");
        assert_eq!(line_of("abd\x7fc\r"), "abc", "backspace");
        assert_eq!(line_of("bc\x1b[D\x1b[Da\r"), "abc", "left");
        assert_eq!(line_of("bc\x01a\x05d\r"), "abcd", "begin and end");
        assert_eq!(line_of("bc\x1b[Ha\x1b[Fd\r"), "abcd", "home and end");
        assert_eq!(line_of("xabc\x1b[1~\x1b[3~\r"), "abc", "home and delete");
        assert_eq!(line_of("abc def\x17ghi\r"), "abc ghi", "delete a word");
        assert_eq!(line_of("abc def  \x17\r"), "abc ", "delete a word and the spaces behind it");
        assert_eq!(line_of("abc\x15d\r"), "d", "delete all");
        assert_eq!(line_of("abc\x02\x0b\r"), "ab", "delete the rest");
        assert_eq!(line_of("\x7f\x1b[D\x1b[C\x1b[A\x1b[Ba\x04\r"), "a", "nothing to do");
        assert_eq!(line_of("aé\r"), "a", "other bytes are ignored");
    }

    #[test]
    fn lines_are_remembered_once() {
        let mut editor = LineEditor::new("> ");
        type_all(&mut editor, "one\rtwo\rtwo\r \r");
        let (typed, _) = type_all(&mut editor, "\x1b[A\x1b[A\x1b[A\r");
        assert_eq!(typed, [Typed::Line(String::from("one"))]);
        let (typed, _) = type_all(&mut editor, "\x1b[A\x1b[A\x1b[B\x1b[B\x1b[Bnew\r");
        assert_eq!(typed, [Typed::Line(String::from("new"))]);
    }

    #[test]
    fn the_tabulator_completes_words() {
        assert_eq!(line_of("v\t\r"), "vouchers ");
        assert_eq!(line_of("t\t\r"), "t");
        assert_eq!(line_of("th\t\r"), "threads ");
        assert_eq!(line_of("x\t\r"), "x");
        let (_, out) = type_all(&mut LineEditor::new("> "), "t\t");
        assert!(out.contains("\ntasks  threads\n"), "{out:?}");
    }

    #[test]
    fn control_keys_end_the_line_or_the_input() {
        let mut editor = LineEditor::new("> ");
        assert_eq!(type_all(&mut editor, "abc\x03").0, [Typed::Cancelled]);
        assert_eq!(type_all(&mut editor, "\r").0, [Typed::Line(String::new())]);
        assert_eq!(type_all(&mut editor, "\x10").0, [Typed::Processes]);
        assert_eq!(type_all(&mut editor, "\x04").0, [Typed::End]);
    }

    #[test]
    fn a_line_does_not_grow_without_end() {
        let keys = "a".repeat(LINE_MAX + 50) + "\r";
        assert_eq!(line_of(&keys).len(), LINE_MAX);
    }
}
