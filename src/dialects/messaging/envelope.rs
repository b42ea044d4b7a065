//! How this document says success (`{"success":true,"data":…,"timestamp":…}`) and failure
//! (`{"success":false,"error":{"code","message","details"},"timestamp":…}`).
//!
//! Each of `core`'s errors has one of the document's twelve codes and an HTTP status that fits. `details` names the field
//! of a value that is wrong.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::{IntoResponses, ToSchema};

use super::shapes::timestamp;
use crate::auth::{AuthError, Caller};
use crate::clock::Clock;
use crate::core::{self, GroupError};
use crate::dialects::openapi::{self, Responses};
use crate::dialects::{Services, caller_of, json_of, refusal};

/// What a handler gives back.
pub(super) type Result<T> = std::result::Result<Reply<T>, Error>;

/// Success.
#[derive(Debug)]
pub(super) struct Reply<T> {
    status: StatusCode,
    data: T,
    message: Option<&'static str>,
    code: Option<&'static str>,
}

impl<T: Serialize> Reply<T> {
    /// What was asked for.
    pub(super) fn ok(data: T) -> Self {
        Self { status: StatusCode::OK, data, message: None, code: None }
    }

    /// What was done.
    pub(super) fn done(message: &'static str, data: T) -> Self {
        Self { status: StatusCode::OK, data, message: Some(message), code: None }
    }

    /// What was made.
    pub(super) fn created(message: &'static str, data: T) -> Self {
        Self { status: StatusCode::CREATED, data, message: Some(message), code: None }
    }

    /// What was to be made and was there.
    pub(super) fn existing(message: &'static str, code: &'static str, data: T) -> Self {
        Self { status: StatusCode::OK, data, message: Some(message), code: Some(code) }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Success<T> {
            success: bool,
            data: T,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            code: Option<&'static str>,
            timestamp: String,
        }
        let Self { status, data, message, code } = self;
        let body = Success { success: true, data, message, code, timestamp: now() };
        (status, axum::Json(body)).into_response()
    }
}

impl<T: ToSchema> IntoResponses for Reply<T> {
    fn responses() -> Responses {
        let envelope = ObjectBuilder::new()
            .property("success", openapi::always(true))
            .property("data", T::schema())
            .property("message", openapi::text())
            .property("code", openapi::text())
            .property("timestamp", openapi::text());
        openapi::success::<T>(envelope.required("success").required("data").required("timestamp"))
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
    /// Its code and status.
    fn kind(&self) -> (&'static str, StatusCode) {
        const INVALID: &str = "VALIDATION_ERROR";
        const OURS: &str = "INTERNAL_SERVER_ERROR";
        match &self.0 {
            core::Error::Invalid { .. } | core::Error::Unreadable(_) | core::Error::LimitReached(_) => {
                (INVALID, StatusCode::BAD_REQUEST)
            }
            core::Error::TooLarge => (INVALID, StatusCode::PAYLOAD_TOO_LARGE),
            core::Error::UnsupportedMediaType => (INVALID, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            core::Error::ConversationClosed | core::Error::PhoneBusy | core::Error::KeyReused => {
                (INVALID, StatusCode::CONFLICT)
            }
            core::Error::Auth(error) => match error {
                AuthError::Missing | AuthError::Invalid => ("UNAUTHORIZED", StatusCode::UNAUTHORIZED),
                AuthError::NotYou | AuthError::Forbidden | AuthError::IdentityMissing => {
                    ("FORBIDDEN", StatusCode::FORBIDDEN)
                }
                AuthError::Unavailable => (OURS, StatusCode::SERVICE_UNAVAILABLE),
            },
            core::Error::NotAMember | core::Error::PhoneNotAllowed => ("FORBIDDEN", StatusCode::FORBIDDEN),
            core::Error::Blocked => ("USER_BLOCKED", StatusCode::FORBIDDEN),
            core::Error::OnlyYourself => ("CANNOT_MESSAGE_SELF", StatusCode::BAD_REQUEST),
            core::Error::Group(error) => match error {
                GroupError::TooFewMembers => ("MIN_MEMBERS_REQUIRED", StatusCode::BAD_REQUEST),
                GroupError::TooManyMembers { .. } => ("MAX_MEMBERS_REACHED", StatusCode::BAD_REQUEST),
                GroupError::AlreadyMember => ("USER_ALREADY_IN_GROUP", StatusCode::CONFLICT),
                GroupError::NotAMember | GroupError::NotAGroup => ("NOT_FOUND", StatusCode::NOT_FOUND),
            },
            core::Error::NoSuchEndpoint
            | core::Error::PersonNotFound
            | core::Error::ConversationNotFound
            | core::Error::MessageNotFound
            | core::Error::ParticipantNotFound
            | core::Error::MediaNotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            core::Error::TooManyRequests { .. }
            | core::Error::TooManyPhones { .. }
            | core::Error::Throttled { .. } => ("RATE_LIMIT_EXCEEDED", StatusCode::TOO_MANY_REQUESTS),
            core::Error::Unavailable { .. } | core::Error::UnknownOutcome => {
                (OURS, StatusCode::SERVICE_UNAVAILABLE)
            }
            core::Error::NotConfigured(_) | core::Error::Internal => {
                (OURS, StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn details(&self) -> Value {
        if let core::Error::Invalid { field, problem } = &self.0 {
            json!({ "field": field, "problem": problem })
        } else if let core::Error::Group(GroupError::TooManyMembers { most }) = &self.0 {
            json!({ "maxMembers": most })
        } else {
            json!({})
        }
    }
}

/// Failure as it is told.
#[derive(Serialize, ToSchema)]
struct Failure {
    success: bool,
    error: Fault,
    timestamp: String,
}

#[derive(Serialize, ToSchema)]
struct Fault {
    code: &'static str,
    message: String,
    #[schema(value_type = Object)]
    details: Value,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (code, status) = self.kind();
        let error = Fault { code, message: self.0.to_string(), details: self.details() };
        refusal(status, &Failure { success: false, error, timestamp: now() }, &self.0)
    }
}

/// When an answer was written: like its `Date` header a matter of the wire, which nothing is decided by.
fn now() -> String {
    timestamp(Clock::system().now())
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
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, Error> {
        Ok(Self(json_of(request, state).await?))
    }
}

/// The query string.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub(super) struct Query<T>(pub(super) T);

/// The variable parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub(super) struct Path<T>(pub(super) T);

/// Who is calling: a person, by a token.
pub(super) struct Auth(pub(super) Caller);

/// Who is calling: an admin, or the app's back end.
pub(super) struct Operator(pub(super) Caller);

impl FromRequestParts<Services> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> std::result::Result<Self, Error> {
        match caller_of(parts, services).await? {
            admin if admin.is_admin() => Ok(Self(admin)),
            Caller::Known { .. } => Err(AuthError::Forbidden.into()),
            Caller::Anonymous | Caller::Guest(_) | Caller::Service => Err(AuthError::Missing.into()),
        }
    }
}

impl FromRequestParts<Services> for Auth {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> std::result::Result<Self, Error> {
        let caller = caller_of(parts, services).await?;
        caller.person()?;
        Ok(Self(caller))
    }
}
