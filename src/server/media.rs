//! `GET /media/{ME…}`: the lasting link to a file, which sends the browser on to Twilio's temporary one.
//!
//! Belongs to no dialect, since every dialect gives these links out; refusals are in the voice of whoever's path it is. Who may
//! follow one is `core`'s decision. What a browser is told with the file itself (whether to show or to save it, what to take it
//! for, how long to keep it) is Twilio's to say: the headers here hold for the way there only.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::layers::failure;
use crate::auth::{Caller, token_from};
use crate::core::{Error, LinkProof, parse_id};
use crate::dialects::{Services, caller_of};

pub(super) fn routes(services: Services) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(follow)).with_state(services)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
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
#[utoipa::path(get, path = "/media/{sid}", params(("sid" = String, Path), Proof), security((), ("token" = []), ("key" = [])),
    responses(
        (status = 302, description = "It is there, for some minutes."),
        (status = 400, description = "The link is malformed."),
        (status = 401, description = "The token does not hold."),
        (status = 403, description = "It is not for the caller."),
        (status = 404, description = "There is none."),
        (status = 503, description = "Not now."),
    ))]
async fn follow(
    State(services): State<Services>,
    sid: Result<Path<String>, PathRejection>,
    proof: Result<Query<Proof>, QueryRejection>,
    parts: Parts,
) -> impl IntoResponse {
    let found = async {
        let Path(sid) = sid?;
        let Query(proof) = proof?;
        let proof = proof.into_proof();
        // An image tag carries no token, so a link that suffices is asked for none.
        let says_who =
            token_from(&parts.headers, &parts.uri).is_some() || parts.headers.contains_key("x-api-key");
        let caller = if says_who { caller_of(&parts, &services).await? } else { Caller::Anonymous };
        let media = parse_id("media", &sid).map_err(|_| Error::MediaNotFound)?;
        services.core.media_content(&caller, media, proof.as_ref()).await
    };
    match found.await {
        Ok(content) => {
            let headers = [
                (header::LOCATION, content.url.to_string()),
                // Twilio's link dies after a while; the browser may go there again until then.
                (header::CACHE_CONTROL, format!("private, max-age={}", content.fresh_for)),
                (header::REFERRER_POLICY, "no-referrer".to_owned()),
            ];
            (StatusCode::FOUND, headers).into_response()
        }
        Err(error) => failure(parts.uri.path(), error),
    }
}
