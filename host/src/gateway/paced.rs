//! A connection whose client keeps up, or is left: one that does not say which HTTP it speaks, or that
//! takes nothing of what it asked for.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How HTTP/2 begins where nothing has agreed on it: RFC 9113, section 3.4. Its first bytes could be
/// HTTP/1's, so that until they differ nobody counts the time of a head.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bounds how long a client may hold a connection without use.
pub(super) struct Paced<S> {
    stream: S,
    /// How much of the preface has come; `None` when the version is known.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    stall: Duration,
    /// Set while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    /// A write may wait for `stall`; the version must be clear within `greeting`.
    pub(super) fn new(stream: S, greeting: Duration, stall: Duration) -> Self {
        Self {
            stream,
            greeting: Some((0, Box::pin(tokio::time::sleep(greeting)))),
            stall,
            stalled: None,
        }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let Some((came, _)) = &mut self.greeting else {
            return;
        };
        let rest = &PREFACE[*came..];
        let length = rest.len().min(bytes.len());
        *came += length;
        if rest[..length] != bytes[..length] || *came == PREFACE.len() {
            self.greeting = None;
        }
    }

    /// What came of a write; where nothing did, whether that has been so for too long.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(Error::new(
            ErrorKind::TimedOut,
            "the client takes nothing",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            self.heard(&buffer.filled()[before..]);
            return Poll::Ready(read);
        }
        if let Some((_, within)) = &mut self.greeting {
            ready!(within.as_mut().poll(cx));
            return Poll::Ready(Err(Error::new(
                ErrorKind::TimedOut,
                "the client says nothing",
            )));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(cx, ended)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const NEVER: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_left() {
        let (stream, _client) = tokio::io::duplex(16);
        let mut paced = Paced::new(stream, NEVER, SOON);
        let written = paced.write_all(&[0; 64]).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_takes_a_little_has_all_its_time_again() {
        let (stream, mut client) = tokio::io::duplex(16);
        let mut paced = Paced::new(stream, NEVER, NEVER);
        paced.write_all(&[0; 16]).await.unwrap();
        let waits = futures::poll!(std::pin::pin!(paced.write(&[0])));
        assert!(waits.is_pending() && paced.stalled.is_some());
        client.read_exact(&mut [0; 8]).await.unwrap();
        paced.write_all(&[0]).await.unwrap();
        assert!(paced.stalled.is_none());
    }

    #[tokio::test]
    async fn a_client_says_soon_which_http_it_speaks() {
        for (said, is_clear) in [
            (&b"P"[..], false),
            (b"PRI * HTTP/2.0\r\n", false),
            (PREFACE, true),
            (b"PO", true),
            (b"GET", true),
        ] {
            let (stream, mut client) = tokio::io::duplex(64);
            let mut paced = Paced::new(stream, SOON, NEVER);
            client.write_all(said).await.unwrap();
            let mut heard = vec![0; said.len()];
            paced.read_exact(&mut heard).await.unwrap();
            assert_eq!(paced.greeting.is_none(), is_clear, "{said:?}");
            if !is_clear {
                let left = paced.read_u8().await.unwrap_err();
                assert_eq!(left.kind(), ErrorKind::TimedOut, "{said:?}");
            }
        }
        let (stream, _client) = tokio::io::duplex(64);
        let left = Paced::new(stream, SOON, NEVER).read_u8().await;
        assert_eq!(left.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
