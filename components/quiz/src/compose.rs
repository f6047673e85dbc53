//! From candidates and the documents' own material to a quiz: linted, topped up, spread over the
//! documents, its keys evenly placed.

use std::collections::HashSet;

use corpus::terms::fold;

use crate::lint::{is_duplicate, lint};
use crate::material::{Fact, Material};
use crate::question::{Difficulty, Kind, Question, QuizType};
use crate::shuffle::{Rng, key_places};
use crate::text::Text;
use crate::{cloze, short_answer, true_false};

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Which kinds.
    pub quiz_type: QuizType,
    /// One difficulty for all.
    pub difficulty: Difficulty,
    /// At most so many.
    pub count: usize,
    /// The same seed, the same quiz.
    pub seed: u64,
}

/// A quiz of at most `wanted.count` questions; fewer where the documents have no more to ask about.
/// `candidates` come first, where they pass the lint; the documents themselves top up.
pub fn compose(wanted: &Wanted, texts: &[Text], candidates: Vec<Question>) -> Vec<Question> {
    let mut composer = Composer {
        wanted,
        texts,
        quiz: vec![],
        used: HashSet::new(),
        rng: Rng::new(wanted.seed),
    };
    let spare = composer.take(candidates);
    if composer.missing() > 0 {
        let materials: Vec<Material> = texts.iter().map(Material::new).collect();
        composer.top_up(&materials);
        // A key again rather than a question less.
        composer.used.clear();
        for question in spare {
            composer.add(question);
        }
        composer.top_up(&materials);
    }
    composer.finished()
}

struct Composer<'a> {
    wanted: &'a Wanted,
    texts: &'a [Text],
    quiz: Vec<Question>,
    /// What has been asked for, folded.
    used: HashSet<String>,
    rng: Rng,
}

impl Composer<'_> {
    fn missing(&self) -> usize {
        self.wanted.count.saturating_sub(self.quiz.len())
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Question> {
        self.quiz
            .iter()
            .filter(move |question| question.kind == kind)
    }

    /// Those that are fit; answers those whose key has been asked for.
    fn take(&mut self, candidates: Vec<Question>) -> Vec<Question> {
        let shares = self.wanted.quiz_type.shares(self.wanted.count);
        let mut spare = Vec::new();
        for question in candidates {
            let share = shares.iter().find(|(kind, _)| *kind == question.kind);
            if share.is_none_or(|(kind, share)| self.of_kind(*kind).count() >= *share) {
                continue;
            }
            // True and False are no keys to be used up.
            let key = (question.kind != Kind::TrueFalse).then(|| fold(&question.answer));
            if key.as_ref().is_some_and(|key| self.used.contains(key)) {
                spare.push(question);
            } else if self.add(question) {
                self.used.extend(key);
            }
        }
        spare
    }

    fn add(&mut self, question: Question) -> bool {
        let fits = self.missing() > 0
            && self.quiz.iter().all(|other| {
                other.source != question.source && !is_duplicate(&other.stem, &question.stem)
            })
            && lint(&question, self.texts).is_ok();
        if fits {
            self.quiz.push(question);
        }
        fits
    }

    /// From each document as many of each kind; then from whichever has more; then of whichever kind.
    fn top_up(&mut self, materials: &[Material]) {
        let shares = self.wanted.quiz_type.shares(self.wanted.count);
        for (kind, share) in &shares {
            for (at, material) in materials.iter().enumerate() {
                let due = (share * (at + 1)).div_ceil(materials.len());
                let most = due.saturating_sub(self.of_kind(*kind).count());
                self.top_up_from(material, *kind, most);
            }
        }
        for material in materials {
            for (kind, share) in &shares {
                let most = share.saturating_sub(self.of_kind(*kind).count());
                self.top_up_from(material, *kind, most);
            }
        }
        for material in materials {
            for (kind, _) in &shares {
                self.top_up_from(material, *kind, self.missing());
            }
        }
    }

    /// At most so many questions, each with a key that is not used yet.
    fn top_up_from(&mut self, material: &Material, kind: Kind, most: usize) {
        let mut made = 0;
        let facts = material.facts_for(self.wanted.difficulty);
        for fact in facts.iter().flat_map(|part| spread(part, most)) {
            if made == most || self.missing() == 0 {
                return;
            }
            if let Some((question, key)) = self.make(fact, material, kind)
                && self.add(question)
            {
                self.used.insert(key);
                made += 1;
            }
        }
    }

    /// A question and what it asks for.
    fn make(&mut self, fact: &Fact, material: &Material, kind: Kind) -> Option<(Question, String)> {
        let difficulty = self.wanted.difficulty;
        match kind {
            Kind::MultipleChoice => {
                let made = cloze::question(fact, material, difficulty, &self.used, &mut self.rng)?;
                let key = fold(&made.answer);
                Some((made, key))
            }
            Kind::ShortAnswer => short_answer::question(fact, material, difficulty, &self.used),
            Kind::TrueFalse => {
                // Half of them true, give or take one.
                let statements = self.of_kind(kind).count();
                let is_true = |question: &&Question| question.answer == true_false::OPTIONS[0];
                if self.of_kind(kind).filter(is_true).count() * 2 <= statements {
                    return Some((true_false::truth(fact, material), String::new()));
                }
                let (used, rng) = (&self.used, &mut self.rng);
                true_false::falsehood(fact, material, difficulty, used, rng)
            }
        }
    }

    /// In the documents' order, the keys placed.
    fn finished(mut self) -> Vec<Question> {
        let place = |question: &Question| {
            let id = &question.source.document_id;
            let document = self.texts.iter().position(|text| text.document_id == *id);
            (document, question.source.start)
        };
        self.quiz.sort_by_key(place);
        place_keys(&mut self.quiz, &mut self.rng);
        self.quiz
    }
}

/// The best of each stretch of the document in turn, rather than the best of all, which often stand
/// together.
fn spread<'a>(facts: &[&'a Fact], count: usize) -> Vec<&'a Fact> {
    let last = facts.iter().map(|fact| fact.source.end).max().unwrap_or(0) as usize + 1;
    let stretches = count.max(1);
    let mut by_stretch: Vec<Vec<&'a Fact>> = vec![vec![]; stretches];
    for &fact in facts {
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
    let mut chosen: Vec<&mut Question> = quiz
        .iter_mut()
        .filter(|question| question.kind == Kind::MultipleChoice)
        .collect();
    let places = key_places(chosen.len(), 4, rng);
    for (question, place) in chosen.iter_mut().zip(places) {
        let answer = question.answer.clone();
        question.options.retain(|option| *option != answer);
        rng.shuffle(&mut question.options);
        let place = place.min(question.options.len());
        question.options.insert(place, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::{Document, Page, samples};

    fn text(id: &str, pages: &[&str]) -> Text {
        let pages = pages.iter().zip(1..).map(|(text, number)| Page {
            number,
            text: (*text).to_owned(),
        });
        let document = Document {
            pages: pages.collect(),
        };
        Text {
            document_id: id.to_owned(),
            passages: document.passages(),
            terms: vec![],
        }
    }

    fn texts() -> Vec<Text> {
        vec![text("d", &[samples::BIOLOGY, samples::HISTORY])]
    }

    const TYPES: [QuizType; 4] = [
        QuizType::MultipleChoice,
        QuizType::TrueFalse,
        QuizType::ShortAnswer,
        QuizType::Mixed,
    ];
    const LEVELS: [Difficulty; 3] = [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard];

    fn wanted(quiz_type: QuizType, difficulty: Difficulty, seed: u64) -> Wanted {
        Wanted {
            quiz_type,
            difficulty,
            count: 8,
            seed,
        }
    }

    #[test]
    fn every_question_passes_the_lint_and_is_asked_once() {
        for quiz_type in TYPES {
            for difficulty in LEVELS {
                for seed in 0..5 {
                    let quiz = compose(&wanted(quiz_type, difficulty, seed), &texts(), vec![]);
                    assert!(quiz.len() >= 5, "{quiz_type:?} {difficulty:?}: {quiz:#?}");
                    for (at, question) in quiz.iter().enumerate() {
                        assert_eq!(lint(question, &texts()), Ok(()), "{question:#?}");
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
        for difficulty in LEVELS {
            for seed in 0..5 {
                let wanted = wanted(QuizType::MultipleChoice, difficulty, seed);
                let quiz = compose(&wanted, &texts(), vec![]);
                let keys: HashSet<String> =
                    quiz.iter().map(|question| fold(&question.answer)).collect();
                assert_eq!(keys.len(), quiz.len(), "{quiz:#?}");
            }
        }
    }

    #[test]
    fn a_candidate_whose_key_was_asked_for_is_taken_only_on_shortage() {
        let quote = "Inside the cell membrane lies the cytoplasm.";
        let candidate = |texts: &[Text], stem: &str| {
            let passage = &texts[0].passages[0];
            Question {
                stem: stem.to_owned(),
                options: ["cytoplasm", "nucleus", "cell wall", "ribosome"]
                    .map(ToOwned::to_owned)
                    .to_vec(),
                answer: "cytoplasm".to_owned(),
                rubric: vec![],
                kind: Kind::MultipleChoice,
                explanation: String::new(),
                source: crate::question::Source {
                    document_id: "d".into(),
                    page: 1,
                    start: stem.len() as u32,
                    end: passage.end,
                    quote: quote.to_owned(),
                },
            }
        };
        let keys = |texts: &[Text]| {
            let candidates = ["What lies inside?", "What fills the cell, then?"];
            let candidates = candidates.map(|stem| candidate(texts, stem)).to_vec();
            let wanted = wanted(QuizType::MultipleChoice, Difficulty::Medium, 1);
            let quiz = compose(&wanted, texts, candidates);
            let asked = quiz
                .iter()
                .filter(|question| question.answer == "cytoplasm");
            asked.count()
        };
        let one = [text("d", &["Quite another sentence stands here."])];
        assert_eq!(
            keys(&[text(
                "d",
                &[&format!("{quote} {}", samples::BIOLOGY), samples::HISTORY]
            )]),
            1
        );
        assert_eq!(keys(&one), 0, "the quote is another");
        assert_eq!(keys(&[text("d", &[quote])]), 2);
    }

    #[test]
    fn the_same_seed_makes_the_same_quiz() {
        let quiz = |quiz_type, seed| {
            compose(
                &wanted(quiz_type, Difficulty::Medium, seed),
                &texts(),
                vec![],
            )
        };
        for quiz_type in TYPES {
            assert_eq!(quiz(quiz_type, 1), quiz(quiz_type, 1));
        }
        let seeds = [1, 2].map(|seed| quiz(QuizType::MultipleChoice, seed));
        assert_ne!(seeds[0], seeds[1]);
    }

    #[test]
    fn difficulties_differ() {
        for quiz_type in [
            QuizType::MultipleChoice,
            QuizType::TrueFalse,
            QuizType::ShortAnswer,
        ] {
            let quizzes =
                LEVELS.map(|level| compose(&wanted(quiz_type, level, 1), &texts(), vec![]));
            assert!(
                quizzes[0] != quizzes[1] && quizzes[1] != quizzes[2] && quizzes[0] != quizzes[2],
                "{quiz_type:?}"
            );
        }
    }

    #[test]
    fn easy_and_hard_quizzes_ask_about_other_sentences() {
        let sky = include_str!("../tests/texts/sky.txt");
        let voyages = include_str!("../tests/texts/voyages.txt");
        for body in [samples::BIOLOGY, sky, voyages] {
            let texts = [text("d", &[body])];
            let material = Material::new(&texts[0]);
            for quiz_type in &TYPES[..3] {
                let [easy, hard] = [Difficulty::Easy, Difficulty::Hard].map(|level| {
                    let wanted = Wanted {
                        count: (material.facts.len() / 4).min(8),
                        ..wanted(*quiz_type, level, 1)
                    };
                    compose(&wanted, &texts, vec![])
                });
                let is_shared = |question: &&Question| {
                    easy.iter()
                        .any(|other| is_duplicate(&other.stem, &question.stem))
                };
                let shared = hard.iter().filter(is_shared).count();
                assert!(
                    shared * 2 <= hard.len(),
                    "{quiz_type:?} {shared}: {hard:#?}"
                );
            }
        }
    }

    #[test]
    fn a_quiz_of_several_documents_asks_about_each_and_says_which() {
        let texts = [
            text("a", &[samples::BIOLOGY]),
            text("b", &[samples::HISTORY]),
            text("c", &["Nothing."]),
        ];
        for quiz_type in TYPES {
            let quiz = compose(&wanted(quiz_type, Difficulty::Medium, 1), &texts, vec![]);
            let of = |id: &str| {
                quiz.iter()
                    .filter(|question| question.source.document_id == id)
                    .count()
            };
            assert!(
                of("a") >= 2 && of("b") >= 2 && of("c") == 0,
                "{quiz_type:?} {quiz:#?}"
            );
            assert_eq!(quiz.len(), 8, "what one document lacks the others give");
        }
    }

    #[test]
    fn a_mixed_quiz_has_all_kinds() {
        let quiz = compose(
            &wanted(QuizType::Mixed, Difficulty::Medium, 1),
            &texts(),
            vec![],
        );
        for (kind, share) in QuizType::Mixed.shares(8) {
            let count = quiz.iter().filter(|question| question.kind == kind).count();
            assert_eq!(count, share, "{kind:?}");
        }
    }

    #[test]
    fn what_the_notes_name_is_asked_for() {
        let mut texts = [text("d", &[samples::BIOLOGY])];
        let asked = |texts: &[Text]| {
            let quiz = compose(
                &wanted(QuizType::MultipleChoice, Difficulty::Medium, 1),
                texts,
                vec![],
            );
            quiz.iter().any(|question| question.answer == "lactic acid")
        };
        assert!(!asked(&texts));
        texts[0].terms = vec!["lactic acid".to_owned()];
        assert!(asked(&texts));
    }

    #[test]
    fn keys_stand_everywhere_and_about_half_of_the_statements_are_true() {
        let mut places = [0; 4];
        for seed in 0..10 {
            for question in compose(
                &wanted(QuizType::MultipleChoice, Difficulty::Easy, seed),
                &texts(),
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
            &wanted(QuizType::TrueFalse, Difficulty::Easy, 1),
            &texts(),
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
            &wanted(QuizType::MultipleChoice, Difficulty::Medium, 3),
            &texts(),
            vec![],
        );
        for page in [1, 2] {
            assert!(quiz.iter().any(|question| question.source.page == page));
        }
    }

    #[test]
    fn a_document_without_material_makes_no_quiz() {
        for awkward in samples::AWKWARD {
            for quiz_type in TYPES {
                let wanted = wanted(quiz_type, Difficulty::Medium, 1);
                let quiz = compose(&wanted, &[text("d", &[awkward])], vec![]);
                assert!(quiz.is_empty(), "{awkward}");
            }
        }
        assert!(compose(&wanted(QuizType::Mixed, Difficulty::Easy, 1), &[], vec![]).is_empty());
    }
}
