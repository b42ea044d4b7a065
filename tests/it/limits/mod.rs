//! What one person, one address and foreign pages may not do: refused in the voice of whoever's path it is, told when to
//! come back, and nobody else notices. The limits of connections are in `connections.rs`.

mod addresses;
mod browsers;
mod people;
mod slowness;
mod uploads;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use switchboard::config::Config;

use crate::support::app::Stage;
use crate::support::{TestApp, assert_readable, soon};

/// A request of each dialect that any person may make, and its refusal.
const VOICES: &[(&str, &str, &str)] = &[
    ("conversations", "GET", "/api/conversations"),
    ("contacts", "POST", "/contact/add"),
    ("messaging", "GET", "/users/me"),
    ("chat", "GET", "/api/chat/conversations"),
    ("support", "GET", "/api/support/conversation"),
];

/// What `dialect` says to whoever asks too often.
fn refusal(dialect: &str, said: &Value) -> Value {
    const WORDS: &str = "too many requests";
    match dialect {
        "conversations" => json!({ "status": 429, "message": WORDS }),
        "contacts" => json!({ "status": false, "code": 429, "msg": WORDS }),
        "messaging" => json!({
            "success": false,
            "error": { "code": "RATE_LIMIT_EXCEEDED", "message": WORDS, "details": {} },
            "timestamp": said["timestamp"],
        }),
        "chat" => json!({ "success": false, "error": WORDS }),
        _ => json!({ "success": false, "message": WORDS, "errors": [] }),
    }
}

/// The service with these settings; every request needs a token.
async fn required(settings: Config) -> TestApp {
    TestApp::with(Stage { required: true, settings, ..Stage::default() }).await
}

/// The service with these settings; whoever says who they are is believed.
async fn optional(settings: Config) -> TestApp {
    TestApp::with(Stage { settings, ..Stage::default() }).await
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A request with these headers.
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn ask(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let method: Method = method.parse().unwrap();
    let request = app.http.request(method.clone(), format!("http://{}{path}", app.address));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = if method == Method::POST { request.json(&json!({})) } else { request };
    soon(path, request.send()).await.unwrap()
}

/// The status of a request with these headers.
async fn status(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    ask(app, method, path, headers).await.status().as_u16()
}

/// `answer` refuses in the words of `dialect` and says when to come back.
async fn assert_refused(dialect: &str, answer: Response) {
    assert_eq!(answer.status(), 429, "{dialect}");
    let retry_after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after), "{dialect}: {retry_after}");
    assert_eq!(answer.headers()["content-type"], "application/json", "{dialect}");
    let said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(said, refusal(dialect, &said), "{dialect}");
    assert_readable("too many requests");
}
