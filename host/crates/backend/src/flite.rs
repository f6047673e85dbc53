//! The host's own voice: Flite's technique in Rust, with the recordings in the binary. Robotic, and
//! everywhere at hand. <http://www.festvox.org/flite/>

mod encoder;
mod script;
mod ssml;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use capability::speech::{
    Audio, AudioStream, EngineKind, Error, Format, Gender, Input, Mark, MarkKind, Request, Speech,
    Voice,
};
use flite_rs::Engine;
use flite_rs::ffeature::{ItemPath, path_to_item};
use flite_rs::phoneset::SILENCE;
use futures::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use self::encoder::Encoder;
use self::script::{Piece, pieces};

/// Of the input, without its tags: what Polly takes in one task.
pub const MAX_CHARACTERS: u32 = 100_000;
/// Tags included.
const MAX_SOURCE: usize = 2 * MAX_CHARACTERS as usize;
const LANGUAGE: &str = "en-US";
/// Begins what is said of SSML that an engine does not have, so that it is told from what else is wrong.
pub(crate) const OF_SSML: &str = "SSML: ";
const NAMES: [&str; 2] = ["kal16", "kal"];
/// Chunks of audio, each of a sentence, that wait for their listener.
const AHEAD: usize = 2;

/// Speaks in the host's process, a sentence at a time: an hour of speech takes no more memory than a
/// sentence, and waits for its listener.
pub struct Flite {
    voices: Vec<(&'static str, Arc<Engine>)>,
    turns: Arc<Semaphore>,
}

impl Flite {
    /// At most so many sentences at once, over all requests. Fails only where the binary's recordings
    /// are broken.
    pub fn new(places: usize) -> Result<Self, Error> {
        let broken = |e: flite_rs::data::DataError| Error::Unavailable(e.to_string());
        let mut voices = Vec::new();
        for name in NAMES {
            let mut engine = Engine::try_new().map_err(broken)?;
            if engine.select_voice(name) {
                voices.push((name, Arc::new(engine)));
            }
        }
        Ok(Self {
            voices,
            turns: Arc::new(Semaphore::new(places.max(1))),
        })
    }

    /// The voice, where it can do all that is asked for but the format.
    fn engine(&self, request: &Request) -> Result<Arc<Engine>, Error> {
        let voice = self.voices.iter().find(|(name, _)| *name == request.voice);
        let Some((name, engine)) = voice else {
            return Err(Error::Invalid(format!(
                "there is no such voice: this engine has {}",
                NAMES.join(" and ")
            )));
        };
        if !matches!(request.engine, None | Some(EngineKind::Local)) {
            return Err(Error::Invalid(format!("the voice {name} is local")));
        }
        Ok(engine.clone())
    }
}

/// On a thread for blocking work, and only while it is this piece's turn.
async fn speak(
    turns: Arc<Semaphore>,
    engine: Arc<Engine>,
    piece: Piece,
) -> Result<Vec<i16>, Error> {
    let handle = Handle::current();
    let speaking = tokio::task::spawn_blocking(move || spoken(&handle, &turns, &engine, &piece));
    speaking.await.map_err(|e| broken(&e))?
}

fn broken(error: &dyn std::error::Error) -> Error {
    tracing::error!(%error, "the local voice broke");
    Error::Unavailable("the local voice broke".into())
}

/// The piece's samples, once it is its turn. Blocks.
fn spoken(
    handle: &Handle,
    turns: &Semaphore,
    engine: &Engine,
    piece: &Piece,
) -> Result<Vec<i16>, Error> {
    let turn = handle.block_on(turns.acquire());
    let _turn = turn.map_err(|e| broken(&e))?;
    Ok(match piece {
        Piece::Speech { text, .. } => engine.synthesize(text).samples,
        Piece::Silence(time) => {
            let samples = u128::from(engine.sample_rate()) * time.as_millis() / 1_000;
            vec![0; usize::try_from(samples).unwrap_or_default()]
        }
    })
}

/// The pieces, where any of them is more than silence to the voice: it passes over what it cannot read, as
/// emoji and other scripts, and would make a breath of it.
async fn sayable(
    turns: Arc<Semaphore>,
    engine: Arc<Engine>,
    pieces: Vec<Piece>,
) -> Result<Vec<Piece>, Error> {
    let _turn = turns.acquire().await.map_err(|e| broken(&e))?;
    let looking = tokio::task::spawn_blocking(move || {
        // The first piece, as a rule.
        let is_sayable = pieces.iter().any(|piece| is_said(&engine, piece));
        is_sayable.then_some(pieces)
    });
    let found = looking.await.map_err(|e| broken(&e))?;
    found.ok_or(Error::NothingToSay)
}

fn is_said(engine: &Engine, piece: &Piece) -> bool {
    let Piece::Speech { text, .. } = piece else {
        return false;
    };
    let utterance = engine.analyse(text);
    let mut segments = utterance.iter_relation("Segment");
    segments.any(|segment| utterance.name(segment) != SILENCE)
}

fn script(input: &Input) -> Result<Vec<Piece>, Error> {
    if input.as_str().chars().count() > MAX_SOURCE {
        return Err(Error::TooLong {
            limit: MAX_CHARACTERS,
        });
    }
    let parts = match input {
        Input::Text(text) => vec![ssml::Part::Speech(ssml::Stretch::plain(text))],
        Input::Ssml(ssml) => {
            ssml::read(ssml).map_err(|why| Error::Invalid(format!("{OF_SSML}{why}")))?
        }
    };
    let spoken = parts.iter().map(ssml::Part::characters).sum::<usize>();
    if spoken > MAX_CHARACTERS as usize {
        return Err(Error::TooLong {
            limit: MAX_CHARACTERS,
        });
    }
    Ok(parts.into_iter().flat_map(pieces).collect())
}

#[async_trait]
impl Speech for Flite {
    async fn voices(&self, language_code: Option<&str>) -> Result<Vec<Voice>, Error> {
        let wanted = language_code.is_none_or(|code| code.eq_ignore_ascii_case(LANGUAGE));
        let voice = |(name, engine): &(&'static str, Arc<Engine>)| Voice {
            id: (*name).to_owned(),
            name: format!("Kal, {} kHz", engine.sample_rate() / 1_000),
            language_code: LANGUAGE.into(),
            gender: Gender::Male,
            engines: vec![EngineKind::Local],
        };
        Ok(self.voices.iter().filter(|_| wanted).map(voice).collect())
    }

    async fn synthesize(&self, request: &Request) -> Result<Audio, Error> {
        let engine = self.engine(request)?;
        let rate = engine.sample_rate();
        if request.sample_rate.is_some_and(|wanted| wanted != rate) {
            return Err(Error::UnsupportedSampleRate { rates: vec![rate] });
        }
        let pieces = script(&request.input)?;
        let pieces = sayable(self.turns.clone(), engine.clone(), pieces).await?;
        Ok(Audio {
            engine: EngineKind::Local,
            format: request.format,
            sample_rate: rate,
            billed_characters: 0,
            data: audio(self.turns.clone(), engine, pieces, request.format),
        })
    }

    async fn marks(&self, request: &Request, kinds: &[MarkKind]) -> Result<Vec<Mark>, Error> {
        let engine = self.engine(request)?;
        let mut marks = Vec::new();
        let mut samples = 0;
        for piece in script(&request.input)? {
            let at_ms = milliseconds(samples, engine.sample_rate());
            marks.extend(starts(
                &engine,
                &piece,
                at_ms,
                kinds,
                request.input.as_str(),
            ));
            let speaking = speak(self.turns.clone(), engine.clone(), piece);
            samples += speaking.await?.len();
        }
        Ok(marks)
    }
}

/// Spoken and encoded on one thread, which waits for its listener, and ends when nobody listens.
fn audio(
    turns: Arc<Semaphore>,
    engine: Arc<Engine>,
    pieces: Vec<Piece>,
    format: Format,
) -> AudioStream {
    let (chunks, audio) = mpsc::channel(AHEAD);
    let handle = Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let spoken = |piece: Piece| spoken(&handle, &turns, &engine, &piece);
        let rate = engine.sample_rate();
        encode(pieces.into_iter().map(spoken), format, rate, &chunks)
    });
    // The chunks end however the work does.
    let error = stream::once(work).filter_map(|ended| {
        let error = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(panicked) => Some(Err(broken(&panicked))),
        };
        std::future::ready(error)
    });
    ReceiverStream::new(audio).map(Ok).chain(error).boxed()
}

/// Ends early where nobody listens.
fn encode(
    spoken: impl Iterator<Item = Result<Vec<i16>, Error>>,
    format: Format,
    rate: u32,
    chunks: &mpsc::Sender<Bytes>,
) -> Result<(), Error> {
    let mut encoder = Encoder::new(format, rate)?;
    for samples in spoken {
        let chunk = encoder.push(&samples?)?;
        if !chunk.is_empty() && chunks.blocking_send(chunk.into()).is_err() {
            return Ok(());
        }
    }
    let last = encoder.finish()?;
    if !last.is_empty() {
        // Nobody may listen any more.
        let _ = chunks.blocking_send(last.into());
    }
    Ok(())
}

fn milliseconds(samples: usize, rate: u32) -> u32 {
    let milliseconds = samples as u64 * 1_000 / u64::from(rate.max(1));
    u32::try_from(milliseconds).unwrap_or(u32::MAX)
}

/// The marks of one piece, which begins at `at_ms`.
fn starts(
    engine: &Engine,
    piece: &Piece,
    at_ms: u32,
    kinds: &[MarkKind],
    source: &str,
) -> Vec<Mark> {
    let Piece::Speech {
        text,
        sentence,
        words,
    } = piece
    else {
        return vec![];
    };
    let mark = |kind, at_ms, span: &script::Span| Mark {
        kind,
        at_ms,
        start: u32::try_from(span.start).unwrap_or(u32::MAX),
        end: u32::try_from(span.end).unwrap_or(u32::MAX),
        value: source.get(span.clone()).unwrap_or_default().to_owned(),
    };
    let mut marks = Vec::new();
    if kinds.contains(&MarkKind::Sentence) {
        marks.extend(sentence.iter().map(|s| mark(MarkKind::Sentence, at_ms, s)));
    }
    if kinds.contains(&MarkKind::Word) {
        let begun = word_starts(engine, text).into_iter().zip(words);
        marks.extend(begun.filter_map(|(after, span)| {
            Some(mark(MarkKind::Word, at_ms.saturating_add(after?), span))
        }));
    }
    marks
}

/// For each word of the text when it begins, in milliseconds; `None` for one that is not spoken.
fn word_starts(engine: &Engine, text: &str) -> Vec<Option<u32>> {
    let utterance = engine.analyse(text);
    let tokens: Vec<_> = utterance.iter_relation("Token").collect();
    let mut starts = vec![None; tokens.len()];
    let spoken = ItemPath::parse("R:SylStructure.parent.parent.R:Token.parent");
    let mut at = 0.0_f32;
    for segment in utterance.iter_relation("Segment") {
        let token = path_to_item(&utterance, segment, &spoken);
        let token = token.and_then(|token| {
            tokens
                .iter()
                .position(|other| utterance.same_item(*other, token))
        });
        if let Some(token) = token {
            // Saturates.
            starts[token].get_or_insert((at * 1_000.0) as u32);
        }
        at = utterance.feature_f32(segment, "end");
    }
    starts
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::time::{Duration, Instant};

    use super::*;

    fn request(input: Input) -> Request {
        Request {
            input,
            voice: "kal16".into(),
            engine: None,
            format: Format::Pcm,
            sample_rate: None,
        }
    }

    fn text(text: &str) -> Request {
        request(Input::Text(text.into()))
    }

    async fn samples(flite: &Flite, request: &Request) -> usize {
        let audio = flite.synthesize(request).await.unwrap();
        let chunks: Vec<_> = audio.data.collect().await;
        chunks
            .into_iter()
            .map(|chunk| chunk.unwrap().len() / 2)
            .sum()
    }

    #[tokio::test]
    async fn flite_keeps_the_contract() {
        capability::speech::contract::all(&Flite::new(2).unwrap()).await;
    }

    #[tokio::test]
    async fn a_long_text_is_heard_before_it_is_spoken() {
        let flite = Flite::new(1).unwrap();
        let request = text(&"This is a sentence of a long text. ".repeat(2_000));
        let started = Instant::now();
        let mut audio = flite.synthesize(&request).await.unwrap();
        assert!(!audio.data.next().await.unwrap().unwrap().is_empty());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn breaks_are_silence_of_their_length() {
        let flite = Flite::new(1).unwrap();
        let ssml = |time: &str| {
            request(Input::Ssml(format!(
                "<speak>One.<break time=\"{time}\"/>Two.</speak>"
            )))
        };
        let short = samples(&flite, &ssml("0ms")).await;
        assert_eq!(samples(&flite, &ssml("1.5s")).await, short + 24_000);
    }

    #[tokio::test]
    async fn what_the_engine_cannot_do_is_said() {
        let flite = Flite::new(1).unwrap();
        let rate = Request {
            sample_rate: Some(22_050),
            ..text("Hello.")
        };
        let refused = flite.synthesize(&rate).await.err();
        let rates = vec![16_000];
        assert_eq!(refused, Some(Error::UnsupportedSampleRate { rates }));
        let neural = Request {
            engine: Some(EngineKind::Neural),
            ..text("Hello.")
        };
        let refused = flite.synthesize(&neural).await.err();
        assert!(matches!(refused, Some(Error::Invalid(_))), "{refused:?}");
        let emphasis = Request {
            input: Input::Ssml("<speak><emphasis>a</emphasis></speak>".into()),
            ..text("")
        };
        let refused = flite.synthesize(&emphasis).await.err();
        let is_of_ssml = |why: &str| why.starts_with(OF_SSML);
        assert!(
            matches!(&refused, Some(Error::Invalid(why)) if is_of_ssml(why)),
            "{refused:?}"
        );
        let long = flite.synthesize(&text(&"a ".repeat(50_001))).await.err();
        assert_eq!(long, Some(Error::TooLong { limit: 100_000 }));
    }

    #[tokio::test]
    async fn what_the_voice_cannot_read_is_told_and_not_breathed() {
        let flite = Flite::new(1).unwrap();
        for silent in ["🎉 🎂", "日本語。", "... !!! ???", "«»—…", "Привет"] {
            let refused = flite.synthesize(&text(silent)).await.err();
            assert_eq!(refused, Some(Error::NothingToSay), "{silent}");
        }
        let ssml = "<speak><s>日本語</s><break time='1s'/></speak>";
        let refused = flite.synthesize(&request(Input::Ssml(ssml.into()))).await;
        assert_eq!(refused.err(), Some(Error::NothingToSay));
        for said in ["7", "$", "日本語。 And so on.", "A"] {
            assert!(samples(&flite, &text(said)).await > 1_000, "{said}");
        }
    }

    #[tokio::test]
    async fn marks_come_in_their_order_and_point_into_the_input() {
        let flite = Flite::new(1).unwrap();
        let ssml = "<speak><s>Salt &amp; pepper.</s> <s>It is late.</s></speak>";
        let kinds = [MarkKind::Sentence, MarkKind::Word];
        let marks = flite
            .marks(&request(Input::Ssml(ssml.into())), &kinds)
            .await
            .unwrap();
        let of = |kind| {
            let marks = marks.iter().filter(move |mark| mark.kind == kind);
            marks.map(|mark| mark.value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(
            of(MarkKind::Sentence),
            ["Salt &amp; pepper.", "It is late."]
        );
        assert_eq!(
            of(MarkKind::Word),
            ["Salt", "&amp;", "pepper.", "It", "is", "late."]
        );
        assert!(
            marks.windows(2).all(|two| two[0].at_ms <= two[1].at_ms),
            "{marks:?}"
        );
        let all = samples(&flite, &request(Input::Ssml(ssml.into()))).await;
        assert!(marks.last().unwrap().at_ms < milliseconds(all, 16_000));
    }

    #[tokio::test]
    async fn no_text_breaks_the_engine() {
        let flite = Flite::new(2).unwrap();
        let odd = [
            String::new(),
            " \u{a0}\u{3000}".into(),
            "\"'(([{".into(),
            "a".repeat(2_000),
            "1234567890".repeat(50),
            "Ünïcödé ẞ 日本語 🎉 \u{0}\u{feff}\u{202e}".into(),
            "$1,000,000.00 1/2 3:45pm Dr. St. XIV 1st 555-1234 1e9".into(),
            "...!!!???".into(),
            "\n\n\n".into(),
        ];
        for odd in odd {
            match flite.synthesize(&text(&odd)).await {
                Ok(audio) => assert!(audio.data.all(|part| ready(part.is_ok())).await),
                Err(error) => assert_eq!(error, Error::NothingToSay),
            }
            let kinds = [MarkKind::Sentence, MarkKind::Word];
            flite.marks(&text(&odd), &kinds).await.unwrap();
        }
    }
}
