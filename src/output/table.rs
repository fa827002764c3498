//! Text in columns.

use mdalp::text::Escaped;
use std::fmt;

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
        for (i, row) in self.0.iter().enumerate() {
            let mut line = String::new();
            for ((cell, widest), heading) in row.iter().zip(&widths).zip(headings) {
                let cell = cell.trim_start();
                let blank = widest - width(cell);
                let (before, after) = if heading.starts_with(' ') { (blank, 0) } else { (0, blank) };
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', after + 2));
            }
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Text from the network, escaped and cut to so many columns, then `…`.
pub fn short(text: &str, columns: usize) -> String {
    let mut short = String::new();
    let mut room = columns;
    for c in text.chars() {
        let escaped = Escaped(c.encode_utf8(&mut [0; 4])).to_string();
        match room.checked_sub(width(&escaped)) {
            Some(left) => room = left,
            None => {
                short.push('…');
                break;
            }
        }
        short.push_str(&escaped);
    }
    short
}

/// How many columns a terminal needs for it, about: East Asian wide characters and emoji take two.
pub fn width(text: &str) -> usize {
    let is_wide = |c| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}'
            | '\u{20000}'..='\u{3fffd}')
    };
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
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

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(short("5th Receiver", 12), "5th Receiver");
        assert_eq!(short("5th Receivers", 12), "5th Receiver…");
        assert_eq!(short("東京東京", 5), "東京…");
        assert_eq!(short("a\x1b[2J", 5), "a…");
        assert_eq!(short("\u{202e}x", 8), "\\u{202e}…");
    }
}
