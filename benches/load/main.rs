//! `make bench`: how fast, how fresh, how big, and how many Twilio calls, beside the goals.
//!
//! The binary built with this benchmark runs as its own process on one core, everything else (this load generator, the
//! mock Twilio, the stand-in for Twilio's message creation) on another where `taskset` exists. The same load runs against two bare
//! servers (`bare.rs`) in the same run, since only ratios carry over from machine to machine.
//! Only suggestions that come too late and memory of uploads above its bound make it fail; all else is there to be read.
//! Nothing is written into the project.
//!
//! `LOAD_SECONDS=3 make bench` is a quick look; `make bench ONLY=fanout` (or `start`, `memory`, `calls`,
//! `suggestions`, `uploads`, `mock`) is a part of it.

#![expect(clippy::disallowed_methods, reason = "a plain HTTP client of the service, not a way to Twilio")]

mod bare;
mod calls;
mod client;
mod fanout;
mod memory;
mod mock;
mod process;
mod start;
mod suggestions;
mod table;
mod uploads;
mod upstream;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::table::Table;

/// How long each closed loop runs, unless `LOAD_SECONDS` says otherwise.
const DEFAULT_SECONDS: u64 = 10;

const PARTS: [&str; 7] = ["fanout", "start", "memory", "calls", "suggestions", "uploads", "mock"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["bare-websocket", address] => bare::websocket(address),
        ["bare-socketioxide", address, upstream] => bare::socketioxide(address, upstream),
        ["upstream", address, mock] => upstream::serve(address, mock),
        // `cargo bench` adds `--bench`; what stands before it was asked for.
        words => process::on_its_own_core(|| measure(words)),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn measure(words: &[&str]) -> Result<()> {
    let only: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = only.iter().find(|part| !PARTS.contains(part)) {
        bail!("there is no part {unknown:?}: {}", PARTS.join(", "));
    }
    let wanted = |part| only.is_empty() || only.contains(&part);
    let seconds = match std::env::var("LOAD_SECONDS") {
        Ok(text) => text.parse()?,
        Err(_) => DEFAULT_SECONDS,
    };
    process::describe_machine();
    let mut table = Table::default();
    if wanted("start") {
        start::measure(&mut table).await?;
    }
    if wanted("memory") {
        memory::measure(&mut table).await?;
    }
    if wanted("calls") {
        calls::measure(&mut table).await?;
    }
    if wanted("suggestions") {
        suggestions::measure(&mut table).await?;
    }
    if wanted("uploads") {
        uploads::measure(&mut table).await?;
    }
    if wanted("fanout") {
        fanout::measure(&mut table, Duration::from_secs(seconds)).await?;
    }
    if wanted("mock") {
        mock::measure(&mut table).await?;
    }
    table.print();
    table.verdict()
}
