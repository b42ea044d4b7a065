//! What operators and their machines ask: `/healthz` (the process lives), `/readyz` (send it clients), `/metrics`.
//!
//! Nothing here names a person. `/metrics` asks for `METRICS_KEY` where it is set, else a proxy keeps strangers from it;
//! nobody is asked for a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use moka::future::Cache;
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{AuthMode, same_secret, token_from};
use crate::core::Core;
use crate::telemetry::Metrics;

/// Where it is asked.
pub(super) const PATHS: [&str; 3] = ["/healthz", "/readyz", FIGURES];
/// Where figures are told.
pub(super) const FIGURES: &str = "/metrics";

/// What is told here.
#[derive(Clone)]
pub(super) struct Operations {
    core: Core,
    ending: Arc<AtomicBool>,
    readiness: Readiness,
    metrics: Metrics,
    metrics_key: Option<SecretString>,
    auth_mode: AuthMode,
}

impl Operations {
    /// `ending`: whether the service is being shut down.
    pub(super) fn new(
        core: Core,
        auth_mode: AuthMode,
        ending: Arc<AtomicBool>,
        metrics: Metrics,
        metrics_key: Option<SecretString>,
    ) -> Self {
        Self { core, ending, readiness: Readiness::default(), metrics, metrics_key, auth_mode }
    }
}

/// The routes.
pub(super) fn routes(operations: Operations) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(alive))
        .routes(routes!(ready))
        .routes(routes!(metrics_now))
        .with_state(operations)
}

/// How long what was found out is told again.
const FOUND_FOR: Duration = Duration::from_secs(1);

/// Whether what the service cannot work without answers, as it was found a moment ago. However many ask, one looks: a flood of
/// them would else take the database's connections from everybody.
#[derive(Clone)]
struct Readiness(Cache<(), Result<(), &'static str>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(1).time_to_live(FOUND_FOR).build())
    }
}

impl Readiness {
    async fn found(&self, look: impl Future<Output = Result<(), &'static str>>) -> Result<(), &'static str> {
        self.0.get_with((), look).await
    }
}

/// How the process is.
#[derive(Serialize, ToSchema)]
struct Alive {
    /// Always `ok`.
    status: &'static str,
    /// `required`, or `optional`: whether whoever comes without a token is believed.
    auth_mode: &'static str,
}

/// Says that the process lives, and in which mode: what runs `optional` by mistake is found from outside.
#[utoipa::path(get, path = "/healthz", security(()),
    responses((status = 200, description = "It does.", body = Alive)))]
async fn alive(State(operations): State<Operations>) -> impl IntoResponse {
    let auth_mode = match operations.auth_mode {
        AuthMode::Required => "required",
        AuthMode::Optional => "optional",
    };
    axum::Json(Alive { status: "ok", auth_mode })
}

/// Tells figures, as Prometheus reads them.
///
/// Where `METRICS_KEY` is set, it is the bearer token.
#[utoipa::path(get, path = "/metrics", security(()),
    responses(
        (status = 200, description = "The figures.", body = String, content_type = "text/plain"),
        (status = 401, description = "Not without the key.", body = String, content_type = "text/plain"),
        (status = 429, description = "Not so often.", body = String, content_type = "text/plain"),
    ))]
async fn metrics_now(State(operations): State<Operations>, headers: HeaderMap) -> impl IntoResponse {
    let shown = token_from(&headers, &Uri::default()).unwrap_or_default();
    match &operations.metrics_key {
        Some(key) if !same_secret(key, &shown) => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "METRICS_KEY is needed\n")
                .into_response()
        }
        Some(_) | None => operations.metrics.render().into_response(),
    }
}

/// Says whether clients may be sent here.
#[utoipa::path(get, path = "/readyz", security(()),
    responses(
        (status = 200, description = "They may.", body = String, content_type = "text/plain"),
        (status = 503, description = "Not now.", body = String, content_type = "text/plain"),
    ))]
async fn ready(State(operations): State<Operations>) -> (StatusCode, String) {
    if operations.ending.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".to_owned());
    }
    match operations.readiness.found(operations.core.ready()).await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn however_many_ask_one_looks() {
        let (readiness, looks) = (Readiness::default(), AtomicUsize::new(0));
        let look = || async {
            looks.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err("the database does not answer")
        };
        let all = futures::future::join_all((0..500).map(|_| readiness.found(look()))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        assert_eq!(readiness.0.policy().time_to_live(), Some(FOUND_FOR), "and it is looked again soon");
    }
}
