//! A block, wherever it is tried to get around it: in every dialect, in groups, and over Twilio's own SDK.

use std::time::Duration;

use serde_json::json;
use switchboard::twilio;

use super::{Messaging, meet};
use crate::support::TestApp;
use crate::support::app::token_of;
use crate::support::webhook::Webhook;

/// Posts `onMessageAdd` as Twilio does before a message is added; the status of the answer and its body.
async fn ask_leave(app: &TestApp, conversation: &str, author: &str) -> (u16, String) {
    let question = Webhook::sample("webhook_pre_onMessageAdd.form", &app.mock)
        .with("ConversationSid", conversation)
        .with("ClientIdentity", author)
        .with("Author", author);
    let signature = twilio::sign_form(app.mock.auth_token(), &app.webhook_url(), &question.0);
    let answer = app.post_webhook(question.body(), &signature, None).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn neither_finds_nor_writes_to_the_other_in_any_dialect() {
    let mut app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let (alice, bob) = (Messaging::of(&app, "alice"), Messaging::of(&app, "bob"));
    let id = alice.open("bob").await;
    alice.say(&id, "before").await;
    let blocked = alice.post("/users/bob/block", &json!({})).await.ok();
    assert_eq!(blocked, json!({ "id": "bob", "isBlocked": true }));
    alice.post("/users/bob/block", &json!({})).await.ok();
    let before = app.writes();
    for (me, other) in [("alice", "bob"), ("bob", "alice")] {
        let messaging = Messaging::of(&app, me);
        messaging.post("/messages", &json!({ "participantId": other })).await.refused("USER_BLOCKED");
        let message = json!({ "content": "hello?" });
        messaging.post(&format!("/messages/{id}/messages"), &message).await.refused("USER_BLOCKED");
        let rest = app.rest_as(me);
        rest.post("/newconversation", &json!({ "participants": [me, other] })).await.refused(403);
        let message = json!({ "author": me, "body": "hello?" });
        rest.post(&format!("/{id}/send-message"), &message).await.refused(403);
        messaging.post("/groups", &json!({ "memberIds": [other] })).await.refused("USER_BLOCKED");
        // What was said stays to be read.
        assert_eq!(messaging.get(&format!("/messages/{id}")).await.ok()["messageCount"], 1);
    }
    let mut socket = app.room(&id, &["bob"]).await.remove(0);
    socket.emit("send_message", &json!({ "conversationSid": id, "author": "bob", "body": "hello?" })).await;
    assert_eq!(socket.hears("message_error").await["success"], false);
    socket.finish().await;
    assert_eq!(app.writes(), before, "Twilio was asked for nothing");

    let seen = alice.get("/users/bob").await.ok();
    let flags =
        |seen: &serde_json::Value| ["isBlocked", "isBlockedBy", "canMessage"].map(|flag| seen[flag] == true);
    assert_eq!(flags(&seen), [true, false, false]);
    assert_eq!(flags(&bob.get("/users/alice").await.ok()), [false, true, false]);
    app.restart().await;
    let alice = Messaging::of(&app, "alice");
    alice.post("/messages", &json!({ "participantId": "bob" })).await.refused("USER_BLOCKED");
    let list = alice.get("/users/blocked").await.ok();
    assert_eq!((&list["users"][0]["id"], &list["pagination"]["total"]), (&json!("bob"), &json!(1)));
    assert_eq!(Messaging::of(&app, "bob").get("/users/blocked").await.ok()["users"], json!([]));
    alice.delete("/users/bob/block").await.ok();
    alice.delete("/users/bob/block").await.ok();
    assert_eq!(alice.open("bob").await, id);
    Messaging::of(&app, "bob").say(&id, "after").await;
    assert_eq!(app.stored(&id).await, ["before", "after"]);
    app.finish([]).await;
}

#[tokio::test]
async fn whoever_comes_and_goes_lifts_no_block() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let alice = Messaging::of(&app, "alice");
    let pair = alice.open("bob").await;
    alice.post("/users/bob/block", &json!({})).await.ok();
    let bob = app.rest_as("bob");
    let say = json!({ "author": "bob", "body": "hello?" });
    bob.post(&format!("/{pair}/add-chat-participant"), &json!({ "identity": "carol" })).await.ok();
    bob.delete(&format!("/{pair}/participants/carol")).await.ok();
    bob.post(&format!("/{pair}/send-message"), &say).await.refused(403);
    assert_eq!(ask_leave(&app, &pair, "bob").await.0, 403);
    let seen = alice.get("/users/bob").await.ok();
    assert_eq!((&seen["hasConversation"], &seen["isBlocked"]), (&json!(true), &json!(true)));
    let contacts = alice.get("/users/contacts").await.ok();
    assert_eq!(contacts["contacts"][0]["conversationId"], pair);

    // Nor does one of the two, who is brought back.
    bob.post(&format!("/{pair}/add-chat-participant"), &json!({ "identity": "carol" })).await.ok();
    bob.delete(&format!("/{pair}/participants/alice")).await.ok();
    app.rest_as("carol")
        .post(&format!("/{pair}/add-chat-participant"), &json!({ "identity": "alice" }))
        .await
        .ok();
    bob.post(&format!("/{pair}/send-message"), &say).await.refused(403);
    assert_eq!(ask_leave(&app, &pair, "bob").await.0, 403);
    alice.delete("/users/bob/block").await.ok();
    bob.post(&format!("/{pair}/send-message"), &say).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn what_was_written_stands() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let alice = Messaging::of(&app, "alice");
    let pair = alice.open("bob").await;
    let group = alice.group(&["bob"]).await;
    let bob = app.rest_as("bob");
    let said = bob.say(&pair, "bob", "hello").await["message_sid"].as_str().unwrap().to_owned();
    let elsewhere = bob.say(&group, "bob", "hello").await["message_sid"].as_str().unwrap().to_owned();
    alice.post("/users/bob/block", &json!({})).await.ok();
    let before = app.writes();
    let body = json!({ "body": "I know where you live" });
    bob.patch(&format!("/{pair}/messages/{said}"), &body).await.refused(403);
    bob.patch(&format!("/{pair}"), &json!({ "friendly_name": "I know where you live" })).await.refused(403);
    assert_eq!(app.writes(), before);
    // A group goes on, and an admin sets right what was written.
    bob.patch(&format!("/{group}/messages/{elsewhere}"), &json!({ "body": "hi" })).await.ok();
    let admin = token_of(&json!({ "sub": "root", "role": "admin" }), Duration::from_secs(3600));
    let admin = app.rest().with_token(&admin);
    admin.patch(&format!("/{pair}/messages/{said}"), &json!({ "body": "…" })).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn a_third_person_brings_nobody_together() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob", "carol", "dave"]).await;
    let three = json!({ "participants": ["bob", "carol", "alice"] });
    let there = json!({ "participants": ["bob", "dave", "alice"] });
    let known = app.rest_as("bob").post("/newconversation", &there).await.ok();
    Messaging::of(&app, "alice").post("/users/bob/block", &json!({})).await.ok();
    let before = app.writes();
    for me in ["bob", "alice"] {
        app.rest_as(me).post("/newconversation", &three).await.refused(403);
        let again = app.rest_as(me).post("/newconversation", &there).await.ok();
        assert_eq!(again["conversation_sid"], known["conversation_sid"], "what is there goes on");
    }
    assert_eq!(app.writes(), before);
    app.rest_as("carol").post("/newconversation", &three).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn neither_is_suggested_to_the_other() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    Messaging::of(&app, "alice").post("/users/bob/block", &json!({})).await.ok();
    for (who, left) in [("alice", "carol"), ("bob", "carol")] {
        let page = Messaging::of(&app, who).get("/users/suggestions").await.ok();
        assert_eq!((&page["suggestions"][0]["id"], &page["pagination"]["total"]), (&json!(left), &json!(1)));
    }
    app.finish([]).await;
}

#[tokio::test]
async fn twilios_own_sdk_is_bound_too() {
    let mut app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let alice = Messaging::of(&app, "alice");
    let pair = alice.open("bob").await;
    let group = alice.group(&["bob", "carol"]).await;
    assert_eq!(ask_leave(&app, &pair, "bob").await, (200, "{}".to_owned()));
    alice.post("/users/bob/block", &json!({})).await.ok();
    for restarted in [false, true] {
        if restarted {
            app.restart().await;
        }
        let before = app.asked().len();
        assert_eq!(ask_leave(&app, &pair, "bob").await.0, 403);
        assert_eq!(ask_leave(&app, &pair, "alice").await.0, 403);
        assert_eq!(ask_leave(&app, &group, "bob").await.0, 200, "a group is not silenced by one of it");
        assert_eq!(
            ask_leave(&app, &format!("CH{}", "0".repeat(32)), "bob").await.0,
            200,
            "unknown is allowed"
        );
        assert_eq!(app.asked_since(before), [""; 0], "Twilio waits: it is not asked anything");
    }
    // Not for whoever is not Twilio.
    let question = Webhook::sample("webhook_pre_onMessageAdd.form", &app.mock).with("ConversationSid", &pair);
    assert_eq!(app.post_webhook(question.body(), "forged", None).await.status(), 403);
    app.finish([]).await;
}

#[tokio::test]
async fn what_a_block_needs() {
    let app = TestApp::start().await;
    meet(&app, &["alice"]).await;
    let alice = Messaging::of(&app, "alice");
    alice.post("/users/nobody/block", &json!({})).await.refused("NOT_FOUND");
    assert_eq!(
        alice.post("/users/alice/block", &json!({})).await.refused("VALIDATION_ERROR")["field"],
        "userId"
    );
    alice.delete("/users/nobody/block").await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_is_drawn_into_a_conversation_of_another_dialect() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    Messaging::of(&app, "alice").post("/users/bob/block", &json!({})).await.ok();
    for (me, other) in [("alice", "bob"), ("bob", "alice")] {
        let rest = app.rest_as(me);
        let with_carol = app.conversation(&[me, "carol"]).await;
        let before = app.writes();
        rest.post("/create", &json!({ "participants": [me, other] })).await.refused(403);
        rest.post("/create", &json!({ "participants": [me, "carol", other] })).await.refused(403);
        rest.post(&format!("/{with_carol}/add-chat-participant"), &json!({ "identity": other }))
            .await
            .refused(403);
        assert_eq!(app.writes(), before);
        // Somebody whom nothing stands against may bring them together.
        let add = json!({ "identity": other });
        app.rest_as("carol").post(&format!("/{with_carol}/add-chat-participant"), &add).await.ok();
    }
    app.finish([]).await;
}
