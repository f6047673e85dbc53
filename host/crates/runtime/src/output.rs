//! What a component prints, as log lines: `LEVEL message`, a level of its own choosing at the start.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use capability::ComponentName;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// A longer line is cut.
const MAX_LINE: usize = 8 << 10;

/// A component's stdout and stderr.
#[derive(Clone)]
pub(crate) struct Output {
    component: ComponentName,
    line: Arc<Mutex<Vec<u8>>>,
    /// Of the manifest's `log_kib`. Who prints more is silenced: a log is no place to put data.
    left: Arc<AtomicUsize>,
}

impl Output {
    pub(crate) fn new(component: ComponentName, log_kib: u64) -> Self {
        Self {
            component,
            line: Arc::default(),
            left: Arc::new(AtomicUsize::new(
                usize::try_from(log_kib << 10).unwrap_or(usize::MAX),
            )),
        }
    }

    fn take(&self, bytes: &[u8]) {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return;
        }
        self.left
            .store(left.saturating_sub(bytes.len()), Ordering::Relaxed);
        if bytes.len() >= left {
            tracing::warn!(service = %self.component, "the instance has printed as much as limits.log_kib lets; the rest is dropped");
        }
        let mut line = self
            .line
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for &byte in bytes {
            if byte == b'\n' {
                self.log(&line);
                line.clear();
            } else if line.len() < MAX_LINE {
                line.push(byte);
            }
        }
    }

    fn log(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        // A line break or an escape sequence in a log line could forge another.
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        let (level, message) = line.split_once(' ').unwrap_or(("", &line));
        let service = tracing::field::display(&self.component);
        let is_level = ["ERROR", "WARN", "INFO", "DEBUG"].contains(&level);
        let Marked {
            message,
            event,
            request_id,
            trace_id,
        } = Marked::read(if is_level { message } else { &line });
        macro_rules! write {
            ($level:ident) => {
                tracing::$level!(service, event, request_id, trace_id, "{message}")
            };
        }
        match level {
            "ERROR" => write!(error),
            "WARN" => write!(warn),
            "DEBUG" => write!(debug),
            _ => write!(info),
        }
    }
}

/// A line, and the marks at its end that say what it is about: fields of their own, where lines are
/// objects.
#[derive(Default)]
struct Marked<'a> {
    message: &'a str,
    event: Option<&'a str>,
    request_id: Option<&'a str>,
    trace_id: Option<&'a str>,
}

impl<'a> Marked<'a> {
    fn read(line: &'a str) -> Self {
        let mut read = Self {
            message: line,
            ..Self::default()
        };
        while let Some((before, mark)) = read.message.rsplit_once(' ') {
            let place = match mark.split_once('=') {
                Some(("event", id)) => (&mut read.event, id),
                Some(("request_id", id)) => (&mut read.request_id, id),
                Some(("trace_id", id)) => (&mut read.trace_id, id),
                _ => break,
            };
            *place.0 = Some(place.1);
            read.message = before;
        }
        read
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_is_about_stands_in_fields_of_its_own() {
        let read = Marked::read("the model gave no answer event=1 request_id=7 trace_id=ab");
        assert_eq!(read.message, "the model gave no answer");
        let marks = (read.event, read.request_id, read.trace_id);
        assert_eq!(marks, (Some("1"), Some("7"), Some("ab")));
        let read = Marked::read("a=b request_id=7 is not the end");
        assert_eq!(read.message, "a=b request_id=7 is not the end");
        assert_eq!(Marked::read("request_id=7").message, "request_id=7");
    }
}
