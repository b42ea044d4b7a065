//! The start page at `/`: two people talking through the service, for whoever has just started it.
//!
//! Served only where no token is needed, since it has none. Its files are in `web/` and part of the binary.

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing but its own files and this service; connections to it are `'self'` in every browser's reading.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/", get(async || page("text/html; charset=utf-8", include_str!("../../web/start.html"))))
        .route(
            "/start.css",
            get(async || page("text/css; charset=utf-8", include_str!("../../web/start.css"))),
        )
        .route(
            "/start.js",
            get(async || page("text/javascript; charset=utf-8", include_str!("../../web/start.js"))),
        )
}

fn page(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY)], text)
}
