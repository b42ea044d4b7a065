//! The REST routes, in the document's order and then the additive ones. Every handler only connects.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::envelope::{Auth, Error, Json, Path, Query, Reply, Result};
use super::shapes::{
    AddChatParticipant, AddSmsParticipant, ConversationCreated, ConversationDetail, ConversationOut,
    CreateConversation, EditConversation, EditMessage, GenerateToken, MarkRead, MessageOut, MessageSent,
    ParticipantChanged, ParticipantOut, SendMessage, optional, required,
};
use crate::auth::{Caller, Identity};
use crate::core::{
    self, ConversationSid, Core, MediaSid, MessageSid, NewParticipant, Span, Upload, parse_id,
};
use crate::dialects::Services;
use crate::dialects::uploads::{self, uploaded};

/// Messages of a history page when the client names no number, and at most.
const MESSAGES: usize = 100;
const MESSAGES_AT_MOST: usize = 500;
/// Conversations of a page at most, when the client names a number.
const CONVERSATIONS_AT_MOST: usize = 1_000;

/// The routes.
pub(super) fn routes(services: Services) -> Router {
    let routes = Router::new()
        .route("/generate-token", post(generate_token))
        .route("/create", post(create))
        .route("/newconversation", post(new_conversation))
        .route("/", get(list))
        .route("/{id}/conversations", get(list_of_user))
        .route("/{id}/messages", get(messages))
        .route("/{id}/send-message", post(send_message))
        .route("/{id}/add-chat-participant", post(add_chat_participant))
        .route("/{id}/add-sms-participant", post(add_sms_participant))
        .route("/media/{sid}/content", get(media_content))
        .route("/{id}", delete(delete_conversation).patch(edit_conversation))
        .route("/enable-reachability", post(enable_reachability))
        .route("/users/{identity}/reachability", get(reachability))
        // Additive.
        .route("/{id}/messages/{message}", patch(edit_message).delete(delete_message))
        .route("/{id}/read", post(mark_read))
        .route("/{id}/participants", get(participants))
        .route("/{id}/participants/{identity}", delete(remove_participant));
    let uploads = Router::new()
        .route("/image", post(upload_image))
        .route("/audio", post(upload_audio))
        .layer(DefaultBodyLimit::max(uploads::BODY_BYTES));
    Router::new().nest("/api/conversations", routes).nest("/api/upload", uploads).with_state(services)
}

#[derive(Serialize)]
struct TokenOut {
    token: String,
    identity: Identity,
    expires_in: u64,
}

async fn generate_token(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<GenerateToken>,
) -> Result<TokenOut> {
    let token = core.access_token(&caller, &required("user_id", body.user_id.as_ref())?)?;
    let out =
        TokenOut { token: token.token, identity: token.identity, expires_in: token.expires_in.as_secs() };
    Ok(Reply::flat("Token generated", out))
}

async fn create(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<CreateConversation>,
) -> Result<ConversationCreated> {
    let (group, sent) = body.into_group()?;
    let created = core.create_group(&caller, group).await?;
    let out = ConversationCreated {
        success: true,
        conversation_sid: created.conversation.sid.to_string(),
        friendly_name: created.conversation.friendly_name.clone().unwrap_or_default(),
        participants: CreateConversation::echo(sent, &created.participants, core.media_links()),
        existing: None,
        messages: None,
    };
    Ok(Reply::ok("Conversation created successfully", out))
}

async fn new_conversation(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<CreateConversation>,
) -> Result<ConversationCreated> {
    let (group, sent) = body.into_group()?;
    let direct = core.direct(&caller, group.participants, group.friendly_name).await?;
    let messages = direct
        .messages
        .map(|messages| messages.iter().map(|message| MessageOut::of(message, core.media_links())).collect());
    let out = ConversationCreated {
        success: true,
        conversation_sid: direct.conversation.to_string(),
        friendly_name: direct.friendly_name.unwrap_or_default(),
        participants: CreateConversation::echo(sent, &direct.participants, core.media_links()),
        existing: Some(messages.is_some()),
        messages,
    };
    Ok(Reply::ok("Private conversation created successfully", out))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(rename = "userId")]
    user_id: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn list(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(query): Query<ListQuery>,
) -> Result<Vec<ConversationOut>> {
    let identity = query.user_id.as_deref().map(|id| identity("userId", id)).transpose()?;
    conversations(&core, &caller, identity, query).await
}

async fn list_of_user(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(user_id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Vec<ConversationOut>> {
    let identity = identity("userId", &user_id)?;
    conversations(&core, &caller, Some(identity), query).await
}

async fn conversations(
    core: &Core,
    caller: &Caller,
    identity: Option<Identity>,
    query: ListQuery,
) -> Result<Vec<ConversationOut>> {
    let limit = query.limit.map(|limit| limit.clamp(1, CONVERSATIONS_AT_MOST));
    let after = query.cursor.as_deref().map(str::parse).transpose()?;
    let listing = core.list_conversations(caller, identity.as_ref(), limit, after).await?;
    let listed = listing
        .conversations
        .iter()
        .map(|listed| ConversationOut::listed(listed, core.media_links()))
        .collect();
    let next = listing.next.map(|cursor| cursor.to_string());
    Ok(Reply::page("Conversations retrieved successfully", listed, next))
}

#[derive(Deserialize)]
struct MessagesQuery {
    limit: Option<usize>,
    before: Option<i64>,
}

async fn messages(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Query(query): Query<MessagesQuery>,
) -> Result<Vec<MessageOut>> {
    let limit = query.limit.unwrap_or(MESSAGES);
    if !(1..=MESSAGES_AT_MOST).contains(&limit) {
        return Err(core::Error::invalid("limit", "must be from 1 to 500").into());
    }
    let messages = core.messages(&caller, conversation(&id)?, Span { limit, before: query.before }).await?;
    let messages = messages.iter().map(|message| MessageOut::of(message, core.media_links())).collect();
    Ok(Reply::ok("Messages retrieved successfully", messages))
}

async fn send_message(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<SendMessage>,
) -> Result<MessageSent> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let (author, draft) = body.into_draft(key)?;
    let message = core.send_message(&caller, &author, conversation(&id)?, draft).await?;
    Ok(Reply::ok("Message sent successfully", MessageSent::of(&message, core.media_links())))
}

async fn add_chat_participant(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<AddChatParticipant>,
) -> Result<ParticipantChanged> {
    let identity = required("identity", body.identity.as_ref())?;
    let new = NewParticipant { identity, name: None, image: None };
    let participant = core.add_participant(&caller, conversation(&id)?, new).await?;
    Ok(Reply::ok("Chat participant added successfully", (&*participant).into()))
}

async fn add_sms_participant(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<AddSmsParticipant>,
) -> Result<ParticipantChanged> {
    let phone =
        body.phone_number.ok_or_else(|| core::Error::invalid("phone_number", "is missing"))?.parse()?;
    let participant = core.add_phone(&caller, conversation(&id)?, &phone).await?;
    Ok(Reply::ok("SMS participant added successfully", (&*participant).into()))
}

#[derive(Deserialize)]
struct MediaQuery {
    redirect: Option<String>,
}

#[derive(Serialize)]
struct MediaOut {
    content_type: String,
    size: u64,
    url: String,
}

async fn media_content(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(sid): Path<String>,
    Query(query): Query<MediaQuery>,
) -> std::result::Result<Response, Error> {
    let content = core.media_content(&caller, parse_id("mediaSid", &sid)?, None).await?;
    if query.redirect.is_some_and(|redirect| redirect == "1" || redirect == "true") {
        let location =
            [(header::LOCATION, content.url.to_string()), (header::CACHE_CONTROL, "no-store".to_owned())];
        return Ok((axum::http::StatusCode::FOUND, location).into_response());
    }
    let out = MediaOut { content_type: content.content_type, size: content.size, url: content.url.into() };
    Ok(Reply::ok("Media content retrieved successfully", out).into_response())
}

#[derive(Serialize)]
struct UploadOut {
    url: String,
    content_type: String,
    size: u64,
    media_sid: MediaSid,
}

async fn upload_image(State(core): State<Core>, Auth(caller): Auth, request: Request) -> Result<UploadOut> {
    let uploaded = uploaded(&core, request, &["image", "file"]).await?;
    Ok(stored(core.store_upload(&caller, uploaded.file, uploaded.filename.as_deref()).await?))
}

async fn upload_audio(State(core): State<Core>, Auth(caller): Auth, request: Request) -> Result<UploadOut> {
    let uploaded = uploaded(&core, request, &["audio", "file"]).await?;
    Ok(stored(core.store_upload(&caller, uploaded.file, uploaded.filename.as_deref()).await?))
}

fn stored(upload: Upload) -> Reply<UploadOut> {
    let Upload { sid, content_type, size, url } = upload;
    Reply::flat("File uploaded successfully", UploadOut { url, content_type, size, media_sid: sid })
}

async fn delete_conversation(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<Value> {
    core.delete_conversation(&caller, conversation(&id)?).await?;
    let message = "Conversation deleted successfully";
    Ok(Reply::ok(message, json!({ "success": true, "message": message })))
}

async fn edit_conversation(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<EditConversation>,
) -> Result<ConversationDetail> {
    let changed = core.edit_conversation(&caller, conversation(&id)?, body.try_into()?).await?;
    Ok(Reply::ok("Conversation updated successfully", (&*changed).into()))
}

async fn enable_reachability(State(core): State<Core>, Auth(caller): Auth) -> Result<Value> {
    core.enable_reachability(&caller).await?;
    let data = json!({ "success": true, "message": "Reachability feature configured" });
    Ok(Reply::ok("Reachability enabled successfully", data))
}

#[derive(Serialize)]
struct ReachabilityOut {
    identity: Identity,
    online: bool,
    not_reachable: bool,
}

async fn reachability(
    State(core): State<Core>,
    Auth(_caller): Auth,
    Path(id): Path<String>,
) -> Result<ReachabilityOut> {
    let identity = identity("identity", &id)?;
    let found = core.reachability(&identity).await?;
    let not_reachable = !found.online && !found.notifiable;
    let out = ReachabilityOut { identity, online: found.online, not_reachable };
    Ok(Reply::ok("User reachability retrieved successfully", out))
}

async fn edit_message(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path((id, message)): Path<(String, String)>,
    Json(body): Json<EditMessage>,
) -> Result<MessageOut> {
    let (id, message) = (conversation(&id)?, parse_id::<MessageSid>("messageSid", &message)?);
    let changed = core.edit_message(&caller, id, message, body.into_body()?).await?;
    Ok(Reply::ok("Message updated successfully", MessageOut::of(&changed, core.media_links())))
}

async fn delete_message(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path((id, message)): Path<(String, String)>,
) -> Result<Value> {
    let (id, message) = (conversation(&id)?, parse_id::<MessageSid>("messageSid", &message)?);
    core.delete_message(&caller, id, message).await?;
    Ok(Reply::ok("Message deleted successfully", json!({ "success": true, "message_sid": message })))
}

async fn mark_read(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<MarkRead>,
) -> Result<Value> {
    let claimed = optional("identity", body.identity.as_ref())?;
    let reader = caller.acting_as(claimed.as_ref())?;
    let index = core.mark_read(&caller, &reader, conversation(&id)?, body.index).await?;
    let data = json!({ "success": true, "identity": reader, "last_read_message_index": index });
    Ok(Reply::ok("Messages marked as read successfully", data))
}

async fn participants(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<Vec<ParticipantOut>> {
    let members = core.members(&caller, conversation(&id)?).await?;
    let members = members.into_iter().map(|member| ParticipantOut::of(member, core.media_links())).collect();
    Ok(Reply::ok("Participants retrieved successfully", members))
}

async fn remove_participant(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path((id, who)): Path<(String, String)>,
) -> Result<ParticipantChanged> {
    let removed = core.remove_participant(&caller, conversation(&id)?, &who).await?;
    Ok(Reply::ok("Participant removed successfully", (&*removed).into()))
}

fn conversation(id: &str) -> std::result::Result<ConversationSid, core::Error> {
    parse_id("conversationSid", id)
}

fn identity(field: &'static str, text: &str) -> std::result::Result<Identity, core::Error> {
    text.parse()
        .map_err(|problem: crate::auth::InvalidIdentity| core::Error::invalid(field, problem.to_string()))
}
