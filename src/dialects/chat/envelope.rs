//! How this document says success (`{"success":true,…}`) and failure (`{"success":false,"error":…}`). Which failure it is,
//! is `core`'s or the caller's.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::auth::{AuthError, Caller};
use crate::core;
use crate::dialects::openapi::{self, Responses};
use crate::dialects::{Services, caller_of, json, json_of, refusal, status_of};

/// What a handler gives back.
pub(super) type Result<T> = std::result::Result<Reply<T>, Error>;

/// Success: the fields of `T` beside `success`.
#[derive(Serialize)]
pub(super) struct Reply<T> {
    #[serde(skip)]
    status: StatusCode,
    success: bool,
    #[serde(flatten)]
    fields: T,
}

impl<T: Serialize> Reply<T> {
    /// With `fields`.
    pub(super) fn ok(fields: T) -> Self {
        Self { status: StatusCode::OK, success: true, fields }
    }

    /// With `fields` of what was made.
    pub(super) fn created(fields: T) -> Self {
        Self { status: StatusCode::CREATED, success: true, fields }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        json(self.status, &self)
    }
}

impl<T: ToSchema> IntoResponses for Reply<T> {
    fn responses() -> Responses {
        let envelope = ObjectBuilder::new().property("success", openapi::always(true)).required("success");
        openapi::success::<T>(AllOfBuilder::new().item(envelope).item(T::schema()))
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
    fn status(&self) -> StatusCode {
        // Nobody is named by a token, nor by the request where that would do.
        if matches!(self.0, core::Error::Auth(AuthError::IdentityMissing)) {
            return StatusCode::UNAUTHORIZED;
        }
        if matches!(self.0, core::Error::NotConfigured(_)) {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        status_of(&self.0)
    }
}

/// Failure as it is told.
#[derive(Serialize, ToSchema)]
struct Failure {
    success: bool,
    error: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        refusal(self.status(), &Failure { success: false, error: self.0.to_string() }, &self.0)
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
