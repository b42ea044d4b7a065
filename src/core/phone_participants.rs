//! Phones that take part in conversations: bringing one in, and who may bring in which.
//!
//! Text messages cost money, and whoever may have them sent anywhere can be paid for it: so phones are of certain countries
//! (`SMS_COUNTRIES`) and never such that the caller pays extra for, of new ones somebody brings in only so many a day
//! (`SMS_DAILY_CAP`), and all of them get only so many texts of theirs (`SMS_DAILY_TEXTS`), counted in the database.
//! Everything that makes Twilio write to somebody new comes through here. One spelling of a phone, by which people are
//! found, is `phones.rs`; conversations that begin with a phone are `phone_conversations.rs`.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-participant-resource>

use std::sync::Arc;
use std::time::Duration;

use super::participants::Roster;
use super::{ConversationSid, Core, Error, Participant, PhoneKey, look};
use crate::auth::{Caller, Identity};
use crate::config::is_premium;
use crate::twilio;

/// How long a phone that was brought in counts.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// What stands before the name of whoever has texts counted, beside their phones; in no identity.
const TEXTS: char = '\u{1}';
/// What stands before the number of a phone that is written to over WhatsApp.
const WHATSAPP: &str = "whatsapp:";

/// A phone's address: E.164 (`+4366012345678`), or `whatsapp:` and E.164.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// As Twilio writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The phone, written to by SMS.
    pub(super) fn by_sms(phone: &PhoneKey) -> Self {
        Self(format!("+{phone}"))
    }

    /// The number, whatever it is written to by.
    fn number(&self) -> &str {
        self.0.strip_prefix(WHATSAPP).unwrap_or(&self.0)
    }

    /// The address of ours that the phone sees, given our own number.
    fn proxy(&self, own: &str) -> String {
        if self.0.starts_with(WHATSAPP) { format!("{WHATSAPP}{own}") } else { own.to_owned() }
    }
}

impl std::str::FromStr for PhoneNumber {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix(WHATSAPP).unwrap_or(text).strip_prefix('+').unwrap_or_default();
        let plausible = (7..=15).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && !digits.starts_with('0');
        plausible.then(|| Self(text.to_owned())).ok_or_else(|| {
            Error::invalid("phone_number", "must be a phone number in E.164 form, such as +4366012345678")
        })
    }
}

/// The address of a participant that is a phone.
pub(super) fn address_of(participant: &Participant) -> Option<&str> {
    let binding = participant.messaging_binding.as_ref().filter(|_| participant.identity.is_none());
    binding.and_then(|binding| binding.address.as_deref())
}

/// The digits of a participant that is a phone, whatever it is written to by.
pub(super) fn digits_of(participant: &Participant) -> Option<&str> {
    let address = address_of(participant)?;
    address.strip_prefix(WHATSAPP).unwrap_or(address).strip_prefix('+')
}

/// A new phone that was counted, to be taken back should it not be brought in.
pub(super) struct Counted(Option<String>);

impl Core {
    /// Brings a phone in over the service's own number; one that is in already is given back as it is.
    ///
    /// Costs one Twilio call; none for a phone that is in.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] without a number of our own, [`Error::PhoneNotAllowed`] for its country,
    /// [`Error::TooManyPhones`], [`Error::PhoneBusy`] when the phone is in another open conversation; else as
    /// [`Core::add_participant`].
    pub async fn add_phone(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        phone: &PhoneNumber,
    ) -> Result<Arc<Participant>, Error> {
        self.ensure_may_manage(caller, conversation, None).await?;
        self.ensure_has_number()?;
        if let Some(already) = find(&*self.roster(conversation).await?, phone) {
            return Ok(already);
        }
        let counted = self.permit_new_phone(caller, phone).await?;
        let (core, phone) = (self.clone(), phone.clone());
        self.to_the_end(async move {
            match core.add_phone_at_twilio(conversation, &phone).await {
                Ok(participant) => Ok(core.participant_added(Arc::new(participant)).await),
                Err(error) => Err(core.not_brought_in(counted, error).await),
            }
        })
        .await
    }

    /// Refuses where there is no number to write to phones from.
    pub(super) fn ensure_has_number(&self) -> Result<&str, Error> {
        self.phone_number.as_deref().ok_or(Error::NotConfigured("TWILIO_PHONE_NUMBER"))
    }

    /// Whether `caller` may bring in `phone`, which is new: then it is counted. Admins are not counted.
    pub(super) async fn permit_new_phone(
        &self,
        caller: &Caller,
        phone: &PhoneNumber,
    ) -> Result<Counted, Error> {
        if is_premium(phone.number()) {
            metrics::counter!("switchboard_phones_refused_total", "why" => "premium").increment(1);
            return Err(Error::invalid("phone_number", "is one that costs extra, which is not written to"));
        }
        if !self.sms.countries.include(phone.number()) {
            metrics::counter!("switchboard_phones_refused_total", "why" => "country").increment(1);
            return Err(Error::PhoneNotAllowed);
        }
        if caller.is_admin() {
            return Ok(Counted(None));
        }
        let owner = counted_as(caller).to_owned();
        match self.count_today(&owner, 1, self.sms.daily_cap).await? {
            None => Ok(Counted(Some(owner))),
            Some(retry_after) => {
                metrics::counter!("switchboard_phones_refused_total", "why" => "cap").increment(1);
                Err(Error::TooManyPhones { done: "brought in as many new phones", retry_after })
            }
        }
    }

    /// Whether `caller` may have `texts` sent to phones: then they are counted, whatever becomes of them. Admins are not
    /// counted, and nobody is while the database is away.
    pub(super) async fn permit_texts(&self, caller: &Caller, texts: usize) -> Result<(), Error> {
        if texts == 0 || caller.is_admin() {
            return Ok(());
        }
        let owner = format!("{TEXTS}{}", counted_as(caller));
        let texts = i64::try_from(texts).unwrap_or(i64::MAX);
        match self.count_today(&owner, texts, self.sms.daily_texts).await {
            Ok(None) => Ok(()),
            Ok(Some(retry_after)) => {
                metrics::counter!("switchboard_texts_refused_total").increment(1);
                Err(Error::TooManyPhones { done: "sent as many texts to phones", retry_after })
            }
            Err(error) => {
                tracing::warn!(%error, "texts to phones are not counted");
                Ok(())
            }
        }
    }

    /// Counts `many` more of `owner` within a day, or says how long it is until they fit.
    async fn count_today(&self, owner: &str, many: i64, cap: u32) -> Result<Option<Duration>, Error> {
        let now = self.clock.now().timestamp_millis();
        let cap = i64::from(cap);
        if many <= cap && self.store.count_phones(owner, many, cap, now - DAY_MS, now).await? {
            return Ok(None);
        }
        let since = self.store.phones_counted_since(owner).await?.unwrap_or(now);
        Ok(Some(Duration::from_millis(u64::try_from(since + DAY_MS - now).unwrap_or_default())))
    }

    /// Takes back what was counted for a phone that was not brought in because of `error`, and gives that back.
    pub(super) async fn not_brought_in(&self, counted: Counted, error: Error) -> Error {
        // What nobody knows the outcome of counts.
        if let (Some(owner), false) = (counted.0, matches!(error, Error::Unavailable { .. }))
            && let Err(error) = self.store.uncount_phone(&owner).await
        {
            tracing::warn!(%error, "a phone that was not brought in is counted");
        }
        error
    }

    /// Brings a phone in at Twilio, and makes sure of it: an unclear answer is cleared up, "already there" is success.
    pub(super) async fn add_phone_at_twilio(
        &self,
        conversation: ConversationSid,
        phone: &PhoneNumber,
    ) -> Result<Participant, Error> {
        let proxy = phone.proxy(self.ensure_has_number()?);
        let adding = self.twilio.add_sms_participant(conversation, phone.as_str(), &proxy, None);
        let error = match adding.await {
            Ok(participant) => return Ok(participant),
            Err(error) => error,
        };
        // The pair may be held by this very conversation: then the phone is in. So it may be after a time-out.
        let unclear = error.binding_holder() == Some(conversation)
            || matches!(error, twilio::Error::Ambiguous(_) | twilio::Error::Undecodable(_));
        if !unclear {
            return Err(error.into());
        }
        let all = look(self.twilio.list_participants(conversation)).await.unwrap_or_default();
        let found = all.into_iter().find(|one| address_of(one) == Some(phone.as_str()));
        found.ok_or_else(|| error.into())
    }

    /// Forgets how many phones were brought in more than a day ago.
    pub(super) async fn forget_old_phone_counts(&self) {
        let then = self.clock.now().timestamp_millis() - DAY_MS;
        if let Err(error) = self.store.forget_old_phone_counts(then).await {
            tracing::warn!(%error, "old counts of phones are still there");
        }
    }
}

/// Whose count it is: those who do not say who they are share one.
fn counted_as(caller: &Caller) -> &str {
    caller.identity().map_or("", Identity::as_str)
}

fn find(roster: &Roster, phone: &PhoneNumber) -> Option<Arc<Participant>> {
    roster.all().into_iter().find(|participant| address_of(participant) == Some(phone.as_str()))
}
