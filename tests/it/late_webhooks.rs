//! Reports that come after something newer, or again: what was learnt meanwhile stays, and nobody is told what is no more.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::messaging::{Messaging, meet};
use crate::support::app::Stage;
use crate::support::webhook::{Webhook, ago};
use crate::support::{Socket, TestApp, soon};

/// A sample about this conversation.
fn sample(app: &TestApp, name: &str, conversation: &str) -> Webhook {
    Webhook::sample(&format!("webhook_{name}.form"), &app.mock).with("ConversationSid", conversation)
}

/// Alice and Bob in a conversation, Bob in its room; Twilio tells only what the test tells.
async fn scene() -> (TestApp, String, Socket) {
    let app = TestApp::without_webhooks().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let bob = app.room(&conversation, &["bob"]).await.remove(0);
    (app, conversation, bob)
}

/// What was told so far has been taken in, and Bob heard nothing of it: he hears of a message next.
async fn hears_only_a_message(app: &TestApp, conversation: &str, bob: &mut Socket) {
    let marker = uuid::Uuid::new_v4().simple().to_string();
    let message = sample(app, "onMessageAdded", conversation)
        .with("MessageSid", &format!("IM{marker}"))
        .with("Index", "50")
        .with("Body", &marker)
        .with("DateCreated", &ago(TimeDelta::zero()));
    app.tell(&message).await;
    assert_eq!(bob.hears_message().await, marker);
}

#[tokio::test]
async fn whoever_is_back_is_not_taken_for_gone() {
    let app = TestApp::with(Stage { required: true, silent: true, ..Stage::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let added = json!({ "identity": "carol" });
    let added =
        app.rest_as("alice").post(&format!("/{conversation}/add-chat-participant"), &added).await.ok();
    let mut carol = app.room(&conversation, &["carol"]).await.remove(0);
    let listed = app.rest_as("carol").get("").await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let participants = format!("/Conversations/{conversation}/Participants");
    app.elsewhere(Method::DELETE, &format!("{participants}/carol"), &[]).await;
    let again = app.elsewhere(Method::POST, &participants, &[("Identity", "carol")]).await;
    assert_ne!(again["sid"], added["participant_sid"]);

    let about = |name: &str, sid: &Value| {
        sample(&app, name, &conversation)
            .with("Identity", "carol")
            .with("ParticipantSid", sid.as_str().unwrap())
            .with("DateCreated", &ago(TimeDelta::zero()))
            .with("DateUpdated", &ago(TimeDelta::zero()))
    };
    app.tell(&about("onParticipantAdded_chat", &again["sid"])).await;
    app.tell(&about("onParticipantRemoved", &added["participant_sid"])).await;
    let told = carol.hears("conversation_updated").await;
    assert_eq!(told["update"]["participant_sid"], again["sid"]);
    hears_only_a_message(&app, &conversation, &mut carol).await;
    let before = app.asked().len();
    let listed = app.rest_as("carol").get("").await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 1, "it is in her list");
    app.rest_as("carol").get(&format!("/{conversation}/messages")).await.ok();
    assert!(app.asked_since(before).iter().all(|asked| !asked.contains("/Participants")));

    // Now she goes, however late that is reported.
    let days_ago = ago(TimeDelta::days(3));
    app.tell(&about("onParticipantRemoved", &again["sid"]).with("DateUpdated", &days_ago)).await;
    let told = carol.hears("conversation_updated").await;
    assert_eq!(told["update"]["event"], "participant_removed");
    app.finish([carol]).await;
}

#[tokio::test]
async fn an_earlier_change_of_state_changes_nothing() {
    let (app, conversation, mut bob) = scene().await;
    let change = |from: &str, to: &str, at: TimeDelta| {
        sample(&app, "onConversationStateUpdated", &conversation)
            .with("StateFrom", from)
            .with("StateTo", to)
            .with("StateUpdated", &ago(at))
    };
    let (sleeps, wakes) = (
        change("active", "inactive", TimeDelta::seconds(-10)),
        change("inactive", "active", TimeDelta::seconds(-20)),
    );
    for (report, state) in [(&sleeps, "inactive"), (&wakes, "active")] {
        app.tell(report).await;
        let told = bob.hears("conversation_updated").await;
        assert_eq!(told["update"], json!({ "event": "state_changed", "state": state }));
    }
    app.tell(&sleeps).await;
    app.tell(&change("active", "closed", TimeDelta::days(3))).await;
    hears_only_a_message(&app, &conversation, &mut bob).await;
    app.rest().say(&conversation, "alice", "it is open").await;
    assert_eq!(bob.hears_message().await, "it is open");
    app.finish([bob]).await;
}

#[tokio::test]
async fn within_a_second_a_change_of_ours_is_not_undone() {
    let (app, conversation, mut bob) = scene().await;
    let path = format!("/v1/Services/{}/Conversations/{conversation}", app.mock.service_sid());
    let mut reports = Vec::new();
    for name in ["first", "second"] {
        app.rest().patch(&format!("/{conversation}"), &json!({ "friendly_name": name })).await.ok();
        assert_eq!(bob.hears("conversation_updated").await["update"]["friendly_name"], name);
        let there = app.twilio(&path).await;
        let report = sample(&app, "onConversationUpdated", &conversation)
            .with("FriendlyName", name)
            .with("Attributes", there["attributes"].as_str().unwrap())
            .with("DateUpdated", there["date_updated"].as_str().unwrap());
        reports.push(report);
    }
    for report in &reports {
        app.tell(report).await;
    }
    hears_only_a_message(&app, &conversation, &mut bob).await;
    let listed = app.rest().get("?userId=bob").await.ok();
    assert_eq!(listed[0]["friendly_name"], "second");
    app.finish([bob]).await;
}

#[tokio::test]
async fn an_earlier_read_unreads_nothing() {
    let app = TestApp::without_webhooks().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    for body in ["0", "1", "2"] {
        app.rest().say(&conversation, "alice", body).await;
    }
    let mut alice = app.room(&conversation, &["alice"]).await.remove(0);
    let unread = async || app.rest().get("?userId=bob").await.ok()[0]["unread_count"].clone();
    assert_eq!(unread().await, 3);
    let path =
        format!("/v1/Services/{}/Conversations/{conversation}/Participants/bob", app.mock.service_sid());
    let mut reports = Vec::new();
    for index in [0, 1] {
        let read = json!({ "identity": "bob", "index": index });
        app.rest().post(&format!("/{conversation}/read"), &read).await.ok();
        assert_eq!(alice.hears("message_read").await["lastReadMessageIndex"], index);
        let there = app.twilio(&path).await;
        let report = sample(&app, "onParticipantUpdated", &conversation)
            .with("ParticipantSid", there["sid"].as_str().unwrap())
            .with("DateCreated", there["date_created"].as_str().unwrap())
            .with("DateUpdated", there["date_updated"].as_str().unwrap())
            .with("LastReadMessageIndex", &index.to_string());
        reports.push(report);
    }
    for report in [&reports[0], &reports[1], &reports[0]] {
        app.tell(report).await;
    }
    hears_only_a_message(&app, &conversation, &mut alice).await;
    assert_eq!(unread().await, 2, "and the message that was just told");
    app.finish([alice]).await;
}

#[tokio::test]
async fn an_earlier_report_of_a_person_is_not_their_word() {
    let mut app = TestApp::without_webhooks().await;
    meet(&app, &["alice"]).await;
    let edit = json!({ "nickname": "Alice the Second" });
    Messaging::of(&app, "alice").ask("PUT", "/users/me", Some(&edit)).await.ok();
    let report = |name: &str, at: TimeDelta| {
        Webhook::sample("webhook_onUserUpdated.form", &app.mock)
            .with("FriendlyName", name)
            .with("DateUpdated", &ago(at))
    };
    let (newest, newer) = (
        report("Alice the Fourth", TimeDelta::seconds(-20)),
        report("Alice the Third", TimeDelta::seconds(-10)),
    );
    let old = report("Alice the First", TimeDelta::minutes(1));
    let replayed = report("Alice of old", TimeDelta::days(3));
    let is_called = async |app: &TestApp, reports: &[&Webhook]| {
        for report in reports {
            app.tell(report).await;
        }
        // Reports are taken in one after the other: the last one shows that the others have been.
        let marker = Webhook::sample("webhook_onUserUpdated.form", &app.mock)
            .with("Identity", "marker")
            .with("FriendlyName", &format!("after {}", reports.len()))
            .with("DateUpdated", &ago(TimeDelta::seconds(-i64::try_from(reports.len()).unwrap())));
        app.tell(&marker).await;
        let me = Messaging::of(app, "alice");
        crate::support::until("the marker", || async {
            let marker = me.get("/users/marker").await;
            (marker.status == 200 && marker.body["data"]["nickname"] == format!("after {}", reports.len()))
                .then_some(())
        })
        .await;
        me.get("/users/me").await.ok()["nickname"].as_str().unwrap().to_owned()
    };
    assert_eq!(is_called(&app, &[&old, &replayed]).await, "Alice the Second");
    assert_eq!(is_called(&app, &[&newest, &newer, &old]).await, "Alice the Fourth");
    // Nor after a restart, with nothing in memory.
    app.restart().await;
    assert_eq!(is_called(&app, &[&old, &replayed, &old, &old]).await, "Alice the Fourth");
    app.finish([]).await;
}

#[tokio::test]
async fn a_token_that_nobody_signs_takes_no_room() {
    let (app, conversation, mut bob) = scene().await;
    let post = async |index: usize, token: &str| {
        let message = sample(&app, "onMessageAdded", &conversation)
            .with("MessageSid", &format!("IM{index:032x}"))
            .with("Index", &index.to_string())
            .with("Body", &index.to_string())
            .with("DateCreated", &ago(TimeDelta::zero()));
        let signature = switchboard::twilio::sign_form(app.mock.auth_token(), &app.webhook_url(), &message.0);
        let answer = soon("an answer", app.post_webhook(message.body(), &signature, Some(token))).await;
        assert_eq!(answer.status(), 200);
    };
    let (fits, too_long) = ("x".repeat(128), "x".repeat(129));
    post(0, &fits).await;
    post(1, &fits).await;
    // A repeat by a token that is too long is not known by it.
    post(2, &too_long).await;
    post(3, &too_long).await;
    for heard in ["0", "2", "3"] {
        assert_eq!(bob.hears_message().await, heard);
    }
    app.finish([bob]).await;
}
