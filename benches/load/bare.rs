//! Two servers to compare with, as small as they can be: they speak just enough of the events for `client.rs`.
//!
//! `websocket` is a room broadcast over raw websockets, no library and no Twilio: what the machine can do.
//! `socketioxide` is the library as its documentation shows it, with one upstream call per message and no order kept.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use futures::{SinkExt, StreamExt};
use parking_lot::RwLock;
use reqwest::Client;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef, State};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::process::ACCOUNT;

/// Every member's queue, by room.
type Rooms = Arc<RwLock<HashMap<String, Vec<mpsc::UnboundedSender<Utf8Bytes>>>>>;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn websocket(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let rooms = Arc::clone(&rooms);
        // A connection that ends in an error has ended all the same.
        tokio::spawn(async move { broadcast(stream, &rooms).await.ok() });
    }
}

async fn broadcast(stream: TcpStream, rooms: &Rooms) -> Result<()> {
    let (mut writer, mut reader) = accept_async(stream).await?.split();
    let (queue, mut queued) = mpsc::unbounded_channel::<Utf8Bytes>();
    tokio::spawn(async move {
        while let Some(text) = queued.recv().await {
            writer.feed(Message::Text(text)).await?;
            while let Ok(text) = queued.try_recv() {
                writer.feed(Message::Text(text)).await?;
            }
            writer.flush().await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    queue.send("0{}".into())?;
    while let Some(frame) = reader.next().await {
        let Message::Text(text) = frame? else { continue };
        if text.as_str() == "40" {
            queue.send("40{}".into())?;
        } else if text.starts_with("42[\"user_connect\"") {
            queue.send("42[\"user_connected\",{\"success\":true}]".into())?;
        } else if text.starts_with("42[\"join_conversation\"") {
            rooms.write().entry(room_of(&text).to_owned()).or_default().push(queue.clone());
            queue.send("42[\"joined_conversation\",{\"success\":true}]".into())?;
        } else if text.starts_with("42[\"send_message\"") {
            let told = Utf8Bytes::from(text.replacen("send_message", "new_message", 1));
            for member in rooms.read().get(room_of(&text)).into_iter().flatten() {
                // Who has left hears nothing.
                member.send(told.clone()).ok();
            }
        }
    }
    Ok(())
}

fn room_of(text: &str) -> &str {
    let rest = text.find("\"conversationSid\":\"").map(|at| &text[at + 19..]).unwrap_or_default();
    &rest[..rest.find('"').unwrap_or_default()]
}

#[derive(Clone)]
struct Upstream {
    http: Client,
    address: String,
}

impl Upstream {
    async fn create_message(&self, message: &Value) -> Result<Value> {
        let [author, body, conversation] =
            ["author", "body", "conversationSid"].map(|field| message[field].as_str().unwrap_or_default());
        let url = format!(
            "http://{}/v1/Services/{}/Conversations/{conversation}/Messages",
            self.address, ACCOUNT[4].1
        );
        let request = self.http.post(url).basic_auth(ACCOUNT[2].1, Some(ACCOUNT[3].1));
        Ok(request.form(&[("Author", author), ("Body", body)]).send().await?.json().await?)
    }
}

#[tokio::main]
pub(crate) async fn socketioxide(address: &str, upstream: &str) -> Result<()> {
    let upstream = Upstream { http: Client::new(), address: upstream.to_owned() };
    let (layer, io) = SocketIo::builder().with_state(upstream).max_buffer_size(1024).build_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on("user_connect", async |socket: SocketRef, Data(who): Data<Value>| {
            socket.emit("user_connected", &json!({ "success": true, "identity": who["identity"] })).ok();
        });
        socket.on("join_conversation", async |socket: SocketRef, Data(join): Data<Value>| {
            socket.join(room(&join));
            socket.emit("joined_conversation", &json!({ "success": true })).ok();
        });
        socket.on("typing_start", async |socket: SocketRef, Data(typing): Data<Value>| tell_typing(&socket, &typing, true).await);
        socket.on("typing_stop", async |socket: SocketRef, Data(typing): Data<Value>| tell_typing(&socket, &typing, false).await);
        socket.on("send_message", async |socket: SocketRef, Data(message): Data<Value>, State(upstream): State<Upstream>| {
            if let Ok(stored) = upstream.create_message(&message).await {
                let told = json!({
                    "conversationSid": message["conversationSid"],
                    "message": {
                        "sid": stored["sid"],
                        "body": stored["body"],
                        "author": stored["author"],
                        "dateCreated": stored["date_created"],
                        "media": [],
                    },
                    "timestamp": stored["date_created"],
                });
                socket.within(room(&message)).emit("new_message", &told).await.ok();
                let sent = json!({ "success": true, "messageSid": stored["sid"], "conversationSid": message["conversationSid"] });
                socket.emit("message_sent", &sent).ok();
            }
        });
    });
    let listener = axum::serve::ListenerExt::tap_io(TcpListener::bind(address).await?, |stream| {
        // Slower without, not wrong.
        stream.set_nodelay(true).ok();
    });
    Ok(axum::serve(listener, Router::new().layer(layer)).await?)
}

async fn tell_typing(socket: &SocketRef, typing: &Value, is_typing: bool) {
    let told = json!({
        "conversationSid": typing["conversationSid"],
        "identity": typing["identity"],
        "isTyping": is_typing,
        "timestamp": "2025-12-17T10:30:00.000Z",
    });
    // Who does not read is not waited for.
    socket.to(room(typing)).emit("user_typing", &told).await.ok();
}

fn room(payload: &Value) -> String {
    payload["conversationSid"].as_str().unwrap_or_default().to_owned()
}
