//! What the host's own voice says, heard by a program of this machine: two services and two engines in one
//! line, and how much of it arrives.

use backend::engine_command;
use backend::jobs::Room;
use host::config::backends::Transcription;
use serde_json::json;

use super::id;
use crate::harness::{PATIENCE, TestHost};
use crate::missing::has;
use crate::speech::content;

const SENTENCES: [&str; 10] = [
    "The weather is nice and the sun is shining.",
    "Water boils at one hundred degrees.",
    "The library closes at nine in the evening.",
    "Plants use light to make sugar from air and water.",
    "She opened the window and looked at the garden.",
    "The train to the city leaves in five minutes.",
    "Every student has to read the first chapter.",
    "The heart moves blood through the whole body.",
    "They walked along the river for more than an hour.",
    "Please write your name at the top of the page.",
];

/// Words, without case and signs.
fn words(text: &str) -> Vec<String> {
    let words = text.split_whitespace().map(|word| {
        let letters = word.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    });
    words.filter(|word: &String| !word.is_empty()).collect()
}

/// Words put in, left out and changed: Levenshtein's distance.
fn errors(said: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (at, word) in said.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in heard.iter().enumerate() {
            let change = diagonal + usize::from(word != other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[heard.len()]
}

#[test]
fn errors_are_words_put_in_left_out_and_changed() {
    for (said, heard, expected) in [
        ("a b c", "A, b C.", 0),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c", "a x c", 1),
        ("a b c", "b c d", 2),
    ] {
        assert_eq!(errors(&words(said), &words(heard)), expected, "{heard}");
    }
}

#[tokio::test]
async fn what_the_voice_says_is_heard_by_the_ear() {
    if !has(&["pocketsphinx_continuous"]) {
        return;
    }
    let host = TestHost::with("components", |config| {
        let command = "pocketsphinx_continuous -infile {input} -logfn /dev/null";
        config.backends.transcription.what = Transcription::Command(engine_command::Config {
            room: Room {
                places: 2,
                queue: 20,
            },
            ..engine_command::Config::new(command.into())
        });
    })
    .await;
    let mut jobs = vec![];
    for sentence in SENTENCES {
        let asked = json!({
            "text": sentence, "voice_id": "kal16", "output_format": "wav", "user_id": "alice"
        });
        let spoken = host.post("/synthesize", asked).await.ok();
        let file = content(&host, &spoken).await;
        let taken = host.transcribe(file, "said.wav", &[("user_id", "alice")]);
        jobs.push((sentence, id(&taken.await.ok())));
    }
    let (mut wrong, mut all) = (0, 0);
    for (sentence, job) in jobs {
        // The last one waits for all before it.
        let done = host.transcribed_within(&job, 10 * PATIENCE).await;
        assert_eq!(done["status"], "completed", "{done}");
        let heard = done["transcript"].as_str().unwrap();
        let said = words(sentence);
        let errors = errors(&said, &words(heard));
        eprintln!("{errors} of {}: {sentence} -> {heard}", said.len());
        (wrong, all) = (wrong + errors, all + said.len());
    }
    let rate = wrong as f64 / all as f64;
    eprintln!("word error rate: {:.1} % of {all} words", 100.0 * rate);
    assert!(rate <= 0.6, "{rate}");
    host.stop().await;
}
