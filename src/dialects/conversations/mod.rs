//! The conversations dialect: REST under `/api/conversations`, Socket.IO on `/`.
//!
//! The document is "Chat Application - Frontend Developer Documentation" 1.0.0; its samples are `fixtures/conversations/`.
//!
//! | where the document is silent, odd or at odds with itself | here |
//! |---|---|
//! | messages have `date_created` over REST and `dateCreated` over sockets | every message object has both, and `index` |
//! | `media` holds links or SIDs | links as they were sent, else SIDs; `media_urls` is always fetchable |
//! | `participants` holds objects; the code also sends plain ids | both; echoed as sent |
//! | `friendly_name` of a new conversation is `{id}_{name}_` joined by `+`, the picture's place empty | so |
//! | an existing private conversation says "created successfully" | so, with `existing: true` and its messages |
//! | `join_conversation` has no failure | `joined_conversation` with `success: false` and a `message` |
//! | other events have no failure either | `message_error` with the `event` it is about |
//! | only 200, 400, 401, 404 and 500 are listed | also 403, 409, 413, 415, 429 and 503; a wrong method is 404 |

mod envelope;
mod events;
mod rest;
mod shapes;

use super::Dialect;
use super::openapi::Callers;

/// The dialect.
pub const DIALECT: Dialect = Dialect {
    name: "conversations",
    prefixes: &["/api/conversations", "/api", "/media"],
    routes: rest::routes,
    callers: Callers::ByMode,
    failure: envelope::failure,
    protocol: &events::PROTOCOL,
};
