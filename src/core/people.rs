//! People as Twilio knows them: who can be reached, on our sockets or on Twilio's SDK. What they are called is
//! `profiles.rs`.
//!
//! Source: <https://www.twilio.com/docs/conversations/reachability>

use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;

use super::{Core, Error, Status};
use crate::auth::{AuthError, Caller, Identity};
use crate::twilio::User;

/// People whose reachability is kept.
const KEPT_AT_MOST: u64 = 50_000;
/// How long an access token is valid.
const TOKEN_FOR: Duration = Duration::from_secs(3600);
/// How long it is known how old that is which Twilio told last of somebody; a report that comes later still is not taken in.
const TOLD_FOR: Duration = Duration::from_secs(3600);
/// How long it is believed: Twilio reports changes only while its webhook reaches us.
const KEPT_FOR: Duration = Duration::from_secs(15);
/// How long somebody counts as being on Twilio's SDK of whom nothing else is reported: bounds what a lost report can hide.
const AT_TWILIO_FOR: Duration = Duration::from_secs(3600);

/// Whether somebody can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reachability {
    /// A socket of theirs is connected, here or at Twilio.
    pub online: bool,
    /// They can be sent a push notification.
    pub notifiable: bool,
}

/// What somebody identifies themselves with, here and to Twilio's own SDKs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The JWT.
    pub token: String,
    /// Whom it names.
    pub identity: Identity,
    /// How long it is valid.
    pub expires_in: Duration,
}

/// What is known of people at Twilio.
pub(super) struct People {
    reachability: Cache<Identity, Reachability>,
    /// Who is on Twilio's own SDK, and of when that is: for lists, which ask nobody.
    at_twilio: moka::sync::Cache<Identity, DateTime<Utc>>,
    /// Of when the newest is that Twilio told of somebody.
    told: moka::sync::Cache<Identity, DateTime<Utc>>,
}

impl People {
    pub(super) fn new() -> Self {
        Self {
            reachability: Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(KEPT_FOR).build(),
            at_twilio: moka::sync::Cache::builder()
                .max_capacity(KEPT_AT_MOST)
                .time_to_live(AT_TWILIO_FOR)
                .build(),
            told: moka::sync::Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(TOLD_FOR).build(),
        }
    }

    /// Notes that Twilio told of somebody as they were at `at`.
    pub(super) fn note_told(&self, identity: &Identity, at: DateTime<Utc>) {
        let newest = self.told.get(identity).map_or(at, |told| told.max(at));
        self.told.insert(identity.clone(), newest);
    }

    /// Since when it is known that they are on Twilio's own SDK, if they are.
    pub(super) fn at_twilio_since(&self, identity: &Identity) -> Option<DateTime<Utc>> {
        self.at_twilio.get(identity)
    }

    /// Everybody of whom that is known.
    pub(super) fn everybody_at_twilio(&self) -> Vec<Identity> {
        self.at_twilio.iter().map(|(identity, _)| Identity::clone(&identity)).collect()
    }

    /// Takes in whether they are, if that is told; true if it is news.
    fn note_at_twilio(&self, identity: &Identity, user: &User) -> bool {
        match user.is_online {
            Some(true) => {
                let entry = self.at_twilio.entry_by_ref(identity).and_upsert_with(|_| user.date_updated);
                !entry.is_old_value_replaced()
            }
            Some(false) => self.at_twilio.remove(identity).is_some(),
            None => false,
        }
    }
}

impl Core {
    /// A Twilio access token for `identity`, valid for an hour. No Twilio call.
    ///
    /// # Errors
    /// [`AuthError::NotYou`] for a user who asks for somebody else's.
    pub fn access_token(&self, caller: &Caller, identity: &Identity) -> Result<AccessToken, Error> {
        if identity.is_guest() {
            return Err(Error::invalid("user_id", "must not begin with guest_, which is kept for guests"));
        }
        let identity = caller.acting_as(Some(identity))?;
        let token = self.access_tokens.mint(identity.as_str(), TOKEN_FOR, self.clock.now());
        Ok(AccessToken { token, identity, expires_in: TOKEN_FOR })
    }

    /// Whether `identity` can be reached; nobody can be who is unknown, or, where callers must prove who they are, whom the
    /// caller has nothing to do with.
    ///
    /// Costs no Twilio call for somebody connected here, else one; where it is not known whether the two have to do with each
    /// other, those of the caller's list and of a few rosters.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn reachability(&self, caller: &Caller, identity: &Identity) -> Result<Reachability, Error> {
        if self.proof_needed
            && let Some(me) = caller.identity().filter(|_| !caller.is_admin())
            && !self.know_each_other(me, identity).await?
        {
            return Ok(Reachability::default());
        }
        if self.presence.is_online(identity.as_str()) {
            return Ok(Reachability { online: true, notifiable: true });
        }
        let fetch = async {
            match self.twilio.fetch_user(identity.as_str()).await {
                Ok(user) => {
                    self.note_at_twilio(identity, &user);
                    Ok(reachability_of(&user))
                }
                Err(error) if error.is_not_found() => Ok(Reachability::default()),
                Err(error) => Err(Error::from(error)),
            }
        };
        let known = self.people.reachability.try_get_with(identity.clone(), fetch).await;
        known.map_err(|error| (*error).clone())
    }

    /// Makes Twilio track who is online. One Twilio call.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for a plain user, [`Error::Unavailable`].
    pub async fn enable_reachability(&self, caller: &Caller) -> Result<(), Error> {
        if !caller.is_admin() && !caller.is_anonymous() {
            return Err(AuthError::Forbidden.into());
        }
        self.twilio.enable_reachability().await?;
        self.people.reachability.invalidate_all();
        Ok(())
    }

    /// Whether somebody is connected here, was a moment ago, or is on Twilio's own SDK as far as is known.
    pub(super) fn is_online(&self, identity: &str) -> bool {
        let at_twilio =
            || Identity::try_from(identity).is_ok_and(|who| self.people.at_twilio_since(&who).is_some());
        self.presence.is_online(identity) || at_twilio()
    }

    /// Takes in whether somebody is on Twilio's own SDK; whoever knows them hears of it, unless they are here anyway.
    pub(super) fn note_at_twilio(&self, identity: &Identity, user: &User) {
        if self.people.note_at_twilio(identity, user) && !self.presence.is_online(identity.as_str()) {
            self.announce(identity);
        }
    }

    /// Takes in what Twilio reports of a person, and tells how they are where they share a conversation.
    pub(super) async fn user_changed(&self, user: &User) {
        let Ok(identity) = Identity::try_from(user.identity.as_str()) else { return };
        let told = self.people.told.get(&identity);
        if told.is_some_and(|told| user.date_updated < told) {
            return;
        }
        let reachability = reachability_of(user);
        self.people.reachability.insert(identity.clone(), reachability).await;
        if told.is_some() || !self.is_older_than_profile(&identity, user).await {
            self.people.note_told(&identity, user.date_updated);
            self.user_told(&identity, user).await;
        }
        self.note_at_twilio(&identity, user);
        let online = reachability.online || self.presence.is_online(identity.as_str());
        let state = if online { "online" } else { "offline" };
        let status = Status {
            identity,
            user_id: None,
            state: state.into(),
            online,
            last_seen: Some(user.date_updated),
        };
        self.tell_status_where_shared(status).await;
    }

    /// Whether anything was told of a person since the time of a report: after a restart it is not known what Twilio told last.
    async fn is_older_than_profile(&self, identity: &Identity, user: &User) -> bool {
        let known = self.profile(identity).await.ok().flatten();
        known.is_some_and(|known| user.date_updated.timestamp() < known.updated_at.timestamp())
    }
}

fn reachability_of(user: &User) -> Reachability {
    Reachability { online: user.is_online.unwrap_or(false), notifiable: user.is_notifiable.unwrap_or(false) }
}
