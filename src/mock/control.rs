//! The mock's own controls, `/_mock/…`: accounts, faults, clock, switches, journal, snapshots.
//!
//! They take and answer JSON and ask for no credentials. Which account is meant is said by `?account=AC…` or by Basic
//! credentials; without either it is the first. A request that makes no sense is answered 400 with `{"error": …}`, what is
//! not there 404. People and carriers are in `other_side.rs`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::mock::account::{Account, NewAccount, NotOpened};
use crate::mock::error::Refusal;
use crate::mock::exchange::json_response;
use crate::mock::faults::Fault;
use crate::mock::login::basic;
use crate::mock::options::Switches;
use crate::mock::snapshot::{self, NotRestored};
use crate::mock::state::State;

/// Most bytes of a control's body: a whole state.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Entries of each kind in one answer of the journal, unless asked otherwise: all it keeps.
const JOURNAL_PAGE: usize = 10_000;

/// `/_mock/…` and `/healthz`.
pub(crate) fn router() -> Router<State> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/_mock/accounts", get(list_accounts).post(open_account))
        .route("/_mock/journal", get(journal))
        .route("/_mock/faults", get(list_faults).post(add_faults).delete(clear_faults))
        .route("/_mock/switches", get(read_switches).post(set_switches))
        .route("/_mock/clock", get(read_clock).post(set_clock))
        .route("/_mock/webhook-url", post(set_webhook_url))
        .route("/_mock/snapshot", post(take_snapshot))
        .route("/_mock/restore", post(restore))
        .route("/_mock/reset", post(reset))
        .merge(crate::mock::other_side::router())
        .merge(crate::mock::console::router())
        .layer(DefaultBodyLimit::max(MOST_BYTES))
}

/// Why a control was not obeyed.
pub(crate) struct Problem {
    status: StatusCode,
    body: Value,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, body: json!({ "error": text.into() }) }
    }

    pub(crate) fn not_found(text: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, body: json!({ "error": refusal.message, "code": refusal.code }) }
    }
}

impl From<NotOpened> for Problem {
    fn from(cause: NotOpened) -> Self {
        let status = match cause {
            NotOpened::Malformed(_) => StatusCode::BAD_REQUEST,
            NotOpened::Taken(_) | NotOpened::TooMany(_) => StatusCode::CONFLICT,
        };
        Self::new(status, cause.to_string())
    }
}

impl From<NotRestored> for Problem {
    fn from(cause: NotRestored) -> Self {
        match cause {
            NotRestored::Account(cause) => cause.into(),
            NotRestored::Malformed(_) | NotRestored::Version(_) | NotRestored::NotOne(_) => {
                Self::new(StatusCode::BAD_REQUEST, cause.to_string())
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        json_response(self.status.as_u16(), &self.body)
    }
}

/// What a control answers.
pub(crate) type Reply = Result<Response, Problem>;

/// JSON in, refused in the mock's own way.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<State> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, cause.to_string()))?;
        Ok(Self(value))
    }
}

/// A query, refused in the mock's own way.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<State> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))
    }
}

/// The account a control is about, and whether it was named.
pub(crate) struct On {
    pub(crate) account: Arc<Account>,
    named: bool,
}

impl FromRequestParts<State> for On {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Named {
            account: Option<String>,
        }
        let Asked(Named { account }) = Asked::from_request_parts(parts, state).await?;
        let username = account
            .or_else(|| parts.headers.get(AUTHORIZATION).and_then(basic).map(|(username, _)| username));
        let Some(username) = username else {
            return Ok(Self { account: state.first().clone(), named: false });
        };
        let account = state.account(&username).ok_or_else(|| Problem::not_found("no such account"))?;
        Ok(Self { account, named: true })
    }
}

async fn healthz() -> Response {
    json_response(200, &json!({ "status": "ok" }))
}

async fn list_accounts(Shared(state): Shared<State>) -> Response {
    let accounts: Vec<_> = state.accounts().iter().map(|account| json!(account.credentials())).collect();
    json_response(200, &json!({ "accounts": accounts }))
}

/// `{"webhook_url":"http://…"}`, or `{}`: another account, with its credentials.
async fn open_account(Shared(state): Shared<State>, Body(new): Body<NewAccount>) -> Reply {
    let account = state.open_account(&new)?;
    Ok(json_response(201, &json!(account.credentials())))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
    /// Where to go on with the webhooks; `since` when left out.
    webhooks_since: Option<u64>,
    limit: Option<usize>,
}

/// What was asked and told after the ids `since` and `webhooks_since`, at most `limit` of each.
async fn journal(On { account, .. }: On, Asked(asked): Asked<Since>) -> Response {
    let journal = account.journal();
    let limit = asked.limit.unwrap_or(JOURNAL_PAGE);
    let requests = journal.requests_up_to(asked.since, limit);
    let webhooks = journal.webhooks_up_to(asked.webhooks_since.unwrap_or(asked.since), limit);
    json_response(
        200,
        &json!({
            "requests": requests,
            "webhooks": webhooks,
            "webhooks_waiting": account.webhooks().waiting(),
            "webhooks_failed": journal.webhook_failures(),
        }),
    )
}

async fn list_faults(on: On) -> Response {
    json_response(200, &json!({ "faults": on.account.faults().waiting() }))
}

/// One fault or a list of them.
async fn add_faults(on: On, Body(faults): Body<Value>) -> Reply {
    let faults = match faults {
        Value::Array(faults) => faults,
        one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            vec![one]
        }
    };
    let faults: Vec<Fault> = faults
        .into_iter()
        .map(serde_json::from_value)
        .collect::<Result<_, _>>()
        .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, cause.to_string()))?;
    if let Some(problem) = faults.iter().find_map(Fault::problem) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, problem));
    }
    for fault in faults {
        on.account.faults().add(fault);
    }
    Ok(list_faults(on).await)
}

async fn clear_faults(on: On) -> StatusCode {
    on.account.faults().clear();
    StatusCode::NO_CONTENT
}

async fn read_switches(on: On) -> Response {
    json_response(200, &json!(on.account.switches()))
}

/// Changes the switches that are named; the others stay.
async fn set_switches(on: On, Body(changes): Body<serde_json::Map<String, Value>>) -> Reply {
    let mut switches = json!(on.account.switches());
    for (name, value) in changes {
        switches[name] = value;
    }
    let switches: Switches = serde_json::from_value(switches)
        .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, cause.to_string()))?;
    on.account.set_switches(switches);
    Ok(read_switches(on).await)
}

/// One change of the clock.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SetClock {
    AdvanceMs(u64),
    Freeze(DateTime<Utc>),
    Reset(bool),
}

async fn read_clock(on: On) -> Response {
    json_response(200, &json!({ "now": on.account.clock().now() }))
}

/// `{"advance_ms":60000}`, `{"freeze":"2026-01-01T00:00:00Z"}` or `{"reset":true}`. Timers that are due end at once.
async fn set_clock(on: On, Body(change): Body<SetClock>) -> Response {
    let clock = on.account.clock();
    match change {
        SetClock::AdvanceMs(millis) => clock.advance(std::time::Duration::from_millis(millis)),
        SetClock::Freeze(at) => clock.freeze(at),
        SetClock::Reset(false) => {}
        SetClock::Reset(true) => clock.reset(),
    }
    on.account.touch();
    on.account.change(|_| ());
    read_clock(on).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookUrl {
    url: Option<String>,
}

/// `{"url":"http://…"}`: where post-webhooks of the whole account go from now on; nowhere with `null`.
async fn set_webhook_url(on: On, Body(WebhookUrl { url }): Body<WebhookUrl>) -> Reply {
    let url = url.map(|url| crate::mock::resources::configuration::webhook_url(&url)).transpose()?;
    on.account.set_webhook_url(url);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The named account as JSON, or all of them.
async fn take_snapshot(Shared(state): Shared<State>, on: On) -> Response {
    let accounts = if on.named { vec![on.account] } else { state.accounts() };
    ([(CONTENT_TYPE, "application/json; charset=utf-8")], snapshot::write(&accounts)).into_response()
}

/// A snapshot in the place of what is there: its accounts by their SIDs, or its one account into the named one.
async fn restore(Shared(state): Shared<State>, on: On, json: Bytes) -> Reply {
    if on.named {
        snapshot::restore_into(&on.account, &json)?;
    } else {
        snapshot::restore(&state, &json)?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn reset(on: On) -> StatusCode {
    on.account.reset();
    StatusCode::NO_CONTENT
}
