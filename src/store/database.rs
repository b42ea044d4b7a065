//! [`Database`]: the pool of connections, and what becomes of those who ask while the database is away.
//!
//! Nobody waits long for it. Once it does not answer, whoever asks is told so at once: a chat that can go on without the
//! database then goes on at full speed. Meanwhile one task tries every [`TRIED_EVERY`] whether it is back. What a caller does
//! without it is `core`'s business.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sqlx::any::{AnyPoolOptions, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Describe, Either, Error, Execute, Executor, SqlStr};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Timeout, sleep, timeout};

use super::OpenError;

/// How long a caller waits for a connection.
const CONNECTION_WITHIN: Duration = Duration::from_secs(2);
/// How long for an answer on it; above SQLite's own wait for a lock.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often a database that is away is tried.
const TRIED_EVERY: Duration = Duration::from_secs(1);
/// Connections to a PostgreSQL server, of each node; a server takes 100 by default.
const POSTGRES_CONNECTIONS: u32 = 10;
/// One writes, the others read meanwhile.
const SQLITE_CONNECTIONS: u32 = 4;
/// Nodes that start together on one new file make its tables one after the other; one may be behind at every one of them.
const MIGRATION_TRIES: u32 = 20;

/// The pool: a cheap clone. `&Database` runs queries, as a pool of sqlx's does.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pool: AnyPool,
    away_since: Arc<Mutex<Option<Instant>>>,
}

/// The right to one connection; what is asked on it is asked [`in_time`].
pub(super) struct Lease {
    connection: PoolConnection<Any>,
    database: Database,
}

impl Database {
    /// Connects to the database at `url` and brings its tables up to date; other nodes that do so wait for each other.
    pub(super) async fn open(url: &str) -> Result<Self, OpenError> {
        let is_sqlite = url.starts_with("sqlite:");
        // A pool would only say that it had to wait; this says why.
        let connecting = timeout(ANSWER_WITHIN, AnyConnection::connect(url)).await;
        connecting.map_err(|_| OpenError::Silent)??.close().await?;
        let options = AnyPoolOptions::new()
            .max_connections(if is_sqlite { SQLITE_CONNECTIONS } else { POSTGRES_CONNECTIONS })
            .acquire_timeout(CONNECTION_WITHIN)
            // Costs a round trip, and saves every caller from the connections that a restart of the server has cut.
            .test_before_acquire(!is_sqlite)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    if connection.backend_name() == "SQLite" {
                        // Readers beside the one writer; a commit survives a crash of the process.
                        const PRAGMAS: &str = "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; \
                                               PRAGMA synchronous = NORMAL";
                        connection.execute(PRAGMAS).await?;
                    }
                    Ok(())
                })
            });
        let options = if url.contains(":memory:") {
            // It lives as long as its only connection.
            options.max_connections(1).idle_timeout(None).max_lifetime(None)
        } else {
            options
        };
        let database = Self { pool: options.connect_lazy(url)?, away_since: Arc::default() };
        let mut tries = 1;
        while let Err(error) = database.migrate().await {
            // PostgreSQL's migrations are under a lock; SQLite has none, so the slower of two finds a table there already.
            if !is_sqlite || tries == MIGRATION_TRIES {
                return Err(error);
            }
            tries += 1;
        }
        metrics::gauge!("switchboard_database_available").set(1);
        Ok(database)
    }

    async fn migrate(&self) -> Result<(), OpenError> {
        let mut connection = self.pool.acquire().await?;
        let migrated = sqlx::migrate!().run_direct(None, &mut *connection, false).await;
        if connection.backend_name() != "SQLite" {
            // The lock ends with the connection, also after a migration that failed.
            connection.close().await?;
        }
        Ok(migrated?)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// A connection, unless the database was away a moment ago.
    pub(super) async fn lease(&self) -> Result<Lease, Error> {
        if self.away_since.lock().is_some() {
            return Err(Error::Io(std::io::Error::other("it did not answer a moment ago")));
        }
        match self.pool.acquire().await {
            Ok(connection) => Ok(Lease { connection, database: self.clone() }),
            Err(error) => {
                if !matches!(error, Error::PoolClosed) {
                    self.went_away(&error);
                }
                Err(error)
            }
        }
    }

    /// One task tries it from now on until it is back: no caller has to wait for that.
    fn went_away(&self, error: &Error) {
        let mut away_since = self.away_since.lock();
        if away_since.is_some() {
            return;
        }
        *away_since = Some(Instant::now());
        tracing::error!(%error, "the database is away: what can go on without it does");
        metrics::gauge!("switchboard_database_available").set(0);
        let database = self.clone();
        tokio::spawn(async move {
            while !database.pool.is_closed() {
                sleep(TRIED_EVERY).await;
                if let Ok(Ok(())) = in_time(database.answers()).await {
                    return database.came_back();
                }
            }
        });
    }

    /// Whether it can be read and written.
    async fn answers(&self) -> Result<(), Error> {
        let mut connection = self.pool.acquire().await?;
        if connection.backend_name() == "SQLite" {
            // Reads alone go on while somebody else holds the lock.
            connection.begin_with("BEGIN IMMEDIATE").await?.rollback().await
        } else {
            connection.execute("SELECT 1").await.map(drop)
        }
    }

    fn came_back(&self) {
        if let Some(since) = self.away_since.lock().take() {
            tracing::info!(seconds = since.elapsed().as_secs(), "the database is back");
            metrics::gauge!("switchboard_database_available").set(1);
        }
    }
}

impl Lease {
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }

    /// Takes in what came of asking, [`in_time`] or too late.
    pub(super) fn end<T>(self, answer: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        let Ok(answer) = answer else {
            // Nobody knows what is under way on it: out of the pool.
            drop(self.connection.detach());
            let error = Error::Io(std::io::ErrorKind::TimedOut.into());
            self.database.went_away(&error);
            return Err(error);
        };
        if let Err(error) = &answer
            && is_away(error)
        {
            self.database.went_away(error);
        }
        answer
    }
}

/// `asking`, for as long as an answer may take.
pub(super) fn in_time<F: Future>(asking: F) -> Timeout<F> {
    timeout(ANSWER_WITHIN, asking)
}

/// Whether an error is about the database and not about what it was asked.
pub(super) fn is_away(error: &Error) -> bool {
    /// Busy, locked, not to be written to, failing, full, not to be opened.
    /// Source: <https://www.sqlite.org/rescode.html>; the lowest byte is the kind.
    const SQLITE: [u32; 6] = [5, 6, 8, 10, 13, 14];
    /// Connection lost, out of resources, stopped by an operator, failing.
    /// Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>; the first two characters are the class.
    const POSTGRES: [&str; 4] = ["08", "53", "57", "58"];
    if let Error::Database(error) = error {
        return error.code().is_some_and(|code| match code.parse::<u32>() {
            Ok(code) if code < 10_000 => SQLITE.contains(&(code & 0xff)),
            Ok(_) | Err(_) => POSTGRES.iter().any(|class| code.starts_with(class)),
        });
    }
    matches!(
        error,
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::PoolTimedOut | Error::WorkerCrashed
    )
}

/// Whether asking once more is all it takes: two writers stood in each other's way.
pub(super) fn is_collision(error: &Error) -> bool {
    let Error::Database(error) = error else { return false };
    // Serialization failure and deadlock, of PostgreSQL.
    matches!(error.code().as_deref(), Some("40001" | "40P01"))
}

// Like a pool of sqlx's, a query keeps a clone and not the reference.
impl<'p> Executor<'p> for &'_ Database {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        // Gathered, so that the answer has come when its time is up; no answer is long.
        let database = self.clone();
        let answer = async move {
            let mut lease = database.lease().await?;
            let steps = in_time(lease.connection().fetch_many(query).try_collect::<Vec<_>>()).await;
            lease.end(steps)
        };
        stream::once(answer).map_ok(|steps| stream::iter(steps.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let database = self.clone();
        Box::pin(async move {
            let mut lease = database.lease().await?;
            let row = in_time(lease.connection().fetch_optional(query)).await;
            lease.end(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        let pool = self.pool.clone();
        Box::pin(async move { pool.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, Error>>
    where
        'p: 'e,
    {
        let pool = self.pool.clone();
        Box::pin(async move { pool.acquire().await?.describe(sql).await })
    }
}
