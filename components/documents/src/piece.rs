//! A text in pieces that can be searched, and what a search shows of one.

use std::iter;

use corpus::Document;
use corpus::document::PAGE_BREAK;
use corpus::terms::pairs;
use serde::Serialize;
use utoipa::ToSchema;
use whatlang::Lang;

/// Characters of a piece at most: a page or less, small enough for one answer to quote from many.
const LENGTH: usize = 2_000;
/// Characters that decide the language.
const SAMPLE: usize = 8_000;

/// A slice of a page. The pieces of a page, joined, are the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// From 0, in the document's order.
    pub ordinal: u32,
    /// The page's number.
    pub page: u32,
    /// In Unicode scalar values of the whole text.
    pub start: u32,
    /// The slice.
    pub text: String,
    /// Chinese, Japanese and Korean as pairs of characters between spaces; empty without any.
    pub pairs: String,
}

/// All pieces, one after the other.
pub fn pieces(document: &Document) -> impl Iterator<Item = Piece> {
    let mut page_start = 0;
    let slices = document.pages.iter().flat_map(move |page| {
        let start = page_start;
        page_start += length(&page.text) + length(PAGE_BREAK);
        slices(&page.text, start).map(|(start, text)| (page.number, start, text))
    });
    slices.zip(0..).map(|((page, start, text), ordinal)| Piece {
        ordinal,
        page,
        start,
        text: text.to_owned(),
        pairs: pairs(text).join(" "),
    })
}

fn slices(text: &str, mut start: u32) -> impl Iterator<Item = (u32, &str)> {
    let mut rest = text;
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (slice, after) = rest.split_at(cut(rest));
        let at = start;
        (rest, start) = (after, start + length(slice));
        Some((at, slice))
    })
}

/// Where the next piece ends, in bytes: behind a paragraph, a sentence, a word, whichever comes last in
/// its second half.
fn cut(text: &str) -> usize {
    let Some((end, _)) = text.char_indices().nth(LENGTH) else {
        return text.len();
    };
    let half = text.char_indices().nth(LENGTH / 2).map_or(0, |(at, _)| at);
    let behind = |mark: &str| text[half..end].rfind(mark).map(|at| half + at + mark.len());
    ["\n\n", ". ", "。", "\n", " "]
        .into_iter()
        .find_map(behind)
        .unwrap_or(end)
}

/// Unicode scalar values; a document has 5 million at most.
fn length(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// PostgreSQL's name of the text's language; `simple` where it has no words for it, or it is not sure.
pub fn language(document: &Document) -> &'static str {
    let words = document
        .pages
        .iter()
        .flat_map(|page| page.text.chars().chain([' ']));
    let sample: String = words.take(SAMPLE).collect();
    let detected = whatlang::detect(&sample).filter(whatlang::Info::is_reliable);
    match detected.map(|info| info.lang()) {
        Some(Lang::Eng) => "english",
        Some(Lang::Deu) => "german",
        Some(Lang::Fra) => "french",
        Some(Lang::Spa) => "spanish",
        Some(Lang::Ita) => "italian",
        Some(Lang::Por) => "portuguese",
        Some(Lang::Nld) => "dutch",
        Some(Lang::Rus) => "russian",
        Some(Lang::Swe) => "swedish",
        Some(Lang::Nob) => "norwegian",
        Some(Lang::Dan) => "danish",
        Some(Lang::Fin) => "finnish",
        Some(Lang::Hun) => "hungarian",
        Some(Lang::Ron) => "romanian",
        Some(Lang::Tur) => "turkish",
        Some(Lang::Ara) => "arabic",
        _ => "simple",
    }
}

/// Marks that PostgreSQL puts around what was found: a stored text holds no control characters.
pub const BEGIN: char = '\u{1}';
/// The other one.
pub const END: char = '\u{2}';
/// Characters of a snippet at most.
const SNIPPET: usize = 300;

/// A stretch of a document's text, on one line, and where in it the question's words stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Snippet {
    /// Plain text, whatever it looks like.
    pub snippet: String,
    /// In Unicode scalar values of the snippet, end exclusive.
    pub highlights: Vec<Range>,
}

/// From, to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Range {
    /// Of the first character.
    pub start: u32,
    /// Behind the last one.
    pub end: u32,
}

impl Snippet {
    /// From a headline between marks.
    pub fn of_headline(headline: &str) -> Self {
        let mut found = Self::default();
        let (mut at, mut begun) = (0, None);
        for c in headline.chars() {
            match c {
                BEGIN => begun = Some(at),
                END => found
                    .highlights
                    .extend(begun.take().map(|start| Range { start, end: at })),
                c => {
                    found.snippet.push(if c.is_whitespace() { ' ' } else { c });
                    at += 1;
                }
            }
        }
        found
    }

    /// Around the first place of the question's own letters, for scripts without spaces.
    pub fn around(text: &str, question: &str) -> Self {
        let wanted: Vec<&str> = question.split_whitespace().collect();
        let places = |text: &str| {
            let mut places: Vec<(usize, usize)> = wanted
                .iter()
                .flat_map(|word| {
                    text.match_indices(word)
                        .map(|(at, word)| (at, at + word.len()))
                })
                .collect();
            places.sort_unstable();
            places
        };
        let first = places(text).first().map_or(0, |&(at, _)| at);
        let before = text[..first].char_indices().rev().nth(SNIPPET / 4);
        let begin = before.map_or(0, |(at, _)| at);
        let shown: String = text[begin..].chars().take(SNIPPET).collect();
        let mut last = 0;
        let mut marked = String::new();
        for (from, to) in places(&shown) {
            if from >= last {
                marked.push_str(&shown[last..from]);
                marked.extend([BEGIN]);
                marked.push_str(&shown[from..to]);
                marked.extend([END]);
                last = to;
            }
        }
        marked.push_str(&shown[last..]);
        Self::of_headline(&marked)
    }
}

#[cfg(test)]
mod tests {
    use corpus::{Page, samples};

    use super::*;

    fn document(texts: &[&str]) -> Document {
        let pages = texts.iter().zip(1..);
        let page = |(text, number): (&&str, u32)| Page {
            number,
            text: (*text).to_owned(),
        };
        Document {
            pages: pages.map(page).collect(),
        }
    }

    #[test]
    fn pieces_are_slices_that_make_up_their_pages() {
        let long = "细胞是生命的基本单位。".repeat(900);
        let unbroken = "x".repeat(9_000);
        let document = document(&[samples::BIOLOGY, "", &long, &unbroken]);
        let text: Vec<char> = document.text().chars().collect();
        let mut joined = vec![String::new(); 4];
        for piece in pieces(&document) {
            let start = piece.start as usize;
            let end = start + piece.text.chars().count();
            assert_eq!(text[start..end].iter().collect::<String>(), piece.text);
            assert!(piece.text.chars().count() <= LENGTH);
            joined[piece.page as usize - 1].push_str(&piece.text);
        }
        for (page, joined) in document.pages.iter().zip(joined) {
            assert_eq!(page.text, joined);
        }
    }

    #[test]
    fn a_language_is_postgresql_s() {
        assert_eq!(language(&document(&[samples::BIOLOGY])), "english");
        assert_eq!(
            language(&document(&["细胞是生命的基本单位。它们会分裂。"])),
            "simple"
        );
        assert_eq!(language(&document(&[])), "simple");
    }

    #[test]
    fn a_snippet_is_plain_text_with_places() {
        let snippet = Snippet::of_headline("the \u{1}cell\u{2} is\n<b>\u{1}small\u{2}");
        assert_eq!(snippet.snippet, "the cell is <b>small");
        let place = |start, end| Range { start, end };
        assert_eq!(snippet.highlights, [place(4, 8), place(15, 20)]);
    }

    #[test]
    fn a_snippet_without_words_is_around_the_letters() {
        let text = "今天天气很好。".repeat(40) + "细胞是生命的基本单位。";
        let snippet = Snippet::around(&text, "生命 基本");
        let shown: Vec<char> = snippet.snippet.chars().collect();
        let of = |range: &Range| {
            shown[range.start as usize..range.end as usize]
                .iter()
                .collect::<String>()
        };
        assert_eq!(
            snippet.highlights.iter().map(of).collect::<Vec<_>>(),
            ["生命", "基本"]
        );
        assert_eq!(Snippet::around("abc", "zzz").snippet, "abc");
    }
}
