//! An order as the engine speaks it: chunk after chunk, as one audio.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use guest::bindings::capabilities::lectern::platform::speech as wit;
use guest::uuid::Uuid;
use guest::wasip3::clocks::monotonic_clock;
use guest::{Problem, incoming, log, quota};

use super::engine::{self, Speaker};
use super::failure::Failure;
use super::listening::Listener;
use crate::chunk::{self, Chunk, Limit};
use crate::joint::{self, Joint, Length};
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

/// Milliseconds: "The output audio stream (synthesis) is limited to 10 minutes. After this is reached, any
/// remaining speech is cut off." <https://docs.aws.amazon.com/polly/latest/dg/limits.html>
const LEAVES_OFF: u32 = 595_000;
/// What surely is shorter than that, however slow the voice: half.
const SURELY_SHORT: u64 = LEAVES_OFF as u64 / 2;

/// Calls of an engine that is somebody else's machine, at once for one audio: 100,000 characters are 34 of
/// them. Each that is throttled steps back by itself.
const AT_ONCE: usize = 4;

type Sound = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// A call of the engine that is under way.
struct Call {
    about: wit::Audio,
    sound: Sound,
    /// Bytes of the text that it speaks.
    span: Range<usize>,
}

type Calls = Pin<Box<dyn Stream<Item = Result<Call, Failure>> + Send>>;

/// What is known of an audio once it has been made.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    pub(super) length: Length,
    /// When each chunk begins, in milliseconds.
    pub(super) starts: Vec<u32>,
    /// Bytes of the text that each speaks.
    pub(super) spans: Vec<Range<usize>>,
    pub(super) billed: u64,
}

pub(super) struct Speaking {
    engine: Engine,
    calls: Calls,
    joint: Joint,
    call: Option<Call>,
    made: Made,
    listener: Option<Listener>,
}

/// The order's chunks within an engine's limit.
pub(super) fn chunks(order: &Order, limit: Limit) -> Result<Vec<Chunk>, Failure> {
    chunk::cut(&order.text, &order.units, limit).map_err(|_| {
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
        let chunks = chunks(&order, speaker.engine.limit())?;
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
                    self.end()?;
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

    fn end(&mut self) -> Result<(), Failure> {
        let Some(call) = self.call.take() else {
            return Ok(());
        };
        let start = self.made.length.milliseconds();
        self.made.length = self.joint.end(call.about.sample_rate)?;
        let took = self.made.length.milliseconds().saturating_sub(start);
        // Who listens has heard it by now, and is told that it is not all.
        if self.engine != Engine::Local && took >= LEAVES_OFF {
            return Err(too_slow());
        }
        self.made.starts.push(start);
        self.made.spans.push(call.span);
        self.made.billed += u64::from(call.about.billed_characters);
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

fn too_slow() -> Failure {
    let why =
        "the engine speaks ten minutes at once, and a word or an element of the text takes longer";
    Refusal::too_long(why).into()
}

/// Calls for the chunks, in their order: some at once, where the engine is somebody else's machine.
fn calls(order: Order, speaker: Speaker, chunks: Vec<Chunk>, is_heard: bool) -> Calls {
    let is_local = speaker.engine == Engine::Local;
    let whose = Arc::new((order, speaker));
    if is_local {
        return Box::pin(stream::iter(chunks).then(move |chunk| streamed(whose.clone(), chunk)));
    }
    // Whoever listens waits for no whole chunk, unless the engine may leave off before its end.
    let is_short = |chunk: &Chunk| chunk.milliseconds <= SURELY_SHORT;
    let at_once = usize::from(is_heard && chunks.first().is_some_and(is_short));
    let mut first = chunks;
    let rest = first.split_off(at_once);
    let first = stream::iter(first).then({
        let whose = whose.clone();
        move |chunk| streamed(whose.clone(), chunk)
    });
    let rest = stream::iter(rest).map(move |chunk| whole(whose.clone(), chunk));
    let rest = rest.buffered(AT_ONCE);
    let rest = rest.map_ok(|calls| stream::iter(calls.into_iter().map(Ok)));
    Box::pin(first.chain(rest.try_flatten()))
}

/// A call whose sound goes on as it comes.
async fn streamed(whose: Arc<(Order, Speaker)>, chunk: Chunk) -> Result<Call, Failure> {
    let (order, speaker) = &*whose;
    let ask = || wit::synthesize(engine::request(order, speaker, &chunk.input));
    let (about, data, ended) = patiently(ask).await?;
    let failed = |part: Result<Bytes, wit::Error>| part.map_err(Failure::of);
    Ok(Call {
        about,
        sound: Box::pin(incoming::bytes(data, ended).map(failed)),
        span: chunk.span,
    })
}

/// All of a chunk: in shorter ones, where the engine leaves off before its end.
async fn whole(whose: Arc<(Order, Speaker)>, chunk: Chunk) -> Result<Vec<Call>, Failure> {
    let (order, speaker) = &*whose;
    let (mut calls, mut rest) = (vec![], vec![chunk]);
    while let Some(chunk) = rest.pop() {
        let (about, sound) = patiently(|| kept(order, speaker, &chunk)).await?;
        let length = joint::length(order.format, about.sample_rate, &sound)?;
        if length.milliseconds() < LEAVES_OFF {
            let sound = Box::pin(stream::iter([Ok(sound)]));
            let span = chunk.span;
            calls.push(Call { about, sound, span });
            continue;
        }
        let shorter = chunk::shortened(&order.text, &order.units, &chunk);
        if shorter.len() < 2 {
            return Err(too_slow());
        }
        log::warn("the speech engine leaves off after ten minutes: it is asked for less at once");
        rest.extend(shorter.into_iter().rev());
    }
    Ok(calls)
}

/// What is kept is taken whole before it goes on: an answer that breaks off is asked for again.
async fn kept(
    order: &Order,
    speaker: &Speaker,
    chunk: &Chunk,
) -> Result<(wit::Audio, Bytes), wit::Error> {
    let request = engine::request(order, speaker, &chunk.input);
    let (about, data, ended) = wit::synthesize(request).await?;
    let mut sound = Box::pin(incoming::bytes(data, ended));
    let mut whole = Vec::new();
    while let Some(part) = sound.next().await {
        whole.extend_from_slice(&part?);
        if whole.len() > MAX_CHUNK {
            return Err(wit::Error::Unavailable);
        }
    }
    Ok((about, whole.into()))
}

/// Why the engine is not asked again.
pub(super) enum Stopped {
    /// By what it said.
    Engine(wit::Error),
    /// Who asks has no more to spend.
    Spent(Problem),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Engine(error) => Self::of(error),
            Stopped::Spent(problem) => Self::Refused(problem),
        }
    }
}

/// Asks the engine, and again where what keeps it passes.
pub(super) async fn patiently<T, A>(ask: impl Fn() -> A) -> Result<T, Stopped>
where
    A: Future<Output = Result<T, wit::Error>>,
{
    let mut attempt = 0;
    loop {
        match ask().await {
            Ok(told) => return Ok(told),
            Err(error) if passes(&error) && attempt < RETRIES => {
                if let Some(problem) = quota::exceeded().await {
                    return Err(Stopped::Spent(problem));
                }
                attempt += 1;
                log::warn(&format!(
                    "the speech engine: {error}; attempt {attempt} failed"
                ));
                pause(attempt).await;
            }
            Err(error) => return Err(Stopped::Engine(error)),
        }
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
