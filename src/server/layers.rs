//! What happens to every request, whichever route it is for.
//!
//! Where it comes from is found out in `client_address.rs`.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::http::header::{self, Entry, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::{connection, operations};
use crate::auth::{AuthError, AuthMode};
use crate::config::{CorsOrigins, PublicUrl};
use crate::core::Error;
use crate::dialects;
use crate::limits::{ClientAddress, Limits};
use crate::realtime::{self, Entrance};
use crate::telemetry;
use crate::webhooks;

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
        None if matches!(error, Error::NoSuchEndpoint) => {
            (StatusCode::NOT_FOUND, "nothing is here; see the documentation of this service\n")
                .into_response()
        }
        None => {
            let mut response = (dialects::status_of(&error), format!("{error}\n")).into_response();
            if let Some(retry_after) = dialects::retry_after_of(&error) {
                response.headers_mut().insert(header::RETRY_AFTER, retry_after);
            }
            response
        }
    }
}

/// Tells how many Twilio calls a request cost, to its client and to the metrics.
pub(super) async fn count_twilio_calls(request: Request, next: Next) -> Response {
    let (mut response, calls) = telemetry::counting(next.run(request)).await;
    metrics::histogram!("switchboard_twilio_calls_per_request").record(calls);
    response.headers_mut().insert(TWILIO_CALLS, HeaderValue::from(calls));
    response
}

/// Refuses what comes from an address that asks for too much, before anything is read or looked up for it. Twilio, which
/// tells of everybody from few addresses, and those who run the service are not counted; figures, which cost work, are for
/// themselves. Who asks whether we are ready may be a proxy, from the address of all its clients.
pub(super) async fn limit_addresses(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let counter = match path {
        operations::FIGURES => Some(&limits.figures),
        path if is_for_machines(path) => None,
        _ => Some(&limits.requests_per_address),
    };
    let address = request.extensions().get::<ClientAddress>();
    let counted = match (counter, address) {
        (Some(counter), Some(address)) => counter.check(&address.network()),
        (None, _) | (_, None) => Ok(()),
    };
    match counted {
        Ok(()) => next.run(request).await,
        Err(too_soon) => failure(path, too_soon.into()),
    }
}

fn is_for_machines(path: &str) -> bool {
    path == webhooks::PATH || operations::PATHS.contains(&path)
}

/// A handler that panics takes down its request, and says so as its dialect does.
pub(super) async fn answer_panics(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        metrics::counter!("switchboard_panics_total").increment(1);
        // Not the path, which names people.
        let dialect = dialects::speaking_at(&path).map(|dialect| dialect.name);
        tracing::error!(dialect, "a request panicked");
        failure(&path, Error::Internal)
    })
}

/// Has a request that may become a socket pass the way into `realtime`.
pub(super) async fn prepare_socket(
    State(entrance): State<Entrance>,
    request: Request,
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
    let path = request.uri().path().to_owned();
    let entered = if is_socketio {
        entrance.socketio(request, kill).await
    } else {
        entrance.websocket(request, kill).await
    };
    match entered {
        Ok(request) => next.run(request).await,
        Err(error) => failure(&path, error),
    }
}

/// Which pages of browsers are let in.
#[derive(Clone)]
pub(super) struct Pages {
    origins: CorsOrigins,
    public_url: PublicUrl,
    /// Whether requests that prove nothing are believed: then whatever makes a browser of somebody here send one is them.
    unproven: bool,
}

impl Pages {
    /// Those of `origins`, and the service's own.
    pub(super) fn new(origins: CorsOrigins, public_url: PublicUrl, mode: AuthMode) -> Self {
        Self { origins, public_url, unproven: mode == AuthMode::Optional }
    }

    /// Whether a page from `origin` may write, and open sockets, at `host`.
    fn allow(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        origin.to_str().is_ok_and(|origin| {
            self.origins.allows(origin) || is_own(origin, host) || self.public_url.origin() == origin
        })
    }

    /// Whether `host` is a name that no stranger can give to this machine. A page of a stranger's domain can let its name lead
    /// here (DNS rebinding), and what it asks for then looks like the service's own page asking. An address leads nowhere
    /// else, and names without a dot, or under `localhost`, are not to be had by strangers.
    fn know(&self, host: &HeaderValue) -> bool {
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        host.is_some_and(|host| {
            let name = host.host();
            let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
            address.parse::<IpAddr>().is_ok()
                || !name.contains('.')
                || name.to_ascii_lowercase().ends_with(".localhost")
                || self.public_url.is_at(name)
        })
    }
}

/// Refuses what a browser sends for pages that may not: sockets, for which nothing else would (browsers do not apply CORS to
/// them), whichever way they are opened; and, where nobody has to prove who they are, what writes (some of which browsers
/// send without asking first) and whatever is asked under a stranger's name for this machine. Whoever sends no `Origin` is no
/// page of another's. Machines ask by whatever name they have.
pub(super) async fn refuse_foreign_pages(
    State(pages): State<Pages>,
    request: Request,
    next: Next,
) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    let host = headers.get(header::HOST);
    if pages.unproven && !is_for_machines(path) && host.is_some_and(|host| !pages.know(host)) {
        tracing::warn!(
            "a request was refused: with AUTH_MODE=optional its Host must be an address, a name without a dot, or that of PUBLIC_URL"
        );
        return failure(path, AuthError::Forbidden.into());
    }
    let opens_socket = headers.contains_key(header::UPGRADE) || path.starts_with("/socket.io");
    let writes = pages.unproven && !request.method().is_safe();
    let foreign = headers.get(header::ORIGIN).is_some_and(|origin| !pages.allow(origin, host));
    if foreign && (opens_socket || writes) {
        return failure(path, AuthError::Forbidden.into());
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

/// What every answer says to browsers, unless it says something else itself.
#[derive(Clone)]
pub(super) struct SecureHeaders(Vec<(HeaderName, HeaderValue)>);

impl SecureHeaders {
    /// Of a service that is reached at `public_url`.
    pub(super) fn new(public_url: &PublicUrl) -> Self {
        let mut headers = vec![
            // No answer is to be taken for anything but what it says it is.
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            // Tokens may stand in addresses.
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            // An answer that is opened as a page, or framed by one, can do nothing.
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
            ),
        ];
        if public_url.is_https() {
            headers.push((header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")));
        }
        Self(headers)
    }
}

/// Adds [`SecureHeaders`].
pub(super) async fn secure_headers(
    State(SecureHeaders(headers)): State<SecureHeaders>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in headers {
        if let Entry::Vacant(missing) = response.headers_mut().entry(name) {
            missing.insert(value);
        }
    }
    response
}
