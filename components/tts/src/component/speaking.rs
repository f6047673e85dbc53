//! An order as the engine speaks it: chunk after chunk, as one audio.

use std::pin::Pin;

use axum::body::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt};
use guest::bindings::capabilities::lectern::platform::speech as wit;
use guest::uuid::Uuid;
use guest::wasip3::clocks::monotonic_clock;
use guest::{incoming, log};

use super::engine::{self, Speaker};
use super::failure::Failure;
use crate::chunk::{self, Chunk};
use crate::joint::{Joint, Length};
use crate::request::Order;
use crate::voice::Engine;

/// How often what passes is tried again for one chunk, and the first pause before that, in milliseconds:
/// each is twice the one before, and up to half as long again, so that those who were refused together
/// do not come back together.
const RETRIES: u32 = 4;
const PAUSE: u64 = 250;
/// Of one chunk that is kept until it is whole, in bytes: ten minutes, Polly's longest, of samples.
const MAX_CHUNK: usize = 32 << 20;

type Sound = Pin<Box<dyn Stream<Item = Result<Bytes, wit::Error>> + Send>>;

/// A call of the engine that is under way.
struct Call {
    about: wit::Audio,
    sound: Sound,
}

/// What is known of an audio once it has been made.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    pub(super) length: Length,
    /// When each chunk begins, in milliseconds.
    pub(super) starts: Vec<u32>,
    pub(super) billed: u64,
}

pub(super) struct Speaking {
    order: Order,
    speaker: Speaker,
    chunks: std::vec::IntoIter<Chunk>,
    joint: Joint,
    call: Option<Call>,
    made: Made,
    /// Whether somebody waits for the first byte.
    is_heard: bool,
    listener: Option<mpsc::Sender<Bytes>>,
}

/// The order's chunks for that engine.
pub(super) fn chunks(order: &Order, engine: Engine) -> Result<Vec<Chunk>, Failure> {
    chunk::cut(&order.text, &order.units, engine.limit()).map_err(|_| {
        let why = "the SSML has an element that is too long";
        crate::refusal::Refusal::new("INVALID_SSML", why).into()
    })
}

impl Speaking {
    /// Begins the first call, so that what the engine refuses is known before anything is answered.
    pub(super) async fn begin(
        order: Order,
        speaker: Speaker,
        is_heard: bool,
    ) -> Result<Self, Failure> {
        let mut chunks = chunks(&order, speaker.engine)?.into_iter();
        let first = chunks.next();
        let mut speaking = Self {
            joint: Joint::new(order.format),
            order,
            speaker,
            chunks,
            call: None,
            made: Made::default(),
            is_heard,
            listener: None,
        };
        if let Some(first) = first {
            speaking.call = Some(speaking.called(&first).await?);
        }
        Ok(speaking)
    }

    /// Lets somebody listen while it is spoken.
    pub(super) fn listen(&mut self) -> mpsc::Receiver<Bytes> {
        let (listener, heard) = mpsc::channel(0);
        self.listener = Some(listener);
        heard
    }

    /// Samples a second, as the first call says.
    pub(super) fn rate(&self) -> u32 {
        let call = self.call.as_ref();
        call.map_or(0, |call| call.about.sample_rate)
    }

    /// What is known once [`Speaking::next`] has had nothing more.
    pub(super) fn made(&self) -> &Made {
        &self.made
    }

    /// The next bytes.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(call) = &mut self.call else {
                let Some(chunk) = self.chunks.next() else {
                    self.told();
                    return Ok(None);
                };
                self.call = Some(self.called(&chunk).await?);
                continue;
            };
            let sound = match call.sound.next().await {
                Some(sound) => sound.map_err(|error| Failure::of(error, self.order.is_ssml))?,
                None => {
                    let (rate, billed) = (call.about.sample_rate, call.about.billed_characters);
                    self.end(rate, billed)?;
                    continue;
                }
            };
            let sound = Bytes::from(self.joint.push(&sound)?);
            if !sound.is_empty() {
                self.pass(&sound).await?;
                return Ok(Some(sound));
            }
        }
    }

    fn end(&mut self, rate: u32, billed: u32) -> Result<(), Failure> {
        self.call = None;
        self.made.starts.push(self.made.length.milliseconds());
        self.made.length = self.joint.end(rate)?;
        self.made.billed += u64::from(billed);
        Ok(())
    }

    async fn pass(&mut self, sound: &Bytes) -> Result<(), Failure> {
        match &mut self.listener {
            Some(listener) => listener
                .send(sound.clone())
                .await
                .map_err(|_| Failure::Left),
            None => Ok(()),
        }
    }

    fn told(&self) {
        let (engine, calls) = (self.speaker.engine.as_str(), self.made.starts.len());
        let (billed, seconds) = (self.made.billed, self.made.length.seconds());
        log::info(&format!(
            "spoke {seconds} s with the {engine} engine in {calls} calls for {billed} billed characters"
        ));
    }

    /// A call of the engine, begun again where what keeps it passes.
    async fn called(&mut self, chunk: &Chunk) -> Result<Call, Failure> {
        let mut attempt = 0;
        loop {
            match self.call_once(chunk).await {
                Ok(call) => return Ok(call),
                Err(error) if passes(&error) && attempt < RETRIES => {
                    attempt += 1;
                    log::warn(&format!(
                        "the speech engine: {error}; attempt {attempt} failed"
                    ));
                    pause(attempt).await;
                }
                Err(error) => return Err(Failure::of(error, self.order.is_ssml)),
            }
        }
    }

    /// What comes over a network is taken whole before it goes on, where nobody waits for it: an answer
    /// that breaks off is asked for again.
    async fn call_once(&mut self, chunk: &Chunk) -> Result<Call, wit::Error> {
        let request = engine::request(&self.order, &self.speaker, &chunk.input);
        let (about, data, ended) = wit::synthesize(request).await?;
        let mut sound: Sound = Box::pin(incoming::bytes(data, ended));
        if self.speaker.engine != Engine::Local && !self.is_heard {
            let mut whole = Vec::new();
            while let Some(part) = sound.next().await {
                whole.extend_from_slice(&part?);
                if whole.len() > MAX_CHUNK {
                    return Err(wit::Error::Unavailable);
                }
            }
            sound = Box::pin(futures::stream::iter([Ok(Bytes::from(whole))]));
        }
        Ok(Call { about, sound })
    }
}

fn passes(error: &wit::Error) -> bool {
    matches!(
        error,
        wit::Error::Timeout | wit::Error::Unavailable | wit::Error::QuotaExceeded
    )
}

async fn pause(attempt: u32) {
    let pause = PAUSE << attempt.min(RETRIES);
    let [chance, ..] = *Uuid::new_v4().as_bytes();
    let milliseconds = pause + pause * u64::from(chance) / 512;
    monotonic_clock::wait_for(milliseconds * 1_000_000).await;
}
