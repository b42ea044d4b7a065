//! Files, whichever dialect they come and go through: taken in whole or not at all, sent so that everybody sees them, received
//! from phones and Twilio's SDK, and fetched only by who may.

mod broken_off;
mod forged;
mod ingest;
mod links;
mod parts;
mod pictures;
mod received;
mod refused_unread;
mod uploads;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{TestApp, soon};

/// One pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB\x60\x82";
/// The beginning of what a browser's recorder gives.
pub(crate) const WEBM: &[u8] = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm\x42\x87\x81\x04\x42\x85\x81\x02\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff";

/// An answer: status, headers, body.
pub(crate) struct Answer(pub(crate) StatusCode, pub(crate) HeaderMap, pub(crate) Vec<u8>);

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.2).unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&self.2)))
    }

    pub(crate) fn location(&self) -> &str {
        self.1["location"].to_str().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a browser's request, not a call to Twilio")]
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = soon("an answer", request.send()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer(status, headers, response.bytes().await.unwrap().to_vec())
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub(crate) async fn upload(app: &TestApp, kind: &str, token: Option<&str>, form: Form) -> Answer {
    let url = format!("http://{}/api/upload/{kind}", app.address);
    let request = client().post(url).multipart(form);
    answer(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

pub(crate) async fn fetch(url: &str, token: Option<&str>) -> Answer {
    let request = client().get(url);
    answer(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

pub(crate) fn file(bytes: &[u8]) -> Part {
    Part::bytes(bytes.to_vec()).file_name("cat.png").mime_str("image/png").unwrap()
}

pub(crate) async fn stored(app: &TestApp, token: Option<&str>) -> String {
    let stored = upload(app, "image", token, Form::new().part("image", file(PNG))).await;
    assert_eq!(stored.0, 200, "{}", stored.json());
    stored.json()["url"].as_str().unwrap().to_owned()
}

/// What leads to the bytes of a picture: our link, and Twilio's temporary one behind it.
pub(crate) async fn leads_to(link: &str, bytes: &[u8]) {
    let ours = fetch(link, None).await;
    assert_eq!(ours.0, 302, "{link}");
    let content = fetch(ours.location(), None).await;
    assert_eq!((content.0, &content.2[..]), (StatusCode::OK, bytes), "{link}");
}

/// A file as the other side of Twilio is told of it.
fn from_elsewhere() -> Value {
    json!({ "content_type": "image/png", "filename": "cat.png", "base64": STANDARD.encode(PNG) })
}
