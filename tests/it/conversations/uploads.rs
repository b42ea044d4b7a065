//! Pictures and voice: taken in whole or not at all, sent so that everybody sees them, and fetched only by who may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::multipart::{Form, Part};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::app::{INGESTED_FROM, token};
use crate::support::{TestApp, soon};

/// One pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB\x60\x82";
/// The beginning of what a browser's recorder gives.
const WEBM: &[u8] = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm\x42\x87\x81\x04\x42\x85\x81\x02";

/// An answer: status, headers, body.
struct Answer(StatusCode, reqwest::header::HeaderMap, Vec<u8>);

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.2).unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&self.2)))
    }

    fn location(&self) -> &str {
        self.1["location"].to_str().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a browser's request, not a call to Twilio")]
async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = soon("an answer", request.send()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer(status, headers, response.bytes().await.unwrap().to_vec())
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn upload(app: &TestApp, kind: &str, token: Option<&str>, form: Form) -> Answer {
    let url = format!("http://{}/api/upload/{kind}", app.address);
    let request = client().post(url).multipart(form);
    answer(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

async fn fetch(url: &str, token: Option<&str>) -> Answer {
    let request = client().get(url);
    answer(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

fn file(bytes: &[u8]) -> Part {
    Part::bytes(bytes.to_vec()).file_name("cat.png").mime_str("image/png").unwrap()
}

async fn stored(app: &TestApp, token: Option<&str>) -> String {
    let stored = upload(app, "image", token, Form::new().part("image", file(PNG))).await;
    assert_eq!(stored.0, 200, "{}", stored.json());
    stored.json()["url"].as_str().unwrap().to_owned()
}

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

#[tokio::test]
async fn who_hangs_up_in_the_middle_leaves_nothing_at_twilio() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = "POST /api/upload/image HTTP/1.1\r\nhost: switchboard\r\ncontent-length: 100000\r\n\
                content-type: multipart/form-data; boundary=x\r\n\r\n\
                --x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(PNG).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("the end of the connection", stream.read_to_end(&mut rest)).await;
    assert_eq!(app.writes(), 0);
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

    // The same file again: Twilio takes a file once, so this time it is the link alone.
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

    let (canary, touched) = serving("127.0.0.1", http("200 OK", "", PNG)).await;
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
    assert_eq!(touched.load(Ordering::SeqCst), 0, "an internal address was connected to");
    let uploads = app.asked().iter().filter(|entry| entry.path.ends_with("/Media")).count();
    assert_eq!(uploads, 1, "nothing else reached Twilio's media service");

    // Where no phone takes part, nothing is fetched at all.
    let chat = app.conversation(&["alice", "bob"]).await;
    let sent = app.rest().post(&format!("/{chat}/send-message"), &good).await.ok();
    assert_eq!(sent["warnings"], Value::Null);
    assert_eq!(app.asked().iter().filter(|entry| entry.path.ends_with("/Media")).count(), 1);
    app.finish([]).await;
}
