//! Conversations that begin with a phone number.

use serde_json::json;
use switchboard::mock::Action;

use super::{ALI, BEN, assert_failure, contact, conversation, create, sid_of, socket_with_phone};
use crate::support::TestApp;
use crate::support::app::token;

#[tokio::test]
async fn both_are_in_the_conversation_when_the_acknowledgement_comes() {
    let app = TestApp::required().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    let ack = create(&mut ben, &conversation(ALI, "private")).await;
    let sid = sid_of(&ack);
    assert_eq!(
        ack,
        json!({ "status": true, "conversationId": ack["conversationId"], "msg": "Conversation created successfully" }),
    );
    let participants = app
        .twilio(&format!("/v1/Services/{}/Conversations/{sid}/Participants", app.mock.service_sid()))
        .await;
    let mut people: Vec<_> =
        participants["participants"].as_array().unwrap().iter().map(|p| p["identity"].clone()).collect();
    people.sort_unstable_by_key(ToString::to_string);
    assert_eq!(people, ["alice", "ben"]);
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn the_pair_has_one_conversation_whoever_asks_wherever() {
    let mut app = TestApp::start().await;
    let mut alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    let made = create(&mut ben, &conversation(ALI, "private")).await;
    for (socket, phone) in [(&mut ben, ALI), (&mut alice, BEN)] {
        let again = create(socket, &conversation(phone, "private")).await;
        assert_eq!(again["conversationId"], made["conversationId"]);
        assert_eq!((&again["existing"], &again["msg"]), (&json!(true), &made["msg"]));
    }
    let elsewhere = app.rest_as("alice");
    let pair = elsewhere.post("/newconversation", &json!({ "participants": ["ben", "alice"] })).await.ok();
    assert_eq!((&pair["conversation_sid"], &pair["existing"]), (&json!(sid_of(&made)), &json!(true)));
    alice.finish().await;
    ben.finish().await;
    app.restart().await;
    let mut ben = app.socket_as("ben").await;
    let again = create(&mut ben, &conversation(ALI, "private")).await;
    assert_eq!((&again["conversationId"], &again["existing"]), (&made["conversationId"], &json!(true)));
    app.finish([ben]).await;
}

#[tokio::test]
async fn many_who_ask_at_once_get_the_same_one() {
    let app = TestApp::start().await;
    let mut sockets =
        vec![socket_with_phone(&app, "alice", ALI).await, socket_with_phone(&app, "ben", BEN).await];
    for number in 0..6 {
        let identity = if number % 2 == 0 { "alice" } else { "ben" };
        sockets.push(app.socket_as(identity).await);
    }
    let asked = sockets.iter_mut().enumerate().map(|(place, socket)| async move {
        let phone = if place % 2 == 0 { BEN } else { ALI };
        create(socket, &conversation(phone, "private")).await
    });
    let acks = futures::future::join_all(asked).await;
    assert!(acks.iter().all(|ack| ack["conversationId"] == acks[0]["conversationId"]), "{acks:?}");
    assert_eq!(acks.iter().filter(|ack| ack["existing"] != true).count(), 1, "one of them made it: {acks:?}");
    assert_eq!(app.rest_as("ben").get("").await.ok().as_array().unwrap().len(), 1);
    app.finish(sockets).await;
}

#[tokio::test]
async fn what_it_costs() {
    let app = TestApp::start().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    create(&mut ben, &conversation(ALI, "private")).await;
    let of = |what: &str| format!("POST /Conversations{what}");
    let asked = app.asked_since(0);
    assert_eq!(asked.len(), 3, "one call for it, one for each of the two: {asked:?}");
    assert_eq!(asked[0], of(""));
    assert!(asked[1..].iter().all(|call| call.ends_with("/Participants")), "{asked:?}");
    create(&mut ben, &conversation(ALI, "private")).await;
    assert_eq!(app.asked_since(3), [""; 0], "the second time it is known");
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn a_group_is_a_new_one_each_time() {
    let app = TestApp::required().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    let private = create(&mut ben, &conversation(ALI, "private")).await;
    let mut groups = Vec::new();
    for _ in 0..2 {
        let group = create(&mut ben, &conversation(ALI, "group")).await;
        assert_eq!(group.as_object().unwrap().len(), 3, "nothing existed: {group}");
        groups.push(sid_of(&group));
    }
    assert!(groups[0] != groups[1] && !groups.contains(&sid_of(&private)));
    let rest = app.rest_as("ben");
    rest.post(&format!("/{}/add-chat-participant", groups[0]), &json!({ "identity": "carol" })).await.ok();
    assert_eq!(rest.participants(&groups[0]).await, ["alice", "ben", "carol"]);
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn a_block_is_in_the_way_of_both() {
    let app = TestApp::required().await;
    let mut alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    let blocks = super::Contacts::of(&app, "alice").request(reqwest::Method::POST, "/users/ben/block");
    #[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
    let blocked = blocks.send().await.unwrap();
    assert!(blocked.status().is_success(), "{blocked:?}");
    let before = app.asked().len();
    for kind in ["private", "group"] {
        for (socket, phone) in [(&mut ben, ALI), (&mut alice, BEN)] {
            let refused = create(socket, &conversation(phone, kind)).await;
            assert_failure(&refused);
            assert_eq!(refused["code"], 403, "{kind}: {refused}");
        }
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn the_documented_call_with_its_null_is_answered_and_one_without_a_callback_is_done() {
    let app = TestApp::start().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    ben.write(format!("427[\"create_conversation\",{},null]", conversation(ALI, "private"))).await;
    let sid = sid_of(&ben.hears_ack(7).await);
    ben.write(format!("428[\"create_conversation\",{},null]", json!({}))).await;
    assert_failure(&ben.hears_ack(8).await);
    ben.emit("create_conversation", &conversation(ALI, "group")).await;
    let all = crate::support::until("the group", || async {
        let list = app.rest_as("ben").get("").await.ok();
        (list.as_array().unwrap().len() == 2).then_some(list)
    })
    .await;
    assert!(all.as_array().unwrap().iter().any(|listed| listed["sid"] == json!(sid)), "{all}");
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn from_adding_a_contact_to_talking() {
    let app = TestApp::required().await;
    let mut alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    let added = super::Contacts::of(&app, "ben").add(&contact(ALI)).await.ok();
    assert_eq!(added["customer_id"], "alice");
    let ack = create(&mut ben, &conversation(ALI, "private")).await;
    let sid = sid_of(&ack);
    ben.enter(ack["conversationId"].as_str().unwrap(), "ben").await;
    alice.enter(&sid, "alice").await;
    ben.hears_of_coming().await;
    let hello = json!({ "conversationSid": ack["conversationId"], "author": "ben", "body": "Hello Ali" });
    ben.emit("send_message", &hello).await;
    for socket in [&mut alice, &mut ben] {
        assert_eq!(socket.hears_message().await, "Hello Ali");
    }
    ben.hears("message_sent").await;
    assert_eq!(app.rest_as("alice").history(&sid).await, ["Hello Ali"]);
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn a_conversation_that_cannot_be_filled_is_not_left_behind() {
    let app = TestApp::start().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = socket_with_phone(&app, "ben", BEN).await;
    for kind in ["private", "group"] {
        app.fault(
            "POST",
            "/Participants$",
            9,
            Action::Status { status: 403, retry_after: None, html: false },
        );
        let ack = create(&mut ben, &conversation(ALI, kind)).await;
        assert_failure(&ack);
        assert_eq!(app.rest_as("ben").get("").await.ok(), json!([]), "{kind}: {ack}");
        app.mock.faults().clear();
    }
    assert_eq!(create(&mut ben, &conversation(ALI, "private")).await["status"], true);
    app.finish([alice, ben]).await;
}

#[tokio::test]
async fn in_the_optional_mode_a_token_is_needed_all_the_same() {
    let app = TestApp::start().await;
    let alice = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = app.socket("ben").await;
    ben.emit("user_connect", &json!({ "userId": "ben", "identity": "ben" })).await;
    ben.hears("user_connected").await;
    let refused = create(&mut ben, &conversation(ALI, "private")).await;
    assert_failure(&refused);
    assert_eq!(refused["code"], 401, "saying who one is proves nothing");
    assert_eq!(app.asked_since(0), [""; 0]);
    ben.emit("user_connect", &json!({ "identity": "ben", "token": token("ben") })).await;
    ben.hears("user_connected").await;
    assert_eq!(create(&mut ben, &conversation(ALI, "private")).await["status"], true);
    app.finish([alice, ben]).await;
}
