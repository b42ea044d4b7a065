//! The support dialect: REST under `/api/support`, Socket.IO on `/support`, and a widget at `/support/widget.js`.
//!
//! The document is "Support & Communication Module - API Documentation"; its samples are `fixtures/support/`.
//!
//! | where the document is silent, odd or at odds with itself | here |
//! |---|---|
//! | ids are UUIDs | the UUID form of Twilio's SIDs; both forms are taken |
//! | the widget connects as one guest, asks for a conversation as another, joins it as the first, reads without headers | the id of a guest's conversation lets whoever knows it in as that guest (`GUEST_CAPABILITY`) |
//! | a guest keeps its id in the browser, and the widget does not send it over REST | taken in body, `X-Guest-Id`, query or a cookie of ours |
//! | history is "ascending, newest first for display" | page 1 is the newest, each page is ascending |
//! | nothing says how a conversation ends or an admin finds it | `GET /conversations`, `PATCH /conversation/:id`, additive |
//! | clients may send `messageType` system and auth_code | admins only |
//! | an invalid code is 200 with `success: false` | so; too many wrong ones are 429 |
//! | type `file`, but nothing says where the file is ("file attachments, coming in phase 2") | `POST /upload`, then `attachments`, additive; a text that is a link counts as one, and the links are the text where there is none |
//! | a code is "also sent via WebSocket" | `message:received` of type `auth_code`, its text the code, to that person's sockets only |
//! | errors have `errors: [{field, message}]` | always there, empty where no field is at fault |

mod bodies;
mod envelope;
mod events;
mod rest;
mod shapes;
mod widget;

use super::Dialect;
use super::openapi::Callers;

/// The dialect.
pub const DIALECT: Dialect = Dialect {
    name: "support",
    prefixes: &["/api/support", "/support"],
    routes: |services| rest::routes(services).merge(widget::routes()),
    callers: Callers::Known,
    failure: envelope::failure,
    protocol: &events::PROTOCOL,
};
