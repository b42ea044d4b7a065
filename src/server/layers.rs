//! What happens to every request, whichever route it is for.

use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::connection;
use crate::auth::AuthError;
use crate::config::CorsOrigins;
use crate::core::Error;
use crate::dialects::{self, ClientAddress};
use crate::realtime::{self, UpgradedBy};
use crate::telemetry;

/// How many Twilio calls the answer cost.
const TWILIO_CALLS: HeaderName = HeaderName::from_static("x-twilio-calls");

/// The answer where there is nothing, in the voice of whoever's path it is.
pub(super) async fn no_such_endpoint(request: Request) -> Response {
    failure(request.uri().path(), Error::NoSuchEndpoint)
}

/// `error` in the voice of whoever's path it is.
pub(super) fn failure(path: &str, error: Error) -> Response {
    match dialects::speaking_at(path) {
        Some(dialect) => (dialect.failure)(error),
        None => (StatusCode::NOT_FOUND, "nothing is here; see the documentation of this service\n")
            .into_response(),
    }
}

/// Tells how many Twilio calls a request cost, to its client and to the metrics.
pub(super) async fn count_twilio_calls(request: Request, next: Next) -> Response {
    let (mut response, calls) = telemetry::counting(next.run(request)).await;
    metrics::histogram!("switchboard_twilio_calls_per_request").record(calls);
    response.headers_mut().insert(TWILIO_CALLS, HeaderValue::from(calls));
    response
}

/// Tells handlers whom a request comes from: the one place where that is decided.
pub(super) async fn tell_client_address(mut request: Request, next: Next) -> Response {
    if let Some(peer) = request.extensions().get::<connection::PeerAddr>() {
        let address = ClientAddress(peer.0.ip());
        request.extensions_mut().insert(address);
    }
    next.run(request).await
}

/// A handler that panics takes down its request, and says so as its dialect does.
pub(super) async fn answer_panics(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        metrics::counter!("switchboard_panics_total").increment(1);
        tracing::error!(path, "a request panicked");
        failure(&path, Error::Internal)
    })
}

/// Hands the connection of a request that may become a socket to `realtime`.
pub(super) async fn prepare_socket(
    State(upgrades): State<UpgradedBy>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_socketio = request.uri().path().starts_with("/socket.io");
    if !is_socketio && !request.headers().contains_key(header::UPGRADE) {
        return next.run(request).await;
    }
    let connection = request.extensions().get::<connection::Kill>().cloned();
    let kill = realtime::Kill::new(move || {
        if let Some(connection) = &connection {
            connection.kill();
        }
    });
    if is_socketio {
        request = upgrades.prepare(request, kill);
    } else {
        request.extensions_mut().insert(kill);
    }
    next.run(request).await
}

/// Refuses WebSockets to pages that may not call from a browser: what CORS, which browsers do not apply to them, would do.
pub(super) async fn refuse_foreign_sockets(
    State(origins): State<CorsOrigins>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let foreign = headers.contains_key(header::UPGRADE)
        && headers.get(header::ORIGIN).is_some_and(|origin| {
            !origin
                .to_str()
                .is_ok_and(|origin| origins.allows(origin) || is_own(origin, headers.get(header::HOST)))
        });
    if foreign {
        return failure(request.uri().path(), AuthError::Forbidden.into());
    }
    next.run(request).await
}

/// Whether a page of `origin` was served from the `host` that it calls.
fn is_own(origin: &str, host: Option<&HeaderValue>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| {
        host.is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
    })
}

/// Which pages may call from a browser.
pub(super) fn cors(origins: CorsOrigins) -> CorsLayer {
    let allowed = move |origin: &HeaderValue, _: &axum::http::request::Parts| {
        origin.to_str().is_ok_and(|origin| origins.allows(origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([TWILIO_CALLS, header::RETRY_AFTER])
        .max_age(std::time::Duration::from_secs(600))
}

/// No answer is to be taken for anything but what it says it is.
pub(super) async fn secure_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
