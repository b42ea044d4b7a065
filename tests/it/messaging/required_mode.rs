//! Both modes: nothing without a token, nothing of somebody else's conversation.

use serde_json::{Value, json};

use super::{Messaging, meet};
use crate::support::TestApp;
use crate::support::app::API_KEY;

/// Every route about the conversation or group `id`.
fn routes(id: &str) -> Vec<(&'static str, String, Value)> {
    let message = |what: &str| format!("/messages/{id}{what}");
    let group = |what: &str| format!("/groups/{id}{what}");
    vec![
        ("GET", message(""), Value::Null),
        ("GET", message("/messages"), Value::Null),
        ("POST", message("/messages"), json!({ "content": "let me in" })),
        ("POST", message("/read"), json!({})),
        ("PATCH", message("/settings"), json!({ "isMuted": true })),
        ("GET", group(""), Value::Null),
        ("GET", group("/members"), Value::Null),
        ("POST", group("/members"), json!({ "memberIds": ["mallory"] })),
        ("DELETE", group("/members"), json!({ "memberIds": ["bob"] })),
        ("DELETE", group("/members/bob"), Value::Null),
    ]
}

/// Every route that is about people.
fn others() -> Vec<(&'static str, String, Value)> {
    let route = |method, path: &str, body| (method, path.to_owned(), body);
    vec![
        route("GET", "/users/suggestions", Value::Null),
        route("POST", "/messages", json!({ "participantId": "bob" })),
        route("POST", "/groups", json!({ "memberIds": ["bob"] })),
        route("GET", "/users/bob", Value::Null),
        route("GET", "/users/contacts", Value::Null),
        route("POST", "/users/bob/block", json!({})),
        route("DELETE", "/users/bob/block", Value::Null),
        route("DELETE", "/users/bob/sessions", Value::Null),
        route("GET", "/users/blocked", Value::Null),
        route("GET", "/users/me", Value::Null),
        route("PUT", "/users/me", json!({ "nickname": "A" })),
    ]
}

#[tokio::test]
async fn without_a_token_nothing_is_answered_in_either_mode() {
    for app in [TestApp::start().await, TestApp::required().await] {
        meet(&app, &["alice", "bob"]).await;
        let id = Messaging::of(&app, "alice").group(&["bob"]).await;
        let before = app.asked().len();
        let expired =
            crate::support::app::token_of(&json!({ "sub": "alice", "exp": 1 }), std::time::Duration::ZERO);
        let none = jsonwebtoken::encode(
            &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS512),
            &json!({ "sub": "alice", "exp": 9_999_999_999_i64 }),
            &jsonwebtoken::EncodingKey::from_secret(crate::support::app::JWT_SECRET.as_bytes()),
        )
        .unwrap();
        for token in [None, Some("nonsense".to_owned()), Some(expired), Some(none)] {
            let nobody = Messaging::with_token(&app, token);
            for (method, path, body) in routes(&id).into_iter().chain(others()) {
                for prefix in ["", "/api"] {
                    let answer = nobody
                        .ask(method, &format!("{prefix}{path}"), (!body.is_null()).then_some(&body))
                        .await;
                    assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
                    answer.refused("UNAUTHORIZED");
                }
            }
        }
        assert_eq!(app.asked_since(before), [""; 0]);
        app.finish([]).await;
    }
}

#[tokio::test]
async fn what_belongs_to_others_is_closed_on_every_route() {
    for app in [TestApp::start().await, TestApp::required().await] {
        meet(&app, &["alice", "bob", "mallory"]).await;
        let alice = Messaging::of(&app, "alice");
        let mallory = Messaging::of(&app, "mallory");
        for id in [alice.group(&["bob"]).await, alice.open("bob").await] {
            let before = app.writes();
            for (method, path, body) in routes(&id) {
                let answer = mallory.ask(method, &path, (!body.is_null()).then_some(&body)).await;
                assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
                answer.refused("FORBIDDEN");
            }
            assert_eq!(app.writes(), before, "nothing was written");
        }
        app.finish([]).await;
    }
}

#[tokio::test]
async fn the_back_end_has_no_conversations_of_its_own() {
    let app = TestApp::required().await;
    let nobody = Messaging::with_token(&app, None);
    let request = nobody.request("GET", "/users/me").header("x-api-key", API_KEY);
    nobody.send(request).await.refused("FORBIDDEN");
    app.finish([]).await;
}
