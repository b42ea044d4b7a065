//! Stories over REST: what the document leaves open, and what its additive routes do.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, until};

/// A PNG of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test]
async fn participants_are_echoed_as_sent_whatever_their_form() {
    let app = TestApp::start().await;
    let sent = json!(["alice", { "id": "bob", "name": "Bob", "other": [1] }, { "id": 7 }, "alice"]);
    let made = app.rest().post("/create", &json!({ "participants": sent })).await.ok();
    assert_eq!(made["participants"], sent);
    assert_eq!(made["friendly_name"], "alice__+bob_Bob_+7__");
    let conversation = made["conversation_sid"].as_str().unwrap();
    let participants = app.rest().get(&format!("/{conversation}/participants")).await.ok();
    let of = |identity: &str| {
        participants.as_array().unwrap().iter().find(|one| one["identity"] == identity).unwrap().clone()
    };
    assert_eq!((of("bob")["name"].clone(), of("bob")["online"].clone()), (json!("Bob"), json!(false)));
    assert_eq!(of("alice")["name"], Value::Null);
    assert_eq!(participants.as_array().unwrap().len(), 3);
    app.finish([]).await;
}

#[tokio::test]
async fn a_picture_in_base64_becomes_a_link_that_leads_to_it() {
    let app = TestApp::start().await;
    for image in [PIXEL.to_owned(), format!("data:image/png;base64,{PIXEL}")] {
        let people = json!({ "participants": [{ "id": "alice", "name": "Alice", "image": image }, "bob"] });
        let made = app.rest().post("/newconversation", &people).await.ok();
        let link = made["participants"][0]["image"].as_str().unwrap();
        assert!(link.starts_with(&format!("http://{}/media/ME", app.address)), "{link}");
        #[expect(clippy::disallowed_methods, reason = "a browser's request for a picture")]
        let answer = app.http.get(link).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let picture = reqwest::get(location).await.unwrap();
        assert_eq!(picture.headers()["content-type"], "image/png");
        assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));
    }
    app.finish([]).await;
}

#[tokio::test]
async fn lists_have_the_newest_activity_first_and_everybody_their_own() {
    let app = TestApp::start().await;
    let rest = app.rest();
    let mut made = Vec::new();
    for people in [["alice", "bob"], ["alice", "carol"], ["bob", "carol"]] {
        made.push(app.conversation(&people).await);
        app.mock.clock().advance(Duration::from_secs(60));
    }
    rest.say(&made[0], "bob", "newest").await;
    let order = async |query: &str| -> Vec<String> {
        let list = rest.get(query).await.ok();
        list.as_array().unwrap().iter().map(|entry| entry["sid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(order("").await, [made[0].clone(), made[2].clone(), made[1].clone()]);
    assert_eq!(order("?userId=alice").await, [made[0].clone(), made[1].clone()]);
    assert_eq!(order("/carol/conversations").await, [made[2].clone(), made[1].clone()]);
    assert_eq!(order("/carol/conversations").await, order("?userId=carol").await);
    let list = rest.get("?userId=carol").await.ok();
    assert_eq!(list[0]["last_message"], Value::Null);
    assert_eq!(rest.get("").await.ok()[0].get("unread_count"), None, "nobody's in particular");
    app.finish([]).await;
}

#[tokio::test]
async fn whoever_is_in_already_is_given_back_as_they_are() {
    let app = TestApp::without_webhooks().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let path = format!("/Conversations/{conversation}/Participants");
    let elsewhere = app.elsewhere(Method::POST, &path, &[("Identity", "carol")]).await;
    let added = app
        .rest()
        .post(&format!("/{conversation}/add-chat-participant"), &json!({ "identity": "carol" }))
        .await
        .ok();
    assert_eq!(added["participant_sid"], elsewhere["sid"], "Twilio's 409 is no failure");
    assert_eq!(app.rest().participants(&conversation).await, ["alice", "bob", "carol"]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_phone_is_in_one_conversation_at_a_time() {
    let app = TestApp::start().await;
    let (first, second) = (app.conversation(&["alice"]).await, app.conversation(&["bob"]).await);
    let add = async |conversation: &str, phone: &str| {
        let path = format!("/{conversation}/add-sms-participant");
        app.rest().post(&path, &json!({ "phone_number": phone })).await
    };
    let added = add(&first, "+15551230001").await.ok();
    assert_eq!(add(&first, "+15551230001").await.ok(), added, "again is the same");
    let busy = add(&second, "+15551230001").await.refused(409);
    assert!(busy.contains("phone number"), "{busy}");
    add(&second, "whatsapp:+15551230001").await.ok();
    assert_eq!(app.rest().participants(&second).await, ["a phone", "bob"]);
    // A phone is removed by its participant's SID.
    let sid = added["participant_sid"].as_str().unwrap();
    let removed = app.rest().delete(&format!("/{first}/participants/{sid}")).await.ok();
    assert_eq!(removed["phone_number"], "+15551230001");
    add(&second, "+15551230001").await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn without_a_number_of_our_own_the_setting_is_named() {
    let app = TestApp::without_phone_number().await;
    let conversation = app.conversation(&["alice"]).await;
    let before = app.writes();
    let path = format!("/{conversation}/add-sms-participant");
    let refused = app.rest().post(&path, &json!({ "phone_number": "+15551230001" })).await.refused(500);
    assert!(refused.contains("TWILIO_PHONE_NUMBER"), "{refused}");
    assert_eq!(app.writes(), before);
    app.finish([]).await;
}

#[tokio::test]
async fn a_message_is_edited_and_deleted_by_whoever_wrote_it() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let picture = json!({ "author": "alice", "body": "look", "media": ["https://example.com/a.png"] });
    let sent = app.rest().post(&format!("/{conversation}/send-message"), &picture).await.ok();
    let mut bob = app.room(&conversation, &["bob"]).await.remove(0);
    let path = format!("/{conversation}/messages/{}", sent["message_sid"].as_str().unwrap());
    let edited = app.rest_as("alice").patch(&path, &json!({ "body": "look here" })).await.ok();
    assert_eq!((&edited["body"], &edited["media"]), (&json!("look here"), &picture["media"]));
    let told = bob.hears("message_updated").await;
    assert_eq!(told["message"], edited);
    assert_eq!(app.rest().history(&conversation).await, ["look here"]);

    app.rest_as("alice").delete(&path).await.ok();
    assert_eq!(bob.hears("message_deleted").await["messageSid"], sent["message_sid"]);
    assert_eq!(app.rest().history(&conversation).await, [""; 0]);
    app.rest_as("alice").delete(&path).await.refused(404);
    app.told("onMessageRemoved", 1).await;
    app.finish([bob]).await;
}

#[tokio::test]
async fn reading_moves_forward_only_and_is_told() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let path = format!("/{conversation}/read");
    let nothing = app.rest().post(&path, &json!({ "identity": "bob" })).await.ok();
    assert_eq!(nothing["last_read_message_index"], Value::Null);
    for body in ["0", "1", "2"] {
        app.rest().say(&conversation, "alice", body).await;
    }
    let mut alice = app.room(&conversation, &["alice"]).await.remove(0);
    let mut expected = Vec::new();
    for (index, now) in [(json!(1), 1), (json!(0), 1), (json!(null), 2), (json!(99), 2)] {
        let read = app.rest().post(&path, &json!({ "identity": "bob", "index": index })).await.ok();
        assert_eq!(read["last_read_message_index"], now, "{index}");
        if expected.last() != Some(&now) {
            expected.push(now);
        }
    }
    for index in expected {
        let told = alice.hears("message_read").await;
        assert_eq!((&told["identity"], &told["lastReadMessageIndex"]), (&json!("bob"), &json!(index)));
    }
    app.rest().post(&path, &json!({ "identity": "nobody" })).await.refused(403);
    app.finish([alice]).await;
}

#[tokio::test]
async fn a_pair_gets_a_new_conversation_when_theirs_is_gone_closed_or_left() {
    let app = TestApp::start().await;
    let pair = json!({ "participants": ["alice", "bob"] });
    let make = async || {
        let made = app.rest().post("/newconversation", &pair).await.ok();
        (made["conversation_sid"].as_str().unwrap().to_owned(), made["existing"] == true)
    };
    let (first, _) = make().await;
    app.rest().delete(&format!("/{first}")).await.ok();
    let (second, existing) = make().await;
    assert!(second != first && !existing, "deleted by us");

    app.elsewhere(Method::DELETE, &format!("/Conversations/{second}"), &[]).await;
    let third = until("the deletion elsewhere to be known", || async {
        let (third, existing) = make().await;
        (third != second && !existing).then_some(third)
    })
    .await;

    app.elsewhere(Method::POST, &format!("/Conversations/{third}"), &[("State", "closed")]).await;
    until("the closing to be known", || async {
        let (fourth, _) = make().await;
        (fourth != third).then_some(())
    })
    .await;
    app.rest()
        .post(&format!("/{third}/send-message"), &json!({ "author": "alice", "body": "x" }))
        .await
        .refused(409);

    let (fourth, _) = make().await;
    app.rest().delete(&format!("/{fourth}/participants/bob")).await.ok();
    assert_eq!(make().await, (fourth.clone(), true), "whoever left is back in");
    assert_eq!(app.rest().participants(&fourth).await, ["alice", "bob"]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_pair_deleted_behind_our_back_is_made_again() {
    let app = TestApp::without_webhooks().await;
    let pair = json!({ "participants": ["alice", "bob"] });
    let first = app.rest().post("/newconversation", &pair).await.ok();
    let sid = first["conversation_sid"].as_str().unwrap();
    let mut app = app;
    app.elsewhere(Method::DELETE, &format!("/Conversations/{sid}"), &[]).await;
    app.restart().await;
    let second = app.rest().post("/newconversation", &pair).await.ok();
    assert_eq!(second["existing"], false);
    assert_ne!(second["conversation_sid"], first["conversation_sid"]);
    app.finish([]).await;
}

#[tokio::test]
async fn our_own_attributes_are_neither_shown_nor_lost_nor_forged() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let path = format!("/Conversations/{conversation}");
    app.elsewhere(Method::POST, &path, &[("Attributes", r#"{"switchboard":{"kept":1},"theirs":1}"#)]).await;
    app.told("onConversationUpdated", 1).await;
    let edit = json!({ "attributes": { "theirs": 2, "switchboard": { "forged": true } } });
    let changed = app.rest().patch(&format!("/{conversation}"), &edit).await.ok();
    assert_eq!(changed["attributes"], json!({ "theirs": 2 }));
    let service = app.mock.service_sid();
    let stored = app.twilio(&format!("/v1/Services/{service}{path}")).await;
    let stored: Value = serde_json::from_str(stored["attributes"].as_str().unwrap()).unwrap();
    assert_eq!(stored, json!({ "theirs": 2, "switchboard": { "kept": 1 } }));
    app.finish([]).await;
}

#[tokio::test]
async fn whoever_is_online_elsewhere_is_reachable() {
    let app = TestApp::start().await;
    app.conversation(&["alice", "bob"]).await;
    app.rest().send(app.rest().request(Method::POST, "/enable-reachability")).await.ok();
    app.other_side("user-online", &json!({ "identity": "alice", "online": true })).await;
    let reachable = app.rest().get("/users/alice/reachability").await.ok();
    assert_eq!(reachable, json!({ "identity": "alice", "online": true, "not_reachable": false }));
    app.finish([]).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "an operator's requests")]
async fn operators_and_browsers_are_answered_too() {
    let app = TestApp::start().await;
    let ask = async |path: &str| reqwest::get(format!("http://{}{path}", app.address)).await.unwrap();
    assert_eq!(ask("/healthz").await.status(), 200);
    assert_eq!(ask("/readyz").await.status(), 200);
    let metrics = ask("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("switchboard_twilio_requests_total") || metrics.contains("# "), "{metrics}");
    assert_eq!(ask("/nothing").await.status(), 404);
    let preflight = app
        .rest()
        .request(Method::OPTIONS, "")
        .header("origin", "http://localhost:5173")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.headers()["access-control-allow-origin"], "http://localhost:5173");
    assert_eq!(preflight.headers()["access-control-allow-headers"], "authorization,content-type");
    app.finish([]).await;
}
