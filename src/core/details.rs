//! A conversation as one of its people sees it: who else is in it, what is unread, how many messages there are.
//!
//! Opening the conversation of a pair gives the same, so that a new one is shown without asking again.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::history::{Span, of_page};
use super::{
    Conversation, ConversationKind, ConversationSettings, ConversationSid, Core, Error, Message, Page,
    PageOf, Peer,
};
use crate::auth::{Caller, Identity};

/// A conversation as the caller sees it.
#[derive(Debug, Clone)]
pub struct Detail {
    /// It.
    pub conversation: Arc<Conversation>,
    /// What kind it is of.
    pub kind: ConversationKind,
    /// The people in it; the caller, if among them, comes first.
    pub people: Vec<Peer>,
    /// How the caller has set it up.
    pub settings: ConversationSettings,
    /// Messages of others past what the caller has read; all of them, if nothing was.
    pub unread_count: u32,
    /// How many messages it has. Exact once the history was read to its beginning here, or the conversation was made
    /// through us; else messages that were deleted before we knew of it count too.
    pub message_count: u64,
    /// Its newest message.
    pub last_message: Option<Arc<Message>>,
}

impl Detail {
    /// When it last changed: of an empty one, when it was made.
    #[must_use]
    pub fn updated_at(&self) -> DateTime<Utc> {
        match &self.last_message {
            Some(last) => self.conversation.date_updated.max(last.date_created),
            None => self.conversation.date_created,
        }
    }
}

/// The conversation of the caller and somebody.
#[derive(Debug, Clone)]
pub struct OpenedDirect {
    /// It.
    pub detail: Detail,
    /// It was there before.
    pub existing: bool,
}

impl Core {
    /// The conversation of the caller and `who`, made if there is none.
    ///
    /// Costs three Twilio calls when it is made; none when it and its history are in memory.
    ///
    /// # Errors
    /// [`Error::OnlyYourself`], [`Error::PersonNotFound`], [`Error::Blocked`], [`Error::LimitReached`],
    /// [`Error::Unavailable`]; nothing is left half-made.
    pub async fn open_direct(&self, caller: &Caller, who: &Identity) -> Result<OpenedDirect, Error> {
        self.ensure_known(who).await?;
        let direct = self.direct_with(caller, who).await?;
        let detail = self.detail(caller, direct.conversation).await?;
        Ok(OpenedDirect { detail, existing: direct.messages.is_some() })
    }

    /// The conversation as the caller sees it. A warm answer costs no Twilio call; a cold one at most four.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAMember`], [`Error::Unavailable`].
    pub async fn detail(&self, caller: &Caller, sid: ConversationSid) -> Result<Detail, Error> {
        let me = caller.person()?;
        self.ensure_member(caller, sid).await?;
        let conversation = self.conversation(sid).await?;
        let participants = self.roster(sid).await?.all();
        let own =
            participants.iter().find(|participant| participant.identity.as_deref() == Some(me.as_str()));
        let mut identities: Vec<Identity> =
            participants.iter().filter_map(|p| p.identity.as_deref()?.try_into().ok()).collect();
        // Stable: the others stay in the order they came.
        identities.sort_by_key(|identity| identity != me);
        let kind = ConversationKind::of(&conversation, identities.len());
        let last = self.last_messages_of(&[sid]).await?.remove(&sid).ok_or(Error::ConversationNotFound)?;
        let read = own.and_then(|own| own.last_read_message_index).unwrap_or(-1);
        // So that a message that was sent a moment ago counts.
        self.index.flushed().await;
        let unread_count = match own {
            Some(_) => {
                let counted = self.store.count_unread(me.as_str(), &[(sid.to_string(), read)]).await?;
                let counted = counted.get(&sid.to_string()).copied().unwrap_or(0);
                let counted = u32::try_from(counted).unwrap_or(u32::MAX);
                let complete = last.known_from <= read + 1;
                let at_twilio = self.standing(me, sid).await?.unread.filter(|_| !complete).unwrap_or(0);
                counted.max(at_twilio)
            }
            None => 0,
        };
        Ok(Detail {
            kind,
            people: self.peers(&identities).await?,
            settings: self.settings_of(caller, sid).await?,
            unread_count,
            message_count: self.count_messages(sid, last.known_from).await?,
            last_message: last.message,
            conversation,
        })
    }

    /// How many messages there are, the index being complete from `known_from` on.
    async fn count_messages(&self, sid: ConversationSid, known_from: i64) -> Result<u64, Error> {
        let indexed = self.store.count_messages(&sid.to_string(), known_from).await?;
        Ok(u64::try_from(indexed + known_from).unwrap_or(0))
    }

    /// A page of the conversation's messages, oldest first; the first page is of the newest. Costs what
    /// [`Core::messages`] does.
    ///
    /// # Errors
    /// As [`Core::messages`].
    pub async fn message_page(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        part: PageOf,
    ) -> Result<Page<Arc<Message>>, Error> {
        self.ensure_member(caller, sid).await?;
        let last = self.last_messages_of(&[sid]).await?.remove(&sid).ok_or(Error::ConversationNotFound)?;
        self.index.flushed().await;
        let total = usize::try_from(self.count_messages(sid, last.known_from).await?).unwrap_or(usize::MAX);
        if part.offset() >= total {
            return Ok(Page { items: Vec::new(), total });
        }
        let skipped = i64::try_from(part.offset()).unwrap_or(i64::MAX);
        // Deleted messages leave gaps in the indexes: the index of messages knows where a page begins, as far as it goes.
        let newest = last.message.as_ref().map_or(-1, |message| message.index);
        let begins = self.store.nth_newest_index(&sid.to_string(), skipped).await?;
        let begins = begins.filter(|index| *index >= last.known_from).unwrap_or(newest - skipped);
        let limit = part.limit.min(total - part.offset());
        let before = Some(begins.saturating_add(1));
        let items = self.messages(caller, sid, Span { limit, before }).await.map_err(of_page)?;
        Ok(Page { items, total })
    }
}
