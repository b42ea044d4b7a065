//! Access tokens: what lets a person's app talk to Twilio with Twilio's own SDK, as one identity of one service.
//!
//! Minted here, never verified: whose token opens our own doors is decided elsewhere.
//!
//! Source: <https://www.twilio.com/docs/iam/access-tokens>

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{AccountSid, ApiKeySid, ServiceSid};

/// Twilio refuses a token that lives longer (error 20157).
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Mints access tokens in an account's name.
pub struct AccessTokens {
    account_sid: AccountSid,
    api_key_sid: ApiKeySid,
    service_sid: ServiceSid,
    key: EncodingKey,
}

impl AccessTokens {
    /// Tokens signed with an API key of the account, for one service.
    pub fn new(
        account_sid: AccountSid,
        api_key_sid: ApiKeySid,
        api_key_secret: &SecretString,
        service_sid: ServiceSid,
    ) -> Self {
        let key = EncodingKey::from_secret(api_key_secret.expose_secret().as_bytes());
        Self { account_sid, api_key_sid, service_sid, key }
    }

    /// A token by which its bearer is `identity` from `now` on, for `ttl` or 24 hours, whichever is shorter.
    pub fn mint(&self, identity: &str, ttl: Duration, now: DateTime<Utc>) -> String {
        let now = now.timestamp();
        let ttl = ttl.min(LONGEST_LIFE).as_secs().cast_signed();
        let claims = Claims {
            jti: format!("{}-{now}", self.api_key_sid),
            iss: self.api_key_sid,
            sub: self.account_sid,
            nbf: now,
            exp: now + ttl,
            grants: Grants { identity, chat: ChatGrant { service_sid: self.service_sid } },
        };
        let header = Header { cty: Some("twilio-fpa;v=1".to_owned()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &self.key).expect("an HMAC key signs any claims")
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    iss: ApiKeySid,
    sub: AccountSid,
    nbf: i64,
    exp: i64,
    grants: Grants<'a>,
}

#[derive(Serialize)]
struct Grants<'a> {
    identity: &'a str,
    chat: ChatGrant,
}

#[derive(Serialize)]
struct ChatGrant {
    service_sid: ServiceSid,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("api_key_sid", &self.api_key_sid).finish_non_exhaustive()
    }
}
