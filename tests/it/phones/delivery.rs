//! How messages fare with phones: told at once, and true in every history and list.

use serde_json::{Value, json};

use super::{OTHER_PHONE, PHONE, bring_in, carrier};
use crate::messaging::{Messaging, meet};
use crate::support::TestApp;

/// Twilio's summary: of so many copies, how many got how far.
fn summary(total: u32, sent: &str, delivered: &str, read: &str, failed: &str, undelivered: &str) -> Value {
    json!({
        "total": total, "sent": sent, "delivered": delivered, "read": read, "failed": failed,
        "undelivered": undelivered,
    })
}

/// A message that is said in a conversation, as [`carrier`] names it.
async fn said(app: &TestApp, conversation: &str, text: &str) -> Value {
    let sent = app.rest_as("ada").say(conversation, "ada", text).await;
    json!({ "conversation": conversation, "sid": sent["sid"], "delivery": sent["delivery"] })
}

async fn in_history(app: &TestApp, conversation: &str) -> Value {
    let history = app.rest_as("ada").get(&format!("/{conversation}/messages")).await.ok();
    history.as_array().unwrap().last().unwrap()["delivery"].clone()
}

async fn in_list(app: &TestApp) -> Value {
    app.rest_as("ada").get("").await.ok()[0]["last_message"]["delivery"].clone()
}

#[tokio::test]
async fn what_carriers_report_is_told_and_stands_in_histories_and_lists() {
    let mut app = TestApp::required().await;
    let conversation = app.conversation(&["ada", "ben"]).await;
    let phone = bring_in(&app, "ada", &conversation, PHONE).await;
    let mut room = app.room(&conversation, &["ada"]).await;
    let message = said(&app, &conversation, "is it you?").await;
    room[0].hears("new_message").await;
    let on_its_way = summary(1, "all", "none", "none", "none", "none");
    assert_eq!(message["delivery"], on_its_way);
    assert_eq!(in_history(&app, &conversation).await, on_its_way);
    assert_eq!(in_list(&app).await, on_its_way);

    let delivered = summary(1, "all", "all", "none", "none", "none");
    let before = app.asked().len();
    carrier(&app, &message, &phone, "delivered", 0).await;
    let told = room[0].hears("message_status").await;
    assert_eq!((&told["status"], &told["delivery"]), (&json!("delivered"), &delivered));
    assert_eq!((&told["messageSid"], &told["error"]), (&message["sid"], &Value::Null));
    assert_eq!(in_history(&app, &conversation).await, delivered);
    assert_eq!(in_list(&app).await, delivered);
    assert_eq!(app.asked_since(before), [""; 0], "reports are believed");

    room.remove(0).finish().await;
    app.restart().await;
    assert_eq!(in_list(&app).await, delivered, "kept");
    assert_eq!(in_history(&app, &conversation).await, delivered, "as Twilio has it");
    app.finish(room).await;
}

#[tokio::test]
async fn every_dialect_that_shows_messages_shows_it() {
    let app = TestApp::required().await;
    meet(&app, &["ada", "ben"]).await;
    let conversation = Messaging::of(&app, "ada").open("ben").await;
    let phone = bring_in(&app, "ada", &conversation, PHONE).await;
    let message = said(&app, &conversation, "hello").await;
    carrier(&app, &message, &phone, "read", 0).await;
    app.told("onDeliveryUpdated", 1).await;
    let read = summary(1, "all", "all", "all", "none", "none");
    crate::support::until("the report to be taken in", || async {
        (in_history(&app, &conversation).await == read).then_some(())
    })
    .await;
    let page = app.chat("ben").get(&format!("/conversations/{conversation}/messages/")).await.ok();
    assert_eq!(page["messages"][0]["delivery"], read);
    let page = Messaging::of(&app, "ben").get(&format!("/messages/{conversation}/messages")).await.ok();
    assert_eq!(page["messages"][0]["delivery"], read);
    app.finish([]).await;
}

#[tokio::test]
async fn of_two_phones_each_counts() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["ada"]).await;
    let one = bring_in(&app, "ada", &conversation, PHONE).await;
    let other = bring_in(&app, "ada", &conversation, OTHER_PHONE).await;
    let mut room = app.room(&conversation, &["ada"]).await;
    let message = said(&app, &conversation, "hello both").await;
    room[0].hears("new_message").await;
    let steps = [
        (&one, "delivered", summary(2, "all", "some", "none", "none", "none")),
        (&other, "undelivered", summary(2, "all", "some", "none", "none", "some")),
        (&one, "read", summary(2, "all", "some", "some", "none", "some")),
    ];
    for (phone, status, expected) in steps {
        carrier(&app, &message, phone, status, 0).await;
        assert_eq!(room[0].hears("message_status").await["delivery"], expected);
        assert_eq!(in_history(&app, &conversation).await, expected);
    }
    app.finish(room).await;
}

#[tokio::test]
async fn what_was_sent_elsewhere_gets_its_summary_from_the_reports_and_keeps_it_when_edited() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["ada"]).await;
    let phone = bring_in(&app, "ada", &conversation, PHONE).await;
    let mut room = app.room(&conversation, &["ada"]).await;
    assert_eq!(app.rest_as("ada").history(&conversation).await, [""; 0]);
    let sdk = json!({ "conversation_sid": conversation, "identity": "ada", "body": "by SDK" });
    let sent = app.other_side("sdk-message", &sdk).await;
    let told = room[0].hears("new_message").await;
    assert_eq!(told["message"]["delivery"], Value::Null, "nothing is known yet");
    let message = json!({ "conversation": conversation, "sid": sent["message_sid"] });
    carrier(&app, &message, &phone, "delivered", 0).await;
    let delivered = summary(1, "all", "all", "none", "none", "none");
    assert_eq!(room[0].hears("message_status").await["delivery"], delivered);
    assert_eq!(in_history(&app, &conversation).await, delivered);

    let edit = json!({
        "conversation_sid": conversation, "message_sid": sent["message_sid"], "identity": "ada", "body": "edited",
    });
    app.other_side("sdk-edit", &edit).await;
    let told = room[0].hears("message_updated").await;
    assert_eq!((&told["message"]["body"], &told["message"]["delivery"]), (&json!("edited"), &delivered));
    assert_eq!(in_history(&app, &conversation).await, delivered);
    app.finish(room).await;
}

#[tokio::test]
async fn why_it_failed_is_said_in_words() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["ada"]).await;
    let phone = bring_in(&app, "ada", &conversation, PHONE).await;
    let mut room = app.room(&conversation, &["ada"]).await;
    let failures = [
        ("undelivered", 30003, "the phone is switched off or out of reach"),
        ("undelivered", 30006, "this number cannot receive texts; it may be a landline"),
        ("failed", 21610, "this person has asked not to be texted from here"),
        ("failed", 99999, "it could not be delivered"),
    ];
    for (status, code, words) in failures {
        let message = said(&app, &conversation, words).await;
        room[0].hears("new_message").await;
        carrier(&app, &message, &phone, status, code).await;
        let told = room[0].hears("message_status").await;
        assert_eq!((&told["status"], &told["errorCode"]), (&json!(status), &json!(code)));
        assert_eq!(told["error"], words);
        assert_eq!(in_history(&app, &conversation).await[status], "all");
    }
    app.finish(room).await;
}
