//! The chat dialect: REST under `/api/chat`, a raw WebSocket per conversation at `/ws/chat/{conversationId}/`.
//!
//! The document is "WebSocket Chat Initialization Guide"; its samples are `fixtures/chat/`.
//!
//! | where the document is silent, odd or at odds with itself | here |
//! |---|---|
//! | `unreadCount` is a text, times have microseconds and no zone | so; `createdAt` beside them says it in UTC |
//! | `sender` is "me" or "other" | as each reader sees it; the sender hears its own message, with "me" |
//! | a socket is opened without a token | where none is needed, it listens until a `senderId` says whose it is |
//! | a message's answer does not say where it is | so, with an additive `conversationId` and `conversation_id` |
//! | any `conversationId` can be opened, its conversation "created automatically" | one that is unknown waits 60 s for a first message to somebody |
//! | no failure is told but "Conversation not found" | frames of `type: "error"`; close codes 4001, 4003 and 4004 |
//! | a list of chats, but other dialects make groups too | conversations of two only |
//! | a history is not mentioned | additive: `…/conversations/{id}/messages/`, `unread-status/` |

mod envelope;
mod events;
mod rest;
mod shapes;

use super::Dialect;
use super::openapi::Callers;

/// The dialect.
pub const DIALECT: Dialect = Dialect {
    name: "chat",
    prefixes: &["/api/chat", "/ws/chat"],
    routes: rest::routes,
    callers: Callers::ByMode,
    failure: envelope::failure,
    protocol: &events::PROTOCOL,
};
