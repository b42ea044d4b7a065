//! Rooms, and telling them what happened: one encoding per event and dialect, one queue operation per socket.
//!
//! Called by core's one door, so events of one conversation come here one after the other, each once.

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::sync::Arc;

use super::{Hub, Outgoing, Session, Telling};
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

struct Member {
    session: Session,
    identity: Identity,
    /// What is kept while it catches up.
    kept: Mutex<Option<Vec<Arc<Outgoing>>>>,
}

impl Rooms {
    pub(super) fn add(&self, room: RoomKey, session: Session, identity: Identity, catching_up: bool) {
        let kept = Mutex::new(catching_up.then(Vec::new));
        self.rooms.entry(room).or_default().push(Member { session, identity, kept });
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
            .filter(|member| member.identity.as_str() == identity)
            .map(|member| member.session.clone())
            .collect()
    }
}

impl Member {
    fn tell(&self, outgoing: &Arc<Outgoing>) {
        if outgoing.except.as_ref() == Some(&self.identity) {
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

/// Tells every room of the event's conversation.
pub(super) fn tell(hub: &Arc<Hub>, event: &Event, at: DateTime<Utc>) {
    let conversation = event.conversation();
    let telling = Telling { at, links: hub.core.media_links() };
    let mut told = 0;
    for protocol in hub.protocols {
        let room = RoomKey { protocol: protocol.name, conversation };
        let Some(members) = hub.rooms.rooms.get(&room) else { continue };
        for outgoing in (protocol.outgoing)(event, &telling) {
            let outgoing = Arc::new(outgoing);
            for member in members.iter() {
                member.tell(&outgoing);
            }
            told += members.len();
        }
    }
    metrics::counter!("switchboard_events_told_total").increment(told as u64);
    evict(hub, event);
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
        | Event::ConversationAdded(_)
        | Event::ConversationUpdated { .. }
        | Event::ParticipantAdded(_)
        | Event::ReadHorizonMoved { .. }
        | Event::TypingChanged { .. }
        | Event::UserJoined { .. }
        | Event::UserLeft { .. }
        | Event::StatusChanged { .. } => return,
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
