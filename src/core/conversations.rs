//! Conversations themselves: create (all or nothing), fetch, rename, delete. Lists of them are `lists.rs`; the one
//! conversation of a pair is `direct.rs`.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use moka::future::Cache;
use moka::ops::compute::{CompResult, Op};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::or_not_found;
use super::events::Seen;
use super::groups::{GROUP_NAMES, Roles};
use super::participants::NewParticipant;
use super::superseded::Superseded;
use super::{
    Changed, Conversation, ConversationSid, ConversationState, Core, Error, Event, Member, Participant, look,
};
use crate::auth::{Caller, Identity};
use crate::twilio::{self, ConversationChanges, NewConversation};

/// Conversations kept in memory.
const CONVERSATIONS_AT_MOST: u64 = 100_000;
/// How long one serves without having been read anew: bounds what a lost webhook can hide.
const CONVERSATION_FOR: Duration = Duration::from_secs(600);
/// How long "there is no such conversation" holds before Twilio is asked again, and of how many ids it is remembered.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);
const UNKNOWN_AT_MOST: u64 = 10_000;
/// Participants added at once: well below Twilio's 30 actions a second on one conversation.
const ADDED_AT_ONCE: usize = 4;
/// Bytes of a conversation's attributes. Source: <https://www.twilio.com/docs/conversations/conversations-limits>
const ATTRIBUTES_BYTES: usize = 16 * 1024;

/// A group to be made.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// What to call it, at most 256 characters.
    pub friendly_name: String,
    /// Who is in it, nobody twice.
    pub participants: Vec<NewParticipant>,
}

/// A group that was made.
#[derive(Debug, Clone)]
pub struct CreatedGroup {
    /// As Twilio has it.
    pub conversation: Arc<Conversation>,
    /// Who is in it, their pictures as links.
    pub participants: Vec<NewParticipant>,
}

/// What to change about a conversation.
#[derive(Debug, Clone, Default)]
pub struct ConversationEdit {
    /// A new name, at most 256 characters.
    pub friendly_name: Option<String>,
    /// New attributes, in place of all but our own.
    pub attributes: Option<Map<String, Value>>,
}

/// The key under which our own attributes live at Twilio.
pub(super) const OURS: &str = "switchboard";

/// The conversations in memory.
pub(super) struct Conversations {
    cache: Cache<ConversationSid, Arc<Conversation>>,
    /// Ids that Twilio did not know a moment ago.
    unknown: moka::sync::Cache<ConversationSid, ()>,
    superseded: Superseded,
}

impl Conversations {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::builder()
                .max_capacity(CONVERSATIONS_AT_MOST)
                .time_to_live(CONVERSATION_FOR)
                .build(),
            unknown: moka::sync::Cache::builder()
                .max_capacity(UNKNOWN_AT_MOST)
                .time_to_live(UNKNOWN_FOR)
                .build(),
            superseded: Superseded::new(),
        }
    }

    /// Whether `reported` has given way to another state of the same second.
    pub(super) fn is_superseded(&self, reported: &Conversation) -> bool {
        self.superseded.contains(&state_of(reported))
    }

    /// Refuses an id that Twilio did not know a moment ago.
    pub(super) fn ensure_not_unknown(&self, sid: ConversationSid) -> Result<(), Error> {
        if self.unknown.contains_key(&sid) { Err(Error::ConversationNotFound) } else { Ok(()) }
    }

    /// Passes on what was `found` of a conversation, and remembers if there is none.
    pub(super) fn note_found<T>(&self, sid: ConversationSid, found: Result<T, Error>) -> Result<T, Error> {
        if matches!(found, Err(Error::ConversationNotFound)) {
            self.unknown.insert(sid, ());
        }
        found
    }

    /// There is one with this id.
    pub(super) fn is_there(&self, sid: ConversationSid) {
        self.unknown.invalidate(&sid);
    }

    /// Has it read anew by whoever asks next.
    pub(super) async fn forget(&self, sid: ConversationSid) {
        self.cache.invalidate(&sid).await;
    }

    pub(super) async fn find(&self, sid: ConversationSid) -> Option<Arc<Conversation>> {
        self.cache.get(&sid).await
    }

    pub(super) async fn keep(&self, conversation: Arc<Conversation>) {
        self.is_there(conversation.sid);
        self.cache.insert(conversation.sid, conversation).await;
    }
}

impl Core {
    /// The conversation. One Twilio call when not in memory.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::Unavailable`].
    pub async fn conversation(&self, sid: ConversationSid) -> Result<Arc<Conversation>, Error> {
        let fetch = async {
            let fetched = self.twilio.fetch_conversation(sid).await;
            fetched.map(Arc::new).map_err(or_not_found(Error::ConversationNotFound))
        };
        self.conversations.ensure_not_unknown(sid)?;
        let found = self.conversations.cache.try_get_with(sid, fetch).await;
        self.conversations.note_found(sid, found.map_err(|error| (*error).clone()))
    }

    /// Makes a group. All or nothing: when somebody cannot be added, the conversation is deleted again.
    ///
    /// Costs one Twilio call, one per participant, and one per picture that is no link.
    ///
    /// # Errors
    /// [`Error::Auth`] when `caller` may not, [`Error::Group`] for too many, [`Error::Blocked`], [`Error::LimitReached`], [`Error::Unavailable`]; nothing
    /// is left then.
    pub async fn create_group(&self, caller: &Caller, group: NewGroup) -> Result<CreatedGroup, Error> {
        ensure_own_conversation(caller, group.participants.iter().map(|p| &p.identity))?;
        self.ensure_room_for(group.participants.len())?;
        self.ensure_may_bring(caller, group.participants.iter().map(|p| &p.identity)).await?;
        self.ensure_none_blocked(caller, group.participants.iter().map(|p| &p.identity)).await?;
        let creator = caller.identity().cloned();
        let core = self.clone();
        self.to_the_end(async move { core.make_group(group, creator, None).await }).await
    }

    /// Makes a group with these attributes, all or nothing.
    pub(super) async fn make_group(
        &self,
        group: NewGroup,
        creator: Option<Identity>,
        attributes: Option<String>,
    ) -> Result<CreatedGroup, Error> {
        let participants = self.with_picture_links(group.participants, creator.as_ref()).await?;
        // Unique by a name nobody else can have: should the answer get lost, the conversation can be found.
        let unique_name = format!("{GROUP_NAMES}{}", Uuid::new_v4().simple());
        let new = NewConversation {
            friendly_name: Some(group.friendly_name),
            unique_name: Some(unique_name.clone()),
            attributes,
        };
        let created = match self.twilio.create_conversation(&new).await {
            Err(twilio::Error::Ambiguous(_)) => self.find_or_create(&unique_name, &new).await?,
            other => other?,
        };
        let conversation = self.fill(created, &participants, creator).await?;
        Ok(CreatedGroup { conversation, participants })
    }

    /// After an unclear answer: the conversation is there under its unique name, or is made now.
    async fn find_or_create(&self, unique_name: &str, new: &NewConversation) -> Result<Conversation, Error> {
        match look(self.twilio.fetch_conversation_by_unique_name(unique_name)).await {
            Ok(found) => Ok(found),
            Err(error) if error.is_not_found() => Ok(self.twilio.create_conversation(new).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds everybody to a conversation made just now and tells of it, or deletes it again.
    pub(super) async fn fill(
        &self,
        conversation: Conversation,
        participants: &[NewParticipant],
        creator: Option<Identity>,
    ) -> Result<Arc<Conversation>, Error> {
        let sid = conversation.sid;
        let roles = Roles::of_founders(&conversation, creator.as_ref());
        match self.add_all(sid, participants, roles).await {
            Ok(added) => Ok(self.conversation_created(conversation, participants, added, creator).await),
            Err(error) => {
                self.undo_creation(sid).await;
                Err(error)
            }
        }
    }

    /// Adds several people at Twilio, a few at a time; stops at the first who cannot be added.
    pub(super) async fn add_all(
        &self,
        conversation: ConversationSid,
        people: &[NewParticipant],
        roles: Roles<'_>,
    ) -> Result<Vec<Participant>, Error> {
        let adding: Vec<_> = people
            .iter()
            .map(|new| self.add_at_twilio(conversation, new, roles.role_of(&new.identity)))
            .collect();
        let mut adding = futures::stream::iter(adding).buffered(ADDED_AT_ONCE);
        let mut added = Vec::with_capacity(people.len());
        while let Some(participant) = adding.next().await {
            added.push(participant?);
        }
        Ok(added)
    }

    pub(super) async fn undo_creation(&self, sid: ConversationSid) {
        match self.twilio.delete_conversation(sid).await {
            Ok(()) => {
                tracing::info!(conversation.sid = %sid, "a conversation that could not be filled was deleted again");
                // Twilio may have reported it already, or does so yet.
                self.conversation_removed(sid).await;
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                tracing::error!(conversation.sid = %sid, %error, "a half-made conversation is left at Twilio: delete it by hand");
            }
        }
    }

    /// Takes in and tells of a conversation we made, known to the last detail: nothing of it needs to be read.
    async fn conversation_created(
        &self,
        conversation: Conversation,
        people: &[NewParticipant],
        participants: Vec<Participant>,
        creator: Option<Identity>,
    ) -> Arc<Conversation> {
        let conversation = Arc::new(conversation);
        self.conversations.keep(Arc::clone(&conversation)).await;
        self.history.begin(conversation.sid);
        self.note_empty(conversation.sid);
        let participants: Vec<_> = participants.into_iter().map(Arc::new).collect();
        self.participants.begin(conversation.sid, participants.clone(), self.clock.now()).await;
        self.remember_people(people).await;
        let members = self.members_of(&participants).await;
        self.conversation_added(Arc::clone(&conversation), members, creator).await;
        for participant in participants {
            self.participant_added(participant).await;
        }
        conversation
    }

    /// Tells of a conversation that is new, to us or to the world.
    pub(super) async fn conversation_added(
        &self,
        conversation: Arc<Conversation>,
        members: Vec<Member>,
        creator: Option<Identity>,
    ) {
        let is_new = self.door.first(Seen::ConversationAdded(conversation.sid));
        // Twilio's report often comes before our own people are in, and knows nobody: then it is told again, with them.
        if (is_new || !members.is_empty())
            && !self.door.has_seen(&Seen::ConversationRemoved(conversation.sid))
        {
            self.conversations.keep(Arc::clone(&conversation)).await;
            self.take_in_support(&conversation).await;
            self.lists.service_changed().await;
            self.publish(&Event::ConversationAdded { conversation, members, creator });
        }
    }

    /// Renames a conversation or changes its attributes. One Twilio call, two when attributes change and the conversation
    /// is not in memory.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAMember`], [`Error::Blocked`], [`Error::ConversationClosed`],
    /// [`Error::Invalid`], [`Error::Unavailable`].
    pub async fn edit_conversation(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        edit: ConversationEdit,
    ) -> Result<Arc<Conversation>, Error> {
        self.ensure_member(caller, sid).await?;
        self.ensure_may_rewrite(caller, None, sid).await?;
        let attributes = match edit.attributes {
            Some(mut attributes) => {
                attributes.remove(OURS);
                let now: Value =
                    serde_json::from_str(&self.conversation(sid).await?.attributes).unwrap_or_default();
                if let Some(ours) = now.get(OURS) {
                    attributes.insert(OURS.to_owned(), ours.clone());
                }
                let text = Value::Object(attributes).to_string();
                if text.len() > ATTRIBUTES_BYTES {
                    return Err(Error::invalid("attributes", "must be at most 16 KiB"));
                }
                Some(text)
            }
            None => None,
        };
        let changes =
            ConversationChanges { friendly_name: edit.friendly_name, attributes, ..Default::default() };
        let changed = self.twilio.update_conversation(sid, &changes).await?;
        Ok(self.conversation_changed(changed).await)
    }

    /// Takes in how a conversation is now; tells of it if that is news.
    pub(super) async fn conversation_changed(&self, now: Conversation) -> Arc<Conversation> {
        let now = Arc::new(now);
        self.conversations.is_there(now.sid);
        let mut changed = None;
        let entry = self.conversations.cache.entry(now.sid);
        // Compared, kept and told in one step: our own change and Twilio's report of it often come together, and only one
        // of them is news.
        let kept = entry.and_compute_with(|before| {
            changed = self.news_of(before.as_ref().map(moka::Entry::value), &now);
            if let Some(changed) = changed
                && changed.any()
            {
                self.publish(&Event::ConversationUpdated { conversation: Arc::clone(&now), changed });
            }
            std::future::ready(if changed.is_some() { Op::Put(Arc::clone(&now)) } else { Op::Nop })
        });
        let kept = match kept.await {
            CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) | CompResult::Unchanged(entry) => {
                entry.into_value()
            }
            CompResult::StillNone(_) | CompResult::Removed(_) => return now,
        };
        if now.state == ConversationState::Closed {
            self.forget_direct(now.sid).await;
            self.forget_phone_conversation(now.sid).await;
        }
        if changed.is_some_and(|changed| changed.friendly_name) {
            self.rename_direct(&now).await;
        }
        self.take_in_support(&kept).await;
        kept
    }

    /// What is new about `now`; `None` for a late report of an older state, or about a conversation that is gone.
    fn news_of(&self, before: Option<&Arc<Conversation>>, now: &Conversation) -> Option<Changed> {
        if self.door.has_seen(&Seen::ConversationRemoved(now.sid)) {
            return None;
        }
        let Some(before) = before else {
            return Some(Changed { friendly_name: true, attributes: true, state: true });
        };
        if before.date_updated > now.date_updated {
            return None;
        }
        let changed = Changed {
            friendly_name: before.friendly_name != now.friendly_name,
            attributes: before.attributes != now.attributes,
            state: before.state != now.state,
        };
        if changed.any() && before.date_updated == now.date_updated {
            self.conversations.superseded.note(&state_of(before), &state_of(now));
        }
        Some(changed)
    }

    /// Deletes a conversation for everybody. One Twilio call.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAMember`], [`Error::Auth`] in a group for who is no admin of it,
    /// [`Error::Unavailable`].
    pub async fn delete_conversation(&self, caller: &Caller, sid: ConversationSid) -> Result<(), Error> {
        self.ensure_may_manage(caller, sid, None).await?;
        let core = self.clone();
        self.to_the_end(async move {
            core.twilio.delete_conversation(sid).await.map_err(or_not_found(Error::ConversationNotFound))?;
            core.conversation_removed(sid).await;
            Ok(())
        })
        .await
    }

    /// Forgets a conversation everywhere, and tells that it is gone.
    pub(super) async fn conversation_removed(&self, sid: ConversationSid) {
        let roster = self.participants.find(sid).await;
        for participant in roster.map(|roster| roster.all()).unwrap_or_default() {
            self.list_participant_removed(&participant).await;
        }
        self.conversations.cache.invalidate(&sid).await;
        self.participants.forget(sid).await;
        self.history.forget(sid);
        self.forget_last_message(sid);
        self.forget_product(sid, None);
        self.lists.service_changed().await;
        self.forget_direct(sid).await;
        self.forget_phone_conversation(sid).await;
        self.forget_support(sid).await;
        if self.door.first(Seen::ConversationRemoved(sid)) {
            self.publish(&Event::ConversationRemoved { conversation: sid });
        }
    }
}

/// What makes a state of a conversation another one.
fn state_of(conversation: &Conversation) -> impl Hash {
    let Conversation { sid, friendly_name, attributes, state, date_updated, .. } = conversation;
    (*sid, *date_updated, friendly_name, attributes, *state)
}

/// A person makes conversations they are in themselves; an admin, and anybody where claimed identities are believed, makes
/// any.
pub(super) fn ensure_own_conversation<'a>(
    caller: &Caller,
    mut people: impl Iterator<Item = &'a Identity>,
) -> Result<(), Error> {
    match caller.identity() {
        Some(own) if !caller.is_admin() && !people.any(|identity| identity == own) => Err(Error::NotAMember),
        Some(_) | None => Ok(()),
    }
}
