//! The limits of one address, and which address that is.

use serde_json::{Value, json};
use switchboard::config::Config;

use super::{VOICES, ask, assert_refused, optional, required, some, status};
use crate::support::app::{API_KEY, token};
use crate::support::{TestApp, soon};
use crate::support_dialect::{Api, Line, admin_token};

/// Behind a proxy on this machine.
fn behind_proxy() -> Config {
    Config { trusted_proxies: some("127.0.0.0/8"), ..Config::default() }
}

async fn refused_from(app: &TestApp, forwarded: &str) -> bool {
    status(app, "GET", "/users/me", &[("x-forwarded-for", forwarded)]).await == 429
}

#[tokio::test]
async fn the_request_after_the_last_of_an_address_is_refused_in_each_dialects_voice() {
    let settings = Config { limit_requests_per_address: some("1/m burst 3"), ..behind_proxy() };
    let app = optional(settings).await;
    for (place, (dialect, method, path)) in VOICES.iter().enumerate() {
        let from = format!("192.0.2.{place}");
        for _ in 0..3 {
            assert_ne!(status(&app, method, path, &[("x-forwarded-for", &from)]).await, 429, "{dialect}");
        }
        assert_refused(dialect, ask(&app, method, path, &[("x-forwarded-for", &from)]).await).await;
        let neighbour = format!("192.0.2.{}", place + 100);
        assert_ne!(status(&app, method, path, &[("x-forwarded-for", &neighbour)]).await, 429, "{dialect}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_no_dialects_is_refused_in_plain_words_and_machines_are_not_counted() {
    let settings = Config { limit_requests_per_address: some("1/m burst 3"), ..Config::default() };
    let app = optional(settings).await;
    let polling = "/socket.io/?EIO=4&transport=polling";
    for _ in 0..3 {
        assert_eq!(status(&app, "GET", polling, &[]).await, 200);
    }
    for path in [polling, "/nothing", "/"] {
        let answer = ask(&app, "GET", path, &[]).await;
        assert_eq!(answer.status(), 429, "{path}");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
        assert_eq!(answer.text().await.unwrap(), "too many requests\n", "{path}");
    }
    for _ in 0..5 {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(status(&app, "GET", path, &[]).await, 200, "{path}");
        }
        assert_eq!(status(&app, "POST", "/webhooks/twilio", &[]).await, 403, "without a signature");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_gets_another_budget_by_claiming_another_address() {
    let limit = some("1/m burst 10");
    let direct = optional(Config { limit_requests_per_address: limit.clone(), ..Config::default() }).await;
    let mut refused = 0;
    for n in 0..12 {
        refused += usize::from(refused_from(&direct, &format!("198.51.100.{n}")).await);
    }
    assert_eq!(refused, 2, "no proxy is trusted");
    direct.finish([]).await;

    let proxied = optional(Config { limit_requests_per_address: limit, ..behind_proxy() }).await;
    let mut refused = 0;
    for n in 0..12 {
        refused += usize::from(refused_from(&proxied, &format!("198.51.100.{n}, 192.0.2.1")).await);
    }
    assert_eq!(refused, 2, "what the client wrote itself");
    let mut refused = 0;
    for n in 0..12 {
        refused += usize::from(refused_from(&proxied, &format!("2001:db8:1:2:{n}::{n}")).await);
    }
    assert_eq!(refused, 2, "one household of IPv6");
    assert!(!refused_from(&proxied, "2001:db8:1:3::1").await, "its neighbour");
    proxied.finish([]).await;
}

#[tokio::test]
async fn an_address_that_guesses_tokens_is_not_told_any_more_whether_one_holds() {
    let settings = Config { limit_wrong_tokens: some("1/m burst 5"), ..behind_proxy() };
    let app = required(settings).await;
    let here = ("x-forwarded-for", "192.0.2.1");
    let wrong_key = [here, ("x-api-key", "not-the-key-of-the-back-end")];
    for (dialect, method, path) in VOICES {
        // Two ways of guessing, one budget; what the support dialect takes from nobody is a guess all the same.
        assert_eq!(status(&app, method, path, &wrong_key).await, 401, "{dialect}");
    }
    let right = format!("Bearer {}", token("alice"));
    for headers in [
        [here, ("authorization", "Bearer a.b.c")],
        [here, ("authorization", &right)],
        [here, ("x-api-key", API_KEY)],
    ] {
        for (dialect, method, path) in VOICES {
            assert_refused(dialect, ask(&app, method, path, &headers).await).await;
        }
    }
    let file = format!("/media/ME{}", "0".repeat(32));
    let bearing = [here, ("authorization", right.as_str())];
    assert_eq!(status(&app, "GET", &file, &bearing).await, 429, "links to files are no other door");
    let elsewhere = [("x-forwarded-for", "192.0.2.2"), ("authorization", right.as_str())];
    assert_eq!(status(&app, "GET", "/users/me", &elsewhere).await, 200);
    assert_eq!(status(&app, "GET", "/users/me", &[here]).await, 401, "no token is no guess");
    app.finish([]).await;
}

#[tokio::test]
async fn an_address_that_forges_webhooks_is_not_read_any_more_and_twilio_is() {
    let app = optional(Config { limit_wrong_tokens: some("1/m burst 3"), ..behind_proxy() }).await;
    let forge = async |from: &str| ask(&app, "POST", "/webhooks/twilio", &[("x-forwarded-for", from)]).await;
    for _ in 0..3 {
        assert_eq!(forge("192.0.2.1").await.status(), 403);
    }
    let refused = forge("192.0.2.1").await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(forge("192.0.2.2").await.status(), 403, "another address");
    let wrong = [("x-forwarded-for", "192.0.2.1"), ("authorization", "Bearer a.b.c")];
    assert_eq!(status(&app, "GET", "/users/me", &wrong).await, 401, "tokens are counted for themselves");
    let conversation = app.conversation(&["alice", "bob"]).await;
    for _ in 0..5 {
        app.rest().say(&conversation, "alice", "hello").await;
    }
    app.told("onMessageAdded", 5).await;
    app.finish([]).await;
}

#[tokio::test]
async fn figures_are_told_to_whoever_has_the_key_and_not_all_the_time() {
    let key = "the-key-of-prometheus";
    let settings = Config {
        metrics_key: Some(key.into()),
        limit_requests_per_address: some("1/m burst 1000"),
        ..Config::default()
    };
    let app = optional(settings).await;
    let wrong = format!("Bearer {key}s");
    for headers in
        [&[][..], &[("authorization", &*wrong)], &[("authorization", key)], &[("x-api-key", API_KEY)]]
    {
        let refused = ask(&app, "GET", "/metrics", headers).await;
        assert_eq!(refused.status(), 401, "{headers:?}");
        assert_eq!(refused.text().await.unwrap(), "METRICS_KEY is needed\n");
    }
    let right = format!("Bearer {key}");
    let told = ask(&app, "GET", "/metrics", &[("authorization", &right)]).await;
    assert_eq!(told.status(), 200);
    assert!(told.text().await.unwrap().contains("switchboard_"));
    let mut looks = 0;
    while status(&app, "GET", "/metrics", &[]).await != 429 {
        looks += 1;
        assert!(looks < 1000);
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&app, "GET", path, &[]).await, 200, "{path}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn sizes_and_tries_can_be_lowered() {
    let settings = Config {
        limit_json_bytes: some("1024"),
        limit_webhook_bytes: some("16384"),
        limit_code_tries_per_address: some("2"),
        ..Config::default()
    };
    let app = optional(settings).await;
    for (path, most) in [("/api/conversations/create", 1024), ("/webhooks/twilio", 16_384)] {
        for (bytes, too_large) in [(most, false), (most + 1, true)] {
            let answer = post(&app, path, "x".repeat(bytes)).await;
            assert_eq!(answer == 413, too_large, "{path}: {answer} for {bytes}");
        }
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        let tried = Api::of(&app).post("/onboarding/verify-code", &json!({ "code": "000000" })).await;
        answers.push(tried.status);
    }
    assert_eq!(answers, [200, 200, 429]);
    app.finish([]).await;
}

#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn post(app: &TestApp, path: &str, body: String) -> u16 {
    let request = app.http.post(format!("http://{}{path}", app.address)).body(body);
    let request = request.header("content-type", "application/json");
    soon(path, request.send()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn tries_of_codes_are_counted_for_the_client_not_for_the_proxy() {
    let app = optional(behind_proxy()).await;
    let guest = "guest_1_abcdefgh";
    let code = async |code: &str, from: &str| {
        let api = Api::of(&app).with("x-forwarded-for", from);
        api.post("/onboarding/verify-code", &json!({ "code": code })).await
    };
    let issued = Api::of(&app)
        .with("authorization", &format!("Bearer {}", admin_token("ann")))
        .post("/onboarding/generate-code", &json!({ "guestId": guest }))
        .await;
    let right: &Value = &issued.body["data"]["code"];
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let mut answers = Vec::new();
    for n in 0..11 {
        answers.push(code(wrong, &format!("198.51.100.{n}, 192.0.2.1")).await.status);
    }
    assert_eq!(answers[..10], [200; 10], "{answers:?}");
    assert_eq!(answers[10], 429, "{answers:?}");
    assert_eq!(code(wrong, "192.0.2.2").await.status, 200, "another client of the same proxy");
    app.finish([]).await;
}

#[tokio::test]
async fn an_address_brings_only_so_many_new_guests() {
    let settings = || Config { limit_guests: some("1/m burst 3"), ..behind_proxy() };
    for app in [optional(settings()).await, required(settings()).await] {
        let from = |address: &str| Api::of(&app).with("x-forwarded-for", address);
        let here = from("192.0.2.1");
        let (first, id) = here.guest().await;
        for own in ["a-chosen-id-1", "a-chosen-id-2"] {
            here.post("/conversation/guest", &json!({ "guestId": own })).await.ok();
        }
        let before = app.asked().len();
        for body in [json!({}), json!({ "guestId": "a-chosen-id-3" })] {
            let refused = here.post("/conversation/guest", &body).await;
            refused.refused(429);
            assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
        }
        assert_eq!(app.asked_since(before), [""; 0]);
        // Whoever was here before goes on, and so does everybody else.
        let again = here.post("/conversation/guest", &json!({ "guestId": first })).await.ok();
        assert_eq!(again["conversation"]["id"], id);
        from("192.0.2.2").guest().await;
        app.finish([]).await;
    }
}

#[tokio::test]
async fn new_guests_by_socket_count_too() {
    let app = optional(Config { limit_guests: some("1/m burst 2"), ..Config::default() }).await;
    let (guest_id, _) = Api::of(&app).guest().await;
    let (line, _) = Line::open(&app, "guest", json!({})).await;
    assert!(Line::knock(&app, "guest", json!({})).await.is_err());
    Api::of(&app).post("/conversation/guest", &json!({})).await.refused(429);
    Line::guest(&app, &guest_id).await.finish().await;
    line.finish().await;
    app.finish([]).await;
}
