//! Too much of one socket: refused in the voice of its dialect with the time to come back, and cut off where it goes on.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use switchboard::config::Config;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::{connected, here, optional, some};
use crate::contacts::{ALI, conversation as by_phone, socket_with_phone};
use crate::support::app::Stage;
use crate::support::socket::Heard;
use crate::support::{Socket, TestApp, soon};
use crate::support_dialect::{Api, Line};

/// What a connection may ask for in vain.
const PATIENCE: usize = 300;

fn five_events() -> Config {
    Config { limit_events: some("1/m burst 5"), ..Config::default() }
}

/// A refusal says what is wrong and when to come back.
fn assert_too_many(refusal: &Value, text: &str) {
    assert_eq!(refusal[text], "too many requests", "{refusal}");
    let retry_after = refusal["retryAfter"].as_u64().unwrap_or_else(|| panic!("{refusal}"));
    assert!((1..=60).contains(&retry_after), "{refusal}");
}

#[tokio::test]
async fn each_event_after_the_last_is_refused_in_its_own_form() {
    let app = optional(five_events()).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let before = app.asked().len();
    let mut alice = app.socket("alice").await;
    for _ in 0..5 {
        alice.hears_nothing_else().await;
    }
    let send = json!({ "conversationSid": conversation, "author": "alice", "body": "one too many" });
    for (event, payload, form, text) in [
        ("user_connect", json!({ "identity": "alice" }), "user_connected", "message"),
        ("join_conversation", here(&conversation, "alice"), "joined_conversation", "message"),
        ("leave_conversation", here(&conversation, "alice"), "message_error", "error"),
        ("send_message", send, "message_error", "error"),
        ("typing_start", here(&conversation, "alice"), "message_error", "error"),
        ("typing_stop", here(&conversation, "alice"), "message_error", "error"),
        ("get_online_users", here(&conversation, "alice"), "message_error", "error"),
        ("set_status", json!({ "status": "away" }), "message_error", "error"),
        ("ping", json!({}), "message_error", "error"),
    ] {
        let id = alice.emit_with_ack(event, &payload).await;
        let told = alice.hears(form).await;
        assert_too_many(&told, text);
        assert_eq!(told["success"], false, "{event}: {told}");
        if payload["conversationSid"].is_string() {
            assert_eq!(told["conversationSid"], conversation, "{event}");
        }
        assert_eq!(alice.hears_ack(id).await, told, "{event}");
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    // Another socket has a budget of its own.
    let bob = app.socket("bob").await;
    app.finish([bob]).await;
}

#[tokio::test]
async fn each_dialect_refuses_in_its_own_voice() {
    let app = optional(five_events()).await;
    let id = Api::user(&app, "alice").conversation().await;
    let mut line = Line::user(&app, "alice").await;
    for _ in 0..5 {
        line.emit("conversation:leave", &json!({ "conversationId": id })).await;
        line.hears("conversation:left").await;
    }
    for event in ["message:send", "typing:start", "typing:stop", "message:read", "conversation:join"] {
        line.emit(event, &json!({ "conversationId": id, "message": "no" })).await;
        assert_too_many(&line.hears("message:error").await, "error");
    }

    let mut contacts = socket_with_phone(&app, "bob", ALI).await;
    for _ in 0..5 {
        contacts.hears_nothing_else().await;
    }
    let ack = contacts.emit_with_ack("create_conversation", &by_phone(ALI, "private")).await;
    let refused = contacts.hears_ack(ack).await;
    assert_too_many(&refused, "msg");
    assert_eq!((&refused["status"], &refused["code"]), (&json!(false), &json!(429)));

    let mut chat = app.bare_chat_socket("carol", "nowhere").await;
    for _ in 0..5 {
        chat.hears_nothing_else().await;
    }
    for frame in [json!({ "type": "chat_message", "text": "no" }), json!({ "type": "other" }), json!([])] {
        chat.send(&frame).await;
        let told = chat.hears("error").await;
        assert_too_many(&told, "message");
        assert_eq!((&told["error"], &told["conversationId"]), (&json!("RATE_LIMITED"), &json!("nowhere")));
    }
    app.finish([]).await;
}

#[tokio::test]
async fn rooms_have_a_budget_of_their_own() {
    // Connecting is one of them.
    let app = optional(Config { limit_joins: some("1/m burst 3"), ..Config::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut alice = connected(&app, "alice").await;
    for _ in 0..2 {
        alice.join(&conversation, "alice").await;
    }
    alice.emit("join_conversation", &here(&conversation, "alice")).await;
    assert_too_many(&alice.hears("joined_conversation").await, "message");
    // So is beginning a conversation; all else goes on.
    let ack = alice.emit_with_ack("create_conversation", &by_phone(ALI, "private")).await;
    assert_too_many(&alice.hears_ack(ack).await, "msg");
    let id = Api::user(&app, "carol").conversation().await;
    let mut line = Line::user(&app, "carol").await;
    for _ in 0..2 {
        line.join(&id).await;
    }
    line.emit("conversation:join", &json!({ "conversationId": id })).await;
    assert_too_many(&line.hears("message:error").await, "error");
    app.finish([alice]).await;
}

#[tokio::test]
async fn a_namespace_that_is_left_and_entered_all_the_time_is_closed() {
    let app = optional(Config { limit_joins: some("1/m burst 10"), ..Config::default() }).await;
    let mut mallory = app.socket("mallory").await;
    let mut entered = 1;
    let refusal = loop {
        mallory.write("41".to_owned()).await;
        mallory.write("40".to_owned()).await;
        let answer = soon("an answer", mallory.packet()).await.unwrap();
        match answer.strip_prefix("44") {
            None => entered += 1,
            Some(refusal) => break serde_json::from_str::<Value>(refusal).unwrap(),
        }
    };
    let message = refusal["message"].as_str().unwrap();
    let seconds =
        message.strip_prefix("too many requests (retry after ").unwrap().strip_suffix(" s)").unwrap();
    assert!((1..=60).contains(&seconds.parse::<u64>().unwrap()), "{message}");
    assert_eq!(entered, 10);
    let bob = app.socket("bob").await;
    app.finish([bob]).await;
}

/// Two people who talk, and still can after what was done.
async fn still_talk(app: &TestApp, conversation: &str, mut room: Vec<Socket>) -> Vec<Socket> {
    app.rest().say(conversation, "alice", "all is well").await;
    for socket in &mut room {
        assert_eq!(socket.hears_message().await, "all is well");
    }
    room
}

#[tokio::test]
async fn who_goes_on_although_refused_is_cut_off_and_nobody_else() {
    let app = optional(Config { limit_events: some("1/m burst 20"), ..Config::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let room = app.room(&conversation, &["alice", "bob"]).await;
    for flood in [r#"42["ping"]"#, r#"42["nobody","knows","this"]"#, "42[{}]", r#"42["typing_start",{}]"#] {
        let mut mallory = app.socket("mallory").await;
        mallory.flood(flood, 20 + PATIENCE + 1).await;
        let before = mallory.is_ended().await;
        assert!(before.len() <= 20 + PATIENCE, "{}", before.len());
    }
    let room = still_talk(&app, &conversation, room).await;
    app.finish(room).await;
}

#[tokio::test]
async fn a_raw_socket_that_floods_is_cut_off_whatever_it_sends() {
    let app = optional(Config { limit_events: some("1/m burst 20"), ..Config::default() }).await;
    for frame in [Message::text("no object"), Message::Ping("".into()), Message::Pong("".into())] {
        let mut raw = app.bare_chat_socket("mallory", "nowhere").await;
        raw.flood(frame, 20 + PATIENCE + 1).await;
        while soon("the end", raw.next()).await.is_ok() {}
    }
    app.finish([]).await;
}

#[tokio::test]
async fn coming_back_brings_no_new_budget() {
    let app = TestApp::with(Stage { required: true, settings: five_events(), ..Stage::default() }).await;
    let mut answered = 0;
    for _ in 0..7 {
        let mut alice = app.socket_as("alice").await;
        for _ in 0..5 {
            alice.emit_bare("ping").await;
            answered += usize::from(alice.hears_something().await.0 == "pong");
        }
        alice.close().await;
    }
    assert_eq!(answered, 25, "as much as five sockets may");
    let bob = app.socket_as("bob").await;
    app.finish([bob]).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn who_floods_by_polling_is_sent_away() {
    let app = optional(five_events()).await;
    let at = format!("http://{}/socket.io/?EIO=4&transport=polling", app.address);
    let opened = soon("a handshake", app.http.get(&at).send()).await.unwrap().text().await.unwrap();
    let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
    let at = format!("{at}&sid={}", opened["sid"].as_str().unwrap());
    let post = async |packets: String| {
        soon("a post", app.http.post(&at).body(packets).send()).await.unwrap().status().as_u16()
    };
    let poll = async || soon("a poll", app.http.get(&at).send()).await.unwrap();
    assert_eq!(post("40".to_owned()).await, 200);
    let entered = poll().await.text().await.unwrap();
    assert!(entered.split('\u{1e}').any(|packet| packet.starts_with("40")), "{entered}");
    assert_eq!(post(vec![r#"42["ping"]"#; 5 + PATIENCE + 1].join("\u{1e}")).await, 200);
    let mut heard = Vec::new();
    while heard.last().is_none_or(|packet| packet != "41") {
        let answer = poll().await;
        assert_eq!(answer.status(), 200, "{:?}", heard.last());
        heard.extend(answer.text().await.unwrap().split('\u{1e}').map(str::to_owned));
    }
    assert_eq!(heard.iter().filter(|packet| packet.contains("pong")).count(), 5);
    assert_eq!(heard.iter().filter(|packet| packet.contains("too many requests")).count(), PATIENCE);
    app.finish([]).await;
}

/// A socket that polled once, in no namespace: its session.
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn polling(app: &TestApp) -> (String, impl AsyncFn(&str)) {
    let at = format!("http://{}/socket.io/?EIO=4&transport=polling", app.address);
    let opened = soon("a handshake", app.http.get(&at).send()).await.unwrap().text().await.unwrap();
    let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
    let sid = opened["sid"].as_str().unwrap().to_owned();
    let at = format!("{at}&sid={sid}");
    let http = app.http.clone();
    let enter = async move |packet: &str| {
        let posted = soon("a post", http.post(&at).body(packet.to_owned()).send()).await.unwrap();
        assert_eq!(posted.status(), 200);
        let entered = soon("a poll", http.get(&at).send()).await.unwrap().text().await.unwrap();
        assert!(entered.split('\u{1e}').any(|packet| packet.starts_with("40")), "{entered}");
    };
    (sid, enter)
}

#[tokio::test]
async fn who_floods_over_what_it_was_upgraded_to_is_cut_off() {
    let app = optional(five_events()).await;
    for enters_first in [true, false] {
        let (sid, enter) = polling(&app).await;
        if enters_first {
            enter("40").await;
        }
        let stream = TcpStream::connect(app.address).await.unwrap();
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket&sid={sid}", app.address);
        let (mut upgraded, _) = soon("a websocket", client_async(url, stream)).await.unwrap();
        for (say, hear) in [("2probe", Some("3probe")), ("5", None)] {
            upgraded.send(Message::Text(say.into())).await.unwrap();
            if let Some(hear) = hear {
                let heard = soon("an answer", upgraded.next()).await.unwrap().unwrap();
                assert_eq!(heard.into_text().unwrap(), hear);
            }
        }
        if !enters_first {
            upgraded.send(Message::Text("40".into())).await.unwrap();
            let heard = soon("an answer", upgraded.next()).await.unwrap().unwrap();
            assert!(heard.into_text().unwrap().starts_with("40"));
        }
        for _ in 0..5 + PATIENCE + 1 {
            drop(upgraded.send(Message::Text(r#"42["ping"]"#.into())).await);
        }
        let mut heard = 0;
        // A farewell would wait behind what it does not read: it is cut off without one.
        while let Some(Ok(message)) = soon("the end", upgraded.next()).await {
            assert!(message.into_text().unwrap().starts_with("42"));
            heard += 1;
        }
        assert!(heard <= 5 + PATIENCE, "{heard}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn what_was_taken_is_done_though_what_follows_is_refused() {
    let app = optional(Config { limit_events: some("1/m burst 12"), ..Config::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut alice = connected(&app, "alice").await;
    alice.join(&conversation, "alice").await;
    let mut acks = Vec::new();
    for number in 0..15 {
        let send = json!({ "conversationSid": conversation, "author": "alice", "body": number.to_string() });
        acks.push(alice.emit_with_ack("send_message", &send).await);
    }
    let (mut sent, mut refused) = (0, 0);
    while sent + refused < 15 {
        match alice.next().await {
            Heard::Ack(_, answer) if answer["success"] == true => sent += 1,
            Heard::Ack(_, answer) => {
                assert_too_many(&answer, "error");
                refused += 1;
            }
            Heard::Event(..) => {}
            heard @ (Heard::Disconnected | Heard::Closed) => panic!("{heard:?}"),
        }
    }
    assert_eq!((sent, refused), (10, 5), "two events came before");
    let stored: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(app.stored(&conversation).await, stored, "all that were taken, in order");
    tokio::time::timeout(Duration::from_secs(15), alice.close()).await.unwrap();
    app.finish([]).await;
}
