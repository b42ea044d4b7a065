//! When somebody registers a phone that conversations began with, they take its place.

use serde_json::json;
use switchboard::mock::Action;

use super::fallback::texting;
use super::received;
use crate::contacts::{BEN, NOBODY, conversation, create, sid_of, socket_with_phone, token_with_phone};
use crate::messaging::Messaging;
use crate::support::app::Stage;
use crate::support::{Socket, TestApp, until};

/// A conversation that Ada began with the phone, with a message each way.
async fn begun(app: &TestApp, ada: &mut Socket) -> String {
    let sid = sid_of(&create(ada, &conversation(NOBODY, "private")).await);
    app.rest_as("ada").say(&sid, "ada", "who are you?").await;
    app.other_side("inbound-sms", &json!({ "from": NOBODY[2], "body": "Ben" })).await;
    app.told("onMessageAdded", 2).await;
    sid
}

/// Waits until these, by name, are in the conversation.
async fn are_in(app: &TestApp, sid: &str, people: &[&str]) {
    until(&format!("{people:?} in {sid}"), || async {
        (app.rest_as("ada").participants(sid).await == people).then_some(())
    })
    .await;
}

#[tokio::test]
async fn they_take_the_place_of_the_phone_and_the_thread_stays() {
    let mut app = texting().await;
    let mut ada = app.socket_as("ada").await;
    let sid = begun(&app, &mut ada).await;
    let ben = socket_with_phone(&app, "ben", NOBODY).await;
    are_in(&app, &sid, &["ada", "ben"]).await;
    assert_eq!(app.rest_as("ben").history(&sid).await, ["who are you?", "Ben"]);
    app.rest_as("ada").say(&sid, "ada", "I see").await;
    assert_eq!(received(&app, NOBODY[2]).await, ["who are you?"], "the phone has no part in it any more");

    // It is the one conversation of the two, in every dialect.
    let again = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_eq!((sid_of(&again), &again["existing"]), (sid.clone(), &json!(true)));
    is_theirs(&app, &sid).await;
    ada.finish().await;
    ben.finish().await;
    app.restart().await;
    is_theirs(&app, &sid).await;
    assert_eq!(app.rest_as("ada").get("").await.ok().as_array().unwrap().len(), 1);
    let name = app.rest_as("ada").get("").await.ok()[0]["friendly_name"].clone();
    assert!(
        !name.as_str().unwrap().contains(&NOBODY[2][1..]),
        "the number is nobody else's business: {name}"
    );
    app.finish([]).await;
}

/// The conversation is the one of Ada and Ben, whichever dialect is asked.
async fn is_theirs(app: &TestApp, sid: &str) {
    let pair = json!({ "participants": ["ben", "ada"] });
    let found = app.rest_as("ben").post("/newconversation", &pair).await.ok();
    assert_eq!((&found["conversation_sid"], &found["existing"]), (&json!(sid), &json!(true)));
    assert_eq!(Messaging::of(app, "ben").open("ada").await, sid);
    assert_eq!(app.chat("ben").say("ada", "hello from chat").await["conversationId"], json!(sid));
    assert_eq!(app.chat("ada").list().await.len(), 1);
}

#[tokio::test]
async fn a_phone_that_is_typed_in_counts_where_nobody_proves_anything() {
    let app = TestApp::with(Stage { sms_fallback: true, ..Stage::default() }).await;
    let mut ada = app.socket_as("ada").await;
    let sid = begun(&app, &mut ada).await;
    type_in(&app, "ben").await;
    are_in(&app, &sid, &["ada", "ben"]).await;
    app.finish([ada]).await;
}

#[tokio::test]
async fn typing_in_a_phone_is_no_way_to_what_was_said_to_it() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    let sid = begun(&app, &mut ada).await;
    type_in(&app, "mallory").await;
    // Phones are handed over in turn: had Mallory got this one, there would be none left for Ben.
    let ben = socket_with_phone(&app, "ben", NOBODY).await;
    are_in(&app, &sid, &["ada", "ben"]).await;
    assert_eq!(app.rest_as("mallory").get(&format!("/{sid}/messages")).await.status, 403);
    app.finish([ada, ben]).await;
}

async fn type_in(app: &TestApp, who: &str) {
    let phone = json!({ "phone": NOBODY[2] });
    assert_eq!(Messaging::of(app, who).ask("PUT", "/users/me", Some(&phone)).await.status, 200);
}

#[tokio::test]
async fn who_has_a_conversation_with_them_already_keeps_both() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    drop(socket_with_phone(&app, "ben", BEN).await);
    let theirs = Messaging::of(&app, "ada").open("ben").await;
    let sid = begun(&app, &mut ada).await;
    let ben = socket_with_phone(&app, "ben", NOBODY).await;
    are_in(&app, &sid, &["ada", "ben"]).await;
    assert_eq!(
        app.rest_as("ben").history(&sid).await,
        ["who are you?", "Ben"],
        "the thread is theirs to read"
    );
    let again = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_eq!(sid_of(&again), theirs, "what they had is still the one of the two");
    assert_eq!(Messaging::of(&app, "ben").open("ada").await, theirs);
    assert_eq!(app.rest_as("ben").get("").await.ok().as_array().unwrap().len(), 2);
    app.finish([ada, ben]).await;
}

#[tokio::test]
async fn what_twilio_refused_half_way_is_finished_after_a_restart() {
    for (method, path) in
        [("POST", "/Participants$"), ("POST", "/Conversations/CH[^/]*$"), ("DELETE", "/Participants/")]
    {
        let mut app = texting().await;
        let mut ada = app.socket_as("ada").await;
        let sid = begun(&app, &mut ada).await;
        ada.finish().await;
        let before = app.asked().len();
        app.fault(method, path, 99, Action::Status { status: 403, retry_after: None, html: false });
        let ben = socket_with_phone(&app, "ben", NOBODY).await;
        until("the refusal", || async {
            let asked = app.asked();
            let refused =
                asked.iter().skip(before).any(|entry| entry.method == method && entry.status == 403);
            refused.then_some(())
        })
        .await;
        ben.finish().await;
        assert!(
            app.rest_as("ada").participants(&sid).await.contains(&"a phone".to_owned()),
            "{method} {path}"
        );
        app.mock.faults().clear();
        app.restart().await;
        are_in(&app, &sid, &["ada", "ben"]).await;
        let found =
            app.rest_as("ben").post("/newconversation", &json!({ "participants": ["ben", "ada"] })).await;
        assert_eq!(found.ok()["conversation_sid"], json!(sid), "{method} {path}");
        app.finish([]).await;
    }
}

#[tokio::test]
async fn a_group_keeps_its_people_and_gets_one_more() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    let group = sid_of(&create(&mut ada, &conversation(NOBODY, "group")).await);
    app.rest_as("ada")
        .post(&format!("/{group}/add-chat-participant"), &json!({ "identity": "carol" }))
        .await
        .ok();
    let ben = socket_with_phone(&app, "ben", NOBODY).await;
    are_in(&app, &group, &["ada", "ben", "carol"]).await;
    let direct = sid_of(&create(&mut ada, &conversation(NOBODY, "private")).await);
    assert_ne!(direct, group);
    app.finish([ada, ben]).await;
}

#[tokio::test]
async fn where_one_blocks_the_other_the_phone_stays() {
    let app = texting().await;
    let mut ada = app.socket_as("ada").await;
    drop(socket_with_phone(&app, "ben", BEN).await);
    let sid = begun(&app, &mut ada).await;
    assert_eq!(Messaging::of(&app, "ben").post("/users/ada/block", &json!({})).await.status, 200);
    let ben = Messaging::with_token(&app, Some(token_with_phone("ben", NOBODY)));
    assert_eq!(ben.get("/users/me").await.status, 200);
    let refused = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_eq!(refused["code"], 403, "the phone is looked at before the answer: {refused}");
    assert_eq!(app.rest_as("ada").participants(&sid).await, ["a phone", "ada"]);
    app.rest_as("ben").get(&format!("/{sid}/messages")).await.refused(403);
    app.finish([ada]).await;
}
