//! One call of the client for each stub, by the stub's name.

use bytes::Bytes;
use chrono::DateTime;
use futures::future::BoxFuture;
use switchboard::twilio::{
    Client, ConversationChanges, ConversationSid, Error, MediaSid, MessageChanges, MessageSid,
    NewConversation, NewMessage, NewUser, NextPage, NotificationLevel, Order, ParticipantChanges,
    ParticipantSid, ServiceSid, UserChanges, UserConversationChanges,
};
use uuid::Uuid;

pub(super) struct Scene {
    /// The stub's.
    pub(super) name: &'static str,
    pub(super) play: Play,
}

type Play = for<'a> fn(&'a Client) -> BoxFuture<'a, Result<(), Error>>;

pub(super) const SERVICE: ServiceSid =
    ServiceSid::from_uuid(Uuid::from_u128(0x38067ec392f1486bb6e4de4610f26fb3));
pub(super) const CONVERSATION: ConversationSid =
    ConversationSid::from_uuid(Uuid::from_u128(0x6c25138e952448e3b27ef8164097a1c7));
pub(super) const MESSAGE: MessageSid =
    MessageSid::from_uuid(Uuid::from_u128(0x8d613ccb9016450fa29faecfaa7bb6f4));
pub(super) const PARTICIPANT: ParticipantSid =
    ParticipantSid::from_uuid(Uuid::from_u128(0xc58b06998c564765bbff41cfd3a03219));
pub(super) const MEDIA: MediaSid = MediaSid::from_uuid(Uuid::from_u128(0x59b872f1e52fbd6fe6ad956bbb4fa9bd));

/// No such conversation.
const GONE: ConversationSid = ConversationSid::from_uuid(Uuid::from_u128(0x404));
/// A closed one.
pub(super) const CLOSED: ConversationSid = ConversationSid::from_uuid(Uuid::from_u128(0x50377));
/// Asked for too often.
pub(super) const BUSY: ConversationSid = ConversationSid::from_uuid(Uuid::from_u128(0x429));
/// Asked for in vain.
pub(super) const DOWN: ConversationSid = ConversationSid::from_uuid(Uuid::from_u128(0x503));

/// A number nobody has written to, one that is in a conversation, and ours.
const PHONE: &str = "+15558675310";
pub(super) const PHONE_IN_USE: &str = "+15550050416";
pub(super) const OUR_PHONE: &str = "+15017122661";

macro_rules! scenes {
    ($($name:literal => |$client:ident| $call:expr;)+) => {
        pub(super) const SCENES: &[Scene] =
            &[$(Scene { name: $name, play: |$client| Box::pin(async move { $call.await.map(drop) }) },)+];
    };
}

scenes! {
    "unauthorized" => |twilio| twilio.ping();

    "conversations.create" => |twilio| twilio.create_conversation(&visit());
    "conversations.create.unique_name_taken" => |twilio| twilio.create_conversation(&NewConversation {
        unique_name: Some("taken".to_owned()), ..visit()
    });
    "conversations.create.attributes_not_json" => |twilio| twilio.create_conversation(&NewConversation {
        attributes: Some("not JSON".to_owned()), ..visit()
    });
    "conversations.fetch" => |twilio| twilio.fetch_conversation(CONVERSATION);
    "conversations.fetch.not_found" => |twilio| twilio.fetch_conversation(GONE);
    "conversations.fetch.rate_limited" => |twilio| twilio.fetch_conversation(BUSY);
    "conversations.fetch.unavailable" => |twilio| twilio.fetch_conversation(DOWN);
    "conversations.fetch_by_unique_name" => |twilio| twilio.fetch_conversation_by_unique_name("order-42");
    "conversations.fetch_by_unique_name.not_found" => |twilio| twilio.fetch_conversation_by_unique_name("no-such-name");
    "conversations.update" => |twilio| twilio.update_conversation(CONVERSATION, &second_visit());
    "conversations.update.closed" => |twilio| twilio.update_conversation(CLOSED, &second_visit());
    "conversations.delete" => |twilio| twilio.delete_conversation(CONVERSATION);
    "conversations.delete.not_found" => |twilio| twilio.delete_conversation(GONE);
    "conversations.list" => |twilio| twilio.list_conversations(1);
    "conversations.list.next" => |twilio| twilio.next_conversations(&next("PageSize=1"));

    "participants.add_chat" => |twilio| twilio.add_chat_participant(CONVERSATION, "bob", Some("{}"));
    "participants.add_chat.exists" => |twilio| twilio.add_chat_participant(CONVERSATION, "already-there", None);
    "participants.add_chat.not_found" => |twilio| twilio.add_chat_participant(GONE, "bob", None);
    "participants.add_sms" => |twilio| twilio.add_sms_participant(CONVERSATION, PHONE, OUR_PHONE, None);
    "participants.add_sms.binding_in_use" => |twilio| twilio.add_sms_participant(CONVERSATION, PHONE_IN_USE, OUR_PHONE, None);
    "participants.add_sms.address_invalid" => |twilio| twilio.add_sms_participant(CONVERSATION, "not a number", OUR_PHONE, None);
    "participants.fetch" => |twilio| twilio.fetch_participant(CONVERSATION, &PARTICIPANT.to_string());
    "participants.fetch_by_identity" => |twilio| twilio.fetch_participant(CONVERSATION, "alice");
    "participants.fetch_by_identity.not_found" => |twilio| twilio.fetch_participant(CONVERSATION, "nobody");
    "participants.list" => |twilio| twilio.list_participants(CONVERSATION);
    "participants.list.not_found" => |twilio| twilio.list_participants(GONE);
    "participants.update" => |twilio| twilio.update_participant(CONVERSATION, PARTICIPANT, &all_read());
    "participants.update.closed" => |twilio| twilio.update_participant(CLOSED, PARTICIPANT, &all_read());
    "participants.remove" => |twilio| twilio.remove_participant(CONVERSATION, PARTICIPANT);
    "participant_conversations.list" => |twilio| twilio.list_participant_conversations("alice");
    "participant_conversations.list_by_address" => |twilio| twilio.list_address_conversations(PHONE_IN_USE);

    "messages.create" => |twilio| twilio.create_message(CONVERSATION, &hello());
    "messages.create.with_media" => |twilio| twilio.create_message(CONVERSATION, &NewMessage {
        body: None, media_sid: Some(MEDIA), ..hello()
    });
    "messages.create.not_found" => |twilio| twilio.create_message(GONE, &hello());
    "messages.create.closed" => |twilio| twilio.create_message(CLOSED, &hello());
    "messages.create.rate_limited" => |twilio| twilio.create_message(BUSY, &hello());
    "messages.create.unavailable" => |twilio| twilio.create_message(DOWN, &hello());
    "messages.fetch" => |twilio| twilio.fetch_message(CONVERSATION, MESSAGE);
    "messages.fetch.not_found" => |twilio| twilio.fetch_message(CONVERSATION, MessageSid::from_uuid(GONE.uuid()));
    "messages.list" => |twilio| twilio.list_messages(CONVERSATION, Order::OldestFirst, 100);
    "messages.list.newest_first" => |twilio| twilio.list_messages(CONVERSATION, Order::NewestFirst, 1);
    "messages.list.next" => |twilio| twilio.next_messages(CONVERSATION, &next("Order=desc&PageSize=1"));
    "messages.list.not_found" => |twilio| twilio.list_messages(GONE, Order::OldestFirst, 100);
    "messages.update" => |twilio| twilio.update_message(CONVERSATION, MESSAGE, &MessageChanges {
        body: Some("Hello again".to_owned()), ..MessageChanges::default()
    });
    "messages.delete" => |twilio| twilio.delete_message(CONVERSATION, MESSAGE);

    "users.create" => |twilio| twilio.create_user(&carol());
    "users.create.exists" => |twilio| twilio.create_user(&NewUser { identity: "alice".to_owned(), ..carol() });
    "users.fetch" => |twilio| twilio.fetch_user("alice");
    "users.fetch.not_found" => |twilio| twilio.fetch_user("nobody");
    "users.list" => |twilio| twilio.list_users(50);
    "users.update" => |twilio| twilio.update_user("alice", &UserChanges {
        friendly_name: Some("Alice B.".to_owned()), ..UserChanges::default()
    });
    "user_conversations.list" => |twilio| twilio.list_user_conversations("alice");
    "user_conversations.list.not_found" => |twilio| twilio.list_user_conversations("nobody");
    "user_conversations.fetch" => |twilio| twilio.fetch_user_conversation("alice", CONVERSATION);
    "user_conversations.fetch.not_found" => |twilio| twilio.fetch_user_conversation("nobody", CONVERSATION);
    "user_conversations.update" => |twilio| twilio.update_user_conversation("alice", CONVERSATION, &UserConversationChanges {
        last_read_message_index: Some(0), notification_level: Some(NotificationLevel::Muted),
    });

    "configuration.fetch" => |twilio| twilio.fetch_service_configuration();
    "configuration.update" => |twilio| twilio.enable_reachability();

    "media.upload" => |twilio| twilio.upload_media(Bytes::from_static(b"not a picture"), "image/png", Some("car.png"));
    "media.fetch" => |twilio| twilio.fetch_media(MEDIA);
    "media.fetch.not_found" => |twilio| twilio.fetch_media(MediaSid::from_uuid(GONE.uuid()));
}

fn visit() -> NewConversation {
    NewConversation {
        friendly_name: Some("Home Repair Visit".to_owned()),
        unique_name: Some("order-43".to_owned()),
        attributes: Some(r#"{"topic":"repair"}"#.to_owned()),
    }
}

fn second_visit() -> ConversationChanges {
    ConversationChanges { friendly_name: Some("Second Visit".to_owned()), ..ConversationChanges::default() }
}

fn all_read() -> ParticipantChanges {
    ParticipantChanges {
        last_read_message_index: Some(0),
        last_read_timestamp: DateTime::from_timestamp(1_762_380_300, 0),
        ..ParticipantChanges::default()
    }
}

fn hello() -> NewMessage {
    NewMessage {
        author: "alice".to_owned(),
        body: Some("Hello there".to_owned()),
        attributes: Some("{}".to_owned()),
        media_sid: None,
    }
}

fn carol() -> NewUser {
    NewUser { identity: "carol".to_owned(), friendly_name: Some("Carol".to_owned()), attributes: None }
}

fn next(filters: &str) -> NextPage {
    format!("{filters}&Page=1&PageToken=PTeyJwYWdlIjoxfQ%3D%3D").parse().unwrap()
}
