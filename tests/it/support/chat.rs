//! Clients of the chat dialect: [`Chat`] over HTTP, [`ChatSocket`] over a raw WebSocket. Neither accepts anything outside the
//! document's envelope.
#![expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::app::token;
use super::{TestApp, assert_readable, logs, soon};

/// A client, perhaps with a token.
#[derive(Clone)]
pub(crate) struct Chat {
    http: reqwest::Client,
    address: SocketAddr,
    token: Option<String>,
}

/// An answer in the envelope.
#[derive(Debug)]
pub(crate) struct ChatAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl TestApp {
    /// A client with a token of the app.
    pub(crate) fn chat(&self, identity: &str) -> Chat {
        self.chat_with(Some(&token(identity)))
    }

    pub(crate) fn chat_with(&self, token: Option<&str>) -> Chat {
        Chat { http: self.http.clone(), address: self.address, token: token.map(str::to_owned) }
    }

    /// A socket to `conversation` with a token of the app.
    pub(crate) async fn chat_socket(&self, identity: &str, conversation: &str) -> ChatSocket {
        let path = format!("/ws/chat/{conversation}/?token={}", token(identity));
        ChatSocket::connect(self.address, identity, &path).await
    }

    /// A socket to `conversation` as the document opens it: without a token.
    pub(crate) async fn bare_chat_socket(&self, name: &str, conversation: &str) -> ChatSocket {
        ChatSocket::connect(self.address, name, &format!("/ws/chat/{conversation}/")).await
    }
}

impl Chat {
    /// A request to `path` below `/api/chat`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("http://{}/api/chat{path}", self.address));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> ChatAnswer {
        self.answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> ChatAnswer {
        logs::watch(body);
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn answer(&self, request: RequestBuilder) -> ChatAnswer {
        let response = soon("a request", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = soon("an answer", response.text()).await.unwrap();
        ChatAnswer::read(status, headers, &text)
    }

    /// Sends `text` to `receiver`; the message.
    pub(crate) async fn say(&self, receiver: &str, text: &str) -> Value {
        self.post("/send/", &json!({ "receiverId": receiver, "text": text })).await.made()["message"].take()
    }

    /// The list of conversations.
    pub(crate) async fn list(&self) -> Vec<Value> {
        let list = self.get("/conversations/").await.ok();
        list["conversations"].as_array().unwrap().clone()
    }
}

impl ChatAnswer {
    fn read(status: u16, headers: HeaderMap, text: &str) -> Self {
        let body: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{status} {text:?}"));
        let answer = Self { status, headers, body };
        assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
        assert_eq!(answer.body["success"], status < 300, "{answer:?}");
        if status >= 300 {
            assert_readable(answer.body["error"].as_str().unwrap_or_else(|| panic!("{answer:?}")));
            assert_eq!(answer.body.as_object().unwrap().len(), 2, "{answer:?}");
        }
        answer
    }

    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    pub(crate) fn made(self) -> Value {
        assert_eq!(self.status, 201, "{}", self.body);
        self.body
    }

    /// The text of a failure with this status.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn twilio_calls(&self) -> u32 {
        self.headers["x-twilio-calls"].to_str().unwrap().parse().unwrap()
    }
}

/// A raw WebSocket client.
pub(crate) struct ChatSocket {
    name: String,
    stream: WebSocketStream<TcpStream>,
}

impl ChatSocket {
    pub(crate) async fn connect(address: SocketAddr, name: &str, path: &str) -> Self {
        Self::try_connect(address, name, path, &[])
            .await
            .unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
    }

    /// Connects with more headers; the refusal's status and body if it is not let in.
    pub(crate) async fn try_connect(
        address: SocketAddr,
        name: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, String> {
        let stream = soon("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (header, value) in headers {
            request.headers_mut().insert(*header, value.parse().unwrap());
        }
        match soon("a handshake", client_async(request, stream)).await {
            Ok((stream, _)) => Ok(Self { name: name.to_owned(), stream }),
            Err(Error::Http(answer)) => Err(format!("{} {answer:?}", answer.status())),
            Err(error) => panic!("{name}: {error}"),
        }
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        logs::watch(frame);
        self.write(Message::Text(frame.to_string().into())).await;
    }

    pub(crate) async fn write(&mut self, message: Message) {
        soon("a write", self.stream.send(message)).await.unwrap();
    }

    /// A frame again and again, whether or not the server still takes it.
    pub(crate) async fn flood(&mut self, frame: Message, times: usize) {
        for _ in 0..times {
            let sent = soon("a write", self.stream.send(frame.clone())).await;
            if sent.is_err() {
                break;
            }
        }
    }

    /// Sends a message as `sender`, to whoever else is in the conversation.
    pub(crate) async fn say(&mut self, sender: &str, text: &str) {
        self.send(&json!({ "type": "chat_message", "senderId": sender, "text": text })).await;
    }

    /// The next frame, which must be of this type.
    pub(crate) async fn hears(&mut self, kind: &str) -> Value {
        let next = soon(format!("{} hearing {kind}", self.name), self.next()).await;
        let frame = next.unwrap_or_else(|code| panic!("{} is closed with {code:?}", self.name));
        assert_eq!(frame["type"], kind, "{}: {frame}", self.name);
        frame
    }

    /// The next frame, which must be a message; who said what.
    pub(crate) async fn hears_message(&mut self) -> (String, String) {
        let told = self.hears("chat_message").await;
        let text = |key: &str| told["message"][key].as_str().unwrap().to_owned();
        (text("sender"), text("text"))
    }

    /// The next frame, which must be this failure; its text.
    pub(crate) async fn hears_error(&mut self, name: &str) -> String {
        let told = self.hears("error").await;
        assert_eq!(told["error"], name, "{}: {told}", self.name);
        let message = told["message"].as_str().unwrap();
        assert_readable(message);
        assert!(told["conversationId"].is_string(), "{told}");
        message.to_owned()
    }

    /// The next thing is the end, with this code.
    pub(crate) async fn is_closed_with(&mut self, code: u16) {
        let next = soon(format!("the end of {}", self.name), self.next()).await;
        assert_eq!(next, Err(Some(code)), "{}", self.name);
    }

    /// Everything that is already on its way was looked at: a frame that nobody understands is answered next.
    pub(crate) async fn hears_nothing_else(&mut self) {
        self.send(&json!({ "type": "nothing_else" })).await;
        self.hears_error("UNKNOWN_MESSAGE_TYPE").await;
    }

    /// The next frame, or the code the connection was closed with; `None`: without one.
    pub(crate) async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            return match self.stream.next().await {
                Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(frame))) => Err(frame.map(|frame| frame.code.into())),
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => panic!("{} hears bytes", self.name),
                Some(Err(_)) | None => Err(None),
            };
        }
    }
}
