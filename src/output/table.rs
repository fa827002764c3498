//! Text in columns.

use mdalp::text::width;
use std::fmt;

/// The width of a terminal, less one column: in the last one some break the line.
const WIDTH: usize = 79;

/// A heading, and rows of as many cells.
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// With these headings. A column whose heading begins with a blank holds numbers, and is flush right.
    pub fn new(headings: &[&str]) -> Self {
        Self(vec![headings.iter().map(|heading| (*heading).to_owned()).collect()])
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }
}

impl fmt::Display for Table {
    /// The lines, with a newline between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(headings) = self.0.first() else { return Ok(()) };
        let mut widths = vec![0; headings.len()];
        for row in &self.0 {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell.trim_start()).max(*widest);
            }
        }
        // Two blanks between columns, or one where that makes the table fit.
        let gap =
            if widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) <= WIDTH { 2 } else { 1 };
        for (i, row) in self.0.iter().enumerate() {
            let mut line = String::new();
            for ((cell, widest), heading) in row.iter().zip(&widths).zip(headings) {
                let cell = cell.trim_start();
                let blank = widest - width(cell);
                let (before, after) = if heading.starts_with(' ') { (blank, 0) } else { (0, blank) };
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', after + gap));
            }
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_flush_left_and_numbers_are_flush_right() {
        let mut table = Table::new(&["Name", " Bytes", "Status"]);
        table.row(vec!["A".to_owned(), "12345678".to_owned(), "done".to_owned()]);
        table.row(vec!["東京".to_owned(), "1".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "Name     Bytes  Status\nA     12345678  done\n東京         1");
    }
}
