//! Makes the app's own tokens, for development and for tests.
//!
//! A production app's back end makes its own; the access tokens for Twilio's SDKs are made in `twilio`.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{Auth, Identity, Role};

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whom it names (`sub`).
    pub identity: Identity,
    /// What it allows (`role`, absent for a user).
    pub role: Role,
    /// The person's `name`.
    pub name: Option<String>,
    /// How long it is valid.
    pub ttl: Duration,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// There is nothing to sign with.
    #[error("JWT_SECRET is not set")]
    NoSecret,
    /// [`Auth::verify`] would refuse it.
    #[error("a token may be valid for {} hours at most", .0.as_secs() / 3600)]
    TooLong(Duration),
    /// Signing failed.
    #[error("the token could not be signed: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct NewClaims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: i64,
    exp: i64,
}

impl Auth {
    /// Makes an HS256 token that [`Auth::verify`] accepts, signed with `JWT_SECRET`, with the issuer and audience
    /// the settings demand.
    ///
    /// # Errors
    /// [`MintError`] when there is no secret, or the token would be valid for too long.
    pub fn mint(&self, token: &NewToken) -> Result<String, MintError> {
        let settings = &self.0.settings;
        let secret = settings.jwt_secret.as_ref().ok_or(MintError::NoSecret)?;
        if token.ttl > settings.max_lifetime {
            return Err(MintError::TooLong(settings.max_lifetime));
        }
        let now = self.0.clock.now();
        let claims = NewClaims {
            sub: token.identity.as_str(),
            role: match token.role {
                Role::User => None,
                Role::Admin => Some("admin"),
                Role::Service => Some("service"),
            },
            name: token.name.as_deref(),
            iss: settings.issuer.as_deref(),
            aud: settings.audience.as_deref(),
            iat: now.timestamp(),
            exp: (now + token.ttl).timestamp(),
        };
        let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
    }
}
