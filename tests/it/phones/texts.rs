//! What phones write is in the room and in the history of every dialect, and what is written to them fits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{PHONE, bring_in, received};
use crate::messaging::{Messaging, meet};
use crate::support::TestApp;
use crate::support_dialect::{Api, Line, admin_token};

const WHATSAPP: &str = "whatsapp:+15551230003";

#[tokio::test]
async fn a_text_is_in_the_room_and_the_history_of_every_dialect() {
    let app = TestApp::required().await;
    meet(&app, &["ada", "ben"]).await;
    let conversation = Messaging::of(&app, "ada").open("ben").await;
    bring_in(&app, "ada", &conversation, PHONE).await;
    bring_in(&app, "ada", &conversation, WHATSAPP).await;
    let mut room = app.socket_as("ben").await;
    room.join(&conversation, "ben").await;
    let mut raw = app.chat_socket("ben", &conversation).await;
    let texts = [(PHONE, "by SMS"), (WHATSAPP, "by WhatsApp")];
    for (from, text) in texts {
        app.other_side("inbound-sms", &json!({ "from": from, "body": text })).await;
        let told = room.hears("new_message").await;
        assert_eq!((&told["message"]["author"], &told["message"]["body"]), (&json!(from), &json!(text)));
        let frame = raw.hears("chat_message").await;
        assert_eq!(
            (&frame["message"]["sender"], &frame["message"]["senderId"]),
            (&json!("other"), &json!(from))
        );
        assert_eq!(frame["message"]["text"], text);
    }
    let expected = texts.map(|(from, text)| (from.to_owned(), text.to_owned()));
    let written = |messages: &serde_json::Value, author: &str, text: &str| {
        let of = |message: &serde_json::Value| {
            (message[author].as_str().unwrap().to_owned(), message[text].as_str().unwrap().to_owned())
        };
        messages.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let conversations = app.rest_as("ben").get(&format!("/{conversation}/messages")).await.ok();
    assert_eq!(written(&conversations, "author", "body"), expected);
    let chat = app.chat("ben").get(&format!("/conversations/{conversation}/messages/")).await.ok();
    assert_eq!(written(&chat["messages"], "senderId", "text"), expected);
    let messaging = Messaging::of(&app, "ada").get(&format!("/messages/{conversation}/messages")).await.ok();
    assert_eq!(written(&messaging["messages"], "senderId", "content"), expected);
    assert_eq!(room.hears("message_read").await["identity"], "ben");
    app.finish([room]).await;
}

#[tokio::test]
async fn a_picture_from_a_phone_can_be_fetched_by_those_who_are_in() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["ada"]).await;
    bring_in(&app, "ada", &conversation, PHONE).await;
    let mut room = app.room(&conversation, &["ada"]).await;
    let picture =
        json!({ "content_type": "image/png", "filename": "cat.png", "base64": STANDARD.encode(b"png") });
    app.other_side("inbound-sms", &json!({ "from": PHONE, "media": [picture] })).await;
    let told = room[0].hears("new_message").await;
    let media = told["message"]["media"][0].as_str().unwrap();
    assert!(media.starts_with("ME"), "{told}");
    assert_eq!(told["message"]["body"], "");
    let history = app.rest_as("ada").get(&format!("/{conversation}/messages")).await.ok();
    assert_eq!(history[0]["media"], json!([media]));
    let link = history[0]["media_urls"][0].as_str().unwrap();
    assert!(link.starts_with(&format!("http://{}/media/{media}", app.address)), "{link}");
    app.finish(room).await;
}

#[tokio::test]
async fn what_is_said_here_reaches_the_phones() {
    let app = TestApp::required().await;
    meet(&app, &["ada", "ben"]).await;
    let conversation = Messaging::of(&app, "ada").open("ben").await;
    bring_in(&app, "ada", &conversation, PHONE).await;
    bring_in(&app, "ada", &conversation, WHATSAPP).await;
    app.rest_as("ada").say(&conversation, "ada", "one").await;
    app.chat("ben").say("ada", "two").await;
    Messaging::of(&app, "ada").say(&conversation, "three").await;
    for phone in [PHONE, WHATSAPP] {
        assert_eq!(received(&app, phone).await, ["one", "two", "three"], "{phone}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn what_does_not_fit_a_phone_is_refused_in_every_dialect_and_nothing_is_sent() {
    let app = TestApp::required().await;
    meet(&app, &["ada", "ben"]).await;
    let conversation = Messaging::of(&app, "ada").open("ben").await;
    // A character counts once, however many bytes it has.
    let (fits, long) = ("é".repeat(1_600), "é".repeat(1_601));
    let sent = app.rest_as("ada").say(&conversation, "ada", &long).await;
    assert_eq!(sent["body"], long, "without a phone there is room");
    let short = app.rest_as("ada").say(&conversation, "ada", "short").await;
    bring_in(&app, "ada", &conversation, PHONE).await;
    app.rest_as("ada").say(&conversation, "ada", &fits).await;
    let edit = format!("/{conversation}/messages/{}", short["sid"].as_str().unwrap());
    app.rest_as("ada").patch(&edit, &json!({ "body": fits })).await.ok();

    let mut room = app.room(&conversation, &["ada"]).await;
    let mut raw = app.chat_socket("ben", &conversation).await;
    room[0].hears_of_coming().await;
    let writes = app.writes();
    let problem = "must be at most 1600 characters where a phone takes part";
    let message = json!({ "author": "ada", "body": long });
    let refused = app.rest_as("ada").post(&format!("/{conversation}/send-message"), &message).await;
    assert_eq!(refused.refused(400), format!("body {problem}"));
    let refused = app.rest_as("ada").patch(&edit, &json!({ "body": long })).await;
    assert_eq!(refused.refused(400), format!("body {problem}"));
    room[0]
        .emit("send_message", &json!({ "conversationSid": conversation, "author": "ada", "body": long }))
        .await;
    assert_eq!(room[0].hears("message_error").await["error"], format!("body {problem}"));
    let refused = app.chat("ada").post("/send/", &json!({ "receiverId": "ben", "text": long })).await;
    assert_eq!(refused.refused(400), format!("text {problem}"));
    raw.say("ben", &long).await;
    assert_eq!(raw.hears_error("INVALID_MESSAGE").await, format!("text {problem}"));
    let path = format!("/messages/{conversation}/messages");
    let refused = Messaging::of(&app, "ada").post(&path, &json!({ "content": long })).await;
    assert_eq!(refused.refused("VALIDATION_ERROR"), &json!({ "field": "content", "problem": problem }));
    assert_eq!(app.writes(), writes, "nothing was written at Twilio");
    assert_eq!(received(&app, PHONE).await, [fits]);
    app.finish(room).await;
}

#[tokio::test]
async fn a_phone_in_a_support_conversation_is_minded_too() {
    let app = TestApp::required().await;
    let opened = Api::user(&app, "ada").get("/conversation").await.ok();
    let id = opened["id"].as_str().unwrap();
    let conversation = format!("CH{}", id.replace('-', ""));
    let path = format!("/{conversation}/add-sms-participant");
    let admin = app.rest().with_token(&admin_token("agent"));
    admin.post(&path, &json!({ "phone_number": PHONE })).await.ok();
    let mut line = Line::user(&app, "ada").await;
    line.join(id).await;
    app.other_side("inbound-sms", &json!({ "from": PHONE, "body": "it is me, from the road" })).await;
    assert_eq!(line.hears_message().await, "it is me, from the road");
    line.say(id, &"x".repeat(1_601)).await;
    assert_eq!(line.hears_error().await, "message must be at most 1600 characters where a phone takes part");
    line.say(id, "understood").await;
    assert_eq!(line.hears_message().await, "understood");
    assert_eq!(received(&app, PHONE).await, ["understood"]);
    line.finish().await;
    app.finish([]).await;
}
