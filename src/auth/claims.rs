//! Which claims mean what, once the signature holds.
//!
//! Everything here is pure: keys and caches are `mod.rs`' business.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    AuthSettings, Identity, Issuer, LEEWAY, MAX_TWILIO_LIFETIME, Profile, Rejection, Role, TwilioIssuer,
    Verified,
};

/// The `cty` header that makes a JWT a Twilio access token.
pub(super) const TWILIO_CONTENT_TYPE: &str = "twilio-fpa;v=1";

/// What a claim says that is about what somebody may do.
const ROLES: [&str; 4] = ["admin", "super_admin", "service", "user"];

/// The one claim read before the signature is checked: it chooses the key.
#[derive(Deserialize)]
pub(super) struct IssuerClaim {
    #[serde(default)]
    pub(super) iss: Option<String>,
}

/// The claims of either issuer's tokens. One that stands twice is refused by serde.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    iss: Option<String>,
    sub: Option<Value>,
    aud: Option<OneOrMany>,
    #[serde(deserialize_with = "numeric_date")]
    exp: Option<i64>,
    #[serde(deserialize_with = "numeric_date")]
    nbf: Option<i64>,
    #[serde(deserialize_with = "numeric_date")]
    iat: Option<i64>,
    grants: Option<Grants>,

    user_id: Option<Value>,
    #[serde(rename = "userId")]
    user_id_camel: Option<Value>,
    id: Option<Value>,
    customer_id: Option<Value>,

    role: Option<Value>,
    roles: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    user_type: Option<Value>,

    name: Option<Value>,
    picture: Option<Value>,
    avatar: Option<Value>,
    email: Option<Value>,
    phone_number: Option<Value>,
    country_code: Option<Value>,
    bio: Option<Value>,
}

#[derive(Deserialize)]
struct Grants {
    #[serde(default)]
    identity: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn contains(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

impl Claims {
    /// Reads a Twilio access token: `iss` and `sub` must be our key and account, the identity is `grants.identity`,
    /// and the holder is always a plain user.
    pub(super) fn verified_by_twilio(
        self,
        issuer: &TwilioIssuer,
        now: DateTime<Utc>,
    ) -> Result<Verified, Rejection> {
        if self.iss.as_deref() != Some(&issuer.api_key_sid) {
            return Err(Rejection::Invalid("signed for another API key"));
        }
        if self.sub.as_ref().and_then(Value::as_str) != Some(&issuer.account_sid) {
            return Err(Rejection::Invalid("of another Twilio account"));
        }
        let identity = self.grants.as_ref().and_then(|grants| text(grants.identity.as_ref()));
        // Twilio's libraries write one or the other.
        let issued_at = self.iat.or(self.nbf);
        Ok(Verified {
            identity: parse_identity(identity)?,
            role: Role::User,
            profile: Profile::default(),
            issued_at: time(issued_at),
            expires_at: self.valid_until(now, issued_at, MAX_TWILIO_LIFETIME)?,
            issuer: Issuer::TwilioAccessToken,
        })
    }

    /// Reads a token of the app. Issuer and audience, where `settings` have them, must be there and match.
    pub(super) fn verified_by_app(
        self,
        settings: &AuthSettings,
        now: DateTime<Utc>,
    ) -> Result<Verified, Rejection> {
        let (issuer, audience) = (settings.issuer.as_deref(), settings.audience.as_deref());
        if issuer.is_some() && self.iss.as_deref() != issuer {
            return Err(Rejection::Invalid("of another issuer"));
        }
        if audience.is_some_and(|wanted| !self.aud.as_ref().is_some_and(|aud| aud.contains(wanted))) {
            return Err(Rejection::Invalid("for another audience"));
        }
        let expires_at = self.valid_until(now, self.iat, settings.max_lifetime)?;
        let identity = [&self.sub, &self.user_id, &self.user_id_camel, &self.id, &self.customer_id]
            .into_iter()
            .find_map(|claim| text(claim.as_ref()));
        let (identity, role) = (parse_identity(identity)?, self.highest_role());
        if role == Role::User && identity.is_reserved() {
            return Err(Rejection::Invalid("names what no user can be called"));
        }
        Ok(Verified {
            identity,
            role,
            issued_at: time(self.iat),
            expires_at,
            issuer: Issuer::App,
            profile: Profile {
                name: text(self.name.as_ref()),
                picture: text(self.picture.as_ref()).or_else(|| text(self.avatar.as_ref())),
                email: text(self.email.as_ref()),
                phone_number: text(self.phone_number.as_ref()),
                country_code: text(self.country_code.as_ref()),
                bio: text(self.bio.as_ref()),
                kind: [&self.user_type, &self.kind]
                    .into_iter()
                    .filter_map(|claim| text(claim.as_ref()))
                    .find(|kind| !ROLES.contains(&kind.as_str())),
            },
        })
    }

    /// When the token ends. Its whole life must not be longer than `longest`, however little is left of it: who was signed
    /// out is remembered no longer. Where it does not say when it was issued, what is left counts.
    fn valid_until(
        &self,
        now: DateTime<Utc>,
        issued_at: Option<i64>,
        longest: Duration,
    ) -> Result<DateTime<Utc>, Rejection> {
        let exp = self.exp.ok_or(Rejection::Invalid("without exp"))?;
        let expires_at = DateTime::from_timestamp(exp, 0).ok_or(Rejection::Invalid("exp is no time"))?;
        let leeway = seconds(LEEWAY);
        if exp.saturating_add(leeway) <= now.timestamp() {
            return Err(Rejection::Invalid("expired"));
        }
        let begins = issued_at.map_or(now.timestamp(), |issued_at| issued_at.min(now.timestamp()));
        if exp.saturating_sub(begins) > seconds(longest) + leeway {
            return Err(Rejection::Invalid("valid for too long"));
        }
        if self.nbf.is_some_and(|nbf| nbf > now.timestamp().saturating_add(leeway)) {
            return Err(Rejection::Invalid("not valid yet"));
        }
        if self.iat.is_some_and(|iat| iat > now.timestamp().saturating_add(leeway)) {
            // It would outlive every signing out until then.
            return Err(Rejection::Invalid("issued in the future"));
        }
        Ok(expires_at)
    }

    fn highest_role(&self) -> Role {
        let says = |role: &str| {
            [&self.role, &self.roles, &self.kind, &self.user_type].into_iter().flatten().any(|claim| {
                match claim {
                    Value::String(one) => one == role,
                    Value::Array(many) => many.iter().any(|one| one.as_str() == Some(role)),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
                }
            })
        };
        if says("admin") || says("super_admin") {
            Role::Admin
        } else if says("service") {
            Role::Service
        } else {
            Role::User
        }
    }
}

fn parse_identity(text: Option<String>) -> Result<Identity, Rejection> {
    let text = text.ok_or(Rejection::Invalid("names nobody"))?;
    let identity = Identity::try_from(text).map_err(|_| Rejection::Invalid("its identity is not one"))?;
    if identity.is_guest() {
        // A guest has no account: a token that names one would let a user speak as somebody else's guest.
        return Err(Rejection::Invalid("names a guest"));
    }
    Ok(identity)
}

/// A claim as text. Whole numbers count as theirs; an empty text as absent.
fn text(claim: Option<&Value>) -> Option<String> {
    match claim? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Seconds since 1970, perhaps with a fraction (RFC 7519, section 2).
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and fractions do not matter")]
    Ok(Option::<f64>::deserialize(deserializer)?.map(|seconds| seconds as i64))
}

fn time(seconds: Option<i64>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds?, 0)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
