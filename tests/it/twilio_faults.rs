//! Twilio out of order: what is in memory is still answered, what is not fails in the dialect's own words and in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard::mock::Action;

use crate::support::{Answer, TestApp};

/// The longest anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

async fn in_time<T>(what: &str, asking: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let answer = asking.await;
    assert!(began.elapsed() < PATIENCE, "{what} took {:?}", began.elapsed());
    answer
}

/// A 503 that says when to come back.
fn assert_unavailable(answer: &Answer) {
    answer.refused(503);
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
}

fn gateway_page() -> Action {
    Action::Status { status: 503, retry_after: None, html: true }
}

/// Everything that asks Twilio, whatever is in memory.
fn requests(conversation: &str) -> Vec<(&'static str, String, Value)> {
    vec![
        ("POST", "/create".to_owned(), json!({ "participants": ["alice", "bob"] })),
        ("POST", "/newconversation".to_owned(), json!({ "participants": ["alice", "dave"] })),
        ("GET", "?userId=dave".to_owned(), Value::Null),
        ("GET", "/users/dave/reachability".to_owned(), Value::Null),
        ("POST", format!("/{conversation}/send-message"), json!({ "author": "alice", "body": "hello" })),
        ("POST", format!("/{conversation}/add-chat-participant"), json!({ "identity": "dave" })),
        ("POST", format!("/{conversation}/add-sms-participant"), json!({ "phone_number": "+15551230001" })),
        ("GET", "/media/ME00000000000000000000000000000001/content".to_owned(), Value::Null),
        ("PATCH", format!("/{conversation}"), json!({ "friendly_name": "x" })),
        ("POST", "/enable-reachability".to_owned(), Value::Null),
        ("DELETE", format!("/{conversation}"), Value::Null),
    ]
}

async fn ask(app: &TestApp, (method, path, body): &(&'static str, String, Value)) -> Answer {
    app.rest().ask(method, path, (!body.is_null()).then_some(body)).await
}

#[tokio::test]
async fn what_is_in_memory_is_answered_while_twilio_is_down() {
    let app = TestApp::start().await;
    let pair = json!({ "participants": ["alice", "bob"] });
    let made = app.rest().post("/newconversation", &pair).await.ok();
    let conversation = made["conversation_sid"].as_str().unwrap();
    app.rest().say(conversation, "alice", "before").await;
    app.rest().get("?userId=bob").await.ok();
    app.fault_always(Action::Reset);

    let rest = app.rest();
    assert_eq!(rest.history(conversation).await, ["before"]);
    assert_eq!(rest.get("?userId=bob").await.ok()[0]["last_message"]["body"], "before");
    assert_eq!(rest.post("/newconversation", &pair).await.ok()["existing"], true);
    assert_eq!(rest.participants(conversation).await, ["alice", "bob"]);
    rest.post("/generate-token", &json!({ "user_id": "alice" })).await;
    let mut sockets = app.room(conversation, &["alice", "bob"]).await;
    sockets[0].emit("typing_start", &json!({ "conversationSid": conversation, "identity": "alice" })).await;
    assert_eq!(sockets[1].hears("user_typing").await["isTyping"], true);
    sockets[0].emit("typing_stop", &json!({ "conversationSid": conversation, "identity": "alice" })).await;
    sockets[1].hears("user_typing").await;
    app.finish(sockets).await;
}

#[tokio::test]
async fn what_needs_twilio_fails_in_time_while_it_is_down() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    app.fault_always(Action::Reset);
    let message = json!({ "conversationSid": conversation, "author": "alice", "body": "hello?" });
    in_time("the event", async {
        sockets[0].emit("send_message", &message).await;
        let failure = sockets[0].hears("message_error").await;
        assert_eq!((&failure["success"], &failure["conversationSid"]), (&json!(false), &json!(conversation)));
    })
    .await;
    for request in requests(&conversation) {
        assert_unavailable(&in_time(&request.1, ask(&app, &request)).await);
    }
    // By now it is known that Twilio is down: nobody waits for nothing.
    let began = Instant::now();
    for request in requests(&conversation) {
        assert_unavailable(&ask(&app, &request).await);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    app.finish(sockets).await;
}

#[tokio::test]
async fn nobody_waits_longer_than_ten_seconds_for_a_twilio_that_hangs() {
    // Each on a stage of its own: many failures together would be known to be failures sooner.
    let mut stages = Vec::new();
    for _ in requests("") {
        let app = TestApp::start().await;
        let conversation = app.conversation(&["alice", "bob"]).await;
        app.fault_always(Action::Hang);
        stages.push((app, conversation));
    }
    let asking = stages.into_iter().enumerate().map(|(number, (app, conversation))| async move {
        let request = &requests(&conversation)[number];
        assert_unavailable(&in_time(&request.1, ask(&app, request)).await);
        app.mock.faults().clear();
        app.finish([]).await;
    });
    futures::future::join_all(asking).await;
}

#[tokio::test]
async fn a_gateways_page_in_html_is_a_failure_like_any_other() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.fault_always(gateway_page());
    for request in requests(&conversation) {
        assert_unavailable(&in_time(&request.1, ask(&app, &request)).await);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn one_failure_of_a_read_is_not_noticed() {
    let mut app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.rest().say(&conversation, "alice", "hello").await;
    for action in
        [gateway_page(), Action::Reset, Action::Status { status: 429, retry_after: Some(1), html: false }]
    {
        app.restart().await;
        app.fault("GET", "/Messages$", 1, action);
        assert_eq!(app.rest().history(&conversation).await, ["hello"]);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn credentials_that_twilio_does_not_take_are_our_own_mistake() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.fault_always(Action::Status { status: 401, retry_after: None, html: false });
    for request in requests(&conversation) {
        let text = ask(&app, &request).await.refused(500);
        assert_eq!(text, "internal error");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn too_many_requests_for_too_long_is_said_so() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.fault_always(Action::Status { status: 429, retry_after: Some(20), html: false });
    for request in requests(&conversation) {
        assert_unavailable(&in_time(&request.1, ask(&app, &request)).await);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn when_twilio_is_back_everything_works_again() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.fault_always(Action::Reset);
    let send =
        ("POST", format!("/{conversation}/send-message"), json!({ "author": "alice", "body": "lost" }));
    for number in 0..10 {
        let path = format!("?userId=somebody-{number}");
        assert_unavailable(&ask(&app, &("GET", path, Value::Null)).await);
    }
    assert_unavailable(&ask(&app, &send).await);
    app.mock.faults().clear();
    // The service asks again after a few seconds.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    app.rest().say(&conversation, "alice", "found").await;
    assert_eq!(app.stored(&conversation).await, ["found"]);
    app.finish([]).await;
}
