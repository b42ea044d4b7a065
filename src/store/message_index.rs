//! The message index: where every message stands and who wrote it, and the newest message of each conversation.
//!
//! Written behind the hot path: [`MessageIndex`] takes entries without waiting and one task writes them in batches. A full
//! queue drops entries (counted); the index is then lower than the truth until the history is read again.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{Any, QueryBuilder, Transaction};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Error, Store};

/// Entries that may wait for the writer.
const QUEUE: usize = 10_000;
/// Entries written in one transaction.
const BATCH: usize = 500;
/// How long entries wait for others to be written with.
const GATHER_FOR: Duration = Duration::from_millis(20);
/// Conversations asked about in one statement: each takes two parameters, and databases bound those.
const ASKED_AT_ONCE: usize = 200;

/// A message, as the index knows it.
#[derive(Debug, Clone)]
pub struct IndexedMessage {
    /// `IM…`.
    pub message_sid: String,
    /// `CH…`.
    pub conversation_sid: String,
    /// Its place in the conversation.
    pub message_index: i64,
    /// Who wrote it.
    pub author: String,
}

/// The newest message of a conversation.
#[derive(Debug, Clone)]
pub struct LastMessage {
    /// `CH…`.
    pub conversation_sid: String,
    /// Its place; -1: there is none.
    pub message_index: i64,
    /// Its JSON; `None`: the conversation is known to be empty.
    pub message: Option<String>,
    /// From this index on every message is in the index.
    pub known_from: i64,
}

enum Entry {
    Message(IndexedMessage),
    Last(LastMessage),
    Removed { message_sid: String },
    Forgotten { conversation_sid: String },
    Flushed(oneshot::Sender<()>),
}

/// The way in to the index's writer: a cheap clone of its queue.
#[derive(Debug, Clone)]
pub struct MessageIndex {
    queue: mpsc::Sender<Entry>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

impl MessageIndex {
    /// Starts the writer; it ends, having written everything, when the last clone of the index is gone.
    #[must_use]
    pub fn start(store: Store) -> (Self, JoinHandle<()>) {
        let (queue, entries) = mpsc::channel(QUEUE);
        (Self { queue }, tokio::spawn(write(store, entries)))
    }

    /// Takes a message in.
    pub fn add(&self, message: IndexedMessage) {
        self.push(Entry::Message(message));
    }

    /// Takes in what is now the newest message of a conversation; an older one changes nothing.
    pub fn set_last(&self, last: LastMessage) {
        self.push(Entry::Last(last));
    }

    /// Drops a message that was deleted.
    pub fn remove(&self, message_sid: String) {
        self.push(Entry::Removed { message_sid });
    }

    /// Drops all that is known of a conversation's newest message: it is to be asked for again.
    pub fn forget(&self, conversation_sid: String) {
        self.push(Entry::Forgotten { conversation_sid });
    }

    /// Waits until what was taken in so far is written.
    pub async fn flushed(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Entry::Flushed(done)).await.is_ok() {
            // The writer answers unless it is gone, and then there is nothing to wait for.
            let _ = written.await;
        }
    }

    fn push(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            metrics::counter!("switchboard_message_index_dropped_total").increment(1);
        }
    }
}

async fn write(store: Store, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        gather(&mut entries, &mut batch).await;
        let mut waiting = Vec::new();
        let mut rows = Vec::with_capacity(batch.len());
        for entry in batch.drain(..) {
            match entry {
                Entry::Flushed(done) => waiting.push(done),
                Entry::Message(_) | Entry::Last(_) | Entry::Removed { .. } | Entry::Forgotten { .. } => {
                    rows.push(entry)
                }
            }
        }
        if let Err(error) = store.write_index(&rows).await {
            metrics::counter!("switchboard_message_index_dropped_total").increment(rows.len() as u64);
            tracing::warn!(%error, entries = rows.len(), "the message index was not written");
        }
        for done in waiting {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }
}

/// What is to be written next.
#[derive(Default)]
struct Batch<'a> {
    messages: Vec<&'a IndexedMessage>,
    /// Of several for one conversation only the newest counts.
    last: HashMap<&'a str, LastMessage>,
}

impl<'a> Batch<'a> {
    fn take_last(&mut self, last: &'a LastMessage) {
        let known = self.last.entry(&last.conversation_sid).or_insert_with(|| last.clone());
        let known_from = known.known_from.min(last.known_from);
        if last.message_index >= known.message_index {
            *known = last.clone();
        }
        known.known_from = known_from;
    }

    async fn write(&mut self, transaction: &mut Transaction<'_, Any>) -> Result<(), Error> {
        if !self.messages.is_empty() {
            let mut insert = QueryBuilder::<Any>::new(
                "INSERT INTO messages (message_sid, conversation_sid, message_index, author) ",
            );
            insert.push_values(self.messages.drain(..), |mut row, message| {
                row.push_bind(&message.message_sid)
                    .push_bind(&message.conversation_sid)
                    .push_bind(message.message_index)
                    .push_bind(&message.author);
            });
            insert.push(" ON CONFLICT DO NOTHING").build().execute(&mut **transaction).await?;
        }
        if !self.last.is_empty() {
            let mut upsert = QueryBuilder::<Any>::new(
                "INSERT INTO last_messages (conversation_sid, message_index, message, known_from) ",
            );
            upsert.push_values(self.last.drain(), |mut row, (_, last)| {
                row.push_bind(last.conversation_sid)
                    .push_bind(last.message_index)
                    .push_bind(last.message)
                    .push_bind(last.known_from);
            });
            upsert.push(
                " ON CONFLICT (conversation_sid) DO UPDATE SET
                      message_index = excluded.message_index,
                      message = excluded.message,
                      known_from = CASE WHEN last_messages.known_from < excluded.known_from
                                        THEN last_messages.known_from ELSE excluded.known_from END
                  WHERE excluded.message_index >= last_messages.message_index",
            );
            upsert.build().execute(&mut **transaction).await?;
        }
        Ok(())
    }
}

/// Waits a little for more: what is written together costs one commit. Whoever waits for the writing ends it.
async fn gather(entries: &mut mpsc::Receiver<Entry>, batch: &mut Vec<Entry>) {
    let mut enough = std::pin::pin!(tokio::time::sleep(GATHER_FOR));
    while batch.len() < BATCH && !matches!(batch.last(), Some(Entry::Flushed(_))) {
        tokio::select! {
            () = &mut enough => break,
            more = entries.recv() => match more {
                Some(entry) => batch.push(entry),
                None => break,
            },
        }
    }
}

impl Store {
    /// Writes entries in order; what stands in a row for one table is one statement.
    async fn write_index(&self, entries: &[Entry]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        let mut transaction = self.pool.begin().await?;
        for entry in entries {
            match entry {
                Entry::Message(message) => batch.messages.push(message),
                Entry::Last(last) => batch.take_last(last),
                Entry::Removed { message_sid } => {
                    batch.write(&mut transaction).await?;
                    sqlx::query("DELETE FROM messages WHERE message_sid = $1")
                        .bind(message_sid)
                        .execute(&mut *transaction)
                        .await?;
                }
                Entry::Forgotten { conversation_sid } => {
                    batch.write(&mut transaction).await?;
                    sqlx::query("DELETE FROM last_messages WHERE conversation_sid = $1")
                        .bind(conversation_sid)
                        .execute(&mut *transaction)
                        .await?;
                }
                Entry::Flushed(_) => {}
            }
        }
        batch.write(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The newest messages of these conversations, as far as they are known.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn last_messages(&self, conversation_sids: &[String]) -> Result<Vec<LastMessage>, Error> {
        let mut found = Vec::with_capacity(conversation_sids.len());
        for asked in conversation_sids.chunks(ASKED_AT_ONCE) {
            let mut query = QueryBuilder::<Any>::new(
                "SELECT conversation_sid, message_index, message, known_from FROM last_messages WHERE conversation_sid IN (",
            );
            let mut list = query.separated(", ");
            for sid in asked {
                list.push_bind(sid);
            }
            query.push(")");
            let rows: Vec<(String, i64, Option<String>, i64)> =
                query.build_query_as().fetch_all(&self.pool).await?;
            found.extend(rows.into_iter().map(|(conversation_sid, message_index, message, known_from)| {
                LastMessage { conversation_sid, message_index, message, known_from }
            }));
        }
        Ok(found)
    }

    /// How many messages somebody other than `reader` wrote past each conversation's `(sid, index)`; a conversation
    /// without any is missing from the answer.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn count_unread(
        &self,
        reader: &str,
        past: &[(String, i64)],
    ) -> Result<HashMap<String, i64>, Error> {
        let mut counts = HashMap::new();
        for asked in past.chunks(ASKED_AT_ONCE) {
            let mut query =
                QueryBuilder::<Any>::new("SELECT conversation_sid, COUNT(*) FROM messages WHERE author <> ");
            query.push_bind(reader);
            query.push(" AND (");
            for (place, (sid, index)) in asked.iter().enumerate() {
                query.push(if place == 0 { "(conversation_sid = " } else { " OR (conversation_sid = " });
                query.push_bind(sid).push(" AND message_index > ").push_bind(index).push(")");
            }
            query.push(") GROUP BY conversation_sid");
            let rows: Vec<(String, i64)> = query.build_query_as().fetch_all(&self.pool).await?;
            counts.extend(rows);
        }
        Ok(counts)
    }
}
