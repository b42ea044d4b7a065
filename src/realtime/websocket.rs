//! Raw WebSocket connections: the handshake, frames in and out, silence, the end.
//!
//! A frame is a JSON object whose `type` is the event's name; the rest of it is the payload. One task per connection reads
//! and writes; what is told to a room is encoded once and its bytes are shared by all who hear it. Where such connections
//! are opened and what they mean is their dialect's business, see [`RawProtocol`].
//!
//! On hyper's upgrade and tokio-tungstenite, the library that carries Socket.IO's connections too; axum's own `ws` would
//! bring in another version of it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::admission::Place;
use super::session::{Link, Session, State};
use super::socketio::Kill;
use super::{Hub, Incoming, Protocol, Transport};
use crate::auth::{Caller, Verified, token_from};
use crate::config::Bounds;
use crate::core;

/// Closes a connection whose token is missing, no good, or at its end.
pub const UNAUTHENTICATED: u16 = 4001;

/// How much longer a client may take to answer a ping than one of Socket.IO: the engine asks for it, here the system answers.
const MORE_PATIENCE: Duration = Duration::from_secs(15);
/// How long the other side may take to answer a close.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);
/// Bytes read at once: chat messages are short, and this is kept by every idle connection.
const READ_BYTES: usize = 512;
/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 4 * 1024;
/// The subprotocol after which a browser names its token; it is chosen, since a browser refuses an answer without one.
const SUBPROTOCOL: HeaderValue = HeaderValue::from_static("bearer");

/// How a dialect speaks over raw WebSockets, besides its [`Protocol`].
pub struct RawProtocol {
    /// The events, in and out.
    pub protocol: &'static Protocol,
    /// Begins a connection, before its client hears that it stands. `Err`: its token is no good, or its person has too
    /// many.
    pub on_open: fn(Session, Result<(), core::Error>) -> BoxFuture<'static, ()>,
    /// Answers a frame that is none of the protocol's events.
    pub on_unknown: fn(&Session, Unknown),
    /// How long a connection may be in no room.
    pub room_within: Duration,
    /// Ends one that was in none for so long.
    pub on_roomless: fn(&Session),
}

/// Why a frame is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is not JSON, or not an object.
    NotAnObject,
    /// Its `type` is none of the protocol's.
    NoSuchEvent,
}

/// The request does not ask for a WebSocket, or not in a way that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this address is for WebSocket connections")]
pub struct NotAWebSocket;

/// The way to open raw WebSockets: a cheap clone.
#[derive(Clone)]
pub struct WebSockets(pub(super) Arc<Hub>);

impl WebSockets {
    /// Makes `request` a WebSocket of `raw`, opened for what `address` names, and begins it: whoever hears that the
    /// connection stands hears from then on all that is told there. What is wrong with its token or its address is said
    /// once it stands, since a browser's script cannot read the answer to a handshake. The request has passed the
    /// [`super::Entrance`].
    ///
    /// # Errors
    /// [`NotAWebSocket`].
    pub async fn open(
        &self,
        raw: &'static RawProtocol,
        address: &str,
        mut request: Request,
    ) -> Result<Response, NotAWebSocket> {
        let accept = accept_key(&request).ok_or(NotAWebSocket)?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(NotAWebSocket)?;
        let kill = request.extensions_mut().remove::<Kill>().unwrap_or_else(|| Kill::new(|| {}));
        let place = request.extensions_mut().remove::<Arc<Place>>().ok_or(NotAWebSocket)?;
        let verified = match token_from(request.headers(), request.uri()) {
            Some(token) => self.verify(&place, &token).await.map(Some),
            None => Ok(None),
        };
        if let Ok(Some(verified)) = &verified {
            self.0.core.meet(verified).await;
        }
        let names_bearer = asks_for_bearer(request.headers());
        // The request's head must not live as long as the connection.
        drop(request);
        let (frames, waiting) = mpsc::channel(self.0.core.limits().bounds.socket_queue);
        let open = self.begin(raw, address, place, &verified, Pipe::new(frames, kill)).await;
        let bounds = self.0.core.limits().bounds;
        self.0.connections.spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let connection = Connection::over(upgraded, waiting, raw, &bounds).await;
            connection.run(&open.0).await;
        });
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if names_bearer {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        }
        Ok(response)
    }

    /// Begins what the end of the connection ends, also of one that never comes to stand.
    async fn begin(
        &self,
        raw: &'static RawProtocol,
        address: &str,
        place: Arc<Place>,
        verified: &Result<Option<Verified>, core::Error>,
        pipe: Pipe,
    ) -> Open {
        let known = verified.as_ref().ok().and_then(Option::as_ref);
        let caller = known.map_or(Caller::Anonymous, Caller::from);
        let state = State::new(Arc::clone(&self.0), caller, Transport::WebSocket, place);
        let state = Arc::new(state.opened_at(Box::from(address)));
        let open = Open::new(Session { state, link: Link::WebSocket(Arc::new(pipe)) });
        let let_in = verified.as_ref().map(drop).map_err(Clone::clone).and_then(|()| open.0.state.sit_down());
        if let_in.is_ok() {
            open.0.settle(known);
        }
        (raw.on_open)(open.0.clone(), let_in).await;
        open
    }

    async fn verify(&self, place: &Place, token: &str) -> Result<Verified, core::Error> {
        place.may_show_token()?;
        let verified = self.0.auth.verify(token).await;
        place.note_token(&verified);
        Ok(verified?)
    }
}

/// What the answer to the handshake must prove. Source: RFC 6455, 4.2.
fn accept_key(request: &Request) -> Option<HeaderValue> {
    let headers = request.headers();
    let asks = request.method() == Method::GET
        && has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

fn asks_for_bearer(headers: &HeaderMap) -> bool {
    has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, "bearer")
}

/// Whether one of the words of a header that lists them is `word`.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
}

/// The way to a connection's task.
pub(super) struct Pipe {
    frames: mpsc::Sender<Frame>,
    kill: Kill,
}

/// What a connection is to write.
pub(super) enum Frame {
    Text(Utf8Bytes),
    Close(u16, &'static str),
}

/// A client does not read: its queue is full.
pub(super) struct Full;

impl Pipe {
    pub(super) fn new(frames: mpsc::Sender<Frame>, kill: Kill) -> Self {
        Self { frames, kill }
    }

    /// Queues `frame`; one for a connection that is gone is dropped.
    pub(super) fn push(&self, frame: Frame) -> Result<(), Full> {
        match self.frames.try_send(frame) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Full),
        }
    }

    /// Cuts the connection off.
    pub(super) fn kill(&self) {
        self.kill.kill();
    }
}

/// The frame of an event: its payload with the name as `type`.
pub(super) fn frame_of(event: &str, payload: &str) -> Utf8Bytes {
    let fields = payload.strip_prefix('{').unwrap_or("}");
    let comma = if fields.starts_with('}') { "" } else { "," };
    format!(r#"{{"type":"{event}"{comma}{fields}"#).into()
}

/// A connection that was begun; whatever ends it, it is left in order.
struct Open(Session);

impl Open {
    fn new(session: Session) -> Self {
        metrics::gauge!("switchboard_sockets").increment(1.0);
        Self(session)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("switchboard_sockets").decrement(1.0);
        self.0.end();
    }
}

type Stream = WebSocketStream<TokioIo<Upgraded>>;

struct Connection {
    stream: Stream,
    waiting: mpsc::Receiver<Frame>,
    raw: &'static RawProtocol,
    /// How often the client is asked whether it is there.
    ping_every: Duration,
    /// How long it may be silent, answers to pings included.
    silent_for: Duration,
    pinged: Instant,
    heard: Instant,
    /// When it must be in a room; `None`: that was seen to.
    roomless_at: Option<Instant>,
}

/// How a connection ends: with this code and reason, or (`None`) it is gone already.
type End = Option<(CloseCode, &'static str)>;

impl Connection {
    async fn over(
        upgraded: Upgraded,
        waiting: mpsc::Receiver<Frame>,
        raw: &'static RawProtocol,
        bounds: &Bounds,
    ) -> Self {
        let config = limits(bounds.frame_bytes);
        let stream =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let now = Instant::now();
        let ping_every = bounds.socket_ping;
        let silent_for = ping_every + bounds.socket_pong + MORE_PATIENCE;
        let roomless_at = Some(now + raw.room_within);
        Self { stream, waiting, raw, ping_every, silent_for, pinged: now, heard: now, roomless_at }
    }

    async fn run(mut self, session: &Session) {
        let end = self.until_the_end(session).await;
        let Some((code, reason)) = end else { return };
        let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let part = async {
            while let Ok(Frame::Text(text)) = self.waiting.try_recv() {
                self.stream.feed(Message::Text(text)).await?;
            }
            self.stream.send(Message::Close(Some(close))).await?;
            while let Some(Ok(_)) = self.stream.next().await {}
            Ok::<_, Error>(())
        };
        // Either way the connection is dropped now.
        let _ = timeout(CLOSED_WITHIN, part).await;
    }

    async fn until_the_end(&mut self, session: &Session) -> End {
        let ending = session.state.hub.ending.clone();
        let mut ended = std::pin::pin!(ending.cancelled());
        let mut alarm = std::pin::pin!(sleep_until(self.next_alarm()));
        loop {
            let flow = tokio::select! {
                frame = self.waiting.recv() => match frame {
                    Some(frame) => self.write(frame).await,
                    None => ControlFlow::Break(None),
                },
                message = self.stream.next() => self.read(session, message),
                () = &mut alarm => {
                    let flow = self.look(session).await;
                    alarm.as_mut().reset(self.next_alarm());
                    flow
                }
                () = &mut ended => ControlFlow::Break(Some((CloseCode::Restart, "the service restarts"))),
            };
            if let ControlFlow::Break(end) = flow {
                return end;
            }
        }
    }

    /// Writes `frame` and whatever waits behind it.
    async fn write(&mut self, frame: Frame) -> ControlFlow<End> {
        let mut next = Some(frame);
        while let Some(frame) = next {
            match frame {
                Frame::Text(text) => sent(self.stream.feed(Message::Text(text)).await)?,
                Frame::Close(code, reason) => return ControlFlow::Break(Some((code.into(), reason))),
            }
            next = self.waiting.try_recv().ok();
        }
        sent(self.stream.flush().await)
    }

    fn read(&mut self, session: &Session, message: Option<Result<Message, Error>>) -> ControlFlow<End> {
        self.heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => {
                self.take_in(session, &text);
                ControlFlow::Continue(())
            }
            // Read, and answered, by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                session.ignore();
                ControlFlow::Continue(())
            }
            Some(Ok(Message::Binary(_))) => {
                ControlFlow::Break(Some((CloseCode::Unsupported, "only text is understood")))
            }
            // Answered by the library; what is left is to wait for the end.
            Some(Ok(Message::Close(_))) => ControlFlow::Break(Some((CloseCode::Normal, ""))),
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                ControlFlow::Break(Some((CloseCode::Size, "the message is too long")))
            }
            Some(Err(Error::Utf8(_))) => {
                ControlFlow::Break(Some((CloseCode::Invalid, "the text is not UTF-8")))
            }
            Some(Err(_)) | None => ControlFlow::Break(None),
        }
    }

    /// Hands an event of the client's on.
    fn take_in(&self, session: &Session, text: &str) {
        if session.is_deaf() {
            return;
        }
        match event_in(self.raw.protocol, text) {
            Ok((event, object)) => {
                let incoming = Incoming { event, payload: Some(object), ack: None };
                session.take_in(self.raw.protocol, incoming);
            }
            Err(unknown) => self.not_understood(session, unknown),
        }
    }

    /// Answers what is no event: it counts as one all the same.
    fn not_understood(&self, session: &Session, unknown: Unknown) {
        match session.state.place.event() {
            Ok(()) => (self.raw.on_unknown)(session, unknown),
            Err(excess) => {
                let nothing = Incoming { event: "", payload: None, ack: None };
                session.refuse(self.raw.protocol, nothing, excess);
            }
        }
    }

    /// When something may be due: silence cannot end earlier than it seems now.
    fn next_alarm(&self) -> Instant {
        let due = (self.pinged + self.ping_every).min(self.heard + self.silent_for);
        self.roomless_at.map_or(due, |roomless_at| roomless_at.min(due))
    }

    /// Looks at what is due.
    async fn look(&mut self, session: &Session) -> ControlFlow<End> {
        let now = Instant::now();
        if now >= self.heard + self.silent_for {
            tracing::debug!("a socket that is silent is cut off");
            return ControlFlow::Break(None);
        }
        if self.roomless_at.is_some_and(|roomless_at| now >= roomless_at) {
            self.roomless_at = None;
            if !session.is_in_a_room() {
                (self.raw.on_roomless)(session);
            }
        }
        if now >= self.pinged + self.ping_every {
            self.pinged = now;
            return sent(self.stream.send(Message::Ping(Bytes::new())).await);
        }
        ControlFlow::Continue(())
    }
}

/// What a connection reads and writes at once, and at most.
pub(super) fn limits(frame_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(WRITE_BYTES + 4 * frame_bytes)
        .max_message_size(Some(frame_bytes))
        .max_frame_size(Some(frame_bytes))
}

/// The event of `protocol` that a frame is, and its payload, which is all of it.
pub(super) fn event_in(
    protocol: &'static Protocol,
    text: &str,
) -> Result<(&'static str, Box<RawValue>), Unknown> {
    #[derive(Deserialize)]
    struct Typed {
        r#type: Option<serde_json::Value>,
    }
    let object = serde_json::from_str::<Box<RawValue>>(text).ok().filter(|json| json.get().starts_with('{'));
    let object = object.ok_or(Unknown::NotAnObject)?;
    let name = serde_json::from_str::<Typed>(object.get()).ok().and_then(|typed| typed.r#type);
    let name = name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let event = protocol.listens.iter().find(|event| **event == name).ok_or(Unknown::NoSuchEvent)?;
    Ok((event, object))
}

/// What cannot be written to is gone.
fn sent(outcome: Result<(), Error>) -> ControlFlow<End> {
    outcome.map_or(ControlFlow::Break(None), ControlFlow::Continue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_payload_with_a_type() {
        assert_eq!(frame_of("chat_message", r#"{"a":1}"#).as_str(), r#"{"type":"chat_message","a":1}"#);
        assert_eq!(frame_of("pong", "{}").as_str(), r#"{"type":"pong"}"#);
        assert_eq!(frame_of("odd", "7").as_str(), r#"{"type":"odd"}"#);
    }
}
