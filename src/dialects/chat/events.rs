//! The frames of the raw WebSocket: a connection begins, `chat_message` comes in, and what of the world's events is heard.
//!
//! A connection is in the room of one conversation. Where the address names none that exists, it is pending: its first
//! message to somebody finds or makes the conversation of the two. What fails is told in a frame of type `error`; what
//! cannot go on is closed with 4001 (who is it?), 4003 (not theirs) or 4004 (no such conversation).

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;

use super::shapes::{ChatMessage, MessageOut, Said, Sender, renamed};
use crate::auth::{AuthError, Identity};
use crate::core::{ConversationSid, Error, Event, Message, parse_id};
use crate::realtime::{
    Audience, Handling, Incoming, Outgoing, Protocol, RawProtocol, Session, Telling, Transport,
    UNAUTHENTICATED, Unknown,
};

/// How this dialect speaks over sockets.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "chat",
    transport: Transport::WebSocket,
    listens: &["chat_message"],
    joins: &[],
    emits: &["chat_message", "error", "token_expiring"],
    welcome: None,
    on_event,
    on_refused,
    beyond_rooms: |_| false,
    outgoing,
};

/// The same over raw WebSockets.
pub(super) static RAW: RawProtocol = RawProtocol {
    protocol: &PROTOCOL,
    on_open,
    on_unknown,
    room_within: Duration::from_secs(60),
    on_roomless: |session| fail(session, &Error::ConversationNotFound),
};

/// Who is written to, in frames.
const RECEIVER: &str = "receiverId";
/// Closes a connection to a conversation that is not its client's.
const NOT_YOURS: u16 = 4003;
/// Closes a connection to a conversation that does not exist.
const NO_CONVERSATION: u16 = 4004;
/// Closes a connection that cannot be served for now. Source: the registry of RFC 6455, 11.7.
const TRY_AGAIN: u16 = 1013;

/// What a client is told of a failure.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorFrame<'a> {
    error: &'a str,
    message: String,
    conversation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// What an error comes to: its name in frames, and how the connection ends, if it does.
fn consequence(error: &Error) -> (&'static str, Option<(u16, &'static str)>) {
    match error {
        Error::Invalid { field: RECEIVER, .. } => ("MISSING_RECEIVER_ID", None),
        Error::Invalid { .. }
        | Error::Unreadable(_)
        | Error::TooLarge
        | Error::UnsupportedMediaType
        | Error::OnlyYourself
        | Error::MessageNotFound
        | Error::MediaNotFound
        | Error::Group(_)
        | Error::PhoneNotAllowed
        | Error::KeyReused => ("INVALID_MESSAGE", None),
        Error::LimitReached(_) => ("LIMIT_REACHED", None),
        Error::ParticipantNotFound | Error::PersonNotFound => ("RECEIVER_NOT_FOUND", None),
        Error::Auth(AuthError::Missing | AuthError::Invalid) => {
            ("UNAUTHORIZED", Some((UNAUTHENTICATED, "a valid token is needed")))
        }
        Error::Auth(AuthError::IdentityMissing) => ("MISSING_SENDER_ID", None),
        Error::Auth(AuthError::NotYou | AuthError::Forbidden) => ("FORBIDDEN", None),
        Error::Blocked => ("BLOCKED", None),
        Error::NotAMember => ("NOT_A_PARTICIPANT", Some((NOT_YOURS, "not a participant"))),
        Error::NoSuchEndpoint | Error::ConversationNotFound => {
            ("CONVERSATION_NOT_FOUND", Some((NO_CONVERSATION, "no such conversation")))
        }
        Error::ConversationClosed | Error::PhoneBusy => ("CONVERSATION_CLOSED", None),
        Error::TooManyRequests { .. } | Error::TooManyPhones { .. } | Error::Throttled { .. } => {
            ("RATE_LIMITED", None)
        }
        Error::Auth(AuthError::Unavailable) | Error::Unavailable { .. } | Error::NotConfigured(_) => {
            ("UNAVAILABLE", None)
        }
        Error::UnknownOutcome => ("UNKNOWN_OUTCOME", None),
        Error::Internal => ("INTERNAL_ERROR", None),
    }
}

/// Tells the client what failed, and ends the connection if that is what follows.
fn fail(session: &Session, error: &Error) {
    let (name, end) = consequence(error);
    say(session, name, error.to_string(), error.retry_after_seconds());
    if let Some((code, reason)) = end {
        session.close(code, reason);
    }
}

fn say(session: &Session, error: &'static str, message: String, retry_after: Option<u64>) {
    let room = session.room(PROTOCOL.name).map(|conversation| conversation.to_string());
    let conversation_id = room.unwrap_or_else(|| session.opened_at().to_owned());
    session.emit("error", &ErrorFrame { error, message, conversation_id, retry_after });
}

fn on_open(session: Session, let_in: Result<(), Error>) -> BoxFuture<'static, ()> {
    async move {
        if let Err(error) = open(&session, let_in).await {
            fail(&session, &error);
            // If that was not the end: without a room there is nothing to hear.
            session.close(TRY_AGAIN, "please try again");
        }
    }
    .boxed()
}

/// Enters the room of the conversation that the address names; if there is none, the connection is pending.
async fn open(session: &Session, let_in: Result<(), Error>) -> Result<(), Error> {
    let_in?;
    let caller = session.caller()?;
    let Ok(conversation) = parse_id("conversationId", session.opened_at()) else { return Ok(()) };
    let core = session.core();
    match core.learn_pair(conversation).await {
        Err(Error::ConversationNotFound) => return Ok(()),
        known => drop(known?),
    }
    core.ensure_member(&caller, conversation).await?;
    match caller.identity() {
        Some(identity) => session.enter(PROTOCOL.name, conversation, identity, false)?,
        None => session.listen_in(PROTOCOL.name, conversation)?,
    }
    // Whoever was removed in between was not found in the room.
    core.ensure_member(&caller, conversation).await
}

fn on_unknown(session: &Session, unknown: Unknown) {
    match unknown {
        Unknown::NotAnObject => {
            say(session, "INVALID_JSON", "a frame must be a JSON object".to_owned(), None);
        }
        Unknown::NoSuchEvent => {
            say(session, "UNKNOWN_MESSAGE_TYPE", "type must be \"chat_message\"".to_owned(), None);
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of all protocols")]
fn on_refused(session: &Session, _incoming: Incoming, error: Error) {
    fail(session, &error);
}

/// `chat_message`, the only event there is.
#[expect(clippy::needless_pass_by_value, reason = "the signature of all protocols")]
fn on_event(session: &Session, incoming: Incoming) -> Handling {
    match incoming.parse::<ChatMessage>().and_then(|message| message.into_said(None)) {
        Ok(said) => {
            let session = session.clone();
            // A connection has one conversation, and which it is may depend on what was said before.
            let work = async move {
                if let Err(error) = chat_message(&session, said).await {
                    fail(&session, &error);
                }
            };
            Handling::InTurn(None, work.boxed())
        }
        // What that comes to depends on whether what was said before has a conversation by now.
        Err(error @ Error::Invalid { field: RECEIVER, .. }) => {
            let session = session.clone();
            let work = async move {
                let pending = session.room(PROTOCOL.name).is_none();
                fail(&session, if pending { &Error::ConversationNotFound } else { &error });
            };
            Handling::InTurn(None, work.boxed())
        }
        Err(error) => {
            fail(session, &error);
            Handling::Done
        }
    }
}

async fn chat_message(session: &Session, said: Said) -> Result<(), Error> {
    let (core, caller) = (session.core(), session.caller()?);
    let Said { sender, receiver, draft } = said;
    let sender = caller.acting_as(sender.as_ref())?;
    let conversation = match session.room(PROTOCOL.name) {
        Some(conversation) => {
            core.addressee(&caller, &sender, receiver.as_ref(), conversation).await?;
            conversation
        }
        None => {
            let receiver = receiver.ok_or(Error::ConversationNotFound)?;
            let made = core.direct_for(&caller, &sender, &receiver, &draft).await;
            made.map_err(renamed).map_err(without_receiver)?
        }
    };
    // An admin who speaks for somebody still listens as themselves.
    session.enter(PROTOCOL.name, conversation, caller.identity().unwrap_or(&sender), false)?;
    core.send_message(&caller, &sender, conversation, draft).await.map(drop).map_err(renamed)
}

/// A pending connection finds no conversation with somebody who cannot be written to.
fn without_receiver(error: Error) -> Error {
    let nobody = matches!(error, Error::OnlyYourself | Error::PersonNotFound);
    if nobody { Error::ConversationNotFound } else { error }
}

/// What the connections in the room of a conversation hear of `event`.
fn outgoing(event: &Event, telling: &Telling<'_>) -> Vec<Outgoing> {
    match event {
        Event::MessageAdded(message) => told(message, telling),
        Event::ParticipantRemoved(participant) => {
            let identity = participant.identity.as_deref().and_then(|identity| identity.try_into().ok());
            let ending = identity.and_then(|identity| {
                let ending = ending(participant.conversation_sid, &Error::NotAMember)?;
                Some(ending.to(Audience::InRoom(identity)))
            });
            ending.into_iter().collect()
        }
        Event::ConversationRemoved { conversation } => {
            ending(*conversation, &Error::ConversationNotFound).into_iter().collect()
        }
        // Not in this document.
        Event::MessageUpdated(_)
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
        | Event::SignedOut { .. }
        | Event::Support(_) => Vec::new(),
    }
}

/// A new message, for its author's own connections and for the others.
fn told(message: &Message, telling: &Telling<'_>) -> Vec<Outgoing> {
    let receiver = telling.other_of(message.conversation_sid, &message.author);
    let as_seen = |sender| {
        let message = MessageOut::of(message, Some(sender), receiver.clone(), telling.links);
        Outgoing::new("chat_message", &MessageFrame { message: &message })
    };
    let others = as_seen(Sender::Other).map(|told| told.at(message.index));
    let Ok(author) = Identity::try_from(message.author.as_str()) else { return others.into_iter().collect() };
    let own = as_seen(Sender::Me).map(|told| told.at(message.index).to(Audience::InRoom(author.clone())));
    others.map(|told| told.except(&author)).into_iter().chain(own).collect()
}

/// `chat_message`.
#[derive(Serialize)]
struct MessageFrame<'a> {
    message: &'a MessageOut,
}

/// The last that a connection hears.
fn ending(conversation: ConversationSid, error: &Error) -> Option<Outgoing> {
    let (name, end) = consequence(error);
    let frame = ErrorFrame {
        error: name,
        message: error.to_string(),
        conversation_id: conversation.to_string(),
        retry_after: None,
    };
    let told = Outgoing::new("error", &frame)?;
    Some(match end {
        Some((code, reason)) => told.then_close(code, reason),
        None => told,
    })
}
