//! Who was signed out, and when, for as long as a token of before may be valid.

use super::{Error, Store};

impl Store {
    /// Notes that `identity` was signed out at `at` (unix seconds), unless they were later.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn sign_out(&self, identity: &str, at: i64) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO sign_outs (identity, signed_out_at) VALUES ($1, $2)
             ON CONFLICT (identity) DO UPDATE SET signed_out_at = excluded.signed_out_at
             WHERE excluded.signed_out_at > sign_outs.signed_out_at",
        )
        .bind(identity)
        .bind(at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Who was signed out at `at` (unix seconds) or later, and when, on whichever node.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn signed_out_since(&self, at: i64) -> Result<Vec<(String, i64)>, Error> {
        let rows = sqlx::query_as("SELECT identity, signed_out_at FROM sign_outs WHERE signed_out_at >= $1")
            .bind(at)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows)
    }

    /// Forgets those before `at` (unix seconds).
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_sign_outs(&self, at: i64) -> Result<(), Error> {
        sqlx::query("DELETE FROM sign_outs WHERE signed_out_at < $1").bind(at).execute(&self.pool).await?;
        Ok(())
    }
}
