//! The further files of a message. Over REST Twilio takes one file a message, and sends no text along with it to phones: so
//! each other file is a message of its own before the one that says which they are, carries nothing else, and is shown to
//! nobody by itself.
//!
//! Which message is one is `drafts.rs`' decision, how far copies of it got `deliveries.rs`'.

use super::drafts::{Composed, Extras, is_part};
use super::events::Seen;
use super::messages::LOOKED_THROUGH;
use super::{ConversationSid, Core, Error, MEDIA_LINKS, MediaSid, Message, MessageSid};
use crate::auth::Caller;
use crate::twilio::{NewMessage, Order};

/// How far a send got.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether some of it may be stored from an earlier try.
    pub(super) begun_before: bool,
    /// The parts that are stored.
    pub(super) parts: Vec<MessageSid>,
    /// Whether the message itself may be.
    pub(super) whole_begun: bool,
}

impl Core {
    /// Posts a message that only carries the file, which stands at `place` in `composed`. A file that Twilio does not take
    /// stays a link.
    pub(super) async fn add_part(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        composed: &mut Composed,
        (place, file): (usize, MediaSid),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let id = composed.extras.id().unwrap_or_default();
        let extras = Extras::of_part(id, place);
        let mut part = NewMessage {
            author: composed.author.clone(),
            body: None,
            attributes: Some(extras.to_attributes()?),
            media_sid: Some(file),
        };
        match self.post_and_look(caller, conversation, &mut part, &extras, progress.begun_before).await? {
            Some(part) => {
                self.history.deliveries.note(&part);
                self.note_media(&part).await;
                composed.extras.parts.push(part.sid);
                progress.parts.push(part.sid);
            }
            None => composed.stays_link(file),
        }
        Ok(())
    }

    /// The parts of `whole`: of those it names, since its attributes may be anybody's, only its author's own that name it in
    /// turn. One Twilio call for each that is not in memory.
    pub(super) async fn parts_of(&self, whole: &Message) -> Vec<MessageSid> {
        let extras = Extras::of(whole);
        let mut parts = Vec::new();
        for sid in extras.parts.iter().take(MEDIA_LINKS) {
            let Ok(part) = self.message(whole.conversation_sid, *sid).await else { continue };
            if is_part(&part) && part.author == whole.author && Extras::of(&part).is_part_of(&extras) {
                parts.push(*sid);
            }
        }
        parts
    }

    /// Deletes the parts of a message that was not sent, or is deleted.
    pub(super) async fn delete_parts(&self, conversation: ConversationSid, parts: &[MessageSid]) {
        for part in parts {
            // Nobody was told of it, so nobody is told that it is gone.
            self.history.remove(conversation, *part);
            self.door.first(Seen::MessageRemoved(*part));
            if let Err(error) = self.twilio.delete_message(conversation, *part).await {
                tracing::warn!(%error, message.sid = %part, "a file of a message that is gone is left in the conversation");
            }
        }
    }

    /// Deletes what is there of a send that nobody can repeat, unless the message itself is there. One Twilio call, one more
    /// for each part.
    pub(super) async fn clear_away_parts(&self, conversation: ConversationSid, author: &str, send: &Extras) {
        let newest = self.twilio.list_messages(conversation, Order::NewestFirst, LOOKED_THROUGH).await;
        let newest = match newest {
            Ok(page) => page.items,
            Err(error) => {
                tracing::warn!(%error, conversation.sid = %conversation, "files of a message that was not sent may be left in the conversation");
                return;
            }
        };
        let mut parts = Vec::new();
        for message in newest.iter().filter(|message| message.author == author) {
            let extras = Extras::of(message);
            if extras.is_same_send(send) {
                return;
            }
            if is_part(message) && extras.is_part_of(send) {
                parts.push(message.sid);
            }
        }
        self.delete_parts(conversation, &parts).await;
    }
}
