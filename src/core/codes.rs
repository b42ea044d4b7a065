//! One-time codes for onboarding: an admin gives one out, its user or guest shows it once.
//!
//! Six digits are guessed in a moment by whoever can try offline, whatever the salt: so what is stored is a hash under a
//! key that is not in the database, and trying online is limited, by address, by whom it is tried for, and (what is for nobody
//! in particular) for all together. A code is told to
//! its person's sockets and to the admin who asked, and never stands at Twilio.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use uuid::Uuid;

use super::support::{Owner, SupportEvent};
use super::{ConversationSid, Core, Error, Event};
use crate::auth::{AuthError, Caller, Identity};
use crate::limits::Network;
use crate::store::AuthCode;

/// How long a code can be used.
const VALID_FOR: TimeDelta = TimeDelta::minutes(15);
/// How long tries are counted together.
const TRIES_WITHIN: TimeDelta = TimeDelta::minutes(15);
/// Wrong tries of all together, of codes that are for nobody in particular: many addresses at once would find one.
const TRIES_OF_ALL: u32 = 30;
const TRIES_OF_ALL_WITHIN: TimeDelta = TimeDelta::minutes(1);
/// Codes drawn until one is free.
const DRAWS_AT_MOST: usize = 5;

/// A code to be given out.
#[derive(Debug, Clone, Default)]
pub struct NewCode {
    /// Whom it is for; nobody: whoever knows it.
    pub owner: Option<Owner>,
    /// The support conversation it belongs to; without an `owner` it is for that conversation's.
    pub conversation: Option<ConversationSid>,
    /// What the app says of the device: JSON.
    pub device_info: Option<String>,
}

/// A code that was given out.
#[derive(Debug, Clone)]
pub struct IssuedCode {
    /// Its name.
    pub id: Uuid,
    /// Six digits.
    pub code: String,
    /// Whom it is for.
    pub owner: Option<Owner>,
    /// The support conversation it belongs to.
    pub conversation: Option<ConversationSid>,
    /// When it was given out.
    pub issued_at: DateTime<Utc>,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
}

/// A code that was right, and is used up now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedCode {
    /// Its name.
    pub id: String,
    /// Whom it was for.
    pub owner: Option<Owner>,
}

impl Core {
    /// Gives a code out and tells it to the sockets of whom it is for. No Twilio call, but for a conversation that is not
    /// in the index.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for others than admins, [`Error::ConversationNotFound`], [`Error::Invalid`] when the
    /// conversation is somebody else's, [`Error::Unavailable`].
    pub async fn issue_code(&self, caller: &Caller, new: NewCode) -> Result<IssuedCode, Error> {
        if !caller.is_admin() {
            return Err(forbidden(caller));
        }
        let owner = match new.conversation {
            Some(sid) => {
                let conversation = self.support_conversation(sid).await?;
                match new.owner {
                    Some(owner) if conversation.owner() != owner => {
                        return Err(Error::invalid("conversationId", "is the conversation of somebody else"));
                    }
                    _ => Some(conversation.owner()),
                }
            }
            None => new.owner,
        };
        let issued_at = self.clock.now();
        let expires_at = issued_at + VALID_FOR;
        let id = Uuid::new_v4();
        let (user_id, guest_id) = ids(owner.as_ref());
        let kept = AuthCode {
            code_id: id.to_string(),
            user_id,
            guest_id,
            conversation_sid: new.conversation.map(|sid| sid.to_string()),
            issued_by: caller.identity().map(ToString::to_string),
            device_info: new.device_info,
            expires_at: expires_at.timestamp_millis(),
        };
        for _ in 0..DRAWS_AT_MOST {
            let code = format!("{:06}", rand::rng().random_range(0..1_000_000));
            let hash = self.code_hash(&code, owner.as_ref());
            if self.store.add_code(&hash, &kept, issued_at.timestamp_millis()).await? {
                let issued =
                    IssuedCode { id, code, owner, conversation: new.conversation, issued_at, expires_at };
                if issued.owner.is_some() {
                    self.publish(&Event::Support(SupportEvent::CodeIssued(issued.clone())));
                }
                return Ok(issued);
            }
        }
        Err(Error::Unavailable { retry_after: None })
    }

    /// Uses `code` up for whom is `named`, else for the caller; `None` when it is wrong, expired, used, or somebody else's,
    /// which are not told apart. No Twilio call.
    ///
    /// # Errors
    /// [`AuthError::NotYou`] when a user names another; [`Error::TooManyRequests`] after too many wrong tries from
    /// `address`, for one person, or of a code that is for nobody in particular; [`Error::Unavailable`].
    pub async fn use_code(
        &self,
        caller: &Caller,
        address: IpAddr,
        named: Option<Owner>,
        code: &str,
    ) -> Result<Option<UsedCode>, Error> {
        let owner = tried_for(caller, named)?;
        let owner = owner.as_ref();
        let now = self.clock.now().timestamp_millis();
        let bounds = &self.limits.bounds;
        // Counted before it is looked at: else many at once would each find room for one more.
        let by_address = self.secret.hash("tries", &["address", &Network::of(address).to_string()]);
        self.count_try(&by_address, bounds.code_tries_per_address, TRIES_WITHIN, now).await?;
        let for_person =
            owner.map(|owner| self.secret.hash("tries", &[owner.kind(), owner.identity().as_str()]));
        if let Some(for_person) = &for_person {
            self.count_try(for_person, bounds.code_tries, TRIES_WITHIN, now).await?;
        }
        let mut counted: Vec<_> = std::iter::once(by_address).chain(for_person).collect();
        let mut used = match owner {
            Some(owner) => self.store.use_code(&self.code_hash(code, Some(owner)), now).await?,
            None => None,
        };
        if used.is_none() {
            // Whoever has a code of their own gets this far only with a wrong one.
            let by_all = self.secret.hash("tries", &["all"]);
            self.count_try(&by_all, TRIES_OF_ALL, TRIES_OF_ALL_WITHIN, now).await?;
            counted.push(by_all);
            used = self.store.use_code(&self.code_hash(code, None), now).await?;
        }
        let Some(used) = used else {
            metrics::counter!("switchboard_wrong_codes_total").increment(1);
            return Ok(None);
        };
        for tried in &counted {
            if let Err(error) = self.store.forgive_try(tried).await {
                tracing::warn!(%error, "a right code still counts as a try");
            }
        }
        let owner = Owner::from_ids(used.user_id.as_deref(), used.guest_id.as_deref());
        Ok(Some(UsedCode { id: used.code_id, owner }))
    }

    async fn count_try(
        &self,
        tried_by: &str,
        at_most: u32,
        within: TimeDelta,
        now: i64,
    ) -> Result<(), Error> {
        let window = within.num_milliseconds();
        let counted = self.store.count_try(tried_by, now - window, now).await;
        let (since, tries) = counted?;
        if tries > i64::from(at_most) {
            let left = u64::try_from(since + window - now).unwrap_or(0);
            return Err(Error::TooManyRequests { retry_after: Some(Duration::from_millis(left)) });
        }
        Ok(())
    }

    fn code_hash(&self, code: &str, owner: Option<&Owner>) -> String {
        let (kind, identity) = owner.map_or(("", ""), |owner| (owner.kind(), owner.identity().as_str()));
        self.secret.hash("codes", &[code, kind, identity])
    }

    /// Forgets codes and tries that count no more.
    pub(super) async fn forget_old_codes(&self) {
        let now = self.clock.now();
        let window = (now - TRIES_WITHIN).timestamp_millis();
        if let Err(error) = self.store.forget_old_codes(now.timestamp_millis(), window).await {
            tracing::warn!(%error, "expired codes are still there");
        }
    }
}

/// For whom a code is tried. Without a token whoever is named is believed, since the code is the proof; a user's token names
/// nobody but that user.
fn tried_for(caller: &Caller, named: Option<Owner>) -> Result<Option<Owner>, Error> {
    Ok(match (caller, named) {
        (Caller::Known { .. }, Some(Owner::User(user))) => Some(Owner::User(caller.acting_as(Some(&user))?)),
        (_, Some(named)) => Some(named),
        (Caller::Known { identity, .. }, None) => Some(Owner::User(identity.clone())),
        (Caller::Guest(guest), None) => Some(Owner::Guest(guest.clone())),
        (Caller::Anonymous | Caller::Service, None) => None,
    })
}

/// Not an admin: without a token that is another mistake than with one.
pub(super) fn forbidden(caller: &Caller) -> Error {
    match caller {
        Caller::Anonymous | Caller::Guest(_) => AuthError::Missing.into(),
        Caller::Known { .. } | Caller::Service => AuthError::Forbidden.into(),
    }
}

fn ids(owner: Option<&Owner>) -> (Option<String>, Option<String>) {
    let text = |identity: &Identity| Some(identity.as_str().to_owned());
    match owner {
        Some(Owner::User(user)) => (text(user), None),
        Some(Owner::Guest(guest)) => (None, text(guest)),
        None => (None, None),
    }
}
