//! What is refused before its body has come: the refusal arrives even at those who read only once they have sent everything.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PNG;
use super::uploads::{doors, early_answer, told};
use crate::support::{TestApp, soon};

const MIB: usize = 1024 * 1024;

/// The head of a part that is a file.
const FILE: &str = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n";

/// The answer to an upload of so many bytes, of which `first` are the first and the rest letters. All are sent before anything is
/// read.
async fn answer_after_all(
    app: &TestApp,
    path: &str,
    more: &str,
    first: &[u8],
    bytes: usize,
) -> (String, Value) {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: switchboard\r\ncontent-length: {bytes}\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    soon("the end of the body", async {
        stream.write_all(first).await.unwrap();
        let piece = vec![b'x'; MIB];
        let mut left = bytes - first.len();
        while left > 0 {
            let some = left.min(MIB);
            stream.write_all(&piece[..some]).await.unwrap();
            left -= some;
        }
    })
    .await;
    let answer = soon("an answer", early_answer(&mut stream)).await;
    // All of it was read: the connection is as good as before.
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: switchboard\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut next = String::new();
    soon("another answer", stream.read_to_string(&mut next)).await.unwrap();
    assert!(next.starts_with("HTTP/1.1 200"), "{next}");
    answer
}

const MULTIPART: &str = "content-type: multipart/form-data; boundary=x\r\n";

#[tokio::test]
async fn who_sends_far_too_much_sees_why_it_was_refused() {
    let app = TestApp::start().await;
    for path in doors(&app).await {
        let (status, body) = answer_after_all(&app, &path, MULTIPART, FILE.as_bytes(), 60 * MIB).await;
        assert_eq!((status.as_str(), told(&body)), ("413", "the request is too large"), "{path}: {body}");
    }
    let (status, body) =
        answer_after_all(&app, "/api/upload/image", MULTIPART, FILE.as_bytes(), 200 * MIB).await;
    assert_eq!((status.as_str(), &body["status"]), ("413", &Value::from(413)));
    assert_eq!(app.asked().iter().filter(|asked| asked.path.ends_with("/Media")).count(), 0);
    app.finish([]).await;
}

#[tokio::test]
async fn who_does_not_say_how_much_it_is_sees_so_when_it_is_too_much() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST /api/upload/image HTTP/1.1\r\nhost: switchboard\r\ntransfer-encoding: chunked\r\n{MULTIPART}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let file = [FILE.as_bytes(), PNG].concat();
    for piece in std::iter::once(file).chain(std::iter::repeat_n(vec![0; MIB], 40)) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        soon("a piece", stream.write_all(&chunk)).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let (status, body) = soon("an answer", early_answer(&mut stream)).await;
    assert_eq!((status.as_str(), told(&body)), ("413", "the request is too large"));
    assert_eq!(app.writes(), 0);
    app.finish([]).await;
}

#[tokio::test]
async fn who_may_not_or_sends_no_form_sees_so_too() {
    let app = TestApp::required().await;
    for path in ["/api/upload/image", "/api/chat/upload/"] {
        let (status, body) = answer_after_all(&app, path, MULTIPART, b"", 60 * MIB).await;
        assert_eq!(status, "401", "{path}: {body}");
        told(&body);
    }
    app.finish([]).await;
    let app = TestApp::start().await;
    for (path, status) in
        [("/api/upload/audio", "415"), ("/api/chat/upload/", "415"), ("/api/nothing", "404")]
    {
        let (answered, body) =
            answer_after_all(&app, path, "content-type: application/json\r\n", b"", 60 * MIB).await;
        assert_eq!(answered, status, "{path}: {body}");
        told(&body);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn what_stands_around_the_fields_has_an_end() {
    let app = TestApp::start().await;
    let end = [FILE.as_bytes(), PNG, b"\r\n--x--\r\n"].concat();
    let bodies: [(&str, &[u8]); 3] = [
        ("before the first field", b"a preamble: "),
        ("in a field's head", b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\""),
        ("after the last field", &end),
    ];
    for path in doors(&app).await {
        for (what, first) in bodies {
            let (status, body) = answer_after_all(&app, &path, MULTIPART, first, 15 * MIB).await;
            assert_eq!((status.as_str(), told(&body)), ("413", "the request is too large"), "{path}: {what}");
        }
    }
    assert_eq!(app.asked().iter().filter(|asked| asked.path.ends_with("/Media")).count(), 0);
    app.finish([]).await;
}

#[tokio::test]
async fn who_asks_first_need_not_send_anything() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST /api/upload/image HTTP/1.1\r\nhost: switchboard\r\ncontent-length: {}\r\nexpect: 100-continue\r\n{MULTIPART}\r\n",
        200 * MIB
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    app.finish([]).await;
}
