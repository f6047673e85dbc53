//! A document as pages, and as passages to search and quote.

use serde::{Deserialize, Serialize};

use crate::sentence::sentences;
use crate::terms::is_cjk;

/// Between two pages in a document's whole text.
pub const PAGE_BREAK: &str = "\n\n";
/// A passage ends with the sentence that reaches so many words.
const PASSAGE_WORDS: usize = 120;

/// A page's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// May be empty.
    pub text: String,
}

/// A document's text by page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// In their order.
    pub pages: Vec<Page>,
}

/// Whole sentences of one page, about 120 words. `start` and `end` are offsets in Unicode scalar
/// values into [`Document::text`], end exclusive; `text` is exactly that slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// From 0, in the document's order.
    pub ordinal: u32,
    /// The page's number.
    pub page: u32,
    /// Of its first character.
    pub start: u32,
    /// Behind its last one.
    pub end: u32,
    /// The slice.
    pub text: String,
}

impl Document {
    /// All pages joined by [`PAGE_BREAK`].
    pub fn text(&self) -> String {
        let texts: Vec<_> = self.pages.iter().map(|page| page.text.as_str()).collect();
        texts.join(PAGE_BREAK)
    }

    /// Windows of whole sentences, each beginning with the last sentence of the one before; never
    /// across a page.
    pub fn passages(&self) -> Vec<Passage> {
        let mut passages = Vec::new();
        let mut page_start = 0;
        for page in &self.pages {
            passages_of(page, page_start, &mut passages);
            page_start += count(&page.text) + count(PAGE_BREAK);
        }
        passages
    }
}

/// Scalar values. A document has 5 million at most, far below the type's end.
pub(crate) fn count(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

fn passages_of(page: &Page, page_start: u32, passages: &mut Vec<Passage>) {
    let found = sentences(&page.text);
    let (mut from, mut position, mut byte) = (0, page_start, 0);
    while from < found.len() {
        let to = window_end(&found, from);
        let (first, last) = (found[from], found[to]);
        let (begin, end) = (first.offset, last.offset + last.text.len());
        // Windows only move on, so the characters are counted once, not from the page's start.
        position += count(&page.text[byte..begin]);
        byte = begin;
        let text = &page.text[begin..end];
        passages.push(Passage {
            ordinal: u32::try_from(passages.len()).unwrap_or(u32::MAX),
            page: page.number,
            start: position,
            end: position + count(text),
            text: text.to_owned(),
        });
        if to + 1 == found.len() {
            break;
        }
        // One sentence of overlap, unless the window is that sentence alone.
        from = if to > from { to } else { to + 1 };
    }
}

/// Two characters of Chinese, Japanese or Korean count as a word: there are no spaces to count.
fn words_in(sentence: &str) -> usize {
    let cjk = sentence.chars().filter(|&c| is_cjk(c)).count();
    sentence.split_whitespace().count() + cjk / 2
}

fn window_end(found: &[crate::sentence::Sentence<'_>], from: usize) -> usize {
    let mut words = 0;
    for (at, sentence) in found.iter().enumerate().skip(from) {
        words += words_in(sentence.text);
        // The overlap alone is no window: a long sentence after it comes along.
        if words >= PASSAGE_WORDS && at > from {
            return at;
        }
    }
    found.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn check_slices(document: &Document) {
        let text: Vec<char> = document.text().chars().collect();
        for passage in document.passages() {
            let slice: String = text[passage.start as usize..passage.end as usize]
                .iter()
                .collect();
            assert_eq!(slice, passage.text);
        }
    }

    #[test]
    fn a_passage_is_exactly_its_slice_of_the_document() {
        check_slices(&document(&[
            samples::BIOLOGY,
            "Größe: 5 µm. 细胞是生命的基本单位。它们会分裂。",
            "",
            samples::HISTORY,
        ]));
        for awkward in samples::AWKWARD {
            check_slices(&document(&[awkward, "A sentence. Another one.", awkward]));
        }
    }

    #[test]
    fn passages_cover_every_sentence_and_overlap_by_one() {
        let sample = document(&[samples::BIOLOGY]);
        let passages = sample.passages();
        assert!(passages.len() > 2);
        for pair in passages.windows(2) {
            assert!(
                pair[1].start < pair[0].end && pair[0].start < pair[1].start,
                "{pair:?}"
            );
        }
        for sentence in sentences(samples::BIOLOGY) {
            assert!(
                passages
                    .iter()
                    .any(|passage| passage.text.contains(sentence.text)),
                "{}",
                sentence.text
            );
        }
    }

    #[test]
    fn no_passage_crosses_a_page() {
        let passages = document(&["One page.", "Two pages."]).passages();
        assert_eq!(
            passages
                .iter()
                .map(|p| (p.page, p.start))
                .collect::<Vec<_>>(),
            [(1, 0), (2, 11)]
        );
    }
}
