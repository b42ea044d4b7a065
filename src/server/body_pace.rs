//! Bodies that do not come: a request's body may pause only so long, and must keep up a pace.
//!
//! A limit of the pause alone would let a client send a byte now and then for as long as it likes; a limit of the whole would
//! cut off who uploads a file over a bad line. Stands outside the Socket.IO engine, which reads bodies too.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker, ready};
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

/// A body on its way. Only what is waited for counts: while whoever reads it is busy elsewhere, the client is not late.
struct Paced {
    body: Body,
    bytes: u64,
    /// How long was waited for what has come.
    waited: Duration,
    /// Since when there is nothing to be read, and who is told once there is.
    waiting: Option<(Instant, Arc<Arrival>)>,
    /// Made only when it is waited for.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// When something came, which may be long before it is looked for.
struct Arrival {
    at: OnceLock<Instant>,
    reader: Waker,
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.at.get_or_init(Instant::now);
        self.reader.wake_by_ref();
    }
}

impl Paced {
    fn new(body: Body) -> Self {
        Self { body, bytes: 0, waited: Duration::ZERO, waiting: None, alarm: None }
    }

    /// How long may be waited for the next piece.
    fn patience(&self) -> Duration {
        let paced = PAUSE + Duration::from_secs(self.bytes / SLOWEST);
        paced.saturating_sub(self.waited).min(PAUSE)
    }

    /// Something has come, or may have: the wait ended then.
    fn stop_waiting(&mut self) {
        if let Some((since, arrival)) = self.waiting.take() {
            let until = arrival.at.get().copied().unwrap_or_else(Instant::now);
            self.waited += until.saturating_duration_since(since);
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(cx);
        let mut arrival = None;
        if polled.is_pending() {
            let noted = Arc::new(Arrival { at: OnceLock::new(), reader: cx.waker().clone() });
            let waker = Waker::from(Arc::clone(&noted));
            polled = Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(&waker));
            arrival = Some(noted);
        }
        if let Poll::Ready(frame) = polled {
            if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
                self.bytes += data.len() as u64;
            }
            self.stop_waiting();
            self.alarm = None;
            return Poll::Ready(frame);
        }
        let now = Instant::now();
        let since = self.waiting.take().map_or(now, |(since, _)| since);
        self.waiting = arrival.map(|arrival| (since, arrival));
        let deadline = since + self.patience();
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
    use futures::{SinkExt, StreamExt, stream};

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

    /// `frames` of a byte, each there `after` so long, to a reader that does something else for `busy` before each.
    async fn read_by_somebody_busy(frames: usize, after: Duration, busy: Duration) -> Option<usize> {
        let (sender, receiver) = futures::channel::mpsc::channel(1);
        let sending = async move {
            let mut sender = sender;
            for _ in 0..frames {
                tokio::time::sleep(after).await;
                sender.send(Ok::<_, std::io::Error>(vec![b'x'])).await.unwrap();
            }
        };
        let reading = async {
            let mut body = Body::new(Paced::new(Body::from_stream(receiver))).into_data_stream();
            let mut bytes = 0;
            loop {
                // As whoever parses a body does: it is asked for more than there is before what there is is used.
                let next = futures::future::poll_immediate(body.next()).await;
                tokio::time::sleep(busy).await;
                let next = match next {
                    Some(next) => next,
                    None => body.next().await,
                };
                match next {
                    Some(Ok(piece)) => bytes += piece.len(),
                    Some(Err(_)) => return None,
                    None => return Some(bytes),
                }
            }
        };
        let (read, ()) = tokio::join!(reading, sending);
        read
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_not_late_while_nobody_reads() {
        let (soon, minutes) = (Duration::from_millis(100), Duration::from_secs(120));
        assert_eq!(read_by_somebody_busy(20, soon, minutes).await, Some(20));
    }
}
