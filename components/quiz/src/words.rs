//! Words where they stand in a sentence.

/// Where `needle` stands in `text` as whole words, in bytes; its first letter may be a capital.
pub fn find_words(text: &str, needle: &str) -> Option<usize> {
    let mut letters = needle.chars();
    let capital: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect();
    let (small, large) = (find_exactly(text, needle), find_exactly(text, &capital));
    // Only where the lengths agree, so that the slice is the needle's.
    let large = large.filter(|_| capital.len() == needle.len());
    small.into_iter().chain(large).min()
}

/// Where `needle` stands in `text` as whole words, letter by letter.
pub fn find_exactly(text: &str, needle: &str) -> Option<usize> {
    occurrences(text, needle)
        .next()
        .filter(|_| !needle.is_empty())
}

/// Everywhere it stands as whole words, in bytes.
pub(crate) fn occurrences<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(needle)
        .map(|(at, _)| at)
        .filter(move |&at| !comes_on(&text[..at]) && !goes_on(&text[at + needle.len()..]))
}

/// What is joined by a hyphen, a slash or a point is one word, and so is a function with its bracket.
fn goes_on(after: &str) -> bool {
    let mut letters = after.chars();
    match letters.next() {
        Some('.' | ',' | ':' | '+') => letters.next().is_some_and(char::is_alphanumeric),
        Some('(' | '%') => true,
        Some(c) => joins(c),
        None => false,
    }
}

fn comes_on(before: &str) -> bool {
    let mut letters = before.chars().rev();
    match letters.next() {
        Some('.' | ',' | ':') => letters.next().is_some_and(char::is_alphanumeric),
        Some(c) => joins(c),
        None => false,
    }
}

fn joins(c: char) -> bool {
    c.is_alphanumeric() || "-_/@~$".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole() {
        assert_eq!(find_words("subcells and cells", "cells"), Some(13));
        assert_eq!(find_words("Cells are", "cells"), Some(0));
        assert_eq!(find_words("about 1,300 men", "300"), None);
        assert_eq!(find_words("ünder", "nder"), None);
        assert_eq!(find_words("", "x"), None);
        assert_eq!(find_words("x", ""), None);
        assert_eq!(find_words("a high-level language", "level"), None);
        assert_eq!(
            find_words("in debian/copyright and so on", "copyright"),
            None
        );
        assert_eq!(find_words("call plot(x) or see the plot", "plot"), Some(24));
        assert_eq!(find_words("it ends at the cell.", "cell"), Some(15));
    }

    #[test]
    fn a_name_is_found_by_its_letters_case() {
        assert_eq!(find_exactly("the test of The", "The"), Some(12));
        assert_eq!(find_words("DO NOT do it", "do"), Some(7));
    }
}
