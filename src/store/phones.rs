//! Phones that take part in conversations: which conversations began with one that nobody had registered, and how many new
//! ones somebody has brought in within a day.
//!
//! Which phone is whose is `people.rs`'. Counting is one statement, so that of many at once none goes uncounted.

use super::{Error, Store};

/// A conversation that somebody began with a phone nobody had registered.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PhoneConversation {
    /// `CH…`.
    pub conversation_sid: String,
    /// Who began it.
    pub owner: String,
    /// Digits of the phone number in E.164, without `+`.
    pub phone: String,
    /// `private` or `group`.
    pub kind: String,
    /// Unix seconds.
    pub created_at: i64,
}

impl Store {
    /// Remembers a conversation that began with a phone.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn remember_phone_conversation(&self, conversation: &PhoneConversation) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO phone_conversations (conversation_sid, owner, phone, kind, created_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (conversation_sid) DO NOTHING",
        )
        .bind(&conversation.conversation_sid)
        .bind(&conversation.owner)
        .bind(&conversation.phone)
        .bind(&conversation.kind)
        .bind(conversation.created_at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The conversations that began with `phone` and still have it in them, the latest first.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn phone_conversations(&self, phone: &str) -> Result<Vec<PhoneConversation>, Error> {
        let query = "SELECT conversation_sid, owner, phone, kind, created_at FROM phone_conversations
             WHERE phone = $1 ORDER BY created_at DESC, conversation_sid";
        Ok(sqlx::query_as(query).bind(phone).fetch_all(&self.pool).await?)
    }

    /// Phones, at most so many after `after`, that conversations began with and that somebody has registered since; in order.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn registered_phones(&self, after: &str, at_most: i64) -> Result<Vec<String>, Error> {
        let query = "SELECT DISTINCT phone_conversations.phone FROM phone_conversations
             JOIN people ON people.phone = phone_conversations.phone
             WHERE phone_conversations.phone > $1
             ORDER BY phone_conversations.phone LIMIT $2";
        let phones: Vec<(String,)> =
            sqlx::query_as(query).bind(after).bind(at_most).fetch_all(&self.pool).await?;
        Ok(phones.into_iter().map(|(phone,)| phone).collect())
    }

    /// Forgets that a conversation began with a phone: it is gone.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_phone_conversation(&self, conversation_sid: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM phone_conversations WHERE conversation_sid = $1")
            .bind(conversation_sid)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets that a conversation began with a phone, if it is this one or this person's: one of the two has left it.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_phone_conversation_of(
        &self,
        conversation_sid: &str,
        owner: Option<&str>,
        phone: Option<&str>,
    ) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM phone_conversations WHERE conversation_sid = $1 AND (owner = $2 OR phone = $3)",
        )
        .bind(conversation_sid)
        .bind(owner)
        .bind(phone)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Counts `many` new phones (or texts: whatever `owner` stands for) at `now`; a count that began up to `window` is begun
    /// anew. `false`: it would be more than `at_most`, and none is counted. Times in unix milliseconds.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn count_phones(
        &self,
        owner: &str,
        many: i64,
        at_most: i64,
        window: i64,
        now: i64,
    ) -> Result<bool, Error> {
        let counted = sqlx::query(
            "INSERT INTO phone_counts (owner, since, phones) VALUES ($1, $2, $5)
             ON CONFLICT (owner) DO UPDATE SET
                 phones = CASE WHEN phone_counts.since <= $3 THEN $5 ELSE phone_counts.phones + $5 END,
                 since = CASE WHEN phone_counts.since <= $3 THEN $2 ELSE phone_counts.since END
             WHERE phone_counts.since <= $3 OR phone_counts.phones <= $4 - $5",
        )
        .bind(owner)
        .bind(now)
        .bind(window)
        .bind(at_most)
        .bind(many)
        .execute(&self.pool)
        .await?;
        Ok(counted.rows_affected() == 1)
    }

    /// When the count of `owner` began, in unix milliseconds.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn phones_counted_since(&self, owner: &str) -> Result<Option<i64>, Error> {
        let since: Option<(i64,)> = sqlx::query_as("SELECT since FROM phone_counts WHERE owner = $1")
            .bind(owner)
            .fetch_optional(&self.pool)
            .await?;
        Ok(since.map(|(since,)| since))
    }

    /// Takes one phone of `owner` back: it was not brought in.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn uncount_phone(&self, owner: &str) -> Result<(), Error> {
        sqlx::query("UPDATE phone_counts SET phones = phones - 1 WHERE owner = $1 AND phones > 0")
            .bind(owner)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets counts that began up to `window` (unix milliseconds).
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_old_phone_counts(&self, window: i64) -> Result<(), Error> {
        sqlx::query("DELETE FROM phone_counts WHERE since <= $1").bind(window).execute(&self.pool).await?;
        Ok(())
    }
}
