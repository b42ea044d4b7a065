//! The messaging dialect, told as stories.

mod blocks;
mod events;
mod groups;
mod refusals;
mod required_mode;
mod rest;
mod samples;
mod suggestions;

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use switchboard::mock::Action;

use crate::support::app::{token, token_of};
use crate::support::{Socket, TestApp, assert_readable, logs, soon};

/// An HTTP client of this dialect that accepts no answer outside its envelope.
pub(crate) struct Messaging<'a> {
    app: &'a TestApp,
    token: Option<String>,
}

/// An answer in the envelope.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// The documented codes, with the statuses each may have.
const CODES: &[(&str, &[u16])] = &[
    ("UNAUTHORIZED", &[401]),
    ("FORBIDDEN", &[403]),
    ("NOT_FOUND", &[404]),
    ("VALIDATION_ERROR", &[400, 409, 413, 415]),
    ("USER_BLOCKED", &[403]),
    ("CANNOT_MESSAGE_SELF", &[400]),
    ("MIN_MEMBERS_REQUIRED", &[400]),
    ("MAX_MEMBERS_REACHED", &[400]),
    ("USER_ALREADY_IN_GROUP", &[409]),
    ("RATE_LIMIT_EXCEEDED", &[429]),
    ("INTERNAL_SERVER_ERROR", &[500, 503]),
];

impl<'a> Messaging<'a> {
    pub(crate) fn of(app: &'a TestApp, identity: &str) -> Self {
        Self::with_token(app, Some(token(identity)))
    }

    pub(crate) fn with_token(app: &'a TestApp, token: Option<String>) -> Self {
        Self { app, token }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.app.address);
        let request = self.app.http.request(method.parse::<Method>().unwrap(), url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, None).await
    }

    /// Whatever JSON `method` takes; none with `None`.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        body.into_iter().for_each(logs::watch);
        let request = self.request(method, path);
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// A body of any bytes and type.
    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        self.send(self.request(method, path).header("content-type", content_type).body(body)).await
    }

    #[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = soon("a request", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = soon("an answer", response.text()).await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text:?}"));
        let answer = Answer { status, headers, body };
        answer.assert_envelope();
        answer
    }

    /// The conversation with `other`, made or found; its id.
    pub(crate) async fn open(&self, other: &str) -> String {
        let answer = self.post("/messages", &json!({ "participantId": other, "type": "direct" })).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        answer.body["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Says something; the message.
    pub(crate) async fn say(&self, conversation: &str, content: &str) -> Value {
        self.post(&format!("/messages/{conversation}/messages"), &json!({ "content": content })).await.made()
    }

    /// A group of the caller and these; its id.
    pub(crate) async fn group(&self, members: &[&str]) -> String {
        let made = self.post("/groups", &json!({ "memberIds": members })).await.made();
        made["id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    /// JSON, in the form of a success or a failure, and nothing beside it.
    fn assert_envelope(&self) {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        let time = self.body["timestamp"].as_str().unwrap_or_else(|| panic!("{self:?}"));
        assert!(time.len() == 20 && time.ends_with('Z'), "{self:?}");
        let keys: Vec<_> = self.body.as_object().unwrap().keys().map(String::as_str).collect();
        if self.status < 300 {
            assert_eq!(self.body["success"], true, "{self:?}");
            assert!(self.body.get("data").is_some(), "{self:?}");
            let known = ["success", "data", "message", "code", "timestamp"];
            assert!(keys.iter().all(|key| known.contains(key)), "{self:?}");
            return;
        }
        assert_eq!(self.body["success"], false, "{self:?}");
        assert_eq!(keys.len(), 3, "{self:?}");
        let error = &self.body["error"];
        assert_eq!(error.as_object().unwrap().len(), 3, "{self:?}");
        assert!(error["details"].is_object(), "{self:?}");
        assert_readable(error["message"].as_str().unwrap());
        let known =
            CODES.iter().find(|(code, _)| error["code"] == **code).unwrap_or_else(|| panic!("{self:?}"));
        assert!(known.1.contains(&self.status), "{self:?}");
    }

    /// The `data` of what was asked for or done.
    pub(crate) fn ok(mut self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["data"].take()
    }

    /// The `data` of what was made.
    pub(crate) fn made(mut self) -> Value {
        assert_eq!(self.status, 201, "{}", self.body);
        self.body["data"].take()
    }

    /// The `details` of a failure with this code.
    pub(crate) fn refused(&self, code: &str) -> &Value {
        assert_eq!(self.body["error"]["code"], code, "{} {}", self.status, self.body);
        &self.body["error"]["details"]
    }

    /// How many Twilio calls it cost, as the service counts.
    pub(crate) fn twilio_calls(&self) -> u32 {
        self.headers["x-twilio-calls"].to_str().unwrap().parse().unwrap()
    }
}

/// These people are in the directory: each was here once, with a name.
pub(crate) async fn meet(app: &TestApp, people: &[&str]) {
    for identity in people {
        let name = format!("Name of {identity}");
        introduce(app, &json!({ "sub": identity, "name": name })).await;
    }
}

/// Somebody is in the directory as these claims of their token tell of them.
pub(crate) async fn introduce(app: &TestApp, claims: &Value) {
    Messaging::with_token(app, Some(token_of(claims, Duration::from_secs(3600)))).get("/users/me").await.ok();
}

/// `owner` has a contact with the phone `+6012345678x`; whoever's token tells that phone is it.
pub(crate) async fn add_contact(app: &TestApp, owner: &str, last_digit: u32) {
    let contact = json!({
        "first_name": "Contact", "last_name": last_digit.to_string(),
        "country_code": "60", "phone_number": format!("12345678{last_digit}"),
    });
    crate::contacts::Contacts::of(app, owner).add(&contact).await.ok();
}

/// Five people with phones: whoever has them as contacts shares those.
pub(crate) async fn five_customers(app: &TestApp) {
    for digit in 1..=5 {
        let phone = format!("+6012345678{digit}");
        introduce(app, &json!({ "sub": format!("customer-{digit}"), "phone_number": phone })).await;
    }
}

/// Twilio does nothing and answers with this status.
pub(crate) fn failing(status: u16) -> Action {
    Action::Status { status, retry_after: None, html: false }
}

/// A socket that hears everything that is told to its person.
pub(crate) async fn ears(app: &TestApp, identity: &str) -> Socket {
    app.socket_as(identity).await.hear_everything()
}
