//! Conversations: what holds participants and messages.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-resource>

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::call::{Call, Form, query, segment};
use super::page::{List, page_size};
use super::{Client, ConversationSid, Error, NextPage, Page, lenient};

/// A conversation as Twilio stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its name for ever.
    pub sid: ConversationSid,
    /// At most 256 characters.
    pub friendly_name: Option<String>,
    /// No other conversation of the service has it.
    pub unique_name: Option<String>,
    /// A JSON text of at most 16 KB; `"{}"` when nothing was set.
    #[serde(default = "lenient::no_attributes", deserialize_with = "lenient::attributes")]
    pub attributes: String,
    /// Whether it can be written to.
    pub state: ConversationState,
    /// By Twilio's clock.
    pub date_created: DateTime<Utc>,
    /// By Twilio's clock; of the conversation itself, not of its messages.
    pub date_updated: DateTime<Utc>,
}

/// Where a conversation is in its life.
///
/// Source: <https://www.twilio.com/docs/conversations/states-timers>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConversationState {
    /// Twilio is still adding the first participants.
    Initializing,
    /// Open.
    Active,
    /// Open, but silent for a while; the next message makes it active.
    Inactive,
    /// Can only be read; final.
    Closed,
}

impl ConversationState {
    /// Twilio's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Closed => "closed",
        }
    }
}

/// The text is no [`ConversationState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the state of a conversation")]
pub struct UnknownState;

impl FromStr for ConversationState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        [Self::Initializing, Self::Active, Self::Inactive, Self::Closed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

/// A conversation to be; all of it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewConversation {
    /// At most 256 characters.
    pub friendly_name: Option<String>,
    /// Must not look like a SID.
    pub unique_name: Option<String>,
    /// A JSON text of at most 16 KB.
    pub attributes: Option<String>,
}

/// What shall be different; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationChanges {
    /// At most 256 characters.
    pub friendly_name: Option<String>,
    /// Must not look like a SID.
    pub unique_name: Option<String>,
    /// A JSON text of at most 16 KB, in place of the whole former one.
    pub attributes: Option<String>,
    /// Closing is final.
    pub state: Option<ConversationState>,
}

impl Client {
    /// Creates a conversation without participants, and returns it as Twilio stored it.
    ///
    /// # Errors
    /// [`Error::is_conflict_on_unique_name`] if the name is taken. After [`Error::Ambiguous`] a unique name tells whether it
    /// was created.
    pub async fn create_conversation(&self, new: &NewConversation) -> Result<Conversation, Error> {
        let form = Form::new()
            .with_some("FriendlyName", new.friendly_name.as_ref())
            .with_some("UniqueName", new.unique_name.as_ref())
            .with_some("Attributes", new.attributes.as_ref());
        self.send(Call::create("conversations.create", "Conversations", form)).await
    }

    /// The conversation with this SID.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none.
    pub async fn fetch_conversation(&self, sid: ConversationSid) -> Result<Conversation, Error> {
        self.send(Call::fetch("conversations.fetch", format!("Conversations/{sid}"))).await
    }

    /// The conversation with this unique name. Twilio takes a SID in its place: never pass what a client chose.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none.
    pub async fn fetch_conversation_by_unique_name(&self, unique_name: &str) -> Result<Conversation, Error> {
        let path = format!("Conversations/{}", segment(unique_name)?);
        self.send(Call::fetch("conversations.fetch_by_unique_name", path)).await
    }

    /// Makes `changes`, and returns the conversation as it is then.
    ///
    /// # Errors
    /// [`Error::is_closed`] if it is closed, also by an earlier try of the same call.
    pub async fn update_conversation(
        &self,
        sid: ConversationSid,
        changes: &ConversationChanges,
    ) -> Result<Conversation, Error> {
        let form = Form::new()
            .with_some("FriendlyName", changes.friendly_name.as_ref())
            .with_some("UniqueName", changes.unique_name.as_ref())
            .with_some("Attributes", changes.attributes.as_ref())
            .with_some("State", changes.state.map(ConversationState::as_str));
        self.send(Call::update("conversations.update", format!("Conversations/{sid}"), form)).await
    }

    /// Deletes a conversation with all that is in it.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there was none to begin with.
    pub async fn delete_conversation(&self, sid: ConversationSid) -> Result<(), Error> {
        self.send_remove(Call::remove("conversations.delete", format!("Conversations/{sid}"))).await
    }

    /// The first page of all conversations of the service, most recent message first; at most 100 on a page.
    ///
    /// # Errors
    /// Any [`Error`] of a read.
    pub async fn list_conversations(&self, size: u8) -> Result<Page<Conversation>, Error> {
        self.page(&CONVERSATIONS, query(&[("PageSize", &page_size(size, 100))])).await
    }

    /// The page after the one of [`Client::list_conversations`] that named it.
    ///
    /// # Errors
    /// Any [`Error`] of a read; [`Error::Refused`] if the cursor is not Twilio's.
    pub async fn next_conversations(&self, next: &NextPage) -> Result<Page<Conversation>, Error> {
        self.page_after(&CONVERSATIONS, next).await
    }
}

const CONVERSATIONS: List =
    List { operation: "conversations.list", path: std::borrow::Cow::Borrowed("Conversations") };
