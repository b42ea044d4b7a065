//! Support: a user or guest asks, admins answer.
//!
//! A support conversation is a Twilio conversation with one participant, its owner, and attributes of ours that say what it
//! is about and where it stands. Admins are never participants (Twilio allows 1,000 conversations per identity, and messages
//! of any author), so up to where they have read stands in the attributes too. While it is not closed its UniqueName is a
//! hash of owner and topic, so that Twilio itself refuses a second one.
//!
//! To …                                            read
//! - find or open somebody's, make a guest's a user's  `open.rs`
//! - say who may, list, change, assign                 `desk.rs`
//! - write, read, page through messages                `talk.rs`
//! - know which conversations are support              `known.rs`
//!
//! Guests' ids are `guests.rs`, one-time codes `codes.rs`.

mod desk;
mod known;
mod open;
mod talk;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::codes::IssuedCode;
use super::conversations::OURS;
use super::drafts::Extras;
use super::{Conversation, ConversationSid, Error, Message, MessageSid};
use crate::auth::Identity;
use crate::store::SupportRow;

pub use desk::{ListedSupport, SupportChanges, SupportDetails, SupportListing, SupportPerson};
pub(super) use known::Known;
pub use talk::{NewSupportMessage, SupportMessages};

use std::sync::Arc;

/// What makes a conversation one of support, in its attributes.
const KIND: &str = "support";

/// A closed choice of words that stand in requests and at Twilio.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ } $listed:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Reads the word; `field` names it in the refusal.
            ///
            /// # Errors
            /// [`Error::Invalid`] for another word.
            pub fn parse(field: &'static str, text: &str) -> Result<Self, Error> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Error::invalid(field, concat!("must be ", $listed))),
                }
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some([$($word),+])).into()
            }
        }

        impl ToSchema for $name {}
    };
}

words! {
    /// What a support conversation is about.
    Topic {
        /// Anything.
        #[default]
        General = "general",
        /// Getting started.
        Onboarding = "onboarding",
        /// Somebody wants to be called.
        CallRequest = "call_request"
    } "general, onboarding or call_request"
}

words! {
    /// Where a support conversation stands.
    SupportStatus {
        /// It is to be answered.
        #[default]
        Open = "open",
        /// It waits for something.
        Pending = "pending",
        /// It is over; the next question of the same kind opens another one.
        Closed = "closed"
    } "open, pending or closed"
}

words! {
    /// How urgent a support conversation is.
    Priority {
        /// Least.
        Low = "low",
        /// As usual.
        #[default]
        Normal = "normal",
        /// More than usual.
        High = "high",
        /// At once.
        Urgent = "urgent"
    } "low, normal, high or urgent"
}

words! {
    /// What a message in a support conversation is.
    MessageType {
        /// Said.
        #[default]
        Text = "text",
        /// A file, or a link to one.
        File = "file",
        /// Said by nobody.
        System = "system",
        /// A one-time code.
        AuthCode = "auth_code"
    } "text, file, system or auth_code"
}

/// Who asks for support.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Somebody with an account.
    User(Identity),
    /// Somebody without.
    Guest(Identity),
}

impl Owner {
    /// Who they are in the conversation.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        match self {
            Self::User(identity) | Self::Guest(identity) => identity,
        }
    }

    /// The owner with these ids; a user outranks the guest they were.
    pub(super) fn from_ids(user: Option<&str>, guest: Option<&str>) -> Option<Self> {
        let identity = |text: &str| Identity::try_from(text).ok();
        user.and_then(identity).map(Self::User).or_else(|| guest.and_then(identity).map(Self::Guest))
    }

    /// Tells a user and a guest of the same identity apart where they become text.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Guest(_) => "guest",
        }
    }
}

/// Who wrote a message of a support conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// Its owner, with an account; or somebody whom they brought in.
    User(Identity),
    /// Its owner, while they had no account.
    Guest(Identity),
    /// Whoever answers.
    Admin(Identity),
    /// Nobody.
    System,
}

/// On which side of a support conversation somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// They ask.
    Owner,
    /// They answer.
    Admin,
}

/// A support conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportConversation {
    /// As everywhere.
    pub sid: ConversationSid,
    /// What it is about.
    pub topic: Topic,
    /// What it is about, in its owner's words.
    pub subject: Option<String>,
    /// Where it stands.
    pub status: SupportStatus,
    /// How urgent it is.
    pub priority: Priority,
    /// Whose it is, if a user's.
    pub user: Option<Identity>,
    /// Whose it is, or was before that user's.
    pub guest: Option<Identity>,
    /// Who answers.
    pub admin: Option<Identity>,
    /// Whether its owner has another one open about the same, which is the one that is found: a guest's that became a
    /// user's who had one.
    pub aside: bool,
    /// Index of the last message that an admin has read.
    pub admin_read: Option<i64>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was changed.
    pub updated_at: DateTime<Utc>,
}

/// How a support conversation stands in its attributes at Twilio, under [`OURS`].
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Attributes {
    kind: String,
    #[serde(rename = "type")]
    topic: Topic,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    priority: Priority,
    status: SupportStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Identity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_id: Option<Identity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_id: Option<Identity>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    aside: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_read: Option<i64>,
}

impl SupportConversation {
    /// What `conversation` is as one of support; `None` when it is none.
    #[must_use]
    pub fn of(conversation: &Conversation) -> Option<Self> {
        if !conversation.attributes.contains(KIND) {
            return None;
        }
        let mut all: Value = serde_json::from_str(&conversation.attributes).ok()?;
        let ours: Attributes = serde_json::from_value(all.get_mut(OURS)?.take()).ok()?;
        if ours.kind != KIND || (ours.user_id.is_none() && ours.guest_id.is_none()) {
            return None;
        }
        Some(Self {
            sid: conversation.sid,
            topic: ours.topic,
            subject: ours.subject,
            status: ours.status,
            priority: ours.priority,
            user: ours.user_id,
            guest: ours.guest_id,
            admin: ours.admin_id,
            aside: ours.aside,
            admin_read: ours.admin_read,
            created_at: conversation.date_created,
            updated_at: conversation.date_updated,
        })
    }

    /// `attributes` (JSON) with what is kept of this conversation; other writers' keys stay.
    fn to_attributes(&self, attributes: &str) -> Result<String, Error> {
        let ours = Attributes {
            kind: KIND.to_owned(),
            topic: self.topic,
            subject: self.subject.clone(),
            priority: self.priority,
            status: self.status,
            user_id: self.user.clone(),
            guest_id: self.guest.clone(),
            admin_id: self.admin.clone(),
            aside: self.aside,
            admin_read: self.admin_read,
        };
        let mut all = match serde_json::from_str(attributes) {
            Ok(Value::Object(all)) => all,
            Ok(_) | Err(_) => serde_json::Map::new(),
        };
        let ours = serde_json::to_value(ours).map_err(|_| Error::Internal)?;
        // Read-modify-write one level deeper too: a later version's keys survive this one.
        match (all.get_mut(OURS), ours) {
            (Some(Value::Object(kept)), Value::Object(ours)) => {
                for key in ["subject", "userId", "guestId", "adminId", "adminRead", "aside"] {
                    kept.remove(key);
                }
                kept.extend(ours);
            }
            (_, ours) => drop(all.insert(OURS.to_owned(), ours)),
        }
        Ok(Value::Object(all).to_string())
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match (&self.user, &self.guest) {
            (Some(user), _) => Owner::User(user.clone()),
            (None, Some(guest)) => Owner::Guest(guest.clone()),
            (None, None) => unreachable!("a support conversation has an owner, or it is not made one"),
        }
    }

    /// Who wrote `message`, which is in this conversation.
    #[must_use]
    pub fn sender(&self, message: &Message) -> Sender {
        let is = |identity: &Option<Identity>| {
            identity.as_ref().filter(|identity| identity.as_str() == message.author).cloned()
        };
        match (is(&self.user), is(&self.guest)) {
            (Some(user), _) => Sender::User(user),
            (None, Some(guest)) => Sender::Guest(guest),
            (None, None) => {
                let author = Identity::try_from(message.author.as_str()).ok();
                // "system" is what Twilio writes where no author was given.
                let author = author.filter(|author| author.as_str() != "system");
                // Whoever answers is no participant. Twilio says who wrote as one; the rest a message says of itself.
                let takes_part = message.participant_sid.is_some() && is(&self.admin).is_none();
                match author {
                    Some(author) if takes_part => Sender::User(author),
                    Some(author) if message_type(message) != MessageType::System => Sender::Admin(author),
                    Some(_) | None => Sender::System,
                }
            }
        }
    }

    /// What `message`, which is in this conversation, is. Its owner's side may be on Twilio's SDK, where messages say of themselves
    /// what they like; what only the other side sends is text then.
    #[must_use]
    pub fn message_type(&self, message: &Message) -> MessageType {
        let said = message_type(message);
        let is_owners = matches!(self.sender(message), Sender::User(_) | Sender::Guest(_));
        let for_admins = matches!(said, MessageType::System | MessageType::AuthCode);
        if is_owners && for_admins { MessageType::Text } else { said }
    }

    /// Whether the other side has read `message`. `owner_read`: up to where its owner has.
    #[must_use]
    pub fn is_read(&self, message: &Message, owner_read: Option<i64>) -> bool {
        let read = match self.sender(message) {
            Sender::User(_) | Sender::Guest(_) => self.admin_read,
            Sender::Admin(_) | Sender::System => owner_read,
        };
        read.is_some_and(|read| read >= message.index)
    }

    /// Whether a client would see a difference from `before`.
    fn differs(&self, before: &Self) -> bool {
        let unseen = |conversation: &Self| Self {
            admin_read: None,
            updated_at: DateTime::UNIX_EPOCH,
            ..conversation.clone()
        };
        unseen(self) != unseen(before)
    }

    fn to_row(&self, last_message_at: Option<DateTime<Utc>>) -> SupportRow {
        let text = |identity: &Option<Identity>| identity.as_ref().map(ToString::to_string);
        SupportRow {
            conversation_sid: self.sid.to_string(),
            user_id: text(&self.user),
            guest_id: text(&self.guest),
            admin_id: text(&self.admin),
            topic: self.topic.as_str().to_owned(),
            subject: self.subject.clone(),
            status: self.status.as_str().to_owned(),
            priority: self.priority.as_str().to_owned(),
            aside: i64::from(self.aside),
            admin_read: self.admin_read.unwrap_or(-1),
            last_message_at: last_message_at.map_or(0, |at| at.timestamp_millis()),
            created_at: self.created_at.timestamp_millis(),
            updated_at: self.updated_at.timestamp_millis(),
        }
    }

    /// `None` for a row that another version wrote.
    fn from_row(row: &SupportRow) -> Option<Self> {
        let identity = |text: &Option<String>| text.as_deref().and_then(|text| Identity::try_from(text).ok());
        let (user, guest) = (identity(&row.user_id), identity(&row.guest_id));
        if user.is_none() && guest.is_none() {
            return None;
        }
        Some(Self {
            sid: row.conversation_sid.parse().ok()?,
            topic: Topic::parse("type", &row.topic).ok()?,
            subject: row.subject.clone(),
            status: SupportStatus::parse("status", &row.status).ok()?,
            priority: Priority::parse("priority", &row.priority).ok()?,
            user,
            guest,
            admin: identity(&row.admin_id),
            aside: row.aside != 0,
            admin_read: (row.admin_read >= 0).then_some(row.admin_read),
            created_at: DateTime::from_timestamp_millis(row.created_at)?,
            updated_at: DateTime::from_timestamp_millis(row.updated_at)?,
        })
    }
}

/// What `message` is: as it was sent, else a file where Twilio has one and no text.
fn message_type(message: &Message) -> MessageType {
    let only_media = message.body.is_none() && !message.media.is_empty();
    let sent_as = Extras::of(message).message_type;
    sent_as.unwrap_or(if only_media { MessageType::File } else { MessageType::Text })
}

/// Something that happened in support, besides what happens in every conversation.
#[derive(Debug, Clone)]
pub enum SupportEvent {
    /// A message is in a support conversation; [`super::Event::MessageAdded`] came just before.
    MessageAdded {
        /// Where.
        conversation: Arc<SupportConversation>,
        /// Which.
        message: Arc<Message>,
    },
    /// One side has read up to a message.
    MessageRead {
        /// Where.
        conversation: ConversationSid,
        /// The last one read.
        message: MessageSid,
    },
    /// What it is about, where it stands, whose it is or who answers changed.
    Changed {
        /// As it is now.
        conversation: Arc<SupportConversation>,
        /// When its last message was written.
        last_message_at: Option<DateTime<Utc>>,
    },
    /// One side has another number of unread messages.
    UnreadChanged {
        /// Where.
        conversation: Arc<SupportConversation>,
        /// Whose number it is.
        side: Side,
        /// The number.
        unread: i64,
    },
    /// An admin gave out a one-time code.
    CodeIssued(IssuedCode),
}

impl SupportEvent {
    /// The conversation it happened in, if in one.
    pub(super) fn conversation(&self) -> Option<ConversationSid> {
        match self {
            Self::MessageAdded { conversation, .. }
            | Self::Changed { conversation, .. }
            | Self::UnreadChanged { conversation, .. } => Some(conversation.sid),
            Self::MessageRead { conversation, .. } => Some(*conversation),
            Self::CodeIssued(issued) => issued.conversation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ConversationState;

    fn conversation(attributes: &str) -> Conversation {
        Conversation {
            sid: "CH0123456789abcdef0123456789abcdef".parse().unwrap(),
            friendly_name: None,
            unique_name: None,
            attributes: attributes.to_owned(),
            state: ConversationState::Active,
            date_created: DateTime::UNIX_EPOCH,
            date_updated: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn attributes_survive_and_keep_what_others_wrote() {
        let before = r#"{"theirs":1,"switchboard":{"kind":"support","type":"onboarding","guestId":"guest_1_a","later":2,"adminId":"eve"}}"#;
        let mut support = SupportConversation::of(&conversation(before)).unwrap();
        assert_eq!((support.topic, support.status), (Topic::Onboarding, SupportStatus::Open));
        support.admin = None;
        support.admin_read = Some(3);
        let after = support.to_attributes(before).unwrap();
        let read: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(read["theirs"], 1);
        assert_eq!(read[OURS]["later"], 2);
        assert_eq!(read[OURS].get("adminId"), None);
        assert_eq!(SupportConversation::of(&conversation(&after)), Some(support));
    }

    #[test]
    fn what_is_no_support_conversation_is_none() {
        for attributes in [
            "{}",
            "",
            "support",
            r#"{"switchboard":{"kind":"group","name":"support"}}"#,
            r#"{"switchboard":{"kind":"support","type":"general"}}"#,
            r#"{"switchboard":{"kind":"support","type":"nonsense","userId":"alice"}}"#,
            r#"{"kind":"support","userId":"alice"}"#,
        ] {
            assert_eq!(SupportConversation::of(&conversation(attributes)), None, "{attributes}");
        }
    }

    #[test]
    fn a_row_is_the_conversation() {
        let attributes = r#"{"switchboard":{"kind":"support","type":"call_request","subject":"s","status":"pending",
            "priority":"urgent","userId":"alice","guestId":"guest_1_a","adminId":"eve","adminRead":0,"aside":true}}"#;
        let support = SupportConversation::of(&conversation(attributes)).unwrap();
        assert_eq!(SupportConversation::from_row(&support.to_row(None)), Some(support));
    }
}
