//! One world: five documents over the same people and conversations. What one dialect makes the others find; what is said,
//! read, typed, blocked or deleted in one shows in the others, once. Real clients do the same in `e2e`.

use std::time::Duration;

use serde_json::json;

use crate::contacts::BEN;
use crate::messaging::Messaging;
use crate::support::app::token_of;
use crate::support::{Socket, TestApp};
use crate::support_dialect::{Api, Line};

/// An app in which Ben has a phone.
async fn with_bens_phone() -> TestApp {
    let app = TestApp::required().await;
    let claims = json!({ "sub": "ben", "name": "Ben", "phone_number": BEN[2] });
    let known = Messaging::with_token(&app, Some(token_of(&claims, Duration::from_secs(3600))));
    assert_eq!(known.get("/users/me").await.status, 200);
    app
}

/// What the contacts dialect answers to Ada, who wants to talk to Ben's phone.
async fn by_phone(socket: &mut Socket) -> serde_json::Value {
    let wanted = json!({ "toCountryCode": BEN[0], "toPhoneNumber": BEN[1], "conversationType": "private" });
    let asked = socket.emit_with_ack("create_conversation", &wanted).await;
    socket.hears_ack(asked).await
}

fn sid(uuid: &str) -> String {
    format!("CH{}", uuid.replace('-', ""))
}

#[tokio::test]
async fn a_pair_has_one_conversation_whichever_dialect_made_it() {
    for maker in 0..4 {
        let app = with_bens_phone().await;
        let mut socket = app.socket_as("ada").await;
        let mut found = Vec::new();
        for dialect in (0..4).map(|step| (maker + step) % 4) {
            found.push(match dialect {
                0 => sid(by_phone(&mut socket).await["conversationId"].as_str().unwrap()),
                1 => {
                    let pair = json!({ "participants": ["ben", "ada"] });
                    let made = app.rest_as("ada").post("/newconversation", &pair).await.ok();
                    made["conversation_sid"].as_str().unwrap().to_owned()
                }
                2 => app.chat("ada").say("ben", "hello").await["conversationId"].as_str().unwrap().to_owned(),
                _ => Messaging::of(&app, "ben").open("ada").await,
            });
        }
        assert!(found.iter().all(|sid| *sid == found[0]), "begun by dialect {maker}: {found:?}");
        let made = app.asked().iter().filter(|asked| asked.path.ends_with("/Conversations")).count();
        assert_eq!(made, 1, "Twilio was asked for one");
        app.finish([socket]).await;
    }
}

#[tokio::test]
async fn what_is_said_in_one_dialect_is_heard_once_in_the_others_and_stays() {
    let app = with_bens_phone().await;
    let conversation = Messaging::of(&app, "ada").open("ben").await;
    let mut room = app.socket_as("ben").await;
    room.join(&conversation, "ben").await;
    let mut raw = app.chat_socket("ben", &conversation).await;
    let messages = format!("/messages/{conversation}/messages");

    app.rest_as("ada").say(&conversation, "ada", "conversations").await;
    app.chat("ada").say("ben", "chat").await;
    let said = json!({ "content": "messaging" });
    assert_eq!(Messaging::of(&app, "ada").post(&messages, &said).await.status, 201);
    let elsewhere = json!({ "conversation_sid": conversation, "identity": "ada", "body": "Twilio's SDK" });
    app.other_side("sdk-message", &elsewhere).await;
    let all = ["conversations", "chat", "messaging", "Twilio's SDK"];
    for text in all {
        assert_eq!(room.hears_message().await, text);
        assert_eq!(raw.hears_message().await, ("other".to_owned(), text.to_owned()));
    }
    app.told("onMessageAdded", all.len()).await;
    assert_eq!(app.rest_as("ben").history(&conversation).await, all);
    let unread = Messaging::of(&app, "ben").get(&format!("/messages/{conversation}")).await;
    assert_eq!(unread.body["data"]["unreadCount"], 4);

    // Reading in one is reading in all.
    let page = app.chat("ben").get(&format!("/conversations/{conversation}/messages/")).await.ok();
    let texts: Vec<_> = page["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
    assert_eq!(texts, all);
    assert_eq!(room.hears("message_read").await["identity"], "ben");
    let read = Messaging::of(&app, "ben").get(&format!("/messages/{conversation}")).await;
    assert_eq!(read.body["data"]["unreadCount"], 0);
    app.finish([room]).await;
}

#[tokio::test]
async fn a_support_conversation_is_one_of_the_users_in_every_dialect() {
    let app = TestApp::required().await;
    let opened = Api::user(&app, "ada").get("/conversation").await.ok();
    let id = opened["id"].as_str().unwrap();
    let conversation = sid(id);
    let mut line = Line::user(&app, "ada").await;
    line.join(id).await;
    let mut room = app.socket_as("ada").await;
    room.join(&conversation, "ada").await;
    let mut raw = app.chat_socket("ada", &conversation).await;

    line.say(id, "support").await;
    app.rest_as("ada").say(&conversation, "ada", "conversations").await;
    for text in ["support", "conversations"] {
        assert_eq!(line.hears_message().await, text);
        assert_eq!(room.hears_message().await, text);
        assert_eq!(raw.hears_message().await, ("me".to_owned(), text.to_owned()));
    }
    app.told("onMessageAdded", 2).await;
    assert_eq!(app.rest_as("ada").history(&conversation).await, ["support", "conversations"]);
    app.finish([room]).await;
}

#[tokio::test]
async fn a_block_binds_and_a_deletion_ends_in_every_dialect() {
    let app = with_bens_phone().await;
    let conversation = Messaging::of(&app, "ada").open("ben").await;
    let mut socket = app.socket_as("ada").await;
    assert_eq!(Messaging::of(&app, "ben").post("/users/ada/block", &json!({})).await.status, 200);
    let writes = app.writes();
    let message = json!({ "author": "ada", "body": "x" });
    let path = format!("/{conversation}/send-message");
    assert_eq!(app.rest_as("ada").post(&path, &message).await.status, 403);
    app.chat("ada").post("/send/", &json!({ "receiverId": "ben", "text": "x" })).await.refused(403);
    let opened = json!({ "participantId": "ben" });
    assert_eq!(Messaging::of(&app, "ada").post("/messages", &opened).await.status, 403);
    assert_eq!(by_phone(&mut socket).await["status"], false);
    assert_eq!(app.writes(), writes, "Twilio was not asked to write anything");

    assert_eq!(Messaging::of(&app, "ben").delete("/users/ada/block").await.status, 200);
    app.rest_as("ada").delete(&format!("/{conversation}")).await.ok();
    assert_eq!(app.rest_as("ben").get(&format!("/{conversation}/messages")).await.status, 404);
    assert_eq!(Messaging::of(&app, "ben").get(&format!("/messages/{conversation}")).await.status, 404);
    app.chat("ben").get(&format!("/conversations/{conversation}/messages/")).await.refused(404);
    assert!(app.chat("ben").list().await.is_empty());
    app.finish([socket]).await;
}
