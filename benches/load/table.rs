//! The figures, collected while measuring and printed at the end: `figure | measured | goal`; and which of them may not be
//! missed.

use std::time::Duration;

use anyhow::{Result, ensure};

/// Rows in the order measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 3]>,
    missed: Vec<String>,
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

    /// Median and 99th percentile of a figure of which the latter must be `at_most`: see [`Table::verdict`].
    pub(crate) fn bounded(&mut self, figure: &str, [median, p99]: [Duration; 2], at_most: Duration) {
        let in_ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        self.row(
            format!("{figure}, median, p99"),
            format!("{}, {}", in_ms(median), in_ms(p99)),
            format!("p99 ≤ {} ms", at_most.as_millis()),
        );
        if p99 > at_most {
            self.missed.push(format!("{figure}: p99 is {}", in_ms(p99)));
        }
    }

    /// Memory in kB that may not be above `most_mb`.
    pub(crate) fn bounded_memory(&mut self, figure: impl Into<String>, kb: u64, most_mb: u64) {
        let figure = figure.into();
        if kb >= most_mb * 1024 {
            self.missed.push(format!("{figure}: {} MB", kb / 1024));
        }
        self.row(figure, format!("{} MB", kb / 1024), format!("< {most_mb} MB"));
    }

    /// Fails if something that must stay below a bound did not.
    pub(crate) fn verdict(&self) -> Result<()> {
        ensure!(self.missed.is_empty(), "above the goal: {}", self.missed.join("; "));
        Ok(())
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
