//! The contacts dialect, told as stories.

mod events;
mod refusals;
mod required_mode;
mod rest;

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::app::{token, token_of};
use crate::support::{Socket, TestApp, assert_readable, logs, soon};

/// A phone of Malaysia: its country, its number there, and both as the app's tokens have it.
pub(crate) const ALI: [&str; 3] = ["60", "123456789", "+60123456789"];
/// Another.
pub(crate) const BEN: [&str; 3] = ["60", "198765432", "+60198765432"];
/// A phone nobody has.
pub(crate) const NOBODY: [&str; 3] = ["44", "7911123456", "+447911123456"];

/// An HTTP client of this dialect that accepts no answer outside its envelope.
pub(crate) struct Contacts<'a> {
    app: &'a TestApp,
    token: Option<String>,
}

/// An answer in the envelope.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl<'a> Contacts<'a> {
    pub(crate) fn of(app: &'a TestApp, identity: &str) -> Self {
        Self { app, token: Some(token(identity)) }
    }

    pub(crate) fn with_token(app: &'a TestApp, token: Option<String>) -> Self {
        Self { app, token }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.app.http.request(method, format!("http://{}{path}", self.app.address));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn add(&self, body: &Value) -> Answer {
        logs::watch(body);
        self.send(self.request(Method::POST, "/contact/add").json(body)).await
    }

    #[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = soon("a request", request.send()).await.unwrap();
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let text = soon("an answer", response.text()).await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{code} {text:?}"));
        let answer = Answer { code, headers, body };
        assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
        assert_eq!(answer.body["code"], code, "{answer:?}");
        assert_eq!(answer.body["status"], code == 201, "{answer:?}");
        if code != 201 {
            assert_failure(&answer.body);
        }
        answer
    }
}

impl Answer {
    /// The `data` of a success.
    pub(crate) fn ok(mut self) -> Value {
        assert_eq!(self.code, 201, "{}", self.body);
        self.body["data"].take()
    }

    /// The text of a failure with this code.
    pub(crate) fn refused(&self, code: u16) -> &str {
        assert_eq!(self.code, code, "{}", self.body);
        self.body["msg"].as_str().unwrap()
    }
}

/// Of an answer and of an acknowledgement: a code and a text for people, perhaps when to come back, and nothing else.
pub(crate) fn assert_failure(failure: &Value) {
    assert_eq!(failure["status"], false, "{failure}");
    let code = failure["code"].as_u64().unwrap_or_else(|| panic!("{failure}"));
    assert!([400, 401, 403, 404, 409, 413, 415, 429, 500, 503].contains(&code), "{failure}");
    assert_readable(failure["msg"].as_str().unwrap_or_else(|| panic!("{failure}")));
    let fields = if failure["retryAfter"].is_u64() { 4 } else { 3 };
    assert_eq!(failure.as_object().unwrap().len(), fields, "{failure}");
}

/// A token that says whose phone this is.
pub(crate) fn token_with_phone(identity: &str, phone: [&str; 3]) -> String {
    let claims = json!({ "sub": identity, "name": format!("Name of {identity}"), "phone_number": phone[2] });
    token_of(&claims, Duration::from_secs(3600))
}

/// A socket of somebody whose token says which phone is theirs.
pub(crate) async fn socket_with_phone(app: &TestApp, identity: &str, phone: [&str; 3]) -> Socket {
    Socket::connect(app.address, identity, Some(&token_with_phone(identity, phone))).await
}

pub(crate) fn contact(phone: [&str; 3]) -> Value {
    json!({ "first_name": "Ali", "last_name": "Bin Abu", "phone_number": phone[1], "country_code": phone[0] })
}

pub(crate) fn conversation(phone: [&str; 3], kind: &str) -> Value {
    json!({ "toCountryCode": phone[0], "toPhoneNumber": phone[1], "conversationType": kind })
}

/// Asks for a conversation; what the acknowledgement says.
pub(crate) async fn create(socket: &mut Socket, payload: &Value) -> Value {
    let id = socket.emit_with_ack("create_conversation", payload).await;
    socket.hears_ack(id).await
}

/// The id of the conversation that was made, as Twilio writes it.
pub(crate) fn sid_of(ack: &Value) -> String {
    assert_eq!(ack["status"], true, "{ack}");
    let uuid = ack["conversationId"].as_str().unwrap();
    assert_eq!(uuid.len(), 36, "{ack}");
    format!("CH{}", uuid.replace('-', ""))
}
