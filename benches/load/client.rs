//! A Socket.IO client that costs next to nothing: frames written by hand, only what is counted is parsed.
//!
//! Engine.IO 4, Socket.IO 5, websocket only. `2`/`3` are the engine's ping and pong, `40` connects, `42` is an event.

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

/// One connected socket.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

/// What a frame was, as far as anyone here cares.
pub(crate) enum Heard {
    /// `new_message` whose body is this number.
    Message(u64),
    /// `user_typing`.
    Typing(bool),
    /// Anything else.
    Other,
}

fn heard(frame: &str) -> Heard {
    if frame.starts_with("42[\"new_message\"") {
        let digits = frame.find("\"body\":\"").map(|at| &frame[at + 8..]).unwrap_or_default();
        let end = digits.find('"').unwrap_or_default();
        digits[..end].parse().map_or(Heard::Other, Heard::Message)
    } else if frame.starts_with("42[\"user_typing\"") {
        Heard::Typing(frame.contains("\"isTyping\":true"))
    } else {
        Heard::Other
    }
}

impl Socket {
    /// The websocket, the engine's handshake, and the namespace `/`.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (websocket, _) = client_async(url, stream).await?;
        let mut socket = Self(websocket);
        socket.frame("0").await?;
        socket.send("40".to_owned()).await?;
        socket.frame("40").await?;
        Ok(socket)
    }

    /// As the document's sample begins: `user_connect`, `join_conversation`, each answered.
    pub(crate) async fn enter(address: &str, identity: &str, conversation: &str) -> Result<Self> {
        let mut socket = Self::connect(address).await?;
        socket.send(event("user_connect", &json!({ "userId": identity, "identity": identity }))).await?;
        socket.frame("42[\"user_connected\"").await?;
        let join = json!({ "conversationSid": conversation, "identity": identity });
        socket.send(event("join_conversation", &join)).await?;
        let joined = socket.frame("42[\"joined_conversation\"").await?;
        if !joined.contains("\"success\":true") {
            bail!("{identity} was not let into {conversation}: {joined}");
        }
        Ok(socket)
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Utf8Bytes>) -> Result<()> {
        Ok(self.0.send(Message::Text(frame.into())).await?)
    }

    /// The next frame; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Result<Heard> {
        Ok(heard(&self.text().await?))
    }

    async fn text(&mut self) -> Result<Utf8Bytes> {
        loop {
            let frame = self.0.next().await.context("the server closed the connection")??;
            let Message::Text(text) = frame else { continue };
            if text.as_str() == "2" {
                self.send("3").await?;
            } else {
                return Ok(text);
            }
        }
    }

    /// The next frame that begins with `prefix`.
    async fn frame(&mut self, prefix: &str) -> Result<Utf8Bytes> {
        loop {
            let text = self.text().await?;
            if text.starts_with(prefix) {
                return Ok(text);
            }
        }
    }
}

/// The frame of one event.
pub(crate) fn event(name: &str, payload: &Value) -> String {
    format!("42[\"{name}\",{payload}]")
}
