//! What goes over the wire, by the document's names, and how it becomes what `core` takes and gives.
//!
//! `…In` is written by clients, `…Out` by us; several are both over REST and over sockets. Lengths are checked here, so
//! that nothing reaches `core` that Twilio would refuse for its size.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::Identity;
use crate::core::{
    BODY_BYTES, Conversation, ConversationEdit, ConversationState, DeliverySummary, Draft, Error, Extras,
    ListedConversation, MEDIA_LINKS, MediaLinks, Member, Message, MessageSid, NewGroup, NewParticipant,
    OnlineUser, Participant, check_picture,
};
use crate::dialects::openapi;

/// Characters of a conversation's name.
const FRIENDLY_NAME_CHARACTERS: usize = 256;
/// Characters of a person's name.
const NAME_CHARACTERS: usize = 256;
/// Characters of one link to media.
const LINK_CHARACTERS: usize = 2_048;
/// Characters of a client's own message id.
const CLIENT_MESSAGE_ID_CHARACTERS: usize = 128;
/// Participants of one creation: what Twilio allows in one conversation.
const PARTICIPANTS_AT_MOST: usize = 1_000;

/// `2025-12-17T10:30:00.000Z`.
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An id that apps send as text or as a number.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "must be a string or a number")]
pub(super) enum IdIn {
    Text(String),
    Number(serde_json::Number),
}

impl PartialSchema for IdIn {
    fn schema() -> RefOr<Schema> {
        openapi::text_or_number().into()
    }
}

impl ToSchema for IdIn {}

impl IdIn {
    /// As an identity; mistakes name `field`.
    pub(super) fn identity(&self, field: &'static str) -> Result<Identity, Error> {
        let parsed = match self {
            Self::Text(text) => text.parse(),
            Self::Number(number) => number.to_string().parse(),
        };
        parsed.map_err(|problem: crate::auth::InvalidIdentity| Error::invalid(field, problem.to_string()))
    }
}

/// A required identity.
pub(super) fn required(field: &'static str, id: Option<&IdIn>) -> Result<Identity, Error> {
    id.ok_or_else(|| Error::invalid(field, "is missing"))?.identity(field)
}

/// An identity that may be missing.
pub(super) fn optional(field: &'static str, id: Option<&IdIn>) -> Result<Option<Identity>, Error> {
    id.map(|id| id.identity(field)).transpose()
}

/// `POST /generate-token`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct GenerateToken {
    #[schema(value_type = IdIn)]
    pub(super) user_id: Option<IdIn>,
}

/// `POST /create`, `POST /newconversation`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct CreateConversation {
    friendly_name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Vec<ParticipantIn>, required, min_items = 1, max_items = 1000)]
    participants: Vec<Value>,
}

impl CreateConversation {
    /// What was sent as `participants`, for the echo: with pictures that came as base64 replaced by their links.
    pub(super) fn echo(mut sent: Vec<Value>, people: &[NewParticipant], links: &MediaLinks) -> Vec<Value> {
        for participant in &mut sent {
            let identity = participant_in(participant).ok().map(|person| person.identity);
            let stored = people.iter().find(|person| Some(&person.identity) == identity.as_ref());
            if let (Some(image), Some(link)) =
                (participant.get_mut("image"), stored.and_then(|p| p.image.as_ref()))
            {
                *image = json!(links.shown(link));
            }
        }
        sent
    }

    /// The group to make, and `participants` as they were sent.
    pub(super) fn into_group(self) -> Result<(NewGroup, Vec<Value>), Error> {
        if self.participants.is_empty() {
            return Err(Error::invalid("participants", "must be a list of at least one participant"));
        }
        if self.participants.len() > PARTICIPANTS_AT_MOST {
            return Err(Error::invalid("participants", "must be at most 1000"));
        }
        let mut people: Vec<NewParticipant> = Vec::with_capacity(self.participants.len());
        for participant in &self.participants {
            let person = participant_in(participant)?;
            if people.iter().all(|already| already.identity != person.identity) {
                people.push(person);
            }
        }
        let given = self.friendly_name.filter(|name| !name.trim().is_empty());
        let friendly_name = cut(&given.unwrap_or_else(|| default_name(&people)), FRIENDLY_NAME_CHARACTERS);
        Ok((NewGroup { friendly_name, participants: people }, self.participants))
    }
}

/// `{id}_{name}_` joined by `+`.
fn default_name(people: &[NewParticipant]) -> String {
    let parts: Vec<_> = people
        .iter()
        .map(|person| format!("{}_{}_", person.identity, person.name.as_deref().unwrap_or_default()))
        .collect();
    parts.join("+")
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// A participant as apps write one.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be {id, name, image} or an id")]
enum ParticipantIn {
    Object { id: IdIn, name: Option<String>, image: Option<String> },
    Plain(String),
}

fn participant_in(value: &Value) -> Result<NewParticipant, Error> {
    let parsed = ParticipantIn::deserialize(value);
    let (id, name, image) =
        match parsed.map_err(|_| Error::invalid("participants", "must be {id, name, image} or ids"))? {
            ParticipantIn::Object { id, name, image } => (id, name, image),
            ParticipantIn::Plain(id) => (IdIn::Text(id), None, None),
        };
    let name = name.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARACTERS) {
        return Err(Error::invalid("name", "must be at most 256 characters"));
    }
    let image = image.filter(|image| !image.is_empty());
    if let Some(image) = &image {
        check_picture("image", image)?;
    }
    Ok(NewParticipant { identity: id.identity("id")?, name, image })
}

/// What `POST /create` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConversationCreated {
    pub(super) success: bool,
    pub(super) conversation_sid: String,
    pub(super) friendly_name: String,
    pub(super) participants: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) existing: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<Vec<MessageOut>>,
}

/// A conversation in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConversationOut {
    sid: String,
    friendly_name: String,
    date_created: String,
    date_updated: String,
    last_message: Option<MessageOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread_count: Option<u32>,
}

impl ConversationOut {
    pub(super) fn listed(listed: &ListedConversation, links: &MediaLinks) -> Self {
        let conversation = &listed.conversation;
        Self {
            sid: conversation.sid.to_string(),
            friendly_name: conversation.friendly_name.clone().unwrap_or_default(),
            date_created: timestamp(conversation.date_created),
            date_updated: timestamp(conversation.date_updated),
            last_message: listed.last_message.as_deref().map(|message| MessageOut::of(message, links)),
            unread_count: listed.unread_count,
        }
    }
}

/// A message, over REST and over sockets.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct MessageOut {
    sid: String,
    body: String,
    author: String,
    date_created: String,
    #[serde(rename = "dateCreated")]
    also_date_created: String,
    media: Vec<String>,
    media_urls: Vec<String>,
    index: i64,
    /// How it fares with phones, if any got it, in Twilio's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliverySummary>,
    #[serde(rename = "clientMessageId", skip_serializing_if = "Option::is_none")]
    client_message_id: Option<String>,
}

impl MessageOut {
    pub(super) fn of(message: &Message, links: &MediaLinks) -> Self {
        let extras = Extras::of(message);
        let media_urls = links.of_message(message, &extras);
        let media = if extras.media.is_empty() {
            message.media.iter().map(|media| media.sid.to_string()).collect()
        } else {
            media_urls.clone()
        };
        let date = timestamp(message.date_created);
        Self {
            sid: message.sid.to_string(),
            body: extras.said(message).unwrap_or_default().to_owned(),
            author: message.author.clone(),
            also_date_created: date.clone(),
            date_created: date,
            media,
            media_urls,
            index: message.index,
            delivery: message.delivery.filter(|delivery| delivery.total > 0),
            client_message_id: extras.client_message_id,
        }
    }
}

/// `POST /:sid/send-message` and the event `send_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct SendMessage {
    #[schema(value_type = IdIn)]
    pub(super) author: Option<IdIn>,
    body: Option<String>,
    #[serde(default)]
    #[schema(max_items = 10)]
    media: Option<Vec<String>>,
    #[serde(rename = "clientMessageId", alias = "client_message_id")]
    #[schema(min_length = 1, max_length = 128)]
    client_message_id: Option<String>,
}

impl SendMessage {
    /// Who sends it, and what. `idempotency_key`: of the header, where there is no `clientMessageId`.
    pub(super) fn into_draft(self, idempotency_key: Option<String>) -> Result<(Identity, Draft), Error> {
        let author = required("author", self.author.as_ref())?;
        let body = self.body.filter(|body| !body.trim().is_empty());
        if body.as_ref().is_some_and(|body| body.len() > BODY_BYTES) {
            return Err(Error::invalid("body", "must be at most 32 KiB"));
        }
        let media = self.media.unwrap_or_default();
        if body.is_none() && media.is_empty() {
            return Err(Error::invalid("body", "is missing: a message needs a body or media"));
        }
        if media.len() > MEDIA_LINKS {
            return Err(Error::invalid("media", "must be at most 10 links"));
        }
        media.iter().try_for_each(|link| check_link(link))?;
        let client_message_id = self.client_message_id.or(idempotency_key);
        if let Some(id) = &client_message_id
            && (id.is_empty()
                || id.chars().count() > CLIENT_MESSAGE_ID_CHARACTERS
                || id.chars().any(char::is_control))
        {
            return Err(Error::invalid("clientMessageId", "must be 1 to 128 characters"));
        }
        Ok((author, Draft { body, media, client_message_id, ..Draft::default() }))
    }
}

fn check_link(link: &str) -> Result<(), Error> {
    let is_web =
        url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_web {
        return Err(Error::invalid("media", "must be http or https links"));
    }
    if link.chars().count() > LINK_CHARACTERS {
        return Err(Error::invalid("media", "links must be at most 2048 characters"));
    }
    Ok(())
}

/// What `POST /:sid/send-message` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageSent {
    success: bool,
    message_sid: String,
    #[serde(flatten)]
    message: MessageOut,
    /// What the sender should know although the message is sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl MessageSent {
    pub(super) fn of(message: &Message, links: &MediaLinks) -> Self {
        let warnings = warnings(message);
        let message_sid = message.sid.to_string();
        Self { success: true, message_sid, message: MessageOut::of(message, links), warnings }
    }
}

/// What the sender of `message` should know although it is sent.
pub(super) fn warnings(message: &Message) -> Vec<String> {
    let places = Extras::of(message).not_fetched.into_iter();
    places.map(|place| format!("media[{place}] could not be fetched and stays a link")).collect()
}

/// `PATCH /:sid/messages/:messageSid`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct EditMessage {
    #[schema(value_type = String, min_length = 1)]
    body: Option<String>,
}

impl EditMessage {
    pub(super) fn into_body(self) -> Result<String, Error> {
        let body = self.body.filter(|body| !body.trim().is_empty());
        let body = body.ok_or_else(|| Error::invalid("body", "is missing"))?;
        if body.len() > BODY_BYTES {
            return Err(Error::invalid("body", "must be at most 32 KiB"));
        }
        Ok(body)
    }
}

/// `POST /:sid/read`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct MarkRead {
    pub(super) identity: Option<IdIn>,
    pub(super) index: Option<i64>,
}

/// `PATCH /:sid`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct EditConversation {
    #[schema(max_length = 256)]
    friendly_name: Option<String>,
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
}

impl TryFrom<EditConversation> for ConversationEdit {
    type Error = Error;

    fn try_from(edit: EditConversation) -> Result<Self, Error> {
        if edit.friendly_name.is_none() && edit.attributes.is_none() {
            return Err(Error::invalid(
                "friendly_name",
                "or attributes must be there: nothing else can be changed",
            ));
        }
        if edit.friendly_name.as_ref().is_some_and(|name| name.chars().count() > FRIENDLY_NAME_CHARACTERS) {
            return Err(Error::invalid("friendly_name", "must be at most 256 characters"));
        }
        Ok(Self { friendly_name: edit.friendly_name, attributes: edit.attributes })
    }
}

/// A conversation by itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConversationDetail {
    sid: String,
    friendly_name: String,
    #[schema(value_type = Object)]
    attributes: Value,
    state: &'static str,
    date_created: String,
    date_updated: String,
}

impl From<&Conversation> for ConversationDetail {
    fn from(conversation: &Conversation) -> Self {
        Self {
            sid: conversation.sid.to_string(),
            friendly_name: conversation.friendly_name.clone().unwrap_or_default(),
            attributes: theirs(&conversation.attributes),
            state: state(conversation.state),
            date_created: timestamp(conversation.date_created),
            date_updated: timestamp(conversation.date_updated),
        }
    }
}

/// Attributes as the app wrote them, without ours.
pub(super) fn theirs(attributes: &str) -> Value {
    let mut value: Value = serde_json::from_str(attributes).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.remove("switchboard");
    }
    value
}

/// Twilio's word for a state.
pub(super) fn state(state: ConversationState) -> &'static str {
    match state {
        ConversationState::Initializing => "initializing",
        ConversationState::Active => "active",
        ConversationState::Inactive => "inactive",
        ConversationState::Closed => "closed",
    }
}

/// That something is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    pub(super) success: bool,
    pub(super) message: &'static str,
}

/// What `DELETE /:sid/messages/:messageSid` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageDeleted {
    pub(super) success: bool,
    pub(super) message_sid: MessageSid,
}

/// What `POST /:sid/read` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MarkedRead {
    pub(super) success: bool,
    pub(super) identity: Identity,
    pub(super) last_read_message_index: Option<i64>,
}

/// `POST /:sid/add-chat-participant`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct AddChatParticipant {
    #[schema(value_type = IdIn)]
    pub(super) identity: Option<IdIn>,
}

/// `POST /:sid/add-sms-participant`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct AddSmsParticipant {
    #[schema(value_type = String)]
    pub(super) phone_number: Option<String>,
}

/// A participant that was added or removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantChanged {
    success: bool,
    participant_sid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
}

impl From<&Participant> for ParticipantChanged {
    fn from(participant: &Participant) -> Self {
        Self {
            success: true,
            participant_sid: participant.sid.to_string(),
            identity: participant.identity.clone(),
            phone_number: phone_number(participant),
        }
    }
}

/// The address of a phone participant.
pub(super) fn phone_number(participant: &Participant) -> Option<String> {
    let address = participant.messaging_binding.as_ref().and_then(|binding| binding.address.clone());
    address.filter(|_| participant.identity.is_none())
}

/// A participant in `GET /:sid/participants`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantOut {
    participant_sid: String,
    identity: Option<String>,
    name: Option<String>,
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    online: bool,
    last_read_message_index: Option<i64>,
    date_created: String,
}

impl ParticipantOut {
    pub(super) fn of(member: Member, links: &MediaLinks) -> Self {
        let participant = &member.participant;
        Self {
            participant_sid: participant.sid.to_string(),
            identity: participant.identity.clone(),
            phone_number: phone_number(participant),
            online: member.online,
            last_read_message_index: participant.last_read_message_index,
            date_created: timestamp(participant.date_created),
            name: member.name,
            image: member.image.map(|image| links.shown(&image)),
        }
    }
}

/// Somebody in the room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnlineUserOut {
    user_id: Arc<str>,
    identity: Identity,
    last_seen: String,
}

impl From<OnlineUser> for OnlineUserOut {
    fn from(user: OnlineUser) -> Self {
        Self {
            user_id: user.user_id.unwrap_or_else(|| user.identity.as_str().into()),
            identity: user.identity,
            last_seen: timestamp(user.last_seen),
        }
    }
}
