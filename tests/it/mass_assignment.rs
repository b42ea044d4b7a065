//! Fields that a client has no say in, sent all the same: what is ours stays ours, and who one is the token says.

use serde_json::{Value, json};

use crate::messaging::{Messaging, meet};
use crate::support::TestApp;
use crate::support_dialect::{Api, Line};

/// A conversation's attributes as they stand at Twilio.
async fn attributes(app: &TestApp, conversation: &str) -> Value {
    let path = format!("/v1/Services/{}/Conversations/{conversation}", app.mock.service_sid());
    let there = app.twilio(&path).await;
    serde_json::from_str(there["attributes"].as_str().unwrap_or_else(|| panic!("{there}"))).unwrap()
}

/// What everybody tries to add to a body.
fn with_more(mut body: Value) -> Value {
    let more = json!({
        "id": "IM00000000000000000000000000000001", "sid": "IM00000000000000000000000000000001", "index": 99,
        "role": "admin", "roles": ["admin"], "isAdmin": true, "type": body["type"].clone(),
        "createdBy": "bob", "created_by": "bob", "owner": "bob", "customer_id": "bob", "userId": "bob",
        "senderType": "admin", "isRead": true, "createdAt": "2001-01-01T00:00:00Z", "date_created": "2001-01-01T00:00:00Z",
        "unique_name": "dm_0", "uniqueName": "dm_0", "state": "closed", "attributes": { "switchboard": { "kind": "support" } },
        "switchboard": { "kind": "support", "role": "admin", "createdBy": "bob", "userId": "bob" },
    });
    let (body_fields, more) = (body.as_object_mut().unwrap(), more.as_object().unwrap());
    for (name, value) in more {
        if !value.is_null() {
            body_fields.entry(name).or_insert(value.clone());
        }
    }
    body
}

#[tokio::test]
async fn our_own_object_in_attributes_is_written_by_nobody_else() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob"]).await;
    let messaging = Messaging::of(&app, "alice");
    let pair = messaging.open("bob").await;
    let group = messaging.group(&["bob"]).await;
    let plain = app.conversation(&["alice", "bob"]).await;
    let support = Api::user(&app, "alice").conversation().await;
    let support = format!("CH{}", support.replace('-', ""));
    let rest = app.rest_as("alice");
    for conversation in [&pair, &group, &plain, &support] {
        let before = attributes(&app, conversation).await;
        let theirs = json!({ "kind": "support", "userId": "bob", "adminId": "alice", "createdBy": "bob", "priority": "urgent" });
        for attempt in [
            json!({ "switchboard": theirs, "crm": 1 }),
            json!({ "switchboard": null, "crm": 1 }),
            json!({ "switchboard": "x", "crm": 1 }),
            json!({ "crm": 1 }),
        ] {
            let edit = json!({ "attributes": attempt });
            let changed = rest.patch(&format!("/{conversation}"), &edit).await.ok();
            assert_eq!(changed["attributes"], json!({ "crm": 1 }), "{changed}");
            let now = attributes(&app, conversation).await;
            assert_eq!(now.get("switchboard"), before.get("switchboard"), "{conversation}");
            assert_eq!(now["crm"], 1);
        }
        // An escape is the same name.
        let path = format!("/{conversation}");
        let escaped = r#"{"attributes":{"\u0073witchboard":{"kind":"support"},"crm":2}}"#;
        rest.ask_with("PATCH", &path, "application/json", escaped).await.ok();
        assert_eq!(attributes(&app, conversation).await.get("switchboard"), before.get("switchboard"));
    }
    let details = Api::user(&app, "alice").get(&format!("/conversation/{support}")).await.ok();
    assert_eq!(
        (&details["userId"], &details["adminId"], &details["priority"]),
        (&json!("alice"), &Value::Null, &json!("normal"))
    );
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_made_over_conversations_is_what_was_asked_for() {
    let app = TestApp::required().await;
    let rest = app.rest_as("alice");
    let made = rest.post("/create", &with_more(json!({ "participants": ["alice", "bob"] }))).await.ok();
    let id = made["conversation_sid"].as_str().unwrap();
    assert_eq!(attributes(&app, id).await, json!({}));
    let there = app.twilio(&format!("/v1/Services/{}/Conversations/{id}", app.mock.service_sid())).await;
    assert_eq!(there["state"], "active");
    assert_ne!(there["unique_name"], "dm_0");

    let message = with_more(json!({ "author": "alice", "body": "hello" }));
    let sent = rest.post(&format!("/{id}/send-message"), &message).await.ok();
    assert_eq!((&sent["author"], &sent["index"]), (&json!("alice"), &json!(0)));
    assert_ne!(sent["message_sid"], message["sid"]);
    assert!(!sent["date_created"].as_str().unwrap().starts_with("2001"), "{sent}");
    let path = format!("/v1/Services/{}/Conversations/{id}/Messages", app.mock.service_sid());
    let kept = app.twilio(&path).await["messages"][0]["attributes"].as_str().unwrap().to_owned();
    assert!(!kept.contains("support") && !kept.contains("bob"), "{kept}");

    let added = with_more(json!({ "identity": "carol" }));
    rest.post(&format!("/{id}/add-chat-participant"), &added).await.ok();
    let path = format!("/v1/Services/{}/Conversations/{id}/Participants/carol", app.mock.service_sid());
    let participant = app.twilio(&path).await;
    assert_eq!((&participant["attributes"], &participant["identity"]), (&json!("{}"), &json!("carol")));
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_makes_themselves_or_others_an_admin() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let (alice, bob) = (Messaging::of(&app, "alice"), Messaging::of(&app, "bob"));
    let draft = with_more(json!({ "memberIds": ["bob"], "members": [{ "id": "bob", "role": "admin" }] }));
    let group = alice.post("/groups", &draft).await.made();
    let id = group["id"].as_str().unwrap();
    let role = async |who: &str| {
        let members = alice.get(&format!("/groups/{id}/members")).await.ok();
        let found = members["members"].as_array().unwrap().iter().find(|member| member["id"] == who);
        found.unwrap_or_else(|| panic!("{who}: {members}"))["role"].clone()
    };
    assert_eq!(
        (group["createdBy"].clone(), role("alice").await, role("bob").await),
        (json!("alice"), json!("admin"), json!("member"))
    );
    alice.post(&format!("/groups/{id}/members"), &with_more(json!({ "memberIds": ["carol"] }))).await.ok();
    bob.ask("PATCH", &format!("/messages/{id}/settings"), Some(&with_more(json!({ "isMuted": true }))))
        .await
        .ok();
    bob.ask(
        "PUT",
        "/users/me",
        Some(&with_more(json!({ "nickname": "Bobby", "identity": "alice", "email": "a@b.example" }))),
    )
    .await
    .ok();
    let said = bob
        .post(
            &format!("/messages/{id}/messages"),
            &with_more(json!({ "content": "hello", "author": "alice", "senderId": "alice" })),
        )
        .await
        .made();
    assert_eq!(said["senderId"], "bob", "{said}");
    for who in ["bob", "carol"] {
        assert_eq!(role(who).await, "member");
    }
    bob.delete(&format!("/groups/{id}/members/carol")).await.refused("FORBIDDEN");
    bob.delete("/users/carol/sessions").await.refused("FORBIDDEN");
    app.rest_as("bob").get("?userId=alice").await.refused(403);
    Api::user(&app, "bob").get("/conversations").await.refused(403);
    assert_eq!(alice.get("/users/alice").await.ok()["nickname"], "Name of alice");
    assert_eq!(bob.get("/users/me").await.ok()["nickname"], "Bobby");
    app.finish([]).await;
}

#[tokio::test]
async fn in_support_and_contacts_the_caller_is_who_they_are() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob"]).await;
    let made = Api::of(&app)
        .post(
            "/conversation/guest",
            &with_more(json!({ "priority": "urgent", "adminId": "bob", "status": "closed" })),
        )
        .await
        .ok();
    let conversation = &made["conversation"];
    assert_eq!(
        (
            &conversation["priority"],
            &conversation["status"],
            &conversation["userId"],
            &conversation["adminId"]
        ),
        (&json!("normal"), &json!("open"), &Value::Null, &Value::Null),
        "{made}"
    );
    let id = Api::user(&app, "alice").conversation().await;
    let mut line = Line::user(&app, "alice").await;
    line.join(&id).await;
    for kind in ["system", "auth_code"] {
        line.emit(
            "message:send",
            &with_more(json!({ "conversationId": id, "message": "x", "messageType": kind })),
        )
        .await;
        line.hears_error().await;
    }
    line.emit(
        "message:send",
        &with_more(json!({ "conversationId": id, "message": "hello", "senderId": "bob", "adminId": "bob" })),
    )
    .await;
    let heard = line.hears("message:received").await;
    assert_eq!(
        (&heard["senderType"], &heard["senderId"], &heard["isRead"]),
        (&json!("user"), &json!("alice"), &json!(false))
    );
    line.finish().await;
    Api::user(&app, "alice")
        .patch(&format!("/conversation/{id}"), &json!({ "priority": "urgent" }))
        .await
        .refused(403);

    let contact = with_more(
        json!({ "first_name": "A", "last_name": "B", "country_code": "44", "phone_number": "7911123456" }),
    );
    let added = crate::contacts::Contacts::of(&app, "alice").add(&contact).await.ok();
    assert_eq!(added["customer_id"], Value::Null, "nobody registered that phone");
    assert_ne!(added["id"], contact["id"]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_chat_message_goes_to_its_receiver_and_nowhere_else() {
    let app = TestApp::required().await;
    let others = app.chat("bob").say("carol", "between us").await["conversationId"].clone();
    let body = with_more(
        json!({ "receiverId": "bob", "text": "hi", "conversationId": others, "conversation_id": others, "sender": "other" }),
    );
    let sent = app.chat("alice").post("/send/", &body).await.made()["message"].clone();
    assert_eq!((&sent["senderId"], &sent["receiverId"]), (&json!("alice"), &json!("bob")));
    assert_ne!(sent["conversationId"], others);
    assert_eq!(app.stored(others.as_str().unwrap()).await, ["between us"]);
    app.finish([]).await;
}

#[tokio::test]
async fn json_is_only_so_deep() {
    let app = TestApp::required().await;
    let id = app.conversation(&["alice", "bob"]).await;
    let rest = app.rest_as("alice");
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let edit = |depth: usize| format!(r#"{{"attributes":{{"deep":{}}}}}"#, nested(depth));
    let patch = async |depth: usize| {
        rest.ask_with("PATCH", &format!("/{id}"), "application/json", edit(depth)).await.status
    };
    assert_eq!(patch(120).await, 200);
    // What is kept is read again for the next change, and for whoever looks.
    rest.patch(&format!("/{id}"), &json!({ "friendly_name": "deep" })).await.ok();
    assert_eq!(attributes(&app, &id).await["deep"].to_string(), nested(120));
    let before = app.writes();
    for depth in [128, 1_000, 200_000] {
        assert_eq!(patch(depth).await, 400, "{depth}");
    }
    for open in ["[", "{\"a\":"] {
        for path in ["/create", "/newconversation", "/generate-token"] {
            let bottomless = format!(r#"{{"participants":{}"#, open.repeat(100_000));
            let answer = rest.ask_with("POST", path, "application/json", bottomless).await;
            assert_eq!(answer.status, 400, "{path}");
        }
    }
    assert_eq!(app.writes(), before);
    app.finish([]).await;
}
