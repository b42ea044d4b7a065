//! Who is in a conversation, and how long that is believed: while nobody tells of changes, and while Twilio is away.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use switchboard::mock::Action;

use crate::support::app::Stage;
use crate::support::{Socket, TestApp, until};

/// Alice and Bob in a conversation, of whose changes elsewhere nobody tells the service; its roster was just read.
async fn scene() -> (TestApp, String) {
    let app = TestApp::with(Stage { required: true, silent: true, ..Stage::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.rest_as("alice").say(&conversation, "alice", "hello").await;
    (app, conversation)
}

async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// The status of `identity` asking who is in the conversation, and how many calls of Twilio it cost.
async fn asks(app: &TestApp, identity: &str, conversation: &str) -> (u16, u32) {
    let answer = app.rest_as(identity).get(&format!("/{conversation}/participants")).await;
    (answer.status, answer.twilio_calls())
}

/// Whether the socket may send.
async fn sends(socket: &mut Socket, conversation: &str, author: &str, body: &str) -> Value {
    let message = json!({ "conversationSid": conversation, "author": author, "body": body });
    let id = socket.emit_with_ack("send_message", &message).await;
    loop {
        if let crate::support::socket::Heard::Ack(answered, answer) = socket.next().await {
            assert_eq!(answered, id);
            return answer;
        }
    }
}

#[tokio::test]
async fn a_member_is_believed_for_a_minute_and_a_stranger_refused_for_five_seconds() {
    let (app, conversation) = scene().await;
    let participants = format!("/Conversations/{conversation}/Participants");
    assert_eq!(asks(&app, "carol", &conversation).await, (403, 0));
    app.elsewhere(Method::POST, &participants, &[("Identity", "carol")]).await;
    app.elsewhere(Method::DELETE, &format!("{participants}/bob"), &[]).await;
    assert_eq!(asks(&app, "carol", &conversation).await, (403, 0), "as was just read");
    assert_eq!(asks(&app, "bob", &conversation).await, (200, 0));
    later(6).await;
    assert_eq!(asks(&app, "bob", &conversation).await, (200, 0), "a member's minute is not over");
    assert_eq!(asks(&app, "carol", &conversation).await, (200, 1), "read again");
    assert_eq!(asks(&app, "bob", &conversation).await, (403, 0), "and so it is known who is gone");

    app.elsewhere(Method::DELETE, &format!("{participants}/carol"), &[]).await;
    later(61).await;
    assert_eq!(asks(&app, "carol", &conversation).await, (403, 1));
    app.finish([]).await;
}

#[tokio::test]
async fn what_we_change_ourselves_counts_at_once() {
    let (app, conversation) = scene().await;
    let alice = app.rest_as("alice");
    assert_eq!(asks(&app, "carol", &conversation).await.0, 403);
    let add = json!({ "identity": "carol" });
    alice.post(&format!("/{conversation}/add-chat-participant"), &add).await.ok();
    assert_eq!(asks(&app, "carol", &conversation).await, (200, 0));
    alice.delete(&format!("/{conversation}/participants/carol")).await.ok();
    assert_eq!(asks(&app, "carol", &conversation).await, (403, 0));
    alice.delete(&format!("/{conversation}")).await.ok();
    assert_eq!(asks(&app, "alice", &conversation).await.0, 404);
    app.finish([]).await;
}

#[tokio::test]
async fn while_twilio_is_away_nobody_is_let_in_on_an_old_roster() {
    let (app, conversation) = scene().await;
    let down = Action::Status { status: 503, retry_after: None, html: false };
    app.fault("GET", "/Participants", 1_000, down);
    assert_eq!(asks(&app, "alice", &conversation).await.0, 200, "young enough");
    later(61).await;
    assert_eq!(asks(&app, "alice", &conversation).await.0, 503);
    assert_eq!(asks(&app, "carol", &conversation).await.0, 503, "not even a no");
    let writes = app.writes();
    let message = json!({ "author": "alice", "body": "anybody?" });
    app.rest_as("alice").post(&format!("/{conversation}/send-message"), &message).await.refused(503);
    let mut socket = app.socket_as("alice").await;
    socket.emit("join_conversation", &json!({ "conversationSid": conversation, "identity": "alice" })).await;
    assert_eq!(socket.hears("joined_conversation").await["success"], false);
    assert_eq!(app.writes(), writes);
    app.mock.faults().clear();
    // Twilio is not asked again at once after so many failures.
    until("being let in", || async { (asks(&app, "alice", &conversation).await.0 == 200).then_some(()) })
        .await;
    app.finish([socket]).await;
}

#[tokio::test]
async fn whoever_is_in_the_room_goes_on_for_five_minutes() {
    let (app, conversation) = scene().await;
    let mut room = app.room(&conversation, &["alice"]).await;
    let alice = &mut room[0];
    let down = Action::Status { status: 503, retry_after: None, html: false };
    app.fault("GET", "/Participants", 1_000, down);
    later(61).await;
    assert_eq!(sends(alice, &conversation, "alice", "still here").await["success"], true);
    assert_eq!(sends(alice, &conversation, "alice", "and again").await["success"], true);
    assert_eq!(asks(&app, "bob", &conversation).await.0, 503, "whose sockets are not");
    let writes = app.writes();
    later(240).await;
    assert_eq!(sends(alice, &conversation, "alice", "too long").await["success"], false);
    assert_eq!(app.writes(), writes);
    assert_eq!(app.stored(&conversation).await, ["hello", "still here", "and again"]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_removal_nobody_reported_ends_with_the_next_look() {
    let (app, conversation) = scene().await;
    let mut room = app.room(&conversation, &["alice", "bob"]).await;
    let bobs = format!("/Conversations/{conversation}/Participants/bob");
    app.elsewhere(Method::DELETE, &bobs, &[]).await;
    later(61).await;
    app.rest_as("alice").say(&conversation, "alice", "are we alone?").await;
    for socket in &mut room {
        let told = socket.hears("conversation_updated").await;
        assert_eq!(
            (&told["update"]["event"], &told["update"]["identity"]),
            (&json!("participant_removed"), &json!("bob"))
        );
    }
    assert_eq!(room[0].hears("user_left").await["identity"], "bob");
    assert_eq!(room[0].hears_message().await, "are we alone?");
    room[1].hears_nothing_else().await;
    assert_eq!(sends(&mut room[1], &conversation, "bob", "no").await["success"], false);
    app.finish([]).await;
}
