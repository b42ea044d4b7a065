//! Who is calling: verifies and mints tokens, and says what a caller may claim.
//!
//! One verifier for two issuers. A token with `cty: twilio-fpa;v=1` or an API key's SID as `iss` is a Twilio access
//! token and is checked against our API key; any other is the app's own and is checked against `JWT_SECRET` (HS256)
//! or the keys at `JWT_JWKS_URL` (RS256, ES256). A key serves one algorithm only, whatever a token's header says.
//!
//! | to … | read |
//! |---|---|
//! | know whom a caller may speak for | `caller.rs` |
//! | see which claims mean what | `claims.rs` |
//! | see where the app's public keys come from | `keys.rs` |
//! | find the token in a request | `bearer.rs` |
//! | know whose earlier tokens no longer hold | `sign_outs.rs` |
//! | make a token for development | `mint.rs` |
//!
//! The access tokens that apps ask us for are made in `twilio`; membership of a conversation is checked in `core`.

mod bearer;
mod caller;
mod claims;
mod identity;
mod keys;
mod mint;
mod sign_outs;
mod verified;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

pub use bearer::token_from;
pub use caller::{Caller, Role};
pub use identity::{Identity, InvalidIdentity};
pub use mint::{MintError, NewToken};
pub use sign_outs::SignOuts;
pub use verified::{Issuer, Profile, Verified};

use crate::clock::Clock;
use claims::Claims;
use keys::PublicKeys;

/// How far a token's issuer's clock may be from ours.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The longest a Twilio access token may be valid for; Twilio refuses longer ones (error 20157).
pub const MAX_TWILIO_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a token of the app may be valid for, from when it was issued.
///
/// Mobile apps sign in for weeks; a token that outlives this can only be an accident, or stolen to last.
/// [`AuthSettings::max_lifetime`] may be less and never more: who was signed out is remembered for as long as this.
pub const MAX_APP_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A longer token is refused unread, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What a token may call itself, if it says so (RFC 8725, 3.11). An issuer signs others with the same keys, to other ends: a
/// logout token is no proof of a login.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// How many verified tokens are remembered.
const REMEMBERED_TOKENS: u64 = 20_000;

/// How long a verified token is remembered: a key withdrawn from `JWT_JWKS_URL` works no longer than this after we
/// know of its withdrawal.
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);

/// Whether a request without a token is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Every request and socket needs a valid token.
    Required,
    /// No token: the claimed identity is believed. A token that is present must be valid, and binds.
    Optional,
}

/// What [`Auth`] checks against.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Whether a token is demanded.
    pub mode: AuthMode,
    /// Verifies and mints the app's own HS256 tokens.
    pub jwt_secret: Option<SecretString>,
    /// Where the public keys of the app's RS256 and ES256 tokens are.
    pub jwks_url: Option<Url>,
    /// When set, the app's tokens must have exactly this `iss`.
    pub issuer: Option<String>,
    /// When set, the app's tokens must name this in `aud`.
    pub audience: Option<String>,
    /// The longest that a token of the app may be valid for, from when it was issued; at most [`MAX_APP_LIFETIME`].
    pub max_lifetime: Duration,
    /// What the app's back end sends as `X-Api-Key`.
    pub api_key: Option<SecretString>,
    /// Whose Twilio access tokens are accepted.
    pub twilio: TwilioIssuer,
}

/// The API key that signs Twilio access tokens.
///
/// Source: <https://www.twilio.com/docs/iam/access-tokens>
#[derive(Debug, Clone)]
pub struct TwilioIssuer {
    /// `AC…`, the tokens' `sub`.
    pub account_sid: String,
    /// `SK…`, the tokens' `iss`.
    pub api_key_sid: String,
    /// Signs the tokens (HS256).
    pub api_key_secret: SecretString,
}

/// Why a caller is turned away. Which of many reasons makes a token invalid stays in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A token is needed and there is none.
    #[error("a token is required")]
    Missing,
    /// The token (or API key) is expired, forged, malformed, or somebody else's.
    #[error("the token is not valid")]
    Invalid,
    /// A user named somebody else as themselves.
    #[error("the token belongs to somebody else")]
    NotYou,
    /// Nobody is named, by token or request.
    #[error("an identity is required")]
    IdentityMissing,
    /// The caller is known, and may not do this.
    #[error("not allowed")]
    Forbidden,
    /// The public keys to check the token with could not be fetched.
    #[error("the token cannot be checked at the moment")]
    Unavailable,
}

/// Why [`Auth`] could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthSetupError {
    /// The cryptography compiled in cannot sign and verify. Tells a wrong build at start, not at the first token.
    #[error("tokens cannot be signed and verified in this build: {0}")]
    Cryptography(String),
    /// The HTTP client for `JWT_JWKS_URL` could not be built.
    #[error("no HTTP client for JWT_JWKS_URL: {0}")]
    Http(#[source] reqwest::Error),
}

/// Verifies tokens. A clone is cheap and shares what was verified before.
#[derive(Clone)]
pub struct Auth(Arc<Verifier>);

struct Verifier {
    settings: AuthSettings,
    clock: Clock,
    twilio_key: DecodingKey,
    app_secret: Option<DecodingKey>,
    app_public: Option<PublicKeys>,
    sign_outs: SignOuts,
    /// By SHA-256 of the token, so that no token stays in memory.
    remembered: moka::sync::Cache<[u8; 32], Arc<Verified>>,
}

/// Why a token is not accepted; the reason is for the log.
enum Rejection {
    Invalid(&'static str),
    Unavailable,
}

impl Auth {
    /// Prepares the keys, and proves that this build can sign and verify. Tokens that `sign_outs` ends are refused.
    ///
    /// # Errors
    /// [`AuthSetupError`] when it cannot, or when no HTTP client can be built.
    pub fn new(settings: AuthSettings, clock: Clock, sign_outs: SignOuts) -> Result<Self, AuthSetupError> {
        prove_cryptography()?;
        let secret = |secret: &SecretString| DecodingKey::from_secret(secret.expose_secret().as_bytes());
        let app_public = settings.jwks_url.clone().map(PublicKeys::at).transpose();
        Ok(Self(Arc::new(Verifier {
            twilio_key: secret(&settings.twilio.api_key_secret),
            // With an empty key everybody could sign.
            app_secret: settings
                .jwt_secret
                .as_ref()
                .filter(|key| !key.expose_secret().is_empty())
                .map(secret),
            app_public: app_public.map_err(AuthSetupError::Http)?,
            sign_outs,
            remembered: moka::sync::Cache::builder()
                .max_capacity(REMEMBERED_TOKENS)
                .time_to_live(REMEMBERED_FOR)
                .build(),
            settings,
            clock,
        })))
    }

    /// Whether a request without a token is believed.
    pub fn mode(&self) -> AuthMode {
        self.0.settings.mode
    }

    /// Checks a token of either issuer and returns what it says.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], whatever is wrong with it; [`AuthError::Unavailable`] when the public key it needs
    /// could not be fetched.
    pub async fn verify(&self, token: &str) -> Result<Verified, AuthError> {
        self.0.verify(token).await.map(|verified| Verified::clone(&verified))
    }

    /// Whether nobody was signed out who holds this token, since it was verified or before.
    #[must_use]
    pub fn still_holds(&self, verified: &Verified) -> bool {
        !self.0.sign_outs.end(verified)
    }

    /// Says who is calling, given the token and the `X-Api-Key` a request carries.
    ///
    /// The key outranks the token. Where no `ADAPTER_API_KEY` is set the header is ignored: it may be meant for a
    /// gateway before us.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] when what is present does not hold, also where nothing is required;
    /// [`AuthError::Missing`] when neither is present and the mode is [`AuthMode::Required`];
    /// [`AuthError::Unavailable`] as in [`Auth::verify`].
    pub async fn caller(&self, token: Option<&str>, api_key: Option<&str>) -> Result<Caller, AuthError> {
        self.caller_and_token(token, api_key).await.map(|(caller, _)| caller)
    }

    /// Says who is calling as [`Auth::caller`] does, and what the token says if that decided it.
    ///
    /// # Errors
    /// As [`Auth::caller`].
    pub async fn caller_and_token(
        &self,
        token: Option<&str>,
        api_key: Option<&str>,
    ) -> Result<(Caller, Option<Arc<Verified>>), AuthError> {
        if let (Some(ours), Some(theirs)) = (&self.0.settings.api_key, api_key) {
            let same = same_secret(ours, theirs);
            return if same { Ok((Caller::Service, None)) } else { Err(AuthError::Invalid) };
        }
        match token {
            Some(token) => {
                let verified = self.0.verify(token).await?;
                Ok((Caller::from(&*verified), Some(verified)))
            }
            None => match self.mode() {
                AuthMode::Required => Err(AuthError::Missing),
                AuthMode::Optional => Ok((Caller::Anonymous, None)),
            },
        }
    }
}

impl Verifier {
    async fn verify(&self, token: &str) -> Result<Arc<Verified>, AuthError> {
        let verified = self.verify_signed(token).await?;
        if self.sign_outs.end(&verified) {
            return Err(self.refuse("issued before its holder was signed out"));
        }
        Ok(verified)
    }

    async fn verify_signed(&self, token: &str) -> Result<Arc<Verified>, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(self.refuse("longer than any real token"));
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(verified) = self.remembered.get(&digest) {
            if verified.expires_at + LEEWAY > self.clock.now() {
                return Ok(verified);
            }
            return Err(self.refuse("expired"));
        }
        match self.check(token).await {
            Ok(verified) => {
                let verified = Arc::new(verified);
                self.remembered.insert(digest, verified.clone());
                Ok(verified)
            }
            Err(Rejection::Invalid(reason)) => Err(self.refuse(reason)),
            Err(Rejection::Unavailable) => Err(AuthError::Unavailable),
        }
    }

    fn refuse(&self, reason: &'static str) -> AuthError {
        tracing::debug!(reason, "token refused");
        AuthError::Invalid
    }

    async fn check(&self, token: &str) -> Result<Verified, Rejection> {
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| Rejection::Invalid("malformed header"))?;
        if header.crit.is_some() {
            return Err(Rejection::Invalid("demands extensions (crit)"));
        }
        if !header.typ.as_deref().is_none_or(|typ| TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ)))
        {
            return Err(Rejection::Invalid("of another type (typ)"));
        }
        // Unproven yet; only chooses the key that must then prove it.
        let issuer = jsonwebtoken::dangerous::insecure_decode_claims::<claims::IssuerClaim>(token)
            .map_err(|_| Rejection::Invalid("malformed claims"))?
            .iss;
        let now = self.clock.now();
        if header.cty.is_some() || issuer.as_deref().is_some_and(is_api_key_sid) {
            if header.cty.as_deref() != Some(claims::TWILIO_CONTENT_TYPE) {
                return Err(Rejection::Invalid("not a Twilio access token, nor the app's"));
            }
            let claims = signed(token, &header, Algorithm::HS256, &self.twilio_key)?;
            claims.verified_by_twilio(&self.settings.twilio, now)
        } else {
            let claims = self.signed_by_app(token, &header).await?;
            claims.verified_by_app(&self.settings, now)
        }
    }

    async fn signed_by_app(&self, token: &str, header: &Header) -> Result<Claims, Rejection> {
        if header.alg == Algorithm::HS256 {
            let key =
                self.app_secret.as_ref().ok_or(Rejection::Invalid("HS256, but JWT_SECRET is not set"))?;
            return signed(token, header, Algorithm::HS256, key);
        }
        let keys =
            self.app_public.as_ref().ok_or(Rejection::Invalid("not HS256, but JWT_JWKS_URL is not set"))?;
        let key = keys.find(header.kid.as_deref(), header.alg).await?;
        signed(token, header, header.alg, &key)
    }
}

/// Whether a token's issuer is an API key of Twilio's. The app may call itself as it likes, "SKYLINE" too.
fn is_api_key_sid(issuer: &str) -> bool {
    let digits = issuer.strip_prefix("SK");
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// The claims, once `key` has proven them. Times are left to [`Claims`], which has the [`Clock`].
fn signed(
    token: &str,
    header: &Header,
    algorithm: Algorithm,
    key: &DecodingKey,
) -> Result<Claims, Rejection> {
    if header.alg != algorithm {
        return Err(Rejection::Invalid("signed with another algorithm than its key's"));
    }
    let data = jsonwebtoken::decode::<Claims>(token, key, &signature_only(algorithm));
    data.map(|data| data.claims).map_err(|_| Rejection::Invalid("signature or claims do not hold"))
}

/// Leaves everything but the signature to us: the library's own checks read the system's clock, and by default let
/// through a future `nbf` and a missing `aud`.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Compares in a time that tells neither length nor place of the first difference.
#[must_use]
pub fn same_secret(ours: &SecretString, theirs: &str) -> bool {
    let (ours, theirs) = (Sha256::digest(ours.expose_secret()), Sha256::digest(theirs));
    ours.as_slice().ct_eq(theirs.as_slice()).into()
}

/// Signs and verifies once. jsonwebtoken compiles with no cryptography, or with two, and then panics at the first
/// token: this fails (or panics) at start instead.
fn prove_cryptography() -> Result<(), AuthSetupError> {
    let failed = |error: jsonwebtoken::errors::Error| AuthSetupError::Cryptography(error.to_string());
    let secret = b"proves that signing works";
    let claims = serde_json::json!({ "sub": "self-test" });
    let token =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret));
    let key = DecodingKey::from_secret(secret);
    let decode = |token: &str, key| {
        jsonwebtoken::decode::<serde_json::Value>(token, key, &signature_only(Algorithm::HS256))
    };
    let token = token.map_err(failed)?;
    decode(&token, &key).map_err(failed)?;
    match decode(&token, &DecodingKey::from_secret(b"another")) {
        Err(_) => Ok(()),
        Ok(_) => Err(AuthSetupError::Cryptography("a forged signature was accepted".into())),
    }
}
