//! [`TestDatabase`]: where a test's service keeps its rows: an SQLite file, or a database of its own on the PostgreSQL server
//! that `tests/postgres.sh` starts. Without that server there is none, and [`on_both`] runs half.

use std::sync::Arc;

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tempfile::TempDir;
use uuid::Uuid;

/// A new, empty database; a cheap clone. The file goes with the last clone, PostgreSQL's with its server.
#[derive(Debug, Clone)]
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    _folder: Option<Arc<TempDir>>,
}

impl TestDatabase {
    /// An SQLite file; with `TEST_SERVICES_ON=postgres` a database there, so that every story can be told on it.
    pub(crate) async fn usual() -> Self {
        match std::env::var("TEST_SERVICES_ON").as_deref() {
            Ok("postgres") => Self::postgres().await.expect("tests/postgres.sh started a server"),
            Ok(_) | Err(_) => Self::sqlite(),
        }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("switchboard.db").display());
        Self { url, _folder: Some(Arc::new(folder)) }
    }

    /// `None` where no PostgreSQL was started for the tests.
    pub(crate) async fn postgres() -> Option<Self> {
        Self::on_server("TEST_POSTGRES_URL").await
    }

    /// On the server that may be stopped; for one test at a time.
    pub(crate) async fn fragile() -> Option<Self> {
        Self::on_server("TEST_POSTGRES_FRAGILE_URL").await
    }

    async fn on_server(variable: &str) -> Option<Self> {
        let Ok(server) = std::env::var(variable) else {
            eprintln!("{variable} is not set, so this test does nothing: tests/postgres.sh cargo test");
            return None;
        };
        install_default_drivers();
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut connection = AnyConnection::connect(&server).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        Some(Self { url: format!("{server}/{name}"), _folder: None })
    }

    /// The same database behind another address.
    pub(crate) fn through(&self, port: u16) -> Self {
        let (before, after) = self.url.rsplit_once('@').unwrap();
        let (_, name) = after.split_once('/').unwrap();
        Self { url: format!("{before}@127.0.0.1:{port}/{name}"), _folder: None }
    }

    /// A connection beside the service's.
    pub(crate) async fn connection(&self) -> AnyConnection {
        install_default_drivers();
        AnyConnection::connect(&self.url).await.unwrap()
    }
}

/// Makes each of these behaviours, functions of a [`TestDatabase`], a test on both databases.
macro_rules! on_both {
    ($($behaviour:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour($crate::support::TestDatabase::sqlite()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                if let Some(database) = $crate::support::TestDatabase::postgres().await {
                    super::$behaviour(database).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;
