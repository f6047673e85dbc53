//! What holds for every text, however it was made.

use std::collections::HashSet;

use corpus::answer::{Quote, Shown, answer};
use corpus::ground::{Ground, Verdict};
use corpus::sanitize::{Filter, is_hidden, sanitize};
use corpus::search::{Index, Searched, invert, read_postings, write_postings};
use corpus::sentence::{sentences, unwrap_lines};
use corpus::terms::key_terms;
use corpus::{Document, Page, Passage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What sentences, lines and paragraphs are made of, and any character between.
fn prose() -> impl Strategy<Value = String> {
    let known = one_of(
        "cells|Zelle|divide|of|the|Dr.|3.|e.g.|1,234|٣٤|细胞会分裂。|次|pre-|natal|end.|Why?|…|\n|\n\n|\
         \r\n|\t|\u{2028}|\u{85}|\u{A0}|\u{FEFF}|e\u{301}|👩\u{200D}👧|🇩🇪|(see|p.|5)|•|-|\0",
    );
    let word = prop_oneof![
        8 => known,
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z]{1,12}",
        1 => (900..1_100_usize).prop_map(|length| "x".repeat(length)),
    ];
    let space = one_of(" | | ||. ");
    vec((word, space), 0..40).prop_map(|all| {
        let pieces = all.into_iter().map(|(word, space)| word + &space);
        pieces.collect()
    })
}

/// One of these parts.
fn one_of(parts: &'static str) -> impl Strategy<Value = String> {
    select(parts.split('|').map(str::to_owned).collect::<Vec<_>>())
}

/// Nothing is written beside the tests: what fails goes into a commit's message.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn document(texts: Vec<String>) -> Document {
    let pages = texts.into_iter().zip(1..);
    Document {
        pages: pages.map(|(text, number)| Page { number, text }).collect(),
    }
}

fn documents() -> impl Strategy<Value = Document> {
    vec(prose(), 0..4).prop_map(document)
}

fn visible(text: &str) -> String {
    text.split_whitespace().collect()
}

fn slice(text: &[char], start: u32, end: u32) -> String {
    text[start as usize..end as usize].iter().collect()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn sentences_cover_the_text_and_stand_where_they_say(text in prose()) {
        let found = sentences(&text);
        let mut behind = 0;
        for sentence in &found {
            prop_assert!(behind <= sentence.offset);
            behind = sentence.offset + sentence.text.len();
            prop_assert_eq!(&text[sentence.offset..behind], sentence.text);
            prop_assert_eq!(sentence.text.trim(), sentence.text);
            prop_assert!((1..=1_000).contains(&sentence.text.chars().count()));
        }
        let said: String = found.iter().map(|sentence| sentence.text).collect();
        prop_assert_eq!(visible(&said), visible(&text));
    }

    #[test]
    fn a_sentence_for_reading_has_one_line_and_stays_as_it_is(text in prose()) {
        let once = unwrap_lines(&text);
        prop_assert!(!once.contains(['\n', '\r']) && !once.contains("  "));
        prop_assert_eq!(once.trim(), &once);
    }

    #[test]
    fn passages_cover_the_document_and_share_a_sentence_at_most(document in documents()) {
        let text: Vec<char> = document.text().chars().collect();
        let passages = document.passages();
        let mut covered: HashSet<u32> = HashSet::new();
        for (passage, ordinal) in passages.iter().zip(0..) {
            prop_assert_eq!(passage.ordinal, ordinal);
            prop_assert_eq!(slice(&text, passage.start, passage.end), passage.text.as_str());
            covered.extend(passage.start..passage.end);
        }
        for (at, c) in (0..).zip(&text) {
            prop_assert!(c.is_whitespace() || covered.contains(&at), "{c:?} at {at}");
        }
        for pair in passages.windows(2) {
            prop_assert!(pair[0].start < pair[1].start && pair[0].end < pair[1].end);
            if pair[1].start < pair[0].end {
                prop_assert_eq!(pair[0].page, pair[1].page);
                let shared = slice(&text, pair[1].start, pair[0].end);
                let last = sentences(&pair[0].text).last().map(|sentence| sentence.text);
                prop_assert_eq!(last, Some(shared.as_str()));
            }
        }
    }

    #[test]
    fn a_document_has_the_same_terms_each_time(document in documents()) {
        prop_assert_eq!(key_terms(&document, 20), key_terms(&document, 20));
    }

    #[test]
    fn postings_are_read_as_they_were_written(document in documents(), other in "[0-9 x-]{0,60}") {
        read_postings(&other);
        for list in invert(&document.passages()).terms.values() {
            prop_assert_eq!(&read_postings(&write_postings(list)), list);
        }
    }

    #[test]
    fn a_passage_is_found_by_its_own_rare_word(
        mut texts in vec(prose(), 1..4), at in any::<prop::sample::Index>(), rare in "qzx[bcdfgkmqvwxz]{4,9}",
    ) {
        let page = at.index(texts.len());
        texts[page].push_str(&format!(" \n\nHere stands {rare} alone.\n\n"));
        let passages = document(texts).passages();
        let hits = Index::new(&passages, &rare).search(8);
        prop_assert!(!hits.is_empty());
        for hit in hits {
            let passage = &passages[hit.passage as usize];
            prop_assert!(passage.text.contains(&rare));
            prop_assert!(hit.score > 0.0 && (hit.coverage - 1.0).abs() < 1e-5, "{hit:?}");
        }
    }

    #[test]
    fn the_ranking_is_independent_of_the_documents_order(
        all in vec(documents(), 1..4), question in prose(), turn in 0..4_usize,
    ) {
        let all: Vec<Vec<Passage>> = all.iter().map(Document::passages).collect();
        let ranked = |order: &[usize]| {
            let searched = order.iter().map(|&at| Searched::of(&all[at], &question));
            let hits = Index::over(searched.collect()).search(usize::MAX);
            let mut hits: Vec<_> = hits.iter().map(|hit| (order[hit.document], hit.passage, hit.score)).collect();
            assert!(hits.is_sorted_by(|a, b| a.2 >= b.2));
            hits.sort_by_key(|&(document, passage, _)| (document, passage));
            hits
        };
        let mut order: Vec<usize> = (0..all.len()).collect();
        let straight = ranked(&order);
        order.reverse();
        order.rotate_left(turn % all.len());
        prop_assert_eq!(ranked(&order), straight);
    }

    #[test]
    fn a_quote_is_its_slice_of_the_document(document in documents(), question in prose()) {
        let text: Vec<char> = document.text().chars().collect();
        for Quote { text: quoted, start, end, score, .. } in answer(&question, &document.passages()).unwrap_or_default() {
            prop_assert_eq!(slice(&text, start, end), quoted);
            prop_assert!((0.0..=1.0).contains(&score));
        }
    }
}

fn shown(document: &Document) -> Vec<Shown> {
    let passages = document.passages().into_iter();
    passages
        .map(|passage| Shown {
            document: 0,
            passage,
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_supports_a_statement_stands_in_the_document(document in documents(), statement in prose()) {
        let text: Vec<char> = document.text().chars().collect();
        if let Verdict::Supported(quote) = Ground::new(&shown(&document)).check(&statement) {
            prop_assert_eq!(slice(&text, quote.start, quote.end), quote.text);
        }
    }

    #[test]
    fn words_that_the_document_has_not_are_never_supported(
        document in documents(), statement in vec("qzx[bcdfgkmqvwxz]{4,9}", 2..9),
    ) {
        let verdict = Ground::new(&shown(&document)).check(&statement.join(" "));
        prop_assert_eq!(verdict, Verdict::Unsupported);
    }

    #[test]
    fn a_statement_with_another_number_is_never_supported(
        (zero, said, written) in (select(vec!['0', '٠', '०', '０']), 10..5_000_u32, 10..5_000_u32),
    ) {
        prop_assume!(said != written);
        let digits = |number: u32| -> String {
            let of = |c: char| char::from_u32(u32::from(zero) + c.to_digit(10)?);
            number.to_string().chars().filter_map(of).collect()
        };
        let sentence = |number| format!("The body of a grown person has {} bones altogether.", digits(number));
        let ground = Ground::new(&shown(&document(vec![sentence(written)])));
        prop_assert_eq!(ground.check(&sentence(said)), Verdict::Unsupported);
        let same = ground.check(&sentence(written));
        prop_assert!(matches!(same, Verdict::Supported(_)), "{same:?}");
    }
}

/// What links, images, tags and marks are made of.
fn hostile() -> impl Strategy<Value = String> {
    let parts = one_of(
        "[|]|(|)|!|<|>|:|/| |\n|b|img src=x>|!--|http|https|://|www|.|w|ww.|tp|mailto:|[1]|[2, 3]|\
         []|(/a)|(x)|[x](http://e)|![x](e)|&lt;|é|细|\u{200B}|\u{202E}|\u{E0041}|\0|word|0",
    );
    let part = prop_oneof![
        20 => parts,
        6 => torn(),
        1 => (1_980..2_010_usize).prop_map(|length| format!("[{}](http://e)", "y".repeat(length))),
        1 => any::<char>().prop_map(String::from),
        1 => (1_900..2_100_usize).prop_map(|length| "y".repeat(length)),
    ];
    vec(part, 0..14).prop_map(|parts| parts.concat())
}

/// What a client makes something of, in two parts, and between them what vanishes.
fn torn() -> impl Strategy<Value = String> {
    let whole =
        one_of("<b>|<!--|</p>|http://e|https://e|WWW.e|![x](e)|[x][y]|ftp://e|mailto:a@b.c");
    let gone = one_of("[1]|[](/a)|![](a)|\u{200B}|[<](/a)|[p](/a)|[ww](/a)");
    (whole, gone, 0..6_usize).prop_map(|(whole, gone, at)| {
        let (head, tail) = whole.split_at(at.min(whole.len()));
        [head, &gone, tail].concat()
    })
}

/// In pieces of so many characters, over and over.
fn filtered(text: &str, sizes: &[usize]) -> (String, Vec<usize>) {
    let (mut filter, mut clean) = (Filter::new(3), String::new());
    let mut letters = text.chars().peekable();
    for &size in sizes.iter().cycle() {
        clean.push_str(&filter.push(&letters.by_ref().take(size).collect::<String>()));
        if letters.peek().is_none() {
            break;
        }
    }
    clean.push_str(&filter.end());
    (clean, filter.named())
}

/// Whether a client that renders Markdown or HTML makes nothing of it but text.
fn is_inert(text: &str) -> bool {
    let begins = |rest: &str| {
        let schemes = ["http://", "https://", "ftp://", "www.", "mailto:", "xmpp:"];
        let rest = rest.to_ascii_lowercase();
        schemes.iter().any(|scheme| rest.starts_with(scheme))
    };
    let mut before = ' ';
    text.char_indices().all(|(at, c)| {
        let rest = &text[at..];
        let tag = rest.strip_prefix('<').and_then(|rest| rest.chars().next());
        let is_tag = tag.is_some_and(|c| c.is_alphabetic() || "/!?".contains(c));
        let is_link = ["![", "](", "][", "]:"]
            .iter()
            .any(|mark| rest.starts_with(mark));
        let is_address = !before.is_alphanumeric() && begins(rest);
        before = c;
        !(is_tag || is_link || is_address || is_hidden(c))
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn what_comes_in_pieces_is_cleaned_as_the_whole(text in hostile(), sizes in vec(1..40_usize, 1..6)) {
        let whole = text.chars().count().max(1);
        prop_assert_eq!(filtered(&text, &sizes), filtered(&text, &[whole]));
    }

    #[test]
    fn nothing_hostile_comes_through(text in hostile()) {
        let (clean, named) = filtered(&text, &[7]);
        prop_assert!(is_inert(&clean), "{clean}");
        prop_assert!(named.iter().all(|&at| at < 3));
        let clean = sanitize(&text);
        prop_assert!(is_inert(&clean), "{clean}");
    }
}
