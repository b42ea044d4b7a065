//! Presence: who is connected, and who is in which conversation's room, counting sockets.
//!
//! A person is online from their first socket until [`GRACE`] after their last. The open rooms of conversations they are in
//! are told that they came online, and the same rooms that they went offline: each once per transition. Leaving a
//! *room* does not wait. Whoever knows them (`acquaintances.rs`) hears of the same transitions, once. What Twilio knows of people on its own SDK is `people.rs`; sockets themselves are `realtime`'s.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use dashmap::{DashMap, Entry};
use tokio::sync::Semaphore;

use super::{ConversationSid, Core, Error, Event, Peer, Status};
use crate::auth::Identity;

/// How long somebody whose last socket dropped still counts as online.
const GRACE: Duration = Duration::from_secs(30);

/// Of how many people at once it is asked who knows them: after a restart everybody comes at once, and the database has
/// other things to do.
const ANNOUNCED_AT_ONCE: usize = 4;

/// One socket, as presence counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId(pub u64);

/// Somebody in the room of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineUser {
    /// Their chat identity.
    pub identity: Identity,
    /// What the app calls them, if it said so when they connected.
    pub user_id: Option<Arc<str>>,
    /// When they were last heard of.
    pub last_seen: DateTime<Utc>,
}

/// Who is connected, and where.
#[derive(Default)]
pub(super) struct Presence {
    people: DashMap<Identity, Person>,
    rooms: DashMap<ConversationSid, HashMap<Identity, RoomMember>>,
    /// Of whom it is being told how they are, by one task each; `true`: something changed since it looked.
    announced: DashMap<Identity, bool>,
    announcing: Announcing,
}

/// Lets announcements through in the order they came.
struct Announcing(Semaphore);

impl Default for Announcing {
    fn default() -> Self {
        Self(Semaphore::new(ANNOUNCED_AT_ONCE))
    }
}

struct Person {
    sockets: usize,
    /// Counts disconnections, so that a grace period that was interrupted ends nothing.
    drops: u64,
    user_id: Option<Arc<str>>,
    state: Arc<str>,
    last_seen: DateTime<Utc>,
    /// Conversations that were told of their being online.
    told: std::collections::HashSet<ConversationSid>,
    /// Whether those who know them were told so.
    announced: bool,
}

struct RoomMember {
    sockets: usize,
    /// The order of entering, for a stable list.
    since: DateTime<Utc>,
}

impl Person {
    fn status(&self, identity: &Identity) -> Status {
        Status {
            identity: identity.clone(),
            user_id: self.user_id.clone(),
            state: Arc::clone(&self.state),
            online: self.sockets > 0,
            last_seen: Some(self.last_seen),
        }
    }
}

impl Presence {
    /// Whether a socket of theirs is connected here, or was a moment ago.
    pub(super) fn is_online(&self, identity: &str) -> bool {
        Identity::try_from(identity).is_ok_and(|identity| self.people.contains_key(&identity))
    }

    /// Whether a socket of theirs is in the room of `conversation`.
    pub(super) fn is_in_room(&self, conversation: ConversationSid, identity: &Identity) -> bool {
        self.rooms.get(&conversation).is_some_and(|room| room.contains_key(identity))
    }

    /// The conversations in whose room somebody is, and since when.
    pub(super) fn open_rooms(&self) -> HashMap<ConversationSid, DateTime<Utc>> {
        let since = |room: &HashMap<Identity, RoomMember>| room.values().map(|member| member.since).min();
        self.rooms.iter().filter_map(|room| Some((*room.key(), since(room.value())?))).collect()
    }

    /// Everybody who is here.
    pub(super) fn everybody(&self) -> Vec<Identity> {
        self.people.iter().map(|person| person.key().clone()).collect()
    }
}

impl Core {
    /// How `identity` is, if they are here or were a moment ago.
    pub(super) fn status_of(&self, identity: &Identity) -> Option<Status> {
        self.presence.people.get(identity).map(|person| person.status(identity))
    }

    /// A socket of `identity` is there. `user_id`: what the app calls them.
    pub fn socket_connected(&self, identity: &Identity, user_id: Option<Arc<str>>) {
        let now = self.clock.now();
        let mut person = self.presence.people.entry(identity.clone()).or_insert_with(|| Person {
            sockets: 0,
            drops: 0,
            user_id: None,
            state: Arc::from("online"),
            last_seen: now,
            told: Default::default(),
            announced: false,
        });
        person.sockets += 1;
        person.last_seen = now;
        if user_id.is_some() {
            person.user_id = user_id;
        }
        let came_online = person.sockets == 1;
        let news = !std::mem::replace(&mut person.announced, true);
        drop(person);
        if news && self.people.at_twilio_since(identity).is_none() {
            self.announce(identity);
        }
        if came_online {
            let (core, identity) = (self.clone(), identity.clone());
            tokio::spawn(async move { core.came_online(&identity).await });
        }
    }

    /// Tells the open rooms of the conversations they are in, unless those know.
    async fn came_online(&self, identity: &Identity) {
        for conversation in self.participants.conversations_of(identity).await {
            if self.presence.rooms.contains_key(&conversation) {
                self.tell_online(conversation, identity);
            }
        }
    }

    fn tell_online(&self, conversation: ConversationSid, identity: &Identity) {
        let news = self.presence.people.get_mut(identity).and_then(|mut person| {
            (person.sockets > 0 && person.told.insert(conversation)).then(|| person.status(identity))
        });
        if let Some(status) = news {
            self.tell_status(conversation, status);
        }
    }

    /// A socket of `identity` is gone; it must have left its rooms before.
    pub fn socket_disconnected(&self, identity: &Identity) {
        let Some(mut person) = self.presence.people.get_mut(identity) else { return };
        person.sockets = person.sockets.saturating_sub(1);
        person.last_seen = self.clock.now();
        if person.sockets > 0 {
            return;
        }
        person.drops += 1;
        let drop_seen = person.drops;
        drop(person);
        let (core, identity) = (self.clone(), identity.clone());
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            core.went_offline(&identity, drop_seen).await;
        });
    }

    async fn went_offline(&self, identity: &Identity, drop_seen: u64) {
        let still_gone = |_: &Identity, person: &Person| person.sockets == 0 && person.drops == drop_seen;
        let Some((identity, mut person)) = self.presence.people.remove_if(identity, still_gone) else {
            return;
        };
        person.state = Arc::from("offline");
        for conversation in std::mem::take(&mut person.told) {
            // Back already, and told so, or still there on Twilio's SDK.
            if self.is_online(identity.as_str()) {
                break;
            }
            self.tell_status(conversation, person.status(&identity));
        }
        if let Err(error) = self.store.note_last_seen(identity.as_str(), person.last_seen.timestamp()).await {
            tracing::warn!(%error, "it is not remembered when somebody was last seen");
        }
        if !self.is_online(identity.as_str()) {
            self.announce(&identity);
        }
    }

    /// Tells those who know the person how they are by then: of several changes the last is told last.
    pub(super) fn announce(&self, identity: &Identity) {
        match self.presence.announced.entry(identity.clone()) {
            Entry::Occupied(mut changed) => {
                changed.insert(true);
                return;
            }
            Entry::Vacant(first) => drop(first.insert(false)),
        }
        let (core, identity) = (self.clone(), identity.clone());
        tokio::spawn(async move {
            loop {
                if let Some(mut changed) = core.presence.announced.get_mut(&identity) {
                    *changed = false;
                }
                if let Err(error) = core.tell_acquaintances(&identity).await {
                    tracing::warn!(%error, "nobody is told how somebody is");
                }
                // Looked at and ended in one step: a change either finds this task or begins the next.
                if core.presence.announced.remove_if(&identity, |_, changed| !*changed).is_some() {
                    break;
                }
            }
        });
    }

    async fn tell_acquaintances(&self, identity: &Identity) -> Result<(), Error> {
        let Ok(_in_turn) = self.presence.announcing.0.acquire().await else { return Ok(()) };
        let known_to = self.known_to(identity).await?;
        if !known_to.is_empty() {
            let Peer { identity, online, state, last_seen, .. } = self.peer(identity).await?;
            let status = Status { identity, user_id: None, state, online, last_seen };
            self.publish(&Event::PersonStatusChanged { status, known_to });
        }
        Ok(())
    }

    /// A socket of `identity` enters the room of `conversation`.
    pub fn enter_room(&self, conversation: ConversationSid, identity: &Identity) {
        let now = self.clock.now();
        let mut room = self.presence.rooms.entry(conversation).or_default();
        let member = room.entry(identity.clone()).or_insert(RoomMember { sockets: 0, since: now });
        member.sockets += 1;
        let (first, opened) = (member.sockets == 1, room.len() == 1);
        drop(room);
        if !first {
            return;
        }
        if opened {
            // Who else is in the conversation is worth knowing from now on: they may come online.
            let core = self.clone();
            tokio::spawn(async move { core.roster(conversation).await.map(drop) });
        }
        self.publish(&Event::UserJoined { conversation, identity: identity.clone() });
        self.heard_of(identity);
        self.tell_online(conversation, identity);
    }

    /// A socket of `identity` leaves the room of `conversation`.
    pub fn leave_room(&self, conversation: ConversationSid, identity: &Identity, socket: super::SocketId) {
        self.stop_typing_on(conversation, identity, socket);
        let Some(mut room) = self.presence.rooms.get_mut(&conversation) else { return };
        let Some(member) = room.get_mut(identity) else { return };
        member.sockets = member.sockets.saturating_sub(1);
        if member.sockets > 0 {
            return;
        }
        room.remove(identity);
        drop(room);
        self.presence.rooms.remove_if(&conversation, |_, room| room.is_empty());
        self.publish(&Event::UserLeft { conversation, identity: identity.clone() });
    }

    /// Who is in the room of `conversation`, in the order they came.
    #[must_use]
    pub fn online_users(&self, conversation: ConversationSid) -> Vec<OnlineUser> {
        let Some(room) = self.presence.rooms.get(&conversation) else { return Vec::new() };
        let mut users: Vec<_> =
            room.iter().map(|(identity, member)| (member.since, identity.clone())).collect();
        drop(room);
        users.sort();
        let describe = |(since, identity): (DateTime<Utc>, Identity)| {
            let person = self.presence.people.get(&identity);
            let (user_id, last_seen) = person.map_or((None, since), |p| (p.user_id.clone(), p.last_seen));
            OnlineUser { identity, user_id, last_seen }
        };
        users.into_iter().map(describe).collect()
    }

    /// `identity` was heard of: moves their last-seen time.
    pub fn heard_of(&self, identity: &Identity) {
        if let Some(mut person) = self.presence.people.get_mut(identity) {
            person.last_seen = self.clock.now();
        }
    }

    /// `identity` says how they are (`away`, `busy`, …); told to the conversations that know they are online.
    pub fn set_status(&self, identity: &Identity, state: &str) {
        let Some(mut person) = self.presence.people.get_mut(identity) else { return };
        if *person.state == *state {
            return;
        }
        person.state = Arc::from(state);
        person.last_seen = self.clock.now();
        let (status, told) = (person.status(identity), person.told.clone());
        drop(person);
        for conversation in told {
            self.tell_status(conversation, status.clone());
        }
        self.announce(identity);
    }

    /// Tells `status` in the conversations of rooms that are open here and that the person takes part in, as far as the
    /// rosters in memory say: for what Twilio reports of people who are not connected here.
    pub(super) async fn tell_status_where_shared(&self, status: Status) {
        for conversation in self.participants.conversations_of(&status.identity).await {
            if self.presence.rooms.contains_key(&conversation) {
                self.tell_status(conversation, status.clone());
            }
        }
    }

    fn tell_status(&self, conversation: ConversationSid, status: Status) {
        self.publish(&Event::StatusChanged { conversation, status });
    }
}
