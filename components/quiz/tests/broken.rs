//! Replies as models break them: what is unsound in one is dropped and never mended, what is sound is taken,
//! and the document tops up the quiz.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail like the test itself"
)]

use corpus::{Document, Page, samples};
use quiz::compose::{Wanted, compose};
use quiz::lint::lint;
use quiz::question::{Difficulty, Kind, QuizType};
use quiz::reply;
use quiz::text::Text;

const GOOD: &str = r#"{"stem":"What controls what enters and what leaves the cell?","options":["membrane","nucleus","cytoplasm","cellulose"],"answer":"membrane","explanation":"x","quote":"The cell membrane surrounds the cell and controls what enters and what leaves it."}"#;
const STEM: &str = "What controls what enters and what leaves the cell?";
const COUNT: usize = 5;

fn texts() -> Vec<Text> {
    let pages = vec![Page {
        number: 1,
        text: samples::BIOLOGY.to_owned(),
    }];
    vec![Text {
        document_id: "d".into(),
        passages: Document { pages }.passages(),
        terms: vec![],
    }]
}

fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

/// A quiz from the reply; whether the model's question is in it.
fn takes(reply: &str) -> bool {
    let texts = texts();
    let candidates = reply::questions(reply, Kind::MultipleChoice, &texts);
    let wanted = Wanted {
        quiz_type: QuizType::MultipleChoice,
        difficulty: Difficulty::Medium,
        count: COUNT,
        seed: 7,
    };
    let quiz = compose(&wanted, &texts, candidates);
    assert_eq!(quiz.len(), COUNT, "topped up: {reply:.200}");
    for question in &quiz {
        assert_eq!(lint(question, &texts), Ok(()), "{reply:.200}");
    }
    let mut of_model = quiz.iter().filter(|question| question.stem == STEM);
    of_model
        .next()
        .inspect(|question| assert_eq!(question.answer, "membrane", "{reply:.200}"))
        .is_some()
}

/// Broken around a question that is whole.
fn whole() -> Vec<String> {
    let quote = "The cell membrane surrounds the cell and controls what enters and what leaves it.";
    vec![
        GOOD.to_owned(),
        format!("[{GOOD}]"),
        format!("```json\n{{\"questions\":[{GOOD}]}}\n```"),
        format!("Sure! Here is your quiz:\n{{\"questions\":[{GOOD}]}}\nHave fun"),
        format!("{{\"questions\":[{GOOD},{}", &GOOD[..60]),
        format!("{{\"questions\":[{GOOD},]}}"),
        format!("{{\"properties\":{{\"questions\":[{GOOD}]}}}}"),
        format!("{{\"quiz\":[{GOOD}]}}"),
        with(
            r#""explanation":"x""#,
            r#""explanation":"\sigma and \alpha""#,
        ),
        with(r#""explanation":"x""#, "\"explanation\":\"two\nlines\""),
        with(r#""explanation":"x""#, r#""explanation":null"#),
        with(r#""answer":"membrane""#, r#""answer":"A""#),
        with(r#""answer":"membrane""#, r#""correct_answer":"Membrane.""#),
        with(
            quote,
            "cell membrane surrounds the cell and controls what enters",
        ),
    ]
}

/// With a question that is not.
fn unsound() -> Vec<String> {
    let options = r#"["membrane","nucleus","cytoplasm","cellulose"]"#;
    let option = |options: &str| with(r#"["membrane","nucleus","cytoplasm","cellulose"]"#, options);
    let answer = |answer: &str| with(r#""answer":"membrane""#, answer);
    let quote = "The cell membrane surrounds the cell and controls what enters and what leaves it.";
    vec![
        answer(r#""answer":"door""#),
        answer(r#""answer":7"#),
        answer(r#""answer":null"#),
        answer(r#""answer":"nucleus""#),
        answer(r#""answer":["membrane","nucleus"]"#),
        option("null"),
        option("[]"),
        option(r#"["membrane"]"#),
        option(r#"["membrane","nucleus","cytoplasm"]"#),
        option(r#"["membrane","Membrane","cytoplasm","cellulose"]"#),
        option(r#"["membrane","nucleus","nucleus ","cellulose"]"#),
        option(r#"["membrane","nucleus","cytoplasm","all of the above"]"#),
        option(r#"["membrane","none of the above","cytoplasm","cellulose"]"#),
        option(r#"["membrane","membrane of plants","cytoplasm","cellulose"]"#),
        option(r#"["membrane","23","cytoplasm","cellulose"]"#),
        option(r#"["membrane","in 1769","cytoplasm","cellulose"]"#),
        option(r#"["membrane","July","cytoplasm","cellulose"]"#),
        option(r#"["membrane","a","b","c"]"#),
        with(
            quote,
            "It says so somewhere else, in a book that nobody has read.",
        ),
        with(
            quote,
            "Mitochondria are the places where aerobic respiration releases energy from glucose.",
        ),
        with(quote, ""),
        with(
            r#""stem":"What controls what enters and what leaves the cell?""#,
            r#""stem":"""#,
        ),
        with("leaves the cell?", "leaves the cell, the membrane?"),
        r#"{"choices":null}"#.to_owned(),
        r#"{"type":"object","properties":{"questions":{"type":"array"}}}"#.to_owned(),
        "I cannot help with that.".to_owned(),
        String::new(),
        "[".repeat(10_000),
        GOOD[..100].to_owned(),
        format!("{{\"questions\":[{{\"stem\":\"{STEM}\",\"options\":{options}}}]}}"),
    ]
}

#[test]
fn what_is_whole_in_a_broken_reply_is_taken_and_the_rest_topped_up() {
    for reply in whole() {
        assert!(takes(&reply), "{reply:.200}");
    }
}

#[test]
fn what_is_unsound_is_dropped_never_mended_and_topped_up() {
    let all = unsound();
    assert!(all.len() >= 30);
    for reply in all {
        assert!(!takes(&reply), "{reply:.200}");
    }
}

#[test]
fn a_sound_question_beside_unsound_ones_stays() {
    let is_item = |reply: &String| serde_json::from_str::<serde_json::Value>(reply).is_ok();
    let broken: Vec<String> = unsound().into_iter().filter(is_item).collect();
    assert!(broken.len() > 20);
    let broken = broken.join(",");
    assert!(takes(&format!("{{\"questions\":[{broken},{GOOD}]}}")));
}
