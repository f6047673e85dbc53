//! What holds for every reply of a model, every quiz, and every answer; the scheduler's are in `memory`.

use corpus::{Document, Page, samples};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use quiz::compose::{Wanted, compose};
use quiz::grade::{Asked, Outcome, PASS, grade, score};
use quiz::lint::{Defect, lint};
use quiz::question::{Difficulty, Kind, Question, QuizType, Source};
use quiz::reply;
use quiz::text::Text;
use serde_json::{Value, json};

/// One of these parts.
fn one_of(parts: &'static str) -> impl Strategy<Value = String> {
    select(parts.split('|').map(str::to_owned).collect::<Vec<_>>())
}

/// Nothing is written beside the tests: what fails goes into a commit's message.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn texts() -> Vec<Text> {
    let text = |(id, body): (&str, &str)| {
        let (number, text) = (1, body.to_owned());
        let pages = vec![Page { number, text }];
        Text {
            document_id: id.to_owned(),
            passages: Document { pages }.passages(),
            terms: vec![],
        }
    };
    let both = [("b", samples::BIOLOGY), ("h", samples::HISTORY)];
    both.map(text).to_vec()
}

fn kind() -> impl Strategy<Value = Kind> {
    select(QuizType::Mixed.kinds())
}

fn words() -> impl Strategy<Value = String> {
    let known = one_of(
        "Mitosis|meiosis|the cell|46|23|True|false|A|B)|C.|all of the above|James Watt|1769|ＡＴＰ|\
         ATP|\u{200B}|!|;|<-|| ",
    );
    prop_oneof![6 => known, 1 => any::<String>(), 1 => "[a-z]{1,40}"]
}

fn item() -> impl Strategy<Value = Value> {
    let stem = prop_oneof![
        one_of("Which kind of cell division makes two like cells?|Who patented an engine?"),
        words(),
    ];
    let quote = prop_oneof![
        6 => Just("Mitosis is a kind of cell division that produces two cells with the same chromosomes.".to_owned()),
        2 => Just("James Watt patented a much better steam engine in 1769".to_owned()),
        1 => words(),
    ];
    let answer = prop_oneof![
        words().prop_map(Value::from),
        (0..5_i32).prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    (stem, vec(words(), 4..5), answer, quote, vec(words(), 0..3)).prop_map(|(stem, options, answer, quote, rubric)| {
        json!({ "stem": stem, "options": options, "answer": answer, "quote": quote, "rubric": rubric, "explanation": "" })
    })
}

/// A reply with some of its letters changed, dropped, doubled or cut off.
fn mutated() -> impl Strategy<Value = String> {
    let change = (
        any::<Index>(),
        0..4_u8,
        select("{}[]\",:\\\n`0a\u{0}é".chars().collect::<Vec<_>>()),
    );
    (vec(item(), 0..4), vec(change, 0..6), any::<bool>()).prop_map(|(items, changes, fenced)| {
        let reply = json!({ "questions": items }).to_string();
        let reply = if fenced {
            format!("Here \"it\" is:\n```json\n{reply}\n```")
        } else {
            reply
        };
        let mut letters: Vec<char> = reply.chars().collect();
        for (at, how, c) in changes {
            let at = at.index(letters.len().max(1)).min(letters.len());
            match how {
                0 => letters.insert(at, c),
                1 => drop(letters.drain(at..(at + 1).min(letters.len()))),
                2 => letters.truncate(at.max(letters.len() / 2)),
                _ => letters.extend_from_within(at..(at + 9).min(letters.len())),
            }
        }
        letters.into_iter().collect()
    })
}

#[test]
fn a_reply_of_nothing_but_beginnings_costs_no_time() {
    let parts = [
        "{\"stem\"",
        "{\"stem\"}",
        "{",
        "[{\"stem\":",
        "\"",
        "\\",
        ",]",
    ];
    for part in parts {
        for end in ["", "}", "]}", "\"}"] {
            let reply = part.repeat((1 << 17) / part.len()) + &end.repeat(1 << 15);
            reply::questions(&reply, Kind::TrueFalse, &[]);
        }
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn any_reply_is_read(text in any::<String>(), kind in kind()) {
        reply::questions(&text, kind, &texts());
    }

    #[test]
    fn what_is_read_of_a_reply_is_fit_or_dropped(reply in mutated(), kind in kind(), seed: u64) {
        let texts = texts();
        let read = reply::questions(&reply, kind, &texts);
        for question in &read {
            prop_assert_eq!(question.kind, kind);
            prop_assert!(kind == Kind::ShortAnswer || question.options.contains(&question.answer));
            let of = |text: &&Text| text.document_id == question.source.document_id;
            prop_assert!(texts.iter().find(of).unwrap().passages.iter().any(|passage| passage.text.contains(&question.source.quote)));
        }
        let quiz_type = QuizType::parse(kind.as_str()).unwrap();
        let wanted = Wanted { quiz_type, difficulty: Difficulty::Medium, count: read.len(), seed };
        for question in compose(&wanted, &texts, read) {
            prop_assert_eq!(lint(&question, &texts), Ok(()));
        }
    }

    #[test]
    fn the_lint_does_not_care_for_the_options_order(item in item(), turn in 0..4_usize) {
        let texts = texts();
        for mut question in reply::questions(&json!([item]).to_string(), Kind::MultipleChoice, &texts) {
            let straight = lint(&question, &texts);
            question.options.rotate_left(turn);
            prop_assert_eq!(lint(&question, &texts), straight);
            question.options.reverse();
            prop_assert_eq!(lint(&question, &texts), straight);
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_composed_quiz_is_sound(
        seed: u64, count in 1..12_usize,
        quiz_type in select(vec![QuizType::MultipleChoice, QuizType::TrueFalse, QuizType::ShortAnswer, QuizType::Mixed]),
        difficulty in select(vec![Difficulty::Easy, Difficulty::Medium, Difficulty::Hard]),
    ) {
        let texts = texts();
        let wanted = Wanted { quiz_type, difficulty, count, seed };
        let quiz = compose(&wanted, &texts, vec![]);
        prop_assert!((1..=count).contains(&quiz.len()));
        let mut places = [0_usize; 4];
        for question in &quiz {
            prop_assert_eq!(lint(question, &texts), Ok(()));
            if let (Kind::MultipleChoice, Some(at)) = (question.kind, question.options.iter().position(|o| *o == question.answer)) {
                places[at] += 1;
            }
        }
        prop_assert!(places.iter().max().unwrap() - places.iter().min().unwrap() <= 1, "{places:?}");
        prop_assert_eq!(compose(&wanted, &texts, vec![]), quiz, "the same seed, the same quiz");
    }
}

/// A question of four options that passes the lint, but for what the document says of it.
fn choice() -> impl Strategy<Value = Question> {
    let option = prop_oneof![words(), "[!-~]{1,3}", "\\PC{1,6}"];
    (vec(option, 4..5), 0..4_usize).prop_filter_map("unfit", |(options, at)| {
        let question = Question {
            answer: options[at].clone(),
            options,
            kind: Kind::MultipleChoice,
            ..in_words("")
        };
        let is_fit = matches!(lint(&question, &texts()), Ok(()) | Err(Defect::Unsupported));
        is_fit.then_some(question)
    })
}

fn in_words(answer: &str) -> Question {
    let passage = texts()[0].passages[0].clone();
    Question {
        stem: "What is said?".into(),
        options: vec![],
        answer: answer.to_owned(),
        rubric: vec![],
        kind: Kind::ShortAnswer,
        explanation: String::new(),
        source: Source {
            document_id: "b".into(),
            page: 1,
            start: passage.start,
            end: passage.end,
            quote: passage.text,
        },
    }
}

fn disguised(text: &str, how: u8) -> String {
    match how {
        0 => text.to_owned(),
        1 => format!("  {} ", text.split(' ').collect::<Vec<_>>().join("  ")),
        2 => corpus::terms::fold(text),
        _ => format!("{text}."),
    }
}

fn marked(key: &str, given: String) -> Outcome {
    let question = in_words(key);
    let asked = Asked {
        kind: question.kind,
        stem: question.stem,
        options: question.options,
        answer: question.answer,
        rubric: question.rubric,
        quote: question.source.quote,
    };
    asked.mark(Some(&Value::from(given)))
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn the_right_option_is_right_however_it_is_written_and_no_other_is(question in choice(), how in 0..4_u8) {
        for option in &question.options {
            let given = Value::from(disguised(option, how));
            let mark = grade(question.kind, &question.options, &question.answer, Some(&given));
            prop_assert_eq!(mark.is_correct(), *option == question.answer, "{}", given);
        }
        for empty in [json!(""), json!(" "), Value::Null] {
            let is_said = question.options.iter().any(|option| Some(option.trim()) == empty.as_str().map(str::trim));
            let mark = grade(question.kind, &question.options, &question.answer, Some(&empty));
            prop_assert!(is_said || !mark.is_correct(), "{}", empty);
        }
    }

    #[test]
    fn a_model_answer_is_right_however_it_is_written(
        key in prop_oneof![words(), "[a-zA-Z]{2,9}( [a-z]{1,9}){0,6}", "[0-9]{1,7}([.,][0-9]{1,3})?"], how in 0..4_u8,
    ) {
        prop_assume!(key.contains(char::is_alphanumeric));
        let outcome = marked(&key, disguised(&key, how));
        prop_assert!(matches!(outcome, Outcome::Marked(mark) if mark.points == 1.0), "{outcome:?}");
    }

    #[test]
    fn a_mark_is_from_0_to_1_and_a_score_from_0_to_100(
        key in words(), given in prop_oneof![words(), any::<String>()], points in vec(0.0..=1.0_f64, 0..9),
    ) {
        if let Outcome::Marked(mark) = marked(&key, given) {
            prop_assert!((0.0..=1.0).contains(&mark.points));
            prop_assert_eq!(mark.is_correct(), mark.points >= PASS);
        }
        prop_assert!(score(&points) <= 100);
        let all_right = points.iter().all(|&points| points == 1.0) && !points.is_empty();
        prop_assert!(!all_right || score(&points) == 100);
    }
}
