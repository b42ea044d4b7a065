//! Messages of support: written by either side, read, and given page by page. How they are sent exactly once is
//! `messages.rs`, how they are kept `history.rs`.

use std::sync::Arc;

use super::{MessageType, Side, SupportConversation, SupportStatus};
use crate::auth::{AuthError, Caller, Identity};
use crate::core::drafts::is_part;
use crate::core::error::or_not_found;
use crate::core::history::{Span, of_page};
use crate::core::{ConversationSid, Core, Draft, Error, Message, MessageSid};
use crate::twilio::Order;

use super::desk::Edit;

/// Messages of one page of Twilio's.
const PAGE: u8 = 100;
/// Pages read to complete the index of one conversation.
const PAGES_AT_MOST: usize = 1_000;

/// A message to be sent; its length is right.
#[derive(Debug, Clone)]
pub struct NewSupportMessage {
    /// What it says; `None`: only files.
    pub text: Option<String>,
    /// Links to files, http or https.
    pub attachments: Vec<String>,
    /// What it is.
    pub message_type: MessageType,
    /// The client's own id of this send.
    pub client_message_id: Option<String>,
}

/// A page of messages.
#[derive(Debug, Clone)]
pub struct SupportMessages {
    /// Where.
    pub conversation: Arc<SupportConversation>,
    /// Oldest first.
    pub messages: Vec<Arc<Message>>,
    /// Up to where the owner has read.
    pub owner_read: Option<i64>,
    /// How many messages there are on all pages.
    pub total: u64,
}

impl Core {
    /// Who the caller is inside a support conversation: an admin as themselves, everybody else as its owner.
    ///
    /// # Errors
    /// [`AuthError::IdentityMissing`] for a program without an identity.
    pub fn support_identity(
        &self,
        caller: &Caller,
        conversation: &SupportConversation,
        side: Side,
    ) -> Result<Identity, Error> {
        match side {
            Side::Admin => Ok(caller.identity().cloned().ok_or(AuthError::IdentityMissing)?),
            Side::Owner => Ok(conversation.owner().identity().clone()),
        }
    }

    /// Sends a message into a support conversation; the first admin who does becomes the one who answers.
    ///
    /// Costs one Twilio call; one more for the first answer of an admin, and for an owner who has left.
    ///
    /// # Errors
    /// As [`Core::support_for`]; [`AuthError::Forbidden`] for a type that only admins may send,
    /// [`Error::ConversationClosed`]; and as [`Core::send_message`].
    pub async fn send_support_message(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        new: NewSupportMessage,
    ) -> Result<Arc<Message>, Error> {
        let (conversation, side) = self.open_support_for(caller, sid).await?;
        let for_admins = matches!(new.message_type, MessageType::System | MessageType::AuthCode);
        if side == Side::Owner && for_admins {
            return Err(AuthError::Forbidden.into());
        }
        let author = self.support_identity(caller, &conversation, side)?;
        let acting = acting(caller, &author);
        let draft = Draft {
            body: new.text,
            media: new.attachments,
            client_message_id: new.client_message_id,
            message_type: Some(new.message_type),
            ..Draft::default()
        };
        let message = match self.send_message(&acting, &author, sid, draft.clone()).await {
            Err(Error::NotAMember) if side == Side::Owner => {
                self.readmit_owner(&conversation).await?;
                self.send_message(&acting, &author, sid, draft).await?
            }
            sent => sent?,
        };
        self.assign_support(caller, &conversation).await;
        Ok(message)
    }

    /// Whose a file is that `caller` brings for the support conversation `sid`. Whoever has a token may bring one before
    /// there is a conversation; a guest, whom nobody knows, only into one.
    ///
    /// # Errors
    /// As [`Core::support_for`]; [`Error::ConversationClosed`], [`Error::Invalid`] where a guest names no conversation,
    /// [`AuthError::Missing`] where nobody is known.
    pub async fn support_uploader(
        &self,
        caller: &Caller,
        sid: Option<ConversationSid>,
    ) -> Result<Caller, Error> {
        let Some(sid) = sid else {
            return match caller {
                Caller::Known { .. } | Caller::Service => Ok(caller.clone()),
                Caller::Guest(_) => Err(Error::invalid("conversationId", "is missing")),
                Caller::Anonymous => Err(AuthError::Missing.into()),
            };
        };
        let (conversation, side) = self.open_support_for(caller, sid).await?;
        Ok(match side {
            Side::Admin => caller.clone(),
            Side::Owner => acting(caller, conversation.owner().identity()),
        })
    }

    /// As [`Core::support_for`], for what needs a conversation that is not over.
    async fn open_support_for(
        &self,
        caller: &Caller,
        sid: ConversationSid,
    ) -> Result<(Arc<SupportConversation>, Side), Error> {
        let (conversation, side) = self.support_for(caller, sid).await?;
        if conversation.status == SupportStatus::Closed {
            return Err(Error::ConversationClosed);
        }
        Ok((conversation, side))
    }

    /// Moves the caller's side's horizon up to `message`, and tells it; the message's conversation is looked for in
    /// `entered` first, then in the index.
    ///
    /// Costs one Twilio call when it moves, none when it already is there.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`]; else as [`Core::support_for`].
    pub async fn mark_support_read(
        &self,
        caller: &Caller,
        entered: &[ConversationSid],
        message: MessageSid,
    ) -> Result<ConversationSid, Error> {
        let (sid, index) = self.place_of(entered, message).await?;
        let (conversation, side) = match self.support_for(caller, sid).await {
            Err(Error::ConversationNotFound) => return Err(Error::MessageNotFound),
            other => other?,
        };
        match side {
            Side::Owner => {
                let owner = conversation.owner().identity().clone();
                self.mark_read(&acting(caller, &owner), &owner, sid, Some(index)).await?;
            }
            Side::Admin => {
                if conversation.admin_read.is_none_or(|read| read < index) {
                    let core = self.clone();
                    self.to_the_end(async move { core.mark_read_by_admins(sid, index).await }).await?;
                }
            }
        }
        Ok(sid)
    }

    async fn mark_read_by_admins(&self, sid: ConversationSid, index: i64) -> Result<(), Error> {
        let edited = self.edit_support(sid, |now| {
            now.admin_read = now.admin_read.max(Some(index));
            None
        });
        match edited.await? {
            Edit::Done(_) | Edit::NameTaken => Ok(()),
        }
    }

    /// Where a message stands.
    async fn place_of(
        &self,
        entered: &[ConversationSid],
        message: MessageSid,
    ) -> Result<(ConversationSid, i64), Error> {
        let in_memory = |sid: &ConversationSid| {
            self.history.find_by_sid(*sid, message).map(|message| (*sid, message.index))
        };
        if let Some(place) = entered.iter().find_map(in_memory) {
            return Ok(place);
        }
        self.index.flushed().await;
        let found = self.store.find_message(&message.to_string()).await?;
        let (sid, index) = found.ok_or(Error::MessageNotFound)?;
        Ok((sid.parse().map_err(|_| Error::Internal)?, index))
    }

    /// A page of a support conversation's messages; page 1 is the newest, each is in the order of writing.
    ///
    /// Costs no Twilio call when it is in memory. Once per conversation that is older than the index of messages, one call
    /// per 100 messages, so that their number is exact.
    ///
    /// # Errors
    /// As [`Core::support_for`] and [`Core::messages`].
    pub async fn support_messages(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        page: u32,
        limit: u32,
    ) -> Result<SupportMessages, Error> {
        let (conversation, _) = self.support_for(caller, sid).await?;
        let total = self.count_exactly(sid).await?;
        let skipped = i64::from(page.saturating_sub(1)) * i64::from(limit);
        let messages = if skipped >= total {
            Vec::new()
        } else {
            let before = if skipped == 0 {
                None
            } else {
                self.store.nth_newest_index(&sid.to_string(), skipped - 1).await?
            };
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            self.history_of(sid, Span { limit, before }).await.map_err(of_page)?
        };
        let owner_read = self.owner_read(&conversation).await?;
        Ok(SupportMessages { conversation, messages, owner_read, total: u64::try_from(total).unwrap_or(0) })
    }

    /// How many messages there are. Reads the whole history once where the index does not go back to the beginning.
    async fn count_exactly(&self, sid: ConversationSid) -> Result<i64, Error> {
        let last = self.last_messages_of(&[sid]).await?.remove(&sid).ok_or(Error::ConversationNotFound)?;
        self.index.flushed().await;
        let text = sid.to_string();
        if last.known_from > 0 {
            // Memory may know less than the database.
            let rows = self.store.last_messages(std::slice::from_ref(&text)).await?;
            if rows.first().is_none_or(|row| row.known_from > 0) {
                self.complete_index(sid).await?;
                self.index.flushed().await;
            }
        }
        Ok(self.store.count_messages(&text, 0).await?)
    }

    async fn complete_index(&self, sid: ConversationSid) -> Result<(), Error> {
        let gone = || or_not_found(Error::ConversationNotFound);
        let mut page = self.twilio.list_messages(sid, Order::NewestFirst, PAGE).await.map_err(gone())?;
        let mut newest = None;
        for _ in 0..PAGES_AT_MOST {
            let messages: Vec<_> = page.items.into_iter().map(Arc::new).collect();
            newest = newest.or_else(|| messages.iter().find(|message| !is_part(message)).cloned());
            // From the newest down to the beginning, or nothing is claimed.
            self.index_history(&messages, newest.as_ref().filter(|_| page.next.is_none()));
            match page.next {
                Some(next) => page = self.twilio.next_messages(sid, &next).await.map_err(gone())?,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// As whom `caller` acts for `owner`: whoever came by the conversation's id alone, as the guest whose it is.
fn acting(caller: &Caller, owner: &Identity) -> Caller {
    match caller {
        Caller::Anonymous | Caller::Guest(_) => Caller::Guest(owner.clone()),
        Caller::Known { .. } | Caller::Service => caller.clone(),
    }
}
