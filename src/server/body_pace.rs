//! Bodies that do not come: a request's body may pause only so long, and must keep up a pace.
//!
//! A limit of the pause alone would let a client send a byte now and then for as long as it likes; a limit of the whole would
//! cut off who uploads a file over a bad line. Stands outside the Socket.IO engine, which reads bodies too.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a body may pause, and what it has for a start.
const PAUSE: Duration = Duration::from_secs(10);
/// In the long run, at least so many bytes a second.
const SLOWEST: u64 = 16 * 1024;

/// Ends a request's body with an error once it is too slow; who reads it refuses the request.
pub(super) async fn keep_pace(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    next.run(request.map(|body| Body::new(Paced::new(body)))).await
}

#[derive(Debug, thiserror::Error)]
#[error("the body comes too slowly")]
struct TooSlow;

/// A body on its way. The alarm is made only when it is waited for.
struct Paced {
    body: Body,
    began: Instant,
    last: Instant,
    bytes: u64,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn new(body: Body) -> Self {
        let now = Instant::now();
        Self { body, began: now, last: now, bytes: 0, alarm: None }
    }

    fn deadline(&self) -> Instant {
        let paced = self.began + PAUSE + Duration::from_secs(self.bytes / SLOWEST);
        paced.min(self.last + PAUSE)
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
                self.bytes += data.len() as u64;
            }
            self.last = Instant::now();
            self.alarm = None;
            return Poll::Ready(frame);
        }
        let deadline = self.deadline();
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures::stream;

    use super::*;

    /// `frames` of so many bytes, one each `every`: how many bytes were read, or that it was too slow, and after how long.
    async fn read(frames: usize, bytes: usize, every: Duration) -> (Option<usize>, Duration) {
        let began = Instant::now();
        let frames = stream::unfold(frames, move |left| async move {
            tokio::time::sleep(every).await;
            (left > 0).then(|| (Ok::<_, std::io::Error>(vec![b'x'; bytes]), left - 1))
        });
        let body = Body::new(Paced::new(Body::from_stream(frames)));
        let read = to_bytes(body, usize::MAX).await.ok().map(|bytes| bytes.len());
        (read, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_waited_for_no_longer_than_a_pause() {
        let (read, after) = read(5, 1, Duration::from_secs(3600)).await;
        assert_eq!((read, after.as_secs()), (None, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_no_pace() {
        let (read, after) = read(1000, 1, Duration::from_secs(3)).await;
        assert_eq!((read, after.as_secs()), (None, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_over_a_bad_line_comes_through() {
        let (read, after) = read(512, 32 * 1024, Duration::from_secs(1)).await;
        assert_eq!(read, Some(16 * 1024 * 1024));
        assert!(after.as_secs() >= 512);
    }

    #[tokio::test(start_paused = true)]
    async fn haste_at_first_is_no_leave_to_pause_later() {
        let began = Instant::now();
        let frames = stream::unfold(0, |sent| async move {
            if sent == 1 {
                std::future::pending::<()>().await;
            }
            Some((Ok::<_, std::io::Error>(vec![b'x'; 1024 * 1024]), sent + 1))
        });
        let body = Body::new(Paced::new(Body::from_stream(frames)));
        assert!(to_bytes(body, usize::MAX).await.is_err());
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}
