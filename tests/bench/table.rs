//! Medians, spreads and tables.

/// The values of one figure over all rounds, ascending.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub fn median(&self) -> f64 {
        let rounds = self.0.len();
        (self.0[(rounds - 1) / 2] + self.0[rounds / 2]) / 2.0
    }

    /// `0.962 (0.955–0.970)`: the median, and the lowest and highest value.
    pub fn show(&self) -> String {
        format!("{:.3} ({:.3}–{:.3})", self.median(), self.0[0], self.0[self.0.len() - 1])
    }
}

/// Lines of cells under a head, printed as a Markdown table whose columns are aligned.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Table {
        let mut table = Table { rows: Vec::new() };
        table.row(head);
        table
    }

    pub fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
    }

    pub fn print(&self) {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..self.rows[0].len()).filter_map(width).collect();
        let print = |cells: &[String]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
            println!("|{}", padded.collect::<String>());
        };
        print(&self.rows[0]);
        print(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
        self.rows[1..].iter().for_each(|row| print(row));
        println!();
    }
}
