//! Who is in a conversation: adding people, removing people and phones, and the membership check that all else calls.
//!
//! A conversation's roster is read from Twilio once (one call per 100 participants), kept true by our own writes and by
//! webhooks, and read again after [`FRESH_FOR`] where it decides who may see what. Sockets in a room are
//! `presence.rs`; phones are brought in by `phone_participants.rs`.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::changes::Changes;
use super::conversations::OURS;
use super::events::Seen;
use super::groups::GroupRole;
use super::superseded::Superseded;
use super::{ConversationSid, Core, Error, Event, Participant, ParticipantSid, look};
use crate::auth::{AuthError, Caller, Identity};
use crate::twilio;

/// How long a roster is kept when nobody asks for it.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How long a roster decides who may read and write without being read again.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// How long whoever has a socket in the room still counts as in the conversation while Twilio cannot be asked.
const STALE_FOR: Duration = Duration::from_secs(300);
/// How long "you are no participant" holds before Twilio is asked again.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// People of whom it is remembered which rosters they are in.
const PEOPLE_AT_MOST: u64 = 100_000;
/// Rosters kept.
const ROSTERS_AT_MOST: u64 = 20_000;
/// Times a roster is read again because it changed while being read.
const READS_AT_MOST: usize = 3;

/// Somebody to be added to a conversation.
#[derive(Debug, Clone)]
pub struct NewParticipant {
    /// Their chat identity.
    pub identity: Identity,
    /// What to call them.
    pub name: Option<String>,
    /// URL of a picture.
    pub image: Option<String>,
}

impl NewParticipant {
    /// What goes into the participant's attributes at Twilio.
    pub(super) fn attributes(&self, role: Option<GroupRole>) -> Option<String> {
        let mut attributes = serde_json::Map::new();
        if let Some(role) = role {
            attributes.insert("role".to_owned(), json!(role.as_str()));
        }
        for (key, value) in [("name", &self.name), ("image", &self.image)] {
            if let Some(value) = value {
                attributes.insert(key.to_owned(), json!(value));
            }
        }
        (!attributes.is_empty()).then(|| json!({ OURS: attributes }).to_string())
    }
}

/// A participant with what is known about them.
#[derive(Debug, Clone)]
pub struct Member {
    /// As Twilio has it.
    pub participant: Arc<Participant>,
    /// What to call them.
    pub name: Option<String>,
    /// URL of a picture.
    pub image: Option<String>,
    /// Whether a socket of theirs is connected here, or at Twilio as far as is known.
    pub online: bool,
}

impl Member {
    fn identity(&self) -> Option<Identity> {
        self.participant.identity.as_deref()?.try_into().ok()
    }
}

/// A participant as they were added.
fn as_added(participant: Arc<Participant>) -> Member {
    let attributes: Value = serde_json::from_str(&participant.attributes).unwrap_or_default();
    let told = |key: &str| attributes[OURS][key].as_str().map(str::to_owned);
    Member { name: told("name"), image: told("image"), online: false, participant }
}

/// The rosters of all conversations.
pub(super) struct Rosters {
    cache: Cache<ConversationSid, Arc<Roster>>,
    /// In which of the rosters somebody is or was.
    people: moka::sync::Cache<Identity, Arc<Mutex<HashSet<ConversationSid>>>>,
    /// By conversation: a roster that changed while it was read is read again.
    changes: Changes,
    superseded: Superseded,
}

/// A report was older than what is known.
pub(super) struct Outdated;

/// The participants of one conversation.
pub(super) struct Roster {
    state: Mutex<RosterState>,
    /// How old it is.
    read_at: Instant,
    /// Of when it is.
    as_of: DateTime<Utc>,
}

#[derive(Default)]
struct RosterState {
    people: HashMap<String, Arc<Participant>>,
    phones: HashMap<ParticipantSid, Arc<Participant>>,
}

impl RosterState {
    fn insert(&mut self, participant: Arc<Participant>) {
        match participant.identity.clone() {
            Some(identity) => self.people.insert(identity, participant),
            None => self.phones.insert(participant.sid, participant),
        };
    }
}

impl Roster {
    fn new(participants: impl IntoIterator<Item = Arc<Participant>>, as_of: DateTime<Utc>) -> Self {
        let mut state = RosterState::default();
        participants.into_iter().for_each(|participant| state.insert(participant));
        Self { state: Mutex::new(state), read_at: Instant::now(), as_of }
    }

    /// The participant with this identity.
    pub(super) fn find(&self, identity: &str) -> Option<Arc<Participant>> {
        self.state.lock().people.get(identity).cloned()
    }

    /// Whether a phone takes part.
    pub(super) fn has_phone(&self) -> bool {
        self.phones() > 0
    }

    /// How many phones take part.
    pub(super) fn phones(&self) -> usize {
        self.state.lock().phones.len()
    }

    /// The first people, at most so many.
    pub(super) fn people(&self, at_most: usize) -> Vec<Identity> {
        let all = self.all();
        let people = all.iter().filter_map(|participant| participant.identity.as_deref()?.try_into().ok());
        people.take(at_most).collect()
    }

    /// Everybody, in the order they came.
    pub(super) fn all(&self) -> Vec<Arc<Participant>> {
        let state = self.state.lock();
        let mut all: Vec<_> = state.people.values().chain(state.phones.values()).cloned().collect();
        drop(state);
        all.sort_by_key(|p| (p.date_created, p.sid));
        all
    }
}

impl Rosters {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::builder().max_capacity(ROSTERS_AT_MOST).time_to_idle(KEPT_FOR).build(),
            people: moka::sync::Cache::builder().max_capacity(PEOPLE_AT_MOST).time_to_idle(KEPT_FOR).build(),
            changes: Changes::new(),
            superseded: Superseded::new(),
        }
    }

    /// Takes in a participant that was added or changed, and gives what was known of them before; `Err` for a late report
    /// of an older state. Looking and replacing are one step, so of two reports of one change only one sees a difference.
    /// Read horizons only advance: of two within a second the dates do not say which is newer.
    pub(super) async fn take_in(
        &self,
        participant: &Arc<Participant>,
    ) -> Result<Option<Arc<Participant>>, Outdated> {
        self.changes.note(&participant.conversation_sid);
        self.remember(participant);
        let Some(roster) = self.cache.get(&participant.conversation_sid).await else { return Ok(None) };
        let mut state = roster.state.lock();
        let before = participant.identity.as_ref().and_then(|identity| state.people.get(identity)).cloned();
        let Some(before) = before else {
            state.insert(Arc::clone(participant));
            return Ok(None);
        };
        let is_earlier_stay = before.sid != participant.sid && before.date_created > participant.date_created;
        if before.date_updated > participant.date_updated || is_earlier_stay {
            return Err(Outdated);
        }
        let same_second = before.date_updated == participant.date_updated;
        if same_second && !is_alike(&before, participant) {
            self.superseded.note(&state_of(&before), &state_of(participant));
        }
        let read = before.last_read_message_index.filter(|_| before.sid == participant.sid);
        state.insert(if read > participant.last_read_message_index {
            Arc::new(Participant { last_read_message_index: read, ..(**participant).clone() })
        } else {
            Arc::clone(participant)
        });
        Ok(Some(before))
    }

    /// Whether `reported` has given way to another state of the same second.
    pub(super) fn is_superseded(&self, reported: &Participant) -> bool {
        self.superseded.contains(&state_of(reported))
    }

    /// Takes out a participant that was removed.
    pub(super) async fn take_out(&self, conversation: ConversationSid, participant: ParticipantSid) {
        self.changes.note(&conversation);
        if let Some(roster) = self.cache.get(&conversation).await {
            let mut state = roster.state.lock();
            state.phones.remove(&participant);
            state.people.retain(|_, known| known.sid != participant);
        }
    }

    /// The roster if it is in memory.
    pub(super) async fn find(&self, conversation: ConversationSid) -> Option<Arc<Roster>> {
        self.cache.get(&conversation).await
    }

    fn remember(&self, participant: &Participant) {
        let identity = participant.identity.as_deref().and_then(|identity| Identity::try_from(identity).ok());
        if let Some(identity) = identity {
            self.people.get_with(identity, Arc::default).lock().insert(participant.conversation_sid);
        }
    }

    /// The conversations in whose rosters in memory `identity` is.
    pub(super) async fn conversations_of(&self, identity: &Identity) -> Vec<ConversationSid> {
        let Some(known) = self.people.get(identity) else { return Vec::new() };
        let all: Vec<_> = known.lock().iter().copied().collect();
        let mut there = Vec::with_capacity(all.len());
        for conversation in all {
            let roster = self.cache.get(&conversation).await;
            if roster.is_some_and(|roster| roster.find(identity.as_str()).is_some()) {
                there.push(conversation);
            } else {
                known.lock().remove(&conversation);
            }
        }
        there
    }

    /// Starts the roster of a conversation that was made just `now` with these participants.
    pub(super) async fn begin(
        &self,
        conversation: ConversationSid,
        participants: Vec<Arc<Participant>>,
        now: DateTime<Utc>,
    ) {
        participants.iter().for_each(|participant| self.remember(participant));
        self.cache.insert(conversation, Arc::new(Roster::new(participants, now))).await;
    }

    /// Forgets a conversation.
    pub(super) async fn forget(&self, conversation: ConversationSid) {
        self.changes.note(&conversation);
        self.cache.invalidate(&conversation).await;
    }
}

impl Core {
    /// Who is in the conversation. One Twilio call when not in memory.
    pub(super) async fn roster(&self, conversation: ConversationSid) -> Result<Arc<Roster>, Error> {
        let read = async {
            let as_of = self.clock.now();
            for _ in 0..READS_AT_MOST {
                let before = self.participants.changes.seen(&conversation);
                let all = self.twilio.list_participants(conversation).await?;
                all.iter().for_each(|participant| self.participants.remember(participant));
                if self.participants.changes.seen(&conversation) == before {
                    return Ok(Arc::new(Roster::new(all.into_iter().map(Arc::new), as_of)));
                }
            }
            let all = self.twilio.list_participants(conversation).await?;
            Ok::<_, Error>(Arc::new(Roster::new(all.into_iter().map(Arc::new), as_of)))
        };
        self.conversations.ensure_not_unknown(conversation)?;
        let found = self.participants.cache.try_get_with(conversation, read).await;
        self.conversations.note_found(conversation, found.map_err(|error| (*error).clone()))
    }

    /// Refuses a caller who is not in the conversation. An anonymous caller (only where claimed identities are believed)
    /// and an admin pass. One Twilio call when what is known is too old to decide it.
    ///
    /// # Errors
    /// [`Error::NotAMember`], [`Error::ConversationNotFound`]; [`Error::Unavailable`] also where all that speaks for the
    /// caller is an old roster and Twilio does not answer, unless a socket of theirs is in the room.
    pub async fn ensure_member(&self, caller: &Caller, conversation: ConversationSid) -> Result<(), Error> {
        let Some(identity) = caller.identity().filter(|_| !caller.is_admin()) else { return Ok(()) };
        let roster = self.roster(conversation).await?;
        let is_in = |roster: &Roster| roster.find(identity.as_str()).map(drop).ok_or(Error::NotAMember);
        let (known, age) = (is_in(&roster), roster.read_at.elapsed());
        if age < if known.is_ok() { FRESH_FOR } else { REFUSED_FOR } {
            return known;
        }
        match self.roster_anew(conversation, roster).await {
            Ok(roster) => is_in(&roster),
            Err(Error::Unavailable { .. } | Error::Throttled { .. })
                if known.is_ok() && age < STALE_FOR && self.presence.is_in_room(conversation, identity) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The roster, read again; `known` stays what is known while Twilio does not answer. One Twilio call for all who ask
    /// at once.
    async fn roster_anew(
        &self,
        conversation: ConversationSid,
        known: Arc<Roster>,
    ) -> Result<Arc<Roster>, Error> {
        let rosters = &self.participants;
        let before = rosters.changes.seen(&conversation);
        if rosters.find(conversation).await.is_some_and(|now| Arc::ptr_eq(&now, &known)) {
            rosters.cache.invalidate(&conversation).await;
        }
        let read = self.roster(conversation).await;
        if let Ok(now) = &read {
            self.notice_absence(&known, now).await;
        }
        if matches!(read, Err(Error::Unavailable { .. } | Error::Throttled { .. })) {
            rosters.cache.entry(conversation).or_insert(known).await;
            if rosters.changes.seen(&conversation) != before {
                // What was reported meanwhile is not in it.
                rosters.cache.invalidate(&conversation).await;
            }
        }
        read
    }

    /// Takes in who is no participant any more though nobody reported it. One Twilio call when what is known is old.
    pub(super) async fn notice_who_is_gone(&self, conversation: ConversationSid) -> Result<(), Error> {
        let roster = self.roster(conversation).await?;
        if roster.read_at.elapsed() >= FRESH_FOR {
            self.roster_anew(conversation, roster).await?;
        }
        Ok(())
    }

    /// Takes in that people of `known` are not in it `now`: the report of their removal was lost, and their sockets would
    /// hear on. Not of those who came after `known` was read: Twilio's lists may lag behind.
    async fn notice_absence(&self, known: &Roster, now: &Roster) {
        for gone in known.all().into_iter().filter(|participant| participant.date_created <= known.as_of) {
            if gone.identity.as_deref().is_some_and(|identity| now.find(identity).is_none()) {
                self.participant_removed(&gone).await;
            }
        }
    }

    /// Everybody in the conversation, with names. A warm answer costs no Twilio call.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAMember`], [`Error::Unavailable`].
    pub async fn members(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
    ) -> Result<Vec<Member>, Error> {
        self.ensure_member(caller, conversation).await?;
        let mut members: Vec<_> = self.roster(conversation).await?.all().into_iter().map(as_added).collect();
        // Added by identity alone: perhaps it was said elsewhere what to call them.
        let nameless: Vec<_> =
            members.iter().filter(|member| member.name.is_none()).filter_map(Member::identity).collect();
        let profiles = self.profiles(&nameless).await.unwrap_or_default();
        for member in &mut members {
            let identity = member.identity();
            member.online = identity.as_ref().is_some_and(|identity| self.is_online(identity.as_str()));
            if member.name.is_none()
                && let Some(known) = identity.and_then(|identity| profiles.get(&identity))
            {
                member.name = known.nickname.as_deref().map(str::to_owned);
                member.image = member.image.take().or_else(|| known.avatar.as_deref().map(str::to_owned));
            }
        }
        Ok(members)
    }

    /// These participants, each by the name they go by in the directory, else as they were added. No Twilio call.
    pub(super) async fn members_of(&self, participants: &[Arc<Participant>]) -> Vec<Member> {
        let mut members: Vec<_> = participants.iter().cloned().map(as_added).collect();
        let identities: Vec<_> = members.iter().filter_map(Member::identity).collect();
        let profiles = self.profiles(&identities).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "people are called as they were added");
            HashMap::new()
        });
        for member in &mut members {
            let Some(identity) = member.identity() else { continue };
            member.online = self.is_online(identity.as_str());
            let known = profiles.get(&identity);
            let name = known.and_then(|known| known.nickname.as_deref()).map(str::to_owned);
            let image = known.and_then(|known| known.avatar.as_deref()).map(str::to_owned);
            member.name = name.or_else(|| member.name.take());
            member.image = image.or_else(|| member.image.take());
        }
        members
    }

    /// Adds a person; whoever is in already is given back as they are. One Twilio call.
    ///
    /// # Errors
    /// As [`Core::members`], and [`AuthError::Forbidden`] in a group for who is no admin of it and for a name that no user
    /// can have, [`Error::Blocked`], [`Error::ConversationClosed`], [`Error::LimitReached`].
    pub async fn add_participant(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        new: NewParticipant,
    ) -> Result<Arc<Participant>, Error> {
        self.ensure_member(caller, conversation).await?;
        if let Some(roster) = self.participants.find(conversation).await
            && let Some(already) = roster.find(new.identity.as_str())
        {
            return Ok(already);
        }
        self.ensure_may_manage(caller, conversation, None).await?;
        self.ensure_may_bring(caller, [&new.identity]).await?;
        self.ensure_none_blocked(caller, [&new.identity]).await?;
        let core = self.clone();
        self.to_the_end(async move {
            let participant = core.add_at_twilio(conversation, &new, None).await?;
            core.remember_people(std::slice::from_ref(&new)).await;
            Ok(core.participant_added(Arc::new(participant)).await)
        })
        .await
    }

    /// Adds a person at Twilio, and makes sure of it: an unclear answer is cleared up, "already there" is success.
    pub(super) async fn add_at_twilio(
        &self,
        conversation: ConversationSid,
        new: &NewParticipant,
        role: Option<GroupRole>,
    ) -> Result<Participant, Error> {
        let attributes = new.attributes(role);
        let identity = new.identity.as_str();
        let mut tries = 0;
        loop {
            tries += 1;
            let error =
                match self.twilio.add_chat_participant(conversation, identity, attributes.as_deref()).await {
                    Ok(participant) => return Ok(participant),
                    Err(error) => error,
                };
            // 20404 may be said of a participant who was added all the same (a person re-added at once), and after a
            // time-out nobody knows: look before judging.
            let unclear = error.is_already_participant()
                || error.is_not_found()
                || matches!(error, twilio::Error::Ambiguous(_) | twilio::Error::Undecodable(_));
            if !unclear {
                return Err(error.into());
            }
            match look(self.twilio.fetch_participant(conversation, identity)).await {
                Ok(participant) => return Ok(participant),
                Err(looked) if looked.is_not_found() && tries < 3 && !error.is_not_found() => {}
                Err(_) => return Err(error.into()),
            }
        }
    }

    /// Removes a person or, with their `MB…`, a phone. One Twilio call.
    ///
    /// # Errors
    /// [`Error::ParticipantNotFound`], [`AuthError::Forbidden`] in a group for who is no admin of it and would remove
    /// somebody else; else as [`Core::members`].
    pub async fn remove_participant(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        who: &str,
    ) -> Result<Arc<Participant>, Error> {
        self.ensure_member(caller, conversation).await?;
        let roster = self.roster(conversation).await?;
        let by_sid = who.parse::<ParticipantSid>().ok();
        let named = |p: &Arc<Participant>| p.identity.as_deref() == Some(who) || Some(p.sid) == by_sid;
        let participant = roster.all().into_iter().find(named).ok_or(Error::ParticipantNotFound)?;
        self.ensure_may_manage(caller, conversation, Some(&participant)).await?;
        let core = self.clone();
        self.to_the_end(async move {
            match core.twilio.remove_participant(conversation, participant.sid).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                Ok(()) | Err(_) => core.participant_removed(&participant).await,
            }
            if let Err(error) = core.appoint_heir(conversation).await {
                tracing::warn!(%error, conversation.sid = %conversation, "a group may be left without an admin");
            }
            Ok(participant)
        })
        .await
    }

    /// Takes in and tells that somebody was added, by us or by somebody else.
    pub(super) async fn participant_added(&self, participant: Arc<Participant>) -> Arc<Participant> {
        // A repeat is of an older state: it must not undo what was read since, nor bring back who was removed.
        if !self.door.has_seen(&Seen::ParticipantRemoved(participant.sid))
            && self.door.first(Seen::ParticipantAdded(participant.sid))
        {
            self.conversations.is_there(participant.conversation_sid);
            // Something newer may have been reported before the joining itself; then that stays.
            let _ = self.participants.take_in(&participant).await;
            self.list_participant_added(&participant).await;
            self.publish(&Event::ParticipantAdded(Arc::clone(&participant)));
        }
        participant
    }

    /// Takes in and tells that somebody was removed. Of somebody who is back already it is told to nobody: they would be taken
    /// for gone.
    pub(super) async fn participant_removed(&self, participant: &Arc<Participant>) {
        let conversation = participant.conversation_sid;
        self.participants.take_out(conversation, participant.sid).await;
        if let (Some(identity), Some(roster)) =
            (participant.identity.as_deref(), self.participants.find(conversation).await)
            && roster.find(identity).is_some()
        {
            self.door.first(Seen::ParticipantRemoved(participant.sid));
            return;
        }
        self.list_participant_removed(participant).await;
        if let Some(identity) = &participant.identity {
            self.person_left_direct(conversation, identity).await;
        }
        self.forget_phone_conversation_of(participant).await;
        if self.door.first(Seen::ParticipantRemoved(participant.sid)) {
            self.publish(&Event::ParticipantRemoved(Arc::clone(participant)));
        }
    }

    /// The participant `identity` is in the conversation.
    pub(super) async fn participant_of(
        &self,
        conversation: ConversationSid,
        identity: &Identity,
    ) -> Result<Arc<Participant>, Error> {
        self.roster(conversation).await?.find(identity.as_str()).ok_or(Error::NotAMember)
    }
}

/// What makes a state of a participant another one, but for how far they have read.
fn state_of(participant: &Participant) -> impl Hash {
    let Participant { sid, attributes, role_sid, date_updated, .. } = participant;
    (*sid, *date_updated, attributes, *role_sid)
}

fn is_alike(one: &Participant, other: &Participant) -> bool {
    one.sid == other.sid && one.attributes == other.attributes && one.role_sid == other.role_sid
}

/// Who may change what somebody else wrote: they themselves, an admin, and anybody where claimed identities are believed.
pub(super) fn ensure_author(caller: &Caller, author: &str) -> Result<(), Error> {
    match caller.identity() {
        Some(identity) if !caller.is_admin() && identity.as_str() != author => {
            Err(AuthError::Forbidden.into())
        }
        Some(_) | None => Ok(()),
    }
}
