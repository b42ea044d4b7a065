//! The index of support conversations: what the agents' list is made of, and who has which open one.
//!
//! All of it stands in the conversations' attributes at Twilio as well; what the words mean is `core/support`.

use super::query::QueryBuilder;
use super::{Error, Store};

/// A support conversation, as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportRow {
    /// `CH…`.
    pub conversation_sid: String,
    /// Whose it is, if a user's.
    pub user_id: Option<String>,
    /// Whose it is or was, if a guest's.
    pub guest_id: Option<String>,
    /// Who answers.
    pub admin_id: Option<String>,
    /// What it is about.
    pub topic: String,
    /// What it is about, in the owner's words.
    pub subject: Option<String>,
    /// Where it stands.
    pub status: String,
    /// How urgent it is.
    pub priority: String,
    /// 1: its owner has another one open about the same, which is the one that is found.
    pub aside: i64,
    /// Index of the last message an agent has read; -1: none.
    pub admin_read: i64,
    /// Unix milliseconds of the last message; 0: none yet.
    pub last_message_at: i64,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

/// Which support conversations are asked for.
#[derive(Debug, Clone, Default)]
pub struct SupportFilter {
    /// Only where they stand so.
    pub status: Option<String>,
    /// Only about this.
    pub topic: Option<String>,
}

type Columns = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
    i64,
);

const COLUMNS: &str = "s.conversation_sid, s.user_id, s.guest_id, s.admin_id, s.topic, s.subject, s.status, s.priority, \
                       s.aside, s.admin_read, s.last_message_at, s.created_at, s.updated_at";

/// Messages of a conversation's owner that no agent has read.
const UNREAD: &str = "(SELECT COUNT(*) FROM messages m WHERE m.conversation_sid = s.conversation_sid \
                      AND m.message_index > s.admin_read AND (m.author = s.user_id OR m.author = s.guest_id))";

impl From<Columns> for SupportRow {
    fn from(columns: Columns) -> Self {
        let (
            conversation_sid,
            user_id,
            guest_id,
            admin_id,
            topic,
            subject,
            status,
            priority,
            aside,
            admin_read,
            last_message_at,
            created_at,
            updated_at,
        ) = columns;
        Self {
            conversation_sid,
            user_id,
            guest_id,
            admin_id,
            topic,
            subject,
            status,
            priority,
            aside,
            admin_read,
            last_message_at,
            created_at,
            updated_at,
        }
    }
}

impl Store {
    /// Remembers a support conversation as it is now; an older state changes nothing, and the time of its last message
    /// only advances.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn remember_support(&self, row: &SupportRow) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO support_conversations (conversation_sid, user_id, guest_id, admin_id, topic, subject, status,
                 priority, aside, admin_read, last_message_at, activity_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (conversation_sid) DO UPDATE SET
                 user_id = excluded.user_id,
                 guest_id = excluded.guest_id,
                 admin_id = excluded.admin_id,
                 topic = excluded.topic,
                 subject = excluded.subject,
                 status = excluded.status,
                 priority = excluded.priority,
                 aside = excluded.aside,
                 admin_read = excluded.admin_read,
                 created_at = excluded.created_at,
                 updated_at = excluded.updated_at
             WHERE excluded.updated_at >= support_conversations.updated_at",
        )
        .bind(&row.conversation_sid)
        .bind(&row.user_id)
        .bind(&row.guest_id)
        .bind(&row.admin_id)
        .bind(&row.topic)
        .bind(&row.subject)
        .bind(&row.status)
        .bind(&row.priority)
        .bind(row.aside)
        .bind(row.admin_read)
        .bind(row.last_message_at)
        .bind(row.last_message_at.max(row.created_at))
        .bind(row.created_at)
        .bind(row.updated_at)
        .execute(&self.pool)
        .await?;
        if row.last_message_at > 0 {
            self.note_support_message(&row.conversation_sid, row.last_message_at, row.last_message_at)
                .await?;
        }
        Ok(())
    }

    /// Remembers when the last message was written, and the `activity` that it is in the list's order (unix milliseconds,
    /// where Twilio tells whole seconds); an older one changes nothing.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn note_support_message(
        &self,
        conversation_sid: &str,
        at: i64,
        activity: i64,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE support_conversations SET last_message_at = $2, activity_at = $3
             WHERE conversation_sid = $1 AND (last_message_at < $2 OR (last_message_at = $2 AND activity_at < $3))",
        )
        .bind(conversation_sid)
        .bind(at)
        .bind(activity)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets a support conversation that is gone.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn forget_support(&self, conversation_sid: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM support_conversations WHERE conversation_sid = $1")
            .bind(conversation_sid)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The support conversation with this SID.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_support(&self, conversation_sid: &str) -> Result<Option<SupportRow>, Error> {
        let text = format!("SELECT {COLUMNS} FROM support_conversations s WHERE s.conversation_sid = $1");
        let row: Option<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(conversation_sid)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(SupportRow::from))
    }

    /// The conversations of a user that are not closed, one about each topic, oldest first.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn open_support_of_user(&self, user_id: &str) -> Result<Vec<SupportRow>, Error> {
        self.open_support("s.user_id = $1 AND s.aside = 0", user_id).await
    }

    /// The conversations of a guest that are not closed and did not become a user's, oldest first.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn open_support_of_guest(&self, guest_id: &str) -> Result<Vec<SupportRow>, Error> {
        self.open_support("s.guest_id = $1 AND s.user_id IS NULL", guest_id).await
    }

    async fn open_support(&self, whose: &'static str, id: &str) -> Result<Vec<SupportRow>, Error> {
        let text = format!(
            "SELECT {COLUMNS} FROM support_conversations s WHERE {whose} AND s.status <> 'closed'
             ORDER BY s.created_at, s.conversation_sid LIMIT 20"
        );
        let rows: Vec<Columns> =
            sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(id).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(SupportRow::from).collect())
    }

    /// Whether a guest ever had a support conversation.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn knows_guest(&self, guest_id: &str) -> Result<bool, Error> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT created_at FROM support_conversations WHERE guest_id = $1 LIMIT 1")
                .bind(guest_id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.is_some())
    }

    /// How many support conversations fit `filter`, and those from `offset` on, at most `limit`, newest activity first,
    /// each with the number of its owner's messages that no agent has read.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn list_support(
        &self,
        filter: &SupportFilter,
        offset: i64,
        limit: i64,
    ) -> Result<(i64, Vec<(SupportRow, i64)>), Error> {
        let mut count = QueryBuilder::new("SELECT COUNT(*) FROM support_conversations s");
        restrict(&mut count, filter);
        let (total,): (i64,) = count.build_query_as().fetch_one(&self.pool).await?;
        let mut page = QueryBuilder::new(format!("SELECT {COLUMNS}, {UNREAD} FROM support_conversations s"));
        restrict(&mut page, filter);
        page.push(" ORDER BY s.activity_at DESC, s.conversation_sid LIMIT ").push_bind(limit);
        page.push(" OFFSET ").push_bind(offset);
        let rows = page.build().fetch_all(&self.pool).await?;
        let listed = rows.iter().map(|row| {
            use sqlx::{FromRow, Row};
            Ok((SupportRow::from(Columns::from_row(row)?), row.try_get::<i64, _>(13)?))
        });
        let listed = listed.collect::<Result<_, sqlx::Error>>()?;
        Ok((total, listed))
    }

    /// How many messages of its owner no agent has read, and how many of others stand past `owner_read`.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn count_support_unread(
        &self,
        conversation_sid: &str,
        owner_read: i64,
    ) -> Result<(i64, i64), Error> {
        let text = format!(
            "SELECT {UNREAD},
                    (SELECT COUNT(*) FROM messages m WHERE m.conversation_sid = s.conversation_sid
                     AND m.message_index > $2 AND m.author <> COALESCE(s.user_id, '')
                     AND m.author <> COALESCE(s.guest_id, ''))
             FROM support_conversations s WHERE s.conversation_sid = $1"
        );
        let counts: Option<(i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(conversation_sid)
            .bind(owner_read)
            .fetch_optional(&self.pool)
            .await?;
        Ok(counts.unwrap_or_default())
    }
}

fn restrict(query: &mut QueryBuilder, filter: &SupportFilter) {
    let mut joint = " WHERE ";
    for (column, value) in [("s.status", &filter.status), ("s.topic", &filter.topic)] {
        if let Some(value) = value {
            query.push(joint).push(column).push(" = ").push_bind(value.clone());
            joint = " AND ";
        }
    }
}
