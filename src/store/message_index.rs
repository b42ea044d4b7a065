//! The message index: where every message stands and who wrote it, and the newest message of each conversation.
//!
//! Written behind the hot path: [`MessageIndex`] takes entries without waiting and one task writes them in batches. While the
//! database is away the newest wait for it. A full queue drops entries (counted); the index is then lower than the truth
//! until the history is read again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use sqlx::{Any, AnyConnection, Connection, Transaction};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::database::in_time;
use super::products::{self, Product};
use super::query::QueryBuilder;
use super::{Error, Store};

/// Entries that may wait for the writer; as many again for a database that is away.
const QUEUE: usize = 10_000;
/// Entries written in one transaction.
const BATCH: usize = 500;
/// How often they are tried again while the database is away.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
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
    Product(Product),
    Removed { message_sid: String },
    Forgotten { conversation_sid: String },
    ProductForgotten { conversation_sid: String, message_index: Option<i64> },
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

    /// Takes in the product a conversation is about; one from an older message changes nothing.
    pub fn set_product(&self, product: Product) {
        self.push(Entry::Product(product));
    }

    /// Drops the product of a conversation: whatever it is, or what the message at this index said.
    pub fn forget_product(&self, conversation_sid: String, message_index: Option<i64>) {
        self.push(Entry::ProductForgotten { conversation_sid, message_index });
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
            dropped(1);
        }
    }
}

async fn write(store: Store, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::new();
    // Of an earlier batch, while the database is away.
    let mut unwritten = VecDeque::new();
    loop {
        if unwritten.is_empty() {
            if entries.recv_many(&mut batch, BATCH).await == 0 {
                break;
            }
            gather(&mut entries, &mut batch).await;
        } else if let Ok(0) = timeout(AGAIN_AFTER, entries.recv_many(&mut batch, BATCH)).await {
            // The service ends: once more, and no more.
            store.write_all(&mut unwritten).await;
            dropped(unwritten.len());
            break;
        }
        let mut waiting = Vec::new();
        for entry in batch.drain(..) {
            match entry {
                Entry::Flushed(done) => waiting.push(done),
                Entry::Message(_)
                | Entry::Last(_)
                | Entry::Product(_)
                | Entry::Removed { .. }
                | Entry::Forgotten { .. }
                | Entry::ProductForgotten { .. } => unwritten.push_back(entry),
            }
        }
        store.write_all(&mut unwritten).await;
        if unwritten.len() > QUEUE {
            dropped(unwritten.len() - QUEUE);
            unwritten.drain(..unwritten.len() - QUEUE);
        }
        for done in waiting {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }
}

fn dropped(entries: usize) {
    metrics::counter!("switchboard_message_index_dropped_total").increment(entries as u64);
}

/// What is to be written next.
#[derive(Default)]
struct Batch<'a> {
    /// In the order of their keys, as the others: writers on other nodes then wait for each other and never in a circle.
    messages: BTreeMap<&'a str, &'a IndexedMessage>,
    /// Of several for one conversation only the newest counts.
    last: BTreeMap<&'a str, LastMessage>,
    /// Likewise.
    products: BTreeMap<&'a str, &'a Product>,
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

    fn take_product(&mut self, product: &'a Product) {
        let known = self.products.entry(&product.conversation_sid).or_insert(product);
        if product.message_index >= known.message_index {
            *known = product;
        }
    }

    /// One statement for each table.
    async fn write(&mut self, transaction: &mut Transaction<'_, Any>) -> Result<(), sqlx::Error> {
        if !self.messages.is_empty() {
            let mut insert = QueryBuilder::new(
                "INSERT INTO messages (message_sid, conversation_sid, message_index, author) ",
            );
            insert.push_values(std::mem::take(&mut self.messages), |mut row, (_, message)| {
                row.push_bind(&message.message_sid)
                    .push_bind(&message.conversation_sid)
                    .push_bind(message.message_index)
                    .push_bind(&message.author);
            });
            insert.push(" ON CONFLICT DO NOTHING").build().execute(&mut **transaction).await?;
        }
        if !self.last.is_empty() {
            let mut upsert = QueryBuilder::new(
                "INSERT INTO last_messages (conversation_sid, message_index, message, known_from) ",
            );
            upsert.push_values(std::mem::take(&mut self.last), |mut row, (_, last)| {
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
        if !self.products.is_empty() {
            products::write(transaction, std::mem::take(&mut self.products).into_values()).await?;
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

/// Writes entries in order and at once; what stands in a row for one table is one statement.
async fn write_entries(connection: &mut AnyConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let mut batch = Batch::default();
    let mut transaction = connection.begin().await?;
    for entry in entries {
        match entry {
            Entry::Message(message) => drop(batch.messages.insert(&message.message_sid, message)),
            Entry::Last(last) => batch.take_last(last),
            Entry::Product(product) => batch.take_product(product),
            Entry::ProductForgotten { conversation_sid, message_index } => {
                batch.write(&mut transaction).await?;
                products::forget(&mut transaction, conversation_sid, *message_index).await?;
            }
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
    transaction.commit().await
}

impl Store {
    /// Writes entries in order; leaves those that have to wait until the database is back.
    async fn write_all(&self, entries: &mut VecDeque<Entry>) {
        while !entries.is_empty() {
            let next = entries.len().min(BATCH);
            let rows = &entries.make_contiguous()[..next];
            if let Err(error) = self.write_index(rows).await {
                if error.is_passing() {
                    tracing::warn!(%error, entries = entries.len(), "the message index waits for the database");
                    return;
                }
                self.write_one_by_one(rows).await;
            }
            entries.drain(..next);
        }
    }

    /// One entry that the database does not take must not take the others with it.
    async fn write_one_by_one(&self, entries: &[Entry]) {
        for entry in entries {
            if let Err(error) = self.write_index(std::slice::from_ref(entry)).await {
                dropped(1);
                tracing::warn!(%error, "an entry of the message index was not written");
            }
        }
    }

    async fn write_index(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut lease = self.pool.lease().await?;
        let written = in_time(write_entries(lease.connection(), entries)).await;
        Ok(lease.end(written)?)
    }

    /// The newest messages of these conversations, as far as they are known.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn last_messages(&self, conversation_sids: &[String]) -> Result<Vec<LastMessage>, Error> {
        let mut found = Vec::with_capacity(conversation_sids.len());
        for asked in conversation_sids.chunks(ASKED_AT_ONCE) {
            let mut query = QueryBuilder::new(
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

    /// Where a message stands: its conversation and its place there.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_message(&self, message_sid: &str) -> Result<Option<(String, i64)>, Error> {
        let row =
            sqlx::query_as("SELECT conversation_sid, message_index FROM messages WHERE message_sid = $1");
        Ok(row.bind(message_sid).fetch_optional(&self.pool).await?)
    }

    /// The newest message of the conversation (`IM…`) up to index `up_to`.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn newest_message_up_to(
        &self,
        conversation_sid: &str,
        up_to: i64,
    ) -> Result<Option<String>, Error> {
        let row: Option<(String,)> = sqlx::query_as(
            "SELECT message_sid FROM messages WHERE conversation_sid = $1 AND message_index <= $2
             ORDER BY message_index DESC LIMIT 1",
        )
        .bind(conversation_sid)
        .bind(up_to)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(message,)| message))
    }

    /// How many messages the conversation has from index `from` on.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn count_messages(&self, conversation_sid: &str, from: i64) -> Result<i64, Error> {
        let (count,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM messages WHERE conversation_sid = $1 AND message_index >= $2",
        )
        .bind(conversation_sid)
        .bind(from)
        .fetch_one(&self.pool)
        .await?;
        Ok(count)
    }

    /// The place of the conversation's `nth` newest message, counted from 0.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn nth_newest_index(&self, conversation_sid: &str, nth: i64) -> Result<Option<i64>, Error> {
        let row: Option<(i64,)> = sqlx::query_as(
            "SELECT message_index FROM messages WHERE conversation_sid = $1
             ORDER BY message_index DESC LIMIT 1 OFFSET $2",
        )
        .bind(conversation_sid)
        .bind(nth)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(index,)| index))
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
                QueryBuilder::new("SELECT conversation_sid, COUNT(*) FROM messages WHERE author <> ");
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
