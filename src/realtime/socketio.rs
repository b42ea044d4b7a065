//! Socket.IO connections, over polling and WebSocket: the engine's settings, the handshake, events in.
//!
//! Handlers are registered in the connect *middleware*, which ends before the client hears that it is connected: registered
//! any later, a client's first event could find no handler. Events are read by a [`MessageHandler`] of our own, on the
//! reading task, so their order is the client's; what socketioxide offers instead spawns a task for each.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use moka::sync::Cache;
use serde::Deserialize;
use serde_json::value::RawValue;
use socketioxide::SocketIo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler as _, FromMessageParts as _, MessageHandler};
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::Socket;
use socketioxide_core::Value;

use super::session::{Session, State};
use super::{Handling, Hub, Incoming, Protocol, Transport};
use crate::auth::{Auth, AuthError, Caller, Verified, token_from};
use crate::clock::Clock;
use crate::core::Core;

/// Bytes of one frame or polling payload that a client may send.
pub const FRAME_BYTES: usize = 64 * 1024;
/// Packets that may wait for a client that reads slowly; one more cuts it off.
const PACKETS_WAITING: usize = 512;
/// How long a connection may take to ask for a namespace.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long the work of sockets may take once the service ends.
const FINISH_WITHIN: Duration = Duration::from_secs(8);
/// The headers that the engine or the handshake read; the others are dropped.
static KEPT_HEADERS: [HeaderName; 9] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];
/// Connections remembered by their engine's id.
const KILLS_AT_MOST: u64 = 100_000;

/// Cuts a connection off: a request extension, set by the server for requests that may become a socket.
#[derive(Clone)]
pub struct Kill(Arc<dyn Fn() + Send + Sync>);

impl Kill {
    /// From whatever closes the connection.
    pub fn new(kill: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(kill))
    }
}

/// Which connection carries which socket. A socket that was upgraded from polling is carried by another connection than
/// the one that opened it.
pub(super) struct Kills {
    upgrades: Cache<String, Kill>,
}

impl Default for Kills {
    fn default() -> Self {
        Self { upgrades: Cache::builder().max_capacity(KILLS_AT_MOST).build() }
    }
}

impl Kills {
    /// Cuts the connection of `socket`. One that polls is not there to be cut: it is not heard any more, and the engine
    /// drops it when it does not answer.
    pub(super) fn kill(&self, socket: &SocketRef) {
        let upgraded = self.upgrades.get(&socket.id.to_string());
        if let Some(kill) = upgraded.or_else(|| socket.req_parts().extensions.get::<Kill>().cloned()) {
            (kill.0)();
        }
    }
}

/// Notes which connection a WebSocket upgrade of a polling socket arrives on.
#[derive(Clone)]
pub struct UpgradedBy(Arc<Hub>);

impl UpgradedBy {
    /// To be called with every Socket.IO request, before the Socket.IO layer sees it. Copies what the engine keeps of the
    /// request for the life of the socket, so that the connection's read buffer (8 KiB) is not kept with it.
    pub fn prepare(&self, mut request: Request, kill: Kill) -> Request {
        if let Some(sid) = upgrade_of(request.uri()) {
            self.0.kills.upgrades.insert(sid, kill.clone());
        }
        let headers = KEPT_HEADERS.iter().filter_map(|name| {
            let value = HeaderValue::from_bytes(request.headers().get(name)?.as_bytes()).ok()?;
            Some((name.clone(), value))
        });
        *request.headers_mut() = headers.collect();
        if let Ok(copy) = request.uri().to_string().parse() {
            *request.uri_mut() = copy;
        }
        request.extensions_mut().insert(kill);
        request
    }
}

/// The engine's id of the socket that a WebSocket request wants to carry on.
fn upgrade_of(uri: &Uri) -> Option<String> {
    let mut sid = None;
    let mut websocket = false;
    for (key, value) in form_urlencoded::parse(uri.query()?.as_bytes()) {
        match &*key {
            "sid" => sid = Some(value.into_owned()),
            "transport" => websocket = value == "websocket",
            _ => {}
        }
    }
    sid.filter(|_| websocket)
}

/// Closes all sockets at the end; clients see `transport close` and come back by themselves.
#[derive(Clone)]
pub struct Closing {
    io: SocketIo,
    hub: Arc<Hub>,
}

impl Closing {
    /// Hears nothing more, finishes what was asked for (a while at most), and closes them.
    pub async fn close(&self) {
        self.hub.tasks.close();
        if tokio::time::timeout(FINISH_WITHIN, self.hub.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.hub.tasks.len(), "sockets are closed with work unfinished");
        }
        self.io.close().await;
    }
}

/// The Socket.IO layer that speaks `protocols`.
pub fn layer(
    core: Core,
    auth: Auth,
    clock: Clock,
    protocols: &'static [&'static Protocol],
) -> (SocketIoLayer, UpgradedBy, Closing) {
    let hub = Hub::new(core, auth, clock, protocols);
    let (layer, io) = SocketIo::builder()
        .max_payload(FRAME_BYTES as u64)
        .ws_max_message_size(FRAME_BYTES)
        .ws_max_frame_size(FRAME_BYTES)
        // A smaller read buffer is a third of an idle socket's memory; chat messages are short.
        .ws_read_buffer_size(512)
        .max_buffer_size(PACKETS_WAITING)
        .connect_timeout(CONNECT_WITHIN)
        .build_layer();
    let mut namespaces: Vec<_> = protocols
        .iter()
        .map(|protocol| {
            let Transport::SocketIo(namespace) = protocol.transport;
            namespace
        })
        .collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        let hub = Arc::clone(&hub);
        let admit = move |socket: SocketRef, TryData(auth): TryData<Option<HandshakeAuth>>| {
            admit(
                Arc::clone(&hub),
                socket,
                Transport::SocketIo(namespace),
                auth.map_err(|_| AuthError::Invalid),
            )
        };
        io.ns(namespace, settle.with(admit));
    }
    (layer, UpgradedBy(Arc::clone(&hub)), Closing { io, hub })
}

/// What a client hands over as `auth`.
#[derive(Deserialize)]
struct HandshakeAuth {
    token: Option<String>,
}

/// Why a socket was not let in: the message of the client's `connect_error`.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Refused(#[from] AuthError);

/// Finds out who connects, and makes the socket ready to be heard.
async fn admit(
    hub: Arc<Hub>,
    socket: SocketRef,
    transport: Transport,
    auth: Result<Option<HandshakeAuth>, AuthError>,
) -> Result<(), Refused> {
    let parts = socket.req_parts();
    let header = token_from(&parts.headers, &Uri::default());
    // Something that is no token is not the same as none.
    let token =
        header.or(auth?.and_then(|auth| auth.token)).or_else(|| token_from(&parts.headers, &parts.uri));
    let verified = match token {
        Some(token) => Some(hub.auth.verify(&token).await?),
        None => None,
    };
    let caller = verified.as_ref().map_or(Caller::Anonymous, Caller::from);
    let state = Arc::new(State::new(hub, caller, transport));
    socket.on_fallback(Inbound(Arc::clone(&state)));
    socket.extensions.insert(Admitted { state: Arc::clone(&state), verified });
    socket.on_disconnect(move |socket: SocketRef| {
        metrics::gauge!("switchboard_sockets").decrement(1.0);
        state.hub.kills.upgrades.invalidate(&socket.id.to_string());
        Session { state, socket }.end();
        std::future::ready(())
    });
    Ok(())
}

/// What is handed from the handshake to the connection, should it come to one.
#[derive(Clone)]
struct Admitted {
    state: Arc<State>,
    verified: Option<Verified>,
}

/// Begins what must also be ended: not in the handshake, since a client that leaves during it is never said to have left.
async fn settle(socket: SocketRef) {
    metrics::gauge!("switchboard_sockets").increment(1.0);
    if let Some(Admitted { state, verified }) = socket.extensions.remove::<Admitted>() {
        Session { state, socket }.settle(verified.as_ref());
    }
}

/// Reads the events of one socket.
struct Inbound(Arc<State>);

/// Tells this implementation apart from those for closures.
enum Raw {}

impl MessageHandler<LocalAdapter, Raw> for Inbound {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut value: Value, ack_id: Option<i64>) {
        let state = &self.0;
        if state.is_cut() || state.hub.tasks.is_closed() {
            return;
        }
        let Some((event, payload)) = read(&value) else { return };
        let Some((protocol, event)) = state.hub.listener(state.transport, &event) else {
            tracing::debug!("an event that no dialect knows was ignored");
            return;
        };
        let Ok(ack) = AckSender::from_message_parts(&socket, &mut value, &ack_id);
        let Ok(socket) = SocketRef::from_message_parts(&socket, &mut value, &ack_id);
        let session = Session { state: Arc::clone(state), socket };
        if let Some(identity) = session.bound() {
            session.core().heard_of(&identity);
        }
        let incoming = Incoming { event, payload, ack: ack_id.map(|_| ack) };
        if state.lanes.full() {
            return (protocol.on_overload)(&session, incoming);
        }
        match (protocol.on_event)(&session, incoming) {
            Handling::Done => {}
            Handling::InTurn(lane, work) => state.lanes.run(&state.hub.tasks, lane, work),
        }
    }
}

/// The name and first argument of `["name", argument, …]`. Binary attachments are not taken: what refers to them reads as
/// a placeholder, which no event expects.
fn read(value: &Value) -> Option<(String, Option<Box<RawValue>>)> {
    let text = value.as_str()?;
    let mut parts = serde_json::from_str::<Vec<Box<RawValue>>>(text.as_str()).ok()?.into_iter();
    let event = serde_json::from_str(parts.next()?.get()).ok()?;
    Some((event, parts.next()))
}
