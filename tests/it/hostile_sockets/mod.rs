//! Sockets in hostile hands: who floods, opens more than is anybody's, sends what is no packet, or stays where they no longer
//! belong. Whoever does it is told, then cut off; the others notice nothing.
//!
//! Slow readers, silence and memory are seen from outside, in `e2e/tests/hostile.test.mjs` and `chat-sockets.test.mjs`.

mod floods;
mod handshakes;
mod packets;
mod panics;
mod removal;
mod rooms;

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::config::Config;

use crate::support::app::Stage;
use crate::support::{Socket, TestApp};

/// The service with these settings; whoever says who they are is believed.
async fn optional(settings: Config) -> TestApp {
    TestApp::with(Stage { settings, ..Stage::default() }).await
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Time goes by at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn here(conversation: &str, identity: &str) -> Value {
    json!({ "conversationSid": conversation, "identity": identity })
}

/// A socket of `identity`, which said so.
async fn connected(app: &TestApp, identity: &str) -> Socket {
    let mut socket = app.socket(identity).await;
    socket.emit("user_connect", &json!({ "userId": identity, "identity": identity })).await;
    assert_eq!(socket.hears("user_connected").await["success"], true);
    socket
}
