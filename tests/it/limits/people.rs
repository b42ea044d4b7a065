//! The limits of one person: requests, and messages whichever way they come.

use serde_json::json;
use switchboard::config::Config;

use super::{VOICES, ask, assert_refused, optional, required, some, status};
use crate::support::app::{API_KEY, token, token_of};
use crate::support::{Socket, TestApp, until};

fn bearer(identity: &str) -> String {
    format!("Bearer {}", token(identity))
}

#[tokio::test]
async fn the_request_after_the_last_is_refused_in_each_dialects_voice() {
    let app = required(Config { limit_requests: some("1/m burst 3"), ..Config::default() }).await;
    for (dialect, method, path) in VOICES {
        let own = bearer(&format!("{dialect}-person"));
        for _ in 0..3 {
            assert_ne!(status(&app, method, path, &[("authorization", &own)]).await, 429, "{dialect}");
        }
        assert_refused(dialect, ask(&app, method, path, &[("authorization", &own)]).await).await;
        let other = bearer(&format!("another-{dialect}-person"));
        assert_ne!(status(&app, method, path, &[("authorization", &other)]).await, 429, "{dialect}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_person_has_one_budget_for_all_dialects() {
    let app = required(Config { limit_requests: some("1/m burst 5"), ..Config::default() }).await;
    let alice = bearer("alice");
    for (dialect, method, path) in VOICES {
        assert_ne!(status(&app, method, path, &[("authorization", &alice)]).await, 429, "{dialect}");
    }
    for (dialect, method, path) in VOICES {
        assert_refused(dialect, ask(&app, method, path, &[("authorization", &alice)]).await).await;
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_guest_is_a_person_and_the_back_end_is_not() {
    let app = optional(Config { limit_requests: some("1/m burst 3"), ..Config::default() }).await;
    let guest = [("x-guest-id", "guest_1_abcdefgh")];
    let path = "/api/support/conversation/CH00000000000000000000000000000001/messages";
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(status(&app, "GET", path, &guest).await);
    }
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 1, "{answers:?}");
    assert_eq!(answers[3], 429, "{answers:?}");
    let service = json!({ "sub": "back-end", "role": "service" });
    let service = format!("Bearer {}", token_of(&service, std::time::Duration::from_secs(60)));
    for headers in [[("x-api-key", API_KEY)], [("authorization", service.as_str())]] {
        for _ in 0..8 {
            assert_ne!(status(&app, "GET", "/api/chat/conversations?userId=alice", &headers).await, 429);
        }
    }
    app.finish([]).await;
}

async fn refused_send(socket: &mut Socket, conversation: &str) {
    let send = json!({ "conversationSid": conversation, "author": "alice", "body": "one too many" });
    socket.emit("send_message", &send).await;
    let error = socket.hears("message_error").await;
    assert_eq!(error["error"], "too many requests", "{error}");
}

/// Alice has said two things, all that she may, one of them over her socket.
async fn two_said(app: &TestApp) -> (String, Socket) {
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut alice = app.socket("alice").await;
    alice.enter(&conversation, "alice").await;
    app.rest().say(&conversation, "alice", "one").await;
    assert_eq!(alice.hears_message().await, "one");
    let send = json!({ "conversationSid": conversation, "author": "alice", "body": "two" });
    alice.emit("send_message", &send).await;
    assert_eq!(alice.hears_message().await, "two");
    alice.hears("message_sent").await;
    (conversation, alice)
}

#[tokio::test]
async fn messages_by_rest_and_by_socket_are_counted_together() {
    let app = optional(Config { limit_sends: some("1/m burst 2"), ..Config::default() }).await;
    let (conversation, mut alice) = two_said(&app).await;
    let before = app.asked().len();

    refused_send(&mut alice, &conversation).await;
    let message = json!({ "author": "alice", "body": "one too many" });
    let refused = app.rest().post(&format!("/{conversation}/send-message"), &message).await;
    assert_eq!(refused.refused(429), "too many requests");
    let retry_after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    assert_eq!(
        app.chat("alice").post("/send/", &json!({ "receiverId": "bob", "text": "no" })).await.status,
        429
    );
    assert_eq!(app.asked_since(before), [""; 0], "Twilio was not asked");

    app.rest().say(&conversation, "bob", "Bob may").await;
    assert_eq!(alice.hears_message().await, "Bob may");
    assert_eq!(app.stored(&conversation).await, ["one", "two", "Bob may"]);
    app.finish([alice]).await;
}

#[tokio::test]
async fn what_was_refused_can_be_said_a_little_later() {
    let app = optional(Config { limit_sends: some("20/s burst 1"), ..Config::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let path = format!("/{conversation}/send-message");
    for body in ["one", "two"] {
        until(body, || async {
            let sent = app.rest().post(&path, &json!({ "author": "alice", "body": body })).await;
            (sent.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(app.stored(&conversation).await, ["one", "two"]);
    app.finish([]).await;
}

#[tokio::test]
async fn refusals_are_counted_by_limit_and_name_nobody() {
    let app = required(Config { limit_requests: some("1/m burst 1"), ..Config::default() }).await;
    let alice = bearer("alice-of-the-metrics");
    for expected in [200, 429] {
        assert_eq!(status(&app, "GET", "/users/me", &[("authorization", &alice)]).await, expected);
    }
    let metrics = ask(&app, "GET", "/metrics", &[]).await.text().await.unwrap();
    assert!(metrics.contains("switchboard_refused_total{limit=\"requests\"}"), "{metrics}");
    assert!(!metrics.contains("alice") && !metrics.contains("127.0.0.1"), "{metrics}");
    app.finish([]).await;
}
