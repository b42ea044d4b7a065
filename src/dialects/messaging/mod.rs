//! The messaging dialect: REST under `/users`, `/messages` and `/groups` (and the same under `/api`), Socket.IO on `/`.
//!
//! The document is "New Message & New Conversation API Documentation" 1.0; its samples are `fixtures/messaging/`. Everything
//! here needs a token, also where the others believe claimed identities.
//!
//! | where the document is silent, odd or at odds with itself | here |
//! |---|---|
//! | an existing conversation is an error code (`CONVERSATION_EXISTS`) and no error (note 2) | 200 with the conversation, `existing: true` and that `code`; a new one is 201 |
//! | `GET /messages/:id` answers with a conversation | so; its messages are `GET /messages/:id/messages` |
//! | a direct conversation lists both people when made, and one when read | so: the caller is "You" and first, the other alone later |
//! | `sort` and `order` have a default order of their own | without `sort`: shared contacts, who is here, the last exchange, the name; a text is looked for in names first. `order` alone is `mutualFriends` |
//! | group suggestions have no `lastSeen` | so; those of `message` and `forward` do, `null` for who never was here |
//! | `status` is Active, Online or Offline | "Active" while connected, "Offline" else; what people set themselves as they wrote it, its first letter a capital |
//! | a user may be called `me`, `contacts`, `blocked` or `suggestions` | such a user cannot be asked for at `/users/:userId` |
//! | blocks, groups' members, settings and messages have flags and codes, but no endpoints | they have: see `rest.rs` |
//! | nobody can be signed out | `DELETE /users/:userId/sessions`, for admins and the app's back end (`X-Api-Key`) |
//! | only error codes are listed, no statuses | 400, 401, 403, 404, 409, 413, 415, 429, 500, 503; a wrong method is 404 |

mod envelope;
mod events;
mod queries;
mod rest;
mod shapes;

use super::Dialect;
use super::openapi::Callers;

/// The dialect.
pub const DIALECT: Dialect = Dialect {
    name: "messaging",
    prefixes: &["/users", "/messages", "/groups", "/api/users", "/api/messages", "/api/groups"],
    routes: rest::routes,
    callers: Callers::People,
    failure: envelope::failure,
    protocol: &events::PROTOCOL,
};
