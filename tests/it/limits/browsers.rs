//! What browsers are told, and what pages of strangers may not do.

use serde_json::{Value, json};
use switchboard::config::Config;

use super::{ask, optional, required, some, status};
use crate::support::TestApp;
use crate::support::app::Stage;

const APP: &str = "https://app.example.com";
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn for_app_alone() -> TestApp {
    optional(Config { cors_origins: some(APP), ..Config::default() }).await
}

/// Origins that are not [`APP`], however near they look.
const STRANGERS: [&str; 9] = [
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://evil.example/https://app.example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://APP.example.com.",
    "https://sub.app.example.com",
    "null",
    "",
];

#[tokio::test]
async fn pages_of_strangers_open_no_socket_whichever_way() {
    let app = for_app_alone().await;
    let own = format!("http://{}", app.address);
    let websocket = "/socket.io/?EIO=4&transport=websocket";
    let raw = "/ws/chat/CH00000000000000000000000000000001/";
    for origin in STRANGERS {
        assert_eq!(status(&app, "GET", POLLING, &[("origin", origin)]).await, 403, "{origin:?} polls");
        assert_eq!(status(&app, "POST", POLLING, &[("origin", origin)]).await, 403, "{origin:?} posts");
        for path in [websocket, raw] {
            let headers = [&UPGRADE[..], &[("origin", origin)]].concat();
            assert_eq!(status(&app, "GET", path, &headers).await, 403, "{origin:?} upgrades {path}");
        }
    }
    for origin in [APP, &own] {
        assert_eq!(status(&app, "GET", POLLING, &[("origin", origin)]).await, 200, "{origin:?}");
        for path in [websocket, raw] {
            let headers = [&UPGRADE[..], &[("origin", origin)]].concat();
            assert_eq!(status(&app, "GET", path, &headers).await, 101, "{origin:?} upgrades {path}");
        }
    }
    assert_eq!(status(&app, "GET", POLLING, &[]).await, 200, "no page at all");
}

/// What a request is answered that a browser at `host` makes for a page of `origin`.
async fn as_page(app: &TestApp, method: &str, path: &str, origin: Option<&str>, host: &str) -> u16 {
    let origin = origin.map(|origin| ("origin", origin));
    let headers: Vec<_> = origin.into_iter().chain([("host", host)]).collect();
    status(app, method, path, &headers).await
}

#[tokio::test]
async fn nobody_is_believed_under_a_strangers_name_for_this_machine() {
    let stage = Stage {
        public_url: Some("http://chat.test:8080"),
        silent: true,
        settings: Config { cors_origins: some(APP), ..Config::default() },
        ..Stage::default()
    };
    let app = TestApp::with(stage.clone()).await;
    let port = app.address.port();
    let at = |name: &str| format!("{name}:{port}");
    for name in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil-chat.test", "chat.test."]
    {
        let (host, origin) = (at(name), format!("http://{name}:{port}"));
        for path in ["/api/conversations", "/api/chat/conversations", "/", "/nothing", POLLING] {
            assert_eq!(as_page(&app, "GET", path, None, &host).await, 403, "{path} at {host}");
            assert_eq!(as_page(&app, "GET", path, Some(&origin), &host).await, 403, "{path} at {host}");
        }
        assert_eq!(as_page(&app, "POST", "/api/upload/image", Some(&origin), &host).await, 403, "{host}");
        // Machines ask by whatever name they have.
        assert_eq!(as_page(&app, "GET", "/healthz", None, &host).await, 200, "{host}");
    }
    let refused = ask(&app, "GET", "/api/conversations", &[("host", "evil.example")]).await;
    assert_eq!(refused.headers()["content-type"], "application/json", "in the dialect's voice");
    for name in [
        "localhost",
        "LOCALHOST",
        "app.localhost",
        "127.0.0.1",
        "[::1]",
        "192.0.2.1",
        "switchboard",
        "chat.test",
    ] {
        for host in [name.to_owned(), at(name)] {
            assert_eq!(as_page(&app, "GET", POLLING, None, &host).await, 200, "{host}");
        }
    }

    let proven = TestApp::with(Stage { required: true, ..stage }).await;
    assert_eq!(as_page(&proven, "GET", POLLING, None, "behind-a-proxy").await, 200, "tokens are needed");
    proven.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn pages_of_strangers_write_nothing_where_anybody_is_believed() {
    let app = for_app_alone().await;
    let own = format!("http://{}", app.address);
    let create = "/api/conversations/create";
    for origin in STRANGERS {
        for (method, path) in [("POST", create), ("POST", "/api/upload/image"), ("DELETE", "/nothing")] {
            assert_eq!(status(&app, method, path, &[("origin", origin)]).await, 403, "{origin:?} at {path}");
        }
    }
    for origin in [&[("origin", APP)][..], &[("origin", &own)], &[]] {
        assert_ne!(status(&app, "POST", create, origin).await, 403, "{origin:?}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn only_allowed_origins_may_read_and_none_brings_cookies() {
    let app = for_app_alone().await;
    let preflight =
        [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
    for (method, path) in [("GET", "/api/conversations"), ("OPTIONS", "/api/conversations"), ("GET", POLLING)]
    {
        let with = |origin| [&preflight[..], &[("origin", origin)]].concat();
        let allowed = ask(&app, method, path, &with(APP)).await;
        assert_eq!(allowed.headers()["access-control-allow-origin"], APP, "{method} {path}");
        let strangers = if path == POLLING { &STRANGERS[..0] } else { &STRANGERS };
        for origin in strangers {
            let refused = ask(&app, method, path, &with(origin)).await;
            let told = refused.headers().get("access-control-allow-origin");
            assert_eq!(told, None, "{method} {path} of {origin:?}");
            assert!(varies_by_origin(&refused), "{method} {path} of {origin:?}");
        }
        assert!(varies_by_origin(&allowed), "{method} {path}");
        assert_eq!(allowed.headers().get("access-control-allow-credentials"), None, "{method} {path}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn where_anybody_may_call_they_bring_no_cookies_either() {
    let app = required(Config { cors_origins: some("*"), ..Config::default() }).await;
    let answer = ask(&app, "GET", "/users/me", &[("origin", "https://evil.example")]).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://evil.example");
    assert_eq!(answer.headers().get("access-control-allow-credentials"), None);
    assert!(varies_by_origin(&answer));
    app.finish([]).await;
}

#[tokio::test]
async fn a_page_may_read_that_it_asks_too_often() {
    let settings = Config {
        cors_origins: some(APP),
        limit_requests_per_address: some("1/m burst 1"),
        ..Config::default()
    };
    let app = optional(settings).await;
    for expected in [401, 429] {
        let answer = ask(&app, "GET", "/users/me", &[("origin", APP)]).await;
        assert_eq!(answer.status(), expected);
        assert_eq!(answer.headers()["access-control-allow-origin"], APP);
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("retry-after"), "{exposed}");
    }
    app.finish([]).await;
}

fn varies_by_origin(answer: &reqwest::Response) -> bool {
    let vary = answer.headers().get_all("vary").iter().filter_map(|value| value.to_str().ok());
    vary.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

#[tokio::test]
async fn every_answer_tells_browsers_to_take_it_for_what_it_is() {
    let app = TestApp::start().await;
    for path in
        ["/", "/start.js", "/support/widget.js", "/healthz", "/api/conversations", "/nothing", POLLING]
    {
        let answer = ask(&app, "GET", path, &[]).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-inline") && !policy.contains('*'), "{path}: {policy}");
        assert_eq!(answer.headers().get("strict-transport-security"), None, "{path}: over http://");
    }
    let widget = ask(&app, "GET", "/support/widget.js", &[("origin", "https://shop.example")]).await;
    assert_eq!(widget.headers()["cross-origin-resource-policy"], "cross-origin");
    app.finish([]).await;
}

#[tokio::test]
async fn browsers_stay_with_https_where_the_service_is_reached_so() {
    let stage = Stage { public_url: Some("https://chat.example.com"), silent: true, ..Stage::default() };
    let app = TestApp::with(stage).await;
    for path in ["/", "/users/me", "/nothing"] {
        let answer = ask(&app, "GET", path, &[]).await;
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000", "{path}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn whether_tokens_are_needed_is_told() {
    for (app, mode) in [(TestApp::start().await, "optional"), (TestApp::required().await, "required")] {
        let told = ask(&app, "GET", "/healthz", &[]).await;
        assert_eq!(told.headers()["content-type"], "application/json");
        let told: Value = serde_json::from_str(&told.text().await.unwrap()).unwrap();
        assert_eq!(told, json!({ "status": "ok", "auth_mode": mode }));
        app.finish([]).await;
    }
}
