//! What goes over the wire, by the document's names, and how it becomes what `core` takes and gives.
//!
//! What clients send is read field by field, so that each mistake names its field. Lengths are checked here, so that nothing
//! reaches `core` that Twilio would refuse for its size.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::auth::Identity;
use crate::core::{
    BODY_BYTES, ConversationSid, Error, Extras, IssuedCode, ListedSupport, MEDIA_LINKS, MediaLinks, MediaSid,
    Message, MessageSid, MessageType, NewCode, NewSupportMessage, Owner, Priority, Sender, SupportChanges,
    SupportConversation, SupportDetails, SupportMessages, SupportPerson, SupportStatus, Topic, Upload,
    parse_id,
};

/// Characters of a subject.
const SUBJECT_CHARACTERS: usize = 256;
/// Bytes of what an app says of a device.
const DEVICE_INFO_BYTES: usize = 4 * 1024;
/// Characters of a client's own message id.
const CLIENT_MESSAGE_ID_CHARACTERS: usize = 128;
/// Characters of one attachment's link.
const LINK_CHARACTERS: usize = 2_048;
/// Digits of a code.
const CODE_DIGITS: usize = 6;
/// Of one page, when the client names no number, and at most.
const LIMIT: u32 = 50;
const LIMIT_AT_MOST: u32 = 100;

/// `2025-12-10T10:00:00.000Z`.
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A JSON object that a client sent. `null` counts as absent, but where it says something of its own.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    fn given(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        let Some(value) = self.given(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| Error::invalid(field, "must be a string"))
    }

    fn required(&self, field: &'static str) -> Result<&str, Error> {
        self.text(field)?.ok_or_else(|| Error::invalid(field, "is missing"))
    }

    fn identity(&self, field: &'static str) -> Result<Option<Identity>, Error> {
        self.text(field)?.map(|text| identity(field, text)).transpose()
    }

    /// `conversationId`.
    pub(super) fn conversation(&self) -> Result<ConversationSid, Error> {
        parse_id("conversationId", self.required("conversationId")?)
    }

    /// `messageId`.
    pub(super) fn message_id(&self) -> Result<MessageSid, Error> {
        parse_id("messageId", self.required("messageId")?)
    }

    /// `type`.
    pub(super) fn topic(&self) -> Result<Topic, Error> {
        topic(self.text("type")?).map(Option::unwrap_or_default)
    }

    /// `subject`.
    pub(super) fn subject(&self) -> Result<Option<String>, Error> {
        let subject = self.text("subject")?.map(str::trim).filter(|subject| !subject.is_empty());
        if subject.is_some_and(|subject| subject.chars().count() > SUBJECT_CHARACTERS) {
            return Err(Error::invalid("subject", "must be at most 256 characters"));
        }
        Ok(subject.map(str::to_owned))
    }

    /// `guestId`, as it was sent: a wrong one is answered with a new one.
    pub(super) fn guest_id(&self) -> Result<Option<&str>, Error> {
        self.text("guestId")
    }

    /// `message:send`.
    pub(super) fn new_message(&self) -> Result<NewSupportMessage, Error> {
        let mut attachments = self.attachments()?;
        let mut text =
            if attachments.is_empty() { Some(self.required("message")?) } else { self.text("message")? };
        if attachments.is_empty() && text.is_some_and(|text| text.trim().is_empty()) {
            return Err(Error::invalid("message", "must not be blank"));
        }
        text = text.filter(|text| !text.trim().is_empty());
        if text.is_some_and(|text| text.len() > BODY_BYTES) {
            return Err(Error::invalid("message", "must be at most 32 KiB"));
        }
        let message_type = self.text("messageType")?;
        let message_type = message_type.map(|word| MessageType::parse("messageType", word)).transpose()?;
        let otherwise = if attachments.is_empty() { MessageType::Text } else { MessageType::File };
        let message_type = message_type.unwrap_or(otherwise);
        // Who knows the document only has no other place for a file's link than its text.
        if message_type == MessageType::File && attachments.is_empty() {
            attachments.extend(text.take_if(|text| is_link(text)).map(str::to_owned));
        }
        let client_message_id = self.text("clientMessageId")?;
        if client_message_id.is_some_and(|id| {
            id.is_empty()
                || id.chars().count() > CLIENT_MESSAGE_ID_CHARACTERS
                || id.chars().any(char::is_control)
        }) {
            return Err(Error::invalid("clientMessageId", "must be 1 to 128 characters"));
        }
        Ok(NewSupportMessage {
            text: text.map(str::to_owned),
            attachments,
            message_type,
            client_message_id: client_message_id.map(str::to_owned),
        })
    }

    /// `attachments`.
    fn attachments(&self) -> Result<Vec<String>, Error> {
        let Some(given) = self.given("attachments") else { return Ok(Vec::new()) };
        let problem = || Error::invalid("attachments", "must be a list of http or https links");
        let links = given.as_array().ok_or_else(problem)?;
        if links.len() > MEDIA_LINKS {
            return Err(Error::invalid("attachments", "must be at most 10 links"));
        }
        let link = |value: &Value| value.as_str().filter(|link| is_link(link)).map(str::to_owned);
        links.iter().map(link).collect::<Option<_>>().ok_or_else(problem)
    }

    /// `PATCH /conversation/:id`.
    pub(super) fn changes(&self) -> Result<SupportChanges, Error> {
        let status = self.text("status")?.map(|word| SupportStatus::parse("status", word)).transpose()?;
        let priority = self.text("priority")?.map(|word| Priority::parse("priority", word)).transpose()?;
        let admin = match self.0.get("adminId") {
            Some(Value::Null) => Some(None),
            Some(_) => self.identity("adminId")?.map(Some),
            None => None,
        };
        if status.is_none() && priority.is_none() && admin.is_none() {
            return Err(Error::invalid(
                "status",
                "or priority or adminId must be there: nothing else can be changed",
            ));
        }
        Ok(SupportChanges { status, priority, admin })
    }

    /// `userId`, else `guestId`.
    pub(super) fn owner(&self) -> Result<Option<Owner>, Error> {
        let (user, guest) = (self.identity("userId")?, self.identity("guestId")?);
        Ok(user.map(Owner::User).or(guest.map(Owner::Guest)))
    }

    /// `POST /onboarding/generate-code`.
    pub(super) fn new_code(&self) -> Result<NewCode, Error> {
        let conversation = self.text("conversationId")?;
        let conversation = conversation.map(|id| parse_id("conversationId", id)).transpose()?;
        let device_info = self.text("deviceInfo")?;
        if device_info.is_some_and(|info| info.len() > DEVICE_INFO_BYTES) {
            return Err(Error::invalid("deviceInfo", "must be at most 4 KiB"));
        }
        if device_info.is_some_and(|info| serde_json::from_str::<Value>(info).is_err()) {
            return Err(Error::invalid("deviceInfo", "must be JSON"));
        }
        Ok(NewCode { owner: self.owner()?, conversation, device_info: device_info.map(str::to_owned) })
    }

    /// `code`: six digits, around which people leave spaces.
    pub(super) fn code(&self) -> Result<&str, Error> {
        let code = self.required("code")?.trim();
        if code.len() != CODE_DIGITS || !code.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Error::invalid("code", "must be 6 digits"));
        }
        Ok(code)
    }
}

/// Whether `text` is a link to a file, and nothing else.
fn is_link(text: &str) -> bool {
    let is_web =
        url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    is_web && text.chars().count() <= LINK_CHARACTERS && !text.contains(char::is_whitespace)
}

fn identity(field: &'static str, text: &str) -> Result<Identity, Error> {
    text.parse().map_err(|problem: crate::auth::InvalidIdentity| Error::invalid(field, problem.to_string()))
}

fn topic(word: Option<&str>) -> Result<Option<Topic>, Error> {
    word.map(|word| Topic::parse("type", word)).transpose()
}

/// `?type=`.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct TopicQuery {
    #[serde(rename = "type")]
    #[param(inline, value_type = Option<Topic>)]
    topic: Option<String>,
}

impl TopicQuery {
    pub(super) fn topic(&self) -> Result<Topic, Error> {
        topic(self.topic.as_deref()).map(Option::unwrap_or_default)
    }
}

/// `?page=&limit=`.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct PageQuery {
    #[param(value_type = Option<usize>, minimum = 1)]
    page: Option<String>,
    #[param(value_type = Option<usize>, minimum = 1)]
    limit: Option<String>,
}

impl PageQuery {
    /// Page, from 1, and messages of one.
    pub(super) fn page(&self) -> Result<(u32, u32), Error> {
        page(self.page.as_deref(), self.limit.as_deref())
    }
}

/// `?status=&type=&page=&limit=`.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ListQuery {
    #[param(inline, value_type = Option<SupportStatus>)]
    status: Option<String>,
    #[serde(rename = "type")]
    #[param(inline, value_type = Option<Topic>)]
    topic: Option<String>,
    #[param(value_type = Option<usize>, minimum = 1)]
    page: Option<String>,
    #[param(value_type = Option<usize>, minimum = 1)]
    limit: Option<String>,
}

impl ListQuery {
    pub(super) fn status(&self) -> Result<Option<SupportStatus>, Error> {
        self.status.as_deref().map(|word| SupportStatus::parse("status", word)).transpose()
    }

    pub(super) fn topic(&self) -> Result<Option<Topic>, Error> {
        topic(self.topic.as_deref())
    }

    /// Page, from 1, and conversations of one.
    pub(super) fn page(&self) -> Result<(u32, u32), Error> {
        page(self.page.as_deref(), self.limit.as_deref())
    }
}

fn page(page: Option<&str>, limit: Option<&str>) -> Result<(u32, u32), Error> {
    let number = |field: &'static str, text: Option<&str>, otherwise: u32| match text {
        None => Ok(otherwise),
        Some(text) => match text.parse::<u32>() {
            Ok(number) if number > 0 => Ok(number),
            Ok(_) | Err(_) => Err(Error::invalid(field, "must be a whole number from 1")),
        },
    };
    let page = number("page", page, 1)?;
    let limit = number("limit", limit, LIMIT)?;
    Ok((page, limit.min(LIMIT_AT_MOST)))
}

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationOut {
    id: Uuid,
    user_id: Option<Identity>,
    guest_id: Option<Identity>,
    admin_id: Option<Identity>,
    #[serde(rename = "type")]
    topic: Topic,
    subject: Option<String>,
    status: SupportStatus,
    priority: Priority,
    last_message_at: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread_count: Option<i64>,
}

impl ConversationOut {
    pub(super) fn of(conversation: &SupportConversation, last_message_at: Option<DateTime<Utc>>) -> Self {
        Self {
            id: conversation.sid.uuid(),
            user_id: conversation.user.clone(),
            guest_id: conversation.guest.clone(),
            admin_id: conversation.admin.clone(),
            topic: conversation.topic,
            subject: conversation.subject.clone(),
            status: conversation.status,
            priority: conversation.priority,
            last_message_at: last_message_at.map(timestamp),
            created_at: timestamp(conversation.created_at),
            updated_at: timestamp(conversation.updated_at),
            unread_count: None,
        }
    }
}

impl From<&ListedSupport> for ConversationOut {
    fn from(listed: &ListedSupport) -> Self {
        Self { unread_count: Some(listed.unread), ..Self::of(&listed.conversation, listed.last_message_at) }
    }
}

/// What `POST /conversation/guest` gives back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GuestConversation {
    pub(super) conversation: ConversationOut,
    pub(super) guest_id: Identity,
}

/// A message, over REST and over sockets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageOut {
    id: Uuid,
    conversation_id: Option<Uuid>,
    sender_id: Option<Identity>,
    sender_type: &'static str,
    guest_id: Option<Identity>,
    message: String,
    message_type: MessageType,
    is_read: bool,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<String>,
}

impl MessageOut {
    /// `owner_read`: up to where the conversation's owner has read.
    pub(super) fn of(
        conversation: &SupportConversation,
        message: &Message,
        owner_read: Option<i64>,
        links: &MediaLinks,
    ) -> Self {
        let extras = Extras::of(message);
        let attachments = links.of_message(message, &extras);
        let text = extras.said(message).map(str::to_owned);
        let (sender_type, sender_id, guest_id) = match conversation.sender(message) {
            Sender::User(user) => ("user", Some(user), None),
            Sender::Guest(guest) => ("guest", None, Some(guest)),
            Sender::Admin(admin) => ("admin", Some(admin), None),
            Sender::System => ("system", None, None),
        };
        Self {
            id: message.sid.uuid(),
            conversation_id: Some(conversation.sid.uuid()),
            sender_id,
            sender_type,
            guest_id,
            // Who knows the document only looks for a file's link here.
            message: text.unwrap_or_else(|| attachments.join("\n")),
            message_type: conversation.message_type(message),
            is_read: conversation.is_read(message, owner_read),
            created_at: timestamp(message.date_created),
            client_message_id: extras.client_message_id,
            attachments,
        }
    }
}

impl From<&IssuedCode> for MessageOut {
    fn from(issued: &IssuedCode) -> Self {
        let guest_id = match &issued.owner {
            Some(Owner::Guest(guest)) => Some(guest.clone()),
            Some(Owner::User(_)) | None => None,
        };
        Self {
            id: issued.id,
            conversation_id: issued.conversation.map(ConversationSid::uuid),
            sender_id: None,
            sender_type: "system",
            guest_id,
            message: issued.code.clone(),
            message_type: MessageType::AuthCode,
            is_read: false,
            created_at: timestamp(issued.issued_at),
            client_message_id: None,
            attachments: Vec::new(),
        }
    }
}

/// Where a page stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pagination {
    total: u64,
    page: u32,
    limit: u32,
    total_pages: u64,
}

impl Pagination {
    pub(super) fn of(total: u64, (page, limit): (u32, u32)) -> Self {
        Self { total, page, limit, total_pages: total.div_ceil(u64::from(limit)) }
    }
}

/// What `GET /conversation/:id/messages` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessagesOut {
    messages: Vec<MessageOut>,
    pagination: Pagination,
}

impl MessagesOut {
    pub(super) fn of(messages: &SupportMessages, page: (u32, u32), links: &MediaLinks) -> Self {
        Self { messages: messages_out(messages, links), pagination: Pagination::of(messages.total, page) }
    }
}

/// What the sender of `message` should know although it is sent.
pub(super) fn warnings(message: &Message) -> Vec<String> {
    let places = Extras::of(message).not_fetched.into_iter();
    places.map(|place| format!("attachments[{place}] could not be fetched and stays a link")).collect()
}

fn messages_out(page: &SupportMessages, links: &MediaLinks) -> Vec<MessageOut> {
    let out = |message: &std::sync::Arc<Message>| {
        MessageOut::of(&page.conversation, message, page.owner_read, links)
    };
    page.messages.iter().map(out).collect()
}

/// What `GET /conversations` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConversationsOut {
    pub(super) conversations: Vec<ConversationOut>,
    pub(super) pagination: Pagination,
}

/// Somebody in `GET /conversation/:id`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PersonOut {
    id: Identity,
    email: Option<String>,
    first_name: Option<String>,
}

impl From<SupportPerson> for PersonOut {
    fn from(person: SupportPerson) -> Self {
        let first_name = person.name.as_deref().and_then(|name| name.split_whitespace().next());
        Self { first_name: first_name.map(str::to_owned), id: person.identity, email: person.email }
    }
}

/// What `GET /conversation/:id` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DetailOut {
    #[serde(flatten)]
    conversation: ConversationOut,
    user: Option<PersonOut>,
    admin: Option<PersonOut>,
    messages: Vec<MessageOut>,
}

impl DetailOut {
    pub(super) fn of(details: SupportDetails, recent: &SupportMessages, links: &MediaLinks) -> Self {
        let last_message_at = recent.messages.last().map(|message| message.date_created);
        Self {
            conversation: ConversationOut::of(&details.conversation, last_message_at),
            user: details.user.map(PersonOut::from),
            admin: details.admin.map(PersonOut::from),
            messages: messages_out(recent, links),
        }
    }
}

/// `?conversationId=` of an upload: the conversation it is for.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct UploadQuery {
    #[serde(rename = "conversationId")]
    #[param(rename = "conversationId")]
    conversation_id: Option<String>,
}

impl UploadQuery {
    pub(super) fn conversation(&self) -> Result<Option<ConversationSid>, Error> {
        self.conversation_id.as_deref().map(|id| parse_id("conversationId", id)).transpose()
    }
}

/// What `POST /upload` gives back; its `url` goes into `attachments`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UploadOut {
    url: String,
    content_type: String,
    size: u64,
    #[schema(value_type = String)]
    media_sid: MediaSid,
}

impl From<Upload> for UploadOut {
    fn from(Upload { sid, content_type, size, url }: Upload) -> Self {
        Self { url, content_type, size, media_sid: sid }
    }
}

/// What `POST /onboarding/generate-code` gives back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeOut {
    code: String,
    expires_at: String,
    conversation_id: Option<Uuid>,
}

impl From<&IssuedCode> for CodeOut {
    fn from(issued: &IssuedCode) -> Self {
        Self {
            code: issued.code.clone(),
            expires_at: timestamp(issued.expires_at),
            conversation_id: issued.conversation.map(ConversationSid::uuid),
        }
    }
}

/// What `POST /onboarding/verify-code` gives back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerifiedOut {
    auth_code_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Identity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_id: Option<Identity>,
}

impl From<crate::core::UsedCode> for VerifiedOut {
    fn from(used: crate::core::UsedCode) -> Self {
        let (user_id, guest_id) = match used.owner {
            Some(Owner::User(user)) => (Some(user), None),
            Some(Owner::Guest(guest)) => (None, Some(guest)),
            None => (None, None),
        };
        Self { auth_code_id: used.id, user_id, guest_id }
    }
}
