//! The Socket.IO events, in the document's order: who connects, what clients send, and what of the world's events they hear.
//!
//! What fails is told to the socket that asked as `message:error`, and to its acknowledgement callback if it gave one. Order
//! and rooms are `realtime`'s.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::envelope::Error;
use super::shapes::{ConversationOut, Fields, MessageOut, warnings};
use crate::auth::{AuthError, Caller};
use crate::core::{self, ConversationSid, Core, Event, MediaLinks, Owner, Side, SupportEvent};
use crate::realtime::{
    Ack, Audience, Handling, Handshake, Incoming, Outgoing, Protocol, Session, Telling, Transport, Welcome,
};

/// How this dialect speaks over Socket.IO.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "support",
    transport: Transport::SocketIo("/support"),
    listens: &[
        "message:send",
        "typing:start",
        "typing:stop",
        "message:read",
        "conversation:join",
        "conversation:leave",
    ],
    joins: &["conversation:join"],
    emits: &[
        "connection:success",
        "message:received",
        "typing:start",
        "typing:stop",
        "message:read",
        "conversation:new_message",
        "conversation:joined",
        "conversation:left",
        "message:error",
        "conversation:updated",
        "conversation:unread_count_updated",
        "token_expiring",
    ],
    welcome: Some(Welcome { admit, greet }),
    on_event,
    on_refused,
    beyond_rooms: |event| matches!(event, Event::Support(_)),
    outgoing,
};

/// A token makes a user or an admin, anything else a guest; a token that does not hold is refused, unless the client says
/// that it is a guest too.
fn admit(core: Core, shown: Handshake) -> BoxFuture<'static, Result<Caller, core::Error>> {
    async move {
        let (guest_id, from) = (shown.guest_id.as_deref(), shown.from);
        match shown.proven {
            Ok(Some(caller)) => {
                core.adopt_guest(&caller, guest_id).await;
                Ok(caller)
            }
            Err(AuthError::Invalid) if guest_id.is_some() => {
                core.guest(from, guest_id).await.map(Caller::Guest)
            }
            Err(error) => Err(error.into()),
            Ok(None) => core.guest(from, guest_id).await.map(Caller::Guest),
        }
    }
    .boxed()
}

fn greet(session: &Session) {
    let Ok(caller) = session.caller() else { return };
    let hello = match &caller {
        Caller::Guest(guest) => json!({ "type": "guest", "guestId": guest }),
        _ if caller.is_admin() => json!({ "type": "admin", "adminId": caller.identity() }),
        Caller::Known { identity, .. } => json!({ "type": "user", "userId": identity }),
        Caller::Anonymous | Caller::Service => return,
    };
    session.emit("connection:success", &hello);
}

fn on_event(session: &Session, mut incoming: Incoming) -> Handling {
    let event = incoming.event;
    let ack = incoming.ack();
    let handling = incoming.parse::<Fields>().map_err(Error::from).and_then(|payload| match event {
        "message:send" => send(session, &payload),
        "typing:start" => typing(session, &payload, true),
        "typing:stop" => typing(session, &payload, false),
        "message:read" => read(session, &payload),
        "conversation:join" => join(session, &payload),
        _ => leave(session, &payload),
    });
    match handling {
        Ok((lane, work)) => {
            let session = session.clone();
            let work = async move {
                match work.await {
                    Ok(answer) => ack.send(&answer),
                    Err(error) => fail(&session, &error, ack),
                }
            };
            Handling::InTurn(lane, Box::pin(work))
        }
        Err(error) => {
            fail(session, &error, ack);
            Handling::Done
        }
    }
}

fn on_refused(session: &Session, mut incoming: Incoming, error: core::Error) {
    fail(session, &error.into(), incoming.ack());
}

/// What is to be done, in the turn of which conversation; what it gives goes to the acknowledgement callback.
type InTurn = (Option<ConversationSid>, BoxFuture<'static, Result<Value, Error>>);

/// Tells the socket that its event failed.
fn fail(session: &Session, error: &Error, ack: Ack) {
    let mut told = json!({ "error": error.message() });
    if let Some(seconds) = error.retry_after() {
        told["retryAfter"] = json!(seconds);
    }
    session.emit("message:error", &told);
    told["success"] = json!(false);
    ack.send(&told);
}

fn send(session: &Session, payload: &Fields) -> Result<InTurn, Error> {
    let (conversation, message) = (payload.conversation()?, payload.new_message()?);
    let session = session.clone();
    let work = async move {
        let caller = session.caller()?;
        let sent = session.core().send_support_message(&caller, conversation, message).await;
        let sent = sent.map_err(renamed)?;
        let mut answer =
            json!({ "success": true, "messageId": sent.sid.uuid(), "conversationId": conversation.uuid() });
        let warnings = warnings(&sent);
        if !warnings.is_empty() {
            answer["warnings"] = json!(warnings);
        }
        Ok(answer)
    };
    Ok((Some(conversation), work.boxed()))
}

/// `error` by this document's names of fields.
fn renamed(error: core::Error) -> core::Error {
    let core::Error::Invalid { field, problem } = error else { return error };
    core::Error::Invalid { field: if field == "body" { "message" } else { field }, problem }
}

fn typing(session: &Session, payload: &Fields, typing: bool) -> Result<InTurn, Error> {
    let conversation = payload.conversation()?;
    let session = session.clone();
    let work = async move {
        // Whoever is not in the room has nobody to tell.
        let Some(identity) = session.entered_as(PROTOCOL.name, conversation) else {
            return Err(core::Error::invalid("conversationId", "must be joined before typing in it").into());
        };
        if typing {
            session.core().start_typing(conversation, &identity, session.id());
        } else {
            session.core().stop_typing(conversation, &identity);
        }
        Ok(json!({ "success": true }))
    };
    Ok((Some(conversation), work.boxed()))
}

fn read(session: &Session, payload: &Fields) -> Result<InTurn, Error> {
    let message = payload.message_id()?;
    let session = session.clone();
    let work = async move {
        let entered = session.entered(PROTOCOL.name);
        let conversation = session.core().mark_support_read(&session.caller()?, &entered, message).await?;
        Ok(json!({ "success": true, "messageId": message.uuid(), "conversationId": conversation.uuid() }))
    };
    Ok((None, work.boxed()))
}

fn join(session: &Session, payload: &Fields) -> Result<InTurn, Error> {
    let sid = payload.conversation()?;
    let session = session.clone();
    let work = async move {
        let (core, caller) = (session.core(), session.caller()?);
        let (conversation, side) = core.support_for(&caller, sid).await?;
        let identity = core.support_identity(&caller, &conversation, side)?;
        if matches!(&caller, Caller::Guest(guest) if *guest != identity) {
            session.become_guest(&identity)?;
        }
        session.enter(PROTOCOL.name, sid, &identity, false)?;
        session.emit("conversation:joined", &json!({ "conversationId": sid.uuid() }));
        core.assign_support(&caller, &conversation).await;
        Ok(json!({ "success": true, "conversationId": sid.uuid() }))
    };
    Ok((Some(sid), work.boxed()))
}

fn leave(session: &Session, payload: &Fields) -> Result<InTurn, Error> {
    let conversation = payload.conversation()?;
    let session = session.clone();
    let work = async move {
        session.leave(PROTOCOL.name, conversation);
        session.emit("conversation:left", &json!({ "conversationId": conversation.uuid() }));
        Ok(json!({ "success": true, "conversationId": conversation.uuid() }))
    };
    Ok((Some(conversation), work.boxed()))
}

/// Who hears what of `event`.
fn outgoing(event: &Event, telling: &Telling<'_>) -> Vec<Outgoing> {
    match event {
        Event::Support(event) => of_support(event, telling.links),
        Event::TypingChanged { conversation, identity, typing } => {
            let name = if *typing { "typing:start" } else { "typing:stop" };
            let told =
                Outgoing::new(name, &json!({ "conversationId": conversation.uuid(), "senderId": identity }));
            told.map(|told| told.except(identity)).into_iter().collect()
        }
        // Messages of support are told as such; the rest has no place in this document.
        Event::MessageAdded(_)
        | Event::MessageUpdated(_)
        | Event::MessageRemoved { .. }
        | Event::DeliveryUpdated { .. }
        | Event::ConversationAdded { .. }
        | Event::ConversationUpdated { .. }
        | Event::ConversationRemoved { .. }
        | Event::ParticipantAdded(_)
        | Event::ParticipantRemoved(_)
        | Event::ReadHorizonMoved { .. }
        | Event::UserJoined { .. }
        | Event::UserLeft { .. }
        | Event::StatusChanged { .. }
        | Event::PersonStatusChanged { .. }
        | Event::SignedOut { .. } => Vec::new(),
    }
}

fn of_support(event: &SupportEvent, links: &MediaLinks) -> Vec<Outgoing> {
    let told = match event {
        SupportEvent::MessageAdded { conversation, message } => {
            // Nobody can have read what was written this moment.
            let shown = json!(MessageOut::of(conversation, message, None, links));
            let wrapped = json!({ "conversationId": conversation.sid.uuid(), "message": &shown });
            vec![
                Outgoing::new("message:received", &shown).map(|told| told.at(message.index)),
                Outgoing::new("conversation:new_message", &wrapped).map(|told| told.to(Audience::Admins)),
            ]
        }
        SupportEvent::MessageRead { message, .. } => {
            vec![Outgoing::new("message:read", &json!({ "messageId": message.uuid() }))]
        }
        SupportEvent::Changed { conversation, last_message_at } => {
            let shown = ConversationOut::of(conversation, *last_message_at);
            let tell = |to| Outgoing::new("conversation:updated", &shown).map(|told| told.to(to));
            vec![tell(sockets_of(&conversation.owner())), tell(Audience::Admins)]
        }
        SupportEvent::UnreadChanged { conversation, side, unread } => {
            let to = match side {
                Side::Owner => sockets_of(&conversation.owner()),
                Side::Admin => Audience::Admins,
            };
            let payload = json!({ "conversationId": conversation.sid.uuid(), "unreadCount": unread });
            vec![Outgoing::new("conversation:unread_count_updated", &payload).map(|told| told.to(to))]
        }
        SupportEvent::CodeIssued(issued) => {
            let Some(owner) = &issued.owner else { return Vec::new() };
            let to = sockets_of(owner);
            vec![Outgoing::new("message:received", &MessageOut::from(issued)).map(|told| told.to(to))]
        }
    };
    told.into_iter().flatten().collect()
}

fn sockets_of(owner: &Owner) -> Audience {
    match owner {
        Owner::User(user) => Audience::Person(user.clone()),
        Owner::Guest(guest) => Audience::Guest(guest.clone()),
    }
}
