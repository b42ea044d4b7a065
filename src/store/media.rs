//! Files at Twilio: whose they are and in which conversation they were shown, which decides who may fetch them.

use super::{Error, Store};

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMedia {
    /// Its SID, `ME…`.
    pub media_sid: String,
    /// Who uploaded it, if a person did so through us.
    pub owner: Option<String>,
    /// The conversation with the message that shows it, if one does.
    pub conversation_sid: Option<String>,
}

impl Store {
    /// Remembers what is told of a file; what is not told stays as it was. `now` in unix seconds.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn remember_media(&self, media: &StoredMedia, now: i64) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO media (media_sid, owner, conversation_sid, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (media_sid) DO UPDATE SET
                 owner = COALESCE(media.owner, excluded.owner),
                 conversation_sid = COALESCE(media.conversation_sid, excluded.conversation_sid)",
        )
        .bind(&media.media_sid)
        .bind(&media.owner)
        .bind(&media.conversation_sid)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_media(&self, media_sid: &str) -> Result<Option<StoredMedia>, Error> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("SELECT owner, conversation_sid FROM media WHERE media_sid = $1")
                .bind(media_sid)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(owner, conversation_sid)| StoredMedia {
            media_sid: media_sid.to_owned(),
            owner,
            conversation_sid,
        }))
    }
}
