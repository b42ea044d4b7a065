//! Messages over raw WebSockets: who hears what, once and in order, whoever sent it and however.

use serde_json::json;
use switchboard::mock::Action;

use crate::support::TestApp;

/// A conversation of alice and bob.
async fn pair(app: &TestApp) -> String {
    let made =
        app.rest_as("alice").post("/newconversation", &json!({ "participants": ["alice", "bob"] })).await;
    made.ok()["conversation_sid"].as_str().unwrap().to_owned()
}

fn told(sender: &str, text: &str) -> (String, String) {
    (sender.to_owned(), text.to_owned())
}

#[tokio::test]
async fn each_reader_sees_who_is_me() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut alice = app.chat_socket("alice", &sid).await;
    let mut alice_too = app.chat_socket("alice", &sid).await;
    let mut bob = app.chat_socket("bob", &sid).await;
    for socket in [&mut alice, &mut alice_too, &mut bob] {
        socket.hears_nothing_else().await;
    }
    let before = app.asked().len();
    let message = json!({
        "type": "chat_message", "senderId": "alice", "receiverId": "bob", "text": "Hello",
        "attachments": ["https://example.com/a.png"], "offerId": "o-1", "productId": "p-1",
    });
    alice.send(&message).await;
    let heard = alice.hears("chat_message").await["message"].take();
    assert_eq!(heard["sender"], "me");
    for (key, value) in [
        ("senderId", json!("alice")),
        ("receiverId", json!("bob")),
        ("conversationId", json!(sid)),
        ("offerId", json!("o-1")),
        ("productId", json!("p-1")),
        ("attachments", message["attachments"].clone()),
    ] {
        assert_eq!(heard[key], value, "{key}");
    }
    assert_eq!(heard["timestamp"].as_str().unwrap().len(), "2025-11-18T14:13:30.161000".len());
    assert!(heard["createdAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(alice_too.hears("chat_message").await["message"], heard);
    let mut seen_by_bob = bob.hears("chat_message").await["message"].take();
    assert_eq!(seen_by_bob["sender"], "other");
    seen_by_bob["sender"] = json!("me");
    assert_eq!(seen_by_bob, heard, "the rest is the same");
    assert_eq!(app.asked_since(before), [format!("POST /Conversations/{sid}/Messages")]);

    app.told("onMessageAdded", 1).await;
    for mut socket in [alice, alice_too, bob] {
        socket.hears_nothing_else().await;
    }
}

#[tokio::test]
async fn one_message_reaches_every_dialect_once_in_its_own_shape() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut chat = app.chat_socket("alice", &sid).await;
    chat.hears_nothing_else().await;
    let mut room = app.room(&sid, &["bob"]).await;
    let mut socket = room.remove(0);
    chat.say("alice", "from chat").await;
    assert_eq!(chat.hears_message().await, told("me", "from chat"));
    assert_eq!(socket.hears_message().await, "from chat");

    socket
        .emit("send_message", &json!({ "conversationSid": sid, "author": "bob", "body": "from a room" }))
        .await;
    assert_eq!(chat.hears_message().await, told("other", "from a room"));
    assert_eq!(socket.hears_message().await, "from a room");
    socket.hears("message_sent").await;

    app.rest().say(&sid, "alice", "over REST").await;
    assert_eq!(chat.hears_message().await, told("me", "over REST"));
    assert_eq!(socket.hears_message().await, "over REST");

    let sdk = json!({ "conversation_sid": sid, "identity": "bob", "body": "from the SDK" });
    app.other_side("sdk-message", &sdk).await;
    assert_eq!(chat.hears_message().await, told("other", "from the SDK"));
    assert_eq!(socket.hears_message().await, "from the SDK");

    app.chat("bob").say("alice", "by send").await;
    assert_eq!(chat.hears_message().await, told("other", "by send"));
    assert_eq!(socket.hears_message().await, "by send");

    app.told("onMessageAdded", 5).await;
    chat.hears_nothing_else().await;
    app.finish([socket]).await;
}

#[tokio::test]
async fn what_one_socket_says_stays_in_order() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let (mut alice, mut bob) = (app.chat_socket("alice", &sid).await, app.chat_socket("bob", &sid).await);
    bob.hears_nothing_else().await;
    for number in 0..50 {
        alice.say("alice", &number.to_string()).await;
    }
    for number in 0..50 {
        assert_eq!(alice.hears_message().await, told("me", &number.to_string()));
        assert_eq!(bob.hears_message().await, told("other", &number.to_string()));
    }
    let texts: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(app.stored(&sid).await, texts);
}

#[tokio::test]
async fn a_socket_without_a_token_listens_and_is_whoever_it_says() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut alice = app.bare_chat_socket("alice", &sid).await;
    let mut bob = app.bare_chat_socket("bob", &sid).await;
    alice.hears_nothing_else().await;
    bob.hears_nothing_else().await;
    bob.say("bob", "who are you?").await;
    assert_eq!(bob.hears_message().await, told("me", "who are you?"));
    assert_eq!(alice.hears_message().await, told("other", "who are you?"));
    alice.say("alice", "alice").await;
    assert_eq!(alice.hears_message().await, told("me", "alice"));
    assert_eq!(bob.hears_message().await, told("other", "alice"));

    // Whoever they are, they are one of the two.
    let writes = app.writes();
    bob.say("mallory", "me too").await;
    bob.hears_error("NOT_A_PARTICIPANT").await;
    bob.is_closed_with(4003).await;
    assert_eq!(app.writes(), writes);
    alice.hears_nothing_else().await;
}

#[tokio::test]
async fn a_raw_socket_counts_as_being_here() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut bob = app.room(&sid, &["bob"]).await.remove(0);
    let mut alice = app.chat_socket("alice", &sid).await;
    let (joined, status) = bob.hears_of_coming().await;
    assert_eq!(joined["identity"], "alice");
    assert_eq!(status["status"]["online"], true);
    alice.hears_nothing_else().await;
    let reachable = app.rest().get("/users/alice/reachability").await.ok();
    assert_eq!(reachable["online"], true);
    drop(alice);
    assert_eq!(bob.hears("user_left").await["identity"], "alice");
    app.finish([bob]).await;
}

#[tokio::test]
async fn who_is_removed_hears_no_more() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let (mut alice, mut bob) = (app.chat_socket("alice", &sid).await, app.chat_socket("bob", &sid).await);
    alice.hears_nothing_else().await;
    bob.hears_nothing_else().await;
    app.rest().delete(&format!("/{sid}/participants/bob")).await.ok();
    bob.hears_error("NOT_A_PARTICIPANT").await;
    bob.is_closed_with(4003).await;
    alice.say("alice", "alone").await;
    assert_eq!(alice.hears_message().await, told("me", "alone"));
    let mut bob = app.chat_socket("bob", &sid).await;
    bob.hears_error("NOT_A_PARTICIPANT").await;
    bob.is_closed_with(4003).await;

    app.rest().delete(&format!("/{sid}")).await.ok();
    alice.hears_error("CONVERSATION_NOT_FOUND").await;
    alice.is_closed_with(4004).await;
}

#[tokio::test]
async fn a_group_can_be_followed_but_a_message_in_it_names_its_receiver() {
    let app = TestApp::start().await;
    let sid = app.conversation(&["alice", "bob", "carol"]).await;
    let (mut alice, mut carol) = (app.chat_socket("alice", &sid).await, app.chat_socket("carol", &sid).await);
    carol.hears_nothing_else().await;
    alice.say("alice", "to whom?").await;
    alice.hears_error("MISSING_RECEIVER_ID").await;
    let say = |receiver: &str| json!({ "type": "chat_message", "receiverId": receiver, "text": "bob!" });
    alice.send(&say("mallory")).await;
    alice.hears_error("RECEIVER_NOT_FOUND").await;
    alice.send(&say("alice")).await;
    alice.hears_error("INVALID_MESSAGE").await;
    assert_eq!(app.stored(&sid).await.len(), 0);
    alice.send(&say("bob")).await;
    assert_eq!(alice.hears_message().await, told("me", "bob!"));
    assert_eq!(carol.hears_message().await, told("other", "bob!"));
}

#[tokio::test]
async fn what_is_said_as_soon_as_a_socket_stands_is_heard() {
    let mut app = TestApp::start().await;
    let sid = pair(&app).await;
    // Nothing is remembered, and Twilio takes its time to say whose conversation it is.
    app.restart().await;
    app.fault("GET", &format!("/Conversations/{sid}"), 10, Action::DelayMs([200, 200]));
    let mut alice = app.bare_chat_socket("alice", &sid).await;
    let message = json!({ "conversation_sid": sid, "identity": "bob", "body": "at once" });
    app.other_side("sdk-message", &message).await;
    assert_eq!(alice.hears_message().await, told("other", "at once"));
    alice.hears_nothing_else().await;
}
