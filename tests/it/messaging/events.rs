//! What people hear wherever they are: of new conversations, and of how those they know are.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{Messaging, add_contact, ears, introduce, meet};
use crate::support::app::token;
use crate::support::{DEADLINE, TestApp, TestDatabase};

/// As long as somebody who went still counts as being here.
async fn half_a_minute_passes() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
}

/// Waits until it is known when somebody was last here.
async fn going_is_written_down(app: &TestApp, identity: &str) {
    let mut database = app.database.connection().await;
    let known = format!("SELECT 1 FROM people WHERE identity = '{identity}' AND last_seen IS NOT NULL");
    let began = Instant::now();
    while sqlx::query(AssertSqlSafe(known.clone())).fetch_optional(&mut database).await.unwrap().is_none() {
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn both_hear_of_their_new_conversation_whichever_dialect_made_it() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol", "dave"]).await;
    let mut alice = app.socket_as("alice").await.hear_of_conversations();
    let mut bob = app.socket_as("bob").await.hear_of_conversations();
    let id = Messaging::of(&app, "alice").open("bob").await;
    let (hers, his) = (alice.hears("conversation_created").await, bob.hears("conversation_created").await);
    let participants =
        |a: &str, b: &str| json!([{ "id": "alice", "nickname": a }, { "id": "bob", "nickname": b }]);
    assert_eq!(hers["participants"], participants("You", "Name of bob"));
    assert_eq!(his["participants"], participants("Name of alice", "You"));
    assert_eq!(
        (&hers["id"], &hers["type"], hers.as_object().unwrap().len()),
        (&json!(id), &json!("direct"), 4)
    );
    Messaging::of(&app, "bob").open("alice").await; // exists: nothing is told

    let mut carol = app.socket_as("carol").await.hear_of_conversations();
    let pair = json!({ "participants": [{ "id": "carol", "name": "Carol C." }, { "id": "bob" }] });
    app.rest_as("carol").post("/newconversation", &pair).await.ok();
    assert_eq!(bob.hears("conversation_created").await["participants"][0]["nickname"], "Name of carol");
    assert_eq!(carol.hears("conversation_created").await["participants"][0]["nickname"], "You");
    app.rest_as("carol").post("/create", &pair).await.ok();
    assert_eq!(bob.hears("group_created").await["createdBy"], "carol");
    carol.hears("group_created").await;
    app.finish([alice, bob, carol]).await;
}

#[tokio::test]
async fn whoever_only_says_who_they_are_hears_nothing_of_this() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let mut claimed = app.socket("somebody").await.hear_everything();
    let mut bob = ears(&app, "bob").await;
    for socket in [&mut claimed, &mut bob] {
        socket.emit("user_connect", &json!({ "userId": "bob", "identity": "bob" })).await;
        assert_eq!(socket.hears("user_connected").await["success"], true);
    }
    Messaging::of(&app, "alice").open("bob").await;
    bob.hears("conversation_created").await;
    Messaging::of(&app, "alice").group(&["bob", "carol"]).await;
    bob.hears("group_created").await;
    let alice = app.socket_as("alice").await;
    bob.hears("user_status_update").await;
    claimed.hears_nothing_else().await;
    // With a token that comes later it does.
    assert!(claimed.try_user_connect("bob", &token("bob")).await);
    Messaging::of(&app, "carol").open("bob").await;
    claimed.hears("conversation_created").await;
    bob.hears("conversation_created").await;
    app.finish([alice, bob, claimed]).await;
}

#[tokio::test]
async fn those_who_know_somebody_hear_how_they_are_once_per_transition() {
    let app = TestApp::start().await;
    introduce(&app, &json!({ "sub": "bob", "phone_number": "+60123456781" })).await;
    meet(&app, &["alice", "carol", "dave", "eve"]).await;
    add_contact(&app, "alice", 1).await; // Bob is her contact
    Messaging::of(&app, "carol").open("bob").await; // Bob is her partner
    Messaging::of(&app, "eve").open("bob").await;
    Messaging::of(&app, "eve").post("/users/bob/block", &json!({})).await.ok();
    let mut alice = ears(&app, "alice").await;
    let mut carol = ears(&app, "carol").await;
    let dave = ears(&app, "dave").await;
    let eve = ears(&app, "eve").await;

    let mut bob = app.socket_as("bob").await;
    for friend in [&mut alice, &mut carol] {
        let told = friend.hears("user_status_update").await;
        assert_eq!(
            (&told["userId"], &told["isOnline"], &told["status"]),
            (&json!("bob"), &json!(true), &json!("Active"))
        );
        assert!(told["lastSeen"].is_string() && told.as_object().unwrap().len() == 4, "{told}");
    }
    let seen = Messaging::of(&app, "alice").get("/users/bob").await.ok();
    assert_eq!((&seen["isOnline"], &seen["status"]), (&json!(true), &json!("Active")));
    let second = app.socket_as("bob").await; // already here: nothing is told
    bob.emit("set_status", &json!({ "status": "away" })).await;
    for friend in [&mut alice, &mut carol] {
        assert_eq!(friend.hears("user_status_update").await["status"], "Away");
    }
    second.close().await;
    bob.close().await;
    // A moment later he is back: nothing is told either.
    let bob = app.socket_as("bob").await;
    for friend in [&mut alice, &mut carol] {
        friend.hears_nothing_else().await;
    }
    app.finish([alice, bob, carol, dave, eve]).await;
}

#[tokio::test]
async fn whoever_is_there_over_twilios_own_sdk_is_online() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "adam", "bob"]).await;
    let alice = Messaging::of(&app, "alice");
    let pair = alice.open("bob").await;
    alice.open("adam").await;
    app.rest().send(app.rest().request(reqwest::Method::POST, "/enable-reachability")).await.ok();
    let mut ears = ears(&app, "alice").await;
    app.other_side("user-online", &json!({ "identity": "bob", "online": true })).await;
    let told = ears.hears("user_status_update").await;
    assert_eq!(
        (&told["userId"], &told["isOnline"], &told["status"]),
        (&json!("bob"), &json!(true), &json!("Active"))
    );
    let before = app.asked().len();
    let seen = alice.get("/users/bob").await.ok();
    assert_eq!((&seen["isOnline"], &seen["status"]), (&json!(true), &json!("Active")));
    let page = alice.get("/users/suggestions").await.ok();
    assert_eq!(
        (&page["suggestions"][0]["id"], &page["suggestions"][0]["isOnline"]),
        (&json!("bob"), &json!(true))
    );
    assert_eq!(alice.get("/users/contacts").await.ok()["contacts"].as_array().unwrap().len(), 2);
    assert_eq!(app.asked_since(before), [""; 0]);

    // Coming and going here as well makes no difference.
    let mut room = app.room(&pair, &["alice"]).await.remove(0);
    let mut bob = app.socket_as("bob").await;
    bob.enter(&pair, "bob").await;
    bob.close().await;
    while room.hears_something().await.0 != "user_left" {}
    half_a_minute_passes().await;
    going_is_written_down(&app, "bob").await;
    ears.hears_nothing_else().await;
    assert_eq!(alice.get("/users/bob").await.ok()["isOnline"], true);
    app.other_side("user-online", &json!({ "identity": "bob", "online": false })).await;
    assert_eq!(ears.hears("user_status_update").await["status"], "Offline");
    assert_eq!(alice.get("/users/bob").await.ok()["isOnline"], false);
    room.close().await;
    app.finish([ears]).await;
}

#[tokio::test]
async fn whoever_comes_back_while_their_going_is_written_down_is_not_gone() {
    let app = TestApp::on(TestDatabase::sqlite()).await;
    meet(&app, &["alice", "bob"]).await;
    let pair = Messaging::of(&app, "alice").open("bob").await;
    let mut alice = ears(&app, "alice").await;
    let mut room = app.room(&pair, &["alice"]).await.remove(0);
    let mut bob = app.socket_as("bob").await;
    bob.enter(&pair, "bob").await;
    assert_eq!(alice.hears("user_status_update").await["status"], "Active");
    let mut database = app.database.connection().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut database).await.unwrap();
    bob.close().await;
    while room.hears_something().await.0 != "user_left" {}
    half_a_minute_passes().await;
    assert_eq!(room.hears("user_status_changed").await["status"]["online"], false);
    let mut bob = app.socket_as("bob").await;
    assert_eq!(alice.hears("user_status_update").await["status"], "Active");
    sqlx::query("ROLLBACK").execute(&mut database).await.unwrap();
    going_is_written_down(&app, "bob").await;
    bob.emit("set_status", &json!({ "status": "busy" })).await;
    assert_eq!(alice.hears("user_status_update").await["status"], "Busy", "and not Offline before it");
    room.close().await;
    app.finish([alice, bob]).await;
}

#[tokio::test]
async fn going_is_told_after_a_while_and_remembered() {
    let mut app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let id = Messaging::of(&app, "alice").open("bob").await;
    let mut alice = ears(&app, "alice").await;
    alice.enter(&id, "alice").await;
    let mut bob = app.socket_as("bob").await;
    bob.enter(&id, "bob").await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.push(alice.hears_something().await.0);
    }
    heard.sort_unstable();
    assert_eq!(heard, ["user_joined", "user_status_changed", "user_status_update"]);
    bob.close().await;
    alice.hears("user_left").await;
    half_a_minute_passes().await;
    alice.hears("user_status_changed").await;
    let told = alice.hears("user_status_update").await;
    assert_eq!((&told["isOnline"], &told["status"]), (&json!(false), &json!("Offline")));
    alice.finish().await;
    let before = Messaging::of(&app, "alice").get("/users/bob").await.ok();
    assert!(before["lastSeen"].is_string(), "{before}");
    app.restart().await;
    assert_eq!(Messaging::of(&app, "alice").get("/users/bob").await.ok()["lastSeen"], before["lastSeen"]);
    app.finish([]).await;
}
