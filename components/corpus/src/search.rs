//! Passages that speak of a question: BM25 (Robertson and Zaragoza 2009), over one document or several.
//!
//! Our own hundred lines, because the `bm25` crate hashes tokens to 32 bits, tokenises a corpus twice,
//! and does not tell which of the query's words it found, which the threshold for "not found" needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use crate::document::Passage;
use crate::forms::shares_part;
use crate::terms::Tokenizer;

const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Passages whose text decides the language.
const SAMPLE: usize = 20;
/// Of a token, in bytes. What is longer is no word, and too long for a database's index.
const LONGEST: usize = 200;

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The passage's ordinal.
    pub passage: u32,
    /// How often.
    pub count: u32,
    /// Words of the passage.
    pub length: u32,
}

/// All words of a document and where they stand: made once, when the document comes, so that a
/// question has to look at its own words only.
pub struct Inverted {
    /// What BM25 wants to know of the whole.
    pub size: Size,
    /// By token, in the passages' order.
    pub terms: BTreeMap<String, Vec<Posting>>,
}

/// What BM25 wants to know of a whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// See [`Tokenizer::language`].
    pub language: String,
    /// Its passages.
    pub passages: u32,
    /// Their words.
    pub words: u64,
}

/// The language of these passages.
pub fn tokenizer_of(passages: &[Passage]) -> Tokenizer {
    let sample: Vec<_> = passages
        .iter()
        .take(SAMPLE)
        .map(|passage| passage.text.as_str())
        .collect();
    Tokenizer::detect(&sample.join(" "))
}

/// Takes the passages' words. `keep` says which, where not all are wanted.
fn invert_some(
    passages: &[Passage],
    tokenizer: &Tokenizer,
    keep: impl Fn(&str) -> bool,
) -> Inverted {
    let mut inverted = Inverted {
        size: Size {
            language: tokenizer.language().to_owned(),
            passages: u32::try_from(passages.len()).unwrap_or(u32::MAX),
            words: 0,
        },
        terms: BTreeMap::new(),
    };
    for passage in passages {
        let tokens = tokenizer.tokens(&passage.text);
        let length = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        inverted.size.words += u64::from(length);
        let wanted = |token: &String| token.len() <= LONGEST && keep(token);
        for token in tokens.into_iter().filter(wanted) {
            let list: &mut Vec<Posting> = inverted.terms.entry(token).or_default();
            match list.last_mut() {
                Some(last) if last.passage == passage.ordinal => last.count += 1,
                _ => list.push(Posting {
                    passage: passage.ordinal,
                    count: 1,
                    length,
                }),
            }
        }
    }
    inverted
}

/// Takes all words of a document's passages.
pub fn invert(passages: &[Passage]) -> Inverted {
    invert_some(passages, &tokenizer_of(passages), |_| true)
}

/// Postings as text, to be stored: `passage count length`, the passage counted from the one before.
pub fn write_postings(postings: &[Posting]) -> String {
    let (mut text, mut before) = (String::new(), 0);
    for posting in postings {
        let step = posting.passage.wrapping_sub(before);
        before = posting.passage;
        // Writing to a string does not fail.
        let _ = write!(text, "{step} {} {} ", posting.count, posting.length);
    }
    text
}

/// The same, read. What is no posting ends the list.
pub fn read_postings(text: &str) -> Vec<Posting> {
    let mut numbers = text.split_ascii_whitespace().map_while(|n| n.parse().ok());
    let (mut postings, mut passage) = (Vec::new(), 0u32);
    while let (Some(step), Some(count), Some(length)) =
        (numbers.next(), numbers.next(), numbers.next())
    {
        passage = passage.wrapping_add(step);
        postings.push(Posting {
            passage,
            count,
            length,
        });
    }
    postings
}

/// A document that is searched: what its index says of the question's words.
pub struct Searched {
    tokenizer: Tokenizer,
    size: Size,
    /// By the question's tokens.
    postings: BTreeMap<String, Vec<Posting>>,
}

impl Searched {
    /// From a stored index. `found` are the document's tokens that are the question's, or that share a
    /// part with one of them (see [`shares_part`]) where the language has compounds.
    pub fn new(size: Size, question: &str, found: &[(String, Vec<Posting>)]) -> Self {
        let tokenizer = Tokenizer::of(&size.language);
        let postings = asked(&tokenizer, question)
            .into_iter()
            .map(|token| {
                let akin = found
                    .iter()
                    .filter(|(other, _)| is_akin(&tokenizer, &token, other));
                let lists: Vec<&[Posting]> = akin.map(|(_, list)| list.as_slice()).collect();
                (token, united(&lists))
            })
            .collect();
        Self {
            tokenizer,
            size,
            postings,
        }
    }

    /// From passages in memory.
    pub fn of(passages: &[Passage], question: &str) -> Self {
        let tokenizer = tokenizer_of(passages);
        let wanted = asked(&tokenizer, question);
        let inverted = invert_some(passages, &tokenizer, |token| {
            wanted.contains(token)
                || tokenizer.compounds() && wanted.iter().any(|asked| shares_part(asked, token))
        });
        let found: Vec<_> = inverted.terms.into_iter().collect();
        Self::new(inverted.size, question, &found)
    }

    /// How this document's words are seen.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

/// What to look for in an index of that language.
pub fn asked(tokenizer: &Tokenizer, question: &str) -> BTreeSet<String> {
    tokenizer.tokens(question).into_iter().collect()
}

/// Whether a document's token counts as the question's.
pub fn is_akin(tokenizer: &Tokenizer, asked: &str, token: &str) -> bool {
    asked == token || tokenizer.compounds() && shares_part(asked, token)
}

/// As if the lists were one word's.
fn united(lists: &[&[Posting]]) -> Vec<Posting> {
    let mut by_passage: BTreeMap<u32, Posting> = BTreeMap::new();
    for posting in lists.iter().copied().flatten() {
        by_passage
            .entry(posting.passage)
            .and_modify(|all| all.count = all.count.saturating_add(posting.count))
            .or_insert(*posting);
    }
    by_passage.into_values().collect()
}

/// The documents of one question, whose passages compete in one ranking.
pub struct Index {
    documents: Vec<Searched>,
    /// Passages with the token, over all documents.
    frequencies: HashMap<String, usize>,
    passages: f32,
    average: f32,
}

/// A passage that speaks of the question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The document's place among those given.
    pub document: usize,
    /// The passage's ordinal in it.
    pub passage: u32,
    /// Higher is better; comparable within a search.
    pub score: f32,
    /// The share of the query's distinct words that stand there, by weight, 0 to 1.
    pub coverage: f32,
}

impl Index {
    /// Of one document's passages.
    pub fn new(passages: &[Passage], question: &str) -> Self {
        Self::over(vec![Searched::of(passages, question)])
    }

    /// Of several documents.
    pub fn over(documents: Vec<Searched>) -> Self {
        let mut frequencies: HashMap<String, usize> = HashMap::new();
        for (token, list) in documents.iter().flat_map(|document| &document.postings) {
            *frequencies.entry(token.clone()).or_default() += list.len();
        }
        let sizes = documents.iter().map(|document| &document.size);
        let passages = sizes.clone().map(|size| size.passages as f32).sum();
        let words: f32 = sizes.map(|size| size.words as f32).sum();
        Self {
            documents,
            frequencies,
            passages,
            average: words / f32::max(passages, 1.0),
        }
    }

    /// How rare a token of the question is.
    pub fn weight(&self, token: &str) -> f32 {
        let with = self.frequencies.get(token).copied().unwrap_or_default() as f32;
        (1.0 + (self.passages - with + 0.5).max(0.5) / (with + 0.5)).ln()
    }

    /// Whether any of the documents has a token of the question.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.frequencies.get(token).is_some_and(|with| *with > 0)
    }

    /// The best passages, best first; only those that have a word of the question.
    pub fn search(&self, limit: usize) -> Vec<Hit> {
        let mut hits: Vec<Hit> = (0..self.documents.len())
            .flat_map(|at| self.search_in(at))
            .collect();
        hits.sort_by(|a, b| {
            let place = |hit: &Hit| (hit.document, hit.passage);
            b.score.total_cmp(&a.score).then(place(a).cmp(&place(b)))
        });
        hits.truncate(limit);
        hits
    }

    fn search_in(&self, document: usize) -> Vec<Hit> {
        let Some(searched) = self.documents.get(document) else {
            return vec![];
        };
        let tokens = searched.postings.keys();
        let all: f32 = tokens.map(|token| self.weight(token)).sum();
        let mut found: BTreeMap<u32, (f32, f32)> = BTreeMap::new();
        for (token, postings) in &searched.postings {
            let weight = self.weight(token);
            for posting in postings {
                let (score, covered) = found.entry(posting.passage).or_default();
                *score += weight * self.saturation(posting);
                *covered += weight;
            }
        }
        let hit = |(passage, (score, covered))| Hit {
            document,
            passage,
            score,
            coverage: covered / all,
        };
        found.into_iter().map(hit).collect()
    }

    fn saturation(&self, posting: &Posting) -> f32 {
        let (count, length) = (posting.count as f32, posting.length as f32);
        count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / self.average.max(1.0)))
    }

    /// How a document's words are seen; `None` where there is no such document.
    pub fn tokenizer(&self, document: usize) -> Option<&Tokenizer> {
        self.documents
            .get(document)
            .map(|searched| &searched.tokenizer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Page};
    use crate::samples;

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
    fn the_passage_that_speaks_of_it_comes_first() {
        let passages = passages(samples::BIOLOGY);
        let index = Index::new(&passages, "Where is energy released by respiration?");
        let hits = index.search(3);
        assert!(
            passages[hits[0].passage as usize]
                .text
                .contains("respiration"),
            "{hits:?}"
        );
        assert!(hits[0].coverage > 0.5);
    }

    #[test]
    fn what_no_passage_speaks_of_is_not_found() {
        let passages = passages(samples::BIOLOGY);
        let hits = |passages: &[Passage], question| Index::new(passages, question).search(3);
        assert!(hits(&passages, "parliament taxation").is_empty());
        assert!(hits(&[], "anything").is_empty());
        assert!(hits(&passages, "").is_empty());
        assert!(Index::over(vec![]).search(3).is_empty());
    }

    #[test]
    fn chinese_is_found() {
        let passages = passages("细胞是生命的基本单位。\n\n今天天气很好。");
        let hits = Index::new(&passages, "什么是细胞").search(1);
        assert_eq!(hits[0].passage, 0);
    }

    #[test]
    fn a_stored_index_finds_what_one_in_memory_finds() {
        for text in [samples::BIOLOGY, samples::HISTORY]
            .iter()
            .chain(samples::AWKWARD)
        {
            let passages = passages(text);
            let inverted = invert(&passages);
            for question in [
                "What do mitochondria release?",
                "Manchester 1830",
                "细胞",
                "",
            ] {
                let stored: Vec<(String, Vec<Posting>)> = inverted
                    .terms
                    .iter()
                    .map(|(token, list)| (token.clone(), read_postings(&write_postings(list))))
                    .collect();
                let searched = Searched::new(inverted.size.clone(), question, &stored);
                assert_eq!(
                    Index::over(vec![searched]).search(9),
                    Index::new(&passages, question).search(9)
                );
            }
        }
    }

    #[test]
    fn postings_that_are_none_end_the_list() {
        for (text, count) in [("", 0), ("1 2", 0), ("1 2 3 x 5 6", 1), ("-1 2 3", 0)] {
            assert_eq!(read_postings(text).len(), count, "{text}");
        }
        let far = "4294967295 1 1 4294967295 1 1";
        assert_eq!(read_postings(far).len(), 2);
    }

    #[test]
    fn passages_of_several_documents_compete() {
        let (cells, engines) = (passages(samples::BIOLOGY), passages(samples::HISTORY));
        let hits = |question: &str| {
            let documents = vec![
                Searched::of(&cells, question),
                Searched::of(&engines, question),
            ];
            Index::over(documents).search(4)
        };
        assert_eq!(hits("Who patented the steam engine?")[0].document, 1);
        assert_eq!(hits("What is photosynthesis?")[0].document, 0);
        let both: BTreeSet<usize> = hits("carbon dioxide and coal mines")
            .iter()
            .map(|hit| hit.document)
            .collect();
        assert_eq!(both, [0, 1].into());
    }

    #[test]
    fn a_german_compound_is_found_by_its_part_and_a_part_by_its_compound() {
        let text = "Die Zellmembran umgibt jede Zelle des Körpers und schützt sie vor der Umwelt. \
                    Ein großer Muskel braucht viel Energie, die er aus dem Zucker der Nahrung gewinnt.";
        let filler = "Die Straße führt durch den Wald und über den Berg in das nächste Dorf.";
        let passages = passages(&format!("{text}\n\n{filler}"));
        assert_eq!(tokenizer_of(&passages).language(), "deu");
        for question in [
            "Was tut die Membran?",
            "Was ist eine Zellmembran?",
            "ZELLMEMBRANEN",
        ] {
            assert!(
                !Index::new(&passages, question).search(1).is_empty(),
                "{question}"
            );
        }
        assert!(Index::new(&passages, "Parlament").search(1).is_empty());
    }

    #[test]
    fn other_scripts_are_found_with_what_may_be_left_out() {
        for (text, question) in [
            (
                "الخلية هي الوحدة الأساسية للحياة. تحتوي النواة على المادة الوراثية وتوجه عمل الخلية في الجسم.",
                "ما هي الخلايا؟ النَّوَاةُ",
            ),
            (
                "התא הוא יחידת החיים הבסיסית. גרעין התא מכיל את החומר התורשתי ומכוון את פעולת התא בגוף.",
                "מה יש בגרעין?",
            ),
            (
                "L'énergie est libérée dans la cellule par la respiration, et le sucre est brûlé avec l'oxygène.",
                "energie liberee",
            ),
            (
                "Клетка является основной единицей жизни. Ядро содержит генетический материал и управляет клеткой.",
                "Что содержится в ядре клетки?",
            ),
        ] {
            assert!(
                !Index::new(&passages(text), question).search(1).is_empty(),
                "{question}"
            );
        }
    }
}
