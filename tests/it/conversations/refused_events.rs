//! Bad input over sockets: every event answers in its own failure form, and its callback with it; nothing reaches Twilio.

use serde_json::{Value, json};

use crate::support::socket::Heard;
use crate::support::{Socket, TestApp, assert_readable};

/// Every event that takes a payload, one that would succeed, and which of its fields are needed.
fn events(conversation: &str) -> Vec<(&'static str, Value, &'static [&'static str])> {
    let here = json!({ "conversationSid": conversation, "identity": "alice" });
    vec![
        ("user_connect", json!({ "userId": "alice", "identity": "alice" }), &[]),
        ("join_conversation", here.clone(), &["conversationSid"]),
        ("leave_conversation", here.clone(), &["conversationSid"]),
        (
            "send_message",
            json!({ "conversationSid": conversation, "author": "alice", "body": "hello", "media": [] }),
            &["conversationSid", "author", "body"],
        ),
        ("typing_start", here.clone(), &["conversationSid"]),
        ("typing_stop", here, &["conversationSid"]),
        ("get_online_users", json!({ "conversationSid": conversation }), &["conversationSid"]),
        ("set_status", json!({ "status": "away" }), &["status"]),
    ]
}

/// The next thing the socket hears is the failure form of `event`; gives back its text.
async fn hears_failure(socket: &mut Socket, event: &str, conversation: &Value) -> String {
    let (form, text) = match event {
        "user_connect" => ("user_connected", "message"),
        "join_conversation" => ("joined_conversation", "message"),
        _ => ("message_error", "error"),
    };
    let failure = socket.hears(form).await;
    assert_eq!(failure["success"], false, "{event}: {failure}");
    if event != "user_connect" {
        assert_eq!(failure["conversationSid"], *conversation, "{event}: {failure}");
    }
    if form == "message_error" && event != "send_message" {
        assert_eq!(failure["event"], event);
    }
    let text = failure[text].as_str().unwrap_or_else(|| panic!("{failure}")).to_owned();
    assert_readable(&text);
    text
}

#[tokio::test]
async fn a_payload_that_is_no_object_is_answered_in_the_events_own_form() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut alice = app.room(&conversation, &["alice"]).await.remove(0);
    let before = app.asked().len();
    for (event, ..) in events(&conversation) {
        alice.emit_bare(event).await;
        hears_failure(&mut alice, event, &Value::Null).await;
        for payload in [
            "null",
            "7",
            "\"text\"",
            "true",
            "[]",
            "[\"alice\"]",
            "[[]]",
            "{\"_placeholder\":true,\"num\":0}",
        ] {
            if event == "user_connect" && payload.starts_with('{') {
                continue; // an object without anybody's name: who is bound already stays so
            }
            alice.emit_raw(&format!("\"{event}\",{payload}")).await;
            hears_failure(&mut alice, event, &Value::Null).await;
        }
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([alice]).await;
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named_and_the_conversation_too() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut alice = app.room(&conversation, &["alice"]).await.remove(0);
    let before = app.asked().len();
    let id =
        [json!({}), json!([]), json!(true), json!(" "), json!(""), json!("x".repeat(257)), json!("a\u{0}")];
    let sid = [
        json!(7),
        json!({}),
        json!(""),
        json!("CHx"),
        json!("dm_0123"),
        json!("../Services"),
        json!(conversation[1..]),
    ];
    let wrong_of = |field: &str| -> Vec<Value> {
        match field {
            "conversationSid" => sid.to_vec(),
            "userId" | "identity" | "author" => id.to_vec(),
            "body" => vec![json!(7), json!({}), json!(" "), json!("x".repeat(32 * 1024 + 1))],
            "media" => vec![
                json!(7),
                json!("x"),
                json!([7]),
                json!(["ftp://example.com"]),
                json!(vec!["https://a.example"; 11]),
            ],
            _ => vec![json!(7), json!({}), json!(" "), json!("x".repeat(65)), json!("a\nb")],
        }
    };
    for (event, payload, needed) in events(&conversation) {
        for field in payload.as_object().unwrap().keys() {
            let missing = needed.contains(&field.as_str()).then_some(Value::Null);
            for value in wrong_of(field).into_iter().chain(missing) {
                let mut wrong = payload.clone();
                wrong[field] = value;
                let named = if field == "conversationSid" || event == "set_status" {
                    &Value::Null
                } else {
                    &json!(conversation)
                };
                alice.emit(event, &wrong).await;
                let text = hears_failure(&mut alice, event, named).await;
                assert!(text.contains(field.as_str()), "{event} {field}: {text}");
            }
        }
    }
    for since in [json!("1"), json!(1.5), json!({})] {
        let join = json!({ "conversationSid": conversation, "identity": "alice", "sinceIndex": since });
        alice.emit("join_conversation", &join).await;
        let text = hears_failure(&mut alice, "join_conversation", &json!(conversation)).await;
        assert!(text.contains("sinceIndex"), "{text}");
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([alice]).await;
}

#[tokio::test]
async fn a_callback_is_answered_with_the_failure() {
    let app = TestApp::start().await;
    let mut alice = app.socket("alice").await;
    for (event, ..) in events("CHx") {
        let id = alice
            .emit_with_ack(event, &json!({ "conversationSid": "CHx", "identity": {}, "status": 7 }))
            .await;
        hears_failure(&mut alice, event, &Value::Null).await;
        assert_eq!(alice.hears_ack(id).await["success"], false, "{event}");
    }
    app.finish([alice]).await;
}

#[tokio::test]
async fn what_does_not_exist_is_refused_and_nothing_is_joined() {
    let app = TestApp::start().await;
    let nowhere = format!("CH{}", "0".repeat(32));
    let mut alice = app.socket("alice").await;
    alice.emit("user_connect", &json!({ "userId": "alice", "identity": "alice" })).await;
    alice.hears("user_connected").await;
    for event in ["join_conversation", "typing_start", "typing_stop"] {
        alice.emit(event, &json!({ "conversationSid": nowhere, "identity": "alice" })).await;
        hears_failure(&mut alice, event, &json!(nowhere)).await;
    }
    alice
        .emit("send_message", &json!({ "conversationSid": nowhere, "author": "alice", "body": "hello" }))
        .await;
    hears_failure(&mut alice, "send_message", &json!(nowhere)).await;
    alice.emit("get_online_users", &json!({ "conversationSid": nowhere })).await;
    hears_failure(&mut alice, "get_online_users", &json!(nowhere)).await;
    assert!(app.asked().iter().all(|entry| entry.method == "GET" || entry.status == 404));
    app.finish([alice]).await;
}

#[tokio::test]
async fn typing_needs_a_place_in_the_room() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    for claimed in ["bob", "carol"] {
        sockets[0]
            .emit("typing_start", &json!({ "conversationSid": conversation, "identity": claimed }))
            .await;
        hears_failure(&mut sockets[0], "typing_start", &json!(conversation)).await;
    }
    app.finish(sockets).await;
}

#[tokio::test]
async fn an_event_nobody_knows_is_ignored_and_a_name_that_is_none_too() {
    let app = TestApp::start().await;
    let mut alice = app.socket("alice").await;
    alice.emit("conversation_updated", &json!({ "conversationSid": "CHx" })).await;
    alice.emit("nonsense", &json!({})).await;
    for arguments in ["\"\"", "\"ping \"", "\"__proto__\",{}"] {
        alice.emit_raw(arguments).await;
    }
    alice.hears_nothing_else().await;
    app.finish([alice]).await;
}

#[tokio::test]
async fn a_frame_of_more_than_64_kib_ends_the_connection() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice"]).await;
    let before = app.asked().len();
    let large = json!({ "conversationSid": conversation, "author": "alice", "body": "x".repeat(64 * 1024) });
    sockets[0].emit("send_message", &large).await;
    assert_eq!(sockets[0].is_ended().await, Vec::<Heard>::new());
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_token_that_does_not_hold_lets_nobody_in() {
    let app = TestApp::start().await;
    for token in ["nonsense", "a.b.c", &"x".repeat(9_000)] {
        let refused = Socket::try_connect(app.address, "mallory", Some(json!({ "token": token }))).await;
        assert_eq!(refused.err().as_deref(), Some("the token is not valid"));
    }
    let mut alice = app.socket("alice").await;
    alice.emit("user_connect", &json!({ "identity": "alice", "token": "nonsense" })).await;
    let text = hears_failure(&mut alice, "user_connect", &Value::Null).await;
    assert_eq!(text, "the token is not valid");
    app.finish([alice]).await;
}
