//! What servers answer, believed as far as it can be true.
//! <https://platform.openai.com/docs/api-reference/audio/verbose-json-object>

use capability::transcription::{Cause, Failure, Request, Transcript, Word};
use serde::Deserialize;
use serde_json::Value;

use super::languages;

/// What an upstream's words may take in a reason.
const EXCERPT: usize = 80;
/// Whisper's own rule: more likely silence than speech, and guessed rather than heard.
/// <https://github.com/openai/whisper/blob/main/whisper/transcribe.py>
const NO_SPEECH: f64 = 0.6;
const GUESSED: f64 = -1.0;
/// So likely silence that it does not matter how sure the server is of its words: "Thank you for watching".
const SURELY_NO_SPEECH: f64 = 0.9;
/// Seconds by which a word may be out of order, or begin behind the end: servers round.
const SLACK: f64 = 1.0;
/// Seconds by which a word may end behind the end: one of Whisper's windows, which it fills up.
const WINDOW: f64 = 30.0;

#[derive(Deserialize)]
struct Answer {
    text: String,
    language: Option<String>,
    /// Seconds; a string at some servers.
    duration: Option<Value>,
    words: Option<Vec<Spoken>>,
    segments: Option<Vec<Segment>>,
}

#[derive(Deserialize)]
struct Spoken {
    word: String,
    /// Seconds.
    start: f64,
    end: f64,
    /// speaches' and faster-whisper's.
    probability: Option<f32>,
}

#[derive(Deserialize)]
struct Segment {
    #[serde(default)]
    text: String,
    /// Seconds.
    start: Option<f64>,
    end: Option<f64>,
    no_speech_prob: Option<f64>,
    avg_logprob: Option<f64>,
    /// whisper.cpp's.
    words: Option<Vec<Spoken>>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Value,
}

/// A JSON object with a `text`, and words that may have been said in the recording.
pub(crate) fn transcript(
    body: &[u8],
    request: &Request,
    model: &str,
) -> Result<Transcript, Failure> {
    // Without serde's words, which quote what was sent.
    let answer = serde_json::from_slice::<Answer>(body);
    let answer = answer.map_err(|_| untrue("it is no JSON object with a `text`"))?;
    let found = answer.language.as_deref().and_then(languages::code);
    let ends = duration(request, answer.duration.as_ref());
    let (text, spoken) = heard(answer);
    check(&spoken, ends)?;
    let words: Vec<Word> = spoken.into_iter().filter_map(|it| word(it, ends)).collect();
    Ok(Transcript {
        text: clean(&text),
        confidence: mean(&words),
        language_code: request.language_code.clone().or(found),
        words,
        engine: model.to_owned(),
    })
}

pub(crate) fn untrue(why: &str) -> Failure {
    let why = format!("the engine's answer is no transcript: {why}");
    Failure::new(Cause::Answer, why)
}

/// Seconds.
fn duration(request: &Request, told: Option<&Value>) -> Option<f64> {
    let measured = request.duration_ms.map(|ms| ms as f64 / 1_000.0);
    let told = told.and_then(|told| match told {
        Value::String(told) => told.parse().ok(),
        told => told.as_f64(),
    });
    measured.or(told).filter(|ends| ends.is_finite())
}

/// The text and its words, without what was made up over silence.
fn heard(answer: Answer) -> (String, Vec<Spoken>) {
    let segments = answer.segments.unwrap_or_default();
    let (invented, kept): (Vec<_>, Vec<_>) = segments.into_iter().partition(is_invented);
    let text = match (&invented[..], &kept[..]) {
        ([], _) => answer.text,
        (_, kept) => kept.iter().map(|segment| segment.text.as_str()).collect(),
    };
    let of_segments = || {
        let words = kept.into_iter().filter_map(|segment| segment.words);
        words.flatten().collect()
    };
    let mut words: Vec<Spoken> = answer.words.unwrap_or_else(of_segments);
    let is_kept = |word: &Spoken| !invented.iter().any(|segment| segment.has(word));
    words.retain(|word| !text.trim().is_empty() && is_kept(word));
    (text, words)
}

fn is_invented(segment: &Segment) -> bool {
    let guessed = segment.avg_logprob.is_none_or(|sure| sure < GUESSED);
    segment
        .no_speech_prob
        .is_some_and(|silence| silence >= SURELY_NO_SPEECH || (silence > NO_SPEECH && guessed))
}

impl Segment {
    fn has(&self, word: &Spoken) -> bool {
        let middle = f64::midpoint(word.start, word.end);
        match (self.start, self.end) {
            (Some(start), Some(end)) => (start..=end).contains(&middle),
            _ => false,
        }
    }
}

/// Whether words can have been said at such times.
fn check(words: &[Spoken], ends: Option<f64>) -> Result<(), Failure> {
    let mut last = 0.0;
    for word in words {
        let (start, end) = (word.start, word.end);
        if !start.is_finite() || !end.is_finite() || start < -SLACK || end < start {
            return Err(untrue("a word has no time"));
        }
        if start < last - SLACK {
            return Err(untrue("its words are out of order"));
        }
        if ends.is_some_and(|ends| start > ends + SLACK || end > ends + WINDOW) {
            return Err(untrue("a word is said after the recording's end"));
        }
        last = start;
    }
    Ok(())
}

pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// Some servers send the sign after a word with it, and none sends it by itself.
fn word(spoken: Spoken, ends: Option<f64>) -> Option<Word> {
    let whole = clean(&spoken.word);
    let text = whole.trim_end_matches(['.', ',', ';', ':', '?', '!', '…', '。', '、']);
    let last = ends.unwrap_or(f64::MAX);
    let start_ms = milliseconds(spoken.start.min(last));
    let end_ms = milliseconds(spoken.end.min(last));
    (!text.is_empty()).then(|| Word {
        text: text.to_owned(),
        start_ms,
        end_ms: end_ms.max(start_ms),
        confidence: spoken.probability.map(|p| p.clamp(0.0, 1.0)),
        speaker: None,
        punctuation: whole[text.len()..].to_owned(),
    })
}

pub(crate) fn milliseconds(seconds: f64) -> u32 {
    // Saturates; 0 for what is no number.
    (seconds * 1_000.0).round() as u32
}

pub(crate) fn mean(words: &[Word]) -> Option<f32> {
    let sure: Vec<f32> = words.iter().filter_map(|word| word.confidence).collect();
    (!sure.is_empty()).then(|| sure.iter().sum::<f32>() / sure.len() as f32)
}

pub(super) fn refused(status: u16, body: &[u8]) -> Failure {
    let error = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error);
    let error = error.unwrap_or_default();
    let message = error.get("message").unwrap_or(&error).as_str();
    let message: String = message
        .unwrap_or("no message")
        .chars()
        .filter(|c| !c.is_control())
        .take(EXCERPT)
        .collect();
    match status {
        401 | 403 => Failure::new(
            Cause::AccessDenied,
            format!("the server refuses the key (status {status})"),
        ),
        413 => Failure::new(
            Cause::Refused,
            "the recording is larger than the server takes",
        ),
        _ => Failure::new(Cause::Refused, format!("status {status}: {message}")),
    }
}

/// Without the URL, which may hold a credential.
pub(super) fn failed(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the server took too long".into();
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    let why: String = source.to_string().chars().take(EXCERPT).collect();
    format!("the server cannot be used: {why}")
}

#[cfg(test)]
mod tests {
    use capability::blobs::Key;
    use capability::transcription::MediaFormat;

    use super::*;

    fn of(body: &str, duration_ms: Option<u64>) -> Result<Transcript, Failure> {
        let request = Request {
            audio: Key::parse("a").unwrap(),
            format: MediaFormat::Wav,
            language_code: None,
            speakers: None,
            vocabulary: vec![],
            duration_ms,
        };
        transcript(body.as_bytes(), &request, "m")
    }

    fn read(body: &str) -> Result<Transcript, Failure> {
        of(body, None)
    }

    #[test]
    fn words_come_with_their_times_where_the_server_has_them() {
        let body = r#"{"task":"transcribe","language":"english","duration":1.2,"text":" Hello, you. ",
            "words":[{"word":" Hello,","start":0.1,"end":0.5,"probability":0.9},
                     {"word":" you.","start":0.6,"end":1.3,"probability":0.7},
                     {"word":".","start":1.0,"end":1.1}]}"#;
        let found = read(body).unwrap();
        assert_eq!((found.text.as_str(), found.words.len()), ("Hello, you.", 2));
        assert_eq!(found.language_code.as_deref(), Some("en"));
        assert!((found.confidence.unwrap() - 0.8).abs() < 1e-6);
        let [first, last] = &found.words[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (first.text.as_str(), first.punctuation.as_str()),
            ("Hello", ",")
        );
        assert_eq!((first.start_ms, first.end_ms), (100, 500));
        assert_eq!(last.end_ms, 1_200, "no later than the recording");
    }

    #[test]
    fn an_answer_without_times_is_a_text() {
        for body in [r#"{"text":"hello"}"#, r#"{"text":"hello","words":null}"#] {
            let found = read(body).unwrap();
            assert_eq!(
                (found.text.as_str(), found.words),
                ("hello", vec![]),
                "{body}"
            );
            assert_eq!((found.confidence, found.language_code), (None, None));
        }
        assert_eq!(read(r#"{"text":""}"#).unwrap().text, "");
    }

    #[test]
    fn what_is_no_object_with_a_text_is_no_transcript() {
        for body in [
            "",
            "hello\n",
            "\"hello\"",
            "[\"hello\"]",
            "null",
            "<html>It works!</html>",
            r#"{"error":{"message":"overloaded"}}"#,
            r#"{"text":null}"#,
            r#"{"text":7}"#,
            r#"{"text":"hello","#,
            r#"{"text":"a","words":[{"word":"a","start":"now","end":1}]}"#,
        ] {
            assert_eq!(read(body).unwrap_err().cause, Cause::Answer, "{body}");
        }
    }

    #[test]
    fn words_that_cannot_have_been_said_then_are_no_transcript() {
        let words = |words: &str| format!(r#"{{"text":"a b","words":[{words}]}}"#);
        let good = r#"{"word":"a","start":0.5,"end":0.9}"#;
        assert!(of(&words(good), Some(1_000)).is_ok());
        for bad in [
            r#"{"word":"a","start":-5,"end":1}"#.to_owned(),
            r#"{"word":"a","start":0.9,"end":0.2}"#.to_owned(),
            r#"{"word":"a","start":1e300,"end":1e300}"#.to_owned(),
            r#"{"word":"a","start":0.1,"end":99}"#.to_owned(),
            format!(r#"{{"word":"b","start":1.9,"end":2}},{good}"#),
            format!(r#"{good},{{"word":"b","start":2.5,"end":2.6}}"#),
        ] {
            let got = of(&words(&bad), Some(1_000));
            assert_eq!(got.unwrap_err().cause, Cause::Answer, "{bad}");
        }
    }

    fn over(no_speech_prob: f64, avg_logprob: f64) -> String {
        format!(
            r#"{{"text":"Thank you for watching.","duration":"3.0","segments":[
                {{"start":0.0,"end":3.0,"text":" Thank you for watching.",
                  "no_speech_prob":{no_speech_prob},"avg_logprob":{avg_logprob}}}],
               "words":[{{"word":"Thank","start":0.0,"end":2.9}}]}}"#
        )
    }

    #[test]
    fn what_is_made_up_over_silence_is_an_empty_transcript() {
        for (no_speech_prob, avg_logprob) in [(0.95, -0.3), (0.7, -1.4)] {
            let found = read(&over(no_speech_prob, avg_logprob)).unwrap();
            assert_eq!((found.text.as_str(), found.words), ("", vec![]));
        }
        // Said over noise, and heard well.
        let found = read(&over(0.7, -0.3)).unwrap();
        assert_eq!(found.text, "Thank you for watching.");
        assert_eq!(found.words.len(), 1);
    }

    #[test]
    fn what_is_said_beside_silence_stays() {
        let body = r#"{"text":" Cells divide. Bye!","segments":[
            {"start":0,"end":2,"text":" Cells divide.","no_speech_prob":0.01,"avg_logprob":-0.2},
            {"start":2,"end":9,"text":" Bye!","no_speech_prob":0.97,"avg_logprob":-0.2}],
            "words":[{"word":"Cells","start":0.1,"end":0.5},{"word":"divide.","start":0.6,"end":1.5},
            {"word":"Bye!","start":2.1,"end":8}]}"#;
        let found = read(body).unwrap();
        assert_eq!(
            (found.text.as_str(), found.words.len()),
            ("Cells divide.", 2)
        );
    }

    #[test]
    fn a_refusal_shows_little_of_what_was_sent() {
        let body = format!(r#"{{"error":{{"message":"a\n{}"}}}}"#, "x".repeat(500));
        let reason = refused(400, body.as_bytes()).reason;
        assert_eq!(reason, format!("status 400: a{}", "x".repeat(79)));
        assert_eq!(refused(404, b"<html>").reason, "status 404: no message");
        let denied = refused(401, body.as_bytes());
        assert_eq!(denied.cause, Cause::AccessDenied);
        assert!(!denied.reason.contains('x'));
    }
}
