//! Every event of every dialect, sent by who is not concerned; and what they hear when those who are talk.

use serde_json::{Value, json};
use switchboard::dialects::PROTOCOLS;

use super::routes::Names;
use super::{PHONE, Scene};
use crate::support::app::token;
use crate::support::chat::ChatSocket;
use crate::support::socket::Heard;
use crate::support::{Socket, TestApp, soon};
use crate::support_dialect::{Api, Line};

/// An event, as a stranger sends it.
struct Sent {
    dialect: &'static str,
    event: &'static str,
    payload: Value,
    /// Whether it is refused to whoever is not in the conversation.
    refused: bool,
}

/// Every event about the conversation, claiming to be who one is, somebody in it, or nobody.
fn events(names: &Names) -> Vec<Sent> {
    let sid = &names.conversation;
    let mut all = Vec::new();
    let mut add = |dialect, event, refused, payload| all.push(Sent { dialect, event, payload, refused });
    for who in [json!("mallory"), json!("alice"), Value::Null] {
        let here = json!({ "conversationSid": sid, "identity": who });
        add("conversations", "join_conversation", true, here.clone());
        let missed = json!({ "conversationSid": sid, "identity": who, "sinceIndex": -1 });
        add("conversations", "join_conversation", true, missed);
        add("conversations", "typing_start", true, here.clone());
        add("conversations", "typing_stop", true, here.clone());
        add("conversations", "get_online_users", true, here.clone());
        add("conversations", "leave_conversation", false, here);
        let message = json!({ "conversationSid": sid, "author": who, "body": "let me in" });
        add("conversations", "send_message", true, message);
        let frame = json!({
            "conversationId": sid, "conversation_id": sid, "senderId": who, "receiverId": "bob", "text": "let me in",
        });
        add("chat", "chat_message", true, frame);
    }
    add("conversations", "user_connect", true, json!({ "userId": "alice", "identity": "alice" }));
    add("conversations", "user_connect", true, json!({ "identity": "alice", "token": "nonsense" }));
    add("conversations", "set_status", false, json!({ "status": "away", "identity": "alice" }));
    add("conversations", "ping", false, json!({}));
    let stranger =
        json!({ "toCountryCode": "44", "toPhoneNumber": "7911123456", "conversationType": "private" });
    add("contacts", "create_conversation", true, stranger);
    let here = json!({ "conversationId": sid, "senderId": "alice", "identity": "alice" });
    for event in ["conversation:join", "typing:start", "typing:stop", "conversation:leave"] {
        add("support", event, event != "conversation:leave", here.clone());
    }
    let message = json!({ "conversationId": sid, "message": "let me in", "senderId": "alice" });
    add("support", "message:send", true, message);
    let code = json!({ "conversationId": sid, "message": "000000", "messageType": "auth_code" });
    add("support", "message:send", true, code);
    add("support", "message:read", true, json!({ "messageId": names.message, "conversationId": sid }));
    all
}

/// What a socket hears up to the answer to what it sends, and the answer.
async fn send(socket: &mut Socket, event: &str, payload: &Value) -> (String, Value) {
    let id = socket.emit_with_ack(event, payload).await;
    let mut heard = String::new();
    loop {
        match socket.next().await {
            Heard::Ack(answered, answer) => {
                assert_eq!(answered, id);
                heard.push_str(&answer.to_string());
                return (heard, answer);
            }
            Heard::Event(name, payload) => heard.push_str(&format!("{name} {payload}\n")),
            end @ (Heard::Disconnected | Heard::Closed) => panic!("{event} ends with {end:?}"),
        }
    }
}

fn assert_clean(heard: &str, canaries: &[String]) {
    let leak = canaries.iter().find(|canary| heard.contains(canary.as_str()));
    assert_eq!(leak, None, "{heard}");
}

/// The sockets of strangers, each with the dialects it speaks.
async fn strangers(app: &TestApp) -> Vec<(Socket, &'static [&'static str])> {
    const ROOT: &[&str] = &["conversations", "contacts"];
    const SUPPORT: &[&str] = &["support"];
    let guest = Api::of(app).guest().await.0;
    vec![
        (app.socket_as("mallory").await.hear_everything(), ROOT),
        (app.socket("nobody").await.hear_everything(), ROOT),
        (Line::knock(app, "mallory", json!({ "token": token("mallory") })).await.unwrap(), SUPPORT),
        (Line::knock(app, "a guest", json!({ "guestId": guest })).await.unwrap(), SUPPORT),
        (Line::knock(app, "a new guest", json!({})).await.unwrap(), SUPPORT),
    ]
}

#[tokio::test]
async fn no_event_lets_a_stranger_hear_or_say_anything() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let canaries = scene.canaries().await;
    let mut pair = app.room(&scene.pair.conversation, &["alice", "bob"]).await;
    let mut group = app.room(&scene.group.conversation, &["alice", "bob"]).await;
    let mut support = Line::user(app, "alice").await;
    support.join(&scene.support.conversation).await;
    for socket in pair.iter_mut().chain(&mut group) {
        socket.hears_nothing_else().await;
    }
    let seen = scene.as_alice_sees_it().await;
    let before = app.asked().len();

    let mut strangers = strangers(app).await;
    for (socket, dialects) in &mut strangers {
        for names in scene.all() {
            for sent in events(names).iter().filter(|sent| dialects.contains(&sent.dialect)) {
                let (heard, answer) = send(socket, sent.event, &sent.payload).await;
                assert_clean(&heard, &canaries);
                let refused = answer["success"] == false || answer["status"] == false;
                assert!(refused || !sent.refused, "{} {}: {answer}", sent.event, sent.payload);
            }
        }
    }
    // Nobody in there noticed anything.
    for socket in pair.iter_mut().chain(&mut group) {
        socket.hears_nothing_else().await;
    }
    support.hears_nothing_else().await;
    assert_eq!(scene.meddled(before), [""; 0]);
    assert_eq!(scene.as_alice_sees_it().await, seen);

    // Now they talk, type, read and rename among themselves.
    let here = json!({ "conversationSid": scene.pair.conversation, "identity": "alice" });
    pair[0].emit("typing_start", &here).await;
    pair[1].hears("user_typing").await;
    for names in [&scene.pair, &scene.group] {
        let rest = app.rest_as("alice");
        rest.say(&names.conversation, "alice", &canaries[0]).await;
        app.rest_as("bob").post(&format!("/{}/read", names.conversation), &json!({})).await.ok();
        let name = json!({ "friendly_name": format!("{} {PHONE}", canaries[0]) });
        rest.patch(&format!("/{}", names.conversation), &name).await.ok();
    }
    support.say(&scene.support.conversation, &canaries[0]).await;
    support.hears_message().await;
    for (socket, dialects) in &mut strangers {
        let last = if dialects.contains(&"support") { "conversation:leave" } else { "ping" };
        let (heard, _) = send(socket, last, &json!({})).await;
        assert_clean(&heard, &canaries);
    }
    scene.app.finish([]).await;
}

#[tokio::test]
async fn no_token_that_does_not_hold_opens_a_socket() {
    let scene = Scene::set().await;
    let app = &scene.app;
    for actor in super::Actor::unknown() {
        let Some(("authorization", bearer)) = &actor.header else { continue };
        let auth = json!({ "token": bearer.trim_start_matches("Bearer ") });
        for namespace in ["/", "/support"] {
            let refused =
                Socket::try_connect_to(app.address, namespace, actor.name, Some(auth.clone())).await;
            assert_eq!(
                refused.map(drop),
                Err("the token is not valid".to_owned()),
                "{} {namespace}",
                actor.name
            );
        }
        let path = format!("/ws/chat/{}/?token={}", scene.pair.conversation, auth["token"].as_str().unwrap());
        let mut raw = ChatSocket::connect(app.address, actor.name, &path).await;
        raw.hears_error("UNAUTHORIZED").await;
        raw.is_closed_with(4001).await;
    }
    for names in scene.all() {
        let mut raw = app.chat_socket("mallory", &names.conversation).await;
        let frame = soon("a frame", raw.next()).await.unwrap();
        assert_eq!(frame["error"], "NOT_A_PARTICIPANT", "{frame}");
        raw.is_closed_with(4003).await;
    }
    scene.app.finish([]).await;
}

/// The frame of the chat dialect, on a connection that is in a conversation of the stranger's own.
#[tokio::test]
async fn no_frame_reaches_another_conversation_than_the_connections_own() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let canaries = scene.canaries().await;
    let own = app.conversation(&["mallory", "carol"]).await;
    let mut raw = app.chat_socket("mallory", &own).await;
    let mut pair = app.room(&scene.pair.conversation, &["alice", "bob"]).await;
    let mut bob = app.chat_socket("bob", &scene.pair.conversation).await;
    pair[0].hears_nothing_else().await;
    pair[1].hears_nothing_else().await;
    let seen = scene.as_alice_sees_it().await;
    let before = app.asked().len();
    for names in scene.all() {
        for sent in events(names).iter().filter(|sent| sent.dialect == "chat") {
            let mut frame = sent.payload.clone();
            frame["type"] = json!(sent.event);
            raw.send(&frame).await;
            let told = raw.hears("error").await;
            assert!(["FORBIDDEN", "RECEIVER_NOT_FOUND"].contains(&told["error"].as_str().unwrap()), "{told}");
            assert_clean(&told.to_string(), &canaries);
        }
    }
    raw.hears_nothing_else().await;
    bob.hears_nothing_else().await;
    assert_eq!(scene.meddled(before), [""; 0]);
    assert_eq!(scene.as_alice_sees_it().await, seen);
    for socket in &mut pair {
        socket.hears_nothing_else().await;
    }

    // Nor does it hear what is said there.
    bob.say("bob", &canaries[0]).await;
    bob.hears_message().await;
    raw.hears_nothing_else().await;
    drop((raw, bob, pair));
    scene.app.finish([]).await;
}

/// Every event that a dialect listens to is sent above.
#[test]
fn the_table_has_every_event() {
    let names = Names {
        me: String::new(),
        conversation: String::new(),
        message: String::new(),
        media: String::new(),
    };
    let sent = events(&names);
    for protocol in PROTOCOLS {
        for event in protocol.listens {
            let found = sent.iter().any(|sent| sent.dialect == protocol.name && sent.event == *event);
            assert!(found, "{} of {} is not in the table", event, protocol.name);
        }
    }
}
