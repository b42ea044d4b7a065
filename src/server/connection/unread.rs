//! [`RequestBody`]: a request's body, of which what nobody reads is read all the same, and thrown away.
//!
//! A request is often refused before its body has come: a film that is too large, a token that does not hold. To close the
//! connection at once would reset it, since there are bytes on the way, and whoever sends the whole film before reading would
//! see a broken connection instead of the refusal. Which bodies are refused is the routes' business.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::InRequest;

/// How long the rest of a body is read, and how long it may pause.
const WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(5);
/// How much of it is read: more than anybody films by mistake.
const BYTES: u64 = 512 * 1024 * 1024;

/// A body on its way. Dropped before its end, the rest is thrown away in the background.
pub(super) struct RequestBody {
    /// Nothing, once it has ended or broken off.
    rest: Option<Incoming>,
    /// Whether the client sends it only once it is told to.
    waits_for_leave: bool,
    last: Instant,
    request: Arc<InRequest>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, headers: &HeaderMap, request: Arc<InRequest>) -> Self {
        let waits_for_leave = headers.contains_key(header::EXPECT);
        Self { rest: Some(body), waits_for_leave, last: Instant::now(), request }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.waits_for_leave = false;
        self.last = Instant::now();
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| !rest.is_end_stream()) else { return };
        // To read it would ask for it.
        if self.waits_for_leave {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            // Of these there is at most one to a connection.
            runtime.spawn(throw_away(rest, self.last, Arc::clone(&self.request)));
        }
    }
}

/// Reads what is left. The `request` goes on until then: what comes is no head of another.
async fn throw_away(mut rest: Incoming, mut last: Instant, request: Arc<InRequest>) {
    let until = Instant::now() + WITHIN;
    let mut bytes = 0;
    while bytes < BYTES {
        match timeout_at(until.min(last + PAUSE), rest.frame()).await {
            Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
        last = Instant::now();
    }
    drop(rest);
    drop(request);
}
