//! Log lines: the host reads a level at the start of a line. Never a document's text. Each ends with
//! the request or event that it speaks of, where there is one.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::sync::Once;
use std::task::{Context, Poll};

thread_local! {
    /// What the task that is polled now is about.
    static SUBJECT: RefCell<Subject> = const { RefCell::new(Subject::nothing()) };
}

/// What a task is about.
#[derive(Clone)]
pub struct Subject {
    /// `request_id=…` or `event=…`, at the end of its lines.
    mark: String,
    /// W3C trace context: goes on into the events that it publishes.
    trace: Option<String>,
}

impl Subject {
    const fn nothing() -> Self {
        Self {
            mark: String::new(),
            trace: None,
        }
    }

    /// With lines marked so, as in `request_id=…`.
    pub fn new(mark: &str, trace: Option<String>) -> Self {
        Self {
            mark: format!(" {mark}"),
            trace,
        }
    }
}

/// The trace context of the task that is polled now.
pub fn trace() -> Option<String> {
    SUBJECT.with_borrow(|subject| subject.trace.clone())
}

/// What the task that is polled now is about: for one that it starts, see [`about`].
pub fn subject() -> Subject {
    SUBJECT.with_borrow(Clone::clone)
}

/// Something an operator should know.
pub fn info(message: &str) {
    line("INFO", message);
}

/// Something an operator should look at.
pub fn warn(message: &str) {
    line("WARN", message);
}

/// Something an operator should mend.
pub fn error(message: &str) {
    line("ERROR", message);
}

fn line(level: &str, message: &str) {
    SUBJECT.with_borrow(|subject| eprintln!("{level} {message}{}", subject.mark));
}

/// A panic's message may hold what it panicked over: the log gets its place only.
pub fn hide_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| match panic.location() {
            Some(place) => error(&format!("panicked at {place}")),
            None => error("panicked"),
        }));
    });
}

/// Runs `task` with its lines marked, and its events traced, as of `subject`.
pub async fn about<T>(mut subject: Subject, task: impl Future<Output = T>) -> T {
    hide_panics();
    let mut task = pin!(task);
    // Tasks take turns in an instance: each puts its own mark there while it is polled.
    std::future::poll_fn(move |context| poll(&mut subject, task.as_mut(), context)).await
}

fn poll<T>(
    subject: &mut Subject,
    task: Pin<&mut impl Future<Output = T>>,
    context: &mut Context<'_>,
) -> Poll<T> {
    SUBJECT.with_borrow_mut(|now| std::mem::swap(now, subject));
    let polled = task.poll(context);
    SUBJECT.with_borrow_mut(|now| std::mem::swap(now, subject));
    polled
}
