//! How many tokens a text is, at most: a bound by kinds of characters, as each model has a tokenizer
//! of its own and its tables take megabytes. The tests hold it against two real ones.

/// Of a message besides its words: who speaks, and its ends.
pub const PER_MESSAGE: usize = 8;

/// Letters of a token, of a word that no tokenizer knows; those that they know are longer.
const LETTERS: usize = 2;

/// No more tokens than this, as the tokenizers of OpenAI's models count; few texts have more than half.
pub fn at_most(text: &str) -> usize {
    let (mut tokens, mut word, mut before) = (0, 0usize, ' ');
    for c in text.chars() {
        // A capital within a word begins another, as in base64.
        let begins = c.is_ascii_uppercase() && before.is_ascii_lowercase();
        // A space is taken with the word behind it, and with nothing else.
        let alone = before == ' ' && !c.is_alphabetic();
        before = c;
        if c.is_ascii_alphabetic() && !begins {
            word += 1;
            continue;
        }
        if begins {
            tokens += std::mem::replace(&mut word, 1).div_ceil(LETTERS);
            continue;
        }
        tokens += std::mem::take(&mut word).div_ceil(LETTERS) + of(c) + usize::from(alone);
    }
    tokens + word.div_ceil(LETTERS)
}

/// A character that is no ASCII letter.
fn of(c: char) -> usize {
    match c {
        ' ' => 0,
        _ if c.is_ascii() => 1,
        // Latin, Greek and Cyrillic: never two tokens.
        ..='\u{52F}' => 1,
        // Each byte may be one.
        _ => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use corpus::samples::{AWKWARD, BIOLOGY, HISTORY};

    use super::*;

    const TEXTS: &[&str] = &[
        BIOLOGY,
        HISTORY,
        "Die Zellmembran umgibt jede Zelle und regelt, was hinein und was heraus gelangt.",
        "La cellule est l'unité fondamentale du vivant, découverte au dix-septième siècle.",
        "Клетка является основной единицей жизни. Ядро содержит генетический материал.",
        "الخلية هي الوحدة الأساسية للحياة. تحتوي النواة على المادة الوراثية.",
        "התא הוא יחידת החיים הבסיסית. גרעין התא מכיל את החומר התורשתי.",
        "细胞是生命的基本单位。它们会分裂并且生长。今天天气很好。",
        "細胞は生命の基本単位である。分裂して成長する。",
        "세포는 생명의 기본 단위이다. 세포는 분열하고 성장한다.",
        "कोशिका जीवन की मूल इकाई है।",
        "เซลล์เป็นหน่วยพื้นฐานของสิ่งมีชีวิต",
        "fn main() { let x: Vec<u32> = (0..10).map(|i| i * i).collect(); println!(\"{x:?}\"); }",
        "https://example.org/a/b?c=d&e=f#g 192.168.0.1 550e8400-e29b-41d4-a716-446655440000",
        "QmFzZTY0IGlzIG5vIGxhbmd1YWdlIGF0IGFsbA== xkcd qzwv jkrt Pneumonoultramicroscopic",
        "1234567890 3.14159 1,000,000 ∑∫√∞≈ α→β",
        "👩‍👩‍👧 🎉🎉 🇩🇪",
        "\n\n\t  \t a    b      c\n\n",
    ];

    #[test]
    fn no_text_has_more_tokens_than_it_is_said_to_have() {
        let (new, old) = (
            tiktoken_rs::o200k_base().unwrap(),
            tiktoken_rs::cl100k_base().unwrap(),
        );
        for text in TEXTS.iter().chain(AWKWARD) {
            let bound = at_most(text);
            for tokenizer in [&new, &old] {
                let real = tokenizer.encode_ordinary(text).len();
                assert!(real <= bound, "{real} > {bound}: {text}");
            }
        }
    }

    #[test]
    fn the_bound_is_not_far_from_the_truth_for_prose() {
        let tokenizer = tiktoken_rs::o200k_base().unwrap();
        for text in [BIOLOGY, HISTORY] {
            let (real, bound) = (tokenizer.encode_ordinary(text).len(), at_most(text));
            assert!(bound < real * 5 / 2, "{real} {bound}");
        }
    }
}
