//! Read horizons: up to where each person has read. Unread counts for lists are in `lists.rs`.
//!
//! The horizon is the participant's `last_read_message_index` at Twilio. It only ever advances here.
//! Source: <https://www.twilio.com/docs/conversations/read-horizon>

use std::sync::Arc;

use super::error::or_not_found;
use super::events::Seen;
use super::history::Span;
use super::{ConversationSid, Core, Error, Event, Message, Page, PageOf, Participant};
use crate::auth::{Caller, Identity};
use crate::twilio::ParticipantChanges;

impl Core {
    /// Moves the horizon of `reader` up to `index`, or to the newest message, and tells where it is now; `None`: there
    /// is nothing to read.
    ///
    /// Costs one Twilio call when it moves, none when it already is there; one more for the roster when it is too old.
    ///
    /// # Errors
    /// [`Error::NotAMember`] also for an anonymous reader who is not in the conversation;
    /// [`Error::ConversationNotFound`], [`Error::ConversationClosed`], [`Error::Unavailable`].
    pub async fn mark_read(
        &self,
        caller: &Caller,
        reader: &Identity,
        conversation: ConversationSid,
        index: Option<i64>,
    ) -> Result<Option<i64>, Error> {
        let reader = caller.acting_as(Some(reader))?;
        if index.is_some_and(|index| index < 0) {
            return Err(Error::invalid("index", "must not be negative"));
        }
        self.ensure_member(caller, conversation).await?;
        let participant = self.participant_of(conversation, &reader).await?;
        let newest = self.history_of(conversation, Span { limit: 1, before: None }).await?;
        let Some(newest) = newest.last().map(|message| message.index) else { return Ok(None) };
        let index = index.map_or(newest, |index| index.min(newest));
        if let Some(already) = participant.last_read_message_index.filter(|already| *already >= index) {
            return Ok(Some(already));
        }
        let changes = ParticipantChanges { last_read_message_index: Some(index), ..Default::default() };
        let changed = self.twilio.update_participant(conversation, participant.sid, &changes).await;
        let changed = changed.map_err(or_not_found(Error::NotAMember))?;
        self.participant_changed(changed).await;
        Ok(Some(index))
    }

    /// A page of messages (from 1, the newest first), oldest first in it; whoever reads it (`reader`, else the caller, if they
    /// take part) has read up to its end.
    ///
    /// Costs what [`Core::message_page`] does, and one Twilio call when the horizon moves.
    ///
    /// # Errors
    /// As [`Core::message_page`].
    pub async fn read_message_page(
        &self,
        caller: &Caller,
        reader: Option<&Identity>,
        conversation: ConversationSid,
        part: PageOf,
    ) -> Result<Page<Arc<Message>>, Error> {
        let page = self.message_page(caller, conversation, part).await?;
        if let (Ok(reader), Some(last)) = (caller.acting_as(reader), page.items.last()) {
            match self.mark_read(caller, &reader, conversation, Some(last.index)).await {
                // An admin looks at what is not theirs.
                Ok(_) | Err(Error::NotAMember) => {}
                Err(error) => tracing::warn!(%error, "a page is shown that still counts as unread"),
            }
        }
        Ok(page)
    }

    /// Takes in how a participant is now; tells of a horizon that moved.
    pub(super) async fn participant_changed(&self, now: Participant) {
        if self.door.has_seen(&Seen::ParticipantRemoved(now.sid)) {
            return; // a late report about somebody who is gone
        }
        let now = Arc::new(now);
        let Ok(before) = self.participants.take_in(&now).await else { return };
        let read_before = before.and_then(|before| before.last_read_message_index);
        let Some(index) = now.last_read_message_index.filter(|index| read_before < Some(*index)) else {
            return;
        };
        self.list_read(&now, index).await;
        if let Some(identity) = now.identity.as_deref().and_then(|identity| Identity::try_from(identity).ok())
        {
            let conversation = now.conversation_sid;
            self.publish(&Event::ReadHorizonMoved { conversation, identity, index });
            self.tell_support_read(conversation, index);
        }
    }
}
