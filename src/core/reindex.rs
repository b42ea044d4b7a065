//! Restores from Twilio what the database remembers: people, whose conversation is whose, support conversations, the index
//! of messages, the newest message of each conversation and the product it is about.
//!
//! Everything read is taken in by the functions that take in reports, so a second run changes nothing, and the service may
//! run meanwhile. What only the database had is not at Twilio and is not restored: send keys, contacts, blocks, one-time
//! codes, who uploaded which file, when people were last here, what tokens said.
//! Kept in memory: a page of conversations and a page of messages of each that is being read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use serde_json::Value;

use super::conversations::OURS;
use super::error::or_not_found;
use super::participants::NewParticipant;
use super::{Conversation, Core, Error, Participant};
use crate::auth::Identity;
use crate::telemetry;
use crate::twilio::{self, NextPage, Order, Page, User};

/// Items on a page of Twilio's, at most.
const PAGE: u8 = 100;
/// Pages of messages read of one conversation: Twilio itself counts no more than 1,000 unread messages.
const MESSAGE_PAGES: u32 = 10;
/// Conversations read at once, at most: a page of messages of each must fit into the queue of the index.
const CONCURRENCY: usize = 50;
/// How often a read is tried while Twilio does not answer or is busy.
const TRIES: u32 = 12;
/// The first pause, doubled each time up to the longest: five minutes in all.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(40);

/// What is to be restored.
#[derive(Debug, Clone, Default)]
pub struct Reindex {
    /// Only these; empty: everything.
    pub only: Vec<Part>,
    /// Conversations read at once, 1 to 50. Calls at once are bounded by the client too.
    pub concurrency: usize,
    /// Where in the list of conversations to go on: what [`Progress::resume_at`] said of an earlier run.
    pub from: Option<String>,
}

/// Something that can be restored by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What people set about themselves, and their phones. One call per 100 people.
    People,
    /// Whose conversation is whose, which ones are support, and what others call people. One call per conversation.
    Conversations,
    /// The index of messages, the newest one of each conversation and the last product they named, as far back as anybody
    /// has unread ones. Two calls per conversation, one more for every further 100 messages.
    Messages,
}

/// How far it is, to be read meanwhile.
#[derive(Debug, Default)]
pub struct Progress {
    /// Calls to Twilio.
    pub calls: Arc<AtomicU32>,
    /// Users read.
    pub people: AtomicU64,
    /// Conversations there are; 0 until they are counted, and where a run goes on.
    pub conversations_in_all: AtomicU64,
    /// Conversations read.
    pub conversations: AtomicU64,
    /// Those that are the one of a set of people.
    pub directs: AtomicU64,
    /// Those that are support.
    pub support: AtomicU64,
    /// Messages read.
    pub messages: AtomicU64,
    resume_at: Mutex<Option<String>>,
}

impl Progress {
    /// Where a run that ends now is to go on; `None`: at the beginning.
    #[must_use]
    pub fn resume_at(&self) -> Option<String> {
        self.resume_at.lock().clone()
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

impl Reindex {
    fn covers(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

impl Core {
    /// Restores what `reindex` asks for, and tells how far it is in `progress`. What an earlier run restored is read again
    /// and does not change.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when Twilio has not answered for minutes or the database does not; what was restored by then
    /// is kept. [`Error::Invalid`] for a `from` that is none.
    pub async fn reindex(&self, reindex: &Reindex, progress: &Progress) -> Result<(), Error> {
        *progress.resume_at.lock() = reindex.from.clone();
        let restoring = async {
            if reindex.covers(Part::People) && reindex.from.is_none() {
                self.reindex_people(progress).await?;
            }
            if reindex.covers(Part::Conversations) || reindex.covers(Part::Messages) {
                self.reindex_conversations(reindex, progress).await?;
            }
            Ok(())
        };
        telemetry::counting_in(Arc::clone(&progress.calls), restoring).await
    }

    async fn reindex_people(&self, progress: &Progress) -> Result<(), Error> {
        let mut page: Page<User> = patiently(|| self.twilio.list_users(PAGE)).await?;
        loop {
            for user in &page.items {
                // Somebody whose identity cannot be one here was never in the directory, nor was a guest.
                if let Ok(identity) = Identity::try_from(user.identity.as_str())
                    && !identity.is_guest()
                {
                    self.user_met(&identity, user).await;
                }
            }
            count(&progress.people, page.items.len());
            self.store.ping().await?;
            let Some(next) = page.next else { return Ok(()) };
            page = patiently(|| self.twilio.next_users(&next)).await?;
        }
    }

    async fn reindex_conversations(&self, reindex: &Reindex, progress: &Progress) -> Result<(), Error> {
        let mut page = match &reindex.from {
            Some(from) => {
                let from: NextPage =
                    from.parse().map_err(|_| Error::invalid("from", "is not what an earlier run said"))?;
                patiently(|| self.twilio.next_conversations(&from)).await?
            }
            None => {
                let in_all = self.count_conversations().await?;
                progress.conversations_in_all.store(in_all, Ordering::Relaxed);
                patiently(|| self.twilio.list_conversations(PAGE)).await?
            }
        };
        loop {
            let reading: Vec<_> = page
                .items
                .iter()
                .map(|conversation| self.reindex_conversation(conversation, reindex, progress))
                .collect();
            let concurrency = reindex.concurrency.clamp(1, CONCURRENCY);
            futures::stream::iter(reading).buffer_unordered(concurrency).try_collect::<()>().await?;
            // Only what is written counts as done.
            self.index.flushed().await;
            self.store.ping().await?;
            let Some(next) = page.next else { return Ok(()) };
            *progress.resume_at.lock() = Some(next.to_string());
            page = patiently(|| self.twilio.next_conversations(&next)).await?;
        }
    }

    /// Twilio tells no total; a hundredth more calls is not much for knowing how long it will take.
    async fn count_conversations(&self) -> Result<u64, Error> {
        let mut page = patiently(|| self.twilio.list_conversations(PAGE)).await?;
        let mut count = 0;
        loop {
            count += page.items.len() as u64;
            let Some(next) = page.next else { return Ok(count) };
            page = patiently(|| self.twilio.next_conversations(&next)).await?;
        }
    }

    async fn reindex_conversation(
        &self,
        conversation: &Conversation,
        reindex: &Reindex,
        progress: &Progress,
    ) -> Result<(), Error> {
        let read = async {
            let participants = patiently(|| self.twilio.list_participants(conversation.sid)).await?;
            // First: who takes the conversation in may want to know when something was last said in it.
            if reindex.covers(Part::Messages) {
                self.reindex_messages(conversation, &participants, progress).await?;
            }
            if reindex.covers(Part::Conversations) {
                self.conversation_found(conversation, &participants, progress).await?;
            }
            Ok(())
        };
        match read.await {
            // Deleted since it was listed.
            Ok(()) | Err(Error::ConversationNotFound) => {
                count(&progress.conversations, 1);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes in a conversation that was read with everybody in it. Whoever keeps something of conversations in the database
    /// restores it here.
    async fn conversation_found(
        &self,
        conversation: &Conversation,
        participants: &[Participant],
        progress: &Progress,
    ) -> Result<(), Error> {
        let identity = |participant: &Participant| participant.identity.as_deref()?.try_into().ok();
        // Those it was made for came first.
        let mut participants: Vec<_> = participants.iter().collect();
        participants.sort_unstable_by_key(|participant| (participant.date_created, participant.sid));
        let people: Vec<Identity> = participants.iter().copied().filter_map(identity).collect();
        if self.direct_found(conversation, &people).await {
            count(&progress.directs, 1);
        }
        self.phone_conversation_found(conversation, &participants).await?;
        if self.support_reindexed(conversation).await? {
            count(&progress.support, 1);
        }
        for participant in participants {
            if let Some(identity) = identity(participant) {
                self.restore_name(identity, participant).await;
            }
        }
        Ok(())
    }

    /// What somebody was called by whoever added them, where nothing else is known: conversations come newest first.
    async fn restore_name(&self, identity: Identity, participant: &Participant) {
        let attributes: Value = serde_json::from_str(&participant.attributes).unwrap_or_default();
        let told = |key: &str| attributes[OURS][key].as_str().map(str::to_owned);
        let (name, image) = (told("name"), told("image"));
        if name.is_none() && image.is_none() {
            return;
        }
        let known = self.profile(&identity).await.ok().flatten();
        let known = known.as_deref();
        let person = NewParticipant {
            identity,
            name: name.filter(|_| known.is_none_or(|known| known.nickname.is_none())),
            image: image.filter(|_| known.is_none_or(|known| known.avatar.is_none())),
        };
        self.remember_people(&[person]).await;
    }

    /// Reads back to the first message that somebody has not read.
    async fn reindex_messages(
        &self,
        conversation: &Conversation,
        participants: &[Participant],
        progress: &Progress,
    ) -> Result<(), Error> {
        let sid = conversation.sid;
        let people = participants.iter().filter(|participant| participant.identity.is_some());
        let needed_from =
            people.map(|person| person.last_read_message_index.map_or(0, |read| read + 1)).min().unwrap_or(0);
        let mut page = Some(patiently(|| self.twilio.list_messages(sid, Order::NewestFirst, PAGE)).await?);
        let mut newest = None;
        let mut names_product = false;
        let mut pages = 0;
        while let Some(Page { items, next }) = page.take() {
            pages += 1;
            count(&progress.messages, items.len());
            // One entry for a page, for the sake of the index's queue; older pages only say what newer ones do not.
            names_product = names_product || self.note_products(items.iter());
            let messages: Vec<_> = items.into_iter().rev().map(Arc::new).collect();
            let floor = messages.first().map(|oldest| oldest.index);
            newest = newest.or_else(|| messages.last().cloned());
            let known_from = if next.is_none() { 0 } else { floor.unwrap_or(0) };
            // The newest last, whose row says from where on the index is complete.
            self.index_messages(sid, messages.iter().chain(&newest), known_from);
            if let Some(next) = next
                && pages < MESSAGE_PAGES
                && floor.is_none_or(|floor| floor > needed_from)
            {
                // So that the queue of the index has room for the next.
                self.index.flushed().await;
                page = Some(patiently(|| self.twilio.next_messages(sid, &next)).await?);
            }
        }
        if !names_product {
            self.note_no_product(sid);
        }
        Ok(())
    }
}

/// Reads, however busy Twilio is: nobody waits for the answer but us.
async fn patiently<T, F>(read: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, twilio::Error>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        let wait = match read().await {
            Err(twilio::Error::RateLimited { retry_after }) => retry_after.unwrap_or(pause).max(pause),
            Err(twilio::Error::Unreachable(_)) => pause,
            answer => return answer.map_err(or_not_found(Error::ConversationNotFound)),
        };
        tokio::time::sleep(wait.min(LONGEST_PAUSE)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    read().await.map_err(or_not_found(Error::ConversationNotFound))
}
