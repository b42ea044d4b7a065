//! The REST routes, in the document's order and then the additive ones. Every handler only connects.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bodies::{Change, GenerateCode, OpenAsGuest, VerifyCode};
use super::envelope::{Address, GuestId, Json, Path, Person, Query, Reply, Result, Visitor};
use super::shapes::{
    CodeOut, ConversationOut, ConversationsOut, DetailOut, GuestConversation, ListQuery, MessagesOut,
    PageQuery, Pagination, TopicQuery, UploadOut, UploadQuery, VerifiedOut,
};
use crate::core::{self, ConversationSid, Core, Owner, parse_id};
use crate::dialects::Services;
use crate::dialects::uploads::uploaded;
use crate::limits::Network;

/// Messages in a conversation's details.
const RECENT: u32 = 50;

/// The routes.
pub(super) fn routes(services: Services) -> OpenApiRouter {
    let routes = OpenApiRouter::new()
        .routes(routes!(conversation))
        .routes(routes!(guest_conversation))
        .routes(routes!(messages))
        .routes(routes!(details, change))
        .routes(routes!(generate_code))
        .routes(routes!(verify_code))
        // Additive.
        .routes(routes!(conversations))
        .routes(routes!(upload));
    OpenApiRouter::new().nest("/api/support", routes).with_state(services)
}

/// Opens or finds the caller's conversation.
#[utoipa::path(get, path = "/conversation", params(TopicQuery))]
async fn conversation(
    State(core): State<Core>,
    Person(caller): Person,
    GuestId(guest_id): GuestId,
    Query(query): Query<TopicQuery>,
) -> Result<ConversationOut> {
    let (user, topic) = (caller.acting_as(None)?, query.topic()?);
    core.adopt_guest(&caller, guest_id.as_deref()).await;
    let conversation = core.open_support(Owner::User(user), topic, None).await?;
    let last_message_at = core.last_message_at(conversation.sid).await?;
    Ok(Reply::ok(ConversationOut::of(&conversation, last_message_at)))
}

/// Opens or finds a guest's conversation.
#[utoipa::path(
    post, path = "/conversation/guest",
    request_body = OpenAsGuest,
    security((), ("guest" = [])),
)]
async fn guest_conversation(
    State(core): State<Core>,
    Address(address): Address,
    // A token is not needed; one that is there must hold.
    Visitor(_caller): Visitor,
    GuestId(guest_id): GuestId,
    Json(body): Json,
) -> Result<GuestConversation> {
    let (topic, subject) = (body.topic()?, body.subject()?);
    let from = Some(Network::of(address));
    let guest = core.guest(from, body.guest_id()?.or(guest_id.as_deref())).await?;
    let conversation = core.open_support(Owner::Guest(guest.clone()), topic, subject).await?;
    let last_message_at = core.last_message_at(conversation.sid).await?;
    let out = GuestConversation {
        conversation: ConversationOut::of(&conversation, last_message_at),
        guest_id: guest.clone(),
    };
    Ok(Reply::ok(out).remembering(&guest, core.is_https()))
}

/// Lists messages: page 1 is the newest, each page in order.
#[utoipa::path(
    get, path = "/conversation/{id}/messages",
    params(PageQuery),
    security((), ("guest" = []), ("token" = []), ("key" = [])),
)]
async fn messages(
    State(core): State<Core>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<MessagesOut> {
    let (page, limit) = query.page()?;
    let messages = core.support_messages(&caller, sid(&id)?, page, limit).await?;
    Ok(Reply::ok(MessagesOut::of(&messages, (page, limit), core.media_links())))
}

/// Describes a conversation with its newest messages.
#[utoipa::path(
    get, path = "/conversation/{id}",
    security((), ("guest" = []), ("token" = []), ("key" = [])),
)]
async fn details(
    State(core): State<Core>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
) -> Result<DetailOut> {
    let details = core.support_details(&caller, sid(&id)?).await?;
    let recent = core.support_messages(&caller, details.conversation.sid, 1, RECENT).await?;
    Ok(Reply::ok(DetailOut::of(details, &recent, core.media_links())))
}

/// Changes status, priority or agent.
#[utoipa::path(patch, path = "/conversation/{id}", request_body = Change)]
async fn change(
    State(core): State<Core>,
    Person(caller): Person,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<ConversationOut> {
    let changed = core.change_support(&caller, sid(&id)?, body.changes()?).await?;
    let last_message_at = core.last_message_at(changed.sid).await?;
    Ok(Reply::ok(ConversationOut::of(&changed, last_message_at)))
}

/// Makes a one-time code.
#[utoipa::path(
    post, path = "/onboarding/generate-code",
    request_body = GenerateCode,
    responses((status = 201, description = "The code.")),
)]
async fn generate_code(
    State(core): State<Core>,
    Person(caller): Person,
    Json(body): Json,
) -> Result<CodeOut> {
    let issued = core.issue_code(&caller, body.new_code()?).await?;
    Ok(Reply::told(StatusCode::CREATED, "Auth code generated successfully", (&issued).into()))
}

/// Uses up a one-time code.
#[utoipa::path(
    post, path = "/onboarding/verify-code",
    request_body = VerifyCode,
    security((), ("guest" = []), ("token" = [])),
)]
async fn verify_code(
    State(core): State<Core>,
    Address(address): Address,
    Visitor(caller): Visitor,
    Json(body): Json,
) -> Result<VerifiedOut> {
    Ok(match core.use_code(&caller, address, body.owner()?, body.code()?).await? {
        Some(used) => Reply::told(StatusCode::OK, "Code verified successfully", used.into()),
        None => Reply::no("Invalid or expired code"),
    })
}

/// Lists conversations for the agents.
#[utoipa::path(get, path = "/conversations", params(ListQuery))]
async fn conversations(
    State(core): State<Core>,
    Person(caller): Person,
    Query(query): Query<ListQuery>,
) -> Result<ConversationsOut> {
    let (page, limit) = query.page()?;
    let listing = core.list_support(&caller, query.status()?, query.topic()?, page, limit).await?;
    Ok(Reply::ok(ConversationsOut {
        conversations: listing.conversations.iter().map(ConversationOut::from).collect(),
        pagination: Pagination::of(listing.total, (page, limit)),
    }))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; the file is taken piece by piece")]
struct FileUpload {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Stores a file for a conversation.
#[utoipa::path(
    post, path = "/upload",
    params(UploadQuery),
    request_body(content = FileUpload, content_type = "multipart/form-data"),
    security((), ("guest" = []), ("token" = []), ("key" = [])),
)]
async fn upload(
    State(core): State<Core>,
    Visitor(caller): Visitor,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<UploadOut> {
    let uploader = core.support_uploader(&caller, query.conversation()?).await?;
    let uploaded = uploaded(&core, &uploader, request, &["file"]).await?;
    let stored = core.store_upload(&uploader, uploaded.file, uploaded.filename.as_deref()).await?;
    Ok(Reply::told(StatusCode::OK, "File uploaded successfully", stored.into()))
}

fn sid(id: &str) -> std::result::Result<ConversationSid, core::Error> {
    parse_id("conversationId", id)
}
