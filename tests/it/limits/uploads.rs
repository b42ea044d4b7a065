//! The limit of one person's files on their way in.

use reqwest::multipart::{Form, Part};
use switchboard::config::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{assert_refused, optional, required, some};
use crate::files::{PNG, client, file};
use crate::support::app::{API_KEY, token};
use crate::support::{TestApp, soon, until};
use crate::support_dialect::Api;

/// A connection on which an upload has begun, with this header.
async fn begun(app: &TestApp, header: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let begin = format!(
        "POST /api/upload/image HTTP/1.1\r\nhost: switchboard\r\ncontent-length: 100000\r\n{header}\
         content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    );
    stream.write_all(begin.as_bytes()).await.unwrap();
    stream
}

#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn upload(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let request = client().post(format!("http://{}{path}", app.address));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let part: Part = file(PNG);
    soon("an answer", request.multipart(Form::new().part("file", part)).send()).await.unwrap()
}

/// Waits until another upload is refused, which is once the first has its place.
async fn refused(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    until("a refusal", || async {
        let answer = upload(app, path, headers).await;
        (answer.status() == 429).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn one_person_too_many_files_at_once_are_refused_in_each_documents_voice() {
    let app = required(Config { limit_uploads: some("1"), ..Config::default() }).await;
    let bearer = |identity: &str| format!("Bearer {}", token(identity));
    let (alice, bob) = (bearer("alice"), bearer("bob"));
    let first = begun(&app, &format!("authorization: {alice}\r\n")).await;
    for (dialect, path) in [
        ("conversations", "/api/upload/image"),
        ("chat", "/api/chat/upload/"),
        ("support", "/api/support/upload"),
    ] {
        let answer = refused(&app, path, &[("authorization", &alice)]).await;
        assert_refused(dialect, answer).await;
    }
    for others in [("authorization", bob.as_str()), ("x-api-key", API_KEY)] {
        assert_eq!(upload(&app, "/api/upload/image", &[others]).await.status(), 200);
    }
    drop(first);
    until("room again", || async {
        let answer = upload(&app, "/api/upload/image", &[("authorization", &alice)]).await;
        (answer.status() == 200).then_some(())
    })
    .await;
    app.finish([]).await;
}

#[tokio::test]
async fn who_says_nothing_about_themselves_is_counted_by_address() {
    let app = optional(Config { limit_uploads: some("1"), ..Config::default() }).await;
    let first = begun(&app, "").await;
    assert_refused("conversations", refused(&app, "/api/upload/image", &[]).await).await;
    // A guest's id is anybody's to make up.
    let (guest, conversation) = Api::of(&app).guest().await;
    let path = format!("/api/support/upload?conversationId={conversation}");
    let headers = [("x-guest-id", &*guest)];
    assert_refused("support", refused(&app, &path, &headers).await).await;
    let known = [("authorization", &*format!("Bearer {}", token("alice")))];
    assert_eq!(upload(&app, "/api/upload/image", &known).await.status(), 200);
    drop(first);
    app.finish([]).await;
}
