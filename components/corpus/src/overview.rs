//! Questions about all of a document, as "summarise this": answered by its most central sentences.

use std::collections::HashSet;

use unicode_segmentation::UnicodeSegmentation;

use crate::answer::{Quote, Shown, quote};
use crate::prose::{ends, is_contents};
use crate::rank::text_rank;
use crate::search::Index;
use crate::sentence::{sentences, unwrap_lines};
use crate::stop_words;
use crate::terms::{Tokenizer, fold, is_cjk};

/// Sentences of an overview.
const SENTENCES: usize = 5;
/// Words of a sentence that tells something by itself.
const LENGTHS: std::ops::RangeInclusive<usize> = 6..=45;

/// Words that ask for an overview.
const ASKS: &[&str] = &[
    "overview",
    "summary",
    "summarise",
    "summarize",
    "summarised",
    "summarized",
    "outline",
    "topics",
    "topic",
    "gist",
    "recap",
    "takeaways",
    "überblick",
    "übersicht",
    "zusammenfassung",
    "zusammen",
    "zusammenfassen",
    "hauptthemen",
    "themen",
    "thema",
    "résumé",
    "résume",
    "résumer",
    "aperçu",
    "thèmes",
    "sujets",
    "resumen",
    "resume",
    "resumir",
    "temas",
    "riassunto",
    "riassumi",
    "temi",
    "resumo",
    "resuma",
    "samenvatting",
    "overzicht",
    "onderwerpen",
];
/// In Chinese, Japanese and Korean.
const ASKS_IN_CJK: &[&str] = &[
    "总结",
    "總結",
    "概括",
    "概述",
    "摘要",
    "要約",
    "まとめ",
    "概要",
    "요약",
    "개요",
];
/// Words that may stand beside them.
const BESIDE: &[&str] = &[
    "this",
    "document",
    "documents",
    "text",
    "file",
    "chapter",
    "page",
    "pages",
    "article",
    "book",
    "pdf",
    "notes",
    "main",
    "key",
    "important",
    "most",
    "short",
    "brief",
    "briefly",
    "quick",
    "give",
    "me",
    "please",
    "tell",
    "show",
    "write",
    "make",
    "points",
    "ideas",
    "content",
    "contents",
    "whole",
    "entire",
    "cover",
    "covers",
    "covered",
    "discussed",
    "list",
    "name",
    "dokument",
    "dokuments",
    "dokumentes",
    "kurz",
    "kurze",
    "kurzen",
    "gib",
    "mir",
    "bitte",
    "fasse",
    "fass",
    "worum",
    "geht",
    "wichtigsten",
    "welche",
    "inhalt",
    "kapitel",
    "principaux",
    "principales",
    "donne",
    "moi",
    "texte",
    "dame",
    "documento",
    "texto",
    "testo",
    "principali",
    "principais",
    "hoofd",
    "belangrijkste",
];

/// Whether a question is about all of a document and about nothing in it.
pub fn wants(question: &str) -> bool {
    let folded = fold(question);
    if folded.chars().any(is_cjk) {
        return folded.chars().count() <= 24 && ASKS_IN_CJK.iter().any(|ask| folded.contains(ask));
    }
    let words: Vec<&str> = folded.unicode_words().collect();
    let about = [
        "what is this",
        "worum geht es",
        "de quoi parle",
        "de qué trata",
    ];
    let asks = words.iter().any(|word| ASKS.contains(word))
        || about.iter().any(|about| folded.contains(about)) && words.len() <= 8
        || folded.contains("main points")
        || folded.contains("key points")
        || folded.contains("main ideas");
    asks && words.iter().all(|word| {
        ASKS.contains(word) || BESIDE.contains(word) || word.len() <= 2 || is_stop_word(word)
    })
}

fn is_stop_word(word: &str) -> bool {
    [
        stop_words::ENGLISH,
        stop_words::GERMAN,
        stop_words::FRENCH,
        stop_words::SPANISH,
    ]
    .iter()
    .any(|list| list.contains(&word))
}

/// The sentences that most others of these passages resemble, in the documents' order; `None` where there
/// is no whole sentence.
pub fn central(found: &[Shown], index: &Index) -> Option<Vec<Quote>> {
    let first = found.first()?;
    let tokenizer = index.tokenizer(first.document)?;
    let (mut quotes, mut said) = (Vec::new(), HashSet::new());
    for shown in found {
        for sentence in sentences(&shown.passage.text) {
            let text = unwrap_lines(sentence.text);
            let fits = tells(&text) && !is_contents(&text) && said.insert(fold(&text));
            if fits {
                quotes.push(quote(shown, &sentence, 0.0));
            }
        }
    }
    let best = best(quotes, tokenizer);
    (!best.is_empty()).then_some(best)
}

fn tells(text: &str) -> bool {
    let words = text.unicode_words().count();
    let fits = LENGTHS.contains(&words) || text.chars().any(is_cjk) && words >= *LENGTHS.start();
    fits && ends(text) && !text.ends_with('?')
}

fn best(quotes: Vec<Quote>, tokenizer: &Tokenizer) -> Vec<Quote> {
    let texts: Vec<&str> = quotes.iter().map(|quote| quote.text.as_str()).collect();
    let ranks = text_rank(&texts, tokenizer);
    let most = ranks.iter().copied().fold(f32::EPSILON, f32::max);
    let ranked = quotes.into_iter().zip(ranks).map(|(quote, rank)| Quote {
        score: (rank / most).clamp(0.0, 1.0),
        ..quote
    });
    let mut ranked: Vec<Quote> = ranked.collect();
    ranked.sort_by(|a, b| {
        let place = |quote: &Quote| (quote.document, quote.start);
        b.score.total_cmp(&a.score).then(place(a).cmp(&place(b)))
    });
    ranked.truncate(SENTENCES);
    ranked.sort_by_key(|quote| (quote.document, quote.start));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_about_all_of_it_is_told_from_one_about_something() {
        for question in [
            "Summarise this",
            "Give me an overview",
            "What are the main topics?",
            "What is this about?",
            "Summarize the document, please.",
            "Fasse das Dokument zusammen",
            "Worum geht es?",
            "Gib mir einen Überblick",
            "Résume ce texte",
            "请总结这篇文章",
            "What are the key points?",
        ] {
            assert!(wants(question), "{question}");
        }
        for question in [
            "What is mitosis?",
            "Summarise the causes of the war",
            "What is the topic of photosynthesis?",
            "",
            "Give me an overview of meiosis",
            "What is this enzyme?",
            "细胞是什么",
        ] {
            assert!(!wants(question), "{question}");
        }
    }
}
