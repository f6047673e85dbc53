//! Speech marks: when what is said begins. Each chunk's own, put where they belong in the whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chunk::Chunk;

/// As Polly writes them. <https://docs.aws.amazon.com/polly/latest/dg/output.html>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpeechMark)]
pub struct Mark {
    /// Milliseconds from the beginning of the audio.
    pub time: u32,
    /// What begins.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// BYTE offset in the text, tags included.
    pub start: usize,
    /// Byte offset of its end.
    pub end: usize,
    /// The words themselves.
    pub value: String,
}

/// What begins at a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(as = SpeechMarkKind)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A sentence, before its first word.
    Sentence,
    /// A word.
    Word,
}

impl Kind {
    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "sentence" => Some(Self::Sentence),
            "word" => Some(Self::Word),
            _ => None,
        }
    }
}

/// The mark of a chunk that begins `after` so many milliseconds. [`None`] where it points past the text,
/// as an engine's might.
pub fn placed(mark: Mark, chunk: &Chunk, after: u32, text: &str) -> Option<Mark> {
    let start = chunk.source(mark.start);
    // By its last byte: what follows may come from elsewhere.
    let end = chunk.source(mark.end.checked_sub(1)?) + 1;
    let value = text.get(start..end)?;
    Some(Mark {
        time: mark.time.saturating_add(after),
        start,
        end,
        value: value.to_owned(),
        kind: mark.kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Limit, cut};
    use crate::ssml;

    #[test]
    fn a_mark_of_a_later_chunk_stands_in_the_whole() {
        let text = "<speak><prosody rate='slow'><s>One is here.</s><s>Two is &amp; there.</s></prosody></speak>";
        let limit = Limit {
            spoken: 20,
            total: 1_000,
            milliseconds: u64::MAX,
        };
        let chunks = cut(text, &ssml::read(text).unwrap().units, limit).unwrap();
        let at = chunks[1].input.find("there").unwrap();
        let mark = Mark {
            time: 70,
            kind: Kind::Word,
            start: at,
            end: at + 5,
            value: "there".into(),
        };
        let placed = placed(mark, &chunks[1], 1_000, text).unwrap();
        assert_eq!((placed.time, placed.value.as_str()), (1_070, "there"));
        assert_eq!(&text[placed.start..placed.end], "there");
    }

    #[test]
    fn a_mark_that_points_nowhere_is_left_out() {
        let text = "Ää.";
        let chunks = cut(
            text,
            &crate::chunk::text(text),
            crate::voice::Engine::Local.limit(),
        )
        .unwrap();
        for (start, end) in [(0, 1), (1, 3), (0, 100), (0, 0), (3, 1)] {
            let mark = Mark {
                time: 0,
                kind: Kind::Word,
                start,
                end,
                value: String::new(),
            };
            assert_eq!(placed(mark, &chunks[0], 0, text), None, "{start} {end}");
        }
    }
}
