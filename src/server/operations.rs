//! What operators and their machines ask: `/healthz` (the process lives), `/readyz` (send it clients), `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::core::Core;
use crate::telemetry::Metrics;

#[derive(Clone)]
struct Operations {
    core: Core,
    ending: Arc<AtomicBool>,
    metrics: Metrics,
}

/// The routes. `ending`: whether the service is being shut down.
pub(super) fn routes(core: Core, ending: Arc<AtomicBool>, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async |State(operations): State<Operations>| operations.metrics.render()))
        .with_state(Operations { core, ending, metrics })
}

async fn ready(State(operations): State<Operations>) -> (StatusCode, String) {
    if operations.ending.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".to_owned());
    }
    match operations.core.ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
