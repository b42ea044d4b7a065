//! The widget: one script that a page includes, and the Socket.IO client that it needs. Part of the binary.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Pages of other origins may include it: that is what it is for.
const EMBEDDABLE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/support/widget.js", get(async || script(include_str!("../../../web/widget.js"))))
        .route(
            "/support/socket.io.js",
            get(async || script(include_str!("../../../web/vendor/socket.io.min.js"))),
        )
}

fn script(text: &'static str) -> impl IntoResponse {
    (
        [
            (CONTENT_TYPE, "text/javascript; charset=utf-8"),
            (CACHE_CONTROL, "public, max-age=3600"),
            (EMBEDDABLE, "cross-origin"),
        ],
        text,
    )
}
