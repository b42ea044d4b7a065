//! Reports that never come: who is in the room hears of the message all the same, at a bounded price.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use switchboard::clock::Clock;

use crate::support::{Socket, TestApp, until};

/// Lets the service's timers run so much ahead, at once, and says what Bob is told meanwhile. He answers the pings that are
/// due, lest he be taken for gone the next time.
async fn pass(bob: &mut Socket, time: Duration) -> Vec<String> {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    let mut told = Vec::new();
    for _ in 0..3 {
        bob.emit_bare("ping").await;
        loop {
            let (event, payload) = bob.hears_something().await;
            if event == "pong" {
                break;
            }
            assert_eq!(event, "new_message", "{payload}");
            told.push(payload["message"]["body"].as_str().unwrap().to_owned());
        }
    }
    told
}

/// The next so many messages that Bob is told once that time has passed.
async fn told_after(bob: &mut Socket, time: Duration, messages: usize) -> Vec<String> {
    let mut told = pass(bob, time).await;
    while told.len() < messages {
        told.push(bob.hears_message().await);
    }
    told
}

/// A message sent at Twilio by somebody else, `age` ago, which Twilio does not report.
async fn unreported(app: &TestApp, conversation: &str, body: &str, age: TimeDelta) {
    let created = (Clock::system().now() - age).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let message = [("Author", "alice"), ("Body", body), ("DateCreated", created.as_str())];
    app.elsewhere(Method::POST, &format!("/Conversations/{conversation}/Messages"), &message).await;
}

async fn scene() -> (TestApp, String, Socket) {
    let app = TestApp::without_webhooks().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let bob = app.room(&conversation, &["bob"]).await.remove(0);
    (app, conversation, bob)
}

/// Waits until the service has asked Twilio `times` times for the messages of `conversation` since `before`.
async fn looked(app: &TestApp, before: usize, conversation: &str, times: usize) {
    let line = format!("GET /Conversations/{conversation}/Messages");
    until("a look at Twilio", || async {
        (app.asked_since(before).iter().filter(|asked| **asked == line).count() >= times).then_some(())
    })
    .await;
}

/// How many calls since `before` were for this.
fn asked_for(app: &TestApp, before: usize, what: &str) -> usize {
    app.asked_since(before).iter().filter(|asked| asked.ends_with(what)).count()
}

#[tokio::test]
async fn a_message_whose_report_is_lost_is_told_within_75_seconds() {
    let (app, conversation, mut bob) = scene().await;
    // The service notices the room.
    pass(&mut bob, Duration::from_secs(5)).await;
    unreported(&app, &conversation, "0", TimeDelta::zero()).await;
    unreported(&app, &conversation, "1", TimeDelta::zero()).await;
    let before = app.asked().len();
    assert_eq!(told_after(&mut bob, Duration::from_secs(70), 2).await, ["0", "1"]);
    assert_eq!(asked_for(&app, before, "/Messages"), 1, "one call says it all");
    assert_eq!(app.rest().history(&conversation).await, ["0", "1"]);

    let before = app.asked().len();
    assert!(pass(&mut bob, Duration::from_secs(70)).await.is_empty());
    looked(&app, before, &conversation, 1).await;
    app.rest().say(&conversation, "alice", "2").await;
    assert_eq!(bob.hears_message().await, "2", "and nothing is told twice");
    app.finish([bob]).await;
}

#[tokio::test]
async fn many_lost_reports_are_made_up_for_in_order() {
    let (app, conversation, mut bob) = scene().await;
    pass(&mut bob, Duration::from_secs(5)).await;
    for number in 0..30 {
        unreported(&app, &conversation, &number.to_string(), TimeDelta::zero()).await;
    }
    let before = app.asked().len();
    let expected: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    assert_eq!(told_after(&mut bob, Duration::from_secs(70), 30).await, expected);
    assert_eq!(asked_for(&app, before, "/Messages"), 2, "a glance, and a page");
    app.finish([bob]).await;
}

#[tokio::test]
async fn what_was_there_before_somebody_came_is_no_news() {
    let app = TestApp::without_webhooks().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    unreported(&app, &conversation, "before", TimeDelta::minutes(5)).await;
    let mut bob = app.room(&conversation, &["bob"]).await.remove(0);
    pass(&mut bob, Duration::from_secs(5)).await;
    let before = app.asked().len();
    assert!(pass(&mut bob, Duration::from_secs(70)).await.is_empty());
    looked(&app, before, &conversation, 1).await;
    unreported(&app, &conversation, "after", TimeDelta::zero()).await;
    assert_eq!(told_after(&mut bob, Duration::from_secs(70), 1).await, ["after"]);
    app.finish([bob]).await;
}

#[tokio::test]
async fn rooms_that_are_empty_cost_nothing() {
    let (app, conversation, mut bob) = scene().await;
    pass(&mut bob, Duration::from_secs(5)).await;
    bob.emit("leave_conversation", &json!({ "conversationSid": conversation, "identity": "bob" })).await;
    bob.hears_nothing_else().await;
    unreported(&app, &conversation, "unheard", TimeDelta::zero()).await;
    let before = app.asked().len();
    assert!(pass(&mut bob, Duration::from_secs(70)).await.is_empty());
    assert_eq!(app.asked_since(before), Vec::<String>::new());
    app.finish([bob]).await;
}

#[tokio::test]
async fn whose_removal_nobody_reported_hears_no_more_within_two_minutes() {
    let (app, conversation, mut bob) = scene().await;
    let mut alice = app.room(&conversation, &["alice"]).await.remove(0);
    bob.hears_of_coming().await;
    pass(&mut bob, Duration::from_secs(5)).await;
    app.elsewhere(Method::DELETE, &format!("/Conversations/{conversation}/Participants/alice"), &[]).await;
    let before = app.asked().len();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(70)).await;
    tokio::time::resume();
    let told = bob.hears("conversation_updated").await;
    assert_eq!(
        (&told["update"]["event"], &told["update"]["identity"]),
        (&json!("participant_removed"), &json!("alice"))
    );
    assert_eq!(bob.hears("user_left").await["identity"], "alice");
    assert_eq!(asked_for(&app, before, "/Participants"), 1);
    alice.hears("conversation_updated").await;
    app.rest().say(&conversation, "bob", "are we alone?").await;
    assert_eq!(bob.hears_message().await, "are we alone?");
    app.finish([alice, bob]).await;
}
