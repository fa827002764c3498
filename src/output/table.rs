//! Text in columns.

use mdalp::text::width;

/// The width of a terminal, less one column: in the last one some break the line.
const WIDTH: usize = 79;

/// The lines of a table, with a newline between them. The first row has the headings; a column whose heading begins with a
/// blank holds numbers, and is flush right.
pub fn table(rows: &[Vec<String>]) -> String {
    let Some(headings) = rows.first() else { return String::new() };
    let mut widths = vec![0; headings.len()];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell.trim_start()).max(*widest);
        }
    }
    // Two blanks between columns, or one where that makes the table fit.
    let fits = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) <= WIDTH;
    let gap = if fits { "  " } else { " " };
    let mut text = String::new();
    for row in rows {
        if !text.is_empty() {
            text.push('\n');
        }
        for ((cell, widest), heading) in row.iter().zip(&widths).zip(headings) {
            let cell = cell.trim_start();
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
        let rows = [["Name", " Bytes", "Status"], ["A", "12345678", "done"], ["東京", "1", ""]];
        let shown = table(&rows.map(|row| row.map(str::to_owned).to_vec()));
        assert_eq!(shown, "Name     Bytes  Status\nA     12345678  done\n東京         1");
    }
}
