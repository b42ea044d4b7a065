//! Which conversation a set of people has, by its UniqueName: saves the look-up at Twilio after a restart.

use super::{Error, Store};

/// A conversation that is known by its people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectConversation {
    /// `CH…`.
    pub conversation_sid: String,
    /// What it is called.
    pub friendly_name: Option<String>,
}

impl Store {
    /// The conversation known under `unique_name`.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_direct(&self, unique_name: &str) -> Result<Option<DirectConversation>, Error> {
        let row: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT conversation_sid, friendly_name FROM direct_conversations WHERE unique_name = $1",
        )
        .bind(unique_name)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row
            .map(|(conversation_sid, friendly_name)| DirectConversation { conversation_sid, friendly_name }))
    }

    /// Remembers that `unique_name` is `direct`, everybody in it.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn remember_direct(&self, unique_name: &str, direct: &DirectConversation) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO direct_conversations (unique_name, conversation_sid, friendly_name) VALUES ($1, $2, $3)
             ON CONFLICT (unique_name) DO UPDATE SET
                 conversation_sid = excluded.conversation_sid,
                 friendly_name = excluded.friendly_name",
        )
        .bind(unique_name)
        .bind(&direct.conversation_sid)
        .bind(&direct.friendly_name)
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
