//! Bad input: whatever is wrong, the answer is the document's envelope with the code that fits; nothing reaches Twilio,
//! nothing is half-made.

use serde_json::{Value, json};

use super::{Messaging, meet};
use crate::support::TestApp;

/// One route with a request that would succeed.
struct Route {
    method: &'static str,
    path: String,
    /// `Null`: the route takes none.
    body: Value,
    /// Values that a field must not have.
    wrong: Vec<(&'static str, Vec<Value>)>,
}

fn text(characters: usize) -> String {
    "ä".repeat(characters)
}

fn wrong_ids() -> Vec<Value> {
    vec![
        json!(null),
        json!(7),
        json!({}),
        json!([]),
        json!(true),
        json!(""),
        json!(" \t"),
        json!(text(257)),
        json!("a\u{0}b"),
    ]
}

fn wrong_lists() -> Vec<Value> {
    let mut wrong = vec![json!(null), json!(7), json!({}), json!("bob")];
    wrong.extend(wrong_ids().into_iter().map(|id| json!(["bob", id])));
    wrong
}

fn routes(pair: &str, group: &str) -> Vec<Route> {
    let route = |method, path: String, body, wrong| Route { method, path, body, wrong };
    let no_body = |method, path: String| Route { method, path, body: Value::Null, wrong: vec![] };
    let too_long = "x".repeat(32 * 1024 + 1);
    let flags = || vec![json!(7), json!("yes"), json!({}), json!([])];
    let mut empty_lists = wrong_lists();
    empty_lists.push(json!([]));
    vec![
        route(
            "POST",
            "/messages".to_owned(),
            json!({ "participantId": "bob" }),
            vec![("participantId", wrong_ids()), ("type", vec![json!(7), json!("group"), json!("")])],
        ),
        route(
            "POST",
            "/groups".to_owned(),
            json!({ "memberIds": ["bob"] }),
            vec![
                ("memberIds", wrong_lists()),
                ("name", vec![json!(7), json!({}), json!(text(257))]),
                ("avatar", vec![json!(7), json!("x".repeat(2049)), json!("data:nonsense")]),
            ],
        ),
        route(
            "POST",
            format!("/messages/{pair}/messages"),
            json!({ "content": "hello" }),
            vec![
                ("content", vec![json!(null), json!(7), json!({}), json!(""), json!(" "), json!(too_long)]),
                (
                    "media",
                    vec![
                        json!(7),
                        json!([7]),
                        json!(["javascript:alert(1)"]),
                        json!([""]),
                        json!(vec!["https://example.com/a"; 11]),
                    ],
                ),
                ("clientMessageId", vec![json!(7), json!(""), json!("a\nb"), json!(text(129))]),
            ],
        ),
        route(
            "PATCH",
            format!("/messages/{pair}/settings"),
            json!({ "isMuted": true }),
            vec![
                ("isMuted", [flags(), vec![json!(null)]].concat()),
                ("isPinned", flags()),
                ("giftSoundsEnabled", flags()),
            ],
        ),
        route(
            "POST",
            format!("/groups/{group}/members"),
            json!({ "memberIds": ["carol"] }),
            vec![("memberIds", empty_lists.clone())],
        ),
        route(
            "DELETE",
            format!("/groups/{group}/members"),
            json!({ "memberIds": ["bob"] }),
            vec![("memberIds", empty_lists)],
        ),
        route(
            "PUT",
            "/users/me".to_owned(),
            json!({ "nickname": "A" }),
            vec![
                ("nickname", vec![json!(7), json!({}), json!(text(257))]),
                ("avatar", vec![json!(7), json!("javascript:alert(1)"), json!("no link")]),
                ("bio", vec![json!(7), json!(text(501))]),
                ("type", vec![json!(7), json!("admin"), json!("")]),
                ("phone", vec![json!(7), json!("12"), json!("+99912345"), json!("abc")]),
            ],
        ),
        no_body("GET", "/users/suggestions".to_owned()),
        no_body("GET", "/users/contacts".to_owned()),
        no_body("GET", "/users/bob".to_owned()),
        no_body("GET", format!("/messages/{pair}")),
        no_body("GET", format!("/messages/{pair}/messages")),
        no_body("GET", format!("/groups/{group}")),
        no_body("GET", format!("/groups/{group}/members")),
        no_body("GET", "/users/blocked".to_owned()),
        no_body("GET", "/users/me".to_owned()),
        no_body("POST", "/users/bob/block".to_owned()),
        no_body("DELETE", "/users/bob/block".to_owned()),
        no_body("DELETE", "/users/bob/sessions".to_owned()),
        no_body("POST", format!("/messages/{pair}/read")),
        no_body("DELETE", format!("/groups/{group}/members/bob")),
    ]
}

async fn scene() -> (TestApp, Vec<Route>) {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let alice = Messaging::of(&app, "alice");
    let (pair, group) = (alice.open("bob").await, alice.group(&["bob"]).await);
    (app, routes(&pair, &group))
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let (app, routes) = scene().await;
    let before = app.asked().len();
    let alice = Messaging::of(&app, "alice");
    for Route { method, path, body, wrong } in &routes {
        for (field, values) in wrong {
            for value in values {
                let mut wrong = body.clone();
                wrong[*field] = value.clone();
                let answer = alice.ask(method, path, Some(&wrong)).await;
                let shown = value.to_string().chars().take(60).collect::<String>();
                assert_eq!(answer.status, 400, "{method} {path} {field}: {shown}: {}", answer.body);
                answer.refused("VALIDATION_ERROR");
                let message = answer.body["error"]["message"].as_str().unwrap();
                assert!(message.contains(field), "{path} {field}: {shown}: {message}");
            }
        }
    }
    assert_eq!(app.asked_since(before), [""; 0], "nothing reached Twilio");
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_no_json_object_or_too_much_of_it_or_another_type_is_refused() {
    let (app, routes) = scene().await;
    let before = app.asked().len();
    let alice = Messaging::of(&app, "alice");
    let bodies: [&[u8]; 9] = [
        b"{",
        b"nonsense",
        b"null",
        b"7",
        b"\"bob\"",
        b"[]",
        b"[\"bob\"]",
        b"{} {}",
        b"{\"participantId\":\"\xff\"}",
    ];
    for Route { method, path, body, .. } in routes.iter().filter(|route| !route.body.is_null()) {
        // What is not asked for is not looked at.
        let bodies = if *method == "PUT" { &bodies[..8] } else { &bodies };
        for bytes in bodies {
            alice.ask_with(method, path, "application/json", *bytes).await.refused("VALIDATION_ERROR");
        }
        if *method != "PUT" {
            alice.ask(method, path, Some(&json!({}))).await.refused("VALIDATION_ERROR");
        }
        let other = alice.ask_with(method, path, "text/plain", body.to_string()).await;
        assert_eq!(other.status, 415);
        let large = json!({ "padding": "x".repeat(1024 * 1024) }).to_string();
        assert_eq!(alice.ask_with(method, path, "application/json", large).await.status, 413);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn wrong_methods_and_paths_are_not_found_in_this_voice() {
    let (app, routes) = scene().await;
    let alice = Messaging::of(&app, "alice");
    for Route { path, .. } in &routes {
        for prefix in ["", "/api"] {
            alice.ask("TRACE", &format!("{prefix}{path}"), None).await.refused("NOT_FOUND");
        }
    }
    for path in ["/messages/a/b/c/d", "/users", "/users/bob/nothing", "/groups/", "/api/groups/x/y/z/w"] {
        alice.get(path).await.refused("NOT_FOUND");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn an_id_that_is_none_is_refused_and_one_of_nothing_is_not_found() {
    let (app, routes) = scene().await;
    let before = app.asked().len();
    let alice = Messaging::of(&app, "alice");
    let nowhere = format!("CH{}", "0".repeat(31) + "1");
    for Route { method, path, body, .. } in &routes {
        let Some(id) = path.split('/').find(|part| part.len() == 34) else { continue };
        let body = (!body.is_null()).then_some(body);
        for wrong in
            ["CHx", "dm_0123456789abcdef0123456789abcdef01234567", "group_1", "%00", "a%20b", &id[2..]]
        {
            let answer = alice.ask(method, &path.replace(id, wrong), body).await;
            assert_eq!(answer.refused("VALIDATION_ERROR")["field"], "conversationId", "{path} {wrong}");
        }
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    let writes = app.writes();
    for Route { method, path, body, .. } in &routes {
        let Some(id) = path.split('/').find(|part| part.len() == 34) else { continue };
        let body = (!body.is_null()).then_some(body);
        alice.ask(method, &path.replace(id, &nowhere), body).await.refused("NOT_FOUND");
    }
    assert_eq!(app.writes(), writes);
    let id = alice.open("bob").await;
    let hex = id.strip_prefix("CH").unwrap();
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    assert_eq!(alice.get(&format!("/messages/{uuid}")).await.ok()["id"], id, "a UUID is the same id");
    app.finish([]).await;
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let (app, _) = scene().await;
    let before = app.asked().len();
    let alice = Messaging::of(&app, "alice");
    let pages = [
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "page=1.5",
        "limit=0",
        "limit=-5",
        "limit=many",
        "page=%2B1",
    ];
    let kinds = ["type=all", "type=", "sort=name", "sort=", "order=up", "order=ASC"];
    for query in pages.iter().chain(&kinds) {
        alice.get(&format!("/users/suggestions?{query}")).await.refused("VALIDATION_ERROR");
    }
    for query in [format!("q={}", "x".repeat(257)), "q=a%00b".to_owned(), "q=%ff".to_owned()] {
        let answer = alice.get(&format!("/users/suggestions?{query}")).await;
        assert!(answer.status == 400 || query == "q=%ff", "{query}: {}", answer.body);
    }
    for query in pages {
        alice.get(&format!("/users/contacts?{query}")).await.refused("VALIDATION_ERROR");
        alice.get(&format!("/users/blocked?{query}")).await.refused("VALIDATION_ERROR");
    }
    for path in ["/users/suggestions", "/users/contacts", "/users/blocked"] {
        let twice = alice.get(&format!("{path}?page=1&page=2")).await;
        assert_eq!(twice.refused("VALIDATION_ERROR")["field"], "page");
    }
    for id in [text(257), "%00".to_owned(), "%20".to_owned()] {
        assert_eq!(alice.get(&format!("/users/{id}")).await.refused("VALIDATION_ERROR")["field"], "userId");
        alice.post(&format!("/users/{id}/block"), &json!({})).await.refused("VALIDATION_ERROR");
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn oneself_and_strangers_are_told_apart() {
    let (app, _) = scene().await;
    let before = app.writes();
    let alice = Messaging::of(&app, "alice");
    alice.post("/messages", &json!({ "participantId": "alice" })).await.refused("CANNOT_MESSAGE_SELF");
    alice.post("/messages", &json!({ "participantId": "nobody" })).await.refused("NOT_FOUND");
    alice.post("/groups", &json!({ "memberIds": ["bob", "nobody"] })).await.refused("NOT_FOUND");
    alice.get("/users/nobody").await.refused("NOT_FOUND");
    assert_eq!(app.writes(), before);
    app.finish([]).await;
}
