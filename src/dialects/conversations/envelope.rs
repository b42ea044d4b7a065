//! How this document says success (`{"status":200,"message":…,"data":…}`) and failure (`{"status":…,"message":…}`): the
//! HTTP status and `status` are always the same. Which failure it is, is `core`'s or the caller's.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::auth::Caller;
use crate::core;
use crate::dialects::openapi::{self, Responses};
use crate::dialects::{Services, caller_of, json, json_of, refusal, status_of};

/// What a handler gives back.
pub(super) type Result<T> = std::result::Result<Reply<T>, Error>;

/// Success.
#[derive(Serialize)]
pub(super) struct Reply<T> {
    status: u16,
    message: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<T: Serialize> Reply<T> {
    /// With `data`.
    pub(super) fn ok(message: &'static str, data: T) -> Self {
        Self { status: 200, message, data, next_cursor: None }
    }

    /// With `data` that goes on after `next_cursor`.
    pub(super) fn page(message: &'static str, data: T, next_cursor: Option<String>) -> Self {
        Self { status: 200, message, data, next_cursor }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self)
    }
}

impl<T: ToSchema> IntoResponses for Reply<T> {
    fn responses() -> Responses {
        let body = envelope().property("data", T::schema()).required("data");
        openapi::success::<T>(body.property("next_cursor", openapi::text()))
    }
}

/// Success, its fields beside `status` and `message`.
#[derive(Serialize)]
pub(super) struct Flat<T> {
    status: u16,
    message: &'static str,
    #[serde(flatten)]
    fields: T,
}

impl<T: Serialize> Flat<T> {
    /// With `fields`.
    pub(super) fn ok(message: &'static str, fields: T) -> Self {
        Self { status: 200, message, fields }
    }
}

impl<T: Serialize> IntoResponse for Flat<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self)
    }
}

impl<T: ToSchema> IntoResponses for Flat<T> {
    fn responses() -> Responses {
        openapi::success::<T>(AllOfBuilder::new().item(envelope()).item(T::schema()))
    }
}

fn envelope() -> ObjectBuilder {
    let object =
        ObjectBuilder::new().property("status", openapi::integer()).property("message", openapi::text());
    object.required("status").required("message")
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
    /// What a person reads.
    pub(super) fn message(&self) -> String {
        self.0.to_string()
    }

    /// When a repeat may succeed, in seconds, if that is known.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.0.retry_after_seconds()
    }

    fn status(&self) -> StatusCode {
        status_of(&self.0)
    }
}

/// Failure as it is told.
#[derive(Serialize, ToSchema)]
struct Failure {
    status: u16,
    message: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        refusal(status, &Failure { status: status.as_u16(), message: self.message() }, &self.0)
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

/// Who is calling.
pub(super) struct Auth(pub(super) Caller);

impl FromRequestParts<Services> for Auth {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> std::result::Result<Self, Error> {
        Ok(Self(caller_of(parts, services).await?))
    }
}
