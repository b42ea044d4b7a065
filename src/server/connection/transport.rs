//! [`Transport`]: a TCP connection as hyper and the websockets read and write it, with two deadlines of its own.
//!
//! It holds the stream by reference count, so that a `Kill` can reach it after hyper has given it away.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{ConnectionLimits, Open};

/// One side's view of an open connection. Alarms are made only when something is late, so an idle connection costs
/// no timer.
pub(super) struct Transport {
    open: Arc<Open>,
    limits: ConnectionLimits,
    /// The round whose head began to arrive, and when.
    head: Option<(u32, Instant)>,
    head_alarm: Option<Pin<Box<Sleep>>>,
    write_alarm: Option<Pin<Box<Sleep>>>,
}

impl Transport {
    pub(super) fn new(open: Arc<Open>, limits: ConnectionLimits) -> Self {
        Self { open, limits, head: None, head_alarm: None, write_alarm: None }
    }

    fn note_arrival(&mut self) {
        let round = self.open.round.load(Ordering::Relaxed);
        let awaits_head = round.is_multiple_of(2);
        if awaits_head && self.head.is_none_or(|(began, _)| began != round) {
            self.head = Some((round, Instant::now()));
            self.head_alarm = None;
        }
    }

    /// Nothing to read: an error when part of a head came too long ago.
    fn poll_head_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let round = self.open.round.load(Ordering::Relaxed);
        let Some((began, since)) = self.head else { return Poll::Pending };
        if began != round {
            self.head = None;
            self.head_alarm = None;
            return Poll::Pending;
        }
        let deadline = since + self.limits.head;
        let alarm = self.head_alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(late("the request's head took too long")))
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while self.open.stream.poll_write_ready(cx)?.is_ready() {
            match write(&self.open.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.write_alarm = None;
                    return Poll::Ready(written);
                }
            }
        }
        let deadline = self.limits.stalled_write;
        let alarm = self.write_alarm.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + deadline)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(late("the client does not read")))
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.open.stream.poll_read_ready(cx)?.is_ready() {
            match this.open.stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) => {
                    this.note_arrival();
                    return Poll::Ready(Ok(()));
                }
            }
        }
        this.poll_head_deadline(cx)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&self.open.stream).shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}
