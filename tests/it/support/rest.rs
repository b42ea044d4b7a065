//! [`Rest`]: an HTTP client of the conversations dialect that accepts no answer outside its envelope.
#![expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]

use std::net::SocketAddr;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{assert_readable, logs, soon};

/// Where the routes are.
pub(crate) const API: &str = "/api/conversations";

/// A client, perhaps with a token.
#[derive(Clone)]
pub(crate) struct Rest {
    http: reqwest::Client,
    address: SocketAddr,
    headers: HeaderMap,
}

/// An answer in the envelope.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Rest {
    pub(crate) fn new(http: reqwest::Client, address: SocketAddr) -> Self {
        Self { http, address, headers: HeaderMap::new() }
    }

    pub(crate) fn with_token(self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// A request to `path` below [`API`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{API}{path}", self.address);
        self.http.request(method, url).headers(self.headers.clone())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        logs::watch(body);
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        logs::watch(body);
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// Whatever JSON `method` takes; none with `None`.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        body.into_iter().for_each(logs::watch);
        let request = self.request(method.parse().unwrap(), path);
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
        let request = self.request(method.parse().unwrap(), path);
        self.send(request.header("content-type", content_type).body(body)).await
    }

    /// Sends a message and gives back its `data`.
    pub(crate) async fn say(&self, conversation: &str, author: &str, body: &str) -> Value {
        let message = serde_json::json!({ "author": author, "body": body });
        self.post(&format!("/{conversation}/send-message"), &message).await.ok()
    }

    /// The bodies of the newest messages, oldest first.
    pub(crate) async fn history(&self, conversation: &str) -> Vec<String> {
        let messages = self.get(&format!("/{conversation}/messages")).await.ok();
        let body = |message: &Value| message["body"].as_str().unwrap().to_owned();
        messages.as_array().unwrap().iter().map(body).collect()
    }

    /// The identities of those in the conversation, by name.
    pub(crate) async fn participants(&self, conversation: &str) -> Vec<String> {
        let participants = self.get(&format!("/{conversation}/participants")).await.ok();
        let identity = |one: &Value| one["identity"].as_str().unwrap_or("a phone").to_owned();
        let mut people: Vec<_> = participants.as_array().unwrap().iter().map(identity).collect();
        people.sort_unstable();
        people
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = soon("a request", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = soon("an answer", response.text()).await.unwrap();
        Answer::read(status, headers, &text)
    }

    /// The `data` of what a GET of a target as it is written gives.
    pub(crate) async fn raw_ok(&self, target: &str) -> Value {
        self.raw("GET", target).await.ok()
    }

    /// A request whose target goes out as it is written, which no URL library would do.
    pub(crate) async fn raw(&self, method: &str, target: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: switchboard\r\nconnection: close\r\ncontent-length: 2\r\n\
             content-type: application/json\r\n\r\n{{}}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        soon("a raw answer", stream.read_to_string(&mut text)).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{target}: {text}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let json = head.to_ascii_lowercase().contains("content-type: application/json");
        let mut headers = HeaderMap::new();
        if json {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        Answer::read(status, headers, body)
    }
}

impl Answer {
    /// Every answer is in the envelope: JSON, `status` as in HTTP, a `message`; a failure has nothing else.
    fn read(status: u16, headers: HeaderMap, text: &str) -> Self {
        let body: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{status} {text:?}"));
        let answer = Self { status, headers, body };
        assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
        assert_eq!(answer.body["status"], status, "{answer:?}");
        let message = answer.body["message"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        let documented = [200, 400, 401, 403, 404, 409, 413, 415, 429, 500, 503];
        assert!(documented.contains(&status), "{answer:?}");
        if status != 200 {
            assert_readable(message);
            assert_eq!(answer.body.as_object().unwrap().len(), 2, "{answer:?}");
        }
        answer
    }

    /// The `data` of a success.
    pub(crate) fn ok(mut self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["data"].take()
    }

    /// The text of a failure with this status.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        self.message().to_owned()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap()
    }

    /// How many Twilio calls it cost, as the service counts.
    pub(crate) fn twilio_calls(&self) -> u32 {
        self.headers["x-twilio-calls"].to_str().unwrap().parse().unwrap()
    }
}
