//! Uploads that come to nothing on the way to Twilio: said so in every document's words, with nothing left here or there.

use std::io::Read;
use std::time::Duration;

use reqwest::multipart::Form;
use serde_json::Value;
use socket2::SockRef;
use switchboard::mock::Action;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::uploads::{doors, half_an_upload, told};
use super::{PNG, answer, client, file};
use crate::support::{TestApp, soon, until};

/// A path of the media service, as faults name it.
const MEDIA: &str = "/Media$";

fn down() -> Action {
    Action::Status { status: 503, retry_after: None, html: true }
}

#[tokio::test]
async fn while_twilio_is_down_every_document_says_so() {
    let app = TestApp::start().await;
    let doors = doors(&app).await;
    app.fault("POST", MEDIA, 10, down());
    for path in &doors {
        let url = format!("http://{}{path}", app.address);
        let form = Form::new().part("file", file(PNG));
        let refused = answer(client().post(url).multipart(form)).await;
        let body = refused.json();
        assert_eq!(refused.0, 503, "{path}: {body}");
        assert_eq!(told(&body), "the chat service is unavailable, please try again", "{path}");
        assert_eq!(refused.1["retry-after"], "2", "{path}");
    }
    app.finish([]).await;
}

/// The uploads that Twilio was asked for, and the deletions.
fn asked(app: &TestApp) -> (usize, usize) {
    let asked = app.asked();
    let count = |method: &str| {
        asked.iter().filter(|entry| entry.method == method && entry.path.contains("/Media")).count()
    };
    (count("POST"), count("DELETE"))
}

#[tokio::test]
async fn who_hangs_up_while_twilio_takes_the_file_leaves_nothing_there() {
    let app = TestApp::start().await;
    app.fault("POST", MEDIA, 1, Action::DelayAnswerMs([1000, 1000]));
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let body = [
        &b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n"[..],
        PNG,
        b"\r\n--x--\r\n",
    ]
    .concat();
    let head = format!(
        "POST /api/upload/image HTTP/1.1\r\nhost: switchboard\r\ncontent-length: {}\r\n\
         content-type: multipart/form-data; boundary=x\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    until("an upload at Twilio", || async { app.mock.faults().waiting().is_empty().then_some(()) }).await;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    until("its deletion", || async { (asked(&app) == (1, 1)).then_some(()) }).await;
    app.finish([]).await;
}

/// Whether a file without a name is open here that begins with `beginning`.
fn is_on_disk(beginning: &[u8]) -> bool {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut nameless = open.filter_map(|fd| {
        let path = fd.ok()?.path();
        let leads_to = std::fs::read_link(&path).ok()?;
        leads_to.to_string_lossy().ends_with("(deleted)").then_some(path)
    });
    nameless.any(|path| {
        let mut begins = vec![0; beginning.len()];
        std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut begins).is_ok())
            && begins == beginning
    })
}

#[tokio::test]
async fn nothing_of_a_broken_upload_stays_on_disk() {
    let app = TestApp::start().await;
    let refused = b"\r\n--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    for (what, end) in [("hung up", None), ("refused", Some(&refused[..]))] {
        let mut stream = half_an_upload(&app, "/api/upload/image").await;
        let mark = format!("of the one that is {what}");
        stream.write_all(mark.as_bytes()).await.unwrap();
        let beginning = [PNG, mark.as_bytes()].concat();
        until(what, || async { is_on_disk(&beginning).then_some(()) }).await;
        if let Some(end) = end {
            stream.write_all(end).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = soon("an answer", stream.read_to_end(&mut Vec::new())).await;
        }
        drop(stream);
        until("nothing on disk", || async { (!is_on_disk(&beginning)).then_some(()) }).await;
    }
    app.finish([]).await;
}

#[tokio::test]
async fn what_chat_cannot_take_is_refused_in_its_words() {
    let app = TestApp::start().await;
    let url = format!("http://{}/api/chat/upload/", app.address);
    let form = |form: Form| answer(client().post(&url).multipart(form));
    for (status, refused) in [
        (400, form(Form::new().text("file_name", "x")).await),
        (400, form(Form::new().part("image", file(PNG))).await),
        (415, answer(client().post(&url).json(&serde_json::json!({ "file": "x" }))).await),
        (415, answer(client().post(&url).header("content-type", "multipart/form-data").body("x")).await),
        (
            400,
            answer(client().post(&url).header("content-type", "multipart/form-data; boundary=x").body("x"))
                .await,
        ),
    ] {
        let body = refused.json();
        assert_eq!((refused.0.as_u16(), &body["success"]), (status, &Value::Bool(false)), "{body}");
        told(&body);
    }
    assert_eq!(app.writes(), 0);
    app.finish([]).await;
}
