//! The accept loop seen from raw TCP: clients that dawdle, do not read, or are in the middle of something at the end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{any, get};
use axum::{Extension, response::Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use switchboard::config::TrustedProxies;
use switchboard::limits::Seats;
use switchboard::server::connection::{Admission, ConnectionLimits, Kill, PeerAddr, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes when it works.
const DEADLINE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);

/// Limits that no test reaches; each shortens the one it is about.
fn patient() -> ConnectionLimits {
    let long = Duration::from_secs(60);
    ConnectionLimits {
        max_connections: 100,
        first_byte: long,
        head: long,
        idle: long,
        stalled_write: long,
        drain: long,
    }
}

struct Server {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, limits: ConnectionLimits) -> Self {
        let per_address = Seats::new("connections_per_address", None);
        Self::admitting(router, Admission { limits, per_address, proxies: TrustedProxies::default() }).await
    }

    async fn admitting(router: Router, admission: Admission) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, asked) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(
            listener,
            router,
            async { drop(asked.await) },
            std::future::ready(()),
            admission,
        ));
        Self { address, shutdown, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connect_and_send(&self, bytes: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("this takes too long")
}

/// Whatever comes until the other side closes; a reset counts as closed.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _closed_or_reset = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until `text` has come.
async fn until(stream: &mut TcpStream, text: &str) {
    let mut all = String::new();
    let mut some = [0; 1024];
    while !all.contains(text) {
        let count = soon(stream.read(&mut some)).await.unwrap();
        assert_ne!(count, 0, "closed after {all:?}");
        all.push_str(std::str::from_utf8(&some[..count]).unwrap());
    }
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: switchboard\r\n\r\n";

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::start(hello(), ConnectionLimits { first_byte: SHORT, ..patient() }).await;
    let connected = Instant::now();
    let mut stream = server.connect().await;
    assert_eq!(until_closed(&mut stream).await, "");
    assert!(connected.elapsed() >= SHORT);
}

#[tokio::test]
async fn part_of_a_head_is_not_waited_for() {
    let server = Server::start(hello(), ConnectionLimits { head: SHORT, ..patient() }).await;
    let mut stream = server.connect_and_send("GET / HTTP/1.1\r\nHost: swi").await;
    assert!(!until_closed(&mut stream).await.contains("200 OK"));
}

#[tokio::test]
async fn part_of_a_second_head_is_not_waited_for_either() {
    let server = Server::start(hello(), ConnectionLimits { head: SHORT, ..patient() }).await;
    let mut stream = server.connect_and_send(REQUEST).await;
    until(&mut stream, "hello").await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: swi").await.unwrap();
    assert!(!until_closed(&mut stream).await.contains("200 OK"));
}

#[tokio::test]
async fn an_idle_connection_outlives_the_limit_of_a_head_but_not_its_own() {
    let limits = ConnectionLimits { head: SHORT, idle: 4 * SHORT, ..patient() };
    let server = Server::start(hello(), limits).await;
    let mut stream = server.connect_and_send(REQUEST).await;
    until(&mut stream, "hello").await;
    let answered = Instant::now();
    until_closed(&mut stream).await;
    assert!(answered.elapsed() > 3 * SHORT, "{:?}", answered.elapsed());
}

#[tokio::test]
async fn a_slow_handler_is_not_mistaken_for_a_slow_client() {
    let go_on = Arc::new(Notify::new());
    let waiting = go_on.clone();
    let router = Router::new().route("/", get(async move || waiting.notified().await));
    let limits = ConnectionLimits { head: SHORT, first_byte: SHORT, ..patient() };
    let server = Server::start(router, limits).await;
    let mut stream = server.connect_and_send(REQUEST).await;
    assert!(timeout(3 * SHORT, stream.read_u8()).await.is_err(), "still answering");
    go_on.notify_one();
    until(&mut stream, "200 OK").await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once_and_room_is_made_again() {
    one_is_one_too_many(Server::start(hello(), ConnectionLimits { max_connections: 1, ..patient() }).await)
        .await;
}

/// One connection for each address; those of `proxies` may have any number.
fn one_each(proxies: &[&str]) -> Admission {
    let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
    Admission {
        limits: patient(),
        per_address: Seats::new("connections_per_address", Some(1)),
        proxies: TrustedProxies::new(proxies),
    }
}

#[tokio::test]
async fn one_connection_too_many_of_an_address_is_closed_at_once_and_room_is_made_again() {
    one_is_one_too_many(Server::admitting(hello(), one_each(&[])).await).await;
}

#[tokio::test]
async fn a_trusted_proxy_connects_as_often_as_it_likes() {
    let server = Server::admitting(hello(), one_each(&["127.0.0.0/8"])).await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut stream = server.connect_and_send(REQUEST).await;
        until(&mut stream, "hello").await;
        connections.push(stream);
    }
}

#[tokio::test]
async fn each_address_has_connections_of_its_own() {
    let server = Server::admitting(hello(), one_each(&[])).await;
    let mut first = server.connect_and_send(REQUEST).await;
    until(&mut first, "hello").await;
    // The whole of 127/8 is this machine.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(server.address).await.unwrap();
    other.write_all(REQUEST.as_bytes()).await.unwrap();
    until(&mut other, "hello").await;
}

#[tokio::test]
async fn a_head_without_end_is_refused_before_it_fills_memory() {
    let server = Server::start(hello(), patient()).await;
    let mut stream = server.connect_and_send("GET / HTTP/1.1\r\nHost: switchboard\r\nX-Long: ").await;
    // The server may close while this is still being written.
    let _refused = soon(stream.write_all(&[b'x'; 256 * 1024])).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// Of a server that takes one connection.
async fn one_is_one_too_many(server: Server) {
    let mut first = server.connect_and_send(REQUEST).await;
    until(&mut first, "hello").await;
    assert_eq!(until_closed(&mut server.connect().await).await, "");
    drop(first);
    soon(async {
        loop {
            let mut next = server.connect().await;
            let sent = next.write_all(REQUEST.as_bytes()).await;
            if sent.is_ok() && matches!(next.read_u8().await, Ok(b'H')) {
                break;
            }
        }
    })
    .await;
}

/// An answer without end: how much of it was produced, and how to cut it off.
struct Endless {
    kill: Kill,
    produced: Arc<AtomicUsize>,
}

impl Endless {
    /// Returns once nothing more is produced, because the client takes nothing.
    async fn blocked(&self) {
        soon(async {
            let mut before = 0;
            loop {
                tokio::time::sleep(SHORT / 2).await;
                let now = self.produced.load(Ordering::SeqCst);
                if now > 0 && now == before {
                    break;
                }
                before = now;
            }
        })
        .await;
    }
}

fn endless(answers: mpsc::UnboundedSender<Endless>) -> Router {
    let answer = async move |Extension(kill): Extension<Kill>| {
        let produced = Arc::new(AtomicUsize::new(0));
        let counted = produced.clone();
        let chunks = futures::stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 8192]))
        });
        answers.send(Endless { kill, produced }).unwrap();
        Response::new(Body::from_stream(chunks))
    };
    Router::new().route("/", get(answer))
}

#[tokio::test]
async fn killing_wakes_a_writer_whose_client_does_not_read() {
    let (answers, mut answering) = mpsc::unbounded_channel();
    let server = Server::start(endless(answers), patient()).await;
    let stream = server.connect_and_send(REQUEST).await;
    let endless = soon(answering.recv()).await.unwrap();
    endless.blocked().await;
    endless.kill.kill();
    // The server let go of it: shutting down has nothing to wait for.
    server.shutdown.send(()).unwrap();
    soon(server.served).await.unwrap();
    endless.kill.kill();
    drop(stream);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (answers, mut answering) = mpsc::unbounded_channel();
    let limits = ConnectionLimits { stalled_write: SHORT, ..patient() };
    let server = Server::start(endless(answers), limits).await;
    let stream = server.connect_and_send(REQUEST).await;
    soon(answering.recv()).await.unwrap();
    server.shutdown.send(()).unwrap();
    soon(server.served).await.unwrap();
    drop(stream);
}

/// Becomes a socket that writes without end, reads what comes, and reports how its writing ended.
fn socket(ended: mpsc::UnboundedSender<std::io::Error>) -> Router {
    let upgrade = async move |Extension(kill): Extension<Kill>, request: Request| {
        tokio::spawn(async move {
            let mut socket = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let (mut reader, mut writer) = tokio::io::split(&mut socket);
            let reading = async {
                // 'k' asks to be killed.
                while let Ok(byte) = reader.read_u8().await {
                    if byte == b'k' {
                        kill.kill();
                    }
                }
            };
            let writing = async {
                let error = loop {
                    if let Err(error) = writer.write_all(&[b'x'; 8192]).await {
                        break error;
                    }
                };
                ended.send(error).unwrap();
            };
            tokio::join!(writing, reading);
        });
        Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "bytes")
            .body(Body::empty())
            .unwrap()
    };
    Router::new().route("/", any(upgrade))
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: switchboard\r\nConnection: upgrade\r\nUpgrade: bytes\r\n\r\n";

#[tokio::test]
async fn killing_reaches_a_connection_that_became_a_socket() {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let server = Server::start(socket(ended), patient()).await;
    let mut stream = server.connect_and_send(UPGRADE).await;
    until(&mut stream, "101 Switching Protocols").await;
    // From here on nothing is read, so the writer blocks.
    stream.write_all(b"k").await.unwrap();
    soon(endings.recv()).await.unwrap();
}

#[tokio::test]
async fn a_socket_is_not_held_to_the_limits_of_requests() {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let limits = ConnectionLimits { head: SHORT, idle: SHORT, first_byte: SHORT, ..patient() };
    let server = Server::start(socket(ended), limits).await;
    let mut stream = server.connect_and_send(UPGRADE).await;
    until(&mut stream, "101 Switching Protocols").await;
    stream.write_all(b"part of something").await.unwrap();
    assert!(timeout(3 * SHORT, endings.recv()).await.is_err(), "still open");
    // … but to the shutdown.
    server.shutdown.send(()).unwrap();
    soon(endings.recv()).await.unwrap();
    soon(server.served).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_does_not_read_is_cut_off() {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let server = Server::start(socket(ended), ConnectionLimits { stalled_write: SHORT, ..patient() }).await;
    let mut stream = server.connect_and_send(UPGRADE).await;
    until(&mut stream, "101 Switching Protocols").await;
    let error = soon(endings.recv()).await.unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn shutting_down_lets_requests_in_flight_end_and_closes_idle_connections() {
    let (go_on, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (waiting, arriving) = (go_on.clone(), arrived.clone());
    let slow = async move || {
        arriving.notify_one();
        waiting.notified().await;
        "done"
    };
    let server = Server::start(hello().route("/slow", get(slow)), patient()).await;
    let mut idle = server.connect_and_send(REQUEST).await;
    until(&mut idle, "hello").await;
    let mut silent = server.connect().await;
    let mut busy = server.connect_and_send("GET /slow HTTP/1.1\r\nHost: switchboard\r\n\r\n").await;
    soon(arrived.notified()).await;

    server.shutdown.send(()).unwrap();
    assert_eq!(until_closed(&mut idle).await, "");
    assert_eq!(until_closed(&mut silent).await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing new is accepted");
    assert!(!server.served.is_finished());
    go_on.notify_one();
    let answer = until_closed(&mut busy).await;
    assert!(answer.contains("200 OK") && answer.ends_with("done"), "{answer}");
    soon(server.served).await.unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off() {
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let server = Server::start(router, ConnectionLimits { drain: SHORT, ..patient() }).await;
    let mut stream = server.connect_and_send(REQUEST).await;
    // Accepted before asked to stop, or it would only be left unaccepted.
    assert!(timeout(SHORT, stream.read_u8()).await.is_err());
    server.shutdown.send(()).unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
    soon(server.served).await.unwrap();
}

#[tokio::test]
async fn a_handler_knows_where_the_connection_comes_from() {
    let seen = Arc::new(Mutex::new(None));
    let see = seen.clone();
    let router = Router::new()
        .route("/", get(async move |Extension(peer): Extension<PeerAddr>| *see.lock() = Some(peer)));
    let server = Server::start(router, patient()).await;
    let mut stream = server.connect_and_send(REQUEST).await;
    until(&mut stream, "200 OK").await;
    assert_eq!(*seen.lock(), Some(PeerAddr(stream.local_addr().unwrap())));
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let router = Router::new().route("/{n}", any(async |request: Request| request.uri().path().to_owned()));
    let server = Server::start(router, ConnectionLimits { head: SHORT, ..patient() }).await;
    let requests: String =
        (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: switchboard\r\n\r\n")).collect();
    let mut stream = server.connect_and_send(&requests).await;
    until(&mut stream, "/49").await;
}
