//! Rooms, and telling them what happened: one encoding per event and dialect, one queue operation per socket.
//!
//! Called by core's one door, so events of one conversation come here one after the other, each once.

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;

use super::session::SIGNED_OUT;
use super::websocket::UNAUTHENTICATED;
use super::{Audience, Hub, Outgoing, Session, Telling, Transport};
use crate::auth::Identity;
use crate::core::{ConversationSid, Event, SocketId};

/// Events kept for a socket that catches up; more means that it never will.
const KEPT_AT_MOST: usize = 1_000;

/// The room of a conversation, as one protocol's clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RoomKey {
    pub(super) protocol: &'static str,
    pub(super) conversation: ConversationSid,
}

/// All rooms with somebody in them.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: DashMap<RoomKey, Vec<Member>>,
}

/// One session in a room.
pub(super) struct Member {
    session: Session,
    /// As whom it came; `None`: it only listens.
    identity: Option<Identity>,
    /// What is kept while it catches up.
    kept: Mutex<Option<Vec<Arc<Outgoing>>>>,
}

impl Rooms {
    pub(super) fn add(&self, room: RoomKey, member: Member) {
        self.rooms.entry(room).or_default().push(member);
    }

    /// Has a session that is in `room` there as `member`: in one step, so that it misses nothing.
    pub(super) fn replace(&self, room: RoomKey, member: Member) {
        let mut members = self.rooms.entry(room).or_default();
        match members.iter_mut().find(|already| already.session.id() == member.session.id()) {
            Some(already) => *already = member,
            None => members.push(member),
        }
    }

    pub(super) fn remove(&self, room: RoomKey, socket: SocketId) {
        if let Some(mut members) = self.rooms.get_mut(&room) {
            members.retain(|member| member.session.id() != socket);
        }
        self.rooms.remove_if(&room, |_, members| members.is_empty());
    }

    /// Tells `session` what was kept for it, but for messages up to `index`.
    pub(super) fn release(&self, room: RoomKey, session: &Session, index: i64) {
        let Some(members) = self.rooms.get(&room) else { return };
        let Some(member) = members.iter().find(|member| member.session.id() == session.id()) else { return };
        // Held while telling, so that what comes meanwhile comes after.
        let mut kept = member.kept.lock();
        for outgoing in kept.take().unwrap_or_default() {
            if outgoing.index.is_none_or(|place| place > index) {
                member.session.hear(&outgoing);
            }
        }
    }

    /// Empties `room`: nobody there hears that the others leave.
    fn close(&self, room: RoomKey) -> Vec<Session> {
        let members = self.rooms.remove(&room).map(|(_, members)| members).unwrap_or_default();
        members.into_iter().map(|member| member.session).collect()
    }

    /// The sessions in `room` that `identity` entered.
    fn sessions_of(&self, room: RoomKey, identity: &str) -> Vec<Session> {
        let Some(members) = self.rooms.get(&room) else { return Vec::new() };
        members
            .iter()
            .filter(|member| member.identity.as_ref().is_some_and(|own| own.as_str() == identity))
            .map(|member| member.session.clone())
            .collect()
    }
}

/// The sockets of people and of admins, whatever rooms they are in.
#[derive(Default)]
pub(super) struct Sockets {
    by_person: DashMap<Identity, Vec<Session>>,
    admins: RwLock<Vec<Session>>,
}

impl Sockets {
    /// Counts `session` for `identity`.
    pub(super) fn add(&self, identity: &Identity, session: Session) {
        self.by_person.entry(identity.clone()).or_default().push(session);
    }

    pub(super) fn remove(&self, identity: &Identity, socket: SocketId) {
        if let Some(mut sessions) = self.by_person.get_mut(identity) {
            sessions.retain(|session| session.id() != socket);
        }
        self.by_person.remove_if(identity, |_, sessions| sessions.is_empty());
    }

    /// `session` is an admin's.
    pub(super) fn add_admin(&self, session: Session) {
        let mut admins = self.admins.write();
        if !admins.iter().any(|admin| admin.id() == session.id()) {
            admins.push(session);
        }
    }

    /// `socket` is no admin's (any more).
    pub(super) fn remove_admin(&self, socket: SocketId) {
        self.admins.write().retain(|admin| admin.id() != socket);
    }

    /// The sockets of whoever goes by this name, of those that `are_theirs`: a guest may have chosen the name of a person.
    fn of(
        &self,
        identity: &Identity,
        transport: Transport,
        are_theirs: impl Fn(&Session) -> bool,
    ) -> Vec<Session> {
        let sessions = self.by_person.get(identity);
        let mut theirs = sessions.map(|sessions| over(&sessions, transport)).unwrap_or_default();
        theirs.retain(are_theirs);
        theirs
    }

    /// The sockets that a token of `identity` opened, also those of an admin who is there as somebody else.
    fn signed_in_as(&self, identity: &Identity) -> Vec<Session> {
        let bound = self.by_person.get(identity).map(|sessions| sessions.clone()).unwrap_or_default();
        let ids: Vec<_> = bound.iter().map(Session::id).collect();
        let admins = self.admins.read();
        let elsewhere = admins.iter().filter(|admin| !ids.contains(&admin.id())).cloned();
        bound.into_iter().chain(elsewhere).filter(|session| session.is_of(identity)).collect()
    }

    fn of_admins(&self, transport: Transport) -> Vec<Session> {
        over(&self.admins.read(), transport)
    }
}

fn over(sessions: &[Session], transport: Transport) -> Vec<Session> {
    sessions.iter().filter(|session| session.transport() == transport).cloned().collect()
}

impl Member {
    /// `session`, as whom it came; what it hears is kept while it catches up.
    pub(super) fn new(session: Session, identity: Option<Identity>, catching_up: bool) -> Self {
        Self { session, identity, kept: Mutex::new(catching_up.then(Vec::new)) }
    }

    fn tell(&self, outgoing: &Arc<Outgoing>) {
        if outgoing.except.is_some() && outgoing.except == self.identity {
            return;
        }
        let mut kept = self.kept.lock();
        match &mut *kept {
            None => self.session.hear(outgoing),
            Some(kept) if kept.len() < KEPT_AT_MOST => kept.push(Arc::clone(outgoing)),
            Some(_) => self.session.cut("it does not catch up"),
        }
    }
}

/// Tells whoever is to hear of `event`, in every dialect.
pub(super) fn tell(hub: &Arc<Hub>, event: &Event, at: DateTime<Utc>) {
    let telling = Telling { at, links: hub.core.media_links(), core: &hub.core };
    let mut told = 0;
    for protocol in hub.protocols {
        let room = event
            .conversation()
            .and_then(|conversation| hub.rooms.rooms.get(&RoomKey { protocol: protocol.name, conversation }));
        if room.is_none() && !(protocol.beyond_rooms)(event) {
            continue;
        }
        for outgoing in (protocol.outgoing)(event, &telling) {
            let outgoing = Arc::new(outgoing);
            let members = room.as_deref().map(Vec::as_slice).unwrap_or_default();
            told += match &outgoing.to {
                Audience::Room => {
                    members.iter().for_each(|member| member.tell(&outgoing));
                    members.len()
                }
                Audience::InRoom(identity) => {
                    let theirs = members.iter().filter(|member| member.identity.as_ref() == Some(identity));
                    theirs.map(|member| member.tell(&outgoing)).count()
                }
                Audience::Person(identity) => hear_all(
                    &hub.sockets.of(identity, protocol.transport, |session| !session.is_guest()),
                    &outgoing,
                ),
                Audience::Guest(identity) => {
                    hear_all(&hub.sockets.of(identity, protocol.transport, Session::is_guest), &outgoing)
                }
                Audience::Proven(identity) => {
                    hear_all(&hub.sockets.of(identity, protocol.transport, Session::is_proven), &outgoing)
                }
                Audience::Admins => hear_all(&hub.sockets.of_admins(protocol.transport), &outgoing),
            };
        }
    }
    metrics::counter!("switchboard_events_told_total").increment(told as u64);
    evict(hub, event);
}

fn hear_all(sessions: &[Session], outgoing: &Outgoing) -> usize {
    sessions.iter().for_each(|session| session.hear(outgoing));
    sessions.len()
}

/// Makes sockets leave what they may no longer hear. Aside, because leaving is told in turn after this event.
fn evict(hub: &Arc<Hub>, event: &Event) {
    let (conversation, identity) = match event {
        Event::ConversationRemoved { conversation } => (*conversation, None),
        Event::ParticipantRemoved(participant) if participant.identity.is_some() => {
            (participant.conversation_sid, participant.identity.clone())
        }
        Event::ParticipantRemoved(_)
        | Event::MessageAdded(_)
        | Event::MessageUpdated(_)
        | Event::MessageRemoved { .. }
        | Event::DeliveryUpdated { .. }
        | Event::ConversationAdded { .. }
        | Event::ConversationUpdated { .. }
        | Event::ParticipantAdded(_)
        | Event::ReadHorizonMoved { .. }
        | Event::TypingChanged { .. }
        | Event::UserJoined { .. }
        | Event::UserLeft { .. }
        | Event::StatusChanged { .. }
        | Event::PersonStatusChanged { .. }
        | Event::Support(_) => return,
        Event::SignedOut { identity } => return sign_out(hub, identity),
    };
    for protocol in hub.protocols {
        let room = RoomKey { protocol: protocol.name, conversation };
        let sessions = match &identity {
            Some(identity) => hub.rooms.sessions_of(room, identity),
            None => hub.rooms.close(room),
        };
        if !sessions.is_empty() {
            tokio::spawn(async move {
                for session in sessions {
                    session.leave(protocol.name, conversation);
                }
            });
        }
    }
}

/// Closes the sockets of whoever was signed out. Aside, for the same reason.
fn sign_out(hub: &Arc<Hub>, identity: &Identity) {
    let sessions = hub.sockets.signed_in_as(identity);
    tokio::spawn(async move {
        for session in sessions {
            session.close(UNAUTHENTICATED, SIGNED_OUT);
        }
    });
}
