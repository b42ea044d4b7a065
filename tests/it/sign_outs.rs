//! Signed out: an operator ends what was issued to a person, over REST and on every open socket.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::clock::Clock;

use crate::messaging::Messaging;
use crate::support::app::{API_KEY, token, token_of};
use crate::support::{Socket, TestApp, until};
use crate::support_dialect::{Line, admin_token};

/// A token of the app that was made so many seconds ago (or will have been).
fn token_made(identity: &str, seconds_ago: i64) -> String {
    let iat = Clock::system().now().timestamp() - seconds_ago;
    token_of(&json!({ "sub": identity, "iat": iat }), Duration::from_secs(3600))
}

/// The back end signs `identity` out.
async fn sign_out(app: &TestApp, identity: &str) -> Value {
    let nobody = Messaging::with_token(app, None);
    let path = format!("/users/{identity}/sessions");
    nobody.send(nobody.request("DELETE", &path).header("x-api-key", API_KEY)).await.ok()
}

async fn status_with(app: &TestApp, token: &str) -> u16 {
    Messaging::with_token(app, Some(token.to_owned())).get("/users/me").await.status
}

#[tokio::test]
async fn tokens_of_before_no_longer_hold_and_later_ones_do() {
    for app in [TestApp::start().await, TestApp::required().await] {
        let (before, dateless, later) = (token_made("alice", 1), token("alice"), token_made("alice", -5));
        let minted = app.rest_as("alice").post("/generate-token", &json!({ "user_id": "alice" })).await;
        let minted = minted.body["token"].as_str().unwrap();
        for token in [&before, &dateless, minted] {
            assert_eq!(status_with(&app, token).await, 200);
        }
        let calls = app.asked().len();
        let told = sign_out(&app, "alice").await;
        assert_eq!(told["id"], "alice");
        assert!(told["signedOutAt"].as_str().unwrap().ends_with('Z'), "{told}");
        for token in [&before, &dateless, minted] {
            assert_eq!(status_with(&app, token).await, 401);
            let answer = app.rest().with_token(token).get("").await;
            answer.refused(401);
        }
        assert_eq!(status_with(&app, &later).await, 200);
        assert_eq!(status_with(&app, &token_made("bob", 1)).await, 200, "somebody else's");
        // Again, and of somebody nobody knows: the same answer.
        for who in ["alice", "nobody", "Zo%C3%AB"] {
            sign_out(&app, who).await;
        }
        let writes = app.asked().into_iter().skip(calls).filter(|entry| entry.method != "GET").count();
        assert_eq!(writes, 0, "Twilio has nothing to do with it");
        app.finish([]).await;
    }
}

#[tokio::test]
async fn only_admins_and_the_back_end_sign_people_out() {
    let app = TestApp::required().await;
    let before = token_made("alice", 1);
    for prefix in ["", "/api"] {
        let path = format!("{prefix}/users/alice/sessions");
        Messaging::with_token(&app, None).delete(&path).await.refused("UNAUTHORIZED");
        for user in ["alice", "mallory"] {
            Messaging::of(&app, user).delete(&path).await.refused("FORBIDDEN");
        }
        assert_eq!(status_with(&app, &before).await, 200);
    }
    let admin = Messaging::with_token(&app, Some(admin_token("eve")));
    for id in ["%0A", "%20", &"x".repeat(257), "ali%E2%80%8Bce"] {
        admin.delete(&format!("/users/{id}/sessions")).await.refused("VALIDATION_ERROR");
    }
    admin.delete("/users/alice/sessions").await.ok();
    assert_eq!(status_with(&app, &before).await, 401);
    app.finish([]).await;
}

#[tokio::test]
async fn every_open_socket_of_theirs_is_closed_and_no_other() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["alice", "bob"]).await;
    let mut idle = app.socket_as("alice").await;
    let mut late = app.socket("alice, whose token came later").await;
    late.emit("user_connect", &json!({ "identity": "alice", "token": token("alice") })).await;
    late.hears("user_connected").await;
    let mut support = Line::user(&app, "alice").await;
    let mut raw = app.chat_socket("alice", &conversation).await;
    room[1].hears_nothing_else().await;

    sign_out(&app, "alice").await;
    for socket in [&mut room[0], &mut idle, &mut late] {
        assert_eq!(socket.is_ended().await, []);
    }
    support.is_ended().await;
    raw.is_closed_with(4001).await;
    assert_eq!(room[1].hears("user_left").await["identity"], "alice");

    // What opened them opens them no more.
    let again = Socket::try_connect(app.address, "alice", Some(json!({ "token": token("alice") }))).await;
    assert_eq!(again.map(drop), Err("the token is not valid".to_owned()));
    let mut with_new = Socket::connect(app.address, "alice", Some(&token_made("alice", -5))).await;
    with_new.enter(&conversation, "alice").await;
    room[1].hears("user_joined").await;
    app.finish([room.pop().unwrap(), with_new]).await;
}

#[tokio::test]
async fn an_admin_who_is_there_as_somebody_else_is_found_all_the_same() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut admin = Socket::connect(app.address, "eve", Some(&admin_token("eve"))).await;
    admin.enter(&conversation, "bob").await;
    let mut bob = app.socket_as("bob").await;
    sign_out(&app, "bob").await;
    bob.is_ended().await;
    admin.hears_nothing_else().await;
    sign_out(&app, "eve").await;
    admin.is_ended().await;
    app.finish([]).await;
}

#[tokio::test]
async fn it_survives_a_restart_and_reaches_other_nodes() {
    let mut app = TestApp::required().await;
    let node = app.node().await;
    let before = token_made("alice", 1);
    let mut there = Socket::connect(node.address, "alice", Some(&before)).await;
    sign_out(&app, "alice").await;
    there.is_ended().await;
    until("the other node refuses", || async { (status_with(&node, &before).await == 401).then_some(()) })
        .await;
    app.restart().await;
    assert_eq!(status_with(&app, &before).await, 401, "before anybody else asked");
    node.finish([]).await;
    app.finish([]).await;
}
