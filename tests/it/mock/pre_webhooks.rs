//! Pre-webhooks: who is asked, with which fields; what they may change, and how they refuse.

use std::time::Duration;

use serde_json::{Value, json};

use super::listener::{Listener, Manner, SOON, assert_fields};
use super::twilio::Twilio;

/// Has the account ask `listener` before everything.
async fn asking(twilio: &Twilio, listener: &Listener) {
    let mut form = vec![("PreWebhookUrl", listener.url.as_str())];
    let events = [
        "onMessageAdd",
        "onMessageUpdate",
        "onMessageRemove",
        "onConversationAdd",
        "onConversationUpdate",
        "onConversationRemove",
        "onParticipantAdd",
        "onParticipantUpdate",
        "onParticipantRemove",
        "onUserUpdate",
    ];
    form.extend(events.map(|event| ("Filters", event)));
    twilio.post("/v1/Configuration/Webhooks", &form).await.expect(200);
}

async fn scene() -> (Twilio, Listener, String) {
    let (twilio, listener) = (Twilio::start().await, Listener::start(Manner::Polite).await);
    let conversation = twilio.conversation().await;
    twilio.join(&conversation, "alice").await;
    asking(&twilio, &listener).await;
    (twilio, listener, conversation)
}

fn sid_of(conversation: &str) -> &str {
    conversation.rsplit_once('/').unwrap().1
}

async fn stored(twilio: &Twilio, conversation: &str) -> Vec<Value> {
    twilio.get(&format!("{conversation}/Messages")).await.body["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_question_has_the_fields_of_its_sample() {
    let (twilio, mut listener, _) = scene().await;
    // The samples came from an SDK; over REST there is no ClientIdentity.
    let mut hears = async |event: &str, client: bool| {
        let mut told = listener.next().await;
        assert_eq!(told.event(), event, "{told:?}");
        if client {
            told.form.insert("ClientIdentity".to_owned(), "alice".to_owned());
        }
        assert_fields(&told, &format!("webhook_pre_{event}.form"));
        told
    };
    let form = [("FriendlyName", "Home Repair Visit"), ("UniqueName", "order-42")];
    twilio.announce("/v1/Conversations", &form).await.expect(201);
    hears("onConversationAdd", true).await;
    let conversation = "/v1/Conversations/order-42";
    twilio.announce(conversation, &[("FriendlyName", "Repaired")]).await.expect(200);
    assert_eq!(hears("onConversationUpdate", true).await.field("FriendlyName"), "Repaired");
    twilio.announce(&format!("{conversation}/Participants"), &[("Identity", "bob")]).await.expect(201);
    hears("onParticipantAdd", true).await;
    let bob = format!("{conversation}/Participants/bob");
    twilio.announce(&bob, &[("Attributes", r#"{"a":1}"#)]).await.expect(200);
    assert_eq!(hears("onParticipantUpdate", true).await.field("Attributes"), r#"{"a":1}"#);
    twilio.announce("/v1/Users/bob", &[("FriendlyName", "Bob")]).await.expect(200);
    hears("onUserUpdate", true).await;

    let sid = twilio.get(conversation).await.sid();
    let message = json!({"conversation_sid": sid, "identity": "bob", "body": "Hello there"});
    let message = twilio.control("/_mock/sdk-message", &message).await.expect(200);
    let told = hears("onMessageAdd", false).await;
    assert_eq!((told.field("Source"), told.field("ClientIdentity")), ("SDK", "bob"));
    let edit = json!({
        "conversation_sid": sid, "message_sid": message.text("message_sid"), "identity": "bob", "body": "Hello again",
    });
    twilio.control("/_mock/sdk-edit", &edit).await.expect(200);
    assert_eq!(hears("onMessageUpdate", false).await.field("Body"), "Hello again");
    let delete =
        json!({"conversation_sid": sid, "message_sid": message.text("message_sid"), "identity": "bob"});
    twilio.control("/_mock/sdk-delete", &delete).await.expect(204);
    hears("onMessageRemove", false).await;
    twilio.announce_delete(&bob).await.expect(204);
    hears("onParticipantRemove", true).await;
    twilio.announce_delete(conversation).await.expect(204);
    hears("onConversationRemove", true).await;
    assert!(listener.unheard().is_none());
}

#[tokio::test]
async fn an_answer_changes_what_is_stored() {
    let (twilio, mut listener, conversation) = scene().await;
    let messages = format!("{conversation}/Messages");
    let answer =
        r#"{"body":"hello","author":"carol","attributes":"{\"seen\":true}","friendly_name":"ignored"}"#;
    listener.answers([Manner::Saying(200, answer)]);
    let made = twilio.announce(&messages, &[("Author", "alice"), ("Body", "hi")]).await.expect(201);
    assert_eq!(listener.next().await.field("Body"), "hi");
    assert_eq!((made.text("body"), made.text("author")), ("hello", "carol"));
    assert_eq!((made.text("attributes"), &made.body["participant_sid"]), (r#"{"seen":true}"#, &Value::Null));

    listener.answers([Manner::Saying(200, r#"{"attributes":"[]"}"#)]);
    let path = format!("{messages}/{}", made.sid());
    let changed = twilio.announce(&path, &[("Body", "bye")]).await.expect(200);
    assert_eq!(
        (changed.text("body"), changed.text("author"), changed.text("attributes")),
        ("bye", "carol", "[]")
    );

    listener.answers([Manner::Saying(200, r#"{"friendly_name":"Ours"}"#), Manner::Saying(200, "{}")]);
    let made = twilio.announce("/v1/Conversations", &[("FriendlyName", "Theirs")]).await.expect(201);
    assert_eq!(made.text("friendly_name"), "Ours");
    let path = format!("/v1/Conversations/{}", made.sid());
    let kept = twilio.announce(&path, &[("FriendlyName", "Theirs")]).await.expect(200);
    assert_eq!(kept.text("friendly_name"), "Theirs");
    // What is not JSON asks for nothing.
    listener.answers([Manner::Saying(200, "<Response/>")]);
    assert_eq!(
        twilio.announce(&messages, &[("Body", "as it is")]).await.expect(201).text("body"),
        "as it is"
    );
}

#[tokio::test]
async fn a_change_that_breaks_the_rules_is_the_originators_error() {
    let (twilio, listener, conversation) = scene().await;
    let messages = format!("{conversation}/Messages");
    for (answer, code) in [
        (r#"{"attributes":"{"}"#, 50304),
        (r#"{"body":5}"#, 20422),
        (r#"{"body":""}"#, 50503),
        (
            r#"{"author":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
            50310,
        ),
    ] {
        listener.answers([Manner::Saying(200, answer)]);
        twilio.announce(&messages, &[("Body", "hi")]).await.refused(400, code);
    }
    assert!(stored(&twilio, &conversation).await.is_empty());
}

#[tokio::test]
async fn whatever_is_not_200_refuses_and_nothing_happens() {
    let (twilio, mut listener, conversation) = scene().await;
    let mut post = Listener::start(Manner::Polite).await;
    twilio.mock.set_webhook_url(Some(post.url.clone()));
    let messages = format!("{conversation}/Messages");
    for status in [400, 403, 500, 503, 204, 302] {
        listener.answers([Manner::Saying(status, "")]);
        twilio.announce(&messages, &[("Body", "hi")]).await.refused(400, 50056);
        assert_eq!(listener.next().await.event(), "onMessageAdd");
    }
    let sdk = json!({"conversation_sid": sid_of(&conversation), "identity": "alice", "body": "hi"});
    listener.answers([Manner::Saying(403, "")]);
    let answer = twilio.control("/_mock/sdk-message", &sdk).await.expect(400);
    assert_eq!(answer.code(), 50056);
    assert!(stored(&twilio, &conversation).await.is_empty());

    listener.answers([Manner::Saying(403, ""), Manner::Saying(403, ""), Manner::Saying(403, "")]);
    let participants = format!("{conversation}/Participants");
    twilio.announce(&participants, &[("Identity", "bob")]).await.refused(400, 50056);
    twilio.get("/v1/Users/bob").await.refused(404, 20404);
    twilio.announce_delete(&format!("{participants}/alice")).await.refused(400, 50056);
    twilio.get(&format!("{participants}/alice")).await.expect(200);
    twilio.announce_delete(&conversation).await.refused(400, 50056);
    twilio.get(&conversation).await.expect(200);
    assert!(post.unheard().is_none(), "what does not happen is not told");
}

#[tokio::test]
async fn nobody_is_asked_about_silent_rest_calls_or_events_not_filtered() {
    let (twilio, mut listener, conversation) = scene().await;
    twilio.write(&conversation, "alice", "silent").await;
    twilio.post(&conversation, &[("FriendlyName", "x")]).await.expect(200);
    // What breaks the rules is refused before anybody is asked.
    twilio.announce(&format!("{conversation}/Messages"), &[]).await.refused(400, 50503);
    twilio.post("/v1/Configuration/Webhooks", &[("Filters", "onUserUpdate")]).await.expect(200);
    twilio.announce(&format!("{conversation}/Messages"), &[("Body", "x")]).await.expect(201);
    assert!(listener.unheard().is_none());
    twilio.announce("/v1/Users/alice", &[("FriendlyName", "Alice")]).await.expect(200);
    assert_eq!(listener.next().await.event(), "onUserUpdate");
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for_beyond_five_seconds_and_blocks_nobody_else() {
    let (twilio, mut listener, conversation) = scene().await;
    listener.answers([Manner::Silent]);
    let messages = format!("{conversation}/Messages");
    let started = std::time::Instant::now();
    let (made, ()) = tokio::join!(twilio.announce(&messages, &[("Body", "patient")]), async {
        listener.next().await;
        let meanwhile =
            tokio::time::timeout(Duration::from_secs(2), twilio.write(&conversation, "alice", "quick"));
        meanwhile.await.expect("an answer while another waits");
    });
    assert_eq!(made.expect(201).body["index"], json!(1));
    assert!(started.elapsed() >= Duration::from_millis(4900), "{:?}", started.elapsed());
    assert!(started.elapsed() < SOON);
    let bodies: Vec<_> =
        stored(&twilio, &conversation).await.iter().map(|found| found["body"].clone()).collect();
    assert_eq!(bodies, ["quick", "patient"]);
    let entry = twilio.mock.webhooks().into_iter().find(|entry| entry.event == "onMessageAdd").unwrap();
    assert_eq!((entry.status, entry.error.as_deref()), (None, Some("no answer within 5 s")));
}

#[tokio::test]
async fn a_question_is_repeated_when_the_service_says_so() {
    let (twilio, mut listener, conversation) = scene().await;
    let service = format!("/v2/Services/{}", twilio.mock.service_sid());
    twilio.post(&service, &[("PreWebhookRetryCount", "1")]).await.expect(200);
    listener.answers([Manner::Saying(503, ""), Manner::Saying(200, r#"{"body":"second try"}"#)]);
    let messages = format!("{conversation}/Messages");
    let made = twilio.announce(&messages, &[("Body", "first try")]).await.expect(201);
    assert_eq!(made.text("body"), "second try");
    let (first, second) = (listener.next().await, listener.next().await);
    assert_eq!((first.field("RetryCount"), second.field("RetryCount")), ("0", "1"));
    assert_eq!(first.headers["i-twilio-idempotency-token"], second.headers["i-twilio-idempotency-token"]);
}

#[tokio::test]
async fn the_service_is_asked_after_the_account_and_has_the_last_word() {
    let (twilio, mut account, conversation) = scene().await;
    let mut service = Listener::start(Manner::Polite).await;
    let path = format!("/v1/Services/{}/Configuration/Webhooks", twilio.mock.service_sid());
    let form = [("PreWebhookUrl", service.url.as_str()), ("Filters", "onMessageAdd"), ("Method", "GET")];
    twilio.post(&path, &form).await.expect(200);
    account.answers([Manner::Saying(200, r#"{"body":"account","author":"carol"}"#)]);
    service.answers([Manner::Saying(200, r#"{"body":"service"}"#)]);
    let made = twilio.announce(&format!("{conversation}/Messages"), &[("Body", "hi")]).await.expect(201);
    assert_eq!((made.text("body"), made.text("author")), ("service", "carol"));
    assert_eq!(account.next().await.field("Body"), "hi");
    assert_eq!(service.next().await.field("Body"), "hi");
}

#[tokio::test]
async fn a_conversation_with_participants_is_asked_about_as_a_whole() {
    let (twilio, mut listener, _) = scene().await;
    twilio.control("/_mock/switches", &json!({"initializing_ms": 0})).await.expect(200);
    let form = [("UniqueName", "team"), ("Participant", r#"{"identity":"bob"}"#)];
    listener.answers([Manner::Saying(403, ""), Manner::Saying(200, r#"{"friendly_name":"Ours"}"#)]);
    twilio.announce("/v1/ConversationWithParticipants", &form).await.refused(400, 50056);
    twilio.get("/v1/Conversations/team").await.refused(404, 20404);
    let made = twilio.announce("/v1/ConversationWithParticipants", &form).await.expect(202);
    assert_eq!(made.text("friendly_name"), "Ours");
    for _ in 0..2 {
        assert_eq!(listener.next().await.event(), "onConversationAdd");
    }
    assert_eq!(twilio.get("/v1/Conversations/team").await.text("state"), "active");
    twilio.get("/v1/Conversations/team/Participants/bob").await.expect(200);
    assert!(listener.unheard().is_none());
}

#[tokio::test]
async fn texts_from_outside_are_asked_about_and_a_lost_question_stops_nobody() {
    let (twilio, mut listener, conversation) = scene().await;
    twilio.join_by_sms(&conversation, "+15558675310").await;
    let text = json!({"from": "+15558675310", "body": "hi"});
    listener.answers([Manner::Saying(403, ""), Manner::Saying(200, r#"{"body":"hello"}"#)]);
    assert_eq!(twilio.control("/_mock/inbound-sms", &text).await.expect(400).code(), 50056);
    twilio.control("/_mock/inbound-sms", &text).await.expect(200);
    for _ in 0..2 {
        let asked = listener.next().await;
        assert_eq!((asked.event(), asked.field("Source")), ("onMessageAdd", "SMS"));
    }
    let lost = json!({"webhook": "^onMessageAdd$", "times": 1, "action": {"drop": true}});
    twilio.control("/_mock/faults", &lost).await.expect(200);
    twilio.control("/_mock/inbound-sms", &text).await.expect(200);
    // Nobody listens there: no answer is no refusal.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/");
    twilio.post("/v1/Configuration/Webhooks", &[("PreWebhookUrl", url.as_str())]).await.expect(200);
    twilio.control("/_mock/inbound-sms", &text).await.expect(200);
    let bodies: Vec<_> =
        stored(&twilio, &conversation).await.iter().map(|found| found["body"].clone()).collect();
    assert_eq!(bodies, ["hello", "hi", "hi"]);
    assert!(listener.unheard().is_none());
}
