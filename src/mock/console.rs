//! The page at `/_mock`: what the mock keeps, was asked and told, for whoever watches it work.
//!
//! Its files are in `web/` and part of the binary. It shows `/_mock/page.json`, asked for every second; what one does on it
//! are the mock's controls (`control.rs`, `other_side.rs`). Secrets are not shown: the account may be a real one's.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mock::control::{Asked, On};
use crate::mock::exchange::json_response;
use crate::mock::phones;
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::participants::Participant;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{State, Tenant};
use crate::mock::view::View;

/// Nothing but its own files and this mock.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Most conversations in the list.
const MOST_CONVERSATIONS: usize = 50;

/// Most participants of each.
const MOST_PARTICIPANTS: usize = 50;

/// Most messages of the one that is looked at.
const MOST_MESSAGES: usize = 50;

/// Most requests and webhooks in one answer.
const MOST_ENTRIES: u64 = 100;

/// `/_mock` and the files of the page.
pub(crate) fn router() -> Router<State> {
    Router::new()
        .route("/_mock", get(async || file("text/html; charset=utf-8", include_str!("../../web/mock.html"))))
        .route(
            "/_mock/page.css",
            get(async || file("text/css; charset=utf-8", include_str!("../../web/mock.css"))),
        )
        .route(
            "/_mock/page.js",
            get(async || file("text/javascript; charset=utf-8", include_str!("../../web/mock.js"))),
        )
        .route("/_mock/page.json", get(overview))
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY)], text)
}

/// What the page looks at.
#[derive(Deserialize)]
struct Watched {
    conversation: Option<String>,
    phone: Option<String>,
    /// The last request seen; without it the latest are shown.
    requests_since: Option<u64>,
    /// The last webhook seen.
    webhooks_since: Option<u64>,
}

async fn overview(
    Shared(state): Shared<State>,
    On { account, .. }: On,
    headers: HeaderMap,
    Asked(watched): Asked<Watched>,
) -> Response {
    let (journal, now) = (account.journal(), account.clock().now());
    let (requests_noted, webhooks_noted) = journal.noted();
    let base = state.base_for(headers.get(HOST));
    let credentials = account.credentials();
    let accounts: Vec<String> =
        state.accounts().iter().map(|account| account.credentials().account_sid.clone()).collect();
    let mut page = json!({
        "account": {
            "account_sid": credentials.account_sid,
            "service_sid": credentials.service_sid,
            "phone_number": credentials.phone_number,
        },
        "accounts": accounts,
        "now": now,
        "faults": account.faults().waiting(),
        "requests": journal.requests_up_to(latest(watched.requests_since, requests_noted), usize::MAX),
        "requests_noted": requests_noted,
        "webhooks": journal.webhooks_up_to(latest(watched.webhooks_since, webhooks_noted), usize::MAX),
        "webhooks_noted": webhooks_noted,
        "webhooks_waiting": account.webhooks().waiting(),
    });
    account.look(|tenant| {
        let view = View::new(&base, tenant.account_sid, None);
        let count: usize = tenant.services.values().map(|service| service.conversations.len()).sum();
        page["conversation_count"] = count.into();
        page["conversations"] = newest(tenant).map(|found| summary(found, &view)).collect();
        page["conversation"] = watched
            .conversation
            .and_then(|text| Sid::parse(prefix::CONVERSATION, &text))
            .and_then(|sid| tenant.services.values().find_map(|service| service.conversations.get(&sid)))
            .map_or(Value::Null, |found| whole(tenant, found, &view));
        page["phones"] = tenant.phones.list().into();
        page["inbox"] = match &watched.phone {
            Some(number) => phones::inbox(tenant, number, &base, now).into(),
            None => Value::Array(Vec::new()),
        };
    });
    json_response(200, &page)
}

/// Where to begin, so that the latest entries fit into one answer.
fn latest(since: Option<u64>, noted: u64) -> u64 {
    since.unwrap_or(0).max(noted.saturating_sub(MOST_ENTRIES))
}

/// The conversations that something happened in last, service by service.
fn newest(tenant: &Tenant) -> impl Iterator<Item = &Conversation> {
    tenant
        .services
        .values()
        .flat_map(|service| {
            service.by_activity.values().rev().filter_map(|sid| service.conversations.get(sid))
        })
        .take(MOST_CONVERSATIONS)
}

fn summary(conversation: &Conversation, view: &View) -> Value {
    let mut body = conversation.body(view);
    body["participants"] =
        conversation.participants.values().take(MOST_PARTICIPANTS).map(participant).collect();
    body["messages"] = conversation.messages.len().into();
    body
}

fn participant(participant: &Participant) -> Value {
    let binding = participant.binding.as_ref();
    json!({
        "sid": participant.sid,
        "identity": participant.identity,
        "address": binding.and_then(|binding| binding.address.as_ref()),
        "proxy_address": binding.and_then(|binding| binding.proxy_address.as_ref()),
    })
}

fn whole(tenant: &Tenant, conversation: &Conversation, view: &View) -> Value {
    let newest = conversation.messages.values().rev().take(MOST_MESSAGES);
    let mut recent: Vec<Value> = newest.map(|message| message.body(view, tenant, conversation.sid)).collect();
    recent.reverse();
    let mut body = summary(conversation, view);
    body["recent"] = recent.into();
    body
}
