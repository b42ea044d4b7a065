//! Webhooks out: which events are told, with which fields, signed, in order, and without anybody waiting for them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use switchboard::mock::{Mock, Options};

use super::listener::{Listener, Manner, SOON, assert_fields};
use super::twilio::Twilio;

async fn listening() -> (Twilio, Listener) {
    let listener = Listener::start(Manner::Polite).await;
    let options = Options { webhook_url: Some(listener.url.clone()), ..Options::default() };
    (Twilio::with(options).await, listener)
}

#[tokio::test]
async fn rest_changes_are_told_when_asked_and_never_otherwise() {
    let (twilio, mut listener) = listening().await;
    let conversation = twilio.conversation().await;
    twilio.join(&conversation, "alice").await;
    let message = twilio.write(&conversation, "alice", "silent").await.sid();
    twilio.post(&format!("{conversation}/Messages/{message}"), &[("Body", "still")]).await.expect(200);
    listener.hears_nothing_else(&twilio).await;

    let message = twilio.announce(&format!("{conversation}/Messages"), &[("Body", "hi")]).await.expect(201);
    let told = listener.hears("onMessageAdded", "webhook_onMessageAdded_api_echo.form").await;
    assert_eq!((told.form["Source"].as_str(), told.form["Index"].as_str()), ("API", "1"));
    assert_eq!(told.form["MessageSid"], message.sid());
    assert_eq!(told.form["ChatServiceSid"], twilio.mock.service_sid());
}

#[tokio::test]
async fn every_event_has_the_fields_of_its_sample() {
    let (twilio, mut listener) = listening().await;
    let form = [("FriendlyName", "Home Repair Visit"), ("UniqueName", "order-42")];
    twilio.announce("/v1/Conversations", &form).await.expect(201);
    let sample = |name: &str| format!("webhook_{name}.form");
    // The samples of these came from an SDK; over REST there is no ClientIdentity.
    let mut hears = async |event: &str, file: &str, client: bool| {
        let mut told = listener.next().await;
        assert_eq!(told.event(), event, "{told:?}");
        if client {
            told.form.insert("ClientIdentity".to_owned(), "alice".to_owned());
        }
        assert_fields(&told, &sample(file));
    };
    hears("onConversationAdded", "onConversationAdded", true).await;
    let conversation = "/v1/Conversations/order-42";
    twilio.announce("/v1/Users", &[("Identity", "alice"), ("FriendlyName", "Alice")]).await.expect(201);
    hears("onUserAdded", "onUserAdded", false).await;
    twilio.announce("/v1/Users/alice", &[("FriendlyName", "Alice B.")]).await.expect(200);
    hears("onUserUpdated", "onUserUpdated", true).await;
    let participants = format!("{conversation}/Participants");
    twilio.announce(&participants, &[("Identity", "alice")]).await.expect(201);
    hears("onParticipantAdded", "onParticipantAdded_chat", true).await;
    let sms = [
        ("MessagingBinding.Address", "+15558675310"),
        ("MessagingBinding.ProxyAddress", twilio.mock.phone_number()),
    ];
    let phone = twilio.announce(&participants, &sms).await.expect(201).sid();
    hears("onParticipantAdded", "onParticipantAdded_sms", false).await;
    let alice = format!("{participants}/alice");
    twilio.announce(&alice, &[("LastReadMessageIndex", "3")]).await.expect(200);
    hears("onParticipantUpdated", "onParticipantUpdated", true).await;
    let form = [("Author", "alice"), ("Body", "Hello there")];
    let message = twilio.announce(&format!("{conversation}/Messages"), &form).await.expect(201);
    hears("onMessageAdded", "onMessageAdded", true).await;
    let path = format!("{conversation}/Messages/{}", message.sid());
    twilio.announce(&path, &[("Body", "Hello again")]).await.expect(200);
    hears("onMessageUpdated", "onMessageUpdated", true).await;
    for (status, error_code, file) in [
        ("delivered", None, "onDeliveryUpdated"),
        ("undelivered", Some(30003), "onDeliveryUpdated_undelivered"),
    ] {
        let report = json!({
            "conversation_sid": message.text("conversation_sid"), "message_sid": message.sid(),
            "participant_sid": phone, "status": status, "error_code": error_code,
        });
        twilio.control("/_mock/delivery", &report).await.expect(200);
        hears("onDeliveryUpdated", file, false).await;
    }
    twilio.announce_delete(&path).await.expect(204);
    hears("onMessageRemoved", "onMessageRemoved", true).await;
    let media = twilio.upload("?Filename=car.jpg", "image/jpeg", vec![0]).await.expect(201).sid();
    let form = [("Author", "alice"), ("MediaSid", media.as_str())];
    twilio.announce(&format!("{conversation}/Messages"), &form).await.expect(201);
    hears("onMessageAdded", "onMessageAdded_media", true).await;
    twilio.announce_delete(&alice).await.expect(204);
    hears("onParticipantRemoved", "onParticipantRemoved", true).await;
    twilio.announce(conversation, &[("State", "inactive")]).await.expect(200);
    hears("onConversationStateUpdated", "onConversationStateUpdated", false).await;
    hears("onConversationUpdated", "onConversationUpdated", true).await;
    twilio.announce_delete(conversation).await.expect(204);
    hears("onConversationRemoved", "onConversationRemoved", true).await;
}

#[tokio::test]
async fn a_new_identity_is_told_as_a_user_first() {
    let (twilio, mut listener) = listening().await;
    let conversation = twilio.conversation().await;
    twilio.announce(&format!("{conversation}/Participants"), &[("Identity", "alice")]).await.expect(201);
    let events =
        BTreeSet::from([listener.next().await.event().to_owned(), listener.next().await.event().to_owned()]);
    assert_eq!(events, BTreeSet::from(["onParticipantAdded".to_owned(), "onUserAdded".to_owned()]));
}

#[tokio::test]
async fn what_comes_from_outside_is_always_told() {
    let (twilio, mut listener) = listening().await;
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1;
    twilio.join(&conversation, "alice").await;
    twilio.join_by_sms(&conversation, "+15558675310").await;
    let sdk = json!({"conversation_sid": sid, "identity": "alice", "body": "hi"});
    twilio.control("/_mock/sdk-message", &sdk).await.expect(200);
    let told = listener.hears("onMessageAdded", "webhook_onMessageAdded.form").await;
    assert_eq!((told.form["Source"].as_str(), told.form["ClientIdentity"].as_str()), ("SDK", "alice"));
    let sms = json!({"from": "+15558675310", "body": "Is my car ready?"});
    twilio.control("/_mock/inbound-sms", &sms).await.expect(200);
    let told = listener.hears("onMessageAdded", "webhook_onMessageAdded_sms.form").await;
    assert_eq!((told.form["Source"].as_str(), told.form["Author"].as_str()), ("SMS", "+15558675310"));
    let path = format!("/v1/Services/{}/Configuration", twilio.mock.service_sid());
    twilio.post(&path, &[("ReachabilityEnabled", "true")]).await.expect(200);
    twilio.control("/_mock/user-online", &json!({"identity": "alice", "online": true})).await.expect(200);
    assert_eq!(listener.next().await.form["isOnline"], "true");
}

#[tokio::test]
async fn states_change_by_timers_and_by_messages_and_say_why() {
    let (twilio, mut listener) = listening().await;
    let form = [("Timers.Inactive", "PT1M"), ("UniqueName", "timed")];
    twilio.post("/v1/Conversations", &form).await.expect(201);
    twilio.control("/_mock/clock", &json!({"advance_ms": 61_000})).await.expect(200);
    let told = listener.hears("onConversationStateUpdated", "webhook_onConversationStateUpdated.form").await;
    assert_eq!(
        [&told.form["StateFrom"], &told.form["StateTo"], &told.form["Reason"]],
        ["active", "inactive", "TIMER"]
    );
    twilio.announce("/v1/Conversations/timed/Messages", &[("Body", "x")]).await.expect(201);
    assert_eq!(listener.next().await.event(), "onMessageAdded");
    let told = listener.next().await;
    assert_eq!([&told.form["StateTo"], &told.form["Reason"]], ["active", "EVENT"]);
}

#[tokio::test]
async fn a_webhook_may_be_a_get_and_a_trigger_hears_its_keyword() {
    let (twilio, mut listener) = listening().await;
    twilio.post("/v1/Configuration/Webhooks", &[("Method", "GET")]).await.expect(200);
    let conversation = twilio.conversation().await;
    let messages = format!("{conversation}/Messages");
    twilio.announce(&messages, &[("Body", "it's é & +")]).await.expect(201);
    assert_eq!(listener.next().await.form["Body"], "it's é & +");

    twilio.mock.set_webhook_url(None);
    let mut scoped = Listener::start(Manner::Polite).await;
    let form = [
        ("Target", "trigger"),
        ("Configuration.Url", scoped.url.as_str()),
        ("Configuration.Triggers", "help"),
        ("Configuration.Triggers", "agent"),
    ];
    twilio.post(&format!("{conversation}/Webhooks"), &form).await.expect(201);
    for body in ["hello", "an agent, please"] {
        twilio.announce(&messages, &[("Body", body)]).await.expect(201);
    }
    assert_eq!(scoped.next().await.form["Body"], "an agent, please");
}

#[tokio::test]
async fn a_conversation_is_told_in_order() {
    let (twilio, mut listener) = listening().await;
    let conversation = twilio.conversation().await;
    for _ in 0..50 {
        twilio.announce(&format!("{conversation}/Messages"), &[("Body", "x")]).await.expect(201);
    }
    for index in 0..50 {
        assert_eq!(listener.next().await.form["Index"], index.to_string());
    }
}

#[tokio::test]
async fn filters_choose_and_scoped_webhooks_name_themselves() {
    let (twilio, mut listener) = listening().await;
    let conversation = twilio.conversation().await;
    twilio.post("/v1/Configuration/Webhooks", &[("Filters", "onUserAdded")]).await.expect(200);
    twilio.announce(&format!("{conversation}/Messages"), &[("Body", "x")]).await.expect(201);
    listener.hears_nothing_else(&twilio).await;

    let mut scoped = Listener::start(Manner::Polite).await;
    let form = [
        ("Target", "webhook"),
        ("Configuration.Url", scoped.url.as_str()),
        ("Configuration.Filters", "onMessageAdded"),
    ];
    let webhook = twilio.post(&format!("{conversation}/Webhooks"), &form).await.expect(201);
    twilio.join(&conversation, "alice").await;
    let sid = conversation.rsplit_once('/').unwrap().1;
    let sdk = json!({"conversation_sid": sid, "identity": "alice", "body": "hi"});
    twilio.control("/_mock/sdk-message", &sdk).await.expect(200);
    let told = scoped.hears("onMessageAdded", "webhook_onMessageAdded_scoped.form").await;
    assert_eq!(told.form["WebhookSid"], webhook.sid());

    // The service's webhook is told beside the account's, but one address hears an event once.
    twilio.post("/v1/Configuration/Webhooks", &[("Filters", "onMessageAdded")]).await.expect(200);
    let path = format!("/v1/Services/{}/Configuration/Webhooks", twilio.mock.service_sid());
    twilio.post(&path, &[("PostWebhookUrl", &listener.url)]).await.expect(200);
    twilio.control("/_mock/sdk-message", &sdk).await.expect(200);
    assert_eq!(listener.next().await.event(), "onMessageAdded");
    listener.hears_nothing_else(&twilio).await;
}

#[tokio::test]
async fn nobody_waits_for_a_listener_and_failures_are_in_the_journal() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let messages = format!("{conversation}/Messages");
    let mut silent = Listener::start(Manner::Silent).await;
    twilio.mock.set_webhook_url(Some(silent.url.clone()));
    let answer =
        tokio::time::timeout(Duration::from_secs(3), twilio.announce(&messages, &[("Body", "x")])).await;
    answer.expect("an answer before the webhook is given up").expect(201);
    silent.next().await;

    let mut failing = Listener::start(Manner::Failing).await;
    twilio.mock.set_webhook_url(Some(failing.url.clone()));
    twilio.announce(&messages, &[("Body", "y")]).await.expect(201);
    failing.next().await;
    twilio.mock.reset();
    let conversation = twilio.conversation().await;
    twilio.announce(&format!("{conversation}/Messages"), &[("Body", "z")]).await.expect(201);
    failing.next().await; // a reset does not change where webhooks go
    let failed = async {
        loop {
            if let Some(entry) = twilio.mock.webhooks().into_iter().find(|entry| entry.status == Some(500)) {
                return entry;
            }
            tokio::task::yield_now().await;
        }
    };
    let entry = tokio::time::timeout(SOON, failed).await.expect("the failure in the journal");
    assert_eq!((entry.event.as_str(), entry.url), ("onMessageAdded", failing.url));
    assert!(entry.error.is_some());
    stops(twilio.mock).await;
}

/// Stopping does not wait for webhooks nobody takes.
async fn stops(mock: Mock) {
    tokio::time::timeout(SOON, mock.stop()).await.expect("an end");
}

#[tokio::test]
async fn a_webhook_that_is_not_taken_is_repeated_as_often_as_the_service_says() {
    let (twilio, mut listener) = listening().await;
    let conversation = twilio.conversation().await;
    let messages = format!("{conversation}/Messages");
    let service = format!("/v2/Services/{}", twilio.mock.service_sid());
    let settings = twilio.get(&service).await.expect(200);
    assert_eq!(
        (&settings.body["pre_webhook_retry_count"], &settings.body["post_webhook_retry_count"]),
        (&json!(0), &json!(0))
    );
    twilio.post(&service, &[("PostWebhookRetryCount", "4")]).await.refused(400, 20422);
    twilio.post(&service, &[("PostWebhookRetryCount", "2")]).await.expect(200);

    listener.answers([Manner::Saying(503, ""), Manner::Saying(429, ""), Manner::Saying(504, "")]);
    twilio.announce(&messages, &[("Body", "one")]).await.expect(201);
    let mut tokens = BTreeSet::new();
    for attempt in ["0", "1", "2"] {
        let told = listener.next().await;
        assert_eq!((told.field("Body"), told.field("RetryCount")), ("one", attempt));
        tokens.insert(told.headers["i-twilio-idempotency-token"].clone().to_str().unwrap().to_owned());
    }
    assert_eq!(tokens.len(), 1, "every attempt has the same token");

    // A plain failure is not repeated, and the order is kept.
    listener.answers([Manner::Saying(500, ""), Manner::Saying(503, "")]);
    for body in ["two", "three", "four"] {
        twilio.announce(&messages, &[("Body", body)]).await.expect(201);
    }
    for (body, attempt) in [("two", "0"), ("three", "0"), ("three", "1"), ("four", "0")] {
        let told = listener.next().await;
        assert_eq!((told.field("Body"), told.field("RetryCount")), (body, attempt));
    }

    // What the service does not say, the account's switches do.
    twilio.control("/_mock/reset", &json!({})).await.expect(204);
    twilio.control("/_mock/switches", &json!({"post_webhook_retry_count": 1})).await.expect(200);
    let conversation = twilio.conversation().await;
    listener.answers([Manner::Saying(503, ""), Manner::Saying(503, "")]);
    twilio.announce(&format!("{conversation}/Messages"), &[("Body", "five")]).await.expect(201);
    assert_eq!(listener.next().await.field("RetryCount"), "0");
    assert_eq!(listener.next().await.field("RetryCount"), "1");
    listener.hears_nothing_else(&twilio).await;
}

#[tokio::test]
async fn a_new_scoped_webhook_hears_of_the_messages_it_asks_for() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    for body in ["zero", "one", "two", "three"] {
        twilio.write(&conversation, "alice", body).await;
    }
    let mut scoped = Listener::start(Manner::Polite).await;
    let form = [
        ("Target", "webhook"),
        ("Configuration.Url", scoped.url.as_str()),
        ("Configuration.Filters", "onMessageAdded"),
        ("Configuration.ReplayAfter", "1"),
    ];
    let webhook = twilio.post(&format!("{conversation}/Webhooks"), &form).await.expect(201);
    assert_eq!(webhook.body["configuration"]["replay_after"], json!(1));
    for (index, body) in [("2", "two"), ("3", "three")] {
        let told = scoped.next().await;
        assert_eq!((told.event(), told.field("Index"), told.field("Body")), ("onMessageAdded", index, body));
        assert_eq!(told.field("WebhookSid"), webhook.sid());
    }
    twilio.announce(&format!("{conversation}/Messages"), &[("Body", "four")]).await.expect(201);
    assert_eq!(scoped.next().await.field("Index"), "4");
}

#[tokio::test]
async fn webhooks_are_dropped_doubled_delayed_and_overtaken_on_demand() {
    let (twilio, mut listener) = listening().await;
    let conversation = twilio.conversation().await;
    let messages = format!("{conversation}/Messages");
    let say = async |body: &str| {
        twilio.announce(&messages, &[("Body", body)]).await.expect(201);
    };
    let fault = async |action: serde_json::Value| {
        let fault = json!({"webhook": "^onMessage", "times": 1, "action": action});
        twilio.control("/_mock/faults", &fault).await.expect(200);
    };
    fault(json!({"drop": true})).await;
    say("dropped").await;
    fault(json!({"double": true})).await;
    say("doubled").await;
    let (first, second) = (listener.next().await, listener.next().await);
    assert_eq!((first.field("Body"), second.field("Body")), ("doubled", "doubled"));
    assert_eq!(first.headers["i-twilio-idempotency-token"], second.headers["i-twilio-idempotency-token"]);
    fault(json!({"reorder": true})).await;
    for body in ["second", "first", "third"] {
        say(body).await;
    }
    for body in ["first", "second", "third"] {
        assert_eq!(listener.next().await.field("Body"), body);
    }
    fault(json!({"delay_ms": [50, 50]})).await;
    say("late").await;
    say("behind it").await;
    assert_eq!(listener.next().await.field("Body"), "late");
    assert_eq!(listener.next().await.field("Body"), "behind it");
    let dropped = twilio.mock.webhooks().into_iter().find(|entry| entry.status.is_none()).unwrap();
    assert_eq!(dropped.error.as_deref(), Some("dropped by a fault"));

    for wrong in [
        json!({"action": {"drop": true}}),
        json!({"webhook": "x", "action": {"status": 500}}),
        json!({"webhook": "x", "path": "y", "action": {"drop": true}}),
    ] {
        twilio.control("/_mock/faults", &wrong).await.expect(400);
    }
}
