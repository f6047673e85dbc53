//! What servers call languages: Whisper's have English names, most others codes.
//! <https://github.com/openai/whisper/blob/main/whisper/tokenizer.py>

/// By Whisper's names, its aliases at the end.
const NAMES: &str = "
    english en chinese zh german de spanish es russian ru korean ko french fr japanese ja portuguese pt
    turkish tr polish pl catalan ca dutch nl arabic ar swedish sv italian it indonesian id hindi hi finnish fi
    vietnamese vi hebrew he ukrainian uk greek el malay ms czech cs romanian ro danish da hungarian hu tamil ta
    norwegian no thai th urdu ur croatian hr bulgarian bg lithuanian lt latin la maori mi malayalam ml welsh cy
    slovak sk telugu te persian fa latvian lv bengali bn serbian sr azerbaijani az slovenian sl kannada kn
    estonian et macedonian mk breton br basque eu icelandic is armenian hy nepali ne mongolian mn bosnian bs
    kazakh kk albanian sq swahili sw galician gl marathi mr punjabi pa sinhala si khmer km shona sn yoruba yo
    somali so afrikaans af occitan oc georgian ka belarusian be tajik tg sindhi sd gujarati gu amharic am
    yiddish yi lao lo uzbek uz faroese fo haitian ht pashto ps turkmen tk nynorsk nn maltese mt sanskrit sa
    luxembourgish lb myanmar my tibetan bo tagalog tl malagasy mg assamese as tatar tt hawaiian haw lingala ln
    hausa ha bashkir ba javanese jv sundanese su cantonese yue
    burmese my valencian ca flemish nl letzeburgesch lb pushto ps panjabi pa moldavian ro moldovan ro
    sinhalese si castilian es mandarin zh";
/// Of a code: RFC 5646's advice.
const LONGEST: usize = 35;

/// BCP 47 where the name is known or is a code already, else the name as the server has it.
pub(super) fn code(told: &str) -> Option<String> {
    let told = told.trim().replace('_', "-");
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | ' ');
    if told.is_empty() || told.len() > LONGEST || !told.chars().all(fine) {
        return None;
    }
    let name = told.to_lowercase();
    // Whisper's only name of two words, and its only code that is none.
    let name = match name.as_str() {
        "haitian creole" => "haitian",
        "jw" => "jv",
        name => name,
    };
    let mut words = NAMES.split_whitespace();
    while let (Some(known), Some(code)) = (words.next(), words.next()) {
        if known == name || code == name {
            return Some(code.to_owned());
        }
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_what_the_server_reports() {
        for (told, expected) in [
            ("english", "en"),
            ("Welsh", "cy"),
            ("cantonese", "yue"),
            ("Haitian Creole", "ht"),
            ("EN", "en"),
            ("jw", "jv"),
            ("pt_BR", "pt-BR"),
            ("cmn-Hans-CN", "cmn-Hans-CN"),
            ("Klingon", "Klingon"),
        ] {
            assert_eq!(code(told).as_deref(), Some(expected));
        }
        for none in ["", " ", "<unk>", &"x".repeat(36)] {
            assert_eq!(code(none), None, "{none}");
        }
        assert_eq!(NAMES.split_whitespace().count(), 2 * (100 + 11));
    }
}
