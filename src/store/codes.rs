//! One-time codes and how often somebody tried one. A code itself is never here, only a keyed hash of it.
//!
//! Using a code and counting a try are single statements, so that of many at once one wins and none goes uncounted. How
//! long and how often is `core/codes.rs`.

use super::{Error, Store};

/// A code that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthCode {
    /// Its name in answers.
    pub code_id: String,
    /// The user it is for.
    pub user_id: Option<String>,
    /// The guest it is for.
    pub guest_id: Option<String>,
    /// The support conversation it belongs to: `CH…`.
    pub conversation_sid: Option<String>,
    /// The admin who gave it out.
    pub issued_by: Option<String>,
    /// What the app says of the device: JSON.
    pub device_info: Option<String>,
    /// Unix milliseconds.
    pub expires_at: i64,
}

impl Store {
    /// Keeps a code under `code_hash`; `false` when another one stands there that has not expired at `now` (unix
    /// milliseconds).
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn add_code(&self, code_hash: &str, code: &AuthCode, now: i64) -> Result<bool, Error> {
        let added = sqlx::query(
            "INSERT INTO auth_codes (code_hash, code_id, user_id, guest_id, conversation_sid, issued_by, device_info,
                 expires_at, used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
             ON CONFLICT (code_hash) DO UPDATE SET
                 code_id = excluded.code_id,
                 user_id = excluded.user_id,
                 guest_id = excluded.guest_id,
                 conversation_sid = excluded.conversation_sid,
                 issued_by = excluded.issued_by,
                 device_info = excluded.device_info,
                 expires_at = excluded.expires_at,
                 used_at = 0
             WHERE auth_codes.expires_at <= $9",
        )
        .bind(code_hash)
        .bind(&code.code_id)
        .bind(&code.user_id)
        .bind(&code.guest_id)
        .bind(&code.conversation_sid)
        .bind(&code.issued_by)
        .bind(&code.device_info)
        .bind(code.expires_at)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Uses the code under `code_hash` up, if there is one at `now` (unix milliseconds) that was not used. Of many at once
    /// one gets it.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer; it is not known then whether the code was used.
    pub async fn use_code(&self, code_hash: &str, now: i64) -> Result<Option<AuthCode>, Error> {
        type Columns =
            (String, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>, i64);
        let row: Option<Columns> = sqlx::query_as(
            "UPDATE auth_codes SET used_at = $2 WHERE code_hash = $1 AND used_at = 0 AND expires_at > $2
             RETURNING code_id, user_id, guest_id, conversation_sid, issued_by, device_info, expires_at",
        )
        .bind(code_hash)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(code_id, user_id, guest_id, conversation_sid, issued_by, device_info, expires_at)| {
            AuthCode { code_id, user_id, guest_id, conversation_sid, issued_by, device_info, expires_at }
        }))
    }

    /// Counts a try of `tried_by` at `now`; an earlier count that began before `window` is begun anew. Gives when the count
    /// began (unix milliseconds) and how many tries there are, this one included.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn count_try(&self, tried_by: &str, window: i64, now: i64) -> Result<(i64, i64), Error> {
        let counted: (i64, i64) = sqlx::query_as(
            "INSERT INTO code_tries (tried_by, since, tries) VALUES ($1, $2, 1)
             ON CONFLICT (tried_by) DO UPDATE SET
                 tries = CASE WHEN code_tries.since <= $3 THEN 1 ELSE code_tries.tries + 1 END,
                 since = CASE WHEN code_tries.since <= $3 THEN $2 ELSE code_tries.since END
             RETURNING since, tries",
        )
        .bind(tried_by)
        .bind(now)
        .bind(window)
        .fetch_one(&self.pool)
        .await?;
        Ok(counted)
    }

    /// Takes one try of `tried_by` back: it was right.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forgive_try(&self, tried_by: &str) -> Result<(), Error> {
        sqlx::query("UPDATE code_tries SET tries = tries - 1 WHERE tried_by = $1 AND tries > 0")
            .bind(tried_by)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets codes that expired before `now` and tries counted before `window` (unix milliseconds).
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_old_codes(&self, now: i64, window: i64) -> Result<(), Error> {
        sqlx::query("DELETE FROM auth_codes WHERE expires_at < $1").bind(now).execute(&self.pool).await?;
        sqlx::query("DELETE FROM code_tries WHERE since < $1").bind(window).execute(&self.pool).await?;
        Ok(())
    }
}
