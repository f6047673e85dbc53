//! Words that turn a statement round: denials, opposites, and numbers in words.

use std::collections::HashSet;

use crate::terms::{fold, is_cjk};

const DENIALS: &[&str] = &[
    "not",
    "no",
    "never",
    "cannot",
    "without",
    "nor",
    "neither",
    "none",
    "nobody",
    "nothing",
    "hardly",
    "nicht",
    "kein",
    "keine",
    "keinen",
    "keiner",
    "keinem",
    "nie",
    "niemals",
    "ohne",
    "pas",
    "jamais",
    "sans",
    "aucun",
    "aucune",
    "nunca",
    "sin",
    "ningún",
    "ninguna",
    "jamás",
    "non",
    "mai",
    "senza",
    "nessun",
    "nessuna",
    "não",
    "sem",
    "nenhum",
    "niet",
    "geen",
    "nooit",
    "не",
    "нет",
    "без",
    "никогда",
];
/// In Chinese, Japanese and Korean, which have no spaces.
const CJK_DENIALS: &[&str] = &[
    "不",
    "没",
    "沒",
    "無",
    "无",
    "未",
    "非",
    "ない",
    "ません",
    "않",
    "없",
];

/// Whether a text denies something.
pub fn denies(text: &str) -> bool {
    let folded = fold(text);
    let plain = folded
        .replace('’', "'")
        .replace("not only", "")
        .replace("nicht nur", "");
    let mut words = plain.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.any(|word| DENIALS.contains(&word) || word.ends_with("n't"))
        || plain.chars().any(is_cjk) && CJK_DENIALS.iter().any(|denial| plain.contains(denial))
}

const OPPOSITES: &[(&str, &str)] = &[
    ("left", "right"),
    ("before", "after"),
    ("above", "below"),
    ("more", "less"),
    ("more", "fewer"),
    ("most", "least"),
    ("higher", "lower"),
    ("high", "low"),
    ("increases", "decreases"),
    ("rises", "falls"),
    ("first", "last"),
    ("always", "never"),
    ("always", "sometimes"),
    ("all", "some"),
    ("all", "no"),
    ("with", "without"),
    ("larger", "smaller"),
    ("longer", "shorter"),
    ("true", "false"),
    ("positive", "negative"),
    ("maximum", "minimum"),
    ("away", "towards"),
    ("from", "into"),
    ("inside", "outside"),
    ("supervised", "unsupervised"),
    ("links", "rechts"),
    ("vor", "nach"),
    ("mehr", "weniger"),
    ("höher", "niedriger"),
    ("größer", "kleiner"),
    ("immer", "nie"),
    ("über", "unter"),
    ("gauche", "droite"),
    ("avant", "après"),
    ("plus", "moins"),
    ("más", "menos"),
    ("antes", "después"),
];

/// Whether one has a word whose opposite the other has in its place.
pub fn opposes(one: &str, other: &str) -> bool {
    let (one, other) = (words(one), words(other));
    let swapped = |a: &str, b: &str| {
        one.contains(a) && !one.contains(b) && other.contains(b) && !other.contains(a)
    };
    OPPOSITES
        .iter()
        .any(|(a, b)| swapped(a, b) || swapped(b, a))
}

const NUMERALS: &[&str] = &[
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "hundred",
    "thousand",
    "million",
    "billion",
    "half",
    "twice",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "zwanzig",
    "dreißig",
    "vierzig",
    "fünfzig",
    "sechzig",
    "siebzig",
    "achtzig",
    "neunzig",
    "hundert",
    "tausend",
    "deux",
    "trois",
    "quatre",
    "cinq",
    "sept",
    "huit",
    "neuf",
    "dix",
    "cent",
    "mille",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "cien",
    "mil",
];

/// The numbers that a text has in words.
pub fn numerals(text: &str) -> HashSet<String> {
    let folded = fold(text);
    let mut found: HashSet<String> = words(text)
        .into_iter()
        .filter(|word| NUMERALS.contains(&word.as_str()))
        .collect();
    let is_numeral = |c: char| "一二三四五六七八九十百千万億亿".contains(c);
    let runs = folded.split(|c: char| !is_numeral(c));
    // A lone 一 is an article.
    found.extend(
        runs.filter(|run| !run.is_empty() && *run != "一")
            .map(ToOwned::to_owned),
    );
    found
}

fn words(text: &str) -> HashSet<String> {
    fold(text)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_told_from_its_absence() {
        for text in [
            "It is not so.",
            "It isn’t.",
            "Das ist kein Baum.",
            "绿茶不发酵",
        ] {
            assert!(denies(text), "{text}");
        }
        for text in ["It is so.", "It is not only red but green.", "nothingness"] {
            assert!(!denies(text), "{text}");
        }
    }

    #[test]
    fn a_word_in_its_opposite_s_place_opposes() {
        assert!(opposes("the left ventricle", "the right ventricle"));
        assert!(!opposes("left and right", "right"));
        assert!(!opposes("", "left"));
    }

    #[test]
    fn numbers_in_words_are_numbers() {
        assert!(numerals("about seventy times").contains("seventy"));
        assert!(numerals("以八十度左右").contains("八十"));
        assert!(numerals("一种茶").is_empty());
    }
}
