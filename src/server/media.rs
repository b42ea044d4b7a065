//! `GET /media/{ME…}`: the lasting link to a file, which sends the browser on to Twilio's temporary one.
//!
//! Belongs to no dialect, since every dialect gives these links out. Who may follow one is `core`'s decision.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::layers::failure;
use crate::auth::{Auth, token_from};
use crate::core::{Core, Error, LinkProof, parse_id};
use crate::dialects::Services;

pub(super) fn routes(services: Services) -> Router {
    Router::new().route("/media/{sid}", get(follow)).with_state(services)
}

#[derive(Deserialize)]
struct Proof {
    expires: Option<String>,
    signature: Option<String>,
}

impl Proof {
    fn into_proof(self) -> Option<LinkProof> {
        Some(LinkProof { expires: self.expires?.parse().ok()?, signature: self.signature? })
    }
}

async fn follow(
    State(core): State<Core>,
    State(auth): State<Auth>,
    Path(sid): Path<String>,
    Query(proof): Query<Proof>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
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
