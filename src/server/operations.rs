//! What operators and their machines ask: `/healthz` (the process lives), `/readyz` (send it clients), `/metrics`.
//!
//! Nothing here names a person, and nobody is asked for a token: a proxy keeps strangers from `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AuthMode;
use crate::core::Core;
use crate::telemetry::Metrics;

/// Where it is asked.
pub(super) const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

#[derive(Clone)]
struct Operations {
    core: Core,
    ending: Arc<AtomicBool>,
    metrics: Metrics,
    auth_mode: AuthMode,
}

/// The routes. `ending`: whether the service is being shut down.
pub(super) fn routes(
    core: Core,
    auth_mode: AuthMode,
    ending: Arc<AtomicBool>,
    metrics: Metrics,
) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(alive))
        .routes(routes!(ready))
        .routes(routes!(metrics_now))
        .with_state(Operations { core, ending, metrics, auth_mode })
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
#[utoipa::path(get, path = "/metrics", security(()),
    responses((status = 200, description = "The figures.", body = String, content_type = "text/plain")))]
async fn metrics_now(State(operations): State<Operations>) -> impl IntoResponse {
    operations.metrics.render()
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
    match operations.core.ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
