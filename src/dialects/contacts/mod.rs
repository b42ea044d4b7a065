//! The contacts dialect: REST under `/contact`, one Socket.IO event on `/`.
//!
//! The document is "Developer Onboarding Guide: Add Contact + Conversation Creation (REST + WebSocket)"; its samples are
//! `fixtures/contacts/`.
//!
//! | where the document is silent, odd or at odds with itself | here |
//! |---|---|
//! | no answer to a request that fails is printed | `{"status":false,"code":…,"msg":…}`, `code` being the HTTP status; in an acknowledgement the same |
//! | routes stand at the root | they answer under `/api` too |
//! | a phone nobody registered | the contact is added, with `customer_id: null`; a conversation is refused with 404 |
//! | the same phone is added again | the same `id`, with the new names |
//! | the parts of a number are texts | numbers are taken too; spaces, punctuation, `+` and a trunk zero do not matter; answers repeat what was sent |
//! | `emitWithAck(event, data, callback)` sends the callback as a second argument, `null` | it is passed over; the promise gets the acknowledgement |
//! | "no duplicate conversations for the same participant pair" | of a private one: the one there is, with `existing: true` and the same text |
//! | `conversationType: 'group'` "supports future group chat flows" | a new group of the two each time, with the caller as its admin, which others can be added to |
//! | blocked people are not mentioned | where one of the two blocks the other: 403, nothing is made |
//! | "`conversationId`: chat_uuid" | the UUID with the bits of Twilio's SID; every dialect takes both |
//! | no event comes from the server | none does; the conversation's news are told in the dialects that have events for them |

mod envelope;
mod events;
mod rest;
mod shapes;

use super::Dialect;
use super::openapi::Callers;

/// The dialect.
pub const DIALECT: Dialect = Dialect {
    name: "contacts",
    prefixes: &["/contact", "/api/contact"],
    routes: rest::routes,
    callers: Callers::People,
    failure: envelope::failure,
    protocol: &events::PROTOCOL,
};
