//! The other side of Twilio: phones, SDK clients and carriers, and the controls of the mock itself.
//!
//! `/_mock/…` takes and answers JSON and asks for no credentials. A request that makes no sense is answered 400 with
//! `{"error": …}`, what is not there 404.

use axum::Router;
use axum::extract::{FromRequest, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::mock::error::Refusal;
use crate::mock::event::Origin;
use crate::mock::exchange::json_response;
use crate::mock::faults::Fault;
use crate::mock::resources::binding::channel_of;
use crate::mock::resources::media::NewMedia;
use crate::mock::resources::messages::{self, NewMessage};
use crate::mock::resources::receipts::{self, DeliveryStatus};
use crate::mock::resources::users;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, State, Tenant};

/// `/_mock/…` and `/healthz`.
pub(crate) fn router() -> Router<State> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/_mock/inbound-sms", post(inbound_sms))
        .route("/_mock/sdk-message", post(sdk_message))
        .route("/_mock/user-online", post(user_online))
        .route("/_mock/delivery", post(delivery))
        .route("/_mock/skip-indexes", post(skip_indexes))
        .route("/_mock/journal", get(journal))
        .route("/_mock/faults", get(list_faults).post(add_faults).delete(clear_faults))
        .route("/_mock/clock", get(read_clock).post(set_clock))
        .route("/_mock/reset", post(reset))
}

/// Why a control was not obeyed.
struct Problem {
    status: StatusCode,
    body: Value,
}

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, body: json!({ "error": text.into() }) }
    }

    fn not_found(text: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, body: json!({ "error": refusal.message, "code": refusal.code }) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        json_response(self.status.as_u16(), &self.body)
    }
}

/// JSON in, refused in the mock's own way.
struct Body<T>(T);

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

type Reply = Result<Response, Problem>;

async fn healthz() -> Response {
    json_response(200, &json!({ "status": "ok" }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InboundSms {
    from: String,
    /// The number written to; the account's own when left out.
    to: Option<String>,
    body: Option<String>,
    #[serde(default)]
    media: Vec<File>,
}

/// A file somebody sends along.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    content_type: String,
    filename: Option<String>,
    /// The bytes.
    base64: String,
}

impl File {
    fn decode(self, author: &str) -> Result<NewMedia, Problem> {
        let bytes = STANDARD
            .decode(self.base64)
            .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, format!("media: {cause}")))?;
        Ok(NewMedia {
            content_type: self.content_type,
            filename: self.filename,
            category: "media".to_owned(),
            author: author.to_owned(),
            bytes: bytes.into(),
        })
    }
}

/// A message as it comes from outside, before its files are stored.
struct Incoming {
    author: String,
    body: Option<String>,
    attributes: Option<String>,
    files: Vec<File>,
}

fn write(tenant: &mut Tenant, place: Place, origin: &Origin, incoming: Incoming) -> Reply {
    tenant.conversation(place)?.still_open()?;
    let files: Vec<NewMedia> = incoming
        .files
        .into_iter()
        .map(|file| file.decode(&incoming.author))
        .collect::<Result<_, Problem>>()?;
    let service = tenant.service_mut(place.service_sid)?;
    let media = files.into_iter().map(|file| service.add_media(file, origin.now)).collect();
    let new = NewMessage {
        author: incoming.author,
        body: incoming.body.filter(|body| !body.is_empty()),
        attributes: incoming.attributes,
        media,
        ..NewMessage::default()
    };
    let index = messages::add(tenant, place, origin, new)?;
    let message_sid = tenant.conversation(place)?.messages.get(&index).map(|message| message.sid);
    Ok(json_response(
        200,
        &json!({ "conversation_sid": place.conversation_sid, "message_sid": message_sid, "index": index }),
    ))
}

/// Someone writes to one of the account's numbers. The message goes to the conversation that has the pair of numbers.
async fn inbound_sms(Shared(state): Shared<State>, Body(sms): Body<InboundSms>) -> Reply {
    let channel = channel_of(&sms.from).to_owned();
    let to = sms.to.unwrap_or_else(|| match channel.as_str() {
        "sms" => state.options().phone_number.clone(),
        other => format!("{other}:{}", state.options().phone_number),
    });
    let origin = Origin::channel(state.clock().now(), &channel);
    state.change(&state.first_tenant(), |tenant| {
        let place = tenant.bindings.get(&(sms.from.clone(), to)).copied().ok_or_else(|| {
            Problem::not_found("no conversation that is not closed has this pair of numbers")
        })?;
        let incoming = Incoming { author: sms.from, body: sms.body, attributes: None, files: sms.media };
        write(tenant, place, &origin, incoming)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SdkMessage {
    conversation_sid: String,
    identity: String,
    body: Option<String>,
    /// JSON, or a text that holds JSON.
    attributes: Option<Value>,
    #[serde(default)]
    media: Vec<File>,
}

/// A participant writes through one of Twilio's SDKs.
async fn sdk_message(Shared(state): Shared<State>, Body(message): Body<SdkMessage>) -> Reply {
    let origin = Origin::sdk(state.clock().now(), &message.identity);
    let attributes = match message.attributes {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Some(text),
            Err(cause) => return Err(Problem::new(StatusCode::BAD_REQUEST, format!("attributes: {cause}"))),
        },
        Some(json @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            Some(json.to_string())
        }
    };
    state.change(&state.first_tenant(), |tenant| {
        let place = place_of(tenant, &message.conversation_sid)?;
        if !tenant.conversation(place)?.identities.contains_key(&message.identity) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the identity is no participant of the conversation",
            ));
        }
        let incoming =
            Incoming { author: message.identity, body: message.body, attributes, files: message.media };
        write(tenant, place, &origin, incoming)
    })
}

fn place_of(tenant: &Tenant, conversation_sid: &str) -> Result<Place, Problem> {
    Sid::parse(prefix::CONVERSATION, conversation_sid)
        .and_then(|sid| {
            let service =
                tenant.services.values().find(|service| service.conversations.contains_key(&sid))?;
            Some(Place { service_sid: service.sid, conversation_sid: sid })
        })
        .ok_or_else(|| Problem::not_found("no such conversation"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserOnline {
    identity: String,
    online: bool,
}

/// A client on one of Twilio's SDKs connects or goes.
async fn user_online(Shared(state): Shared<State>, Body(user): Body<UserOnline>) -> Reply {
    let origin = Origin::sdk(state.clock().now(), &user.identity);
    state.change(&state.first_tenant(), |tenant| {
        let service_sid = tenant.default_service_sid;
        users::come_or_go(tenant, service_sid, &origin, &user.identity, user.online)?;
        Ok(json_response(200, &json!({ "identity": user.identity, "is_online": user.online })))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    conversation_sid: String,
    message_sid: String,
    participant_sid: String,
    status: DeliveryStatus,
    error_code: Option<u32>,
}

/// A carrier reports how far a message got.
async fn delivery(Shared(state): Shared<State>, Body(progress): Body<Progress>) -> Reply {
    let message_sid = Sid::parse(prefix::MESSAGE, &progress.message_sid);
    let participant_sid = Sid::parse(prefix::PARTICIPANT, &progress.participant_sid);
    let (Some(message_sid), Some(participant_sid)) = (message_sid, participant_sid) else {
        return Err(Problem::not_found("no such message or participant"));
    };
    let now = state.clock().now();
    state.change(&state.first_tenant(), |tenant| {
        let place = place_of(tenant, &progress.conversation_sid)?;
        let conversation = tenant.conversation(place)?;
        let channel = conversation.participants.get(participant_sid).map_or("sms", |found| found.channel());
        let origin = Origin::channel(now, channel);
        let delivery =
            receipts::Delivery { participant_sid, status: progress.status, error_code: progress.error_code };
        receipts::progress(tenant, &origin, place, message_sid, &delivery)?;
        Ok(json_response(200, &json!({ "status": "ok" })))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipIndexes {
    conversation_sid: String,
    /// How many indexes no message will ever have.
    count: u32,
}

/// The next messages of a conversation leave a gap behind the last one, as Twilio's indexes may.
async fn skip_indexes(Shared(state): Shared<State>, Body(skip): Body<SkipIndexes>) -> Reply {
    state.change(&state.first_tenant(), |tenant| {
        let place = place_of(tenant, &skip.conversation_sid)?;
        let conversation = tenant.conversation_mut(place)?;
        conversation.next_index += u64::from(skip.count);
        Ok(json_response(200, &json!({ "next_index": conversation.next_index })))
    })
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

/// What was asked and told after the ids `since`.
async fn journal(
    Shared(state): Shared<State>,
    since: Result<Query<Since>, axum::extract::rejection::QueryRejection>,
) -> Reply {
    let Query(Since { since }) =
        since.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let journal = state.journal();
    Ok(json_response(
        200,
        &json!({
            "requests": journal.requests(since),
            "webhooks": journal.webhooks(since),
            "webhooks_waiting": state.webhooks().waiting(),
            "webhooks_failed": journal.webhook_failures(),
        }),
    ))
}

async fn list_faults(Shared(state): Shared<State>) -> Response {
    json_response(200, &json!({ "faults": state.faults().waiting() }))
}

/// One fault or a list of them.
async fn add_faults(Shared(state): Shared<State>, Body(faults): Body<Value>) -> Reply {
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
    for fault in faults {
        state.faults().add(fault);
    }
    Ok(list_faults(Shared(state)).await)
}

async fn clear_faults(Shared(state): Shared<State>) -> StatusCode {
    state.faults().clear();
    StatusCode::NO_CONTENT
}

/// One change of the clock.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SetClock {
    AdvanceMs(u64),
    Freeze(DateTime<Utc>),
    Reset(bool),
}

async fn read_clock(Shared(state): Shared<State>) -> Response {
    json_response(200, &json!({ "now": state.clock().now() }))
}

/// `{"advance_ms":60000}`, `{"freeze":"2026-01-01T00:00:00Z"}` or `{"reset":true}`. Timers that are due end at once.
async fn set_clock(Shared(state): Shared<State>, Body(change): Body<SetClock>) -> Response {
    match change {
        SetClock::AdvanceMs(millis) => state.clock().advance(std::time::Duration::from_millis(millis)),
        SetClock::Freeze(at) => state.clock().freeze(at),
        SetClock::Reset(false) => {}
        SetClock::Reset(true) => state.clock().reset(),
    }
    state.end_timers();
    read_clock(Shared(state)).await
}

async fn reset(Shared(state): Shared<State>) -> StatusCode {
    state.reset();
    StatusCode::NO_CONTENT
}
