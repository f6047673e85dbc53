//! The frames of a client, counted as they come: of a message in pieces the WebSocket's own library tells
//! nothing before the last, and pieces may be empty.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Frames in a second, over as many seconds as a burst may have piled up.
const RATE: u32 = 20;
const BURST: u32 = 100;
/// The longest head: RFC 6455, section 5.2.
const HEAD: usize = 14;

/// A stream that ends with [`ErrorKind::QuotaExceeded`] where frames come too fast.
pub(super) struct Frames<S> {
    stream: S,
    head: Head,
    pace: Pace,
}

impl<S> Frames<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            head: Head::default(),
            pace: Pace::new(),
        }
    }

    /// What they come by, uncounted.
    pub(super) fn uncounted(&mut self) -> &mut S {
        &mut self.stream
    }
}

/// Where in a frame the stream is.
#[derive(Default)]
struct Head {
    bytes: [u8; HEAD],
    /// Of the head, so far.
    came: usize,
    /// Of the payload, still to come.
    payload: u64,
}

impl Head {
    /// How many frames begin to be known by these bytes.
    fn heard(&mut self, mut bytes: &[u8]) -> u32 {
        let mut frames = 0;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped =
                    usize::try_from(self.payload).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.bytes[self.came] = bytes[0];
            self.came += 1;
            bytes = &bytes[1..];
            if let Some(payload) = self.length() {
                (self.came, self.payload) = (0, payload);
                frames += 1;
            }
        }
        frames
    }

    /// Of the payload, where the head is whole.
    fn length(&self) -> Option<u64> {
        if self.came < 2 {
            return None;
        }
        let mask = if self.bytes[1] & 0x80 == 0 { 0 } else { 4 };
        let (size, length) = match self.bytes[1] & 0x7f {
            126 => (
                2,
                u64::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]])),
            ),
            127 => {
                let [_, _, length @ .., _, _, _, _] = self.bytes;
                (8, u64::from_be_bytes(length))
            }
            length => (0, u64::from(length)),
        };
        (self.came == 2 + size + mask).then_some(length)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let frames = self.head.heard(&buffer.filled()[before..]);
        match frames == 0 || self.pace.allows(frames, Instant::now()) {
            true => read,
            false => Poll::Ready(Err(Error::from(ErrorKind::QuotaExceeded))),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How many frames may still come.
struct Pace {
    left: f64,
    at: Instant,
}

impl Pace {
    fn new() -> Self {
        Self {
            left: f64::from(BURST),
            at: Instant::now(),
        }
    }

    fn allows(&mut self, frames: u32, now: Instant) -> bool {
        let came = now.duration_since(self.at).as_secs_f64() * f64::from(RATE);
        self.left = (self.left + came).min(f64::from(BURST)) - f64::from(frames);
        self.at = now;
        self.left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let mut pace = Pace::new();
        let now = pace.at;
        assert!((0..BURST).all(|_| pace.allows(1, now)));
        assert!(!pace.allows(1, now));
        let mut pace = Pace::new();
        let each = Duration::from_secs(1) / RATE;
        assert!((1..10 * BURST).all(|at| pace.allows(1, now + each * at)));
        assert!(!Pace::new().allows(BURST + 1, now));
    }

    /// A masked frame of that many bytes.
    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x81];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([7; 4]);
        frame.extend(std::iter::repeat_n(0x81, length));
        frame
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let lengths = [0, 0, 1, 125, 126, 127, 65_535, 65_536, 0, 5];
        let all: Vec<u8> = lengths.into_iter().flat_map(frame).collect();
        for size in [1, 2, 3, 7, 2_048, all.len()] {
            let mut head = Head::default();
            let counted: u32 = all.chunks(size).map(|chunk| head.heard(chunk)).sum();
            assert_eq!(counted, 10, "{size} at once");
            assert_eq!((head.came, head.payload), (0, 0));
        }
    }
}
