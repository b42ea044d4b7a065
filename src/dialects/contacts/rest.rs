//! The one REST route. It only connects.

use axum::Router;
use axum::extract::State;
use axum::routing::post;

use super::envelope::{Auth, Created, Json, Result};
use super::shapes::{AddContact, ContactOut};
use crate::core::Core;
use crate::dialects::Services;

/// The routes.
pub(super) fn routes(services: Services) -> Router {
    let routes = Router::new().route("/add", post(add));
    Router::new().nest("/contact", routes.clone()).nest("/api/contact", routes).with_state(services)
}

async fn add(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<AddContact>,
) -> Result<ContactOut> {
    let (new, written) = body.read()?;
    let added = core.add_contact(&caller, new).await?;
    Ok(Created::new("Contact added successfully", ContactOut::of(&added, written)))
}
