//! One-time codes: given out by admins, told to their person alone, used once, guessed in vain.

use std::collections::HashSet;

use serde_json::{Value, json};
use switchboard::config::Config;

use super::{Api, Line};
use crate::support::TestApp;
use crate::support::app::{Stage, token_of};

const ISSUE: &str = "/onboarding/generate-code";
const VERIFY: &str = "/onboarding/verify-code";

async fn issue(app: &TestApp, body: &Value) -> String {
    Api::admin(app, "eve").post(ISSUE, body).await.ok()["code"].as_str().unwrap().to_owned()
}

async fn verify(app: &TestApp, body: &Value) -> Value {
    let answer = Api::of(app).post(VERIFY, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn wrong() -> Value {
    json!({ "success": false, "message": "Invalid or expired code" })
}

/// Another code than this one.
fn not(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn a_code_is_told_to_its_person_alone_and_never_to_twilio() {
    let app = TestApp::required().await;
    let (guest_id, id) = Api::of(&app).guest().await;
    let mut guest = Line::guest(&app, &guest_id).await;
    guest.join(&id).await;
    let mut admin = Line::admin(&app, "eve").await;
    let mut other = Line::user(&app, "alice").await;
    let before = app.asked().len();
    let code = issue(&app, &json!({ "conversationId": id })).await;
    let told = guest.hears("message:received").await;
    assert_eq!(
        (
            &told["message"],
            &told["messageType"],
            &told["senderType"],
            &told["guestId"],
            &told["conversationId"]
        ),
        (&json!(code), &json!("auth_code"), &json!("system"), &json!(guest_id), &json!(id))
    );
    admin.hears_nothing_else().await;
    other.hears_nothing_else().await;
    assert_eq!(app.asked_since(before), [""; 0]);
    assert!(Api::of(&app).history(&id).await.is_empty());
    for line in [guest, admin, other] {
        line.finish().await;
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_code_is_used_once_also_after_a_restart() {
    let mut app = TestApp::required().await;
    let code = issue(&app, &json!({ "userId": "alice" })).await;
    app.restart().await;
    let used = verify(&app, &json!({ "code": code, "userId": "alice" })).await;
    assert_eq!((&used["success"], &used["data"]["userId"]), (&json!(true), &json!("alice")));
    assert_eq!(verify(&app, &json!({ "code": code, "userId": "alice" })).await, wrong());
    // A token says who it is as well as the body.
    let code = issue(&app, &json!({ "userId": "alice" })).await;
    let answer = Api::user(&app, "alice").post(VERIFY, &json!({ "code": code })).await.ok();
    assert_eq!(answer["userId"], "alice");
    app.finish([]).await;
}

#[tokio::test]
async fn of_twenty_at_once_one_uses_it() {
    let app = TestApp::start().await;
    // For nobody: so that only the address limits it. Ten at a time are let through.
    let code = issue(&app, &json!({})).await;
    let body = json!({ "code": code });
    let tries = (0..20).map(|_| async { Api::of(&app).post(VERIFY, &body).await });
    let answers = futures::future::join_all(tries).await;
    let right = answers.iter().filter(|answer| answer.body["success"] == true).count();
    assert_eq!(right, 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 429));
    app.finish([]).await;
}

#[tokio::test]
async fn a_code_is_somebodys() {
    let app = TestApp::start().await;
    let (guest_id, _) = Api::of(&app).guest().await;
    let code = issue(&app, &json!({ "guestId": guest_id })).await;
    for body in [
        json!({ "code": code, "userId": "alice" }),
        json!({ "code": code, "userId": guest_id }),
        json!({ "code": code, "guestId": "guest_1234567890_abc123" }),
        json!({ "code": code }),
        json!({ "code": not(&code), "guestId": guest_id }),
    ] {
        assert_eq!(verify(&app, &body).await, wrong(), "{body}");
    }
    let used = verify(&app, &json!({ "code": code, "guestId": guest_id })).await;
    assert_eq!(used["data"]["guestId"], guest_id);
    assert_eq!(used["data"].get("userId"), None);
    app.finish([]).await;
}

#[tokio::test]
async fn guessing_ends_soon() {
    let app = TestApp::start().await;
    let code = issue(&app, &json!({ "userId": "alice" })).await;
    let guess = not(&code);
    for _ in 0..5 {
        assert_eq!(verify(&app, &json!({ "code": guess, "userId": "alice" })).await, wrong());
    }
    let sixth = Api::of(&app).post(VERIFY, &json!({ "code": code, "userId": "alice" })).await;
    sixth.refused(429);
    let seconds: u64 = sixth.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
    // Somebody else is not locked out by it, until the address is.
    for _ in 0..4 {
        assert_eq!(verify(&app, &json!({ "code": guess, "userId": "bob" })).await, wrong());
    }
    Api::of(&app).post(VERIFY, &json!({ "code": guess, "userId": "carol" })).await.refused(429);
    app.finish([]).await;
}

#[tokio::test]
async fn right_codes_do_not_count_as_guesses() {
    let app = TestApp::start().await;
    for _ in 0..15 {
        let code = issue(&app, &json!({ "userId": "alice" })).await;
        assert_eq!(verify(&app, &json!({ "code": code, "userId": "alice" })).await["success"], true);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn only_admins_give_codes_out() {
    let app = TestApp::start().await;
    let body = json!({ "userId": "alice" });
    Api::of(&app).post(ISSUE, &body).await.refused(401);
    Api::user(&app, "alice").post(ISSUE, &body).await.refused(403);
    let service = Api::of(&app).with("x-api-key", crate::support::app::API_KEY);
    assert_eq!(service.post(ISSUE, &body).await.status, 201);
    let of_alice = Api::user(&app, "alice").conversation().await;
    let admin = Api::admin(&app, "eve");
    let foreign = admin.post(ISSUE, &json!({ "userId": "bob", "conversationId": of_alice })).await;
    assert_eq!((foreign.status, foreign.fields()), (400, vec!["conversationId"]));
    admin
        .post(ISSUE, &json!({ "conversationId": "550e8400-e29b-41d4-a716-446655440000" }))
        .await
        .refused(404);
    app.finish([]).await;
}

#[tokio::test]
async fn codes_are_six_digits_and_differ() {
    let app = TestApp::start().await;
    let mut codes = HashSet::new();
    for _ in 0..20 {
        let code = issue(&app, &json!({ "userId": "alice" })).await;
        assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
        codes.insert(code);
    }
    assert!(codes.len() > 15, "{codes:?}");
    app.finish([]).await;
}

#[tokio::test]
async fn no_token_is_needed_but_one_that_comes_must_hold_and_names_its_holder() {
    let app = TestApp::start().await;
    let bobs = issue(&app, &json!({ "userId": "bob" })).await;
    let body = json!({ "code": bobs, "userId": "bob" });
    Api::user(&app, "alice").post(VERIFY, &body).await.refused(403);
    let expired = token_of(&json!({ "sub": "bob", "exp": 1_000_000_000 }), std::time::Duration::ZERO);
    for api in [
        Api::of(&app).with("authorization", &format!("Bearer {expired}")),
        Api::of(&app).with("authorization", "Bearer nonsense"),
        Api::of(&app).with("x-api-key", "not-the-key-of-the-back-end"),
    ] {
        api.post(VERIFY, &body).await.refused(401);
        api.post("/conversation/guest", &json!({})).await.refused(401);
    }
    // A cookie that the browser kept is no token.
    let (guest_id, _) = Api::of(&app).guest().await;
    let cookie = format!("switchboard_guest={guest_id}");
    let used = Api::of(&app).with("cookie", &cookie).post(VERIFY, &body).await.ok();
    assert_eq!(used["userId"], "bob");
    for api in [Api::admin(&app, "eve"), Api::user(&app, "bob")] {
        let again = json!({ "code": issue(&app, &json!({ "userId": "bob" })).await, "userId": "bob" });
        assert_eq!(api.post(VERIFY, &again).await.ok()["userId"], "bob");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn many_addresses_guess_no_more_than_thirty_a_minute() {
    let settings = Config { trusted_proxies: Some("127.0.0.0/8".to_owned()), ..Config::default() };
    let app = TestApp::with(Stage { settings, ..Stage::default() }).await;
    let code = issue(&app, &json!({})).await;
    let bobs = issue(&app, &json!({ "userId": "bob" })).await;
    let from = |n: usize| Api::of(&app).with("x-forwarded-for", &format!("198.51.100.{n}"));
    let mut guesses = (0..1_000_000).map(|guess| format!("{guess:06}"));
    let mut guess = || guesses.find(|guess| *guess != code && *guess != bobs).unwrap();
    for n in 0..30 {
        let answer = from(n / 5).post(VERIFY, &json!({ "code": guess() })).await;
        assert_eq!(answer.body, wrong(), "{n}");
    }
    let refused = from(100).post(VERIFY, &json!({ "code": code })).await;
    refused.refused(429);
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // Whoever has a code of their own does not suffer from it.
    let used = from(101).post(VERIFY, &json!({ "code": bobs, "userId": "bob" })).await.ok();
    assert_eq!(used["userId"], "bob");
    app.finish([]).await;
}
