//! Somebody's open support conversation: found or opened, and a guest's made a user's when they log in.
//!
//! Races are Twilio's to decide, by the UniqueName, as for the conversation of a pair (`direct.rs`, whose making is used).

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::desk::Edit;
use super::{Owner, Priority, SupportConversation, SupportStatus, Topic};
use crate::auth::{Caller, Identity};
use crate::core::participants::NewParticipant;
use crate::core::{ConversationSid, ConversationState, Core, Error};
use crate::store::SupportRow;
use crate::twilio::{ConversationChanges, NewConversation};

/// How often a conversation that is gone is looked for again.
const LOOKS: usize = 3;
/// Characters of a conversation's name at Twilio.
const NAME_CHARACTERS: usize = 256;

/// The UniqueName of what `owner` has open about `topic`.
pub(super) fn unique_name(owner: &Owner, topic: Topic) -> String {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    for part in [owner.kind(), owner.identity().as_str(), topic.as_str()] {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut name = String::from("support_");
    for byte in hash.finalize().iter().take(20) {
        let _ = write!(name, "{byte:02x}"); // writing into a String cannot fail
    }
    name
}

/// The UniqueName of one that is not to be found by its owner any more. Twilio does not say how a name is taken away, so
/// it gets one that nobody looks for.
pub(super) fn retired_name(sid: ConversationSid) -> String {
    format!("support_over_{}", sid.uuid().simple())
}

impl Core {
    /// The conversation that `owner` has open about `topic`, opened if there is none; `subject` counts only then.
    ///
    /// Costs no Twilio call when it is in memory, one after a restart, two when it is opened.
    ///
    /// # Errors
    /// [`Error::LimitReached`], [`Error::Unavailable`]; nothing is left half-made.
    pub async fn open_support(
        &self,
        owner: Owner,
        topic: Topic,
        subject: Option<String>,
    ) -> Result<Arc<SupportConversation>, Error> {
        let core = self.clone();
        self.to_the_end(async move { core.find_or_open(&owner, topic, subject).await }).await
    }

    async fn find_or_open(
        &self,
        owner: &Owner,
        topic: Topic,
        subject: Option<String>,
    ) -> Result<Arc<SupportConversation>, Error> {
        let name = unique_name(owner, topic);
        for _ in 0..LOOKS {
            let open = async {
                if let Some(known) = self.recall_open(owner, topic).await {
                    return Ok(known);
                }
                self.open_at_twilio(&name, owner, topic, subject.clone()).await
            };
            let opened = self.support.open.try_get_with_by_ref(&name, open).await;
            let sid = opened.map_err(|error: Arc<Error>| (*error).clone())?;
            match self.conversation(sid).await {
                Ok(conversation) if conversation.state == ConversationState::Closed => self.retire(sid).await,
                Ok(_) => {
                    let found = self.support_conversation(sid).await?;
                    if found.owner() == *owner && found.status != SupportStatus::Closed {
                        self.readmit_owner(&found).await?;
                        return Ok(found);
                    }
                }
                // Deleted behind our back: look once more, with nothing remembered.
                Err(Error::ConversationNotFound) => self.conversation_removed(sid).await,
                Err(error) => return Err(error),
            }
            self.support.open.invalidate(&name).await;
        }
        Err(Error::Unavailable { retry_after: None })
    }

    /// Makes the owner a participant again who is known to be none: they left, or somebody took them out. It is their
    /// conversation all the same. One Twilio call when that is so, else none.
    pub(super) async fn readmit_owner(&self, conversation: &SupportConversation) -> Result<(), Error> {
        let (sid, owner) = (conversation.sid, conversation.owner());
        let roster = self.participants.find(sid).await;
        if roster.is_some_and(|roster| roster.find(owner.identity().as_str()).is_none()) {
            self.admit_owner(sid, owner.identity()).await?;
        }
        Ok(())
    }

    async fn admit_owner(&self, sid: ConversationSid, owner: &Identity) -> Result<(), Error> {
        let new = NewParticipant { identity: owner.clone(), name: None, image: None };
        let added = self.add_at_twilio(sid, &new, None).await?;
        self.participant_added(Arc::new(added)).await;
        Ok(())
    }

    /// What the index knows, if it does.
    async fn recall_open(&self, owner: &Owner, topic: Topic) -> Option<ConversationSid> {
        let identity = owner.identity().as_str();
        let rows = match owner {
            Owner::User(_) => self.store.open_support_of_user(identity).await,
            Owner::Guest(_) => self.store.open_support_of_guest(identity).await,
        };
        match rows {
            Ok(rows) => rows.iter().find(|row| row.topic == topic.as_str())?.conversation_sid.parse().ok(),
            Err(error) => {
                tracing::warn!(%error, "a support conversation is looked up at Twilio");
                None
            }
        }
    }

    async fn open_at_twilio(
        &self,
        name: &str,
        owner: &Owner,
        topic: Topic,
        subject: Option<String>,
    ) -> Result<ConversationSid, Error> {
        let now = self.clock.now();
        let (user, guest) = match owner {
            Owner::User(user) => (Some(user.clone()), None),
            Owner::Guest(guest) => (None, Some(guest.clone())),
        };
        let wanted = SupportConversation {
            sid: ConversationSid::from_uuid(uuid::Uuid::nil()),
            topic,
            subject,
            status: SupportStatus::Open,
            priority: Priority::Normal,
            user,
            guest,
            admin: None,
            aside: false,
            admin_read: None,
            created_at: now,
            updated_at: now,
        };
        let new = NewConversation {
            friendly_name: Some(friendly_name(&wanted)),
            unique_name: Some(name.to_owned()),
            attributes: Some(wanted.to_attributes("{}")?),
        };
        let people = [NewParticipant { identity: owner.identity().clone(), name: None, image: None }];
        let (conversation, is_new) = self.look_or_make(name, new, &people, None).await?;
        if !is_new && SupportConversation::of(&conversation).is_none() {
            // It is ours by its name, but somebody overwrote its attributes at Twilio.
            let attributes = wanted.to_attributes(&conversation.attributes)?;
            let changes = ConversationChanges { attributes: Some(attributes), ..Default::default() };
            let changed = self.twilio.update_conversation(conversation.sid, &changes).await?;
            self.conversation_changed(changed).await;
        } else {
            if is_new {
                self.support.begin(conversation.sid);
            }
            self.take_in_support(&conversation).await;
        }
        Ok(conversation.sid)
    }

    /// Makes what a guest has open the user's who logs in with the guest's id (`presented`) too. What was written stays as
    /// it is, the guest is no participant any more. What cannot be done now is done the next time.
    ///
    /// Costs no Twilio call where the guest has nothing open, else three per conversation.
    pub async fn adopt_guest(&self, caller: &Caller, presented: Option<&str>) {
        let (Caller::Known { identity: user, .. }, Some(presented)) = (caller, presented) else { return };
        if caller.is_admin() {
            return;
        }
        if let Err(error) = self.adopt_all(user.clone(), presented).await {
            tracing::warn!(%error, "what a guest has open did not become the user's");
        }
    }

    async fn adopt_all(&self, user: Identity, presented: &str) -> Result<(), Error> {
        let Some(guest) = self.known_guest(presented).await? else { return Ok(()) };
        let open = self.store.open_support_of_guest(guest.as_str()).await.map_err(|error| {
            tracing::warn!(%error, "what a guest has open is not known");
            Error::Unavailable { retry_after: None }
        })?;
        if open.is_empty() {
            return Ok(());
        }
        let core = self.clone();
        self.to_the_end(async move {
            for row in &open {
                core.adopt(row, &user, &guest).await?;
            }
            Ok(())
        })
        .await
    }

    async fn adopt(&self, row: &SupportRow, user: &Identity, guest: &Identity) -> Result<(), Error> {
        let Ok(sid) = row.conversation_sid.parse::<ConversationSid>() else { return Ok(()) };
        let owner = Owner::User(user.clone());
        let rename = |name: String, aside: bool| {
            move |now: &mut SupportConversation| {
                if now.owner() != Owner::Guest(guest.clone()) {
                    return None;
                }
                now.user = Some(user.clone());
                now.aside = aside;
                Some(name)
            }
        };
        let topic = Topic::parse("type", &row.topic)?;
        let adopted = match self.edit_support(sid, rename(unique_name(&owner, topic), false)).await {
            // They have one open about this already: both are theirs, and that one stays the one that is found.
            Ok(Edit::NameTaken) => self.edit_support(sid, rename(retired_name(sid), true)).await,
            other => other,
        };
        match adopted {
            Ok(Edit::Done(now)) if now.owner() == owner => {}
            // Somebody else was quicker, and it is theirs.
            Ok(Edit::Done(_) | Edit::NameTaken) => return Ok(()),
            Err(Error::ConversationNotFound) => {
                self.conversation_removed(sid).await;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        // Only now: of several at once the one whose it became is let in.
        self.admit_owner(sid, user).await?;
        self.support.open.invalidate(&unique_name(&Owner::Guest(guest.clone()), topic)).await;
        self.support.open.invalidate(&unique_name(&owner, topic)).await;
        if let Some(participant) = self.roster(sid).await?.find(guest.as_str()) {
            match self.twilio.remove_participant(sid, participant.sid).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(%error, conversation.sid = %sid, "a guest stays a participant of what is a user's now");
                    return Ok(());
                }
            }
            self.participant_removed(&participant).await;
        }
        Ok(())
    }

    /// Forgets one that is closed at Twilio, where nothing can be changed any more: its successor has a numbered name.
    async fn retire(&self, sid: ConversationSid) {
        if let Err(error) = self.store.forget_support(&sid.to_string()).await {
            tracing::warn!(%error, "a closed support conversation is still in the index");
        }
    }
}

/// What people at Twilio's console see.
fn friendly_name(conversation: &SupportConversation) -> String {
    let about = conversation.subject.as_deref().unwrap_or(conversation.topic.as_str());
    format!("Support: {about}").chars().take(NAME_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_depends_on_owner_and_topic() {
        let alice: Identity = "alice".parse().unwrap();
        let name = unique_name(&Owner::User(alice.clone()), Topic::General);
        assert_eq!(name.len(), "support_".len() + 40);
        assert_ne!(name, unique_name(&Owner::Guest(alice.clone()), Topic::General));
        assert_ne!(name, unique_name(&Owner::User(alice), Topic::Onboarding));
    }
}
