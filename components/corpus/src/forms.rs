//! Forms of a word that search takes for one: with and without accents, Hebrew with its prefixes,
//! compounds and their parts.

use unicode_normalization::UnicodeNormalization;

/// Marks that a writer may leave out: accents of Latin, Greek and Cyrillic, the points of Hebrew, the
/// vowels of Arabic. A mark of Devanagari or kana makes another letter, and stays.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5C7}' | '\u{640}' | '\u{64B}'..='\u{65F}' | '\u{670}')
}

/// The word without what may be left out, as in `resume` for `résumé`.
pub fn bare(word: String) -> String {
    if word.is_ascii() {
        return word;
    }
    let unmarked: String = word.nfd().filter(|&c| !is_mark(c)).nfc().collect();
    without_prefix(unmarked)
}

/// Letters that Hebrew writes in front of a word for `and`, `the`, `in`, `as`, `to`, `from`, `that`.
const HEBREW_PREFIXES: &str = "והבכלמש";
/// Letters that must be left; what is shorter may be a word that begins so.
const HEBREW_ROOT: usize = 4;

/// Light stemming of Hebrew, for which there is no Snowball stemmer: at most two prefixes go.
fn without_prefix(word: String) -> String {
    let is_hebrew = |c: char| matches!(c, '\u{5D0}'..='\u{5EA}');
    if !word.chars().all(is_hebrew) {
        return word;
    }
    let mut rest = word.as_str();
    for _ in 0..2 {
        let shorter = rest.strip_prefix(|c| HEBREW_PREFIXES.contains(c));
        match shorter {
            Some(shorter) if shorter.chars().count() >= HEBREW_ROOT => rest = shorter,
            _ => break,
        }
    }
    rest.to_owned()
}

/// The word behind an elided article, as `énergie` in `l'énergie`; for French, Italian and Catalan.
pub fn without_elision(word: &str) -> &str {
    match word.split_once(['\'', '’']) {
        Some((article, rest)) if article.chars().count() <= 4 && rest.chars().count() >= 2 => rest,
        _ => word,
    }
}

/// Letters of a compound's part.
const PART: usize = 4;
/// Letters of what is beside it.
const BESIDE: usize = 3;

/// Whether one of the two words is the other's first or last part, as `membran` of `zellmembran`.
/// For languages that write compounds as one word.
pub fn shares_part(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let beside = long
        .strip_prefix(short)
        .or_else(|| long.strip_suffix(short));
    short.chars().count() >= PART && beside.is_some_and(|rest| rest.chars().count() >= BESIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_with_and_without_its_accents() {
        for (written, plain) in [
            ("résumé", "resume"),
            ("naïve", "naive"),
            ("plain", "plain"),
            ("مُدَرِّسٌ", "مدرس"),
            ("שָׁלוֹם", "שלום"),
            ("が", "が"),
        ] {
            assert_eq!(bare(written.to_owned()), plain);
        }
        assert_eq!(bare("किताब".to_owned()), "किताब");
    }

    #[test]
    fn hebrew_is_found_behind_its_prefixes() {
        assert_eq!(bare("והספרייה".to_owned()), bare("ספרייה".to_owned()));
        assert_eq!(bare("שלג".to_owned()), "שלג");
    }

    #[test]
    fn a_compound_has_two_parts() {
        assert!(shares_part("membran", "zellmembran") && shares_part("zellmembran", "zell"));
        for (one, other) in [
            ("ei", "eigen"),
            ("zelle", "zellen"),
            ("zell", "zell"),
            ("", "x"),
        ] {
            assert!(!shares_part(one, other), "{one} {other}");
        }
    }
}
