//! A transcript's file: all numbers are strings, punctuation has no times and a confidence of "0.0",
//! and nothing tells how long the audio is.
//! <https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html#how-output>

use serde_json::{Value, json};

const MS_A_WORD: usize = 400;
const MARKS: &[char] = &['.', ',', '?', '!', ';', ':', '。', '、', '？'];

/// One item, before its identity is known.
struct Item<'a> {
    content: &'a str,
    /// Which word, from 0; `None` for punctuation.
    word: Option<usize>,
    speaker: u32,
}

fn items(said: &str, speakers: Option<u32>) -> Vec<Item<'_>> {
    let (mut items, mut words, mut speaker) = (vec![], 0, 0);
    for token in said.split_whitespace() {
        let content = token.trim_end_matches(MARKS);
        if !content.is_empty() {
            let word = Some(words);
            items.push(Item {
                content,
                word,
                speaker,
            });
            words += 1;
        }
        let mark = &token[content.len()..];
        if !mark.is_empty() {
            items.push(Item {
                content: mark,
                word: None,
                speaker,
            });
        }
        if mark.ends_with(['.', '?', '!']) {
            speaker = (speaker + 1) % speakers.unwrap_or(1);
        }
    }
    items
}

fn seconds(ms: usize) -> String {
    format!("{}.{:02}", ms / 1_000, ms % 1_000 / 10)
}

impl Item<'_> {
    fn json(&self, id: usize, labelled: bool) -> Value {
        let label = labelled.then(|| format!("spk_{}", self.speaker));
        let mut item = match self.word {
            None => json!({
                "id": id,
                "type": "punctuation",
                "alternatives": [{"confidence": "0.0", "content": self.content}],
            }),
            Some(word) => json!({
                "id": id,
                "type": "pronunciation",
                "start_time": seconds(word * MS_A_WORD + 40),
                "end_time": seconds((word + 1) * MS_A_WORD),
                "alternatives": [{
                    "confidence": if word % 2 == 0 { "1.0" } else { "0.9" },
                    "content": self.content,
                }],
            }),
        };
        if let Some(label) = label {
            item["speaker_label"] = json!(label);
        }
        item
    }
}

pub(super) fn document(name: &str, said: &str, speakers: Option<u32>) -> Value {
    let items = items(said, speakers);
    let labelled = speakers.is_some();
    let written: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(id, item)| item.json(id, labelled))
        .collect();
    let segments: Vec<_> = written
        .iter()
        .filter(|item| labelled && item["type"] == "pronunciation")
        .map(|item| {
            let word = json!({
                "speaker_label": item["speaker_label"],
                "start_time": item["start_time"],
                "end_time": item["end_time"],
            });
            let mut segment = word.clone();
            segment["items"] = json!([word]);
            segment
        })
        .collect();
    let mut results = json!({
        "transcripts": [{"transcript": said}],
        "items": written,
        "audio_segments": [],
    });
    if labelled {
        results["speaker_labels"] = json!({"speakers": speakers, "segments": segments});
    }
    json!({
        "jobName": name,
        "accountId": "000000000000",
        "status": "COMPLETED",
        "results": results,
    })
}
