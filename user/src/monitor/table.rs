//! [`Table`]: rows of facts, printed in columns for people or as JSON for programs.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, which stands on the right side of its column.
    Number(u64),
    /// Nothing: an empty field, or `null`.
    None,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_string())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Number(number)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Cell {
        Cell::Number(number.into())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Cell {
        cell.map_or(Cell::None, Into::into)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(text),
            Cell::Number(number) => number.fmt(f),
            Cell::None => Ok(()),
        }
    }
}

/// Rows with a cell for each column.
#[derive(Debug)]
pub struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
    /// Said instead of a table without rows.
    empty: &'static str,
}

impl Table {
    /// Returns a table without rows. `empty` is said if it stays so.
    pub fn new(columns: &'static [&'static str], empty: &'static str) -> Table {
        Table { columns, rows: Vec::new(), empty }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        assert_eq!(N, self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells.into());
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the table in columns, two spaces apart.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> fmt::Result {
        if self.rows.is_empty() {
            return writeln!(out, "{}", self.empty);
        }
        let texts: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| cell.to_string()).collect()).collect();
        let is_number = |column: usize| self.rows.iter().all(|row| !matches!(row[column], Cell::Text(_)));
        let width = |column: usize| {
            let widest = texts.iter().map(|row| row[column].chars().count()).max();
            widest.unwrap_or(0).max(self.columns[column].chars().count())
        };
        let layout: Vec<(bool, usize)> =
            (0..self.columns.len()).map(|column| (is_number(column), width(column))).collect();
        let heads: Vec<String> = self.columns.iter().map(|head| head.to_string()).collect();
        for row in core::iter::once(&heads).chain(&texts) {
            let mut line = String::new();
            for (text, (right, width)) in row.iter().zip(&layout) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                if *right {
                    write!(line, "{text:>width$}")?;
                } else {
                    write!(line, "{text:<width$}")?;
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Writes the table as a JSON array with an object for each row.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("[")?;
        for (number, row) in self.rows.iter().enumerate() {
            out.write_str(if number == 0 { "{" } else { ",\n {" })?;
            for (column, (head, cell)) in self.columns.iter().zip(row).enumerate() {
                if column > 0 {
                    out.write_str(", ")?;
                }
                write_json_string(out, head)?;
                out.write_str(": ")?;
                match cell {
                    Cell::Text(text) => write_json_string(out, text)?,
                    Cell::Number(number) => write!(out, "{number}")?,
                    Cell::None => out.write_str("null")?,
                }
            }
            out.write_str("}")?;
        }
        out.write_str("]\n")
    }
}

/// Writes a string in quotes.
///
/// # Errors
/// Those of `out`.
pub fn write_json_string(out: &mut dyn Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            c if c < ' ' => write!(out, "\\u{:04x}", c as u32)?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["pid", "task", "waits for"], "there are no tasks");
        table.row([1u32.into(), "init".into(), Cell::None]);
        table.row([12u32.into(), "a \"b\"".into(), "a message".into()]);
        table
    }

    #[test]
    fn numbers_stand_on_the_right_and_lines_end_without_spaces() {
        let mut text = String::new();
        table().write_text(&mut text).unwrap();
        assert_eq!(text, "pid  task   waits for\n  1  init\n 12  a \"b\"  a message\n");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        let mut text = String::new();
        Table::new(&["pid"], "there are no tasks").write_text(&mut text).unwrap();
        assert_eq!(text, "there are no tasks\n");
        text.clear();
        Table::new(&["pid"], "there are no tasks").write_json(&mut text).unwrap();
        assert_eq!(text, "[]\n");
    }

    #[test]
    fn json_quotes_what_must_be_quoted() {
        let mut text = String::new();
        table().write_json(&mut text).unwrap();
        let expected = "[{\"pid\": 1, \"task\": \"init\", \"waits for\": null},\n \
                        {\"pid\": 12, \"task\": \"a \\\"b\\\"\", \"waits for\": \"a message\"}]\n";
        assert_eq!(text, expected);
    }
}
