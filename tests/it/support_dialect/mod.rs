//! The support dialect, told as stories.

mod codes;
mod contract;
mod desk;
mod events;
mod files;
mod guests;
mod owners;
mod refusals;
mod widget;

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::app::{token, token_of};
use crate::support::socket::Heard;
use crate::support::{Socket, TestApp, assert_readable, logs, soon};

/// The event that is told when something has been counted, which nobody waits for but who asks.
const UNREAD: &str = "conversation:unread_count_updated";

/// A token of the app for an admin, valid for an hour.
pub(crate) fn admin_token(identity: &str) -> String {
    token_of(&json!({ "sub": identity, "role": "admin" }), Duration::from_secs(3600))
}

/// An HTTP client of this dialect that accepts no answer outside its envelope.
#[derive(Clone)]
pub(crate) struct Api<'a> {
    app: &'a TestApp,
    headers: Vec<(&'static str, String)>,
}

/// An answer in the envelope.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl<'a> Api<'a> {
    /// Without a token.
    pub(crate) fn of(app: &'a TestApp) -> Self {
        Self { app, headers: Vec::new() }
    }

    /// With a user's token.
    pub(crate) fn user(app: &'a TestApp, identity: &str) -> Self {
        Self::of(app).with("authorization", &format!("Bearer {}", token(identity)))
    }

    /// With an admin's token.
    pub(crate) fn admin(app: &'a TestApp, identity: &str) -> Self {
        Self::of(app).with("authorization", &format!("Bearer {}", admin_token(identity)))
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.to_owned()));
        self
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("http://{}/api/support{path}", self.app.address);
        let method: Method = method.parse().unwrap();
        self.headers
            .iter()
            .fold(self.app.http.request(method, url), |request, (name, value)| request.header(*name, value))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        logs::watch(body);
        self.send(self.request("POST", path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("PATCH", path).json(body)).await
    }

    #[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = soon("a request", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = soon("an answer", response.text()).await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text:?}"));
        // One-time codes are told here alone.
        logs::watch(&body["data"]);
        let answer = Answer { status, headers, body };
        assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
        if !(200..300).contains(&status) {
            assert_eq!(answer.body["success"], false, "{answer:?}");
            assert_eq!(answer.body.as_object().unwrap().len(), 3, "{answer:?}");
            assert_readable(answer.message());
            for fault in answer.body["errors"].as_array().unwrap_or_else(|| panic!("{answer:?}")) {
                assert!(fault["field"].is_string() && fault["message"].is_string(), "{answer:?}");
            }
        }
        answer
    }

    /// The id of the caller's open conversation.
    pub(crate) async fn conversation(&self) -> String {
        self.get("/conversation").await.ok()["id"].as_str().unwrap().to_owned()
    }

    /// A new guest and the id of its conversation.
    pub(crate) async fn guest(&self) -> (String, String) {
        let made = self.post("/conversation/guest", &json!({})).await.ok();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["guestId"]), text(&made["conversation"]["id"]))
    }

    /// What the messages of a conversation say, oldest first.
    pub(crate) async fn history(&self, id: &str) -> Vec<String> {
        let page = self.get(&format!("/conversation/{id}/messages")).await.ok();
        let text = |message: &Value| message["message"].as_str().unwrap().to_owned();
        page["messages"].as_array().unwrap().iter().map(text).collect()
    }
}

impl Answer {
    /// The `data` of a success.
    pub(crate) fn ok(mut self) -> Value {
        assert!(self.status == 200 || self.status == 201, "{} {}", self.status, self.body);
        assert_eq!(self.body["success"], true, "{}", self.body);
        self.body["data"].take()
    }

    /// The text of a failure with this status.
    pub(crate) fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        self.message()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_else(|| panic!("{}", self.body))
    }

    /// The fields that are at fault.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().unwrap();
        errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
    }

    pub(crate) fn twilio_calls(&self) -> u32 {
        self.headers["x-twilio-calls"].to_str().unwrap().parse().unwrap()
    }
}

/// A socket in `/support`, whose counts of unread messages are heard aside.
pub(crate) struct Line {
    socket: Socket,
    unread: VecDeque<i64>,
}

impl Line {
    /// Connects with this `auth`; what it is greeted with.
    pub(crate) async fn open(app: &TestApp, name: &str, auth: Value) -> (Self, Value) {
        let socket = Self::knock(app, name, auth).await;
        let mut line = Self { socket: socket.unwrap(), unread: VecDeque::new() };
        let hello = line.hears("connection:success").await;
        (line, hello)
    }

    pub(crate) async fn knock(app: &TestApp, name: &str, auth: Value) -> Result<Socket, String> {
        Socket::try_connect_to(app.address, "/support", name, Some(auth)).await
    }

    pub(crate) async fn user(app: &TestApp, identity: &str) -> Self {
        Self::open(app, identity, json!({ "token": token(identity) })).await.0
    }

    pub(crate) async fn admin(app: &TestApp, identity: &str) -> Self {
        Self::open(app, identity, json!({ "token": admin_token(identity) })).await.0
    }

    pub(crate) async fn guest(app: &TestApp, guest_id: &str) -> Self {
        let (line, hello) = Self::open(app, "guest", json!({ "guestId": guest_id })).await;
        assert_eq!(hello["guestId"], guest_id);
        line
    }

    pub(crate) async fn emit(&mut self, event: &str, payload: &Value) {
        self.socket.emit(event, payload).await;
    }

    pub(crate) async fn emit_raw(&mut self, arguments: &str) {
        self.socket.emit_raw(arguments).await;
    }

    /// Joins, which must succeed.
    pub(crate) async fn join(&mut self, id: &str) {
        self.emit("conversation:join", &json!({ "conversationId": id })).await;
        assert_eq!(self.hears("conversation:joined").await, json!({ "conversationId": id }));
    }

    /// Sends, without waiting for anything.
    pub(crate) async fn say(&mut self, id: &str, text: &str) {
        self.emit("message:send", &json!({ "conversationId": id, "message": text })).await;
    }

    async fn next(&mut self) -> Heard {
        loop {
            let heard = self.socket.next().await;
            let Heard::Event(name, payload) = &heard else { return heard };
            if name != UNREAD {
                return heard;
            }
            self.unread.push_back(payload["unreadCount"].as_i64().unwrap());
        }
    }

    /// The next thing but counts, which must be this event.
    pub(crate) async fn hears(&mut self, event: &str) -> Value {
        let heard = self.next().await;
        let Heard::Event(name, payload) = heard else { panic!("heard {heard:?} instead of {event}") };
        assert_eq!(name, event, "{payload}");
        payload
    }

    /// The next thing but counts, which must be a message; what it says.
    pub(crate) async fn hears_message(&mut self) -> String {
        self.hears("message:received").await["message"].as_str().unwrap().to_owned()
    }

    /// The next thing but counts, which must be a refusal.
    pub(crate) async fn hears_error(&mut self) -> String {
        let heard = self.hears("message:error").await;
        let error = heard["error"].as_str().unwrap().to_owned();
        assert_readable(&error);
        error
    }

    /// The next number of unread messages that is told.
    pub(crate) async fn hears_unread(&mut self) -> i64 {
        if let Some(unread) = self.unread.pop_front() {
            return unread;
        }
        self.socket.hears(UNREAD).await["unreadCount"].as_i64().unwrap()
    }

    /// The answer to a callback, whatever is told before it.
    pub(crate) async fn asks(&mut self, event: &str, payload: &Value) -> Value {
        let id = self.socket.emit_with_ack(event, payload).await;
        loop {
            if let Heard::Ack(answered, answer) = self.next().await {
                assert_eq!(answered, id);
                return answer;
            }
        }
    }

    /// Everything that is already on its way was looked at: a question is answered next.
    pub(crate) async fn hears_nothing_else(&mut self) {
        let id = self.socket.emit_with_ack("conversation:leave", &json!({})).await;
        self.hears_error().await;
        let heard = self.next().await;
        assert!(matches!(heard, Heard::Ack(answered, _) if answered == id), "{heard:?}");
    }

    /// The server ends the connection.
    pub(crate) async fn is_ended(&mut self) {
        self.socket.is_ended().await;
    }

    /// Nothing is unread; the client goes.
    pub(crate) async fn finish(mut self) {
        self.hears_nothing_else().await;
        self.socket.close().await;
    }
}

/// A guest with its conversation and an admin, both in its room, with nothing unread.
pub(crate) async fn talk(app: &TestApp) -> (String, Line, Line) {
    let (guest_id, id) = Api::of(app).guest().await;
    let mut guest = Line::guest(app, &guest_id).await;
    guest.join(&id).await;
    let mut admin = Line::admin(app, "eve").await;
    admin.join(&id).await;
    let updated = admin.hears("conversation:updated").await;
    assert_eq!(updated["adminId"], "eve", "the first who joins answers");
    assert_eq!(guest.hears("conversation:updated").await, updated);
    (id, guest, admin)
}
