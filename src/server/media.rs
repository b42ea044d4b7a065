//! `GET /media/{ME…}`: the lasting link to a file, which sends the browser on to Twilio's temporary one.
//!
//! Belongs to no dialect, since every dialect gives these links out. Who may follow one is `core`'s decision.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::layers::failure;
use crate::auth::{Auth, token_from};
use crate::core::{Core, Error, LinkProof, parse_id};
use crate::dialects::Services;

pub(super) fn routes(services: Services) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(follow)).with_state(services)
}

#[derive(Deserialize, IntoParams)]
struct Proof {
    expires: Option<String>,
    signature: Option<String>,
}

impl Proof {
    fn into_proof(self) -> Option<LinkProof> {
        Some(LinkProof { expires: self.expires?.parse().ok()?, signature: self.signature? })
    }
}

/// Goes to a file.
#[utoipa::path(get, path = "/media/{sid}", params(Proof), security((), ("token" = [])),
    responses(
        (status = 302, description = "It is there, for some minutes."),
        (status = 401, description = "The token does not hold."),
        (status = 403, description = "It is not for the caller."),
        (status = 404, description = "There is none."),
        (status = 503, description = "Not now."),
    ))]
async fn follow(
    State(core): State<Core>,
    State(auth): State<Auth>,
    Path(sid): Path<String>,
    Query(proof): Query<Proof>,
    uri: Uri,
    headers: HeaderMap,
) -> impl IntoResponse {
    let found = async {
        let proof = proof.into_proof();
        // An image tag carries no token, so a link that suffices is asked for none.
        let caller = match token_from(&headers, &uri) {
            Some(token) => auth.caller(Some(&token), None).await?,
            None => crate::auth::Caller::Anonymous,
        };
        let media = parse_id("media", &sid).map_err(|_| Error::MediaNotFound)?;
        core.media_content(&caller, media, proof.as_ref()).await
    };
    match found.await {
        Ok(content) => {
            let headers = [
                (header::LOCATION, content.url.to_string()),
                // Twilio's link dies after a while; the browser may go there again until then.
                (header::CACHE_CONTROL, "private, max-age=60".to_owned()),
                (header::CONTENT_DISPOSITION, "inline".to_owned()),
                (header::REFERRER_POLICY, "no-referrer".to_owned()),
            ];
            (StatusCode::FOUND, headers).into_response()
        }
        Err(error) => failure(uri.path(), error),
    }
}
