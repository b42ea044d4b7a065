//! Group texts (Group MMS): what makes a conversation one, who may be in it, and when it may be written in.
//!
//! A conversation is a group text once somebody in it has a projected address or a phone is in it without a proxy address.
//! Source: <https://www.twilio.com/docs/conversations/group-texting>, error pages 50434 to 50438 and 50513.

use std::collections::BTreeSet;

use crate::mock::error::{self, Refusal};
use crate::mock::resources::binding::{Binding, channel_of};
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::participants::{NewParticipant, Participant};
use crate::mock::resources::states::ConversationState;
use crate::mock::state::{Place, Tenant};

/// Fewest and most bindings of a group text.
const LEAST: usize = 3;
const MOST: usize = 10;

impl Conversation {
    /// The messaging bindings in it.
    fn bindings(&self) -> impl Iterator<Item = &Binding> {
        let bound = self.non_chat.iter().chain(&self.projecting);
        bound.filter_map(|sid| self.participants.get(*sid)?.binding.as_ref())
    }

    /// Whether phones may join it by their own number alone, because a number of ours stands in for everybody else's.
    pub(crate) fn takes_plain_phones(&self) -> bool {
        self.bindings().any(|binding| binding.projected_address.is_some())
    }

    /// Whether it is a group text.
    pub(crate) fn is_group(&self) -> bool {
        !self.projecting.is_empty() || self.bindings().any(Binding::is_of_a_group)
    }

    /// Refuses what cannot be written in yet, and whoever is not in it as author.
    ///
    /// # Errors
    /// 50435 when it is a group text that is not complete, 50513 when the author is not in it.
    pub(crate) fn group_takes_message_of(&self, author: &str) -> Result<(), Refusal> {
        if !self.is_group() {
            return Ok(());
        }
        self.complete_group()?;
        let in_it = self.identities.contains_key(author)
            || self.bindings().any(|binding| binding.addresses().any(|address| address == author));
        if in_it { Ok(()) } else { Err(error::AUTHOR_NOT_IN_GROUP) }
    }

    /// Refuses a group text with too few bindings, with somebody on chat who has none, without a phone that has only its
    /// own address, without a number of ours, or with a number that is not of North America.
    ///
    /// # Errors
    /// 50435.
    pub(crate) fn complete_group(&self) -> Result<(), Refusal> {
        let everybody_is_bound = self.participants.len() == self.bindings().count();
        let phone =
            self.bindings().any(|binding| binding.address.is_some() && binding.proxy_address.is_none());
        let ours = self
            .bindings()
            .any(|binding| binding.proxy_address.is_some() || binding.projected_address.is_some());
        let valid = self
            .bindings()
            .flat_map(Binding::addresses)
            .all(|address| channel_of(address) == "sms" && address.starts_with("+1"));
        let enough = self.bindings().count() >= LEAST;
        if everybody_is_bound && phone && ours && valid && enough {
            Ok(())
        } else {
            Err(error::GROUP_NOT_ACTIVATED)
        }
    }

    /// All numbers in the group, in order: what makes two groups the same. `None` for what is no complete group.
    fn group_key(&self, also: Option<&Binding>) -> Option<String> {
        key_of(|| self.bindings().chain(also))
    }
}

fn key_of<'a, I: Iterator<Item = &'a Binding>>(bindings: impl Fn() -> I) -> Option<String> {
    let group = bindings().any(Binding::is_of_a_group);
    let numbers: BTreeSet<&str> = bindings().flat_map(Binding::addresses).collect();
    (group && bindings().count() >= LEAST).then(|| numbers.into_iter().collect::<Vec<_>>().join(" "))
}

/// Refuses a newcomer that a group text has no place for. In other conversations everybody is fine.
///
/// # Errors
/// 50434, 50436, 50437, 50438.
pub(crate) fn check(
    tenant: &Tenant,
    conversation: &Conversation,
    new: &NewParticipant,
) -> Result<(), Refusal> {
    let Some(binding) = &new.binding else {
        return if conversation.is_group() { Err(error::PROJECTED_ADDRESS_MISSING) } else { Ok(()) };
    };
    if !conversation.is_group() && !binding.is_of_a_group() {
        return Ok(());
    }
    if conversation.participants.len() >= MOST {
        return Err(error::GROUP_FULL);
    }
    let taken = |address: &str| {
        conversation.bindings().any(|other| other.own_address().is_some_and(|own| own == address))
    };
    if binding.own_address().is_some_and(taken) {
        return Err(error::GROUP_PARTICIPANT_EXISTS);
    }
    check_key(tenant, conversation, conversation.group_key(Some(binding)))
}

/// Refuses a changed binding that does not go with the others; `changed` stands in the place of the participant it is of.
///
/// # Errors
/// 50413, 50414, 50409, 50437 to 50440.
pub(crate) fn check_change(
    tenant: &Tenant,
    conversation: &Conversation,
    changed: &Participant,
) -> Result<(), Refusal> {
    let others = || {
        let rows = conversation.non_chat.iter().chain(&conversation.projecting);
        rows.filter(|sid| **sid != changed.sid)
            .filter_map(|sid| conversation.participants.get(*sid)?.binding.as_ref())
    };
    if let Some(binding) = &changed.binding {
        let group = others().any(|other| other.projected_address.is_some());
        if !group && binding.address.is_some() && binding.proxy_address.is_none() {
            return Err(error::PROXY_ADDRESS_NOT_REMOVED);
        }
        binding.check(&tenant.numbers, group)?;
        let own = binding.own_address();
        if binding.is_of_a_group() && others().any(|other| other.own_address() == own) {
            return Err(error::GROUP_PARTICIPANT_EXISTS);
        }
    }
    check_key(tenant, conversation, key_of(|| others().chain(changed.binding.as_ref())))
}

fn check_key(tenant: &Tenant, conversation: &Conversation, key: Option<String>) -> Result<(), Refusal> {
    match key.and_then(|key| tenant.groups.get(&key)) {
        Some(holder) if holder.conversation_sid != conversation.sid => {
            Err(Refusal::group_exists(holder.conversation_sid))
        }
        Some(_) | None => Ok(()),
    }
}

/// Notes down whose numbers the conversation has now, after somebody came or went or it closed.
pub(crate) fn note(tenant: &mut Tenant, place: Place) {
    let Ok(conversation) = tenant.conversation_mut(place) else { return };
    let key = match conversation.state {
        ConversationState::Closed => None,
        ConversationState::Initializing | ConversationState::Active | ConversationState::Inactive => {
            conversation.group_key(None)
        }
    };
    let before = conversation.group.clone();
    if before == key {
        return;
    }
    conversation.group.clone_from(&key);
    forget(tenant, place, before);
    if let Some(key) = key {
        // Somebody may have left one of two groups, which are the same now; the older keeps the name.
        tenant.groups.entry(key).or_insert(place);
    }
}

/// Frees the numbers that were noted as `key`.
pub(crate) fn forget(tenant: &mut Tenant, place: Place, key: Option<String>) {
    if let Some(key) = key
        && tenant.groups.get(&key) == Some(&place)
    {
        tenant.groups.remove(&key);
    }
}
