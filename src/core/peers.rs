//! People as others see them: what they are called, whether they are here, when they were last.
//!
//! What is known of somebody is `profiles.rs`; who is connected is `presence.rs`, or `people.rs` for Twilio's own SDK. Here
//! they come together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use moka::future::Cache;

use super::{Core, Error, Profile};
use crate::auth::{AuthError, Caller, Identity};

/// People of whom it is remembered whether Twilio knows them.
const ASKED_AT_MOST: u64 = 50_000;
/// People of whom Twilio is asked at once.
const ASKED_AT_ONCE: usize = 8;
/// How long "nobody knows them" holds before Twilio is asked again.
const ASKED_FOR: Duration = Duration::from_secs(30);

/// A person as others see them.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who.
    pub identity: Identity,
    /// What is known of them; nothing of somebody who never was here and of whom nobody told.
    pub profile: Option<Arc<Profile>>,
    /// Whether they are connected here, were a moment ago, or are on Twilio's own SDK as far as is known.
    pub online: bool,
    /// `online`, `offline`, or what they set themselves (`away`, …).
    pub state: Arc<str>,
    /// When they were last heard of; `None`: never here.
    pub last_seen: Option<DateTime<Utc>>,
}

impl Peer {
    /// What to call them: at worst their identity.
    #[must_use]
    pub fn name(&self) -> &str {
        self.profile.as_deref().map_or(self.identity.as_str(), Profile::name)
    }
}

/// Who is known at Twilio, of those nobody knows here.
pub(super) struct Strangers {
    at_twilio: Cache<Identity, bool>,
}

impl Strangers {
    pub(super) fn new() -> Self {
        Self { at_twilio: Cache::builder().max_capacity(ASKED_AT_MOST).time_to_live(ASKED_FOR).build() }
    }
}

impl Core {
    /// These people, in this order. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn peers(&self, identities: &[Identity]) -> Result<Vec<Peer>, Error> {
        let mut profiles = self.profiles(identities).await?;
        let here: Vec<_> = identities.iter().map(|identity| self.status_of(identity)).collect();
        let gone = identities.iter().zip(&here).filter(|(_, here)| here.is_none());
        let gone: Vec<_> = gone.map(|(identity, _)| identity.as_str()).collect();
        let seen = if gone.is_empty() { HashMap::new() } else { self.store.last_seen_of(&gone).await? };
        let peer = |(identity, here): (&Identity, Option<super::Status>)| {
            let at_twilio = self.people.at_twilio_since(identity).filter(|_| here.is_none());
            let elsewhere = if at_twilio.is_some() { "online" } else { "offline" };
            let seen = || seen.get(identity.as_str()).and_then(|at| DateTime::from_timestamp(*at, 0));
            Peer {
                identity: identity.clone(),
                profile: profiles.remove(identity),
                online: here.is_some() || at_twilio.is_some(),
                state: here.as_ref().map_or_else(|| elsewhere.into(), |status| Arc::clone(&status.state)),
                last_seen: here.map_or_else(|| seen().max(at_twilio), |status| status.last_seen),
            }
        };
        Ok(identities.iter().zip(here).map(peer).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Core::peers`].
    pub async fn peer(&self, identity: &Identity) -> Result<Peer, Error> {
        let one = self.peers(std::slice::from_ref(identity)).await?.pop();
        Ok(one.expect("as many are given back as were asked for"))
    }

    /// Refuses to bring in who is called what no user can be, except where an admin does: others would take them for those
    /// who run the service. Those of them who are really there are in the directory since their first token. No Twilio call.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`]; [`Error::Unavailable`] when it cannot be told.
    pub(super) async fn ensure_may_bring<'a>(
        &self,
        caller: &Caller,
        people: impl IntoIterator<Item = &'a Identity>,
    ) -> Result<(), Error> {
        if caller.is_admin() {
            return Ok(());
        }
        let nobodys: Vec<_> = people.into_iter().filter(|identity| identity.is_reserved()).cloned().collect();
        if nobodys.is_empty() {
            return Ok(());
        }
        let known = self.profiles(&nobodys).await?;
        let are_there = nobodys.iter().all(|identity| !identity.is_guest() && known.contains_key(identity));
        if are_there { Ok(()) } else { Err(AuthError::Forbidden.into()) }
    }

    /// Refuses a person whom neither the directory nor Twilio knows. One Twilio call for somebody who is not in the
    /// directory; found there, they are in it from then on.
    ///
    /// # Errors
    /// [`Error::PersonNotFound`], [`Error::Unavailable`].
    pub async fn ensure_known(&self, identity: &Identity) -> Result<(), Error> {
        self.ensure_all_known(std::slice::from_ref(identity)).await
    }

    /// As [`Core::ensure_known`], of everybody; the directory is asked once for all.
    pub(super) async fn ensure_all_known(&self, people: &[Identity]) -> Result<(), Error> {
        let profiles = self.profiles(people).await?;
        let asking: Vec<_> = people
            .iter()
            .filter(|identity| !profiles.contains_key(*identity))
            .map(|identity| self.ensure_at_twilio(identity))
            .collect();
        futures::stream::iter(asking).buffered(ASKED_AT_ONCE).try_collect().await
    }

    async fn ensure_at_twilio(&self, identity: &Identity) -> Result<(), Error> {
        let ask = async {
            match self.twilio.fetch_user(identity.as_str()).await {
                Ok(user) => {
                    self.user_met(identity, &user).await;
                    self.note_at_twilio(identity, &user);
                    Ok(true)
                }
                Err(error) if error.is_not_found() => Ok(false),
                Err(error) => Err(Error::from(error)),
            }
        };
        let known = self.strangers.at_twilio.try_get_with(identity.clone(), ask).await;
        if known.map_err(|error| (*error).clone())? { Ok(()) } else { Err(Error::PersonNotFound) }
    }
}
