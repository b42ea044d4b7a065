//! The newest message of each conversation: what a list of conversations shows of them.
//!
//! Known from every message that passes through here, kept in the database so that a restart does not cost a Twilio call per
//! conversation, and asked for only where nobody ever told (a few at a time). The index of all messages is fed here too.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use moka::sync::Cache;

use super::drafts::is_part;
use super::error::or_not_found;
use super::history::weight;
use super::messages::LOOKED_THROUGH;
use super::{ConversationSid, Core, Error, Message, MessageSid};
use crate::store::{IndexedMessage, LastMessage};
use crate::twilio::Order;

/// Conversations whose newest message is kept in memory, and bytes of them all.
const KEPT_AT_MOST: u32 = 100_000;
const KEPT_BYTES: u32 = 128 * 1024 * 1024;
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Conversations asked about at Twilio at once.
const ASKED_AT_ONCE: usize = 8;

/// The newest messages of all conversations.
pub(super) struct LastMessages {
    cache: Cache<ConversationSid, Last>,
    heard: AtomicU64,
}

/// The end of one conversation.
#[derive(Debug, Clone)]
pub(super) struct Last {
    /// The newest message; `None`: the conversation is empty.
    pub(super) message: Option<Arc<Message>>,
    /// From this index on, the index of messages is complete.
    pub(super) known_from: i64,
    /// Counts up: of two messages in the same second, which was heard of later. 0: before the start.
    pub(super) heard: u64,
}

impl LastMessages {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::builder()
                .max_capacity(KEPT_BYTES.into())
                .weigher(|_, last: &Last| {
                    last.message.as_deref().map_or(0, weight).max(KEPT_BYTES / KEPT_AT_MOST)
                })
                .time_to_idle(KEPT_FOR)
                .build(),
            heard: AtomicU64::new(0),
        }
    }

    /// The newest message, if it is in memory.
    pub(super) fn find(&self, conversation: ConversationSid) -> Option<Arc<Message>> {
        self.cache.get(&conversation)?.message
    }

    fn next_heard(&self) -> u64 {
        self.heard.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Core {
    /// Takes in a message that was sent or reported; one that only carries a file of another is none to anybody.
    pub(super) fn note_last_message(&self, message: &Arc<Message>) {
        if !self.index_message(message) {
            return;
        }
        let heard = self.last_messages.next_heard();
        let last = self.last_messages.cache.entry(message.conversation_sid).and_upsert_with(|known| {
            let Some(known) = known.map(moka::Entry::into_value) else {
                return Last { message: Some(Arc::clone(message)), known_from: message.index, heard };
            };
            match &known.message {
                Some(newer) if newer.index > message.index => known,
                Some(_) | None => {
                    Last { message: Some(Arc::clone(message)), known_from: known.known_from, heard }
                }
            }
        });
        self.note_product(message);
        let last = last.into_value();
        if last.message.as_ref().is_some_and(|newest| newest.sid == message.sid) {
            self.save_last(message, last.known_from);
        }
    }

    /// Takes in that a conversation was made just now.
    pub(super) fn note_empty(&self, conversation: ConversationSid) {
        let heard = self.last_messages.next_heard();
        self.last_messages.cache.insert(conversation, Last { message: None, known_from: 0, heard });
        self.index.set_last(LastMessage {
            conversation_sid: conversation.to_string(),
            message_index: -1,
            message: None,
            known_from: 0,
        });
        self.note_no_product(conversation);
    }

    /// Takes in an edited message.
    pub(super) fn note_change(&self, message: &Arc<Message>) {
        let Some(last) = self.last_messages.cache.get(&message.conversation_sid) else { return };
        if last.message.is_some_and(|last| last.sid == message.sid) {
            let known_from = last.known_from;
            let last = Last { message: Some(Arc::clone(message)), known_from, heard: last.heard };
            self.last_messages.cache.insert(message.conversation_sid, last);
            self.save_last(message, known_from);
        }
    }

    /// Takes in a deleted message: if it was the newest, the one before it is asked for when somebody wants to know.
    pub(super) fn note_removal(&self, conversation: ConversationSid, message: MessageSid) {
        self.index.remove(message.to_string());
        let last = self.last_messages.cache.get(&conversation).and_then(|last| last.message);
        if last.is_none_or(|last| last.sid == message) {
            self.forget_last_message(conversation);
        }
    }

    pub(super) fn forget_last_message(&self, conversation: ConversationSid) {
        self.last_messages.cache.invalidate(&conversation);
        self.index.forget(conversation.to_string());
    }

    /// Takes in a part of the history, complete from index `known_from` on.
    pub(super) fn index_messages<'a>(
        &self,
        conversation: ConversationSid,
        messages: impl Iterator<Item = &'a Arc<Message>>,
        known_from: i64,
    ) {
        let mut newest = None;
        for message in messages.filter(|message| self.index_message(message)) {
            newest = Some(message);
        }
        if let Some(newest) = newest {
            self.last_messages.cache.entry(conversation).and_upsert_with(|known| {
                let Some(known) = known.map(moka::Entry::into_value) else {
                    return Last { message: Some(Arc::clone(newest)), known_from, heard: 0 };
                };
                // Where the two parts meet, what was known before still counts.
                let end = known.message.map_or(0, |message| message.index + 1);
                let known_from =
                    if end >= known_from { known.known_from.min(known_from) } else { known_from };
                Last { message: Some(Arc::clone(newest)), known_from, heard: known.heard }
            });
            self.save_last(newest, known_from);
        } else {
            self.note_empty(conversation);
        }
    }

    /// Takes in a page of a history that is read from end to beginning. `newest`: with the last page, the newest message of
    /// all, since from there on the index is complete.
    pub(super) fn index_history(&self, messages: &[Arc<Message>], newest: Option<&Arc<Message>>) {
        for message in messages {
            self.index_message(message);
        }
        if let Some(newest) = newest {
            self.index_messages(newest.conversation_sid, std::iter::once(newest), 0);
        }
    }

    /// Puts a message into the index, unless it only carries a file of another: whether it is there.
    fn index_message(&self, message: &Message) -> bool {
        let counts = !is_part(message);
        if counts {
            self.index.add(indexed(message));
        }
        counts
    }

    fn save_last(&self, message: &Message, known_from: i64) {
        match serde_json::to_string(message) {
            Ok(json) => self.index.set_last(LastMessage {
                conversation_sid: message.conversation_sid.to_string(),
                message_index: message.index,
                message: Some(json),
                known_from,
            }),
            Err(error) => tracing::error!(%error, "a message could not be written as JSON"),
        }
    }

    /// The end of each of these conversations; one that is gone is missing from the answer.
    ///
    /// Costs no Twilio call for conversations whose messages passed through here, one for each of the others.
    pub(super) async fn last_messages_of(
        &self,
        conversations: &[ConversationSid],
    ) -> Result<HashMap<ConversationSid, Last>, Error> {
        let mut found = HashMap::with_capacity(conversations.len());
        let mut unknown = Vec::new();
        for sid in conversations {
            match self.last_messages.cache.get(sid) {
                Some(last) => drop(found.insert(*sid, last)),
                None => unknown.push(*sid),
            }
        }
        if !unknown.is_empty() {
            self.recall_last(&mut unknown, &mut found).await;
        }
        let asking: Vec<_> =
            unknown.into_iter().map(|sid| async move { (sid, self.ask_for_last(sid).await) }).collect();
        let mut asked = futures::stream::iter(asking).buffer_unordered(ASKED_AT_ONCE);
        while let Some((sid, last)) = asked.next().await {
            match last {
                Ok(last) => drop(found.insert(sid, last)),
                Err(Error::ConversationNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The newest message of each of these conversations as far as it is known here; of empty ones and of those nobody
    /// told of, none. No Twilio call.
    pub(super) async fn known_last_messages(
        &self,
        conversations: &[ConversationSid],
    ) -> HashMap<ConversationSid, Arc<Message>> {
        let mut found = HashMap::with_capacity(conversations.len());
        let mut unknown = Vec::new();
        for sid in conversations {
            match self.last_messages.cache.get(sid) {
                Some(last) => drop(found.insert(*sid, last)),
                None => unknown.push(*sid),
            }
        }
        if !unknown.is_empty() {
            self.recall_last(&mut unknown, &mut found).await;
        }
        found.into_iter().filter_map(|(sid, last)| Some((sid, last.message?))).collect()
    }

    /// What the database remembers; whatever it does not stays in `unknown`.
    async fn recall_last(
        &self,
        unknown: &mut Vec<ConversationSid>,
        found: &mut HashMap<ConversationSid, Last>,
    ) {
        let sids: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        // What was forgotten a moment ago must not be read again.
        self.index.flushed().await;
        let rows = self.store.last_messages(&sids).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the newest messages are asked for at Twilio");
            Vec::new()
        });
        for row in rows {
            let Ok(sid) = row.conversation_sid.parse::<ConversationSid>() else { continue };
            let message = match row.message.as_deref().map(serde_json::from_str::<Message>) {
                Some(Ok(message)) => Some(Arc::new(message)),
                Some(Err(_)) => continue, // written by another version: ask
                None => None,
            };
            // A message that came meanwhile is newer.
            let last = self.last_messages.cache.get_with(sid, || Last {
                message,
                known_from: row.known_from,
                heard: 0,
            });
            found.insert(sid, last);
        }
        unknown.retain(|sid| !found.contains_key(sid));
    }

    async fn ask_for_last(&self, sid: ConversationSid) -> Result<Last, Error> {
        let gone = || or_not_found(Error::ConversationNotFound);
        let mut page = self.twilio.list_messages(sid, Order::NewestFirst, 1).await.map_err(gone())?;
        if page.items.iter().any(is_part) {
            // Its message is on the way, or did not come.
            page = self.twilio.list_messages(sid, Order::NewestFirst, LOOKED_THROUGH).await.map_err(gone())?;
        }
        let Some(newest) = page.items.into_iter().find(|message| !is_part(message)).map(Arc::new) else {
            self.note_empty(sid);
            return Ok(Last { message: None, known_from: 0, heard: 0 });
        };
        self.note_last_message(&newest);
        Ok(Last { known_from: newest.index, message: Some(newest), heard: 0 })
    }
}

fn indexed(message: &Message) -> IndexedMessage {
    IndexedMessage {
        message_sid: message.sid.to_string(),
        conversation_sid: message.conversation_sid.to_string(),
        message_index: message.index,
        author: message.author.clone(),
    }
}
