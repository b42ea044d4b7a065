//! Who is in which conversation, as the conversation and as its service look it up. Nothing is checked or told here.

use std::collections::BTreeMap;

use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::participants::Participant;
use crate::mock::resources::states::ConversationState;
use crate::mock::sid::Sid;
use crate::mock::state::Service;

impl Conversation {
    /// Puts somebody on the lists of this conversation, and of nothing else.
    pub(crate) fn enrol(&mut self, participant: Participant) {
        self.note(&participant);
        self.participants.insert(participant.sid, participant);
    }

    /// Makes somebody who is on the list of participants known by identity and by kind.
    pub(crate) fn note(&mut self, participant: &Participant) {
        match &participant.identity {
            Some(identity) => {
                self.identities.insert(identity.clone(), participant.sid);
                if participant.binding.is_some() {
                    self.projecting.push(participant.sid);
                }
            }
            None => self.non_chat.push(participant.sid),
        }
    }

    fn forget(&mut self, participant: &Participant) {
        self.non_chat.retain(|other| *other != participant.sid);
        self.projecting.retain(|other| *other != participant.sid);
        if let Some(identity) = &participant.identity {
            self.identities.remove(identity);
        }
    }

    /// Takes somebody off the lists again.
    pub(crate) fn strike(&mut self, sid: Sid) -> Option<Participant> {
        let participant = self.participants.remove(sid)?;
        self.forget(&participant);
        Some(participant)
    }

    /// Puts a changed participant in their own place.
    pub(crate) fn replace(&mut self, participant: Participant) {
        if let Some(old) = self.participants.get(participant.sid).cloned() {
            self.forget(&old);
            self.note(&participant);
        }
        if let Some(kept) = self.participants.get_mut(participant.sid) {
            *kept = participant;
        }
    }
}

/// The conversations of one identity.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    /// Conversation → participant.
    rows: BTreeMap<Sid, Sid>,
    /// How many of them are not closed.
    open: usize,
}

impl Memberships {
    /// The participant in each conversation, by the conversation's SID.
    pub(crate) fn rows(&self) -> &BTreeMap<Sid, Sid> {
        &self.rows
    }

    /// How many of the conversations are not closed; the others do not count towards Twilio's limit.
    pub(crate) fn open(&self) -> usize {
        self.open
    }
}

impl Service {
    /// Makes a participant of a conversation in `state` known by identity and by address.
    pub(crate) fn note_membership(
        &mut self,
        conversation_sid: Sid,
        state: ConversationState,
        participant: &Participant,
    ) {
        if let Some(identity) = &participant.identity {
            let memberships = self.memberships.entry(identity.clone()).or_default();
            memberships.rows.insert(conversation_sid, participant.sid);
            memberships.open += usize::from(state != ConversationState::Closed);
        }
        if let Some(address) = participant.binding.as_ref().and_then(|binding| binding.address.as_ref()) {
            self.addresses
                .entry(address.clone())
                .or_default()
                .insert((conversation_sid, participant.sid), ());
        }
    }

    /// Takes the participant out of what is known by identity and by address.
    pub(crate) fn forget_membership(
        &mut self,
        conversation_sid: Sid,
        state: ConversationState,
        participant: &Participant,
    ) {
        if let Some(identity) = &participant.identity
            && let Some(memberships) = self.memberships.get_mut(identity)
            && memberships.rows.remove(&conversation_sid).is_some()
        {
            let counted = usize::from(state != ConversationState::Closed);
            memberships.open = memberships.open.saturating_sub(counted);
            if memberships.rows.is_empty() {
                self.memberships.remove(identity);
            }
        }
        if let Some(address) = participant.binding.as_ref().and_then(|binding| binding.address.as_ref())
            && let Some(places) = self.addresses.get_mut(address)
        {
            places.remove(&(conversation_sid, participant.sid));
            if places.is_empty() {
                self.addresses.remove(address);
            }
        }
    }

    /// The conversation counts no more towards anybody's limit.
    pub(crate) fn close_memberships(&mut self, conversation_sid: Sid) {
        let Some(conversation) = self.conversations.get(&conversation_sid) else { return };
        for identity in conversation.identities.keys() {
            if let Some(memberships) = self.memberships.get_mut(identity) {
                memberships.open = memberships.open.saturating_sub(1);
            }
        }
    }
}
