//! Where every request needs a token: one's own conversations and messages, nobody else's.

use std::time::Duration;

use serde_json::json;

use crate::support::TestApp;
use crate::support::app::{JWT_SECRET, token, token_of};
use crate::support::chat::ChatSocket;

#[tokio::test]
async fn without_a_token_nothing_is_answered() {
    let app = TestApp::required().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let (reads, writes) = (app.asked().len(), app.writes());
    let old = token_of(&json!({ "sub": "alice", "exp": 1_000_000_000 }), Duration::ZERO);
    let mut forged = token("alice");
    forged.truncate(forged.len() - 4);
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0.";
    let strong = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS512),
        &json!({ "sub": "alice", "exp": 9_999_999_999_i64 }),
        &jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes()),
    )
    .unwrap();
    for token in [None, Some(&*old), Some(&*forged), Some(unsigned), Some("nonsense"), Some(&*strong)] {
        let chat = app.chat_with(token);
        for path in ["/conversations/", "/unread-status/", &format!("/conversations/{sid}/messages/")] {
            chat.get(path).await.refused(401);
        }
        chat.post("/send/", &json!({ "receiverId": "bob", "text": "x" })).await.refused(401);
        chat.post("/upload/", &json!({})).await.refused(401);
        let query = token.map(|token| format!("?token={token}")).unwrap_or_default();
        let mut socket = ChatSocket::connect(app.address, "nobody", &format!("/ws/chat/{sid}/{query}")).await;
        // Even what is sent before the answer.
        let _ = socket.send(&json!({ "type": "chat_message", "senderId": "alice", "text": "x" })).await;
        socket.hears_error("UNAUTHORIZED").await;
        socket.is_closed_with(4001).await;
    }
    assert_eq!((app.asked().len(), app.writes()), (reads, writes));
}

#[tokio::test]
async fn a_stranger_sees_and_says_nothing() {
    let app = TestApp::required().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let writes = app.writes();
    let mallory = app.chat("mallory");
    assert_eq!(mallory.list().await.len(), 0);
    mallory.get("/conversations/?userId=alice").await.refused(403);
    mallory.get("/unread-status/?userId=alice").await.refused(403);
    mallory.get(&format!("/conversations/{sid}/messages/")).await.refused(403);
    mallory
        .post("/send/", &json!({ "senderId": "alice", "receiverId": "bob", "text": "x" }))
        .await
        .refused(403);
    let mut socket = app.chat_socket("mallory", &sid).await;
    socket.hears_error("NOT_A_PARTICIPANT").await;
    socket.is_closed_with(4003).await;
    assert_eq!(app.writes(), writes);
}

#[tokio::test]
async fn nobody_speaks_for_somebody_else() {
    let app = TestApp::required().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let mut alice = app.chat_socket("alice", &sid).await;
    let writes = app.writes();
    alice.say("bob", "I am bob").await;
    alice.hears_error("FORBIDDEN").await;
    assert_eq!(app.writes(), writes);
    alice.say("alice", "I am not").await;
    assert_eq!(alice.hears_message().await, ("me".to_owned(), "I am not".to_owned()));
    // A token says it as well.
    alice.send(&json!({ "type": "chat_message", "text": "nor need I say who" })).await;
    assert_eq!(alice.hears("chat_message").await["message"]["senderId"], "alice");
}

#[tokio::test]
async fn a_token_comes_in_any_of_three_places() {
    let app = TestApp::required().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let token = token("alice");
    let path = format!("/ws/chat/{sid}");
    let bearer = format!("Bearer {token}");
    let subprotocol = format!("bearer, {token}");
    for (path, headers) in [
        (path.clone(), vec![("authorization", bearer.as_str())]),
        (format!("{path}/?token={token}"), vec![]),
        // The client refuses the answer unless `bearer` is chosen.
        (path, vec![("sec-websocket-protocol", subprotocol.as_str())]),
    ] {
        let mut socket = ChatSocket::try_connect(app.address, "alice", &path, &headers).await.unwrap();
        socket.hears_nothing_else().await;
    }
}

#[tokio::test]
async fn an_access_token_of_twilios_kind_does_as_well() {
    let app = TestApp::required().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let minted = app.rest_as("alice").post("/generate-token", &json!({ "user_id": "alice" })).await;
    let minted = minted.body["token"].as_str().unwrap();
    assert_eq!(app.chat_with(Some(minted)).list().await.len(), 1);
    let path = format!("/ws/chat/{sid}/?token={minted}");
    let mut socket = ChatSocket::connect(app.address, "alice", &path).await;
    socket.say("alice", "hello").await;
    assert_eq!(socket.hears_message().await.1, "hello");
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let app = TestApp::required().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let short = token_of(&json!({ "sub": "alice" }), Duration::from_secs(2));
    let path = format!("/ws/chat/{sid}/?token={short}");
    let mut socket = ChatSocket::connect(app.address, "alice", &path).await;
    assert!(socket.hears("token_expiring").await["expiresIn"].as_u64().unwrap() <= 2);
    socket.is_closed_with(4001).await;
}

#[tokio::test]
async fn an_admin_looks_and_speaks_for_others() {
    let app = TestApp::required().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let admin = token_of(&json!({ "sub": "boss", "role": "admin" }), Duration::from_secs(3600));
    let chat = app.chat_with(Some(&admin));
    assert_eq!(chat.get("/conversations/?userId=bob").await.ok()["conversations"][0]["unreadCount"], "1");
    let messages = chat.get(&format!("/conversations/{sid}/messages/")).await.ok();
    assert_eq!(messages["messages"][0]["sender"], "other");
    assert_eq!(app.chat("bob").list().await[0]["unreadCount"], "1", "an admin's look is not bob's");
    let path = format!("/ws/chat/{sid}/?token={admin}");
    let mut socket = ChatSocket::connect(app.address, "boss", &path).await;
    socket.say("alice", "said for her").await;
    assert_eq!(socket.hears_message().await, ("other".to_owned(), "said for her".to_owned()));
}
