//! Contacts: whom somebody keeps by phone, and the conversation that begins with a phone number.
//!
//! Contacts are nobody's business at Twilio and live in the database. Which phone is whose is `profiles.rs`'.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{ConversationSid, Core, Error, GroupDraft, PhoneKey};
use crate::auth::{Caller, Identity};
use crate::store;

/// Contacts one person may have.
const CONTACTS_AT_MOST: i64 = 10_000;

/// Somebody to be kept as a contact.
#[derive(Debug, Clone)]
pub struct NewContact {
    /// As their owner calls them.
    pub first_name: String,
    /// As their owner calls them; may be empty.
    pub last_name: String,
    /// Their phone.
    pub phone: PhoneKey,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Stays the same when its owner adds the same phone again.
    pub id: Uuid,
    /// Their phone.
    pub phone: PhoneKey,
    /// As their owner calls them.
    pub first_name: Arc<str>,
    /// As their owner calls them; may be empty.
    pub last_name: Arc<str>,
    /// Who they are, once they have registered that phone.
    pub customer: Option<Identity>,
    /// When they were first added.
    pub created_at: DateTime<Utc>,
}

/// What kind of conversation begins with a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByPhone {
    /// The one of the two.
    Private,
    /// A new group of the two, which its maker may add others to.
    Group,
}

/// The conversation that began with a phone number, or was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedByPhone {
    /// It. Both are in it at Twilio.
    pub conversation: ConversationSid,
    /// It was there before.
    pub existing: bool,
}

impl Core {
    /// Adds a contact to the caller's, or renames the one with that phone. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Auth`] without an identity of one's own, [`Error::LimitReached`], [`Error::Unavailable`].
    pub async fn add_contact(&self, caller: &Caller, new: NewContact) -> Result<Contact, Error> {
        let owner = caller.person()?;
        let now = self.clock.now().timestamp();
        let phone = new.phone.as_str();
        let contact = store::Contact {
            contact_id: Uuid::new_v4().to_string(),
            owner: owner.as_str().to_owned(),
            phone: phone.to_owned(),
            first_name: new.first_name,
            last_name: new.last_name,
            customer: None,
            created_at: now,
            updated_at: now,
        };
        if !self.store.add_contact(&contact, CONTACTS_AT_MOST).await? {
            return Err(Error::LimitReached("you have as many contacts as you can"));
        }
        self.store.relink_contacts(Some(phone), None, now).await?;
        let added = self.store.find_contact(owner.as_str(), phone).await?;
        added.and_then(contact_of).ok_or(Error::Internal)
    }

    /// Everybody `identity` keeps as a contact, the latest last; at most 10,000. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn contacts_of(&self, identity: &Identity) -> Result<Vec<Contact>, Error> {
        let contacts = self.store.contacts_of(identity.as_str()).await?;
        Ok(contacts.into_iter().filter_map(contact_of).collect())
    }

    /// Everybody who keeps `identity` as a contact. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn contact_owners_of(&self, identity: &Identity) -> Result<Vec<Identity>, Error> {
        let owners = self.store.contact_owners_of(identity.as_str()).await?;
        Ok(owners.iter().filter_map(|owner| owner.parse().ok()).collect())
    }

    /// The caller's conversation with whoever registered `phone`: of a pair the one there is, or a new one. Where nobody did
    /// and `SMS_FALLBACK` is on, the phone itself takes part.
    ///
    /// Costs what [`Core::direct`] does, or three calls for a group or with a phone.
    ///
    /// # Errors
    /// [`Error::PersonNotFound`] when nobody registered it; with `SMS_FALLBACK` those of [`Core::add_phone`] instead;
    /// [`Error::OnlyYourself`] when the caller did, [`Error::Blocked`]
    /// when one of the two blocks the other, [`Error::Auth`] without an identity of one's own; and those of making a
    /// conversation. Nothing is left half-made.
    pub async fn start_by_phone(
        &self,
        caller: &Caller,
        phone: &PhoneKey,
        kind: ByPhone,
    ) -> Result<StartedByPhone, Error> {
        caller.person()?;
        let Some(other) = self.person_by_phone(phone).await? else {
            if !self.sms.fallback {
                return Err(Error::PersonNotFound);
            }
            return self.start_with_phone(caller, phone, kind).await;
        };
        if self.sms.fallback {
            // Registered a moment ago, perhaps: what began with the phone is theirs before they get another one.
            let (core, phone) = (self.clone(), phone.clone());
            let handed_over = async move {
                core.hand_over(&phone).await;
                Ok(())
            };
            self.to_the_end(handed_over).await?;
        }
        match kind {
            ByPhone::Private => {
                let direct = self.direct_with(caller, &other).await?;
                Ok(StartedByPhone { conversation: direct.conversation, existing: direct.messages.is_some() })
            }
            ByPhone::Group if caller.identity() == Some(&other) => Err(Error::OnlyYourself),
            ByPhone::Group => {
                let draft = GroupDraft { name: None, avatar: None, members: vec![other] };
                let conversation = self.found_group(caller, draft).await?;
                Ok(StartedByPhone { conversation, existing: false })
            }
        }
    }
}

fn contact_of(contact: store::Contact) -> Option<Contact> {
    Some(Contact {
        id: contact.contact_id.parse().ok()?,
        phone: PhoneKey::stored(&contact.phone),
        first_name: contact.first_name.into(),
        last_name: contact.last_name.into(),
        customer: contact.customer.and_then(|customer| customer.parse().ok()),
        created_at: DateTime::from_timestamp(contact.created_at, 0).unwrap_or_default(),
    })
}
