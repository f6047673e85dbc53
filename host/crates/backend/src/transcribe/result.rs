//! A transcript's file, as Transcribe writes it: all numbers are strings, punctuation has no times
//! and a confidence of 0, and a job without speakers has no labels.
//! <https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html#how-output>

use std::collections::HashMap;

use capability::transcription::{Transcript, Word};
use serde::Deserialize;

/// Which engine, in a transcript.
const ENGINE: &str = "transcribe";

#[derive(Deserialize)]
struct Document {
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    transcripts: Vec<Text>,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    speaker_labels: Option<Speakers>,
}

#[derive(Deserialize)]
struct Text {
    transcript: String,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    start_time: Option<String>,
    end_time: Option<String>,
    speaker_label: Option<String>,
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    confidence: Option<String>,
    content: String,
}

#[derive(Deserialize)]
struct Speakers {
    #[serde(default)]
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    #[serde(default)]
    items: Vec<Spoken>,
}

#[derive(Deserialize)]
struct Spoken {
    start_time: String,
    speaker_label: String,
}

/// What a file says, or nothing where it is none.
pub(super) fn parse(file: &[u8], language_code: Option<String>) -> Option<Transcript> {
    let results = serde_json::from_slice::<Document>(file).ok()?.results;
    let words = words(results.items, &labels(results.speaker_labels));
    let text = match results.transcripts.into_iter().next() {
        Some(text) => text.transcript,
        None => written(&words),
    };
    Some(Transcript {
        text,
        confidence: mean(&words),
        language_code,
        words,
        engine: ENGINE.to_owned(),
    })
}

/// Who speaks at which time. Files of before 2023 have it here alone.
fn labels(speakers: Option<Speakers>) -> HashMap<String, String> {
    let segments = speakers.into_iter().flat_map(|speakers| speakers.segments);
    let spoken = segments.flat_map(|segment| segment.items);
    spoken
        .map(|spoken| (spoken.start_time, spoken.speaker_label))
        .collect()
}

fn words(items: Vec<Item>, labels: &HashMap<String, String>) -> Vec<Word> {
    let mut words: Vec<Word> = vec![];
    for item in items {
        let Item {
            kind,
            start_time,
            end_time,
            speaker_label,
            alternatives,
        } = item;
        let Some(best) = alternatives.into_iter().next() else {
            continue;
        };
        if kind == "punctuation" {
            // What comes before the first word is nobody's.
            if let Some(word) = words.last_mut() {
                word.punctuation.push_str(&best.content);
            }
            continue;
        }
        let start = start_time.unwrap_or_default();
        words.push(Word {
            text: best.content,
            start_ms: milliseconds(&start),
            end_ms: milliseconds(&end_time.unwrap_or_default()),
            confidence: best.confidence.as_deref().and_then(confidence),
            speaker: speaker_label.or_else(|| labels.get(&start).cloned()),
            punctuation: String::new(),
        });
    }
    words
}

fn milliseconds(seconds: &str) -> u32 {
    // `as` brings what is no time of an audio into range.
    (seconds.parse::<f64>().unwrap_or(0.0) * 1_000.0).round() as u32
}

fn confidence(written: &str) -> Option<f32> {
    let confidence: f32 = written.parse().ok()?;
    (0.0..=1.0).contains(&confidence).then_some(confidence)
}

fn mean(words: &[Word]) -> Option<f32> {
    let (sum, count) = words
        .iter()
        .filter_map(|word| word.confidence)
        .fold((0.0, 0u32), |(sum, count), sure| {
            (sum + f64::from(sure), count + 1)
        });
    (count > 0).then(|| (sum / f64::from(count)) as f32)
}

fn written(words: &[Word]) -> String {
    let words = words.iter();
    let words: Vec<_> = words
        .map(|word| format!("{}{}", word.text, word.punctuation))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"jobName":"j","accountId":"0","status":"COMPLETED","results":{
        "speaker_labels":{"speakers":1,"segments":[{"start_time":"0.04","end_time":"0.9",
            "speaker_label":"spk_0","items":[
            {"start_time":"0.04","end_time":"0.4","speaker_label":"spk_0"}]}]},
        "items":[
        {"type":"punctuation","alternatives":[{"confidence":"0.0","content":"-"}]},
        {"start_time":"0.04","end_time":"0.4","type":"pronunciation",
            "alternatives":[{"confidence":"1.0","content":"Hello"}]},
        {"type":"punctuation","alternatives":[{"confidence":"0.0","content":","}]},
        {"start_time":"0.5","end_time":"0.9","type":"pronunciation",
            "alternatives":[{"confidence":"0.5","content":"you"}]},
        {"type":"punctuation","alternatives":[{"confidence":"0.0","content":"."}]}]}}"#;

    #[test]
    fn punctuation_has_no_space_before_it_and_no_say_in_confidence() {
        let transcript = parse(FILE.as_bytes(), None).unwrap();
        assert_eq!(transcript.text, "Hello, you.");
        assert_eq!(transcript.confidence, Some(0.75));
        let [hello, you] = &transcript.words[..] else {
            panic!("{:?}", transcript.words)
        };
        assert_eq!((hello.start_ms, hello.end_ms), (40, 400));
        assert_eq!(hello.speaker.as_deref(), Some("spk_0"));
        assert_eq!(you.speaker, None);
        assert_eq!(you.punctuation, ".");
    }

    #[test]
    fn silence_is_an_empty_transcript() {
        let file = r#"{"results":{"transcripts":[{"transcript":""}],"items":[]}}"#;
        let transcript = parse(file.as_bytes(), Some("en-US".into())).unwrap();
        assert_eq!(transcript.text, "");
        assert_eq!(transcript.confidence, None);
        assert_eq!(transcript.words, vec![]);
    }

    #[test]
    fn what_is_no_transcript_is_none() {
        assert_eq!(parse(b"<Error/>", None), None);
        assert_eq!(parse(b"{}", None), None);
    }
}
