//! The one conversation of a set of people (mostly two), whatever dialect, node or race made it.
//!
//! Its UniqueName is a hash of the people, so Twilio itself refuses a second one. A closed conversation is final at Twilio:
//! the next one of the same people has a numbered name.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sha2::{Digest, Sha256};

use super::conversations::ensure_own_conversation;
use super::groups::{DIRECT_NAMES, Roles};
use super::history::Span;
use super::participants::NewParticipant;
use super::{Conversation, ConversationSid, ConversationState, Core, Error, Message, look};
use crate::auth::{Caller, Identity};
use crate::store::DirectConversation;
use crate::twilio::{self, NewConversation};

/// Sets of people whose conversation is kept in memory.
const KEPT_AT_MOST: u64 = 100_000;
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How long it is believed whose conversation one is.
const PAIRS_FOR: Duration = Duration::from_secs(60);
/// People whose partners are kept in memory, and for how long: so soon those made on another node are known.
const PARTNERS_AT_MOST: u64 = 20_000;
const PARTNERS_FOR: Duration = Duration::from_secs(5);
/// People of a roster among whom a pair is looked for.
pub(super) const LOOKED_AMONG: usize = 8;
/// Closed conversations of the same people that are stepped over.
pub(super) const SUCCESSORS_AT_MOST: u32 = 100;
/// Looks and creations tried against others doing the same.
const RACES_AT_MOST: u32 = 5;
/// Characters of a conversation's name.
const FRIENDLY_NAME_CHARACTERS: usize = 256;
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
    /// Whose conversation one is; `None` for what is no pair's.
    pairs: Cache<ConversationSid, Option<Pair>>,
    partners: Cache<Identity, Arc<Vec<Partner>>>,
}

/// The two people of a pair's conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair(Identity, Identity);

impl Pair {
    /// The pair of these people, if they are two.
    pub(super) fn of<'a>(people: impl Iterator<Item = &'a Identity>) -> Option<Self> {
        let mut people: Vec<_> = people.collect();
        people.sort_unstable();
        people.dedup();
        match people.as_slice() {
            [a, b] => Some(Self((*a).clone(), (*b).clone())),
            _ => None,
        }
    }

    /// The other one; `None` for somebody who is neither.
    #[must_use]
    pub fn other(&self, one: &Identity) -> Option<&Identity> {
        match self {
            Self(a, b) if a == one => Some(b),
            Self(a, b) if b == one => Some(a),
            Self(..) => None,
        }
    }

    fn is(&self, who: &str) -> bool {
        self.0.as_str() == who || self.1.as_str() == who
    }

    fn parse((a, b): (String, String)) -> Option<Self> {
        Some(Self(a.try_into().ok()?, b.try_into().ok()?))
    }

    fn to_row(&self) -> (String, String) {
        (self.0.as_str().to_owned(), self.1.as_str().to_owned())
    }
}

/// Somebody with whom a person has a conversation of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// Who.
    pub identity: Identity,
    /// Their conversation.
    pub conversation: ConversationSid,
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
        Self {
            cache,
            pairs: Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(PAIRS_FOR).build(),
            partners: Cache::builder().max_capacity(PARTNERS_AT_MOST).time_to_live(PARTNERS_FOR).build(),
        }
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
    let mut name = String::from(DIRECT_NAMES);
    for byte in hash.finalize().iter().take(20) {
        use std::fmt::Write as _;
        let _ = write!(name, "{byte:02x}"); // writing into a String cannot fail
    }
    name
}

/// Whether a conversation is that of `pair`, by its UniqueName: nobody else's name fits.
pub(super) fn is_of(conversation: &Conversation, pair: &Pair) -> bool {
    is_named(conversation, &unique_name([&pair.0, &pair.1].into_iter()))
}

/// Whether a conversation's UniqueName is `name`, or that of a successor of closed ones, which has a number after it.
pub(super) fn is_named(conversation: &Conversation, name: &str) -> bool {
    let rest = conversation.unique_name.as_deref().and_then(|given| given.strip_prefix(name));
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('_').is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// The pair among `people` whose conversation this is.
pub(super) fn pair_among(conversation: &Conversation, people: &[Identity]) -> Option<Pair> {
    let others = |place| people.iter().skip(place + 1);
    let mut pairs = people
        .iter()
        .enumerate()
        .flat_map(|(place, one)| others(place).filter_map(move |other| Pair::of([one, other].into_iter())));
    pairs.find(|pair| is_of(conversation, pair))
}

/// Whether a conversation is that of a set of people, however many.
pub(super) fn is_direct(conversation: &Conversation) -> bool {
    conversation.unique_name.as_deref().is_some_and(|name| name.starts_with(DIRECT_NAMES))
}

impl Core {
    /// The conversation of exactly these people, made if there is none.
    ///
    /// Costs no Twilio call when it and its history are in memory; one (its history) after a restart; one and one per
    /// person when it is made.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two people, [`Error::NotAMember`] without the caller, [`Error::Auth`] for names that no
    /// user can have, [`Error::Blocked`] for a pair of whom one blocks the other, or where more would be brought together of
    /// whom one and the caller stand so; [`Error::Group`] for more than a group may have, [`Error::LimitReached`],
    /// [`Error::Unavailable`]; nothing is left half-made.
    pub async fn direct(
        &self,
        caller: &Caller,
        people: Vec<NewParticipant>,
        friendly_name: String,
    ) -> Result<Direct, Error> {
        ensure_own_conversation(caller, people.iter().map(|p| &p.identity))?;
        self.ensure_may_bring(caller, people.iter().map(|p| &p.identity)).await?;
        if people.len() < 2 {
            return Err(Error::invalid("participants", "must be at least two different people"));
        }
        let name = unique_name(people.iter().map(|p| &p.identity));
        match Pair::of(people.iter().map(|p| &p.identity)) {
            Some(Pair(one, other)) => self.ensure_not_blocked(&one, &other).await?,
            // One that is there goes on, as groups do.
            None if self.is_known_direct(&name).await => {}
            None => {
                self.ensure_room_for(people.len())?;
                self.ensure_none_blocked(caller, people.iter().map(|p| &p.identity)).await?;
            }
        }
        let creator = caller.identity().cloned();
        let core = self.clone();
        self.to_the_end(async move { core.find_or_make_direct(name, people, friendly_name, creator).await })
            .await
    }

    /// The conversation of the caller and `who`, made if there is none; a new one is called what the two are called.
    ///
    /// # Errors
    /// [`Error::OnlyYourself`], [`Error::Auth`] without an identity of one's own; else as [`Core::direct`].
    pub(super) async fn direct_with(&self, caller: &Caller, who: &Identity) -> Result<Direct, Error> {
        let me = caller.person()?;
        if me == who {
            return Err(Error::OnlyYourself);
        }
        let pair = [me.clone(), who.clone()];
        let friendly_name = self.joined_names(&pair).await?;
        let people = pair.map(|identity| NewParticipant { identity, name: None, image: None });
        self.direct(caller, people.to_vec(), friendly_name).await
    }

    async fn find_or_make_direct(
        &self,
        name: String,
        people: Vec<NewParticipant>,
        friendly_name: String,
        creator: Option<Identity>,
    ) -> Result<Direct, Error> {
        let people = self.with_picture_links(people, creator.as_ref()).await?;
        for _ in 0..2 {
            let (known, made) = self.known_or_made(&name, &people, &friendly_name, creator.clone()).await?;
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

    /// The conversation of the two, made if there is none; nothing of it is read.
    ///
    /// Costs no Twilio call when it is known, else three at most.
    ///
    /// # Errors
    /// As [`Core::direct`].
    pub(super) async fn direct_of_two(
        &self,
        one: &Identity,
        other: &Identity,
    ) -> Result<ConversationSid, Error> {
        let person =
            |identity: &Identity| NewParticipant { identity: identity.clone(), name: None, image: None };
        let people = [person(one), person(other)];
        let name = unique_name([one, other].into_iter());
        let friendly_name =
            format!("{one}, {other}").chars().take(FRIENDLY_NAME_CHARACTERS).collect::<String>();
        let (known, _) = self.known_or_made(&name, &people, &friendly_name, Some(one.clone())).await?;
        Ok(known.sid)
    }

    /// The conversation with this UniqueName, and whether it was made now.
    async fn known_or_made(
        &self,
        name: &str,
        people: &[NewParticipant],
        friendly_name: &str,
        creator: Option<Identity>,
    ) -> Result<(Known, bool), Error> {
        let mut made = false;
        let make = async {
            let pair = Pair::of(people.iter().map(|p| &p.identity));
            if let Some(known) = self.recall_direct(name, pair.as_ref()).await {
                return Ok(known);
            }
            let wanted =
                NewConversation { friendly_name: Some(friendly_name.to_owned()), ..Default::default() };
            let (conversation, new) = self.look_or_make(name, wanted, people, creator).await?;
            self.remember_direct(name, &conversation, pair).await;
            made = new;
            Ok::<_, Error>(Known { sid: conversation.sid, friendly_name: conversation.friendly_name.clone() })
        };
        let known = self.directs.cache.try_get_with_by_ref(name, make).await;
        let known = known.map_err(|error| (*error).clone())?;
        if let Some(pair) = Pair::of(people.iter().map(|p| &p.identity)) {
            self.pairs.note(known.sid, pair);
        }
        Ok((known, made))
    }

    /// Takes in a conversation and everybody in it, in the order they came, read from Twilio. True if it is the open one of
    /// exactly these people, or of a pair among them: a pair's stays theirs, whoever joins it.
    pub(super) async fn direct_found(&self, conversation: &Conversation, people: &[Identity]) -> bool {
        if !is_direct(conversation) || conversation.state == ConversationState::Closed {
            return false;
        }
        let name = unique_name(people.iter());
        if is_named(conversation, &name) {
            self.remember_direct(&name, conversation, Pair::of(people.iter())).await;
            return true;
        }
        let first = people.get(..LOOKED_AMONG).unwrap_or(people);
        let Some(pair) = pair_among(conversation, first) else { return false };
        self.note_pair(conversation, pair).await;
        true
    }

    async fn is_known_direct(&self, name: &str) -> bool {
        self.directs.cache.contains_key(name) || self.recall_direct(name, None).await.is_some()
    }

    async fn recall_direct(&self, name: &str, pair: Option<&Pair>) -> Option<Known> {
        match self.store.find_direct(name).await {
            Ok(row) => {
                let row = row?;
                let sid = row.conversation_sid.parse().ok()?;
                if row.pair.is_none() && pair.is_some() {
                    // Remembered by a version that did not ask whose it is.
                    self.note_direct(name, sid, row.friendly_name.clone(), pair.cloned()).await;
                }
                Some(Known { sid, friendly_name: row.friendly_name })
            }
            Err(error) => {
                tracing::warn!(%error, "a direct conversation is looked up at Twilio");
                None
            }
        }
    }

    async fn remember_direct(&self, name: &str, conversation: &Conversation, pair: Option<Pair>) {
        self.note_direct(name, conversation.sid, conversation.friendly_name.clone(), pair).await;
    }

    async fn note_direct(
        &self,
        name: &str,
        sid: ConversationSid,
        friendly_name: Option<String>,
        pair: Option<Pair>,
    ) {
        let row = DirectConversation {
            conversation_sid: sid.to_string(),
            friendly_name,
            pair: pair.as_ref().map(Pair::to_row),
        };
        if let Err(error) = self.store.remember_direct(name, &row).await {
            tracing::warn!(%error, "a direct conversation is not remembered");
        }
        self.directs.pairs.insert(sid, pair.clone()).await;
        if let Some(Pair(a, b)) = pair {
            self.directs.partners.invalidate(&a).await;
            self.directs.partners.invalidate(&b).await;
        }
    }

    /// The two whose conversation this is, if it is a pair's as far as is known. No Twilio call.
    pub(super) async fn pair_of(&self, sid: ConversationSid) -> Option<Pair> {
        let look = async {
            match self.store.find_pair(&sid.to_string()).await {
                Ok(Some(row)) => Pair::parse(row),
                Ok(None) => self.pair_in_memory(sid).await,
                Err(error) => {
                    tracing::warn!(%error, "it is not known whose conversation one is");
                    self.pair_in_memory(sid).await
                }
            }
        };
        self.directs.pairs.get_with(sid, look).await
    }

    /// By its name and roster, for a conversation that the database does not know.
    async fn pair_in_memory(&self, sid: ConversationSid) -> Option<Pair> {
        let conversation = self.conversations.find(sid).await?;
        let roster = self.participants.find(sid).await?;
        pair_among(&conversation, &roster.people(LOOKED_AMONG))
    }

    /// Remembers that a conversation is `pair`'s, who both take part in it; not of a closed one, which is nobody's any more.
    pub(super) async fn note_pair(&self, conversation: &Conversation, pair: Pair) {
        if conversation.state != ConversationState::Closed {
            let name = unique_name([&pair.0, &pair.1].into_iter());
            self.note_direct(&name, conversation.sid, conversation.friendly_name.clone(), Some(pair)).await;
        }
    }

    /// Everybody with whom `identity` has a conversation of the two. No Twilio call.
    pub(super) async fn partners_of(&self, identity: &Identity) -> Result<Arc<Vec<Partner>>, Error> {
        let read = async {
            let rows = self.store.partners_of(identity.as_str()).await?;
            let parse = |(other, sid): (String, String)| {
                Some(Partner { identity: other.try_into().ok()?, conversation: sid.parse().ok()? })
            };
            Ok::<_, Error>(Arc::new(rows.into_iter().filter_map(parse).collect()))
        };
        let partners = self.directs.partners.try_get_with(identity.clone(), read).await;
        partners.map_err(|error| (*error).clone())
    }

    /// The conversation named `name` that is not closed (or a successor of closed ones), made as `wanted` if there is none,
    /// and whether it was made now. `people` are in it, or nothing is left.
    pub(super) async fn look_or_make(
        &self,
        name: &str,
        wanted: NewConversation,
        people: &[NewParticipant],
        creator: Option<Identity>,
    ) -> Result<(Arc<Conversation>, bool), Error> {
        let mut numbered = name.to_owned();
        for successor in 2..=SUCCESSORS_AT_MOST {
            let new = NewConversation { unique_name: Some(numbered.clone()), ..wanted.clone() };
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
    pub(super) async fn create_or_fetch(
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
    pub(super) async fn complete(
        &self,
        found: Conversation,
        people: &[NewParticipant],
    ) -> Result<Arc<Conversation>, Error> {
        let conversation = Arc::new(found);
        self.conversations.keep(Arc::clone(&conversation)).await;
        let roster = self.roster(conversation.sid).await?;
        let missing: Vec<_> =
            people.iter().filter(|p| roster.find(p.identity.as_str()).is_none()).cloned().collect();
        for participant in self.add_all(conversation.sid, &missing, Roles::None).await? {
            self.participant_added(Arc::new(participant)).await;
        }
        self.remember_people(&missing).await;
        Ok(conversation)
    }

    /// Takes in that a person left. A pair's conversation stays theirs unless it is one of the two who goes: whoever
    /// was brought in besides goes as they came.
    pub(super) async fn person_left_direct(&self, sid: ConversationSid, who: &str) {
        let pair = self.pair_of(sid).await;
        if pair.is_none_or(|pair| pair.is(who)) {
            self.forget_direct(sid).await;
        }
    }

    /// Forgets that this is anybody's direct conversation: it is gone or closed, or one of its people left it.
    pub(super) async fn forget_direct(&self, sid: ConversationSid) {
        self.forget_direct_in_memory(sid);
        let pair = self.pair_of(sid).await;
        self.directs.pairs.invalidate(&sid).await;
        if let Err(error) = self.store.forget_direct(&sid.to_string()).await {
            tracing::warn!(%error, "a direct conversation was not forgotten");
        }
        if let Some(Pair(a, b)) = pair {
            self.directs.partners.invalidate(&a).await;
            self.directs.partners.invalidate(&b).await;
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
