//! Links in messages: fetched where a phone takes part, never from inside, and never for longer than a sender waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::PNG;
use crate::messaging::Messaging;
use crate::support::app::{INGESTED_FROM, Stage, token};
use crate::support::{TestApp, until};
use crate::support_dialect::{Api, Line};

/// A server on `address` that gives `body` to everybody, and how many connections it had.
async fn serving(address: &str, answer: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(&answer).await;
                // Open until the client has enough of it.
                let _ = stream.read(&mut [0; 1]).await;
            });
        }
    });
    (port, visits)
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn where_a_phone_takes_part_links_are_fetched_but_never_from_inside() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice"]).await;
    let phone = json!({ "phone_number": "+15005550199" });
    app.rest().post(&format!("/{conversation}/add-sms-participant"), &phone).await.ok();

    let (canary, touched) = serving("0.0.0.0", http("200 OK", "", PNG)).await;
    let (inner, touched_too) = serving("::1", http("200 OK", "", PNG)).await;
    let (files, _) = serving(INGESTED_FROM, http("200 OK", "content-type: text/html\r\n", PNG)).await;
    let (pages, _) =
        serving(INGESTED_FROM, http("200 OK", "content-type: image/png\r\n", b"<html></html>")).await;
    let inward = format!("location: http://127.0.0.1:{canary}/\r\n");
    let (turning, _) = serving(INGESTED_FROM, http("302 Found", &inward, b"")).await;
    let endless = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    let (huge, _) = serving(INGESTED_FROM, endless).await;
    let from = |port: u16| format!("http://{INGESTED_FROM}:{port}/cat.png?size=1");

    let good = json!({ "author": "alice", "body": "a cat", "media": [from(files)] });
    let sent = app.rest().post(&format!("/{conversation}/send-message"), &good).await.ok();
    assert_eq!((&sent["media"], &sent["warnings"]), (&good["media"], &Value::Null));
    let path = format!("/v1/Services/{}/Conversations/{conversation}/Messages", app.mock.service_sid());
    let stored = app.twilio(&path).await["messages"][0]["media"][0].clone();
    assert_eq!((&stored["content_type"], &stored["filename"]), (&json!("image/png"), &json!("cat.png")));

    let refused = [
        format!("http://127.0.0.1:{canary}/cat.png"),
        format!("http://localhost:{canary}/cat.png"),
        format!("http://[::ffff:127.0.0.1]:{canary}/cat.png"),
        format!("http://0x7f.1:{canary}/cat.png"),
        format!("http://2130706433:{canary}/cat.png"),
        format!("http://0177.0.0.1:{canary}/cat.png"),
        format!("http://0:{canary}/cat.png"),
        format!("http://localhost.:{canary}/cat.png"),
        format!("http://alice:secret@127.0.0.1:{canary}/cat.png"),
        format!("http://[::1]:{inner}/cat.png"),
        format!("http://[64:ff9b::7f00:1]:{canary}/cat.png"),
        format!("http://[64:ff9b:1::7f00:1]:{canary}/cat.png"),
        format!("http://[2002:7f00:1::]:{canary}/cat.png"),
        format!("http://169.254.169.254:{canary}/latest/meta-data/"),
        from(turning),
        from(pages),
        from(huge),
    ];
    for link in &refused {
        let message = json!({ "author": "alice", "body": "look", "media": [link] });
        let sent = app.rest().post(&format!("/{conversation}/send-message"), &message).await.ok();
        assert_eq!(sent["media"], json!([link]), "it stays a link");
        assert_eq!(sent["warnings"], json!(["media[0] could not be fetched and stays a link"]), "{link}");
    }
    for touched in [touched, touched_too] {
        assert_eq!(touched.load(Ordering::SeqCst), 0, "an internal address was connected to");
    }
    let uploads = app.asked().iter().filter(|entry| entry.path.ends_with("/Media")).count();
    assert_eq!(uploads, 1, "nothing else reached Twilio's media service");

    // Where no phone takes part, nothing is fetched at all.
    let chat = app.conversation(&["alice", "bob"]).await;
    let sent = app.rest().post(&format!("/{chat}/send-message"), &good).await.ok();
    assert_eq!(sent["warnings"], Value::Null);
    assert_eq!(app.asked().iter().filter(|entry| entry.path.ends_with("/Media")).count(), 1);
    app.finish([]).await;
}

/// The service with this `MEDIA_INGEST`.
async fn ingesting(when: &str) -> TestApp {
    let settings = Config { media_ingest: Some(when.to_owned()), ..Config::default() };
    TestApp::with(Stage { settings, ..Stage::default() }).await
}

#[tokio::test]
async fn links_are_fetched_everywhere_or_nowhere_where_it_is_set_so() {
    let (files, visits) = serving(INGESTED_FROM, http("200 OK", "", PNG)).await;
    let link = format!("http://{INGESTED_FROM}:{files}/cat.png");
    let message = json!({ "author": "alice", "body": "a cat", "media": [link] });

    let app = ingesting("always").await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let sent = app.rest().post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!((&sent["media"], &sent["warnings"]), (&message["media"], &Value::Null));
    let path = format!("/v1/Services/{}/Conversations/{conversation}/Messages", app.mock.service_sid());
    assert_eq!(app.twilio(&path).await["messages"][0]["media"][0]["content_type"], "image/png");
    assert_eq!(visits.load(Ordering::SeqCst), 1);
    app.finish([]).await;

    let app = ingesting("never").await;
    let conversation = with_a_phone(&app).await;
    let sent = app.rest().post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!((&sent["media"], &sent["warnings"]), (&message["media"], &Value::Null));
    assert!(app.asked().iter().all(|asked| !asked.path.ends_with("/Media")));
    assert_eq!(visits.load(Ordering::SeqCst), 1);
    app.finish([]).await;
}

/// A conversation of Alice and Bob in which a phone takes part.
async fn with_a_phone(app: &TestApp) -> String {
    let pair = json!({ "participants": ["alice", "bob"] });
    let made = app.rest_as("alice").post("/newconversation", &pair).await.ok();
    let conversation = made["conversation_sid"].as_str().unwrap().to_owned();
    let phone = json!({ "phone_number": "+15005550199" });
    app.rest_as("alice").post(&format!("/{conversation}/add-sms-participant"), &phone).await.ok();
    conversation
}

#[tokio::test]
async fn a_link_that_keeps_us_waiting_stays_one_before_its_sender_gives_up() {
    let app = TestApp::start().await;
    let conversation = with_a_phone(&app).await;
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n\x89PNG".to_vec();
    let (stalling, visits) = serving(INGESTED_FROM, half).await;
    let links: Vec<_> = (0..7).map(|n| format!("http://{INGESTED_FROM}:{stalling}/{n}.png")).collect();
    let message = json!({ "author": "alice", "body": "seven", "media": links });
    let path = format!("/{conversation}/send-message");
    let (rest, waited) =
        (app.rest(), until("a fetch", || async { (visits.load(Ordering::SeqCst) > 0).then_some(()) }));
    let (sent, ()) = tokio::join!(rest.post(&path, &message), async {
        waited.await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(5)).await;
        tokio::time::resume();
    });
    let sent = sent.ok();
    assert_eq!((&sent["media"], sent["warnings"].as_array().unwrap().len()), (&json!(links), 7), "{sent}");
    assert_eq!(
        app.stored(&conversation).await,
        [format!("seven\n{}", links.join("\n"))],
        "the phone gets links"
    );
    app.finish([]).await;
}

#[tokio::test]
async fn whose_link_stays_one_is_told_so_in_every_dialect() {
    let app = TestApp::start().await;
    let conversation = with_a_phone(&app).await;
    let link = "http://127.0.0.1:9/cat.png";
    let warning = |field: &str| json!([format!("{field}[0] could not be fetched and stays a link")]);

    let mut room = app.room(&conversation, &["alice"]).await.remove(0);
    let message = json!({ "conversationSid": conversation, "author": "alice", "media": [link] });
    room.emit("send_message", &message).await;
    room.hears("new_message").await;
    assert_eq!(room.hears("message_sent").await["warnings"], warning("media"));

    let mut theirs = app.chat_socket("bob", &conversation).await;
    room.hears_of_coming().await;
    let mut own = app.chat_socket("alice", &conversation).await;
    let message = json!({ "receiverId": "bob", "attachments": [link] });
    let sent = app.chat("alice").post("/send/", &message).await.made();
    assert_eq!(sent["message"]["warnings"], warning("attachments"));
    assert_eq!(own.hears("chat_message").await["message"]["warnings"], warning("attachments"));
    let heard = theirs.hears("chat_message").await;
    assert_eq!(heard["message"]["attachments"], json!([link]));
    assert_eq!(heard["message"].get("warnings"), None, "it is nobody else's business");
    room.hears("new_message").await;

    let message = json!({ "media": [link] });
    let sent =
        Messaging::of(&app, "alice").post(&format!("/messages/{conversation}/messages"), &message).await;
    assert_eq!(sent.body["data"]["warnings"], warning("media"), "{}", sent.body);
    room.hears("new_message").await;

    // A support conversation that a phone was added to.
    let id = Api::user(&app, "alice").conversation().await;
    let support = format!("CH{}", id.replace('-', ""));
    let phone = json!({ "phone_number": "+15005550177" });
    app.rest_as("alice").post(&format!("/{support}/add-sms-participant"), &phone).await.ok();
    let (mut line, _) = Line::open(&app, "alice", json!({ "token": token("alice") })).await;
    let message = json!({ "conversationId": id, "attachments": [link] });
    assert_eq!(line.asks("message:send", &message).await["warnings"], warning("attachments"));
    line.finish().await;
    app.finish([room]).await;
}
