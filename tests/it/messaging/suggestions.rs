//! Whom one may want to talk to: who is there, in which order, how they are found, and in which pages.

use serde_json::{Value, json};

use super::{Messaging, add_contact, five_customers, introduce, meet};
use crate::support::{TestApp, until};

fn ids(page: &Value) -> Vec<&str> {
    page["suggestions"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn shared_contacts_come_first_then_who_is_here_then_who_was_talked_to_then_names() {
    let app = TestApp::start().await;
    five_customers(&app).await;
    meet(&app, &["me", "dora", "carl", "ben", "anna", "eve"]).await;
    for digit in [1, 2, 3] {
        add_contact(&app, "me", digit).await;
    }
    add_contact(&app, "eve", 1).await;
    add_contact(&app, "carl", 1).await;
    add_contact(&app, "carl", 2).await;
    add_contact(&app, "carl", 5).await; // not mine
    let me = Messaging::of(&app, "me");
    let with_dora = me.open("dora").await;
    me.say(&with_dora, "hello").await;
    let here = app.socket_as("ben").await;
    let before = app.asked().len();
    let page = me.get("/users/suggestions").await.ok();
    assert_eq!(app.asked_since(before), [""; 0], "Twilio is not asked");
    assert_eq!(ids(&page)[..5], ["carl", "eve", "ben", "dora", "customer-1"]);
    assert_eq!(page["pagination"]["total"], 10, "everybody but oneself");
    let counts: Vec<_> =
        page["suggestions"].as_array().unwrap().iter().map(|s| s["mutualFriends"].clone()).collect();
    assert_eq!(counts[..3], [2, 1, 0]);
    let dora = &page["suggestions"][3];
    assert_eq!((&dora["hasConversation"], &dora["conversationId"]), (&json!(true), &json!(with_dora)));
    let anna = &page["suggestions"][9];
    assert_eq!(anna["id"], "anna");
    assert_eq!((&anna["hasConversation"], anna.get("conversationId")), (&json!(false), None));
    assert!(page.get("query").is_none());
    assert_eq!(me.get("/users/carl").await.ok()["mutualFriends"], 2, "the same number as in the detail");
    app.finish([here]).await;
}

#[tokio::test]
async fn a_text_is_found_whatever_its_case_and_accents_in_names_before_bios() {
    let app = TestApp::start().await;
    meet(&app, &["me"]).await;
    introduce(&app, &json!({ "sub": "1", "name": "Zoë Ångström", "bio": "sings" })).await;
    introduce(&app, &json!({ "sub": "2", "name": "Ann", "bio": "Friend of ZOE" })).await;
    introduce(&app, &json!({ "sub": "3", "name": "Abram Mango" })).await;
    introduce(&app, &json!({ "sub": "4" })).await;
    let me = Messaging::of(&app, "me");
    for (text, found) in [
        ("zoe", vec!["1", "2"]),
        ("ZOË", vec!["1", "2"]),
        ("angstrom", vec!["1"]),
        ("oë å", vec!["1"]),
        ("of zo", vec!["2"]),
        ("mango", vec!["3"]),
        ("ann sings", vec![]),
        ("4", vec!["4"]),
        ("%", vec![]),
        ("_", vec![]),
        ("' OR 1=1 --", vec![]),
    ] {
        let url = reqwest::Url::parse_with_params("http://x/", [("q", text)]).unwrap();
        let page = me.get(&format!("/users/suggestions?type=message&{}", url.query().unwrap())).await.ok();
        assert_eq!(ids(&page), found, "{text}");
        assert_eq!(page["query"], text, "as it was written");
    }
    let blank = me.get("/users/suggestions?q=%20").await.ok();
    assert_eq!((blank["suggestions"].as_array().unwrap().len(), blank.get("query")), (4, None));
    app.finish([]).await;
}

#[tokio::test]
async fn the_order_can_be_chosen_and_turned() {
    let app = TestApp::start().await;
    five_customers(&app).await;
    meet(&app, &["me", "b", "a", "c"]).await;
    add_contact(&app, "me", 1).await;
    add_contact(&app, "b", 1).await;
    let me = Messaging::of(&app, "me");
    let here = app.socket_as("c").await;
    for (query, first) in [
        ("sort=nickname&order=asc&q=name", vec!["a", "b", "c"]),
        ("sort=nickname&q=name", vec!["c", "b", "a"]),
        ("sort=mutualFriends&q=name", vec!["b", "c", "a"]),
        ("sort=mutualFriends&order=asc&q=name", vec!["c", "a", "b"]),
        ("order=desc&q=name", vec!["b", "c", "a"]),
        ("sort=lastSeen&q=name", vec!["c", "b", "a"]),
        ("sort=createdAt&order=asc&limit=1&q=name", vec!["b"]),
    ] {
        let page = me.get(&format!("/users/suggestions?{query}")).await.ok();
        assert_eq!(ids(&page), first, "{query}");
    }
    app.finish([here]).await;
}

#[tokio::test]
async fn pages_follow_one_another_and_a_limit_has_a_limit() {
    let app = TestApp::start().await;
    let people: Vec<String> = (0..25).map(|n| format!("person-{n:02}")).collect();
    meet(&app, &people.iter().map(String::as_str).collect::<Vec<_>>()).await;
    meet(&app, &["me"]).await;
    let me = Messaging::of(&app, "me");
    let mut all = Vec::new();
    for page in 1..=3 {
        let answer = me.get(&format!("/api/users/suggestions?page={page}&limit=10")).await.ok();
        assert_eq!(
            answer["pagination"],
            json!({
                "page": page, "limit": 10, "total": 25, "totalPages": 3, "hasNext": page < 3, "hasPrev": page > 1,
            })
        );
        all.extend(ids(&answer).into_iter().map(str::to_owned));
    }
    assert_eq!(all, people);
    let large = me.get("/users/suggestions?limit=100000").await.ok();
    assert_eq!((&large["pagination"]["limit"], ids(&large).len()), (&json!(100), 25));
    let beyond = me.get("/users/suggestions?page=99999999").await.ok();
    assert_eq!((ids(&beyond).len(), &beyond["pagination"]["hasNext"]), (0, &json!(false)));
    assert_eq!(me.get("/users/suggestions").await.ok()["pagination"]["limit"], 20);
    app.finish([]).await;
}

#[tokio::test]
async fn what_changes_is_found_at_once_and_on_another_node_soon() {
    let app = TestApp::start().await;
    meet(&app, &["me", "bob"]).await;
    let me = Messaging::of(&app, "me");
    assert_eq!(ids(&me.get("/users/suggestions").await.ok()), ["bob"]);
    Messaging::of(&app, "bob").ask("PUT", "/users/me", Some(&json!({ "nickname": "Robert" }))).await.ok();
    assert_eq!(ids(&me.get("/users/suggestions?q=robert").await.ok()), ["bob"]);
    assert_eq!(ids(&me.get("/users/suggestions?q=name").await.ok()), [""; 0]);
    meet(&app, &["carol"]).await;
    until("Carol", || async { (ids(&me.get("/users/suggestions").await.ok()).len() == 2).then_some(()) })
        .await;
    app.finish([]).await;
}

#[tokio::test]
async fn groups_and_forwarding_have_suggestions_too() {
    let app = TestApp::start().await;
    meet(&app, &["me", "bob"]).await;
    let me = Messaging::of(&app, "me");
    for (kind, last_seen) in [("message", true), ("group", false), ("forward", true)] {
        let page = me.get(&format!("/users/suggestions?type={kind}")).await.ok();
        assert_eq!(page["suggestions"][0].get("lastSeen").is_some(), last_seen, "{kind}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn signs_that_mean_something_to_a_database_are_only_signs() {
    let app = TestApp::start().await;
    for (identity, name) in
        [("a", "100% Ann"), ("b", "under_score"), ("c", "Back\\slash"), ("d", "O'Brien; --"), ("e", "plain")]
    {
        crate::messaging::introduce(&app, &json!({ "sub": identity, "name": name })).await;
    }
    let messaging = Messaging::of(&app, "me");
    for (q, found) in [
        ("%25", &["a"][..]),
        ("_", &["b"]),
        ("under_s", &["b"]),
        ("%5C", &["c"]),
        ("%27", &["d"]),
        ("%27%3B%20DROP%20TABLE%20people%3B%20--", &[]),
        ("p%25n", &[]),
        ("p_ain", &[]),
        (".*", &[]),
    ] {
        let page = messaging.get(&format!("/users/suggestions?q={q}")).await.ok();
        let ids: Vec<_> =
            page["suggestions"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
        assert_eq!(ids, *found, "{q}");
    }
    for query in [
        "sort=nickname;DROP%20TABLE%20people",
        "sort=1",
        "sort=(SELECT%201)",
        "sort=identity",
        "order=asc,%201",
        "order=desc--",
        "limit=1;",
        "limit=1%20UNION%20SELECT%201",
        "page=1e9",
        "page=-1",
    ] {
        messaging.get(&format!("/users/suggestions?{query}")).await.refused("VALIDATION_ERROR");
    }
    let beyond = messaging.get("/users/suggestions?page=4294967295&limit=100").await.ok();
    assert_eq!(beyond["suggestions"], json!([]));
    app.finish([]).await;
}
