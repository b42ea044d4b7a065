//! Tokens where none is needed: one that is there must hold, and binds.

use std::time::Duration;

use serde_json::{Value, json};

use super::refusals::{Route, scene};
use crate::messaging::Messaging;
use crate::support::app::{JWT_SECRET, token_of};
use crate::support::{Rest, TestApp};

fn header_and_claims(header: &Value, claims: &Value) -> String {
    use base64::Engine as _;
    let encode = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_on_every_route() {
    let (app, routes, _) = scene().await;
    let before = app.asked().len();
    let hour = Duration::from_secs(3600);
    let genuine = token_of(&json!({ "sub": "alice" }), hour);
    let unsigned = header_and_claims(
        &json!({ "alg": "none", "typ": "JWT" }),
        &json!({ "sub": "alice", "exp": 4_102_444_800_u64 }),
    );
    let other_algorithm = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS512),
        &json!({ "sub": "alice", "exp": 4_102_444_800_u64 }),
        &jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes()),
    )
    .unwrap();
    let tokens = [
        "nonsense".to_owned(),
        format!("{unsigned}."),
        other_algorithm,
        token_of(&json!({ "sub": "alice", "exp": 1_600_000_000 }), hour),
        token_of(&json!({ "name": "nobody" }), hour),
        token_of(&json!({ "sub": "alice", "iss": "SK00000000000000000000000000000001" }), hour),
        format!("{}x", genuine),
        format!("{}.{}", genuine.rsplit_once('.').unwrap().0, "A".repeat(43)),
        "x".repeat(9_000),
    ];
    for token in tokens {
        let rest = app.rest().with_token(&token);
        for Route { method, path, body, .. } in &routes {
            let body = (!body.is_null()).then_some(body);
            let answer = rest.ask(method, path, body).await;
            assert_eq!(answer.status, 401, "{method} {path} {token:.30}: {}", answer.body);
        }
        app.rest().get(&format!("?token={token}")).await.refused(401);
    }
    app.rest().with_header("x-api-key", "a wrong key").get("").await.refused(401);
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_token_binds_though_none_is_needed() {
    let (app, _, conversation) = scene().await;
    let before = app.writes();
    let alice: Rest = app.rest_as("alice");
    let bobs = [
        ("POST", "/generate-token".to_owned(), Some(json!({ "user_id": "bob" }))),
        ("POST", "/create".to_owned(), Some(json!({ "participants": ["bob", "carol"] }))),
        ("POST", "/newconversation".to_owned(), Some(json!({ "participants": ["bob", "carol"] }))),
        ("GET", "?userId=bob".to_owned(), None),
        ("GET", "/bob/conversations".to_owned(), None),
        (
            "POST",
            format!("/{conversation}/send-message"),
            Some(json!({ "author": "bob", "body": "it is me" })),
        ),
        ("POST", format!("/{conversation}/read"), Some(json!({ "identity": "bob" }))),
        ("POST", "/enable-reachability".to_owned(), None),
    ];
    for (method, path, body) in bobs {
        let answer = alice.ask(method, &path, body.as_ref()).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
    }
    assert_eq!(app.writes(), before);
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_is_given_a_token_for_more_than_being_themselves() {
    use base64::Engine as _;
    let app = TestApp::start().await;
    let rest = app.rest();
    for (user_id, status) in [
        ("system", 403),
        ("Admin", 403),
        ("support:7", 403),
        ("whatsapp:+15551230001", 403),
        ("guest_1765360800000_0123456789abcdefghijklmno0123456789abc", 400),
        ("ali\u{200b}ce", 400),
        ("Zoe\u{308}", 400),
        ("alice\u{202e}", 400),
        ("\u{ff41}dmin", 403),
        ("admin ", 400),
        ("system\u{a0}", 400),
        ("alice\u{2800}", 400),
        (" alice ", 400),
    ] {
        rest.post("/generate-token", &json!({ "user_id": user_id })).await.refused(status);
    }
    let asked = json!({
        "user_id": "alice", "identity": "bob", "role": "admin", "roles": ["admin"], "ttl": 86_400, "expires_in": 86_400,
        "grants": { "identity": "bob", "video": {}, "voice": {} }, "service_sid": "IS00000000000000000000000000000009",
    });
    let minted = rest.post("/generate-token", &asked).await;
    let claims = minted.body["token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["exp", "grants", "iss", "jti", "nbf", "sub"], "{claims}");
    let chat = json!({ "service_sid": app.mock.service_sid() });
    assert_eq!(claims["grants"], json!({ "identity": "alice", "chat": chat }));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 3600);

    let conversation = app.conversation(&["alice", "bob"]).await;
    let before = app.writes();
    for author in ["system", "ADMIN", "whatsapp:+15551230001", "guest_1765360800000_abcdef"] {
        let forged = json!({ "author": author, "body": "your account is locked" });
        rest.post(&format!("/{conversation}/send-message"), &forged).await.refused(403);
    }
    assert_eq!(app.writes(), before);
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_but_an_admin_brings_in_who_is_called_what_no_user_can_be() {
    let guest = "guest_1765360800000_0123456789abcdefghijklmno0123456789abc";
    for (app, required) in [(TestApp::start().await, false), (TestApp::required().await, true)] {
        let rest = if required { app.rest_as("alice") } else { app.rest() };
        let conversation = app.conversation(&["alice", "bob"]).await;
        let before = app.writes();
        for name in ["admin", "System", "support:7", "whatsapp:+15551230001", guest, "\u{ff21}dmin"] {
            let people = json!({ "participants": ["alice", name] });
            rest.post("/create", &people).await.refused(403);
            rest.post("/newconversation", &people).await.refused(403);
            let add = format!("/{conversation}/add-chat-participant");
            rest.post(&add, &json!({ "identity": name })).await.refused(403);
        }
        assert_eq!(app.writes(), before);

        // Who runs the service may be called so, is known from their first request on, and may be written to then.
        let token = token_of(&json!({ "sub": "admin", "role": "admin" }), Duration::from_secs(60));
        let admin = app.rest().with_token(&token);
        let with_a_guest = json!({ "participants": ["admin", guest] });
        admin.post("/create", &with_a_guest).await.ok();
        rest.post("/newconversation", &json!({ "participants": ["alice", "admin"] })).await.ok();
        rest.post("/create", &json!({ "participants": ["alice", guest] })).await.refused(403);
        let messaging = Messaging::of(&app, "alice");
        messaging.post("/groups", &json!({ "memberIds": [guest] })).await.refused("FORBIDDEN");
        let group = messaging.group(&["admin"]).await;
        let path = format!("/groups/{group}/members");
        messaging.post(&path, &json!({ "memberIds": [guest] })).await.refused("FORBIDDEN");
        app.finish([]).await;
    }
}
