//! A socket opened for a conversation that does not exist waits for a first message to somebody.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use switchboard::config::Config;

use crate::support::TestApp;
use crate::support::app::Stage;

const UNKNOWN: &str = "CH0123456789abcdef0123456789abcdef";

fn to(receiver: &str, text: &str) -> Value {
    json!({ "type": "chat_message", "senderId": "alice", "receiverId": receiver, "text": text })
}

#[tokio::test]
async fn a_first_message_makes_the_conversation_and_binds_the_socket() {
    let app = TestApp::start().await;
    // An id of another system, an unknown one of Twilio's, something odd: none of them is asked of Twilio as a name.
    for address in ["691c7f09e8c4f33957183a48", UNKNOWN, "dm_0123456789012345678901234567890123456789"] {
        let mut alice = app.bare_chat_socket("alice", address).await;
        alice.send(&to("bob", "hello")).await;
        let heard = alice.hears("chat_message").await["message"].take();
        assert_eq!((&heard["sender"], &heard["receiverId"]), (&json!("me"), &json!("bob")));
        let sid = heard["conversationId"].as_str().unwrap().to_owned();
        assert_eq!(app.chat("bob").list().await[0]["id"], sid);
        // From now on it is a socket like any other: the receiver may be left out, and what the other says is heard.
        alice.say("alice", "there?").await;
        assert_eq!(alice.hears_message().await.1, "there?");
        app.chat("bob").say("alice", "here").await;
        assert_eq!(alice.hears_message().await, ("other".to_owned(), "here".to_owned()));
        alice.hears_nothing_else().await;
    }
    let conversations = app.mock.requests();
    let made =
        conversations.iter().filter(|r| r.method == "POST" && r.path.ends_with("/Conversations")).count();
    assert_eq!(made, 1, "always the same one");
    let named = conversations.iter().any(|request| request.path.contains("691c7f09e8c4f33957183a48"));
    assert!(!named, "what is no id is never asked of Twilio");
}

#[tokio::test]
async fn without_somebody_to_write_to_it_is_closed() {
    let app = TestApp::start().await;
    for message in [
        json!({ "type": "chat_message", "senderId": "alice", "text": "to whom?" }),
        json!({ "type": "chat_message", "senderId": "alice", "receiverId": "alice", "text": "to me" }),
    ] {
        let mut alice = app.bare_chat_socket("alice", UNKNOWN).await;
        alice.send(&message).await;
        let told = alice.hears("error").await;
        assert_eq!(told["error"], "CONVERSATION_NOT_FOUND");
        assert_eq!(told["conversationId"], UNKNOWN, "as it was asked for");
        alice.is_closed_with(4004).await;
    }
    assert_eq!(app.writes(), 0);
}

#[tokio::test]
async fn nobody_is_called_by_what_is_no_id() {
    let app = TestApp::start().await;
    for receiver in [String::new(), "x".repeat(257)] {
        let mut alice = app.bare_chat_socket("alice", UNKNOWN).await;
        alice.send(&to(&receiver, "to whom?")).await;
        alice.hears_error("CONVERSATION_NOT_FOUND").await;
        alice.is_closed_with(4004).await;

        // Where there is a conversation, it may be said again, also before that was answered.
        let mut alice = app.bare_chat_socket("alice", UNKNOWN).await;
        alice.send(&to("bob", "hello")).await;
        alice.send(&to(&receiver, "hello?")).await;
        assert_eq!(alice.hears_message().await.1, "hello");
        alice.hears_error("MISSING_RECEIVER_ID").await;
        alice.hears_nothing_else().await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_makes_no_conversation() {
    let limits = Config { limit_sends: Some("1/m burst 2".to_owned()), ..Config::default() };
    let app = TestApp::with(Stage { required: true, settings: limits, ..Stage::default() }).await;
    let carol = app.chat("carol");
    let file = Part::bytes(include_bytes!("../../../fixtures/pixel.png").to_vec()).file_name("a.png");
    let upload = carol.request(Method::POST, "/upload/").multipart(Form::new().part("file", file));
    let theirs = carol.answer(upload).await.ok()["fileUrl"].as_str().unwrap().to_owned();
    let theirs = theirs.split('?').next().unwrap();
    let long = format!("https://example.com/{}", "x".repeat(1_900));
    let writes = app.writes();
    let alice = app.chat("alice");
    for (attachments, status, name) in
        [(json!([long, long, long]), 400, "INVALID_MESSAGE"), (json!([theirs]), 404, "INVALID_MESSAGE")]
    {
        let message = json!({ "receiverId": "bob", "text": "look", "attachments": attachments });
        alice.post("/send/", &message).await.refused(status);
        let mut socket = app.chat_socket("alice", UNKNOWN).await;
        let mut frame = to("bob", "look");
        frame["attachments"] = attachments;
        socket.send(&frame).await;
        socket.hears_error(name).await;
    }
    assert_eq!(app.writes(), writes, "nothing was begun");

    let mut socket = app.chat_socket("alice", UNKNOWN).await;
    socket.send(&to("bob", "one")).await;
    assert_eq!(socket.hears_message().await.1, "one");
    alice.say("bob", "two").await;
    assert_eq!(socket.hears_message().await.1, "two");
    let writes = app.writes();
    let mut socket = app.chat_socket("alice", UNKNOWN).await;
    socket.send(&to("dave", "three")).await;
    socket.hears_error("RATE_LIMITED").await;
    assert_eq!(app.writes(), writes, "nor past the limit");
}

#[tokio::test]
async fn a_first_message_that_is_wrong_may_be_said_again() {
    let app = TestApp::start().await;
    let mut alice = app.chat_socket("alice", UNKNOWN).await;
    alice.send(&to("bob", " ")).await;
    alice.hears_error("INVALID_MESSAGE").await;
    alice
        .send(&json!({ "type": "chat_message", "senderId": "bob", "receiverId": "carol", "text": "hi" }))
        .await;
    alice.hears_error("FORBIDDEN").await;
    assert_eq!(app.writes(), 0);
    alice.send(&to("bob", "now")).await;
    assert_eq!(alice.hears_message().await.1, "now");
}

#[tokio::test]
async fn messages_that_follow_at_once_go_to_the_same_conversation() {
    let app = TestApp::start().await;
    let mut alice = app.chat_socket("alice", UNKNOWN).await;
    for number in 0..10 {
        alice.send(&to("bob", &number.to_string())).await;
    }
    for number in 0..10 {
        assert_eq!(alice.hears_message().await, ("me".to_owned(), number.to_string()));
    }
    let list = app.chat("bob").list().await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["unreadCount"], "10");
}
