//! The state in a file: loaded at start, saved when something changed, and when the mock stops.
//!
//! A file is written beside the old one and takes its place when it is whole, so whoever stops the process finds the
//! one or the other. What is in it is `snapshot.rs`' business.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::mock::snapshot::{self, NotRestored};
use crate::mock::state::State;

/// How often it is looked whether there is something to save.
const EVERY: Duration = Duration::from_secs(1);

/// Saving takes at most one part in this many of the time.
const SHARE: u32 = 10;

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is not a snapshot.
    #[error(transparent)]
    Snapshot(#[from] NotRestored),
    /// It is no seed; the text says where and why.
    #[error("{0}")]
    Seed(String),
}

/// Restores what was saved. A file there is not yet is an empty state.
pub(crate) fn load(state: &State, path: &Path) -> Result<(), FileProblem> {
    match std::fs::read(path) {
        Ok(json) => Ok(snapshot::restore(state, &json)?),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            // Somebody who may not write here should know before an hour's work is lost.
            Ok(save(state, path)?)
        }
        Err(cause) => Err(cause.into()),
    }
}

/// Saves every account.
pub(crate) fn save(state: &State, path: &Path) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(&snapshot::write(&state.accounts()))?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Saves what changed while the `server` runs, and once more when it has answered its last request.
pub(crate) async fn keep(state: State, path: PathBuf, mut server: JoinHandle<()>) {
    let mut pause = EVERY;
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            _ = &mut server => true,
        };
        // All of them are asked: each forgets that it changed.
        let changed = state.accounts().iter().filter(|account| account.changed()).count() > 0;
        if changed {
            let started = Instant::now();
            let (saved, to) = (state.clone(), path.clone());
            let saved = tokio::task::spawn_blocking(move || save(&saved, &to)).await;
            if let Ok(Err(cause)) = saved {
                tracing::warn!(path = %path.display(), %cause, "the mock's state is not saved");
                state.first().touch();
            }
            pause = EVERY.max(started.elapsed() * SHARE);
        }
        if stopping {
            return;
        }
    }
}
