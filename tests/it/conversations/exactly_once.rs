//! One message, one conversation: whatever Twilio does to an answer, however often and at once something is asked.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use switchboard::mock::Action;

use crate::support::{Answer, TestApp};

const MESSAGES: &str = "/Messages$";
const PARTICIPANTS: &str = "/Participants$";

fn pair() -> Value {
    json!({ "participants": ["alice", "bob"] })
}

fn keyed(body: &str, key: &str) -> Value {
    json!({ "author": "alice", "body": body, "clientMessageId": key })
}

async fn send(app: &TestApp, conversation: &str, message: &Value) -> Answer {
    app.rest().post(&format!("/{conversation}/send-message"), message).await
}

#[tokio::test]
async fn twenty_at_once_who_want_the_pairs_conversation_get_the_same_one() {
    let app = TestApp::start().await;
    let rest = app.rest();
    let asking = (0..20).map(|number| {
        let people = if number % 2 == 0 { ["alice", "bob"] } else { ["bob", "alice"] };
        let rest = rest.clone();
        async move { rest.post("/newconversation", &json!({ "participants": people })).await.ok() }
    });
    let answers = join_all(asking).await;
    let sids: BTreeSet<&str> =
        answers.iter().map(|answer| answer["conversation_sid"].as_str().unwrap()).collect();
    assert_eq!(sids.len(), 1);
    let made = answers.iter().filter(|answer| answer["existing"] == false).count();
    assert_eq!(made, 1, "one of them made it");
    let at_twilio = app.rest().get("").await.ok();
    assert_eq!(at_twilio.as_array().unwrap().len(), 1);
    app.finish([]).await;
}

#[tokio::test]
async fn two_services_at_once_make_one_conversation() {
    let app = TestApp::start().await;
    let other = app.neighbour().await;
    let (ours, theirs) =
        tokio::join!(async { app.rest().post("/newconversation", &pair()).await.ok() }, async {
            other.rest().post("/newconversation", &pair()).await.ok()
        },);
    assert_eq!(ours["conversation_sid"], theirs["conversation_sid"]);
    assert_ne!(ours["existing"], theirs["existing"], "one made it, the other found it");
    other.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_burst_stays_in_order_however_twilio_dawdles() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    app.fault("POST", MESSAGES, 40, Action::DelayMs([0, 40]));
    for number in 0..40 {
        let message =
            json!({ "conversationSid": conversation, "author": "alice", "body": number.to_string() });
        sockets[0].emit("send_message", &message).await;
    }
    for number in 0..40 {
        assert_eq!(sockets[0].hears_message().await, number.to_string());
        assert_eq!(sockets[0].hears("message_sent").await["index"], number);
    }
    for number in 0..40 {
        assert_eq!(sockets[1].hears_message().await, number.to_string());
    }
    app.told("onMessageAdded", 40).await;
    app.finish(sockets).await;
}

#[tokio::test]
async fn a_message_that_was_stored_without_an_answer_is_stored_once_and_told_once() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    app.fault("POST", MESSAGES, 1, Action::StoreThenHang);
    let sent = app.rest().say(&conversation, "alice", "hello?").await;
    for socket in &mut sockets {
        assert_eq!(socket.hears("new_message").await["message"]["sid"], sent["message_sid"]);
    }
    app.told("onMessageAdded", 1).await;
    assert_eq!(app.stored(&conversation).await, ["hello?"]);
    app.finish(sockets).await;
}

#[tokio::test]
async fn a_message_stored_behind_a_500_is_stored_once_and_told_once_without_webhooks_too() {
    for app in [TestApp::start().await, TestApp::without_webhooks().await] {
        let conversation = app.conversation(&["alice", "bob"]).await;
        let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
        app.fault("POST", MESSAGES, 1, Action::StoreThenStatus(500));
        let message = json!({ "conversationSid": conversation, "author": "alice", "body": "hello?" });
        sockets[0].emit("send_message", &message).await;
        assert_eq!(sockets[0].hears_message().await, "hello?");
        sockets[0].hears("message_sent").await;
        assert_eq!(sockets[1].hears_message().await, "hello?");
        assert_eq!(app.stored(&conversation).await, ["hello?"]);
        app.finish(sockets).await;
    }
}

#[tokio::test]
async fn a_500_behind_which_nothing_was_stored_is_tried_once_more() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.fault("POST", MESSAGES, 1, Action::Status { status: 500, retry_after: None, html: true });
    app.rest().say(&conversation, "alice", "hello?").await;
    assert_eq!(app.stored(&conversation).await, ["hello?"]);
    app.finish([]).await;
}

#[tokio::test]
async fn too_many_requests_is_waited_out() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.fault("POST", MESSAGES, 2, Action::Status { status: 429, retry_after: Some(1), html: false });
    let began = std::time::Instant::now();
    app.rest().say(&conversation, "alice", "slowly").await;
    assert!(began.elapsed() >= std::time::Duration::from_secs(2), "Retry-After holds each time");
    assert_eq!(app.stored(&conversation).await, ["slowly"]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_repeat_with_the_same_id_is_the_same_message() {
    let mut app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["bob"]).await;
    let first = send(&app, &conversation, &keyed("once", "id-1")).await.ok();
    assert_eq!(first["clientMessageId"], "id-1");
    let again = send(&app, &conversation, &keyed("once", "id-1")).await.ok();
    assert_eq!(again, first);
    // The header does what the field does.
    let rest = app.rest().with_header("idempotency-key", "id-1");
    assert_eq!(rest.say(&conversation, "alice", "once").await, first);
    // Other words under the same id, the same id of somebody else.
    send(&app, &conversation, &keyed("twice", "id-1")).await.refused(409);
    let bobs = json!({ "author": "bob", "body": "mine", "clientMessageId": "id-1" });
    assert_ne!(send(&app, &conversation, &bobs).await.ok()["message_sid"], first["message_sid"]);
    assert_eq!(sockets[0].hears_message().await, "once");
    assert_eq!(sockets[0].hears_message().await, "mine");
    sockets.remove(0).finish().await;

    app.restart().await;
    assert_eq!(send(&app, &conversation, &keyed("once", "id-1")).await.ok(), first);
    send(&app, &conversation, &keyed("twice", "id-1")).await.refused(409);
    assert_eq!(app.stored(&conversation).await, ["once", "mine"]);
    app.finish([]).await;
}

#[tokio::test]
async fn simultaneous_repeats_are_one_message() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["bob"]).await;
    app.fault("POST", MESSAGES, 1, Action::DelayAnswerMs([100, 100]));
    let message = keyed("once", "id-1");
    let answers = join_all((0..8).map(|_| send(&app, &conversation, &message))).await;
    let sids: BTreeSet<String> =
        answers.into_iter().map(|answer| answer.ok()["message_sid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sids.len(), 1);
    assert_eq!(sockets[0].hears_message().await, "once");
    assert_eq!(app.stored(&conversation).await, ["once"]);
    app.finish(sockets).await;
}

#[tokio::test]
async fn a_send_that_the_service_did_not_survive_is_found_by_its_repeat() {
    let mut app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    // Every look fails too, so the outcome stays unknown.
    app.fault("POST", MESSAGES, 1, Action::StoreThenStatus(500));
    app.fault("GET", MESSAGES, 100, Action::Status { status: 500, retry_after: None, html: false });
    app.mock.set_webhook_url(None);
    let unknown = send(&app, &conversation, &keyed("did it?", "id-1")).await;
    unknown.refused(503);
    assert!(unknown.headers.contains_key("retry-after"), "{unknown:?}");
    app.mock.faults().clear();

    app.restart().await;
    let found = send(&app, &conversation, &keyed("did it?", "id-1")).await.ok();
    assert_eq!(found["index"], 0);
    assert_eq!(app.stored(&conversation).await, ["did it?"]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_conversation_that_cannot_be_filled_is_deleted_again() {
    let app = TestApp::start().await;
    let people = json!({ "participants": ["alice", "bob", "carol"] });
    for path in ["/create", "/newconversation"] {
        // One is in already when the next is refused.
        app.fault("POST", PARTICIPANTS, 1, Action::DelayMs([0, 0]));
        app.fault("POST", PARTICIPANTS, 9, Action::Status { status: 403, retry_after: None, html: false });
        app.rest().post(path, &people).await.refused(500);
        app.mock.faults().clear();
        assert_eq!(app.rest().get("").await.ok(), json!([]), "nothing is left of {path}");
        assert_eq!(app.rest().get("?userId=alice").await.ok(), json!([]));
    }
    // And then it works as if nothing had been.
    let made = app.rest().post("/newconversation", &people).await.ok();
    assert_eq!(made["existing"], false);
    app.finish([]).await;
}

#[tokio::test]
async fn a_participant_that_is_there_after_all_counts() {
    let app = TestApp::start().await;
    for status in [404, 500] {
        app.fault("POST", PARTICIPANTS, 1, Action::StoreThenStatus(status));
        let conversation = app.conversation(&["alice", "bob"]).await;
        assert_eq!(app.rest().participants(&conversation).await, ["alice", "bob"], "after {status}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_conversation_whose_answer_was_lost_is_made_once() {
    let app = TestApp::start().await;
    for (made, path) in ["/create", "/newconversation"].into_iter().enumerate() {
        app.fault("POST", "/Conversations$", 1, Action::StoreThenStatus(502));
        app.rest().post(path, &pair()).await.ok();
        assert_eq!(app.rest().get("").await.ok().as_array().unwrap().len(), made + 1, "{path}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_is_left_half_added_when_the_asker_hangs_up() {
    let app = TestApp::start().await;
    app.fault("POST", PARTICIPANTS, 2, Action::DelayMs([150, 150]));
    let rest = app.rest();
    let asking = rest.request(reqwest::Method::POST, "/newconversation").json(&pair());
    let asked = app.asked().len();
    let hanging_up = tokio::spawn(async move { rest.send(asking).await });
    crate::support::until("the creation to begin", || async { (app.asked().len() > asked).then_some(()) })
        .await;
    hanging_up.abort();
    crate::support::until("both to be in", || async {
        let asked = app.asked();
        let added = asked.iter().filter(|entry| entry.path.ends_with("/Participants") && entry.status == 201);
        (added.count() == 2).then_some(())
    })
    .await;
    let found = app.rest().post("/newconversation", &pair()).await.ok();
    assert_eq!(found["existing"], true);
    app.finish([]).await;
}

#[tokio::test]
async fn what_twilio_reports_of_our_own_changes_is_told_once() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice"]).await;
    let rest = app.rest();
    let path = format!("/{conversation}");
    let sent = send(&app, &conversation, &json!({ "author": "bob", "body": "0" })).await.ok();
    let message = sent["message_sid"].as_str().unwrap();
    sockets[0].hears_message().await;
    for number in 0..40 {
        // The report and our own answer arrive at about the same time.
        let name = format!("name {number}");
        rest.patch(&path, &json!({ "friendly_name": name })).await.ok();
        assert_eq!(sockets[0].hears("conversation_updated").await["update"]["friendly_name"], name);
        let edited = format!("{path}/messages/{message}");
        rest.patch(&edited, &json!({ "author": "bob", "body": name })).await.ok();
        assert_eq!(sockets[0].hears("message_updated").await["message"]["body"], name);
        let said = send(&app, &conversation, &json!({ "author": "bob", "body": name })).await.ok();
        sockets[0].hears_message().await;
        let read = json!({ "identity": "alice", "index": number + 1 });
        rest.post(&format!("{path}/read"), &read).await.ok();
        assert_eq!(sockets[0].hears("message_read").await["lastReadMessageIndex"], number + 1);
        assert!(said["message_sid"].is_string());
    }
    app.told("onConversationUpdated", 40).await;
    app.told("onMessageUpdated", 40).await;
    app.told("onParticipantUpdated", 40).await;
    app.finish(sockets).await;
}
