//! How good quizzes are that are made without a language model, in numbers: `cargo test -p quiz --test
//! quality -- --nocapture` prints the table, for texts of our own and for excerpts of real documents.
//! `QUIZ_TEXTS`, a folder of texts, adds whole books; with `--release`, which is a hundred times as fast.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers fail like the test itself; the table is what it is for"
)]

use std::path::Path;

use corpus::{Document, Page, samples};
use quiz::compose::{Wanted, compose};
use quiz::lint::lint;
use quiz::question::{Difficulty, Kind, Question, QuizType};
use quiz::reply;
use quiz::text::Text;

const LEVELS: [Difficulty; 3] = [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard];
/// Quizzes of each text, type and difficulty.
const SEEDS: u64 = 3;
const COUNT: usize = 8;

/// What the names in the texts are.
const PEOPLE: &[&str] = &[
    "Thomas Newcomen",
    "James Watt",
    "Watt",
    "Galileo Galilei",
    "Johannes Kepler",
    "William Herschel",
    "Johann Galle",
    "Urbain Le Verrier",
    "Clyde Tombaugh",
    "Caroline Herschel",
    "Prince Henry",
    "Bartolomeu Dias",
    "Christopher Columbus",
    "Vasco",
    "Gama",
    "Amerigo Vespucci",
    "Ferdinand Magellan",
    "Magellan",
    "Juan Sebastian Elcano",
    "Francis Drake",
    "John Harrison",
    "James Lind",
    "Abel Tasman",
    "James Cook",
    "Cook",
    "Joseph Banks",
    "Lapulapu",
    "Alfred Krupp",
    "Werner Siemens",
    "August Borsig",
    "Otto",
    "Bismarck",
    // Of the real documents.
    "Michael Stonebraker",
    "Andrew Yu",
    "Jolly Chen",
    "Ross Quinlan",
    "Quinlan",
    "Tom Scott",
    "Jukka Korpela",
    "Joel Spolsky",
    "Nick Coghlan",
    "Ned Batchelder",
    "Lemburg",
    "Walter",
    "Sir Walter",
    "Walter Elliot",
    "Sir Walter Elliot",
    "Lady Russell",
    "Lady Elliot",
    "Elizabeth",
    "Elizabeth Elliot",
    "Anne",
    "Anne Elliot",
    "Mary",
    "Charles Musgrove",
    "Mr Shepherd",
    "Mrs Clay",
    "Mr Elliot",
    "Miss Elliot",
    "Admiral Croft",
    "Mrs Croft",
    "Captain Wentworth",
    "Mr Wentworth",
    "Frederick Wentworth",
    "Wentworth",
    "Shepherd",
    "Penelope",
];
const PLACES: &[&str] = &[
    "Manchester",
    "Liverpool",
    "Britain",
    "Bath",
    "Berlin",
    "Paris",
    "Arizona",
    "Portugal",
    "Africa",
    "Spain",
    "Bahamas",
    "Lisbon",
    "India",
    "Asia",
    "Germany",
    "America",
    "Patagonia",
    "Philippines",
    "England",
    "Batavia",
    "New Zealand",
    "Australia",
    "Hawaii",
    "Spice Islands",
    "Deutschland",
    "Nürnberg",
    "Fürth",
    "Leipzig",
    "Dresden",
    "Essen",
    "Ruhrgebiet",
    "Cape",
    "Good Hope",
    "Antarctic Circle",
    "Pacific",
    // Of the real documents.
    "Berkeley",
    "California",
    "University",
    "Bath",
    "London",
    "Kellynch",
    "Kellynch Hall",
    "Kellynch Lodge",
    "Monkford",
    "Taunton",
    "Somersetshire",
    "Uppercross",
    "Cheshire",
    "Gloucester",
    "Somerset",
    "East Indies",
    "St Domingo",
    "Trafalgar",
];
const BODIES: &[&str] = &[
    "Sun", "Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune", "Moon", "Earth",
    "Pluto",
];

fn what(option: &str) -> Option<&'static str> {
    let is = |list: &[&str]| list.contains(&option);
    match () {
        () if is(PEOPLE) => Some("person"),
        () if is(PLACES) => Some("place"),
        () if is(BODIES) => Some("body"),
        () if option.starts_with(|c: char| c.is_ascii_digit()) => Some("number"),
        () => None,
    }
}

fn text(name: &str, body: &str) -> Text {
    let pages = vec![Page {
        number: 1,
        text: body.to_owned(),
    }];
    Text {
        document_id: name.to_owned(),
        passages: Document { pages }.passages(),
        terms: vec![],
    }
}

fn texts() -> Vec<(String, Text)> {
    let mut all: Vec<(String, String)> = [
        ("cells", samples::BIOLOGY),
        ("engines", samples::HISTORY),
        ("sky", include_str!("texts/sky.txt")),
        ("voyages", include_str!("texts/voyages.txt")),
        ("zelle (de)", include_str!("texts/zelle.txt")),
        ("dampf (de)", include_str!("texts/dampf.txt")),
    ]
    .map(|(name, body)| (name.to_owned(), body.to_owned()))
    .to_vec();
    let real = samples::REAL.iter();
    all.extend(real.map(|(name, body)| (format!("{REAL}{name}"), (*body).to_owned())));
    let folder = std::env::var("QUIZ_TEXTS").ok();
    for entry in folder
        .iter()
        .flat_map(|folder| Path::new(folder).read_dir().unwrap())
    {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .chars()
            .take(20)
            .collect();
        all.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    all.into_iter()
        .map(|(name, body)| {
            let text = text(&name, &body);
            (name, text)
        })
        .collect()
}

/// The texts that are always there.
const LIBRARY: [&str; 6] = [
    "cells",
    "engines",
    "sky",
    "voyages",
    "zelle (de)",
    "dampf (de)",
];

/// Before the name of a document that is not our own.
const REAL: &str = "real: ";

/// Quizzes of each type and difficulty.
fn seeds(name: &str) -> u64 {
    if name.starts_with(REAL) { 1 } else { SEEDS }
}

/// What is counted of a text's quizzes.
#[derive(Default)]
struct Tally {
    wanted: usize,
    got: usize,
    sound: usize,
    places: [usize; 4],
    statements: usize,
    truths: usize,
    choices: usize,
    numeric: usize,
    named: usize,
    mixed_up: Vec<String>,
}

impl Tally {
    fn add(&mut self, quiz: &[Question], texts: &[Text]) {
        self.wanted += COUNT;
        self.got += quiz.len();
        for question in quiz {
            self.sound += usize::from(lint(question, texts) == Ok(()));
            match question.kind {
                Kind::TrueFalse => {
                    self.statements += 1;
                    self.truths += usize::from(question.answer == "True");
                }
                Kind::MultipleChoice => self.add_choice(question),
                Kind::ShortAnswer => {}
            }
        }
    }

    fn add_choice(&mut self, question: &Question) {
        self.choices += 1;
        let key = &question.answer;
        let place = question
            .options
            .iter()
            .position(|option| option == key)
            .unwrap();
        self.places[place] += 1;
        let kind = what(key);
        self.numeric += usize::from(kind == Some("number"));
        if kind.is_some_and(|kind| kind != "number") {
            self.named += 1;
            let is_other = |option: &&String| what(option).is_some_and(|other| Some(other) != kind);
            if let Some(other) = question.options.iter().find(is_other) {
                self.mixed_up
                    .push(format!("{key} beside {other}: {}", question.stem));
            }
        }
    }

    /// Of the keys' places, against equal shares; 7.81 is the 5 % bound.
    fn chi_squared(&self) -> f64 {
        let expected = self.choices as f64 / 4.0;
        let term = |seen: &usize| (*seen as f64 - expected).powi(2) / expected.max(1.0);
        self.places.iter().map(term).sum()
    }
}

#[test]
fn quizzes_without_a_model_are_sound() {
    println!("| text | got | lint | keys A-D | χ² | true | numeric keys | names | mixed up |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, text) in texts() {
        let texts = [text];
        let mut tally = Tally::default();
        for quiz_type in [
            QuizType::MultipleChoice,
            QuizType::TrueFalse,
            QuizType::ShortAnswer,
        ] {
            for difficulty in LEVELS {
                for seed in 0..seeds(&name) {
                    let wanted = Wanted {
                        quiz_type,
                        difficulty,
                        count: COUNT,
                        seed,
                    };
                    let quiz = compose(&wanted, &texts, vec![]);
                    if std::env::var("QUIZ_SHOW").is_ok_and(|shown| name.contains(&shown))
                        && seed == 0
                    {
                        for question in &quiz {
                            println!(
                                "{difficulty:?} {} -> {} {:?}",
                                question.stem, question.answer, question.options
                            );
                        }
                    }
                    tally.add(&quiz, &texts);
                }
            }
        }
        println!(
            "| {name} | {}/{} | {:.0} % | {:?} | {:.2} | {:.0} % | {:.0} % | {} | {} |",
            tally.got,
            tally.wanted,
            100.0 * tally.sound as f64 / tally.got.max(1) as f64,
            tally.places,
            tally.chi_squared(),
            100.0 * tally.truths as f64 / tally.statements.max(1) as f64,
            100.0 * tally.numeric as f64 / tally.choices.max(1) as f64,
            tally.named,
            tally.mixed_up.len(),
        );
        for mixed_up in tally.mixed_up.iter().take(6) {
            println!("  {mixed_up}");
        }
        if LIBRARY.contains(&name.as_str()) {
            // A page has fewer good distractors than questions.
            assert!(tally.got * 10 >= tally.wanted * 8, "{name}");
            assert_eq!(tally.mixed_up, Vec::<String>::new(), "{name}");
        }
        assert_eq!(tally.sound, tally.got, "{name}");
        assert!(tally.chi_squared() < 7.81, "{name}");
        assert!(
            (4..=6).contains(&(tally.truths * 10 / tally.statements.max(1))),
            "{name}"
        );
    }
}

/// What a model might write of the text: the key always first, and of four questions one whose key is no
/// option, whose quote is invented, or whose key stands out.
fn scripted(questions: &[Question]) -> (String, usize) {
    let mut broken = 0;
    let item = |(at, question): (usize, &Question)| {
        let mut options = question.options.clone();
        options.retain(|option| *option != question.answer);
        options.insert(0, question.answer.clone());
        let (mut answer, mut quote) = (question.answer.clone(), question.source.quote.clone());
        match at % 12 {
            3 => answer = "something else".into(),
            7 => quote = "Nothing of the kind was ever written in this document.".into(),
            11 => {
                answer =
                    format!("{answer}, which is by far the longest of all of the options here");
                options[0].clone_from(&answer);
            }
            _ => broken -= 1,
        }
        broken += 1;
        serde_json::json!({
            "stem": question.stem, "options": options, "answer": answer, "explanation": "So it says.", "quote": quote,
        })
    };
    let items: Vec<_> = questions.iter().enumerate().map(item).collect();
    let reply = format!(
        "Here you are:\n```json\n{}\n```",
        serde_json::json!({ "questions": items })
    );
    (reply, usize::try_from(broken).unwrap())
}

#[test]
fn what_a_model_writes_badly_is_dropped_and_made_up_for() {
    println!("| text | written | broken | kept | got | lint | keys A-D |");
    println!("|---|---|---|---|---|---|---|");
    for (name, text) in texts() {
        let texts = [text];
        let wanted = |seed| Wanted {
            quiz_type: QuizType::MultipleChoice,
            difficulty: Difficulty::Medium,
            count: 12,
            seed,
        };
        let written = compose(&wanted(1), &texts, vec![]);
        let (reply, broken) = scripted(&written);
        let candidates = reply::questions(&reply, Kind::MultipleChoice, &texts);
        let kept = candidates
            .iter()
            .filter(|question| lint(question, &texts).is_ok())
            .count();
        assert_eq!(kept, written.len() - broken, "{name}");
        let quiz = compose(&wanted(2), &texts, candidates);
        let mut tally = Tally::default();
        tally.add(&quiz, &texts);
        println!(
            "| {name} | {} | {broken} | {kept} | {} | {} | {:?} |",
            written.len(),
            tally.got,
            tally.sound,
            tally.places
        );
        assert!(tally.sound == tally.got && tally.got >= kept, "{name}");
        let (least, most) = (tally.places.iter().min(), tally.places.iter().max());
        assert!(most.unwrap() - least.unwrap() <= 1, "{name}");
    }
}
