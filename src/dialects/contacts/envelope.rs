//! How this document says success (`{"status":true,"code":201,"data":…,"msg":…}`) and failure
//! (`{"status":false,"code":…,"msg":…}`, also in acknowledgements): the HTTP status and `code` are always the same.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::{IntoResponses, ToSchema};

use crate::auth::Caller;
use crate::core;
use crate::dialects::openapi::{self, Responses};
use crate::dialects::{Services, caller_of, json, json_of, refusal, status_of};

/// What a handler gives back.
pub(super) type Result<T> = std::result::Result<Created<T>, Error>;

/// Something was made: 201.
#[derive(Serialize)]
pub(super) struct Created<T> {
    status: bool,
    code: u16,
    data: T,
    msg: &'static str,
}

impl<T: Serialize> Created<T> {
    pub(super) fn new(msg: &'static str, data: T) -> Self {
        Self { status: true, code: StatusCode::CREATED.as_u16(), data, msg }
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        json(StatusCode::CREATED, &self)
    }
}

impl<T: ToSchema> IntoResponses for Created<T> {
    fn responses() -> Responses {
        let envelope = ObjectBuilder::new()
            .property("status", openapi::always(true))
            .property("code", openapi::integer())
            .property("data", T::schema())
            .property("msg", openapi::text());
        openapi::success::<T>(envelope.required("status").required("code").required("data").required("msg"))
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

/// Failure as it is told.
#[derive(Serialize, ToSchema)]
pub(super) struct Failure {
    status: bool,
    code: u16,
    msg: String,
    #[serde(rename = "retryAfter", skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Error {
    /// For an answer, whose headers say the rest.
    fn failure(&self) -> Failure {
        Failure { status: false, code: self.code().as_u16(), msg: self.message(), retry_after: None }
    }

    /// For an acknowledgement.
    pub(super) fn acknowledged(&self) -> Failure {
        Failure { retry_after: self.0.retry_after_seconds(), ..self.failure() }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the words of `core` fit all others")]
    fn message(&self) -> String {
        match &self.0 {
            core::Error::PersonNotFound => "this contact is not registered yet".to_owned(),
            core::Error::OnlyYourself => "you cannot start a conversation with yourself".to_owned(),
            other => other.to_string(),
        }
    }

    fn code(&self) -> StatusCode {
        status_of(&self.0)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        refusal(self.code(), &self.failure(), &self.0)
    }
}

impl IntoResponses for Error {
    fn responses() -> Responses {
        openapi::failures::<Failure>(&[
            StatusCode::BAD_REQUEST,
            StatusCode::UNAUTHORIZED,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ])
    }
}

/// The answer to a request that reached no handler.
pub(super) fn failure(error: core::Error) -> Response {
    Error(error).into_response()
}

/// JSON in; what does not parse is refused as here.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, Error> {
        Ok(Self(json_of(request, state).await?))
    }
}

/// Who is calling: a person, by a token. Contacts are somebody's, so this document takes no request without one.
pub(super) struct Auth(pub(super) Caller);

impl FromRequestParts<Services> for Auth {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> std::result::Result<Self, Error> {
        let caller = caller_of(parts, services).await?;
        caller.person()?;
        Ok(Self(caller))
    }
}
