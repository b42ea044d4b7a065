//! Signing people out: what was issued to them before no longer lets anybody in, and their sockets are closed.
//!
//! Kept in the database, looked for there every [`LOOKED_FOR_EVERY`] (what other nodes did), and checked in memory
//! (`auth/sign_outs.rs`), so that no request waits for the database. Closing the sockets is `realtime`'s.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::{Core, Error, Event};
use crate::auth::{AuthError, Caller, Identity, LEEWAY, MAX_APP_LIFETIME, SignOuts};
use crate::store;

/// How often it is looked for what other nodes did.
pub(super) const LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);
/// How far back: clocks of nodes may differ, and a row is seen later than it was written.
const LOOKED_BACK: TimeDelta = TimeDelta::minutes(2);

/// What is known of sign-outs.
pub(super) struct Known {
    sign_outs: SignOuts,
    /// When it was last looked for them.
    looked_at: Mutex<DateTime<Utc>>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self { sign_outs: SignOuts::default(), looked_at: Mutex::new(DateTime::UNIX_EPOCH) }
    }
}

impl Core {
    /// Signs `identity` out everywhere: tokens issued to them until now, of either kind, no longer hold, nor do those that
    /// do not say when they were issued; their sockets are closed, on other nodes within about a second. Gives since when. A
    /// new token works from the next second on. No Twilio call; connections of Twilio's own SDKs live until their token ends.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for others than admins; [`Error::Unavailable`] when the database does not answer, or more
    /// people are signed out than can be remembered. Nothing has changed then.
    pub async fn sign_out(&self, caller: &Caller, identity: &Identity) -> Result<DateTime<Utc>, Error> {
        if !caller.is_admin() {
            return Err(AuthError::Forbidden.into());
        }
        if self.signed_out.sign_outs.is_full() {
            tracing::error!("more people were signed out in a month than are remembered; nobody else can be");
            return Err(Error::Unavailable { retry_after: None });
        }
        let now = self.clock.now();
        self.store.sign_out(identity.as_str(), now.timestamp()).await?;
        self.signed_out.sign_outs.note(identity.as_str(), now);
        self.publish(&Event::SignedOut { identity: identity.clone() });
        Ok(now)
    }

    /// Who was signed out, for whoever checks tokens.
    #[must_use]
    pub fn sign_outs(&self) -> SignOuts {
        self.signed_out.sign_outs.clone()
    }

    /// Takes in who was signed out since this was last asked, at first everybody of whom it matters.
    ///
    /// # Errors
    /// [`store::Error`] when the database does not answer; then it is asked for the same again.
    pub async fn look_for_sign_outs(&self) -> Result<(), store::Error> {
        let now = self.clock.now();
        let since = *self.signed_out.looked_at.lock();
        let since = since.checked_sub_signed(LOOKED_BACK).unwrap_or(since);
        for (identity, at) in self.store.signed_out_since(since.timestamp()).await? {
            let Some(at) = DateTime::from_timestamp(at, 0) else { continue };
            if self.signed_out.sign_outs.note(&identity, at)
                && let Ok(identity) = Identity::try_from(identity)
            {
                self.publish(&Event::SignedOut { identity });
            }
        }
        *self.signed_out.looked_at.lock() = now;
        Ok(())
    }

    /// Forgets those of whom every token of before has expired by itself.
    pub(super) async fn forget_old_sign_outs(&self) {
        let lived = TimeDelta::from_std(MAX_APP_LIFETIME + 2 * LEEWAY).expect("a month is a time");
        let before = self.clock.now() - lived;
        self.signed_out.sign_outs.forget_before(before);
        if let Err(error) = self.store.forget_sign_outs(before.timestamp()).await {
            tracing::debug!(%error, "old sign-outs are not forgotten yet");
        }
    }
}
