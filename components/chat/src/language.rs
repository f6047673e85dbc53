//! In which language a short question is asked, as far as what is said to it goes.

/// What is said where nothing was found, before the names and behind them.
struct Language {
    /// Words that a question in it has.
    words: &'static [&'static str],
    one: &'static str,
    several: &'static str,
    end: &'static str,
}

const ENGLISH: Language = Language {
    words: &[
        "what", "who", "when", "where", "why", "how", "which", "the", "is", "are", "does", "do",
        "of",
    ],
    one: "The answer was not found in the document ",
    several: "The answer was not found in the documents ",
    end: ".",
};

const OTHERS: &[Language] = &[
    Language {
        words: &[
            "was", "wer", "wie", "wo", "wann", "warum", "welche", "welcher", "welches", "ist",
            "sind", "der", "die", "das", "ein", "eine", "und", "macht", "bedeutet",
        ],
        one: "Die Antwort wurde im Dokument ",
        several: "Die Antwort wurde in den Dokumenten ",
        end: " nicht gefunden.",
    },
    Language {
        words: &[
            "que", "quoi", "qui", "quand", "où", "pourquoi", "comment", "quel", "quelle", "est",
            "sont", "le", "les", "des", "du", "une", "et", "ce", "la",
        ],
        one: "La réponse n’a pas été trouvée dans le document ",
        several: "La réponse n’a pas été trouvée dans les documents ",
        end: ".",
    },
    Language {
        words: &[
            "qué", "quién", "cuándo", "dónde", "cómo", "cuál", "por", "es", "son", "el", "los",
            "las", "del", "una", "y", "la",
        ],
        one: "La respuesta no se encontró en el documento ",
        several: "La respuesta no se encontró en los documentos ",
        end: ".",
    },
    Language {
        words: &[
            "che", "cosa", "chi", "quando", "dove", "perché", "come", "quale", "è", "sono", "il",
            "gli", "della", "dei", "una", "di", "la",
        ],
        one: "La risposta non è stata trovata nel documento ",
        several: "La risposta non è stata trovata nei documenti ",
        end: ".",
    },
    Language {
        words: &[
            "o", "quem", "quando", "onde", "porquê", "como", "qual", "é", "são", "os", "da", "do",
            "uma", "um", "não",
        ],
        one: "A resposta não foi encontrada no documento ",
        several: "A resposta não foi encontrada nos documentos ",
        end: ".",
    },
    Language {
        words: &[
            "wat", "wie", "wanneer", "waar", "waarom", "hoe", "welke", "zijn", "het", "een", "de",
            "en", "van",
        ],
        one: "Het antwoord is niet gevonden in het document ",
        several: "Het antwoord is niet gevonden in de documenten ",
        end: ".",
    },
];

const RUSSIAN: Language = Language {
    words: &[],
    one: "Ответ не найден в документе ",
    several: "Ответ не найден в документах ",
    end: ".",
};
const ARABIC: Language = Language {
    words: &[],
    one: "لم يُعثر على الإجابة في المستند ",
    several: "لم يُعثر على الإجابة في المستندات ",
    end: ".",
};
const JAPANESE: Language = Language {
    words: &[],
    one: "文書",
    several: "文書",
    end: "の中に答えは見つかりませんでした。",
};
const KOREAN: Language = Language {
    words: &[],
    one: "문서 ",
    several: "문서 ",
    end: "에서 답을 찾지 못했습니다.",
};
const CHINESE: Language = Language {
    words: &[],
    one: "在文档",
    several: "在文档",
    end: "中没有找到答案。",
};

/// That nothing was found in the documents of these names, in the question's language where it can be
/// told, else in English.
pub fn not_found(question: &str, names: &str, is_one: bool) -> String {
    let language = by_script(question).unwrap_or_else(|| by_words(question));
    let start = if is_one {
        language.one
    } else {
        language.several
    };
    format!("{start}{names}{}", language.end)
}

fn by_script(question: &str) -> Option<&'static Language> {
    let has = |is: fn(char) -> bool| question.chars().any(is);
    Some(if has(|c| matches!(c, '\u{3040}'..='\u{30FF}')) {
        &JAPANESE
    } else if has(|c| matches!(c, '\u{AC00}'..='\u{D7AF}')) {
        &KOREAN
    } else if has(|c| matches!(c, '\u{4E00}'..='\u{9FFF}')) {
        &CHINESE
    } else if has(|c| matches!(c, '\u{620}'..='\u{64A}')) {
        &ARABIC
    } else if has(|c| matches!(c, '\u{400}'..='\u{44F}')) {
        &RUSSIAN
    } else {
        return None;
    })
}

/// The one that has most of its words; English among equals.
fn by_words(question: &str) -> &'static Language {
    let lower = question.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    let count = |language: &Language| {
        words
            .iter()
            .filter(|word| language.words.contains(word))
            .count()
    };
    let (mut best, mut most) = (&ENGLISH, count(&ENGLISH));
    for language in OTHERS {
        if count(language) > most {
            (best, most) = (language, count(language));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_found_is_said_in_the_question_s_language() {
        for (question, starts) in [
            ("What is the capital of France?", "The answer"),
            ("quantum chromodynamics", "The answer"),
            ("Was ist die Hauptstadt von Frankreich?", "Die Antwort"),
            ("Quelle est la capitale de la France ?", "La réponse"),
            ("¿Cuál es la capital de Francia?", "La respuesta"),
            ("Qual è la capitale della Francia?", "La risposta"),
            ("Qual é a capital da França?", "A resposta"),
            ("Wat is de hoofdstad van Frankrijk?", "Het antwoord"),
            ("法国的首都是什么？", "在文档“a”"),
            ("フランスの首都はどこですか", "文書“a”"),
            ("프랑스의 수도는 어디입니까?", "문서"),
            ("ما هي عاصمة فرنسا؟", "لم"),
            ("Какая столица Франции?", "Ответ"),
            ("", "The answer"),
        ] {
            let said = not_found(question, "“a”", true);
            assert!(
                said.starts_with(starts) && said.contains("“a”"),
                "{question}: {said}"
            );
        }
    }
}
