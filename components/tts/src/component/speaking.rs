//! An order as the engine speaks it: chunk after chunk, as one audio.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use futures::{Stream, StreamExt, stream};
use guest::bindings::capabilities::lectern::platform::speech as wit;
use guest::uuid::Uuid;
use guest::wasip3::clocks::monotonic_clock;
use guest::{incoming, log, quota};

use super::engine::{self, Speaker};
use super::failure::Failure;
use super::listening::Listener;
use crate::chunk::{self, Chunk};
use crate::joint::{Joint, Length};
use crate::refusal::Refusal;
use crate::request::Order;
use crate::voice::Engine;

/// How often what passes is tried again for one chunk, and the first pause before that, in milliseconds:
/// each is twice the one before, and up to half as long again, so that those who were refused together
/// do not come back together.
const RETRIES: u32 = 4;
const PAUSE: u64 = 250;
/// Of one chunk that is kept until it is whole, in bytes: ten minutes, Polly's longest, of samples.
const MAX_CHUNK: usize = 32 << 20;

/// Calls of an engine that is somebody else's machine, at once for one audio: 100,000 characters are 34 of
/// them. Each that is throttled steps back by itself.
const AT_ONCE: usize = 4;

type Sound = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

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
    engine: Engine,
    calls: Pin<Box<dyn Stream<Item = Result<Call, Failure>> + Send>>,
    joint: Joint,
    call: Option<Call>,
    made: Made,
    listener: Option<Listener>,
}

/// The order's chunks for that engine.
pub(super) fn chunks(order: &Order, engine: Engine) -> Result<Vec<Chunk>, Failure> {
    chunk::cut(&order.text, &order.units, engine.limit()).map_err(|_| {
        let why = "the SSML has an element that is too long";
        Refusal::new("INVALID_SSML", why).into()
    })
}

impl Speaking {
    /// Begins the first call, so that what the engine refuses is known before anything is answered.
    pub(super) async fn begin(
        order: Order,
        speaker: Speaker,
        listener: Option<Listener>,
    ) -> Result<Self, Failure> {
        let chunks = chunks(&order, speaker.engine)?;
        let (format, engine) = (order.format, speaker.engine);
        let mut calls = calls(order, speaker, chunks, listener.is_some());
        let call = calls.next().await.transpose()?;
        Ok(Self {
            joint: Joint::new(format),
            engine,
            calls,
            call,
            made: Made::default(),
            listener,
        })
    }

    /// Samples a second, as the first call says.
    pub(super) fn rate(&self) -> u32 {
        let call = self.call.as_ref();
        call.map_or(0, |call| call.about.sample_rate)
    }

    /// What is known once [`Speaking::next`] has had nothing more. An audio without a sample is none.
    pub(super) fn made(&self) -> Result<&Made, Failure> {
        match self.made.length.samples {
            0 => Err(Refusal::nothing_to_say().into()),
            _ => Ok(&self.made),
        }
    }

    /// The next bytes.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(call) = &mut self.call else {
                let Some(next) = self.calls.next().await else {
                    self.told();
                    return Ok(None);
                };
                self.call = Some(next?);
                continue;
            };
            let sound = match call.sound.next().await {
                Some(sound) => sound?,
                None => {
                    let (rate, billed) = (call.about.sample_rate, call.about.billed_characters);
                    self.end(rate, billed)?;
                    continue;
                }
            };
            let sound = Bytes::from(self.joint.push(&sound)?);
            if !sound.is_empty() {
                if let Some(listener) = &mut self.listener {
                    listener.hear(&sound);
                }
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

    fn told(&self) {
        let (engine, calls) = (self.engine.as_str(), self.made.starts.len());
        let (billed, seconds) = (self.made.billed, self.made.length.seconds());
        log::info(&format!(
            "spoke {seconds} s with the {engine} engine in {calls} calls for {billed} billed characters"
        ));
    }
}

/// A call for each chunk, in their order: some at once, where the engine is somebody else's machine.
fn calls(
    order: Order,
    speaker: Speaker,
    chunks: Vec<Chunk>,
    is_heard: bool,
) -> Pin<Box<dyn Stream<Item = Result<Call, Failure>> + Send>> {
    let is_local = speaker.engine == Engine::Local;
    let whose = Arc::new((order, speaker));
    // Whoever listens waits for no whole chunk.
    let streamed = usize::from(is_heard && !is_local).min(chunks.len());
    let mut first = chunks;
    let rest = first.split_off(streamed);
    let first = stream::iter(first).then({
        let whose = whose.clone();
        move |chunk| called(whose.clone(), chunk, false)
    });
    let rest = stream::iter(rest).map(move |chunk| called(whose.clone(), chunk, !is_local));
    let at_once = if is_local { 1 } else { AT_ONCE };
    Box::pin(first.chain(rest.buffered(at_once)))
}

/// A call of the engine, begun again where what keeps it passes.
async fn called(
    whose: Arc<(Order, Speaker)>,
    chunk: Chunk,
    is_kept: bool,
) -> Result<Call, Failure> {
    let (order, speaker) = &*whose;
    let mut attempt = 0;
    loop {
        match call_once(order, speaker, &chunk, is_kept).await {
            Ok(call) => return Ok(call),
            Err(error) if passes(&error) && attempt < RETRIES => {
                if let Some(problem) = quota::exceeded().await {
                    return Err(Failure::Refused(problem));
                }
                attempt += 1;
                log::warn(&format!(
                    "the speech engine: {error}; attempt {attempt} failed"
                ));
                pause(attempt).await;
            }
            Err(error) => return Err(Failure::of(error, order.is_ssml)),
        }
    }
}

/// What is kept is taken whole before it goes on: an answer that breaks off is asked for again.
async fn call_once(
    order: &Order,
    speaker: &Speaker,
    chunk: &Chunk,
    is_kept: bool,
) -> Result<Call, wit::Error> {
    let request = engine::request(order, speaker, &chunk.input);
    let (about, data, ended) = wit::synthesize(request).await?;
    let mut sound = Box::pin(incoming::bytes(data, ended));
    let is_ssml = order.is_ssml;
    let failed = move |part: Result<Bytes, wit::Error>| part.map_err(|e| Failure::of(e, is_ssml));
    if !is_kept {
        let sound = Box::pin(sound.map(failed));
        return Ok(Call { about, sound });
    }
    let mut whole = Vec::new();
    while let Some(part) = sound.next().await {
        whole.extend_from_slice(&part?);
        if whole.len() > MAX_CHUNK {
            return Err(wit::Error::Unavailable);
        }
    }
    let sound = Box::pin(stream::iter([Ok(Bytes::from(whole))]));
    Ok(Call { about, sound })
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
