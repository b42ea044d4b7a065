//! Requests that do not come to their end, and requests that are not what they seem. Heads, first bytes and idle connections
//! are `connections.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{ask, status};
use crate::support::app::token;
use crate::support::{TestApp, soon};

/// What is answered to a request whose body does not come to its end.
async fn answer_to(app: &TestApp, part: &str) -> String {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let began = Instant::now();
    stream.write_all(part.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
    answer
}

#[tokio::test]
async fn part_of_a_body_is_not_waited_for() {
    let app = TestApp::start().await;
    let opened = ask(&app, "GET", "/socket.io/?EIO=4&transport=polling", &[]).await.text().await.unwrap();
    let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
    let polling = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: switchboard\r\nconnection: close\r\n\
         content-length: 100\r\n\r\n40",
        opened["sid"].as_str().unwrap()
    );
    let rest = "POST /api/conversations/create HTTP/1.1\r\nhost: switchboard\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"participants\":";
    let (answer, refused) = tokio::join!(answer_to(&app, rest), answer_to(&app, &polling));
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    assert!(body["message"].is_string() && body["status"].is_u64(), "{body}");
    app.finish([]).await;
}

#[tokio::test]
async fn a_request_is_what_its_first_line_says() {
    let app = TestApp::required().await;
    let alice = format!("Bearer {}", token("alice"));
    let conversation = app.conversation(&["alice", "bob"]).await;
    let path = format!("/api/conversations/{conversation}");
    let overrides = [
        ("authorization", alice.as_str()),
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-original-url", "/healthz"),
        ("x-rewrite-url", "/healthz"),
    ];
    assert_eq!(status(&app, "POST", &format!("{path}?_method=DELETE"), &overrides).await, 404);
    assert_eq!(app.rest_as("alice").get(&format!("/{conversation}/messages")).await.ok(), json!([]));
    for (odd, expected) in [
        (format!("/api/conversations%2F{conversation}%2Fmessages"), 404),
        (format!("/api//conversations/{conversation}/messages"), 404),
        (format!("/API/conversations/{conversation}/messages"), 404),
        (format!("/api/conversations/{conversation};x=1/messages"), 400),
        (format!("/api/conversations/{conversation}%00/messages"), 400),
    ] {
        let answer = ask(&app, "GET", &odd, &[("authorization", &alice)]).await;
        assert_eq!(answer.status().as_u16(), expected, "{odd}");
    }
    app.finish([]).await;
}
