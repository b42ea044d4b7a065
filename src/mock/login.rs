//! Who asks: HTTP Basic with the auth token or an API key, and for media an access token.
//!
//! Source: <https://www.twilio.com/docs/iam/access-tokens>, and Twilio's own media client, which sends `X-Twilio-Token`.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::mock::account::Account;
use crate::mock::error::{self, Refusal};
use crate::mock::signature;
use crate::mock::state::State;

/// The longest an access token may be valid, in seconds.
const LONGEST_TOKEN: i64 = 86_400;

/// Somebody who has shown who they are.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) account: Arc<Account>,
    /// Whose access token it was, if it was one.
    pub(crate) identity: Option<String>,
}

/// Recognises the account of a request to `path`.
///
/// # Errors
/// 401 as Twilio words it: 20003 for Basic credentials, 20101 to 20157 for access tokens.
pub(crate) fn login(state: &State, headers: &HeaderMap, path: &str) -> Result<Login, Refusal> {
    if let Some(token) = headers.get("x-twilio-token")
        && takes_tokens(path)
    {
        return by_token(state, token);
    }
    let Some(header) = headers.get(AUTHORIZATION) else {
        let mut refusal =
            error::INVALID_USERNAME.saying("Authentication Error - No credentials provided".to_owned());
        refusal.detail = Some("Your AccountSid or AuthToken was incorrect.");
        return Err(refusal);
    };
    let (username, password) = basic(header).ok_or(error::INVALID_USERNAME)?;
    let account = state.account(&username).ok_or(error::INVALID_USERNAME)?;
    let credentials = account.credentials();
    let expected = if username == credentials.account_sid {
        &credentials.auth_token
    } else {
        &credentials.api_key_secret
    };
    if !signature::constant_time_eq(&password, expected) {
        return Err(error::INVALID_USERNAME.saying("Authenticate".to_owned()));
    }
    Ok(Login { account, identity: None })
}

/// The user name and password of a Basic header.
pub(crate) fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// Media may be reached with an access token, REST may not.
fn takes_tokens(path: &str) -> bool {
    let inside = path.strip_prefix("/v1/Services/").and_then(|path| path.split_once('/'));
    inside.is_some_and(|(_, rest)| rest == "Media" || rest == "MediaSet" || rest.starts_with("Media/"))
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    exp: i64,
    nbf: Option<i64>,
    grants: Grants,
}

#[derive(Deserialize)]
struct Grants {
    identity: Option<String>,
    chat: Option<serde::de::IgnoredAny>,
}

fn by_token(state: &State, token: &HeaderValue) -> Result<Login, Refusal> {
    let invalid = || error::ACCESS_TOKEN_INVALID;
    let token = token.to_str().map_err(|_| invalid())?;
    let (signed, signature) = token.rsplit_once('.').ok_or_else(invalid)?;
    let (header, payload) = signed.split_once('.').ok_or_else(invalid)?;
    let header: Header = part(header).ok_or(error::ACCESS_TOKEN_HEADER_INVALID)?;
    let payload: Payload = part(payload).ok_or_else(invalid)?;
    if header.alg != "HS256" {
        return Err(error::ACCESS_TOKEN_HEADER_INVALID);
    }
    let account = state.account(&payload.iss).ok_or(error::ACCESS_TOKEN_ISSUER_INVALID)?;
    let credentials = account.credentials();
    if payload.iss != credentials.api_key_sid || payload.sub != credentials.account_sid {
        return Err(error::ACCESS_TOKEN_ISSUER_INVALID);
    }
    if !signature::is_jwt_signature(&credentials.api_key_secret, signed, signature) {
        return Err(error::ACCESS_TOKEN_SIGNATURE_INVALID);
    }
    let now = account.clock().now().timestamp();
    if payload.exp <= now {
        return Err(error::ACCESS_TOKEN_EXPIRED);
    }
    if payload.nbf.is_some_and(|nbf| nbf > now) {
        return Err(error::ACCESS_TOKEN_NOT_YET_VALID);
    }
    if payload.exp.saturating_sub(payload.nbf.unwrap_or(now)) > LONGEST_TOKEN {
        return Err(error::ACCESS_TOKEN_TOO_LONG);
    }
    let identity = payload.grants.identity.filter(|identity| !identity.is_empty());
    if identity.is_none() || payload.grants.chat.is_none() {
        return Err(error::ACCESS_TOKEN_GRANTS_INVALID);
    }
    Ok(Login { account, identity })
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
