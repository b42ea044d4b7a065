//! Names and pictures of people, as last told by whoever added them to a conversation.

use super::{Error, Store};

/// One person of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The chat identity.
    pub identity: String,
    /// What to call them.
    pub name: Option<String>,
    /// URL of a picture.
    pub image: Option<String>,
}

impl Store {
    /// Remembers what is told of `person`; what is not told stays as it was. `now` in unix seconds.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn remember_person(&self, person: &Person, now: i64) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO people (identity, name, image, updated_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (identity) DO UPDATE SET
                 name = COALESCE(excluded.name, people.name),
                 image = COALESCE(excluded.image, people.image),
                 updated_at = excluded.updated_at",
        )
        .bind(&person.identity)
        .bind(&person.name)
        .bind(&person.image)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What is known of `identity`.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_person(&self, identity: &str) -> Result<Option<Person>, Error> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("SELECT name, image FROM people WHERE identity = $1")
                .bind(identity)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(name, image)| Person { identity: identity.to_owned(), name, image }))
    }
}
