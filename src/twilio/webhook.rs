//! Twilio's webhooks, read: a form or a JSON object becomes one [`WebhookEvent`] with the same resources that REST gives.
//!
//! Whether Twilio sent it is `signature.rs`'s question and comes first; what follows from it is decided elsewhere. Webhooks
//! come late, twice, or out of order: nothing here remembers anything.
//!
//! Source: <https://www.twilio.com/docs/conversations/conversations-webhooks>

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::form::{self, MalformedForm, Parameter};
use super::{
    AccountSid, Conversation, ConversationSid, ConversationState, MediaSid, Message, MessageMedia,
    MessageSid, MessagingBinding, Participant, ParticipantSid, ServiceSid, User, lenient,
};

/// One webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Whose.
    pub account_sid: AccountSid,
    /// Of which service; older deliveries do not say.
    pub service_sid: Option<ServiceSid>,
    /// By what means the change was made.
    pub source: Source,
    /// Who made it, over an SDK.
    pub client_identity: Option<String>,
    /// How often Twilio has tried to deliver this before.
    pub retry_count: u32,
    /// What changed.
    pub event: WebhookEvent,
}

/// By what means a change was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A client on Twilio's own SDK.
    Sdk,
    /// REST: we, or someone else with the account's credentials.
    Api,
    /// A channel from outside, in Twilio's spelling: `SMS`, `WHATSAPP`…
    Channel(String),
}

/// What changed. Members that Twilio leaves out of webhooks have the value they have when unset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookEvent {
    /// `onMessageAdded`. `date_updated` and `delivery` are not told.
    MessageAdded(Message),
    /// `onMessageUpdated`. `delivery` is not told.
    MessageUpdated(Message),
    /// `onMessageRemoved`.
    MessageRemoved {
        /// Where it was.
        conversation_sid: ConversationSid,
        /// What it was.
        message_sid: MessageSid,
        /// Its place, which stays empty.
        index: i64,
    },
    /// `onConversationAdded`.
    ConversationAdded(Conversation),
    /// `onConversationUpdated`.
    ConversationUpdated(Conversation),
    /// `onConversationStateUpdated`.
    ConversationStateUpdated {
        /// Which.
        conversation_sid: ConversationSid,
        /// Its state before.
        from: ConversationState,
        /// Its state since.
        to: ConversationState,
        /// `API`, `TIMER` or `EVENT`.
        reason: Option<String>,
        /// When it changed.
        at: Option<DateTime<Utc>>,
    },
    /// `onConversationRemoved`.
    ConversationRemoved {
        /// Which.
        conversation_sid: ConversationSid,
    },
    /// `onParticipantAdded`. How far it has read is not told.
    ParticipantAdded(Participant),
    /// `onParticipantUpdated`. `last_read_timestamp` is not told.
    ParticipantUpdated(Participant),
    /// `onParticipantRemoved`.
    ParticipantRemoved(Participant),
    /// `onUserAdded`.
    UserAdded(User),
    /// `onUserUpdated`, also when `is_online` or `is_notifiable` changed.
    UserUpdated(User),
    /// `onDeliveryUpdated`.
    DeliveryUpdated {
        /// Where.
        conversation_sid: ConversationSid,
        /// What was sent.
        message_sid: MessageSid,
        /// To whom.
        participant_sid: ParticipantSid,
        /// What became of it.
        status: DeliveryStatus,
        /// Why it failed, see <https://www.twilio.com/docs/api/errors>.
        error_code: Option<u32>,
    },
    /// `onMessageAdd`: a message is about to be added, and Twilio waits for leave.
    MessageAdd {
        /// Where.
        conversation_sid: ConversationSid,
        /// Whose it will be.
        author: String,
    },
    /// What else asks for leave before a change (`onMessageUpdate`…), and names that were not known when this was written.
    Unhandled {
        /// Twilio's name for it.
        event_type: String,
    },
}

/// What became of a message for one participant outside the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// It has left Twilio.
    Sent,
    /// It has arrived.
    Delivered,
    /// It was read; not told of SMS.
    Read,
    /// It could not be sent.
    Failed,
    /// It did not arrive.
    Undelivered,
}

/// The body is no webhook of Twilio Conversations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Neither a form nor JSON.
    #[error("a webhook is a form or JSON")]
    ContentType,
    /// A form that cannot be read.
    #[error(transparent)]
    Form(#[from] MalformedForm),
    /// JSON that is not one object.
    #[error("the JSON is not an object")]
    Json,
    /// A field that the event always has is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has a value it cannot have.
    #[error("{0} makes no sense")]
    Invalid(&'static str),
}

/// Reads a webhook's body by its content type; without one it is taken for a form.
///
/// # Errors
/// [`WebhookError`], if it is none. Names of events and fields that are not known are no error.
pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Webhook, WebhookError> {
    let media_type = content_type.unwrap_or(FORM).split(';').next().unwrap_or_default().trim();
    let fields = if media_type.eq_ignore_ascii_case(FORM) {
        Fields(form::parameters(body)?)
    } else if media_type.eq_ignore_ascii_case("application/json") {
        Fields::of_json(body)?
    } else {
        return Err(WebhookError::ContentType);
    };
    Ok(Webhook {
        account_sid: fields.required("AccountSid")?,
        service_sid: fields.optional("ChatServiceSid")?,
        source: match fields.text("Source") {
            Some("SDK") => Source::Sdk,
            Some("API") => Source::Api,
            other => Source::Channel(other.unwrap_or_default().to_owned()),
        },
        client_identity: fields.owned("ClientIdentity"),
        retry_count: fields.optional("RetryCount")?.unwrap_or(0),
        event: event(&fields)?,
    })
}

const FORM: &str = "application/x-www-form-urlencoded";

fn event(fields: &Fields<'_>) -> Result<WebhookEvent, WebhookError> {
    Ok(match fields.text("EventType").ok_or(WebhookError::Missing("EventType"))? {
        "onMessageAdded" => WebhookEvent::MessageAdded(message(fields)?),
        "onMessageAdd" => WebhookEvent::MessageAdd {
            conversation_sid: fields.required("ConversationSid")?,
            author: fields.owned("Author").unwrap_or_default(),
        },
        "onMessageUpdated" => WebhookEvent::MessageUpdated(message(fields)?),
        "onMessageRemoved" => WebhookEvent::MessageRemoved {
            conversation_sid: fields.required("ConversationSid")?,
            message_sid: fields.required("MessageSid")?,
            index: fields.required("Index")?,
        },
        "onConversationAdded" => WebhookEvent::ConversationAdded(conversation(fields)?),
        "onConversationUpdated" => WebhookEvent::ConversationUpdated(conversation(fields)?),
        "onConversationStateUpdated" => WebhookEvent::ConversationStateUpdated {
            conversation_sid: fields.required("ConversationSid")?,
            from: fields.required("StateFrom")?,
            to: fields.required("StateTo")?,
            reason: fields.owned("Reason"),
            at: fields.optional("StateUpdated")?,
        },
        "onConversationRemoved" => {
            WebhookEvent::ConversationRemoved { conversation_sid: fields.required("ConversationSid")? }
        }
        "onParticipantAdded" => WebhookEvent::ParticipantAdded(participant(fields)?),
        "onParticipantUpdated" => WebhookEvent::ParticipantUpdated(participant(fields)?),
        "onParticipantRemoved" => WebhookEvent::ParticipantRemoved(participant(fields)?),
        "onUserAdded" => WebhookEvent::UserAdded(user(fields)?),
        "onUserUpdated" => WebhookEvent::UserUpdated(user(fields)?),
        "onDeliveryUpdated" => WebhookEvent::DeliveryUpdated {
            conversation_sid: fields.required("ConversationSid")?,
            message_sid: fields.required("MessageSid")?,
            participant_sid: fields.required("ParticipantSid")?,
            status: fields.required("Status")?,
            error_code: fields.optional("ErrorCode")?.filter(|code| *code != 0),
        },
        other => WebhookEvent::Unhandled { event_type: other.to_owned() },
    })
}

fn message(fields: &Fields<'_>) -> Result<Message, WebhookError> {
    Ok(Message {
        sid: fields.required("MessageSid")?,
        conversation_sid: fields.required("ConversationSid")?,
        index: fields.required("Index")?,
        author: fields.owned("Author").unwrap_or_default(),
        body: fields.owned("Body"),
        media: fields.media()?,
        attributes: fields.attributes(),
        participant_sid: fields.optional("ParticipantSid")?,
        date_created: fields.required("DateCreated")?,
        date_updated: fields.optional("DateUpdated")?,
        delivery: None,
    })
}

fn conversation(fields: &Fields<'_>) -> Result<Conversation, WebhookError> {
    let date_created = fields.required("DateCreated")?;
    Ok(Conversation {
        sid: fields.required("ConversationSid")?,
        friendly_name: fields.owned("FriendlyName"),
        unique_name: fields.owned("UniqueName"),
        attributes: fields.attributes(),
        state: fields.required("State")?,
        date_created,
        date_updated: fields.optional("DateUpdated")?.unwrap_or(date_created),
    })
}

fn participant(fields: &Fields<'_>) -> Result<Participant, WebhookError> {
    let date_created = fields.required("DateCreated")?;
    let binding = MessagingBinding {
        // Upper case here, lower case over REST.
        kind: fields.text("MessagingBinding.Type").map(str::to_lowercase),
        address: fields.owned("MessagingBinding.Address"),
        proxy_address: fields.owned("MessagingBinding.ProxyAddress"),
        projected_address: fields.owned("MessagingBinding.ProjectedAddress"),
    };
    // A webhook gives a chat participant a binding of type CHAT without addresses; REST gives it none.
    let has_address =
        binding.address.is_some() || binding.proxy_address.is_some() || binding.projected_address.is_some();
    Ok(Participant {
        sid: fields.required("ParticipantSid")?,
        conversation_sid: fields.required("ConversationSid")?,
        identity: fields.owned("Identity"),
        attributes: fields.attributes(),
        messaging_binding: has_address.then_some(binding),
        role_sid: fields.optional("RoleSid")?,
        date_created,
        date_updated: fields.optional("DateUpdated")?.unwrap_or(date_created),
        last_read_message_index: fields.optional("LastReadMessageIndex")?,
        last_read_timestamp: None,
    })
}

fn user(fields: &Fields<'_>) -> Result<User, WebhookError> {
    let date_created = fields.required("DateCreated")?;
    Ok(User {
        sid: fields.required("UserSid")?,
        identity: fields.owned("Identity").ok_or(WebhookError::Missing("Identity"))?,
        friendly_name: fields.owned("FriendlyName"),
        attributes: fields.attributes(),
        is_online: fields.optional("isOnline")?,
        is_notifiable: fields.optional("isNotifiable")?,
        role_sid: fields.optional("RoleSid")?,
        date_created,
        date_updated: fields.optional("DateUpdated")?.unwrap_or(date_created),
    })
}

/// Names and values, from whichever kind of body. An empty value is one that was not set.
struct Fields<'a>(Vec<Parameter<'a>>);

impl Fields<'_> {
    /// Of a flat object; what is inside a member is kept as the JSON text that a form would have.
    fn of_json(body: &[u8]) -> Result<Fields<'static>, WebhookError> {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return Err(WebhookError::Json) };
        let fields = members.into_iter().filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((name.into(), text.into())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Some((name.into(), value.to_string().into()))
            }
        });
        Ok(Fields(fields.collect()))
    }

    fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(given, _)| given == name)?;
        (!value.is_empty()).then_some(value.as_ref())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    fn optional<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, WebhookError> {
        self.text(name).map(|text| text.parse().map_err(|_| WebhookError::Invalid(name))).transpose()
    }

    fn required<T: FromStr>(&self, name: &'static str) -> Result<T, WebhookError> {
        self.optional(name)?.ok_or(WebhookError::Missing(name))
    }

    fn attributes(&self) -> String {
        self.owned("Attributes").unwrap_or_else(lenient::no_attributes)
    }

    fn media(&self) -> Result<Vec<MessageMedia>, WebhookError> {
        let Some(json) = self.text("Media") else { return Ok(Vec::new()) };
        let media: Vec<WebhookMedia> =
            serde_json::from_str(json).map_err(|_| WebhookError::Invalid("Media"))?;
        Ok(media.into_iter().map(MessageMedia::from).collect())
    }
}

/// The `Media` field is JSON in a text, spelled as nowhere else.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WebhookMedia {
    sid: MediaSid,
    filename: Option<String>,
    content_type: Option<String>,
    size: Option<u64>,
}

impl From<WebhookMedia> for MessageMedia {
    fn from(media: WebhookMedia) -> Self {
        let WebhookMedia { sid, filename, content_type, size } = media;
        Self { sid, content_type, size, filename }
    }
}

impl FromStr for DeliveryStatus {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self, WebhookError> {
        Ok(match text {
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "failed" => Self::Failed,
            "undelivered" => Self::Undelivered,
            _ => return Err(WebhookError::Invalid("Status")),
        })
    }
}
