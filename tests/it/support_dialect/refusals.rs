//! Bad input: whatever is wrong, over REST and over sockets, the answer is the document's with the status that fits and the
//! field at fault; nothing reaches Twilio, nothing is half-made.

use serde_json::{Value, json};

use super::{Api, Line, talk};
use crate::support::TestApp;
use crate::support::app::JWT_SECRET;

/// One route with a request that would succeed, and values that its fields must not have.
struct Route {
    method: &'static str,
    path: String,
    body: Value,
    wrong: Vec<(&'static str, Vec<Value>)>,
}

fn routes(id: &str) -> Vec<Route> {
    let route = |method, path: &str, body, wrong| Route { method, path: path.to_owned(), body, wrong };
    let of = |what: &str| format!("/conversation/{id}{what}");
    let not_text = || vec![json!(7), json!({}), json!([]), json!(true)];
    let not_topic = || [not_text(), vec![json!(""), json!("General"), json!("nonsense")]].concat();
    let not_identity =
        || [not_text(), vec![json!(""), json!(" "), json!("x".repeat(257)), json!("a\u{0}b")]].concat();
    let not_id = || [not_text(), vec![json!(""), json!("support_general"), json!("../x")]].concat();
    vec![
        route(
            "POST",
            "/conversation/guest",
            json!({ "type": "general", "subject": "Need help" }),
            vec![
                ("type", not_topic()),
                ("subject", [not_text(), vec![json!("x".repeat(257))]].concat()),
                ("guestId", not_text()),
            ],
        ),
        route(
            "PATCH",
            &of(""),
            json!({ "status": "pending" }),
            vec![("status", not_topic()), ("priority", not_topic()), ("adminId", not_identity())],
        ),
        route(
            "POST",
            "/onboarding/generate-code",
            json!({ "userId": "alice" }),
            vec![
                ("userId", not_identity()),
                ("guestId", not_identity()),
                ("conversationId", not_id()),
                ("deviceInfo", [not_text(), vec![json!("no json"), json!("\"x\"".repeat(2_000))]].concat()),
            ],
        ),
        route(
            "POST",
            "/onboarding/verify-code",
            json!({ "code": "123456" }),
            vec![
                (
                    "code",
                    [
                        not_text(),
                        vec![
                            json!(null),
                            json!(""),
                            json!("12345"),
                            json!("1234567"),
                            json!("12345a"),
                            json!("١٢٣٤٥٦"),
                        ],
                    ]
                    .concat(),
                ),
                ("userId", not_identity()),
                ("guestId", not_identity()),
            ],
        ),
    ]
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let before = app.asked().len();
    let admin = Api::admin(&app, "eve");
    for Route { method, path, body, wrong } in routes(&id) {
        for (field, values) in wrong {
            for value in values {
                let mut wrong = body.clone();
                wrong[field] = value.clone();
                let answer = admin.send(admin.request(method, &path).json(&wrong)).await;
                let shown = value.to_string().chars().take(60).collect::<String>();
                assert_eq!(answer.status, 400, "{method} {path} {field}: {shown}: {}", answer.body);
                assert_eq!(answer.fields(), [field], "{path}: {shown}");
            }
        }
    }
    assert_eq!(app.asked_since(before), [""; 0], "nothing reached Twilio");
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let before = app.asked().len();
    let admin = Api::admin(&app, "eve");
    for Route { method, path, .. } in routes(&id) {
        for body in ["{", "nonsense", "null", "7", "\"alice\"", "[]", "{} {}", "\u{0}"] {
            let request = admin.request(method, &path).header("content-type", "application/json");
            admin.send(request.body(body)).await.refused(400);
        }
        let request = admin.request(method, &path).header("content-type", "text/plain").body("{}");
        admin.send(request).await.refused(415);
        let request = admin.request(method, &path).header("content-type", "application/json");
        admin.send(request.body(vec![b' '; 1024 * 1024 + 1])).await.refused(413);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn queries_and_ids_that_are_wrong_are_named() {
    let app = TestApp::start().await;
    let id = Api::user(&app, "alice").conversation().await;
    let admin = Api::admin(&app, "eve");
    let before = app.asked().len();
    for (path, field) in [
        ("/conversation?type=nonsense".to_owned(), "type"),
        ("/conversation?type=".to_owned(), "type"),
        (format!("/conversation/{id}/messages?page=0"), "page"),
        (format!("/conversation/{id}/messages?page=-1"), "page"),
        (format!("/conversation/{id}/messages?page=x"), "page"),
        (format!("/conversation/{id}/messages?limit=0"), "limit"),
        (format!("/conversation/{id}/messages?limit=1.5"), "limit"),
        ("/conversations?status=nonsense".to_owned(), "status"),
        ("/conversations?type=nonsense".to_owned(), "type"),
        ("/conversations?page=99999999999".to_owned(), "page"),
        ("/conversation/nonsense".to_owned(), "conversationId"),
        ("/conversation/support_general".to_owned(), "conversationId"),
        (format!("/conversation/{}/messages", id.replace('-', "")), "conversationId"),
    ] {
        let answer = admin.get(&path).await;
        assert_eq!((answer.status, answer.fields()), (400, vec![field]), "{path}");
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    for path in [
        "/conversation/550e8400-e29b-41d4-a716-446655440000",
        "/conversation/550e8400-e29b-41d4-a716-446655440000/messages",
    ] {
        let unknown = admin.get(path).await;
        assert_eq!((unknown.status, unknown.fields()), (404, vec!["conversationId"]));
    }
    app.finish([]).await;
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_this_documents_voice() {
    let app = TestApp::start().await;
    for (method, path) in [
        ("GET", ""),
        ("GET", "/nothing"),
        ("POST", "/conversation"),
        ("DELETE", "/conversation"),
        ("GET", "/conversation/guest/messages/more"),
        ("GET", "/onboarding/verify-code"),
        ("PUT", "/conversations"),
    ] {
        let api = Api::admin(&app, "eve");
        api.send(api.request(method, path)).await.refused(404);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused_where_one_is_needed() {
    for app in [TestApp::start().await, TestApp::required().await] {
        let (_, id) = Api::of(&app).guest().await;
        let before = app.writes();
        let none = r#"{"alg":"none","typ":"JWT"}"#;
        let expired = crate::support::app::token_of(
            &json!({ "sub": "alice", "exp": 1_000_000_000 }),
            std::time::Duration::ZERO,
        );
        let unsigned = format!("{}.e30.", base64_url(none));
        let other_algorithm = {
            let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
            let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS512);
            let claims = json!({ "sub": "alice", "role": "admin", "exp": 4_000_000_000_u64 });
            jsonwebtoken::encode(&header, &claims, &key).unwrap()
        };
        for token in ["nonsense", &expired, &unsigned, &other_algorithm] {
            let api = Api::of(&app).with("authorization", &format!("Bearer {token}"));
            for path in
                ["/conversation".to_owned(), "/conversations".to_owned(), format!("/conversation/{id}")]
            {
                api.get(&path).await.refused(401);
            }
            api.post("/onboarding/generate-code", &json!({})).await.refused(401);
            api.patch(&format!("/conversation/{id}"), &json!({ "status": "closed" })).await.refused(401);
        }
        for path in ["/conversation", "/conversations"] {
            Api::of(&app).get(path).await.refused(401);
        }
        assert_eq!(app.writes(), before);
        app.finish([]).await;
    }
}

fn base64_url(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn an_event_that_is_wrong_is_answered_and_changes_nothing() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    let before = app.asked().len();
    let unknown = "550e8400-e29b-41d4-a716-446655440000";
    let mut payloads: Vec<(&str, String)> = Vec::new();
    for event in ["message:send", "typing:start", "typing:stop", "conversation:join", "conversation:leave"] {
        for payload in ["{}", "null", "7", "[]", "\"x\""] {
            payloads.push((event, payload.to_owned()));
        }
        for wrong in
            [json!(null), json!(7), json!({}), json!(""), json!("nonsense"), json!("support_general")]
        {
            payloads.push((event, json!({ "conversationId": wrong, "message": "hello" }).to_string()));
        }
    }
    for wrong in [json!(null), json!(7), json!(""), json!("  "), json!({}), json!("x".repeat(32 * 1024 + 1))]
    {
        payloads.push(("message:send", json!({ "conversationId": id, "message": wrong }).to_string()));
    }
    for wrong in [json!(7), json!("nonsense"), json!("")] {
        let payload = json!({ "conversationId": id, "message": "hello", "messageType": wrong });
        payloads.push(("message:send", payload.to_string()));
    }
    for wrong in [json!(null), json!(7), json!("nonsense"), json!({}), json!(unknown)] {
        payloads.push(("message:read", json!({ "messageId": wrong }).to_string()));
    }
    payloads.push(("typing:start", json!({ "conversationId": unknown }).to_string()));
    for (event, payload) in &payloads {
        guest.emit_raw(&format!("{},{payload}", json!(event))).await;
        guest.hears_error().await;
    }
    guest.emit_raw("\"message:send\"").await;
    guest.hears_error().await;
    guest.emit("conversation:join", &json!({ "conversationId": unknown })).await;
    assert_eq!(guest.hears_error().await, "Conversation not found");
    let refused = guest.asks("message:send", &json!({ "conversationId": unknown, "message": "hello" })).await;
    assert_eq!(refused, json!({ "success": false, "error": "Conversation not found" }));
    let asked = app.asked_since(before);
    assert!(asked.iter().all(|line| line.starts_with("GET")), "{asked:?}");
    admin.hears_nothing_else().await;
    guest.finish().await;
    admin.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_message_of_somebody_elses_conversation_is_not_marked() {
    let app = TestApp::required().await;
    let id = Api::user(&app, "alice").conversation().await;
    let mut alice = Line::user(&app, "alice").await;
    alice.join(&id).await;
    alice.say(&id, "hello").await;
    let message = alice.hears("message:received").await["id"].clone();
    let before = app.writes();
    let mut mallory = Line::user(&app, "mallory").await;
    mallory.emit("message:read", &json!({ "messageId": message })).await;
    mallory.hears_error().await;
    assert_eq!(app.writes(), before);
    mallory.finish().await;
    alice.finish().await;
    app.finish([]).await;
}
