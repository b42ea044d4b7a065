//! The directory as it is searched: everybody's search keys, when they were last seen, and whose contacts overlap. What is
//! known of one person is `people.rs`; the ranking is `core/directory.rs`.

use std::collections::HashMap;

use super::query::QueryBuilder;
use super::{Error, Store};

/// People asked about in one statement: databases bound its parameters.
const ASKED_AT_ONCE: usize = 200;

/// What a search needs to know of a person.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    /// The chat identity.
    pub identity: String,
    /// Their name in lower case, without accents.
    pub nickname_key: Option<String>,
    /// What they say about themselves, likewise.
    pub bio_key: Option<String>,
    /// When they were first heard of, unix seconds.
    pub created_at: i64,
    /// When they were last here, unix seconds.
    pub last_seen: Option<i64>,
    /// When anything was last told of them, unix seconds.
    pub updated_at: i64,
}

impl Store {
    /// At most `limit` people of whom something was told at `after` (unix seconds, and the identity to go on behind) or
    /// later, in that order.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn listed_since(&self, after: (i64, &str), limit: i64) -> Result<Vec<Listed>, Error> {
        let rows = sqlx::query_as(
            "SELECT identity, nickname_key, bio_key, created_at, last_seen, updated_at FROM people
             WHERE updated_at >= $1 AND (updated_at > $1 OR identity > $2)
             ORDER BY updated_at, identity LIMIT $3",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Who went at `since` (unix seconds) or later, and when.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn seen_since(&self, since: i64) -> Result<Vec<(String, i64)>, Error> {
        let query = "SELECT identity, last_seen FROM people WHERE last_seen >= $1";
        Ok(sqlx::query_as(query).bind(since).fetch_all(&self.pool).await?)
    }

    /// Remembers when somebody of the directory was last here, unix seconds. An earlier time, told late, changes nothing.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn note_last_seen(&self, identity: &str, at: i64) -> Result<(), Error> {
        sqlx::query(
            "UPDATE people SET last_seen = $2 WHERE identity = $1 AND (last_seen IS NULL OR last_seen < $2)",
        )
        .bind(identity)
        .bind(at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// When these people were last here, unix seconds; whoever never was is missing from the answer.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn last_seen_of(&self, identities: &[&str]) -> Result<HashMap<String, i64>, Error> {
        let mut seen = HashMap::new();
        for some in identities.chunks(ASKED_AT_ONCE) {
            let mut query = QueryBuilder::new(
                "SELECT identity, last_seen FROM people WHERE last_seen IS NOT NULL AND identity IN (",
            );
            let mut list = query.separated(", ");
            for identity in some {
                list.push_bind((*identity).to_owned());
            }
            query.push(")");
            let rows: Vec<(String, i64)> = query.build_query_as().fetch_all(&self.pool).await?;
            seen.extend(rows);
        }
        Ok(seen)
    }

    /// Who has people as contacts whom `owner` has too, and how many.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn mutual_contacts(&self, owner: &str) -> Result<Vec<(String, i64)>, Error> {
        let rows = sqlx::query_as(
            "SELECT theirs.owner, COUNT(DISTINCT theirs.customer) FROM contacts AS own
             JOIN contacts AS theirs ON theirs.customer = own.customer
             WHERE own.owner = $1 AND own.customer IS NOT NULL AND theirs.owner <> $1
             GROUP BY theirs.owner",
        )
        .bind(owner)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}
