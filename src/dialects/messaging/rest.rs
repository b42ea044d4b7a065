//! The REST routes, in the document's order and then the additive ones. Every handler only connects.

use axum::Router;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Auth, Json, Operator, Path, Query, Reply, Result};
use super::queries::{
    AskedSuggestions, CONTACTS, OTHERS, PageQuery, Pagination, SuggestionsFor, SuggestionsQuery,
};
use super::shapes::conversations::{
    ConversationOut, CreateConversation, EditSettings, ReadOut, SettingsChanged,
};
use super::shapes::groups::{CreateGroup, GroupMemberOut, GroupMembers, GroupOut, MembersRemoved};
use super::shapes::messages::{MessageOut, SendMessage, renamed};
use super::shapes::people::{
    BlockOut, BlockedOut, ContactOut, EditProfile, OwnProfile, SignedOut, SuggestionOut, UserDetail,
};
use super::shapes::{identity, timestamp};
use crate::core::{self, ConversationSid, Core, parse_id};
use crate::dialects::Services;

/// The routes.
pub(super) fn routes(services: Services) -> OpenApiRouter {
    let routes = OpenApiRouter::new()
        .routes(routes!(suggestions))
        .routes(routes!(create_conversation))
        .routes(routes!(conversation_detail))
        .routes(routes!(create_group))
        .routes(routes!(user_detail))
        .routes(routes!(contacts))
        // Additive.
        .routes(routes!(messages, send_message))
        .routes(routes!(edit_settings))
        .routes(routes!(mark_read))
        .routes(routes!(group))
        .routes(routes!(group_members, add_group_members, remove_group_members))
        .routes(routes!(remove_group_member))
        .routes(routes!(block, unblock))
        .routes(routes!(sign_out))
        .routes(routes!(blocked))
        .routes(routes!(own_profile, edit_own_profile));
    let under_api = Router::new().nest("/api", routes.clone().into());
    routes.merge(under_api.into()).with_state(services)
}

#[derive(Serialize, ToSchema)]
struct Suggestions {
    suggestions: Vec<SuggestionOut>,
    pagination: Pagination,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
}

/// Lists whom the caller may want to talk to.
#[utoipa::path(get, path = "/users/suggestions", params(SuggestionsQuery))]
async fn suggestions(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(query): Query<SuggestionsQuery>,
) -> Result<Suggestions> {
    let AskedSuggestions { purpose, wanted } = query.try_into()?;
    let (part, query) = (wanted.part, wanted.text.clone());
    let page = core.suggestions(&caller, wanted).await?;
    let with_last_seen = purpose != SuggestionsFor::Group;
    let suggestions = page.items.iter().map(|found| SuggestionOut::of(found, with_last_seen)).collect();
    Ok(Reply::ok(Suggestions { suggestions, pagination: Pagination::of(part, page.total), query }))
}

/// Begins or finds the conversation with somebody.
#[utoipa::path(
    post, path = "/messages",
    responses((status = 200, description = "It was there."), (status = 201, description = "It is made.")),
)]
async fn create_conversation(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<CreateConversation>,
) -> Result<ConversationOut> {
    let opened = core.open_direct(&caller, &body.participant()?).await?;
    let out = ConversationOut::opened(&opened.detail, caller.person()?, opened.existing);
    Ok(if opened.existing {
        Reply::existing("Conversation already exists", "CONVERSATION_EXISTS", out)
    } else {
        Reply::created("Conversation created successfully", out)
    })
}

/// Describes a conversation.
#[utoipa::path(get, path = "/messages/{id}")]
async fn conversation_detail(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<ConversationOut> {
    let detail = core.detail(&caller, conversation(&id)?).await?;
    Ok(Reply::ok(ConversationOut::read(&detail, caller.person()?)))
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", responses((status = 201, description = "It is made.")))]
async fn create_group(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<CreateGroup>,
) -> Result<GroupOut> {
    let group = core.start_group(&caller, body.try_into()?).await?;
    Ok(Reply::created("Group created successfully", GroupOut::of(&group, caller.person()?)))
}

/// Describes somebody.
#[utoipa::path(get, path = "/users/{id}")]
async fn user_detail(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<UserDetail> {
    let known = core.acquaintance(&caller, &identity("userId", &id)?).await?;
    Ok(Reply::ok((&known).into()))
}

#[derive(Serialize, ToSchema)]
struct Contacts {
    contacts: Vec<ContactOut>,
    pagination: Pagination,
}

/// Lists the caller's contacts.
#[utoipa::path(get, path = "/users/contacts", params(PageQuery))]
async fn contacts(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(query): Query<PageQuery>,
) -> Result<Contacts> {
    let part = query.part(CONTACTS)?;
    let page = core.contact_list(&caller, part).await?;
    let contacts = page.items.iter().map(ContactOut::from).collect();
    Ok(Reply::ok(Contacts { contacts, pagination: Pagination::of(part, page.total) }))
}

#[derive(Serialize, ToSchema)]
struct Messages {
    messages: Vec<MessageOut>,
    pagination: Pagination,
}

/// Lists messages, oldest first; the first page is of the newest.
#[utoipa::path(get, path = "/messages/{id}/messages", params(PageQuery))]
async fn messages(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Messages> {
    let part = query.part(OTHERS)?;
    let page = core.message_page(&caller, conversation(&id)?, part).await?;
    let messages = page.items.iter().map(|message| MessageOut::of(message, core.media_links())).collect();
    Ok(Reply::ok(Messages { messages, pagination: Pagination::of(part, page.total) }))
}

/// Sends a message.
#[utoipa::path(
    post, path = "/messages/{id}/messages",
    responses((status = 201, description = "It is sent.")),
)]
async fn send_message(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<SendMessage>,
) -> Result<MessageOut> {
    let sent = core.send_message(&caller, caller.person()?, conversation(&id)?, body.try_into()?).await;
    let sent = sent.map_err(renamed)?;
    Ok(Reply::created("Message sent successfully", MessageOut::sent(&sent, core.media_links())))
}

/// Changes how the caller has set up a conversation.
#[utoipa::path(patch, path = "/messages/{id}/settings")]
async fn edit_settings(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<EditSettings>,
) -> Result<SettingsChanged> {
    let conversation = conversation(&id)?;
    let settings = core.change_settings(&caller, conversation, body.try_into()?).await?;
    let out = SettingsChanged::of(conversation.to_string(), &settings);
    Ok(Reply::done("Settings updated successfully", out))
}

/// Marks a conversation as read.
#[utoipa::path(post, path = "/messages/{id}/read")]
async fn mark_read(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<ReadOut> {
    let conversation = conversation(&id)?;
    let index = core.mark_read(&caller, caller.person()?, conversation, None).await?;
    let out = ReadOut { id: conversation, last_read_index: index };
    Ok(Reply::done("Conversation marked as read successfully", out))
}

/// Describes a group.
#[utoipa::path(get, path = "/groups/{id}")]
async fn group(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<GroupOut> {
    let group = core.group(&caller, conversation(&id)?).await?;
    Ok(Reply::ok(GroupOut::of(&group, caller.person()?)))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Members {
    members: Vec<GroupMemberOut>,
    member_count: usize,
}

/// Lists who is in a group.
#[utoipa::path(get, path = "/groups/{id}/members")]
async fn group_members(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<Members> {
    let group = core.group(&caller, conversation(&id)?).await?;
    let me = caller.person()?;
    let members: Vec<_> = group.members.iter().map(|member| GroupMemberOut::of(member, me)).collect();
    Ok(Reply::ok(Members { member_count: members.len(), members }))
}

/// Adds people.
#[utoipa::path(post, path = "/groups/{id}/members")]
async fn add_group_members(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<GroupMembers>,
) -> Result<GroupOut> {
    let group = core.add_group_members(&caller, conversation(&id)?, body.people()?).await?;
    Ok(Reply::done("Members added successfully", GroupOut::of(&group, caller.person()?)))
}

/// Removes people.
#[utoipa::path(delete, path = "/groups/{id}/members")]
async fn remove_group_members(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<GroupMembers>,
) -> Result<MembersRemoved> {
    remove(&core, &caller, conversation(&id)?, body.people()?).await
}

/// Removes somebody.
#[utoipa::path(delete, path = "/groups/{id}/members/{member}")]
async fn remove_group_member(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path((id, member)): Path<(String, String)>,
) -> Result<MembersRemoved> {
    remove(&core, &caller, conversation(&id)?, vec![identity("userId", &member)?]).await
}

async fn remove(
    core: &Core,
    caller: &crate::auth::Caller,
    group: ConversationSid,
    people: Vec<crate::auth::Identity>,
) -> Result<MembersRemoved> {
    core.remove_group_members(caller, group, people.clone()).await?;
    let out = MembersRemoved { id: group, removed: people };
    Ok(Reply::done("Members removed successfully", out))
}

/// Blocks somebody.
#[utoipa::path(post, path = "/users/{id}/block")]
async fn block(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<BlockOut> {
    let who = identity("userId", &id)?;
    core.block(&caller, &who).await?;
    Ok(Reply::done("User blocked successfully", BlockOut { id: who, is_blocked: true }))
}

/// Ends a block.
#[utoipa::path(delete, path = "/users/{id}/block")]
async fn unblock(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<BlockOut> {
    let who = identity("userId", &id)?;
    core.unblock(&caller, &who).await?;
    Ok(Reply::done("User unblocked successfully", BlockOut { id: who, is_blocked: false }))
}

/// Signs somebody out everywhere: tokens of before no longer hold. For admins and the app's back end.
#[utoipa::path(
    delete, path = "/users/{id}/sessions",
    security(("token" = []), ("key" = [])),
)]
async fn sign_out(
    State(core): State<Core>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Result<SignedOut> {
    let who = identity("userId", &id)?;
    let at = core.sign_out(&caller, &who).await?;
    Ok(Reply::done("User signed out successfully", SignedOut { id: who, signed_out_at: timestamp(at) }))
}

#[derive(Serialize, ToSchema)]
struct Blocked {
    users: Vec<BlockedOut>,
    pagination: Pagination,
}

/// Lists whom the caller blocks.
#[utoipa::path(get, path = "/users/blocked", params(PageQuery))]
async fn blocked(
    State(core): State<Core>,
    Auth(caller): Auth,
    Query(query): Query<PageQuery>,
) -> Result<Blocked> {
    let part = query.part(OTHERS)?;
    let page = core.blocked_by(&caller, part).await?;
    let users = page.items.iter().map(|(peer, blocked)| BlockedOut::of(peer, blocked)).collect();
    Ok(Reply::ok(Blocked { users, pagination: Pagination::of(part, page.total) }))
}

/// Describes the caller.
#[utoipa::path(get, path = "/users/me")]
async fn own_profile(State(core): State<Core>, Auth(caller): Auth) -> Result<OwnProfile> {
    let peer = core.peer(caller.person()?).await?;
    Ok(Reply::ok(OwnProfile::of(&peer)))
}

/// Changes what the caller tells of themselves.
#[utoipa::path(put, path = "/users/me")]
async fn edit_own_profile(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<EditProfile>,
) -> Result<OwnProfile> {
    core.edit_profile(&caller, body.try_into()?).await?;
    let peer = core.peer(caller.person()?).await?;
    Ok(Reply::done("Profile updated successfully", OwnProfile::of(&peer)))
}

fn conversation(id: &str) -> std::result::Result<ConversationSid, core::Error> {
    parse_id("conversationId", id)
}
