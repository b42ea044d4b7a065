//! Lists of conversations: a person's own, or all of the service's; newest activity first, with the last message and the
//! number of unread ones.
//!
//! A person's list is read from Twilio once (one call per 50 conversations) and then kept true by our own writes and by
//! webhooks; last messages come from `last_messages.rs`. A warm list costs no Twilio call.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use moka::future::Cache;
use parking_lot::Mutex;

use super::changes::Changes;
use super::last_messages::Last;
use super::{Conversation, ConversationSid, Core, Error, Message, Participant};
use crate::auth::{AuthError, Caller, Identity};
use crate::twilio::UserConversation;

/// People whose list is kept.
const LISTS_AT_MOST: u64 = 20_000;
/// How long a list serves without having been read anew: bounds what a lost webhook can hide.
const LIST_FOR: Duration = Duration::from_secs(60);
/// Conversations in the list of the whole service.
const SERVICE_AT_MOST: usize = 1_000;
/// Conversations fetched at once when memory has dropped them.
const FETCHED_AT_ONCE: usize = 8;

/// A page of conversations.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Newest activity first.
    pub conversations: Vec<ListedConversation>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// A conversation in a list.
#[derive(Debug, Clone)]
pub struct ListedConversation {
    /// As Twilio has it.
    pub conversation: Arc<Conversation>,
    /// Its newest message.
    pub last_message: Option<Arc<Message>>,
    /// Messages of others past what the person has read (all of them, if nothing was); `None` in the list of the service.
    pub unread_count: Option<u32>,
}

impl ListedConversation {
    /// When something last happened in it.
    fn activity(&self) -> DateTime<Utc> {
        let last = self.last_message.as_ref().map(|message| message.date_created);
        last.unwrap_or(self.conversation.date_created)
    }

    fn cursor(&self, last: &Last) -> Cursor {
        Cursor { activity: self.activity().timestamp(), heard: last.heard, sid: self.conversation.sid }
    }
}

/// A place in a list: after the conversation with this activity. As text `1765967400-17-CH…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Unix seconds, which is all that Twilio tells.
    activity: i64,
    /// Of two in the same second: which we heard of later.
    heard: u64,
    sid: ConversationSid,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.activity, self.heard, self.sid)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parse = || {
            let mut parts = text.splitn(3, '-');
            let mut part = || parts.next();
            Some(Self {
                activity: part()?.parse().ok()?,
                heard: part()?.parse().ok()?,
                sid: part()?.parse().ok()?,
            })
        };
        parse().ok_or_else(|| Error::invalid("cursor", "is not one that was given out"))
    }
}

/// The lists in memory.
pub(super) struct Lists {
    people: Cache<Identity, Arc<PersonList>>,
    service: Cache<(), Arc<Vec<ConversationSid>>>,
    /// By person, and (`()`) of the service: a list that changed while it was read is not kept.
    changes: Changes,
}

struct PersonList {
    memberships: Mutex<HashMap<ConversationSid, Membership>>,
}

#[derive(Clone, Copy)]
struct Membership {
    last_read: Option<i64>,
    /// Twilio's count when the list was read: for conversations older than our index.
    unread_at_twilio: Option<u32>,
}

impl Lists {
    pub(super) fn new() -> Self {
        Self {
            people: Cache::builder().max_capacity(LISTS_AT_MOST).time_to_live(LIST_FOR).build(),
            service: Cache::builder().max_capacity(1).time_to_live(LIST_FOR).build(),
            changes: Changes::new(),
        }
    }

    /// The list of the whole service is to be read anew.
    pub(super) async fn service_changed(&self) {
        self.changes.note(&());
        self.service.invalidate(&()).await;
    }
}

impl Core {
    /// The conversations of `identity`, or of the whole service when it is `None`. People see their own only.
    ///
    /// # Errors
    /// [`Error::Auth`] for somebody else's list, [`Error::Unavailable`]. An unknown person has an empty list.
    pub async fn list_conversations(
        &self,
        caller: &Caller,
        identity: Option<&Identity>,
        limit: Option<usize>,
        after: Option<Cursor>,
    ) -> Result<Listing, Error> {
        let own = caller.identity().filter(|_| !caller.is_admin());
        if let (Some(own), Some(asked)) = (own, identity)
            && own != asked
        {
            return Err(AuthError::NotYou.into());
        }
        let mut all = match identity.or(own) {
            Some(identity) => self.conversations_of(identity, |_| true).await?,
            None => self.conversations_of_service().await?,
        };
        all.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
        if let Some(after) = after {
            all.retain(|(place, _)| *place < after);
        }
        let limit = limit.unwrap_or(usize::MAX);
        let next =
            (all.len() > limit).then(|| all.get(limit.wrapping_sub(1)).map(|(place, _)| *place)).flatten();
        all.truncate(limit);
        Ok(Listing { conversations: all.into_iter().map(|(_, listed)| listed).collect(), next })
    }

    /// The conversations of `identity` that are `wanted`; no more is asked about the others.
    pub(super) async fn conversations_of(
        &self,
        identity: &Identity,
        wanted: impl Fn(&Conversation) -> bool,
    ) -> Result<Vec<(Cursor, ListedConversation)>, Error> {
        let list = self.person_list(identity).await?;
        let memberships = list.memberships.lock().clone();
        let sids: Vec<_> = memberships.keys().copied().collect();
        let mut listed = self.describe(&sids, wanted).await?;
        let past: Vec<_> = listed
            .iter()
            .filter_map(|(listed, _)| {
                let last_read = memberships.get(&listed.conversation.sid)?.last_read.unwrap_or(-1);
                Some((listed.conversation.sid.to_string(), last_read))
            })
            .collect();
        // So that a message that was sent a moment ago counts.
        self.index.flushed().await;
        let counts = self.store.count_unread(identity.as_str(), &past).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "unread messages are not counted");
            HashMap::new()
        });
        for (listed, last) in &mut listed {
            let counted = counts.get(&listed.conversation.sid.to_string()).copied().unwrap_or(0);
            let counted = u32::try_from(counted).unwrap_or(u32::MAX);
            let membership = memberships.get(&listed.conversation.sid);
            let complete = last.known_from <= membership.and_then(|m| m.last_read).map_or(0, |read| read + 1);
            let at_twilio = membership.and_then(|m| m.unread_at_twilio).filter(|_| !complete).unwrap_or(0);
            listed.unread_count = Some(counted.max(at_twilio));
        }
        Ok(listed.into_iter().map(|(listed, last)| (listed.cursor(&last), listed)).collect())
    }

    async fn conversations_of_service(&self) -> Result<Vec<(Cursor, ListedConversation)>, Error> {
        let read = async {
            let mut page = self.twilio.list_conversations(100).await?;
            let mut sids = Vec::new();
            loop {
                for conversation in page.items {
                    sids.push(conversation.sid);
                    self.conversations.keep(Arc::new(conversation)).await;
                }
                match page.next {
                    Some(next) if sids.len() < SERVICE_AT_MOST => {
                        page = self.twilio.next_conversations(&next).await?
                    }
                    Some(_) | None => break,
                }
            }
            Ok::<_, Error>(Arc::new(sids))
        };
        let before = self.lists.changes.seen(&());
        let sids = self.lists.service.try_get_with((), read).await.map_err(|error| (*error).clone())?;
        if self.lists.changes.seen(&()) != before {
            self.lists.service.invalidate(&()).await;
        }
        let listed = self.describe(&sids, |_| true).await?;
        Ok(listed.into_iter().map(|(listed, last)| (listed.cursor(&last), listed)).collect())
    }

    /// The conversations among `sids` that are `wanted`, with their last messages; those that are gone are left out.
    async fn describe(
        &self,
        sids: &[ConversationSid],
        wanted: impl Fn(&Conversation) -> bool,
    ) -> Result<Vec<(ListedConversation, Last)>, Error> {
        let conversations = self.wanted_of(sids, wanted).await?;
        let sids: Vec<_> = conversations.iter().map(|conversation| conversation.sid).collect();
        let mut last_messages = self.last_messages_of(&sids).await?;
        let with_last = |conversation: Arc<Conversation>| {
            let last = last_messages.remove(&conversation.sid)?;
            let last_message = last.message.clone();
            Some((ListedConversation { conversation, last_message, unread_count: None }, last))
        };
        Ok(conversations.into_iter().filter_map(with_last).collect())
    }

    async fn wanted_of(
        &self,
        sids: &[ConversationSid],
        wanted: impl Fn(&Conversation) -> bool,
    ) -> Result<Vec<Arc<Conversation>>, Error> {
        let fetching: Vec<_> = sids.iter().map(|sid| self.conversation(*sid)).collect();
        let mut fetched = futures::stream::iter(fetching).buffered(FETCHED_AT_ONCE);
        let mut conversations = Vec::with_capacity(sids.len());
        while let Some(conversation) = fetched.next().await {
            match conversation {
                Ok(conversation) if wanted(&conversation) => conversations.push(conversation),
                Ok(_) | Err(Error::ConversationNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(conversations)
    }

    /// Which conversations of `identity` are `wanted`.
    pub(super) async fn sids_of(
        &self,
        identity: &Identity,
        wanted: impl Fn(&Conversation) -> bool,
    ) -> Result<Vec<ConversationSid>, Error> {
        let list = self.person_list(identity).await?;
        let sids: Vec<_> = list.memberships.lock().keys().copied().collect();
        Ok(self.wanted_of(&sids, wanted).await?.iter().map(|conversation| conversation.sid).collect())
    }

    async fn person_list(&self, identity: &Identity) -> Result<Arc<PersonList>, Error> {
        let before = self.lists.changes.seen(identity);
        let read = async {
            let all = match self.twilio.list_user_conversations(identity.as_str()).await {
                Err(error) if error.is_not_found() => Vec::new(),
                other => other?,
            };
            let mut memberships = HashMap::with_capacity(all.len());
            for entry in all {
                let membership = Membership {
                    last_read: entry.last_read_message_index,
                    unread_at_twilio: entry.unread_messages_count,
                };
                memberships.insert(entry.conversation_sid, membership);
                self.conversations.keep(Arc::new(conversation_of(entry))).await;
            }
            Ok::<_, Error>(Arc::new(PersonList { memberships: Mutex::new(memberships) }))
        };
        let list =
            self.lists.people.try_get_with(identity.clone(), read).await.map_err(|error| (*error).clone())?;
        if self.lists.changes.seen(identity) != before {
            // Something changed while it was read: good enough to answer with, not to keep.
            self.lists.people.invalidate(identity).await;
        }
        Ok(list)
    }

    /// Somebody was added to a conversation: it is in their list.
    pub(super) async fn list_participant_added(&self, participant: &Participant) {
        if let Some(identity) = participant.identity.as_deref().and_then(|id| Identity::try_from(id).ok()) {
            self.settings.begin(identity, participant.conversation_sid).await;
        }
        let membership =
            Membership { last_read: participant.last_read_message_index, unread_at_twilio: None };
        self.with_list(participant, |memberships| {
            memberships.insert(participant.conversation_sid, membership);
        })
        .await;
    }

    /// Somebody was removed from a conversation: it no longer is in their list.
    pub(super) async fn list_participant_removed(&self, participant: &Participant) {
        self.with_list(participant, |memberships| {
            memberships.remove(&participant.conversation_sid);
        })
        .await;
    }

    /// Somebody's list is to be read anew: whether they are in the participant's conversation is not known.
    pub(super) async fn forget_list_of(&self, participant: &Participant) {
        if let Some(identity) = participant.identity.as_deref().and_then(|id| Identity::try_from(id).ok()) {
            self.lists.changes.note(&identity);
            self.lists.people.invalidate(&identity).await;
        }
    }

    /// Somebody has read up to `index`; nobody unreads.
    pub(super) async fn list_read(&self, participant: &Participant, index: i64) {
        self.with_list(participant, |memberships| {
            if let Some(membership) = memberships.get_mut(&participant.conversation_sid)
                && membership.last_read < Some(index)
            {
                *membership = Membership { last_read: Some(index), unread_at_twilio: None };
            }
        })
        .await;
    }

    async fn with_list(
        &self,
        participant: &Participant,
        change: impl FnOnce(&mut HashMap<ConversationSid, Membership>),
    ) {
        let Some(identity) = participant.identity.as_deref().and_then(|id| Identity::try_from(id).ok())
        else {
            return;
        };
        self.lists.changes.note(&identity);
        if let Some(list) = self.lists.people.get(&identity).await {
            change(&mut list.memberships.lock());
        }
    }
}

/// The conversation inside a person's list entry: the same resource, seen from the person.
fn conversation_of(entry: UserConversation) -> Conversation {
    Conversation {
        sid: entry.conversation_sid,
        friendly_name: entry.friendly_name,
        unique_name: entry.unique_name,
        attributes: entry.attributes,
        state: entry.conversation_state,
        date_created: entry.date_created,
        date_updated: entry.date_updated,
    }
}
