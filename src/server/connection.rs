//! The accept loop: one TCP connection after another, each with deadlines, all of them and those of each address within a
//! limit.
//!
//! `axum::serve` has no time-outs for clients that dawdle and no way to cut one off; hence this. What the requests
//! mean is the router's business, how long a handler and a request's body may take its layers'.

mod transport;
mod unread;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::config::{Bounds, TrustedProxies};
use crate::limits::{Network, Seat, Seats};
use transport::Transport;
use unread::RequestBody;

/// How long to wait after the system refused a connection for want of its own means (file descriptors, memory).
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// How long connections that were cut off at the end may take to notice.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// The most of a request's head (and of pipelined requests) kept in memory, in bytes.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How many connections there may be, and how long each may keep us waiting.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Most connections at once, sockets included; one more is closed at once.
    pub max_connections: usize,
    /// Until the first byte.
    pub first_byte: Duration,
    /// From the first byte of a request's head to its last, of every request.
    pub head: Duration,
    /// Between two requests. Longer than a load balancer's own (60 s in most), so that it never reuses a connection
    /// that we are closing.
    pub idle: Duration,
    /// Without the client taking a byte of what is being written to it, sockets included.
    pub stalled_write: Duration,
    /// For requests in flight to end once the server shuts down.
    pub drain: Duration,
}

impl ConnectionLimits {
    /// Within these bounds.
    #[must_use]
    pub fn new(bounds: &Bounds) -> Self {
        Self {
            max_connections: bounds.connections,
            first_byte: bounds.first_byte,
            head: bounds.head,
            idle: Duration::from_secs(75),
            stalled_write: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Who may connect, and how long each may keep us waiting.
#[derive(Debug, Clone)]
pub struct Admission {
    /// For everybody.
    pub limits: ConnectionLimits,
    /// How many connections one address may have; one more is closed at once.
    pub per_address: Seats<Network>,
    /// Who connects for many others, and may have any number.
    pub proxies: TrustedProxies,
}

impl Admission {
    /// A place for one more from `peer`, beside `open` others; `None` when there is none.
    fn admit(&self, peer: SocketAddr, open: usize) -> Option<Place> {
        if open >= self.limits.max_connections {
            return None;
        }
        if self.proxies.contains(peer.ip()) {
            return Some(Place(None));
        }
        self.per_address.take(Network::of(peer.ip())).map(|seat| Place(Some(seat)))
    }
}

/// What an open connection takes up, until it is dropped.
#[derive(Debug)]
struct Place(#[expect(dead_code, reason = "it is held, not read")] Option<Seat<Network>>);

/// The address a request's connection comes from: a request extension. Behind a proxy, the proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Cuts a request's connection off, also after it became a socket: a request extension.
///
/// For a client that does not read what it is sent: closing it politely would wait in the same queue.
#[derive(Debug, Clone)]
pub struct Kill(Weak<Open>);

impl Kill {
    /// Closes the TCP connection both ways, at once; who reads or writes it wakes up with an error. What the system
    /// still holds for the client is thrown away. Nothing happens when the connection is gone.
    pub fn kill(&self) {
        if let Some(open) = self.0.upgrade() {
            // The close that follows then resets the connection instead of keeping unread data for minutes.
            let _best_effort = SockRef::from(&open.stream).set_linger(Some(Duration::ZERO));
            open.shut_down();
        }
    }
}

/// Serves `router` on `listener` until `shutdown` ends.
///
/// Then stops accepting, lets requests in flight and `sockets` (which closes what connections became) end, for at most
/// [`ConnectionLimits::drain`], and closes what is left.
///
/// Every request carries [`PeerAddr`] and [`Kill`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    sockets: impl Future<Output = ()>,
    admission: Admission,
) {
    let limits = admission.limits;
    let register = Arc::new(Register::default());
    let closing = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match admission.admit(peer, register.len()) {
                Some(place) => {
                    let open = register.enter(stream, place);
                    tasks.spawn(converse(open, PeerAddr(peer), router.clone(), closing.clone(), limits));
                }
                None => metrics::counter!("switchboard_connections_refused_total").increment(1),
            },
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(AFTER_FAILED_ACCEPT).await;
            }
        }
    }
    drop(listener);
    closing.cancel();
    tasks.close();
    let finished = async { tokio::join!(tasks.wait(), sockets) };
    if timeout(limits.drain, finished).await.is_err() {
        tracing::warn!(requests = tasks.len(), "requests in flight were cut off");
    }
    register.shut_down_all();
    let _cut_off = timeout(LAST_MOMENT, tasks.wait()).await;
}

fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// One connection, from its first byte until it closes or becomes a socket.
async fn converse(
    open: Arc<Open>,
    peer: PeerAddr,
    router: Router,
    closing: CancellationToken,
    limits: ConnectionLimits,
) {
    // Replies are small and frequent; Nagle's algorithm would hold them back.
    let _best_effort = open.stream.set_nodelay(true);
    let mut first_byte = [0];
    tokio::select! {
        first = timeout(limits.first_byte, open.stream.peek(&mut first_byte)) => {
            if !matches!(first, Ok(Ok(1..))) {
                return;
            }
        }
        () = closing.cancelled() => return,
    }

    let kill = Kill(Arc::downgrade(&open));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        answer(request, router.clone(), peer, kill.clone())
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper starts this one when it begins to wait, so it is the limit between requests. The one for the head
        // itself is kept by `Transport`.
        .header_read_timeout(limits.idle)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(Transport::new(open, limits)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    router: Router,
    peer: PeerAddr,
    kill: Kill,
) -> Result<Response<Answer>, Infallible> {
    let in_request = Arc::new(InRequest::begin(&kill.0));
    let (head, body) = request.into_parts();
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        Body::new(RequestBody::new(body, &head.headers, Arc::clone(&in_request)))
    };
    let mut request = Request::from_parts(head, body);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(kill);
    let response = router.oneshot(request).await?;
    // A connection that becomes a socket never waits for a head again.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        in_request.never_end();
    }
    Ok(response.map(|body| Answer { body, _in_request: in_request }))
}

/// A response's body; its end is the end of the request, once the request's own body has ended too.
struct Answer {
    body: Body,
    _in_request: Arc<InRequest>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A TCP connection that is open, whoever holds it: the HTTP server, later perhaps a websocket.
#[derive(Debug)]
struct Open {
    stream: TcpStream,
    /// Odd while a request is being answered, even while the next one's head is awaited.
    round: AtomicU32,
    id: u64,
    register: Arc<Register>,
    _place: Place,
}

impl Open {
    fn shut_down(&self) {
        // An error means that the other side was first.
        let _gone = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.register.leave(self.id);
    }
}

/// Between a request's head and the end of its answer and its body.
struct InRequest {
    open: Weak<Open>,
    ends: AtomicBool,
}

impl InRequest {
    fn begin(open: &Weak<Open>) -> Self {
        let this = Self { open: open.clone(), ends: AtomicBool::new(true) };
        this.next_round();
        this
    }

    fn never_end(&self) {
        self.ends.store(false, Ordering::Relaxed);
    }

    fn next_round(&self) {
        if let Some(open) = self.open.upgrade() {
            open.round.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        if *self.ends.get_mut() {
            self.next_round();
        }
    }
}

/// All connections that are open.
#[derive(Debug, Default)]
struct Register(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    open: HashMap<u64, Weak<Open>>,
    next_id: u64,
}

impl Register {
    fn len(&self) -> usize {
        self.0.lock().open.len()
    }

    fn enter(self: &Arc<Self>, stream: TcpStream, place: Place) -> Arc<Open> {
        let mut entries = self.0.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        let open =
            Arc::new(Open { stream, round: AtomicU32::new(0), id, register: self.clone(), _place: place });
        entries.open.insert(id, Arc::downgrade(&open));
        metrics::gauge!("switchboard_connections").set(entries.open.len() as f64);
        open
    }

    fn leave(&self, id: u64) {
        let mut entries = self.0.lock();
        entries.open.remove(&id);
        metrics::gauge!("switchboard_connections").set(entries.open.len() as f64);
    }

    fn shut_down_all(&self) {
        // Upgraded under the lock but dropped after it: the last holder's drop takes the lock itself.
        let open: Vec<_> = self.0.lock().open.values().filter_map(Weak::upgrade).collect();
        for open in open {
            open.shut_down();
        }
    }
}
