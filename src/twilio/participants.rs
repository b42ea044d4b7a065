//! Participants: who is in a conversation, by identity or by phone number.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-participant-resource>

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::call::{Call, Form, query, segment};
use super::page::List;
use super::{Client, ConversationSid, ConversationState, Error, ParticipantSid, RoleSid, UserSid, lenient};

/// A conversation has no more participants than this.
const MOST_PARTICIPANTS: usize = 1000;

/// No identity or address is in more open conversations than this.
const MOST_CONVERSATIONS: usize = 1000;

/// A membership as Twilio stores it: of a person (`identity`), or of a phone number (`messaging_binding`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Its name for ever; joining again makes another.
    pub sid: ParticipantSid,
    /// Where.
    pub conversation_sid: ConversationSid,
    /// Who, for a participant of the chat.
    pub identity: Option<String>,
    /// A JSON text of at most 4 KB; `"{}"` when nothing was set.
    #[serde(default = "lenient::no_attributes", deserialize_with = "lenient::attributes")]
    pub attributes: String,
    /// Through which phone numbers, for a participant outside the chat.
    pub messaging_binding: Option<MessagingBinding>,
    /// What it may do over Twilio's SDKs; none for phone numbers.
    pub role_sid: Option<RoleSid>,
    /// By Twilio's clock.
    pub date_created: DateTime<Utc>,
    /// By Twilio's clock.
    pub date_updated: DateTime<Utc>,
    /// The `index` of the last message read, once that was ever set.
    pub last_read_message_index: Option<i64>,
    /// When that was.
    pub last_read_timestamp: Option<DateTime<Utc>>,
}

/// How a participant outside the chat is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagingBinding {
    /// The channel, in lower case: `sms`, `whatsapp`…
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Theirs, such as `+15558675310`.
    pub address: Option<String>,
    /// Ours, which they see.
    pub proxy_address: Option<String>,
    /// Ours in a group text.
    pub projected_address: Option<String>,
}

/// What shall be different; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParticipantChanges {
    /// A JSON text of at most 4 KB, in place of the whole former one.
    pub attributes: Option<String>,
    /// The `index` of the last message read. Twilio takes a smaller one than before.
    pub last_read_message_index: Option<i64>,
    /// When that was, to the second.
    pub last_read_timestamp: Option<DateTime<Utc>>,
}

/// One conversation of an identity, as seen from the participant.
///
/// Source: <https://www.twilio.com/docs/conversations/api/participant-conversation-resource>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantConversation {
    /// The membership.
    pub participant_sid: ParticipantSid,
    /// The user behind it; none for phone numbers.
    pub participant_user_sid: Option<UserSid>,
    /// Who, for a participant of the chat.
    pub participant_identity: Option<String>,
    /// Through which phone numbers, for a participant outside the chat.
    pub participant_messaging_binding: Option<MessagingBinding>,
    /// Where.
    pub conversation_sid: ConversationSid,
    /// The conversation's.
    pub conversation_unique_name: Option<String>,
    /// The conversation's.
    pub conversation_friendly_name: Option<String>,
    /// The conversation's.
    #[serde(default = "lenient::no_attributes", deserialize_with = "lenient::attributes")]
    pub conversation_attributes: String,
    /// The conversation's.
    pub conversation_date_created: DateTime<Utc>,
    /// The conversation's.
    pub conversation_date_updated: DateTime<Utc>,
    /// The identity that created the conversation, or `system`.
    pub conversation_created_by: Option<String>,
    /// The conversation's.
    pub conversation_state: ConversationState,
}

impl Client {
    /// Adds `identity` to a conversation, and returns the membership. Twilio makes a user of it if it knows none.
    ///
    /// # Errors
    /// [`Error::is_already_participant`] if it is in there. [`Error::is_not_found`] if there is no such conversation; Twilio
    /// is known to say so too when it did add someone who had just been removed, so fetch the participant before
    /// believing it. After [`Error::Ambiguous`] trying again does no harm.
    pub async fn add_chat_participant(
        &self,
        sid: ConversationSid,
        identity: &str,
        attributes: Option<&str>,
    ) -> Result<Participant, Error> {
        let form = Form::new().with("Identity", identity).with_some("Attributes", attributes);
        self.send(Call::create("participants.add_chat", format!("Conversations/{sid}/Participants"), form))
            .await
    }

    /// Adds the phone number `address`, which will see messages from `proxy_address`, a number of the account.
    ///
    /// # Errors
    /// [`Error::binding_holder`] if the pair of numbers is in an open conversation, this one included. After
    /// [`Error::Ambiguous`] trying again does no harm.
    pub async fn add_sms_participant(
        &self,
        sid: ConversationSid,
        address: &str,
        proxy_address: &str,
        attributes: Option<&str>,
    ) -> Result<Participant, Error> {
        let form = Form::new()
            .with("MessagingBinding.Address", address)
            .with("MessagingBinding.ProxyAddress", proxy_address)
            .with_some("Attributes", attributes);
        self.send(Call::create("participants.add_sms", format!("Conversations/{sid}/Participants"), form))
            .await
    }

    /// The participant with this SID or identity.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none, or no such conversation.
    pub async fn fetch_participant(&self, sid: ConversationSid, id: &str) -> Result<Participant, Error> {
        let path = format!("Conversations/{sid}/Participants/{}", segment(id)?);
        self.send(Call::fetch("participants.fetch", path)).await
    }

    /// All participants; costs one call per hundred.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such conversation.
    pub async fn list_participants(&self, sid: ConversationSid) -> Result<Vec<Participant>, Error> {
        let path = format!("Conversations/{sid}/Participants").into();
        let list = List { operation: "participants.list", path };
        self.every(&list, query(&[("PageSize", "100")]), MOST_PARTICIPANTS).await
    }

    /// Makes `changes`, and returns the participant as it is then.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none; [`Error::is_closed`] if the conversation is closed.
    pub async fn update_participant(
        &self,
        sid: ConversationSid,
        participant_sid: ParticipantSid,
        changes: &ParticipantChanges,
    ) -> Result<Participant, Error> {
        let read_at = changes.last_read_timestamp.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let form = Form::new()
            .with_some("Attributes", changes.attributes.as_ref())
            .with_some("LastReadMessageIndex", changes.last_read_message_index.map(|index| index.to_string()))
            .with_some("LastReadTimestamp", read_at);
        let path = format!("Conversations/{sid}/Participants/{participant_sid}");
        self.send(Call::update("participants.update", path, form)).await
    }

    /// Takes a participant out of a conversation; its messages stay.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there was none to begin with.
    pub async fn remove_participant(
        &self,
        sid: ConversationSid,
        participant_sid: ParticipantSid,
    ) -> Result<(), Error> {
        let path = format!("Conversations/{sid}/Participants/{participant_sid}");
        self.send_remove(Call::remove("participants.remove", path)).await
    }

    /// All conversations `identity` is in, by SID; costs one call per fifty.
    ///
    /// # Errors
    /// Any [`Error`] of a read.
    pub async fn list_participant_conversations(
        &self,
        identity: &str,
    ) -> Result<Vec<ParticipantConversation>, Error> {
        self.conversations_of("Identity", identity).await
    }

    /// All conversations the phone number `address` is in, by SID; costs one call per fifty.
    ///
    /// # Errors
    /// Any [`Error`] of a read.
    pub async fn list_address_conversations(
        &self,
        address: &str,
    ) -> Result<Vec<ParticipantConversation>, Error> {
        self.conversations_of("Address", address).await
    }

    async fn conversations_of(
        &self,
        filter: &str,
        value: &str,
    ) -> Result<Vec<ParticipantConversation>, Error> {
        let list =
            List { operation: "participant_conversations.list", path: "ParticipantConversations".into() };
        self.every(&list, query(&[(filter, value), ("PageSize", "50")]), MOST_CONVERSATIONS).await
    }
}
