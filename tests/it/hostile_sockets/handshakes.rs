//! Opening sockets: how many there may be, of one person, from one address and in all; and those that never say anything.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use switchboard::config::Config;

use super::{optional, pass, some};
use crate::support::app::{Stage, token};
use crate::support::chat::ChatSocket;
use crate::support::{Socket, TestApp, soon, until};
use crate::support_dialect::Line;

const FULL: &str = "this person is connected as often as they can be";

/// Opens a polling socket that never says anything.
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn knock(app: &TestApp) -> Response {
    let at = format!("http://{}/socket.io/?EIO=4&transport=polling", app.address);
    soon("a handshake", app.http.get(at).send()).await.unwrap()
}

fn assert_come_back(refusal: &Response, status: u16) {
    assert_eq!(refusal.status(), status);
    let retry_after: u64 = refusal.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after), "{retry_after}");
}

async fn raw(app: &TestApp) -> Result<ChatSocket, String> {
    ChatSocket::try_connect(app.address, "somebody", "/ws/chat/nowhere/", &[]).await
}

#[tokio::test]
async fn a_person_has_so_many_sockets_whichever_dialect_they_speak() {
    let settings = Config { limit_sockets_per_identity: some("3"), ..Config::default() };
    let app = TestApp::with(Stage { required: true, settings, ..Stage::default() }).await;
    let own = token("alice");
    let mut first = Socket::connect(app.address, "alice", Some(&own)).await;
    let line = Line::user(&app, "alice").await;
    let mut chat = app.chat_socket("alice", "nowhere").await;
    chat.hears_nothing_else().await;

    for namespace in ["/", "/support"] {
        let auth = Some(json!({ "token": own }));
        let refused = Socket::try_connect_to(app.address, namespace, "alice", auth).await;
        assert_eq!(refused.map(drop), Err(FULL.to_owned()), "{namespace}");
    }
    let mut late = app.socket("alice, whose token came later").await;
    late.emit("user_connect", &json!({ "identity": "alice", "token": own })).await;
    let told = late.hears("user_connected").await;
    assert_eq!((&told["success"], &told["message"]), (&json!(false), &json!(FULL)));
    let mut more = app.chat_socket("alice", "nowhere").await;
    assert_eq!(more.hears_error("LIMIT_REACHED").await, FULL);
    more.is_closed_with(1013).await;

    // Of each that goes the place is free; binding again takes no other.
    drop(chat);
    let third = until("a free place", || async {
        Socket::try_connect(app.address, "alice", Some(json!({ "token": own }))).await.ok()
    })
    .await;
    assert!(!late.try_user_connect("alice", &own).await, "it is taken again");
    for _ in 0..3 {
        assert!(first.try_user_connect("alice", &own).await);
    }
    let bob = app.socket_as("bob").await;
    line.finish().await;
    app.finish([first, third, bob]).await;
}

#[tokio::test]
async fn an_address_opens_so_many_at_once() {
    let app = optional(Config { limit_sockets_per_address: some("3"), ..Config::default() }).await;
    let socket = app.socket("alice").await;
    let chat = raw(&app).await.unwrap();
    assert_eq!(knock(&app).await.status(), 200);
    assert_come_back(&knock(&app).await, 429);
    let refused = raw(&app).await.err().unwrap();
    assert!(refused.starts_with("429"), "{refused}");
    drop(chat);
    until("a free place", || async { (knock(&app).await.status() == 200).then_some(()) }).await;
    app.finish([socket]).await;
}

#[tokio::test]
async fn an_address_opens_so_many_one_after_the_other() {
    let app = optional(Config { limit_handshakes: some("1/m burst 3"), ..Config::default() }).await;
    for _ in 0..3 {
        app.socket("alice").await.finish().await;
    }
    assert_come_back(&knock(&app).await, 429);
    assert!(raw(&app).await.is_err());
    // What is no handshake is not one.
    app.rest().get("").await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn there_are_so_many_in_all() {
    let app = optional(Config { limit_sockets: some("2"), ..Config::default() }).await;
    let socket = app.socket("alice").await;
    let chat = raw(&app).await.unwrap();
    assert_come_back(&knock(&app).await, 503);
    let refused = raw(&app).await.err().unwrap();
    assert!(refused.starts_with("503"), "{refused}");
    drop(chat);
    until("a free place", || async { raw(&app).await.ok().map(drop) }).await;
    app.finish([socket]).await;
}

#[tokio::test]
async fn sockets_that_are_opened_and_left_lying_about_are_cleared_away() {
    let app = optional(Config { limit_sockets: some("200"), ..Config::default() }).await;
    for _ in 0..200 {
        assert_eq!(knock(&app).await.status(), 200);
    }
    assert_come_back(&knock(&app).await, 503);
    // However the question is spelled: what the engine takes for a new socket is counted as one.
    for query in
        ["EIO=4&transport=polling&%73id=x", "EIO=4&transport=polling&Sid=x", "transport=polling&EIO=4"]
    {
        let answer = polled(&app, query).await;
        assert_eq!(answer.status(), 503, "{query}");
    }
    pass(Duration::from_millis(10_100)).await;
    until("free places", || async { (knock(&app).await.status() == 200).then_some(()) }).await;
    let alice = app.socket("alice").await;
    app.finish([alice]).await;
}

#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn polled(app: &TestApp, query: &str) -> Response {
    let at = format!("http://{}/socket.io/?{query}", app.address);
    soon("an answer", app.http.get(at).send()).await.unwrap()
}

#[tokio::test]
async fn a_session_that_is_none_is_refused_at_once() {
    let app = TestApp::start().await;
    for sid in ["AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAA", "", "..%2F..", "%00", "x&sid=y"] {
        let answer = polled(&app, &format!("EIO=4&transport=polling&sid={sid}")).await;
        assert_eq!(answer.status(), 400, "{sid}");
        let said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(said["message"], "Session ID unknown", "{sid}");
    }
    for query in ["", "EIO=4", "EIO=4&transport=pigeon", "EIO=3&transport=polling", "EIO=x&transport=polling"]
    {
        assert_eq!(polled(&app, query).await.status(), 400, "{query}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_herd_that_comes_back_is_let_in_and_finds_its_rooms() {
    let app = TestApp::start().await;
    let people: Vec<String> = (0..200).map(|number| format!("person-{number}")).collect();
    let mut conversations = Vec::new();
    for pair in people.chunks(2) {
        conversations.push(app.conversation(&[&pair[0], &pair[1]]).await);
    }
    let come_back = people.iter().enumerate().map(|(place, person)| {
        let (app, conversation) = (&app, &conversations[place / 2]);
        async move {
            let mut socket = app.socket(person).await;
            socket.emit("user_connect", &json!({ "userId": person, "identity": person })).await;
            socket.emit("join_conversation", &super::here(conversation, person)).await;
            loop {
                if socket.hears_something().await.0 == "joined_conversation" {
                    return socket;
                }
            }
        }
    });
    let sockets = soon("the herd", futures::future::join_all(come_back)).await;
    assert_eq!(sockets.len(), 200);
    drop(sockets);
    app.finish([]).await;
}
