//! Blocks: who does not want to hear from whom. What a block forbids is `core/blocks.rs`.

use super::{Error, Store};

/// A block of one person by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Whose wish it is.
    pub blocker: String,
    /// Whom they do not want to hear from.
    pub blocked: String,
    /// Since when, in unix seconds.
    pub created_at: i64,
}

impl Store {
    /// `blocker` blocks `blocked`, since `now` (unix seconds) unless they did before.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn block(&self, blocker: &str, blocked: &str, now: i64) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO blocks (blocker, blocked, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(blocker)
        .bind(blocked)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// `blocker` does not block `blocked` any more.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn unblock(&self, blocker: &str, blocked: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM blocks WHERE blocker = $1 AND blocked = $2")
            .bind(blocker)
            .bind(blocked)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Who of these two blocks the other: none, one or both.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn blocks_between(&self, one: &str, other: &str) -> Result<Vec<Block>, Error> {
        let rows = sqlx::query_as(
            "SELECT blocker, blocked, created_at FROM blocks WHERE blocker = $1 AND blocked = $2
             UNION ALL
             SELECT blocker, blocked, created_at FROM blocks WHERE blocker = $2 AND blocked = $1",
        )
        .bind(one)
        .bind(other)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Block::of).collect())
    }

    /// Every block by or of `identity`, newest first.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn blocks_about(&self, identity: &str) -> Result<Vec<Block>, Error> {
        let rows = sqlx::query_as(
            "SELECT blocker, blocked, created_at FROM blocks WHERE blocker = $1
             UNION ALL
             SELECT blocker, blocked, created_at FROM blocks WHERE blocked = $1
             ORDER BY created_at DESC, blocked",
        )
        .bind(identity)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Block::of).collect())
    }
}

impl Block {
    fn of((blocker, blocked, created_at): (String, String, i64)) -> Self {
        Self { blocker, blocked, created_at }
    }
}
