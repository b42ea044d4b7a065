//! The documented client APIs: shapes and mapping, no decisions.
//!
//! A dialect is a value, [`Dialect`], and a folder with a table of its document's quirks in `mod.rs`. `rest.rs` and
//! `events.rs` connect the document's routes and events (of Socket.IO, or frames of a raw WebSocket) to `core`; `shapes.rs` has
//! what goes over the wire and turns it into what `core` takes; `envelope.rs` is how the document says success and failure. A
//! new one is a folder and a line in [`ALL`]. Here is only what they share: who calls, JSON bodies and how they are refused;
//! files in bodies are `uploads.rs`, what routes say of themselves is
//! `openapi.rs`.

pub mod chat;
pub mod contacts;
pub mod conversations;
pub mod messaging;
pub mod openapi;
pub mod support;
mod uploads;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa_axum::router::OpenApiRouter;

use crate::auth::{Auth, AuthError, Caller, Role, token_from};
use crate::core::{Core, Error};
use crate::limits::ClientAddress;
use crate::realtime::{Protocol, WebSockets};

use openapi::Callers;

/// One documented client API.
pub struct Dialect {
    /// Its name.
    pub name: &'static str,
    /// Every path under these answers in this dialect's voice, also where there is nothing; the longest of all dialects'
    /// prefixes decides.
    pub prefixes: &'static [&'static str],
    /// Its REST routes, with what the OpenAPI document says of them.
    pub routes: fn(Services) -> OpenApiRouter,
    /// Who may call them.
    pub callers: Callers,
    /// Its answer to a request that never reaches a route: a panic, an unknown path, a body that takes too long.
    pub failure: fn(Error) -> Response,
    /// How it speaks over sockets.
    pub protocol: &'static Protocol,
}

/// Every dialect.
pub const ALL: &[&Dialect] =
    &[&contacts::DIALECT, &conversations::DIALECT, &chat::DIALECT, &messaging::DIALECT, &support::DIALECT];

/// Their protocols.
pub static PROTOCOLS: [&Protocol; ALL.len()] = {
    let mut protocols = [ALL[0].protocol; ALL.len()];
    let mut place = 0;
    while place < ALL.len() {
        protocols[place] = ALL[place].protocol;
        place += 1;
    }
    protocols
};

/// What handlers work with.
#[derive(Clone, FromRef)]
pub struct Services {
    /// The conversation service.
    pub core: Core,
    /// Who is calling.
    pub auth: Auth,
    /// The way to open raw WebSockets.
    pub websockets: WebSockets,
}

/// The dialect whose voice answers requests for `path`.
#[must_use]
pub fn speaking_at(path: &str) -> Option<&'static Dialect> {
    let within =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let nearest = |dialect: &&Dialect| {
        dialect.prefixes.iter().filter(|prefix| within(prefix)).map(|prefix| prefix.len()).max()
    };
    ALL.iter().copied().filter(|dialect| nearest(dialect).is_some()).max_by_key(nearest)
}

/// The HTTP status of a failure, where a document does not want another.
pub(crate) fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Invalid { .. }
        | Error::Unreadable(_)
        | Error::OnlyYourself
        | Error::LimitReached(_)
        | Error::Group(_) => StatusCode::BAD_REQUEST,
        Error::Auth(error) => match error {
            AuthError::Missing | AuthError::Invalid => StatusCode::UNAUTHORIZED,
            AuthError::NotYou | AuthError::Forbidden => StatusCode::FORBIDDEN,
            AuthError::IdentityMissing => StatusCode::BAD_REQUEST,
            AuthError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        },
        Error::NotAMember | Error::Blocked | Error::PhoneNotAllowed => StatusCode::FORBIDDEN,
        Error::NoSuchEndpoint
        | Error::ConversationNotFound
        | Error::MessageNotFound
        | Error::ParticipantNotFound
        | Error::PersonNotFound
        | Error::MediaNotFound => StatusCode::NOT_FOUND,
        Error::ConversationClosed | Error::PhoneBusy | Error::KeyReused => StatusCode::CONFLICT,
        Error::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::TooManyRequests { .. } | Error::TooManyPhones { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Throttled { .. } | Error::Unavailable { .. } | Error::UnknownOutcome => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::NotConfigured(_) | Error::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `body` as JSON.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, axum::Json(body)).into_response()
}

/// `body`, which tells of `error` in a dialect's own words, and when to come back.
fn refusal(status: StatusCode, body: &impl Serialize, error: &Error) -> Response {
    let mut response = json(status, body);
    if let Some(retry_after) = retry_after_of(error) {
        response.headers_mut().insert(RETRY_AFTER, retry_after);
    }
    response
}

/// When to come back after a failure, if that is known: whole seconds, and never too early.
pub(crate) fn retry_after_of(error: &Error) -> Option<HeaderValue> {
    let seconds = error.retry_after()?.as_secs_f64().ceil().max(1.0);
    Some(HeaderValue::from(seconds as u64))
}

/// Who is calling, by token or by the app's API key, within what they may ask for. Whoever comes with a token is in the
/// directory of people then.
pub(crate) async fn caller_of(parts: &Parts, services: &Services) -> Result<Caller, Error> {
    let token = token_from(&parts.headers, &parts.uri);
    let api_key = parts.headers.get("x-api-key").and_then(|key| key.to_str().ok());
    let limits = services.core.limits();
    let from = parts.extensions.get::<ClientAddress>().map(|address| address.network());
    if token.is_some() || api_key.is_some() {
        limits.wrong_tokens.look(&from)?;
    }
    let proven = services.auth.caller_and_token(token.as_deref(), api_key).await;
    if let Err(AuthError::Invalid) = proven {
        // Looked at above: the one that is past the limit is the next.
        let _counted = limits.wrong_tokens.check(&from);
    }
    let (caller, verified) = proven?;
    within_limits(&caller, services)?;
    if let Some(verified) = verified {
        services.core.meet(&verified).await;
    }
    Ok(caller)
}

/// Counts a request of a person's. The app's back end asks for everybody and is held to its address alone, as is whoever
/// comes without a token.
fn within_limits(caller: &Caller, services: &Services) -> Result<(), Error> {
    let person = match caller {
        Caller::Known { identity, role: Role::User | Role::Admin } | Caller::Guest(identity) => identity,
        Caller::Known { role: Role::Service, .. } | Caller::Service | Caller::Anonymous => return Ok(()),
    };
    Ok(services.core.limits().requests.check(person)?)
}

/// A JSON body; an absent one reads as `{}`, for requests whose fields are all optional.
async fn json_of<T: DeserializeOwned>(request: Request, state: &(impl Send + Sync)) -> Result<T, Error> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(is_json);
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| of_bytes(&rejection))?;
    if bytes.is_empty() {
        return parse(b"{}");
    }
    if !is_json {
        return Err(Error::UnsupportedMediaType);
    }
    parse(&bytes)
}

/// `application/json`, `application/problem+json`, …, with any parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // Serde would take an array for an object whose fields stand in order.
    if bytes.trim_ascii_start().first().is_some_and(|first| b"[\"-0123456789tfn".contains(first)) {
        return Err(Error::Unreadable("the body must be a JSON object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| Error::unreadable(&error))?;
    json.end().map_err(|_| Error::Unreadable("the body goes on after its JSON".to_owned()))?;
    Ok(value)
}

fn of_bytes(rejection: &BytesRejection) -> Error {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        Error::TooLarge
    } else {
        Error::Unreadable("the body could not be read".to_owned())
    }
}

/// Names in query strings, of all dialects.
const IN_QUERIES: [&str; 12] = [
    "page",
    "limit",
    "before",
    "cursor",
    "userId",
    "type",
    "q",
    "sort",
    "order",
    "status",
    "redirect",
    "conversationId",
];

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        of_query(&rejection.body_text())
    }
}

/// What axum says of a query string (`…query string: page: invalid digit found in string`, `…: duplicate field `page``), in
/// our own words.
fn of_query(text: &str) -> Error {
    let told = text.split_once("query string: ").map_or("", |(_, told)| told);
    let (name, problem) = match told.strip_prefix("duplicate field `") {
        Some(name) => (name.trim_end_matches('`'), "must be given once"),
        None => match told.split_once(": ") {
            Some((name, cause)) if cause.contains("integer") || cause.contains("digit") => {
                (name, "must be a whole number")
            }
            Some((name, cause)) if cause.contains("number too") => (name, "is too far from what it can be"),
            Some((name, cause)) if cause.contains("`true`") => (name, "must be true or false"),
            Some((name, _)) => (name, "is not what it must be"),
            None => ("", ""),
        },
    };
    match IN_QUERIES.into_iter().find(|known| *known == name) {
        Some(field) => Error::invalid(field, problem),
        None => Error::Unreadable("the query string cannot be read".to_owned()),
    }
}

impl From<PathRejection> for Error {
    fn from(_: PathRejection) -> Self {
        Self::Unreadable("the path is not valid UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn queries_are_refused_in_our_own_words() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only read")]
        struct Asked {
            page: Option<usize>,
            redirect: Option<bool>,
        }
        let refused = |query: &str| {
            let uri = format!("http://host/?{query}").parse().unwrap();
            Error::from(axum::extract::Query::<Asked>::try_from_uri(&uri).unwrap_err()).to_string()
        };
        assert_eq!(refused("page=x"), "page must be a whole number");
        assert_eq!(refused("page="), "page must be a whole number");
        assert_eq!(refused("page=99999999999999999999999"), "page is too far from what it can be");
        assert_eq!(refused("page=1&page=2"), "page must be given once");
        assert_eq!(refused("redirect=maybe"), "redirect must be true or false");
        assert!(matches!(
            of_query("Failed to deserialize query string: oh: no"),
            Error::Unreadable(text) if text == "the query string cannot be read"
        ));
    }

    #[test]
    fn nobody_is_asked_back_too_early() {
        let told = |millis| {
            let retry_after = Some(Duration::from_millis(millis));
            retry_after_of(&Error::TooManyRequests { retry_after }).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!([told(0), told(1), told(1000), told(1001), told(59_999)], ["1", "1", "1", "2", "60"]);
        assert_eq!(retry_after_of(&Error::NotAMember), None);
        assert_eq!(
            retry_after_of(&AuthError::Unavailable.into()).unwrap(),
            "2",
            "503 says when to come back"
        );
    }
}
