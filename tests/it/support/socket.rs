//! [`Socket`]: a Socket.IO client written from the protocol, strict about what it hears: every event is looked at, in order.
//!
//! Engine.IO 4 and Socket.IO 5 over a websocket. Packets: `0` open, `2`/`3` ping and pong, `40` connect, `41` disconnect,
//! `42` event, `43` acknowledgement, `44` refused.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{logs, soon};

/// One client.
pub(crate) struct Socket {
    name: String,
    /// Events that are told to people wherever they are, and that no story hears but those about them.
    passes_over: &'static [&'static str],
    /// As packets name it: nothing, or `/support,`.
    namespace: String,
    stream: WebSocketStream<TcpStream>,
    acks: u64,
    log: Vec<String>,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// An event and its argument.
    Event(String, Value),
    /// The answer to an acknowledgement callback.
    Ack(u64, Value),
    /// The server ended the namespace.
    Disconnected,
    /// The connection is closed.
    Closed,
}

impl Socket {
    /// From now on hears what is told to people wherever they are, too.
    pub(crate) fn hear_everything(mut self) -> Self {
        self.passes_over = &[];
        self
    }

    /// From now on hears of new conversations, wherever it is.
    pub(crate) fn hear_of_conversations(mut self) -> Self {
        self.passes_over = &["user_status_update"];
        self
    }

    /// Connects to `/`, with a token in `auth` if there is one; it must be let in.
    pub(crate) async fn connect(address: SocketAddr, name: &str, token: Option<&str>) -> Self {
        let auth = token.map(|token| json!({ "token": token }));
        match Self::try_connect(address, name, auth).await {
            Ok(socket) => socket,
            Err(refusal) => panic!("{name} was not let in: {refusal}"),
        }
    }

    /// Connects to `/` with this `auth`; the server's reason if it does not want that.
    pub(crate) async fn try_connect(
        address: SocketAddr,
        name: &str,
        auth: Option<Value>,
    ) -> Result<Self, String> {
        Self::try_connect_to(address, "/", name, auth).await
    }

    /// Connects to a namespace.
    pub(crate) async fn try_connect_to(
        address: SocketAddr,
        namespace: &str,
        name: &str,
        auth: Option<Value>,
    ) -> Result<Self, String> {
        let namespace = if namespace == "/" { String::new() } else { format!("{namespace},") };
        let stream = soon("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (stream, _) = soon("a websocket", client_async(url, stream)).await.unwrap();
        let passes_over = &["conversation_created", "group_created", "user_status_update"];
        let mut socket =
            Self { name: name.to_owned(), namespace, passes_over, stream, acks: 0, log: Vec::new() };
        let open = socket.packet().await.unwrap();
        assert!(open.starts_with('0'), "{open}");
        let auth = auth.map(|auth| auth.to_string()).unwrap_or_default();
        socket.write(format!("40{}{auth}", socket.namespace)).await;
        let answer = socket.packet().await.unwrap();
        match answer.strip_prefix("44") {
            None => {
                assert!(answer.starts_with("40"), "{answer}");
                Ok(socket)
            }
            Some(refusal) => {
                let refusal = refusal.strip_prefix(&socket.namespace).unwrap();
                let refusal: Value = serde_json::from_str(refusal).unwrap();
                Err(refusal["message"].as_str().unwrap().to_owned())
            }
        }
    }

    /// `user_connect` and `join_conversation` as the document's sample does, each answered.
    pub(crate) async fn enter(&mut self, conversation: &str, identity: &str) {
        self.emit("user_connect", &json!({ "userId": identity, "identity": identity })).await;
        let connected = self.hears("user_connected").await;
        assert_eq!(connected["success"], true, "{connected}");
        self.join(conversation, identity).await;
    }

    /// `user_connect` with a token; whether it succeeds.
    pub(crate) async fn try_user_connect(&mut self, identity: &str, token: &str) -> bool {
        self.emit("user_connect", &json!({ "userId": identity, "identity": identity, "token": token })).await;
        self.hears("user_connected").await["success"] == true
    }

    /// `join_conversation`, which must succeed.
    pub(crate) async fn join(&mut self, conversation: &str, identity: &str) {
        self.emit("join_conversation", &json!({ "conversationSid": conversation, "identity": identity }))
            .await;
        let joined = self.hears("joined_conversation").await;
        assert_eq!(joined["success"], true, "{joined}");
        self.hears("conversation_users").await;
    }

    pub(crate) async fn emit(&mut self, event: &str, payload: &Value) {
        logs::watch(payload);
        self.emit_raw(&format!("{},{payload}", json!(event))).await;
    }

    /// Emits an event whose arguments are written as given: `"name",argument,…`.
    pub(crate) async fn emit_raw(&mut self, arguments: &str) {
        self.write(format!("42{}[{arguments}]", self.namespace)).await;
    }

    /// Emits an event without an argument.
    pub(crate) async fn emit_bare(&mut self, event: &str) {
        self.emit_raw(&json!(event).to_string()).await;
    }

    /// Emits an event with a callback; gives back what it will be answered with.
    pub(crate) async fn emit_with_ack(&mut self, event: &str, payload: &Value) -> u64 {
        logs::watch(payload);
        self.acks += 1;
        let id = self.acks;
        self.write(format!("42{}{id}[{},{payload}]", self.namespace, json!(event))).await;
        id
    }

    /// A packet as it is.
    pub(crate) async fn write(&mut self, packet: String) {
        self.log.push(format!("> {}", &packet[..packet.len().min(200)]));
        soon("a write", self.stream.send(Message::Text(packet.into()))).await.unwrap();
    }

    /// A packet again and again, whether or not the server still takes it.
    pub(crate) async fn flood(&mut self, packet: &str, times: usize) {
        for _ in 0..times {
            let sent = soon("a write", self.stream.send(Message::Text(packet.into()))).await;
            if sent.is_err() {
                break;
            }
        }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Heard {
        let name = self.name.clone();
        let log = self.log.clone();
        let Some(packet) = soon(format!("{name} hearing something, after {log:#?}"), self.packet()).await
        else {
            return Heard::Closed;
        };
        if let Some(event) = packet.strip_prefix("42") {
            let event = event.strip_prefix(&self.namespace).unwrap();
            let parts: Vec<Value> = serde_json::from_str(event).unwrap();
            assert!((1..=2).contains(&parts.len()), "{packet}");
            let mut parts = parts.into_iter();
            let name = parts.next().unwrap().as_str().unwrap().to_owned();
            if self.passes_over.contains(&name.as_str()) {
                return Box::pin(self.next()).await;
            }
            return Heard::Event(name, parts.next().unwrap_or_default());
        }
        if let Some(ack) = packet.strip_prefix("43") {
            let ack = ack.strip_prefix(&self.namespace).unwrap();
            let (id, answer) = ack.split_at(ack.find('[').unwrap());
            let parts: Vec<Value> = serde_json::from_str(answer).unwrap();
            return Heard::Ack(id.parse().unwrap(), parts.into_iter().next().unwrap_or_default());
        }
        assert_eq!(packet, format!("41{}", self.namespace), "{name}");
        Heard::Disconnected
    }

    /// The next thing, which must be an event: its name and argument.
    pub(crate) async fn hears_something(&mut self) -> (String, Value) {
        let heard = self.next().await;
        let Heard::Event(name, payload) = heard else {
            panic!("{} hears {heard:?}; so far {:#?}", self.name, self.log)
        };
        (name, payload)
    }

    /// The next thing, which must be this event.
    pub(crate) async fn hears(&mut self, event: &str) -> Value {
        let (name, payload) = self.hears_something().await;
        assert_eq!(name, event, "{} hears {payload}; so far {:#?}", self.name, self.log);
        payload
    }

    /// The next two things, which must be that somebody came online and entered the room; in which order depends on
    /// whether it was known that they belong here.
    pub(crate) async fn hears_of_coming(&mut self) -> (Value, Value) {
        let (name, first) = self.hears_something().await;
        if name == "user_joined" {
            return (first, self.hears("user_status_changed").await);
        }
        assert_eq!(name, "user_status_changed", "{} hears {first}; so far {:#?}", self.name, self.log);
        (self.hears("user_joined").await, first)
    }

    /// The next thing, which must be the answer to this callback.
    pub(crate) async fn hears_ack(&mut self, id: u64) -> Value {
        let heard = self.next().await;
        let Heard::Ack(answered, answer) = heard else { panic!("{} hears {heard:?}", self.name) };
        assert_eq!(answered, id);
        answer
    }

    /// The next thing, which must be a message; its body.
    pub(crate) async fn hears_message(&mut self) -> String {
        let told = self.hears("new_message").await;
        told["message"]["body"].as_str().unwrap().to_owned()
    }

    /// Everything that is already on its way was looked at: a ping is answered next.
    pub(crate) async fn hears_nothing_else(&mut self) {
        self.emit_bare("ping").await;
        self.hears("pong").await;
    }

    /// The server ends the connection, whatever it says before; what that was.
    pub(crate) async fn is_ended(&mut self) -> Vec<Heard> {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                Heard::Disconnected | Heard::Closed => return before,
                heard @ (Heard::Event(..) | Heard::Ack(..)) => before.push(heard),
            }
        }
    }

    /// Nothing is unread; the client goes.
    pub(crate) async fn finish(mut self) {
        self.hears_nothing_else().await;
        self.close().await;
    }

    /// The client goes, as `socket.disconnect()` does.
    pub(crate) async fn close(mut self) {
        self.write(format!("41{}", self.namespace)).await;
        drop(self.stream.close(None).await);
    }

    /// The next packet that is no ping of the engine; `None` at the end.
    pub(crate) async fn packet(&mut self) -> Option<String> {
        loop {
            let text = match self.stream.next().await {
                Some(Ok(Message::Text(text))) => text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => panic!("{} hears bytes", self.name),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            };
            match text.as_str() {
                "2" => drop(self.stream.send(Message::Text("3".into())).await),
                "1" => return None,
                _ => {
                    self.log.push(format!("< {}", text.chars().take(200).collect::<String>()));
                    return Some(text);
                }
            }
        }
    }
}
