//! `AUTH_MODE=required`: nobody without a token, nobody as somebody else, nobody in a conversation that is not theirs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{API_KEY, token, token_of};
use crate::support::socket::Heard;
use crate::support::{Socket, TestApp};

/// Every route about a conversation of Alice and Bob, as `author` would ask.
fn routes(conversation: &str, message: &str, author: &str) -> Vec<(&'static str, String, Value)> {
    let of = |what: &str| format!("/{conversation}{what}");
    vec![
        ("GET", of("/messages"), Value::Null),
        ("GET", of("/participants"), Value::Null),
        ("POST", of("/send-message"), json!({ "author": author, "body": "let me in" })),
        ("POST", of("/add-chat-participant"), json!({ "identity": author })),
        ("POST", of("/add-sms-participant"), json!({ "phone_number": "+15551230001" })),
        ("POST", of("/read"), json!({})),
        ("PATCH", of(""), json!({ "friendly_name": "Mine" })),
        ("PATCH", of(""), json!({ "attributes": { "mine": true } })),
        ("PATCH", of(&format!("/messages/{message}")), json!({ "body": "edited" })),
        ("DELETE", of(&format!("/messages/{message}")), Value::Null),
        ("DELETE", of("/participants/bob"), Value::Null),
        ("DELETE", of(""), Value::Null),
    ]
}

/// Alice and Bob in a conversation in which Alice said something.
async fn scene() -> (TestApp, String, String) {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let sent = app.rest_as("alice").say(&conversation, "alice", "for Bob").await;
    let message = sent["message_sid"].as_str().unwrap().to_owned();
    (app, conversation, message)
}

#[tokio::test]
async fn without_a_token_nothing_is_answered() {
    let (app, conversation, message) = scene().await;
    let before = app.asked().len();
    let rest = app.rest();
    let mut all = routes(&conversation, &message, "alice");
    all.extend([
        ("POST", "/generate-token".to_owned(), json!({ "user_id": "alice" })),
        ("POST", "/create".to_owned(), json!({ "participants": ["alice", "bob"] })),
        ("POST", "/newconversation".to_owned(), json!({ "participants": ["alice", "bob"] })),
        ("GET", String::new(), Value::Null),
        ("GET", "/alice/conversations".to_owned(), Value::Null),
        ("GET", "/users/alice/reachability".to_owned(), Value::Null),
        ("POST", "/enable-reachability".to_owned(), Value::Null),
        ("GET", "/media/ME00000000000000000000000000000001/content".to_owned(), Value::Null),
    ]);
    for (method, path, body) in all {
        let answer = rest.ask(method, &path, (!body.is_null()).then_some(&body)).await;
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn the_conversation_of_others_is_closed_on_every_route() {
    let (app, conversation, message) = scene().await;
    let before = app.writes();
    let mallory = app.rest_as("mallory");
    for (method, path, body) in routes(&conversation, &message, "mallory") {
        let answer = mallory.ask(method, &path, (!body.is_null()).then_some(&body)).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
    }
    for pair in [json!(["alice", "bob"]), json!([{ "id": "alice" }, { "id": "bob" }])] {
        for path in ["/create", "/newconversation"] {
            mallory.post(path, &json!({ "participants": pair })).await.refused(403);
        }
    }
    assert_eq!(app.writes(), before, "nothing was written");
    assert_eq!(mallory.get("").await.ok(), json!([]));
    let alice = app.rest_as("alice");
    assert_eq!(alice.history(&conversation).await, ["for Bob"]);
    assert_eq!(alice.participants(&conversation).await, ["alice", "bob"]);
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_acts_as_somebody_else() {
    let (app, conversation, message) = scene().await;
    let before = app.writes();
    let bob = app.rest_as("bob");
    for (method, path, body) in [
        ("POST", "/generate-token".to_owned(), json!({ "user_id": "alice" })),
        ("GET", "?userId=alice".to_owned(), Value::Null),
        ("GET", "/alice/conversations".to_owned(), Value::Null),
        ("POST", format!("/{conversation}/send-message"), json!({ "author": "alice", "body": "forged" })),
        ("POST", format!("/{conversation}/read"), json!({ "identity": "alice" })),
        ("PATCH", format!("/{conversation}/messages/{message}"), json!({ "body": "forged" })),
        ("DELETE", format!("/{conversation}/messages/{message}"), Value::Null),
        ("POST", "/enable-reachability".to_owned(), Value::Null),
    ] {
        let answer = bob.ask(method, &path, (!body.is_null()).then_some(&body)).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
    }
    assert_eq!(app.writes(), before);
    // Without a name the list is one's own.
    let own = bob.get("").await.ok();
    assert_eq!((own.as_array().unwrap().len(), &own[0]["sid"]), (1, &json!(conversation)));
    app.finish([]).await;
}

#[tokio::test]
async fn admins_and_the_back_end_may_act_for_others() {
    let (app, conversation, _) = scene().await;
    let admin =
        app.rest().with_token(&token_of(&json!({ "sub": "root", "role": "admin" }), Duration::from_secs(60)));
    let back_end = app.rest().with_header("x-api-key", API_KEY);
    for rest in [admin, back_end] {
        let minted = rest.post("/generate-token", &json!({ "user_id": "alice" })).await;
        assert_eq!(minted.body["identity"], "alice");
        assert_eq!(rest.get("?userId=alice").await.ok()[0]["sid"], json!(conversation));
        rest.say(&conversation, "alice", "on behalf of Alice").await;
        rest.post("/create", &json!({ "participants": ["carol", "dave"] })).await.ok();
        rest.send(rest.request(reqwest::Method::POST, "/enable-reachability")).await.ok();
        assert!(rest.get("").await.ok().as_array().unwrap().len() > 1, "all of the service's");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_minted_twilio_token_opens_rest_and_sockets_alike() {
    let (app, conversation, _) = scene().await;
    let minted = app.rest_as("bob").post("/generate-token", &json!({ "user_id": "bob" })).await;
    let token = minted.body["token"].as_str().unwrap();
    assert_eq!(app.rest().with_token(token).history(&conversation).await, ["for Bob"]);
    let mut bob = Socket::connect(app.address, "bob", Some(token)).await;
    bob.enter(&conversation, "bob").await;
    app.finish([bob]).await;
}

/// Every event about the conversation, as `identity` would send it, and how its failure is told.
fn events(conversation: &str, identity: &str) -> Vec<(&'static str, Value, &'static str)> {
    let here = json!({ "conversationSid": conversation, "identity": identity });
    vec![
        ("join_conversation", here.clone(), "joined_conversation"),
        (
            "join_conversation",
            json!({ "conversationSid": conversation, "identity": identity, "sinceIndex": -1 }),
            "joined_conversation",
        ),
        (
            "send_message",
            json!({ "conversationSid": conversation, "author": identity, "body": "let me in" }),
            "message_error",
        ),
        ("typing_start", here.clone(), "message_error"),
        ("typing_stop", here, "message_error"),
        ("get_online_users", json!({ "conversationSid": conversation }), "message_error"),
    ]
}

async fn all_fail(socket: &mut Socket, events: Vec<(&'static str, Value, &'static str)>) {
    for (event, payload, failure) in events {
        socket.emit(event, &payload).await;
        let told = socket.hears(failure).await;
        assert_eq!(told["success"], false, "{event}: {told}");
    }
}

#[tokio::test]
async fn the_room_of_others_is_closed_for_every_event() {
    let (app, conversation, _) = scene().await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    let before = app.writes();
    let mut mallory = app.socket_as("mallory").await;
    all_fail(&mut mallory, events(&conversation, "mallory")).await;
    all_fail(&mut mallory, events(&conversation, "alice").drain(..5).collect()).await;
    mallory.emit("user_connect", &json!({ "userId": "alice", "identity": "alice" })).await;
    assert_eq!(mallory.hears("user_connected").await["success"], false);
    mallory.emit("user_connect", &json!({ "userId": "alice" })).await;
    assert_eq!(mallory.hears("user_connected").await["success"], false);
    app.rest_as("alice").say(&conversation, "alice", "just us").await;
    for socket in &mut sockets {
        assert_eq!(socket.hears_message().await, "just us");
    }
    assert_eq!(app.writes(), before + 1, "only Alice's own");
    sockets.push(mallory);
    app.finish(sockets).await;
}

#[tokio::test]
async fn whoever_has_nothing_to_do_with_somebody_learns_nothing_of_them() {
    let (app, conversation, _) = scene().await;
    let reach = |who: &'static str, whom: &'static str| {
        let rest = app.rest_as(who);
        async move { rest.get(&format!("/users/{whom}/reachability")).await }
    };
    let unknown = |whom: &str| json!({ "identity": whom, "online": false, "not_reachable": true });
    let alice = app.socket_as("alice").await;
    reach("mallory", "bob").await.ok();
    let before = app.asked().len();
    for whom in ["alice", "bob", "carol", "nobody"] {
        let answer = reach("mallory", whom).await;
        assert_eq!(answer.ok(), unknown(whom));
    }
    assert_eq!(app.asked_since(before), [""; 0], "nothing is asked about them");
    for who in ["bob", "alice"] {
        assert_eq!(reach(who, "alice").await.ok()["online"], true, "{who}");
    }
    let admin = token_of(&json!({ "sub": "root", "role": "admin" }), Duration::from_secs(60));
    let asked = app.rest().with_token(&admin).get("/users/alice/reachability").await.ok();
    assert_eq!(asked["online"], true);

    // Also where nothing is in memory yet.
    app.elsewhere(
        reqwest::Method::POST,
        &format!("/Conversations/{conversation}/Participants"),
        &[("Identity", "carol")],
    )
    .await;
    let cold = app.neighbour().await;
    let dave = cold.socket_as("alice").await;
    assert_eq!(cold.rest_as("carol").get("/users/alice/reachability").await.ok()["online"], true);
    cold.finish([dave]).await;
    app.finish([alice]).await;
}

#[tokio::test]
async fn a_conversation_that_is_not_there_is_asked_for_once_in_a_while() {
    let (app, ..) = scene().await;
    let path = format!("/CH{}/messages", "0".repeat(31) + "1");
    let rest = app.rest_as("alice");
    rest.get(&path).await.refused(404);
    let before = app.asked().len();
    for _ in 0..3 {
        rest.get(&path).await.refused(404);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_socket_without_a_token_can_only_present_one() {
    let (app, conversation, _) = scene().await;
    let before = app.asked().len();
    let mut bob = app.socket("bob").await;
    all_fail(&mut bob, events(&conversation, "bob")).await;
    bob.emit("set_status", &json!({ "status": "away" })).await;
    assert_eq!(bob.hears("message_error").await["event"], "set_status");
    for payload in
        [json!({ "userId": "bob", "identity": "bob" }), json!({ "identity": "bob", "token": "nonsense" })]
    {
        bob.emit("user_connect", &payload).await;
        assert_eq!(bob.hears("user_connected").await["success"], false);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    bob.emit("user_connect", &json!({ "identity": "bob", "token": token("bob") })).await;
    assert_eq!(bob.hears("user_connected").await["identity"], "bob");
    bob.join(&conversation, "bob").await;
    app.finish([bob]).await;
}

#[tokio::test]
async fn a_socket_without_a_token_is_dropped_after_ten_seconds() {
    let app = TestApp::required().await;
    let mut nobody = app.socket("nobody").await;
    let mut bob = app.socket("bob").await;
    bob.emit("user_connect", &json!({ "identity": "bob", "token": token("bob") })).await;
    bob.hears("user_connected").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(9_500)).await;
    tokio::time::resume();
    nobody.hears_nothing_else().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(600)).await;
    tokio::time::resume();
    assert_eq!(nobody.is_ended().await, Vec::<Heard>::new());
    app.finish([bob]).await;
}

#[tokio::test]
async fn a_token_that_ends_is_announced_and_ends_the_connection() {
    let (app, conversation, _) = scene().await;
    let short = token_of(&json!({ "sub": "bob" }), Duration::from_secs(2));
    let mut bob = app.socket("bob").await;
    bob.emit("user_connect", &json!({ "identity": "bob", "token": short })).await;
    let mut heard = [bob.hears_something().await.0, bob.hears_something().await.0];
    heard.sort_unstable();
    assert_eq!(heard, ["token_expiring", "user_connected"]);
    assert_eq!(bob.is_ended().await, Vec::<Heard>::new());

    // A new token in time keeps the connection.
    let mut bob = Socket::connect(
        app.address,
        "bob",
        Some(&token_of(&json!({ "sub": "bob" }), Duration::from_secs(2))),
    )
    .await;
    bob.hears("token_expiring").await;
    bob.emit("user_connect", &json!({ "identity": "bob", "token": token("bob") })).await;
    bob.hears("user_connected").await;
    bob.join(&conversation, "bob").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
    app.finish([bob]).await;
}

#[tokio::test]
async fn whoever_is_removed_hears_and_says_nothing_more() {
    for by_us in [true, false] {
        let (app, conversation, _) = scene().await;
        let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
        if by_us {
            app.rest_as("alice").delete(&format!("/{conversation}/participants/bob")).await.ok();
        } else {
            app.elsewhere(
                reqwest::Method::DELETE,
                &format!("/Conversations/{conversation}/Participants/bob"),
                &[],
            )
            .await;
        }
        for socket in &mut sockets {
            let told = socket.hears("conversation_updated").await;
            assert_eq!(told["update"]["event"], "participant_removed");
        }
        assert_eq!(sockets[0].hears("user_left").await["identity"], "bob");
        app.rest_as("alice").say(&conversation, "alice", "without Bob").await;
        assert_eq!(sockets[0].hears_message().await, "without Bob");
        sockets[1].hears_nothing_else().await;
        let before = app.writes();
        all_fail(&mut sockets[1], events(&conversation, "bob")).await;
        app.rest_as("bob").get(&format!("/{conversation}/messages")).await.refused(403);
        assert_eq!(app.writes(), before);
        app.finish(sockets).await;
    }
}

#[tokio::test]
async fn whoever_is_added_elsewhere_is_let_in() {
    let (app, conversation, _) = scene().await;
    let carol = app.rest_as("carol");
    carol.get(&format!("/{conversation}/messages")).await.refused(403);
    let participants = format!("/Conversations/{conversation}/Participants");
    app.elsewhere(reqwest::Method::POST, &participants, &[("Identity", "carol")]).await;
    app.told("onParticipantAdded", 3).await;
    assert_eq!(carol.history(&conversation).await, ["for Bob"]);
    assert_eq!(carol.get("").await.ok()[0]["sid"], json!(conversation));
    app.finish([]).await;
}
