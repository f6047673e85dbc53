//! TextRank (Mihalcea and Tarau 2004): sentences that many others resemble tell most.

use std::collections::{HashMap, HashSet};

use crate::terms::Tokenizer;

const DAMPING: f32 = 0.85;
const ROUNDS: usize = 40;
/// Sentences ranked together; the similarities are quadratic in it. The rest rank 0.
pub const MOST: usize = 400;

/// A rank for each sentence, in their order, about 1 on average.
pub fn text_rank(sentences: &[&str], tokenizer: &Tokenizer) -> Vec<f32> {
    let ranked = &sentences[..sentences.len().min(MOST)];
    let sets: Vec<HashSet<String>> = ranked
        .iter()
        .map(|s| tokenizer.tokens(s).into_iter().collect())
        .collect();
    let edges = similarities(&sets);
    let weights: Vec<f32> = edges
        .iter()
        .map(|edges| edges.iter().map(|(_, w)| w).sum())
        .collect();
    let mut ranks = vec![1.0f32; ranked.len()];
    for _ in 0..ROUNDS {
        let next = edges.iter().map(|edges| {
            let flow: f32 = edges
                .iter()
                .map(|&(from, w)| ranks[from] * w / weights[from].max(f32::EPSILON))
                .sum();
            1.0 - DAMPING + DAMPING * flow
        });
        ranks = next.collect();
    }
    ranks.resize(sentences.len(), 0.0);
    ranks
}

/// For each sentence those that share words with it, and how much they resemble it.
fn similarities(sets: &[HashSet<String>]) -> Vec<Vec<(usize, f32)>> {
    let mut by_token: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, set) in sets.iter().enumerate() {
        for token in set {
            by_token.entry(token).or_default().push(at);
        }
    }
    let similar = |at: usize| {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for other in sets[at]
            .iter()
            .filter_map(|token| by_token.get(token.as_str()))
            .flatten()
        {
            *shared.entry(*other).or_default() += 1;
        }
        shared.remove(&at);
        let mut edges: Vec<(usize, f32)> = shared
            .into_iter()
            .map(|(other, common)| {
                (
                    other,
                    common as f32 / norm(sets[at].len(), sets[other].len()),
                )
            })
            .collect();
        // In one order, so that sums are the same each time.
        edges.sort_unstable_by_key(|(other, _)| *other);
        edges
    };
    (0..sets.len()).map(similar).collect()
}

/// The paper's: long sentences share words by chance.
fn norm(a: usize, b: usize) -> f32 {
    ((a as f32 + 1.0).ln() + (b as f32 + 1.0).ln()).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_that_others_resemble_ranks_first() {
        let tokenizer = Tokenizer::detect("The cell membrane surrounds the cell.");
        let ranks = text_rank(
            &[
                "The cell membrane surrounds the cell.",
                "The membrane lets water into the cell.",
                "Cars are red.",
                "A cell has a membrane and water.",
            ],
            &tokenizer,
        );
        assert!(
            ranks[2] < ranks[0] && ranks[2] < ranks[1] && ranks[2] < ranks[3],
            "{ranks:?}"
        );
    }

    #[test]
    fn nothing_and_too_much_are_ranked() {
        let tokenizer = Tokenizer::detect("");
        assert!(text_rank(&[], &tokenizer).is_empty());
        assert_eq!(
            text_rank(&vec!["same words here"; MOST + 5], &tokenizer).len(),
            MOST + 5
        );
    }
}
