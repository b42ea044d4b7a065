//! SQL for what Twilio has no home for.
//!
//! Send keys, pairs of people, the message index, the directory, contacts, blocks, products, phones, the list of support
//! conversations, one-time codes, who was signed out.
//!
//! One text for SQLite and PostgreSQL, through sqlx's `Any` driver: text, integers, `$1` parameters, and only single
//! statements (`INSERT … ON CONFLICT`, `… RETURNING`) or batches of them, never read-then-write. A query runs on
//! `&self.pool`, which knows what to do while the database is away (`database.rs`). Messages themselves stay at Twilio; what
//! is kept here is learned again when it is lost, or restored by `switchboard reindex`; but for contacts, blocks, send keys,
//! one-time codes and who was signed out, which are nowhere else. What the rows mean is `core`'s business.

mod blocks;
mod codes;
mod contacts;
mod database;
mod directory;
mod directs;
mod media;
mod message_index;
mod people;
mod phones;
mod products;
mod query;
mod send_keys;
mod sign_outs;
mod support;

pub use blocks::Block;
pub use codes::AuthCode;
pub use contacts::Contact;
pub use directory::Listed;
pub use directs::DirectConversation;
pub use media::StoredMedia;
pub use message_index::{IndexedMessage, LastMessage, MessageIndex};
pub use people::{Person, Searched, Source, Told};
pub use phones::PhoneConversation;
pub use products::Product;
pub use send_keys::{Claim, SendKey};
pub use support::{SupportFilter, SupportRow};

use sqlx::any::install_default_drivers;

use database::Database;

/// The database: a cheap clone of a pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Database,
}

/// Why the database did not answer. Carries no values of rows.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer: {0}")]
pub struct Error(#[from] sqlx::Error);

impl Error {
    /// Whether the same may succeed later: the database is away, or somebody else was in the way.
    pub(crate) fn is_passing(&self) -> bool {
        database::is_away(&self.0) || database::is_collision(&self.0)
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached, or its file cannot be made.
    #[error("cannot open the database: {0}{cure}", cure = cure(.0))]
    Connect(#[from] sqlx::Error),
    /// It takes connections, or swallows them, and says nothing.
    #[error(
        "cannot open the database: no answer in time; is it the right host and port, and does a firewall stand between?"
    )]
    Silent,
    /// Its tables cannot be brought up to date.
    #[error("cannot bring the database up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The folder of its file cannot be made.
    #[error("cannot make the folder of the database file: {0}")]
    Folder(#[from] std::io::Error),
}

/// What to do about a database that cannot be opened, as far as its answer tells.
fn cure(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    match &*code {
        "3D000" => "; make it with: createdb NAME",
        "28P01" | "28000" => {
            "; look at the user and the password, and percent-encode what is not a letter or digit"
        }
        "53300" => "; raise its max_connections: every node takes up to ten",
        "57P03" => "; it is starting up, try again",
        "42501" => "; the user needs to own the database, or: GRANT CREATE ON SCHEMA public TO user",
        "14" => "; may this user write to the file and its folder?",
        _ if matches!(error, sqlx::Error::Io(_)) => "; is it running, and at this host and port?",
        _ if matches!(error, sqlx::Error::Tls(_)) => {
            "; sslmode=verify-full needs a certificate of a public authority, or its own in sslrootcert=FILE"
        }
        _ => "",
    }
}

impl Store {
    /// Opens the database at `url` (`sqlite://path`, `postgres://…`) and brings its tables up to date. An SQLite file and
    /// its folder are made if need be; nodes that start together wait for each other.
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
        Ok(Self { pool: Database::open(&url).await? })
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
