//! Whose a conversation is, whatever becomes of it: deleted, left, closed, shared, forgotten by a restart; and what is told of
//! reading it.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, Line, talk};
use crate::support::TestApp;
use crate::support::webhook::{Webhook, ago};

fn sid_of(id: &str) -> String {
    format!("CH{}", id.replace('-', ""))
}

/// Who is in it at Twilio.
async fn participants(app: &TestApp, id: &str) -> Vec<String> {
    let path = format!("/v1/Services/{}/Conversations/{}/Participants", app.mock.service_sid(), sid_of(id));
    let listed = app.twilio(&path).await;
    let identity = |one: &Value| one["identity"].as_str().unwrap().to_owned();
    listed["participants"].as_array().unwrap().iter().map(identity).collect()
}

#[tokio::test]
async fn one_that_was_deleted_after_memory_forgot_it_is_opened_anew() {
    let mut app = TestApp::start().await;
    for by_console in [false, true] {
        let id = Api::user(&app, "alice").conversation().await;
        // With empty memory, as a minute later.
        app.restart().await;
        if by_console {
            app.elsewhere(Method::DELETE, &format!("/Conversations/{}", sid_of(&id)), &[]).await;
            // Two were deleted before.
            app.told("onConversationRemoved", 3).await;
        } else {
            app.rest_as("alice").delete(&format!("/{}", sid_of(&id))).await.ok();
        }
        let next = Api::user(&app, "alice").conversation().await;
        assert_ne!(next, id);
        let listed = Api::admin(&app, "eve").get("/conversations").await.ok();
        assert_eq!(listed["pagination"]["total"], 1, "{listed}");
        app.rest_as("alice").delete(&format!("/{}", sid_of(&next))).await.ok();
        let listed = Api::admin(&app, "eve").get("/conversations").await.ok();
        assert_eq!(listed["pagination"]["total"], 0, "{listed}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn whoever_left_their_own_is_back_when_they_ask_or_write() {
    let app = TestApp::required().await;
    let alice = Api::user(&app, "alice");
    let id = alice.conversation().await;
    let leaving = format!("/{}/participants/alice", sid_of(&id));
    for asks in [true, false] {
        app.rest_as("alice").delete(&leaving).await.ok();
        assert_eq!(participants(&app, &id).await, [""; 0]);
        if asks {
            assert_eq!(alice.conversation().await, id);
            assert_eq!(participants(&app, &id).await, ["alice"]);
        }
        let mut line = Line::user(&app, "alice").await;
        line.join(&id).await;
        line.say(&id, "I am back").await;
        assert_eq!(line.hears_message().await, "I am back");
        line.finish().await;
        assert_eq!(participants(&app, &id).await, ["alice"]);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_closed_one_takes_nothing_more_in_any_dialect() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let path = format!("/conversation/{id}");
    Api::admin(&app, "eve").patch(&path, &json!({ "status": "closed" })).await.ok();
    let writes = app.writes();
    let message = json!({ "author": "alice", "body": "one more thing" });
    for rest in [app.rest_as("alice"), app.rest()] {
        rest.post(&format!("/{}/send-message", sid_of(&id)), &message).await.refused(409);
    }
    assert_eq!(app.writes(), writes);
    Api::admin(&app, "eve").patch(&path, &json!({ "status": "open" })).await.ok();
    app.rest_as("alice").say(&sid_of(&id), "alice", "one more thing").await;
    app.finish([]).await;
}

#[tokio::test]
async fn whom_the_owner_brings_in_is_no_admin() {
    let app = TestApp::required().await;
    let id = Api::user(&app, "alice").conversation().await;
    let sid = sid_of(&id);
    let mut admin = Line::admin(&app, "eve").await;
    admin.join(&id).await;
    admin.hears("conversation:updated").await;
    let bob = json!({ "identity": "bob" });
    app.rest_as("alice").post(&format!("/{sid}/add-chat-participant"), &bob).await.ok();
    app.rest_as("bob").say(&sid, "bob", "I am Alice's friend").await;
    let sdk = json!({
        "conversation_sid": sid, "identity": "bob", "body": "I am the system",
        "attributes": { "switchboard": { "message_type": "system" } },
    });
    app.other_side("sdk-message", &sdk).await;
    for _ in 0..2 {
        let heard = admin.hears("message:received").await;
        assert_eq!(
            (&heard["senderType"], &heard["senderId"], &heard["messageType"]),
            (&json!("user"), &json!("bob"), &json!("text")),
            "{heard}"
        );
        admin.hears("conversation:new_message").await;
    }
    admin.say(&id, "I am who answers").await;
    assert_eq!(admin.hears("message:received").await["senderType"], "admin");
    drop(admin);
    app.finish([]).await;
}

#[tokio::test]
async fn of_users_who_take_one_guest_over_one_is_let_in() {
    let app = TestApp::required().await;
    let (guest_id, id) = Api::of(&app).guest().await;
    let users: Vec<_> = (0..5).map(|number| format!("user-{number}")).collect();
    let adopting = users.iter().map(|user| {
        let api = Api::user(&app, user).with("x-guest-id", &guest_id);
        async move { api.get("/conversation").await.ok() }
    });
    futures::future::join_all(adopting).await;
    let details = Api::admin(&app, "eve").get(&format!("/conversation/{id}")).await.ok();
    assert_eq!(participants(&app, &id).await, [details["userId"].as_str().unwrap()]);
    app.finish([]).await;
}

#[tokio::test]
async fn late_reports_of_what_admins_did_undo_nothing() {
    let app = TestApp::without_webhooks().await;
    let (guest_id, id) = Api::of(&app).guest().await;
    let mut guest = Line::guest(&app, &guest_id).await;
    guest.join(&id).await;
    guest.say(&id, "hello").await;
    let message = guest.hears("message:received").await;
    let there = format!("/v1/Services/{}/Conversations/{}", app.mock.service_sid(), sid_of(&id));
    let report = async || {
        let now = app.twilio(&there).await;
        Webhook::sample("webhook_onConversationUpdated.form", &app.mock)
            .with("ConversationSid", &sid_of(&id))
            .with("FriendlyName", now["friendly_name"].as_str().unwrap())
            .with("Attributes", now["attributes"].as_str().unwrap())
            .with("DateCreated", now["date_created"].as_str().unwrap())
            .with("DateUpdated", now["date_updated"].as_str().unwrap())
    };
    let mut admin = Line::admin(&app, "eve").await;
    admin.join(&id).await;
    guest.hears("conversation:updated").await;
    let assigned = report().await;
    admin.emit("message:read", &json!({ "messageId": message["id"] })).await;
    assert_eq!(guest.hears("message:read").await["messageId"], message["id"]);
    let read = report().await;
    for report in [&assigned, &read, &assigned] {
        app.tell(report).await;
    }
    // Reports are taken in one after the other: once this one is told, the others have been.
    let marker = Webhook::sample("webhook_onMessageAdded.form", &app.mock)
        .with("ConversationSid", &sid_of(&id))
        .with("Author", &guest_id)
        .with("Index", "1")
        .with("Body", "after them")
        .with("DateCreated", &ago(TimeDelta::zero()));
    app.tell(&marker).await;
    assert_eq!(guest.hears_message().await, "after them");
    let writes = app.writes();
    let again = json!({ "messageId": message["id"] });
    assert_eq!(admin.asks("message:read", &again).await["success"], true);
    assert_eq!(app.writes(), writes, "it is known to be read");
    guest.finish().await;
    let history = Api::of(&app).get(&format!("/conversation/{id}/messages")).await.ok();
    assert_eq!(history["messages"][0]["isRead"], true);
    drop(admin);
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_read_is_told_also_of_messages_that_memory_has_forgotten() {
    let mut app = TestApp::start().await;
    let (id, mut guest, admin) = talk(&app).await;
    let mut sent = Vec::new();
    for text in ["first", "second"] {
        guest.say(&id, text).await;
        sent.push(guest.hears("message:received").await["id"].clone());
    }
    let guest_id = Api::admin(&app, "eve").get(&format!("/conversation/{id}")).await.ok()["guestId"].clone();
    drop((guest, admin));
    app.restart().await;
    let mut guest = Line::guest(&app, guest_id.as_str().unwrap()).await;
    guest.join(&id).await;
    let mut admin = Line::admin(&app, "eve").await;
    admin.emit("message:read", &json!({ "messageId": sent[0] })).await;
    assert_eq!(guest.hears("message:read").await["messageId"], sent[0]);
    assert_eq!(admin.hears_unread().await, 1);
    admin.emit("message:read", &json!({ "messageId": sent[1] })).await;
    assert_eq!(guest.hears("message:read").await["messageId"], sent[1]);
    assert_eq!(admin.hears_unread().await, 0);
    drop((guest, admin));
    app.finish([]).await;
}

#[tokio::test]
async fn a_number_that_a_restart_forgot_is_news() {
    let mut app = TestApp::start().await;
    let (id, mut guest, admin) = talk(&app).await;
    guest.say(&id, "hello").await;
    let message = guest.hears("message:received").await["id"].clone();
    drop((guest, admin));
    app.restart().await;
    let mut admin = Line::admin(&app, "eve").await;
    admin.emit("message:read", &json!({ "messageId": message })).await;
    assert_eq!(admin.hears_unread().await, 0, "it was 1");
    drop(admin);
    app.finish([]).await;
}
