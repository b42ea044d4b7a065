//! Users: identities as a service knows them, and the conversations each is in.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/user-resource> and
//! <https://www.twilio.com/docs/conversations/api/user-conversation-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::call::{Call, Form, query, segment};
use super::page::{List, page_size};
use super::{
    Client, ConversationSid, ConversationState, Error, NextPage, Page, ParticipantSid, RoleSid, UserSid,
    lenient,
};

/// No user is in more open conversations than this.
const MOST_CONVERSATIONS: usize = 1000;

/// A user as Twilio stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its name for ever.
    pub sid: UserSid,
    /// Case counts; cannot be changed.
    pub identity: String,
    /// To be shown to others.
    pub friendly_name: Option<String>,
    /// A JSON text; `"{}"` when nothing was set.
    #[serde(default = "lenient::no_attributes", deserialize_with = "lenient::attributes")]
    pub attributes: String,
    /// Whether a client on Twilio's own SDK is connected. None while reachability is off, before the first time, and in
    /// lists; clients of ours do not count.
    pub is_online: Option<bool>,
    /// Whether a device is registered for Twilio's push notifications; none as above.
    pub is_notifiable: Option<bool>,
    /// What it may do over Twilio's SDKs.
    pub role_sid: Option<RoleSid>,
    /// By Twilio's clock.
    pub date_created: DateTime<Utc>,
    /// By Twilio's clock.
    pub date_updated: DateTime<Utc>,
}

/// A user to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewUser {
    /// At most 256 characters.
    pub identity: String,
    /// At most 256 characters.
    pub friendly_name: Option<String>,
    /// A JSON text.
    pub attributes: Option<String>,
}

/// What shall be different; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChanges {
    /// At most 256 characters.
    pub friendly_name: Option<String>,
    /// A JSON text, in place of the whole former one.
    pub attributes: Option<String>,
}

/// One conversation of a user: the conversation's own members, and how far the user has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserConversation {
    /// Which.
    pub conversation_sid: ConversationSid,
    /// The user's membership.
    pub participant_sid: ParticipantSid,
    /// The conversation's.
    pub friendly_name: Option<String>,
    /// The conversation's.
    pub unique_name: Option<String>,
    /// The conversation's.
    #[serde(default = "lenient::no_attributes", deserialize_with = "lenient::attributes")]
    pub attributes: String,
    /// The conversation's.
    pub conversation_state: ConversationState,
    /// The conversation's.
    pub date_created: DateTime<Utc>,
    /// The conversation's.
    pub date_updated: DateTime<Utc>,
    /// Up to 1000; none while nothing was ever marked read.
    pub unread_messages_count: Option<u32>,
    /// The `index` of the last message read, once that was ever set.
    pub last_read_message_index: Option<i64>,
    /// Whether the user wants to be notified.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub notification_level: NotificationLevel,
}

/// Whether a user wants to be notified of new messages in a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationLevel {
    /// Yes.
    #[default]
    Default,
    /// No.
    Muted,
}

/// What shall be different; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserConversationChanges {
    /// The `index` of the last message read. Twilio takes a smaller one than before.
    pub last_read_message_index: Option<i64>,
    /// Whether the user wants to be notified.
    pub notification_level: Option<NotificationLevel>,
}

impl Client {
    /// Creates a user before its first conversation.
    ///
    /// # Errors
    /// [`Error::is_already_user`] if there is one. After [`Error::Ambiguous`] trying again does no harm.
    pub async fn create_user(&self, new: &NewUser) -> Result<User, Error> {
        let form = Form::new()
            .with("Identity", &new.identity)
            .with_some("FriendlyName", new.friendly_name.as_ref())
            .with_some("Attributes", new.attributes.as_ref());
        self.send(Call::create("users.create", "Users", form)).await
    }

    /// The user with this identity.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none.
    pub async fn fetch_user(&self, identity: &str) -> Result<User, Error> {
        self.send(Call::fetch("users.fetch", format!("Users/{}", segment(identity)?))).await
    }

    /// The first page of all users of the service, in no order; at most 100 on a page.
    ///
    /// # Errors
    /// Any [`Error`] of a read.
    pub async fn list_users(&self, size: u8) -> Result<Page<User>, Error> {
        self.page(&USERS, query(&[("PageSize", &page_size(size, 100))])).await
    }

    /// The page after the one of [`Client::list_users`] that named it.
    ///
    /// # Errors
    /// Any [`Error`] of a read; [`Error::Refused`] if the cursor is not Twilio's.
    pub async fn next_users(&self, next: &NextPage) -> Result<Page<User>, Error> {
        self.page_after(&USERS, next).await
    }

    /// Makes `changes`, and returns the user as it is then.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none.
    pub async fn update_user(&self, identity: &str, changes: &UserChanges) -> Result<User, Error> {
        let form = Form::new()
            .with_some("FriendlyName", changes.friendly_name.as_ref())
            .with_some("Attributes", changes.attributes.as_ref());
        self.send(Call::update("users.update", format!("Users/{}", segment(identity)?), form)).await
    }

    /// All conversations of a user with its unread counts, in no order; costs one call per fifty.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such user.
    pub async fn list_user_conversations(&self, identity: &str) -> Result<Vec<UserConversation>, Error> {
        let path = format!("Users/{}/Conversations", segment(identity)?).into();
        let list = List { operation: "user_conversations.list", path };
        self.every(&list, query(&[("PageSize", "50")]), MOST_CONVERSATIONS).await
    }

    /// One conversation as the user has it.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the user is not in that conversation.
    pub async fn fetch_user_conversation(
        &self,
        identity: &str,
        sid: ConversationSid,
    ) -> Result<UserConversation, Error> {
        let path = format!("Users/{}/Conversations/{sid}", segment(identity)?);
        self.send(Call::fetch("user_conversations.fetch", path)).await
    }

    /// Makes `changes`, and returns the conversation as the user has it then. Twilio fires no webhook for this.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the user is not in that conversation.
    pub async fn update_user_conversation(
        &self,
        identity: &str,
        sid: ConversationSid,
        changes: &UserConversationChanges,
    ) -> Result<UserConversation, Error> {
        let level = changes.notification_level.map(|level| match level {
            NotificationLevel::Default => "default",
            NotificationLevel::Muted => "muted",
        });
        let form = Form::new()
            .with_some("LastReadMessageIndex", changes.last_read_message_index.map(|index| index.to_string()))
            .with_some("NotificationLevel", level);
        let path = format!("Users/{}/Conversations/{sid}", segment(identity)?);
        self.send(Call::update("user_conversations.update", path, form).silent()).await
    }
}

const USERS: List = List { operation: "users.list", path: std::borrow::Cow::Borrowed("Users") };
