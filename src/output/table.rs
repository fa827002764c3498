//! Text in columns.

use mdalp::text::width;

/// The width of a terminal, less one column: in the last one some break the line.
const WIDTH: usize = 79;

/// The lines of a table, with a newline between them. A column whose heading begins with a blank holds numbers, and is flush
/// right.
pub fn table(headings: &[&str], mut rows: Vec<Vec<String>>) -> String {
    rows.insert(0, headings.iter().map(|heading| heading.trim_start().to_owned()).collect());
    let mut widths = vec![0; headings.len()];
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    // Two blanks between columns, or one where that makes the table fit.
    let fits = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) <= WIDTH;
    let gap = if fits { "  " } else { " " };
    let mut text = String::new();
    for row in &rows {
        if !text.is_empty() {
            text.push('\n');
        }
        for ((cell, widest), heading) in row.iter().zip(&widths).zip(headings) {
            let blank = " ".repeat(widest - width(cell));
            let (before, after) = if heading.starts_with(' ') { (&*blank, "") } else { ("", &*blank) };
            text.extend([before, cell, after, gap]);
        }
        text.truncate(text.trim_end().len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_flush_left_and_numbers_are_flush_right() {
        let rows = [["A", "12345678", "done"], ["東京", "1", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        let shown = table(&["Name", " Bytes", "Status"], rows);
        assert_eq!(shown, "Name     Bytes  Status\nA     12345678  done\n東京         1");
    }
}
