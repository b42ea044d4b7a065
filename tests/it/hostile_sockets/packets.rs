//! What is no packet, or none that anybody expects: its connection may end, the service goes on.

use serde_json::json;
use switchboard::config::Config;
use tokio_tungstenite::tungstenite::Message;

use super::{connected, here, optional, some};
use crate::support::socket::Heard;
use crate::support::{TestApp, soon};

#[tokio::test]
async fn what_is_no_packet_ends_its_connection_at_most() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut room = app.room(&conversation, &["alice", "bob"]).await;
    let before = app.asked().len();
    let deep = format!("42[\"send_message\",{}", "[".repeat(60_000));
    for packet in [
        "",
        "4",
        "9",
        "42",
        "42{}",
        "42[",
        "42[]",
        "42[7]",
        "42[null]",
        "4\u{fffd}",
        "40",
        "40{",
        "41/nowhere,",
        "40/nowhere,",
        "43",
        "43[]",
        "439999[]",
        "45999999999-",
        "45-",
        "451-[\"send_message\"]",
        "451-[\"send_message\",{\"_placeholder\":true,\"num\":0}]",
        "b4AAA",
        "bAAAA",
        "2probe",
        "5",
        "6",
        "1",
        "42[\"\\ud83d\",{}]",
        "42/support,[\"message:send\",{}]",
        &deep,
    ] {
        let mut mallory = app.socket("mallory").await;
        mallory.write(packet.to_owned()).await;
        // Either it is the end, or what comes after it is answered.
        mallory.flood("42[\"ping\"]", 1).await;
        let answered = async {
            while let Some(heard) = mallory.packet().await {
                if heard.starts_with("42[\"pong\"") {
                    break;
                }
            }
        };
        soon(format!("what {packet:.40} leads to"), answered).await;
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.rest().say(&conversation, "alice", "all is well").await;
    for socket in &mut room {
        assert_eq!(socket.hears_message().await, "all is well");
    }
    app.finish(room).await;
}

#[tokio::test]
async fn a_payload_that_is_deep_or_half_a_character_is_refused_and_the_socket_goes_on() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut alice = connected(&app, "alice").await;
    alice.join(&conversation, "alice").await;
    let before = app.asked().len();
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    let deep = format!(r#"{{"conversationSid":"{conversation}","author":"alice","body":{open}{close}}}"#);
    let half = format!(r#"{{"conversationSid":"{conversation}","author":"alice","body":"\ud83d"}}"#);
    for payload in [deep, half] {
        alice.emit_raw(&format!("\"send_message\",{payload}")).await;
        assert_eq!(alice.hears("message_error").await["success"], false);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([alice]).await;
}

#[tokio::test]
async fn attachments_are_not_taken() {
    let app = TestApp::start().await;
    let mut mallory = app.socket("mallory").await;
    // Announced, and never sent: another packet in its place ends the connection or is taken as what it is.
    mallory.write("452-[\"send_message\",{\"_placeholder\":true,\"num\":0}]".to_owned()).await;
    mallory.write("42[\"ping\"]".to_owned()).await;
    assert!(matches!(mallory.next().await, Heard::Event(..) | Heard::Closed | Heard::Disconnected));
    let alice = app.socket("alice").await;
    app.finish([alice]).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn more_than_64_kib_at_once_is_refused_when_polling_too() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let at = format!("http://{}/socket.io/?EIO=4&transport=polling", app.address);
    let opened = app.http.get(&at).send().await.unwrap().text().await.unwrap();
    let opened: serde_json::Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
    assert_eq!(opened["maxPayload"], 64 * 1024, "it is told");
    let at = format!("{at}&sid={}", opened["sid"].as_str().unwrap());
    assert_eq!(app.http.post(&at).body("40").send().await.unwrap().status(), 200);
    let before = app.asked().len();
    let send = json!({ "conversationSid": conversation, "author": "alice", "body": "x".repeat(64 * 1024) });
    let refused = app.http.post(&at).body(format!("42[\"send_message\",{send}]")).send().await.unwrap();
    assert_eq!(refused.status(), 413);
    assert_eq!(app.asked_since(before), [""; 0]);
    let mut alice = connected(&app, "alice").await;
    alice.emit("typing_stop", &here(&conversation, "alice")).await;
    alice.hears("message_error").await;
    app.finish([alice]).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn frames_and_pings_are_as_they_are_set() {
    let settings = Config {
        limit_frame_bytes: some("2048"),
        socket_ping_seconds: some("30"),
        socket_pong_seconds: some("7"),
        ..Config::default()
    };
    let app = optional(settings).await;
    let at = format!("http://{}/socket.io/?EIO=4&transport=polling", app.address);
    let opened = app.http.get(&at).send().await.unwrap().text().await.unwrap();
    let opened: serde_json::Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
    let told = [&opened["maxPayload"], &opened["pingInterval"], &opened["pingTimeout"]];
    assert_eq!(told, [2048, 30_000, 7_000]);

    let frame = |bytes: usize| format!("42[\"ping\",\"{}\"]", "x".repeat(bytes - 13));
    let mut alice = app.socket("alice").await;
    alice.write(frame(2048)).await;
    alice.hears("pong").await;
    alice.write(frame(2049)).await;
    alice.is_ended().await;
    let mut chat = app.bare_chat_socket("alice", "nowhere").await;
    chat.flood(Message::text("x".repeat(2049)), 1).await;
    chat.is_closed_with(1009).await;
    app.finish([]).await;
}
