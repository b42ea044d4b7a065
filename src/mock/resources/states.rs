//! What state a conversation is in, what moves it to another, and what goes with that.
//!
//! The lengths of the timers are in `timers.rs`; who is added while a conversation is `initializing` is in
//! `conversation_with_participants.rs`. Source: <https://www.twilio.com/docs/conversations/states-timers>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::mock::error::{self, Refusal};
use crate::mock::event::Origin;
use crate::mock::resources::conversation_with_participants;
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::groups;
use crate::mock::resources::participants::Participant;
use crate::mock::sid::Sid;
use crate::mock::state::{Place, Service, Tenant};

/// What may happen in a conversation. `Closed` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ConversationState {
    Initializing,
    Active,
    Inactive,
    Closed,
}

impl ConversationState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Closed => "closed",
        }
    }

    /// Reads one in any case.
    ///
    /// # Errors
    /// 50374 when it is empty, 50378 when it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        match text.to_ascii_lowercase().as_str() {
            "" => Err(error::STATE_EMPTY),
            "initializing" => Ok(Self::Initializing),
            "active" => Ok(Self::Active),
            "inactive" => Ok(Self::Inactive),
            "closed" => Ok(Self::Closed),
            _ => Err(error::STATE_INVALID),
        }
    }
}

impl Conversation {
    /// Refuses what a closed conversation refuses, and one whose participants are still being added.
    ///
    /// # Errors
    /// 50377, 50391.
    pub(crate) fn still_open(&self) -> Result<(), Refusal> {
        match self.state {
            ConversationState::Closed => Err(error::CONVERSATION_CLOSED),
            ConversationState::Initializing if self.populating.is_some() => {
                Err(error::CONVERSATION_INITIALIZING)
            }
            ConversationState::Initializing | ConversationState::Active | ConversationState::Inactive => {
                Ok(())
            }
        }
    }
}

impl Service {
    /// Moves a conversation from the list of one state to that of another.
    fn relist(&mut self, conversation_sid: Sid, from: ConversationState, to: ConversationState) {
        let Some(activity) = self.conversations.get(&conversation_sid).map(|found| found.activity) else {
            return;
        };
        if self.by_activity.get(&activity) != Some(&conversation_sid) {
            // It is not listed yet; when it is, it is by its state then.
            return;
        }
        self.by_state.entry(from).or_default().remove(&activity);
        self.by_state.entry(to).or_default().insert(activity, conversation_sid);
    }
}

/// Moves the conversation to `state` and tells of it. Closing frees its (address, proxy address) pairs.
pub(crate) fn enter_state(
    tenant: &mut Tenant,
    place: Place,
    origin: &Origin,
    state: ConversationState,
    reason: &'static str,
) -> Result<(), Refusal> {
    let conversation = tenant.conversation_mut(place)?;
    if conversation.state == state {
        return Ok(());
    }
    let from = std::mem::replace(&mut conversation.state, state);
    conversation.date_updated = origin.now;
    let event = conversation
        .event("onConversationStateUpdated", None)
        .with("MessagingServiceSid", &conversation.messaging_service_sid)
        .with_date("StateUpdated", origin.now)
        .with("StateFrom", from.as_str())
        .with("StateTo", state.as_str())
        .with("Reason", reason);
    tenant.service_mut(place.service_sid)?.relist(place.conversation_sid, from, state);
    if state == ConversationState::Closed {
        release_bindings(tenant, place)?;
        tenant.service_mut(place.service_sid)?.close_memberships(place.conversation_sid);
        groups::note(tenant, place);
    }
    schedule(tenant, place);
    tenant.tell(origin, &event);
    Ok(())
}

/// Puts the conversation's next end of a timer into the account's calendar.
pub(crate) fn schedule(tenant: &mut Tenant, place: Place) {
    let Ok(conversation) = tenant.conversation_mut(place) else { return };
    let next = match conversation.state {
        ConversationState::Active => conversation.timers.next_deadline(),
        ConversationState::Inactive => conversation.timers.date_closed(),
        ConversationState::Initializing => conversation.populating.as_ref().map(|populating| populating.due),
        ConversationState::Closed => None,
    };
    let before = std::mem::replace(&mut conversation.timers.scheduled, next);
    if let Some(before) = before {
        tenant.deadlines.remove(&(before, place));
    }
    if let Some(next) = next {
        tenant.deadlines.insert((next, place));
    }
}

/// A timer of the conversation ended at `deadline`, or its participants are to be added.
pub(crate) fn end_timer(tenant: &mut Tenant, place: Place, deadline: DateTime<Utc>) {
    let Ok(conversation) = tenant.conversation(place) else { return };
    if conversation.populating.is_some() {
        // Fails only when the conversation is gone, which a line above it was not.
        let _ = conversation_with_participants::populate(tenant, place, deadline);
        return;
    }
    let state = if conversation.timers.date_closed().is_some_and(|closed| closed <= deadline) {
        ConversationState::Closed
    } else {
        ConversationState::Inactive
    };
    // The conversation was there a line above, which is all that can fail here.
    let _ = enter_state(tenant, place, &Origin::timer(deadline), state, "TIMER");
}

/// Frees the pairs of address and proxy address that the conversation holds.
///
/// # Errors
/// 404 when there is no such conversation.
pub(crate) fn release_bindings(tenant: &mut Tenant, place: Place) -> Result<(), Refusal> {
    let Tenant { services, bindings, .. } = tenant;
    let conversation = services
        .get(place.service_sid)
        .and_then(|service| service.conversations.get(&place.conversation_sid))
        .ok_or(error::NOT_FOUND)?;
    for pair in conversation.participants.values().filter_map(Participant::pair) {
        if bindings.get(&pair) == Some(&place) {
            bindings.remove(&pair);
        }
    }
    Ok(())
}
