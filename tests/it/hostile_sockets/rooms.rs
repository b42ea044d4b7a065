//! Rooms: only who has joined types there and hears who is there; joining is cheap for the others, and there is only so much.

use std::time::Duration;

use serde_json::json;
use switchboard::config::Config;

use super::{connected, here, optional, pass, some};
use crate::support::{Socket, TestApp};
use crate::support_dialect::{Api, Line};

#[tokio::test]
async fn who_has_not_joined_neither_types_there_nor_learns_who_is_there() {
    for app in [TestApp::start().await, TestApp::required().await] {
        let conversation = app.conversation(&["alice", "bob"]).await;
        let mut room = app.room(&conversation, &["bob"]).await;
        let mut alice = app.socket_as("alice").await;
        // Online, but not here.
        room[0].hears("user_status_changed").await;
        for event in ["typing_start", "typing_stop", "get_online_users"] {
            alice.emit(event, &here(&conversation, "alice")).await;
            let error = alice.hears("message_error").await;
            assert_eq!((&error["event"], &error["success"]), (&json!(event), &json!(false)), "{error}");
            assert!(error["error"].as_str().unwrap().contains("must be joined"), "{error}");
        }
        room.push(alice);
        app.finish(room).await;
    }
}

#[tokio::test]
async fn who_has_not_joined_types_in_no_support_conversation() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let mut alice = Line::user(&app, "alice").await;
    let mut admin = Line::admin(&app, "eve").await;
    admin.join(&id).await;
    alice.hears("conversation:updated").await;
    admin.hears("conversation:updated").await;
    for event in ["typing:start", "typing:stop"] {
        alice.emit(event, &json!({ "conversationId": id })).await;
        assert!(alice.hears_error().await.contains("must be joined"));
    }
    admin.finish().await;
    alice.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn joining_again_and_again_is_no_news() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["alice", "bob"]).await;
    for _ in 0..30 {
        room[0].join(&conversation, "alice").await;
    }
    room[1].hears_nothing_else().await;
    room[0].emit("leave_conversation", &here(&conversation, "alice")).await;
    room[1].hears("user_left").await;
    app.finish(room).await;
}

async fn join(socket: &mut Socket, conversation: &str) -> serde_json::Value {
    socket.emit("join_conversation", &here(conversation, "alice")).await;
    let joined = socket.hears("joined_conversation").await;
    if joined["success"] == true {
        socket.hears("conversation_users").await;
    }
    joined
}

#[tokio::test]
async fn a_socket_is_in_so_many_rooms_and_in_no_more() {
    let app = optional(Config { limit_rooms: some("2"), ..Config::default() }).await;
    let mut conversations = Vec::new();
    for other in ["bob", "carol", "dave"] {
        conversations.push(app.conversation(&["alice", other]).await);
    }
    let mut alice = connected(&app, "alice").await;
    for conversation in &conversations[..2] {
        assert_eq!(join(&mut alice, conversation).await["success"], true);
    }
    let refused = join(&mut alice, &conversations[2]).await;
    assert_eq!(refused["success"], false);
    assert_eq!(refused["message"], "this connection has joined as many conversations as it can");
    assert_eq!(join(&mut alice, &conversations[0]).await["success"], true, "it is there already");
    alice.emit("leave_conversation", &here(&conversations[0], "alice")).await;
    assert_eq!(join(&mut alice, &conversations[2]).await["success"], true);
    app.finish([alice]).await;
}

#[tokio::test]
async fn who_types_and_stops_and_types_is_told_of_now_and_then() {
    let app = optional(Config { limit_events: some("50/s burst 300"), ..Config::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["alice", "bob"]).await;
    for _ in 0..50 {
        room[0].emit("typing_start", &here(&conversation, "alice")).await;
        room[0].emit("typing_stop", &here(&conversation, "alice")).await;
    }
    room[0].emit("typing_start", &here(&conversation, "alice")).await;
    room[0].hears_nothing_else().await;
    for typing in [true, false] {
        assert_eq!(room[1].hears("user_typing").await["isTyping"], typing);
    }
    room[1].hears_nothing_else().await;
    pass(Duration::from_millis(2_300)).await;
    assert_eq!(room[1].hears("user_typing").await["isTyping"], true, "what is true, if late");
    pass(Duration::from_secs(6)).await;
    assert_eq!(room[1].hears("user_typing").await["isTyping"], false, "8 s after the last sign");

    // What was held back and is over by then is never told.
    for _ in 0..2 {
        room[0].emit("typing_start", &here(&conversation, "alice")).await;
        room[0].emit("typing_stop", &here(&conversation, "alice")).await;
    }
    for typing in [true, false] {
        assert_eq!(room[1].hears("user_typing").await["isTyping"], typing);
    }
    room[0].hears_nothing_else().await;
    pass(Duration::from_millis(2_300)).await;
    app.finish(room).await;
}
