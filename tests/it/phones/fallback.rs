//! Conversations that begin with a phone nobody has registered.

use futures::future::join_all;
use serde_json::json;
use switchboard::mock::Action;

use super::{bring_in, received};
use crate::contacts::{NOBODY, conversation, create, sid_of};
use crate::messaging::Messaging;
use crate::support::TestApp;
use crate::support::app::Stage;

/// Who has registered no phone is written to by text.
pub(super) async fn texting() -> TestApp {
    TestApp::with(Stage { required: true, sms_fallback: true, ..Stage::default() }).await
}

#[tokio::test]
async fn the_phone_takes_part_and_the_conversation_is_the_one_of_the_two() {
    let mut app = texting().await;
    let mut ada = app.socket_as("ada").await;
    let before = app.asked().len();
    let made = create(&mut ada, &conversation(NOBODY, "private")).await;
    let sid = sid_of(&made);
    assert_eq!(made.as_object().unwrap().len(), 3, "nothing existed: {made}");
    let asked = app.asked_since(before);
    assert_eq!(asked.iter().filter(|call| call.starts_with("POST")).count(), 3, "{asked:?}");
    assert_eq!(app.rest_as("ada").participants(&sid).await, ["a phone", "ada"]);

    ada.enter(&sid, "ada").await;
    app.rest_as("ada").say(&sid, "ada", "hello, is this Ali?").await;
    assert_eq!(ada.hears_message().await, "hello, is this Ali?");
    assert_eq!(received(&app, NOBODY[2]).await, ["hello, is this Ali?"]);
    app.other_side("inbound-sms", &json!({ "from": NOBODY[2], "body": "it is" })).await;
    assert_eq!(ada.hears_message().await, "it is");

    let before = app.asked().len();
    let again = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_eq!((&again["conversationId"], &again["existing"]), (&made["conversationId"], &json!(true)));
    assert_eq!(app.asked_since(before), [""; 0]);
    ada.finish().await;
    app.restart().await;
    let mut ada = app.socket_as("ada").await;
    let again = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_eq!((&again["conversationId"], &again["existing"]), (&made["conversationId"], &json!(true)));
    app.finish([ada]).await;
}

#[tokio::test]
async fn of_many_who_ask_at_once_on_two_nodes_all_get_the_same() {
    let app = texting().await;
    let node = app.node().await;
    let mut sockets = Vec::new();
    for place in 0..6 {
        sockets.push(if place % 2 == 0 { app.socket_as("ada").await } else { node.socket_as("ada").await });
    }
    let wanted = conversation(NOBODY, "private");
    let acks = join_all(sockets.iter_mut().map(|socket| create(socket, &wanted))).await;
    assert!(acks.iter().all(|ack| sid_of(ack) == sid_of(&acks[0])), "{acks:?}");
    assert_eq!(app.rest_as("ada").get("").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(app.rest_as("ada").participants(&sid_of(&acks[0])).await, ["a phone", "ada"]);
    for socket in sockets {
        socket.finish().await;
    }
    node.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_phone_that_is_busy_is_said_to_be_and_nothing_is_left() {
    let app = texting().await;
    let elsewhere = app.conversation(&["ben"]).await;
    bring_in(&app, "ben", &elsewhere, NOBODY[2]).await;
    let mut ada = app.socket_as("ada").await;
    for kind in ["private", "group"] {
        let refused = create(&mut ada, &conversation(NOBODY, kind)).await;
        let words =
            "this phone number already takes part in another open conversation; it can be in one at a time";
        assert_eq!((&refused["code"], &refused["msg"]), (&json!(409), &json!(words)));
        assert_eq!(app.rest_as("ada").get("").await.ok(), json!([]), "{kind}");
    }
    app.rest_as("ben").delete(&format!("/{elsewhere}")).await.ok();
    sid_of(&create(&mut ada, &conversation(NOBODY, "private")).await);
    app.finish([ada]).await;
}

#[tokio::test]
async fn what_broke_off_half_way_is_completed_by_a_repeat() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    // The answer to the phone's adding is lost, and then Twilio is: the conversation can be neither filled nor deleted.
    app.fault("POST", "/Participants$", 1, Action::StoreThenStatus(502));
    app.fault("POST", "/Participants$", 9, Action::Status { status: 403, retry_after: None, html: false });
    app.fault("DELETE", "/Conversations/", 9, Action::Status { status: 403, retry_after: None, html: false });
    assert_eq!(create(&mut ada, &conversation(NOBODY, "private")).await["status"], false);
    app.mock.faults().clear();
    let made = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_eq!(app.rest_as("ada").participants(&sid_of(&made)).await, ["a phone", "ada"]);
    assert_eq!(app.rest_as("ada").get("").await.ok().as_array().unwrap().len(), 1);
    app.finish([ada]).await;
}

#[tokio::test]
async fn a_closed_or_left_conversation_gives_way_to_a_new_one() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    let first = sid_of(&create(&mut ada, &conversation(NOBODY, "private")).await);
    ada.enter(&first, "ada").await;
    app.elsewhere(reqwest::Method::POST, &format!("/Conversations/{first}"), &[("State", "closed")]).await;
    assert_eq!(ada.hears("conversation_updated").await["update"]["state"], "closed");
    let second = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_ne!(sid_of(&second), first);
    app.rest_as("ada").delete(&format!("/{}", sid_of(&second))).await.ok();
    let third = sid_of(&create(&mut ada, &conversation(NOBODY, "private")).await);
    assert!(![first, sid_of(&second)].contains(&third));
    app.finish([ada]).await;
}

#[tokio::test]
async fn a_group_may_begin_with_a_phone() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    let group = sid_of(&create(&mut ada, &conversation(NOBODY, "group")).await);
    assert_eq!(app.rest_as("ada").participants(&group).await, ["a phone", "ada"]);
    let shown = Messaging::of(&app, "ada").get(&format!("/groups/{group}")).await.ok();
    assert_eq!((&shown["members"][0]["id"], &shown["members"][0]["role"]), (&json!("ada"), &json!("admin")));
    let busy = create(&mut ada, &conversation(NOBODY, "group")).await;
    assert_eq!(busy["code"], 409, "a phone is in one conversation at a time");
    app.finish([ada]).await;
}

#[tokio::test]
async fn what_cannot_be_remembered_is_not_begun_and_can_be_tried_again() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    let mut beside = app.database.connection().await;
    for kind in ["group", "private"] {
        sqlx::query("ALTER TABLE phone_conversations RENAME TO gone").execute(&mut beside).await.unwrap();
        let refused = create(&mut ada, &conversation(NOBODY, kind)).await;
        assert_eq!((&refused["status"], &refused["code"]), (&json!(false), &json!(503)), "{refused}");
        sqlx::query("ALTER TABLE gone RENAME TO phone_conversations").execute(&mut beside).await.unwrap();
        assert_eq!(app.rest_as("ada").get("").await.ok(), json!([]), "nothing is left of it");
    }
    let made = create(&mut ada, &conversation(NOBODY, "group")).await;
    assert_eq!(app.rest_as("ada").participants(&sid_of(&made)).await, ["a phone", "ada"]);
    app.finish([ada]).await;
}
