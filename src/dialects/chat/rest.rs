//! The REST routes, in the document's order and then the additive ones, and the door to the WebSocket. Every handler only
//! connects. Every path answers with and without its trailing slash.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use serde::{Deserialize, Serialize};

use super::envelope::{Auth, Error, Json, Path, Query, Reply, Result};
use super::events;
use super::shapes::{
    ChatMessage, ConversationOut, IdIn, MessageOut, MessageSent, Pagination, Sender, UnreadStatus, identity,
    renamed,
};
use crate::core::{self, ConversationSid, Core, PageOf, parse_id};
use crate::dialects::Services;
use crate::dialects::uploads::{self, uploaded};
use crate::realtime::WebSockets;

/// Messages of a page when the client names no number, and at most.
const MESSAGES: usize = 50;
const MESSAGES_AT_MOST: usize = 100;
/// Characters of a conversation's id in an address that are kept, to be said again in errors.
const ADDRESS_CHARACTERS: usize = 64;

/// The routes.
pub(super) fn routes(services: Services) -> Router {
    let routes = [
        ("/api/chat/conversations", get(conversations)),
        ("/api/chat/send", post(send)),
        ("/ws/chat/{id}", get(connect)),
        // Additive.
        ("/api/chat/conversations/{id}/messages", get(messages)),
        ("/api/chat/unread-status", get(unread_status)),
        ("/api/chat/upload", post(upload).layer(DefaultBodyLimit::max(uploads::BODY_BYTES))),
    ];
    let both = |router: Router<Services>, (path, methods): (&str, MethodRouter<Services>)| {
        router.route(path, methods.clone()).route(&format!("{path}/"), methods)
    };
    routes.into_iter().fold(Router::new(), both).with_state(services)
}

/// Who asks, where no token says so.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asking {
    user_id: Option<String>,
}

#[derive(Serialize)]
struct Conversations {
    conversations: Vec<ConversationOut>,
}

async fn conversations(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(asking): Query<Asking>,
) -> Result<Conversations> {
    let asked = identity("userId", asking.user_id.map(IdIn::Text))?;
    let directs = core.list_directs(&caller, asked.as_ref()).await?;
    Ok(Reply::ok(Conversations { conversations: directs.into_iter().map(Into::into).collect() }))
}

async fn send(
    State(core): State<Core>,
    Auth(caller): Auth,
    headers: HeaderMap,
    Json(body): Json<ChatMessage>,
) -> Result<MessageSent> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let said = body.into_said(key)?;
    let receiver = said.receiver.ok_or_else(|| core::Error::invalid("receiverId", "is missing"))?;
    let sent = core.send_directly(&caller, said.sender.as_ref(), &receiver, said.draft).await;
    let message = sent.map_err(renamed)?;
    Ok(Reply::created(MessageSent::of(&message, receiver, core.media_links())))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessagesQuery {
    page: Option<usize>,
    limit: Option<usize>,
    user_id: Option<String>,
}

#[derive(Serialize)]
struct Messages {
    messages: Vec<MessageOut>,
    pagination: Pagination,
}

async fn messages(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Query(query): Query<MessagesQuery>,
) -> Result<Messages> {
    let page = query.page.unwrap_or(1);
    if page < 1 {
        return Err(core::Error::invalid("page", "must be 1 or more").into());
    }
    let limit = query.limit.unwrap_or(MESSAGES).min(MESSAGES_AT_MOST);
    if limit == 0 {
        return Err(core::Error::invalid("limit", "must be 1 or more").into());
    }
    let asked = identity("userId", query.user_id.map(IdIn::Text))?;
    let conversation: ConversationSid = parse_id("conversationId", &id)?;
    let part = PageOf { page, limit };
    let found = core.read_message_page(&caller, asked.as_ref(), conversation, part).await.map_err(renamed)?;
    let reader = caller.acting_as(asked.as_ref()).ok();
    let out = |message: &std::sync::Arc<core::Message>| {
        let sender = Sender::seen_by(reader.as_ref(), &message.author);
        let receiver = core.other_of(conversation, &message.author);
        MessageOut::of(message, Some(sender), receiver, core.media_links())
    };
    Ok(Reply::ok(Messages {
        messages: found.items.iter().map(out).collect(),
        pagination: Pagination {
            current_page: page,
            total_pages: found.total.div_ceil(limit),
            total_items: found.total,
        },
    }))
}

async fn unread_status(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(asking): Query<Asking>,
) -> Result<UnreadStatus> {
    let asked = identity("userId", asking.user_id.map(IdIn::Text))?;
    Ok(Reply::ok(UnreadStatus::of(&core.list_directs(&caller, asked.as_ref()).await?)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Uploaded {
    file_url: String,
}

async fn upload(State(core): State<Core>, Auth(caller): Auth, request: Request) -> Result<Uploaded> {
    let uploaded = uploaded(&core, request, &["file"]).await?;
    let stored = core.store_upload(&caller, uploaded.file, uploaded.filename.as_deref()).await?;
    Ok(Reply::ok(Uploaded { file_url: stored.url }))
}

async fn connect(
    State(websockets): State<WebSockets>,
    Path(id): Path<String>,
    request: Request,
) -> std::result::Result<Response, Error> {
    let address: String = id.chars().take(ADDRESS_CHARACTERS).collect();
    let opened = websockets.open(&events::RAW, &address, request).await;
    opened.map_err(|not_one| core::Error::Unreadable(not_one.to_string()).into())
}
