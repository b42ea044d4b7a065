//! Something happened: a webhook event with its form fields, and who caused it.
//!
//! Which URLs hear of it is in `webhooks.rs`; the fields of each event stand beside the resource they describe.
//! Source: <https://www.twilio.com/docs/conversations/conversations-webhooks>

use chrono::{DateTime, Utc};

use crate::mock::clock::in_webhooks;
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
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// When it happens.
    pub(crate) now: DateTime<Utc>,
    /// `API`, `SDK`, `SMS` or another channel.
    pub(crate) source: String,
    /// Who, when it is somebody's SDK.
    pub(crate) client_identity: Option<String>,
    /// REST changes are silent unless asked otherwise; all else is always told.
    pub(crate) announced: bool,
}

impl Origin {
    /// A REST call, `announced` when it asked for webhooks.
    pub(crate) fn rest(now: DateTime<Utc>, announced: bool) -> Self {
        Self { now, source: "API".to_owned(), client_identity: None, announced }
    }

    /// A client on one of Twilio's SDKs.
    pub(crate) fn sdk(now: DateTime<Utc>, identity: &str) -> Self {
        Self { now, source: "SDK".to_owned(), client_identity: Some(identity.to_owned()), announced: true }
    }

    /// Something from outside, by its channel: `sms`, `whatsapp`, ….
    pub(crate) fn channel(now: DateTime<Utc>, channel: &str) -> Self {
        Self { now, source: channel.to_ascii_uppercase(), client_identity: None, announced: true }
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

/// A scoped webhook that hears of one event.
#[derive(Debug, Clone)]
pub(crate) struct ScopedTarget {
    pub(crate) sid: Sid,
    pub(crate) url: String,
    pub(crate) method: WebhookMethod,
}

/// How a webhook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
