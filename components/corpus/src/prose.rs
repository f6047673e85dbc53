//! What kind of text a sentence is: prose that can stand alone, a line of contents, a licence.

/// Whether a sentence can stand alone: not a caption, a table's row, a reference, a line of contents,
/// a licence.
pub fn is_prose(sentence: &str) -> bool {
    let words = sentence.split_whitespace().count();
    let characters = sentence.chars().count();
    let letters = sentence.chars().filter(|c| c.is_alphabetic()).count();
    let spaces = sentence.chars().filter(|c| c.is_whitespace()).count();
    let is_cjk = words < 4 && characters >= 10 && !sentence.is_ascii();
    let lower = sentence.to_lowercase();
    (is_cjk || (8..=40).contains(&words))
        && ends(sentence)
        && (letters + spaces) * 100 >= characters * 70
        && sentence.starts_with(|c: char| c.is_uppercase() || !c.is_ascii())
        && !is_contents(sentence)
        && !has_note_mark(sentence)
        && !is_legal(sentence)
        && !["http", "www.", "isbn", "doi:", " > "]
            .iter()
            .any(|bad| lower.contains(bad))
        && !["figure ", "fig. ", "table ", "abb. ", "tab. ", "chapter "]
            .iter()
            .any(|bad| lower.starts_with(bad))
}

/// A note's number between two sentences that have become one, as in "the workspace.1 After".
fn has_note_mark(sentence: &str) -> bool {
    let is_mark = |word: &str| {
        let (before, after) = word.rsplit_once('.').unwrap_or_default();
        before.ends_with(|c: char| c.is_lowercase() || c == ')')
            && !after.is_empty()
            && after.bytes().all(|b| b.is_ascii_digit())
    };
    let mut words = sentence.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let next = words.peek();
        if is_mark(word) && next.is_some_and(|next| next.starts_with(char::is_uppercase)) {
            return true;
        }
    }
    false
}

/// Whether a sentence ends as one does.
pub fn ends(sentence: &str) -> bool {
    sentence
        .trim_end_matches(|c: char| c.is_whitespace() || ")”’\"'»".contains(c))
        .ends_with(['.', '!', '?', '。', '！', '？'])
}

/// Whether a line leads the eye to a page: a table of contents, an index.
pub fn is_contents(text: &str) -> bool {
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    ["....", "…….", "……", "····"]
        .iter()
        .any(|leader| squeezed.contains(leader))
        || is_index(text)
}

/// Names with their pages, as in `asn1_perror 22 asn1_read_tag 15`.
fn is_index(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let pages = words
        .iter()
        .filter(|word| {
            let bare = word.trim_matches([',', ';']);
            !bare.is_empty() && bare.len() <= 4 && bare.bytes().all(|b| b.is_ascii_digit())
        })
        .count();
    pages >= 4 && pages * 3 >= words.len()
}

/// What licences and title pages say of every document.
const LEGAL: &[&str] = &[
    "©",
    "copyright (c)",
    "copyright c ",
    "copyright notice",
    "all rights reserved",
    "permission is granted",
    "permission is hereby",
    "permission notice",
    "without any warranty",
    "without warranty",
    "this license",
    "this licence",
    "license notice",
    "invariant section",
    "cover text",
    "modified version",
    "free documentation license",
    "under the terms of the gnu",
    "licensed under the",
    "copy of the gnu general public license",
    "freely redistributed",
    "may be redistributed",
    "alle rechte vorbehalten",
    "tous droits réservés",
];

/// Whether a sentence is a licence's or a title page's rather than the document's own.
pub fn is_legal(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    lower.starts_with("copyright ") || LEGAL.iter().any(|phrase| lower.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_contents_and_links_are_no_prose() {
        assert!(is_prose(
            "The cell membrane surrounds the cell and protects what is inside."
        ));
        for bad in [
            "Figure 3 shows the cell with its membrane and other parts.",
            "Introduction .......................................... 3",
            "See http://example.org for more about this and that and other things.",
            "12 34 56 78 90 12 34 56 78 90.",
            "Too short.",
            "This is the workspace.1 After it is attached we have a search path.",
        ] {
            assert!(!is_prose(bad), "{bad}");
        }
    }

    #[test]
    fn a_line_of_contents_is_told_by_its_leaders_and_an_index_by_its_pages() {
        for line in [
            "2 ASN.1 structure handling . . . . . . . . . . . 2",
            "2 ASN.1 structure handling . . . . .",
            "Introduction ........ 3",
            "asn1_perror 22 asn1_read_tag 15 asn1_read_value 13 asn1_strerror 22",
        ] {
            assert!(is_contents(line), "{line}");
        }
        for prose in [
            "And so on ... until the end.",
            "It was sold in 1990, 1991, 1993 and 1995 in many of the countries of the north.",
        ] {
            assert!(!is_contents(prose), "{prose}");
        }
    }

    #[test]
    fn a_licence_is_no_prose() {
        for line in [
            "Copyright c 2000-2022 R Core Team and many other people of the world.",
            "Permission is granted to copy and distribute verbatim copies of the manual.",
            "You may add another Cover Text to the list of those in the notice.",
        ] {
            assert!(is_legal(line) && !is_prose(line), "{line}");
        }
        assert!(is_prose(
            "Every package must come with a copy of its copyright and distribution terms."
        ));
    }
}
