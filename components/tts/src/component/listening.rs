//! Whoever listens while an audio is made. Making it never waits for them: who falls behind goes on with
//! what is stored.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::{Stream, StreamExt, stream};
use guest::incoming;

use super::rendition::Rendition;

/// What waits for a listener, in bytes: three minutes of MP3.
const AHEAD: usize = 1 << 20;

/// The maker's end.
pub(super) struct Listener {
    /// [`None`] once they have left, or fallen behind.
    sound: Option<mpsc::UnboundedSender<Bytes>>,
    waiting: Arc<AtomicUsize>,
}

/// The listener's.
pub(super) struct Heard {
    sound: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

pub(super) fn pair() -> (Listener, Heard) {
    let (sender, sound) = mpsc::unbounded();
    let waiting = Arc::new(AtomicUsize::new(0));
    let listener = Listener {
        sound: Some(sender),
        waiting: waiting.clone(),
    };
    (listener, Heard { sound, waiting })
}

impl Listener {
    /// Never waits.
    pub(super) fn hear(&mut self, sound: &Bytes) {
        let Some(sender) = &self.sound else {
            return;
        };
        let waiting = self.waiting.fetch_add(sound.len(), Ordering::Relaxed) + sound.len();
        if waiting > AHEAD || sender.unbounded_send(sound.clone()).is_err() {
            self.sound = None;
        }
    }
}

/// What is said once it is stored: where; or that it broke off.
pub(super) type Told = oneshot::Receiver<Option<Rendition>>;

enum State {
    Live { heard: Heard, told: Told, sent: u64 },
    Stored(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
    Over,
}

/// The header, what is spoken as it comes, and what of it was not waited for; an error where it broke off.
pub(super) fn all(
    header: Bytes,
    heard: Heard,
    told: Told,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let sent = header.len() as u64;
    let header = (!header.is_empty()).then_some(Ok(header));
    let live = State::Live { heard, told, sent };
    stream::iter(header).chain(stream::unfold(live, next))
}

async fn next(state: State) -> Option<(io::Result<Bytes>, State)> {
    match state {
        State::Over => None,
        State::Stored(mut rest) => Some((rest.next().await?, State::Stored(rest))),
        State::Live {
            mut heard,
            told,
            sent,
        } => match heard.sound.next().await {
            Some(sound) => {
                heard.waiting.fetch_sub(sound.len(), Ordering::Relaxed);
                let sent = sent + sound.len() as u64;
                Some((Ok(sound), State::Live { heard, told, sent }))
            }
            None => match told.await {
                Ok(Some(rendition)) if rendition.size == sent => None,
                Ok(Some(rendition)) => rest(&rendition, sent).await,
                Ok(None) | Err(_) => Some((Err(broken()), State::Over)),
            },
        },
    }
}

async fn rest(rendition: &Rendition, from: u64) -> Option<(io::Result<Bytes>, State)> {
    // Deleted, where it is not there.
    let Ok((_, bytes)) = incoming::blob(&rendition.blob_key, from, None).await else {
        return Some((Err(broken()), State::Over));
    };
    let mut rest = Box::pin(bytes.map(|part| part.map_err(|_| broken())));
    Some((rest.next().await?, State::Stored(rest)))
}

fn broken() -> io::Error {
    io::Error::other("the audio broke off")
}
