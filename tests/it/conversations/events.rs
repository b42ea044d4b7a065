//! Stories over sockets: who hears what, in which order, and what a second socket, a silence or an end of the line changes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::socket::Heard;
use crate::support::{Socket, TestApp, until};

/// Lets `time` pass at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Alice and Bob in the room of their conversation.
async fn scene() -> (TestApp, String, Socket, Socket) {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    let (bob, alice) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    (app, conversation, alice, bob)
}

fn here(conversation: &str, identity: &str) -> Value {
    json!({ "conversationSid": conversation, "identity": identity })
}

#[tokio::test]
async fn a_message_is_heard_by_all_and_then_confirmed() {
    let (app, conversation, mut alice, mut bob) = scene().await;
    let message = json!({
        "conversationSid": conversation, "author": "alice", "body": "hello", "clientMessageId": "id-1",
    });
    let callback = alice.emit_with_ack("send_message", &message).await;
    let heard = alice.hears("new_message").await;
    assert_eq!(heard["message"]["clientMessageId"], "id-1");
    let sent = alice.hears("message_sent").await;
    assert_eq!((&sent["clientMessageId"], &sent["messageSid"]), (&json!("id-1"), &heard["message"]["sid"]));
    assert_eq!(alice.hears_ack(callback).await, sent);
    assert_eq!(bob.hears("new_message").await, heard);

    // Over REST the room hears the same; a repeat is confirmed and not told.
    app.rest().say(&conversation, "bob", "hi").await;
    assert_eq!(alice.hears_message().await, "hi");
    assert_eq!(bob.hears_message().await, "hi");
    alice.emit("send_message", &message).await;
    assert_eq!(alice.hears("message_sent").await, sent);
    app.told("onMessageAdded", 2).await;
    app.finish([alice, bob]).await;
}

#[tokio::test]
async fn a_second_socket_of_somebody_is_not_a_second_person() {
    let (app, conversation, mut alice, mut bob) = scene().await;
    let mut second = app.socket("alice, again").await;
    second.enter(&conversation, "alice").await;
    second.emit("get_online_users", &here(&conversation, "alice")).await;
    let users = second.hears("online_users").await;
    let names: Vec<&str> =
        users["users"].as_array().unwrap().iter().map(|user| user["identity"].as_str().unwrap()).collect();
    assert_eq!(names, ["alice", "bob"]);
    // What Alice types Alice does not hear; what she sends, she hears on both.
    alice.emit("typing_start", &here(&conversation, "alice")).await;
    assert_eq!(bob.hears("user_typing").await["identity"], "alice");
    app.rest().say(&conversation, "bob", "hello, Alice").await;
    for socket in [&mut alice, &mut bob, &mut second] {
        assert_eq!(socket.hears_message().await, "hello, Alice");
    }
    // Only the last one to leave is gone; the typing was on the first.
    alice.close().await;
    assert_eq!(bob.hears("user_typing").await["isTyping"], false);
    bob.hears_nothing_else().await;
    second.emit("leave_conversation", &here(&conversation, "alice")).await;
    assert_eq!(bob.hears("user_left").await["identity"], "alice");
    app.finish([bob, second]).await;
}

#[tokio::test]
async fn joining_twice_changes_nothing() {
    let (app, conversation, mut alice, mut bob) = scene().await;
    alice.join(&conversation, "alice").await;
    app.rest().say(&conversation, "bob", "once").await;
    assert_eq!(alice.hears_message().await, "once");
    assert_eq!(bob.hears_message().await, "once");
    alice.emit("leave_conversation", &here(&conversation, "alice")).await;
    bob.hears("user_left").await;
    app.finish([alice, bob]).await;
}

#[tokio::test]
async fn typing_is_told_when_it_changes_and_never_sticks() {
    let (app, conversation, mut alice, mut bob) = scene().await;
    let typing = async |bob: &mut Socket| bob.hears("user_typing").await["isTyping"].as_bool().unwrap();
    for _ in 0..3 {
        alice.emit("typing_start", &here(&conversation, "alice")).await;
    }
    assert!(typing(&mut bob).await);
    alice.emit("typing_stop", &here(&conversation, "alice")).await;
    alice.emit("typing_stop", &here(&conversation, "alice")).await;
    assert!(!typing(&mut bob).await);

    // A message ends it.
    alice.emit("typing_start", &here(&conversation, "alice")).await;
    assert!(typing(&mut bob).await);
    app.rest().say(&conversation, "alice", "done").await;
    assert!(!typing(&mut bob).await);
    bob.hears("new_message").await;
    alice.hears("new_message").await;

    // Silence ends it.
    alice.emit("typing_start", &here(&conversation, "alice")).await;
    assert!(typing(&mut bob).await);
    pass(Duration::from_secs(7)).await;
    bob.hears_nothing_else().await;
    pass(Duration::from_millis(1_300)).await;
    assert!(!typing(&mut bob).await);

    // Leaving ends it.
    alice.emit("typing_start", &here(&conversation, "alice")).await;
    assert!(typing(&mut bob).await);
    alice.emit("leave_conversation", &here(&conversation, "alice")).await;
    assert!(!typing(&mut bob).await);
    bob.hears("user_left").await;
    app.finish([alice, bob]).await;
}

#[tokio::test]
async fn whoever_comes_back_hears_what_was_missed_first() {
    let (app, conversation, alice, mut bob) = scene().await;
    app.rest().say(&conversation, "bob", "0").await;
    bob.hears("new_message").await;
    drop(alice);
    bob.hears("user_left").await;
    for body in ["1", "2"] {
        app.rest().say(&conversation, "bob", body).await;
        bob.hears("new_message").await;
    }
    let mut alice = app.socket("alice, back").await;
    let mut join = here(&conversation, "alice");
    join["sinceIndex"] = json!(0);
    alice.emit("join_conversation", &join).await;
    for body in ["1", "2"] {
        let missed = alice.hears("new_message").await;
        assert_eq!((&missed["message"]["body"], &missed["replayed"]), (&json!(body), &json!(true)));
    }
    assert_eq!(alice.hears("joined_conversation").await["recovered"], true);
    alice.hears("conversation_users").await;
    bob.hears("user_joined").await;
    app.rest().say(&conversation, "bob", "3").await;
    let live = alice.hears("new_message").await;
    assert_eq!((&live["message"]["body"], live.get("replayed")), (&json!("3"), None));
    bob.hears("new_message").await;
    app.finish([alice, bob]).await;
}

#[tokio::test]
async fn what_is_too_much_to_catch_up_on_is_not_half_told() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    for number in 0..120 {
        app.rest().say(&conversation, "bob", &number.to_string()).await;
    }
    let mut alice = app.socket("alice").await;
    for (since, recovered) in
        [(json!(3), false), (json!(-1), false), (json!(i64::MAX), true), (json!(119), true)]
    {
        let mut join = here(&conversation, "alice");
        join["sinceIndex"] = since.clone();
        alice.emit("join_conversation", &join).await;
        assert_eq!(alice.hears("joined_conversation").await["recovered"], recovered, "{since}");
        alice.hears("conversation_users").await;
    }
    app.finish([alice]).await;
}

#[tokio::test]
async fn a_second_user_connect_binds_the_socket_anew() {
    let (app, conversation, mut alice, mut bob) = scene().await;
    alice.emit("user_connect", &json!({ "userId": "carol-7", "identity": "carol" })).await;
    assert_eq!(alice.hears("user_connected").await["userId"], "carol-7");
    assert_eq!(bob.hears("user_left").await["identity"], "alice");
    app.rest().say(&conversation, "bob", "not for Carol").await;
    bob.hears("new_message").await;
    app.finish([alice, bob]).await;
}

#[tokio::test]
async fn going_offline_is_told_after_half_a_minute_and_coming_back_before_is_not() {
    let (app, conversation, alice, mut bob) = scene().await;
    alice.close().await;
    bob.hears("user_left").await;
    pass(Duration::from_secs(29)).await;
    bob.hears_nothing_else().await;
    let mut alice = app.socket("alice, back").await;
    alice.enter(&conversation, "alice").await;
    bob.hears("user_joined").await;
    pass(Duration::from_secs(3)).await;
    bob.hears_nothing_else().await;
    assert_eq!(app.rest().get("/users/alice/reachability").await.ok()["online"], true);

    alice.close().await;
    bob.hears("user_left").await;
    pass(Duration::from_secs(31)).await;
    let told = bob.hears("user_status_changed").await;
    assert_eq!((&told["identity"], &told["status"]["online"]), (&json!("alice"), &json!(false)));
    assert_eq!(told["status"]["state"], "offline");
    app.finish([bob]).await;
}

#[tokio::test]
async fn the_room_of_a_deleted_conversation_is_told_and_emptied() {
    let (app, conversation, mut alice, mut bob) = scene().await;
    app.rest().delete(&format!("/{conversation}")).await.ok();
    for socket in [&mut alice, &mut bob] {
        let told = socket.hears("conversation_updated").await;
        assert_eq!(told["update"], json!({ "event": "deleted" }));
    }
    app.told("onConversationRemoved", 1).await;
    until("the room to be empty", || async {
        let people = app.rest().get(&format!("/{conversation}/participants")).await;
        (people.status == 404).then_some(())
    })
    .await;
    alice.emit("typing_start", &here(&conversation, "alice")).await;
    // Nobody heard that the others left: there is nothing to leave.
    let told = alice.hears("message_error").await;
    assert_eq!(told["success"], false);
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_under_way_is_finished_when_the_service_ends() {
    let (mut app, conversation, mut alice, mut bob) = scene().await;
    app.fault("POST", "/Messages$", 1, switchboard::mock::Action::DelayAnswerMs([300, 300]));
    let before = app.asked().len();
    let message = json!({ "conversationSid": conversation, "author": "alice", "body": "last words" });
    alice.emit("send_message", &message).await;
    bob.hears_nothing_else().await;
    // The event was taken: it stands before the ping of a moment later.
    alice.hears_nothing_else().await;
    app.stop().await;
    assert_eq!(alice.hears_message().await, "last words");
    alice.hears("message_sent").await;
    assert_eq!(bob.hears_message().await, "last words");
    for socket in [&mut alice, &mut bob] {
        let after = socket.is_ended().await;
        assert!(
            after.iter().all(|heard| matches!(heard, Heard::Event(name, _) if name == "user_left")),
            "{after:?}"
        );
    }
    assert_eq!(app.asked_since(before).len(), 1);
}
