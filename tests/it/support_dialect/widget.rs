//! The widget's files.
#![expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]

use crate::support::TestApp;

#[tokio::test]
async fn the_widget_and_its_socket_client_are_served_to_pages_of_any_origin() {
    let app = TestApp::required().await;
    for (path, says) in
        [("/support/widget.js", "textContent"), ("/support/socket.io.js", "Released under the MIT License")]
    {
        let answer = app.http.get(format!("http://{}{path}", app.address)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cross-origin-resource-policy"), "cross-origin");
        let text = answer.text().await.unwrap();
        assert!(text.contains(says), "{path}");
    }
    app.finish([]).await;
}

#[test]
fn the_widget_shows_text_as_text() {
    let source = include_str!("../../../web/widget.js");
    for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
        assert!(!source.contains(way), "{way}");
    }
}
