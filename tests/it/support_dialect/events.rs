//! The events of `/support`: who hears what, once and in order, whichever side and whichever dialect it comes from.

use serde_json::json;

use super::{Api, Line, talk};
use crate::support::{Socket, TestApp};

#[tokio::test]
async fn a_message_is_heard_once_by_everybody_in_the_room_and_by_all_admins() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    let mut elsewhere = Line::admin(&app, "adam").await;
    let answer = guest.asks("message:send", &json!({ "conversationId": id, "message": "hello" })).await;
    assert_eq!(answer["success"], true);
    let heard = admin.hears("message:received").await;
    assert_eq!(heard["id"], answer["messageId"]);
    assert_eq!(admin.hears("conversation:new_message").await["message"], heard);
    assert_eq!(elsewhere.hears("conversation:new_message").await["message"], heard);
    // Twilio tells of it too.
    app.told("onMessageAdded", 1).await;
    for line in [guest, admin, elsewhere] {
        line.finish().await;
    }
    app.finish([]).await;
}

#[tokio::test]
async fn messages_of_one_sender_keep_their_order() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    for number in 0..20 {
        guest.say(&id, &number.to_string()).await;
    }
    for number in 0..20 {
        assert_eq!(admin.hears_message().await, number.to_string());
        admin.hears("conversation:new_message").await;
        assert_eq!(guest.hears_message().await, number.to_string());
    }
    guest.finish().await;
    admin.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_said_in_another_dialect_or_at_twilio_is_heard_here() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let sid = format!("CH{}", id.replace('-', ""));
    let mut alice = Line::user(&app, "alice").await;
    alice.join(&id).await;
    let mut admin = Line::admin(&app, "eve").await;
    app.rest_as("alice").say(&sid, "alice", "from the other document").await;
    let heard = alice.hears("message:received").await;
    assert_eq!(
        (&heard["message"], &heard["senderType"]),
        (&json!("from the other document"), &json!("user"))
    );
    assert_eq!(admin.hears("conversation:new_message").await["message"], heard);

    let sdk = json!({ "conversation_sid": sid, "identity": "alice", "body": "from the SDK" });
    app.other_side("sdk-message", &sdk).await;
    assert_eq!(alice.hears_message().await, "from the SDK");
    admin.hears("conversation:new_message").await;

    let path = format!("/Conversations/{sid}/Messages");
    app.elsewhere(reqwest::Method::POST, &path, &[("Body", "from the console")]).await;
    let heard = alice.hears("message:received").await;
    assert_eq!((&heard["senderType"], &heard["senderId"]), (&json!("system"), &json!(null)));
    admin.hears("conversation:new_message").await;

    // And the other way round.
    let mut other: Socket = app.socket_as("alice").await;
    other.enter(&sid, "alice").await;
    alice.say(&id, "from support").await;
    assert_eq!(other.hears_message().await, "from support");
    alice.hears("message:received").await;
    admin.hears("conversation:new_message").await;
    alice.finish().await;
    admin.finish().await;
    app.finish([other]).await;
}

#[tokio::test]
async fn a_restarted_service_knows_which_conversations_are_support() {
    let mut app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let sid = format!("CH{}", id.replace('-', ""));
    app.restart().await;
    let mut admin = Line::admin(&app, "eve").await;
    let sdk = json!({ "conversation_sid": sid, "identity": "alice", "body": "anybody there?" });
    app.other_side("sdk-message", &sdk).await;
    let told = admin.hears("conversation:new_message").await;
    assert_eq!((&told["conversationId"], &told["message"]["senderId"]), (&json!(id), &json!("alice")));
    admin.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn an_ordinary_conversation_is_none_of_supports() {
    let app = TestApp::start().await;
    let sid = app.conversation(&["alice", "bob"]).await;
    let mut admin = Line::admin(&app, "eve").await;
    let mut alice = Line::user(&app, "alice").await;
    for line in [&mut admin, &mut alice] {
        line.emit("conversation:join", &json!({ "conversationId": sid })).await;
        assert_eq!(line.hears_error().await, "Conversation not found");
    }
    app.rest().say(&sid, "alice", "between us").await;
    Api::admin(&app, "eve").get(&format!("/conversation/{sid}/messages")).await.refused(404);
    Api::admin(&app, "eve")
        .patch(&format!("/conversation/{sid}"), &json!({ "status": "closed" }))
        .await
        .refused(404);
    admin.finish().await;
    alice.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn reading_is_told_and_shown_on_both_sides() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    let history = format!("/conversation/{id}/messages");
    let is_read = async || {
        let page = Api::of(&app).get(&history).await.ok();
        let messages = page["messages"].as_array().unwrap().clone();
        messages.iter().map(|message| message["isRead"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    guest.say(&id, "first").await;
    let first = guest.hears("message:received").await;
    admin.hears("message:received").await;
    admin.hears("conversation:new_message").await;
    assert_eq!(admin.hears_unread().await, 1);
    admin.say(&id, "second").await;
    let second = guest.hears("message:received").await;
    assert_eq!(guest.hears_unread().await, 1);
    admin.hears("message:received").await;
    admin.hears("conversation:new_message").await;
    assert_eq!(is_read().await, [false, false]);

    let before = app.writes();
    admin.emit("message:read", &json!({ "messageId": first["id"] })).await;
    assert_eq!(guest.hears("message:read").await["messageId"], first["id"]);
    assert_eq!(is_read().await, [true, false]);
    guest.emit("message:read", &json!({ "messageId": second["id"] })).await;
    assert_eq!(guest.hears("message:read").await["messageId"], second["id"]);
    assert_eq!(is_read().await, [true, true]);
    assert_eq!(app.writes(), before + 2);
    // Again, and further back: nothing to tell, nothing to write.
    assert_eq!(guest.asks("message:read", &json!({ "messageId": first["id"] })).await["success"], true);
    assert_eq!(admin.asks("message:read", &json!({ "messageId": first["id"] })).await["success"], true);
    assert_eq!(app.writes(), before + 2);
    assert_eq!(guest.hears_unread().await, 0);
    guest.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn typing_is_heard_by_the_others_and_ends_with_the_message() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    let here = json!({ "conversationId": id });
    guest.emit("typing:start", &here).await;
    guest.emit("typing:start", &here).await;
    let typing = admin.hears("typing:start").await;
    assert!(typing["senderId"].as_str().unwrap().starts_with("guest_"));
    guest.say(&id, "there").await;
    assert_eq!(admin.hears("typing:stop").await, typing);
    admin.hears_message().await;
    admin.hears("conversation:new_message").await;
    guest.hears_message().await;
    guest.finish().await;
    admin.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn only_admins_speak_for_the_system() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    let before = app.writes();
    for message_type in ["system", "auth_code"] {
        let payload = json!({ "conversationId": id, "message": "123456", "messageType": message_type });
        guest.emit("message:send", &payload).await;
        assert_eq!(guest.hears_error().await, "not allowed");
    }
    assert_eq!(app.writes(), before);
    let payload = json!({ "conversationId": id, "message": "Closed for today", "messageType": "system" });
    admin.emit("message:send", &payload).await;
    let heard = guest.hears("message:received").await;
    assert_eq!(
        (&heard["senderType"], &heard["senderId"], &heard["messageType"]),
        (&json!("system"), &json!(null), &json!("system"))
    );
    admin.hears("message:received").await;
    admin.hears("conversation:new_message").await;
    let payload =
        json!({ "conversationId": id, "message": "https://example.com/a.pdf", "messageType": "file" });
    guest.emit("message:send", &payload).await;
    assert_eq!(guest.hears("message:received").await["messageType"], "file");
    guest.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn admins_are_never_participants() {
    let app = TestApp::start().await;
    let (id, guest, admin) = talk(&app).await;
    let mut admin = admin;
    admin.say(&id, "hello").await;
    admin.hears_message().await;
    let sid = format!("CH{}", id.replace('-', ""));
    let path = format!("/v1/Services/{}/Conversations/{sid}/Participants", app.mock.service_sid());
    let participants = app.twilio(&path).await;
    assert_eq!(participants["participants"].as_array().unwrap().len(), 1, "{participants}");
    drop((guest, admin));
    app.finish([]).await;
}

#[tokio::test]
async fn whoever_left_hears_nothing_more() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    guest.emit("conversation:leave", &json!({ "conversationId": id })).await;
    guest.hears("conversation:left").await;
    admin.say(&id, "are you there?").await;
    admin.hears_message().await;
    guest.finish().await;
    app.finish([]).await;
}
