//! The other side of Twilio: phones, SDK clients and carriers.
//!
//! How these controls are spoken to is in `control.rs`. SDK clients have no typing here, since REST and webhooks never
//! tell of it.

use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mock::account::Account;
use crate::mock::control::{Body, On, Problem, Reply};
use crate::mock::error;
use crate::mock::event::Origin;
use crate::mock::exchange::{self, Operation, json_response};
use crate::mock::form::Form;
use crate::mock::inbound::{self, Arrived, Inbound};
use crate::mock::phones;
use crate::mock::resources::binding::channel_of;
use crate::mock::resources::bindings::{self, NewDeviceBinding};
use crate::mock::resources::media::NewMedia;
use crate::mock::resources::messages::{self, NewMessage};
use crate::mock::resources::receipts::{self, DeliveryStatus};
use crate::mock::resources::{participants, users};
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, State, Tenant};

/// What people and carriers do.
pub(crate) fn router() -> Router<State> {
    Router::new()
        .route("/_mock/inbound-sms", post(inbound_sms))
        .route("/_mock/phones", get(list_phones))
        .route("/_mock/phones/{number}", get(phone))
        .route("/_mock/phones/{number}/reply", post(reply))
        .route("/_mock/sdk-message", post(sdk_message))
        .route("/_mock/sdk-edit", post(sdk_edit))
        .route("/_mock/sdk-delete", post(sdk_delete))
        .route("/_mock/sdk-read", post(sdk_read))
        .route("/_mock/user-online", post(user_online))
        .route("/_mock/bindings", post(register_device))
        .route("/_mock/delivery", post(delivery))
        .route("/_mock/skip-indexes", post(skip_indexes))
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

fn decode(files: Vec<File>, author: &str) -> Result<Vec<NewMedia>, Problem> {
    let decode = |file: File| {
        let bytes = STANDARD
            .decode(file.base64)
            .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, format!("media: {cause}")))?;
        Ok(NewMedia {
            content_type: file.content_type,
            filename: file.filename,
            category: "media".to_owned(),
            author: author.to_owned(),
            bytes: bytes.into(),
        })
    };
    files.into_iter().map(decode).collect()
}

fn arrived(Arrived { place, message_sid, index }: Arrived) -> Response {
    let body =
        json!({ "conversation_sid": place.conversation_sid, "message_sid": message_sid, "index": index });
    json_response(200, &body)
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

/// Someone writes to one of the account's numbers.
async fn inbound_sms(on: On, Body(sms): Body<InboundSms>) -> Reply {
    let to = sms.to.unwrap_or_else(|| own_number(&on.account, &sms.from));
    let files = decode(sms.media, &sms.from)?;
    inbound::arrive(&on.account, Inbound { from: sms.from, to, body: sms.body, files }).await.map(arrived)
}

/// The account's number on the channel of `address`.
fn own_number(account: &Account, address: &str) -> String {
    let number = &account.credentials().phone_number;
    match channel_of(address) {
        "sms" => number.clone(),
        channel => format!("{channel}:{number}"),
    }
}

/// The phones that texts went to or came from.
async fn list_phones(on: On) -> Response {
    json_response(200, &json!({ "phones": on.account.look(|tenant| tenant.phones.list()) }))
}

/// What is on a phone, oldest first: what Twilio would have texted to it, and what it wrote.
async fn phone(
    Shared(state): Shared<State>,
    on: On,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Response {
    let base = state.base_for(headers.get(HOST));
    let now = on.account.clock().now();
    let texts = on.account.look(|tenant| phones::inbox(tenant, &number, &base, now));
    json_response(200, &json!({ "number": number, "texts": texts }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneReply {
    /// Whom to write to; whoever wrote last when left out.
    to: Option<String>,
    body: Option<String>,
    #[serde(default)]
    media: Vec<File>,
}

/// The phone writes back.
async fn reply(on: On, Path(number): Path<String>, Body(reply): Body<PhoneReply>) -> Reply {
    let last = || on.account.look(|tenant| tenant.phones.last_correspondent(&number).map(str::to_owned));
    let to = reply.to.or_else(last).unwrap_or_else(|| own_number(&on.account, &number));
    let files = decode(reply.media, &number)?;
    inbound::arrive(&on.account, Inbound { from: number, to, body: reply.body, files }).await.map(arrived)
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

fn attributes_text(attributes: Option<Value>) -> Result<Option<String>, Problem> {
    match attributes {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Ok(Some(text)),
            Err(cause) => Err(Problem::new(StatusCode::BAD_REQUEST, format!("attributes: {cause}"))),
        },
        Some(json @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            Ok(Some(json.to_string()))
        }
    }
}

/// A participant writes through one of Twilio's SDKs.
async fn sdk_message(On { account, .. }: On, Body(message): Body<SdkMessage>) -> Reply {
    let mut origin = Origin::sdk(account.clock().now(), &message.identity);
    let attributes = attributes_text(message.attributes)?;
    let files = decode(message.media, &message.identity)?;
    let place =
        account.look(|tenant| place_of_participant(tenant, &message.conversation_sid, &message.identity))?;
    account.look(|tenant| tenant.conversation(place)?.still_open())?;
    let media = inbound::store(&account, place.service_sid, files)?;
    let body = message.body.filter(|body| !body.is_empty());
    let new = NewMessage { author: message.identity, body, attributes, media, ..NewMessage::default() };
    inbound::add(&account, &mut origin, place, new).await.map(arrived)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SdkEdit {
    conversation_sid: String,
    message_sid: String,
    identity: String,
    body: Option<String>,
    attributes: Option<Value>,
}

/// A participant edits a message: their own, or any if their role allows it.
async fn sdk_edit(On { account, .. }: On, Body(edit): Body<SdkEdit>) -> Reply {
    let attributes = attributes_text(edit.attributes)?;
    let form = [("Body", edit.body), ("Attributes", attributes)];
    let permissions = ["editOwnMessage", "editAnyMessage"];
    account
        .look(|tenant| may(tenant, &edit.conversation_sid, &edit.message_sid, &edit.identity, permissions))?;
    let segments = [("conversation", edit.conversation_sid), ("message", edit.message_sid)];
    Ok(as_sdk(&account, &edit.identity, segments, form, messages::update).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SdkDelete {
    conversation_sid: String,
    message_sid: String,
    identity: String,
}

/// A participant deletes a message: their own, or any if their role allows it.
async fn sdk_delete(On { account, .. }: On, Body(delete): Body<SdkDelete>) -> Reply {
    let permissions = ["deleteOwnMessage", "deleteAnyMessage"];
    account.look(|tenant| {
        may(tenant, &delete.conversation_sid, &delete.message_sid, &delete.identity, permissions)
    })?;
    let segments = [("conversation", delete.conversation_sid), ("message", delete.message_sid)];
    Ok(as_sdk(&account, &delete.identity, segments, [], messages::delete).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SdkRead {
    conversation_sid: String,
    identity: String,
    /// `null` marks everything unread.
    last_read_message_index: Option<u64>,
}

/// A participant has read up to a message.
async fn sdk_read(On { account, .. }: On, Body(read): Body<SdkRead>) -> Reply {
    account.look(|tenant| place_of_participant(tenant, &read.conversation_sid, &read.identity))?;
    let index = read.last_read_message_index.map_or("null".to_owned(), |index| index.to_string());
    let segments = [("conversation", read.conversation_sid), ("participant", read.identity.clone())];
    let form = [("LastReadMessageIndex", Some(index))];
    Ok(as_sdk(&account, &read.identity, segments, form, participants::update).await)
}

/// Runs one of REST's operations as the SDK client of `identity`.
async fn as_sdk<const S: usize, const F: usize>(
    account: &std::sync::Arc<Account>,
    identity: &str,
    segments: [(&str, String); S],
    form: [(&str, Option<String>); F],
    operation: Operation,
) -> Response {
    account.touch();
    let origin = Origin::sdk(account.clock().now(), identity);
    let segments = segments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let form = form.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let outcome = exchange::from_inside(account, segments, Form::of(form), origin, operation).await;
    match outcome {
        Ok(answer) => answer.into_response(),
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}

/// Whether the participant may do this to the message; of `permissions` the first is for their own, the second for any.
fn may(
    tenant: &Tenant,
    conversation_sid: &str,
    message_sid: &str,
    identity: &str,
    [own, any]: [&str; 2],
) -> Result<(), Problem> {
    let place = place_of_participant(tenant, conversation_sid, identity)?;
    let (service, conversation) = (tenant.service(place.service_sid)?, tenant.conversation(place)?);
    let message = Sid::parse(prefix::MESSAGE, message_sid)
        .and_then(|sid| conversation.messages.get(conversation.message_indexes.get(&sid)?))
        .ok_or_else(|| Problem::not_found("no such message"))?;
    let role = conversation
        .identities
        .get(identity)
        .and_then(|sid| service.roles.get(conversation.participants.get(*sid)?.role_sid?));
    let permitted = |permission| role.is_some_and(|role| role.permits(permission));
    if permitted(any) || (message.author == identity && permitted(own)) {
        Ok(())
    } else {
        Err(error::NOT_AUTHORIZED.into())
    }
}

/// The conversation, of which the identity is a participant.
fn place_of_participant(tenant: &Tenant, conversation_sid: &str, identity: &str) -> Result<Place, Problem> {
    let place = place_of(tenant, conversation_sid)?;
    if tenant.conversation(place)?.identities.contains_key(identity) {
        Ok(place)
    } else {
        Err(Problem::new(StatusCode::FORBIDDEN, "the identity is no participant of the conversation"))
    }
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
async fn user_online(On { account, .. }: On, Body(user): Body<UserOnline>) -> Reply {
    account.touch();
    let origin = Origin::sdk(account.clock().now(), &user.identity);
    account.change(|tenant| {
        let service_sid = tenant.default_service_sid;
        users::come_or_go(tenant, service_sid, &origin, &user.identity, user.online)?;
        Ok(json_response(200, &json!({ "identity": user.identity, "is_online": user.online })))
    })
}

/// A device registers for push notifications.
async fn register_device(
    Shared(state): Shared<State>,
    On { account, .. }: On,
    headers: HeaderMap,
    Body(device): Body<NewDeviceBinding>,
) -> Reply {
    account.touch();
    let origin = Origin::sdk(account.clock().now(), device.identity());
    let base = state.base_for(headers.get(HOST));
    account.change(|tenant| Ok(json_response(201, &bindings::register(tenant, &base, &origin, device)?)))
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
async fn delivery(On { account, .. }: On, Body(progress): Body<Progress>) -> Reply {
    let message_sid = Sid::parse(prefix::MESSAGE, &progress.message_sid);
    let participant_sid = Sid::parse(prefix::PARTICIPANT, &progress.participant_sid);
    let (Some(message_sid), Some(participant_sid)) = (message_sid, participant_sid) else {
        return Err(Problem::not_found("no such message or participant"));
    };
    account.touch();
    let now = account.clock().now();
    account.change(|tenant| {
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
async fn skip_indexes(On { account, .. }: On, Body(skip): Body<SkipIndexes>) -> Reply {
    account.touch();
    account.change(|tenant| {
        let place = place_of(tenant, &skip.conversation_sid)?;
        let conversation = tenant.conversation_mut(place)?;
        conversation.next_index = conversation.next_index.saturating_add(u64::from(skip.count));
        Ok(json_response(200, &json!({ "next_index": conversation.next_index })))
    })
}
