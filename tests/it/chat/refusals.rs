//! Bad input, over REST and in frames: the document's envelope with the status or name that fits, nothing reaches Twilio.

use reqwest::Method;
use serde_json::{Value, json};
use switchboard::mock::Action;
use tokio_tungstenite::tungstenite::Message;

use crate::support::TestApp;

fn wrong_ids() -> Vec<Value> {
    vec![json!({}), json!([]), json!(true), json!(""), json!(" \t"), json!("ä".repeat(257)), json!("a\u{0}b")]
}

/// Values that a field of a message must not have.
fn wrong_fields() -> Vec<(&'static str, Vec<Value>)> {
    let long = format!("https://example.com/{}", "x".repeat(2048));
    let wrong_own_ids =
        || vec![json!({}), json!([]), json!(false), json!(""), json!("x".repeat(129)), json!("a\nb")];
    let wrong_links = vec![
        json!("https://example.com/a"),
        json!({}),
        json!([7]),
        json!([null]),
        json!(["no link"]),
        json!(["javascript:alert(1)"]),
        json!(["file:///etc/passwd"]),
        json!(["http://"]),
        json!([long]),
        json!(vec!["https://example.com/a"; 11]),
        // Each is fine, all together are not.
        json!(vec![format!("https://example.com/{}", "x".repeat(500)); 10]),
    ];
    let mut text = vec![json!(null), json!(7), json!({}), json!([]), json!(""), json!(" \n")];
    text.push(json!("ä".repeat(16 * 1024 + 1)));
    vec![
        ("senderId", wrong_ids()),
        ("receiverId", wrong_ids()),
        ("text", text),
        ("attachments", wrong_links),
        ("productId", wrong_own_ids()),
        ("offerId", wrong_own_ids()),
        ("clientMessageId", vec![json!(7), json!({}), json!(""), json!("x".repeat(129)), json!("a\u{0}")]),
    ]
}

#[tokio::test]
async fn a_message_with_a_wrong_field_is_refused_whatever_way_it_comes() {
    let app = TestApp::start().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let chat = app.chat_with(None);
    let mut socket = app.bare_chat_socket("alice", &sid).await;
    socket.hears_nothing_else().await;
    let before = app.asked().len();
    let right = json!({ "type": "chat_message", "senderId": "alice", "receiverId": "bob", "text": "x" });
    for (field, values) in wrong_fields() {
        for value in values {
            let mut wrong = right.clone();
            wrong[field] = value;
            let text = chat.post("/send/", &wrong).await.refused(400);
            assert!(text.contains(field), "{field} in {text:?}");
            socket.send(&wrong).await;
            let told = socket.hears("error").await;
            let name = told["error"].as_str().unwrap();
            assert!(["INVALID_MESSAGE", "MISSING_RECEIVER_ID"].contains(&name), "{wrong}: {told}");
            assert_eq!(told["conversationId"], sid);
        }
    }
    let missing = json!({ "senderId": "alice", "text": "x" });
    assert_eq!(chat.post("/send/", &missing).await.refused(400), "receiverId is missing");
    let oneself = json!({ "senderId": "alice", "receiverId": "alice", "text": "x" });
    chat.post("/send/", &oneself).await.refused(400);
    assert_eq!(app.asked().len(), before, "Twilio is not asked");
    socket.say("alice", "all is well").await;
    assert_eq!(socket.hears_message().await.1, "all is well");
}

#[tokio::test]
async fn frames_that_are_no_messages_are_answered_and_the_socket_stays() {
    let app = TestApp::start().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let mut socket = app.chat_socket("alice", &sid).await;
    for text in [
        "",
        "{",
        "nonsense",
        "null",
        "7",
        "\"chat_message\"",
        "[]",
        "[\"chat_message\"]",
        "{} {}",
        "{\"type\":}",
    ] {
        socket.write(Message::Text(text.into())).await;
        socket.hears_error("INVALID_JSON").await;
    }
    for frame in [
        json!({}),
        json!({ "type": null }),
        json!({ "type": 7 }),
        json!({ "type": {} }),
        json!({ "type": "typing" }),
        json!({ "type": "CHAT_MESSAGE", "text": "x" }),
    ] {
        socket.send(&frame).await;
        socket.hears_error("UNKNOWN_MESSAGE_TYPE").await;
    }
    socket.say("alice", "still here").await;
    assert_eq!(socket.hears_message().await.1, "still here");
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let app = TestApp::start().await;
    let chat = app.chat("alice");
    let send = || chat.request(Method::POST, "/send/").header("content-type", "application/json");
    for body in ["{", "nonsense", "null", "7", "[]", "\"text\"", "{} {}"] {
        chat.answer(send().body(body)).await.refused(400);
    }
    chat.answer(chat.request(Method::POST, "/send/")).await.refused(400);
    chat.answer(chat.request(Method::POST, "/send/").header("content-type", "text/plain").body("{}"))
        .await
        .refused(415);
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(1024 * 1024));
    chat.answer(send().body(large)).await.refused(413);
    assert_eq!(app.asked().len(), 0);
}

#[tokio::test]
async fn queries_and_ids_are_looked_at_before_twilio_is_asked() {
    let app = TestApp::start().await;
    let sid = app.chat("alice").say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let chat = app.chat("alice");
    let before = app.asked().len();
    for query in
        ["page=0", "page=-1", "page=one", "limit=0", "limit=-1", "limit=x", "page=99999999999999999999"]
    {
        let text = chat.get(&format!("/conversations/{sid}/messages/?{query}")).await.refused(400);
        assert!(text.starts_with(&query[..4]) && !text.contains("query string"), "{text}");
    }
    for id in ["691c7f09e8c4f33957183a48", "dm_x", "IM0123456789abcdef0123456789abcdef", "%00", "CH", "x"] {
        chat.get(&format!("/conversations/{id}/messages/")).await.refused(400);
    }
    chat.get("/conversations/?userId=%20").await.refused(400);
    assert_eq!(app.asked().len(), before);
    // Any limit that is too large is the largest.
    chat.get(&format!("/conversations/{sid}/messages/?limit=100000&page=9223372036854775807")).await.ok();
    let unknown = "CH0123456789abcdef0123456789abcdef";
    chat.get(&format!("/conversations/{unknown}/messages/")).await.refused(404);
    // The other form of the same id.
    let hex = &sid[2..];
    let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    assert_eq!(chat.get(&format!("/conversations/{uuid}/messages/")).await.ok()["messages"][0]["text"], "hi");
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_refused_in_this_voice() {
    let app = TestApp::start().await;
    let chat = app.chat("alice");
    for (method, path) in [
        (Method::GET, ""),
        (Method::GET, "/"),
        (Method::GET, "/nothing"),
        (Method::GET, "/send/"),
        (Method::POST, "/conversations/"),
        (Method::DELETE, "/conversations/"),
        (Method::PUT, "/send"),
        (Method::POST, "/unread-status/"),
        (Method::GET, "/upload/"),
        (Method::GET, "/conversations//messages"),
    ] {
        let status = chat.answer(chat.request(method.clone(), path)).await.status;
        assert!([400, 404].contains(&status), "{method} {path}: {status}");
    }
    chat.post("/upload/", &json!({})).await.refused(415);
    // What is no handshake is answered as HTTP, in the envelope.
    for path in ["/../../ws/chat/x", "/../../ws/chat/x/"] {
        chat.get(path).await.refused(400);
    }
    chat.get("/../../ws/chat/").await.refused(404);
    chat.answer(chat.request(Method::POST, "/../../ws/chat/x/")).await.refused(404);
}

#[tokio::test]
async fn twilios_failures_are_told_in_this_voice() {
    let app = TestApp::start().await;
    let alice = app.chat("alice");
    let sid = alice.say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let mut socket = app.chat_socket("alice", &sid).await;
    socket.hears_nothing_else().await;

    app.fault("POST", "/Messages$", 1, Action::Status { status: 401, retry_after: None, html: false });
    alice.post("/send/", &json!({ "receiverId": "bob", "text": "x" })).await.refused(500);
    app.fault("POST", "/Messages$", 1, Action::Status { status: 401, retry_after: None, html: false });
    socket.say("alice", "x").await;
    socket.hears_error("INTERNAL_ERROR").await;

    // Half a conversation is taken back.
    app.fault("POST", "/Participants$", 9, Action::Status { status: 401, retry_after: None, html: false });
    alice.post("/send/", &json!({ "receiverId": "carol", "text": "x" })).await.refused(500);
    let asked = app.asked();
    assert_eq!(asked.last().map(|request| request.method.as_str()), Some("DELETE"), "{asked:?}");
    assert_eq!(alice.list().await.len(), 1);
    assert_eq!(app.stored(&sid).await, ["hi"]);
    socket.hears_nothing_else().await;
}

#[tokio::test]
async fn who_is_blocked_reaches_nobody() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.chat("alice"), app.chat("bob"));
    let sid = alice.say("bob", "hi").await["conversationId"].as_str().unwrap().to_owned();
    let mut socket = app.chat_socket("alice", &sid).await;
    socket.hears_nothing_else().await;
    bob.post("/../../users/alice/block", &json!({})).await;
    let writes = app.writes();
    alice.post("/send/", &json!({ "receiverId": "bob", "text": "please" })).await.refused(403);
    socket.say("alice", "please").await;
    socket.hears_error("BLOCKED").await;
    assert_eq!(app.writes(), writes);
    assert_eq!(app.stored(&sid).await, ["hi"]);
}
