//! From nothing to the first answer: process start to the first 200 on `/healthz`.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::{Folder, Process, free_address};
use crate::table::Table;

const RUNS: usize = 10;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    eprintln!("start to first answer, {RUNS} runs of `serve` on one database");
    let mock = Process::mock(None).await?;
    let folder = Folder::new()?;
    let mut times = Vec::with_capacity(RUNS);
    // The first run also creates the database; it counts too, since that is a start.
    for _ in 0..RUNS {
        let address = free_address()?;
        let began = Instant::now();
        let service = Process::service(&address, &mock.address, &folder).await?;
        times.push(began.elapsed());
        service.stop()?;
    }
    times.sort_unstable();
    let in_ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1000.0);
    table.row(
        "start to first answer, median (slowest)",
        format!("{} ({})", in_ms(times[RUNS / 2]), in_ms(times[RUNS - 1])),
        "≤ 60 ms",
    );
    Ok(())
}
