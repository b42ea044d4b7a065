//! The mock's accept loop, and the clockwork of its timers.
//!
//! It is not `axum::serve` because a fault may close a connection without an answer, which a router alone cannot say.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tower::ServiceExt;

use crate::mock::faults::CloseUnanswered;
use crate::mock::state::State;

/// How long requests under way may take once the mock is told to stop.
const TIME_TO_FINISH: Duration = Duration::from_secs(5);

/// How often the mock looks whether a timer has ended when nobody asks.
const TICK: Duration = Duration::from_secs(1);

/// How long it waits when the system has no more file descriptors for it.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
#[error("told to close the connection without an answer")]
struct Unanswered;

/// Answers on `listener` until the mock is told to stop.
pub(crate) async fn serve(listener: TcpListener, state: State) {
    let router = crate::mock::router(state.clone());
    let connections = GracefulShutdown::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = state.stopping().cancelled() => break,
            _ = tick.tick() => state.catch_up(),
            accepted = listener.accept() => match accepted {
                Err(_) => tokio::time::sleep(PAUSE).await,
                Ok((stream, _)) => {
                    // Small answers must not wait for the acknowledgement of the last one.
                    let _ = stream.set_nodelay(true);
                    let router = router.clone();
                    let service = service_fn(move |request: hyper::Request<Incoming>| {
                        let router = router.clone();
                        async move {
                            let response: Result<Response, Infallible> = router.oneshot(request.map(Body::new)).await;
                            let Ok(response) = response;
                            match response.extensions().get::<CloseUnanswered>() {
                                None => Ok(response),
                                Some(_) => Err(Unanswered),
                            }
                        }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                    let connection = connections.watch(connection);
                    // A connection that breaks is its client's business.
                    tokio::spawn(async move { connection.await.ok() });
                }
            },
        }
    }
    drop(listener);
    // Whoever is still busy after that is cut off with the process or the runtime.
    let _ = tokio::time::timeout(TIME_TO_FINISH, connections.shutdown()).await;
}
