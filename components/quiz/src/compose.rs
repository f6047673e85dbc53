//! From candidates and the document's own material to a quiz: linted, topped up, spread over the
//! document, its keys evenly placed.

use std::collections::HashSet;

use corpus::Passage;
use corpus::terms::fold;

use crate::lint::{is_duplicate, lint};
use crate::material::{Fact, Material};
use crate::question::{Difficulty, Kind, Question};
use crate::shuffle::{Rng, key_places};
use crate::{cloze, true_false};

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// One kind for all.
    pub kind: Kind,
    /// One difficulty for all.
    pub difficulty: Difficulty,
    /// At most so many.
    pub count: usize,
    /// The same seed, the same quiz.
    pub seed: u64,
}

/// A quiz of at most `wanted.count` questions; fewer where the document has no more to ask about.
/// `candidates` come first, where they pass the lint; the document itself tops up.
pub fn compose(
    wanted: &Wanted,
    passages: &[Passage],
    preferred: &[String],
    candidates: Vec<Question>,
) -> Vec<Question> {
    let mut rng = Rng::new(wanted.seed);
    let mut quiz: Vec<Question> = Vec::new();
    let mut used = HashSet::new();
    let mut spare = Vec::new();
    for question in candidates {
        // True and False are no keys to be used up.
        if wanted.kind == Kind::TrueFalse || !used.contains(&fold(&question.answer)) {
            let key = fold(&question.answer);
            if add(question, &mut quiz, wanted, passages) && wanted.kind == Kind::MultipleChoice {
                used.insert(key);
            }
        } else {
            spare.push(question);
        }
    }
    if quiz.len() < wanted.count {
        let material = Material::new(passages, preferred);
        top_up(&mut quiz, wanted, passages, &material, &mut used, &mut rng);
        // A key again rather than a question less.
        for question in spare {
            add(question, &mut quiz, wanted, passages);
        }
        let mut none = HashSet::new();
        top_up(&mut quiz, wanted, passages, &material, &mut none, &mut rng);
    }
    quiz.sort_by_key(|question| question.source.start);
    place_keys(&mut quiz, &mut rng);
    quiz
}

fn add(
    question: Question,
    quiz: &mut Vec<Question>,
    wanted: &Wanted,
    passages: &[Passage],
) -> bool {
    let fits = quiz.len() < wanted.count
        && question.kind == wanted.kind
        && lint(&question, passages).is_ok()
        && quiz.iter().all(|other| {
            other.source != question.source && !is_duplicate(&other.stem, &question.stem)
        });
    if fits {
        quiz.push(question);
    }
    fits
}

/// Questions from the document until there are enough, each with a key that is not `used` yet.
fn top_up(
    quiz: &mut Vec<Question>,
    wanted: &Wanted,
    passages: &[Passage],
    material: &Material,
    used: &mut HashSet<String>,
    rng: &mut Rng,
) {
    for fact in spread(&material.facts, wanted.count) {
        if quiz.len() >= wanted.count {
            return;
        }
        let made = match wanted.kind {
            Kind::MultipleChoice => {
                let made = cloze::question(fact, material, wanted.difficulty, used, rng);
                made.map(|question| (fold(&question.answer), question))
            }
            Kind::TrueFalse => {
                // Half of them true, give or take one.
                let truths = quiz
                    .iter()
                    .filter(|question| question.answer == true_false::OPTIONS[0])
                    .count();
                if truths * 2 <= quiz.len() {
                    Some((String::new(), true_false::truth(fact)))
                } else {
                    let made = true_false::falsehood(fact, material, wanted.difficulty, used, rng);
                    made.map(|(question, swapped)| (swapped, question))
                }
            }
        };
        if let Some((key, question)) = made
            && add(question, quiz, wanted, passages)
        {
            used.insert(key);
        }
    }
}

/// The best of each stretch of the document in turn, rather than the best of all, which often stand
/// together.
fn spread(facts: &[Fact], count: usize) -> Vec<&Fact> {
    let last = facts.iter().map(|fact| fact.source.end).max().unwrap_or(0) as usize + 1;
    let stretches = count.max(1);
    let mut by_stretch: Vec<Vec<&Fact>> = vec![vec![]; stretches];
    for fact in facts {
        by_stretch[fact.source.start as usize * stretches / last].push(fact);
    }
    let longest = by_stretch.iter().map(Vec::len).max().unwrap_or(0);
    let in_turn = (0..longest).flat_map(|at| {
        by_stretch
            .iter()
            .filter_map(move |stretch| stretch.get(at).copied())
    });
    in_turn.collect()
}

fn place_keys(quiz: &mut [Question], rng: &mut Rng) {
    let places = key_places(quiz.len(), 4, rng);
    for (question, place) in quiz.iter_mut().zip(places) {
        if question.kind == Kind::MultipleChoice {
            let answer = question.answer.clone();
            question.options.retain(|option| *option != answer);
            rng.shuffle(&mut question.options);
            question
                .options
                .insert(place.min(question.options.len()), answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::{Document, Page, samples};

    fn passages() -> Vec<Passage> {
        let pages = [samples::BIOLOGY, samples::HISTORY].iter().zip(1..);
        Document {
            pages: pages
                .map(|(text, number)| Page {
                    number,
                    text: (*text).to_owned(),
                })
                .collect(),
        }
        .passages()
    }

    fn wanted(kind: Kind, difficulty: Difficulty, seed: u64) -> Wanted {
        Wanted {
            kind,
            difficulty,
            count: 8,
            seed,
        }
    }

    #[test]
    fn every_question_passes_the_lint_and_is_asked_once() {
        for kind in [Kind::MultipleChoice, Kind::TrueFalse] {
            for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
                for seed in 0..20 {
                    let quiz = compose(&wanted(kind, difficulty, seed), &passages(), &[], vec![]);
                    assert!(quiz.len() >= 5, "{kind:?} {difficulty:?}: {quiz:#?}");
                    for (at, question) in quiz.iter().enumerate() {
                        assert_eq!(lint(question, &passages()), Ok(()), "{question:#?}");
                        assert!(
                            quiz[..at]
                                .iter()
                                .all(|other| !is_duplicate(&other.stem, &question.stem))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_key_is_asked_for_once() {
        for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
            for seed in 0..20 {
                let wanted = wanted(Kind::MultipleChoice, difficulty, seed);
                let quiz = compose(&wanted, &passages(), &[], vec![]);
                let keys: HashSet<String> =
                    quiz.iter().map(|question| fold(&question.answer)).collect();
                assert_eq!(keys.len(), quiz.len(), "{quiz:#?}");
            }
        }
    }

    #[test]
    fn a_candidate_whose_key_was_asked_for_is_taken_only_on_shortage() {
        let quote = "Inside the cell membrane lies the cytoplasm.";
        let candidate = |stem: &str| Question {
            stem: stem.to_owned(),
            options: ["cytoplasm", "nucleus", "cell wall", "ribosome"]
                .map(ToOwned::to_owned)
                .to_vec(),
            answer: "cytoplasm".to_owned(),
            kind: Kind::MultipleChoice,
            explanation: String::new(),
            source: crate::question::Source {
                page: 1,
                start: stem.len() as u32,
                end: 90,
                quote: quote.to_owned(),
            },
        };
        let candidates = || {
            vec![
                candidate("What lies inside?"),
                candidate("What fills the inner space, then?"),
            ]
        };
        let keys = |passages: &[Passage], candidates| {
            let quiz = compose(
                &wanted(Kind::MultipleChoice, Difficulty::Medium, 1),
                passages,
                &[],
                candidates,
            );
            quiz.iter()
                .filter(|question| question.answer == "cytoplasm")
                .count()
        };
        assert_eq!(keys(&passages(), candidates()), 1);
        let pages = vec![Page {
            number: 1,
            text: quote.to_owned(),
        }];
        assert_eq!(keys(&Document { pages }.passages(), candidates()), 2);
    }

    #[test]
    fn the_same_seed_makes_the_same_quiz() {
        let quiz = |seed| {
            compose(
                &wanted(Kind::MultipleChoice, Difficulty::Medium, seed),
                &passages(),
                &[],
                vec![],
            )
        };
        assert_eq!(quiz(1), quiz(1));
        assert_ne!(quiz(1), quiz(2));
    }

    #[test]
    fn keys_stand_everywhere_and_about_half_of_the_statements_are_true() {
        let mut places = [0; 4];
        for seed in 0..10 {
            for question in compose(
                &wanted(Kind::MultipleChoice, Difficulty::Easy, seed),
                &passages(),
                &[],
                vec![],
            ) {
                places[question
                    .options
                    .iter()
                    .position(|option| *option == question.answer)
                    .unwrap()] += 1;
            }
        }
        assert!(places.iter().all(|&n| n > 8), "{places:?}");
        let quiz = compose(
            &wanted(Kind::TrueFalse, Difficulty::Easy, 1),
            &passages(),
            &[],
            vec![],
        );
        let truths = quiz
            .iter()
            .filter(|question| question.answer == "True")
            .count();
        assert!(
            truths * 10 >= quiz.len() * 4 && truths * 10 <= quiz.len() * 6,
            "{truths} of {}",
            quiz.len()
        );
    }

    #[test]
    fn questions_come_from_all_over_the_document() {
        let quiz = compose(
            &wanted(Kind::MultipleChoice, Difficulty::Medium, 3),
            &passages(),
            &[],
            vec![],
        );
        for page in [1, 2] {
            assert!(quiz.iter().any(|question| question.source.page == page));
        }
    }

    #[test]
    fn a_document_without_material_makes_no_quiz() {
        for text in samples::AWKWARD {
            let document = Document {
                pages: vec![Page {
                    number: 1,
                    text: (*text).to_owned(),
                }],
            };
            let quiz = compose(
                &wanted(Kind::MultipleChoice, Difficulty::Medium, 1),
                &document.passages(),
                &[],
                vec![],
            );
            assert!(quiz.is_empty(), "{text}");
        }
    }
}
