//! An answer made of the document's own sentences.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::comparison;
use crate::definitions::defined;
use crate::document::{Passage, count};
use crate::overview;
use crate::prose::{ends, is_contents};
use crate::search::Index;
use crate::sentence::{Sentence, sentences, unwrap_lines};
use crate::terms::{Tokenizer, fold};
use crate::wanted::Wanted;

/// A sentence of the document. `start` and `end` are offsets in Unicode scalar values into the
/// document's text, end exclusive; `text` is exactly that slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// The document's place among those asked.
    pub document: usize,
    /// The page's number.
    pub page: u32,
    /// Of its first character.
    pub start: u32,
    /// Behind its last one.
    pub end: u32,
    /// The slice.
    pub text: String,
    /// 0 to 1; comparable within an answer.
    pub score: f32,
}

/// A quote and what of the question it has.
struct Ranked {
    /// Higher comes first.
    order: f32,
    quote: Quote,
    /// How many of the words.
    words: usize,
    /// Their share by weight.
    share: f32,
    /// Below 1 where it lacks what is asked for, as a number.
    fit: f32,
    /// Whether all of them stand in its passage.
    in_passage: bool,
}

/// Passages that are looked at.
pub const PASSAGES: usize = 8;
/// Sentences of an answer at most.
const SENTENCES: usize = 2;
/// Share of the question's words, by weight, that a sentence must have. Below it the document does
/// not speak of the question.
const THRESHOLD: f32 = 0.34;
/// And so many of them, where the question has as many: "president" alone answers no question about
/// the president of France.
const WORDS: usize = 2;
/// And this share, where a name or a number that is asked about stands nowhere.
const STRANGE: f32 = 0.6;
/// What the words of the sentence before count, for one that leans on it.
const LEANT: f32 = 0.5;
/// And those of the heading, for the sentence below it.
const HEADED: f32 = 0.9;
/// Words of a heading at most.
const HEADING: usize = 6;
/// A further sentence must be so close to the best.
const CLOSE: f32 = 0.97;
/// Words that a sentence begins with which goes on with what the one before says.
const LEANING: &[&str] = &[
    "this",
    "that",
    "these",
    "those",
    "it",
    "its",
    "they",
    "their",
    "he",
    "she",
    "such",
    "therefore",
    "thus",
    "hence",
    "so",
    "then",
    "dies",
    "diese",
    "dieser",
    "dieses",
    "es",
    "er",
    "sie",
    "daher",
    "deshalb",
    "dabei",
    "dadurch",
];
/// A passage, and which of the documents it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The document's place among those asked.
    pub document: usize,
    /// The passage.
    pub passage: Passage,
}

/// The one or two sentences of one document that answer best, in its order; `None` where it does
/// not speak of the question.
pub fn answer(question: &str, passages: &[Passage]) -> Option<Vec<Quote>> {
    let index = Index::new(passages, question);
    let found = index.search(PASSAGES).into_iter().filter_map(|hit| {
        let mut all = passages.iter();
        let passage = all.find(|passage| passage.ordinal == hit.passage)?.clone();
        Some(Shown {
            document: 0,
            passage,
        })
    });
    answer_among(question, &index, &found.collect::<Vec<_>>())
}

/// The same from passages that the index has found, best first, of any of its documents. A question that
/// compares is answered by the best sentence on each side, one about all of it by the most central ones.
pub fn answer_among(question: &str, index: &Index, found: &[Shown]) -> Option<Vec<Quote>> {
    if overview::wants(question) {
        return overview::central(found, index);
    }
    if let Some(quotes) = comparison::compared(question, index, found) {
        return Some(quotes);
    }
    let all = ordered(question, found, index);
    let top = all.first()?.order;
    let mut said = HashSet::new();
    let near = all.into_iter().filter(|ranked| {
        ranked.order >= top * CLOSE && said.insert(fold(&unwrap_lines(&ranked.quote.text)))
    });
    let mut best: Vec<Quote> = near.map(|ranked| ranked.quote).collect();
    best.truncate(SENTENCES);
    best.sort_by_key(|quote| (quote.document, quote.start));
    Some(best)
}

impl Ranked {
    /// Whether a sentence speaks of the question rather than of one word in it: it has two of them,
    /// or those around it have the others.
    fn speaks_of(&self, wanted: &Wanted) -> bool {
        let speaks = self.words >= wanted.count().min(WORDS) || self.in_passage;
        // In a short document, words that it lacks outweigh all that it has.
        let most = wanted.count() > WORDS && self.words * 3 >= wanted.count() * 2;
        let fits = self.fit >= 1.0 && !wanted.strange;
        let least = if wanted.strange { STRANGE } else { THRESHOLD };
        speaks && (most && fits || self.share * self.fit >= least)
    }
}

/// The sentences that speak of the question, best first.
pub(crate) fn ranked(question: &str, found: &[Shown], index: &Index) -> Vec<Quote> {
    let all = ordered(question, found, index).into_iter();
    all.map(|ranked| ranked.quote).collect()
}

fn ordered(question: &str, found: &[Shown], index: &Index) -> Vec<Ranked> {
    let mut wanted: HashMap<usize, Wanted> = HashMap::new();
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for (rank, shown) in found.iter().enumerate() {
        let Some(tokenizer) = index.tokenizer(shown.document) else {
            continue;
        };
        let wanted = wanted
            .entry(shown.document)
            .or_insert_with(|| Wanted::new(question, index, tokenizer));
        for ranked in in_passage(wanted, shown, rank, index, tokenizer) {
            // Overlapping passages share sentences.
            if seen.insert((shown.document, ranked.quote.start)) && ranked.speaks_of(wanted) {
                all.push(ranked);
            }
        }
    }
    let place = |ranked: &Ranked| (ranked.quote.document, ranked.quote.start);
    all.sort_by(|a, b| b.order.total_cmp(&a.order).then(place(a).cmp(&place(b))));
    all
}

/// The sentences of a passage that share words with the question. A line of contents is none.
fn in_passage(
    wanted: &Wanted,
    shown: &Shown,
    rank: usize,
    index: &Index,
    tokenizer: &Tokenizer,
) -> Vec<Ranked> {
    let passage = &shown.passage;
    let in_passage = wanted.covered(&passage.text, index, tokenizer).0 == wanted.count();
    let all = sentences(&passage.text);
    let mut found = Vec::new();
    for (at, sentence) in all.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| all.get(at));
        let (words, share) = in_place(wanted, sentence, before, index, tokenizer);
        let tells = sentence.text.contains(char::is_alphabetic);
        let fit = wanted
            .expected
            .fit(&wanted.question, sentence.text, wanted.capitals);
        let score = share * fit * shape(sentence) - rank as f32 * 0.005;
        if words > 0 && tells && score > 0.05 && !is_contents(sentence.text) {
            found.push(Ranked {
                order: score + closeness(sentence, wanted, tokenizer),
                quote: quote(shown, sentence, score.clamp(0.0, 1.0)),
                words,
                share,
                fit,
                in_passage,
            });
        }
    }
    found
}

/// What a sentence has of the question, alone and with the one before, where it stands below that or goes
/// on with it.
fn in_place(
    wanted: &Wanted,
    sentence: &Sentence<'_>,
    before: Option<&Sentence<'_>>,
    index: &Index,
    tokenizer: &Tokenizer,
) -> (usize, f32) {
    let (words, share) = wanted.covered(sentence.text, index, tokenizer);
    let Some(before) = before else {
        return (words, share);
    };
    let part = match () {
        () if is_heading(before.text) && !is_heading(sentence.text) => HEADED,
        () if leans(sentence.text) => LEANT,
        () => return (words, share),
    };
    let both = format!("{} {}", before.text, sentence.text);
    let (all, whole) = wanted.covered(&both, index, tokenizer);
    if part == HEADED && all < wanted.count() {
        return (words, share);
    }
    (all, share + part * (whole - share))
}

fn is_heading(text: &str) -> bool {
    !ends(text) && text.split_whitespace().count() <= HEADING
}

fn leans(text: &str) -> bool {
    let first = text.split_whitespace().next().map(fold);
    first.is_some_and(|first| LEANING.contains(&first.trim_matches(|c: char| !c.is_alphanumeric())))
}

/// A fragment, a heading, a question or a monster counts less.
fn shape(sentence: &Sentence<'_>) -> f32 {
    let words = sentence.text.split_whitespace().count();
    let spaced = words > 1 || sentence.text.is_ascii();
    if sentence.text.ends_with('?') {
        0.6
    } else if spaced && (words <= 3 || !ends(sentence.text)) || is_code(sentence.text) {
        0.5
    } else if words > 60 {
        0.7
    } else if words > 40 {
        0.85
    } else {
        1.0
    }
}

/// Whether most of it is signs and digits.
fn is_code(text: &str) -> bool {
    let is_prose = |c: &char| c.is_alphabetic() || c.is_whitespace();
    text.chars().filter(is_prose).count() * 10 < text.chars().count() * 7
}

/// Among those that say as much, what defines the thing asked for comes first, then what begins
/// with it.
fn closeness(sentence: &Sentence<'_>, wanted: &Wanted, tokenizer: &Tokenizer) -> f32 {
    let tokens_of =
        |text: &str| -> BTreeSet<String> { tokenizer.tokens(text).into_iter().collect() };
    let text = unwrap_lines(sentence.text);
    let term = defined(&without_brackets(&text), tokenizer);
    if term.is_some_and(|term| tokens_of(&term) == wanted.tokens)
        || wanted.is_called(&text, tokenizer)
    {
        return 0.3;
    }
    let head = tokenizer.tokens(&text).into_iter();
    let head: BTreeSet<String> = head.take(wanted.tokens.len() + 1).collect();
    let begins = head.intersection(&wanted.tokens).count();
    0.1 * begins as f32 / wanted.tokens.len().max(1) as f32
        + 0.15 * wanted.together(&text, tokenizer)
        + if wanted.is_reasoned(&text) { 0.1 } else { 0.0 }
}

/// Without what stands in round brackets, as in "Decision Trees (DTs) are …".
fn without_brackets(text: &str) -> String {
    let (mut depth, mut kept) = (0_usize, String::with_capacity(text.len()));
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// A sentence of a passage, and where it stands.
pub(crate) fn quote(shown: &Shown, sentence: &Sentence<'_>, score: f32) -> Quote {
    let passage = &shown.passage;
    let start = passage.start + count(&passage.text[..sentence.offset]);
    Quote {
        document: shown.document,
        page: passage.page,
        start,
        end: start + count(sentence.text),
        text: sentence.text.to_owned(),
        score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Page};
    use crate::samples;

    fn document() -> Document {
        let texts = [samples::BIOLOGY, samples::HISTORY];
        Document {
            pages: texts
                .iter()
                .zip(1..)
                .map(|(t, number)| Page {
                    number,
                    text: (*t).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn an_answer_quotes_the_sentence_that_says_it() {
        for (question, page, says) in [
            ("What does the cell membrane do?", 1, "controls what enters"),
            (
                "Where does aerobic respiration take place?",
                1,
                "respiration",
            ),
            (
                "When was the steam engine of James Watt patented?",
                2,
                "1769",
            ),
        ] {
            let quotes = answer(question, &document().passages()).unwrap();
            assert!(
                quotes
                    .iter()
                    .any(|q| q.page == page && q.text.contains(says)),
                "{question}: {quotes:?}"
            );
        }
    }

    #[test]
    fn an_overview_has_sentences_of_the_document() {
        for question in [
            "Summarise this",
            "Give me an overview",
            "What are the main topics?",
        ] {
            let passages = document().passages();
            let shown: Vec<Shown> = passages
                .iter()
                .map(|passage| Shown {
                    document: 0,
                    passage: passage.clone(),
                })
                .collect();
            let index = Index::new(&passages, question);
            let quotes = answer_among(question, &index, &shown).unwrap_or_default();
            assert_eq!(quotes.len(), 5, "{question}");
        }
    }

    #[test]
    fn an_inflected_german_word_is_found() {
        let text = "Das Chlorophyll gibt den Blättern ihre grüne Farbe.";
        assert!(answer("Was macht Blätter grün?", &passages(text)).is_some());
        let tree = "Ein Blatt ist grün, und die Bäume tragen es im Sommer.";
        assert!(answer("Wann ist ein Baum voller Blätter?", &passages(tree)).is_some());
    }

    #[test]
    fn what_the_document_does_not_say_has_no_answer() {
        for question in [
            "Who won the football world cup?",
            // One word of several.
            "Who is the chancellor of Manchester?",
            "What is the capital of the century?",
            "Difference between <- and <<-?",
            "quantum chromodynamics",
            "",
            "the of and",
        ] {
            assert_eq!(answer(question, &document().passages()), None, "{question}");
        }
        assert_eq!(answer("cell", &[]), None);
    }

    #[test]
    fn a_question_in_another_language_than_the_document_has_no_answer() {
        for question in [
            "Was ist die Aufgabe der Zellwand in der Pflanze?",
            "Welche Rolle spielt die Energie?",
            "¿Cuál es la función de la membrana celular?",
            "Quel est le rôle des chloroplastes dans la feuille ?",
            "什么是细胞",
            "ما هي الخلية؟",
        ] {
            assert_eq!(answer(question, &document().passages()), None, "{question}");
        }
    }

    fn passages(text: &str) -> Vec<Passage> {
        Document {
            pages: vec![Page {
                number: 1,
                text: text.to_owned(),
            }],
        }
        .passages()
    }

    #[test]
    fn a_line_of_contents_answers_nothing() {
        let contents = "2 Structure handling . . . . . . . . . . . . . . . 2";
        let question = "What is structure handling?";
        assert_eq!(answer(question, &passages(contents)), None);
        let text = format!(
            "{contents}\n\nStructure handling\n\nStructure handling keeps what belongs together in one place."
        );
        let quotes = answer(question, &passages(&text)).unwrap();
        assert!(
            quotes.iter().all(|quote| !quote.text.contains(". .")),
            "{quotes:?}"
        );
        assert!(
            quotes.iter().any(|quote| quote.text.contains("keeps")),
            "{quotes:?}"
        );
    }

    #[test]
    fn an_operator_is_a_word_of_the_question() {
        let text = "A difference of opinion is no harm. The operator <<- differs from <- in that it \
                    assigns to a variable of the enclosing function. Use <- in functions.";
        let quotes = answer("Difference between <- and <<-?", &passages(text)).unwrap();
        assert_eq!(quotes.len(), 1, "{quotes:?}");
        assert!(quotes[0].text.contains("enclosing"));
    }

    #[test]
    fn a_definition_comes_before_a_mention() {
        let text = "A list may hold a vector. Every vector has a length and every vector has a mode. \
                    A vector is an ordered collection of values of one mode. The vector was sold.";
        let passages = passages(text);
        let question = "What is a vector?";
        let shown = Shown {
            document: 0,
            passage: passages[0].clone(),
        };
        let best = ranked(question, &[shown], &Index::new(&passages, question));
        assert!(best[0].text.starts_with("A vector is"), "{}", best[0].text);
    }

    #[test]
    fn a_question_in_chinese_is_answered_and_one_about_something_else_is_not() {
        let passages = passages("细胞是生命的基本单位。它们会分裂并且生长。\n\n今天天气很好。");
        assert!(answer("什么是细胞", &passages).is_some());
        assert_eq!(answer("法国总统是谁", &passages), None);
    }

    #[test]
    fn a_quote_is_exactly_its_slice_of_the_document() {
        let document = document();
        let text: Vec<char> = document.text().chars().collect();
        let quotes = answer("What does the cell membrane do?", &document.passages()).unwrap();
        for quote in &quotes {
            let slice: String = text[quote.start as usize..quote.end as usize]
                .iter()
                .collect();
            assert_eq!(slice, quote.text);
        }
    }
}
