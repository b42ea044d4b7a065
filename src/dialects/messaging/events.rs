//! The Socket.IO events. Clients send none: they hear of new conversations and groups of theirs, and of how people they
//! know are, on every socket of theirs that a token opened.

use serde_json::{Value, json};

use super::shapes::{YOU, status, timestamp};
use crate::auth::Identity;
use crate::core::{Conversation, ConversationKind, Event, Member};
use crate::realtime::{Audience, Handling, Incoming, Outgoing, Protocol, Session, Telling, Transport};

/// How this dialect speaks over Socket.IO.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "messaging",
    transport: Transport::SocketIo("/"),
    listens: &[],
    joins: &[],
    emits: &["conversation_created", "group_created", "user_status_update"],
    welcome: None,
    on_event,
    on_refused: |_, _, _| {},
    beyond_rooms,
    outgoing,
};

fn on_event(_: &Session, _: Incoming) -> Handling {
    Handling::Done
}

fn beyond_rooms(event: &Event) -> bool {
    matches!(event, Event::ConversationAdded { .. } | Event::PersonStatusChanged { .. })
}

/// What people hear of `event`.
fn outgoing(event: &Event, telling: &Telling<'_>) -> Vec<Outgoing> {
    match event {
        Event::ConversationAdded { conversation, members, creator } => {
            created(conversation, members, creator.as_ref())
        }
        Event::PersonStatusChanged { status: now, known_to } => {
            let payload = json!({
                "userId": now.identity,
                "isOnline": now.online,
                "status": status(now.online, &now.state),
                "lastSeen": timestamp(now.last_seen.unwrap_or(telling.at)),
            });
            to_each(known_to.iter(), "user_status_update", |_| payload.clone())
        }
        // The document has no events inside conversations.
        Event::MessageAdded(_)
        | Event::MessageUpdated(_)
        | Event::MessageRemoved { .. }
        | Event::DeliveryUpdated { .. }
        | Event::ConversationUpdated { .. }
        | Event::ConversationRemoved { .. }
        | Event::ParticipantAdded(_)
        | Event::ParticipantRemoved(_)
        | Event::ReadHorizonMoved { .. }
        | Event::TypingChanged { .. }
        | Event::UserJoined { .. }
        | Event::UserLeft { .. }
        | Event::StatusChanged { .. }
        | Event::SignedOut { .. }
        | Event::Support(_) => Vec::new(),
    }
}

/// `conversation_created` or `group_created`, to everybody who is in it from the start.
fn created(conversation: &Conversation, members: &[Member], creator: Option<&Identity>) -> Vec<Outgoing> {
    let mut people: Vec<(Identity, &Member)> = members
        .iter()
        .filter_map(|member| Some((member.participant.identity.as_deref()?.try_into().ok()?, member)))
        .collect();
    // Stable: the others stay in the order they came.
    people.sort_by_key(|(identity, _)| Some(identity) != creator);
    let identities = || people.iter().map(|(identity, _)| identity);
    let (sid, created_at) = (conversation.sid, timestamp(conversation.date_created));
    match ConversationKind::of(conversation, people.len()) {
        ConversationKind::Direct => to_each(identities(), "conversation_created", |reader| {
            let participant = |(identity, member): &(Identity, &Member)| {
                let name = member.name.as_deref().unwrap_or(identity.as_str());
                json!({ "id": identity, "nickname": if identity == reader { YOU } else { name } })
            };
            let participants: Vec<_> = people.iter().map(participant).collect();
            json!({ "id": sid, "type": "direct", "participants": participants, "createdAt": created_at })
        }),
        ConversationKind::Group => {
            let payload = json!({
                "id": sid,
                "name": conversation.friendly_name,
                "createdBy": creator,
                "members": identities().collect::<Vec<_>>(),
                "createdAt": created_at,
            });
            to_each(identities(), "group_created", |_| payload.clone())
        }
        ConversationKind::Other => Vec::new(),
    }
}

/// An event to every socket that each of these people opened with a token: nothing of this dialect is for others.
fn to_each<'a>(
    people: impl Iterator<Item = &'a Identity>,
    event: &'static str,
    payload: impl Fn(&Identity) -> Value,
) -> Vec<Outgoing> {
    people
        .filter_map(|reader| {
            Outgoing::new(event, &payload(reader)).map(|told| told.to(Audience::Proven(reader.clone())))
        })
        .collect()
}
