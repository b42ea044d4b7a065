//! Every body and webhook that Twilio publishes, or was seen to send, is understood.

use std::collections::BTreeSet;
use std::path::Path;

use ::wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use switchboard::twilio::{
    Conversation, ConversationState, DeliveryAmount, DeliveryStatus, Media, Message, Order, Participant,
    ServiceConfiguration, Source, User, UserConversation, Webhook, WebhookError, WebhookEvent, parse,
};

use crate::twilio_client::client;

const CONVERSATIONS: &[&str] = &[
    "conversation",
    "conversation_closed",
    "conversation_create_defaults",
    "conversation_initializing",
    "conversation_with_participants",
    "service_conversation",
];
const PARTICIPANTS: &[&str] = &[
    "participant_chat",
    "participant_group_mms_chat",
    "participant_group_mms_sms",
    "participant_sms",
    "service_participant_chat",
];
const MESSAGES: &[&str] = &[
    "message",
    "message_content_template",
    "message_system_author",
    "message_with_media",
    "service_message",
];
const USERS: &[&str] = &["user", "service_user"];
const USER_CONVERSATIONS: &[&str] = &["user_conversation", "service_user_conversation"];
const MEDIA: &[&str] = &["mcs_media", "mcs_media_unattached"];
const CONFIGURATIONS: &[&str] = &["service_configuration"];
const LISTS: &[&str] = &[
    "conversations_list",
    "messages_list",
    "messages_list_last_only",
    "participants_list",
    "participant_conversations_by_identity",
    "participant_conversations_by_address",
    "user_conversations_list",
];

/// Resources this client does not ask for, and vectors.
const NOT_OURS: &[&str] = &[
    "access_token_vector",
    "address_configuration",
    "address_configurations_list",
    "binding",
    "configuration",
    "configuration_webhook",
    "credential",
    "delivery_receipt",
    "delivery_receipts_list",
    "error_codes",
    "mcs_media_set_request",
    "mcs_media_set_response",
    "openapi",
    "role",
    "roles_list",
    "service",
    "service_configuration_notification",
    "service_configuration_webhook",
    "services_list",
    "signature_vectors",
    "users_list",
    "webhook_form_signatures",
    "webhook_scoped",
    "webhooks_scoped_list",
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/twilio"))
}

fn body(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(name).with_extension("json")).unwrap()).unwrap()
}

/// Reads a body and says it again: what both have in common must be equal, dates as instants.
fn is_understood<T: DeserializeOwned + Serialize>(name: &str) {
    let given = body(name);
    let read: T = serde_json::from_value(given.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let said = serde_json::to_value(&read).unwrap();
    for (member, said) in said.as_object().unwrap() {
        let given = &given[member];
        let same_date = || {
            let date = |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok();
            date(given).is_some() && date(given) == date(said)
        };
        let is_subset = || said.as_object().is_some_and(|said| said.iter().all(|(k, v)| given[k] == *v));
        // `null` media is no media; the rest is the same text, number or null.
        let is_no_media =
            || member == "media" && given.is_null() && said.as_array().is_some_and(Vec::is_empty);
        assert!(
            given == said || same_date() || is_subset() || is_no_media(),
            "{name}.{member}: {given} became {said}"
        );
    }
}

#[test]
fn every_resource_is_understood() {
    CONVERSATIONS.iter().for_each(|name| is_understood::<Conversation>(name));
    PARTICIPANTS.iter().for_each(|name| is_understood::<Participant>(name));
    MESSAGES.iter().for_each(|name| is_understood::<Message>(name));
    USERS.iter().for_each(|name| is_understood::<User>(name));
    USER_CONVERSATIONS.iter().for_each(|name| is_understood::<UserConversation>(name));
    MEDIA.iter().for_each(|name| is_understood::<Media>(name));
    CONFIGURATIONS.iter().for_each(|name| is_understood::<ServiceConfiguration>(name));
}

#[test]
fn no_body_is_forgotten() {
    let known = [
        CONVERSATIONS,
        PARTICIPANTS,
        MESSAGES,
        USERS,
        USER_CONVERSATIONS,
        MEDIA,
        CONFIGURATIONS,
        LISTS,
        NOT_OURS,
    ];
    let known: BTreeSet<String> = known.concat().into_iter().map(str::to_owned).collect();
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !name.starts_with("error_2") && !name.starts_with("error_5"))
        .collect();
    assert_eq!(files, known);
}

#[test]
fn what_a_body_says_is_in_its_members() {
    let message: Message = serde_json::from_value(body("message_with_media")).unwrap();
    assert_eq!(message.body, None);
    assert_eq!(message.media[0].content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(message.delivery.unwrap().sent, DeliveryAmount::All);
    let closed: Conversation = serde_json::from_value(body("conversation_closed")).unwrap();
    assert_eq!(closed.state, ConversationState::Closed);
    let phone: Participant = serde_json::from_value(body("participant_sms")).unwrap();
    let binding = phone.messaging_binding.unwrap();
    assert_eq!(binding.proxy_address.as_deref(), Some("+15017122661"));
    let media: Media = serde_json::from_value(body("mcs_media")).unwrap();
    assert_eq!(media.temporary_url().unwrap().host_str(), Some("media.us1.twilio.com"));
}

#[test]
fn nulls_and_missing_members_are_taken_and_an_unknown_state_is_not() {
    let mut given = body("message");
    for member in ["author", "body", "media", "attributes", "participant_sid", "date_updated", "delivery"] {
        given[member] = Value::Null;
    }
    let message: Message = serde_json::from_value(given.clone()).unwrap();
    assert_eq!((message.author.as_str(), message.attributes.as_str()), ("", "{}"));
    given.as_object_mut().unwrap().retain(|name, value| !value.is_null() || name == "index");
    given["something_new"] = 1.into();
    assert_eq!(serde_json::from_value::<Message>(given).unwrap(), message);

    let mut given = body("conversation");
    given["state"] = "dormant".into();
    assert!(serde_json::from_value::<Conversation>(given).is_err());
}

#[tokio::test]
async fn every_list_is_understood() {
    let sid = "CHaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap();
    for name in LISTS {
        let mut list = body(name);
        // The samples of a list may name a next page that is the same again.
        list["meta"]["next_page_url"] = Value::Null;
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_body_json(list);
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let twilio = client(&server.uri());
        let items = match *name {
            "conversations_list" => twilio.list_conversations(50).await.unwrap().items.len(),
            "messages_list" | "messages_list_last_only" => {
                twilio.list_messages(sid, Order::NewestFirst, 100).await.unwrap().items.len()
            }
            "participants_list" => twilio.list_participants(sid).await.unwrap().len(),
            "participant_conversations_by_identity" => {
                twilio.list_participant_conversations("identity").await.unwrap().len()
            }
            "participant_conversations_by_address" => {
                twilio.list_address_conversations("+15558675310").await.unwrap().len()
            }
            "user_conversations_list" => twilio.list_user_conversations("alice").await.unwrap().len(),
            other => panic!("{other} is asked for by no one"),
        };
        assert!(items > 0, "{name}");
    }
}

fn webhook(name: &str) -> Webhook {
    let form = std::fs::read(folder().join("webhooks").join(name).with_extension("form")).unwrap();
    parse(Some("application/x-www-form-urlencoded; charset=utf-8"), form.trim_ascii_end())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Twilio's name for an event, as far as this client tells events apart.
fn name_of(event: &WebhookEvent) -> &str {
    match event {
        WebhookEvent::MessageAdded(_) => "onMessageAdded",
        WebhookEvent::MessageAdd { .. } => "onMessageAdd",
        WebhookEvent::MessageUpdated(_) => "onMessageUpdated",
        WebhookEvent::MessageRemoved { .. } => "onMessageRemoved",
        WebhookEvent::ConversationAdded(_) => "onConversationAdded",
        WebhookEvent::ConversationUpdated(_) => "onConversationUpdated",
        WebhookEvent::ConversationStateUpdated { .. } => "onConversationStateUpdated",
        WebhookEvent::ConversationRemoved { .. } => "onConversationRemoved",
        WebhookEvent::ParticipantAdded(_) => "onParticipantAdded",
        WebhookEvent::ParticipantUpdated(_) => "onParticipantUpdated",
        WebhookEvent::ParticipantRemoved(_) => "onParticipantRemoved",
        WebhookEvent::UserAdded(_) => "onUserAdded",
        WebhookEvent::UserUpdated(_) => "onUserUpdated",
        WebhookEvent::DeliveryUpdated { .. } => "onDeliveryUpdated",
        WebhookEvent::Unhandled { event_type } => event_type,
    }
}

#[test]
fn every_webhook_is_understood_as_a_form_and_as_json() {
    for entry in std::fs::read_dir(folder().join("webhooks")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let webhook = webhook(name);
        let said = name_of(&webhook.event);
        assert!(name.split('_').any(|part| part == said), "{name} is {said}");
        let is_pre =
            matches!(webhook.event, WebhookEvent::Unhandled { .. } | WebhookEvent::MessageAdd { .. });
        assert_eq!(is_pre, name.contains("_pre_"), "{name}");

        let form = std::fs::read(&path).unwrap();
        let members: serde_json::Map<String, Value> = form_urlencoded::parse(form.trim_ascii_end())
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
            .collect();
        let json = serde_json::to_vec(&members).unwrap();
        assert_eq!(parse(Some("application/json"), &json).unwrap(), webhook, "{name}");
    }
}

#[test]
fn a_captured_webhook_says_who_wrote_what_where() {
    let Webhook { source, client_identity, service_sid, event, .. } =
        webhook("webhook_captured_2025_onMessageAdded_scoped_media");
    assert_eq!(source, Source::Sdk);
    assert_eq!(client_identity.as_deref(), Some("atendimento2_2Erafa"));
    assert_eq!(service_sid.unwrap().to_string(), "IS38067ec392f1486bb6e4de4610f26fb3");
    let WebhookEvent::MessageAdded(message) = event else { panic!("{event:?}") };
    assert_eq!((message.index, message.body.as_deref()), (2, None));
    assert_eq!(message.media[0].filename.as_deref(), Some("batata.png"));
    assert_eq!(message.media[0].size, Some(254_586));
    assert_eq!(message.date_created.timestamp_subsec_millis(), 597);
}

#[test]
fn participants_look_the_same_as_over_rest() {
    let participant = |name| {
        let event = webhook(name).event;
        let (WebhookEvent::ParticipantAdded(participant) | WebhookEvent::ParticipantUpdated(participant)) =
            event
        else {
            panic!("{event:?}")
        };
        participant
    };
    let chat = participant("webhook_onParticipantAdded_chat");
    assert_eq!((chat.identity.as_deref(), chat.messaging_binding), (Some("bob"), None));
    let phone = participant("webhook_onParticipantAdded_sms");
    assert_eq!(phone.identity, None);
    let binding = phone.messaging_binding.unwrap();
    assert_eq!(binding.kind.as_deref(), Some("sms"));
    assert_eq!(binding.address.as_deref(), Some("+15558675310"));
    assert_eq!(participant("webhook_onParticipantUpdated").last_read_message_index, Some(3));
}

#[test]
fn states_deliveries_and_presence_are_told() {
    assert!(matches!(
        webhook("webhook_onConversationStateUpdated").event,
        WebhookEvent::ConversationStateUpdated {
            from: ConversationState::Active,
            to: ConversationState::Closed,
            reason: Some(reason),
            ..
        } if reason == "TIMER"
    ));
    assert!(matches!(
        webhook("webhook_onDeliveryUpdated_undelivered").event,
        WebhookEvent::DeliveryUpdated { status: DeliveryStatus::Undelivered, error_code: Some(30003), .. }
    ));
    let WebhookEvent::UserUpdated(user) = webhook("webhook_onUserUpdated").event else { panic!() };
    assert_eq!((user.is_online, user.is_notifiable), (Some(true), Some(false)));
    assert_eq!(webhook("webhook_onMessageAdded_sms").source, Source::Channel("SMS".to_owned()));
}

#[test]
fn what_is_no_webhook_is_refused_with_the_reason() {
    let form = |body: &[u8]| parse(None, body);
    let sid = "AC00000000000000000000000000000001";
    assert_eq!(form(b""), Err(WebhookError::Missing("AccountSid")));
    assert_eq!(form(b"AccountSid=AC1"), Err(WebhookError::Invalid("AccountSid")));
    assert_eq!(form(format!("AccountSid={sid}").as_bytes()), Err(WebhookError::Missing("EventType")));
    let event = format!("AccountSid={sid}&EventType=onMessageAdded");
    assert_eq!(form(event.as_bytes()), Err(WebhookError::Missing("MessageSid")));
    assert!(matches!(form(b"AccountSid=%FF"), Err(WebhookError::Form(_))));
    assert!(matches!(form("a=1&".repeat(201).as_bytes()), Err(WebhookError::Form(_))));
    assert_eq!(parse(Some("application/json"), b"[1]"), Err(WebhookError::Json));
    assert_eq!(parse(Some("application/json"), b"{"), Err(WebhookError::Json));
    assert_eq!(parse(Some("text/xml"), b"<a/>"), Err(WebhookError::ContentType));
    let future = format!("AccountSid={sid}&EventType=onMessagePinned");
    assert_eq!(
        form(future.as_bytes()).unwrap().event,
        WebhookEvent::Unhandled { event_type: "onMessagePinned".to_owned() }
    );
}

proptest::proptest! {
    #[test]
    fn no_body_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..256)) {
        let _ = parse(None, &body);
        let _ = parse(Some("application/json"), &body);
    }
}
