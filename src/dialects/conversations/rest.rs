//! The REST routes, in the document's order and then the additive ones. Every handler only connects.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Auth, Error, Flat, Json, Path, Query, Reply, Result};
use super::shapes::{
    AddChatParticipant, AddSmsParticipant, ConversationCreated, ConversationDetail, ConversationOut,
    CreateConversation, Done, EditConversation, EditMessage, GenerateToken, MarkRead, MarkedRead,
    MessageDeleted, MessageOut, MessageSent, ParticipantChanged, ParticipantOut, SendMessage, optional,
    required,
};
use crate::auth::{Caller, Identity};
use crate::core::{
    self, ConversationSid, Core, MediaSid, MessageSid, NewParticipant, Span, Upload, parse_id,
};
use crate::dialects::Services;
use crate::dialects::openapi::Responses;
use crate::dialects::uploads::uploaded;

/// Messages of a history page when the client names no number, and at most.
const MESSAGES: usize = 100;
const MESSAGES_AT_MOST: usize = 500;
/// Conversations of a page at most, when the client names a number.
const CONVERSATIONS_AT_MOST: usize = 1_000;

/// The routes.
pub(super) fn routes(services: Services) -> OpenApiRouter {
    let routes = OpenApiRouter::new()
        .routes(routes!(generate_token))
        .routes(routes!(create))
        .routes(routes!(new_conversation))
        .routes(routes!(list))
        .routes(routes!(list_of_user))
        .routes(routes!(messages))
        .routes(routes!(send_message))
        .routes(routes!(add_chat_participant))
        .routes(routes!(add_sms_participant))
        .routes(routes!(media_content))
        .routes(routes!(delete_conversation, edit_conversation))
        .routes(routes!(enable_reachability))
        .routes(routes!(reachability))
        // Additive.
        .routes(routes!(edit_message, delete_message))
        .routes(routes!(mark_read))
        .routes(routes!(participants))
        .routes(routes!(remove_participant));
    let uploads = OpenApiRouter::new().routes(routes!(upload_image)).routes(routes!(upload_audio));
    OpenApiRouter::new().nest("/api/conversations", routes).nest("/api/upload", uploads).with_state(services)
}

#[derive(Serialize, ToSchema)]
struct TokenOut {
    token: String,
    identity: Identity,
    expires_in: u64,
}

/// Makes a token for Twilio's SDK.
#[utoipa::path(post, path = "/generate-token")]
async fn generate_token(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<GenerateToken>,
) -> std::result::Result<Flat<TokenOut>, Error> {
    let token = core.access_token(&caller, &required("user_id", body.user_id.as_ref())?)?;
    let out =
        TokenOut { token: token.token, identity: token.identity, expires_in: token.expires_in.as_secs() };
    Ok(Flat::ok("Token generated", out))
}

/// Makes a conversation.
#[utoipa::path(post, path = "/create")]
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

/// Makes or finds the one conversation of a set of people.
#[utoipa::path(post, path = "/newconversation")]
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

#[derive(Deserialize, IntoParams)]
struct ListQuery {
    /// Whose.
    #[serde(rename = "userId")]
    user_id: Option<String>,
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists conversations, the newest activity first.
#[utoipa::path(get, path = "/", params(ListQuery))]
async fn list(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(query): Query<ListQuery>,
) -> Result<Vec<ConversationOut>> {
    let identity = query.user_id.as_deref().map(|id| identity("userId", id)).transpose()?;
    conversations(&core, &caller, identity, query).await
}

/// Lists somebody's conversations.
#[utoipa::path(get, path = "/{id}/conversations", params(ListQuery))]
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

#[derive(Deserialize, IntoParams)]
struct MessagesQuery {
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// Index of a message.
    before: Option<i64>,
}

/// Lists messages, the oldest first: the newest, or those before an index.
#[utoipa::path(get, path = "/{id}/messages", params(MessagesQuery))]
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

/// Sends a message.
#[utoipa::path(
    post, path = "/{id}/send-message",
    params(("Idempotency-Key" = Option<String>, Header, description = "As `clientMessageId`.")),
)]
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

/// Adds a person.
#[utoipa::path(post, path = "/{id}/add-chat-participant")]
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

/// Adds a phone.
#[utoipa::path(post, path = "/{id}/add-sms-participant")]
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

#[derive(Deserialize, IntoParams)]
struct MediaQuery {
    /// `1` or `true`: 302 to the file.
    redirect: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct MediaOut {
    content_type: String,
    size: u64,
    url: String,
}

/// Tells type, size and a temporary link of a file, or goes there.
#[utoipa::path(
    get, path = "/media/{sid}/content",
    params(MediaQuery),
    responses((status = 200), (status = 302, description = "The file is there.")),
)]
async fn media_content(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(sid): Path<String>,
    Query(query): Query<MediaQuery>,
) -> std::result::Result<MediaReply, Error> {
    let content = core.media_content(&caller, parse_id("mediaSid", &sid)?, None).await?;
    if query.redirect.is_some_and(|redirect| redirect == "1" || redirect == "true") {
        return Ok(MediaReply::There(content.url.into()));
    }
    let out = MediaOut { content_type: content.content_type, size: content.size, url: content.url.into() };
    Ok(MediaReply::Told(Reply::ok("Media content retrieved successfully", out)))
}

/// What a file is, or the way to it.
enum MediaReply {
    Told(Reply<MediaOut>),
    There(String),
}

impl IntoResponse for MediaReply {
    fn into_response(self) -> Response {
        match self {
            Self::Told(reply) => reply.into_response(),
            Self::There(url) => {
                let location = [(header::LOCATION, url), (header::CACHE_CONTROL, "no-store".to_owned())];
                (StatusCode::FOUND, location).into_response()
            }
        }
    }
}

impl IntoResponses for MediaReply {
    fn responses() -> Responses {
        Reply::<MediaOut>::responses()
    }
}

/// A form with a file in `image`, or in `file`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; the file is taken piece by piece")]
struct ImageUpload {
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
}

/// A form with a file in `audio`, or in `file`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; the file is taken piece by piece")]
struct AudioUpload {
    #[schema(value_type = String, format = Binary)]
    audio: Vec<u8>,
}

#[derive(Serialize, ToSchema)]
struct UploadOut {
    url: String,
    content_type: String,
    size: u64,
    media_sid: MediaSid,
}

/// Stores a picture.
#[utoipa::path(
    post, path = "/image",
    request_body(content = ImageUpload, content_type = "multipart/form-data"),
)]
async fn upload_image(
    State(core): State<Core>,
    Auth(caller): Auth,
    request: Request,
) -> std::result::Result<Flat<UploadOut>, Error> {
    let uploaded = uploaded(&core, &caller, request, &["image", "file"]).await?;
    Ok(stored(core.store_upload(&caller, uploaded.file, uploaded.filename.as_deref()).await?))
}

/// Stores a recording.
#[utoipa::path(
    post, path = "/audio",
    request_body(content = AudioUpload, content_type = "multipart/form-data"),
)]
async fn upload_audio(
    State(core): State<Core>,
    Auth(caller): Auth,
    request: Request,
) -> std::result::Result<Flat<UploadOut>, Error> {
    let uploaded = uploaded(&core, &caller, request, &["audio", "file"]).await?;
    Ok(stored(core.store_upload(&caller, uploaded.file, uploaded.filename.as_deref()).await?))
}

fn stored(upload: Upload) -> Flat<UploadOut> {
    let Upload { sid, content_type, size, url } = upload;
    Flat::ok("File uploaded successfully", UploadOut { url, content_type, size, media_sid: sid })
}

/// Deletes a conversation.
#[utoipa::path(delete, path = "/{id}")]
async fn delete_conversation(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<Done> {
    core.delete_conversation(&caller, conversation(&id)?).await?;
    let message = "Conversation deleted successfully";
    Ok(Reply::ok(message, Done { success: true, message }))
}

/// Changes name or attributes of a conversation.
#[utoipa::path(patch, path = "/{id}")]
async fn edit_conversation(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<EditConversation>,
) -> Result<ConversationDetail> {
    let changed = core.edit_conversation(&caller, conversation(&id)?, body.try_into()?).await?;
    Ok(Reply::ok("Conversation updated successfully", (&*changed).into()))
}

/// Lets Twilio tell who is reachable.
#[utoipa::path(post, path = "/enable-reachability")]
async fn enable_reachability(State(core): State<Core>, Auth(caller): Auth) -> Result<Done> {
    core.enable_reachability(&caller).await?;
    let data = Done { success: true, message: "Reachability feature configured" };
    Ok(Reply::ok("Reachability enabled successfully", data))
}

#[derive(Serialize, ToSchema)]
struct ReachabilityOut {
    identity: Identity,
    online: bool,
    not_reachable: bool,
}

/// Tells whether somebody is here or can be notified.
#[utoipa::path(get, path = "/users/{identity}/reachability")]
async fn reachability(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<ReachabilityOut> {
    let identity = identity("identity", &id)?;
    let found = core.reachability(&caller, &identity).await?;
    let not_reachable = !found.online && !found.notifiable;
    let out = ReachabilityOut { identity, online: found.online, not_reachable };
    Ok(Reply::ok("User reachability retrieved successfully", out))
}

/// Changes the text of a message.
#[utoipa::path(patch, path = "/{id}/messages/{message}")]
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

/// Deletes a message.
#[utoipa::path(delete, path = "/{id}/messages/{message}")]
async fn delete_message(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path((id, message)): Path<(String, String)>,
) -> Result<MessageDeleted> {
    let (id, message) = (conversation(&id)?, parse_id::<MessageSid>("messageSid", &message)?);
    core.delete_message(&caller, id, message).await?;
    Ok(Reply::ok("Message deleted successfully", MessageDeleted { success: true, message_sid: message }))
}

/// Marks messages as read.
#[utoipa::path(post, path = "/{id}/read")]
async fn mark_read(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<MarkRead>,
) -> Result<MarkedRead> {
    let claimed = optional("identity", body.identity.as_ref())?;
    let reader = caller.acting_as(claimed.as_ref())?;
    let index = core.mark_read(&caller, &reader, conversation(&id)?, body.index).await?;
    let data = MarkedRead { success: true, identity: reader, last_read_message_index: index };
    Ok(Reply::ok("Messages marked as read successfully", data))
}

/// Lists who is in a conversation.
#[utoipa::path(get, path = "/{id}/participants")]
async fn participants(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<Vec<ParticipantOut>> {
    let members = core.members(&caller, conversation(&id)?).await?;
    let members = members.into_iter().map(|member| ParticipantOut::of(member, core.media_links())).collect();
    Ok(Reply::ok("Participants retrieved successfully", members))
}

/// Removes a person, or a participant by its SID.
#[utoipa::path(delete, path = "/{id}/participants/{identity}")]
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
