//! Passages that speak of a question: BM25 (Robertson and Zaragoza 2009).
//!
//! Our own sixty lines, because the `bm25` crate hashes tokens to 32 bits, tokenises a corpus twice,
//! and does not tell which of the query's words it found, which the threshold for "not found" needs.

use std::collections::{BTreeMap, HashMap};

use crate::document::Passage;
use crate::terms::Tokenizer;

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// An index over passages, of the words of one question: an index of all words of a book takes thirty
/// times its text.
pub struct Index {
    tokenizer: Tokenizer,
    /// By the question's tokens: passage and how often it stands there.
    postings: BTreeMap<String, Vec<(u32, u16)>>,
    lengths: Vec<u32>,
    average: f32,
}

/// A passage that speaks of the question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its place among the passages given.
    pub passage: usize,
    /// Higher is better; comparable within a search.
    pub score: f32,
    /// The share of the query's distinct words that stand there, by weight, 0 to 1.
    pub coverage: f32,
}

impl Index {
    /// The language is that of the passages.
    pub fn new(passages: &[Passage], question: &str) -> Self {
        let sample: Vec<_> = passages
            .iter()
            .take(20)
            .map(|passage| passage.text.as_str())
            .collect();
        let tokenizer = Tokenizer::detect(&sample.join(" "));
        let wanted = tokenizer.tokens(question).into_iter();
        let mut index = Self {
            postings: wanted.map(|token| (token, Vec::new())).collect(),
            tokenizer,
            lengths: Vec::new(),
            average: 0.0,
        };
        for (at, passage) in (0..).zip(passages) {
            index.add(at, &passage.text);
        }
        index.average = index.lengths.iter().sum::<u32>() as f32 / passages.len().max(1) as f32;
        index
    }

    fn add(&mut self, at: u32, text: &str) {
        let tokens = self.tokenizer.tokens(text);
        self.lengths
            .push(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
        for token in tokens {
            let Some(list) = self.postings.get_mut(&token) else {
                continue;
            };
            match list.last_mut() {
                Some((last, count)) if *last == at => *count = count.saturating_add(1),
                _ => list.push((at, 1)),
            }
        }
    }

    /// How rare a token of the question is.
    pub fn weight(&self, token: &str) -> f32 {
        let total = self.lengths.len() as f32;
        let with = self.postings.get(token).map_or(0, Vec::len) as f32;
        (1.0 + (total - with + 0.5) / (with + 0.5)).ln()
    }

    /// The best passages, best first; only those that have a word of the question.
    pub fn search(&self, limit: usize) -> Vec<Hit> {
        let all: f32 = self.postings.keys().map(|token| self.weight(token)).sum();
        let mut found: HashMap<u32, (f32, f32)> = HashMap::new();
        for (token, places) in &self.postings {
            let weight = self.weight(token);
            for &(at, count) in places {
                let (score, covered) = found.entry(at).or_default();
                *score += weight * self.saturation(at, count);
                *covered += weight;
            }
        }
        let hit = |(at, (score, covered))| Hit {
            passage: at as usize,
            score,
            coverage: covered / all,
        };
        let mut hits: Vec<Hit> = found.into_iter().map(hit).collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.cmp(&b.passage)));
        hits.truncate(limit);
        hits
    }

    fn saturation(&self, at: u32, count: u16) -> f32 {
        let length = self.lengths.get(at as usize).copied().unwrap_or_default() as f32;
        let count = f32::from(count);
        count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / self.average.max(1.0)))
    }

    /// How this index sees words.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
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
            passages[hits[0].passage].text.contains("respiration"),
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
    }

    #[test]
    fn chinese_is_found() {
        let passages = passages("细胞是生命的基本单位。\n\n今天天气很好。");
        let hits = Index::new(&passages, "什么是细胞").search(1);
        assert_eq!(hits[0].passage, 0);
    }
}
