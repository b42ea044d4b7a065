//! The raw WebSocket itself: handshakes, limits, the end of the service. Slow readers and silence are `e2e/tests/chat-sockets.test.mjs`.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::chat::ChatSocket;
use crate::support::{TestApp, soon, until};

async fn pair(app: &TestApp) -> String {
    app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn binary_frames_are_refused() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut alice = app.chat_socket("alice", &sid).await;
    alice.write(Message::Binary(b"{}".as_slice().into())).await;
    alice.is_closed_with(1003).await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_is_refused() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut alice = app.chat_socket("alice", &sid).await;
    alice.write(Message::Text("x".repeat(64 * 1024 + 1).into())).await;
    alice.is_closed_with(1009).await;
    // The longest text that is allowed fits.
    let mut alice = app.chat_socket("alice", &sid).await;
    alice.say("alice", &"x".repeat(32 * 1024)).await;
    assert_eq!(alice.hears_message().await.1.len(), 32 * 1024);
}

#[tokio::test]
async fn pages_of_strangers_get_no_socket() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let path = format!("/ws/chat/{sid}/");
    let connect = async |origin: &str| {
        ChatSocket::try_connect(app.address, "a page", &path, &[("origin", origin)]).await
    };
    let refusal = connect("https://evil.example").await.err().unwrap();
    assert!(refusal.starts_with("403"), "{refusal}");
    assert!(connect("null").await.is_err());
    for own in [format!("http://{}", app.address), "http://localhost:5173".to_owned()] {
        connect(&own).await.unwrap().hears_nothing_else().await;
    }
}

/// The status line of a handshake with these headers.
async fn handshake(app: &TestApp, headers: &str) -> String {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!("GET /ws/chat/x/ HTTP/1.1\r\nhost: switchboard\r\n{headers}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = soon("an answer", stream.read(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn half_a_handshake_is_refused() {
    let app = TestApp::start().await;
    let whole = [
        "connection: keep-alive, Upgrade",
        "upgrade: WebSocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    assert_eq!(handshake(&app, &whole.join("\r\n")).await, "HTTP/1.1 101 Switching Protocols");
    for left_out in 0..whole.len() {
        let rest: Vec<_> =
            (0..whole.len()).filter(|place| *place != left_out).map(|place| whole[place]).collect();
        assert_eq!(
            handshake(&app, &rest.join("\r\n")).await,
            "HTTP/1.1 400 Bad Request",
            "{}",
            whole[left_out]
        );
    }
}

#[tokio::test]
async fn too_much_at_once_is_refused_by_name() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut alice = app.chat_socket("alice", &sid).await;
    alice.hears_nothing_else().await;
    // One request to Twilio hangs; everything behind it waits.
    app.fault("POST", "/Messages$", 1, switchboard::mock::Action::DelayMs([2_000, 2_000]));
    for number in 0..300 {
        alice.say("alice", &number.to_string()).await;
    }
    alice.hears_error("RATE_LIMITED").await;
    until("the first message", || async { app.stored(&sid).await.contains(&"0".to_owned()).then_some(()) })
        .await;
}

#[tokio::test]
async fn at_the_end_what_was_said_is_finished_and_sockets_are_closed_for_a_restart() {
    let mut app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut alice = app.chat_socket("alice", &sid).await;
    let mut idle = app.bare_chat_socket("somebody", "nowhere").await;
    alice.hears_nothing_else().await;
    idle.hears_nothing_else().await;
    app.fault("POST", "/Messages$", 1, switchboard::mock::Action::DelayMs([500, 500]));
    alice.say("alice", "last words").await;
    until("the request", || async {
        app.asked().iter().filter(|r| r.path.ends_with("/Messages") && r.method == "POST").nth(1).map(drop)
    })
    .await;
    app.stop().await;
    assert_eq!(alice.hears_message().await, ("me".to_owned(), "last words".to_owned()));
    alice.is_closed_with(1012).await;
    idle.is_closed_with(1012).await;
    assert_eq!(app.stored(&sid).await, ["hi", "last words"]);
}

#[tokio::test]
async fn sockets_are_counted_until_they_are_gone() {
    let app = TestApp::start().await;
    let sid = pair(&app).await;
    let mut alice = app.chat_socket("alice", &sid).await;
    alice.hears_nothing_else().await;
    alice.send(&json!({ "type": "chat_message", "senderId": "alice", "text": "bye" })).await;
    drop(alice);
    // Whatever it asked for is done, and nobody is in the room any more.
    until("the message", || async { (app.stored(&sid).await.len() == 2).then_some(()) }).await;
    let mut bob = app.room(&sid, &["bob"]).await.remove(0);
    bob.emit("get_online_users", &json!({ "conversationSid": sid })).await;
    let users = bob.hears("online_users").await;
    assert_eq!(users["users"].as_array().unwrap().len(), 1, "{users}");
    app.finish([bob]).await;
}
