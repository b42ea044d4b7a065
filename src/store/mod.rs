//! SQL for what Twilio has no home for: send keys, pairs of people, the message index, names of people.
//!
//! One text for every database, through sqlx's `Any` driver: text, integers, `$1` parameters, and only single statements
//! (`INSERT … ON CONFLICT`, `… RETURNING`) or batches of them, never read-then-write. Messages themselves stay at
//! Twilio; what is kept here can be lost and is then learned again. What the rows mean is `core`'s business.

mod directs;
mod message_index;
mod people;
mod send_keys;

pub use directs::DirectConversation;
pub use message_index::{IndexedMessage, LastMessage, MessageIndex};
pub use people::Person;
pub use send_keys::{Claim, SendKey};

use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, Executor};

/// The database: a cheap clone of a pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
}

/// Why the database did not answer. Carries no values of rows.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer: {0}")]
pub struct Error(#[from] sqlx::Error);

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached, or its file cannot be made.
    #[error("cannot open the database: {0}")]
    Connect(#[from] sqlx::Error),
    /// Its tables cannot be brought up to date.
    #[error("cannot bring the database up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The folder of its file cannot be made.
    #[error("cannot make the folder of the database file: {0}")]
    Folder(#[from] std::io::Error),
}

impl Store {
    /// Opens the database at `url` (`sqlite://path`), making the file and its folder if need be, and brings its tables up
    /// to date.
    ///
    /// # Errors
    /// [`OpenError`], whose text does not repeat the URL.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        install_default_drivers();
        let mut url = url.to_owned();
        if let Some(path) = url.strip_prefix("sqlite://") {
            let file = path.split('?').next().unwrap_or(path);
            if let Some(folder) = std::path::Path::new(file).parent() {
                std::fs::create_dir_all(folder)?;
            }
            if !url.contains('?') {
                url.push_str("?mode=rwc");
            }
        }
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(2))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    if connection.backend_name() == "SQLite" {
                        // Readers beside the one writer; a commit survives a crash of the process.
                        connection
                            .execute(
                                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000",
                            )
                            .await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await?;
        sqlx::migrate!().run(&pool).await?;
        Ok(Self { pool })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error`] when it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
