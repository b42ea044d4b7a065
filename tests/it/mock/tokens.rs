//! Access tokens: media may be reached with one, as Twilio's own media client does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use super::twilio::{Answer, Twilio};

/// A JWT by the book, HS256.
fn token(secret: &str, payload: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "HS256", "cty": "twilio-fpa;v=1"});
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&header), part(payload));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn payload(twilio: &Twilio, change: &Value) -> Value {
    let now = twilio.mock.clock().now().timestamp();
    let mut payload = json!({
        "jti": format!("{}-{now}", twilio.mock.api_key_sid()),
        "iss": twilio.mock.api_key_sid(), "sub": twilio.mock.account_sid(), "nbf": now, "exp": now + 3600,
        "grants": {"identity": "alice", "chat": {"service_sid": twilio.mock.service_sid()}},
    });
    for (name, value) in change.as_object().unwrap() {
        payload[name] = value.clone();
    }
    payload
}

async fn with_token(twilio: &Twilio, request: reqwest::RequestBuilder, token: &str) -> Answer {
    twilio.send(request.header("X-Twilio-Token", token)).await
}

#[tokio::test]
async fn a_token_uploads_and_fetches_media_and_nothing_else() {
    let twilio = Twilio::start().await;
    let token = token(twilio.mock.api_key_secret(), &payload(&twilio, &json!({})));
    let service = twilio.url(&format!("/v1/Services/{}", twilio.mock.service_sid()));
    let upload = twilio.http.post(format!("{service}/Media?Filename=a.png")).body(vec![1, 2, 3]);
    let media = with_token(&twilio, upload, &token).await.expect(201);
    assert_eq!(media.text("author"), "alice");
    let set = json!({"command": "get", "list": [{"media_sid": media.sid()}]});
    let set = twilio.http.post(format!("{service}/MediaSet")).json(&set);
    assert_eq!(with_token(&twilio, set, &token).await.expect(200).body[0]["code"], json!(200));
    let content = twilio.http.get(format!("{service}/Media/{}/Content", media.sid()));
    with_token(&twilio, content, &token).await.expect(200);
    let rest = twilio.http.get(twilio.url("/v1/Conversations"));
    with_token(&twilio, rest, &token).await.refused(401, 20003);
}

#[tokio::test]
async fn a_token_that_is_not_right_is_refused_with_its_reason() {
    let twilio = Twilio::start().await;
    let now = twilio.mock.clock().now().timestamp();
    let secret = twilio.mock.api_key_secret();
    let good = token(secret, &payload(&twilio, &json!({})));
    let changed = |change: Value| token(secret, &payload(&twilio, &change));
    let cases = [
        ("not a token".to_owned(), 20101),
        (format!("{good}x."), 20101),
        (good.replacen("ey", "xx", 1), 20102),
        (changed(json!({"iss": "SK00000000000000000000000000000009"})), 20103),
        (changed(json!({"sub": "AC00000000000000000000000000000009"})), 20103),
        (token("another secret", &payload(&twilio, &json!({}))), 20107),
        (changed(json!({"exp": now - 1})), 20104),
        (changed(json!({"nbf": now + 60})), 20105),
        (changed(json!({"exp": now + 90_000})), 20157),
        (changed(json!({"grants": {"identity": "alice"}})), 20106),
        (changed(json!({"grants": {"chat": {}}})), 20106),
    ];
    let path = format!("/v1/Services/{}/Media/ME00000000000000000000000000000001", twilio.mock.service_sid());
    for (token, code) in cases {
        let request = twilio.http.get(twilio.url(&path));
        with_token(&twilio, request, &token).await.refused(401, code);
    }
    let request = twilio.http.get(twilio.url(&path));
    with_token(&twilio, request, &good).await.refused(404, 20404);
    twilio.mock.clock().advance(std::time::Duration::from_secs(3601));
    let request = twilio.http.get(twilio.url(&path));
    with_token(&twilio, request, &good).await.refused(401, 20104);
}
