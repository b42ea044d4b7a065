//! Conversations that begin with a phone nobody has registered (`SMS_FALLBACK`), and what becomes of them when somebody
//! registers it: they take the phone's place, and the thread stays.
//!
//! Of a person and a phone there is one: its UniqueName is a hash of the two, so Twilio itself refuses a second one. Once
//! the phone is somebody's, it is renamed to be the one conversation of the two people (`direct.rs`); where they have one
//! already, both stay, and the older thread is read by both. The rows in the database are what is still to be done: whoever
//! registers a phone is noticed at once, and what could not be finished is taken up again every ten minutes and at the start.

use std::sync::Arc;

use moka::future::Cache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::direct::{LOOKED_AMONG, Pair, SUCCESSORS_AT_MOST, is_named, unique_name};
use super::groups::{GROUP_NAMES, GroupRole, attributes_of_group};
use super::participants::NewParticipant;
use super::phone_participants::{PhoneNumber, digits_of};
use super::{
    ByPhone, Conversation, ConversationSid, ConversationState, Core, Error, Participant, PhoneKey,
    StartedByPhone, look,
};
use crate::auth::{Caller, Identity};
use crate::store::PhoneConversation;
use crate::twilio::{ConversationChanges, NewConversation};

/// What the UniqueNames of these conversations begin with.
const PHONE_NAMES: &str = "sms_";
/// Conversations made at once, of which each is made one at a time.
const MAKING_AT_MOST: u64 = 10_000;
/// Registered phones that may wait to be looked at; the others are found later.
const QUEUE: usize = 1_024;
/// Phones looked at in one sweep.
const SWEPT_AT_ONCE: i64 = 1_000;

const PRIVATE: &str = "private";
const GROUP: &str = "group";

/// Which of these conversations are being made, and which phones were registered just now.
pub(super) struct PhoneConversations {
    /// By UniqueName. Made one at a time per name.
    making: Cache<String, ConversationSid>,
    registered: mpsc::Sender<PhoneKey>,
    /// Up to which phone the last sweep went.
    swept: Mutex<String>,
}

impl PhoneConversations {
    pub(super) fn new() -> (Self, mpsc::Receiver<PhoneKey>) {
        let (registered, phones) = mpsc::channel(QUEUE);
        let making = Cache::builder().max_capacity(MAKING_AT_MOST).build();
        (Self { making, registered, swept: Mutex::default() }, phones)
    }
}

/// The UniqueName of the conversation of a person and a phone.
fn name_of(owner: &Identity, phone: &PhoneKey) -> String {
    let mut hash = Sha256::new();
    // The length keeps ("ab", "1") and ("a", "b1") apart.
    hash.update((owner.as_str().len() as u64).to_be_bytes());
    hash.update(owner.as_str().as_bytes());
    hash.update(phone.as_str().as_bytes());
    let hash = hash.finalize();
    hash.iter().take(20).fold(PHONE_NAMES.to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

impl Core {
    /// The conversation of the caller and a phone nobody has registered; of a private one the one there is.
    ///
    /// Costs three Twilio calls for a new one, none for one that is known.
    pub(super) async fn start_with_phone(
        &self,
        caller: &Caller,
        phone: &PhoneKey,
        kind: ByPhone,
    ) -> Result<StartedByPhone, Error> {
        let me = caller.person()?.clone();
        self.ensure_has_number()?;
        let (core, caller, phone) = (self.clone(), caller.clone(), phone.clone());
        self.to_the_end(async move {
            match kind {
                ByPhone::Private => core.find_or_make_with_phone(&caller, &me, &phone).await,
                ByPhone::Group => {
                    let name = format!("{GROUP_NAMES}{}", Uuid::new_v4().simple());
                    let attributes = Some(attributes_of_group(&me));
                    let conversation = core.make_with_phone(&caller, &me, &phone, &name, attributes).await?;
                    Ok(StartedByPhone { conversation, existing: false })
                }
            }
        })
        .await
    }

    async fn find_or_make_with_phone(
        &self,
        caller: &Caller,
        me: &Identity,
        phone: &PhoneKey,
    ) -> Result<StartedByPhone, Error> {
        let name = name_of(me, phone);
        let mut existing = true;
        let make = async {
            match self.recall_with_phone(me, phone).await? {
                Some(known) => Ok(known),
                None => {
                    existing = false;
                    self.make_with_phone(caller, me, phone, &name, None).await
                }
            }
        };
        let making = &self.phone_conversations.making;
        let conversation = making.try_get_with_by_ref(name.as_str(), make).await;
        // The database remembers it, and hears when it is gone.
        making.invalidate(name.as_str()).await;
        let conversation = conversation.map_err(|error: Arc<Error>| (*error).clone())?;
        Ok(StartedByPhone { conversation, existing })
    }

    /// The private conversation of the two that is known and still open.
    async fn recall_with_phone(
        &self,
        me: &Identity,
        phone: &PhoneKey,
    ) -> Result<Option<ConversationSid>, Error> {
        for known in self.store.phone_conversations(phone.as_str()).await? {
            if known.owner != me.as_str() || known.kind != PRIVATE {
                continue;
            }
            if let Some(conversation) = self.open_conversation(&known).await? {
                return Ok(Some(conversation.sid));
            }
        }
        Ok(None)
    }

    /// The conversation, unless it is gone or closed; then it is forgotten.
    async fn open_conversation(&self, known: &PhoneConversation) -> Result<Option<Arc<Conversation>>, Error> {
        let sid = known.conversation_sid.parse().map_err(|_| Error::Internal)?;
        match self.conversation(sid).await {
            Ok(conversation) if conversation.state != ConversationState::Closed => Ok(Some(conversation)),
            Ok(_) | Err(Error::ConversationNotFound) => {
                self.store.forget_phone_conversation(&known.conversation_sid).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the conversation named `name` (or a successor of closed ones), with the two in it or not at all; one that Twilio
    /// has already is completed.
    async fn make_with_phone(
        &self,
        caller: &Caller,
        me: &Identity,
        phone: &PhoneKey,
        name: &str,
        attributes: Option<String>,
    ) -> Result<ConversationSid, Error> {
        let address = PhoneNumber::by_sms(phone);
        let kind = if attributes.is_some() { GROUP } else { PRIVATE };
        let called = self.joined_names(std::slice::from_ref(me)).await?;
        let wanted = NewConversation {
            friendly_name: Some(format!("{called}, {}", address.as_str())),
            unique_name: None,
            attributes,
        };
        let counted = self.permit_new_phone(caller, &address).await?;
        let row = PhoneConversation {
            conversation_sid: String::new(),
            owner: me.as_str().to_owned(),
            phone: phone.as_str().to_owned(),
            kind: kind.to_owned(),
            created_at: self.clock.now().timestamp(),
        };
        match self.fill_with_phone(me, &address, name, wanted, row).await {
            Ok(conversation) => Ok(conversation),
            Err(error) => Err(self.not_brought_in(counted, error).await),
        }
    }

    async fn fill_with_phone(
        &self,
        me: &Identity,
        phone: &PhoneNumber,
        name: &str,
        wanted: NewConversation,
        row: PhoneConversation,
    ) -> Result<ConversationSid, Error> {
        let mut numbered = name.to_owned();
        for successor in 2..=SUCCESSORS_AT_MOST {
            let new = NewConversation { unique_name: Some(numbered.clone()), ..wanted.clone() };
            let (conversation, is_new) = self.create_or_fetch(&numbered, &new).await?;
            let sid = conversation.sid;
            if conversation.state == ConversationState::Closed {
                numbered = format!("{name}_{successor}");
                continue;
            }
            // First what is remembered of it: what came after could not be undone for want of a database.
            let row = PhoneConversation { conversation_sid: sid.to_string(), ..row.clone() };
            if let Err(error) = self.store.remember_phone_conversation(&row).await {
                if is_new {
                    self.undo_creation(sid).await;
                }
                return Err(error.into());
            }
            let filled = self.fill_one_with_phone(me, phone, conversation, is_new).await;
            if filled.is_err() {
                self.forget_phone_conversation(sid).await;
            }
            return filled.map(|()| sid);
        }
        Err(Error::LimitReached("these two have too many closed conversations"))
    }

    async fn fill_one_with_phone(
        &self,
        me: &Identity,
        phone: &PhoneNumber,
        conversation: Conversation,
        is_new: bool,
    ) -> Result<(), Error> {
        let sid = conversation.sid;
        // First the phone, which may be busy elsewhere.
        let participant = match self.add_phone_at_twilio(sid, phone).await {
            Ok(participant) => Arc::new(participant),
            Err(error) => {
                if is_new {
                    self.undo_creation(sid).await;
                }
                return Err(error);
            }
        };
        let people = [nameless(me)];
        if is_new {
            self.fill(conversation, &people, Some(me.clone())).await?;
        } else {
            self.complete(conversation, &people).await?;
        }
        // The roster begins with the people alone, and Twilio's report of the phone may have come before it.
        let _ = self.participants.take_in(&participant).await;
        self.participant_added(participant).await;
        Ok(())
    }

    /// Takes in that somebody has registered a phone; what follows is done behind it.
    pub(super) fn phone_registered(&self, phone: &str) {
        // A full queue only delays it: the next sweep finds what is left.
        let _ = self.phone_conversations.registered.try_send(PhoneKey::stored(phone));
    }

    /// Hands conversations over to those who register phones, as long as somebody holds the core.
    pub(super) fn hand_over_phones(&self, mut registered: mpsc::Receiver<PhoneKey>) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            while let Some(phone) = registered.recv().await {
                let Some(inner) = inner.upgrade() else { break };
                Self { inner }.hand_over(&phone).await;
            }
        });
    }

    /// Takes up what was not finished: each time the next so many, from the beginning again after the last. Some cannot be
    /// finished, and must not keep the others waiting.
    pub(super) async fn hand_over_what_is_left(&self) {
        let after = self.phone_conversations.swept.lock().clone();
        match self.store.registered_phones(&after, SWEPT_AT_ONCE).await {
            Ok(phones) => {
                let is_last = i64::try_from(phones.len()).is_ok_and(|found| found < SWEPT_AT_ONCE);
                let last = phones.last().filter(|_| !is_last).cloned();
                *self.phone_conversations.swept.lock() = last.unwrap_or_default();
                for phone in phones {
                    self.hand_over(&PhoneKey::stored(&phone)).await;
                }
            }
            Err(error) => tracing::warn!(%error, "it is not known which phones were registered"),
        }
    }

    /// Puts whoever has registered `phone` in its place, wherever a conversation began with it. A repeat does what is left.
    pub(super) async fn hand_over(&self, phone: &PhoneKey) {
        let handing_over = async {
            let conversations = self.store.phone_conversations(phone.as_str()).await?;
            if conversations.is_empty() {
                return Ok(());
            }
            let Some(person) = self.heir_of(phone).await? else { return Ok(()) };
            for known in conversations {
                // The others are none the worse for it.
                if let Err(error) = self.hand_over_one(&known, phone, &person).await {
                    not_yet(&error);
                }
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = handing_over.await {
            not_yet(&error);
        }
    }

    /// Who takes the place of `phone`. Where callers must prove who they are, typing a number in is no proof that what was
    /// said to it was said to them: a token must vouch for it.
    async fn heir_of(&self, phone: &PhoneKey) -> Result<Option<Identity>, Error> {
        if !self.proof_needed {
            return self.person_by_phone(phone).await;
        }
        let owner = self.store.find_vouched_owner_of_phone(phone.as_str()).await?;
        Ok(owner.and_then(|identity| identity.parse().ok()))
    }

    async fn hand_over_one(
        &self,
        known: &PhoneConversation,
        phone: &PhoneKey,
        person: &Identity,
    ) -> Result<(), Error> {
        let owner = known.owner.parse::<Identity>().map_err(|_| Error::Internal)?;
        if owner == *person {
            // A phone of their own: it stays, and is written to.
            return Ok(self.store.forget_phone_conversation(&known.conversation_sid).await?);
        }
        match self.ensure_not_blocked(&owner, person).await {
            Err(Error::Blocked) => return Ok(()),
            other => other?,
        }
        let Some(conversation) = self.open_conversation(known).await? else { return Ok(()) };
        let sid = conversation.sid;
        self.participants.forget(sid).await;
        let roster = self.roster(sid).await?;
        // In before the phone is out: no text falls between.
        if roster.find(person.as_str()).is_none() {
            let role = (known.kind == GROUP).then_some(GroupRole::Member);
            let added = self.add_at_twilio(sid, &nameless(person), role).await?;
            self.participant_added(Arc::new(added)).await;
        }
        if known.kind == PRIVATE {
            self.make_pairs(&conversation, &owner, person, phone).await?;
        }
        for participant in roster.all().iter().filter(|one| digits_of(one) == Some(phone.as_str())) {
            match self.twilio.remove_participant(sid, participant.sid).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                Ok(()) | Err(_) => self.participant_removed(participant).await,
            }
        }
        self.store.forget_phone_conversation(&known.conversation_sid).await?;
        tracing::info!(conversation.sid = %sid, "somebody took the place of their phone");
        Ok(())
    }

    /// Makes a conversation the one of the two people, unless they have one: then both stay.
    async fn make_pairs(
        &self,
        conversation: &Conversation,
        one: &Identity,
        other: &Identity,
        phone: &PhoneKey,
    ) -> Result<(), Error> {
        let pair = Pair::of([one, other].into_iter()).ok_or(Error::Internal)?;
        // The number was the name of somebody without one.
        let is_called_by_number =
            conversation.friendly_name.as_deref().is_some_and(|name| name.contains(phone.as_str()));
        let friendly_name = match is_called_by_number {
            true => Some(self.joined_names(&[one.clone(), other.clone()]).await?),
            false => None,
        };
        let name = unique_name([one, other].into_iter());
        let mut numbered = name.clone();
        for successor in 2..=SUCCESSORS_AT_MOST {
            let changes = ConversationChanges {
                unique_name: Some(numbered.clone()),
                friendly_name: friendly_name.clone(),
                ..Default::default()
            };
            let named = match self.twilio.update_conversation(conversation.sid, &changes).await {
                Ok(changed) => Some(self.conversation_changed(changed).await),
                Err(error) if error.is_conflict_on_unique_name() => {
                    let holder = look(self.twilio.fetch_conversation_by_unique_name(&numbered)).await?;
                    if holder.sid != conversation.sid && holder.state != ConversationState::Closed {
                        tracing::info!(conversation.sid = %conversation.sid, "the two have a conversation already; this one stays beside it");
                        return Ok(());
                    }
                    (holder.sid == conversation.sid).then(|| Arc::new(holder))
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(named) = named {
                self.note_pair(&named, pair.clone()).await;
                self.pairs.note(named.sid, pair);
                return Ok(());
            }
            numbered = format!("{name}_{successor}");
        }
        Err(Error::LimitReached("these people have too many closed conversations"))
    }

    /// Takes in a conversation read from Twilio: it began with a phone if it is named after one and a person in it. A group
    /// does not tell.
    pub(super) async fn phone_conversation_found(
        &self,
        conversation: &Conversation,
        participants: &[&Participant],
    ) -> Result<(), Error> {
        let named = conversation.unique_name.as_deref().is_some_and(|name| name.starts_with(PHONE_NAMES));
        if !named || conversation.state == ConversationState::Closed {
            return Ok(());
        }
        let owners = participants.iter().filter_map(|one| one.identity.as_deref()?.parse::<Identity>().ok());
        let began = owners.take(LOOKED_AMONG).find_map(|owner| {
            let phones = participants.iter().filter_map(|one| digits_of(one)).map(PhoneKey::stored);
            let phone =
                phones.take(LOOKED_AMONG).find(|phone| is_named(conversation, &name_of(&owner, phone)));
            phone.map(|phone| (owner, phone))
        });
        let Some((owner, phone)) = began else { return Ok(()) };
        let row = PhoneConversation {
            conversation_sid: conversation.sid.to_string(),
            owner: owner.as_str().to_owned(),
            phone: phone.as_str().to_owned(),
            kind: PRIVATE.to_owned(),
            created_at: conversation.date_created.timestamp(),
        };
        Ok(self.store.remember_phone_conversation(&row).await?)
    }

    /// Forgets that a conversation began with a phone: it is gone, or closed.
    pub(super) async fn forget_phone_conversation(&self, sid: ConversationSid) {
        if let Err(error) = self.store.forget_phone_conversation(&sid.to_string()).await {
            tracing::warn!(%error, "a conversation that began with a phone was not forgotten");
        }
    }

    /// Forgets it if `gone` was one of the two with whom it began.
    pub(super) async fn forget_phone_conversation_of(&self, gone: &Participant) {
        let sid = gone.conversation_sid.to_string();
        let forgotten =
            self.store.forget_phone_conversation_of(&sid, gone.identity.as_deref(), digits_of(gone));
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "a conversation that began with a phone was not forgotten");
        }
    }
}

fn not_yet(error: &Error) {
    tracing::warn!(%error, "a phone's conversation is not yet its owner's; it is tried again later");
}

fn nameless(identity: &Identity) -> NewParticipant {
    NewParticipant { identity: identity.clone(), name: None, image: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_and_a_phone_have_a_name_of_their_own() {
        let name = |owner: &str, phone: &str| name_of(&owner.parse().unwrap(), &PhoneKey::stored(phone));
        assert_eq!(name("ada", "60123456789"), name("ada", "60123456789"));
        assert_ne!(name("ada", "60123456789"), name("ben", "60123456789"));
        assert_ne!(name("ada6", "0123456789"), name("ada", "60123456789"));
        assert_eq!(name("ada", "60123456789").len(), 44);
    }
}
