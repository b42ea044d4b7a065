//! The one conversation of a set of people (mostly two), whatever dialect, node or race made it.
//!
//! Its UniqueName is a hash of the people, so Twilio itself refuses a second one. A closed conversation is final at Twilio:
//! the next one of the same people has a numbered name.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sha2::{Digest, Sha256};

use super::conversations::ensure_own_conversation;
use super::history::Span;
use super::participants::NewParticipant;
use super::{Conversation, ConversationSid, ConversationState, Core, Error, Message, look};
use crate::auth::{Caller, Identity};
use crate::store::DirectConversation;
use crate::twilio::{self, NewConversation};

/// Sets of people whose conversation is kept in memory.
const KEPT_AT_MOST: u64 = 100_000;
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Closed conversations of the same people that are stepped over.
const SUCCESSORS_AT_MOST: u32 = 100;
/// Looks and creations tried against others doing the same.
const RACES_AT_MOST: u32 = 5;
/// Messages given along with an existing conversation.
const MESSAGES: usize = 100;

/// The conversation of a set of people.
#[derive(Debug, Clone)]
pub struct Direct {
    /// It.
    pub conversation: ConversationSid,
    /// Its name; `None` only when it has none.
    pub friendly_name: Option<String>,
    /// The people it was asked for, their pictures as links.
    pub participants: Vec<NewParticipant>,
    /// Its newest messages (at most 100, oldest first) when it was there before, `None` when it was made now.
    pub messages: Option<Vec<Arc<Message>>>,
}

/// Which conversation each set of people has. Entries are made one at a time per set, so that of many simultaneous
/// requests one asks Twilio.
pub(super) struct Directs {
    cache: Cache<String, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    sid: ConversationSid,
    friendly_name: Option<String>,
}

impl Directs {
    pub(super) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(KEPT_AT_MOST)
            .time_to_idle(KEPT_FOR)
            .support_invalidation_closures()
            .build();
        Self { cache }
    }
}

/// The UniqueName of the conversation of these people: the same whoever names them in whatever order.
#[must_use]
pub(super) fn unique_name<'a>(people: impl Iterator<Item = &'a Identity>) -> String {
    let mut people: Vec<_> = people.map(Identity::as_str).collect();
    people.sort_unstable();
    people.dedup();
    let mut hash = Sha256::new();
    for identity in people {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((identity.len() as u64).to_be_bytes());
        hash.update(identity.as_bytes());
    }
    let mut name = String::from("dm_");
    for byte in hash.finalize().iter().take(20) {
        use std::fmt::Write as _;
        let _ = write!(name, "{byte:02x}"); // writing into a String cannot fail
    }
    name
}

impl Core {
    /// The conversation of exactly these people, made if there is none.
    ///
    /// Costs no Twilio call when it and its history are in memory; one (its history) after a restart; one and one per
    /// person when it is made.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two people, [`Error::NotAMember`] without the caller, [`Error::LimitReached`],
    /// [`Error::Unavailable`]; nothing is left half-made.
    pub async fn direct(
        &self,
        caller: &Caller,
        people: Vec<NewParticipant>,
        friendly_name: String,
    ) -> Result<Direct, Error> {
        ensure_own_conversation(caller, people.iter().map(|p| &p.identity))?;
        if people.len() < 2 {
            return Err(Error::invalid("participants", "must be at least two different people"));
        }
        let name = unique_name(people.iter().map(|p| &p.identity));
        let creator = caller.identity().cloned();
        let core = self.clone();
        self.to_the_end(async move { core.find_or_make_direct(name, people, friendly_name, creator).await })
            .await
    }

    async fn find_or_make_direct(
        &self,
        name: String,
        people: Vec<NewParticipant>,
        friendly_name: String,
        creator: Option<Identity>,
    ) -> Result<Direct, Error> {
        let people = self.with_picture_links(people).await?;
        for _ in 0..2 {
            let mut made = false;
            let make = async {
                if let Some(known) = self.recall_direct(&name).await {
                    return Ok(known);
                }
                let (conversation, new) =
                    self.look_or_make(&name, &people, &friendly_name, creator.clone()).await?;
                self.remember_direct(&name, &conversation).await;
                made = new;
                Ok::<_, Error>(Known {
                    sid: conversation.sid,
                    friendly_name: conversation.friendly_name.clone(),
                })
            };
            let known = self
                .directs
                .cache
                .try_get_with_by_ref(&name, make)
                .await
                .map_err(|error| (*error).clone())?;
            let direct = |messages| Direct {
                conversation: known.sid,
                friendly_name: known.friendly_name.clone(),
                participants: people.clone(),
                messages,
            };
            if made {
                return Ok(direct(None));
            }
            match self.history_of(known.sid, Span { limit: MESSAGES, before: None }).await {
                Ok(messages) => return Ok(direct(Some(messages))),
                // Deleted behind our back: look once more, with nothing remembered.
                Err(Error::ConversationNotFound) => self.conversation_removed(known.sid).await,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unavailable { retry_after: None })
    }

    async fn recall_direct(&self, name: &str) -> Option<Known> {
        match self.store.find_direct(name).await {
            Ok(row) => {
                let row = row?;
                Some(Known { sid: row.conversation_sid.parse().ok()?, friendly_name: row.friendly_name })
            }
            Err(error) => {
                tracing::warn!(%error, "a direct conversation is looked up at Twilio");
                None
            }
        }
    }

    async fn remember_direct(&self, name: &str, conversation: &Conversation) {
        let row = DirectConversation {
            conversation_sid: conversation.sid.to_string(),
            friendly_name: conversation.friendly_name.clone(),
        };
        if let Err(error) = self.store.remember_direct(name, &row).await {
            tracing::warn!(%error, "a direct conversation is not remembered");
        }
    }

    /// The open conversation named `name` (or a successor of closed ones), and whether it was made now.
    async fn look_or_make(
        &self,
        name: &str,
        people: &[NewParticipant],
        friendly_name: &str,
        creator: Option<Identity>,
    ) -> Result<(Arc<Conversation>, bool), Error> {
        let mut numbered = name.to_owned();
        for successor in 2..=SUCCESSORS_AT_MOST {
            let new = NewConversation {
                friendly_name: Some(friendly_name.to_owned()),
                unique_name: Some(numbered.clone()),
                attributes: None,
            };
            let (conversation, is_new) = self.create_or_fetch(&numbered, &new).await?;
            if is_new {
                return Ok((self.fill(conversation, people, creator).await?, true));
            }
            if conversation.state != ConversationState::Closed {
                return Ok((self.complete(conversation, people).await?, false));
            }
            numbered = format!("{name}_{successor}");
        }
        Err(Error::LimitReached("these people have too many closed conversations"))
    }

    /// Creating first costs one call for a new pair, and Twilio decides every race.
    async fn create_or_fetch(
        &self,
        name: &str,
        new: &NewConversation,
    ) -> Result<(Conversation, bool), Error> {
        for race in 0..RACES_AT_MOST {
            match self.twilio.create_conversation(new).await {
                Ok(created) => return Ok((created, true)),
                Err(error) if error.is_conflict_on_unique_name() => {}
                Err(twilio::Error::Ambiguous(_)) => {}
                Err(error) => return Err(error.into()),
            }
            match look(self.twilio.fetch_conversation_by_unique_name(name)).await {
                Ok(found) => return Ok((found, false)),
                // Taken, yet not there: just being made or deleted by somebody else.
                Err(error) if error.is_not_found() => {
                    tokio::time::sleep(Duration::from_millis(100 << race)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Unavailable { retry_after: None })
    }

    /// Adds whoever is missing in a conversation that was found.
    async fn complete(
        &self,
        found: Conversation,
        people: &[NewParticipant],
    ) -> Result<Arc<Conversation>, Error> {
        let conversation = Arc::new(found);
        self.conversations.keep(Arc::clone(&conversation)).await;
        let roster = self.roster(conversation.sid).await?;
        let missing: Vec<_> =
            people.iter().filter(|p| roster.find(p.identity.as_str()).is_none()).cloned().collect();
        for participant in self.add_all(conversation.sid, &missing).await? {
            self.participant_added(Arc::new(participant)).await;
        }
        self.remember_people(&missing).await;
        Ok(conversation)
    }

    /// Forgets that this is anybody's direct conversation: it is gone or closed, or somebody left it.
    pub(super) async fn forget_direct(&self, sid: ConversationSid) {
        self.forget_direct_in_memory(sid);
        if let Err(error) = self.store.forget_direct(&sid.to_string()).await {
            tracing::warn!(%error, "a direct conversation was not forgotten");
        }
    }

    /// Takes in what a conversation is called now.
    pub(super) async fn rename_direct(&self, conversation: &Conversation) {
        self.forget_direct_in_memory(conversation.sid);
        let sid = conversation.sid.to_string();
        let renamed = self.store.rename_direct(&sid, conversation.friendly_name.as_deref());

        if let Err(error) = renamed.await {
            tracing::warn!(%error, "the new name of a direct conversation is not remembered");
        }
    }

    fn forget_direct_in_memory(&self, sid: ConversationSid) {
        if let Err(error) = self.directs.cache.invalidate_entries_if(move |_, known| known.sid == sid) {
            tracing::error!(%error, "the memory of direct conversations cannot be searched");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(people: &[&str]) -> String {
        let people: Vec<Identity> = people.iter().map(|p| p.parse().unwrap()).collect();
        unique_name(people.iter())
    }

    #[test]
    fn the_name_does_not_depend_on_order_or_repetition() {
        assert_eq!(name(&["alice", "bob"]), name(&["bob", "alice", "bob"]));
    }

    #[test]
    fn different_people_have_different_names() {
        assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
        assert_ne!(name(&["a", "b"]), name(&["a", "b", "c"]));
    }

    #[test]
    fn the_name_is_dm_and_forty_hex_digits() {
        let name = name(&["alice", "bob"]);
        assert_eq!(name.len(), 43);
        assert!(name.starts_with("dm_"));
    }
}
