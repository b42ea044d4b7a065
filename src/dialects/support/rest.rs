//! The REST routes, in the document's order and then the additive ones. Every handler only connects.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::envelope::{Address, Anybody, GuestId, Json, Path, Person, Query, Reply, Result, Visitor};
use super::shapes::{
    CodeOut, ConversationOut, ConversationsOut, DetailOut, GuestConversation, MessagesOut, PageQuery,
    Pagination, TopicQuery, VerifiedOut,
};
use crate::auth::Caller;
use crate::core::{self, ConversationSid, Core, Owner, parse_id};
use crate::dialects::Services;

/// Messages in a conversation's details.
const RECENT: u32 = 50;

/// The routes.
pub(super) fn routes(services: Services) -> Router {
    let routes = Router::new()
        .route("/conversation", get(conversation))
        .route("/conversation/guest", post(guest_conversation))
        .route("/conversation/{id}/messages", get(messages))
        .route("/conversation/{id}", get(details).patch(change))
        .route("/onboarding/generate-code", post(generate_code))
        .route("/onboarding/verify-code", post(verify_code))
        // Additive.
        .route("/conversations", get(conversations));
    Router::new().nest("/api/support", routes).with_state(services)
}

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

async fn guest_conversation(
    State(core): State<Core>,
    GuestId(guest_id): GuestId,
    Json(body): Json,
) -> Result<GuestConversation> {
    let (topic, subject) = (body.topic()?, body.subject()?);
    let guest = core.guest(body.guest_id()?.or(guest_id.as_deref())).await?;
    let conversation = core.open_support(Owner::Guest(guest.clone()), topic, subject).await?;
    let last_message_at = core.last_message_at(conversation.sid).await?;
    let out = GuestConversation {
        conversation: ConversationOut::of(&conversation, last_message_at),
        guest_id: guest.clone(),
    };
    Ok(Reply::ok(out).remembering(&guest, core.is_https()))
}

async fn messages(
    State(core): State<Core>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<MessagesOut> {
    let (page, limit) = query.page()?;
    let messages = core.support_messages(&caller, sid(&id)?, page, limit).await?;
    Ok(Reply::ok(MessagesOut::of(&messages, (page, limit))))
}

async fn details(
    State(core): State<Core>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
) -> Result<DetailOut> {
    let details = core.support_details(&caller, sid(&id)?).await?;
    let recent = core.support_messages(&caller, details.conversation.sid, 1, RECENT).await?;
    Ok(Reply::ok(DetailOut::of(details, &recent)))
}

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

async fn generate_code(
    State(core): State<Core>,
    Person(caller): Person,
    Json(body): Json,
) -> Result<CodeOut> {
    let issued = core.issue_code(&caller, body.new_code()?).await?;
    Ok(Reply::told(StatusCode::CREATED, "Auth code generated successfully", (&issued).into()))
}

async fn verify_code(
    State(core): State<Core>,
    Address(address): Address,
    Anybody(caller): Anybody,
    Json(body): Json,
) -> Result<VerifiedOut> {
    let claimed = match caller {
        Caller::Known { identity, .. } => Some(Owner::User(identity)),
        Caller::Guest(guest) => Some(Owner::Guest(guest)),
        Caller::Anonymous | Caller::Service => None,
    };
    let owner = body.owner()?.or(claimed);
    Ok(match core.use_code(address, owner.as_ref(), body.code()?).await? {
        Some(used) => Reply::told(StatusCode::OK, "Code verified successfully", used.into()),
        None => Reply::no("Invalid or expired code"),
    })
}

async fn conversations(
    State(core): State<Core>,
    Person(caller): Person,
    Query(query): Query<PageQuery>,
) -> Result<ConversationsOut> {
    let (page, limit) = query.page()?;
    let listing = core.list_support(&caller, query.status()?, query.topic()?, page, limit).await?;
    Ok(Reply::ok(ConversationsOut {
        conversations: listing.conversations.iter().map(ConversationOut::from).collect(),
        pagination: Pagination::of(listing.total, (page, limit)),
    }))
}

fn sid(id: &str) -> std::result::Result<ConversationSid, core::Error> {
    parse_id("conversationId", id)
}
