//! `AUTH_MODE=required`: nothing without a token, and a socket that has none yet can only present one.

use serde_json::json;

use super::{ALI, BEN, assert_failure, conversation, create, sid_of, socket_with_phone, token_with_phone};
use crate::support::TestApp;

#[tokio::test]
async fn a_socket_without_a_token_makes_no_conversation() {
    let app = TestApp::required().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = app.socket("ben").await;
    for payload in
        [conversation(ALI, "private"), conversation(ALI, "group"), json!({}), json!({ "token": "x" })]
    {
        let refused = create(&mut ben, &payload).await;
        assert_failure(&refused);
        assert_eq!(refused["code"], 401, "{refused}");
    }
    assert_eq!(app.asked_since(0), [""; 0]);
    let token = token_with_phone("ben", BEN);
    ben.emit("user_connect", &json!({ "identity": "ben", "token": token })).await;
    ben.hears("user_connected").await;
    sid_of(&create(&mut ben, &conversation(ALI, "private")).await);
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn a_conversation_by_phone_is_closed_to_others() {
    let app = TestApp::required().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    let sid = sid_of(&create(&mut ben, &conversation(ALI, "private")).await);
    app.rest_as("mallory").get(&format!("/{sid}/messages")).await.refused(403);
    // Mallory gets a conversation of her own with Alice, not a look into Ben's.
    let mut mallory = app.socket_as("mallory").await;
    let own = sid_of(&create(&mut mallory, &conversation(ALI, "private")).await);
    assert_ne!(own, sid);
    app.finish([alice, ben, mallory]).await;
}

#[tokio::test]
async fn nobody_speaks_for_somebody_else_by_naming_them() {
    let app = TestApp::required().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let ben = socket_with_phone(&app, "ben", BEN).await;
    let mut mallory = app.socket_as("mallory").await;
    let mut payload = conversation(ALI, "private");
    payload["identity"] = json!("ben");
    let own = sid_of(&create(&mut mallory, &payload).await);
    assert_eq!(app.rest_as("alice").participants(&own).await, ["alice", "mallory"]);
    app.finish([alice, ben, mallory]).await;
}
