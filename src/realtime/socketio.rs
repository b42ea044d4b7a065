//! Socket.IO connections, over polling and WebSocket: the engine's settings, the handshake, events in.
//!
//! Handlers are registered in the connect *middleware*, which ends before the client hears that it is connected: registered
//! any later, a client's first event could find no handler. Events are read by a [`MessageHandler`] of our own, on the
//! reading task, so their order is the client's; what socketioxide offers instead spawns a task for each.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, FromConnectParts as _, FromMessageParts as _, MessageHandler};
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::{Sid, Socket};
use socketioxide::{SocketIo, TransportType};
use socketioxide_core::Value;
use tokio::time::timeout;

use super::admission::{Excess, Place};
use super::session::{Link, Session, State};
use super::websocket::WebSockets;
use super::{Handshake, Hub, Incoming, Protocol, Transport, panicked};
use crate::auth::{Auth, AuthError, Caller, Verified, token_from};
use crate::clock::Clock;
use crate::core::{Core, Error};
use crate::limits::{ClientAddress, Network};

/// How long the work of sockets may take once the service ends.
const FINISH_WITHIN: Duration = Duration::from_secs(8);
/// Events that may wait for a socket to be settled, which takes no time; one more cuts it off.
const EARLY_EVENTS: usize = 64;
/// How long raw WebSockets may take to part then.
const PART_WITHIN: Duration = Duration::from_millis(1_500);
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
/// Upgrades under way that are remembered, and how long: until the socket enters a namespace, which clients do at once.
const UPGRADES_AT_MOST: u64 = 10_000;
const UPGRADES_FOR: Duration = Duration::from_secs(30);

/// Cuts a connection off: a request extension, set by the server for requests that may become a socket.
#[derive(Clone)]
pub struct Kill(Arc<dyn Fn() + Send + Sync>);

impl Kill {
    /// From whatever closes the connection.
    pub fn new(kill: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(kill))
    }

    /// Does it.
    pub(super) fn kill(&self) {
        (self.0)();
    }
}

/// Which connection carries which socket. A socket that was upgraded from polling is carried by another connection than
/// the one that opened it: its [`Place`] knows which, once it is in a namespace. Until then, and for upgrades of sockets
/// that are none, which strangers can ask for, the connection is remembered here for a moment.
pub(super) struct Kills {
    upgrades: Cache<Sid, Kill>,
}

impl Default for Kills {
    fn default() -> Self {
        let upgrades = Cache::builder()
            .max_capacity(UPGRADES_AT_MOST)
            .time_to_live(UPGRADES_FOR)
            // The newest are those that matter.
            .eviction_policy(EvictionPolicy::lru());
        Self { upgrades: upgrades.build() }
    }
}

impl Kills {
    /// Notes that the connection of `kill` is to carry the socket that a client calls `sid`, and gives back which that is;
    /// `None`: the engine will say that there is no such socket.
    fn note_upgrade(&self, sid: &str, kill: &Kill) -> Option<Sid> {
        let sid = sid.parse().ok()?;
        self.upgrades.insert(sid, kill.clone());
        Some(sid)
    }

    /// Hands what was noted for a socket over to its place.
    fn hand_over(&self, sid: Sid, place: &Place) {
        if let Some(kill) = self.upgrades.remove(&sid) {
            place.set_carrier(kill);
        }
    }

    /// Cuts the connection of `socket`. One that polls has none: whatever carried its last request may carry somebody
    /// else's next one. It is told to go, and where it does not read even that, the engine drops it once it does not answer.
    pub(super) fn kill(&self, socket: &SocketRef) {
        let extensions = &socket.req_parts().extensions;
        let carrier = || {
            let upgraded = extensions.get::<Arc<Place>>().and_then(|place| place.carrier());
            upgraded.or_else(|| self.upgrades.get(&socket.id)).or_else(|| extensions.get::<Kill>().cloned())
        };
        let is_polling = socket.transport_type() == TransportType::Polling;
        match if is_polling { None } else { carrier() } {
            Some(kill) => kill.kill(),
            None => {
                let _ = socket.clone().disconnect();
            }
        }
    }
}

/// What every request passes first that may become a socket.
#[derive(Clone)]
pub struct Entrance {
    hub: Arc<Hub>,
    io: SocketIo,
}

impl Entrance {
    /// Makes `request`, which asks for a raw WebSocket, ready for [`WebSockets::open`].
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] when too many sockets are opened from where it comes, [`Error::Throttled`] when from
    /// everywhere.
    pub async fn websocket(&self, mut request: Request, kill: Kill) -> Result<Request, Error> {
        let place = self.place(network_of(&request)).await?;
        request.extensions_mut().insert(place);
        request.extensions_mut().insert(kill);
        Ok(request)
    }

    /// Makes `request`, which is Socket.IO's, ready for the Socket.IO layer: notes which connection an upgrade of a polling
    /// socket arrives on, and copies what the engine keeps of the request for the life of the socket, so that the connection's
    /// read buffer (8 KiB) is not kept with it.
    ///
    /// # Errors
    /// As [`Entrance::websocket`].
    pub async fn socketio(&self, mut request: Request, kill: Kill) -> Result<Request, Error> {
        let is_websocket = parameter(request.uri(), "transport=") == Some("websocket");
        match parameter(request.uri(), "sid=") {
            Some(sid) if is_websocket => self.note_upgrade(sid, &kill),
            Some(_) => {}
            // The engine keeps the request as long as the socket, and its place with it.
            None => {
                let place = self.place(network_of(&request)).await?;
                request.extensions_mut().insert(place);
                if is_websocket {
                    request.extensions_mut().insert(kill);
                }
            }
        }
        let headers = KEPT_HEADERS.iter().filter_map(|name| {
            let value = HeaderValue::from_bytes(request.headers().get(name)?.as_bytes()).ok()?;
            Some((name.clone(), value))
        });
        *request.headers_mut() = headers.collect();
        if let Ok(copy) = request.uri().to_string().parse() {
            *request.uri_mut() = copy;
        }
        Ok(request)
    }

    async fn place(&self, from: Option<Network>) -> Result<Arc<Place>, Error> {
        self.hub.gate.pass(from).await.map(Arc::new)
    }

    /// A socket that polls and is in a namespace is upgraded to the connection of `kill`; any other may be one soon. Noted
    /// first and looked for then, the other way round than [`Settle`] does it: one of the two sees the other.
    fn note_upgrade(&self, sid: &str, kill: &Kill) {
        let Some(sid) = self.hub.kills.note_upgrade(sid, kill) else { return };
        let Some(socket) = self.io.nsps().iter().find_map(|namespace| namespace.get_socket(sid)) else {
            return;
        };
        match socket.req_parts().extensions.get::<Arc<Place>>() {
            Some(place) if socket.transport_type() == TransportType::Polling => {
                self.hub.kills.hand_over(sid, place);
            }
            // It has been upgraded: nothing comes of this.
            Some(_) | None => self.hub.kills.upgrades.invalidate(&sid),
        }
    }
}

fn network_of(request: &Request) -> Option<Network> {
    request.extensions().get::<ClientAddress>().map(|address| address.network())
}

/// A parameter of a Socket.IO request as the engine reads it, which knows no other spelling: whatever it takes for a new
/// socket must be taken for one here.
fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|parameter| parameter.strip_prefix(name))
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
        if timeout(FINISH_WITHIN, self.hub.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.hub.tasks.len(), "sockets are closed with work unfinished");
        }
        self.hub.ending.cancel();
        self.hub.connections.close();
        // Those that do not answer are dropped with the runtime.
        let parted = timeout(PART_WITHIN, self.hub.connections.wait());
        let _ = tokio::join!(self.io.close(), parted);
    }
}

/// The Socket.IO layer that speaks `protocols`, the way in, the way out, and the way to open those that are raw. Every
/// request that may become a socket passes the [`Entrance`] first.
pub fn layer(
    core: Core,
    auth: Auth,
    clock: Clock,
    protocols: &'static [&'static Protocol],
) -> (SocketIoLayer, Entrance, Closing, WebSockets) {
    let hub = Hub::new(core, auth, clock, protocols);
    let bounds = hub.core.limits().bounds;
    let (layer, io) = SocketIo::builder()
        .max_payload(bounds.frame_bytes as u64)
        .ws_max_message_size(bounds.frame_bytes)
        .ws_max_frame_size(bounds.frame_bytes)
        // A smaller read buffer is a third of an idle socket's memory; chat messages are short.
        .ws_read_buffer_size(512)
        .max_buffer_size(bounds.socket_queue)
        .connect_timeout(bounds.socket_connect)
        .ping_interval(bounds.socket_ping)
        .ping_timeout(bounds.socket_pong)
        .build_layer();
    let mut namespaces: Vec<_> = protocols
        .iter()
        .filter_map(|protocol| match protocol.transport {
            Transport::SocketIo(namespace) => Some(namespace),
            Transport::WebSocket => None,
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
        io.ns(namespace, Settle.with(admit));
    }
    let raw = WebSockets(Arc::clone(&hub));
    let entrance = Entrance { hub: Arc::clone(&hub), io: io.clone() };
    (layer, entrance, Closing { io, hub }, raw)
}

/// What a client hands over as `auth`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HandshakeAuth {
    token: Option<String>,
    /// Only a text is one; where guests are not known, anything may stand here.
    #[serde(default)]
    guest_id: Option<serde_json::Value>,
}

/// Why a socket was not let in: the message of the client's `connect_error`, which has room for nothing else. So when to
/// come back stands in it, where that is known.
#[derive(Debug)]
struct Refused(Error);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        self.0.retry_after_seconds().map_or(Ok(()), |seconds| write!(f, " (retry after {seconds} s)"))
    }
}

/// Finds out who connects, and makes the socket ready to be heard.
async fn admit(
    hub: Arc<Hub>,
    socket: SocketRef,
    transport: Transport,
    auth: Result<Option<HandshakeAuth>, AuthError>,
) -> Result<(), Refused> {
    let parts = socket.req_parts();
    let Some(place) = parts.extensions.get::<Arc<Place>>().cloned() else {
        tracing::error!("a socket did not come in by the entrance");
        return Err(Error::Internal.into());
    };
    // A connection may leave a namespace and come back as often as it likes.
    place.enter_namespace().map_err(|excess| match excess {
        Excess::Refuse(error) => error,
        Excess::CutOff => {
            hub.kills.kill(&socket);
            Error::TooManyRequests { retry_after: None }
        }
    })?;
    let header = token_from(&parts.headers, &Uri::default());
    // Something that is no token is not the same as none.
    let auth = auth.map_err(Error::from)?.unwrap_or_default();
    let token = header.or(auth.token).or_else(|| token_from(&parts.headers, &parts.uri));
    let verified = match token {
        Some(token) => {
            place.may_show_token()?;
            let verified = hub.auth.verify(&token).await;
            place.note_token(&verified);
            verified.map(Some)
        }
        None => Ok(None),
    };
    if let Ok(Some(verified)) = &verified {
        hub.core.meet(verified).await;
    }
    let (caller, verified) = match hub.welcome(transport) {
        Some(welcome) => {
            let guest_id = auth.guest_id.as_ref().and_then(serde_json::Value::as_str).map(str::to_owned);
            let proven = verified.as_ref().map(|verified| verified.as_ref().map(Caller::from));
            let from = place.from();
            let handshake = Handshake { proven: proven.map_err(Clone::clone), guest_id, from };
            ((welcome.admit)(hub.core.clone(), handshake).await?, verified.ok().flatten())
        }
        None => {
            let verified = verified.map_err(Error::from)?;
            (verified.as_ref().map_or(Caller::Anonymous, Caller::from), verified)
        }
    };
    let state = Arc::new(State::new(hub, caller, transport, place));
    state.sit_down()?;
    let door = Door::new(Arc::clone(&state));
    socket.on_fallback(Inbound(Arc::clone(&door)));
    socket.extensions.insert(Admitted { door, verified });
    socket.on_disconnect(move |socket: SocketRef| {
        metrics::gauge!("switchboard_sockets").decrement(1.0);
        Session { state, link: Link::SocketIo(socket) }.end();
        std::future::ready(())
    });
    Ok(())
}

/// What is handed from the handshake to the connection, should it come to one.
#[derive(Clone)]
struct Admitted {
    door: Arc<Door>,
    verified: Option<Verified>,
}

/// Begins what must also be ended: not in the handshake, since a client that leaves during it is never said to have left.
///
/// A closure would do, but socketioxide makes a task of it: here it is done when the client may first have heard that it is
/// connected, and what is told to its person from then on is heard.
#[derive(Clone)]
struct Settle;

impl ConnectHandler<LocalAdapter, Raw> for Settle {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, auth: Option<Value>) {
        metrics::gauge!("switchboard_sockets").increment(1.0);
        let Some(Admitted { door, verified }) = socket.extensions.remove::<Admitted>() else { return };
        let state = Arc::clone(&door.state);
        state.hub.kills.hand_over(socket.id, &state.place);
        let Ok(link) = SocketRef::from_connect_parts(&socket, &auth).map(Link::SocketIo);
        let session = Session { state, link };
        let begin = || {
            session.settle(verified.as_ref());
            if let Some(welcome) = session.state.hub.welcome(session.state.transport) {
                (welcome.greet)(&session);
            }
        };
        // A panic must not keep the door closed.
        if catch_unwind(AssertUnwindSafe(begin)).is_err() {
            panicked();
        }
        door.open(&socket);
    }
}

/// Reads the events of one socket.
struct Inbound(Arc<Door>);

/// Tells these implementations apart from those for closures.
enum Raw {}

impl MessageHandler<LocalAdapter, Raw> for Inbound {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, value: Value, ack_id: Option<i64>) {
        if let Some((value, ack_id)) = self.0.pass(&socket, value, ack_id) {
            self.0.take_in(&socket, value, ack_id);
        }
    }
}

/// An event as it comes, and the id of the acknowledgement it asks for.
type Event = (Value, Option<i64>);

/// The way in of one socket. It opens once the socket is settled: socketioxide first tells a client that it is connected and
/// then takes the socket for one that is, on another task than the one that reads. The answer to an event that came in
/// between would be lost.
struct Door {
    state: Arc<State>,
    /// What waits for it to open; `None`: it is open.
    waiting: Mutex<Option<Vec<Event>>>,
}

impl Door {
    fn new(state: Arc<State>) -> Arc<Self> {
        Arc::new(Self { state, waiting: Mutex::new(Some(Vec::new())) })
    }

    /// Gives an event back that may come in now; another waits.
    fn pass(
        &self,
        socket: &Arc<Socket<LocalAdapter>>,
        mut value: Value,
        ack_id: Option<i64>,
    ) -> Option<Event> {
        let mut waiting = self.waiting.lock();
        let Some(events) = waiting.as_mut() else { return Some((value, ack_id)) };
        if events.len() < EARLY_EVENTS {
            events.push((value, ack_id));
        } else {
            let Ok(socket) = SocketRef::from_message_parts(socket, &mut value, &ack_id);
            self.state.hub.kills.kill(&socket);
        }
        None
    }

    /// Lets in what waits, in its order, and from then on whatever comes.
    fn open(&self, socket: &Arc<Socket<LocalAdapter>>) {
        // Held until all of it is in: what is read meanwhile comes after.
        let mut waiting = self.waiting.lock();
        for (value, ack_id) in waiting.take().into_iter().flatten() {
            self.take_in(socket, value, ack_id);
        }
    }

    fn take_in(&self, socket: &Arc<Socket<LocalAdapter>>, mut value: Value, ack_id: Option<i64>) {
        let state = &self.state;
        if state.is_cut() || state.hub.tasks.is_closed() {
            return;
        }
        let known = read(&value).and_then(|(event, payload)| {
            let (protocol, event) = state.hub.listener(state.transport, &event)?;
            Some((protocol, event, payload))
        });
        let Some((protocol, event, payload)) = known else {
            tracing::debug!("an event that no dialect knows was ignored");
            let Ok(socket) = SocketRef::from_message_parts(socket, &mut value, &ack_id);
            return Session { state: Arc::clone(state), link: Link::SocketIo(socket) }.ignore();
        };
        let Ok(ack) = AckSender::from_message_parts(socket, &mut value, &ack_id);
        let Ok(socket) = SocketRef::from_message_parts(socket, &mut value, &ack_id);
        let session = Session { state: Arc::clone(state), link: Link::SocketIo(socket) };
        session.take_in(protocol, Incoming { event, payload, ack: ack_id.map(|_| ack) });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_socket_is_not_remembered() {
        let (kills, kill) = (Kills::default(), Kill::new(|| {}));
        for sid in ["", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA%", &"A".repeat(60_000)] {
            assert!(kills.note_upgrade(sid, &kill).is_none(), "{} bytes", sid.len());
        }
        kills.upgrades.run_pending_tasks();
        assert_eq!(kills.upgrades.entry_count(), 0);
    }

    #[test]
    fn made_up_sockets_push_out_older_ones_only() {
        let (kills, kill) = (Kills::default(), Kill::new(|| {}));
        for number in 0..3 * UPGRADES_AT_MOST {
            let sid = kills.note_upgrade(&format!("{number:016}"), &kill).unwrap();
            assert!(kills.upgrades.contains_key(&sid), "{number}");
        }
        kills.upgrades.run_pending_tasks();
        assert!(kills.upgrades.entry_count() <= UPGRADES_AT_MOST);
    }
}
