//! Messages of several files: all of them are there or none, whatever Twilio does in between, and nobody is told of parts.

use reqwest::Method;
use serde_json::{Value, json};
use switchboard::mock::Action;

use super::{PNG, fetch, leads_to, stored};
use crate::messaging::{Messaging, meet};
use crate::support::app::token;
use crate::support::{Answer, TestApp};
use crate::support_dialect::{Api, Line};

const MESSAGES: &str = "/Messages$";

fn failing(status: u16) -> Action {
    Action::Status { status, retry_after: None, html: false }
}

/// The next `fine` messages are stored, the `times` after that are not.
fn fault_after(app: &TestApp, fine: u32, conversation: &str, times: u32, status: u16) {
    let path = format!("{conversation}{MESSAGES}");
    app.fault("POST", &path, fine, Action::DelayMs([0, 0]));
    app.fault("POST", &path, times, failing(status));
}

async fn three_pictures(app: &TestApp) -> Vec<String> {
    vec![stored(app, None).await, stored(app, None).await, stored(app, None).await]
}

async fn send(app: &TestApp, conversation: &str, message: &Value) -> Answer {
    app.rest().post(&format!("/{conversation}/send-message"), message).await
}

/// How many messages of the conversation carry a file at Twilio.
async fn with_file(app: &TestApp, conversation: &str) -> usize {
    let path = format!("/v1/Services/{}/Conversations/{conversation}/Messages", app.mock.service_sid());
    let messages = app.twilio(&path).await["messages"].as_array().unwrap().clone();
    messages.iter().filter(|message| message["media"].is_array()).count()
}

#[tokio::test]
async fn of_a_message_that_is_refused_half_way_nothing_is_left_and_it_can_be_sent_again() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let media = three_pictures(&app).await;
    let message = json!({ "author": "alice", "body": "three pictures", "media": media });
    for fine in 0..3 {
        fault_after(&app, fine, &conversation, 1, 403);
        send(&app, &conversation, &message).await.refused(500);
        app.mock.faults().clear();
        assert_eq!(app.stored(&conversation).await, [""; 0], "after {fine}");
    }
    let sent = send(&app, &conversation, &message).await.ok();
    assert_eq!((&sent["media"], sent.get("warnings")), (&json!(media), None));
    assert_eq!(with_file(&app, &conversation).await, 3, "also those that the tries before had used up");
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_left_of_an_unclear_send_is_cleared_away_or_found_by_its_repeat() {
    let app = TestApp::start().await;
    let by_chance = app.conversation(&["alice", "bob"]).await;
    let with_id = app.conversation(&["alice", "bob"]).await;
    let (one, two) = (three_pictures(&app).await, three_pictures(&app).await);
    for conversation in [&by_chance, &with_id] {
        fault_after(&app, 1, conversation, 2, 500);
    }
    let message = json!({ "author": "alice", "body": "three", "media": one });
    let repeated = json!({ "author": "alice", "body": "three", "media": two, "clientMessageId": "id-3" });
    let (lost, unclear) = tokio::join!(send(&app, &by_chance, &message), send(&app, &with_id, &repeated));
    lost.refused(503);
    unclear.refused(503);
    assert_eq!(app.stored(&by_chance).await, [""; 0], "nobody can repeat it");
    let sent = send(&app, &with_id, &repeated).await.ok();
    assert_eq!((&sent["media"], sent.get("warnings")), (&json!(two), None));
    assert_eq!(with_file(&app, &with_id).await, 3, "what was there was not stored again");
    assert_eq!(app.rest().history(&with_id).await, ["three"]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_clients_own_id_is_never_that_of_a_part() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["bob"]).await.remove(0);
    let media = three_pictures(&app).await;
    let message = json!({ "author": "alice", "body": "pictures", "media": media, "clientMessageId": "x" });
    send(&app, &conversation, &message).await.ok();
    assert_eq!(room.hears_message().await, "pictures");
    for place in 0..3 {
        // Stored behind a failure: found by its id.
        app.fault("POST", MESSAGES, 1, Action::StoreThenStatus(500));
        let body = format!("text {place}");
        let text = json!({ "author": "alice", "body": body, "clientMessageId": format!("x.{place}") });
        assert_eq!(send(&app, &conversation, &text).await.ok()["body"], body);
        assert_eq!(room.hears_message().await, body);
    }
    app.finish([room]).await;
}

#[tokio::test]
async fn a_part_is_nobodys_last_message_and_unread_by_nobody() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let part = |date: &'static str, file: &str| {
        let media = file.rsplit('/').next().unwrap().to_owned();
        let attributes = json!({ "switchboard": { "send_id": "x.0", "part_of": "x" } }).to_string();
        let path = format!("/Conversations/{conversation}/Messages");
        let form = vec![
            ("Author", "alice".to_owned()),
            ("MediaSid", media),
            ("Attributes", attributes),
            ("DateCreated", date.to_owned()),
        ];
        (path, form)
    };
    for (times, date) in [(1, "2020-01-01T00:00:00Z"), (2, "2020-01-02T00:00:00Z")] {
        let (path, form) = part(date, &stored(&app, None).await);
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        app.elsewhere(Method::POST, &path, &form).await;
        app.told("onMessageAdded", times).await;
    }
    // Another service has nothing in memory, and asks.
    let other = app.neighbour().await;
    for app in [&app, &other] {
        let listed = app.rest().get("?userId=bob").await.ok();
        assert_eq!((&listed[0]["last_message"], &listed[0]["unread_count"]), (&Value::Null, &json!(0)));
    }
    other.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn in_support_a_message_of_several_files_is_one() {
    let app = TestApp::required().await;
    let alice = Api::user(&app, "alice");
    let id = alice.conversation().await;
    let mut line = Line::user(&app, "alice").await;
    line.join(&id).await;
    let theirs = Some(token("alice"));
    let media = json!([stored(&app, theirs.as_deref()).await, stored(&app, theirs.as_deref()).await]);
    let message = json!({ "conversationId": id, "message": "two pictures", "attachments": media });
    assert_eq!(line.asks("message:send", &message).await["success"], true);
    let page = alice.get(&format!("/conversation/{id}/messages")).await.ok();
    assert_eq!(page["pagination"]["total"], 1, "{page}");
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    let mut other = Line::user(&app, "alice").await;
    other.join(&id).await;
    let media = json!([stored(&app, theirs.as_deref()).await, stored(&app, theirs.as_deref()).await]);
    let message = json!({ "conversationId": id, "message": "two more", "attachments": media });
    other.emit("message:send", &message).await;
    let heard = other.hears("message:received").await;
    assert_eq!((&heard["message"], heard["attachments"].as_array().unwrap().len()), (&json!("two more"), 2));
    other.finish().await;
    app.told("onMessageAdded", 4).await;
    let node = app.neighbour().await;
    let page = Api::user(&node, "alice").get(&format!("/conversation/{id}/messages")).await.ok();
    assert_eq!(page["pagination"]["total"], 2, "read anew, too: {page}");
    node.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn words_beside_a_file_stay_as_they_were_sent() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["bob"]).await.remove(0);
    let message = json!({ "author": "alice", "body": "a cat", "media": [stored(&app, None).await] });
    let sent = send(&app, &conversation, &message).await.ok();
    assert_eq!(room.hears_message().await, "a cat");
    let writes = app.writes();
    let path = format!("/{conversation}/messages/{}", sent["sid"].as_str().unwrap());
    let refused = app.rest_as("alice").patch(&path, &json!({ "body": "a dog" })).await;
    assert_eq!(refused.refused(400), "body cannot be changed: the message carries a file");
    assert_eq!(app.writes(), writes, "Twilio would refuse it");
    assert_eq!(app.rest().history(&conversation).await, ["a cat"]);
    app.finish([room]).await;
}

#[tokio::test]
async fn a_file_can_be_sent_again_wherever_its_sender_may_see_it() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob"]).await;
    let conversation = Messaging::of(&app, "alice").open("bob").await;
    let elsewhere = app.conversation(&["bob", "carol"]).await;
    let picture = stored(&app, Some(&token("alice"))).await;
    let message = json!({ "author": "alice", "body": "a cat", "media": [picture] });
    app.rest_as("alice").post(&format!("/{conversation}/send-message"), &message).await.ok();
    let shown = app.rest_as("bob").get(&format!("/{conversation}/messages")).await.ok()[0]["media"][0].take();
    let forwarded = json!({ "author": "bob", "body": "look", "media": [shown] });
    let sent = app.rest_as("bob").post(&format!("/{elsewhere}/send-message"), &forwarded).await.ok();
    assert_eq!(sent.get("warnings"), None, "{sent}");
    assert_eq!(with_file(&app, &elsewhere).await, 1, "for those on Twilio's SDK");
    let seen = app.rest_as("carol").get(&format!("/{elsewhere}/messages")).await.ok();
    leads_to(seen[0]["media"][0].as_str().unwrap(), PNG).await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_sent() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let unknown = format!("http://{}/media/ME{}", app.address, "0".repeat(32));
    assert_eq!(fetch(&unknown, None).await.0, 404);
    let known = stored(&app, None).await;
    for media in [json!([unknown]), json!([unknown, known]), json!([known, unknown])] {
        let message = json!({ "author": "alice", "body": "look", "media": media });
        assert_eq!(send(&app, &conversation, &message).await.refused(404), "no such media");
        assert_eq!(app.stored(&conversation).await, [""; 0]);
    }
    app.finish([]).await;
}
