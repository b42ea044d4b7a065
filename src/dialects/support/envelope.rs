//! How this document says success (`{"success":true,"data":…}`) and failure (`{"success":false,"message":…,"errors":[…]}`),
//! and how it finds out who is asking: by token, as a guest, or by nothing. What they may do is `core`'s.

use std::net::IpAddr;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{IntoResponses, ToSchema};

use super::shapes::Fields;
use crate::auth::{AuthError, Caller, Identity};
use crate::core;
use crate::dialects::openapi::{self, Responses};
use crate::dialects::{Services, caller_of, json, json_of, refusal, status_of, within_limits};
use crate::limits::ClientAddress;

/// The cookie that keeps a guest's id.
const GUEST_COOKIE: &str = "switchboard_guest";
/// How long it is kept, in seconds: a year.
const GUEST_COOKIE_SECONDS: u32 = 31_536_000;

/// What a handler gives back.
pub(super) type Result<T> = std::result::Result<Reply<T>, Error>;

/// Success, or a "no" that the document counts as an answer.
pub(super) struct Reply<T> {
    status: StatusCode,
    cookie: Option<HeaderValue>,
    body: Body<T>,
}

#[derive(Serialize)]
struct Body<T> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

impl<T: Serialize> Reply<T> {
    /// With `data`.
    pub(super) fn ok(data: T) -> Self {
        let body = Body { success: true, message: None, data: Some(data) };
        Self { status: StatusCode::OK, cookie: None, body }
    }

    /// With `data` and what a person reads.
    pub(super) fn told(status: StatusCode, message: &'static str, data: T) -> Self {
        let body = Body { success: true, message: Some(message), data: Some(data) };
        Self { status, cookie: None, body }
    }

    /// 200 all the same, but no.
    pub(super) fn no(message: &'static str) -> Self {
        let body = Body { success: false, message: Some(message), data: None };
        Self { status: StatusCode::OK, cookie: None, body }
    }

    /// Lets the browser keep the guest's id. `https`: only for connections that are.
    pub(super) fn remembering(mut self, guest: &Identity, https: bool) -> Self {
        let secure = if https { "; Secure" } else { "" };
        let cookie = format!(
            "{GUEST_COOKIE}={guest}; Path=/api/support; Max-Age={GUEST_COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
        );
        self.cookie = HeaderValue::try_from(cookie).ok();
        self
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.body);
        if let Some(cookie) = self.cookie {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }
}

impl<T: ToSchema> IntoResponses for Reply<T> {
    fn responses() -> Responses {
        let envelope = ObjectBuilder::new()
            .property("success", ObjectBuilder::new().schema_type(Type::Boolean))
            .property("message", openapi::text())
            .property("data", T::schema());
        openapi::success::<T>(envelope.required("success"))
    }
}

/// Failure.
#[derive(Debug)]
pub(super) struct Error(core::Error);

impl<E: Into<core::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Error {
    /// When a repeat may succeed, in seconds, if that is known.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.0.retry_after_seconds()
    }

    /// What a person reads.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what this document has no words for is told in the service's"
    )]
    pub(super) fn message(&self) -> String {
        match &self.0 {
            core::Error::ConversationNotFound => "Conversation not found".to_owned(),
            core::Error::MessageNotFound => "Message not found".to_owned(),
            core::Error::NotAMember => "This conversation is somebody else's".to_owned(),
            other => other.to_string(),
        }
    }

    /// The field that is at fault, and what is wrong with it.
    fn field(&self) -> Option<(&'static str, String)> {
        match &self.0 {
            core::Error::Invalid { field, problem } => Some((field, problem.clone())),
            core::Error::ConversationNotFound => Some(("conversationId", self.message())),
            core::Error::MessageNotFound => Some(("messageId", self.message())),
            core::Error::Unreadable(_)
            | core::Error::TooLarge
            | core::Error::UnsupportedMediaType
            | core::Error::NoSuchEndpoint
            | core::Error::Auth(_)
            | core::Error::NotAMember
            | core::Error::Blocked
            | core::Error::Group(_)
            | core::Error::PersonNotFound
            | core::Error::OnlyYourself
            | core::Error::ParticipantNotFound
            | core::Error::MediaNotFound
            | core::Error::ConversationClosed
            | core::Error::PhoneBusy
            | core::Error::PhoneNotAllowed
            | core::Error::TooManyPhones { .. }
            | core::Error::KeyReused
            | core::Error::LimitReached(_)
            | core::Error::TooManyRequests { .. }
            | core::Error::Throttled { .. }
            | core::Error::NotConfigured(_)
            | core::Error::Unavailable { .. }
            | core::Error::UnknownOutcome
            | core::Error::Internal => None,
        }
    }

    fn status(&self) -> StatusCode {
        status_of(&self.0)
    }
}

/// Failure as it is told.
#[derive(Serialize, ToSchema)]
struct Failure {
    success: bool,
    message: String,
    errors: Vec<Fault>,
}

#[derive(Serialize, ToSchema)]
struct Fault {
    field: &'static str,
    message: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let errors = self.field().map(|(field, message)| Fault { field, message }).into_iter().collect();
        refusal(self.status(), &Failure { success: false, message: self.message(), errors }, &self.0)
    }
}

impl IntoResponses for Error {
    fn responses() -> Responses {
        openapi::failures::<Failure>(&openapi::FAILURES)
    }
}

/// The answer to a request that reached no handler.
pub(super) fn failure(error: core::Error) -> Response {
    Error(error).into_response()
}

/// JSON in; what does not parse is refused as this document refuses.
pub(super) struct Json(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, Error> {
        Ok(Self(json_of(request, state).await?))
    }
}

/// The query string.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> std::result::Result<Self, Error> {
        Ok(Self(axum::extract::Query::from_request_parts(parts, state).await?.0))
    }
}

/// The variable parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub(super) struct Path<T>(pub(super) T);

/// Who is asking, with a token, as a guest, or as nobody. A token that is there must be valid.
pub(super) struct Visitor(pub(super) Caller);

impl FromRequestParts<Services> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> std::result::Result<Self, Error> {
        match caller_of(parts, services).await {
            Ok(Caller::Anonymous) | Err(core::Error::Auth(AuthError::Missing)) => {}
            Ok(known) => return Ok(Self(known)),
            Err(error) => return Err(error.into()),
        }
        let guest = match guest_id_of(parts) {
            Some(presented) => services.core.known_guest(&presented).await?,
            None => None,
        };
        let caller = guest.map_or(Caller::Anonymous, Caller::Guest);
        within_limits(&caller, services)?;
        Ok(Self(caller))
    }
}

/// Who is asking, with a token or the app's API key.
pub(super) struct Person(pub(super) Caller);

impl FromRequestParts<Services> for Person {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> std::result::Result<Self, Error> {
        match caller_of(parts, services).await? {
            Caller::Anonymous | Caller::Guest(_) => Err(AuthError::Missing.into()),
            known @ (Caller::Known { .. } | Caller::Service) => Ok(Self(known)),
        }
    }
}

/// The guest's id that a request carries besides its body.
pub(super) struct GuestId(pub(super) Option<String>);

impl<S: Sync> FromRequestParts<S> for GuestId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Error> {
        Ok(Self(guest_id_of(parts)))
    }
}

/// `X-Guest-Id`, `?guestId=`, or our cookie.
fn guest_id_of(parts: &Parts) -> Option<String> {
    let header = || Some(parts.headers.get("x-guest-id")?.to_str().ok()?.to_owned());
    let query = || {
        let mut pairs = form_urlencoded::parse(parts.uri.query()?.as_bytes());
        pairs.find(|(name, _)| name == "guestId").map(|(_, value)| value.into_owned())
    };
    let cookie = || {
        let all = parts.headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == GUEST_COOKIE).map(|(_, value)| value.to_owned())
    };
    header().or_else(query).or_else(cookie).filter(|id| !id.is_empty())
}

/// Where the request comes from.
pub(super) struct Address(pub(super) IpAddr);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Error> {
        let address = parts.extensions.get::<ClientAddress>().ok_or(core::Error::Internal)?;
        Ok(Self(address.0))
    }
}
