//! The agents' side: their list, changes, assignment, closing and opening again, pages of history.

use serde_json::{Value, json};

use super::{Api, Line, talk};
use crate::support::TestApp;

fn ids(listed: &Value) -> Vec<&str> {
    listed["conversations"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_list_is_newest_activity_first_and_filtered_and_paged_without_asking_twilio() {
    let app = TestApp::start().await;
    let admin = Api::admin(&app, "eve");
    let (_, of_guest) = Api::of(&app).guest().await;
    let of_alice = Api::user(&app, "alice").conversation().await;
    let of_bob = Api::user(&app, "bob").get("/conversation?type=onboarding").await.ok();
    let of_bob = of_bob["id"].as_str().unwrap();
    let mut alice = Line::user(&app, "alice").await;
    alice.join(&of_alice).await;
    alice.say(&of_alice, "hello").await;
    alice.hears_message().await;

    let answer = admin.get("/conversations").await;
    assert_eq!(answer.twilio_calls(), 0);
    let listed = answer.ok();
    assert_eq!(listed["pagination"], json!({ "total": 3, "page": 1, "limit": 50, "totalPages": 1 }));
    let first = &listed["conversations"][0];
    assert_eq!((&first["id"], &first["unreadCount"]), (&json!(of_alice), &json!(1)));
    assert!(first["lastMessageAt"].is_string());
    let second = admin.get("/conversations?page=2&limit=2").await.ok();
    assert_eq!(second["pagination"], json!({ "total": 3, "page": 2, "limit": 2, "totalPages": 2 }));
    assert_eq!(ids(&second).len(), 1);
    let onboarding = admin.get("/conversations?type=onboarding").await.ok();
    assert_eq!(ids(&onboarding), [of_bob]);

    admin.patch(&format!("/conversation/{of_guest}"), &json!({ "status": "closed" })).await.ok();
    let closed = admin.get("/conversations?status=closed").await.ok();
    assert_eq!(ids(&closed), [of_guest.as_str()]);
    assert_eq!(admin.get("/conversations?status=open&type=general").await.ok()["pagination"]["total"], 1);

    for (api, status) in [(Api::of(&app), 401), (Api::user(&app, "alice"), 403)] {
        api.get("/conversations").await.refused(status);
    }
    alice.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_closed_conversation_takes_nothing_more_and_the_next_question_opens_another() {
    let app = TestApp::start().await;
    let (id, mut guest, admin_line) = talk(&app).await;
    let admin = Api::admin(&app, "eve");
    let path = format!("/conversation/{id}");
    let closed = admin.patch(&path, &json!({ "status": "closed", "priority": "high" })).await.ok();
    assert_eq!((&closed["status"], &closed["priority"]), (&json!("closed"), &json!("high")));
    assert_eq!(guest.hears("conversation:updated").await["status"], "closed");
    guest.say(&id, "one more thing").await;
    assert_eq!(guest.hears_error().await, "the conversation is closed");

    let guest_id = closed["guestId"].as_str().unwrap();
    let next = Api::of(&app).post("/conversation/guest", &json!({ "guestId": guest_id })).await.ok();
    assert_ne!(next["conversation"]["id"], id);
    // Both cannot be open.
    let again = admin.patch(&path, &json!({ "status": "open" })).await;
    again.refused(400);
    assert_eq!(again.fields(), ["status"]);
    let next_path = format!("/conversation/{}", next["conversation"]["id"].as_str().unwrap());
    admin.patch(&next_path, &json!({ "status": "closed" })).await.ok();
    assert_eq!(admin.patch(&path, &json!({ "status": "open" })).await.ok()["status"], "open");
    let found = Api::of(&app).post("/conversation/guest", &json!({ "guestId": guest_id })).await.ok();
    assert_eq!(found["conversation"]["id"], id);
    for (of, status) in [(&next["conversation"]["id"], "closed"), (&json!(id), "open")] {
        let updated = guest.hears("conversation:updated").await;
        assert_eq!((&updated["id"], &updated["status"]), (of, &json!(status)));
    }
    guest.finish().await;
    drop(admin_line);
    app.finish([]).await;
}

#[tokio::test]
async fn changes_are_the_admins_and_cost_nothing_when_nothing_changes() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let (path, admin) = (format!("/conversation/{id}"), Api::admin(&app, "eve"));
    let before = app.writes();
    Api::user(&app, "alice").patch(&path, &json!({ "status": "closed" })).await.refused(403);
    Api::of(&app).patch(&path, &json!({ "status": "closed" })).await.refused(401);
    assert_eq!(admin.patch(&path, &json!({ "status": "open" })).await.twilio_calls(), 0);
    assert_eq!(app.writes(), before);
    let assigned = admin.patch(&path, &json!({ "adminId": "adam" })).await;
    assert_eq!(assigned.twilio_calls(), 1);
    assert_eq!(assigned.ok()["adminId"], "adam");
    assert_eq!(admin.patch(&path, &json!({ "adminId": null })).await.ok()["adminId"], json!(null));
    app.finish([]).await;
}

#[tokio::test]
async fn the_first_answer_assigns_and_the_second_does_not() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let (mut eve, mut adam) = (Line::admin(&app, "eve").await, Line::admin(&app, "adam").await);
    eve.say(&id, "I am here").await;
    eve.hears("conversation:new_message").await;
    assert_eq!(eve.hears("conversation:updated").await["adminId"], "eve");
    adam.hears("conversation:new_message").await;
    adam.hears("conversation:updated").await;
    adam.join(&id).await;
    let details = Api::user(&app, "alice").get(&format!("/conversation/{id}")).await.ok();
    assert_eq!(details["adminId"], "eve");
    eve.finish().await;
    adam.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn what_others_write_into_the_attributes_survives() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let sid = format!("CH{}", id.replace('-', ""));
    let path = format!("/Conversations/{sid}");
    let there = app.twilio(&format!("/v1/Services/{}{path}", app.mock.service_sid())).await;
    let mut attributes: Value = serde_json::from_str(there["attributes"].as_str().unwrap()).unwrap();
    attributes["crm"] = json!({ "ticket": 7 });
    app.elsewhere(reqwest::Method::POST, &path, &[("Attributes", &attributes.to_string())]).await;
    app.told("onConversationUpdated", 1).await;
    Api::admin(&app, "eve")
        .patch(&format!("/conversation/{id}"), &json!({ "priority": "urgent" }))
        .await
        .ok();
    let there = app.twilio(&format!("/v1/Services/{}{path}", app.mock.service_sid())).await;
    let attributes: Value = serde_json::from_str(there["attributes"].as_str().unwrap()).unwrap();
    assert_eq!(attributes["crm"]["ticket"], 7);
    assert_eq!(attributes["switchboard"]["priority"], "urgent");
    app.finish([]).await;
}

#[tokio::test]
async fn pages_go_back_from_the_newest_and_each_is_ascending() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    for number in 0..7 {
        guest.say(&id, &number.to_string()).await;
        guest.hears_message().await;
        admin.hears_message().await;
        admin.hears("conversation:new_message").await;
    }
    let api = Api::of(&app);
    for (page, expected) in [(1, vec!["4", "5", "6"]), (2, vec!["1", "2", "3"]), (3, vec!["0"]), (4, vec![])]
    {
        let answer = api.get(&format!("/conversation/{id}/messages?page={page}&limit=3")).await;
        assert_eq!(answer.twilio_calls(), 0, "page {page}");
        let data = answer.ok();
        let texts: Vec<_> = data["messages"].as_array().unwrap().iter().map(|one| &one["message"]).collect();
        assert_eq!(
            texts,
            expected.iter().map(|text| json!(text)).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
        assert_eq!(data["pagination"], json!({ "total": 7, "page": page, "limit": 3, "totalPages": 3 }));
    }
    let clamped = api.get(&format!("/conversation/{id}/messages?limit=1000")).await.ok();
    assert_eq!(clamped["pagination"]["limit"], 100);
    guest.finish().await;
    admin.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn the_total_is_exact_where_the_index_knows_nothing() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let mut alice = Line::user(&app, "alice").await;
    for number in 0..3 {
        alice.say(&id, &number.to_string()).await;
    }
    alice.asks("message:send", &json!({ "conversationId": id, "message": "last" })).await;
    // A service that has never seen the conversation.
    let neighbour = app.neighbour().await;
    let page = Api::user(&neighbour, "alice").get(&format!("/conversation/{id}/messages?limit=2")).await.ok();
    assert_eq!(page["pagination"], json!({ "total": 4, "page": 1, "limit": 2, "totalPages": 2 }));
    assert_eq!(page["messages"][1]["message"], "last");
    let second =
        Api::user(&neighbour, "alice").get(&format!("/conversation/{id}/messages?limit=2&page=2")).await.ok();
    assert_eq!(second["messages"][0]["message"], "0");
    neighbour.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_warm_answer_costs_no_twilio_call() {
    let app = TestApp::start().await;
    let alice = Api::user(&app, "alice");
    let opened = alice.get("/conversation").await;
    assert_eq!(opened.twilio_calls(), 2, "the conversation and its owner");
    let id = opened.ok()["id"].as_str().unwrap().to_owned();
    for path in
        ["/conversation".to_owned(), format!("/conversation/{id}"), format!("/conversation/{id}/messages")]
    {
        assert_eq!(alice.get(&path).await.twilio_calls(), 0, "{path}");
    }
    app.finish([]).await;
}
