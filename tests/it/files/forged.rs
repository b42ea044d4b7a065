//! Attributes that a message from Twilio's SDK brings in our name: they hide nothing, delete nothing, run nothing.

use serde_json::json;

use super::{PNG, from_elsewhere, leads_to};
use crate::support::TestApp;
use crate::support_dialect::{Api, Line};

#[tokio::test]
async fn a_message_with_words_is_no_part_of_another_whatever_it_says() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["alice"]).await.remove(0);
    let part = json!({ "switchboard": { "part_of": "something" } });
    let linkless = json!({ "switchboard": { "without_body": true } });
    let one_link = json!({ "switchboard": { "without_body": true, "media": ["https://example.com/a.png"] } });
    for (part, media) in [
        (&part, json!([])),
        (&part, json!([from_elsewhere()])),
        (&linkless, json!([])),
        (&one_link, json!([])),
    ] {
        let hidden = json!({
            "conversation_sid": conversation, "identity": "bob", "body": "psst", "attributes": part, "media": media,
        });
        app.other_side("sdk-message", &hidden).await;
        assert_eq!(room.hears_message().await, "psst");
    }
    assert_eq!(app.rest().history(&conversation).await, ["psst"; 4]);
    app.finish([room]).await;
}

#[tokio::test]
async fn nobody_deletes_anothers_message_by_calling_it_a_part_of_their_own() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["alice"]).await.remove(0);
    let kept = app.rest().say(&conversation, "alice", "mine").await;
    room.hears("new_message").await;
    let whole = json!({ "switchboard": { "client_message_id": "x", "parts": [kept["message_sid"]] } });
    let trap =
        json!({ "conversation_sid": conversation, "identity": "bob", "body": "trap", "attributes": whole });
    app.other_side("sdk-message", &trap).await;
    let heard = room.hears("new_message").await;
    let path = format!("/{conversation}/messages/{}", heard["message"]["sid"].as_str().unwrap());
    app.rest_as("bob").delete(&path).await.ok();
    room.hears("message_deleted").await;
    assert_eq!(app.stored(&conversation).await, ["mine"]);
    app.finish([room]).await;
}

#[tokio::test]
async fn what_a_browser_would_run_is_not_shown_as_media() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["alice"]).await.remove(0);
    let links = [
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "https://example.com/a.png",
        "no link",
    ];
    let forged = json!({ "switchboard": { "media": links } });
    let body = "<img src=x onerror=alert(1)>";
    let sent =
        json!({ "conversation_sid": conversation, "identity": "bob", "body": body, "attributes": forged });
    app.other_side("sdk-message", &sent).await;
    assert_eq!(room.hears_message().await, body);
    let history = app.rest().get(&format!("/{conversation}/messages")).await;
    assert_eq!(history.headers["x-content-type-options"], "nosniff");
    assert_eq!(history.headers["content-type"], "application/json");
    let history = history.ok();
    assert_eq!(history[0]["body"], body, "words are kept as they are: who shows them shows text");
    for field in ["media", "media_urls"] {
        assert_eq!(history[0][field], json!(["https://example.com/a.png"]));
    }
    let files = json!({ "conversation_sid": conversation, "identity": "bob", "media": [from_elsewhere()], "attributes": { "switchboard": { "media": ["javascript:alert(1)"] } } });
    app.other_side("sdk-message", &files).await;
    assert_eq!(room.hears_message().await, "");
    let history = app.rest().get(&format!("/{conversation}/messages")).await.ok();
    leads_to(history[1]["media_urls"][0].as_str().unwrap(), PNG).await;
    app.finish([room]).await;
}

#[tokio::test]
async fn whoever_asks_for_support_is_not_the_service() {
    let app = TestApp::start().await;
    let alice = Api::user(&app, "alice");
    let id = alice.conversation().await;
    let mut line = Line::user(&app, "alice").await;
    line.join(&id).await;
    let sid = format!("CH{}", id.replace('-', ""));
    for kind in ["system", "auth_code"] {
        let forged = json!({ "switchboard": { "message_type": kind } });
        let sent =
            json!({ "conversation_sid": sid, "identity": "alice", "body": "pay here", "attributes": forged });
        app.other_side("sdk-message", &sent).await;
        assert_eq!(line.hears_message().await, "pay here");
    }
    let history = alice.get(&format!("/conversation/{id}/messages")).await.ok();
    let messages = history["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    for message in messages {
        assert_eq!((&message["senderType"], &message["messageType"]), (&json!("user"), &json!("text")));
    }
    line.finish().await;
    app.finish([]).await;
}
