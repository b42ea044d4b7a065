//! Webhooks as the mock Twilio sends them over the wire: signed so that the validator accepts them, and saying the same as
//! REST did.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use switchboard::mock::{Mock, Options};
use switchboard::twilio::{
    Client, ConversationChanges, ConversationState, Deadlines, MessageChanges, NewConversation, NewMessage,
    NewUser, ParticipantChanges, Settings, Source, UserChanges, Validator, Webhook, WebhookEvent, parse,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The mock, a client of it, and the webhooks it has sent, read and found genuine.
struct Scene {
    _mock: Mock,
    twilio: Client,
    webhooks: mpsc::UnboundedReceiver<Webhook>,
}

impl Scene {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/twilio", listener.local_addr().unwrap());
        let options = Options { webhook_url: Some(url.clone()), ..Options::default() };
        let mock = Mock::start(options).await.unwrap();
        let (heard, webhooks) = mpsc::unbounded_channel();
        let validator = Validator::new(vec![mock.auth_token().into()]);
        let receive = async move |headers: HeaderMap, body: Bytes| {
            let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            assert!(validator.accepts_form(&url, &body, text("x-twilio-signature")), "a forged webhook");
            heard.send(parse(Some(text("content-type")), &body).unwrap()).unwrap();
            StatusCode::OK
        };
        let router = axum::Router::new().route("/webhooks/twilio", post(receive));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let twilio = Client::new(Settings {
            username: mock.api_key_sid().to_owned(),
            password: mock.api_key_secret().into(),
            service_sid: mock.service_sid().parse().unwrap(),
            conversations_url: mock.url().parse().unwrap(),
            media_url: mock.url().parse().unwrap(),
            max_concurrency: 20,
            deadlines: Deadlines::default(),
        })
        .unwrap();
        Self { _mock: mock, twilio, webhooks }
    }

    /// The next webhook, which must come soon.
    async fn heard(&mut self) -> WebhookEvent {
        let webhook = tokio::time::timeout(Duration::from_secs(5), self.webhooks.recv()).await;
        let webhook = webhook.expect("a webhook in time").unwrap();
        assert_eq!(webhook.service_sid, Some(self.twilio.service_sid()));
        assert_eq!((webhook.source, webhook.retry_count), (Source::Api, 0));
        webhook.event
    }

    /// The next webhook but those about users, whose place among the others is not promised.
    async fn heard_but_users(&mut self) -> WebhookEvent {
        loop {
            let event = self.heard().await;
            if !matches!(event, WebhookEvent::UserAdded(_)) {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn what_is_written_over_rest_is_heard_as_it_was_answered() {
    let mut scene = Scene::start().await;
    let new = NewConversation {
        friendly_name: Some("Visite à domicile 😀".to_owned()),
        attributes: Some(r#"{"topic":"a & b"}"#.to_owned()),
        ..NewConversation::default()
    };
    let conversation = scene.twilio.create_conversation(&new).await.unwrap();
    let sid = conversation.sid;
    let WebhookEvent::ConversationAdded(heard) = scene.heard().await else { panic!() };
    assert_eq!((heard.sid, &heard.friendly_name), (sid, &conversation.friendly_name));
    assert_eq!((heard.attributes, heard.state), (conversation.attributes, ConversationState::Active));

    let alice = scene.twilio.add_chat_participant(sid, "alice", None).await.unwrap();
    let WebhookEvent::ParticipantAdded(heard) = scene.heard_but_users().await else { panic!() };
    assert_eq!((heard.sid, heard.identity, heard.role_sid), (alice.sid, alice.identity, alice.role_sid));
    assert_eq!(heard.messaging_binding, None);

    let new = NewMessage {
        author: "alice".to_owned(),
        body: Some("1 + 1 = 2 & more; ñ 😀\nnext line".to_owned()),
        attributes: Some(r#"{"key":"value"}"#.to_owned()),
        media_sid: None,
    };
    let message = scene.twilio.create_message(sid, &new).await.unwrap();
    let WebhookEvent::MessageAdded(heard) = scene.heard_but_users().await else { panic!() };
    assert_eq!(
        (heard.sid, heard.index, heard.participant_sid),
        (message.sid, message.index, Some(alice.sid))
    );
    assert_eq!(
        (heard.author, heard.body, heard.attributes),
        (message.author, message.body, message.attributes)
    );
    // Webhooks have milliseconds, REST has not.
    assert_eq!(heard.date_created.timestamp(), message.date_created.timestamp());

    let changes = MessageChanges { body: Some("changed".to_owned()), ..MessageChanges::default() };
    scene.twilio.update_message(sid, message.sid, &changes).await.unwrap();
    let WebhookEvent::MessageUpdated(heard) = scene.heard().await else { panic!() };
    assert_eq!((heard.sid, heard.body.as_deref()), (message.sid, Some("changed")));

    let changes = ParticipantChanges { last_read_message_index: Some(0), ..ParticipantChanges::default() };
    scene.twilio.update_participant(sid, alice.sid, &changes).await.unwrap();
    let WebhookEvent::ParticipantUpdated(heard) = scene.heard().await else { panic!() };
    assert_eq!((heard.sid, heard.last_read_message_index), (alice.sid, Some(0)));

    scene.twilio.delete_message(sid, message.sid).await.unwrap();
    let WebhookEvent::MessageRemoved { message_sid, index, .. } = scene.heard().await else { panic!() };
    assert_eq!((message_sid, index), (message.sid, message.index));

    scene.twilio.remove_participant(sid, alice.sid).await.unwrap();
    let WebhookEvent::ParticipantRemoved(heard) = scene.heard().await else { panic!() };
    assert_eq!(heard.sid, alice.sid);

    scene.twilio.delete_conversation(sid).await.unwrap();
    assert_eq!(scene.heard().await, WebhookEvent::ConversationRemoved { conversation_sid: sid });
}

#[tokio::test]
async fn a_file_in_a_message_is_heard_with_the_message() {
    let mut scene = Scene::start().await;
    let sid = scene.twilio.create_conversation(&NewConversation::default()).await.unwrap().sid;
    scene.heard().await;
    let bytes = Bytes::from_static(b"not a picture");
    let media = scene.twilio.upload_media(bytes, "image/png", Some("ein Bild & mehr.png")).await.unwrap();
    let new = NewMessage { author: "alice".to_owned(), media_sid: Some(media.sid), ..NewMessage::default() };
    let message = scene.twilio.create_message(sid, &new).await.unwrap();
    let WebhookEvent::MessageAdded(heard) = scene.heard().await else { panic!() };
    assert_eq!((heard.body, &heard.media), (None, &message.media));
    assert_eq!(heard.media[0].filename.as_deref(), Some("ein Bild & mehr.png"));
    assert_eq!(heard.media[0].size, Some(13));
    assert!(scene.twilio.fetch_media(media.sid).await.unwrap().temporary_url().is_some());
}

#[tokio::test]
async fn a_changed_state_and_a_changed_user_are_heard() {
    let mut scene = Scene::start().await;
    let sid = scene.twilio.create_conversation(&NewConversation::default()).await.unwrap().sid;
    scene.heard().await;
    let close =
        ConversationChanges { state: Some(ConversationState::Closed), ..ConversationChanges::default() };
    scene.twilio.update_conversation(sid, &close).await.unwrap();
    let is_state = |event: &WebhookEvent| {
        let (from, to) = (ConversationState::Active, ConversationState::Closed);
        matches!(event, WebhookEvent::ConversationStateUpdated { conversation_sid, from: f, to: t, .. }
            if (*conversation_sid, *f, *t) == (sid, from, to))
    };
    // Twilio may announce the change of the conversation as well.
    while !is_state(&scene.heard().await) {}

    let mut scene = Scene::start().await;
    let new = NewUser { identity: "alice".to_owned(), ..NewUser::default() };
    let user = scene.twilio.create_user(&new).await.unwrap();
    let WebhookEvent::UserAdded(heard) = scene.heard().await else { panic!() };
    assert_eq!((heard.sid, heard.identity), (user.sid, user.identity));
    let changes = UserChanges { friendly_name: Some("Alice B.".to_owned()), ..UserChanges::default() };
    scene.twilio.update_user("alice", &changes).await.unwrap();
    let WebhookEvent::UserUpdated(heard) = scene.heard().await else { panic!() };
    assert_eq!(heard.friendly_name.as_deref(), Some("Alice B."));
}
