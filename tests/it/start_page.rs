//! The start page: there where no token is needed, with everything it loads, and nowhere else.

use crate::support::app::TestApp;

#[tokio::test]
async fn the_start_page_and_its_files_are_there_where_no_token_is_needed() {
    let app = TestApp::start().await;
    for (path, kind) in [("/", "text/html"), ("/start.css", "text/css"), ("/start.js", "text/javascript")] {
        let answer = get(&app, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        assert!(
            answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'")
        );
        let text = answer.text().await.unwrap();
        assert!(!text.contains("innerHTML"), "{path} shows what comes in as text");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn it_is_not_there_where_tokens_are_required() {
    let app = TestApp::required().await;
    assert_eq!(get(&app, "/").await.status(), 404);
    app.finish([]).await;
}

#[expect(clippy::disallowed_methods, reason = "a plain HTTP client of the service")]
async fn get(app: &TestApp, path: &str) -> reqwest::Response {
    app.http.get(format!("http://{}{path}", app.address)).send().await.unwrap()
}
