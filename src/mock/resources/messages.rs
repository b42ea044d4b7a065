//! Messages: indexed, by whoever the author is said to be, with media that is sent once.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-message-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Amendment, Event, Origin};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::form::{Form, check_attributes};
use crate::mock::page::{self, List, Order};
use crate::mock::phones;
use crate::mock::resources::binding::Binding;
use crate::mock::resources::content;
use crate::mock::resources::conversations::{Conversation, find};
use crate::mock::resources::media::Attachment;
use crate::mock::resources::receipts::{self, Receipt};
use crate::mock::resources::states::{ConversationState, enter_state, schedule};
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, Service, Tenant};
use crate::mock::table::Table;
use crate::mock::view::View;

/// Most bytes of a body.
const MOST_BODY_BYTES: usize = 32 * 1024;

/// Most characters of a body that goes to SMS or WhatsApp too.
const MOST_SMS_CHARACTERS: usize = 1600;

/// Most bytes of a message's attributes.
const MOST_ATTRIBUTES: usize = 4 * 1024;

const MOST_AUTHOR: usize = 256;

/// Most characters of the subject of an e-mail, which is taken and never shown again.
const MOST_SUBJECT: usize = 256;

/// One message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) sid: Sid,
    pub(crate) index: u64,
    /// How many messages there were in the conversation before it.
    pub(crate) ordinal: u64,
    pub(crate) author: String,
    pub(crate) body: Option<String>,
    pub(crate) media: Vec<Attachment>,
    pub(crate) attributes: String,
    pub(crate) participant_sid: Option<Sid>,
    pub(crate) content_sid: Option<String>,
    pub(crate) date_created: DateTime<Utc>,
    pub(crate) date_updated: DateTime<Utc>,
    /// One for every participant who is not on chat.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub(crate) receipts: Table<Receipt>,
}

impl Message {
    /// The resource as `view` sees it.
    pub(crate) fn body(&self, view: &View, tenant: &Tenant, conversation_sid: Sid) -> Value {
        let url = format!("{}/Conversations/{conversation_sid}/Messages/{}", view.root(), self.sid);
        let media: Vec<Value> = self.media.iter().map(Attachment::body).collect();
        view.scoped(json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "conversation_sid": conversation_sid,
            "index": self.index,
            "author": self.author,
            "body": self.body,
            "media": if media.is_empty() { Value::Null } else { Value::Array(media) },
            "attributes": self.attributes,
            "participant_sid": self.participant_sid,
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "delivery": receipts::summary(&self.receipts, tenant.switches.delivery_on_chat),
            "content_sid": self.content_sid,
            "links": {
                "delivery_receipts": format!("{url}/Receipts"),
                "channel_metadata": format!("{url}/ChannelMetadata"),
            },
            "url": url,
        }))
    }

    /// An event about the message.
    pub(crate) fn event(&self, kind: &'static str, conversation: &Conversation) -> Event {
        let media: Vec<Value> = self.media.iter().map(Attachment::webhook_body).collect();
        conversation
            .event(kind, self.body.as_deref())
            .with("MessagingServiceSid", &conversation.messaging_service_sid)
            .with("MessageSid", self.sid)
            .with("Index", self.index)
            .with_date("DateCreated", self.date_created)
            .with("Author", &self.author)
            .with_some("ParticipantSid", self.participant_sid)
            .with_some("Body", self.body.as_ref())
            .with("Attributes", &self.attributes)
            .with_some("Media", (!media.is_empty()).then_some(Value::Array(media)))
    }
}

/// A message as a pre-webhook is told of it before it is there.
fn proposal(conversation: &Conversation, service: &Service, new: &NewMessage) -> Event {
    let media: Vec<Value> = new
        .media
        .iter()
        .filter_map(|sid| service.media.get(sid))
        .map(|media| media.attachment().webhook_body())
        .collect();
    conversation
        .event("onMessageAdd", None)
        .with("Author", &new.author)
        .with_some("ParticipantSid", participant_of(conversation, &new.author))
        .with_some("Body", new.body.as_ref())
        .with("Attributes", new.attributes.as_deref().unwrap_or("{}"))
        .with_some("Media", (!media.is_empty()).then_some(Value::Array(media)))
}

/// What a pre-webhook may change of a message, checked as if the originator had sent it.
fn amended(conversation: &Conversation, amendment: &Amendment) -> Result<(), Refusal> {
    if let Some(body) = &amendment.body {
        if body.is_empty() {
            return Err(error::BODY_MISSING);
        }
        check_body(conversation, body)?;
    }
    if let Some(author) = &amendment.author {
        if author.chars().count() > MOST_AUTHOR {
            return Err(error::AUTHOR_TOO_LONG);
        }
        conversation.group_takes_message_of(author)?;
    }
    amendment.attributes.as_deref().map_or(Ok(()), |text| check_attributes(text, MOST_ATTRIBUTES))
}

/// A message to be added.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewMessage {
    pub(crate) author: String,
    pub(crate) body: Option<String>,
    pub(crate) attributes: Option<String>,
    pub(crate) media: Vec<Sid>,
    pub(crate) content_sid: Option<String>,
    pub(crate) date_created: Option<DateTime<Utc>>,
    pub(crate) date_updated: Option<DateTime<Utc>>,
}

impl NewMessage {
    fn read(form: &Form) -> Result<Self, Refusal> {
        let author = author(form)?.unwrap_or("system");
        let content_sid = content::read(form)?;
        check_subject(form)?;
        let media = match form.text("MediaSid")?.filter(|text| !text.is_empty()) {
            Some(text) => Some(Sid::parse(prefix::MEDIA, text).ok_or(error::MEDIA_SID_INVALID)?),
            None => None,
        };
        let (date_created, date_updated) = form.dates()?;
        let body = form.text("Body")?;
        // A content template takes the place of both body and media.
        let templated = content_sid.is_some();
        Ok(Self {
            author: author.to_owned(),
            body: body.filter(|body| !templated && !body.is_empty()).map(str::to_owned),
            attributes: form.attributes(MOST_ATTRIBUTES)?,
            media: media.into_iter().filter(|_| !templated).collect(),
            content_sid: content_sid.map(str::to_owned),
            date_created,
            date_updated,
        })
    }
}

fn author(form: &Form) -> Result<Option<&str>, Refusal> {
    Ok(form.text_up_to("Author", MOST_AUTHOR, error::AUTHOR_TOO_LONG)?.filter(|author| !author.is_empty()))
}

fn check_subject(form: &Form) -> Result<(), Refusal> {
    let too_long = Refusal::invalid_parameter("Subject", "is too long");
    form.text_up_to("Subject", MOST_SUBJECT, too_long).map(drop)
}

fn check_body(conversation: &Conversation, body: &str) -> Result<(), Refusal> {
    let too_long_for_sms = !conversation.non_chat.is_empty() && body.chars().count() > MOST_SMS_CHARACTERS;
    if body.len() > MOST_BODY_BYTES || too_long_for_sms { Err(error::BODY_TOO_LONG) } else { Ok(()) }
}

/// The participant whose identity or address the author is.
fn participant_of(conversation: &Conversation, author: &str) -> Option<Sid> {
    let by_address = || {
        conversation.non_chat.iter().chain(&conversation.projecting).copied().find(|sid| {
            let binding = conversation.participants.get(*sid).and_then(|found| found.binding.as_ref());
            binding.and_then(Binding::own_address) == Some(author)
        })
    };
    conversation.identities.get(author).copied().or_else(by_address)
}

/// The message a path names.
pub(crate) fn find_message(call: &Call, tenant: &Tenant) -> Result<(Place, u64), Refusal> {
    let place = find(call, tenant)?;
    let index = Sid::parse(prefix::MESSAGE, call.segment("message"))
        .and_then(|sid| tenant.conversation(place).ok()?.message_indexes.get(&sid).copied())
        .ok_or_else(|| call.not_found())?;
    Ok((place, index))
}

/// `GET …/Messages`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "messages", size: 50, most: 100, filters: &["Order"] };
    let conversation = tenant.conversation(find(call, tenant)?)?;
    let order = match call.query().lowercase("Order")?.as_deref() {
        None | Some("asc") => Order::Ascending,
        Some("desc") => Order::Descending,
        Some(_) => return Err(Refusal::invalid_parameter("Order", "is neither asc nor desc")),
    };
    let view = call.view(tenant);
    page::page(call, tenant, &LIST, &conversation.messages, order, |_, message| {
        Some(message.body(&view, tenant, conversation.sid))
    })
    .map(Answer::Ok)
}

/// `POST …/Messages`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let place = find(call, tenant)?;
    let new = NewMessage::read(call.form())?;
    let index = add(tenant, place, call.origin(), new)?;
    Ok(Answer::Created(shown(call, tenant, place, index)?))
}

fn shown(call: &Call, tenant: &Tenant, place: Place, index: u64) -> Result<Value, Refusal> {
    let message = tenant.conversation(place)?.messages.get(&index).ok_or_else(|| call.not_found())?;
    Ok(message.body(&call.view(tenant), tenant, place.conversation_sid))
}

/// Adds a message, wakes an inactive conversation, and tells of both. Returns the message's index.
pub(crate) fn add(
    tenant: &mut Tenant,
    place: Place,
    origin: &Origin,
    mut new: NewMessage,
) -> Result<u64, Refusal> {
    let service = tenant.service(place.service_sid)?;
    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    if conversation.state == ConversationState::Initializing {
        return Err(error::CONVERSATION_INITIALIZING);
    }
    conversation.group_takes_message_of(&new.author)?;
    match &new.body {
        Some(body) => check_body(conversation, body)?,
        None if new.media.is_empty() && new.content_sid.is_none() => return Err(error::BODY_MISSING),
        None => {}
    }
    for sid in &new.media {
        let media = service.media.get(sid).ok_or(error::MEDIA_NOT_FOUND)?;
        if media.attached_to.is_some() {
            return Err(error::MEDIA_ALREADY_SENT);
        }
    }
    let amendment =
        tenant.ask(origin, "onMessageAdd", service.sid, || proposal(conversation, service, &new))?;
    amended(conversation, &amendment)?;
    new.body = amendment.body.or(new.body);
    new.author = amendment.author.unwrap_or(new.author);
    new.attributes = amendment.attributes.or(new.attributes);
    let was_inactive = conversation.state == ConversationState::Inactive;

    let sid = Sid::random(prefix::MESSAGE);
    let service = tenant.service_mut(place.service_sid)?;
    let attachments = new.media.iter().filter_map(|media_sid| {
        let media = service.media.get_mut(media_sid)?;
        media.attached_to = Some((place.conversation_sid, sid));
        media.date_updated = origin.now;
        Some(media.attachment())
    });
    let attachments = attachments.collect();
    service.bump(place.conversation_sid);
    let conversation = tenant.conversation_mut(place)?;
    let index = conversation.next_index;
    let date_created = new.date_created.unwrap_or(origin.now);
    let participant_sid = participant_of(conversation, &new.author);
    let message = Message {
        sid,
        index,
        ordinal: conversation.next_ordinal,
        body: new.body,
        media: attachments,
        attributes: new.attributes.unwrap_or_else(|| "{}".to_owned()),
        participant_sid,
        author: new.author,
        content_sid: new.content_sid,
        date_created,
        date_updated: new.date_updated.unwrap_or(date_created),
        receipts: receipts::issue(conversation, participant_sid, origin.now),
    };
    let event = message.event("onMessageAdded", conversation);
    conversation.message_indexes.insert(sid, index);
    conversation.messages.insert(index, message);
    conversation.next_index += 1;
    conversation.next_ordinal += 1;
    conversation.timers.restart(origin.now);
    tenant.tell(origin, &event);
    phones::text(tenant, place, index);
    if was_inactive {
        enter_state(tenant, place, origin, ConversationState::Active, "EVENT")?;
    }
    schedule(tenant, place);
    Ok(index)
}

/// `GET …/Messages/{message}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, index) = find_message(call, tenant)?;
    Ok(Answer::Ok(shown(call, tenant, place, index)?))
}

/// `POST …/Messages/{message}`
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, index) = find_message(call, tenant)?;
    let form = call.form();
    let author = author(form)?.map(str::to_owned);
    let body = form.text("Body")?.map(str::to_owned);
    let attributes = form.attributes(MOST_ATTRIBUTES)?;
    let (date_created, date_updated) = form.dates()?;
    check_subject(form)?;

    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    if let Some(author) = &author {
        conversation.group_takes_message_of(author)?;
    }
    if let Some(body) = &body {
        check_body(conversation, body)?;
    }
    let message = conversation.messages.get(&index).ok_or_else(|| call.not_found())?;
    match &body {
        Some(_) if !message.media.is_empty() => return Err(error::MEDIA_MESSAGE_BODY_FIXED),
        Some(body) if body.is_empty() => return Err(error::BODY_MISSING),
        Some(_) | None => {}
    }
    let amendment = tenant.ask(call.origin(), "onMessageUpdate", place.service_sid, || {
        let proposed = Message {
            author: author.clone().unwrap_or_else(|| message.author.clone()),
            body: body.clone().or_else(|| message.body.clone()),
            attributes: attributes.clone().unwrap_or_else(|| message.attributes.clone()),
            date_updated: call.origin().now,
            ..message.clone()
        };
        proposed.event("onMessageUpdate", conversation).with_date("DateUpdated", proposed.date_updated)
    })?;
    amended(conversation, &amendment)?;
    if amendment.body.is_some() && !message.media.is_empty() {
        return Err(error::MEDIA_MESSAGE_BODY_FIXED);
    }
    let (author, body) = (amendment.author.or(author), amendment.body.or(body));
    let attributes = amendment.attributes.or(attributes);

    let index_used = tenant.switches.index_gaps;
    let conversation = tenant.conversation_mut(place)?;
    conversation.next_index += u64::from(index_used);
    let participant_sid = author.as_deref().map(|author| participant_of(conversation, author));
    let message = conversation.messages.get_mut(&index).ok_or_else(|| call.not_found())?;
    if body.is_some() {
        message.body = body;
    }
    if let (Some(author), Some(participant_sid)) = (author, participant_sid) {
        message.author = author;
        message.participant_sid = participant_sid;
    }
    if let Some(attributes) = attributes {
        message.attributes = attributes;
    }
    message.date_created = date_created.unwrap_or(message.date_created);
    message.date_updated = date_updated.unwrap_or(call.origin().now);
    let conversation = tenant.conversation(place)?;
    let message = conversation.messages.get(&index).ok_or_else(|| call.not_found())?;
    let event =
        message.event("onMessageUpdated", conversation).with_date("DateUpdated", message.date_updated);
    tenant.tell(call.origin(), &event);
    Ok(Answer::Ok(shown(call, tenant, place, index)?))
}

/// `DELETE …/Messages/{message}`. Later messages keep their indexes.
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, index) = find_message(call, tenant)?;
    let now = call.origin().now;
    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    let message = conversation.messages.get(&index).ok_or_else(|| call.not_found())?;
    tenant.ask(call.origin(), "onMessageRemove", place.service_sid, || {
        message.event("onMessageRemove", conversation).with_date("DateUpdated", message.date_updated)
    })?;
    let index_used = tenant.switches.index_gaps;
    let conversation = tenant.conversation_mut(place)?;
    conversation.next_index += u64::from(index_used);
    let message = conversation.messages.remove(&index).ok_or_else(|| call.not_found())?;
    conversation.message_indexes.remove(&message.sid);
    conversation.last_deleted = conversation.last_deleted.max(Some(message.ordinal));
    let event = message
        .event("onMessageRemoved", conversation)
        .with_date("DateUpdated", now)
        .with_date("DateRemoved", now);
    tenant.tell(call.origin(), &event);
    Ok(Answer::Deleted)
}

/// `GET …/Messages/{message}/ChannelMetadata`: no message of the mock has any.
pub(crate) fn channel_metadata(call: &Call, tenant: &mut Tenant) -> Outcome {
    find_message(call, tenant)?;
    Err(error::NO_CHANNEL_METADATA)
}
