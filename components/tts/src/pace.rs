//! How long something takes to say, in milliseconds: rather too long than too short, as an engine leaves off
//! where its time ends and does not say so.

/// Of a letter of an alphabet.
const LETTER: u64 = 80;
/// Of a capital one, which may be spelled.
const CAPITAL: u64 = 200;
/// Of a letter beyond ASCII.
const OTHER_LETTER: u64 = 120;
/// Of a sign that is a syllable or a word.
const SIGN: u64 = 350;
/// Of a digit: `777` is seven words.
const DIGIT: u64 = 600;
/// Of a comma, which is a pause, and of a percent sign, which is a word.
const SYMBOL: u64 = 500;
const SPACE: u64 = 20;
/// Where scripts begin whose signs are syllables or words.
const SIGNS: char = '\u{2E80}';

/// Of a text at its usual rate.
pub fn text(text: &str) -> u64 {
    text.chars().map(character).sum()
}

fn character(c: char) -> u64 {
    match c {
        'a'..='z' => LETTER,
        'A'..='Z' => CAPITAL,
        '0'..='9' => DIGIT,
        SIGNS.. => SIGN,
        c if c.is_whitespace() => SPACE,
        c if c.is_numeric() => DIGIT,
        c if c.is_alphabetic() => OTHER_LETTER,
        _ => SYMBOL,
    }
}

/// Of characters that are said one by one.
pub fn spelled(characters: usize) -> u64 {
    DIGIT.saturating_mul(characters as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_faster_than_a_voice() {
        // What a calm reader takes, in seconds: fourteen letters each, two and a half words, five syllables.
        for (said, seconds) in [
            ("The mitochondrion is the powerhouse of the cell.", 3),
            ("777,777", 3),
            ("東京特許許可局", 2),
        ] {
            let estimated = text(said);
            assert!(estimated >= seconds * 1_000, "{said}: {estimated}");
        }
        // Nor so slow that a usual text is cut for it: three thousand characters in under five minutes.
        let usual = "Plants make sugar, and the light of the sun drives it. ".repeat(54);
        assert!(text(&usual) < 300_000, "{}", text(&usual));
    }
}
