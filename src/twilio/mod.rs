//! Twilio Conversations' REST API, its media service and its webhooks, as Rust; knows nothing of this service.
//!
//! | to… | read |
//! |---|---|
//! | see how a request is limited, retried, timed and judged | `client.rs`, with `call.rs`, `answer.rs`, `limiter.rs`, `breaker.rs` |
//! | find a resource's fields and operations | `conversations.rs`, `participants.rs`, `messages.rs`, `users.rs`, `media.rs`, `configuration.rs` |
//! | understand what went wrong | `error.rs` |
//! | follow a list | `page.rs` |
//! | trust and read a webhook | `signature.rs`, `webhook.rs` |
//! | let a person use Twilio's own SDKs | `access_token.rs` |
//!
//! [`Client`] is the only thing here that sends. Every path is service-scoped (`/v1/Services/{ServiceSid}/…`), and every
//! change that can announce itself does (`X-Twilio-Webhook-Enabled`), so a node that dies between Twilio's answer and its
//! own broadcast is covered by the webhook. What a change means for an app, caches and stored state are elsewhere.
//!
//! Names and shapes are Twilio's. Source: <https://www.twilio.com/docs/conversations/api>.

mod error;
mod sid;

mod answer;
mod breaker;
mod call;
mod client;
mod limiter;

mod configuration;
mod conversations;
mod lenient;
mod media;
mod messages;
mod page;
mod participants;
mod users;

mod access_token;
mod form;
#[doc(hidden)]
pub mod fuzzing;
mod signature;
mod webhook;

pub use access_token::AccessTokens;
pub use client::{Client, Deadlines, Settings};
pub use configuration::ServiceConfiguration;
pub use conversations::{
    Conversation, ConversationChanges, ConversationState, NewConversation, UnknownState,
};
pub use error::Error;
pub use form::MalformedForm;
pub use media::{Downloading, FileOnDisk, Media, MediaLinks};
pub use messages::{
    DeliveryAmount, DeliverySummary, Message, MessageChanges, MessageMedia, NewMessage, Order,
};
pub use page::{InvalidNextPage, NextPage, Page};
pub use participants::{MessagingBinding, Participant, ParticipantChanges, ParticipantConversation};
pub use sid::{
    AccountSid, ApiKeySid, ConversationSid, DeliveryReceiptSid, InvalidSid, MediaSid, MessageSid,
    MessagingServiceSid, ParticipantSid, RoleSid, ServiceSid, UserSid,
};
pub use signature::{Validator, sign_form};
pub use users::{NewUser, NotificationLevel, User, UserChanges, UserConversation, UserConversationChanges};
pub use webhook::{DeliveryStatus, Source, Webhook, WebhookError, WebhookEvent, parse};
