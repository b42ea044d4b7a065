//! What goes over the wire, by the document's names, and how it becomes what `core` takes and gives.
//!
//! Lengths are checked here, so that nothing reaches `core` that Twilio would refuse for its size.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::{Identity, InvalidIdentity};
use crate::core::{
    About, BODY_BYTES, ConversationSid, DeliverySummary, Draft, Error, Extras, ListedDirect, MEDIA_LINKS,
    MediaLinks, Message, MessageSid, Profile,
};
use crate::dialects::openapi;

/// Characters of one attachment's link.
const LINK_CHARACTERS: usize = 2_048;
/// Characters of the app's own id of a product, an offer or a send.
const ID_CHARACTERS: usize = 128;

/// `2025-11-18T14:13:30.161000`: UTC, as it is not said.
fn naive(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// `2025-11-18T14:13:30.161Z`.
fn in_utc(time: DateTime<Utc>) -> String {
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
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// An identity in `field`, if there is one.
pub(super) fn identity(field: &'static str, id: Option<IdIn>) -> Result<Option<Identity>, Error> {
    let parse = |id: IdIn| id.into_text().parse();
    id.map(parse).transpose().map_err(|problem: InvalidIdentity| Error::invalid(field, problem.to_string()))
}

/// `POST /send/` and the frame `chat_message`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChatMessage {
    sender_id: Option<IdIn>,
    #[schema(value_type = IdIn)]
    receiver_id: Option<IdIn>,
    text: Option<String>,
    #[schema(max_items = 10)]
    attachments: Option<Vec<String>>,
    product_id: Option<IdIn>,
    offer_id: Option<IdIn>,
    #[schema(min_length = 1, max_length = 128)]
    client_message_id: Option<String>,
}

/// A message that was sent: by whom, to whom, as far as that was said, and what.
pub(super) struct Said {
    pub(super) sender: Option<Identity>,
    pub(super) receiver: Option<Identity>,
    pub(super) draft: Draft,
}

impl ChatMessage {
    /// What was said. `idempotency_key`: of the header, where there is no `clientMessageId`.
    pub(super) fn into_said(self, idempotency_key: Option<String>) -> Result<Said, Error> {
        let sender = identity("senderId", self.sender_id)?;
        let receiver = identity("receiverId", self.receiver_id)?;
        let body = self.text.filter(|text| !text.trim().is_empty());
        if body.as_ref().is_some_and(|body| body.len() > BODY_BYTES) {
            return Err(Error::invalid("text", "must be at most 32 KiB"));
        }
        let media = self.attachments.unwrap_or_default();
        if body.is_none() && media.is_empty() {
            return Err(Error::invalid("text", "is missing: a message needs a text or attachments"));
        }
        if media.len() > MEDIA_LINKS {
            return Err(Error::invalid("attachments", "must be at most 10 links"));
        }
        media.iter().try_for_each(|link| check_link(link))?;
        let about = About {
            product_id: own_id("productId", self.product_id)?,
            offer_id: own_id("offerId", self.offer_id)?,
        };
        let client_message_id =
            own_id("clientMessageId", self.client_message_id.or(idempotency_key).map(IdIn::Text))?;
        Ok(Said {
            sender,
            receiver,
            draft: Draft { body, media, client_message_id, about, ..Draft::default() },
        })
    }
}

fn own_id(field: &'static str, id: Option<IdIn>) -> Result<Option<String>, Error> {
    let Some(id) = id.map(IdIn::into_text) else { return Ok(None) };
    if id.is_empty() || id.chars().count() > ID_CHARACTERS || id.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must be 1 to 128 characters"));
    }
    Ok(Some(id))
}

fn check_link(link: &str) -> Result<(), Error> {
    let is_web =
        url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_web {
        return Err(Error::invalid("attachments", "must be http or https links"));
    }
    if link.chars().count() > LINK_CHARACTERS {
        return Err(Error::invalid("attachments", "must be links of at most 2048 characters"));
    }
    Ok(())
}

/// `error` by this document's names of fields.
pub(super) fn renamed(error: Error) -> Error {
    let Error::Invalid { field, problem } = error else { return error };
    let field = match field {
        "media" => "attachments",
        "body" => "text",
        field => field,
    };
    Error::Invalid { field, problem }
}

/// Who wrote a message, as its reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sender {
    Me,
    Other,
}

impl Sender {
    /// As `reader` sees `author`.
    pub(super) fn seen_by(reader: Option<&Identity>, author: &str) -> Self {
        if reader.is_some_and(|reader| reader.as_str() == author) { Self::Me } else { Self::Other }
    }
}

/// A message, over REST and in frames.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageOut {
    id: MessageSid,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Sender>,
    timestamp: String,
    attachments: Vec<String>,
    sender_id: String,
    receiver_id: Option<Identity>,
    conversation_id: ConversationSid,
    product_id: Option<String>,
    offer_id: Option<String>,
    created_at: String,
    /// How it fares with phones, if any got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliverySummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<String>,
    /// What its sender should know although it is sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl MessageOut {
    /// `message`, written to `receiver`, as one reader sees it; no `sender` for who sent it just now.
    pub(super) fn of(
        message: &Message,
        sender: Option<Sender>,
        receiver: Option<Identity>,
        links: &MediaLinks,
    ) -> Self {
        let extras = Extras::of(message);
        let is_theirs = sender == Some(Sender::Other);
        let not_fetched = extras.not_fetched.iter().filter(|_| !is_theirs);
        let warnings =
            not_fetched.map(|place| format!("attachments[{place}] could not be fetched and stays a link"));
        Self {
            id: message.sid,
            text: extras.said(message).unwrap_or_default().to_owned(),
            sender,
            timestamp: naive(message.date_created),
            attachments: links.of_message(message, &extras),
            sender_id: message.author.clone(),
            receiver_id: receiver,
            conversation_id: message.conversation_sid,
            product_id: extras.about.product_id,
            offer_id: extras.about.offer_id,
            created_at: in_utc(message.date_created),
            delivery: message.delivery.filter(|delivery| delivery.total > 0),
            warnings: warnings.collect(),
            client_message_id: extras.client_message_id,
        }
    }
}

/// What `POST /send/` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageSent {
    message: InConversation,
}

#[derive(Debug, Serialize, ToSchema)]
struct InConversation {
    #[serde(flatten)]
    message: MessageOut,
    /// The document's text calls it so.
    #[serde(rename = "conversation_id")]
    also_conversation_id: ConversationSid,
}

impl MessageSent {
    pub(super) fn of(message: &Message, receiver: Identity, links: &MediaLinks) -> Self {
        let also_conversation_id = message.conversation_sid;
        let message = MessageOut::of(message, None, Some(receiver), links);
        Self { message: InConversation { message, also_conversation_id } }
    }
}

/// A conversation in the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationOut {
    id: ConversationSid,
    conversation_id: ConversationSid,
    other_user: OtherUser,
    last_message: String,
    last_message_at: Option<String>,
    unread_count: String,
    product_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OtherUser {
    id: Identity,
    username: String,
    profile_image: Option<Arc<str>>,
}

impl From<ListedDirect> for ConversationOut {
    fn from(direct: ListedDirect) -> Self {
        let (listed, profile) = (direct.listed, direct.profile.as_deref());
        let last = listed.last_message.as_deref();
        let text = last.and_then(|last| Extras::of(last).said(last).map(str::to_owned));
        Self {
            id: listed.conversation.sid,
            conversation_id: listed.conversation.sid,
            other_user: OtherUser {
                username: profile.map_or(direct.other.as_str(), Profile::name).to_owned(),
                profile_image: profile.and_then(|profile| profile.avatar.clone()),
                id: direct.other,
            },
            last_message: text.unwrap_or_default(),
            last_message_at: last.map(|last| naive(last.date_created)),
            unread_count: listed.unread_count.unwrap_or(0).to_string(),
            product_id: direct.product_id,
        }
    }
}

/// How much is unread.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnreadStatus {
    has_unread: bool,
    unread_count: String,
    unread_conversations: usize,
}

impl UnreadStatus {
    pub(super) fn of(directs: &[ListedDirect]) -> Self {
        let counts = || directs.iter().filter_map(|direct| direct.listed.unread_count);
        let unread: u64 = counts().map(u64::from).sum();
        Self {
            has_unread: unread > 0,
            unread_count: unread.to_string(),
            unread_conversations: counts().filter(|count| *count > 0).count(),
        }
    }
}

/// Where a page stands among the others.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pagination {
    pub(super) current_page: usize,
    pub(super) total_pages: usize,
    pub(super) total_items: usize,
}
