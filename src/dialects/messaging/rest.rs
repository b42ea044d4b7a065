//! The REST routes, in the document's order and then the additive ones. Every handler only connects.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch, post};
use serde::Serialize;
use serde_json::{Value, json};

use super::envelope::{Auth, Json, Path, Query, Reply, Result};
use super::queries::{
    AskedSuggestions, CONTACTS, OTHERS, PageQuery, Pagination, SuggestionsFor, SuggestionsQuery,
};
use super::shapes::conversations::{ConversationOut, CreateConversation, EditSettings, SettingsChanged};
use super::shapes::groups::{CreateGroup, GroupMemberOut, GroupMembers, GroupOut};
use super::shapes::identity;
use super::shapes::messages::{MessageOut, SendMessage};
use super::shapes::people::{BlockedOut, ContactOut, EditProfile, OwnProfile, SuggestionOut, UserDetail};
use crate::core::{self, ConversationSid, Core, parse_id};
use crate::dialects::Services;

/// The routes.
pub(super) fn routes(services: Services) -> Router {
    let routes = Router::new()
        .route("/users/suggestions", get(suggestions))
        .route("/messages", post(create_conversation))
        .route("/messages/{id}", get(conversation_detail))
        .route("/groups", post(create_group))
        .route("/users/{id}", get(user_detail))
        .route("/users/contacts", get(contacts))
        // Additive.
        .route("/messages/{id}/messages", get(messages).post(send_message))
        .route("/messages/{id}/settings", patch(edit_settings))
        .route("/messages/{id}/read", post(mark_read))
        .route("/groups/{id}", get(group))
        .route(
            "/groups/{id}/members",
            get(group_members).post(add_group_members).delete(remove_group_members),
        )
        .route("/groups/{id}/members/{member}", axum::routing::delete(remove_group_member))
        .route("/users/{id}/block", post(block).delete(unblock))
        .route("/users/blocked", get(blocked))
        .route("/users/me", get(own_profile).put(edit_own_profile));
    routes.clone().merge(Router::new().nest("/api", routes)).with_state(services)
}

#[derive(Serialize)]
struct Suggestions {
    suggestions: Vec<SuggestionOut>,
    pagination: Pagination,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
}

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

async fn conversation_detail(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<ConversationOut> {
    let detail = core.detail(&caller, conversation(&id)?).await?;
    Ok(Reply::ok(ConversationOut::read(&detail, caller.person()?)))
}

async fn create_group(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<CreateGroup>,
) -> Result<GroupOut> {
    let group = core.start_group(&caller, body.try_into()?).await?;
    Ok(Reply::created("Group created successfully", GroupOut::of(&group, caller.person()?)))
}

async fn user_detail(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
) -> Result<UserDetail> {
    let known = core.acquaintance(&caller, &identity("userId", &id)?).await?;
    Ok(Reply::ok((&known).into()))
}

#[derive(Serialize)]
struct Contacts {
    contacts: Vec<ContactOut>,
    pagination: Pagination,
}

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

#[derive(Serialize)]
struct Messages {
    messages: Vec<MessageOut>,
    pagination: Pagination,
}

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

async fn send_message(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<SendMessage>,
) -> Result<MessageOut> {
    let sent = core.send_message(&caller, caller.person()?, conversation(&id)?, body.try_into()?).await?;
    Ok(Reply::created("Message sent successfully", MessageOut::of(&sent, core.media_links())))
}

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

async fn mark_read(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<Value> {
    let conversation = conversation(&id)?;
    core.ensure_member(&caller, conversation).await?;
    let index = core.mark_read(&caller, caller.person()?, conversation, None).await?;
    let out = json!({ "id": conversation, "lastReadIndex": index });
    Ok(Reply::done("Conversation marked as read successfully", out))
}

async fn group(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<GroupOut> {
    let group = core.group(&caller, conversation(&id)?).await?;
    Ok(Reply::ok(GroupOut::of(&group, caller.person()?)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    members: Vec<GroupMemberOut>,
    member_count: usize,
}

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

async fn add_group_members(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<GroupMembers>,
) -> Result<GroupOut> {
    let group = core.add_group_members(&caller, conversation(&id)?, body.people()?).await?;
    Ok(Reply::done("Members added successfully", GroupOut::of(&group, caller.person()?)))
}

async fn remove_group_members(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path(id): Path<String>,
    Json(body): Json<GroupMembers>,
) -> Result<Value> {
    remove(&core, &caller, conversation(&id)?, body.people()?).await
}

async fn remove_group_member(
    State(core): State<Core>,
    Auth(caller): Auth,
    Path((id, member)): Path<(String, String)>,
) -> Result<Value> {
    remove(&core, &caller, conversation(&id)?, vec![identity("userId", &member)?]).await
}

async fn remove(
    core: &Core,
    caller: &crate::auth::Caller,
    group: ConversationSid,
    people: Vec<crate::auth::Identity>,
) -> Result<Value> {
    let out = json!({ "id": group, "removed": people });
    core.remove_group_members(caller, group, people).await?;
    Ok(Reply::done("Members removed successfully", out))
}

async fn block(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<Value> {
    let who = identity("userId", &id)?;
    core.block(&caller, &who).await?;
    Ok(Reply::done("User blocked successfully", json!({ "id": who, "isBlocked": true })))
}

async fn unblock(State(core): State<Core>, Auth(caller): Auth, Path(id): Path<String>) -> Result<Value> {
    let who = identity("userId", &id)?;
    core.unblock(&caller, &who).await?;
    Ok(Reply::done("User unblocked successfully", json!({ "id": who, "isBlocked": false })))
}

#[derive(Serialize)]
struct Blocked {
    users: Vec<BlockedOut>,
    pagination: Pagination,
}

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

async fn own_profile(State(core): State<Core>, Auth(caller): Auth) -> Result<OwnProfile> {
    let peer = core.peer(caller.person()?).await?;
    Ok(Reply::ok(OwnProfile::of(&peer)))
}

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
