//! Which conversation a set of people has, by its UniqueName: saves the look-up at Twilio after a restart. Of pairs also
//! who the two are, so that a person's partners can be told.

use super::{Error, Store};

/// A person is in no more open conversations than this at Twilio.
const PARTNERS_AT_MOST: i64 = 1_000;

/// A conversation that is known by its people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectConversation {
    /// `CH…`.
    pub conversation_sid: String,
    /// What it is called.
    pub friendly_name: Option<String>,
    /// The two whose it is, in order; `None` where it is of more, or not known.
    pub pair: Option<(String, String)>,
}

/// Of the `DirectConversation`'s columns: SID, name, the two.
type Row = (String, Option<String>, Option<String>, Option<String>);

impl Store {
    /// The conversation known under `unique_name`.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_direct(&self, unique_name: &str) -> Result<Option<DirectConversation>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT conversation_sid, friendly_name, person_a, person_b FROM direct_conversations
             WHERE unique_name = $1",
        )
        .bind(unique_name)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(conversation_sid, friendly_name, a, b)| DirectConversation {
            conversation_sid,
            friendly_name,
            pair: a.zip(b),
        }))
    }

    /// The two whose conversation this is, if it is a pair's.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_pair(&self, conversation_sid: &str) -> Result<Option<(String, String)>, Error> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT person_a, person_b FROM direct_conversations
             WHERE conversation_sid = $1 AND person_a IS NOT NULL AND person_b IS NOT NULL",
        )
        .bind(conversation_sid)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row)
    }

    /// With whom `identity` has a conversation of the two, and which.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn partners_of(&self, identity: &str) -> Result<Vec<(String, String)>, Error> {
        let rows = sqlx::query_as(
            "SELECT person_b, conversation_sid FROM direct_conversations
             WHERE person_a = $1 AND person_b IS NOT NULL
             UNION ALL
             SELECT person_a, conversation_sid FROM direct_conversations
             WHERE person_b = $1 AND person_a IS NOT NULL
             LIMIT $2",
        )
        .bind(identity)
        .bind(PARTNERS_AT_MOST)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Remembers that `unique_name` is `direct`, everybody in it.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn remember_direct(&self, unique_name: &str, direct: &DirectConversation) -> Result<(), Error> {
        let (a, b) = direct.pair.as_ref().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        sqlx::query(
            "INSERT INTO direct_conversations (unique_name, conversation_sid, friendly_name, person_a, person_b)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (unique_name) DO UPDATE SET
                 conversation_sid = excluded.conversation_sid,
                 friendly_name = excluded.friendly_name,
                 person_a = excluded.person_a,
                 person_b = excluded.person_b",
        )
        .bind(unique_name)
        .bind(&direct.conversation_sid)
        .bind(&direct.friendly_name)
        .bind(a)
        .bind(b)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Remembers what a conversation is called now, if it is somebody's direct one.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn rename_direct(
        &self,
        conversation_sid: &str,
        friendly_name: Option<&str>,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE direct_conversations SET friendly_name = $2 WHERE conversation_sid = $1")
            .bind(conversation_sid)
            .bind(friendly_name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets the conversation: it is gone or closed, or somebody left it.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_direct(&self, conversation_sid: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM direct_conversations WHERE conversation_sid = $1")
            .bind(conversation_sid)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
