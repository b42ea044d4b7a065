//! `POST /webhooks/twilio`: Twilio's reports come in here, and its question whether a message may be added.
//!
//! `Report` has verified and read one before the handler's first line runs; what it means is `core`'s.
//!
//! Sources: <https://www.twilio.com/docs/conversations/conversations-webhooks>,
//! <https://www.twilio.com/docs/usage/webhooks/webhooks-security>

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use url::Url;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::core::Inbound;
use crate::limits::{ClientAddress, Limits, TooSoon};
use crate::twilio::{AccountSid, ServiceSid, Validator, Webhook, parse};

/// Where Twilio posts.
pub const PATH: &str = "/webhooks/twilio";

/// Who may report what.
#[derive(Clone)]
pub struct Webhooks(Arc<Doorman>);

struct Doorman {
    inbound: Inbound,
    limits: Limits,
    validator: Validator,
    account_sid: AccountSid,
    service_sid: ServiceSid,
    /// The address as Twilio knows it: that is what it signs, whatever proxies stand between.
    url: Url,
}

impl Webhooks {
    /// Takes reports of this account and service, signed for `url`, and hands them to `inbound`.
    #[must_use]
    pub fn new(
        inbound: Inbound,
        limits: Limits,
        validator: Validator,
        account_sid: AccountSid,
        service_sid: ServiceSid,
        url: Url,
    ) -> Self {
        Self(Arc::new(Doorman { inbound, limits, validator, account_sid, service_sid, url }))
    }

    /// The route.
    pub fn routes(self) -> OpenApiRouter {
        let refuse = async || (StatusCode::METHOD_NOT_ALLOWED, "Twilio posts here\n");
        let bytes = self.0.limits.bounds.webhook_bytes;
        OpenApiRouter::new()
            .routes(routes!(take).map(|methods| methods.fallback(refuse)))
            .layer(DefaultBodyLimit::max(bytes))
            .with_state(self)
    }
}

/// Takes a report of Twilio's, or its question whether a message may be added.
#[utoipa::path(post, path = PATH, security(("twilio" = [])),
    request_body(content(
        (Object = "application/x-www-form-urlencoded"),
        (Object = "application/json")
    )),
    responses(
        (status = 200, description = "Taken; it may be added.", body = Object),
        (status = 400, description = "It cannot be read.", body = String, content_type = "text/plain"),
        (status = 403, description = "Not Twilio's, or it may not be added.", body = String, content_type = "text/plain"),
        (status = 413, description = "Too long.", body = String, content_type = "text/plain"),
        (status = 429, description = "Too many that were not Twilio's.", body = String, content_type = "text/plain"),
        (status = 503, description = "Too much at once.", body = String, content_type = "text/plain"),
    ))]
async fn take(State(webhooks): State<Webhooks>, report: Report) -> impl IntoResponse {
    match webhooks.0.inbound.permits(&report.webhook).await {
        Some(true) => return ([(CONTENT_TYPE, "application/json")], "{}").into_response(),
        Some(false) => return refused("forbidden", StatusCode::FORBIDDEN),
        None => {}
    }
    match webhooks.0.inbound.push(report.webhook, report.token) {
        Ok(()) => ([(CONTENT_TYPE, "application/json")], "{}").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], "busy\n").into_response(),
    }
}

/// A report that Twilio signed, about our account and service.
struct Report {
    webhook: Webhook,
    /// The same for every attempt to deliver it.
    token: Option<String>,
}

impl FromRequest<Webhooks> for Report {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Webhooks) -> Result<Self, Response> {
        let doorman = &state.0;
        let from = request.extensions().get::<ClientAddress>().map(|address| address.network());
        // Before anything is read, let alone hashed, for a forger; Twilio comes from other addresses.
        doorman.limits.wrong_signatures.look(&from).map_err(too_soon)?;
        let headers = request.headers().clone();
        let mut url = doorman.url.to_string();
        if let Some(query) = request.uri().query() {
            url.push('?');
            url.push_str(query); // as received: escaping is signed too
        }
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        let content_type = text(&headers, CONTENT_TYPE.as_str());
        let signature = text(&headers, "x-twilio-signature").unwrap_or_default();
        let essence = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        let is_json = essence.trim().eq_ignore_ascii_case("application/json");
        let genuine = if is_json {
            doorman.validator.accepts_json(&url, &body, signature)
        } else {
            doorman.validator.accepts_form(&url, &body, signature)
        };
        if !genuine {
            // Looked at above: the one that is past the limit is the next.
            let _counted = doorman.limits.wrong_signatures.check(&from);
            return Err(refused("signature", StatusCode::FORBIDDEN));
        }
        let webhook = parse(content_type, &body).map_err(|error| {
            tracing::warn!(%error, "a signed webhook could not be read");
            refused("unreadable", StatusCode::BAD_REQUEST)
        })?;
        let foreign_service = webhook.service_sid.is_some_and(|service| service != doorman.service_sid);
        if webhook.account_sid != doorman.account_sid || foreign_service {
            return Err(refused("foreign", StatusCode::FORBIDDEN));
        }
        let token = text(&headers, "i-twilio-idempotency-token").map(str::to_owned);
        metrics::counter!("switchboard_webhooks_total", "outcome" => "taken").increment(1);
        Ok(Self { webhook, token })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn too_soon(refusal: TooSoon) -> Response {
    let seconds = refusal.retry_after.as_secs() + 1;
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, HeaderValue::from(seconds))], "refused\n").into_response()
}

fn refused(outcome: &'static str, status: StatusCode) -> Response {
    metrics::counter!("switchboard_webhooks_total", "outcome" => outcome).increment(1);
    if outcome == "signature" {
        tracing::warn!(
            "a webhook was refused: not signed by Twilio for PUBLIC_URL with this account's auth token"
        );
    }
    (status, "refused\n").into_response()
}
