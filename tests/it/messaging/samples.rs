//! The document's printed samples: for each the world it tells of is made, and what comes is held against it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Messaging, add_contact, ears, five_customers, introduce};
use crate::support::TestApp;
use crate::support::app::token_of;
use crate::support::sample::{Samples, assert_as_printed};

const BIO: &str = "Striving for excellence, embracing challenges...";

/// Who the samples call `current-user`, and others by these names, pictures, types and numbers of shared contacts.
async fn world(people: &[(&str, &str, &str, &str, u32)]) -> TestApp {
    let app = TestApp::start().await;
    five_customers(&app).await;
    let me = json!({ "sub": "current-user", "name": "Me", "picture": "https://example.com/my-avatar.jpg" });
    introduce(&app, &me).await;
    for digit in 1..=5 {
        add_contact(&app, "current-user", digit).await;
    }
    for (identity, name, picture, kind, mutual) in people {
        let picture = format!("https://example.com/{picture}.jpg");
        let claims =
            json!({ "sub": identity, "name": name, "picture": picture, "bio": BIO, "user_type": kind });
        introduce(&app, &claims).await;
        for digit in 1..=*mutual {
            add_contact(&app, identity, digit).await;
        }
    }
    app
}

/// Holds a page to the printed one, but for how many people there are in all.
fn compare_page(answer: &Value, mut printed: Value, name: &str) {
    printed["data"]["pagination"] = answer["data"]["pagination"].clone();
    let keys = ["page", "limit", "total", "totalPages", "hasNext", "hasPrev"];
    let pagination = answer["data"]["pagination"].as_object().unwrap();
    assert!(
        pagination.len() == keys.len() && keys.iter().all(|key| pagination.contains_key(*key)),
        "{pagination:?}"
    );
    assert_as_printed(answer, &printed, name);
}

#[tokio::test]
async fn every_sample_of_the_messaging_document_is_what_happens() {
    let mut samples = Samples::of("messaging");
    suggestions_for_messages(&mut samples).await;
    suggestions_for_groups(&mut samples).await;
    conversations(&mut samples).await;
    groups(&mut samples).await;
    samples.finish();
}

async fn suggestions_for_messages(samples: &mut Samples) {
    let app = world(&[
        ("user-1", "Carter Lipshutz", "avatar1", "premium", 5),
        ("user-2", "Kierra Curtis", "avatar2", "premium", 3),
        ("user-3", "Emerson Dokidis", "avatar3", "male", 2),
        ("user-4", "Ann Botosh", "avatar4", "premium", 1),
    ])
    .await;
    let me = Messaging::of(&app, "current-user");
    me.open("user-2").await;
    let sockets = [app.socket_as("user-1").await, app.socket_as("user-3").await];
    let mut printed = samples.printed("rest/suggestions-message.response");
    for gone in [1, 3] {
        printed["data"]["suggestions"][gone]["lastSeen"] = Value::Null;
    }
    let page = me.get("/users/suggestions?type=message&limit=4").await;
    compare_page(&page.body, printed, "rest/suggestions-message.response");
    let found = me.get("/users/suggestions?q=carter&type=message").await;
    samples.compare(&found.body, "rest/suggestions-message-search.response");
    app.finish(sockets).await;
}

async fn suggestions_for_groups(samples: &mut Samples) {
    let app = world(&[
        ("user-1", "Abram Mango", "avatar1", "premium", 5),
        ("user-2", "Kierra Curtis", "avatar2", "male", 3),
        ("user-3", "Emerson Dokidis", "avatar3", "male", 2),
        ("user-4", "Ann Botosh", "avatar4", "premium", 1),
        ("user-5", "Carter Lipshutz", "avatar5", "premium", 4),
    ])
    .await;
    let me = Messaging::of(&app, "current-user");
    me.open("user-1").await;
    me.open("user-3").await;
    let mut sockets = Vec::new();
    for identity in ["user-1", "user-3", "user-5"] {
        sockets.push(app.socket_as(identity).await);
    }
    let mut printed = samples.printed("rest/suggestions-group.response");
    let mutual = |person: &Value| std::cmp::Reverse(person["mutualFriends"].as_u64());
    printed["data"]["suggestions"].as_array_mut().unwrap().sort_by_key(mutual);
    let page = me.get("/users/suggestions?type=group&limit=5").await;
    compare_page(&page.body, printed, "rest/suggestions-group.response");
    let found = me.get("/users/suggestions?q=abram&type=group").await;
    samples.compare(&found.body, "rest/suggestions-group-search.response");
    app.finish(sockets).await;
}

async fn conversations(samples: &mut Samples) {
    let app = world(&[("user-1", "Carter Lipshutz", "avatar1", "premium", 5)]).await;
    let me = Messaging::of(&app, "current-user");
    let mut mine = ears(&app, "current-user").await;
    let mut theirs = app.socket_as("user-1").await;

    let mut printed = samples.printed("rest/user-detail.response");
    printed["data"]["bio"] = json!(BIO);
    assert_as_printed(&me.get("/users/user-1").await.body, &printed, "rest/user-detail.response");

    let request = samples.printed("rest/create-conversation.request");
    let made = me.post("/messages", &request).await;
    assert_eq!(made.status, 201);
    samples.compare(&made.body, "rest/create-conversation.response");
    samples.compare(&mine.hears("conversation_created").await, "events/conversation_created.payload");
    let id = made.made()["id"].as_str().unwrap().to_owned();
    let read = me.get(&format!("/messages/{id}")).await;
    samples.compare(&read.body, "rest/conversation-detail.response");

    theirs.emit("set_status", &json!({ "status": "online" })).await; // it is so already: nobody hears of it
    theirs.emit("set_status", &json!({ "status": "busy" })).await;
    assert_eq!(mine.hears("user_status_update").await["status"], "Busy");
    theirs.emit("set_status", &json!({ "status": "online" })).await;
    samples.compare(&mine.hears("user_status_update").await, "events/user_status_update.payload");

    Messaging::of(&app, "user-1").say(&id, "Hello!").await;
    let page = me.get("/users/contacts?limit=1").await;
    compare_page(&page.body, samples.printed("rest/contacts.response"), "rest/contacts.response");

    let refused = me.get("/users/nobody").await;
    let mut printed = samples.printed("rest/error");
    printed["error"]["code"] = json!("NOT_FOUND");
    // Printed as {}, which stands for an object; of this failure it is empty.
    let mut refused = refused.body;
    assert_eq!(refused["error"]["details"].take(), printed["error"]["details"].take());
    assert_as_printed(&refused, &printed, "rest/error");
    app.finish([mine, theirs]).await;
}

async fn groups(samples: &mut Samples) {
    let people = [
        ("user-1", "Abram Mango", "avatar1", "premium", 0),
        ("user-2", "Kierra Curtis", "avatar2", "premium", 0),
    ];
    let app = world(&people).await;
    let claims = json!({ "sub": "current-user" });
    let me = Messaging::with_token(&app, Some(token_of(&claims, Duration::from_secs(60))));
    let mut theirs = ears(&app, "user-1").await;
    let made = me.post("/groups", &samples.printed("rest/create-group.request")).await;
    assert_eq!(made.status, 201);
    samples.compare(&made.body, "rest/create-group.response");
    samples.compare(&theirs.hears("group_created").await, "events/group_created.payload");
    app.finish([theirs]).await;
}
