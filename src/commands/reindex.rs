//! `switchboard reindex`: restores the database from what Twilio has. What is restored and how is `core/reindex.rs`.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use tokio::time::{Instant, interval_at};

use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Part, Progress, Reindex};
use crate::{server, telemetry};

use super::asked_to_end;

/// How often it says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What is to be restored, and how fast.
#[derive(Debug, Args)]
pub(super) struct ReindexArguments {
    /// Restores only this; may be given several times.
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<PartArgument>,
    /// Conversations read at once.
    #[arg(long, default_value_t = 8, value_name = "1-50", value_parser = clap::value_parser!(u8).range(1..=50))]
    concurrency: u8,
    /// Goes on where an earlier run ended: what it said then.
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PartArgument {
    /// What people set about themselves, and their phones.
    People,
    /// Whose conversation is whose, and what others call people.
    Conversations,
    /// The index of messages, and the newest of each conversation.
    Messages,
}

pub(super) async fn run(arguments: ReindexArguments) -> anyhow::Result<()> {
    let settings = arguments.config.serve()?;
    telemetry::init(settings.log.format, &settings.log.filter);
    let core = server::core(&settings, Clock::system()).await?;
    let part = |part: &PartArgument| match part {
        PartArgument::People => Part::People,
        PartArgument::Conversations => Part::Conversations,
        PartArgument::Messages => Part::Messages,
    };
    let reindex = Reindex {
        only: arguments.only.iter().map(part).collect(),
        concurrency: arguments.concurrency.into(),
        from: arguments.from,
    };
    let progress = Progress::default();
    let began = Instant::now();
    let mut ticks = interval_at(began + TOLD_EVERY, TOLD_EVERY);
    let outcome = {
        let mut restoring = pin!(core.reindex(&reindex, &progress));
        let mut end = pin!(asked_to_end());
        loop {
            tokio::select! {
                outcome = &mut restoring => break outcome.context("the rest is not restored"),
                () = &mut end => break Err(anyhow::anyhow!("ended before everything was restored")),
                _ = ticks.tick() => eprintln!("{}", so_far(&progress, began.elapsed())),
            }
        }
    };
    core.close().await;
    eprintln!("{}", summary(&progress, began.elapsed()));
    if let Err(error) = outcome {
        match progress.resume_at() {
            Some(cursor) => bail!("{error:#}; go on with: switchboard reindex --from '{cursor}'"),
            None => bail!("{error:#}; run it again"),
        }
    }
    Ok(())
}

/// One line: how far, how fast, what it has cost, how long yet.
fn so_far(progress: &Progress, took: Duration) -> String {
    let calls = progress.calls.load(Ordering::Relaxed);
    let done = read(&progress.conversations);
    let in_all = read(&progress.conversations_in_all);
    if done == 0 {
        return format!("reindex: {} people, {calls} Twilio calls", read(&progress.people));
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let messages = read(&progress.messages);
    let left = match in_all.checked_sub(done) {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        Some(left) => format!(", about {:.0} s left", left as f64 / rate),
        None => String::new(),
    };
    let of = if in_all > 0 { format!(" of {in_all}") } else { String::new() };
    format!("reindex: {done}{of} conversations, {rate:.1}/s, {messages} messages, {calls} Twilio calls{left}")
}

fn summary(progress: &Progress, took: Duration) -> String {
    format!(
        "reindexed in {:.1} s with {} Twilio calls:\n  {:>9} people\n  {:>9} conversations, {} of them the one of a set of \
         people, {} support\n  {:>9} messages",
        took.as_secs_f64(),
        progress.calls.load(Ordering::Relaxed),
        read(&progress.people),
        read(&progress.conversations),
        read(&progress.directs),
        read(&progress.support),
        read(&progress.messages),
    )
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
