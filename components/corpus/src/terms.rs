//! Words as search sees them, and the terms that a document is about.

use std::collections::{HashMap, HashSet};

use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use whatlang::Lang;

use crate::document::Document;
use crate::forms::{bare, without_elision};
use crate::sentence::sentences;
use crate::stop_words;

/// Characters that decide the language.
const SAMPLE: usize = 4_000;

/// Turns text into words of one form: NFKC, folded, stemmed, without stop words.
pub struct Tokenizer {
    language: Option<Lang>,
    stemmer: Option<Stemmer>,
    stop_words: HashSet<&'static str>,
}

impl Tokenizer {
    /// For the language of the text, where it can be told from its beginning; else without stemming.
    pub fn detect(text: &str) -> Self {
        let sample: String = text.chars().take(SAMPLE).collect();
        let language = whatlang::detect(&sample)
            .filter(whatlang::Info::is_reliable)
            .map(|info| info.lang());
        Self::new(language)
    }

    /// As [`Tokenizer::language`] names it; without one as for a text whose language cannot be told.
    pub fn of(language: &str) -> Self {
        Self::new(Lang::from_code(language))
    }

    /// ISO 639-3, empty where it cannot be told.
    pub fn language(&self) -> &'static str {
        self.language.map_or("", |language| language.code())
    }

    /// Whether the language writes compounds as one word.
    pub fn compounds(&self) -> bool {
        use Lang::{Dan, Deu, Fin, Hun, Nld, Nob, Swe};
        matches!(self.language, Some(Dan | Deu | Fin | Hun | Nld | Nob | Swe))
    }

    fn elides(&self) -> bool {
        matches!(self.language, Some(Lang::Fra | Lang::Ita | Lang::Cat))
    }

    fn new(language: Option<Lang>) -> Self {
        let stop_words: &[_] = match language {
            Some(Lang::Deu) => stop_words::GERMAN,
            Some(Lang::Eng) => stop_words::ENGLISH,
            Some(Lang::Fra) => stop_words::FRENCH,
            Some(Lang::Spa) => stop_words::SPANISH,
            Some(other) => two_letters(other)
                .and_then(::stop_words::lookup)
                .unwrap_or_default(),
            None => stop_words::ENGLISH,
        };
        // A short English text is often taken for something else; English is the likelier guess.
        let stemmer = algorithm(language.unwrap_or(Lang::Eng)).map(Stemmer::create);
        Self {
            language,
            stemmer,
            stop_words: stop_words.iter().copied().collect(),
        }
    }

    /// The words, in their order. Chinese, Japanese and Korean are cut into pairs of characters: they
    /// have no spaces, and a pair is as good as a word for finding.
    pub fn tokens(&self, text: &str) -> Vec<String> {
        let folded = fold(text);
        let mut tokens = Vec::new();
        for word in folded.unicode_words() {
            if word.chars().any(is_cjk) {
                continue;
            }
            let word = if self.elides() {
                without_elision(word)
            } else {
                word
            };
            if !self.stop_words.contains(word) {
                tokens.push(bare(self.stem(word)));
            }
        }
        tokens.extend(pairs(&folded));
        tokens
    }

    /// The word's stem, folded.
    pub fn stem(&self, word: &str) -> String {
        match &self.stemmer {
            Some(stemmer) => stemmer.stem(word).into_owned(),
            None => word.to_owned(),
        }
    }

    /// Whether the word says nothing of what a text is about.
    pub fn is_stop_word(&self, word: &str) -> bool {
        self.stop_words.contains(fold(word).as_str())
    }
}

/// Compatibility forms and letter case removed.
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// Whether it is of a script without spaces between words: Chinese, Japanese, Korean.
pub fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}')
}

/// Each two neighbours among Chinese, Japanese and Korean characters.
pub fn pairs(text: &str) -> Vec<String> {
    let (mut pairs, mut before) = (Vec::new(), None);
    for c in text.chars() {
        if !is_cjk(c) {
            before = None;
            continue;
        }
        if let Some(before) = before {
            pairs.push([before, c].iter().collect());
        }
        before = Some(c);
    }
    pairs
}

fn algorithm(language: Lang) -> Option<Algorithm> {
    Some(match language {
        Lang::Ara => Algorithm::Arabic,
        Lang::Dan => Algorithm::Danish,
        Lang::Nld => Algorithm::Dutch,
        Lang::Eng => Algorithm::English,
        Lang::Fin => Algorithm::Finnish,
        Lang::Fra => Algorithm::French,
        Lang::Deu => Algorithm::German,
        Lang::Ell => Algorithm::Greek,
        Lang::Hun => Algorithm::Hungarian,
        Lang::Ita => Algorithm::Italian,
        Lang::Nob => Algorithm::Norwegian,
        Lang::Por => Algorithm::Portuguese,
        Lang::Ron => Algorithm::Romanian,
        Lang::Rus => Algorithm::Russian,
        Lang::Spa => Algorithm::Spanish,
        Lang::Swe => Algorithm::Swedish,
        Lang::Tam => Algorithm::Tamil,
        Lang::Tur => Algorithm::Turkish,
        _ => return None,
    })
}

/// ISO 639-1, of the languages that have a list of stop words and are likely here.
fn two_letters(language: Lang) -> Option<&'static str> {
    Some(match language {
        Lang::Ara => "ar",
        Lang::Bul => "bg",
        Lang::Cat => "ca",
        Lang::Ces => "cs",
        Lang::Dan => "da",
        Lang::Ell => "el",
        Lang::Fin => "fi",
        Lang::Heb => "he",
        Lang::Hin => "hi",
        Lang::Hrv => "hr",
        Lang::Hun => "hu",
        Lang::Ind => "id",
        Lang::Ita => "it",
        Lang::Nld => "nl",
        Lang::Nob => "no",
        Lang::Pes => "fa",
        Lang::Pol => "pl",
        Lang::Por => "pt",
        Lang::Ron => "ro",
        Lang::Rus => "ru",
        Lang::Swe => "sv",
        Lang::Tur => "tr",
        Lang::Ukr => "uk",
        Lang::Urd => "ur",
        Lang::Vie => "vi",
        _ => return None,
    })
}

/// What a document is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// As the document writes it most often.
    pub text: String,
    /// How often it stands there.
    pub count: u32,
    /// Higher is more telling; comparable within a document.
    pub score: f32,
}

/// Words of a term at most.
const TERM_WORDS: usize = 3;

#[derive(Default)]
struct Candidate {
    count: u32,
    forms: HashMap<String, u32>,
}

/// The terms that tell most, best first: runs of words between stop words and punctuation, weighed by
/// how often they stand there and how long they are, less what longer terms account for (C-value,
/// Frantzi and others 2000).
pub fn key_terms(document: &Document, limit: usize) -> Vec<Term> {
    let text = without_furniture(document);
    let tokenizer = Tokenizer::detect(&text);
    let mut candidates: HashMap<Vec<String>, Candidate> = HashMap::new();
    for sentence in sentences(&text) {
        for run in runs(sentence.text, &tokenizer) {
            collect(&run, &tokenizer, &mut candidates);
        }
    }
    let least = if candidates.len() > 200 { 3 } else { 2 };
    candidates.retain(|_, candidate| candidate.count >= least);
    let mut terms = weigh(&candidates);
    terms.truncate(limit);
    terms
}

/// The text without the lines that a third of the pages share: running heads and feet.
pub fn without_furniture(document: &Document) -> String {
    let mut pages_with: HashMap<&str, usize> = HashMap::new();
    for page in &document.pages {
        let lines: HashSet<_> = page
            .text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        for line in lines {
            *pages_with.entry(line).or_default() += 1;
        }
    }
    let pages = document.pages.len();
    let is_furniture =
        |line: &str| pages >= 3 && pages_with.get(line.trim()).is_some_and(|&n| n * 3 > pages);
    let mut kept = String::new();
    for page in &document.pages {
        for line in page.text.lines().filter(|line| !is_furniture(line)) {
            kept.push_str(line);
            kept.push('\n');
        }
        kept.push('\n');
    }
    kept
}

/// Runs of telling words, as written.
fn runs<'a>(sentence: &'a str, tokenizer: &Tokenizer) -> Vec<Vec<&'a str>> {
    let mut runs = vec![vec![]];
    for piece in sentence.split_word_bounds() {
        if piece.trim().is_empty() {
            continue;
        }
        let tells = piece
            .chars()
            .all(|c| c.is_alphabetic() || c == '-' || c == '\'')
            && piece.chars().count() >= 3
            && !piece.chars().any(is_cjk)
            && !tokenizer.is_stop_word(piece);
        match runs.last_mut() {
            Some(run) if tells => run.push(piece),
            Some(run) if !run.is_empty() => runs.push(vec![]),
            _ => {}
        }
    }
    runs
}

fn collect(run: &[&str], tokenizer: &Tokenizer, candidates: &mut HashMap<Vec<String>, Candidate>) {
    for length in 1..=TERM_WORDS.min(run.len()) {
        for words in run.windows(length) {
            let key = words
                .iter()
                .map(|word| tokenizer.stem(&fold(word)))
                .collect();
            let candidate = candidates.entry(key).or_default();
            candidate.count += 1;
            *candidate.forms.entry(words.join(" ")).or_default() += 1;
        }
    }
}

fn weigh(candidates: &HashMap<Vec<String>, Candidate>) -> Vec<Term> {
    let mut inside: HashMap<&[String], (u32, u32)> = HashMap::new();
    for (key, candidate) in candidates {
        for length in 1..key.len() {
            for part in key.windows(length) {
                let (sum, longer) = inside.entry(part).or_default();
                *sum += candidate.count;
                *longer += 1;
            }
        }
    }
    let mut terms: Vec<Term> = candidates
        .iter()
        .filter_map(|(key, candidate)| {
            let (sum, longer) = inside.get(key.as_slice()).copied().unwrap_or((0, 1));
            let own = candidate.count as f32 - sum as f32 / longer as f32;
            // A short single word is rarely a term.
            let length = if key.len() == 1 {
                0.6
            } else {
                (1.0 + key.len() as f32).log2()
            };
            let text = most_frequent(&candidate.forms)?;
            Some(Term {
                text,
                count: candidate.count,
                score: own * length,
            })
        })
        .filter(|term| term.score > 0.0)
        .collect();
    terms.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| a.text.cmp(&b.text))
    });
    terms
}

fn most_frequent(forms: &HashMap<String, u32>) -> Option<String> {
    let best = forms
        .iter()
        .max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)));
    best.map(|(form, _)| form.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Page;
    use crate::samples;

    fn document(texts: &[&str]) -> Document {
        let pages = texts.iter().zip(1..);
        Document {
            pages: pages
                .map(|(text, number)| Page {
                    number,
                    text: (*text).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn forms_of_a_word_are_one_token() {
        let tokenizer = Tokenizer::detect(
            "The cells of the body divide and grow, and every cell is divided again.",
        );
        assert_eq!(
            tokenizer.tokens("Dividing CELLS"),
            tokenizer.tokens("divides the cell")
        );
        assert_eq!(tokenizer.tokens("of the and"), Vec::<String>::new());
        let german = Tokenizer::detect(
            "Die Zellen des Körpers teilen sich und wachsen, und jede Zelle ist wieder geteilt.",
        );
        assert!(german.is_stop_word("und") && !german.is_stop_word("Zelle"));
    }

    #[test]
    fn chinese_is_cut_in_pairs() {
        assert_eq!(
            Tokenizer::detect("细胞").tokens("细胞分裂"),
            ["细胞", "胞分", "分裂"]
        );
    }

    #[test]
    fn the_key_terms_of_a_text_are_what_it_is_about() {
        let terms = key_terms(&document(&[samples::BIOLOGY]), 12);
        let texts: Vec<String> = terms.iter().map(|term| fold(&term.text)).collect();
        for expected in ["cell membrane", "photosynthesis", "mitochondria"] {
            assert!(
                texts.iter().any(|text| text.contains(expected)),
                "{expected} is not in {texts:?}"
            );
        }
    }

    #[test]
    fn running_heads_are_no_terms() {
        let pages = [
            "Great Handbook Title\n\nCells divide.",
            "Great Handbook Title\n\nPlants grow.",
            "Great Handbook Title\n\nWater boils.",
        ];
        assert!(
            key_terms(&document(&pages), 10)
                .iter()
                .all(|term| !term.text.contains("Handbook"))
        );
    }

    #[test]
    fn awkward_texts_have_terms_or_none() {
        for awkward in samples::AWKWARD {
            key_terms(&document(&[awkward, awkward]), 5);
        }
    }
}
