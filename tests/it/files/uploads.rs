//! Uploads: pictures and voice, taken in whole or not at all, sent so that everybody sees them, and fetched only by who may.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PNG, WEBM, answer, client, fetch, file, stored, upload};
use crate::phones::{PHONE, bring_in};
use crate::support::app::token;
use crate::support::{TestApp, assert_readable, soon, until};
use crate::support_dialect::Api;

#[tokio::test]
async fn a_picture_gets_a_link_that_leads_to_its_bytes() {
    let app = TestApp::start().await;
    for (kind, field, bytes, name, label, content_type) in [
        ("image", "image", PNG, "cat.png", "image/png", "image/png"),
        ("image", "file", PNG, "../../CAT\u{202e}.html", "text/html", "image/png"),
        ("audio", "audio", WEBM, "voice.mp3", "audio/mp3", "video/webm"),
        ("audio", "file", WEBM, "voice.mp3", "audio/mp3", "video/webm"),
    ] {
        let part = Part::bytes(bytes.to_vec()).file_name(name).mime_str(label).unwrap();
        let stored = upload(&app, kind, None, Form::new().text("note", "hello").part(field, part)).await;
        assert_eq!(stored.0, 200, "{}", stored.json());
        let body = stored.json();
        let sid = body["media_sid"].as_str().unwrap();
        assert_eq!(body["url"], format!("http://{}/media/{sid}", app.address));
        assert_eq!((&body["content_type"], &body["size"]), (&json!(content_type), &json!(bytes.len())));
        assert_eq!((&body["status"], &body["message"]), (&json!(200), &json!("File uploaded successfully")));

        let link = fetch(body["url"].as_str().unwrap(), None).await;
        assert_eq!(link.0, 302);
        assert_eq!(link.1["x-content-type-options"], "nosniff");
        let content = fetch(link.location(), None).await;
        assert_eq!((content.0, &content.2[..]), (StatusCode::OK, bytes));
        assert_eq!(content.1["content-type"], content_type);
        let at_twilio = app.twilio(&format!("/v1/Services/{}/Media/{sid}", app.mock.service_sid())).await;
        assert!(!at_twilio["filename"].as_str().unwrap().contains(['/', '\u{202e}']), "{at_twilio}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_no_whole_media_file_leaves_nothing_at_twilio() {
    let app = TestApp::start().await;
    let one = |bytes: &[u8]| Form::new().part("image", file(bytes));
    let mut huge = PNG.to_vec();
    huge.resize(17 * 1024 * 1024, 0);
    let mut bomb = PNG.to_vec();
    bomb[16..24].copy_from_slice(b"\0\0\xff\xff\0\0\xff\xff");
    let refused = [
        ("empty", 400, one(b"")),
        ("cut off", 400, one(&PNG[..PNG.len() - 6])),
        ("a page that says it is a picture", 415, one(b"<!DOCTYPE html><script>alert(1)</script>")),
        ("SVG", 415, one(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")),
        ("a picture and a page", 415, one(b"GIF89a\x01\0\x01\0\0\0\0<script>alert(1)</script>;")),
        ("a program", 415, one(b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff")),
        ("17 MiB", 413, one(&huge)),
        ("65535 × 65535 pixels", 400, one(&bomb)),
        ("no file", 400, Form::new().text("name", "x")),
        ("another field", 400, Form::new().part("picture", file(PNG))),
        ("two files", 400, Form::new().part("image", file(PNG)).part("file", file(PNG))),
        ("a long field beside", 413, Form::new().text("note", "x".repeat(20_000)).part("image", file(PNG))),
    ];
    for (what, status, form) in refused {
        let answer = upload(&app, "image", None, form).await;
        assert_eq!(answer.0, status, "{what}: {}", answer.json());
        assert_eq!(answer.json()["status"], status, "{what}");
    }
    let url = format!("http://{}/api/upload/image", app.address);
    let raw = |content_type: &str, body: &'static [u8]| {
        answer(client().post(&url).header("content-type", content_type.to_owned()).body(body))
    };
    assert_eq!(raw("application/json", b"{}").await.0, 415);
    assert_eq!(raw("multipart/form-data", b"").await.0, 415, "no boundary");
    assert_eq!(raw("multipart/form-data; boundary=x", b"not multipart").await.0, 400);
    let cut = b"--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n\x89PNG";
    assert_eq!(raw("multipart/form-data; boundary=x", cut).await.0, 400, "the body ends within the file");
    let zipped = client()
        .post(&url)
        .header("content-encoding", "gzip")
        .multipart(Form::new().part("image", file(PNG)));
    assert_eq!(answer(zipped).await.0, 415);
    assert_eq!(app.writes(), 0, "{:?}", app.asked_since(0));
    app.finish([]).await;
}

/// A connection on which the first part of an upload was sent.
pub(crate) async fn half_an_upload(app: &TestApp, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: switchboard\r\ncontent-length: 100000\r\n\
         content-type: multipart/form-data; boundary=x\r\n\r\n\
         --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(PNG).await.unwrap();
    stream
}

/// Every way to upload a file, in the voice of every document that has one.
pub(super) async fn doors(app: &TestApp) -> Vec<String> {
    let (_, conversation) = Api::of(app).guest().await;
    vec![
        "/api/upload/image".to_owned(),
        "/api/upload/audio".to_owned(),
        "/api/chat/upload/".to_owned(),
        format!("/api/support/upload?conversationId={conversation}"),
    ]
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_leaves_nothing_at_twilio() {
    let app = TestApp::start().await;
    let doors = doors(&app).await;
    let before = app.writes();
    for path in &doors {
        let mut stream = half_an_upload(&app, path).await;
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = soon("the end of the connection", stream.read_to_end(&mut rest)).await;
        // Without even saying goodbye.
        let stream = half_an_upload(&app, path).await;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    // What came after it is answered: nothing of it is still under way.
    assert_eq!(upload(&app, "image", None, Form::new().part("image", file(PNG))).await.0, 200);
    assert_eq!(app.writes(), before + 1);
    app.finish([]).await;
}

/// The status and body of the answer that comes before the upload has ended.
pub(super) async fn early_answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, Value) {
    let mut text = String::new();
    while !text.ends_with('}') {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

/// What a person reads of a refusal.
pub(super) fn told(body: &Value) -> &str {
    let told = body["message"].as_str().or(body["error"].as_str()).unwrap();
    assert_readable(told);
    told
}

#[tokio::test]
async fn who_stalls_in_the_middle_is_told_so_and_leaves_nothing_at_twilio() {
    let app = TestApp::start().await;
    let doors = doors(&app).await;
    let before = app.writes();
    for path in &doors {
        let mut stream = half_an_upload(&app, path).await;
        // Time stands still while there is anything to do, and leaps when there is not.
        tokio::time::pause();
        let (status, body) = soon("an answer", early_answer(&mut stream)).await;
        tokio::time::resume();
        assert_eq!(status, "400", "{path}: {body}");
        assert!(told(&body).contains("came too slowly"), "{path}: {body}");
    }
    assert_eq!(app.writes(), before);
    app.finish([]).await;
}

#[tokio::test]
async fn who_sends_a_byte_now_and_then_is_given_up_too() {
    let app = TestApp::start().await;
    let mut stream = half_an_upload(&app, "/api/upload/image").await;
    let (mut reading, mut writing) = stream.split();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let trickle = async {
        while writing.write_all(b"\0").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(8)).await;
        }
    };
    let (status, body) = tokio::select! {
        answer = early_answer(&mut reading) => answer,
        () = trickle => panic!("cut off without an answer"),
    };
    let took = began.elapsed();
    tokio::time::resume();
    assert_eq!(status, "400");
    assert!(told(&body).contains("came too slowly"), "{body}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(app.writes(), 0);
    app.finish([]).await;
}

#[tokio::test]
async fn what_arrives_has_no_name_on_disk_so_that_nothing_can_be_left_there() {
    let app = TestApp::start().await;
    let stream = half_an_upload(&app, "/api/upload/image").await;
    let folder = std::env::temp_dir();
    until("a file without a name", || async {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let files = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        let nameless = |file: &std::path::PathBuf| {
            file.starts_with(&folder) && file.to_string_lossy().ends_with("(deleted)")
        };
        files.filter(nameless).count().checked_sub(1).map(drop)
    })
    .await;
    drop(stream);
    app.finish([]).await;
}

#[tokio::test]
async fn files_are_in_the_message_for_everybody_and_one_message_for_our_clients() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    let links = [stored(&app, None).await, stored(&app, None).await, stored(&app, None).await];
    let foreign = "https://example.com/a.png".to_owned();
    let media = json!([links[0], foreign, links[1], links[2]]);
    let message = json!({ "author": "alice", "body": "three pictures", "media": media });
    let sent = app.rest().post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!(sent["media"], media);
    for socket in &mut sockets {
        let heard = socket.hears("new_message").await;
        assert_eq!(
            (&heard["message"]["body"], &heard["message"]["media"]),
            (&json!("three pictures"), &media)
        );
    }
    let at_twilio = app
        .twilio(&format!("/v1/Services/{}/Conversations/{conversation}/Messages", app.mock.service_sid()))
        .await;
    let with_file: Vec<_> = at_twilio["messages"].as_array().unwrap().iter().collect();
    assert_eq!(with_file.len(), 3, "REST takes one file a message");
    assert!(with_file.iter().all(|message| message["media"].as_array().unwrap().len() == 1), "{at_twilio}");
    assert_eq!(app.rest().history(&conversation).await, ["three pictures"]);
    let listed = app.rest().get("?userId=bob").await.ok();
    assert_eq!(listed[0]["unread_count"], 1);
    assert_eq!(listed[0]["last_message"]["body"], "three pictures");

    // The same file again: Twilio takes a file once, so this time it is a copy, behind the same link.
    let again = json!({ "author": "bob", "media": [links[0]] });
    let again = app.rest().post(&format!("/{conversation}/send-message"), &again).await.ok();
    assert_eq!((&again["media"], &again["body"]), (&json!([links[0]]), &json!("")));
    for socket in &mut sockets {
        assert_eq!(socket.hears("new_message").await["message"]["media"], json!([links[0]]));
    }

    // Deleted with all its files.
    let path = format!("/{conversation}/messages/{}", sent["message_sid"].as_str().unwrap());
    app.rest().delete(&path).await.ok();
    for socket in &mut sockets {
        socket.hears("message_deleted").await;
    }
    assert_eq!(app.stored(&conversation).await.len(), 1);
    app.told("onMessageAdded", 4).await;
    app.finish(sockets).await;
}

#[tokio::test]
async fn words_that_are_put_to_a_bare_link_later_are_seen() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let message = json!({ "author": "alice", "media": ["https://example.com/a.png"] });
    let sent = app.rest().post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!(sent["body"], "");
    let path = format!("/{conversation}/messages/{}", sent["message_sid"].as_str().unwrap());
    let edited = app.rest_as("alice").patch(&path, &json!({ "body": "a cat" })).await.ok();
    assert_eq!((&edited["body"], &edited["media"]), (&json!("a cat"), &message["media"]));
    assert_eq!(app.rest().history(&conversation).await, ["a cat"]);
    app.finish([]).await;
}

#[tokio::test]
async fn only_who_may_fetches_a_file_where_callers_prove_who_they_are() {
    let app = TestApp::required().await;
    let (alice, bob, mallory) = (token("alice"), token("bob"), token("mallory"));
    let refused = upload(&app, "image", None, Form::new().part("image", file(PNG))).await;
    assert_eq!(refused.0, 401);
    let link = stored(&app, Some(&alice)).await;
    let plain = link.split('?').next().unwrap();
    assert_eq!(fetch(&link, None).await.0, 302, "a signed link is enough");
    assert_eq!(fetch(plain, None).await.0, 401);
    assert_eq!(fetch(plain, Some(&alice)).await.0, 302, "it is hers");
    assert_eq!(fetch(plain, Some(&bob)).await.0, 404);
    let forged =
        Url::parse_with_params(plain, [("expires", "99999999999"), ("signature", &"0".repeat(64))]).unwrap();
    assert_eq!(fetch(forged.as_str(), None).await.0, 401);
    let longer = link.replace("expires=", "expires=9");
    assert_eq!(fetch(&longer, None).await.0, 401, "what is signed cannot be changed");

    let made = json!({ "participants": ["alice", "bob"] });
    let conversation = app.rest_as("alice").post("/create", &made).await.ok();
    let conversation = conversation["conversation_sid"].as_str().unwrap();
    let theirs = app.rest_as("mallory").post("/create", &json!({ "participants": ["mallory"] })).await.ok();
    let theirs = theirs["conversation_sid"].as_str().unwrap();
    let stolen = json!({ "author": "mallory", "media": [plain] });
    let stolen = app.rest_as("mallory").post(&format!("/{theirs}/send-message"), &stolen).await;
    assert_eq!(stolen.status, 404, "who may not fetch a file may not show it");

    let message = json!({ "author": "alice", "media": [link] });
    app.rest_as("alice").post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!(fetch(plain, Some(&bob)).await.0, 302, "it is in a conversation of his");
    assert_eq!(fetch(plain, Some(&mallory)).await.0, 404);
    let history = app.rest_as("bob").get(&format!("/{conversation}/messages")).await.ok();
    let shown = history[0]["media"][0].as_str().unwrap();
    assert!(shown.contains("signature="), "{shown}");
    assert_eq!(fetch(shown, None).await.0, 302);
    app.finish([]).await;
}

#[tokio::test]
async fn a_phone_gets_both_the_picture_and_the_text() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    bring_in(&app, "alice", &conversation, PHONE).await;
    let picture = stored(&app, Some(&token("alice"))).await;
    let mut room = app.room(&conversation, &["bob"]).await;
    let message = json!({ "author": "alice", "body": "my cat", "media": [picture] });
    app.rest_as("alice").post(&format!("/{conversation}/send-message"), &message).await.ok();
    let told = room[0].hears("new_message").await;
    assert_eq!(told["message"]["body"], "my cat");
    let link = told["message"]["media_urls"][0].as_str().unwrap();
    assert_eq!(fetch(link, Some(&token("bob"))).await.0, 302);
    assert_eq!(
        app.rest_as("bob").history(&conversation).await,
        ["my cat"],
        "one message to those who are here"
    );
    let texts = app.twilio(&format!("/_mock/phones/{PHONE}")).await;
    let shown = |text: &Value| (text["body"].clone(), text["media"].as_array().unwrap().len());
    let texts: Vec<_> = texts["texts"].as_array().unwrap().iter().map(shown).collect();
    assert_eq!(texts, [(Value::Null, 1), (json!("my cat"), 0)], "Twilio sends no text along with a file");
    app.finish(room).await;
}
