//! Who no longer belongs: removed from a conversation, or with a token that ended. What they had asked for and was still
//! waiting is not done either.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use switchboard::mock::Action;
use tokio::time::Instant;

use super::here;
use crate::messaging::Messaging;
use crate::support::app::{token, token_of};
use crate::support::{Socket, TestApp, until};
use crate::support_dialect::admin_token;

/// Removal takes effect on open sockets within this.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn is_refused(socket: &mut Socket, conversation: &str, identity: &str) {
    let send = json!({ "conversationSid": conversation, "author": identity, "body": "let me in" });
    for (event, payload, form) in [
        ("join_conversation", here(conversation, identity), "joined_conversation"),
        ("send_message", send, "message_error"),
        ("typing_start", here(conversation, identity), "message_error"),
        ("get_online_users", here(conversation, identity), "message_error"),
    ] {
        socket.emit(event, &payload).await;
        let told = socket.hears(form).await;
        assert_eq!(told["success"], false, "{event}: {told}");
    }
}

#[tokio::test]
async fn who_is_removed_is_out_on_every_socket_at_once_whoever_removed_them() {
    for by_us in [true, false] {
        let app = TestApp::required().await;
        let conversation = app.conversation(&["alice", "bob", "carol"]).await;
        let mut alice = app.room(&conversation, &["alice"]).await.remove(0);
        let mut tabs = [app.socket_as("bob").await, app.socket_as("bob").await];
        for tab in &mut tabs {
            tab.enter(&conversation, "bob").await;
        }
        alice.hears_of_coming().await;
        let mut raw = app.chat_socket("bob", &conversation).await;
        raw.hears_nothing_else().await;
        tabs[0].emit("typing_start", &here(&conversation, "bob")).await;
        assert_eq!(alice.hears("user_typing").await["isTyping"], true);

        let began = Instant::now();
        if by_us {
            app.rest_as("alice").delete(&format!("/{conversation}/participants/bob")).await.ok();
        } else {
            let path = format!("/Conversations/{conversation}/Participants/bob");
            app.elsewhere(Method::DELETE, &path, &[]).await;
        }
        for socket in tabs.iter_mut().chain([&mut alice]) {
            let told = socket.hears("conversation_updated").await;
            assert_eq!(told["update"]["event"], "participant_removed");
        }
        assert_eq!(alice.hears("user_typing").await["isTyping"], false);
        assert_eq!(alice.hears("user_left").await["identity"], "bob");
        raw.hears_error("NOT_A_PARTICIPANT").await;
        raw.is_closed_with(4003).await;
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());

        let writes = app.writes();
        app.rest_as("alice").say(&conversation, "alice", "without Bob").await;
        assert_eq!(alice.hears_message().await, "without Bob");
        for tab in &mut tabs {
            tab.hears_nothing_else().await;
            is_refused(tab, &conversation, "bob").await;
        }
        let mut again = app.chat_socket("bob", &conversation).await;
        again.hears_error("NOT_A_PARTICIPANT").await;
        again.is_closed_with(4003).await;
        app.rest_as("bob").get(&format!("/{conversation}/messages")).await.refused(403);
        app.chat("bob").get(&format!("/conversations/{conversation}/messages/")).await.refused(403);
        let detail = Messaging::of(&app, "bob").get(&format!("/messages/{conversation}")).await;
        assert_eq!(detail.status, 403);
        assert_eq!(app.writes(), writes + 1, "only Alice's");
        let [first, second] = tabs;
        app.finish([alice, first, second]).await;
    }
}

/// Two messages over `socket`, of which Twilio keeps the first waiting, and the first the other.
async fn two_messages(app: &TestApp, socket: &mut Socket, conversation: &str) {
    app.fault("POST", "/Messages$", 1, Action::DelayMs([3_500, 3_500]));
    for body in ["first", "second"] {
        let send = json!({ "conversationSid": conversation, "author": "bob", "body": body });
        socket.emit("send_message", &send).await;
    }
    // Whatever is on its way was looked at.
    socket.hears_nothing_else().await;
}

#[tokio::test]
async fn what_waits_when_a_token_ends_is_not_done() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let short = token_of(&json!({ "sub": "bob" }), Duration::from_secs(3));
    let mut bob = Socket::connect(app.address, "bob", Some(&short)).await;
    bob.hears("token_expiring").await;
    bob.emit("user_connect", &json!({ "identity": "bob" })).await;
    bob.hears("user_connected").await;
    two_messages(&app, &mut bob, &conversation).await;
    assert_eq!(bob.is_ended().await, []);
    until("the first message", || async { (!app.stored(&conversation).await.is_empty()).then_some(()) })
        .await;
    // Another socket's event is answered after all that was waiting had its turn.
    let mut alice = app.room(&conversation, &["alice"]).await.remove(0);
    alice.hears_nothing_else().await;
    assert_eq!(app.stored(&conversation).await, ["first"], "it was under way, the other was not");
    app.finish([alice]).await;
}

#[tokio::test]
async fn what_waits_when_somebody_is_signed_out_or_removed_is_not_done() {
    for signed_out in [true, false] {
        let app = TestApp::required().await;
        let conversation = app.conversation(&["alice", "bob"]).await;
        let mut bob = app.socket_as("bob").await;
        bob.enter(&conversation, "bob").await;
        two_messages(&app, &mut bob, &conversation).await;
        if signed_out {
            let operator = Messaging::with_token(&app, None);
            let request = operator.request("DELETE", "/users/bob/sessions");
            operator.send(request.header("x-api-key", crate::support::app::API_KEY)).await.ok();
            bob.is_ended().await;
        } else {
            app.rest_as("alice").delete(&format!("/{conversation}/participants/bob")).await.ok();
            assert_eq!(bob.hears("conversation_updated").await["update"]["event"], "participant_removed");
            let answers = [bob.hears_something().await, bob.hears_something().await];
            let names: Vec<&str> = answers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["message_sent", "message_error"], "{answers:?}");
        }
        until("the first message", || async { (!app.stored(&conversation).await.is_empty()).then_some(()) })
            .await;
        app.rest_as("alice").say(&conversation, "alice", "third").await;
        assert_eq!(
            app.stored(&conversation).await,
            ["first", "third"],
            "one was under way, the other was not"
        );
        app.finish([]).await;
    }
}

#[tokio::test]
async fn who_is_no_admin_any_more_hears_only_what_is_theirs() {
    let app = TestApp::required().await;
    let foreign = app.conversation(&["alice", "bob"]).await;
    let own = app.conversation(&["alice", "eve"]).await;
    let mut eve = Socket::connect(app.address, "eve", Some(&admin_token("eve"))).await;
    for conversation in [&foreign, &own] {
        eve.enter(conversation, "eve").await;
    }
    app.rest_as("alice").say(&foreign, "alice", "an admin may listen").await;
    assert_eq!(eve.hears_message().await, "an admin may listen");

    assert!(eve.try_user_connect("eve", &token("eve")).await);
    app.rest_as("alice").say(&foreign, "alice", "a user may not").await;
    app.rest_as("alice").say(&own, "alice", "this is hers").await;
    assert_eq!(eve.hears_message().await, "this is hers");
    eve.hears_nothing_else().await;
    is_refused(&mut eve, &foreign, "eve").await;
    app.finish([eve]).await;
}
