//! The figures, collected while measuring and printed at the end: `figure | measured | goal`.

/// Rows in the order measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 3]>,
}

impl Table {
    /// One figure. An empty `goal` is for what is measured to compare with.
    pub(crate) fn row(
        &mut self,
        figure: impl Into<String>,
        measured: impl Into<String>,
        goal: impl Into<String>,
    ) {
        let row = [figure.into(), measured.into(), goal.into()];
        eprintln!("  {}: {}", row[0], row[1]);
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        let head = ["figure", "measured", "goal"].map(str::to_owned);
        let width = |column: usize| {
            self.rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let (first, second) = (width(0), width(1));
        println!();
        for (n, [figure, measured, goal]) in [&head].into_iter().chain(&self.rows).enumerate() {
            println!("{figure:first$} | {measured:second$} | {goal}");
            if n == 0 {
                println!("{:-<first$}-+-{:-<second$}-+-{:-<10}", "", "", "");
            }
        }
    }
}
