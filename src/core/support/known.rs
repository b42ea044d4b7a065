//! Which conversations are support, known without asking Twilio, and what follows from a message or a change in one.
//!
//! Fed by our own changes and by webhooks alike. What needs counting (unread messages, the time of the last one in the
//! agents' list) is done behind the hot path by one task with a bounded queue; a full one skips a count, not a message.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use moka::ops::compute::Op;
use moka::sync::Cache;
use tokio::sync::{mpsc, oneshot};

use super::{Side, SupportConversation, SupportEvent, SupportStatus};
use crate::core::{Conversation, ConversationSid, Core, Error, Event};

/// Conversations of which is kept whether they are support.
const KEPT_AT_MOST: u64 = 100_000;
/// How long it is believed: bounds what another node's change can hide.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Changes of one conversation are made one at a time; of so many at once.
const EDITS_AT_MOST: u64 = 10_000;
/// Conversations that may wait to be counted.
const QUEUE: usize = 1_024;
/// Twilio tells whole seconds; of two conversations in the same one, this much of ours still counts for their order.
const WITHIN_A_SECOND: i64 = 999;
/// Conversations counted together.
const BATCH: usize = 100;

/// What is known of support conversations.
pub(in crate::core) struct Known {
    /// `None`: it is no support conversation.
    conversations: Cache<ConversationSid, Option<Arc<SupportConversation>>>,
    /// Which one each UniqueName is. Made one at a time per name.
    pub(super) open: moka::future::Cache<String, ConversationSid>,
    /// Locks, held by whoever computes an entry.
    pub(super) edits: moka::future::Cache<ConversationSid, ()>,
    /// The numbers that each side was told last.
    told: Cache<ConversationSid, (i64, i64)>,
    counts: mpsc::Sender<Count>,
}

/// What is done behind the hot path.
pub(in crate::core) enum Count {
    /// The conversation is counted.
    Of(ConversationSid),
    /// It is told which message one side has read up to, where that is not in memory.
    Read(ConversationSid, i64),
    /// Whoever waits is told that all of it so far is done.
    Done(oneshot::Sender<()>),
}

impl Known {
    pub(in crate::core) fn new() -> (Self, mpsc::Receiver<Count>) {
        let (counts, counting) = mpsc::channel(QUEUE);
        let known = Self {
            conversations: Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(KEPT_FOR).build(),
            open: moka::future::Cache::builder().max_capacity(KEPT_AT_MOST).time_to_idle(KEPT_FOR).build(),
            edits: moka::future::Cache::builder().max_capacity(EDITS_AT_MOST).build(),
            told: Cache::builder().max_capacity(KEPT_AT_MOST).time_to_idle(KEPT_FOR * 60).build(),
            counts,
        };
        (known, counting)
    }

    /// The support conversation, if it is known to be one.
    pub(in crate::core) fn find(&self, sid: ConversationSid) -> Option<Arc<SupportConversation>> {
        self.conversations.get(&sid).flatten()
    }

    /// Something changed that is to be counted again.
    pub(in crate::core) fn recount(&self, sid: ConversationSid) {
        self.later(Count::Of(sid));
    }

    /// Nobody was told of anything in a conversation that was opened now.
    pub(super) fn begin(&self, sid: ConversationSid) {
        self.told.insert(sid, (0, 0));
    }

    fn later(&self, count: Count) {
        if self.counts.try_send(count).is_err() {
            metrics::counter!("switchboard_support_counts_dropped_total").increment(1);
        }
    }
}

impl Core {
    /// Finds out whether `sid` is a support conversation, from memory and the index; must come before its messages are
    /// told, which asks nobody.
    pub(in crate::core) async fn learn_support(&self, sid: ConversationSid) {
        if self.support.conversations.contains_key(&sid) {
            return;
        }
        if let Some(conversation) = self.conversations.find(sid).await {
            let support = SupportConversation::of(&conversation).map(Arc::new);
            self.support.conversations.entry(sid).or_insert(support);
            return;
        }
        match self.store.find_support(&sid.to_string()).await {
            Ok(row) => {
                let support = row.as_ref().and_then(SupportConversation::from_row).map(Arc::new);
                self.support.conversations.entry(sid).or_insert(support);
            }
            Err(error) => tracing::warn!(%error, "it is not known whether a conversation is support"),
        }
    }

    /// Takes in how a conversation is now, if it is support; tells what is new.
    pub(in crate::core) async fn take_in_support(&self, conversation: &Conversation) {
        let Some(now) = SupportConversation::of(conversation).map(Arc::new) else { return };
        let is_superseded = self.conversations.is_superseded(conversation);
        let mut before = None;
        let mut is_news = false;
        // Compared and kept in one step: our own change and Twilio's report of it often come together.
        self.support.conversations.entry(now.sid).and_compute_with(|entry| {
            before = entry.and_then(moka::Entry::into_value);
            is_news = before.as_ref().is_none_or(|before| {
                **before != *now
                    && (before.updated_at < now.updated_at
                        || (before.updated_at == now.updated_at && !is_superseded))
            });
            if is_news { Op::Put(Some(Arc::clone(&now))) } else { Op::Nop }
        });
        if !is_news {
            return;
        }
        let last = self.last_messages.find(now.sid).map(|message| message.date_created);
        if let Err(error) = self.store.remember_support(&now.to_row(last)).await {
            tracing::warn!(%error, conversation.sid = %now.sid, "the index of support conversations is not up to date");
        }
        let Some(before) = before else { return };
        if now.differs(&before) {
            self.publish(&Event::Support(SupportEvent::Changed {
                conversation: Arc::clone(&now),
                last_message_at: last,
            }));
        }
        if let Some(read) = now.admin_read.filter(|_| now.admin_read > before.admin_read) {
            self.tell_support_read(now.sid, read);
        }
    }

    /// Restores the index from a conversation that was read at Twilio; `true` when it is support. For whoever walks all of
    /// Twilio: asks nobody but the database.
    ///
    /// # Errors
    /// [`crate::store::Error`] when the database does not answer.
    pub async fn support_reindexed(&self, conversation: &Conversation) -> Result<bool, crate::store::Error> {
        let Some(support) = SupportConversation::of(conversation) else { return Ok(false) };
        let last = self.last_messages.find(support.sid).map(|message| message.date_created);
        self.store.remember_support(&support.to_row(last)).await?;
        Ok(true)
    }

    /// Tells that one side has read up to `index`: at once where the message there is in memory, else once the index has been
    /// asked.
    pub(in crate::core) fn tell_support_read(&self, sid: ConversationSid, index: i64) {
        if self.support.find(sid).is_none() {
            return;
        }
        match self.history.find_newest(sid, |message| message.index <= index) {
            Some(read) => {
                let read = SupportEvent::MessageRead { conversation: sid, message: read.sid };
                self.publish(&Event::Support(read));
            }
            None => self.support.later(Count::Read(sid, index)),
        }
        self.support.recount(sid);
    }

    async fn tell_indexed_read(&self, sid: ConversationSid, index: i64) {
        let read = self.store.newest_message_up_to(&sid.to_string(), index).await;
        match read.map(|read| read.and_then(|message| message.parse().ok())) {
            Ok(Some(message)) => {
                self.publish(&Event::Support(SupportEvent::MessageRead { conversation: sid, message }));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "nobody is told what was read in support"),
        }
    }

    /// Refuses whoever would write into a support conversation that is over, in whichever dialect they try.
    ///
    /// # Errors
    /// [`Error::ConversationClosed`].
    pub(in crate::core) async fn ensure_not_over(&self, sid: ConversationSid) -> Result<(), Error> {
        self.learn_support(sid).await;
        match self.support.find(sid) {
            Some(support) if support.status == SupportStatus::Closed => Err(Error::ConversationClosed),
            Some(_) | None => Ok(()),
        }
    }

    /// Forgets a conversation that is gone. Memory may have forgotten before that it was support: the index is asked always.
    pub(in crate::core) async fn forget_support(&self, sid: ConversationSid) {
        self.support.conversations.invalidate(&sid);
        if let Err(error) = self.store.forget_support(&sid.to_string()).await {
            tracing::warn!(%error, "a support conversation that is gone is still in the index");
        }
    }

    /// Counts what is to be counted, for as long as somebody holds the core.
    pub(in crate::core) fn count_support(&self, mut counting: mpsc::Receiver<Count>) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while counting.recv_many(&mut batch, BATCH).await > 0 {
                let Some(inner) = inner.upgrade() else { break };
                Self { inner }.count_support_batch(&mut batch).await;
            }
        });
    }

    /// Waits until what changed so far is counted.
    pub(super) async fn support_counted(&self) {
        let (done, counted) = oneshot::channel();
        if self.support.counts.send(Count::Done(done)).await.is_ok() {
            // The counter answers unless it is gone, and then there is nothing to wait for.
            let _ = counted.await;
        }
    }

    async fn count_support_batch(&self, batch: &mut Vec<Count>) {
        let mut waiting = Vec::new();
        let mut changed = HashSet::new();
        let mut reads = Vec::new();
        for count in batch.drain(..) {
            match count {
                Count::Of(sid) => drop(changed.insert(sid)),
                Count::Read(sid, index) => reads.push((sid, index)),
                Count::Done(done) => waiting.push(done),
            }
        }
        if !changed.is_empty() || !reads.is_empty() {
            self.index.flushed().await;
        }
        for (sid, index) in reads {
            self.tell_indexed_read(sid, index).await;
        }
        for sid in changed {
            if let Err(error) = self.count_one(sid).await {
                tracing::warn!(%error, conversation.sid = %sid, "a support conversation is not counted");
            }
        }
        for done in waiting {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }

    async fn count_one(&self, sid: ConversationSid) -> Result<(), crate::store::Error> {
        self.learn_support(sid).await;
        let Some(conversation) = self.support.find(sid) else { return Ok(()) };
        let text = sid.to_string();
        if let Some(last) = self.last_messages.find(sid) {
            let at = last.date_created.timestamp_millis();
            let activity = self.clock.now().timestamp_millis().clamp(at, at + WITHIN_A_SECOND);
            self.store.note_support_message(&text, at, activity).await?;
        }
        let owner_read = match self.owner_read(&conversation).await {
            Ok(owner_read) => owner_read,
            Err(error) => {
                tracing::debug!(%error, "up to where the owner has read is not known");
                return Ok(());
            }
        };
        let (for_admins, for_owner) =
            self.store.count_support_unread(&text, owner_read.unwrap_or(-1)).await?;
        // What was told last may be forgotten: then any number is news.
        let told = self.support.told.get(&sid);
        self.support.told.insert(sid, (for_admins, for_owner));
        for (side, unread, told) in [
            (Side::Admin, for_admins, told.map(|(admins, _)| admins)),
            (Side::Owner, for_owner, told.map(|(_, owner)| owner)),
        ] {
            if told != Some(unread) {
                let conversation = Arc::clone(&conversation);
                self.publish(&Event::Support(SupportEvent::UnreadChanged { conversation, side, unread }));
            }
        }
        Ok(())
    }
}
