//! [`Verified`]: what a valid token says.
//!
//! Which claim it was read from is `claims.rs`' business.

use chrono::{DateTime, Utc};

use super::{Identity, Role};

/// What a valid token says about its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whom the token names.
    pub identity: Identity,
    /// What it allows.
    pub role: Role,
    /// What it tells about the person; empty for a Twilio access token.
    pub profile: Profile,
    /// When it was made: its `iat`, of a Twilio access token without one its `nbf`.
    pub issued_at: Option<DateTime<Utc>>,
    /// When it ends (its `exp`). It is still taken [`super::LEEWAY`] longer.
    pub expires_at: DateTime<Utc>,
    /// Who made it.
    pub issuer: Issuer,
}

/// Who made a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// Signed with our Twilio API key.
    TwilioAccessToken,
    /// The app's own.
    App,
}

/// What a token tells about a person, as it tells it. Fills the directory on first sight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// `name`.
    pub name: Option<String>,
    /// `picture`, else `avatar`: a URL.
    pub picture: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// `phone_number`, without the country's part when `country_code` tells it.
    pub phone_number: Option<String>,
    /// `country_code`, such as `+44`.
    pub country_code: Option<String>,
    /// `bio`.
    pub bio: Option<String>,
    /// `user_type`, else `type`, as far as that is no role.
    pub kind: Option<String>,
}
