//! The one REST route. It only connects.

use axum::Router;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Auth, Created, Json, Result};
use super::shapes::{AddContact, ContactOut};
use crate::core::Core;
use crate::dialects::Services;

/// The routes.
pub(super) fn routes(services: Services) -> OpenApiRouter {
    let routes = OpenApiRouter::new().routes(routes!(add));
    let under_api = Router::new().nest("/api/contact", routes.clone().into());
    OpenApiRouter::new().nest("/contact", routes).merge(under_api.into()).with_state(services)
}

/// Adds a contact by phone number, or gives it new names.
#[utoipa::path(post, path = "/add", responses((status = 201, description = "The contact.")))]
async fn add(
    State(core): State<Core>,
    Auth(caller): Auth,
    Json(body): Json<AddContact>,
) -> Result<ContactOut> {
    let (new, written) = body.read()?;
    let added = core.add_contact(&caller, new).await?;
    Ok(Created::new("Contact added successfully", ContactOut::of(&added, written)))
}
