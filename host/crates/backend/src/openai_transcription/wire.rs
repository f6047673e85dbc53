//! What servers answer: with times or without, as JSON or as plain text.

use capability::transcription::{Request, Transcript, Word};
use serde::Deserialize;

/// What an upstream's words may take in a reason.
const EXCERPT: usize = 80;

#[derive(Deserialize)]
struct Answer {
    text: String,
    language: Option<String>,
    words: Option<Vec<Spoken>>,
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
struct Refusal {
    error: serde_json::Value,
}

/// By Whisper's names, which are in English.
const LANGUAGES: [(&str, &str); 12] = [
    ("arabic", "ar"),
    ("chinese", "zh"),
    ("dutch", "nl"),
    ("english", "en"),
    ("french", "fr"),
    ("german", "de"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("russian", "ru"),
    ("spanish", "es"),
];

/// A body that is no JSON object is the text itself.
pub(crate) fn transcript(
    body: &[u8],
    request: &Request,
    model: &str,
) -> Result<Transcript, String> {
    let object = body.trim_ascii_start().starts_with(b"{");
    let answer = match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => answer,
        // Without serde's words, which quote what was sent.
        Err(_) if object => return Err("the server's answer is no transcript".into()),
        Err(_) => Answer {
            text: String::from_utf8_lossy(body).into_owned(),
            language: None,
            words: None,
        },
    };
    let words: Vec<Word> = answer
        .words
        .into_iter()
        .flatten()
        .filter_map(word)
        .collect();
    let found = answer.language.as_deref().and_then(code);
    Ok(Transcript {
        text: clean(&answer.text),
        confidence: mean(&words),
        language_code: request.language_code.clone().or(found),
        words,
        engine: model.to_owned(),
    })
}

fn clean(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// Some servers send the sign after a word with it, and none sends it by itself.
fn word(spoken: Spoken) -> Option<Word> {
    let whole = clean(&spoken.word);
    let text = whole.trim_end_matches(['.', ',', ';', ':', '?', '!', '…', '。', '、']);
    let (start_ms, end_ms) = (milliseconds(spoken.start), milliseconds(spoken.end));
    (!text.is_empty()).then(|| Word {
        text: text.to_owned(),
        start_ms,
        end_ms: end_ms.max(start_ms),
        confidence: spoken.probability.map(|p| p.clamp(0.0, 1.0)),
        speaker: None,
        punctuation: whole[text.len()..].to_owned(),
    })
}

fn milliseconds(seconds: f64) -> u32 {
    // Saturates; 0 for what is no number.
    (seconds * 1_000.0).round() as u32
}

fn mean(words: &[Word]) -> Option<f32> {
    let sure: Vec<f32> = words.iter().filter_map(|word| word.confidence).collect();
    (!sure.is_empty()).then(|| sure.iter().sum::<f32>() / sure.len() as f32)
}

fn code(language: &str) -> Option<String> {
    let language = language.to_ascii_lowercase();
    let named = LANGUAGES.iter().find(|(name, _)| *name == language);
    match named {
        Some((_, code)) => Some((*code).to_owned()),
        None => (language.len() == 2).then_some(language),
    }
}

pub(super) fn refused(status: u16, body: &[u8]) -> String {
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
        401 | 403 => format!("the server refuses the key (status {status})"),
        413 => "the recording is larger than the server takes".into(),
        429 => "the server asks for fewer requests".into(),
        _ => format!("status {status}: {message}"),
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

    fn read(body: &str) -> Result<Transcript, String> {
        let request = Request {
            audio: Key::parse("a").unwrap(),
            format: MediaFormat::Wav,
            language_code: None,
            speakers: None,
            vocabulary: vec![],
        };
        transcript(body.as_bytes(), &request, "m")
    }

    #[test]
    fn words_come_with_their_times_where_the_server_has_them() {
        let body = r#"{"task":"transcribe","language":"english","duration":1.2,"text":" Hello, you. ",
            "words":[{"word":" Hello,","start":0.1,"end":0.5,"probability":0.9},
                     {"word":" you.","start":0.6,"end":1.1,"probability":0.7},
                     {"word":".","start":-1e99,"end":null_}]}"#;
        assert!(read(body).is_err(), "no JSON");
        let body = body.replace(r#","end":null_}"#, r#","end":1e99}"#);
        let found = read(&body).unwrap();
        assert_eq!((found.text.as_str(), found.words.len()), ("Hello, you.", 2));
        assert_eq!(found.language_code.as_deref(), Some("en"));
        assert!((found.confidence.unwrap() - 0.8).abs() < 1e-6);
        let first = &found.words[0];
        assert_eq!(
            (first.text.as_str(), first.punctuation.as_str()),
            ("Hello", ",")
        );
        assert_eq!((first.start_ms, first.end_ms), (100, 500));
    }

    #[test]
    fn an_answer_without_times_is_a_text() {
        for body in [
            r#"{"text":"hello"}"#,
            "hello\n",
            r#"{"text":"hello","words":null}"#,
        ] {
            let found = read(body).unwrap();
            assert_eq!(
                (found.text.as_str(), found.words),
                ("hello", vec![]),
                "{body}"
            );
            assert_eq!((found.confidence, found.language_code), (None, None));
        }
        assert_eq!(read("").unwrap().text, "");
    }

    #[test]
    fn a_refusal_shows_little_of_what_was_sent() {
        let body = format!(r#"{{"error":{{"message":"a\n{}"}}}}"#, "x".repeat(500));
        let reason = refused(400, body.as_bytes());
        assert_eq!(reason, format!("status 400: a{}", "x".repeat(79)));
        assert_eq!(refused(500, b"<html>"), "status 500: no message");
        assert!(!refused(401, body.as_bytes()).contains('x'));
    }
}
