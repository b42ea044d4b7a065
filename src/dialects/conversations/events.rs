//! The Socket.IO events, in the document's order: what clients send, and what of the world's events they hear.
//!
//! What fails is told to the socket that asked, in the event's own failure form or as `message_error`, and to its
//! acknowledgement callback if it gave one. Order and rooms are `realtime`'s.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::envelope::Error;
use super::shapes::{
    IdIn, MessageOut, OnlineUserOut, SendMessage, optional, phone_number, required, state, theirs, timestamp,
    warnings,
};
use crate::auth::Identity;
use crate::core::{self, ConversationSid, DeliveryStatus, Event, MediaLinks, Message, Participant, parse_id};
use crate::realtime::{Ack, Handling, Incoming, Outgoing, Protocol, Session, Telling, Transport};

/// How this dialect speaks over Socket.IO.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "conversations",
    transport: Transport::SocketIo("/"),
    listens: &[
        "user_connect",
        "join_conversation",
        "leave_conversation",
        "send_message",
        "typing_start",
        "typing_stop",
        "get_online_users",
        "ping",
        "set_status",
    ],
    joins: &["join_conversation"],
    emits: &[
        "user_connected",
        "joined_conversation",
        "conversation_users",
        "user_joined",
        "user_left",
        "new_message",
        "message_sent",
        "message_error",
        "user_typing",
        "online_users",
        "conversation_updated",
        "user_status_changed",
        "pong",
        "message_read",
        "message_status",
        "message_updated",
        "message_deleted",
        "token_expiring",
    ],
    welcome: None,
    on_event,
    on_refused,
    beyond_rooms: |_| false,
    outgoing,
};

/// Characters of a status a person sets.
const STATUS_CHARACTERS: usize = 64;

fn on_event(session: &Session, mut incoming: Incoming) -> Handling {
    let event = incoming.event;
    let ack = incoming.ack();
    let handling = match event {
        "user_connect" => user_connect(session, &incoming),
        "join_conversation" => join_conversation(session, &incoming),
        "leave_conversation" => leave_conversation(session, &incoming),
        "send_message" => send_message(session, &incoming),
        "typing_start" => typing(session, &incoming, true),
        "typing_stop" => typing(session, &incoming, false),
        "get_online_users" => get_online_users(session, &incoming),
        "set_status" => set_status(session, &incoming),
        _ => ping(session),
    };
    match handling {
        Ok(To::Answer(answer)) => {
            ack.send(&answer);
            Handling::Done
        }
        Ok(To::InTurn(conversation, work)) => {
            let session = session.clone();
            let work = async move {
                match work.await {
                    Ok(answer) => ack.send(&answer),
                    Err(error) => fail(&session, event, conversation, &error, ack),
                }
            };
            Handling::InTurn(conversation, Box::pin(work))
        }
        Err(error) => {
            fail(session, event, named_conversation(&incoming), &error, ack);
            Handling::Done
        }
    }
}

fn on_refused(session: &Session, mut incoming: Incoming, error: core::Error) {
    let (event, ack) = (incoming.event, incoming.ack());
    fail(session, event, named_conversation(&incoming), &error.into(), ack);
}

/// What an event comes to: its answer, or the work that gives it. The answer goes to the acknowledgement callback.
enum To {
    Answer(Value),
    InTurn(Option<ConversationSid>, Work),
}

type Work = futures::future::BoxFuture<'static, Result<Value, Error>>;

/// Tells the socket that its event failed.
fn fail(session: &Session, event: &str, conversation: Option<ConversationSid>, error: &Error, ack: Ack) {
    let message = error.message();
    let conversation = conversation.map(|sid| sid.to_string());
    let (form, mut answer) = match event {
        "user_connect" => ("user_connected", json!({ "success": false, "message": message })),
        "join_conversation" => {
            let answer = json!({ "success": false, "conversationSid": conversation, "message": message });
            ("joined_conversation", answer)
        }
        _ => {
            let mut answer = json!({ "success": false, "error": message, "conversationSid": conversation });
            if event != "send_message" {
                answer["event"] = json!(event);
            }
            ("message_error", answer)
        }
    };
    if let Some(seconds) = error.retry_after() {
        answer["retryAfter"] = json!(seconds);
    }
    session.emit(form, &answer);
    ack.send(&answer);
}

/// The conversation a payload names, however wrong the rest of it is.
fn named_conversation(incoming: &Incoming) -> Option<ConversationSid> {
    let payload: Value = incoming.parse().ok()?;
    parse_id("conversationSid", payload.get("conversationSid")?.as_str()?).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserConnect {
    user_id: Option<IdIn>,
    identity: Option<IdIn>,
    token: Option<String>,
}

fn user_connect(session: &Session, incoming: &Incoming) -> Result<To, Error> {
    let payload: UserConnect = incoming.parse()?;
    let user_id = optional("userId", payload.user_id.as_ref())?;
    let identity = optional("identity", payload.identity.as_ref())?.or_else(|| user_id.clone());
    let Some(token) = payload.token else {
        return connect(session, identity.as_ref(), user_id.as_ref()).map(To::Answer);
    };
    let session = session.clone();
    let work = async move {
        session.authenticate(&token, [identity.as_ref(), user_id.as_ref()]).await?;
        connect(&session, identity.as_ref(), user_id.as_ref())
    };
    Ok(To::InTurn(None, Box::pin(work)))
}

fn connect(
    session: &Session,
    identity: Option<&Identity>,
    user_id: Option<&Identity>,
) -> Result<Value, Error> {
    let caller = session.caller()?;
    let identity = caller.acting_as(identity)?;
    if !caller.is_anonymous() {
        // The token says who it is; the app's own id for the same person must not say something else.
        caller.acting_as(user_id.or(Some(&identity)))?;
    }
    let user_id: Arc<str> = user_id.unwrap_or(&identity).as_str().into();
    session.bind(&identity, Some(Arc::clone(&user_id)))?;
    let answer = json!({
        "success": true,
        "message": "Connected to chat server",
        "userId": user_id,
        "identity": identity,
    });
    session.emit("user_connected", &answer);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InConversation {
    conversation_sid: Option<String>,
    identity: Option<IdIn>,
    since_index: Option<i64>,
}

impl InConversation {
    fn conversation(&self) -> Result<ConversationSid, core::Error> {
        let sid = self.conversation_sid.as_deref();
        parse_id("conversationSid", sid.ok_or_else(|| core::Error::invalid("conversationSid", "is missing"))?)
    }

    /// Who acts: as claimed, else whom the socket is counted for.
    fn identity(&self, session: &Session) -> Result<Identity, core::Error> {
        let claimed = optional("identity", self.identity.as_ref())?.or_else(|| session.bound());
        Ok(session.caller()?.acting_as(claimed.as_ref())?)
    }
}

fn join_conversation(session: &Session, incoming: &Incoming) -> Result<To, Error> {
    let payload: InConversation = incoming.parse()?;
    let conversation = payload.conversation()?;
    let identity = payload.identity(session)?;
    let session = session.clone();
    Ok(To::InTurn(Some(conversation), Box::pin(join(session, conversation, identity, payload.since_index))))
}

async fn join(
    session: Session,
    conversation: ConversationSid,
    identity: Identity,
    since: Option<i64>,
) -> Result<Value, Error> {
    let caller = session.caller()?;
    let core = session.core();
    core.conversation(conversation).await?;
    core.ensure_member(&caller, conversation).await?;
    session.enter(PROTOCOL.name, conversation, &identity, since.is_some())?;
    // Whoever was removed in between was not found in the room.
    if let Err(error) = core.ensure_member(&caller, conversation).await {
        session.leave(PROTOCOL.name, conversation);
        return Err(error.into());
    }
    let mut answer = json!({
        "success": true,
        "conversationSid": conversation,
        "message": format!("Joined conversation {conversation}"),
    });
    let mut caught_up = since.unwrap_or(-1);
    if let Some(since) = since {
        match core.messages_since(&caller, conversation, since).await {
            Ok((missed, all)) => {
                // Beyond the window there is no telling what was missed: the history is to be read anew.
                for message in missed.iter().filter(|_| all) {
                    session.emit("new_message", &NewMessage::of(message, core.media_links(), true));
                    caught_up = message.index;
                }
                answer["recovered"] = json!(all);
                answer["missed"] = json!(if all { missed.len() } else { 0 });
                answer["lastIndex"] = json!(missed.last().map_or(since, |message| message.index));
            }
            Err(error) => {
                session.leave(PROTOCOL.name, conversation);
                return Err(error.into());
            }
        }
    }
    session.emit("joined_conversation", &answer);
    let users: Vec<OnlineUserOut> = core.online_users(conversation).into_iter().map(Into::into).collect();
    session.emit("conversation_users", &json!({ "conversationSid": conversation, "onlineUsers": users }));
    if since.is_some() {
        session.caught_up(PROTOCOL.name, conversation, caught_up);
    }
    Ok(answer)
}

fn leave_conversation(session: &Session, incoming: &Incoming) -> Result<To, Error> {
    let payload: InConversation = incoming.parse()?;
    let conversation = payload.conversation()?;
    payload.identity(session)?;
    let session = session.clone();
    Ok(To::InTurn(
        Some(conversation),
        Box::pin(async move {
            session.leave(PROTOCOL.name, conversation);
            Ok(json!({ "success": true, "conversationSid": conversation }))
        }),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addressed {
    conversation_sid: Option<String>,
}

fn send_message(session: &Session, incoming: &Incoming) -> Result<To, Error> {
    let sid = incoming.parse::<Addressed>()?.conversation_sid;
    let sid = sid.ok_or_else(|| core::Error::invalid("conversationSid", "is missing"))?;
    let conversation = parse_id("conversationSid", &sid)?;
    // Read apart from the address: flattened into one struct, a mistake could not be located.
    let message: SendMessage = incoming.parse()?;
    let (author, draft) = message.into_draft(None)?;
    let session = session.clone();
    Ok(To::InTurn(
        Some(conversation),
        Box::pin(async move {
            let message =
                session.core().send_message(&session.caller()?, &author, conversation, draft).await?;
            let mut answer = json!({
                "success": true,
                "messageSid": message.sid,
                "conversationSid": conversation,
                "index": message.index,
            });
            if let Some(id) = core::Extras::of(&message).client_message_id {
                answer["clientMessageId"] = json!(id);
            }
            let warnings = warnings(&message);
            if !warnings.is_empty() {
                answer["warnings"] = json!(warnings);
            }
            session.emit("message_sent", &answer);
            Ok(answer)
        }),
    ))
}

fn typing(session: &Session, incoming: &Incoming, typing: bool) -> Result<To, Error> {
    let payload: InConversation = incoming.parse()?;
    let conversation = payload.conversation()?;
    let identity = payload.identity(session)?;
    let session = session.clone();
    Ok(To::InTurn(
        Some(conversation),
        Box::pin(async move {
            // Whoever is not in the room has nobody to tell.
            let entered_as = session.entered_as(PROTOCOL.name, conversation);
            if entered_as.as_ref() != Some(&identity) {
                return Err(
                    core::Error::invalid("conversationSid", "must be joined before typing in it").into()
                );
            }
            if typing {
                session.core().start_typing(conversation, &identity, session.id());
            } else {
                session.core().stop_typing(conversation, &identity);
            }
            Ok(json!({ "success": true }))
        }),
    ))
}

fn get_online_users(session: &Session, incoming: &Incoming) -> Result<To, Error> {
    let payload: InConversation = incoming.parse()?;
    let conversation = payload.conversation()?;
    let session = session.clone();
    Ok(To::InTurn(
        Some(conversation),
        Box::pin(async move {
            let core = session.core();
            core.ensure_member(&session.caller()?, conversation).await?;
            if !session.entered(PROTOCOL.name).contains(&conversation) {
                let problem = "must be joined before asking who is there";
                return Err(core::Error::invalid("conversationSid", problem).into());
            }
            let users: Vec<OnlineUserOut> =
                core.online_users(conversation).into_iter().map(Into::into).collect();
            let answer = json!({ "conversationSid": conversation, "users": users });
            session.emit("online_users", &answer);
            Ok(answer)
        }),
    ))
}

fn ping(session: &Session) -> Result<To, Error> {
    let answer = json!({ "timestamp": timestamp(session.now()) });
    session.emit("pong", &answer);
    Ok(To::Answer(answer))
}

#[derive(Deserialize)]
struct SetStatus {
    status: Option<String>,
}

fn set_status(session: &Session, incoming: &Incoming) -> Result<To, Error> {
    let payload: SetStatus = incoming.parse()?;
    let status = payload.status.filter(|status| !status.trim().is_empty());
    let status = status.ok_or_else(|| core::Error::invalid("status", "is missing"))?;
    if status.chars().count() > STATUS_CHARACTERS || status.chars().any(char::is_control) {
        return Err(core::Error::invalid("status", "must be at most 64 characters").into());
    }
    let identity = required("identity", None).or_else(|_| {
        session
            .bound()
            .ok_or_else(|| core::Error::invalid("identity", "is not known: send user_connect first"))
    })?;
    session.core().set_status(&identity, &status);
    Ok(To::Answer(json!({ "success": true, "status": status })))
}

/// What the room of a conversation hears of `event`.
fn outgoing(event: &Event, telling: &Telling<'_>) -> Vec<Outgoing> {
    // This document knows of nothing outside conversations.
    let Some(sid) = event.conversation() else { return Vec::new() };
    let now = timestamp(telling.at);
    let told = match event {
        Event::MessageAdded(message) => {
            Outgoing::new("new_message", &NewMessage::of(message, telling.links, false))
                .map(|told| told.at(message.index))
        }
        Event::MessageUpdated(message) => {
            let shown = MessageOut::of(message, telling.links);
            Outgoing::new(
                "message_updated",
                &json!({ "conversationSid": sid, "message": shown, "timestamp": now }),
            )
        }
        Event::MessageRemoved { message, index, .. } => Outgoing::new(
            "message_deleted",
            &json!({ "conversationSid": sid, "messageSid": message, "index": index, "timestamp": now }),
        ),
        Event::DeliveryUpdated { message, participant, status, error_code, summary, .. } => {
            let mut told = json!({
                "conversationSid": sid,
                "messageSid": message,
                "participantSid": participant,
                "status": delivery(*status),
                "errorCode": error_code,
                "delivery": summary,
                "timestamp": now,
            });
            if let Some(reason) = core::failure_reason(*status, *error_code) {
                told["error"] = json!(reason);
            }
            Outgoing::new("message_status", &told)
        }
        Event::ConversationUpdated { conversation, changed } => {
            let mut update = Map::new();
            let only_state = changed.state && !changed.friendly_name && !changed.attributes;
            update.insert("event".to_owned(), json!(if only_state { "state_changed" } else { "updated" }));
            if changed.friendly_name {
                update.insert("friendly_name".to_owned(), json!(conversation.friendly_name));
            }
            if changed.attributes {
                update.insert("attributes".to_owned(), theirs(&conversation.attributes));
            }
            if changed.state {
                update.insert("state".to_owned(), json!(state(conversation.state)));
            }
            conversation_updated(sid, &Value::Object(update), &now)
        }
        Event::ConversationRemoved { .. } => conversation_updated(sid, &json!({ "event": "deleted" }), &now),
        Event::ParticipantAdded(participant) => {
            conversation_updated(sid, &participant_update("participant_added", participant), &now)
        }
        Event::ParticipantRemoved(participant) => {
            conversation_updated(sid, &participant_update("participant_removed", participant), &now)
        }
        Event::ReadHorizonMoved { identity, index, .. } => Outgoing::new(
            "message_read",
            &json!({
                "conversationSid": sid,
                "identity": identity,
                "lastReadMessageIndex": index,
                "timestamp": now,
            }),
        ),
        Event::TypingChanged { identity, typing, .. } => Outgoing::new(
            "user_typing",
            &UserTyping { conversation_sid: sid, identity, is_typing: *typing, timestamp: &now },
        )
        .map(|told| told.except(identity)),
        Event::UserJoined { identity, .. } => room_changed("user_joined", sid, identity, &now),
        Event::UserLeft { identity, .. } => room_changed("user_left", sid, identity, &now),
        Event::StatusChanged { status, .. } => {
            let user_id = status.user_id.as_deref().unwrap_or(status.identity.as_str());
            Outgoing::new(
                "user_status_changed",
                &json!({
                    "conversationSid": sid,
                    "userId": user_id,
                    "identity": status.identity,
                    "status": {
                        "state": status.state,
                        "online": status.online,
                        "lastSeen": status.last_seen.map(timestamp),
                    },
                    "timestamp": now,
                }),
            )
            .map(|told| told.except(&status.identity))
        }
        // This document has no event for the one (whoever is added sees it in their list), and tells the other per
        // conversation.
        Event::ConversationAdded { .. } | Event::PersonStatusChanged { .. } | Event::SignedOut { .. } => None,
        // What it says of messages was told already; the rest is another document's.
        Event::Support(_) => None,
    };
    told.into_iter().collect()
}

/// `user_typing`. This and `new_message` are the hottest, so they are written without a tree of values in between.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserTyping<'a> {
    conversation_sid: ConversationSid,
    identity: &'a Identity,
    is_typing: bool,
    timestamp: &'a str,
}

/// `new_message`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewMessage {
    conversation_sid: ConversationSid,
    message: MessageOut,
    timestamp: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

impl NewMessage {
    fn of(message: &Message, links: &MediaLinks, replayed: bool) -> Self {
        Self {
            conversation_sid: message.conversation_sid,
            message: MessageOut::of(message, links),
            timestamp: timestamp(message.date_created),
            replayed,
        }
    }
}

fn conversation_updated(sid: ConversationSid, update: &Value, now: &str) -> Option<Outgoing> {
    Outgoing::new(
        "conversation_updated",
        &json!({ "conversationSid": sid, "update": update, "timestamp": now }),
    )
}

fn participant_update(event: &str, participant: &Participant) -> Value {
    let mut update = json!({ "event": event, "participant_sid": participant.sid });
    match (&participant.identity, phone_number(participant)) {
        (Some(identity), _) => update["identity"] = json!(identity),
        (None, Some(phone)) => update["phone_number"] = json!(phone),
        (None, None) => {}
    }
    update
}

fn room_changed(
    event: &'static str,
    sid: ConversationSid,
    identity: &Identity,
    now: &str,
) -> Option<Outgoing> {
    Outgoing::new(event, &json!({ "conversationSid": sid, "identity": identity, "timestamp": now }))
        .map(|told| told.except(identity))
}

fn delivery(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Sent => "sent",
        DeliveryStatus::Delivered => "delivered",
        DeliveryStatus::Read => "read",
        DeliveryStatus::Failed => "failed",
        DeliveryStatus::Undelivered => "undelivered",
    }
}
