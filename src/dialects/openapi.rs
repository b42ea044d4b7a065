//! What a route's own types say of it in the OpenAPI document: how its answers look, and with which statuses.
//!
//! A route is registered by its handler (`routes!`), whose arguments and return type are its entry, so that there is no route
//! without one and no entry that says something else. The envelopes implement `IntoResponses` with what is here. The
//! document is put together in `server/openapi.rs`.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Content, Header, Ref, RefOr, Response, ResponseBuilder};

/// Stands for whichever successes a route names, or 200 where it names none: the envelope knows only their shape.
pub const SUCCESS: &str = "2XX";

/// Where an answer keeps the schemas that it refers to, until they are the document's.
pub const SCHEMAS: &str = "x-schemas";

/// Every status that a dialect may fail with, where its document does not name fewer.
pub(super) const FAILURES: [StatusCode; 10] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::CONFLICT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Answers by their status.
pub(super) type Responses = BTreeMap<String, RefOr<Response>>;

/// Who may call a dialect's routes, where a route does not say (`security(…)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// People, by a token.
    People,
    /// People, and the app's back end by its key.
    Known,
    /// As `Known`; anybody where `AUTH_MODE` is optional.
    ByMode,
}

/// Success: `body`, which has a `T` in it.
pub(super) fn success<T: ToSchema>(body: impl Into<RefOr<Schema>>) -> Responses {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    BTreeMap::from([(SUCCESS.to_owned(), answer("Success.", body.into(), schemas).into())])
}

/// Failure: an `F`, with each of `statuses`.
pub(super) fn failures<F: ToSchema>(statuses: &[StatusCode]) -> Responses {
    let mut schemas = vec![(F::name().into_owned(), F::schema())];
    F::schemas(&mut schemas);
    let body = || RefOr::Ref(Ref::from_schema_name(F::name()));
    let told = |status: &StatusCode| {
        let why = status.canonical_reason().unwrap_or_default();
        let mut answer = answer(&format!("{why}."), body(), schemas.clone());
        if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(status) {
            let mut seconds = Header::new(integer());
            seconds.description = Some("When to come back, in seconds.".to_owned());
            answer.headers.insert("Retry-After".to_owned(), seconds.into());
        }
        (status.as_u16().to_string(), answer.into())
    };
    statuses.iter().map(told).collect()
}

fn answer(description: &str, body: RefOr<Schema>, schemas: Vec<(String, RefOr<Schema>)>) -> Response {
    let schemas: BTreeMap<String, RefOr<Schema>> = schemas.into_iter().collect();
    let schemas: Value = serde_json::to_value(schemas).expect("schemas are JSON");
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(body)))
        .extensions(Some(ExtensionsBuilder::new().add(SCHEMAS, schemas).build()));
    response.build()
}

/// A text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// `true` or `false`, always the same one.
pub(super) fn always(value: bool) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([value]))
}

/// A whole number.
pub(super) fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

/// A text or a number.
pub(super) fn text_or_number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Number]))
}
