//! Messages: what was said, in the order of its `index`.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-message-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::call::{Call, Form, query};
use super::page::{List, page_size};
use super::{Client, ConversationSid, Error, MediaSid, MessageSid, NextPage, Page, ParticipantSid, lenient};

/// A message as Twilio stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its name for ever.
    pub sid: MessageSid,
    /// Where.
    pub conversation_sid: ConversationSid,
    /// Its place in the conversation: greater than those before it. Numbers may be skipped.
    pub index: i64,
    /// An identity, an address, or any text that was given; `system` where none was.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub author: String,
    /// At most 32 KB; none if there is only media.
    pub body: Option<String>,
    /// The files sent with it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub media: Vec<MessageMedia>,
    /// A JSON text of at most 4 KB; `"{}"` when nothing was set.
    #[serde(default = "lenient::no_attributes", deserialize_with = "lenient::attributes")]
    pub attributes: String,
    /// The author's membership, if the author is a participant.
    pub participant_sid: Option<ParticipantSid>,
    /// By Twilio's clock.
    pub date_created: DateTime<Utc>,
    /// By Twilio's clock.
    pub date_updated: Option<DateTime<Utc>>,
    /// How it fared with participants outside the chat, if there are any.
    pub delivery: Option<DeliverySummary>,
}

/// A file sent with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageMedia {
    /// To fetch it with.
    pub sid: MediaSid,
    /// Its MIME type.
    pub content_type: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// As it was uploaded.
    pub filename: Option<String>,
}

/// How a message fared with the participants outside the chat.
///
/// Source: <https://www.twilio.com/docs/conversations/delivery-receipts>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliverySummary {
    /// How many such participants there are.
    pub total: u32,
    /// How many it was sent to.
    pub sent: DeliveryAmount,
    /// How many it arrived at.
    pub delivered: DeliveryAmount,
    /// How many have read it.
    pub read: DeliveryAmount,
    /// How many it could not be sent to.
    pub failed: DeliveryAmount,
    /// How many it did not arrive at.
    pub undelivered: DeliveryAmount,
}

/// How many of the participants outside the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryAmount {
    /// Every one.
    All,
    /// Not every one.
    Some,
    /// Not one.
    None,
}

/// A message to be. Needs a body, a file, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// An identity or address of a participant links the message to it; any other text is kept as it is.
    pub author: String,
    /// At most 32 KB; 1,600 characters where it goes out by SMS.
    pub body: Option<String>,
    /// A JSON text of at most 4 KB.
    pub attributes: Option<String>,
    /// An uploaded file that is in no message yet.
    pub media_sid: Option<MediaSid>,
}

/// What shall be different; `None` stays as it is. Files cannot be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageChanges {
    /// As in [`NewMessage`].
    pub author: Option<String>,
    /// As in [`NewMessage`].
    pub body: Option<String>,
    /// A JSON text of at most 4 KB, in place of the whole former one.
    pub attributes: Option<String>,
}

/// Which end of a conversation a list begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first message.
    OldestFirst,
    /// The last message.
    NewestFirst,
}

impl Client {
    /// Writes a message, and returns it as Twilio stored it.
    ///
    /// # Errors
    /// After [`Error::Ambiguous`] the message may be there: look for it, by something in its attributes, before sending it
    /// again. [`Error::is_closed`], [`Error::is_not_found`].
    pub async fn create_message(&self, sid: ConversationSid, new: &NewMessage) -> Result<Message, Error> {
        let form = Form::new()
            .with("Author", &new.author)
            .with_some("Body", new.body.as_ref())
            .with_some("Attributes", new.attributes.as_ref())
            .with_some("MediaSid", new.media_sid.map(|media_sid| media_sid.to_string()));
        self.send(Call::create("messages.create", format!("Conversations/{sid}/Messages"), form)).await
    }

    /// One message.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none, or no such conversation.
    pub async fn fetch_message(
        &self,
        sid: ConversationSid,
        message_sid: MessageSid,
    ) -> Result<Message, Error> {
        self.send(Call::fetch("messages.fetch", format!("Conversations/{sid}/Messages/{message_sid}"))).await
    }

    /// The first page of a conversation's messages; at most 100 on a page.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such conversation.
    pub async fn list_messages(
        &self,
        sid: ConversationSid,
        order: Order,
        size: u8,
    ) -> Result<Page<Message>, Error> {
        let order = match order {
            Order::OldestFirst => "asc",
            Order::NewestFirst => "desc",
        };
        self.page(&messages_of(sid), query(&[("Order", order), ("PageSize", &page_size(size, 100))])).await
    }

    /// The page after the one of [`Client::list_messages`] that named it, in the same order.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such conversation; [`Error::Refused`] if the cursor is not Twilio's.
    pub async fn next_messages(&self, sid: ConversationSid, next: &NextPage) -> Result<Page<Message>, Error> {
        self.page_after(&messages_of(sid), next).await
    }

    /// Makes `changes`, and returns the message as it is then.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none; [`Error::is_closed`] if the conversation is closed.
    pub async fn update_message(
        &self,
        sid: ConversationSid,
        message_sid: MessageSid,
        changes: &MessageChanges,
    ) -> Result<Message, Error> {
        let form = Form::new()
            .with_some("Author", changes.author.as_ref())
            .with_some("Body", changes.body.as_ref())
            .with_some("Attributes", changes.attributes.as_ref());
        let path = format!("Conversations/{sid}/Messages/{message_sid}");
        self.send(Call::update("messages.update", path, form)).await
    }

    /// Deletes a message; the `index` of others stays.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there was none to begin with.
    pub async fn delete_message(&self, sid: ConversationSid, message_sid: MessageSid) -> Result<(), Error> {
        let path = format!("Conversations/{sid}/Messages/{message_sid}");
        self.send_remove(Call::remove("messages.delete", path)).await
    }
}

fn messages_of(sid: ConversationSid) -> List {
    List { operation: "messages.list", path: format!("Conversations/{sid}/Messages").into() }
}
