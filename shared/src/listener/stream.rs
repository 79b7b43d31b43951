//! The bytes of a connection: notices new requests, times out peers that do not read, and closes
//! without losing the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_io_timeout::TimeoutStream;

use super::Connection;

/// How long, and up to how many bytes, the rest of a request is read and dropped after its answer.
/// Closing a socket with unread bytes resets the connection, and the client would see the reset in
/// place of the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 32 * 1024 * 1024;

/// The stream of a connection.
pub(super) struct Watched<S> {
    stream: Pin<Box<TimeoutStream<S>>>,
    connection: Arc<Connection>,
    /// Set once the answer has been sent and the rest of the request is read.
    linger: Option<Linger>,
}

struct Linger {
    left: usize,
    until: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite> Watched<S> {
    /// Makes a stream that fails if the peer reads nothing for `unread`.
    pub(super) fn new(stream: S, connection: Arc<Connection>, unread: Duration) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(unread));
        Self { stream: Box::pin(stream), connection, linger: None }
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream.as_mut().poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.connection.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Linger { left, until } = match &mut this.linger {
            Some(linger) => linger,
            none => {
                ready!(this.stream.as_mut().poll_shutdown(cx))?;
                if !this.connection.has_unread_body() {
                    return Poll::Ready(Ok(()));
                }
                none.insert(Linger { left: LINGER_BYTES, until: Box::pin(sleep(LINGER_TIMEOUT)) })
            }
        };
        let mut dropped = [0; 16 * 1024];
        while *left > 0 && until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut dropped);
            match ready!(this.stream.as_mut().poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                // The peer has closed its side, or the connection broke.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
