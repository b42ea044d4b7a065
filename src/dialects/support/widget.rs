//! The widget: one script that a page includes, and the Socket.IO client that it needs. Part of the binary.

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Pages of other origins may include it: that is what it is for.
const EMBEDDABLE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The routes.
pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(widget)).routes(routes!(socketio_client))
}

/// The support widget.
#[utoipa::path(get, path = "/support/widget.js", security(()),
    responses((status = 200, description = "The script.", body = String, content_type = "text/javascript")))]
async fn widget() -> impl IntoResponse {
    script(include_str!("../../../web/widget.js"))
}

/// The Socket.IO client that the widget needs.
#[utoipa::path(get, path = "/support/socket.io.js", security(()),
    responses((status = 200, description = "The script.", body = String, content_type = "text/javascript")))]
async fn socketio_client() -> impl IntoResponse {
    script(include_str!("../../../web/vendor/socket.io.min.js"))
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
