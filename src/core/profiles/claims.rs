//! What the app's tokens say of their holders: fills the directory on first sight.
//!
//! A token is never refused for what it says here: a picture that is none is left out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{BIO_CHARACTERS, Kind, NICKNAME_CHARACTERS, is_link, searched};
use crate::auth::{Identity, Profile, Role, Verified};
use crate::core::{Core, Error, PhoneKey};
use crate::store::{Source, Told};

/// Tokens whose claims are remembered as taken in.
const MET_AT_MOST: u64 = 100_000;
/// How long claims wait after they could not be written.
const NOT_MET_FOR: Duration = Duration::from_secs(30);
/// Claims written at once: everybody comes back at once after a restart, and others need the database too.
const MEETING_AT_ONCE: usize = 2;
/// How long somebody's request waits for their claims to be written.
const MEET_WITHIN: Duration = Duration::from_secs(1);
/// Characters of an e-mail address.
const EMAIL_CHARACTERS: usize = 254;

/// Whose claims were taken in.
pub(in crate::core) struct Met {
    /// By a hash of the claims.
    claims: Cache<(Identity, u64), ()>,
    /// Whose could not be written just now.
    later: Cache<Identity, ()>,
    turns: Semaphore,
}

impl Met {
    pub(super) fn new() -> Self {
        Self {
            claims: Cache::builder().max_capacity(MET_AT_MOST).build(),
            later: Cache::builder().max_capacity(MET_AT_MOST).time_to_live(NOT_MET_FOR).build(),
            turns: Semaphore::new(MEETING_AT_ONCE),
        }
    }
}

impl Core {
    /// Takes in what the app's token says of its holder, who is in the directory from now on. At most one write per person
    /// and content, no Twilio call. A database that does not answer, or not in a second, keeps nobody out.
    pub async fn meet(&self, verified: &Verified) {
        if verified.role == Role::Service {
            return;
        }
        let identity = &verified.identity;
        let mut hasher = DefaultHasher::new();
        verified.profile.hash(&mut hasher);
        let key = (identity.clone(), hasher.finish());
        let met = &self.profiles.met;
        if met.claims.contains_key(&key) || met.later.contains_key(identity) {
            return;
        }
        let told = claims(&verified.profile);
        let write = async {
            let write = async {
                let _turn = met.turns.acquire().await;
                self.remember(identity, told, Source::Token).await
            };
            let written = tokio::time::timeout(MEET_WITHIN, write).await;
            written.unwrap_or(Err(Error::Unavailable { retry_after: None }))
        };
        if let Err(error) = met.claims.try_get_with(key, write).await {
            tracing::warn!(%error, "what a token says of its holder was not remembered");
            met.later.insert(identity.clone(), ()).await;
        }
    }
}

/// What of a token's claims can be taken.
fn claims(claims: &Profile) -> Told {
    let text = |text: &Option<String>, characters: usize| {
        let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| text.chars().filter(|c| !c.is_control()).take(characters).collect::<String>())
    };
    let fields = ["country_code", "phone_number"];
    let phone = match (&claims.country_code, &claims.phone_number) {
        (Some(country), Some(number)) => PhoneKey::in_country(fields, country, number).ok(),
        (None, Some(number)) => PhoneKey::international(fields[1], number).ok(),
        (_, None) => None,
    };
    let kind = claims.kind.as_deref().and_then(|kind| Kind::named(&kind.to_lowercase()));
    Told {
        name: text(&claims.name, NICKNAME_CHARACTERS).map(searched).map(Some),
        image: claims.picture.clone().filter(|picture| is_link(picture)).map(Some),
        bio: text(&claims.bio, BIO_CHARACTERS).map(searched).map(Some),
        kind: kind.map(|kind| Some(kind.as_str().to_owned())),
        email: text(&claims.email, EMAIL_CHARACTERS).map(Some),
        phone: phone.map(|phone| Some(phone.as_str().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_make_no_sense_are_left_out() {
        let told = claims(&Profile {
            name: Some(" Alice\u{0} ".to_owned()),
            picture: Some("javascript:alert(1)".to_owned()),
            phone_number: Some("12".to_owned()),
            kind: Some("VIP".to_owned()),
            ..Profile::default()
        });
        assert_eq!(told.name.unwrap().unwrap().text, "Alice");
        assert_eq!((told.image, told.phone, told.bio), (None, None, None));
        assert_eq!(told.kind, Some(Some("vip".to_owned())));
    }
}
