//! Something happened: a webhook event with its form fields, and who caused it.
//!
//! Before a change, a [`Question`] may be asked about it; what comes back is an [`Amendment`]. Which URLs hear of it is
//! in `state.rs`; the fields of each event stand beside the resource they describe.
//! Source: <https://www.twilio.com/docs/conversations/conversations-webhooks>

use std::cell::RefCell;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::mock::clock::in_webhooks;
use crate::mock::delivery::Delivery;
use crate::mock::error::Refusal;
use crate::mock::sid::Sid;

/// Every event that is told after the fact.
pub(crate) const POST_EVENTS: [&str; 13] = [
    "onMessageAdded",
    "onMessageUpdated",
    "onMessageRemoved",
    "onConversationAdded",
    "onConversationUpdated",
    "onConversationRemoved",
    "onConversationStateUpdated",
    "onParticipantAdded",
    "onParticipantUpdated",
    "onParticipantRemoved",
    "onUserAdded",
    "onUserUpdated",
    "onDeliveryUpdated",
];

/// Every event that is told before, and may be changed or refused.
pub(crate) const PRE_EVENTS: [&str; 10] = [
    "onMessageAdd",
    "onMessageUpdate",
    "onMessageRemove",
    "onConversationAdd",
    "onConversationUpdate",
    "onConversationRemove",
    "onParticipantAdd",
    "onParticipantUpdate",
    "onParticipantRemove",
    "onUserUpdate",
];

/// Who acts, when, and whether webhooks tell of it.
#[derive(Debug)]
pub(crate) struct Origin {
    /// When it happens.
    pub(crate) now: DateTime<Utc>,
    /// `API`, `SDK`, `SMS` or another channel.
    pub(crate) source: String,
    /// Who, when it is somebody's SDK.
    pub(crate) client_identity: Option<String>,
    /// REST changes are silent unless asked otherwise; all else is always told.
    pub(crate) announced: bool,
    /// What the operation under way has to ask before it may go on.
    pub(crate) question: RefCell<Option<Question>>,
    /// What the pre-webhooks said to it.
    pub(crate) answer: Option<Result<Amendment, Refusal>>,
}

impl Origin {
    fn new(now: DateTime<Utc>, source: String, client_identity: Option<String>, announced: bool) -> Self {
        Self { now, source, client_identity, announced, question: RefCell::new(None), answer: None }
    }

    /// A REST call, `announced` when it asked for webhooks.
    pub(crate) fn rest(now: DateTime<Utc>, announced: bool) -> Self {
        Self::new(now, "API".to_owned(), None, announced)
    }

    /// A client on one of Twilio's SDKs.
    pub(crate) fn sdk(now: DateTime<Utc>, identity: &str) -> Self {
        Self::new(now, "SDK".to_owned(), Some(identity.to_owned()), true)
    }

    /// Something from outside, by its channel: `sms`, `whatsapp`, ….
    pub(crate) fn channel(now: DateTime<Utc>, channel: &str) -> Self {
        Self::new(now, channel.to_ascii_uppercase(), None, true)
    }

    /// Something Twilio does by itself, when a timer ends.
    pub(crate) fn timer(now: DateTime<Utc>) -> Self {
        Self::rest(now, true)
    }

    /// Who a new conversation is said to be created by.
    pub(crate) fn creator(&self) -> &str {
        self.client_identity.as_deref().unwrap_or("system")
    }
}

/// What the pre-webhooks are asked before a change: whether it may be made, and as it is.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) event: &'static str,
    /// The same form for each webhook, which are asked one after the other.
    pub(crate) deliveries: Vec<Delivery>,
}

/// What a pre-webhook wants to be different. Members that do not belong to the resource are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Amendment {
    /// Of a message.
    pub(crate) body: Option<String>,
    /// Of a message.
    pub(crate) author: Option<String>,
    /// Of a message: JSON text.
    pub(crate) attributes: Option<String>,
    /// Of a conversation.
    pub(crate) friendly_name: Option<String>,
}

impl Amendment {
    /// Both together; what `later` says counts where both speak.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            body: later.body.or(self.body),
            author: later.author.or(self.author),
            attributes: later.attributes.or(self.attributes),
            friendly_name: later.friendly_name.or(self.friendly_name),
        }
    }
}

/// A scoped webhook that hears of one event.
#[derive(Debug, Clone)]
pub(crate) struct ScopedTarget {
    pub(crate) sid: Sid,
    pub(crate) url: String,
    pub(crate) method: WebhookMethod,
}

/// How a webhook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum WebhookMethod {
    Get,
    Post,
}

impl WebhookMethod {
    /// Reads `GET` or `POST` in any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "GET" => Some(Self::Get),
            "POST" => Some(Self::Post),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One event before it is addressed to anyone.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) service_sid: Sid,
    /// What the event is about as far as order goes: the conversation, else the user.
    pub(crate) subject: Sid,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) scoped: Vec<ScopedTarget>,
}

impl Event {
    pub(crate) fn new(kind: &'static str, service_sid: Sid, subject: Sid) -> Self {
        Self { kind, service_sid, subject, fields: Vec::with_capacity(16), scoped: Vec::new() }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "texts, SIDs and numbers alike, without a reference at each call"
    )]
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// Adds a field that is left out when there is nothing to say, as Twilio does.
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn with_date(self, name: &'static str, date: DateTime<Utc>) -> Self {
        self.with(name, in_webhooks(date))
    }
}
