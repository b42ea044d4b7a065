//! The REST routes, in the document's order and then the additive ones, and the door to the WebSocket. Every handler only
//! connects. Every path answers with and without its trailing slash.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::envelope::{Auth, Error, Json, Path, Query, Reply, Result};
use super::events;
use super::shapes::{
    ChatMessage, ConversationOut, IdIn, MessageOut, MessageSent, Pagination, Sender, UnreadStatus, identity,
    renamed,
};
use crate::core::{self, ConversationSid, Core, PageOf, parse_id};
use crate::dialects::Services;
use crate::dialects::openapi::Responses;
use crate::dialects::uploads::uploaded;
use crate::realtime::WebSockets;

/// Messages of a page when the client names no number, and at most.
const MESSAGES: usize = 50;
const MESSAGES_AT_MOST: usize = 100;
/// Characters of a conversation's id in an address that are kept, to be said again in errors.
const ADDRESS_CHARACTERS: usize = 64;

/// The routes.
pub(super) fn routes(services: Services) -> OpenApiRouter {
    let routes: [UtoipaMethodRouter<Services>; _] = [
        routes!(conversations),
        routes!(send),
        routes!(connect),
        // Additive.
        routes!(messages),
        routes!(unread_status),
        routes!(upload),
    ];
    let both = |router: OpenApiRouter<Services>, routes: UtoipaMethodRouter<Services>| {
        let (_, entry, methods) = &routes;
        let path = entry.paths.keys().next().expect("a route has a path");
        let (bare, methods) = (path.trim_end_matches('/').to_owned(), methods.clone());
        router.routes(routes).route(&bare, methods)
    };
    routes.into_iter().fold(OpenApiRouter::new(), both).with_state(services)
}

/// Who asks, where no token says so.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
struct Asking {
    user_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Conversations {
    conversations: Vec<ConversationOut>,
}

/// Lists somebody's conversations, the newest first.
#[utoipa::path(get, path = "/api/chat/conversations/", params(Asking))]
async fn conversations(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(asking): Query<Asking>,
) -> Result<Conversations> {
    let asked = identity("userId", asking.user_id.map(IdIn::Text))?;
    let directs = core.list_directs(&caller, asked.as_ref()).await?;
    Ok(Reply::ok(Conversations { conversations: directs.into_iter().map(Into::into).collect() }))
}

/// Sends a message to somebody, and begins their conversation.
#[utoipa::path(
    post, path = "/api/chat/send/",
    params(("Idempotency-Key" = Option<String>, Header, description = "As `clientMessageId`.")),
    responses((status = 201, description = "The message.")),
)]
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

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
struct MessagesQuery {
    #[param(minimum = 1)]
    page: Option<usize>,
    #[param(minimum = 1)]
    limit: Option<usize>,
    user_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Messages {
    messages: Vec<MessageOut>,
    pagination: Pagination,
}

/// Lists messages, and marks them as read.
#[utoipa::path(get, path = "/api/chat/conversations/{id}/messages/", params(MessagesQuery))]
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

/// Tells how much is unread.
#[utoipa::path(get, path = "/api/chat/unread-status/", params(Asking))]
async fn unread_status(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(asking): Query<Asking>,
) -> Result<UnreadStatus> {
    let asked = identity("userId", asking.user_id.map(IdIn::Text))?;
    Ok(Reply::ok(UnreadStatus::of(&core.list_directs(&caller, asked.as_ref()).await?)))
}

/// A form with a file in `file`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; the file is taken piece by piece")]
struct FileUpload {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Uploaded {
    file_url: String,
}

/// Stores a file.
#[utoipa::path(
    post, path = "/api/chat/upload/",
    request_body(content = FileUpload, content_type = "multipart/form-data"),
)]
async fn upload(State(core): State<Core>, Auth(caller): Auth, request: Request) -> Result<Uploaded> {
    let uploaded = uploaded(&core, &caller, request, &["file"]).await?;
    let stored = core.store_upload(&caller, uploaded.file, uploaded.filename.as_deref()).await?;
    Ok(Reply::ok(Uploaded { file_url: stored.url }))
}

/// Opens the WebSocket of a conversation.
#[utoipa::path(get, path = "/ws/chat/{id}/", responses((status = 101, description = "The WebSocket.")))]
async fn connect(
    State(websockets): State<WebSockets>,
    Path(id): Path<String>,
    request: Request,
) -> std::result::Result<Upgraded, Error> {
    let address: String = id.chars().take(ADDRESS_CHARACTERS).collect();
    let opened = websockets.open(&events::RAW, &address, request).await;
    opened.map(Upgraded).map_err(|not_one| core::Error::Unreadable(not_one.to_string()).into())
}

/// That the connection is a WebSocket now.
struct Upgraded(Response);

impl IntoResponse for Upgraded {
    fn into_response(self) -> Response {
        self.0
    }
}

impl IntoResponses for Upgraded {
    fn responses() -> Responses {
        Responses::new()
    }
}
