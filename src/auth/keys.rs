//! [`PublicKeys`]: the app's public keys, fetched from `JWT_JWKS_URL` and kept.
//!
//! Keys that were fetched once serve on while their address does not answer. Which token needs which key is decided
//! by the token's `kid` and the key's own algorithm, never by the token's alone.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::Rejection;

/// How long one fetch may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The least time between two fetches, so that made-up `kid`s cannot make us flood the address.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);
/// How old the keys may grow before they are fetched again, in the background.
const FRESH_FOR: Duration = Duration::from_secs(10 * 60);
/// More keys than this are ignored.
const MAX_KEYS: usize = 64;
/// A longer answer is refused.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// The public keys at one address.
pub(super) struct PublicKeys(Arc<Inner>);

struct Inner {
    url: Url,
    http: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<PublicKey>,
    fetched_at: Option<Instant>,
    attempted_at: Option<Instant>,
    in_flight: Option<Shared<BoxFuture<'static, ()>>>,
}

#[derive(Clone)]
struct PublicKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: Arc<DecodingKey>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the answer is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
    #[error("the answer is no JSON Web Key Set")]
    NotAKeySet,
    #[error("the answer holds no RS256 or ES256 key")]
    NoUsableKey,
}

impl PublicKeys {
    /// Nothing is fetched before the first token asks for a key.
    pub(super) fn at(url: Url) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(2))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(Arc::new(Inner { url, http, state: Mutex::default() })))
    }

    /// The key named `kid` (or the only one, when the token names none) that serves `algorithm`.
    ///
    /// An unknown one causes a fetch, which all who wait share. A fetch outlives the request that caused it, so that
    /// clients who hang up cannot use up the one attempt in [`BETWEEN_FETCHES`].
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, Rejection> {
        if !matches!(algorithm, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Rejection::Invalid("signed with an algorithm that is not accepted"));
        }
        let known = self.0.state.lock().find(kid, algorithm);
        if let Some(key) = known {
            if !self.0.state.lock().is_fresh() {
                drop(self.fetch());
            }
            return Ok(key);
        }
        if let Some(fetch) = self.fetch() {
            fetch.await;
        }
        let state = self.0.state.lock();
        match state.find(kid, algorithm) {
            Some(key) => Ok(key),
            None if state.last_fetch_succeeded() => Err(Rejection::Invalid("signed with an unknown key")),
            None => Err(Rejection::Unavailable),
        }
    }

    /// Starts a fetch, or joins the one under way; `None` when the last was too short ago.
    fn fetch(&self) -> Option<Shared<BoxFuture<'static, ()>>> {
        let mut state = self.0.state.lock();
        // One that has been waited for to its end is over, even if it ended in a panic.
        if let Some(fetch) = &state.in_flight
            && fetch.peek().is_none()
        {
            return Some(fetch.clone());
        }
        if state.attempted_at.is_some_and(|at| at.elapsed() < BETWEEN_FETCHES) {
            return None;
        }
        state.attempted_at = Some(Instant::now());
        let task = tokio::spawn(self.0.clone().fetch_and_keep());
        let fetch = task.map(|_| ()).boxed().shared();
        state.in_flight = Some(fetch.clone());
        Some(fetch)
    }
}

impl State {
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid));
        let found = fitting.next()?;
        // Without a name, only one key can be meant.
        (kid.is_some() || fitting.next().is_none()).then(|| found.key.clone())
    }

    fn is_fresh(&self) -> bool {
        self.fetched_at.is_some_and(|at| at.elapsed() < FRESH_FOR)
    }

    fn last_fetch_succeeded(&self) -> bool {
        self.fetched_at.is_some() && self.fetched_at >= self.attempted_at
    }
}

impl Inner {
    async fn fetch_and_keep(self: Arc<Self>) {
        let fetched = self.fetch_keys().await;
        let mut state = self.state.lock();
        state.in_flight = None;
        match fetched {
            Ok(keys) => {
                state.keys = keys;
                state.fetched_at = Some(Instant::now());
            }
            Err(error) => {
                let kept = state.keys.len();
                drop(state);
                tracing::warn!(%error, kept, "JWT_JWKS_URL did not give keys");
            }
        }
    }

    async fn fetch_keys(&self) -> Result<Vec<PublicKey>, FetchError> {
        #[expect(clippy::disallowed_methods, reason = "not a call to Twilio; limits are this module's")]
        let answer = self.http.get(self.url.clone()).send().await.map_err(reqwest::Error::without_url)?;
        let mut answer = answer.error_for_status().map_err(reqwest::Error::without_url)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        parse_keys(&body)
    }
}

/// Keys of a kind we do not know (or not for signatures) are passed over, as RFC 7517, section 5 asks.
fn parse_keys(body: &[u8]) -> Result<Vec<PublicKey>, FetchError> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Value>,
    }
    let set: KeySet = serde_json::from_slice(body).map_err(|_| FetchError::NotAKeySet)?;
    let keys: Vec<_> = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
        .filter_map(|key| PublicKey::from_jwk(&key))
        .take(MAX_KEYS)
        .collect();
    if keys.is_empty() { Err(FetchError::NoUsableKey) } else { Ok(keys) }
}

impl PublicKey {
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let (algorithm, named) = if let AlgorithmParameters::RSA(_) = &jwk.algorithm {
            (Algorithm::RS256, KeyAlgorithm::RS256)
        } else if let AlgorithmParameters::EllipticCurve(key) = &jwk.algorithm
            && key.curve == EllipticCurve::P256
        {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        } else {
            return None;
        };
        if jwk.common.key_algorithm.as_ref().is_some_and(|algorithm| *algorithm != named) {
            return None;
        }
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let key = Arc::new(DecodingKey::from_jwk(jwk).ok()?);
        Some(Self { kid: jwk.common.key_id.clone(), algorithm, key })
    }
}
