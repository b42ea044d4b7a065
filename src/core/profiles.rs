//! The directory: what people are called, look like and say about themselves, and their phone.
//!
//! It fills by itself: from whoever adds somebody to a conversation, from the claims of the app's tokens, from what people
//! set themselves; each outranks the one before (`store/people.rs`). What people set is kept at Twilio too, in their User's
//! `friendly_name` and attributes, so that clients on Twilio's own SDKs see it. Reading costs no Twilio call.
//!
//! What tokens say is taken in by `claims.rs`, what people set by `edits.rs`. Whether somebody is online is not known here.

mod claims;
mod edits;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::changes::Changes;
use super::participants::NewParticipant;
use super::{Core, Error, PhoneKey};
use crate::auth::Identity;
use crate::store::{Person, Searched, Source, Told};
pub use edits::{Change, ProfileEdit};

/// People kept in memory.
const KEPT_AT_MOST: u64 = 100_000;
/// How long one is kept: another node may hear more of them.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Characters of a nickname: those of a `friendly_name`.
const NICKNAME_CHARACTERS: usize = 256;
/// Characters of what somebody says about themselves.
const BIO_CHARACTERS: usize = 500;
/// Bytes of a link to a picture.
const AVATAR_BYTES: usize = 2_048;
/// What is known of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub identity: Identity,
    /// What to call them.
    pub nickname: Option<Arc<str>>,
    /// URL of a picture, one of ours as it is shown now; where others told it, perhaps the app's own short name for one.
    pub avatar: Option<Arc<str>>,
    /// What they say about themselves.
    pub bio: Option<Arc<str>>,
    /// What the app counts them among.
    pub kind: Option<Kind>,
    /// E-mail address. Nobody else's business.
    pub email: Option<Arc<str>>,
    /// Phone number. Nobody else's business.
    pub phone: Option<PhoneKey>,
    /// When they were first heard of.
    pub created_at: DateTime<Utc>,
    /// When anything was last told of them.
    pub updated_at: DateTime<Utc>,
}

impl Profile {
    /// What to call them: at worst their identity.
    #[must_use]
    pub fn name(&self) -> &str {
        self.nickname.as_deref().unwrap_or(self.identity.as_str())
    }
}

/// What the app counts somebody among.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A premium member.
    Premium,
    /// A man.
    Male,
    /// A woman.
    Female,
    /// A very important person.
    Vip,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Premium, Self::Male, Self::Female, Self::Vip];

    /// Its name: `premium`, `male`, `female`, `vip`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Premium => "premium",
            Self::Male => "male",
            Self::Female => "female",
            Self::Vip => "vip",
        }
    }

    /// The kind of this name, if it is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The people in memory.
pub(super) struct Profiles {
    cache: Cache<Identity, Option<Arc<Profile>>>,
    changes: Changes,
    met: claims::Met,
}

impl Profiles {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(KEPT_FOR).build(),
            changes: Changes::new(),
            met: claims::Met::new(),
        }
    }
}

impl Core {
    /// What is known of `identity`; `None`: nobody ever heard of them here. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn profile(&self, identity: &Identity) -> Result<Option<Arc<Profile>>, Error> {
        if let Some(known) = self.profiles.cache.get(identity).await {
            return Ok(known);
        }
        Ok(self.read_profiles(std::slice::from_ref(identity)).await?.remove(identity))
    }

    /// What is known of these people; whoever is unknown is left out. No Twilio call, one query for all not in memory.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn profiles(&self, identities: &[Identity]) -> Result<HashMap<Identity, Arc<Profile>>, Error> {
        let mut profiles = HashMap::with_capacity(identities.len());
        let mut missing = Vec::new();
        for identity in identities {
            match self.profiles.cache.get(identity).await {
                Some(Some(profile)) => drop(profiles.insert(identity.clone(), profile)),
                Some(None) => {}
                None => missing.push(identity.clone()),
            }
        }
        if !missing.is_empty() {
            profiles.extend(self.read_profiles(&missing).await?);
        }
        Ok(profiles)
    }

    async fn read_profiles(&self, identities: &[Identity]) -> Result<HashMap<Identity, Arc<Profile>>, Error> {
        let before: Vec<_> = identities.iter().map(|identity| self.profiles.changes.seen(identity)).collect();
        let asked: Vec<_> = identities.iter().map(Identity::as_str).collect();
        let found = self.store.find_people(&asked).await?;
        let found: HashMap<_, _> = found
            .into_iter()
            .filter_map(profile)
            .map(|mut known| {
                known.avatar = known.avatar.map(|avatar| self.media_links.shown(&avatar).into());
                (known.identity.clone(), Arc::new(known))
            })
            .collect();
        for (identity, before) in identities.iter().zip(before) {
            self.profiles.cache.insert(identity.clone(), found.get(identity).cloned()).await;
            if self.profiles.changes.seen(identity) != before {
                self.profiles.cache.invalidate(identity).await;
            }
        }
        Ok(found)
    }

    /// Fills the directory with what was told of people; losing that costs a name, not a conversation.
    pub(super) async fn remember_people(&self, people: &[NewParticipant]) {
        for new in people.iter().filter(|new| new.name.is_some() || new.image.is_some()) {
            let told = Told {
                name: new.name.clone().map(|name| Some(searched(name))),
                image: new.image.clone().map(Some),
                ..Told::default()
            };
            if let Err(error) = self.remember(&new.identity, told, Source::Others).await {
                tracing::warn!(%error, "a name was not remembered");
            }
        }
    }

    async fn remember(&self, identity: &Identity, mut told: Told, source: Source) -> Result<(), Error> {
        // A signed link of ours would be dead tomorrow.
        told.image = told.image.map(|image| image.map(|image| self.media_links.kept(image)));
        let now = self.clock.now();
        let phone = told.phone.clone();
        self.store.remember_person(identity.as_str(), &told, source, now.timestamp_millis()).await?;
        self.profiles.changes.note(identity);
        self.profiles.cache.invalidate(identity).await;
        self.directory.changed();
        if let Some(phone) = phone {
            let formerly = Some(identity.as_str());
            self.store.relink_contacts(phone.as_deref(), formerly, now.timestamp()).await?;
            if let Some(phone) = phone {
                self.phone_registered(&phone);
            }
        }
        Ok(())
    }

    /// Whose phone this is, if anybody's: a phone that the app's token vouches for outranks one that somebody typed in; of
    /// equals the latest to register it has it. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn person_by_phone(&self, phone: &PhoneKey) -> Result<Option<Identity>, Error> {
        let owner = self.store.find_owner_of_phone(phone.as_str()).await?;
        Ok(owner.and_then(|identity| identity.parse().ok()))
    }
}

/// The text as people are searched by it: lower case, without accents, spaces as one.
#[must_use]
pub fn search_key(text: &str) -> String {
    let bare: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn searched(text: String) -> Searched {
    Searched { key: search_key(&text), text }
}

fn profile(person: Person) -> Option<Profile> {
    let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    Some(Profile {
        identity: person.identity.parse().ok()?,
        nickname: person.name.map(Into::into),
        avatar: person.image.map(Into::into),
        bio: person.bio.map(Into::into),
        kind: person.kind.as_deref().and_then(Kind::named),
        email: person.email.map(Into::into),
        phone: person.phone.as_deref().map(PhoneKey::stored),
        created_at: time(person.created_at),
        updated_at: time(person.updated_at),
    })
}

fn is_link(text: &str) -> bool {
    let is_web =
        url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    is_web && text.len() <= AVATAR_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_case_and_spaces_do_not_matter_to_a_search() {
        assert_eq!(search_key("  Zoë   ÅNGSTRÖM "), "zoe angstrom");
        assert_eq!(search_key("ﬁne"), "fine");
        assert_eq!(search_key("Ünal"), search_key("unal"));
    }
}
