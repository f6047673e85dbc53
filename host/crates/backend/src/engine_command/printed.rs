//! What programs print of what they hear: a text, a JSON object as OpenAI's `verbose_json` is, or
//! pocketsphinx' lines of JSON. <https://cmusphinx.github.io/doc/pocketsphinx/>

use capability::transcription::{Failure, Request, Transcript, Word};
use serde::Deserialize;

use crate::openai_transcription::wire::{self, clean, mean, milliseconds};

/// An utterance, or a word of it.
#[derive(Deserialize)]
struct Utterance {
    /// Seconds from the beginning.
    b: f64,
    /// How long, in seconds.
    d: f64,
    /// 0 to 1.
    p: f32,
    t: String,
    #[serde(default)]
    w: Vec<Utterance>,
}

pub(super) fn transcript(
    printed: &[u8],
    request: &Request,
    engine: &str,
) -> Result<Transcript, Failure> {
    if let Some(said) = utterances(printed) {
        let words: Vec<Word> = said.iter().flat_map(|it| &it.w).filter_map(word).collect();
        let said: Vec<&str> = said.iter().map(|utterance| utterance.t.as_str()).collect();
        return Ok(of(&said.join(" "), words, request, engine));
    }
    if printed.trim_ascii_start().starts_with(b"{") {
        let mut heard = wire::transcript(printed, request, engine)?;
        heard.text = line(&heard.text);
        return Ok(heard);
    }
    Ok(of(
        &String::from_utf8_lossy(printed),
        vec![],
        request,
        engine,
    ))
}

fn of(text: &str, words: Vec<Word>, request: &Request, engine: &str) -> Transcript {
    Transcript {
        text: line(text),
        confidence: mean(&words),
        language_code: request.language_code.clone(),
        words,
        engine: engine.to_owned(),
    }
}

/// Nothing where a line is none.
fn utterances(printed: &[u8]) -> Option<Vec<Utterance>> {
    let lines = printed.split(|&byte| byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    let said: Option<Vec<_>> = lines
        .map(|line| serde_json::from_slice(line).ok())
        .collect();
    said.filter(|said| !said.is_empty())
}

/// Silence and noise are words too, in brackets; the second way to say a word is `the(2)`.
fn word(said: &Utterance) -> Option<Word> {
    let text = clean(said.t.split('(').next().unwrap_or_default());
    let noise = text.is_empty() || text.starts_with(['<', '[', '+']);
    (!noise).then(|| Word {
        text,
        start_ms: milliseconds(said.b),
        end_ms: milliseconds(said.b + said.d.max(0.0)),
        confidence: Some(said.p.clamp(0.0, 1.0)),
        speaker: None,
        punctuation: String::new(),
    })
}

/// What was printed as one line, without U+0000, which no PostgreSQL text takes.
fn line(printed: &str) -> String {
    let printed = printed.replace('\0', "");
    printed.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use capability::blobs::Key;
    use capability::transcription::{Cause, MediaFormat};

    use super::*;

    fn read(printed: &str) -> Result<Transcript, Failure> {
        let request = Request {
            audio: Key::parse("a").unwrap(),
            format: MediaFormat::Wav,
            language_code: Some("en".into()),
            speakers: None,
            vocabulary: vec![],
            duration_ms: None,
        };
        transcript(printed.as_bytes(), &request, "engine")
    }

    #[test]
    fn what_is_printed_becomes_one_line() {
        assert_eq!(read(" hello\n\0 world \n").unwrap().text, "hello world");
        assert_eq!(read("\n").unwrap().text, "");
        assert_eq!(read("{\"text\":\"a\\nb\"}").unwrap().text, "a b");
        assert_eq!(read("{\"no\":1}").unwrap_err().cause, Cause::Answer);
    }

    #[test]
    fn pocketsphinx_has_words_with_times() {
        let printed = r#"{"b":0.000,"d":1.500,"p":1.000,"t":"go forward","w":[
            {"b":0.000,"d":0.300,"p":1.000,"t":"<s>"},{"b":0.300,"d":0.200,"p":0.500,"t":"go(2)"},
            {"b":0.500,"d":0.600,"p":0.700,"t":"forward"},{"b":1.100,"d":0.400,"p":1.000,"t":"</s>"}]}"#;
        let printed = printed.replace('\n', "");
        let heard = read(&format!("{printed}\n{printed}\n")).unwrap();
        assert_eq!(heard.text, "go forward go forward");
        let times: Vec<_> = heard
            .words
            .iter()
            .map(|it| (it.start_ms, it.end_ms))
            .collect();
        assert_eq!(times[..2], [(300, 500), (500, 1_100)]);
        assert_eq!(
            (heard.words[0].text.as_str(), heard.confidence),
            ("go", Some(0.6))
        );
    }
}
