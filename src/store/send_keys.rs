//! Send keys: one row per logical send, so that a repeat with the same client id never becomes a second message, also
//! after a restart. What to do about each [`Claim`] is `core/messages.rs`.

use super::{Error, Store};

/// What makes two sends the same send.
#[derive(Debug, Clone, Copy)]
pub struct SendKey<'a> {
    /// Identity of the author.
    pub sender: &'a str,
    /// `CH…`.
    pub conversation_sid: &'a str,
    /// The id the client chose.
    pub client_message_id: &'a str,
}

/// Claims tried against others that fail and release the key.
const CLAIMS_AT_MOST: u32 = 5;

/// What claiming a key found.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody had it: this send is the first.
    Fresh,
    /// An earlier send has it and its outcome is not known (a crash, a time-out).
    Open {
        /// Unix seconds of the first attempt.
        since: i64,
    },
    /// The message is at Twilio already: its JSON.
    Done(String),
    /// Taken by a send with another content.
    Other,
}

impl Store {
    /// Claims `key` for a send whose content has this `fingerprint`, at `now` (unix seconds).
    ///
    /// # Errors
    /// [`Error`] when the database does not answer; nothing was claimed then.
    pub async fn claim_send(&self, key: SendKey<'_>, fingerprint: &str, now: i64) -> Result<Claim, Error> {
        for _ in 0..CLAIMS_AT_MOST {
            let claimed = sqlx::query(
                "INSERT INTO send_keys (sender, conversation_sid, client_message_id, fingerprint, created_at)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(key.sender)
            .bind(key.conversation_sid)
            .bind(key.client_message_id)
            .bind(fingerprint)
            .bind(now)
            .execute(&self.pool)
            .await?
            .rows_affected();
            if claimed == 1 {
                return Ok(Claim::Fresh);
            }
            let row: Option<(String, Option<String>, i64)> = sqlx::query_as(
                "SELECT fingerprint, message, created_at FROM send_keys
                 WHERE sender = $1 AND conversation_sid = $2 AND client_message_id = $3",
            )
            .bind(key.sender)
            .bind(key.conversation_sid)
            .bind(key.client_message_id)
            .fetch_optional(&self.pool)
            .await?;
            return Ok(match row {
                Some((theirs, _, _)) if theirs != fingerprint => Claim::Other,
                Some((_, Some(message), _)) => Claim::Done(message),
                Some((_, None, since)) => Claim::Open { since },
                // Released between the two statements: its send failed for certain, so the key is there to be claimed.
                None => continue,
            });
        }
        // Others claim and release it all the time: whoever looks before sending is right in any case.
        Ok(Claim::Open { since: now })
    }

    /// Records that Twilio stored the message of `key`, as JSON.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn finish_send(&self, key: SendKey<'_>, message: &str) -> Result<(), Error> {
        sqlx::query(
            "UPDATE send_keys SET message = $4
             WHERE sender = $1 AND conversation_sid = $2 AND client_message_id = $3",
        )
        .bind(key.sender)
        .bind(key.conversation_sid)
        .bind(key.client_message_id)
        .bind(message)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives `key` back: nothing was stored at Twilio, so a repeat may try anew.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn release_send(&self, key: SendKey<'_>) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM send_keys
             WHERE sender = $1 AND conversation_sid = $2 AND client_message_id = $3 AND message IS NULL",
        )
        .bind(key.sender)
        .bind(key.conversation_sid)
        .bind(key.client_message_id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets the keys made before `then` (unix seconds); says how many.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_sends_before(&self, then: i64) -> Result<u64, Error> {
        let gone =
            sqlx::query("DELETE FROM send_keys WHERE created_at < $1").bind(then).execute(&self.pool).await?;
        Ok(gone.rows_affected())
    }
}
